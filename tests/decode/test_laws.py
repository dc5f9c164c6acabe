"""The laws of every decoder, on random models: against all sentences listed, each other, alone and in a batch."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.decode.small import BOS, EOS, MODELS, every_sentence, ranked, rows
from tinygrad_rnn import decode

KINDS = st.sampled_from(list(MODELS))
SEEDS = st.integers(0, 10**6)
DTYPES = st.sampled_from([np.float32, np.float64])
ALPHAS = st.sampled_from([0.0, 0.7, 1.0, 1.8])
ENDS = dict(bos=BOS, eos=EOS)


def agree(hypothesis: decode.Hypothesis, score: float, sentences: list) -> None:
    """The right score, for a sentence that has it, told consistently."""
    assert hypothesis.score == pytest.approx(score, rel=1e-9)
    assert hypothesis.token_log_probs == {tuple(t): p for t, p in sentences}[tuple(hypothesis.tokens)]
    assert hypothesis.log_prob == sum(hypothesis.token_log_probs)
    assert hypothesis.finished == (hypothesis.tokens[-1] == EOS)


@given(KINDS, SEEDS, DTYPES, st.integers(2, 4), st.integers(1, 4), ALPHAS, st.booleans(), st.integers(1, 5))
def test_an_unpruned_beam_and_exact_search_are_exhaustive(kind, seed, dtype, V, T, alpha, gnmt, n_best) -> None:
    step, state = MODELS[kind](V, 2, seed, dtype)
    penalty = "gnmt" if gnmt else "power"
    width = V**T
    options = dict(**ENDS, max_length=T, alpha=alpha, length_penalty=penalty)
    beams = decode.beam_search(step, state, **options, width=width, n_best=min(n_best, width))
    exact = decode.exact_search(step, state, **options)
    for sentence, (beam, (best,)) in enumerate(zip(beams, exact)):
        sentences = every_sentence(step, state, sentence, T)
        expected = ranked(sentences, alpha, gnmt)[:n_best]
        assert len(beam) == min(len(expected), n_best)
        for found, (score, _) in zip(beam, expected):
            agree(found, score, sentences)
        agree(best, expected[0][0], sentences)
        assert len({tuple(one.tokens) for one in beam}) == len(beam)


@given(KINDS, SEEDS, DTYPES, st.integers(2, 30), st.integers(1, 8), ALPHAS)
def test_a_beam_of_width_one_is_greedy(kind, seed, dtype, V, T, alpha) -> None:
    step, state = MODELS[kind](V, 3, seed, dtype)
    found = decode.greedy(step, state, **ENDS, max_length=T)
    beams = decode.beam_search(step, state, **ENDS, max_length=T, width=1, alpha=alpha)
    for (greedy,), (beam,) in zip(found, beams):
        assert greedy.tokens == beam.tokens and greedy.token_log_probs == beam.token_log_probs
        assert greedy.score == greedy.log_prob == beam.log_prob


@given(KINDS, SEEDS)
@settings(max_examples=10)
def test_defaults_are_those_of_the_sheet(kind, seed) -> None:
    step, state = MODELS[kind](30, 3, seed)
    found = decode.beam_search(step, state, **ENDS, max_length=6)
    assert found == decode.beam_search(step, state, **ENDS, max_length=6, width=10, alpha=0.7, length_penalty="power",
                                       n_best=1, coverage=None, diversity_groups=1, patience=1.0)
    for (best,) in found:
        assert best.score == pytest.approx(best.log_prob / len(best.tokens)**0.7)


@given(KINDS, SEEDS, DTYPES, st.integers(2, 30), st.integers(1, 8), st.sampled_from([1e-9, 1e-30, 5e-324]))
def test_temperature_to_zero_is_greedy(kind, seed, dtype, V, T, temperature) -> None:
    step, state = MODELS[kind](V, 3, seed, dtype)
    greedy = decode.greedy(step, state, **ENDS, max_length=T)
    assert decode.sample(step, state, **ENDS, max_length=T, temperature=temperature, rng=seed) == greedy
    assert decode.sample(step, state, **ENDS, max_length=T, top_k=1, rng=seed) == greedy
    assert decode.sample(step, state, **ENDS, max_length=T, min_p=1.0, rng=seed) == greedy


DECODERS = {
    "greedy": lambda step, state, **o: decode.greedy(step, state, **ENDS, **o),
    "sample": lambda step, state, **o: decode.sample(step, state, **ENDS, **o, num_return=3, top_p=0.9, rng=5),
    "beam": lambda step, state, **o: decode.beam_search(step, state, **ENDS, **o, width=4, n_best=3),
    "patient": lambda step, state, **o: decode.beam_search(step, state, **ENDS, **o, width=3, patience=2.0),
    "diverse": lambda step, state, **o: decode.beam_search(step, state, **ENDS, **o, width=6, n_best=4,
                                                           diversity_groups=3, diversity=0.8),
    "adjusted": lambda step, state, **o: decode.beam_search(
        step, state, **ENDS, **o, width=3,
        adjusters=[decode.adjusters.MinLength(2), decode.adjusters.RepetitionPenalty(1.5)]),
    "exact": lambda step, state, **o: decode.exact_search(step, state, **ENDS, **o, alpha=0.5),
}


@pytest.mark.parametrize("name", DECODERS)
@given(KINDS, SEEDS, DTYPES, st.permutations(range(4)))
def test_results_do_not_depend_on_the_batch_nor_on_its_order(name, kind, seed, dtype, order) -> None:
    step, state = MODELS[kind](5, 4, seed, dtype)
    together = DECODERS[name](step, state, max_length=4)
    assert DECODERS[name](step, rows(state, np.array(order)), max_length=4) == [together[k] for k in order]
    for k in range(4):
        assert DECODERS[name](step, rows(state, slice(k, k + 1)), max_length=4) == [together[k]]


@given(KINDS, SEEDS, DTYPES, st.integers(1, 6), ALPHAS, st.lists(st.integers(1, 6), min_size=3, max_size=3))
def test_a_limit_of_its_own_and_forced_scores(kind, seed, dtype, width, alpha, limits) -> None:
    """Each sentence may have its own max_length; and what was found scores the same when it is forced."""
    step, state = MODELS[kind](5, 3, seed, dtype)
    found = [best for best, *_ in decode.beam_search(step, state, **ENDS, max_length=limits, width=width, alpha=alpha)]
    for k, limit in enumerate(limits):
        alone = decode.beam_search(step, rows(state, slice(k, k + 1)), **ENDS, max_length=limit, width=width,
                                   alpha=alpha)
        assert alone == [[found[k]]] and len(found[k].tokens) <= limit
    assert decode.score_sentences(step, state, [one.tokens for one in found], **ENDS, alpha=alpha) == found


def longhand_beam(step, state, T: int, width: int, alpha: float, patience: float) -> list[tuple[float, list[int]]]:
    """One sentence, as the docstring of beam.py says it, without stopping early where nothing can win."""
    live, over, places = [([], [], state)], [], max(1, math.ceil(patience * width))
    for t in range(1, T + 1):
        candidates = []
        for place, (tokens, log_probs, before) in enumerate(live):
            following, after = step(np.array([tokens[-1] if tokens else BOS]), before)
            candidates += [(-(sum(log_probs) + p), place, -p, token, [*tokens, token], [*log_probs, p], after)
                           for token, p in enumerate(following[0].tolist())]
        candidates.sort(key=lambda c: c[:4])
        live = []
        for *_, token, tokens, log_probs, after in candidates[:min(width, places - len(over))]:
            if token == EOS or t == T:
                over.append((sum(log_probs) / t**alpha, tokens))
            else:
                live.append((tokens, log_probs, after))
    return sorted(over, key=lambda one: -one[0])


@given(KINDS, SEEDS, st.integers(3, 8), st.integers(1, 6), st.integers(1, 5), ALPHAS,
       st.sampled_from([0.5, 1.0, 3.0, 100.0]))
def test_a_pruned_beam_is_the_longhand_one(kind, seed, V, T, width, alpha, patience) -> None:
    """And stopping where nothing can win any more changes no result."""
    step, state = MODELS[kind](V, 1, seed)
    (found,) = decode.beam_search(step, state, **ENDS, max_length=T, width=width, alpha=alpha, patience=patience)
    score, tokens = longhand_beam(step, state, T, width, alpha, patience)[0]
    assert found[0].score == pytest.approx(score, rel=1e-9) and found[0].tokens == tokens


@given(SEEDS, DTYPES)
def test_logits_serve_as_log_probabilities(seed, dtype) -> None:
    step, state = MODELS["recurrent"](6, 2, seed, dtype)       # a Markov chain has ties, which rounding then breaks

    def logits(tokens, before):
        log_probs, after = step(tokens, before)
        return decode.Logits(log_probs + dtype(3)), after

    # However a log-probability is come by, it is the same one: else a search would seem to miss what it found.
    options = dict(**ENDS, alpha=0.7)
    found = decode.beam_search(logits, state, **options, max_length=3, width=6**3)
    assert found == decode.exact_search(logits, state, **options, max_length=3)
    assert [[one] for one in decode.score_sentences(logits, state, [one.tokens for one, in found], **options)] == found
    for name, decoder in DECODERS.items():
        for one, other in zip(decoder(step, state, max_length=4), decoder(logits, state, max_length=4)):
            assert [h.tokens for h in one] == [h.tokens for h in other], name
            np.testing.assert_allclose([h.score for h in one], [h.score for h in other], rtol=1e-5, atol=1e-5)
