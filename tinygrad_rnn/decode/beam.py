"""Beam search: the `width` best beginnings of a sentence are continued side by side.

A beam has `width` places. At each step the continuations of its hypotheses are ordered by their log-probability (less
what diversity takes off), and as many kept as there are places. Those that end are set aside and keep their place, the
others live on; so a beam of width 1 is greedy decoding, one that is never full looks at every sentence, and none stops
while something worth continuing is in it. `patience` adds places: there are patience * width (or n_best) of them, and
at most `width` of what is kept at a step.

A beam stops
    when all places are taken by sentences that are over,
    when no hypothesis can still reach the n_best that its sentence has: log-probabilities only fall, so what lives is
        worth at most log P / l(max_length) (this changes no result, it only saves time),
    at `max_length`, where what lives is cut off and competes with what is over.

Equal totals: that of the better hypothesis first, then the likelier token, then the smaller id; equal scores: what was
over first.

Source: Sutskever 2014, Sequence to sequence learning with neural networks, section 3.2; Vijayakumar 2016, Diverse beam
search; Kasai 2022, A call for clarity in beam search (patience).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, overload

import numpy as np

from .. import kernels
from .adjusters import Adjuster, Allowed
from .coverage import Coverage, as_coverage
from .hypothesis import Hypothesis, Objective
from .loop import Loop, Step
from .rows import Ended, Rows, Trace


class Beam:
    """The strategy.

    Parameters
    ----------
    width : hypotheses of a group
    groups, diversity : groups of a sentence, and what a token costs for each time an earlier group chose it
    n_best : sentences that are asked for
    patience : float
    """

    loop: Loop

    def __init__(self, width: int, groups: int, diversity: float, n_best: int, patience: float) -> None:
        self.width, self.groups, self.diversity, self.n_best = width, groups, diversity, n_best
        self.places = max(math.ceil(patience * width), -(-n_best // groups))
        # Among so many of a row are all that can be picked, and those that are held back.
        self.among = width + (width * (groups - 1) if diversity else 0)

    def pick(self, log_probs: np.ndarray, rows: Rows) -> Rows:
        """See `Strategy`."""
        loop, beams = self.loop, self.loop.sentences * self.groups
        values, indices = loop.top(log_probs, self.among)
        loop.check(values[:, 0], rows, False)
        origin = None
        if self.groups > 1 and not rows.lengths[0]:     # at the first step all groups have the same single row
            origin = np.repeat(np.arange(len(rows)), self.groups)
            rows, values, indices = rows.at(origin), values[origin], indices[origin]
            rows.slots, rows.parents = np.arange(len(rows)), None
        first = np.searchsorted(rows.slots, np.arange(beams + 1))
        last = np.zeros(beams, np.bool_)
        last[rows.slots] = loop.last(rows)
        live, live_scores, done, done_scores, _ = kernels.merge_beams(
            values, indices, rows.log_probs + rows.penalties, first, last,
            np.minimum(self.places - self.over, self.width), self.groups, loop.eos, self.diversity)
        if len(done):
            parents, tokens = np.concatenate([live, done[:, 1:]]).T
            scores = np.concatenate([live_scores, done_scores])
        else:
            (parents, tokens), scores = live.T, live_scores
        ends = np.arange(len(parents)) >= len(live)
        picked = rows.continued(parents, tokens, scores[:, 0], ends, penalties=scores[:, 1])
        picked.parents = parents if origin is None else origin[parents]
        return picked

    def begin(self, loop: Loop) -> None:
        """Get to know the loop that asks."""
        self.loop, count = loop, loop.sentences
        self.over = np.zeros(count * self.groups, np.int64)     # sentences that are over, of each beam
        self.best = np.full(count, -math.inf)                   # the n_best-th best of each sentence
        self.normalisers = np.array([loop.objective.normaliser(limit) for limit in loop.limits.tolist()])

    def settle(self, picked: Rows, rows: Rows, ended: Sequence[Sequence[Ended]]) -> np.ndarray | None:
        """See `Strategy`: what is not enough yet, and can still win."""
        if picked.ends.any():
            over = np.flatnonzero(picked.ends)
            self.over += np.bincount(picked.slots[over], minlength=len(self.over))
            for sentence in set(picked.sentences[over].tolist()):
                scores = sorted((one.score for one in ended[sentence]), reverse=True)
                if len(scores) >= self.n_best:
                    self.best[sentence] = scores[self.n_best - 1]
        if not self.over.any():
            return None
        keep: np.ndarray = self.over[rows.slots] < self.places
        if self.loop.bounded:
            reach = np.full(len(self.best), -math.inf)
            bounds = rows.log_probs / self.normalisers[rows.sentences] + rows.penalties
            np.maximum.at(reach, rows.sentences[keep], bounds[keep])
            keep &= (reach > self.best)[rows.sentences]
        return keep


# The two results are told apart by the type of `trace`.
@overload
def beam_search(step: Step, state: Any, *, bos: Any, eos: int | None, max_length: Any, width: int = 10,
                alpha: float = 0.7, n_best: int = 1, length_penalty: str = "power",
                coverage: Coverage | float | None = None, diversity_groups: int = 1, diversity: float = 0.0,
                patience: float = 1.0, prefix_allowed: Callable[[int, list[int]], Iterable[int]] | None = None,
                adjusters: Sequence[Adjuster] = (), stop: Callable[[list[int]], bool] | None = None,
                trace: Literal[False] = False) -> list[list[Hypothesis]]: ...


@overload
def beam_search(step: Step, state: Any, *, bos: Any, eos: int | None, max_length: Any, width: int = 10,
                alpha: float = 0.7, n_best: int = 1, length_penalty: str = "power",
                coverage: Coverage | float | None = None, diversity_groups: int = 1, diversity: float = 0.0,
                patience: float = 1.0, prefix_allowed: Callable[[int, list[int]], Iterable[int]] | None = None,
                adjusters: Sequence[Adjuster] = (), stop: Callable[[list[int]], bool] | None = None,
                trace: Literal[True]) -> tuple[list[list[Hypothesis]], list[Trace]]: ...


def beam_search(step: Step, state: Any, *, bos: Any, eos: int | None, max_length: Any, width: int = 10,
                alpha: float = 0.7, n_best: int = 1, length_penalty: str = "power",
                coverage: Coverage | float | None = None, diversity_groups: int = 1, diversity: float = 0.0,
                patience: float = 1.0, prefix_allowed: Callable[[int, list[int]], Iterable[int]] | None = None,
                adjusters: Sequence[Adjuster] = (), stop: Callable[[list[int]], bool] | None = None,
                trace: bool = False) -> Any:
    """The best sentences that a beam of some width finds; see this file's docstring.

    Parameters
    ----------
    step, state, bos, eos, max_length, adjusters, stop : see `greedy`
    width : int
        Hypotheses of a sentence that live at once; more than there are tokens is fine.
    alpha, length_penalty : float, "power" or "gnmt"
        Length normalisation of the score: T**alpha, or ((5 + T)/6)**alpha.
    n_best : int, at most width
        Hypotheses to return of each sentence; fewer where fewer were found.
    coverage : float or Coverage, optional
        Weight of the coverage penalty; the attention is read from the state.
    diversity_groups, diversity : int that divides width; float, not negative
        Split each beam into groups, of which later ones pay `diversity` for each time that an earlier one chose the
        same token at the same step.
    patience : float, positive
        A beam (each group of it) stops when patience * width sentences are over, not only width; below 1 it gives up
        places.
    prefix_allowed : callable (sentence, tokens) -> ids, optional
        The only tokens that may follow `tokens`, a list, in sentence number `sentence`.
    trace : bool
        Return the tree of what was searched, too.

    Returns
    -------
    list over the sentences of lists of up to n_best Hypothesis, best first
    list over the sentences of Trace, if trace

    Raises
    ------
    ValueError, TypeError
        As `greedy`; for a sentence all of whose hypotheses die, constraints that cannot be met.
    """
    objective = Objective(alpha, length_penalty)
    for name, value, least in (("width", width, 1), ("n_best", n_best, 1), ("diversity_groups", diversity_groups, 1)):
        if not hasattr(value, "__index__") or value < least:
            raise ValueError(f"beam_search: {name} must be an int of at least {least}, got {value!r}")
    if n_best > width:
        raise ValueError(f"beam_search: n_best must be at most width, got n_best={n_best} and width={width}")
    if width % diversity_groups:
        raise ValueError(f"beam_search: diversity_groups must divide width, got {diversity_groups} and {width}")
    if not 0 <= diversity < math.inf:
        raise ValueError(f"beam_search: diversity must be 0 or more, got {diversity}")
    if not 0 < patience < math.inf:
        raise ValueError(f"beam_search: patience must be positive, got {patience}")
    if prefix_allowed is not None:
        adjusters = [*adjusters, Allowed(prefix_allowed)]
    strategy = Beam(width // diversity_groups, diversity_groups, diversity, n_best, patience)
    loop = Loop("beam_search", step, state, strategy, bos=bos, eos=eos, max_length=max_length, adjusters=adjusters,
                stop=stop, objective=objective, coverage=as_coverage(coverage))
    strategy.begin(loop)
    found = loop.run(n_best) if diversity_groups == 1 else [distinct(one)[:n_best] for one in loop.run()]
    return (found, loop.nodes.traces(loop.sentences, objective)) if trace else found


def distinct(hypotheses: Sequence[Hypothesis]) -> list[Hypothesis]:
    """Each sentence once, the first of its kind: groups may find the same one."""
    seen: dict[tuple[int, ...], Hypothesis] = {}
    for one in hypotheses:
        seen.setdefault(tuple(one.tokens), one)
    return list(seen.values())
