"""BLEU: examples counted by hand, and a longhand oracle over token soup.  Against sacreBLEU: tests/parity."""

import math
import warnings
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_rnn.metrics import BLEU, corpus_bleu, sentence_bleu, sheet_bleu
from tinygrad_rnn.metrics.ngrams import matches
from tinygrad_rnn.metrics.segmentation import TOKENIZERS

LINE = st.lists(st.sampled_from("abc"), max_size=9).map(" ".join)
METHODS = ("exp", "floor", "add-k", "none")


@st.composite
def corpora(draw: st.DrawFn) -> tuple[list[str], list[list[str | None]]]:
    """Hypotheses and reference streams of few different words, some lines absent beyond the first stream."""
    size, streams = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    line = st.lists(LINE, min_size=size, max_size=size)
    more = st.lists(LINE | st.none(), min_size=size, max_size=size)
    return draw(line), [draw(line), *(draw(more) for _ in range(streams - 1))]


def longhand(hypotheses: list, references: list, n: int) -> tuple[int, int]:
    """Clipped and all n-grams, as the definition says: counters and loops."""
    def grams(line: str) -> Counter:
        tokens = line.split()
        return Counter(tuple(tokens[k:k + n]) for k in range(len(tokens) - n + 1))

    clipped = total = 0
    for k, hypothesis in enumerate(hypotheses):
        for gram, count in grams(hypothesis).items():
            most = max(grams(stream[k])[gram] for stream in references if stream[k] is not None)
            clipped, total = clipped + min(count, most), total + count
    return clipped, total


def closest(hypotheses: list, references: list) -> int:
    """Summed length of the closest references, the shorter one of two."""
    total = 0
    for k, hypothesis in enumerate(hypotheses):
        own = len(hypothesis.split())
        total += min((abs(length - own), length) for length in
                     (len(stream[k].split()) for stream in references if stream[k] is not None))[1]
    return total


@given(corpora())
def test_counts_longhand(corpus: tuple) -> None:
    hypotheses, references = corpus
    score = corpus_bleu(hypotheses, references, "none", tokenize="none")
    expected = [longhand(hypotheses, references, n) for n in (1, 2, 3, 4)]
    assert list(zip(score.counts, score.totals)) == expected
    assert score.sys_len == sum(len(line.split()) for line in hypotheses)
    assert score.ref_len == closest(hypotheses, references)
    if all(count for count, _ in expected):
        bp = min(1.0, math.exp(1 - score.ref_len / score.sys_len))
        mean = math.prod(count / total for count, total in expected)**0.25
        assert score.score == pytest.approx(100 * bp * mean, rel=1e-12) and score.bp == pytest.approx(bp)
    else:
        assert score.score == 0


@given(corpora(), st.sampled_from(METHODS), st.booleans())
def test_laws(corpus: tuple, method: str, lowercase: bool) -> None:
    hypotheses, references = corpus
    score = corpus_bleu(hypotheses, references, method, tokenize="none", lowercase=lowercase)
    assert 0 <= score.score <= 100 + 1e-9 and 0 <= score.bp <= 1
    # Neither the order of the segments matters, nor that of the references.
    turned = corpus_bleu(hypotheses[::-1], [stream[::-1] for stream in references], method, tokenize="none",
                         lowercase=lowercase)
    assert turned == score
    if all(line is not None for line in references[-1]):
        assert corpus_bleu(hypotheses, references[::-1], method, tokenize="none", lowercase=lowercase) == score
    # A corpus twice over has the same precisions; smoothing by a number counts less.
    if method == "none":
        twice = corpus_bleu(hypotheses * 2, [stream * 2 for stream in references], method, tokenize="none")
        assert twice.score == pytest.approx(score.score, rel=1e-12)
    # Reading a reference out is perfect, if there are four words in a line.
    lines = [line for line in references[0] if len(line.split()) >= 4]
    if lines:
        assert corpus_bleu(lines, [lines], method, tokenize="none").score == pytest.approx(100)


def test_in_parts_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from tinygrad_rnn.metrics import bleu

    hypotheses = [" ".join("abcd"[k * j % 4] for j in range(k % 9)) for k in range(23)]
    references = [[" ".join("abcd"[k * j % 3] for j in range(k % 7)) for k in range(23)]] * 2
    whole = corpus_bleu(hypotheses, references)
    monkeypatch.setattr(bleu, "_AT_ONCE", 5)
    assert corpus_bleu(hypotheses, references) == whole


