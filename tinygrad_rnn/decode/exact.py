"""Exact search: the best sentence of all, by branch and bound.

    bound(prefix) = log P(prefix) / l(max_length)  >=  score of every sentence that begins with it

because log-probabilities are not positive. The open prefix with the greatest bound is continued next; once a whole
sentence stands first, nothing that is open can be better. Children are made one at a time, the likeliest first, so that
few stand in the queue. What a beam misses is known then: if the best sentence is not what one wanted, the model is at
fault.

The number of steps grows without limit where the model is unsure or alpha is large; `max_steps` ends it.

Source: Stahlberg 2019, On NMT search errors and model errors: cat got your tongue?
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..autograd import Tensor
from ..autograd.tensor import constant
from .adjusters import Adjuster
from .hypothesis import Hypothesis, Objective
from .loop import Loop, Step
from .rows import Ended, Rows
from .state import Carrier, rebuilt, taken


class Archive(Carrier):
    """Keeps the state of every prefix: rows are numbered in the order in which they were made."""

    def __init__(self, state: Any) -> None:
        super().__init__(state)
        self.kept: list[list[Any]] = []

    def check(self, state: Any) -> None:
        """Check a state, and keep each of its rows."""
        super().check(state)
        for row in range(self.rows):        # a copy: a step may write to the same memory again
            self.kept.append([taken(leaf, np.array([row])) for leaf in self.after])

    def __call__(self, state: Any, parents: np.ndarray | None, same: bool) -> Any:
        """The rows `parents` of all that were kept."""
        assert parents is not None
        rows = [self.kept[number] for number in parents.tolist()]
        self.rows = len(rows)
        return rebuilt(state, iter([joined(column) for column in zip(*rows)]))


def joined(rows: Sequence[Any]) -> Any:
    """Arrays or Tensors one below the other."""
    if isinstance(rows[0], Tensor):
        return constant(np.concatenate([row.data for row in rows]))
    return np.concatenate(rows)


@dataclass(frozen=True)
class Open:
    """A prefix whose continuations are not all looked at."""

    number: int             # of its state
    sentence: int
    node: int
    length: int
    log_prob: float
    prefix: np.ndarray
    tokens: np.ndarray      # what may follow, the likeliest first, the end token aside
    log_probs: np.ndarray


class Exact:
    """The strategy: best first, one prefix of each sentence at a time."""

    def __init__(self, max_steps: int | None) -> None:
        self.max_steps = math.inf if max_steps is None else max_steps

    def begin(self, loop: Loop) -> None:
        """Get to know the loop that asks."""
        self.loop, self.objective = loop, loop.objective
        self.queues: list[list[Any]] = [[] for _ in range(loop.sentences)]
        self.steps, self.numbers, self.pushed = [0] * loop.sentences, 0, itertools.count()
        self.limits = loop.limits.tolist()

    def pick(self, log_probs: np.ndarray, rows: Rows) -> Rows:
        """See `Strategy`."""
        log_probs = self.loop.normalised(log_probs, log_probs)
        self.loop.check(log_probs.max(1), rows, False)
        for row in range(len(rows)):
            self._open(log_probs[row], rows, row)
            self.steps[rows.sentences[row]] += 1
        picks = [self._best(sentence) for sentence in rows.sentences.tolist()]
        return self._rows([pick for pick in picks if pick is not None], rows.prefixes is not None)

    def settle(self, picked: Rows, rows: Rows, ended: Sequence[Sequence[Ended]]) -> np.ndarray | None:
        """All go on."""
        return None

    def _open(self, log_probs: np.ndarray, rows: Rows, row: int) -> None:
        """Put a prefix's continuations into the queue."""
        order = np.argsort(-log_probs, kind="stable")
        order = order[np.isfinite(log_probs[order]) & (order != self.loop.eos)]
        prefix = np.zeros(0, np.int64) if rows.prefixes is None else rows.prefixes[row]
        one = Open(self.numbers, int(rows.sentences[row]), int(rows.nodes[row]), int(rows.lengths[row]),
                   float(rows.log_probs[row]), prefix, order, log_probs[order])
        self.numbers += 1
        self._push(one, 0)
        if 0 <= self.loop.eos and log_probs[self.loop.eos] > -math.inf:
            # By itself: its bound is lower than those of less likely tokens, after which more may come.
            end = np.array([self.loop.eos])
            self._push(replace(one, tokens=end, log_probs=log_probs[end]), 0)

    def _push(self, one: Open, rank: int) -> None:
        """The continuation number `rank` of a prefix."""
        if rank == len(one.tokens):
            return
        limit, total = self.limits[one.sentence], one.log_prob + float(one.log_probs[rank])
        over = one.length + 1 >= limit or one.tokens[rank] == self.loop.eos
        bound = self.objective.score(total, one.length + 1 if over else limit)
        # Of equal bounds a whole sentence first, then what was found first.
        heapq.heappush(self.queues[one.sentence], (-bound, not over, next(self.pushed), one, rank))

    def _best(self, sentence: int) -> tuple[Open, int, bool] | None:
        """What a sentence goes on with; None where it gives up."""
        queue = self.queues[sentence]
        if not queue:
            return None
        _, goes_on, _, one, rank = heapq.heappop(queue)
        if goes_on:
            if self.steps[sentence] >= self.max_steps:
                return None
            self._push(one, rank + 1)
        return one, rank, not goes_on

    def _rows(self, picks: Sequence[tuple[Open, int, bool]], reading: bool) -> Rows:
        """Continuations as rows."""

        def column(values: Iterable[Any], dtype: Any = np.int64) -> np.ndarray:
            return np.array(list(values), dtype)

        sentences, log_probs = column(one.sentence for one, _, _ in picks), column(
            (one.log_probs[rank] for one, rank, _ in picks), np.float64)
        before = column((one.log_prob for one, _, _ in picks), np.float64)
        tokens = column(one.tokens[rank] for one, rank, _ in picks)
        return Rows(
            sentences, sentences, column(one.node for one, _, _ in picks), tokens,
            column(one.length + 1 for one, _, _ in picks), before + log_probs, np.zeros(len(picks)), log_probs,
            column((over for _, _, over in picks), np.bool_), column(one.number for one, _, _ in picks),
            [np.append(one.prefix, token) for (one, _, _), token in zip(picks, tokens)] if reading else None)


