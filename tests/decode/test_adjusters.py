"""Each adjuster against what its sentence says, by listing all sentences and filtering them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.decode.small import BOS, EOS, MODELS, every_sentence, ranked
from tinygrad_rnn import decode
from tinygrad_rnn.decode.adjusters import (
    Context,
    Forbid,
    ForceTokens,
    MinLength,
    NoRepeatNgram,
    RepetitionPenalty,
    Suppress,
)

V, T = 4, 4


def contains(tokens: list[int], part: list[int]) -> bool:
    return any(tokens[i:i + len(part)] == part for i in range(len(tokens)))


def repeats(tokens: list[int], n: int) -> bool:
    grams = [tuple(tokens[i:i + n]) for i in range(len(tokens) - n + 1)]
    return len(set(grams)) < len(grams)


# name: (adjusters, which sentences are left)
FILTERS = {
    "no repeated pair": ([NoRepeatNgram(2)], lambda tokens: not repeats(tokens, 2)),
    "no repeated token": ([NoRepeatNgram(1)], lambda tokens: not repeats(tokens, 1)),
    "no repeated triple": ([NoRepeatNgram(3)], lambda tokens: not repeats(tokens, 3)),
    "forbidden": ([Forbid([[2, 3], [3, 3, 0]])], lambda tokens: not contains(tokens, [2, 3])
                  and not contains(tokens, [3, 3, 0])),
    "forbidden token": ([Forbid([[2]])], lambda tokens: 2 not in tokens),
    "suppressed": ([Suppress([0, 2])], lambda tokens: 0 not in tokens and 2 not in tokens),
    "forced": ([ForceTokens([3, 0])], lambda tokens: tokens[:2] == [3, 0]),
    "nothing forced": ([ForceTokens([])], lambda tokens: True),
    "long enough": ([MinLength(3)], lambda tokens: len(tokens) >= 3),
    "any length": ([MinLength(0)], lambda tokens: True),
    "composed": ([MinLength(2), Suppress([3]), NoRepeatNgram(2)],
                 lambda tokens: len(tokens) >= 2 and 3 not in tokens and not repeats(tokens, 2)),
}


@pytest.mark.parametrize("name", FILTERS)
@given(st.sampled_from(list(MODELS)), st.integers(0, 10**6))
def test_what_is_left_is_all_that_it_allows(name, kind, seed) -> None:
    adjusters, allowed = FILTERS[name]
    step, state = MODELS[kind](V, 2, seed)
    options = dict(bos=BOS, eos=EOS, max_length=T, alpha=0.7, adjusters=adjusters)
    beams = decode.beam_search(step, state, **options, width=V**T, n_best=V**T)
    exact = decode.exact_search(step, state, **options)
    drawn = decode.sample(step, state, bos=BOS, eos=EOS, max_length=T, adjusters=adjusters, num_return=5, rng=seed)
    for sentence in range(2):
        left = [one for one in every_sentence(step, state, sentence, T) if allowed(one[0])]
        expected = ranked(left, 0.7)
        assert len(beams[sentence]) == len(expected)
        np.testing.assert_allclose([one.score for one in beams[sentence]], [score for score, _ in expected])
        assert {tuple(one.tokens) for one in beams[sentence]} == {tuple(tokens) for _, tokens in expected}
        assert exact[sentence][0].score == pytest.approx(expected[0][0])
        assert all(allowed(one.tokens) for one in drawn[sentence])


@given(st.sampled_from(list(MODELS)), st.integers(0, 10**6), st.sampled_from([0.5, 1.0, 2.0]))
def test_the_repetition_penalty_multiplies(kind, seed, penalty) -> None:
    step, state = MODELS[kind](V, 1, seed)

    def changed(log_probs, tokens):
        return np.array([p * penalty if token in tokens else p for token, p in enumerate(log_probs)])

    sentences = every_sentence(step, state, 0, T, changed)
    (found,) = decode.beam_search(step, state, bos=BOS, eos=EOS, max_length=T, width=V**T, n_best=5,
                                  adjusters=[RepetitionPenalty(penalty)])
    np.testing.assert_allclose([one.score for one in found], [score for score, _ in ranked(sentences, 0.7)[:5]])
    assert found[0].token_log_probs == {tuple(t): p for t, p in sentences}[tuple(found[0].tokens)]


@given(st.sampled_from(list(MODELS)), st.integers(0, 10**6))
def test_prefix_allowed_knows_sentence_and_tokens(kind, seed) -> None:
    step, state = MODELS[kind](V, 2, seed)
    calls = []

    def allowed(sentence, tokens):
        calls.append((sentence, tokens))
        return [1, 2] if sentence else [3 if len(tokens) % 2 else 2, EOS]

    beams = decode.beam_search(step, state, bos=BOS, eos=EOS, max_length=T, width=50, n_best=50, prefix_allowed=allowed)
    for sentence in range(2):
        left = [one for one in every_sentence(step, state, sentence, T)
                if all(token in allowed(sentence, one[0][:k]) for k, token in enumerate(one[0]))]
        assert {tuple(one.tokens) for one in beams[sentence]} == {tuple(tokens) for tokens, _ in left}
    assert all(type(sentence) is int and type(tokens) is list for sentence, tokens in calls)


ALL = [RepetitionPenalty(2.0), NoRepeatNgram(1), Forbid([[1], [2, 0]]), Suppress([1]), ForceTokens([0]), MinLength(9)]


@pytest.mark.parametrize("adjuster", ALL, ids=lambda adjuster: type(adjuster).__name__)
def test_adjusters_are_pure(adjuster) -> None:
    log_probs = np.log(np.full((2, 4), 0.25))
    before = log_probs.copy()
    context = Context(np.array([[2, 2], [0, 2]]), np.arange(2), EOS)
    first, second = adjuster(log_probs, context), adjuster(log_probs, context)
    assert first is not log_probs and np.array_equal(first, second) and np.array_equal(log_probs, before)
    assert (first <= 0).all() and adjuster.never_positive
    assert adjuster == type(adjuster)(*vars(adjuster).values()) and "=" in repr(adjuster)


@pytest.mark.parametrize(("make", "error", "words"), [
    (lambda: RepetitionPenalty(0), ValueError, "penalty must be positive, got 0"),
    (lambda: NoRepeatNgram(0), ValueError, "n must be at least 1, got 0"),
    (lambda: NoRepeatNgram(1.5), TypeError, "NoRepeatNgram: n must be"),
    (lambda: Forbid([[]]), ValueError, "must be at least 1 ids"),
    (lambda: Forbid([3]), TypeError, "each of sequences must be a sequence of ints, got 3"),
    (lambda: Forbid("ab"), TypeError, "must be a sequence of ints"),
    (lambda: Suppress([-1]), ValueError, r"none negative, got \[-1\]"),
    (lambda: ForceTokens(["a"]), TypeError, "ForceTokens: tokens must be a sequence of ints"),
    (lambda: MinLength(-2), ValueError, "MinLength"),
])
def test_adjusters_refuse(make, error, words) -> None:
    with pytest.raises(error, match=words):
        make()


@pytest.mark.parametrize("adjuster", [Suppress([9]), Forbid([[2, 9]]), ForceTokens([9])])
def test_a_token_that_is_not_in_the_vocabulary(adjuster) -> None:
    step, state = MODELS["markov"](4, 1, 0)
    with pytest.raises(ValueError, match=f"{type(adjuster).__name__}: token 9 is not in the vocabulary of 4"):
        decode.greedy(step, state, bos=BOS, eos=EOS, max_length=3, adjusters=[adjuster])


def test_any_function_adjusts() -> None:
    step, state = MODELS["markov"](4, 1, 0)

    def only(log_probs, context):
        return np.where(np.arange(4) == 2, 5.0, log_probs)      # above 0: the beam may not rely on its bound

    for found in (decode.greedy(step, state, bos=BOS, eos=EOS, max_length=3, adjusters=[only]),
                  decode.beam_search(step, state, bos=BOS, eos=EOS, max_length=3, width=2, adjusters=[only])):
        assert found[0][0].tokens == [2, 2, 2] and found[0][0].log_prob == 15
    with pytest.raises(ValueError, match="never_positive"):
        decode.exact_search(step, state, bos=BOS, eos=EOS, max_length=3, adjusters=[only])
    with pytest.raises(ValueError, match=r"must return shape \(1, 4\), got \(4,\)"):
        decode.greedy(step, state, bos=BOS, eos=EOS, max_length=3, adjusters=[lambda log_probs, _: log_probs[0]])
