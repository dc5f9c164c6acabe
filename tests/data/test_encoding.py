"""Corpora read once: ids equal those of a loop over Python's own split, whatever the pieces, parts and threads."""

import os
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn.data import END, Sentences, Tokenizer, Vocabulary, characters, encoding, numbering, words
from tinygrad_rnn.data.tokenizers import splitter, whitespace

TEXT = "the cat sat\n\n  on the\tmat \r\nthe  dog\x0bsat\n"


def by_hand(sentences, vocabulary) -> list[int]:
    """The definition: what is known of each sentence, and END where that is something."""
    out = []
    for sentence in sentences:
        known = [vocabulary.tokens.index(token) for token in sentence if token in vocabulary]
        out += [*known, END] if known else []
    return out


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def split(text: str) -> list[list[str]]:
    return [[token.decode() for token in line.split()] for line in text.encode().split(b"\n")]


def test_a_file_a_list_and_a_generator_are_the_same_corpus(tmp_path) -> None:
    expected = split(TEXT)
    for source in (write(tmp_path / "c.txt", TEXT), str(tmp_path / "c.txt"), expected, iter(expected),
                   (tuple(s) for s in expected)):
        sentences = Sentences(source)
        assert sentences.counts == Counter(TEXT.split()) and sentences.words == 9
        vocabulary = Vocabulary(sentences.counts, min_count=2)
        ids = sentences.encode(vocabulary)
        assert ids.dtype == np.int32 and not ids.flags.writeable
        assert ids.tolist() == by_hand(expected, vocabulary) == [0, 1, END, 0, END, 0, 1, END]


@given(st.lists(st.text("ab \n\tcé日\u3000", max_size=30), max_size=5), st.integers(1, 4), st.integers(4, 40))
def test_pieces_and_threads_change_nothing(tmp_path_factory, texts, parts, piece) -> None:
    text = "\n".join(["a", *texts])
    path = write(tmp_path_factory.mktemp("corpus") / "c.txt", text)
    expected = split(text)
    if max(len(token.encode()) for line in expected for token in line) > piece:
        return
    vocabulary = Vocabulary(Counter(token for line in expected for token in line))
    before, threads = (numbering.PIECE, encoding.PIECE, encoding.SMALL), tg.get_num_threads()
    try:
        numbering.PIECE = encoding.PIECE = piece
        encoding.SMALL = 0
        tg.set_num_threads(parts)
        sentences = Sentences(path)
        assert sentences.encode(vocabulary).tolist() == by_hand(expected, vocabulary)
        assert Vocabulary(sentences.counts) == vocabulary
        slow = Sentences(path, whitespace)          # the way without compiled code
        assert slow.counts == sentences.counts and slow.encode(vocabulary).tolist() == by_hand(expected, vocabulary)
    finally:
        numbering.PIECE, encoding.PIECE, encoding.SMALL = before
        tg.set_num_threads(threads)


def test_tables_grow(tmp_path) -> None:
    text = " ".join(f"{'word' * (k % 40)}{k}" for k in range(70_000))
    sentences = Sentences(write(tmp_path / "c.txt", text))
    assert sentences.counts == Counter(text.split())
    vocabulary = Vocabulary(sentences.counts)
    assert vocabulary.decode(sentences.encode(vocabulary)[:-1]) == text.split()


def test_unknown_words_and_another_vocabulary() -> None:
    vocabulary = Vocabulary({"a": 2, "b": 1}, specials=["<pad>", "<unk>"])
    assert Sentences([["b", "x", "a"], ["y"]]).encode(vocabulary).tolist() == [3, 1, 2, END, 1, END]
    assert Sentences([["b", "x", "a"], ["y"], []]).encode(Vocabulary({"a": 1})).tolist() == [0, END]
    assert Sentences([["b"]]).encode(Vocabulary({"a": 1})).shape == (0,)


def test_ids_in_a_file_of_the_users(tmp_path) -> None:
    sentences = Sentences([["b", "a"], ["a"]])
    ids = sentences.encode(Vocabulary(sentences.counts), tmp_path / "ids.npy")
    again = np.load(tmp_path / "ids.npy", mmap_mode="r")
    assert again.dtype == np.int32 and again.tolist() == ids.tolist() == [1, 0, END, 0, END]
    assert [p.name for p in tmp_path.iterdir()] == ["ids.npy"]


def test_one_giant_line_is_read_in_pieces(tmp_path, monkeypatch) -> None:
    path = write(tmp_path / "c.txt", "ab cd " * 1000)
    for module in (numbering, encoding):
        monkeypatch.setattr(module, "PIECE", 64)
    for tokenizer in (None, whitespace):
        sentences = Sentences(path, tokenizer)
        assert sentences.encode(Vocabulary(sentences.counts)).tolist() == [0, 1] * 1000 + [END]
    write(path, "ab " + "x" * 200)
    for tokenizer in (None, whitespace):
        with pytest.raises(ValueError, match="a word of more than 64 bytes; are its tokens apart by whitespace"):
            Sentences(path, tokenizer)
    assert Sentences(path, characters).counts == Counter("ab " + "x" * 200)


