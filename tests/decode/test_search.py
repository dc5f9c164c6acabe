"""What belongs to beams and to the loop: states of any nesting, coverage, diversity, stopping, traces, bad input."""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tests.decode.small import BOS, EOS, every_sentence, log_softmax, markov, recurrent
from tinygrad_rnn import decode

ENDS = dict(bos=BOS, eos=EOS)


# ---- states ---------------------------------------------------------------------------------------------------------
class Memory(NamedTuple):
    """A state with names."""

    h: object
    rest: dict


def test_any_nesting_of_arrays_and_tensors_follows_its_rows() -> None:
    """Every leaf carries the sum of the tokens that were read: it must be the prefix's, whatever was reordered."""
    table = log_softmax(np.random.default_rng(0).normal(0, 1, (6, 6)))

    def step(tokens, state):
        h, more = state
        total = h.numpy() + tokens[:, None]
        np.testing.assert_array_equal(more["list"][0][:, 0], h.numpy()[:, 0])
        np.testing.assert_array_equal(more["list"][1][0].numpy()[:, 0, 0], h.numpy()[:, 0])
        assert more["none"] is None and not h.requires_grad
        last = table[tokens] + 1e-3 * total     # only to let the total matter
        return tg.tensor(log_softmax(last)), Memory(tg.tensor(total), {
            "list": [total.copy(), (tg.tensor(total[:, :, None]),)], "none": None})

    zeros = np.zeros((2, 1))
    state = Memory(tg.tensor(zeros), {"list": [zeros, (tg.tensor(zeros[:, :, None]),)], "none": None})
    for found in (decode.beam_search(step, state, **ENDS, max_length=5, width=4),
                  decode.exact_search(step, state, **ENDS, max_length=4),
                  decode.sample(step, state, **ENDS, max_length=5, num_return=3, rng=0)):
        for one, *_ in found:
            log_probs, total, last = [], 0, BOS
            for token in one.tokens:
                total += last
                log_probs.append(log_softmax(table[last] + 1e-3 * total)[token])
                last = token
            np.testing.assert_allclose(one.token_log_probs, log_probs)


def test_what_a_step_hands_on_untouched_is_not_copied() -> None:
    step, state = markov(5, 2, 0)
    seen = []

    def watching(tokens, before):
        seen.append(before["about"])
        return step(tokens, before)

    decode.beam_search(watching, state, bos=BOS, eos=None, max_length=6, width=3)
    assert len({id(array) for array in seen}) <= 4      # as the beams fill, and then no more
    assert seen[-1] is seen[-2] and len(seen[-1]) == 6


def test_what_was_touched_once_is_reordered_ever_after() -> None:
    """A part that is replaced at the first step alone differs between the hypotheses of a sentence."""
    base = log_softmax(np.random.default_rng(3).normal(0, 1, (5, 5)))

    def step(tokens, state):
        mark, t = state
        if t[0] == 1:
            mark = tokens.astype(np.float64)    # the first token that was said
        expected.append((mark.copy(), t[0]))
        return log_softmax(base[tokens] + 0.5 * mark[:, None] * np.arange(5)), (mark, t + 1)

    def longhand(tokens):
        total, last = 0.0, BOS
        for k, token in enumerate(tokens):
            mark = tokens[0] if k else 0
            total += log_softmax(base[last] + 0.5 * mark * np.arange(5))[token]
            last = token
        return total

    expected: list = []
    (found,) = decode.beam_search(step, (np.zeros(1), np.zeros(1, int)), bos=BOS, eos=None, max_length=5, width=4,
                                  n_best=4)
    for one in found:
        assert one.log_prob == pytest.approx(longhand(one.tokens))


@pytest.mark.parametrize(("state", "error", "words"), [
    ((), ValueError, "state must hold at least one array"),
    ((np.zeros((2, 3)), [np.zeros((3, 2))]), ValueError, r"state\[1\]\[0\] must have first axis N = 2, got shape"),
    ({"a": np.zeros((2, 3)), "b": 5}, TypeError, r"state\['b'\]: expected an array.*got int"),
    (np.array(1.0), ValueError, "first axis"),
])
def test_states_that_are_none(state, error, words) -> None:
    with pytest.raises(error, match=words):
        decode.greedy(lambda tokens, before: (np.zeros((2, 3)), before), state, **ENDS, max_length=3)


