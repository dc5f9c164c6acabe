"""What every layer asks of its input, in one wording."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import Tensor
from ..autograd.primitive import as_array
from ..autograd.tensor import constant


def as_tensor(x: Any) -> Tensor:
    """A Tensor as it is; anything else as a constant."""
    return x if isinstance(x, Tensor) else constant(as_array(x))


def features(who: str, x: Any, parameter: Tensor, size: int, built_for: str) -> Tensor:
    """The input of a layer as a Tensor: floating, no wider than the layer's dtype, `size` features on its last axis.

    Raises
    ------
    TypeError
        If x is not floating, or is float64 where the layer computes in float32.
    ValueError
        If its last axis is not of that size.
    """
    t = same_dtype(who, "x", as_tensor(x), parameter)
    if not t.ndim or t.shape[-1] != size:
        got = f"{t.shape[-1]} features" if t.ndim else "no dimension"
        raise ValueError(f"{who}: x has {got}, the layer was built for {built_for}={size}; x has shape {t.shape}")
    return t


def same_dtype(who: str, name: str, x: Tensor, parameter: Tensor) -> Tensor:
    """x, if it may meet a parameter: no silent loss of precision, no silent float64."""
    if x.dtype.kind != "f":
        raise TypeError(f"{who}: {name} must be floating, got {x.dtype}; use astype({parameter.dtype})")
    if x.dtype.itemsize > parameter.dtype.itemsize:
        raise TypeError(f"{who}: {name} is {x.dtype}, the layer's parameters are {parameter.dtype}: convert the input "
                        f"with {name}.astype({parameter.dtype}), or the layer with layer.astype({x.dtype})")
    return x


def indices(who: str, name: str, ids: Any, count: int, what: str, first: int = 0) -> np.ndarray:
    """Integer ids as an int64 array, each in [0, count).

    Raises
    ------
    TypeError
        If they are not integers.
    IndexError
        Naming the position and value of the first one that is out of range; `first` is added to the position.
    """
    array = ids.data if isinstance(ids, Tensor) else np.asarray(ids)
    if array.dtype.kind not in "iu" and array.size:
        raise TypeError(f"{who}: {name} must be integers, got dtype {array.dtype}")
    array = array.astype(np.int64, copy=False)
    if array.size and (array.min() < 0 or array.max() >= count):
        wrong = np.argwhere((array < 0) | (array >= count))[0]
        value = array[tuple(wrong)]
        position = int(wrong[0]) + first if array.ndim == 1 else tuple(map(int, wrong))
        raise IndexError(f"{who}: {name} at position {position} is {value}, there are {count} {what}: 0 to {count - 1}")
    return array


def probability(who: str, p: float, name: str = "p") -> float:
    """p, if it lies in [0, 1]."""
    if not 0 <= p <= 1:
        raise ValueError(f"{who}: {name} must be a probability, between 0 and 1, got {p}")
    return float(p)


def positive(who: str, **sizes: int) -> None:
    """ValueError naming the first argument that is not an integer of at least 1."""
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, (int, np.integer)):
            raise TypeError(f"{who}: {name} must be an int, got {type(size).__name__}")
        if size < 1:
            raise ValueError(f"{who}: {name} must be at least 1, got {size}")
