"""Order: sorting, the k largest, and the running maximum.

NaN is larger than every number, -0 and 0 are equal, and of equal elements the earlier one comes first, also when
falling.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import kernels
from ..primitive import case, primitive, reals
from .along import scatter, scatter_add
from .axes import one_axis

LINES = [case((3, 4)), case((5, 3), axis=0), case((2, 5, 3), axis=1, descending=True), case((6,), descending=True),
         case((3, 0)), case((0, 3)), case((4, 1)), case((2, 3), axis=-2)]


def _np_order(x: np.ndarray, axis: int = -1, descending: bool = False) -> np.ndarray:
    """Positions by Python's sort, which keeps the order of equals."""
    def order(line: np.ndarray) -> np.ndarray:
        return np.array(sorted(range(len(line)), key=lambda k: -line[k] if descending else line[k]), np.int64)

    return np.apply_along_axis(order, axis, x) if x.size else np.zeros(x.shape, np.int64)


def _lines(x: np.ndarray, axis: int, who: str) -> tuple[np.ndarray, int]:
    """x with the axis last, and which one it is."""
    axis = one_axis(axis, x.ndim, who)
    return np.moveaxis(x, axis, -1), axis


def _sort_rule(g: Any, _y: Any, x: Any, axis: int = -1, descending: bool = False) -> Any:
    """Each gradient goes back to where its element came from."""
    order = argsort(np.asarray(x), axis, descending)
    return scatter(np.zeros(g.shape, g.dtype), order, g, axis)


@primitive(rules=[_sort_rule], kind="structural", domain=[reals()], cases=LINES,
           oracle=lambda x, axis=-1, descending=False: np.take_along_axis(x, _np_order(x, axis, descending), axis))
def sort(x: Any, axis: int = -1, descending: bool = False) -> Any:
    """The elements along an axis in rising or falling order.

    Raises IndexError for an axis that does not exist.
    """
    lines, axis = _lines(x, axis, "sort")
    return np.moveaxis(kernels.sort(lines, descending), -1, axis)


@primitive(rules=[None], kind="structural", domain=[reals()], oracle=_np_order, cases=LINES)
def argsort(x: Any, axis: int = -1, descending: bool = False) -> Any:
    """Positions (int64) that put an axis in rising or falling order; equal elements stay in theirs.

    Raises IndexError for an axis that does not exist.
    """
    lines, axis = _lines(x, axis, "argsort")
    return np.moveaxis(kernels.argsort(lines, descending), -1, axis)


def _returned(g: Any, y: Any, like: Any, axis: int) -> list[Any]:
    """The gradient of the values, added up where they came from."""
    return [scatter_add(np.zeros(like.shape, like.dtype), np.asarray(y[1]), g[0], axis)]


def _topk_pull(g: Any, y: Any, like: Any, k: int, axis: int = -1, largest: bool = True, *, needed: Any) -> list[Any]:
    return _returned(g, y, like, axis)


def _np_topk(x: np.ndarray, k: int, axis: int = -1, largest: bool = True) -> tuple[np.ndarray, np.ndarray]:
    order = np.take(_np_order(x, axis, largest), range(k), axis)
    return np.take_along_axis(x, order, axis), order


@primitive(pull=_topk_pull, kind="structural", domain=[reals()], oracle=_np_topk,
           cases=[case((3, 6), k=2), case((6, 3), k=4, axis=0), case((5,), k=5, largest=False), case((4,), k=0),
                  case((2, 3, 4), k=1, axis=1), case((2, 5), k=3, axis=-1, largest=False), case((0, 4), k=2)])
def topk(x: Any, k: int, axis: int = -1, largest: bool = True) -> Any:
    """The k largest (or smallest) elements along an axis, the most extreme first.

    Parameters
    ----------
    x : Tensor
    k : int, at most the size of the axis
    axis : int
    largest : bool

    Returns
    -------
    values, indices : Tensor, Tensor of int64
        x's shape with k along the axis.  Of equal elements the earlier one comes first.

    Raises
    ------
    ValueError, TypeError, IndexError
        For a k that is not between 0 and the size of the axis, or no int, or an axis that does not exist.
    """
    lines, axis = _lines(x, axis, "topk")
    try:
        count = int(k.__index__())
    except AttributeError:
        raise TypeError(f"topk: k must be an int, got {type(k).__name__}") from None
    if not 0 <= count <= lines.shape[-1]:
        raise ValueError(f"topk: k must lie between 0 and {lines.shape[-1]}, the size of axis {axis}, got {k}")
    values, indices = kernels.topk(lines, count, bool(largest))
    return np.moveaxis(values, -1, axis), np.moveaxis(indices, -1, axis)


def _np_cummax(x: np.ndarray, axis: int = -1) -> tuple[np.ndarray, np.ndarray]:
    lines, indices = np.moveaxis(x, axis, -1), np.zeros(np.moveaxis(x, axis, -1).shape, np.int64)
    for place in np.ndindex(lines.shape[:-1]):
        best = 0
        for k, value in enumerate(lines[place]):
            best = k if value >= lines[place][best] else best
            indices[(*place, k)] = best
    indices = np.moveaxis(indices, -1, axis)
    return np.take_along_axis(x, indices, axis), indices


def _cummax_pull(g: Any, y: Any, like: Any, axis: int = -1, *, needed: Any) -> list[Any]:
    return _returned(g, y, like, axis)


@primitive(pull=_cummax_pull, kind="structural", domain=[reals()], oracle=_np_cummax,
           cases=[case((3, 6)), case((6, 3), axis=0), case((2, 3, 4), axis=1), case((5,)), case((0, 3)), case((3, 1))])
def cummax(x: Any, axis: int = -1) -> Any:
    """The largest of the first 1, 2, ... elements along an axis, and where it is.

    Returns
    -------
    values, indices : Tensor, Tensor of int64
        Of x's shape.  Of equal elements the last one counts, PyTorch's choice; a NaN stays the largest.

    Raises IndexError for an axis that does not exist.
    """
    axis = one_axis(axis, x.ndim, "cummax")
    values = np.maximum.accumulate(x, axis)
    along: Sequence[int] = [-1 if k == axis else 1 for k in range(x.ndim)]
    positions = np.arange(x.shape[axis]).reshape(along)     # (size,) -> (1, ..., size, ..., 1)
    reached = (x == values) | np.isnan(x)
    return values, np.maximum.accumulate(np.where(reached, positions, 0), axis)
