"""The passes over a corpus: by one thread, by several at once, or by shards whose result nobody's scheduling changes.

    one worker      window after window, in the order of the corpus
    several         Hogwild (Recht, Re, Wright and Niu 2011): threads move the same tables without asking each other
    deterministic   rounds of SHARDS x ROUND positions.  All shards of a round start from the same tables; rows that
                    several of them may touch are copied, and merged in the order of the shards (kernels/shards.py).
                    Which thread does which shard, and how many threads there are, is nobody's business

A stretch of the corpus is one call of compiled code, which also counts it as done: an interrupt comes before or after.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..kernels import get_num_threads
from ..kernels.threads import COMPILED, pool_address
from . import readable
from .plan import Plan, sparse_table
from .sampling import deal

SHARDS, ROUND = 4, 1000         # of deterministic mode; they are part of its result
CURVATURE = 0.5                 # share of the way to its optimum that a row goes in a step, by the learning rate
CHUNK = 10_000                  # positions that a thread takes at a time
STRETCH = 1 << 18               # positions of a stretch, where a window has a few outputs
FEW = 200                       # outputs

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
        self._rounds = _rounds(plan, SHARDS, ROUND) if deterministic and COMPILED else None
        few = plan.outputs_of_a_window() <= FEW
        whole = SHARDS * ROUND if self._rounds else CHUNK * self.workers
        self._step = max(1, STRETCH // whole if few else 1) * whole if COMPILED else ROUND

    def exact(self) -> bool:
        """Is the result the same each time?"""
        return self.deterministic or self.workers == 1

    def stretch(self, epoch: int, begin: int, progress: np.ndarray) -> Iterator[int]:
        """Train from a position on; yields where it has come to, whenever all that is before is done.

        `progress`: positions of the run, loss in nats and pairs of this pass; moved together with the tables.
        """
        size = len(self.plan.ids)
        for at in range(begin, size, self._step):
            end = min(size, at + self._step)
            if COMPILED:
                self._compiled(epoch, at, end, progress)
            else:
                progress[1:] *= at > 0
                readable.train(self.plan, epoch, at, end, progress[1:])
                progress[0] += end - at
            yield end

    def _compiled(self, epoch: int, begin: int, end: int, progress: np.ndarray) -> None:
        from ..kernels import pairs, rounds, word2vec
        from ..kernels.llvm import vector_bytes

        plan = self.plan
        objective = OBJECTIVES.get(plan.objective, word2vec.SHARED if plan.shared or plan.bag else word2vec.EXACT)
        starts, nodes, _ = plan.tree or (np.zeros(1, np.int64), np.zeros(0, np.int32), None)
        lanes = vector_bytes() // FLOAT.itemsize
        of = (plan.ids, plan.window, plan.dynamic, plan.keep, np.uint64(plan.key(epoch)), objective, plan.bag,
              plan.mean, plan.negative, starts, nodes, plan.labels, plan.inner, plan.outer, *plan.rate(epoch),
              pairs.STEPS[plan.bag, plan.objective == "softmax"][FLOAT], pairs.fetch[FLOAT], pairs.copy[FLOAT],
              plan.inner.shape[1] // lanes, lanes)
        pool = pool_address() if self.workers > 1 else 0
        if self._rounds:
            rounds.train_in_rounds[FLOAT](pool, self.workers, begin, end, CURVATURE, progress, *self._rounds, *of)
        else:
            word2vec.train[FLOAT](pool, self.workers, begin, end, CHUNK, progress, plan.noise, *of)


def _rounds(plan: Plan, shards: int, size: int) -> tuple[Any, ...]:
    """What a round needs, in the order of `kernels.rounds.Rounds`.

    There is room for the most copies that a shard may make; what it does not make takes no memory.
    """
    from ..kernels.shards import NOWHERE

    words = size + 2 * plan.window + 1
    noise, lengths, common = deal(plan.noise_probability, shards)
    met = shards * words + common if plan.objective == "negative" else size * plan.outputs_of_a_window()
    room = min(words, len(plan.inner)) + min(met, len(plan.outer))
    return (size, np.empty((shards, words), np.int32), np.empty((shards, words), np.int64),
            np.zeros((shards, 3), np.int64), np.zeros(len(plan.keep), np.uint64), noise, lengths, common,
            np.full((shards, len(plan.inner) + len(plan.outer)), NOWHERE, np.int32),
            sparse_table(shards * room, plan.inner.shape[1]).reshape(shards, room, -1),
            np.empty((shards, room), np.int32), np.empty((shards, room), np.int32))
