"""Sampling: the probabilities of whole sentences, the streams of random numbers, streaming."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.decode.small import BOS, EOS, every_sentence, log_softmax, markov, recurrent, rows
from tinygrad_rnn import decode
from tinygrad_rnn.decode.streams import Streams

ENDS = dict(bos=BOS, eos=EOS)


@pytest.mark.parametrize("by", ["num_return", "copies"])
@pytest.mark.parametrize("temperature", [0.6, 1.0, 2.0])
def test_sentences_come_as_often_as_they_are_likely(by, temperature) -> None:
    step, state = recurrent(3, 1, 4)
    n = 4000
    if by == "copies":
        found = decode.sample(step, rows(state, np.zeros(n, int)), **ENDS, max_length=3, temperature=temperature, rng=1)
        drawn = [one for one, in found]
    else:
        (drawn,) = decode.sample(step, state, **ENDS, max_length=3, temperature=temperature, num_return=n, rng=1)
    counts: dict[tuple, int] = {}
    for one in drawn:
        counts[tuple(one.tokens)] = counts.get(tuple(one.tokens), 0) + 1
    sentences = every_sentence(step, state, 0, 3, lambda log_probs, _: log_softmax(log_probs / temperature))
    for tokens, log_probs in sentences:
        p = np.exp(sum(log_probs))
        # Five standard deviations of a binomial count, and one of the rarest.
        assert abs(counts.pop(tuple(tokens), 0) - n * p) <= 5 * np.sqrt(n * p * (1 - p)) + 1
    assert not counts


def left(p: np.ndarray, top_k: int = 9, top_p: float = 1.0, min_p: float = 0.0) -> np.ndarray:
    """Probabilities of the tokens that truncation leaves: k, then p, then min_p, written out."""
    order = sorted(range(len(p)), key=lambda token: -p[token])[:top_k]
    whole, reached, kept = sum(p[token] for token in order), 0.0, []
    for token in order:
        if reached < top_p * whole and p[token] >= min_p * p[order[0]]:
            kept.append(token)
        reached += p[token]
    return np.array([p[token] if token in kept else 0 for token in range(len(p))]) / sum(p[token] for token in kept)


@pytest.mark.parametrize("options", [dict(top_k=2), dict(top_p=0.6), dict(min_p=0.4), dict(top_k=3, top_p=0.8),
                                     dict(top_k=3, top_p=0.9, min_p=0.2)], ids=str)
def test_truncation_leaves_what_it_says_in_its_proportions(options) -> None:
    step, state = recurrent(4, 1, 4)
    n, temperature = 3000, 1.3
    (drawn,) = decode.sample(step, state, **ENDS, max_length=2, temperature=temperature, num_return=n, rng=1, **options)
    counts = Counter(tuple(one.tokens) for one in drawn)

    def truncated(log_probs, _):
        with np.errstate(divide="ignore"):
            return np.log(left(np.exp(log_softmax(log_probs / temperature)), **options))

    sentences = every_sentence(step, state, 0, 2, truncated)
    assert len(sentences) < len(every_sentence(step, state, 0, 2))
    for tokens, log_probs in sentences:
        p = np.exp(sum(log_probs))
        assert abs(counts.pop(tuple(tokens), 0) - n * p) <= 5 * np.sqrt(n * p * (1 - p)) + 1
    assert not counts


def test_log_probabilities_are_those_before_temperature_and_truncation() -> None:
    step, state = recurrent(5, 2, 7)
    found = decode.sample(step, state, **ENDS, max_length=6, temperature=0.5, top_k=4, top_p=0.9, min_p=0.01,
                          num_return=6, rng=0)
    for sentence in range(2):
        likeliest_first = [one.score for one in found[sentence]]
        assert likeliest_first == sorted(likeliest_first, reverse=True) and len(likeliest_first) == 6
        for one in found[sentence]:
            (forced,) = decode.score_sentences(step, rows(state, slice(sentence, sentence + 1)), [one.tokens], **ENDS)
            assert forced == one


def test_seeds_and_generators() -> None:
    step, state = recurrent(5, 2, 7)

    def draw(rng):
        return decode.sample(step, state, **ENDS, max_length=9, num_return=2, rng=rng)

    assert draw(3) == draw(3) != draw(4)
    generator = np.random.default_rng(3)
    assert draw(generator) != draw(generator)
    assert draw(np.random.default_rng(3)) == draw(np.random.default_rng(3))
    assert draw(None) != draw(None)
    with pytest.raises(TypeError, match="rng must be"):
        draw("3")


def test_padding_does_not_make_a_sentence_another_one() -> None:
    rng = np.random.default_rng(0)
    memory, number = rng.normal(0, 1, (3, 4, 2)), np.array([0, 5])
    padded = np.concatenate([memory, np.zeros((3, 7, 2))], 1)
    assert np.array_equal(Streams([memory], 0, 2, 1).keys, Streams([padded], 0, 2, 1).keys)
    keys = Streams([memory], 0, 2, 1).keys
    assert len(set(keys.tolist())) == 6 and not set(keys) & set(Streams([memory], 1, 2, 1).keys)
    assert np.array_equal(Streams([memory[[2, 0]]], 0, 2, 1).keys, keys[[4, 5, 0, 1]])
    same = Streams([memory[[0, 0]]], 0, 2, 1)
    assert np.array_equal(same.keys[:2], keys[:2]) and len(set(same.keys.tolist())) == 4
    assert np.array_equal(same.uniform(np.array([1]), number[:1]), Streams([memory], 0, 2, 1).uniform(
        np.array([1]), number[:1]))


def test_the_numbers_of_a_stream_are_uniform() -> None:
    streams = Streams(np.zeros((300, 0)), 0, 1, 0)
    numbers = np.stack([streams.uniform(np.arange(300), np.full(300, t)) for t in range(200)])
    assert 0 <= numbers.min() and numbers.max() < 1 and len(np.unique(numbers)) == numbers.size
    counts, _ = np.histogram(numbers, 64, (0, 1))
    assert ((counts - numbers.size / 64) ** 2).sum() / (numbers.size / 64) < 63 + 5 * np.sqrt(2 * 63)
    for axis in (0, 1):
        shifted = np.roll(numbers, 1, axis)
        assert abs(np.corrcoef(numbers.ravel(), shifted.ravel())[0, 1]) < 5 / np.sqrt(numbers.size)


@given(st.integers(0, 10**6), st.booleans())
def test_a_stream_yields_what_the_whole_gives(seed, greedily) -> None:
    step, state = markov(5, 3, seed)
    if greedily:
        whole, temperature = decode.greedy(step, state, **ENDS, max_length=5), 0
    else:
        whole, temperature = decode.sample(step, state, **ENDS, max_length=5, rng=seed), 1.0
    steps = list(decode.stream(step, state, **ENDS, max_length=5, temperature=temperature, rng=seed))
    assert len(steps) == max(len(one) for one, in whole)
    for sentence, (one,) in enumerate(whole):
        assert [int(tokens[sentence]) for tokens in steps] == one.tokens + [-1] * (len(steps) - len(one))


def test_a_stream_is_lazy_and_refuses_at_once() -> None:
    step, state = markov(5, 1, 0)
    calls = []

    def counting(tokens, before):
        calls.append(len(tokens))
        return step(tokens, before)

    tokens = decode.stream(counting, state, bos=BOS, eos=None, max_length=10**12, rng=0)
    assert [len(next(tokens)) for _ in range(3)] == [1, 1, 1] and len(calls) == 3
    with pytest.raises(ValueError, match="stream: temperature must be positive"):
        decode.stream(step, state, bos=BOS, eos=None, max_length=9, temperature=-1)


@pytest.mark.parametrize(("options", "words"), [
    (dict(temperature=0), "temperature must be positive and finite, got 0"),
    (dict(temperature=np.nan), "temperature"),
    (dict(top_k=0), "top_k must be an int of at least 1, got 0"),
    (dict(top_k=1.5), "top_k must be an int"),
    (dict(top_p=0.0), "top_p must be above 0 and at most 1, got 0.0"),
    (dict(top_p=1.1), "top_p"),
    (dict(min_p=-0.1), "min_p must be from 0 to 1"),
    (dict(num_return=0), "num_return must be an int of at least 1"),
])
def test_sample_refuses(options, words) -> None:
    step, state = markov(5, 1, 0)
    with pytest.raises(ValueError, match=f"sample: {words}"):
        decode.sample(step, state, **ENDS, max_length=3, **options)


def test_more_than_the_vocabulary_is_all_of_it() -> None:
    step, state = markov(5, 1, 0)
    assert decode.sample(step, state, **ENDS, max_length=9, top_k=99, rng=1)[0][0].tokens
