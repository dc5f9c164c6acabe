"""Whose fault is a bad translation: the search's, or the model's?

    score(y*) > score(y^)     the model prefers the reference y*, but the search did not find it: a search error
    score(y*) <= score(y^)    the model prefers what was found, y^, though it is worse: a model error

Both by the same objective, the one that the beam maximises. Exact search says more: where the model prefers any other
sentence to y^.

Source: Ng, Sequence models, week 3, error analysis in beam search; Stahlberg 2019, On NMT search errors and model
errors: cat got your tongue?
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from ..metrics import corpus_bleu
from .adjusters import ids
from .beam import beam_search
from .exact import exact_search
from .hypothesis import Hypothesis
from .loop import Step
from .scoring import score_sentences

REMEDIES = {
    "right": "nothing to do",
    "search": "increase the beam width",
    "model": "another architecture, regularisation, more data; another length normalisation",
    "too long": "raise max_length",
}
Metric = Callable[[list[list[int]], list[list[int]]], float]


@dataclass(frozen=True)
class Case:
    """One sentence: its reference, what was found, what is best of all, and whose fault it is.

    Attributes
    ----------
    reference, found : Hypothesis
        Scored by the same objective.
    fault : "right", "search", "model" or "too long" (the reference has more than max_length tokens)
    exact : Hypothesis or None
        The best sentence of all, where that could be proved.
    """

    reference: Hypothesis
    found: Hypothesis
    fault: str
    exact: Hypothesis | None = None


@dataclass(frozen=True)
class ErrorAnalysis:
    """The verdict on a set of sentences; the sum of two is that on both.

    Attributes
    ----------
    cases : tuple of Case
    """

    cases: tuple[Case, ...]

    def __add__(self, other: ErrorAnalysis) -> ErrorAnalysis:
        return ErrorAnalysis(self.cases + other.cases)

    def count(self, fault: str) -> int:
        """How many sentences are "right", or are "search" or "model" errors, or "too long"."""
        if fault not in REMEDIES:
            raise ValueError(f"count: fault must be one of {', '.join(REMEDIES)}, got {fault!r}")
        return sum(case.fault == fault for case in self.cases)

    @property
    def search_share(self) -> float:
        """Search errors among the errors of search and model; 0 without any."""
        search, model = self.count("search"), self.count("model")
        return search / (search + model) if search + model else 0.0

    @property
    def model_share(self) -> float:
        """Model errors among the errors of search and model; 0 without any."""
        search, model = self.count("search"), self.count("model")
        return model / (search + model) if search + model else 0.0

    @property
    def missed(self) -> tuple[int, int]:
        """(m, n): of n sentences whose best is known the search missed it in m."""
        known = [case for case in self.cases if case.exact is not None]
        return sum(case.exact.score > case.found.score for case in known if case.exact is not None), len(known)

    def table(self) -> str:
        """Markdown: how many of each kind, and what helps against it."""
        total = len(self.cases)
        lines = ["| verdict | sentences | share | what helps |", "|---|---|---|---|"]
        lines += [f"| {fault} | {self.count(fault)} | {self.count(fault) / max(total, 1):.1%} | {remedy} |"
                  for fault, remedy in REMEDIES.items() if fault != "too long" or self.count(fault)]
        missed, known = self.missed
        if known:
            lines.append(f"| best missed | {missed} of {known} | {missed / known:.1%} | proved by exact search |")
        return "\n".join(lines)

    def plot(self, ax: Any = None) -> Any:
        """Score of the reference against that of what was found; search errors are above the diagonal.

        Returns matplotlib axes; those given, or new ones.
        """
        from matplotlib import pyplot as plt

        if ax is None:
            _, ax = plt.subplots(figsize=(5, 5), layout="constrained")
        for fault, colour in zip(REMEDIES, ("C2", "C3", "C0", "0.5")):
            points = [(case.found.score, case.reference.score) for case in self.cases if case.fault == fault]
            if points:
                ax.scatter(*zip(*points), s=14, color=colour, label=f"{fault}: {len(points)}")
        ax.axline((0, 0), slope=1, color="0.6", linewidth=1)
        ax.set(xlabel="score of what was found", ylabel="score of the reference")
        if self.cases:
            ax.legend()
        return ax


def analyse_errors(step: Step, state: Any, references: Sequence[Sequence[int]], *, bos: Any, eos: int, max_length: Any,
                   width: int = 10, alpha: float = 0.7, length_penalty: str = "power", exact_steps: int | None = None,
                   **options: Any) -> ErrorAnalysis:
    """Compare what a beam finds with references.

    Parameters
    ----------
    step, state, bos, eos, max_length : see `beam_search`
    references : B sequences of ids
        The end token is appended where it is missing.
    width, alpha, length_penalty : see `beam_search`
    exact_steps : int, optional
        Look for the best sentence of all, with so many steps a sentence at most; not with a coverage penalty, which
        exact search does not know.
    **options : coverage, adjusters of `beam_search`

    Returns
    -------
    ErrorAnalysis

    Raises
    ------
    ValueError, TypeError
        As `beam_search` and `score_sentences`.
    """
    if options.keys() - {"coverage", "adjusters"}:
        unknown = ", ".join(sorted(options.keys() - {"coverage", "adjusters"}))
        raise TypeError(f"analyse_errors: unknown options {unknown}; an objective consists of alpha, length_penalty, "
                        "coverage and adjusters")
    if exact_steps is not None and options.get("coverage") is not None:
        raise ValueError("analyse_errors: exact_steps needs coverage=None, which exact search does not know")
    complete = with_end(references, eos)
    common = dict(bos=bos, eos=eos, alpha=alpha, length_penalty=length_penalty, **options)
    scored = score_sentences(step, state, complete, **common)
    found = beam_search(step, state, max_length=max_length, width=width, **common)
    exact: list[list[Hypothesis]] = [[] for _ in scored]
    if exact_steps is not None:
        exact = exact_search(step, state, max_length=max_length, max_steps=exact_steps, **common)
    limits = max_length if hasattr(max_length, "__len__") else [max_length] * len(scored)
    return ErrorAnalysis(tuple(
        Case(reference, best, verdict(reference, best, limit), proved[0] if proved else None)
        for reference, (best, *_), proved, limit in zip(scored, found, exact, limits)))


def with_end(references: Sequence[Sequence[int]], eos: int) -> list[tuple[int, ...]]:
    """References, each with the end token."""
    found = [ids(one, f"references: sentence {k}", 0) for k, one in enumerate(references)]
    return [one if one and one[-1] == eos else (*one, eos) for one in found]


def verdict(reference: Hypothesis, found: Hypothesis, limit: int) -> str:
    """Whose fault it is that the reference was not found."""
    if found.tokens == reference.tokens:
        return "right"
    if len(reference) > limit:
        return "too long"
    return "search" if reference.score > found.score else "model"


# ---- the width of the beam ------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Width:
    """What a beam of one width achieves.

    Attributes
    ----------
    width : int
    score, log_prob : float
        Of what was found, mean of a sentence; log_prob in nats.
    bleu : float
        Against the references, 0 ... 100; or what the `metric` of one's own gave.
    length : float
        Tokens of what was found, by those of the references.
    search_errors : float
        Share of sentences whose reference scores higher than what was found.
    seconds : float
        Of the whole search.
    memory : int
        Bytes that the search held at most, beyond what stood there before.
    """

    width: int
    score: float
    log_prob: float
    bleu: float
    length: float
    search_errors: float
    seconds: float
    memory: int


@dataclass(frozen=True)
class WidthCurve:
    """A row for each width.

    Attributes
    ----------
    rows : tuple of Width
    """

    rows: tuple[Width, ...]

    def table(self) -> str:
        """Markdown."""
        lines = ["| width | score | log P | BLEU | length | search errors | seconds | memory, MB |",
                 "|---|---|---|---|---|---|---|---|"]
        for row in self.rows:
            lines.append(f"| {row.width} | {row.score:.4f} | {row.log_prob:.3f} | {row.bleu:.2f} | {row.length:.3f} | "
                         f"{row.search_errors:.1%} | {row.seconds:.3g} | {row.memory / 1e6:.3g} |")
        return "\n".join(lines)

    def plot(self, axes: Any = None) -> Any:
        """Score, BLEU, length, time and memory against the width.

        Returns an array of matplotlib axes; those given, or new ones.
        """
        from matplotlib import pyplot as plt

        curves = {"score": "score", "bleu": "BLEU", "length": "length by the references'", "seconds": "seconds",
                  "memory": "memory, MB"}
        if axes is None:
            _, axes = plt.subplots(1, len(curves), figsize=(2.6 * len(curves), 2.6), layout="constrained")
        for ax, (name, label) in zip(axes, curves.items()):
            values = [getattr(row, name) / (1e6 if name == "memory" else 1) for row in self.rows]
            ax.plot([row.width for row in self.rows], values, "o-")
            ax.set(xscale="log", xlabel="width", title=label)
        return axes


def width_curve(step: Step, state: Any, references: Sequence[Sequence[int]], widths: Sequence[int] = (1, 2, 5, 10, 20),
                *, bos: Any, eos: int, max_length: Any, alpha: float = 0.7, length_penalty: str = "power",
                metric: Metric | None = None, **options: Any) -> WidthCurve:
    """What a wider beam brings, and what it costs.

    Parameters
    ----------
    step, state, bos, eos, max_length, alpha, length_penalty : see `beam_search`
    references : B sequences of ids
        The end token is appended where it is missing.
    widths : sequence of int
    metric : callable (found, references) -> float, optional
        Of lists of lists of ids without the end token; by default BLEU of ids.
    **options : further ones of `beam_search`

    Returns
    -------
    WidthCurve
        Each search runs twice: once for the time, once, slower, for the memory.

    Raises
    ------
    ValueError, TypeError
        As `beam_search` and `score_sentences`.
    """
    complete = with_end(references, eos)
    common: dict[str, Any] = dict(bos=bos, eos=eos, alpha=alpha, length_penalty=length_penalty)
    objective = {name: value for name, value in options.items() if name in ("coverage", "adjusters")}
    scored = score_sentences(step, state, complete, **common, **objective)
    rows = []
    for width in widths:
        def search(width: int = width) -> list[list[Hypothesis]]:
            found: list[list[Hypothesis]] = beam_search(step, state, max_length=max_length, width=width, **common,
                                                        **options)
            return found

        start = time.perf_counter()
        found = [best for best, *_ in search()]
        seconds, memory = time.perf_counter() - start, peak(search)
        sentences = [[token for token in one.tokens if token != eos] for one in found]
        wanted = [[token for token in one if token != eos] for one in complete]
        rows.append(Width(
            width, fmean(one.score for one in found), fmean(one.log_prob for one in found),
            (metric or bleu)(sentences, wanted), sum(map(len, found)) / sum(map(len, complete)),
            fmean(one.score > best.score for one, best in zip(scored, found)), seconds, memory))
    return WidthCurve(tuple(rows))


def bleu(found: list[list[int]], references: list[list[int]]) -> float:
    """BLEU of ids, each a word."""
    texts, wanted = ([" ".join(map(str, one)) for one in side] for side in (found, references))
    return float(corpus_bleu(texts, [wanted], tokenize="none", force=True).score)


def peak(run: Callable[[], object]) -> int:
    """Bytes that a call holds at most, beyond what stood there before."""
    running = tracemalloc.is_tracing()
    if not running:
        tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    try:
        run()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        if not running:
            tracemalloc.stop()
