"""Axis arguments: checked, counted, and put back after a reduction."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .shapes import broadcast_to, reshape

SMALL = 4096    # elements: up to here writing them is quicker than making a view


def normalised(axis: Any, ndim: int, who: str) -> tuple[int, ...]:
    """An axis argument as sorted non-negative ints: None means all, an int one, a sequence several.

    Raises IndexError for an axis that does not exist, ValueError for one named twice, TypeError for what is no int.
    """
    if axis is None:
        return tuple(range(ndim))
    axes = tuple(axis) if isinstance(axis, (tuple, list)) else (axis,)
    found = tuple(sorted(one_axis(a, ndim, who) for a in axes))
    if len(set(found)) < len(found):
        raise ValueError(f"{who}: axis {axis} names a dimension twice")
    return found


def reduced(axis: Any, ndim: int, who: str) -> int | tuple[int, ...] | None:
    """The same in the form that reductions' kernels are quickest with: None for all, one int, or several."""
    if axis is None:
        return None
    axes = normalised(axis, ndim, who)
    return axes[0] if len(axes) == 1 else axes


def over(kernel: Any, x: Any, axis: Any, keepdims: bool, who: str) -> Any:
    """A reduction's kernel over checked axes; over one or all it is quickest without keepdims."""
    axis = reduced(axis, x.ndim, who)
    if not keepdims or isinstance(axis, tuple):
        return kernel(x, axis, keepdims)
    shape = (1,) * x.ndim if axis is None else (*x.shape[:axis], 1, *x.shape[axis + 1:])
    return kernel(x, axis).reshape(shape)       # with a 1 for each reduced axis


def one_axis(axis: Any, ndim: int, who: str) -> int:
    """One axis as a non-negative int; errors as in `normalised`."""
    try:
        index = int(axis.__index__())
    except (AttributeError, TypeError):
        raise TypeError(f"{who}: axis must be an int, got {axis!r}") from None
    if not -ndim <= index < ndim:
        raise IndexError(f"{who}: axis {index} is out of range for a tensor of {ndim} dimensions")
    return index % ndim


def spread(g: Any, like: Any, axis: Any, keepdims: bool) -> Any:
    """Put a reduction's gradient back over the axes that it reduced; large arrays as a view, nothing is copied."""
    if not keepdims and axis is not None:
        axes = normalised(axis, like.ndim, "spread")
        g = reshape(g, tuple(1 if k in axes else n for k, n in enumerate(like.shape)))
    if isinstance(g, (np.ndarray, np.generic)) and math.prod(like.shape) < SMALL:
        result = np.empty(like.shape, g.dtype)
        result[...] = g
        return result
    return broadcast_to(g, like.shape)


def count(shape: tuple[int, ...], axis: Any) -> int:
    """How many elements each result of a reduction sums up."""
    if axis is None:
        return math.prod(shape)
    return math.prod(shape[a] for a in normalised(axis, len(shape), "count"))


def not_empty(x: np.ndarray, axis: Any, who: str) -> None:
    """ValueError if there is nothing along a reduced axis."""
    for a in normalised(axis, x.ndim, who):
        if x.shape[a] == 0:
            raise ValueError(f"{who}: axis {a} of shape {x.shape} has size 0, and nothing has no extreme")