def test_papineni() -> None:
    # Example 2 of the paper: seven times "the" is worth two.
    counts, totals, *_ = matches(["the the the the the the the".split()],
                                 [["the cat is on the mat".split()], ["there is a cat on the mat".split()]])
    assert counts.tolist() == [2, 0, 0, 0] and totals.tolist() == [7, 6, 5, 4]
    # Example 1: 17 of 18 unigrams, 10 of 17 bigrams.
    candidate = "It is a guide to action which ensures that the military always obeys the commands of the party"
    references = ["It is a guide to action that ensures that the military will forever heed Party commands",
                  "It is the guiding principle which guarantees the military forces always being under the command of "
                  "the Party",
                  "It is the practical guide for the army always to heed the directions of the party"]
    score = sentence_bleu(candidate, references)
    assert score.counts[:2] == [17, 10] and score.totals[:2] == [18, 17] and score.ref_len == 18
    assert score.score == pytest.approx(100 * (17 / 18 * 10 / 17 * 7 / 16 * 4 / 15)**0.25)


def test_smoothing_by_hand() -> None:
    # Two of three words, no pair, no triple; there are no 4-grams.
    hypothesis, references = "a x b", ["a y b z"]
    bp = math.exp(1 - 4 / 3)

    def expected(*precisions: float) -> float:
        return 100 * bp * math.prod(precisions)**(1 / len(precisions))

    def found(method: str, value: float | None = None, effective: bool = True) -> float:
        return sentence_bleu(hypothesis, references, method, value, "none", use_effective_order=effective).score

    assert found("exp") == pytest.approx(expected(2 / 3, 1 / 2 / 2, 1 / 4 / 1))
    assert found("floor") == pytest.approx(expected(2 / 3, 0.1 / 2, 0.1 / 1))
    assert found("floor", 0.5) == pytest.approx(expected(2 / 3, 0.5 / 2, 0.5 / 1))
    assert found("add-k") == pytest.approx(expected(2 / 3, 1 / 3, 1 / 2, 1 / 1))
    assert found("add-k", 0.5) == pytest.approx(expected(2 / 3, 0.5 / 2.5, 0.5 / 1.5, 0.5 / 0.5))
    assert found("none") == found("floor", 0.0) == 0
    assert found("exp", effective=False) == 0, "no 4-grams: the precision of an order that is not there is 0"


@pytest.mark.parametrize("method", METHODS)
def test_edges(method: str) -> None:
    for hypothesis, reference in (("", ""), ("", "a b"), ("a b", ""), ("a", "b")):
        score = sentence_bleu(hypothesis, [reference], method)
        assert score.score == 0 and score.precisions == [0.0] * 4, "nothing in common is 0, however smoothed"
    assert sentence_bleu("", ["a"]).bp == 0
    assert sentence_bleu("a", ["a"]).score == pytest.approx(100)
    assert sentence_bleu("a", ["b", "a a a"]).ref_len == 1
    assert sentence_bleu("a b", ["a", "a b c"]).ref_len == 1, "of two as close the shorter"


def test_the_line_that_papers_print() -> None:
    from tinygrad_rnn import __version__

    references = [["The cat sat on a mat.", "A dog"], ["x", None]]
    score = corpus_bleu(["The cat sat on the mat.", "A dog"], references, "floor")
    assert score.signature == (f"nrefs:var|case:mixed|eff:no|tok:13a|smooth:floor[0.10]|version:tinygrad_rnn "
                               f"{__version__}")
    assert score.score == pytest.approx(100 * (8 / 9 * 5 / 7 * 2 / 5 * 1 / 4)**0.25)
    assert str(score) == (f"BLEU|{score.signature} = 50.20 88.9/71.4/40.0/25.0 (BP = 1.000 ratio = 1.000 hyp_len = 9 "
                          "ref_len = 9)")
    lower = sentence_bleu("A", ["a"], "add-k", 2, "char", lowercase=True, use_effective_order=False)
    assert lower.signature.startswith("nrefs:1|case:lc|eff:no|tok:char|smooth:add-k[2.00]|")
    assert sentence_bleu("a", ["a"]).signature.startswith("nrefs:1|case:mixed|eff:yes|tok:13a|smooth:exp|")
    assert isinstance(score, BLEU) and "ratio = 0.000" in str(sentence_bleu("", [""]))