@pytest.mark.parametrize(("source", "error", "match"), [
    (["a sentence"], TypeError, "sentence 0 is a string, 'a sentence'; it must be a list of tokens: sentence.split"),
    ([["a"], "b"], TypeError, "sentence 1 is a string"),
    ([["a"], 3], TypeError, "sentence 1 must be a list of tokens, got 3"),
    ([["a", 3]], TypeError, "tokens must be strings, got 3"),
    ([b"bytes"], TypeError, "tokens must be strings, got 98"),
    (7, TypeError, "a path or an iterable of token lists, got int"),
    ([], ValueError, "no words; was it a generator"),
    ([[], []], ValueError, "no words"),
    (iter(()), ValueError, "generator that something else has used up"),
])
def test_sources_that_are_no_corpus(source, error, match) -> None:
    with pytest.raises(error, match=match):
        Sentences(source)


def test_files_that_are_no_corpus(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match="none.txt"):
        Sentences(tmp_path / "none.txt")
    with pytest.raises(IsADirectoryError):
        Sentences(tmp_path)
    for content in (b"", b" \n\n"):
        with pytest.raises(ValueError, match="c.txt has no words"):
            Sentences(write(tmp_path / "c.txt", content))
    for content, where in ((b"ab \xff cd", r"byte 0xff at offset 3"), (b"ab \xc3", "ends within a character")):
        for tokenizer in (None, words):
            with pytest.raises(ValueError, match=f"not UTF-8: (it )?{where}"):
                Sentences(write(tmp_path / "c.txt", content), tokenizer)


def test_a_file_that_changes_while_it_is_read(tmp_path) -> None:
    path = write(tmp_path / "c.txt", "a b\nc d\n")

    def growing(text):
        with open(path, "a") as file:
            file.write("more\n")
        return text.split()

    with pytest.raises(ValueError, match="changed while it was read, from 8 to"):
        Sentences(path, lambda line: growing(line) if path.stat().st_size < 20 else line.split())


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_said_and_nothing_is_left(tmp_path, monkeypatch) -> None:
    sentences = Sentences([["a"]])
    monkeypatch.setattr(Sentences, "_file", lambda self: open("/dev/full", "wb+", buffering=0))
    with pytest.raises(OSError, match="cannot write the ids of a corpus: No space left on device"):
        Sentences([["a"]])
    with pytest.raises(OSError, match="No space left"):
        sentences.encode(Vocabulary({"a": 1}))


def test_progress_is_shown_when_asked(tmp_path, capsys) -> None:
    path = write(tmp_path / "c.txt", TEXT)
    Sentences(path)
    Sentences([["a"]])
    assert capsys.readouterr().err == ""
    Sentences(path, progress=True)
    assert "reading" in capsys.readouterr().err


def test_without_compiled_code(tmp_path) -> None:
    path = write(tmp_path / "c.txt", TEXT)
    code = ("import sys; from tinygrad_rnn.data import *; s = Sentences(sys.argv[1]); "
            "print(*s.encode(Vocabulary(s.counts)), 'numba' in sys.modules)")
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True,
                          env={**os.environ, "NUMBA_DISABLE_JIT": "1"})
    sentences = Sentences(path)
    assert done.stdout.split() == [*map(str, sentences.encode(Vocabulary(sentences.counts))), "False"]


# ---- tokenizers -----------------------------------------------------------------------------------------------------
def test_splitting() -> None:
    assert whitespace(" a\u00a0b\tc\n") == ["a\u00a0b", "c"]
    assert words("Don't STOP, été! well-known") == ["don't", "stop", "été", "well-known"]
    assert words("A b", lower=False) == ["A", "b"] and words("a1b2", pattern="[a-z]") == ["a", "b"]
    assert characters("a b") == ["a", " ", "b"]


@given(st.text())
def test_characters_round_trip(text) -> None:
    tokenizer = Tokenizer(Vocabulary(Counter(text + "a")), characters)
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_whitespace_round_trips_to_single_spaces() -> None:
    tokenizer = Tokenizer(Vocabulary(Counter(TEXT.split())))
    assert tokenizer.decode(tokenizer.encode(TEXT)) == " ".join(TEXT.split())
    with pytest.raises(KeyError, match="bird"):
        tokenizer.encode("the bird")


class Pieces:
    """A tokenizer of somebody else's: ids of pairs of characters."""

    def encode(self, text):
        return [ord(c) for c in text if c != "\n"]

    def decode(self, ids):
        return "".join(map(chr, ids))


class Encoding:
    def __init__(self, tokens):
        self.ids, self.tokens = list(range(len(tokens))), tokens


class Fast(Pieces):
    """As the `tokenizers` package answers."""

    def encode(self, text):
        return Encoding(text.split())


def test_tokenizers_of_others(tmp_path) -> None:
    path = write(tmp_path / "c.txt", "ab\nba b\n")
    assert Sentences(path, Pieces()).counts == Counter("abba b")
    assert Sentences(path, Fast()).counts == {"ab": 1, "ba": 1, "b": 1}
    assert Sentences(["ab", "ba b"], Pieces()).counts == Counter("abba b")
    assert Sentences(path, Tokenizer(Vocabulary(Counter("ab ")), characters)).counts["b"] == 3
    for wrong in ("words", 3):
        with pytest.raises(TypeError, match="tokenizer must be a function"):
            splitter(wrong)
    with pytest.raises(TypeError, match="split must be a function"):
        Tokenizer(Vocabulary({"a": 1}), "words")
