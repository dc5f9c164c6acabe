"""Reductions over any axes: sum, mean, variance, extremes and their positions, and the running sum.

**The order of summation** depends on the reduced length and the dtype alone. Everything is added in float64. The
elements to be reduced, in index order, are cut into blocks of BLOCK. Within a block element i is added to sum number
i mod LANES, one after the other; then sums k and k + 16 are added, then k and k + 8, ... then 0 and 1; and the totals
of the blocks are added one after the other. So a row has the same sum, bit for bit, alone or in a batch, whatever the
layout, the other axes and the number of threads. A running sum adds one element after the other.

**The error** of a sum of n elements is at most (n / BLOCK + BLOCK / LANES + 5) 2^-53 sum|x|, and for float32 half an
ulp from rounding the result.

An array is seen as (outer, length, inner), where length is what is reduced, if possible without a copy. If inner is 1
its rows are reduced, else its columns; either kernel reads memory in its own order.
"""
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .arrays import FLOAT32, FLOAT64, LARGE, as_float
from .fold import (
    ALL,
    ANY,
    BLOCK,
    DEVIATION,
    MAX,
    MEAN,
    MIN,
    NORM,
    PROD,
    SUM,
    TOTAL,
    Reduction,
)
from .positions import ARGMAX, ARGMIN, Position
from .running import RUNNING
from .threads import get_num_threads
from .ufunc import use_threads

Axis = int | tuple[int, ...] | None

GROUP = 16          # rows whose running sums a thread takes together: as many as the widest vector has lanes
COUNTABLE = 1 << 24     # as far as float32 counts
COLUMNS = 64        # a thread takes a multiple of so many columns, so that no two write to one cache line


# ---- axes ----------------------------------------------------------------------------------------------------------


def _axes(axis: Axis, ndim: int, name: str) -> tuple[int, ...]:
    """Axes as sorted positive numbers."""
    if axis is None:
        return tuple(range(ndim))
    given = axis if isinstance(axis, tuple) else (axis,)
    for a in given:
        if not -ndim <= a < ndim:
            raise ValueError(f"{name}: axis {a} is out of bounds for an array of {ndim} dimensions")
    axes = tuple(sorted(a % ndim for a in given))
    if len(set(axes)) != len(axes):
        raise ValueError(f"{name}: axis {axis} names a dimension twice")
    return axes


def seen_as_rows(x: np.ndarray, axes: tuple[int, ...]) -> tuple[np.ndarray, tuple[int, ...]]:
    """x as (outer, length, inner), contiguous, and the order in which its axes stand in that."""
    order = tuple(range(x.ndim))
    if not x.flags.c_contiguous:
        order = tuple(sorted(order, key=lambda a: -x.strides[a]))
    first = order.index(axes[0]) if axes else x.ndim
    if order[first:first + len(axes)] != axes or not x.transpose(order).flags.c_contiguous:
        order = tuple(a for a in range(x.ndim) if a not in axes) + axes
        first = x.ndim - len(axes)
    lengths, last = [x.shape[a] for a in order], first + len(axes)
    form = math.prod(lengths[:first]), math.prod(lengths[first:last]), math.prod(lengths[last:])
    return np.ascontiguousarray(x.transpose(order)).reshape(form), order


def placed(y: np.ndarray, order: tuple[int, ...], shape: tuple[int, ...], axes: tuple[int, ...],
           keepdims: bool) -> Any:
    """Results (outer, inner) in the shape that the caller expects; a single one as a NumPy scalar, as NumPy does."""
    y = _ordered(y.reshape([1 if a in axes else shape[a] for a in order]), order)
    return y if keepdims else y.reshape([n for a, n in enumerate(shape) if a not in axes])[()]