def test_states_that_a_step_spoils() -> None:
    step, state = markov(4, 2, 0)
    for after, words in ((np.zeros((5, 2, 3)), r"state must have first axis N = 2, got shape \(5, 2, 3\)"),
                         ([np.zeros(2), np.zeros(2)], "made like the one it was given, of 1 arrays, got 2"),
                         ({"about": "x"}, "expected an array")):
        with pytest.raises((ValueError, TypeError), match=words):
            decode.greedy(lambda tokens, before, after=after: (step(tokens, before)[0], after), state, **ENDS,
                          max_length=3)


# ---- coverage and diversity ------------------------------------------------------------------------------------------
def attending(B: int, S: int, seed: int = 0):
    """A model with attention (N, S), of which the last column is padding."""
    rng = np.random.default_rng(seed)
    table, look = log_softmax(rng.normal(0, 1, (4, 4))), rng.uniform(0.1, 1, (4, S))
    look[:, -1] = 0
    look /= look.sum(1, keepdims=True)

    def step(tokens, state):
        return table[tokens], {"attention": look[tokens]}

    return step, {"attention": np.zeros((B, S))}, look


@pytest.mark.parametrize("wide", [3, 9])
def test_coverage_is_part_of_the_score(wide) -> None:
    step, state, look = attending(2, 3)

    def padded(tokens, before):
        log_probs, after = step(tokens, before)
        return log_probs, {"attention": np.pad(after["attention"], [(0, 0), (0, wide - 3)])}

    wider = {"attention": np.zeros((2, wide))}
    found = decode.beam_search(padded, wider, **ENDS, max_length=4, width=4**4, n_best=20, coverage=0.4)
    expected = []
    for tokens, log_probs in every_sentence(step, state, 0, 4):
        paid = look[[BOS, *tokens[:-1]]].sum(0)[:2]
        expected.append(sum(log_probs) / len(tokens)**0.7 + 0.4 * np.log(np.minimum(paid, 1)).sum())
    np.testing.assert_allclose([one.score for one in found[0]], sorted(expected, reverse=True)[:20])
    assert found == decode.beam_search(step, state, **ENDS, max_length=4, width=4**4, n_best=20, coverage=0.4)
    forced = decode.score_sentences(step, state, [found[0][0].tokens] * 2, **ENDS, alpha=0.7, coverage=0.4)
    assert forced == [found[0][0]] * 2


def test_coverage_where_there_is_no_attention() -> None:
    step, state = markov(4, 1, 0)
    with pytest.raises(ValueError, match="coverage: state must be a dict"):
        decode.beam_search(step, state, **ENDS, max_length=3, coverage=0.1)
    with pytest.raises(ValueError, match="beta must be 0 or more, got -1"):
        decode.Coverage(-1)
    with pytest.raises(ValueError, match=r"attention must be \(N, S\) with N = 1"):
        decode.beam_search(step, state, **ENDS, max_length=3,
                           coverage=decode.Coverage(0.1, lambda after: after["about"][0]))


@given(st.integers(0, 10**6))
def test_groups_are_beams_of_their_own_that_pay_for_what_others_chose(seed) -> None:
    step, state = recurrent(6, 1, seed)
    options = dict(**ENDS, max_length=5, alpha=0.0)
    (plain,) = decode.beam_search(step, state, **options, width=2, n_best=2)
    (found,), (trace,) = decode.beam_search(step, state, **options, width=6, n_best=6, diversity_groups=3,
                                            diversity=0.7, trace=True)
    assert {tuple(one.tokens) for one in plain} <= {tuple(one.tokens) for one in found}     # the first group's
    assert len({tuple(one.tokens) for one in found}) == len(found)
    # Longhand: at each step a group pays for the tokens of earlier groups, those that end among them.
    chosen: dict[tuple[int, int], list[int]] = {}
    for node in range(len(trace.tokens)):
        chosen.setdefault((int(trace.lengths[node]), int(trace.slots[node])), []).append(int(trace.tokens[node]))
    for node in np.flatnonzero(trace.ended):
        paid, at = 0, int(node)
        total = 0.0
        while at != -1:
            length, group = int(trace.lengths[at]), int(trace.slots[at])
            paid += sum(chosen.get((length, g), []).count(int(trace.tokens[at])) for g in range(group))
            total += trace.log_probs[at]
            at = int(trace.parents[at])
        assert trace.scores[node] == pytest.approx(total - 0.7 * paid)


def test_without_diversity_groups_find_the_same() -> None:
    step, state = recurrent(6, 2, 1)
    narrow = decode.beam_search(step, state, **ENDS, max_length=5, width=2, n_best=2)
    grouped = decode.beam_search(step, state, **ENDS, max_length=5, width=6, diversity_groups=3, n_best=2)
    assert grouped == narrow


