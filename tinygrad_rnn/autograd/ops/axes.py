"""Axis arguments: checked, counted, and put back after a reduction."""

from __future__ import annotations

import numpy as np

from ..primitive import as_array
from .shapes import broadcast_to, expand_dims


def normalised(axis, ndim, who):
    """An axis argument as a sorted tuple of non-negative ints; IndexError or ValueError where it makes no sense."""
    axes = range(ndim) if axis is None else axis if isinstance(axis, (tuple, list)) else (axis,)
    found = []
    for a in axes:
        a = a.__index__()
        if not -ndim <= a < max(ndim, 1):
            raise IndexError(f"{who}: axis {a} is out of range for a tensor of {ndim} dimensions")
        found.append(a % ndim if ndim else 0)
    if len(set(found)) < len(found):
        raise ValueError(f"{who}: axis {axis} names a dimension twice")
    return tuple(sorted(found))


def spread(g, like, axis, keepdims):
    """Put a reduction's gradient back over the axes that it reduced; a view, nothing is copied."""
    if not keepdims:
        for a in normalised(axis, like.ndim, "sum"):
            if g.ndim < like.ndim:
                g = expand_dims(g, a)
    return broadcast_to(g, like.shape)


def count(x, axis):
    """How many elements each result of a reduction sums up."""
    return int(np.prod([x.shape[a] for a in normalised(axis, x.ndim, "mean") if x.ndim], dtype=np.int64))


def first_if_none(axis):
    return 0 if axis is None else axis


def not_empty(x, axis, who):
    """The array; ValueError if it has nothing along a reduced axis."""
    x = as_array(x)
    for a in normalised(axis, x.ndim, who):
        if x.ndim and x.shape[a] == 0:
            raise ValueError(f"{who}: axis {a} has size 0, and nothing has no {who[-3:]}imum")
    return x