def _ordered(y: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
    """Axes that stand in some order, back in theirs."""
    return y if order == tuple(range(y.ndim)) else y.transpose(np.argsort(order))


# ---- threads -------------------------------------------------------------------------------------------------------


def _apply(kernel: np.ufunc, arrays: list[np.ndarray], out: np.ndarray) -> np.ndarray:
    """A kernel on rows (outer, n) or columns (outer, n, m). Threads share the first axis or the columns."""
    arrays, done = [*arrays, out], 0
    if arrays[0].size >= LARGE:
        use_threads()
        if arrays[0].ndim > 2 and len(out) < get_num_threads():
            done = out.shape[-1] // COLUMNS * COLUMNS
            *inputs, result = (_blocks(a[..., :done]) for a in arrays)
            kernel(*inputs, out=result)
    *inputs, result = (a[..., done:] for a in arrays) if done else arrays
    kernel(*inputs, out=result)
    return out


def _blocks(x: np.ndarray) -> np.ndarray:
    """(outer, n, m) as (outer, blocks, n, COLUMNS), or (outer, m) as (outer, blocks, COLUMNS): a view."""
    x = x.reshape(*x.shape[:-1], x.shape[-1] // COLUMNS, COLUMNS)
    return x.swapaxes(1, 2) if x.ndim == 4 else x


def reduced(r: Reduction, x: np.ndarray, told: np.ndarray | None = None) -> np.ndarray:
    """(outer, length, inner) -> (outer, inner); `told` has the shape of the result."""
    outer, length, inner = x.shape
    out = np.empty((outer, inner), np.float64 if r.double else x.dtype)
    arrays = [x] if told is None else [x, told]
    if inner != 1:
        return _apply(r.columns, arrays, out)
    arrays = [x.reshape(outer, length), *(a[:, 0] for a in arrays[1:])]
    if x.size >= LARGE and outer < get_num_threads():
        use_threads()
        for i in range(outer):
            out[i] = _long_row(r, *(a[i] for a in arrays))
    else:
        _apply(r.rows, arrays, out[:, 0])
    return out


def _long_row(r: Reduction, x: np.ndarray, *told: np.float64) -> Any:
    """One row, its blocks shared out; they are combined in the order of the kernel."""
    partial, whole = r.part or r, len(x) // BLOCK
    blocks = partial.rows(x[:whole * BLOCK].reshape(whole, BLOCK), *told)
    if whole * BLOCK < len(x):
        blocks = np.append(blocks, partial.rows(x[whole * BLOCK:], *told))
    if not partial.double:
        return r.rows(blocks)
    total = (np.multiply if r is PROD else np.add).accumulate(blocks)[-1]
    return total / len(x) if r is MEAN else np.sqrt(total) if r is NORM else total


# ---- what is called ------------------------------------------------------------------------------------------------


def _reduce(r: Reduction, x: Any, axis: Axis, keepdims: bool) -> Any:
    """A reduction over axes."""
    if not keepdims and type(x) is np.ndarray and (x.dtype is FLOAT32 or x.dtype is FLOAT64) and x.flags.c_contiguous:
        large = x.size >= LARGE         # the common cases, straight to the kernel
        if large:
            use_threads()
        if axis is None:
            return x.dtype.type(_long_row(r, x.reshape(-1))) if large else r.rows(x.reshape(-1))
        if (axis == -1 or axis == x.ndim - 1) and (not large or x.size >= x.shape[-1] * get_num_threads()):
            return r.rows(x)
        if axis == 0 and x.ndim == 2 and not large:
            return r.columns(x)
    x = as_float(x, r.name)
    axes = _axes(axis, x.ndim, r.name)
    arranged, order = seen_as_rows(x, axes)
    return placed(reduced(r, arranged), order, x.shape, axes, keepdims)


def sum(x: np.ndarray, axis: Axis = None, keepdims: bool = False) -> np.ndarray:
    """Sum over all elements, or over one axis or several; integers and bools sum exactly, as int64.

    Raises ValueError for an axis that x has not.
    """
    x = np.asarray(x)
    if x.dtype.char not in "fd" and x.dtype.kind in "biu":
        return np.sum(x, _axes(axis, x.ndim, "sum"), keepdims=keepdims)
    return _reduce(SUM, x, axis, keepdims)


def prod(x: np.ndarray, axis: Axis = None, keepdims: bool = False) -> np.ndarray:
    """Product over all elements, or over one axis or several, in float64; integers and bools multiply as int64."""
    x = np.asarray(x)
    if x.dtype.char not in "fd" and x.dtype.kind in "biu":
        return np.prod(x, _axes(axis, x.ndim, "prod"), keepdims=keepdims)
    with np.errstate(over="ignore"):
        return _reduce(PROD, x, axis, keepdims)


def norm(x: np.ndarray, axis: Axis = None, keepdims: bool = False) -> np.ndarray:
    """Root of the sum of squares, both in float64, rounded once."""
    return _reduce(NORM, x, axis, keepdims)


def any(x: np.ndarray, axis: Axis = None, keepdims: bool = False) -> np.ndarray:
    """Is one of the elements not 0?  A NaN is not."""
    return _quantified(ANY, np.any, x, axis, keepdims)


def all(x: np.ndarray, axis: Axis = None, keepdims: bool = False) -> np.ndarray:
    """Is none of the elements 0?"""
    return _quantified(ALL, np.all, x, axis, keepdims)


def _quantified(r: Reduction, by_numpy: Any, x: Any, axis: Axis, keepdims: bool) -> np.ndarray:
    x = np.asarray(x)
    if x.size < LARGE or x.dtype not in (FLOAT32, FLOAT64):
        return by_numpy(x, _axes(axis, x.ndim, r.name), keepdims=keepdims)
    return np.not_equal(_reduce(r, x, axis, keepdims), 0)


def mean(x: np.ndarray, axis: Axis = None, keepdims: bool = False) -> np.ndarray:
    """Arithmetic mean, the sum in float64 divided by the length and rounded once; NaN of nothing."""
    return _reduce(MEAN, x, axis, keepdims)


def var(x: np.ndarray, axis: Axis = None, correction: float = 0, keepdims: bool = False) -> np.ndarray:
    """Variance: squared deviations from the mean, both in float64, divided by n - correction and rounded once."""
    x = as_float(x, "var")
    axes = _axes(axis, x.ndim, "var")
    arranged, order = seen_as_rows(x, axes)
    length = arranged.shape[1]
    means = reduced(TOTAL, arranged) / (length or math.nan)
    total = reduced(DEVIATION, arranged, means) / (length - correction or math.nan)
    return placed(total.astype(x.dtype), order, x.shape, axes, keepdims)


def _extreme(r: Reduction, ufunc: np.ufunc, x: Any, axis: Axis, keepdims: bool) -> np.ndarray:
    x = np.asarray(x)
    if not x.size:
        _check_choice(r.name, x, axis)
    if x.dtype.char not in "fd" and x.dtype.kind in "biu":
        return ufunc.reduce(x, _axes(axis, x.ndim, r.name), keepdims=keepdims)
    return _reduce(r, x, axis, keepdims)


def _check_choice(name: str, x: np.ndarray, axis: Axis) -> None:
    """An extreme of nothing does not exist."""
    if 0 in [x.shape[a] for a in _axes(axis, x.ndim, name)]:
        raise ValueError(f"{name}: nothing to choose from along axis {axis} of an array of shape {x.shape}")


def max(x: np.ndarray, axis: Axis = None, keepdims: bool = False) -> np.ndarray:
    """The largest element, NaN if there is one; 0 of 0 and -0. Raises ValueError over nothing."""
    return _extreme(MAX, np.maximum, x, axis, keepdims)


def min(x: np.ndarray, axis: Axis = None, keepdims: bool = False) -> np.ndarray:
    """The smallest element, NaN if there is one; 0 of 0 and -0. Raises ValueError over nothing."""
    return _extreme(MIN, np.minimum, x, axis, keepdims)


def any_nan(x: np.ndarray) -> bool:
    """Is one of the elements NaN?"""
    return math.isnan(max(x) if x.size >= LARGE else np.add.reduce(x, axis=None))


def _position(largest: bool, x: Any, axis: int | None, keepdims: bool) -> np.ndarray:
    """Index of an extreme, along one axis or into the array as if it were flat."""
    x, kind = np.asarray(x), ARGMAX if largest else ARGMIN
    if not x.size:
        _check_choice(kind.name, x, axis)
    axes, by_numpy = _axes(axis, x.ndim, kind.name), np.argmax if largest else np.argmin
    if x.size < LARGE or x.dtype not in (FLOAT32, FLOAT64):
        return by_numpy(x, None if axis is None else axes[0], keepdims=keepdims)
    arranged, order = seen_as_rows(x, axes)
    outer, length, inner = arranged.shape
    if inner != 1:
        y = _apply(kind.columns, [arranged], np.empty((outer, inner))).astype(np.int64)
    elif length > COUNTABLE or outer < get_num_threads():
        y = np.array([_in_long_row(kind, by_numpy, row) for row in arranged[:, :, 0]], np.int64)
    else:
        y = _in_rows(kind, by_numpy, arranged[:, :, 0])
    return placed(y, order, x.shape, axes, keepdims)


def _in_rows(kind: Position, by_numpy: Callable[..., Any], x: np.ndarray) -> np.ndarray:
    """Positions of the extremes of rows."""
    y = _apply(kind.rows, [x], np.empty(len(x)))
    unknown = np.isnan(y)
    y[unknown] = by_numpy(x[unknown], axis=1)
    return y.astype(np.int64)


def _in_long_row(kind: Position, by_numpy: Callable[..., Any], x: np.ndarray) -> int:
    """Position of an extreme, from those of the row's blocks."""
    blocks = len(x) // BLOCK
    places = np.arange(blocks) * BLOCK + _in_rows(kind, by_numpy, x[:blocks * BLOCK].reshape(-1, BLOCK))
    if blocks * BLOCK < len(x):
        places = np.append(places, blocks * BLOCK + by_numpy(x[blocks * BLOCK:]))
    return int(places[by_numpy(x[places])])


def argmax(x: np.ndarray, axis: int | None = None, keepdims: bool = False) -> np.ndarray:
    """Index of the largest element: the first of several, or the first NaN. Raises ValueError over nothing."""
    return _position(True, x, axis, keepdims)


def argmin(x: np.ndarray, axis: int | None = None, keepdims: bool = False) -> np.ndarray:
    """Index of the smallest element: the first of several, or the first NaN. Raises ValueError over nothing."""
    return _position(False, x, axis, keepdims)


def cumulative_sum(x: np.ndarray, axis: int = 0) -> np.ndarray:
    """Sums of the first 1, 2, ... elements along an axis; integers and bools sum exactly, as int64."""
    x = np.asarray(x)
    axes = _axes(axis, x.ndim, "cumulative_sum")
    if x.dtype.kind in "biu":
        return np.cumsum(x, axes[0])
    x = as_float(x, "cumulative_sum")
    arranged, order = seen_as_rows(x, axes)
    y = np.empty(arranged.shape, x.dtype)
    if arranged.shape[2] == 1:
        _running_rows(arranged[:, :, 0], y[:, :, 0])
    else:
        _apply(RUNNING.columns, [arranged], y)
    return _ordered(y.reshape([x.shape[a] for a in order]), order)


def _running_rows(x: np.ndarray, y: np.ndarray) -> None:
    """Running sums of rows, in groups that the threads share."""
    groups, length = len(x) // GROUP, x.shape[1]
    if x.size >= LARGE:
        use_threads()
    several = (groups, GROUP, length)
    RUNNING.rows(x[:groups * GROUP].reshape(several), out=y[:groups * GROUP].reshape(several))
    RUNNING.rows(x[groups * GROUP:], out=y[groups * GROUP:])