# ---- stopping, tracing -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("decoder", [decode.greedy, decode.sample, decode.beam_search])
def test_a_criterion_ends_a_sentence(decoder) -> None:
    step, state = markov(5, 2, 5)
    more = {"rng": 0} if decoder is decode.sample else {}
    for one, *_ in decoder(step, state, bos=BOS, eos=None, max_length=50, stop=lambda tokens: sum(tokens) > 6, **more):
        assert sum(one.tokens) > 6 >= sum(one.tokens[:-1]) and not one.finished and len(one) < 50


def test_no_end_token_and_one_that_never_comes() -> None:
    step, state = markov(5, 2, 5)
    never = [decode.adjusters.Suppress([EOS])]
    for (one,), (other,) in zip(decode.beam_search(step, state, bos=BOS, eos=None, max_length=7, adjusters=never),
                                decode.beam_search(step, state, **ENDS, max_length=7, adjusters=never)):
        assert one == other and len(one) == 7 and not one.finished


@given(st.integers(0, 10**6), st.integers(1, 5))
def test_a_trace_holds_every_hypothesis(seed, width) -> None:
    step, state = recurrent(5, 2, seed)
    found, traces = decode.beam_search(step, state, **ENDS, max_length=5, width=width, n_best=width, trace=True)
    assert found == decode.beam_search(step, state, **ENDS, max_length=5, width=width, n_best=width)
    for best, trace in zip(found, traces):
        assert (trace.parents < np.arange(len(trace.parents))).all()
        ended = {tuple(trace.sentence(node)): trace.scores[node] for node in np.flatnonzero(trace.ended)}
        for one in best:
            assert ended[tuple(one.tokens)] == one.score
        for length in range(1, 6):
            assert ((trace.lengths == length) & ~trace.ended).sum() <= width


def test_the_tree_is_drawn() -> None:
    plt = pytest.importorskip("matplotlib.pyplot")
    step, state = recurrent(5, 1, 2)
    (best,), (trace,) = decode.beam_search(step, state, **ENDS, max_length=4, width=3, trace=True)
    words = ["<s>", "</s>", "a", "b", "c"]
    ax = decode.plot_beam(trace, words)
    texts = [text.get_text() for text in ax.texts]
    assert len(texts) == len(trace.tokens) and any(text.startswith("</s>") for text in texts)
    bold = [text for text in ax.texts if text.get_fontweight() == "bold"]
    assert [words.index(text.get_text().split()[0]) for text in sorted(bold, key=lambda text: text.get_position()[0])
            ] == best[0].tokens
    places = {(text.get_position()) for text in ax.texts}
    assert len(places) == len(texts)
    _, given_ax = plt.subplots()
    assert decode.plot_beam(trace, ax=given_ax) is given_ax
    plt.close("all")


# ---- bad input -------------------------------------------------------------------------------------------------------
DECODERS = [decode.greedy, decode.sample, decode.beam_search, decode.exact_search]


@pytest.mark.parametrize("decoder", DECODERS)
def test_nan_is_found_out(decoder) -> None:
    step, state = markov(5, 3, 0)

    def spoiled(tokens, before):
        log_probs, after = step(tokens, before)
        log_probs[before["about"][:, 0] == state["about"][1, 0], 3] = np.nan
        return log_probs, after

    with pytest.raises(decode.NotANumberError, match="sentence 1, after 0 tokens, the model's log-prob.* are NaN"):
        decoder(spoiled, state, **ENDS, max_length=4)
    assert issubclass(decode.NotANumberError, ValueError) and issubclass(decode.NotANumberError, FloatingPointError)


@pytest.mark.parametrize("decoder", DECODERS)
def test_constraints_that_cannot_be_met(decoder) -> None:
    step, state = markov(3, 2, 0)
    with pytest.raises(ValueError, match="sentence [01].*the constraints cannot be met"):
        decoder(step, state, **ENDS, max_length=4, adjusters=[decode.adjusters.Suppress([0, 1, 2])])
    with pytest.raises(ValueError, match="the constraints cannot be met"):
        decoder(step, state, **ENDS, max_length=4,
                adjusters=[decode.adjusters.NoRepeatNgram(1), decode.adjusters.Suppress([1])])


