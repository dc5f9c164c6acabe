"""Error analysis on models whose errors are known, the width curve, unknown words."""

import numpy as np
import pytest

from tests.decode.small import BOS, EOS, every_sentence, log_softmax, ranked, recurrent
from tinygrad_rnn import decode, metrics, models, optim
from tinygrad_rnn.decode import analysis, replace_unknown

ENDS = dict(bos=BOS, eos=EOS)


def trap():
    """A model that a narrow beam falls for: 2 begins better, but 3 is the better sentence."""
    p = np.full((4, 4), 0.25)
    p[BOS] = [0.01, 0.01, 0.58, 0.4]
    p[2] = [0.3, 0.3, 0.2, 0.2]
    p[3] = [0.01, 0.97, 0.01, 0.01]
    table = np.log(p)
    return lambda tokens, state: (table[tokens], state)


def test_whose_fault_it_is() -> None:
    state = np.zeros((4, 1))
    references = [[3], [2], [3, 1], [2, 0, 0, 0, 0]]
    found = analysis.analyse_errors(trap(), state, references, **ENDS, max_length=3, width=1, alpha=0.0,
                                    exact_steps=100)
    # Greedy finds 2 0 0 or so in each. The first and third have the best sentence of all as their reference.
    assert [case.fault for case in found.cases] == ["search", "search", "search", "too long"] or \
           [case.fault for case in found.cases] == ["search", "model", "search", "too long"]
    assert found.count("search") + found.count("model") == 3 and found.missed == (4, 4)
    assert all(case.exact.tokens == [3, EOS] for case in found.cases)
    wide = analysis.analyse_errors(trap(), state, references, **ENDS, max_length=3, width=4, alpha=0.0)
    assert [case.fault for case in wide.cases] == ["right", "model", "right", "too long"]
    assert (wide.search_share, wide.model_share, wide.missed) == (0.0, 1.0, (0, 0))
    both = found + wide
    assert len(both.cases) == 8 and both.count("right") == 2
    table = both.table()
    assert "increase the beam width" in table and "4 of 4" in table and "raise max_length" in table
    with pytest.raises(ValueError, match="fault must be one of right, search, model, too long, got 'luck'"):
        both.count("luck")


@pytest.mark.parametrize("alpha", [0.0, 0.7])
@pytest.mark.parametrize("width", [1, 2, 64])
def test_verdicts_follow_from_the_scores_of_all_sentences(width, alpha) -> None:
    step, state = recurrent(4, 12, 3)
    rng = np.random.default_rng(0)
    everything = [every_sentence(step, state, sentence, 3) for sentence in range(12)]
    references = [one[rng.integers(len(one))][0] for one in everything]
    references = [one if one[-1] == EOS else one[:2] for one in references]
    found = analysis.analyse_errors(step, state, references, **ENDS, max_length=3, width=width, alpha=alpha,
                                    exact_steps=1000)
    for case, sentences, given in zip(found.cases, everything, references):
        order = ranked(sentences, alpha)
        scores = {tuple(tokens): score for score, tokens in order}
        tokens = tuple(given) if given[-1] == EOS else (*given, EOS)
        assert case.reference.score == pytest.approx(scores[tokens])
        assert case.found.score == pytest.approx(scores[tuple(case.found.tokens)])
        assert case.exact.score == pytest.approx(order[0][0])
        if tokens == tuple(case.found.tokens):
            assert case.fault == "right"
        else:
            assert case.fault == ("search" if scores[tokens] > scores[tuple(case.found.tokens)] else "model")
    if width == 64:
        assert found.count("search") == 0 and found.missed == (0, 12)


def test_options_that_an_objective_has_not() -> None:
    with pytest.raises(TypeError, match="unknown options patience"):
        analysis.analyse_errors(trap(), np.zeros((1, 1)), [[2]], **ENDS, max_length=3, patience=2)
    with pytest.raises(ValueError, match="exact_steps needs coverage=None"):
        analysis.analyse_errors(trap(), np.zeros((1, 1)), [[2]], **ENDS, max_length=3, coverage=0.1, exact_steps=5)


def test_the_width_curve() -> None:
    step, state = recurrent(5, 6, 1)
    references = [[2, 3], [3], [2, 2, EOS], [4], [0], [2]]
    curve = analysis.width_curve(step, state, references, (1, 2, 200), **ENDS, max_length=4, patience=2.0,
                                 metric=lambda found, wanted: 100.0 * sum(map(len, wanted)) + len(found))
    assert [row.width for row in curve.rows] == [1, 2, 200]
    complete = [[*one, EOS][:len(one) + (one[-1] != EOS)] for one in references]
    scored = decode.score_sentences(step, state, complete, **ENDS, alpha=0.7)
    for row in curve.rows:
        found = [best for best, *_ in decode.beam_search(step, state, **ENDS, max_length=4, width=row.width,
                                                         patience=2.0)]
        assert row.score == pytest.approx(np.mean([one.score for one in found]))
        assert row.log_prob == pytest.approx(np.mean([one.log_prob for one in found]))
        assert row.length == pytest.approx(sum(map(len, found)) / sum(map(len, complete)))
        assert row.search_errors == np.mean([a.score > b.score for a, b in zip(scored, found)])
        assert row.bleu == 100 * 8 + 6 and row.seconds > 0 and row.memory > 0
    assert curve.rows[-1].score >= curve.rows[0].score and curve.rows[-1].memory > curve.rows[0].memory
    assert curve.table().count("\n") == 4


