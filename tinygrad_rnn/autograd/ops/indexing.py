"""Reading by index, and the adding by index that is its derivative."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ... import kernels
from ..pieces import Pieces
from ..primitive import Domain, as_array, case, operand, primitive, reals
from .arithmetic import where
from .axes import one_axis
from .comparison import equal
from .dtypes import paired
from .shapes import reshape


# ---- any index ------------------------------------------------------------------------------------------------------
def plain(index: Any) -> Any:
    """An index with its Tensors as arrays."""
    if isinstance(index, tuple):
        return tuple(map(plain, index))
    return np.asarray(index) if hasattr(index, "numpy") else index


def is_basic(index: Any) -> bool:
    """Does an index pick a view, so that it holds no arrays?"""
    if type(index) is slice or type(index) is int:      # the common cases first
        return True
    parts = index if isinstance(index, tuple) else (index,)
    return all(isinstance(i, (int, np.integer, slice, type(None), type(Ellipsis))) and not isinstance(i, bool)
               for i in parts)


@primitive(rules=[lambda g, _y, like, index: _index_rule(g, like, index)], kind="structural", name="index",
           oracle=lambda x, index: x[index], domain=[reals()],
           cases=[case((4, 5), index=2), case((4, 5), index=(slice(1, 3), -1)), case((4, 5), index=(Ellipsis, None, 2)),
                  case((4, 5), index=(slice(None, None, -2),)), case((4, 5), index=(np.array([0, 2, 2]),)),
                  case((4, 5), index=(slice(None), np.array([[1, 1], [0, -1]]))), case((), index=()),
                  case((4, 5), index=(np.array([0, 3]), np.array([1, 1]))), case((0, 3), index=(slice(None), 1)),
                  case((4,), index=(np.array([True, False, True, True]),)), case((4, 5), index=np.array([2, -1, 2])),
                  case((2, 3, 4), index=(0, slice(None), np.array([3, 3]))), case((4, 3), index=[0, 0])])
def getitem(x: Any, index: Any) -> Any:
    """x[index], basic or advanced; an element that is read twice gets both gradients.

    Raises IndexError for what is no index, or out of range.
    """
    x = as_array(x)
    try:
        return x[plain(index)]
    except IndexError as error:
        raise IndexError(f"index: {error}; the tensor has shape {x.shape}") from None


def _index_rule(g: Any, like: Any, index: Any) -> Any:
    """A view's gradient waits for those of other views of the same tensor; whatever is read twice is added at once."""
    if is_basic(index):
        return Pieces([(index, g)], like.shape, like.dtype, assembled)
    return scattered(g, like.shape, index)


def _np_scattered(values: np.ndarray, shape: tuple[int, ...], index: Any) -> np.ndarray:
    out = np.zeros(shape, values.dtype)
    np.add.at(out, index, values)
    return out


@primitive(rules=[lambda g, _y, _values, shape, index: getitem(g, index)], kind="structural", oracle=_np_scattered,
           domain=[reals()],
           cases=[case((5,), arguments=((4, 5), 2)), case((3, 5), arguments=((4, 5), np.array([0, 2, 2]))),
                  case((2,), arguments=((4, 5), (slice(1, 3), -1))),
                  case((0, 5), arguments=((4, 5), np.zeros(0, int)))])
def scattered(values: Any, shape: tuple[int, ...], index: Any) -> Any:
    """Zeros of a shape with values added at an index: the transpose of reading there."""
    out, index = np.zeros(shape, values.dtype), plain(index)
    if is_basic(index):
        out[index] = values
    elif out.ndim and isinstance(index, np.ndarray) and index.dtype.kind in "iu":
        kernels.scatter_add(out, index, values)
    else:
        np.add.at(out, index, values)
    return out


def _np_assembled(*values: np.ndarray, shape: tuple[int, ...], indices: tuple[Any, ...]) -> np.ndarray:
    total: np.ndarray = np.sum([_np_scattered(v, shape, index) for v, index in zip(values, indices)], axis=0)
    return total


def _assembled_pull(g: Any, _y: Any, *_values: Any, needed: Any, shape: tuple[int, ...], indices: Any) -> list[Any]:
    return [getitem(g, index) if wanted else None for index, wanted in zip(indices, needed)]