def exact_search(step: Step, state: Any, *, bos: Any, eos: int | None, max_length: Any, alpha: float = 0.0,
                 length_penalty: str = "power", adjusters: Sequence[Adjuster] = (),
                 max_steps: int | None = None) -> list[list[Hypothesis]]:
    """The sentence of the highest score, proved.

    Parameters
    ----------
    step, state, bos, eos, max_length, adjusters : see `greedy`
        Adjusters must never make a log-probability positive, and say so by an attribute `never_positive`.
    alpha, length_penalty : see `beam_search`
    max_steps : int, optional
        Prefixes of a sentence to look at before giving up.

    Returns
    -------
    list over the sentences of lists of one Hypothesis; of none, where max_steps was not enough

    Raises
    ------
    ValueError, TypeError
        As `greedy`; for adjusters that might make a log-probability positive.
    """
    if max_steps is not None and (not hasattr(max_steps, "__index__") or max_steps < 1):
        raise ValueError(f"exact_search: max_steps must be an int of at least 1, got {max_steps!r}")
    strategy = Exact(max_steps)
    loop = Loop("exact_search", step, state, strategy, bos=bos, eos=eos, max_length=max_length, adjusters=adjusters,
                objective=Objective(alpha, length_penalty), carrier=Archive)
    if not loop.bounded:
        raise ValueError("exact_search: each adjuster must never make a log-probability positive, and say so by an "
                         "attribute never_positive = True: the search relies on it")
    strategy.begin(loop)
    for _ in loop:
        pass
    return loop.results(1, [bool(queue) for queue in strategy.queues])
