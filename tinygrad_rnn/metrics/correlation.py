"""How well two lists of numbers agree: on a line (Pearson), or in their order alone (Spearman)."""

from __future__ import annotations

from typing import Any

import numpy as np


def pearson(x: Any, y: Any) -> float:
    """Pearson's correlation, -1 to 1.

        r = sum (x - mean x)(y - mean y) / sqrt(sum (x - mean x)^2  sum (y - mean y)^2)

    Parameters
    ----------
    x, y : array_like (n,), n >= 2

    Raises
    ------
    ValueError
        For lengths that differ or are below 2, a number that is not finite, and numbers that are all equal: their
        correlation is not defined.
    """
    a, b = (np.asarray(values, np.float64) for values in (x, y))
    if a.ndim != 1 or a.shape != b.shape or len(a) < 2:
        raise ValueError(f"correlation: expected two lists of the same length, 2 or more, got shapes {a.shape} and "
                         f"{b.shape}")
    for name, values in (("x", a), ("y", b)):
        if not np.isfinite(values).all():
            raise ValueError(f"correlation: {name} has a number that is not finite")
        if values.min() == values.max():
            raise ValueError(f"correlation: the numbers of {name} are all equal, so that none is defined")
    # Scaled first: squares of very large or very small numbers would leave the range.
    a, b = (values / np.abs(values).max() for values in (a, b))
    a, b = a - a.mean(), b - b.mean()
    return float(np.clip((a @ b) / np.sqrt((a @ a) * (b @ b)), -1, 1))


def spearman(x: Any, y: Any) -> float:
    """Spearman's rank correlation: Pearson's of the `ranks`. Parameters and errors as `pearson`.

    Source: Spearman 1904, The proof and measurement of association between two things.
    """
    return pearson(ranks(x), ranks(y))


def ranks(values: Any) -> np.ndarray:
    """1 for the smallest; equal numbers share the mean of their places. (n,) float64."""
    array = np.asarray(values, np.float64)
    if array.ndim != 1 or np.isnan(array).any():
        raise ValueError("ranks: expected a list of numbers without NaN")
    _, place, counts = np.unique(array, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[place], np.float64)
