"""Ids that are stable, round trips, files, and errors that name the token."""

import copy
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_rnn.data import SPECIALS, Vocabulary

WORDS = Counter("the cat and the dog and the bird".split())


@pytest.fixture(autouse=True)
def hasty(monkeypatch) -> None:
    """Does not wait for the disk, again and again: tests/files sees that files are forced to it."""
    monkeypatch.setattr("os.fsync", lambda _: None)


def test_ids_are_specials_then_falling_counts_then_tokens() -> None:
    assert Vocabulary(WORDS).tokens == ["the", "and", "bird", "cat", "dog"]
    vocabulary = Vocabulary(WORDS, min_count=2, specials=["<pad>", "and"])
    assert vocabulary.tokens == ["<pad>", "and", "the"] and vocabulary.specials == ["<pad>", "and"]
    assert Vocabulary(WORDS, max_size=3, specials=["<unk>"]).tokens == ["<unk>", "the", "and"]
    assert len(vocabulary) == 3 and "the" in vocabulary and "cat" not in vocabulary


@given(st.dictionaries(st.text(max_size=3), st.integers(1, 3), min_size=1), st.randoms())
def test_ids_do_not_depend_on_the_order_of_counting(counts, random) -> None:
    items = list(counts.items())
    random.shuffle(items)
    assert Vocabulary(dict(items)) == Vocabulary(counts)


@given(st.text(min_size=1))
def test_round_trip_of_characters(text) -> None:
    vocabulary = Vocabulary(Counter(text))
    ids = vocabulary.encode(text)
    assert ids.dtype == np.int64 and ids.shape == (len(text),)
    assert "".join(vocabulary.decode(ids)) == text
    np.testing.assert_array_equal(ids, [vocabulary.tokens.index(c) for c in text])


def test_encoding_takes_any_iterable() -> None:
    vocabulary = Vocabulary(WORDS)
    for tokens in (["the", "dog"], ("the", "dog"), iter(["the", "dog"])):
        assert vocabulary.encode(tokens).tolist() == [0, 4]
    assert vocabulary.encode([]).shape == (0,) and vocabulary.decode([]) == []
    assert vocabulary.decode(np.array([1, 0], np.int32)) == ["and", "the"]


def test_unknown_tokens() -> None:
    with pytest.raises(KeyError, match=r"encode: the token 'fox' at position 1 is not among the 5 .*'<unk>'"):
        Vocabulary(WORDS).encode(iter(["the", "fox"]))
    assert Vocabulary(WORDS, specials=["<pad>", "<unk>"]).encode(["fox", "the"]).tolist() == [1, 2]
    # a text that merely contains the word <unk> did not ask for it to stand for others
    with pytest.raises(KeyError, match="fox"):
        Vocabulary({"<unk>": 3}).encode(["fox"])


def test_ids_that_no_token_has() -> None:
    vocabulary = Vocabulary(WORDS)
    for ids, position in (([0, 5], 1), ([-1], 0)):
        with pytest.raises(IndexError, match=rf"decode: id {ids[position]} at position {position}: there are 5 tokens"):
            vocabulary.decode(ids)
    with pytest.raises(TypeError, match="integers, got dtype float64"):
        vocabulary.decode([0.5])
    with pytest.raises(ValueError, match=r"one dimension, got shape \(1, 1\)"):
        vocabulary.decode([[0]])


@pytest.mark.parametrize(("call", "error", "match"), [
    (lambda: Vocabulary("hello"), TypeError, "counts must map tokens .* got str; collections.Counter"),
    (lambda: Vocabulary({1: 2}), TypeError, "tokens must be strings, got 1"),
    (lambda: Vocabulary(WORDS, specials="<unk>"), TypeError, "a sequence of tokens, got the string '<unk>'"),
    (lambda: Vocabulary(WORDS, specials=["a", "a"]), ValueError, "the token 'a' stands twice"),
    (lambda: Vocabulary(WORDS, min_count=0), ValueError, "min_count must be at least 1"),
    (lambda: Vocabulary(WORDS, max_size=1, specials=["a", "b"]), ValueError, "max_size=1 has no room for 2"),
    (lambda: Vocabulary({}), ValueError, "there are no tokens"),
    (lambda: Vocabulary(WORDS, min_count=9), ValueError, "there are no tokens"),
])
def test_errors(call, error, match) -> None:
    with pytest.raises(error, match=match):
        call()