def test_plots() -> None:
    plt = pytest.importorskip("matplotlib.pyplot")
    step, state = recurrent(5, 3, 1)
    ax = analysis.analyse_errors(step, state, [[2], [3], [2, 3]], **ENDS, max_length=4).plot()
    assert "reference" in ax.get_ylabel()
    plain = analysis.width_curve(step, state, [[2], [3], [4]], (1, 3), **ENDS, max_length=4)
    axes = plain.plot()
    assert len(axes) == 5 and axes[0].lines[0].get_xdata().tolist() == [1, 3]
    plt.close("all")


def test_bleu_of_ids() -> None:
    """Of the corpus, not of its sentences, by the formula: precisions of 1 to 4 words, 5/6 3/4 2/2 1/1."""
    found, wanted = [[2, 3, 4, 5], [7, 9]], [[2, 3, 4, 5], [7, 8]]
    assert analysis.bleu(found, wanted) == pytest.approx(100 * (5 / 6 * 3 / 4) ** 0.25)
    assert analysis.bleu(wanted, wanted) == pytest.approx(100)
    assert analysis.bleu([one[:3] for one in wanted], wanted) < 100      # too short


@pytest.mark.compiled
def test_an_encoder_decoder_from_end_to_end() -> None:
    """Half trained, so that it errs: verdicts, shares and the curve, each from scores computed by the model itself."""
    rng = np.random.default_rng(5)
    lengths = rng.integers(2, 6, 24)
    source = np.zeros((5, 24), np.int64)
    target = np.full((7, 24), EOS)
    target[0] = BOS
    for row, n in enumerate(lengths):
        source[:n, row] = rng.integers(2, 12, n)
        target[1:n + 1, row] = source[:n, row][::-1]
    model = models.EncoderDecoder(12, 12, 12, 24, rng=0)
    optimizer = optim.Adam(model.parameters(), lr=2e-2)
    for _ in range(13):
        optimizer.zero_grad()
        model.loss(source, target, lengths, lengths + 2).backward()
        optimizer.step()
    references = [target[1:n + 1, row].tolist() for row, n in enumerate(lengths)]
    step, state = model.stepper(source, lengths)
    given = dict(**ENDS, max_length=8, alpha=0.7)
    found = analysis.analyse_errors(step, state, references, width=1, **given)
    scores = model(source, target[:-1], lengths, lengths + 1).numpy().astype(np.float64)
    table = log_softmax(scores)
    for row, (case, one) in enumerate(zip(found.cases, references)):
        complete = [*one, EOS]
        score = sum(table[t, row, word] for t, word in enumerate(complete)) / len(complete) ** 0.7
        assert case.reference.score == pytest.approx(score, rel=1e-4)
        right, better = case.found.tokens == complete, score > case.found.score
        assert case.fault == ("right" if right else "search" if better else "model")
    counts = [found.count(fault) for fault in ("right", "search", "model")]
    assert sum(counts) == 24 and min(counts) > 0, counts
    assert found.search_share == counts[1] / (counts[1] + counts[2]) == pytest.approx(1 - found.model_share)
    curve = analysis.width_curve(step, state, references, (1, 5), **given)
    for row in curve.rows:
        best = [one.tokens for one, *_ in decode.beam_search(step, state, width=row.width, **given)]
        texts = [" ".join(str(word) for word in tokens if word != EOS) for tokens in best]
        streams = [[" ".join(map(str, one)) for one in references]]
        assert row.bleu == metrics.corpus_bleu(texts, streams, tokenize="none", force=True).score
        assert f"| {row.bleu:.2f} |" in curve.table()
    assert 0 < curve.rows[0].bleu < 100 and curve.rows[1].score > curve.rows[0].score
    assert curve.rows[0].search_errors == counts[1] / 24 and curve.rows[1].search_errors <= curve.rows[0].search_errors


# ---- unknown words ---------------------------------------------------------------------------------------------------
def test_unknown_words_are_copied_from_where_the_model_looked() -> None:
    tokens, source = ["a", "<unk>", "in", "<unk>"], ["eine", "Frau", "in", "Ulm"]
    attention = np.array([[0.9, 0.1, 0, 0], [0.2, 0.7, 0.1, 0], [0, 0, 1, 0], [0, 0.1, 0.2, 0.7]])
    assert replace_unknown(tokens, attention, source, "<unk>") == ["a", "Frau", "in", "Ulm"]
    assert replace_unknown(tokens, attention, source, "<unk>", {"Frau": "woman"}) == ["a", "woman", "in", "Ulm"]
    padded = np.pad(attention, [(0, 0), (0, 2)], constant_values=9)
    assert replace_unknown(tokens, padded, source, "<unk>") == ["a", "Frau", "in", "Ulm"]
    assert tokens == ["a", "<unk>", "in", "<unk>"] and replace_unknown([], np.zeros((0, 4)), source, 0) == []


@pytest.mark.parametrize(("attention", "source"), [
    (np.zeros((3, 2)), ["x", "y"]), (np.zeros((2, 1)), ["x", "y"]), (np.zeros(2), ["x"]), (np.zeros((2, 3)), [])])
def test_attention_that_does_not_fit(attention, source) -> None:
    with pytest.raises(ValueError, match=r"replace_unknown: attention must be \(T, S\)"):
        replace_unknown(["a", "b"], attention, source, "a")


def test_attention_is_observed_while_scoring() -> None:
    step, state = recurrent(5, 2, 3)
    found, seen = decode.score_sentences(step, state, [[2, 3, EOS], [4]], **ENDS, observe=lambda after: after[1][0])
    assert [one.tokens for one in found] == [[2, 3, EOS], [4]]
    assert [array.shape for array in seen] == [(3, 4), (1, 4)]
    np.testing.assert_array_equal(seen[1][0], state[1][0][1])
    with pytest.raises(ValueError, match="observe must return a row for each of 2 hypotheses"):
        decode.score_sentences(step, state, [[2], [3]], **ENDS, observe=lambda after: 3.0)
