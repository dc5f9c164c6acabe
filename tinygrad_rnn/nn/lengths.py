"""Ragged batches: sequences of different lengths side by side, padded to the longest."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import Tensor


def checked(who: str, lengths: Any, steps: int, batch: int) -> np.ndarray:
    """Lengths as int64 (B,), each between 1 and the number of steps.

    Raises
    ------
    TypeError
        If they are not integers.
    ValueError
        If there is not one a row, or one is too short or too long: the row is named.
    """
    array = lengths.data if isinstance(lengths, Tensor) else np.asarray(lengths)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{who}: lengths must be integers, got dtype {array.dtype}")
    if array.shape != (batch,):
        raise ValueError(f"{who}: lengths must have one entry a sequence, shape ({batch},), got {array.shape}; time is "
                         f"the first axis ({steps} steps here): is it meant to be batch_first?")
    wrong = np.flatnonzero((array < 1) | (array > steps))
    if len(wrong):
        raise ValueError(f"{who}: the length of row {wrong[0]} is {array[wrong[0]]}, it must lie between 1 and the "
                         f"{steps} steps of the batch; time is the first axis: is it meant to be batch_first?")
    return array.astype(np.int64)


def mask(lengths: np.ndarray, steps: int) -> np.ndarray:
    """Which steps are real: bool (T, B)."""
    return np.arange(steps)[:, None] < lengths
