"""In which order the rows of a batch and their steps are worked on.

The longest row first, so that at every step those that are not over stand together; each from its first step on or,
reversed, from its last real one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np


@dataclass(frozen=True)
class Ragged:
    """Where the rows and steps of sequences of different lengths come from, in the order of work."""

    rows: np.ndarray        # (B,): the caller's rows, the longest first
    ends: np.ndarray        # (B,): their lengths
    real: np.ndarray        # (T, B): is it within the length?
    times: np.ndarray       # (T, B): which step of the caller it is, 0 where it is none


class Arrangement:
    """The order of work for one run.

    Parameters
    ----------
    steps, batch : T, B
    lengths : (B,) int64, 1 <= length <= T; None: all T
    reverse : begin at each row's last step

    Attributes
    ----------
    active : (T,) int64, how many rows are not over at a step
    """

    def __init__(self, steps: int, batch: int, lengths: np.ndarray | None = None, reverse: bool = False) -> None:
        self.steps, self.batch, self.reverse = steps, batch, reverse
        self.ragged: Ragged | None = None
        self._bounds: dict[int, np.ndarray] = {}        # by the number of threads
        if lengths is None:
            self.active = np.full(steps, batch, np.int64)
            return
        rows = np.argsort(-lengths, kind="stable")
        ends, time = lengths[rows], np.arange(steps)[:, None]
        real = time < ends
        self.active = real.sum(1, dtype=np.int64)
        self.ragged = Ragged(rows, ends, real, np.where(real, ends - 1 - time if reverse else time, 0))

    @cached_property
    def ends(self) -> np.ndarray:
        """(B,): how many steps each row worked on has."""
        return np.full(self.batch, self.steps) if self.ragged is None else self.ragged.ends

    def arranged(self, x: np.ndarray, whole: bool = False) -> np.ndarray:
        """(T, B, n), or (B, n) for what has no time, in the order of work; 0 beyond a length.  whole: (B, ...)."""
        if whole:
            return x if self.ragged is None else x[self.ragged.rows]
        if self.ragged is None:
            return x[::-1] if self.reverse and x.ndim == 3 else x
        if x.ndim < 3:
            rows: np.ndarray = x[self.ragged.rows]
            return rows
        found: np.ndarray = x[self.ragged.times, self.ragged.rows]
        found[~self.ragged.real] = 0
        return found

    def restored(self, y: np.ndarray, whole: bool = False) -> np.ndarray:
        """The inverse: back in the caller's order, 0 beyond a length."""
        if self.ragged is None:
            return y[::-1] if self.reverse and y.ndim == 3 and not whole else y
        if y.ndim < 3 or whole:
            out = np.empty_like(y)
            out[self.ragged.rows] = y
            return out
        out = np.zeros(y.shape, y.dtype)
        real = self.ragged.real
        times, rows = np.broadcast_arrays(self.ragged.times, self.ragged.rows)
        out[times[real], rows[real]] = y[real]
        return out

    def bounds(self, threads: int) -> np.ndarray:
        """(parts + 1,): the rows of each thread, with about the same number of steps for each."""
        if threads not in self._bounds:
            self._bounds[threads] = self._cut(threads)
        return self._bounds[threads]

    def _cut(self, threads: int) -> np.ndarray:
        parts = min(threads, self.batch)
        if self.ragged is None:
            return np.arange(parts + 1, dtype=np.int64) * self.batch // parts
        work = np.concatenate([[0], np.cumsum(self.ragged.ends)])
        cuts = np.searchsorted(work, work[-1] * np.arange(1, parts) / parts)
        return np.concatenate([[0], cuts, [self.batch]]).astype(np.int64)


def arranged(steps: int, batch: int, lengths: np.ndarray | None = None, reverse: bool = False) -> Arrangement:
    """An `Arrangement`; without lengths, one for all runs of this size."""
    return _even(steps, batch, reverse) if lengths is None else Arrangement(steps, batch, lengths, reverse)


@lru_cache(maxsize=64)
def _even(steps: int, batch: int, reverse: bool) -> Arrangement:
    return Arrangement(steps, batch, None, reverse)
