"""The one loop of every decoder.

    step(tokens, state) -> (log_probs, state)     the model: what may follow, and what it remembers
    strategy.pick(log_probs, rows)                which row goes on with which token

Everything else is bookkeeping: adjusting log-probabilities, ending sentences, and letting the state follow its rows.
What is over leaves the batch. A sentence's result depends on that sentence alone, bit by bit if the model's rows do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from .. import kernels
from ..autograd import Tensor, no_grad
from .adjusters import Adjuster, Context, never_positive
from .coverage import Coverage
from .errors import NotANumberError
from .hypothesis import Hypothesis, Objective
from .rows import Ended, Nodes, Rows
from .state import Carrier


@dataclass(frozen=True)
class Logits:
    """What a `step` may return in place of log-probabilities: scores (N, V) that log_softmax makes such.

    Or what its method `logits` returns, which decoders call in its place where there is one.
    Most decoders look at a few tokens of each row, whose log-probabilities can be had without writing down all others.
    """

    scores: Any


Step = Callable[[np.ndarray, Any], tuple[Any, Any]]
ABOVE = 1e-3    # nats: what rounding may make of the log-probability 0


def logits_of(step: Step) -> Step:
    """The step's method `logits`, which all decoders call, so that their scores agree bit by bit; else the step."""
    found: Step = getattr(step, "logits", step)
    return found


class Strategy(Protocol):
    """Which hypotheses go on, and how."""

    def pick(self, log_probs: np.ndarray, rows: Rows) -> Rows:
        """The continuations that are kept; `ends` is set for those that are over."""

    def settle(self, picked: Rows, rows: Rows, ended: Sequence[Sequence[Ended]]) -> np.ndarray | None:
        """Which of the rows, those picked that are not over, to go on with; None for all."""