# ---- tokens ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("name", "line", "tokens"), [
    ("none", " a  b\tc. ", "a b c."),
    ("13a", 'He said: "3.5 km, 1,000-2 left," -- don\'t.', 'He said : " 3.5 km , 1,000 - 2 left , " -- don\'t .'),
    ("13a", "&quot;a&amp;b&quot; &lt;i&gt; <skipped>", '" a & b " < i >'),
    ("13a", "pre-\nfix new\nline x..", "prefix new line x . ."),
    ("13a", "Straße „so“", "Straße „so“"),
    ("intl", "Straße „so“, 3,5 € in 1990.", "Straße „ so “ , 3,5 € in 1990."),
    ("intl", "¿Qué? ١,٢ \U0001f600!\U0001f600", "¿ Qué ? ١,٢ \U0001f600 ! \U0001f600"),
    ("char", "Ab c\u3000d", "A b c d"),
])
def test_how_lines_are_cut(name: str, line: str, tokens: str) -> None:
    assert TOKENIZERS[name](line) == tokens.split(" ")


# ---- the sheet's ----------------------------------------------------------------------------------------------------
def test_the_sheets_formula() -> None:
    tokens = "a b c d e".split()
    assert sheet_bleu(tokens, [tokens]) == pytest.approx(math.e)
    assert sheet_bleu(tokens, [["x"]]) == 1
    assert sheet_bleu("a x b".split(), ["a y b z".split()], n=2) == pytest.approx(math.exp((2 / 3 + 0) / 2))
    assert sheet_bleu(["a"], [["a"]], n=3) == pytest.approx(math.exp(1 / 3))
    assert sheet_bleu([], [["a"]]) == 1


@given(LINE, st.lists(LINE, min_size=1, max_size=3), st.integers(1, 4))
def test_the_sheets_formula_longhand(hypothesis: str, references: list[str], n: int) -> None:
    pairs = [longhand([hypothesis], [[reference] for reference in references], k) for k in range(1, n + 1)]
    mean = sum(count / total if total else 0 for count, total in pairs) / n
    assert sheet_bleu(hypothesis.split(), [line.split() for line in references], n) == pytest.approx(math.exp(mean))


# ---- mistakes -------------------------------------------------------------------------------------------------------
def test_misuse() -> None:
    for call, error, words in (
        (lambda: corpus_bleu("a", [["a"]]), TypeError, "hypotheses must be a list of lines, got str"),
        (lambda: corpus_bleu(["a"], ["a"]), TypeError, r"references\[0\] must be a list of lines, got str"),
        (lambda: corpus_bleu(["a"], "a"), TypeError, "references must be a list of reference streams"),
        (lambda: corpus_bleu([1], [["a"]], tokenize="none"), TypeError, "a line must be a str, got int"),
        (lambda: corpus_bleu([], [[]]), ValueError, "there are 0 hypotheses and 1 reference streams"),
        (lambda: corpus_bleu(["a"], []), ValueError, "1 hypotheses and 0 reference"),
        (lambda: corpus_bleu(["a"], [["a"], ["a", "b"]]), ValueError, r"1 hypotheses, and 2 lines in references\[1\]"),
        (lambda: corpus_bleu(["a", "b"], [["a", None]]), ValueError, "hypothesis 1 has no reference"),
        (lambda: corpus_bleu(["a"], [["a"]], "best"), ValueError, "smooth_method must be one of exp, floor, .*'best'"),
        (lambda: corpus_bleu(["a"], [["a"]], "floor", -1), ValueError, "smooth_value must be 0 or more, got -1"),
        (lambda: corpus_bleu(["a"], [["a"]], tokenize="zh"), ValueError, "tokenize must be one of 13a, none, .*'zh'"),
        (lambda: sentence_bleu(["a"], ["a"]), TypeError, "hypothesis must be a str, got list"),
        (lambda: sentence_bleu("a", "a"), TypeError, "references must be a list of str, got str"),
        (lambda: sentence_bleu("a", []), ValueError, "there are no references"),
        (lambda: sheet_bleu("a", [["a"]]), TypeError, "must be lists of tokens, got a str"),
        (lambda: sheet_bleu(["a"], ["a"]), TypeError, "must be lists of tokens, got a str"),
        (lambda: sheet_bleu(["a"], [["a"]], 5), ValueError, "n must be 1 to 4"),
        (lambda: sheet_bleu(["a"], []), ValueError, "there must be a reference"),
    ):
        with pytest.raises(error, match=words):
            call()


def test_lines_that_look_tokenised_already() -> None:
    lines = ["a b ."] * 100
    with pytest.warns(UserWarning, match="as if they were tokenised"):
        corpus_bleu(lines, [lines])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        corpus_bleu(lines[1:], [lines[1:]])
        corpus_bleu(lines, [lines], force=True)
        corpus_bleu(lines, [lines], tokenize="none")
