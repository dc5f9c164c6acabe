"""The passes over a corpus: by one thread, by several at once, or by shards whose result nobody's scheduling changes.

    one worker      window after window, in the order of the corpus
    several         Hogwild (Recht, Re, Wright and Niu 2011): threads move the same tables without asking each other
    deterministic   rounds of SHARDS x ROUND positions.  All shards of a round start from the same tables and work on
                    copies of rows, which are merged in the order of the shards (kernels/shards.py); which thread does
                    which shard, and how many threads there are, is nobody's business
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..kernels import get_num_threads
from ..kernels.threads import COMPILED, run
from . import readable
from .plan import Plan, table

SHARDS, ROUND = 4, 1000         # of deterministic mode; they are part of its result
CURVATURE = 0.5                 # share of the way to its optimum that a row goes in a step, by the learning rate
CHUNK = 10_000                  # positions that a thread takes at a time
STRETCH = 1 << 18               # positions between two moments at which all threads have come together

FLOAT = np.dtype(np.float32)
OBJECTIVES = {"hierarchical": 2, "softmax": 3}


class Trainer:
    """Goes through a corpus, stretch by stretch.

    Parameters
    ----------
    plan : Plan
    workers : int
        Threads; as many as the library's pool has, at most.
    deterministic : bool
    """

    def __init__(self, plan: Plan, workers: int, deterministic: bool) -> None:
        self.plan, self.deterministic = plan, deterministic
        self.workers = min(workers, get_num_threads()) if COMPILED else 1
        self._shards = _Copies(plan, SHARDS) if deterministic and COMPILED else None

    def exact(self) -> bool:
        """Is the result the same each time?"""
        return self.deterministic or self.workers == 1

    def stretch(self, epoch: int, begin: int, totals: np.ndarray) -> Iterator[int]:
        """Train from a position on; yields where it has come to, whenever all that is before is done.

        `totals`: loss in nats and pairs, added to.
        """
        size = len(self.plan.ids)
        if not COMPILED:
            for at in range(begin, size, ROUND):
                readable.train(self.plan, epoch, at, min(size, at + ROUND), totals)
                yield min(size, at + ROUND)
        elif self._shards:
            for at in range(begin, size, SHARDS * ROUND):
                self._round(self._shards, epoch, at, totals)
                yield min(size, at + SHARDS * ROUND)
        elif self.workers == 1:
            for at in range(begin, size, CHUNK):
                totals += self._windows(epoch, at, min(size, at + CHUNK))
                yield min(size, at + CHUNK)
        else:
            for at in range(begin, size, STRETCH):
                self._together(epoch, at, min(size, at + STRETCH), totals)
                yield min(size, at + STRETCH)

    def _together(self, epoch: int, begin: int, end: int, totals: np.ndarray) -> None:
        """Several threads in the same tables, each taking the next chunk."""
        chunks, found = itertools.count(begin, CHUNK), list[np.ndarray]()

        def worker(_: int, __: int) -> None:
            while (at := next(chunks)) < end:
                found.append(self._windows(epoch, at, min(end, at + CHUNK)))

        run(worker, parts=self.workers)
        totals += np.sum(found, axis=0)

    def _round(self, copies: _Copies, epoch: int, begin: int, totals: np.ndarray) -> None:
        """One round of shards; the last of a pass may have fewer."""
        from ..kernels import shards as kernel

        size = len(self.plan.ids)
        starts = range(begin, min(size, begin + SHARDS * ROUND), ROUND)
        found, order = [np.zeros(2)] * len(starts), itertools.count()
        copies.count[:] = 0

        def worker(_: int, __: int) -> None:
            while (s := next(order)) < len(starts):
                found[s] = self._windows(epoch, starts[s], min(size, starts[s] + ROUND), copies.of(s))

        run(worker, parts=min(self.workers, len(starts)))
        rate, slope = self.plan.rate(epoch)
        contraction = CURVATURE * max(rate + slope * begin, 0.0)
        merge = kernel.merge[FLOAT]

        def share(part: int, parts: int) -> None:
            for side, moved in enumerate((self.plan.inner, self.plan.outer)):
                merge(moved, *copies.sides[side], copies.count, side, len(starts), contraction, part, parts)

        run(share, parts=self.workers)
        for one in found:
            totals += one

    def _windows(self, epoch: int, begin: int, end: int, copies: Any = None) -> np.ndarray:
        """The windows around ids[begin:end]: loss, and pairs."""
        from ..kernels import pairs, word2vec
        from ..kernels.llvm import vector_bytes

        plan, totals = self.plan, np.zeros(2)
        softmax = plan.objective == "softmax"
        objective = OBJECTIVES.get(plan.objective, word2vec.SHARED if plan.shared or plan.bag else word2vec.EXACT)
        tree = plan.tree or _NO_TREE
        lanes = vector_bytes() // FLOAT.itemsize
        rate, slope = plan.rate(epoch)
        word2vec.train[FLOAT](
            plan.ids, begin, end, plan.window, plan.dynamic, plan.keep, np.uint64(plan.key(epoch)), objective, plan.bag,
            plan.mean, plan.negative, plan.noise, tree[0], tree[1], plan.labels, plan.inner, plan.outer,
            copies is not None, *(copies or _NO_COPIES), rate, slope, pairs.STEPS[plan.bag, softmax][FLOAT],
            pairs.fetch[FLOAT], plan.inner.shape[1] // lanes, lanes, totals)
        return totals


class _Copies:
    """Room for the copies of rows that shards make in a round.

    Attributes
    ----------
    sides : for inner and outer rows (slots, copies, touched, times), each with a first axis of shards
    count : int64 ndarray (shards, 2)
    """

    def __init__(self, plan: Plan, shards: int) -> None:
        from ..kernels.shards import NOWHERE

        self.count = np.zeros((shards, 2), np.int64)
        self.sides = []
        most = (ROUND + 2 * plan.window, ROUND * plan.outputs_of_a_window())
        for rows, moved in zip(most, (plan.inner, plan.outer)):
            room = min(rows, len(moved))
            copies = table(shards * room, moved.shape[1]).reshape(shards, room, -1)
            self.sides.append((np.full((shards, len(moved)), NOWHERE, np.int32), copies,
                               np.empty((shards, room), np.int32), np.empty((shards, room), np.int32)))

    def of(self, shard: int) -> tuple[np.ndarray, ...]:
        """The arguments of the kernel for one shard."""
        return (*(a[shard] for side in self.sides for a in side), self.count[shard])


_NO_TREE = (np.zeros(1, np.int64), np.zeros(0, np.int32))
_NO_COPIES = (*((np.zeros(0, np.int32), np.zeros((0, 1), np.float32), np.zeros(0, np.int32), np.zeros(0, np.int32))
                * 2), np.zeros(0, np.int64))
