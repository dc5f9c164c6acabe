"""New tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from .primitive import as_array
from .tensor import Tensor, constant

__all__ = ["arange", "empty", "empty_like", "eye", "full", "full_like", "linspace", "meshgrid", "ones", "ones_like",
           "zeros", "zeros_like"]


def zeros(shape: Any, dtype: Any = np.float32) -> Tensor:
    """Zeros of a shape."""
    return constant(np.zeros(shape, dtype))


def ones(shape: Any, dtype: Any = np.float32) -> Tensor:
    """Ones of a shape."""
    return constant(np.ones(shape, dtype))


def empty(shape: Any, dtype: Any = np.float32) -> Tensor:
    """A tensor whose values are whatever the memory held."""
    return constant(np.empty(shape, dtype))


def full(shape: Any, fill_value: Any, dtype: Any = None) -> Tensor:
    """One value everywhere; Python bools become bool, ints int64, floats float32."""
    value = Tensor(fill_value, dtype).data
    return constant(np.full(shape, value, value.dtype))


def zeros_like(x: Any, dtype: Any = None) -> Tensor:
    """Zeros of the shape and dtype of x."""
    return constant(np.zeros(np.shape(x), dtype or _dtype(x)))


def ones_like(x: Any, dtype: Any = None) -> Tensor:
    """Ones of the shape and dtype of x."""
    return constant(np.ones(np.shape(x), dtype or _dtype(x)))


def empty_like(x: Any, dtype: Any = None) -> Tensor:
    """`empty` of the shape and dtype of x."""
    return constant(np.empty(np.shape(x), dtype or _dtype(x)))


def full_like(x: Any, fill_value: Any, dtype: Any = None) -> Tensor:
    """One value everywhere, in the shape and dtype of x."""
    return constant(np.full(np.shape(x), fill_value, dtype or _dtype(x)))


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None) -> Tensor:
    """start, start + step, ... below stop; `arange(n)` counts from 0.  Ints give int64, floats float32."""
    start, stop = (0, start) if stop is None else (start, stop)
    if step == 0:
        raise ValueError("arange: step must not be 0")
    if dtype is None:
        dtypes = [np.asarray(v).dtype for v in (start, stop, step)]
        dtype = np.int64 if all(d.kind in "iu" for d in dtypes) else np.float32
    return constant(np.arange(*(np.asarray(v).item() for v in (start, stop, step)), dtype=dtype))


def linspace(start: float, stop: float, num: int, dtype: Any = np.float32, endpoint: bool = True) -> Tensor:
    """`num` evenly spaced numbers from start to stop."""
    return constant(np.linspace(start, stop, num, endpoint=endpoint, dtype=dtype))


def eye(n_rows: int, n_cols: int | None = None, k: int = 0, dtype: Any = np.float32) -> Tensor:
    """Ones on the k-th diagonal, zeros elsewhere."""
    return constant(np.eye(n_rows, n_cols, k, dtype))


def meshgrid(*arrays: Any, indexing: str = "xy") -> list[Tensor]:
    """Coordinate grids of 1-D tensors; indexing "xy" or "ij"."""
    if indexing not in ("xy", "ij"):
        raise ValueError(f"meshgrid: indexing must be 'xy' or 'ij', got {indexing!r}")
    grids: Any = np.meshgrid(*(as_array(getattr(a, "data", a) if isinstance(a, Tensor) else a) for a in arrays),
                             indexing=indexing)        # type: ignore[call-overload]
    return [constant(np.array(grid)) for grid in grids]


def _dtype(x: Any) -> Any:
    return x.dtype if hasattr(x, "dtype") else Tensor(x).dtype
