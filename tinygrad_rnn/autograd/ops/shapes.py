"""Operations that only move elements: reshaping and reordering.

Results share memory with their argument where NumPy's do: nothing writes into a Tensor.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import Any

import numpy as np

from ..primitive import case, operand, primitive, reals


@primitive(rules=[lambda g, _y, like, shape: reshape(g, like.shape)], kind="structural", oracle=np.reshape,
           domain=[reals()], cases=[case((3, 4), shape=(2, 6)), case((3, 4), shape=(-1,)), case((), shape=(1, 1)),
                                    case((0, 3), shape=(3, 0)), case((6,), shape=6)])
def reshape(x: Any, shape: int | Sequence[int]) -> Any:
    """The same elements in C order under another shape; one size may be -1."""
    try:
        return x.reshape(shape)
    except ValueError:
        raise ValueError(f"reshape: {x.size} elements of shape {x.shape} do not fit shape {shape}") from None


@primitive(rules=[lambda g, _y, like, axes: permute_dims(g, _inverse(axes, like.ndim))], kind="structural",
           oracle=np.transpose, domain=[reals()],
           cases=[case((2, 3, 4), axes=(2, 0, 1)), case((3, 4), axes=(1, 0)), case((2, 3, 4), axes=(-1, 0, 1)),
                  case((), axes=())])
def permute_dims(x: Any, axes: Sequence[int]) -> Any:
    """The axes in another order: result axis k is x's axis axes[k].  ValueError unless each stands there once."""
    if sorted(index(a) % x.ndim if -x.ndim <= a < x.ndim else -1 for a in axes) != list(range(x.ndim)):
        raise ValueError(f"permute_dims: axes must name each of {x.ndim} dimensions once, got {tuple(axes)}; "
                         f"the tensor has shape {x.shape}")
    return x.transpose(axes)


def _inverse(axes: Sequence[int], ndim: int) -> tuple[int, ...]:
    """The order that puts permuted axes back."""
    return tuple(sorted(range(ndim), key=lambda k: axes[k] % ndim))


def swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    """Exchange two axes.  IndexError for one that does not exist."""
    x = operand(x)
    axes = list(range(x.ndim))
    for axis in (axis1, axis2):
        if not -x.ndim <= axis < x.ndim:
            raise IndexError(f"swapaxes: axis {axis} is out of range for a tensor of shape {x.shape}")
    axes[axis1], axes[axis2] = axes[axis2], axes[axis1]
    return permute_dims(x, tuple(axes))


def matrix_transpose(x: Any) -> Any:
    """Exchange the last two axes.  ValueError for fewer than two."""
    x = operand(x)
    if x.ndim < 2:
        raise ValueError(f"matrix_transpose: at least 2 dimensions are needed, got shape {x.shape}")
    return swapaxes(x, -1, -2)


@primitive(rules=[lambda g, _y, like, axis: reshape(g, like.shape)], kind="structural", oracle=np.squeeze,
           domain=[reals()], cases=[case((3, 1, 2), axis=1), case((1, 3, 1), axis=(0, -1)), case((3, 1), axis=())])
def squeeze(x: Any, axis: int | Sequence[int]) -> Any:
    """Drop axes of size 1.  ValueError if one is larger, IndexError if one does not exist."""
    axes = tuple(axis) if isinstance(axis, (tuple, list)) else (axis,)
    for a in axes:
        if not -x.ndim <= index(a) < x.ndim:
            raise IndexError(f"squeeze: axis {a} is out of range for a tensor of shape {x.shape}")
        if x.shape[a] != 1:
            raise ValueError(f"squeeze: axis {a} has size {x.shape[a]}, only axes of size 1 can go; the tensor has "
                             f"shape {x.shape}")
    return np.squeeze(x, axes)


@primitive(rules=[lambda g, _y, like, axis=0: reshape(g, like.shape)], kind="structural", oracle=np.expand_dims,
           domain=[reals()], cases=[case((3, 2), axis=1), case((3, 2), axis=-1), case((3,), axis=-2), case((), axis=0)])
def expand_dims(x: Any, axis: int = 0) -> Any:
    """A new axis of size 1 before position `axis`.  IndexError outside [-ndim - 1, ndim]."""
    if not -x.ndim - 1 <= axis <= x.ndim:
        raise IndexError(f"expand_dims: axis {axis} is out of range for {x.ndim + 1} dimensions; the tensor has shape "
                         f"{x.shape}")
    axis %= x.ndim + 1
    return x.reshape(*x.shape[:axis], 1, *x.shape[axis:])       # (..., ...) -> (..., 1, ...)


@primitive(rules=[lambda g, _y, _x, shape: g], kind="structural", oracle=np.broadcast_to, domain=[reals()],
           cases=[case((3, 1), shape=(2, 3, 4)), case((), shape=(2, 2)), case((3,), shape=(3,)),
                  case((3, 1), shape=(3, 0))])
def broadcast_to(x: Any, shape: int | Sequence[int]) -> Any:
    """Repeat x, without copying, to a shape that it broadcasts to; ValueError if it does not."""
    # The engine sums the gradient back to the argument's shape.
    try:
        return np.broadcast_to(x, shape)
    except ValueError:
        raise ValueError(f"broadcast_to: a tensor of shape {x.shape} does not broadcast to {shape}: each axis, counted "
                         "from the last, must have the size wanted or 1") from None


@primitive(rules=[lambda g, _y, _x, axis=None: flip(g, axis)], kind="structural", oracle=np.flip, domain=[reals()],
           cases=[case((3, 4)), case((3, 4), axis=0), case((3, 4), axis=(0, -1)), case((0, 2), axis=0)])
def flip(x: Any, axis: int | tuple[int, ...] | None = None) -> Any:
    """Reverse the order along an axis, several, or all."""
    return np.flip(x, axis)


@primitive(rules=[lambda g, _y, like, dtype: astype(g, like.dtype)], kind="structural",
           oracle=lambda x, dtype: x.astype(dtype), domain=[reals()],
           cases=[case((2, 3), dtype=np.float64), case((2, 3), dtype="float32")])
def astype(x: Any, dtype: Any) -> Any:
    """A copy with another dtype (bool, int, float32 or float64); the gradient comes back in the old one."""
    if np.dtype(dtype).kind not in "biuf" or np.dtype(dtype) == np.float16:
        raise TypeError(f"astype: dtype must be bool, an integer, float32 or float64, got {np.dtype(dtype)}")
    return x.astype(dtype)


@primitive(rules=[lambda g, _y, _x: g], kind="structural", oracle=np.array, domain=[reals()],
           cases=[case((2, 3)), case(())])
def copy(x: Any) -> Any:
    """A copy."""
    return x.copy()
