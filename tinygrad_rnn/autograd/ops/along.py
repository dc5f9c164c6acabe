"""Reading and writing along an axis, each line at positions of its own."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ... import kernels
from ..primitive import Domain, as_array, case, primitive, reals
from .axes import one_axis
from .dtypes import paired
from .indexing import as_indices

PLACES = Domain(0, 2, dtype="int64")


def _places(who: str, shape: tuple[int, ...], indices: np.ndarray, axis: int) -> tuple[np.ndarray, ...]:
    """The full index of the elements at `indices` along an axis, elsewhere where the indices themselves stand.

    IndexError for a position that is not on the axis.
    """
    size = shape[axis]
    if indices.size and not -size <= indices.min() <= indices.max() < size:
        wrong = indices[(indices < -size) | (indices >= size)].flat[0]
        raise IndexError(f"{who}: index {wrong} is out of range for axis {axis} of size {size}; the tensor has shape "
                         f"{shape}")
    places: list[np.ndarray] = list(np.ogrid[tuple(map(slice, indices.shape))]) if indices.ndim else []
    places[axis] = indices
    return tuple(places)


# ---- reading --------------------------------------------------------------------------------------------------------
def _take_rule(g: Any, _y: Any, like: Any, indices: Any, axis: int = -1) -> Any:
    axis = one_axis(axis, like.ndim, "take_along_axis")
    full = np.broadcast_to(as_array(indices), g.shape)
    return scatter_add(np.zeros(like.shape, like.dtype), full, g, axis)


@primitive(rules=[_take_rule, None], kind="structural", domain=[reals(), PLACES],
           oracle=lambda x, indices, axis=-1: np.take_along_axis(x, indices, axis),
           cases=[case((3, 4), (3, 2)), case((3, 4), (2, 4), axis=0), case((3, 2, 4), (3, 2, 5), axis=2),
                  case((5,), (7,)), case((3, 4), (1, 4), axis=0), case((3, 4), (1, 2), axis=-1), case((0, 3), (0, 2)),
                  case((3, 4), (3, 0))])
def take_along_axis(x: Any, indices: Any, axis: int = -1) -> Any:
    """Elements at positions along an axis, other ones in each line: PyTorch's `gather`.

    Parameters
    ----------
    x : Tensor
    indices : integers, as many dimensions as x
        Elsewhere than along the axis of x's size, or 1, which then stands for all.  Negative ones count from the end.
    axis : int

    Returns
    -------
    Tensor of the shape of indices, broadcast

    Raises
    ------
    ValueError, TypeError, IndexError
        For shapes that do not fit, indices that are not integers, or not positions on the axis.
    """
    indices, axis = as_indices(indices, "take_along_axis"), one_axis(axis, x.ndim, "take_along_axis")
    if indices.ndim != x.ndim or any(n not in (1, m) for k, (n, m) in enumerate(zip(indices.shape, x.shape))
                                     if k != axis):
        raise ValueError(f"take_along_axis: indices must have x's shape but along axis {axis}, or sizes of 1; got "
                         f"indices {indices.shape} and x {x.shape}")
    shape = tuple(indices.shape[k] if k == axis else n for k, n in enumerate(x.shape))
    return x[_places("take_along_axis", x.shape, np.broadcast_to(indices, shape), axis)]


# ---- writing --------------------------------------------------------------------------------------------------------
def _flat(who: str, shape: tuple[int, ...], indices: np.ndarray, axis: int) -> np.ndarray:
    """The same as positions in the flattened tensor, in C order, which says what is written first."""
    places = (np.where(p < 0, p + n, p) for p, n in zip(_places(who, shape, indices, axis), shape))
    return np.ravel_multi_index(tuple(np.broadcast_arrays(*places)), shape).reshape(-1) if indices.size else indices


def _prepared(who: str, x: Any, indices: Any, values: Any, axis: int) -> tuple[np.ndarray, Any, np.ndarray]:
    """A copy of x to write to, the values, and where they go in both when flat."""
    x, values = paired(as_array(x), as_array(values))
    indices, axis = as_indices(indices, who), one_axis(axis, x.ndim, who)
    if indices.ndim != x.ndim or any(n > m for k, (n, m) in enumerate(zip(indices.shape, x.shape)) if k != axis):
        raise ValueError(f"{who}: indices must have x's dimensions, and but along axis {axis} be no larger; got "
                         f"indices {indices.shape} and x {x.shape}")
    if values.ndim and values.shape != indices.shape:
        raise ValueError(f"{who}: indices and values must have one shape, got {indices.shape} and {values.shape}")
    out = np.array(x, np.result_type(x, values), order="C")
    flat = _flat(who, x.shape, indices, axis).reshape(-1)
    return out, np.broadcast_to(values, indices.shape).reshape(-1), flat


def _last_writer(like: Any, indices: np.ndarray, axis: int) -> np.ndarray:
    """Of the elements of indices: is it the last that is written to its place?"""
    numbers, flat = np.arange(indices.size), _flat("scatter", like.shape, indices, axis).reshape(-1)
    winner = np.zeros(like.size, np.int64)
    winner[flat] = numbers
    return np.asarray(winner[flat] == numbers).reshape(indices.shape)


def _scatter_kept(g: Any, _y: Any, _x: Any, indices: Any, _values: Any, axis: int = 0) -> Any:
    """What was overwritten gets nothing."""
    return scatter(g, indices, np.zeros((), g.dtype), axis)


def _scatter_written(g: Any, _y: Any, _x: Any, indices: Any, _values: Any, axis: int = 0) -> Any:
    """What was written reads the gradient at its place; what was written over there later, nothing."""
    indices = as_array(indices)
    last = _last_writer(g, indices, one_axis(axis, g.ndim, "scatter"))
    return _read(g, indices, axis) * last.astype(g.dtype)


def _np_written(x: np.ndarray, indices: np.ndarray, values: np.ndarray, axis: int = 0, adds: bool = False) -> Any:
    """One element after the other."""
    out = np.array(x)
    for place in np.ndindex(indices.shape):
        target = (*place[:axis % x.ndim], indices[place], *place[axis % x.ndim + 1:])
        value = values[place] if values.ndim else values
        out[target] = out[target] + value if adds else value
    return out


WRITES = [case((3, 4), (2, 4), (2, 4)), case((4, 3), (4, 2), (4, 2), axis=1), case((4, 3), (2, 5), (2, 5), axis=-1),
          case((3, 2), (1, 1), (1, 1)), case((4, 3), (2, 2), (2, 2), axis=1), case((5,), (4,), (4,)),
          case((3, 2), (0, 2), (0, 2)), case((3, 4), (3, 4), ())]


@primitive(rules=[_scatter_kept, None, _scatter_written], kind="structural", domain=[reals(), PLACES, reals()],
           oracle=_np_written, cases=WRITES)
def scatter(x: Any, indices: Any, values: Any, axis: int = 0) -> Any:
    """x with values written at positions along an axis; of several for one place, the last one in C order stays.

    Parameters
    ----------
    x : Tensor
    indices : integers, as many dimensions as x
        Elsewhere than along the axis no larger than x: positions count from 0 there, as PyTorch's.
    values : Tensor
        Of the shape of indices, or one number.
    axis : int

    Raises
    ------
    ValueError, TypeError, IndexError
        For shapes that do not fit, indices that are not integers, or not positions on the axis.
    """
    out, values, flat = _prepared("scatter", x, indices, values, axis)
    out.reshape(-1)[flat] = values      # a view: out is contiguous
    return out


@primitive(rules=[lambda g, _y, _x, _indices, _values, axis=0: g, None,
                  lambda g, _y, _x, indices, _values, axis=0: _read(g, indices, axis)], kind="structural",
           domain=[reals(), PLACES, reals()], oracle=partial(_np_written, adds=True), cases=WRITES)
def scatter_add(x: Any, indices: Any, values: Any, axis: int = 0) -> Any:
    """x with values added at positions along an axis; duplicates add up.  Arguments and errors are `scatter`'s."""
    out, values, flat = _prepared("scatter_add", x, indices, values, axis)
    if values.size:
        kernels.scatter_add(out.reshape(-1), flat, values.astype(out.dtype, copy=False))
    return out


def _read(g: Any, indices: Any, axis: int) -> Any:
    """The elements of g at the places that indices write to."""
    indices, axis = as_array(indices), one_axis(axis, g.ndim, "scatter_add")
    corner = g[tuple(slice(m if k == axis else n) for k, (n, m) in enumerate(zip(indices.shape, g.shape)))]
    return take_along_axis(corner, indices, axis)
