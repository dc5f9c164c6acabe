"""Sentence pairs in mini-batches: which stand together decides how much is padding, and what a step learns from.

Algorithm 1 of Morishita 2017:

    shuffle the pairs                       so that pairs of one length meet others in every pass
    sort them by the strategy's lengths     equal ones stay shuffled
    cut batches off, one after the other    of so many pairs, or of so many tokens
    shuffle the batches
    pad each to its longest                 the last one, too small though it may be, as the others

As printed, the algorithm leaves the last batch unpadded and fills up with </s>.  Here it is padded too, and lengths
come with each batch: what is padding is told, and counts in no loss.

    "shuffle"           no sorting
    "source" "target"   by one side's length
    "source-target"     by the source's length, and where that is equal by the target's;  "target-source"
    "bucket"            by buckets of similar length of the longer side, in shuffled order inside a bucket

Source: Morishita et al. 2017, An empirical study of mini-batch creation strategies for neural machine translation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..random import Rng, entropy, stream
from .ragged import _alike, pad

STRATEGIES = ("shuffle", "source", "target", "source-target", "target-source", "bucket")
BUCKET = 8      # lengths 1 ... 8, 9 ... 16 and so on share one


class PairBatch(NamedTuple):
    """Padded sources (S, B) and targets (T, B), their lengths (B,), and which pairs they are (B,)."""

    source: np.ndarray
    source_lengths: np.ndarray
    target: np.ndarray
    target_lengths: np.ndarray
    pairs: np.ndarray


class PairBatches:
    """Batches of sentence pairs with a position that can be saved.

    Iterating goes on from the position to the end of the pass.  The order of a pass depends on the seed and its number
    alone, so that the position is two numbers, and a resumed program sees the very batches of one that went on.

    Parameters
    ----------
    sources, targets : sequences of array_like (S_i, ...), (T_i, ...)
        Ids, mostly; one target for each source.
    batch_size : int, optional
        Pairs of a batch; None: as many as `tokens` allows.
    tokens : int, optional
        Largest number of pairs times length of the longest sentence of either side, padding included; a pair that is
        longer stands alone.  Exactly one of batch_size and tokens is given; neither: 64 pairs.
    strategy : str
        Of `STRATEGIES`, above.
    padding : number
        What stands beyond a length.
    rng : numpy.random.Generator, int or None

    Attributes
    ----------
    epoch, batch : int
        The position: passes completed, and the next batch of this pass.

    Yields
    ------
    PairBatch

    Raises
    ------
    ValueError
        For no pairs, unequal numbers of them (says how many), unknown strategies, sizes below 1.
    """

    def __init__(self, sources: Sequence[Any], targets: Sequence[Any], batch_size: int | None = None, *,
                 tokens: int | None = None, strategy: str = "source-target", padding: float = 0,
                 rng: Rng = None) -> None:
        self.sources, self.targets = (_alike("PairBatches", side, what)
                                      for side, what in ((sources, "source"), (targets, "target")))
        if len(self.sources) != len(self.targets):
            raise ValueError(f"PairBatches: there are {len(self.sources)} sources and {len(self.targets)} targets")
        if strategy not in STRATEGIES:
            raise ValueError(f"PairBatches: strategy must be one of {', '.join(STRATEGIES)}; got {strategy!r}")
        if batch_size is not None and tokens is not None:
            raise ValueError(f"PairBatches: give batch_size or tokens, got {batch_size} and {tokens}")
        if tokens is None and batch_size is None:
            batch_size = 64
        for name, size in (("batch_size", batch_size), ("tokens", tokens)):
            if size is not None and size < 1:
                raise ValueError(f"PairBatches: {name} must be at least 1, got {size}")
        self.batch_size, self.tokens, self.strategy, self.padding = batch_size, tokens, strategy, padding
        self.lengths = np.array([[len(a) for a in side] for side in (self.sources, self.targets)])     # (2, pairs)
        self.seed = entropy(rng)
        self.epoch = self.batch = 0
        self._made: tuple[int, list[np.ndarray]] | None = None

    def plan(self) -> list[np.ndarray]:
        """Which pairs stand in each batch of this pass."""
        if self._made is None or self._made[0] != self.epoch:
            chance = stream(self.seed, f"pass {self.epoch}")
            cut = self._cut(self._sorted(chance.permutation(self.lengths.shape[1])))
            chance.shuffle(order := np.arange(len(cut)))
            self._made = self.epoch, [cut[k] for k in order]
        return self._made[1]

    def _sorted(self, pairs: np.ndarray) -> np.ndarray:
        """Shuffled pairs in the strategy's order."""
        source, target = self.lengths[:, pairs]
        bucket = (np.maximum(source, target) - 1) // BUCKET
        keys = {"shuffle": (), "source": (source,), "target": (target,), "source-target": (target, source),
                "target-source": (source, target), "bucket": (bucket,)}[self.strategy]
        return pairs[np.lexsort(keys)] if keys else pairs       # the last key counts most; stable

    def _cut(self, pairs: np.ndarray) -> list[np.ndarray]:
        """Batches, one after the other."""
        if self.tokens is None:
            return [pairs[k:k + (self.batch_size or 1)] for k in range(0, len(pairs), self.batch_size or 1)]
        begins, longest = [0], 0
        for k, length in enumerate(self.lengths.max(0)[pairs].tolist()):
            longest = max(longest, length)
            if k > begins[-1] and (k + 1 - begins[-1]) * longest > self.tokens:
                begins.append(k)
                longest = length
        return np.split(pairs, begins[1:])

    def __len__(self) -> int:
        """Batches of this pass; with a token budget they may differ in number from one pass to the next."""
        return len(self.plan())

    def __iter__(self) -> Iterator[PairBatch]:
        # The position moves before a batch is handed out: saved while that is in work, it names the next.
        while self.batch < len(self):
            self.batch += 1
            yield self[self.batch - 1]
        self.epoch, self.batch = self.epoch + 1, 0

    def __getitem__(self, k: int) -> PairBatch:
        """Batch k of this pass, 0 <= k < len(self)."""
        if not 0 <= k < len(self):
            raise IndexError(f"PairBatches: batch {k} of {len(self)}")
        pairs = self.plan()[k]
        source, target = (pad([side[pair] for pair in pairs], self.padding) for side in (self.sources, self.targets))
        return PairBatch(*source, *target, pairs)

    def waste(self) -> tuple[float, float]:
        """Shares of padding in this pass, 0 to 1: of all sources, and of all targets."""
        padded = sum(len(pairs) * self.lengths[:, pairs].max(1) for pairs in self.plan())
        source, target = (1 - self.lengths.sum(1) / np.maximum(padded, 1)).tolist()
        return source, target

    def state_dict(self) -> dict[str, Any]:
        """The position, and what it counts in."""
        return {"epoch": self.epoch, "batch": self.batch, "seed": self.seed, "pairs": len(self.sources),
                "tokens_of_all": self.lengths.sum(1).tolist(), "batch_size": self.batch_size, "tokens": self.tokens,
                "strategy": self.strategy}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to a saved position, and to the order of the passes that it was saved in.

        Raises
        ------
        ValueError
            If it was saved of other pairs or of other batches; nothing is changed then.
        """
        mine = self.state_dict()
        for name in ("pairs", "tokens_of_all", "batch_size", "tokens", "strategy"):
            if state[name] != mine[name]:
                raise ValueError(f"PairBatches: the position was saved with {name}={state[name]}, here it is "
                                 f"{mine[name]}")
        self.seed, self.epoch, self._made = state["seed"], state["epoch"], None
        if not (state["epoch"] >= 0 and 0 <= state["batch"] <= len(self)):
            self.seed, self.epoch, self._made = mine["seed"], mine["epoch"], None
            raise ValueError(f"PairBatches: no such position: epoch {state['epoch']}, batch {state['batch']}")
        self.batch = state["batch"]