@primitive(pull=_assembled_pull, kind="structural", oracle=_np_assembled, domain=[reals()],
           cases=[case((2, 3), (1, 3), (3,), shape=(4, 3), indices=(slice(2), slice(2, 3), -1)),
                  case((2,), (2, 2), shape=(2, 3), indices=((Ellipsis, 2), (slice(None), slice(0, 2)))),
                  case((3,), (2,), (), shape=(5,), indices=(slice(3), slice(1, 3), 4)),
                  case((2,), (), shape=(3,), indices=(slice(2, None, -2), 1)), case((), shape=(), indices=((),))])
def assembled(*values: Any, shape: tuple[int, ...], indices: tuple[Any, ...]) -> Any:
    """Zeros of a shape with each of several values added at its basic index: the transpose of reading at them all."""
    if _tile(shape, indices):
        out = np.empty(shape, np.result_type(*values))
        for value, index in zip(values, indices):
            out[index] = value
    else:
        out = np.zeros(shape, np.result_type(*values))
        for value, index in zip(values, indices):
            out[index] += value
    return out


def _tile(shape: tuple[int, ...], indices: tuple[Any, ...]) -> bool:
    """Are these sections of one axis that cover it, without gap or overlap?"""
    only, sections = None, []
    for index in indices:
        axis, part = 0, index
        if isinstance(index, tuple):
            *before, part = index or (None,)
            axis = len(shape) - 1 if before == [Ellipsis] else len(before)
            if before != [Ellipsis] and before.count(slice(None)) < len(before):
                return False
        if isinstance(part, (int, np.integer)):
            part = slice(part, part + 1 or None)
        if not isinstance(part, slice) or axis != (axis if only is None else only):
            return False
        start, stop, step = part.indices(shape[axis])
        if step != 1:
            return False
        only = axis
        sections.append((start, stop))
    sections.sort()
    end = 0
    for start, stop in sections:
        if start != end or stop < start:
            return False
        end = stop
    return only is not None and end == shape[only]


# ---- writing at an index ---------------------------------------------------------------------------------------------
def _np_assigned(x: np.ndarray, values: np.ndarray, index: Any) -> np.ndarray:
    out = np.array(x)
    for position, value in zip(*(np.ravel(a) for a in np.broadcast_arrays(np.arange(x.size).reshape(x.shape)[index],
                                                                          values))):
        out.flat[position] = value
    return out


@primitive(rules=[lambda g, _y, _x, _values, index: assigned(g, 0.0, index),
                  lambda g, _y, _x, _values, index: _last_written(g, index)], kind="structural", name="setitem",
           oracle=_np_assigned, domain=[reals(), reals()],
           cases=[case((4, 5), (5,), index=2), case((4, 5), (2,), index=(slice(1, 3), -1)), case((4, 5), (), index=...),
                  case((4, 5), (3, 5), index=np.array([0, 2, 2])), case((4, 5), (5,), index=np.array([1, 1])),
                  case((4,), (3,), index=np.array([True, False, True, True])), case((), (), index=()),
                  case((4, 5), (2, 1), index=(np.array([0, 3]), slice(None, None, 2))), case((4, 5), (0, 5), index=[])])
def assigned(x: Any, values: Any, index: Any) -> Any:
    """A copy of x with x[index] = values: what `t[index] = v` does in place.

    Of several values for one element the last stands, and it alone gets a gradient.
    """
    out = np.array(x)
    out[index] = values
    return out


def _last_written(g: Any, index: Any) -> Any:
    """g[index], and 0 for what was overwritten by a later value."""
    read = getitem(g, index)
    parts = index if isinstance(index, tuple) else (index,)
    if all(is_basic(i) or np.asarray(i).dtype == np.bool_ for i in parts):
        return read
    number = np.arange(math.prod(read.shape)).reshape(read.shape)
    last = np.zeros(g.shape, np.int64)
    last[index] = number
    return where(equal(last[index], number), read, 0.0)


# ---- rows and positions along an axis -------------------------------------------------------------------------------
def take(x: Any, indices: Any, axis: int | None = None) -> Any:
    """Elements at integer positions along an axis; the shape of indices stands in its place.

    Parameters
    ----------
    x : Tensor
    indices : integers of any shape
        Negative ones count from the end.
    axis : int or None
        None: of x flattened.

    Raises
    ------
    IndexError
        For a position or an axis that does not exist.
    TypeError
        For indices that are not integers.
    """
    x, indices = operand(x), as_indices(indices, "take")
    if axis is None:
        return rows(reshape(x, (-1,)), indices)         # (...) -> (size,)
    axis = one_axis(axis, x.ndim, "take")
    return rows(x, indices) if axis == 0 else getitem(x, (slice(None),) * axis + (indices,))


