"""New tensors: of bools, integers, float32 or float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from .ops import broadcast_to, reshape
from .primitive import as_array, operand
from .tensor import Tensor, constant

__all__ = ["arange", "empty", "empty_like", "eye", "full", "full_like", "linspace", "meshgrid", "ones", "ones_like",
           "zeros", "zeros_like"]


def zeros(shape: Any, dtype: Any = np.float32) -> Tensor:
    """Zeros of a shape."""
    return constant(np.zeros(shape, _known("zeros", dtype)))


def ones(shape: Any, dtype: Any = np.float32) -> Tensor:
    """Ones of a shape."""
    return constant(np.ones(shape, _known("ones", dtype)))


def empty(shape: Any, dtype: Any = np.float32) -> Tensor:
    """A tensor whose values are whatever the memory held."""
    return constant(np.empty(shape, _known("empty", dtype)))


def full(shape: Any, fill_value: Any, dtype: Any = None) -> Tensor:
    """One value everywhere; Python bools become bool, ints int64, floats float32."""
    value = Tensor(fill_value, None if dtype is None else _known("full", dtype)).data
    return constant(np.full(shape, value, value.dtype))


def zeros_like(x: Any, dtype: Any = None) -> Tensor:
    """Zeros of the shape and dtype of x."""
    return constant(np.zeros(np.shape(x), _like("zeros_like", x, dtype)))


def ones_like(x: Any, dtype: Any = None) -> Tensor:
    """Ones of the shape and dtype of x."""
    return constant(np.ones(np.shape(x), _like("ones_like", x, dtype)))


def empty_like(x: Any, dtype: Any = None) -> Tensor:
    """`empty` of the shape and dtype of x."""
    return constant(np.empty(np.shape(x), _like("empty_like", x, dtype)))


def full_like(x: Any, fill_value: Any, dtype: Any = None) -> Tensor:
    """One value everywhere, in the shape and dtype of x."""
    return constant(np.full(np.shape(x), fill_value, _like("full_like", x, dtype)))


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None) -> Tensor:
    """start, start + step, ... below stop; `arange(n)` counts from 0.  Ints give int64, floats float32."""
    start, stop = (0, start) if stop is None else (start, stop)
    if step == 0:
        raise ValueError("arange: step must not be 0")
    if dtype is None:
        dtypes = [np.asarray(v).dtype for v in (start, stop, step)]
        dtype = np.int64 if all(d.kind in "iu" for d in dtypes) else np.float32
    values = (np.asarray(v).item() for v in (start, stop, step))
    return constant(np.arange(*values, dtype=_known("arange", dtype)))


def linspace(start: float, stop: float, num: int, dtype: Any = np.float32, endpoint: bool = True) -> Tensor:
    """`num` evenly spaced numbers from start to stop."""
    return constant(np.linspace(start, stop, num, endpoint=endpoint, dtype=_known("linspace", dtype)))


def eye(n_rows: int, n_cols: int | None = None, k: int = 0, dtype: Any = np.float32) -> Tensor:
    """Ones on the k-th diagonal, zeros elsewhere."""
    return constant(np.eye(n_rows, n_cols, k, _known("eye", dtype)))


def meshgrid(*arrays: Any, indexing: str = "xy") -> list[Tensor]:
    """Coordinate grids of 1-D tensors (numbers count as such), differentiable.

    Parameters
    ----------
    arrays : Tensors (n_0,), (n_1,), ...
    indexing : "ij" for results of shape (n_0, n_1, ...), "xy" for (n_1, n_0, ...)

    Raises
    ------
    ValueError
        For another word, or tensors of more dimensions.
    """
    if indexing not in ("xy", "ij"):
        raise ValueError(f"meshgrid: indexing must be 'xy' or 'ij', got {indexing!r}")
    vectors = [operand(a) for a in arrays]
    for k, v in enumerate(vectors):
        if v.ndim > 1:
            raise ValueError(f"meshgrid: arrays[{k}] must have one dimension, got shape {v.shape}")
    places = list(range(len(vectors)))
    if indexing == "xy" and len(places) > 1:
        places[:2] = 1, 0
    shape = [0] * len(vectors)
    for place, v in zip(places, vectors):
        shape[place] = v.size
    grids = [broadcast_to(reshape(v, [v.size if k == place else 1 for k in range(len(shape))]), shape)
             for place, v in zip(places, vectors)]
    return [grid if isinstance(grid, Tensor) else constant(grid.copy()) for grid in grids]


def _known(who: str, dtype: Any) -> Any:
    """A dtype, if tensors may have it."""
    found = np.dtype(dtype)
    if found.kind not in "biuf" or found.kind == "f" and found.itemsize not in (4, 8):
        raise TypeError(f"{who}: dtype must be bool, an integer, float32 or float64, got {found}")
    return found


def _like(who: str, x: Any, dtype: Any) -> Any:
    """The dtype asked for, or that of x."""
    if dtype is not None:
        return _known(who, dtype)
    return x.dtype if isinstance(x, Tensor) else as_array(x).dtype
