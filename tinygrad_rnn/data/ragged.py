"""Sequences of different lengths, side by side in one array.

    sequences   a b c        pad     x   a d f      lengths  3 1 2
                d                        b . g
                f g                      c . .

Time is the first axis of x, (T, B, ...), as the recurrent layers read it.  Layers and losses that are told the lengths
never look at what stands beyond them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..autograd import Tensor
from ..autograd.primitive import as_array
from ..random import Rng


def pad(sequences: Sequence[Any], value: float = 0) -> tuple[np.ndarray, np.ndarray]:
    """Sequences side by side, the shorter ones filled up.

    Parameters
    ----------
    sequences : sequence of array_like (T_i, ...)
        Alike but for their lengths; lists of Python floats become float32.
    value : number
        What stands beyond a length.

    Returns
    -------
    x : ndarray (max T_i, B, ...)
    lengths : int64 ndarray (B,)

    Raises
    ------
    ValueError
        For no sequences, or sequences whose further axes differ; the message names the first that does.
    TypeError
        For sequences of different dtypes.
    """
    arrays = _alike("pad", sequences)
    lengths = np.array([len(a) for a in arrays], np.int64)
    x = np.full((int(lengths.max()), len(arrays), *arrays[0].shape[1:]), value, arrays[0].dtype)
    for b, a in enumerate(arrays):
        x[:len(a), b] = a
    return x, lengths


def unpad(x: Any, lengths: Any) -> list[np.ndarray]:
    """The sequences again, without what `pad` added: copies.

    Parameters
    ----------
    x : array_like (T, B, ...)
    lengths : array_like of int (B,)

    Raises
    ------
    ValueError
        For lengths that are not one a row, or lie outside 0 ... T.
    """
    array, counts = _array(x), np.asarray(lengths)
    if array.ndim < 2 or counts.shape != array.shape[1:2]:
        raise ValueError(f"unpad: x must be (T, B, ...) and lengths (B,), got shapes {array.shape} and {counts.shape}")
    if counts.dtype.kind not in "iu":
        raise TypeError(f"unpad: lengths must be integers, got dtype {counts.dtype}")
    for b, n in enumerate(counts):
        if not 0 <= n <= len(array):
            raise ValueError(f"unpad: the length of row {b} is {n}, it must lie between 0 and the {len(array)} steps")
    return [array[:n, b].copy() for b, n in enumerate(counts)]


class Batch(NamedTuple):
    """Padded sequences (T, B, ...), their lengths (B,), and targets: (T, B, ...), (B, ...) or None."""

    x: np.ndarray
    lengths: np.ndarray
    y: np.ndarray | None


class batches:
    """Sequences in batches, in a new order each time it is iterated.

    So that little is padded, sequences of similar length stand together: the shuffled sequences are sorted within
    pools of several batches, and the batches are shuffled again.

    Parameters
    ----------
    sequences : sequence of array_like (T_i, ...)
        Numbers or ids, alike but for their lengths.
    targets : sequence of array_like, optional
        One for each sequence: with `per_step` (T_i, ...), otherwise of one shape.
    batch_size : int
    per_step : bool
        Has each step a target, or each sequence?
    shuffle : bool
        False: always the given order.
    pool : int
        Batches that are sorted together; 1: none.
    drop_last : bool
        Leave out a last batch that is not full.
    rng : numpy.random.Generator, int or None
        Of the shuffling.

    Yields
    ------
    Batch

    Raises
    ------
    ValueError
        For no sequences, targets that do not fit them, or sizes below 1.
    """

    def __init__(self, sequences: Sequence[Any], targets: Sequence[Any] | None = None, batch_size: int = 32, *,
                 per_step: bool = False, shuffle: bool = True, pool: int = 50, drop_last: bool = False,
                 rng: Rng = None) -> None:
        self.sequences = _alike("batches", sequences)
        self.targets = None if targets is None else self._checked(list(targets), per_step)
        for name, size in (("batch_size", batch_size), ("pool", pool)):
            if size < 1:
                raise ValueError(f"batches: {name} must be at least 1, got {size}")
        self.batch_size, self.per_step, self.shuffle, self.pool = batch_size, per_step, shuffle, pool
        self.drop_last = drop_last
        self.rng = np.random.default_rng(rng)

    def _checked(self, targets: Sequence[Any], per_step: bool) -> list[np.ndarray]:
        """One target a sequence, as arrays."""
        if len(targets) != len(self.sequences):
            raise ValueError(f"batches: there are {len(self.sequences)} sequences and {len(targets)} targets")
        if per_step:
            arrays = _alike("batches", targets, "target")
            for k, (a, y) in enumerate(zip(self.sequences, arrays)):
                if len(a) != len(y):
                    raise ValueError(f"batches: sequence {k} has {len(a)} steps and {len(y)} targets")
            return arrays
        arrays = [_array(y) for y in targets]
        for k, y in enumerate(arrays):
            if y.shape != arrays[0].shape:
                raise ValueError(f"batches: target {k} has shape {y.shape}, the first {arrays[0].shape}; is there one "
                                 "a step? Then per_step=True")
        return arrays

    def __len__(self) -> int:
        """Batches of one pass."""
        full, left = divmod(len(self.sequences), self.batch_size)
        return full + bool(left and not self.drop_last)

    def __iter__(self) -> Iterator[Batch]:
        for rows in self._order():
            x, lengths = pad([self.sequences[k] for k in rows])
            y = None
            if self.targets is not None:
                chosen = [self.targets[k] for k in rows]
                y = pad(chosen)[0] if self.per_step else np.stack(chosen)
            yield Batch(x, lengths, y)

    def _order(self) -> list[np.ndarray]:
        """The sequences of each batch of a pass."""
        rows = np.arange(len(self.sequences))
        if self.shuffle:
            self.rng.shuffle(rows)
            lengths = np.array([len(a) for a in self.sequences])
            size = self.pool * self.batch_size
            pools = [rows[k:k + size] for k in range(0, len(rows), size)] if self.pool > 1 else []
            rows = np.concatenate([p[np.argsort(lengths[p], kind="stable")] for p in pools]) if pools else rows
        cut = [rows[k * self.batch_size:(k + 1) * self.batch_size] for k in range(len(self))]
        if self.shuffle:
            self.rng.shuffle(cut)
        return cut


def _array(x: Any) -> np.ndarray:
    return x.data if isinstance(x, Tensor) else as_array(x)


def _alike(who: str, sequences: Sequence[Any], what: str = "sequence") -> list[np.ndarray]:
    """Sequences as arrays that differ in nothing but their lengths."""
    arrays = [_array(s) for s in sequences]
    if not arrays:
        raise ValueError(f"{who}: there are no {what}s")
    for k, a in enumerate(arrays):
        if a.ndim < 1:
            raise ValueError(f"{who}: {what} {k} is a number, it must have a first axis, time")
        if a.shape[1:] != arrays[0].shape[1:]:
            raise ValueError(f"{who}: {what} {k} has shape {a.shape}, the first {arrays[0].shape}; only the first "
                             "axis, time, may differ")
        if a.dtype != arrays[0].dtype:
            raise TypeError(f"{who}: {what} {k} is {a.dtype}, the first {arrays[0].dtype}")
    return arrays