@primitive(rules=[lambda g, _y, like, indices: scattered(g, like.shape, indices)], kind="structural", name="take",
           oracle=lambda table, indices: np.take(table, indices, 0), domain=[reals()],
           cases=[case((4, 5), indices=np.array([0, 2, 2])), case((4, 5), indices=np.array([[1, 0], [3, -1]])),
                  case((4, 5), indices=np.zeros(0, int)), case((4,), indices=np.array([1, 1])),
                  case((4, 2, 3), indices=np.array(2))])
def rows(table: Any, indices: Any) -> Any:
    """Rows of a table, table[indices]: what an embedding reads.  Negative indices count from the end."""
    return kernels.take_rows(table, as_indices(indices, "take"))


def _np_index_add(x: np.ndarray, indices: np.ndarray, values: np.ndarray, axis: int = 0) -> np.ndarray:
    out = np.moveaxis(np.array(x), axis, 0)
    np.add.at(out, indices, np.moveaxis(values, axis, 0))
    return np.moveaxis(out, 0, axis)


@primitive(rules=[lambda g, _y, _x, _indices, _values, axis=0: g, None,
                  lambda g, _y, _x, indices, _values, axis=0: take(g, indices, axis)], kind="structural",
           oracle=_np_index_add, domain=[reals(), Domain(0, 1, dtype="int64"), reals()],
           cases=[case((3, 4), (5,), (5, 4)), case((4, 3), (2,), (4, 2), axis=1), case((4, 2), (3,), (4, 3), axis=-1),
                  case((2,), (0,), (0,)), case((2,), (3,), (3,))])
def index_add(x: Any, indices: Any, values: Any, axis: int = 0) -> Any:
    """x with values[k] added at position indices[k] along an axis; duplicates add up.

    Parameters
    ----------
    x : Tensor
    indices : (K,) integers
        Negative ones count from the end.
    values : Tensor
        K along axis, elsewhere x's shape.
    axis : int

    Raises
    ------
    ValueError, TypeError, IndexError
        For shapes that do not fit, indices that are not integers, or not positions on the axis.
    """
    x, values = paired(as_array(x), as_array(values))
    indices, axis = as_indices(indices, "index_add"), one_axis(axis, x.ndim, "index_add")
    if indices.ndim != 1:
        raise ValueError(f"index_add: indices must have one dimension, got shape {indices.shape}")
    expected = (*x.shape[:axis], len(indices), *x.shape[axis + 1:])
    if values.shape != expected:
        raise ValueError(f"index_add: values must have shape {expected}: {len(indices)} along axis {axis}, elsewhere "
                         f"that of x; got {values.shape}")
    out = np.array(np.moveaxis(x, axis, 0), np.result_type(x, values), order="C")
    kernels.scatter_add(out, indices, np.moveaxis(values, axis, 0).astype(out.dtype, copy=False))
    return np.moveaxis(out, 0, axis)


def masked_fill(x: Any, mask: Any, value: Any) -> Any:
    """x with `value` where mask holds; no gradient of x flows there.  Shapes broadcast; value is a number or a Tensor.

    Raises TypeError unless mask is of bools.
    """
    mask = operand(mask)
    if mask.dtype != np.bool_:
        raise TypeError(f"masked_fill: mask must be of bools, got dtype {mask.dtype}")
    return where(mask, value, x)


@primitive(rules=[None], kind="structural", oracle=np.nonzero, domain=[Domain(0, 1, dtype="int64")],
           cases=[case((7,)), case((3, 4)), case((2, 3, 2)), case((0, 2)), case((1,))])
def nonzero(x: Any) -> Any:
    """Where x is not 0: a tuple of int64 Tensors, one an axis, in C order.  ValueError for a number."""
    if not x.ndim:
        raise ValueError("nonzero: a tensor without dimensions has no positions")
    return np.nonzero(x)


def as_indices(indices: Any, who: str) -> np.ndarray:
    """Integers as an int64 array; TypeError for anything else."""
    array = np.asarray(plain(indices))
    if array.dtype.kind not in "iu" and (array.size or array.dtype.kind != "f"):    # to NumPy, [] holds floats
        raise TypeError(f"{who}: indices must be integers, got dtype {array.dtype}")
    return array.astype(np.int64, copy=False)