def test_counts_follow_the_ids() -> None:
    vocabulary = Vocabulary(WORDS, min_count=2, specials=["<unk>", "bird"])
    assert vocabulary.tokens == ["<unk>", "bird", "the", "and"]
    assert vocabulary.counts.dtype == np.int64 and vocabulary.counts.tolist() == [0, 1, 3, 2]
    vocabulary.counts[0] = 9        # a copy
    assert vocabulary.counts[0] == 0


@given(st.lists(st.sampled_from("abcde"), min_size=1), st.integers(0, 30), st.integers(1, 3))
def test_shards_merge_to_the_vocabulary_of_the_whole(tokens, cut, min_count) -> None:
    total, shards = Counter(tokens), [Counter(tokens[:cut]), Counter(tokens[cut:])]
    if max(total.values()) < min_count:
        return
    whole, merged = Vocabulary(total, min_count), Vocabulary.merge(shards, min_count)
    assert merged == whole and merged.counts.tolist() == whole.counts.tolist()
    halves = [Vocabulary(shard) for shard in shards if shard]
    assert Vocabulary.merge(halves, min_count, specials=SPECIALS).tokens == ["<unk>", "<bos>", "<eos>", "<pad>",
                                                                             *whole.tokens]


# ---- files ----------------------------------------------------------------------------------------------------------
@given(st.text(min_size=1), st.booleans())
def test_files_round_trip(tmp_path_factory, text, special) -> None:
    path = tmp_path_factory.mktemp("vocabulary") / "v.json"
    vocabulary = Vocabulary(Counter(text + "\ud800\u2028\"\\"), specials=["<unk>"] * special)
    vocabulary.save(path)
    assert Vocabulary.load(path) == vocabulary and (Vocabulary.load(path).counts == vocabulary.counts).all()
    assert [p.name for p in path.parent.iterdir()] == ["v.json"]


def test_equality_looks_at_tokens_and_specials() -> None:
    assert Vocabulary(WORDS) == copy.deepcopy(Vocabulary(WORDS)) != Vocabulary(WORDS, min_count=2)
    assert Vocabulary({"a": 2, "b": 1}) != Vocabulary({"b": 1}, specials=["a"])
    assert Vocabulary(WORDS) != WORDS
    assert repr(Vocabulary(Counter("hello"))) == "Vocabulary(4 tokens: 'l', 'e', 'h', 'o')"


@pytest.mark.parametrize(("content", "match"), [
    (b"{", "is not JSON"), (b"\xff\xfe", "is not JSON"), (b"[1]", "holds no vocabulary"), (b"{}", "no vocabulary"),
    (b'{"format": "tinygrad_rnn.vocabulary", "version": 2}', "of version 2, this library reads 1"),
    (b'{"format": "tinygrad_rnn.vocabulary", "version": 1, "specials": 0, "tokens": [1]}', "is damaged"),
    (b'{"format": "tinygrad_rnn.vocabulary", "version": 1, "specials": 3, "tokens": ["a"]}', "is damaged"),
    (b'{"format": "tinygrad_rnn.vocabulary", "version": 1, "specials": 0, "tokens": ["a", "a"]}', "stands twice"),
    (b'{"format": "tinygrad_rnn.vocabulary", "version": 1, "specials": 0, "tokens": ["a"], "counts": []}', "one a tok"),
    (b'{"format": "tinygrad_rnn.vocabulary", "version": 1, "specials": 0, "tokens": ["a"], "counts": [-1]}', "whole"),
    (b"[" * 100_000, "is not JSON"),
])
def test_files_that_are_something_else(tmp_path, content, match) -> None:
    path = tmp_path / "v.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=match):
        Vocabulary.load(path)


def test_a_missing_file_says_so(tmp_path) -> None:
    with pytest.raises(FileNotFoundError):
        Vocabulary.load(tmp_path / "none.json")
