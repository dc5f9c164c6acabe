"""BLEU: how many n-grams of a translation a reference has too.

    p_n   = sum over hypotheses of min(count in it, largest count in a reference) / sum of its n-grams
    BP    = 1 where the hypotheses are longer than the references, else exp(1 - reference length / hypothesis length)
    BLEU  = 100 BP exp((ln p_1 + ln p_2 + ln p_3 + ln p_4) / 4)

Scores differ between programs by how a line is cut into tokens and by what becomes of ln 0.  Here both are as in
sacreBLEU (Post 2018), option by option, and the signature says which they were.

Source: Papineni, Roukos, Ward and Zhu 2002, BLEU: a method for automatic evaluation of machine translation; smoothing,
Chen and Cherry 2014, A systematic comparison of smoothing techniques for sentence-level BLEU.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .. import __version__
from .ngrams import ORDERS, matches
from .segmentation import TOKENIZERS

# What is added where a method needs a number and none is given; None: it needs none.
SMOOTHING: dict[str, float | None] = {"exp": None, "floor": 0.1, "add-k": 1.0, "none": None}
_AT_ONCE = 512         # segments


@dataclass(frozen=True)
class BLEU:
    """A score and what it was made of; as text, the line that papers print.

    Attributes
    ----------
    score : float
        0 to 100.
    precisions : list of float
        Of 1-grams to 4-grams, in percent, smoothed.
    bp : float
        Brevity penalty, 0 to 1.
    sys_len, ref_len : int
        Tokens of the hypotheses, and of the references closest to them in length.
    counts, totals : list of numbers
        n-grams that were matched, and all n-grams of the hypotheses; "add-k" has added k to those beyond 1-grams.
    signature : str
        How it was computed.
    """

    score: float
    precisions: list[float]
    bp: float
    sys_len: int
    ref_len: int
    counts: list[float]
    totals: list[float]
    signature: str

    def __str__(self) -> str:
        ratio = self.sys_len / self.ref_len if self.ref_len else 0.0
        return (f"BLEU|{self.signature} = {self.score:.2f} {'/'.join(f'{p:.1f}' for p in self.precisions)} "
                f"(BP = {self.bp:.3f} ratio = {ratio:.3f} hyp_len = {self.sys_len} ref_len = {self.ref_len})")


def corpus_bleu(hypotheses: Sequence[str], references: Sequence[Sequence[str | None]], smooth_method: str = "exp",
                smooth_value: float | None = None, tokenize: str = "13a", lowercase: bool = False,
                force: bool = False) -> BLEU:
    """BLEU of a corpus, the figure that systems are compared by: sacreBLEU's `corpus_bleu`.

    Counts are summed over the corpus before they are divided, so that it is no mean of sentence scores.

    Parameters
    ----------
    hypotheses : sequence of S str
        Lines as people read them; as they come with `tokenize="none"`, at white space.
    references : sequence of streams of S str
        One line for each hypothesis in each stream: `[lines]` for a single reference.  None for a line: this hypothesis
        has fewer references than others.
    smooth_method : str
        What becomes of a precision of 0.  "exp": 1 / 2^k of one match for the k-th such order, as NIST does; "floor":
        `smooth_value` matches; "add-k": `smooth_value` is added to matches and n-grams of each order but the first;
        "none": the score is 0.
    smooth_value : float, optional
        None: 0.1 for "floor", 1 for "add-k".
    tokenize : str
        "13a" "none" "intl" "char": see `metrics/segmentation.py`.
    lowercase : bool
    force : bool
        Do not warn of hypotheses that look tokenised already, where they are to be tokenised once more.

    Returns
    -------
    BLEU

    Raises
    ------
    ValueError
        For unknown names, no hypotheses, no references, and streams of different lengths.
    TypeError
        For a string where a list of lines is expected, and lines that are no strings.
    """
    _check("corpus_bleu", smooth_method, smooth_value, tokenize)
    for name, lines in (("hypotheses", hypotheses), ("references", references),
                        *((f"references[{k}]", stream) for k, stream in enumerate(references))):
        if isinstance(lines, str) or not isinstance(lines, Sequence):
            expected = "a list of reference streams" if name == "references" else "a list of lines"
            raise TypeError(f"corpus_bleu: {name} must be {expected}, got {type(lines).__name__}")
    if not hypotheses or not references:
        raise ValueError(f"corpus_bleu: there are {len(hypotheses)} hypotheses and {len(references)} reference streams")
    for k, stream in enumerate(references):
        if len(stream) != len(hypotheses):
            raise ValueError(f"corpus_bleu: there are {len(hypotheses)} hypotheses, and {len(stream)} lines in "
                             f"references[{k}]")
    if not force and tokenize != "none" and sum(line.endswith(" .") for line in hypotheses) >= 100:
        warnings.warn("corpus_bleu: more than 100 hypotheses end in ' .', as if they were tokenised, and will be once "
                      "more: pass detokenised lines or tokenize='none'; force=True silences this", stacklevel=2)
    return _bleu("corpus_bleu", hypotheses, references, smooth_method, smooth_value, tokenize, lowercase, False)


def sentence_bleu(hypothesis: str, references: Sequence[str], smooth_method: str = "exp",
                  smooth_value: float | None = None, tokenize: str = "13a", lowercase: bool = False,
                  use_effective_order: bool = True) -> BLEU:
    """BLEU of one sentence: sacreBLEU's `sentence_bleu`.  A poor judge of one sentence; fit for ranking many.

    Parameters
    ----------
    hypothesis : str
    references : sequence of str
    smooth_method, smooth_value, tokenize, lowercase
        As `corpus_bleu`.
    use_effective_order : bool
        Leave out the orders that a short hypothesis has no n-grams of; False: its score is 0 then, or almost.

    Returns
    -------
    BLEU

    Raises
    ------
    ValueError
        For unknown names, and no references.
    TypeError
        For a hypothesis or references that are no strings.
    """
    _check("sentence_bleu", smooth_method, smooth_value, tokenize)
    if not isinstance(hypothesis, str):
        raise TypeError(f"sentence_bleu: hypothesis must be a str, got {type(hypothesis).__name__}")
    if isinstance(references, str) or not isinstance(references, Sequence):
        raise TypeError(f"sentence_bleu: references must be a list of str, got {type(references).__name__}")
    if not references:
        raise ValueError("sentence_bleu: there are no references")
    return _bleu("sentence_bleu", [hypothesis], [[line] for line in references], smooth_method, smooth_value, tokenize,
                 lowercase, use_effective_order)


def sheet_bleu(hypothesis: Sequence[str], references: Sequence[Sequence[str]], n: int = 4) -> float:
    """The formula that the CS-230 sheet prints, as printed: exp((p_1 + ... + p_n) / n).

    It lacks the logarithm of BLEU, exp((ln p_1 + ... + ln p_n) / n), the geometric mean of the precisions.  So it lies
    between 1, where nothing matches, and e = 2.718, for a perfect translation, and an order without a match does not
    make it 0.  There is no brevity penalty, which the sheet mentions as a remark.

    Parameters
    ----------
    hypothesis : sequence of str
        Tokens.
    references : sequence of token sequences
    n : int
        Largest order, 1 to 4.

    Returns
    -------
    float
        A precision whose order the hypothesis is too short for is 0.
    """
    if isinstance(hypothesis, str) or any(isinstance(reference, str) for reference in references):
        raise TypeError("sheet_bleu: hypothesis and references must be lists of tokens, got a str; `.split()` cuts it")
    if not 1 <= n <= ORDERS or not references:
        raise ValueError(f"sheet_bleu: n must be 1 to {ORDERS}, and there must be a reference; got n={n} and "
                         f"{len(references)} references")
    counts, totals, _, _ = matches([hypothesis], [[reference] for reference in references], n)
    return math.exp(sum(count / total for count, total in zip(counts.tolist(), totals.tolist()) if total) / n)


def _check(who: str, smooth_method: str, smooth_value: float | None, tokenize: str) -> None:
    if smooth_method not in SMOOTHING:
        raise ValueError(f"{who}: smooth_method must be one of {', '.join(SMOOTHING)}; got {smooth_method!r}")
    if tokenize not in TOKENIZERS:
        raise ValueError(f"{who}: tokenize must be one of {', '.join(TOKENIZERS)}; got {tokenize!r}")
    if smooth_value is not None and not 0 <= smooth_value < math.inf:
        raise ValueError(f"{who}: smooth_value must be 0 or more, got {smooth_value}")


def _bleu(who: str, hypotheses: Sequence[str], references: Sequence[Sequence[str | None]], smooth_method: str,
          smooth_value: float | None, tokenize: str, lowercase: bool, effective: bool) -> BLEU:
    """Cut into tokens, count, score."""
    cut = TOKENIZERS[tokenize]

    def tokens(line: str) -> list[str]:
        if not isinstance(line, str):
            raise TypeError(f"{who}: a line must be a str, got {type(line).__name__}")
        return cut((line.lower() if lowercase else line).rstrip())

    each = [sum(line is not None for line in lines) for lines in zip(*references)]
    if 0 in each:
        raise ValueError(f"{who}: hypothesis {each.index(0)} has no reference")
    parts = [matches([tokens(line) for line in hypotheses[k:k + _AT_ONCE]],
                     [[None if line is None else tokens(line) for line in stream[k:k + _AT_ONCE]]
                      for stream in references]) for k in range(0, len(hypotheses), _AT_ONCE)]
    counts, totals = (np.sum(numbers, 0).tolist() for numbers in ([part.counts for part in parts],
                                                                  [part.totals for part in parts]))
    sys_len, ref_len = sum(part.sys_len for part in parts), sum(part.ref_len for part in parts)
    nrefs = each[0] if len(set(each)) == 1 else "var"
    value = SMOOTHING[smooth_method] if smooth_value is None else smooth_value
    number = "" if SMOOTHING[smooth_method] is None else f"[{value:.2f}]"
    signature = (f"nrefs:{nrefs}|case:{'lc' if lowercase else 'mixed'}|"
                 f"eff:{'yes' if effective else 'no'}|tok:{tokenize}|smooth:{smooth_method}{number}|"
                 f"version:tinygrad_rnn {__version__}")
    return _score(counts, totals, sys_len, ref_len, smooth_method, value or 0.0, effective, signature)


def _score(counts: list[float], totals: list[float], sys_len: int, ref_len: int, smooth_method: str, value: float,
           effective: bool, signature: str) -> BLEU:
    """From counts to a score."""
    bp = 1.0 if sys_len >= ref_len else math.exp(1 - ref_len / sys_len) if sys_len else 0.0
    precisions = [0.0] * ORDERS
    if not any(counts):     # not even smoothing makes something of nothing
        return BLEU(0.0, precisions, bp, sys_len, ref_len, counts, totals, signature)
    if smooth_method == "add-k":
        counts[1:], totals[1:] = ([k + value for k in ks[1:]] for ks in (counts, totals))
    orders = next((n for n, total in enumerate(totals) if not total), ORDERS)      # that there are n-grams of
    missed = 0
    for n, (count, total) in enumerate(zip(counts[:orders], totals)):
        if not count:
            missed += 1
            count = {"exp": 0.5**missed, "floor": value}.get(smooth_method, 0.0)
        precisions[n] = 100 * count / total
    used = precisions[:orders] if effective else precisions
    mean = sum(map(math.log, used)) / len(used) if all(used) else -math.inf
    return BLEU(bp * math.exp(mean), precisions, bp, sys_len, ref_len, counts, totals, signature)
