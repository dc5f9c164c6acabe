"""Random tensors, and random streams that depend on a seed and a name, never on the order in which they are drawn."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from .autograd.replay import Rng as Rng
from .autograd.replay import generator
from .autograd.tensor import Tensor, constant


def normal(shape: Any, mean: float = 0.0, std: float = 1.0, dtype: Any = np.float32, rng: Rng = None) -> Tensor:
    """A tensor of independent normal numbers.

    Parameters
    ----------
    shape : int or tuple of int
    mean, std : float
    dtype : float32 or float64
        Numbers are drawn in float64 and rounded, so that both dtypes draw the same.
    rng : numpy.random.Generator, int or None
        None draws fresh entropy.

    Returns
    -------
    Tensor of `shape`

    Raises
    ------
    ValueError
        If std is negative.
    TypeError
        If dtype is not floating.
    """
    if std < 0:
        raise ValueError(f"normal: std must not be negative, got {std}")
    return constant(np.asarray(generator(rng).normal(mean, std, shape), _floating(dtype, "normal")))


def uniform(shape: Any, low: float = 0.0, high: float = 1.0, dtype: Any = np.float32, rng: Rng = None) -> Tensor:
    """A tensor of independent numbers, uniform in [low, high); see `normal` for the other arguments.

    Raises
    ------
    ValueError
        If high < low.
    """
    if high < low:
        raise ValueError(f"uniform: high must not be below low, got low={low}, high={high}")
    return constant(np.asarray(generator(rng).uniform(low, high, shape), _floating(dtype, "uniform")))


def entropy(rng: Rng) -> int:
    """The number that a family of streams is derived from.  A Generator moves on, so that it never gives one twice."""
    if isinstance(rng, np.random.Generator):
        return int.from_bytes(rng.bytes(16), "little")
    if rng is None:
        return int.from_bytes(np.random.default_rng().bytes(16), "little")
    if isinstance(rng, bool) or not isinstance(rng, (int, np.integer)):
        raise TypeError(f"rng must be a numpy.random.Generator, an int or None, got {type(rng).__name__}")
    if rng < 0:
        raise ValueError(f"rng: a seed must not be negative, got {rng}")
    return int(rng)


def stream(seed: int, name: str) -> np.random.Generator:
    """The stream of a name under a seed: the same on every machine, independent of all other names."""
    # SHA-256, since Python's own hash of a string differs from one process to the next.
    words = np.frombuffer(hashlib.sha256(name.encode()).digest()[:16], "<u4")
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=tuple(int(w) for w in words)))


def _floating(dtype: Any, who: str) -> Any:
    dtype = np.dtype(dtype)
    if dtype.kind != "f" or dtype.itemsize not in (4, 8):
        raise TypeError(f"{who}: dtype must be float32 or float64, got {dtype}")
    return dtype