@pytest.mark.parametrize("decoder", DECODERS)
def test_scores_that_are_no_log_probabilities(decoder) -> None:
    step, state = markov(3, 2, 0)
    options = {"top_k": 1} if decoder is decode.sample else {}
    with pytest.raises(ValueError, match="never positive: are these scores that log_softmax has not seen"):
        decoder(lambda tokens, before: (step(tokens, before)[0] + 20, before), state, **ENDS, max_length=4, **options)


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize(("options", "error", "words"), [
    (dict(bos=-1), ValueError, "bos must be an int of at least 0"),
    (dict(bos="a"), TypeError, "bos must be an int, got 'a'"),
    (dict(bos=[0, 0, 0]), ValueError, "bos must be an int of at least 0, or one for each of 2 sentences"),
    (dict(eos=5), ValueError, "eos must be one of the 5 tokens, got 5"),
    (dict(eos=1.0), TypeError, "eos must be an int"),
    (dict(max_length=0), ValueError, "max_length must be an int of at least 1"),
    (dict(max_length=[3]), ValueError, "max_length must be an int of at least 1, or one for each of 2"),
])
def test_arguments_of_all(decoder, options, error, words) -> None:
    step, state = markov(5, 2, 0)
    with pytest.raises(error, match=f"{decoder.__name__}: {words}"):
        decoder(step, state, **dict(ENDS, max_length=4) | options)


@pytest.mark.parametrize(("wrong", "error", "words"), [
    (lambda log_probs: log_probs[0], ValueError, r"\(N, V\) with N = 2, got shape \(5,\)"),
    (lambda log_probs: log_probs[:1], ValueError, r"N = 2, got shape \(1, 5\)"),
    (lambda log_probs: log_probs.astype(int), TypeError, "must return float32 or float64 log-prob.*, got int64"),
])
def test_what_a_step_must_return(wrong, error, words) -> None:
    step, state = markov(5, 2, 0)
    with pytest.raises(error, match=words):
        decode.greedy(lambda tokens, before: (wrong(step(tokens, before)[0]), before), state, **ENDS, max_length=4)


@pytest.mark.parametrize(("options", "words"), [
    (dict(width=0), "width must be an int of at least 1, got 0"),
    (dict(width=2.5), "width must be an int"),
    (dict(n_best=11), "n_best must be at most width, got n_best=11 and width=10"),
    (dict(alpha=-1), "alpha must be 0 or more"),
    (dict(alpha=np.inf), "alpha must be 0 or more, and finite"),
    (dict(length_penalty="mean"), "length_penalty must be one of power, gnmt, got 'mean'"),
    (dict(diversity_groups=3), "diversity_groups must divide width, got 3 and 10"),
    (dict(diversity=-0.5), "diversity must be 0 or more"),
    (dict(patience=0), "patience must be positive"),
])
def test_arguments_of_the_beam(options, words) -> None:
    step, state = markov(5, 2, 0)
    with pytest.raises(ValueError, match=words):
        decode.beam_search(step, state, **ENDS, max_length=4, **options)


def test_no_sentences_and_a_width_above_the_vocabulary() -> None:
    step, state = markov(3, 0, 0)
    for decoder in DECODERS:
        assert decoder(step, state, **ENDS, max_length=4) == []
    step, state = markov(3, 1, 0)
    (found,) = decode.beam_search(step, state, **ENDS, max_length=2, width=1000, n_best=1000)
    assert len(found) == 7      # </s>, and two first tokens with three second ones each


def test_exact_search_gives_up() -> None:
    step, state = recurrent(6, 3, 2)
    proved = decode.exact_search(step, state, **ENDS, max_length=6, alpha=1.0)
    few = decode.exact_search(step, state, **ENDS, max_length=6, alpha=1.0, max_steps=3)
    assert all(len(one) == 1 for one in proved) and all(a in ([], b) for a, b in zip(few, proved)) and [] in few
    assert decode.exact_search(step, state, **ENDS, max_length=6, alpha=1.0, max_steps=10**6) == proved
    with pytest.raises(ValueError, match="max_steps must be an int of at least 1, got 0"):
        decode.exact_search(step, state, **ENDS, max_length=6, max_steps=0)


def test_forced_scores_refuse() -> None:
    step, state = markov(4, 2, 0)
    for sentences, words in (([[1]], "expected 2 sentences, one for each of the state, got 1"),
                             ([[1], []], "sentence 1 must be at least 1 ids"),
                             ([[1], [2, 7]], "sentence 1, after 1 tokens, token 7 is not in the vocabulary of 4")):
        with pytest.raises(ValueError, match=words):
            decode.score_sentences(step, state, sentences, **ENDS)
    impossible, possible = decode.score_sentences(step, state, [[2, 1], [3, 1]], **ENDS,
                                                  adjusters=[decode.adjusters.Suppress([2])])
    assert impossible.score == -np.inf and possible.log_prob > -np.inf