class Loop:
    """A search: iterate over it for the rows of each step, then ask for its results.

    Parameters
    ----------
    who : str
        The decoder's name, for errors.
    step, state : see this file's docstring
    strategy : Strategy
    bos : int, or one for each sentence
    eos : int or None
    max_length : int, or one for each sentence
    adjusters : sequence of Adjuster
    stop : callable (list of int) -> bool, optional
    objective : Objective
    coverage : Coverage, optional
    carrier : what hands the state on
    """

    def __init__(self, who: str, step: Step, state: Any, strategy: Strategy, *, bos: Any, eos: int | None,
                 max_length: Any, adjusters: Iterable[Adjuster] = (), stop: Callable[[list[int]], bool] | None = None,
                 objective: Objective | None = None, coverage: Coverage | None = None,
                 carrier: Callable[[Any], Any] = Carrier) -> None:
        self.who, self.state, self.strategy = who, state, strategy
        self.step = logits_of(step)
        self.adjusters, self.stop, self.coverage = list(adjusters), stop, coverage
        self.objective = Objective() if objective is None else objective
        self.carrier = carrier(state)
        self.sentences: int = self.carrier.rows
        first = self._each("bos", bos, 0)
        self.limits = self._each("max_length", max_length, 1)
        self.limit = int(self.limits[0]) if np.ndim(max_length) == 0 and self.sentences else None
        self.eos = -1 if eos is None else int(self._each("eos", eos, 0, 1)[0])
        self.bounded = all(map(never_positive, self.adjusters))
        self.nodes = Nodes()
        self.ended: list[list[Ended]] = [[] for _ in range(self.sentences)]
        self.rows = Rows.start(first, bool(self.adjusters) or stop is not None)

    def _each(self, name: str, value: Any, least: int, count: int | None = None) -> np.ndarray:
        """An int, or one for each sentence, as an array."""
        array, count = np.asarray(value), self.sentences if count is None else count
        if array.dtype.kind not in "iu":
            raise TypeError(f"{self.who}: {name} must be an int, got {value!r}")
        if array.shape not in ((), (count,)) or (array < least).any():
            raise ValueError(f"{self.who}: {name} must be an int of at least {least}, or one for each of {count} "
                             f"sentences, got {value!r}")
        return np.broadcast_to(array.astype(np.int64), (count,))

    def __iter__(self) -> Iterator[Rows]:
        """Search; after each step all that was picked."""
        while len(self.rows):
            yield self.advance()

    def advance(self) -> Rows:
        """One step."""
        rows = self.rows
        with no_grad():     # the caller's modes stand while it looks at what was found
            raw, state = self.step(rows.tokens, self.state)
        self.carrier.check(state)
        log_probs = self._log_probs(raw.scores if isinstance(raw, Logits) else raw, isinstance(raw, Logits))
        if self.coverage is not None:
            weights = self.coverage.weights(state, len(rows))
            rows.attention = weights if rows.attention is None else rows.attention + weights
        picked = self.strategy.pick(log_probs, rows)
        if self.stop is not None:
            self._stop(picked)
        self.nodes.add(picked)
        kept = picked
        if picked.ends.any():
            self._end(picked)
            kept = picked.at(~picked.ends)
        keep = self.strategy.settle(picked, kept, self.ended)
        if keep is not None and not keep.all():
            kept = kept.at(keep)
        if len(kept):
            parents = kept.parents
            same = parents is None or np.array_equal(kept.sentences, rows.sentences)
            self.state = self.carrier(state, parents, same)
        self.rows = kept
        kept.parents = None
        return picked

    def _log_probs(self, raw: Any, logits: bool) -> np.ndarray:
        """What the model said, checked and adjusted; logits as they are, if nobody else has to see them."""
        log_probs = raw.data if isinstance(raw, Tensor) else np.asarray(raw)
        if log_probs.ndim != 2 or len(log_probs) != len(self.rows):
            raise ValueError(f"{self.who}: step must return log-probabilities (N, V) with N = {len(self.rows)}, got "
                             f"shape {log_probs.shape}")
        if log_probs.dtype not in (np.float32, np.float64):
            raise TypeError(f"{self.who}: step must return float32 or float64 log-probabilities, got {log_probs.dtype}")
        if self.eos >= log_probs.shape[1]:
            raise ValueError(f"{self.who}: eos must be one of the {log_probs.shape[1]} tokens, got {self.eos}")
        self.logits = logits
        if self.adjusters:
            rows = self.rows
            self.logits, log_probs = False, kernels.log_softmax(log_probs) if logits else log_probs
            assert rows.prefixes is not None
            context = Context(rows.prefixes, rows.sentences, self.eos)
            for adjuster in self.adjusters:
                adjusted = np.asarray(adjuster(log_probs, context))
                if adjusted.shape != log_probs.shape:
                    raise ValueError(f"{self.who}: adjuster {adjuster!r} must return shape {log_probs.shape}, got "
                                     f"{adjusted.shape}")
                log_probs = adjusted
        return log_probs

    def top(self, log_probs: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The k likeliest tokens of each row, at most all: log-probabilities, and tokens."""
        k = min(k, log_probs.shape[1])
        found: tuple[np.ndarray, np.ndarray] = (kernels.top_log_probs if self.logits else kernels.top_k)(log_probs, k)
        return found

    def chosen(self, log_probs: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        """The log-probability of one token of each row."""
        return self.normalised(log_probs, log_probs[np.arange(len(tokens)), tokens, None])[:, 0]

    def normalised(self, log_probs: np.ndarray, some: np.ndarray) -> np.ndarray:
        """Some columns (N, k) of what the model said as log-probabilities in float64, bit by bit those of `top`."""
        some = some.astype(np.float64)
        if not self.logits:
            return some
        rest, best = kernels.top_log_probs(log_probs, 1)
        largest = log_probs[np.arange(len(best)), best[:, 0], None].astype(np.float64)
        with np.errstate(invalid="ignore"):     # where all are -inf, which is reported
            return np.where(some == -np.inf, some, (some - largest) + rest)

    def check(self, best: np.ndarray, rows: Rows, alone: bool) -> None:
        """Is the largest log-probability of each row one? -inf is none for a row that stands `alone`."""
        if not best.max() <= ABOVE or (alone and best.min() == -np.inf):     # NaN is its maximum, and not below
            self._complain(best, rows, alone)

    def _complain(self, best: np.ndarray, rows: Rows, alone: bool) -> None:
        bad = np.flatnonzero(np.isnan(best))
        if len(bad):
            raise NotANumberError(f"{self.who}: {self.place(rows, bad[0])}, the model's log-probabilities are NaN: its "
                                  "training diverged, or its input was NaN")
        bad = np.flatnonzero(best > ABOVE)
        if len(bad) and self.bounded:
            raise ValueError(f"{self.who}: {self.place(rows, bad[0])}, step returned {best[bad[0]]:.6g}, and a "
                             "log-probability is never positive: are these scores that log_softmax has not seen?")
        bad = np.flatnonzero(best == -np.inf)
        if alone and len(bad):
            raise ValueError(f"{self.who}: {self.place(rows, bad[0])}, every token is impossible: the constraints "
                             "cannot be met")

    def place(self, rows: Rows, row: int) -> str:
        """Where a row is, for errors."""
        return f"sentence {rows.sentences[row]}, after {rows.lengths[row]} tokens"

    def last(self, rows: Rows) -> np.ndarray:
        """Is the next token of each row its last?"""
        limits = self.limits[rows.sentences] if self.limit is None else self.limit
        found: np.ndarray = rows.lengths + 1 >= limits
        return found

    def _stop(self, picked: Rows) -> None:
        """End what the caller's criterion ends."""
        assert picked.prefixes is not None
        assert self.stop is not None
        stopped = [bool(self.stop([int(token) for token in prefix])) for prefix in picked.prefixes]
        picked.ends = picked.ends | np.array(stopped, np.bool_)

    def _end(self, picked: Rows) -> None:
        """Remember the sentences that are over."""
        over = np.flatnonzero(picked.ends)
        extra = picked.penalties[over]
        if self.coverage is not None and picked.attention is not None:
            extra = extra + self.coverage.penalty(picked.attention[over])
        score = self.objective.score
        for k, more in zip(over.tolist(), extra.tolist()):
            log_prob = float(picked.log_probs[k])
            self.ended[picked.sentences[k]].append(Ended(
                score(log_prob, int(picked.lengths[k]), more), int(picked.nodes[k]), log_prob,
                bool(picked.tokens[k] == self.eos)))

    def results(self, n_best: int | None, excused: Sequence[bool] = ()) -> list[list[Hypothesis]]:
        """The best of each sentence, best first; of equal ones first what was over first.

        excused : sentences that may have none
        """
        for sentence, ended in enumerate(self.ended):
            if not ended and not (excused and excused[sentence]):
                raise ValueError(f"{self.who}: sentence {sentence} has no continuation that is possible: the "
                                 "constraints cannot be met")
        return self.nodes.hypotheses([sorted(ended, key=lambda one: (-one.score, one.node))[:n_best]
                                      for ended in self.ended])

    def run(self, n_best: int | None = None) -> list[list[Hypothesis]]:
        """The whole search."""
        for _ in self:
            pass
        return self.results(n_best)
