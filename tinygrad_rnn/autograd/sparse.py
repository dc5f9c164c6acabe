"""RowSparse: the gradient of a table of which a few rows were read.

An embedding of 100,000 words reads some hundred rows a step.  Its gradient is zero in all others, and writing,
clipping and adding those zeros would cost more than the rest of the network.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import kernels
from .ops.indexing import as_indices, scattered
from .primitive import Primitive, as_array
from .tensor import Tensor, constant


class RowSparse:
    """A tensor that is zero but for some rows.

    Parameters
    ----------
    indices : (K,) integers
        The rows; one that is there twice gets the sum of its values.
    values : (K, ...) floats
    shape : tuple of int
        Of the whole tensor: (rows, ...).

    Raises
    ------
    ValueError
        For shapes that do not fit.
    IndexError
        For an index that is no row; indices do not count from the end.
    TypeError
        For indices that are not integers, values that are not floating.
    """

    __slots__ = ("indices", "shape", "values")
    __array_ufunc__ = None      # so that `array + sparse` asks RowSparse.__radd__ and not NumPy

    indices: Tensor
    values: Tensor
    shape: tuple[int, ...]

    def __init__(self, indices: Any, values: Any, shape: tuple[int, ...]) -> None:
        where = as_indices(indices, "RowSparse")
        rows = values._data if isinstance(values, Tensor) else as_array(values)
        shape = tuple(map(int, shape))
        if rows.dtype.kind != "f":
            raise TypeError(f"RowSparse: values must be floating, got dtype {rows.dtype}")
        if where.ndim != 1 or not shape or rows.shape != (len(where), *shape[1:]):
            raise ValueError(f"RowSparse: for a tensor of shape {shape} expected indices (K,) and values "
                             f"{('K', *shape[1:])}, got shapes {where.shape} and {rows.shape}")
        if len(where) and not (0 <= where.min() and where.max() < shape[0]):
            wrong = where[(where < 0) | (where >= shape[0])][0]
            raise IndexError(f"RowSparse: index {wrong} is no row of a tensor of shape {shape}")
        self.indices, self.values, self.shape = constant(where), constant(rows), shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the elements."""
        return self.values.dtype

    def to_dense(self) -> Tensor:
        """The same with all its zeros."""
        return constant(scattered(self.values._data, self.shape, self.indices._data))

    def coalesce(self) -> RowSparse:
        """The same with each row once, in rising order; values of one row are added in the order that they stand in."""
        where, place = np.unique(self.indices._data, return_inverse=True)
        if len(where) == len(place) and np.array_equal(where, self.indices._data):
            return self
        values = np.zeros((len(where), *self.shape[1:]), self.dtype)
        kernels.scatter_add(values, place, self.values._data)
        return RowSparse(where, values, self.shape)

    def astype(self, dtype: Any) -> RowSparse:
        """The same with values of another floating dtype."""
        return RowSparse(self.indices, self.values._data.astype(dtype), self.shape)

    def __add__(self, other: Any) -> Any:
        """Sparse with sparse is sparse, with an array or a Tensor it is dense."""
        if isinstance(other, (np.ndarray, Tensor)):
            dense = self.to_dense()
            return dense._data + other if isinstance(other, np.ndarray) else dense + other
        if not isinstance(other, RowSparse):
            return NotImplemented
        if other.shape != self.shape:
            raise ValueError(f"RowSparse: shapes must be equal to add, got {self.shape} and {other.shape}")
        return RowSparse(np.concatenate([self.indices._data, other.indices._data]),
                         np.concatenate([self.values._data, other.values._data]), self.shape)

    def __radd__(self, other: Any) -> Any:
        return self + other

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("__array__: a RowSparse becomes an array by a copy alone")
        return np.asarray(self.to_dense()._data, dtype)

    def __repr__(self) -> str:
        return f"RowSparse({len(self.indices)} rows, shape={self.shape}, dtype={self.dtype})"


def _sparse_rule(g: Any, _y: Any, like: Any, indices: Any, without: int | None = None) -> Any:
    """The rows of g at their indices; a pass that is recorded gives them dense, as operations take no other."""
    if isinstance(g, Tensor):
        return scattered(g, like.shape, indices)
    where, rows = indices.reshape(-1), g.reshape(-1, *like.shape[1:])       # (..., D) -> (K, D)
    kept = slice(None) if without is None else where != without
    return RowSparse(np.array(where[kept]), np.array(rows[kept]), like.shape)      # optimizers write to their gradients


# Not in the registry, whose laws are about dense gradients: tests hold it to `rows`.
def _forward(table: Any, indices: np.ndarray, without: int | None = None) -> Any:
    """Rows of a table, whose gradient is a RowSparse that leaves out the row `without`."""
    return kernels.take_rows(table, indices)


sparse_rows = Primitive(_forward, rules=[_sparse_rule], kind="structural", name="take")
