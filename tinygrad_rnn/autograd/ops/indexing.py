"""Reading by index, and the adding by index that is its derivative."""

from __future__ import annotations

import numpy as np

from ... import kernels
from ..primitive import Domain, as_array, case, primitive, reals
from .arithmetic import where


def plain(index):
    """An index with its Tensors as arrays."""
    if isinstance(index, tuple):
        return tuple(plain(i) for i in index)
    data = getattr(index, "data", None) if not isinstance(index, np.ndarray) else None
    return data if isinstance(data, np.ndarray) else index


def _is_basic(index):
    parts = index if isinstance(index, tuple) else (index,)
    return all(i is None or i is Ellipsis or isinstance(i, (int, np.integer, slice)) for i in parts)


@primitive(rules=[lambda g, _y, x, index: scattered(g, x.shape, index)], kind="structural",
           oracle=lambda x, index: x[index], domain=[reals()],
           cases=[case((4, 5), index=2), case((4, 5), index=(slice(1, 3), -1)), case((4, 5), index=(Ellipsis, None, 2)),
                  case((4, 5), index=(slice(None, None, -2),)), case((4, 5), index=(np.array([0, 2, 2]),)),
                  case((4, 5), index=(slice(None), np.array([[1, 1], [0, -1]]))),
                  case((4, 5), index=(np.array([0, 3]), np.array([1, 1]))), case((4,), index=(np.array([True, False, True, True]),))])
def getitem(x, index):
    """x[index], basic or advanced; an element read twice gets both gradients."""
    x = as_array(x)
    try:
        return x[plain(index)]
    except IndexError as error:
        raise IndexError(f"index: {error}; the tensor has shape {x.shape}") from None


@primitive(rules=[lambda g, _y, values, shape, index: getitem(g, index)], kind="structural",
           oracle=lambda values, shape, index: _scatter_oracle(values, shape, index), domain=[reals()],
           cases=[case((5,), arguments=((4, 5), 2)), case((3, 5), arguments=((4, 5), np.array([0, 2, 2]))),
                  case((2,), arguments=((4, 5), (slice(1, 3), -1)))])
def scattered(values, shape, index):
    """Zeros of a shape with values added at an index: the transpose of reading there."""
    values, index = as_array(values), plain(index)
    out = np.zeros(shape, values.dtype)
    if _is_basic(index):
        out[index] = values
    elif out.ndim and isinstance(index, np.ndarray) and index.dtype.kind in "iu":
        kernels.scatter_add(out, index, values)
    else:
        np.add.at(out, index, values)
    return out


def _scatter_oracle(values, shape, index):
    out = np.zeros(shape, values.dtype)
    np.add.at(out, index, values)
    return out


def take(x, indices, axis=None):
    """Elements of x at integer indices along an axis (axis=None: of x flattened); result shape: indices in its place.

    Raises IndexError for an index out of range, TypeError for indices that are not integers.
    """
    indices = _integers(indices, "take")
    if axis is None:
        return rows(x.reshape((-1,)) if hasattr(x, "reshape") else np.ravel(x), indices)
    axis = axis % np.ndim(x)
    if axis == 0:
        return rows(x, indices)
    return getitem(x if hasattr(x, "shape") else np.asarray(x), (slice(None),) * axis + (indices,))


@primitive(rules=[lambda g, _y, table, indices: scattered(g, table.shape, indices)], kind="structural",
           oracle=lambda table, indices: np.take(table, indices, 0), domain=[reals()],
           cases=[case((4, 5), arguments=(np.array([0, 2, 2]),)), case((4, 5), arguments=(np.array([[1, 0], [3, -1]]),)),
                  case((4, 5), arguments=(np.zeros((0,), int),)), case((4,), arguments=(np.array([1, 1]),))])
def rows(table, indices):
    """Rows of a table, table[indices]: what an embedding reads.  Negative indices count from the end."""
    return kernels.take_rows(as_array(table), indices)


@primitive(rules=[lambda g, _y, x, indices, values, axis=0: g, None,
                  lambda g, _y, x, indices, _values, axis=0: take(g, indices, axis)], kind="structural",
           oracle=lambda x, indices, values, axis=0: _index_add_oracle(x, indices, values, axis),
           domain=[reals(), Domain(0, 2, dtype="int64"), reals()],
           cases=[case((3, 4), (5,), (5, 4)), case((4, 3), (2,), (4, 2), axis=1)])
def index_add(x, indices, values, axis=0):
    """x with values[k] added at position indices[k] along an axis; duplicates add up.

    indices : (K,) integers;  values : K along axis, elsewhere x's shape.
    """
    x, values, indices = as_array(x), as_array(values), _integers(indices, "index_add")
    axis = axis % x.ndim
    expected = x.shape[:axis] + (len(indices),) + x.shape[axis + 1:]
    if indices.ndim != 1 or values.shape != expected:
        raise ValueError(f"index_add: indices must be (K,) and values {expected}, got {indices.shape} and {values.shape}")
    out = np.moveaxis(x.astype(np.result_type(x, values)), axis, 0).copy()
    kernels.scatter_add(out, indices, np.moveaxis(values, axis, 0).astype(out.dtype, copy=False))
    return np.moveaxis(out, 0, axis)


def _index_add_oracle(x, indices, values, axis):
    out = np.moveaxis(np.array(x), axis, 0)
    np.add.at(out, indices, np.moveaxis(values, axis, 0))
    return np.moveaxis(out, 0, axis)


def masked_fill(x, mask, value):
    """x with `value` where mask holds; no gradient flows there."""
    return where(mask, value, x)


def _integers(indices, who):
    indices = plain(indices)
    indices = np.asarray(indices)
    if not indices.size and indices.dtype.kind == "f":
        return indices.astype(np.int64)
    if indices.dtype.kind not in "iu":
        raise TypeError(f"{who}: indices must be integers, got dtype {indices.dtype}")
    return indices.astype(np.int64, copy=False)


