"""Moving, repeating and cutting off elements: each a view, an index or a choice, from which its gradient follows."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import Any

import numpy as np

from ..primitive import as_array, case, operand, primitive, reals
from .arithmetic import where
from .axes import normalised, one_axis
from .indexing import getitem, take
from .shapes import broadcast_to, permute_dims, reshape


# ---- round and round ------------------------------------------------------------------------------------------------
def _turns(x: Any, shift: Any, axis: Any) -> tuple[Any, Any]:
    """Shifts and axes as tuples of one length; None stays None."""
    if axis is None:
        if isinstance(shift, (tuple, list)):
            raise ValueError("roll: several shifts need as many axes; without axis the tensor is rolled as if flat")
        return index(shift), None
    shifts = tuple(shift) if isinstance(shift, (tuple, list)) else (shift,)
    axes = tuple(axis) if isinstance(axis, (tuple, list)) else (axis,)
    if len(shifts) == 1:
        shifts = shifts * len(axes)
    if len(shifts) != len(axes):
        raise ValueError(f"roll: shift and axis must be equally long, got {len(shifts)} and {len(axes)}")
    return tuple(map(index, shifts)), tuple(one_axis(a, x.ndim, "roll") for a in axes)


@primitive(rules=[lambda g, _y, _x, shift, axis=None: roll(g, tuple(-s for s in shift) if isinstance(
    shift, (tuple, list)) else -shift, axis)], kind="structural", oracle=np.roll, domain=[reals()],
           cases=[case((5,), shift=2), case((3, 4), shift=-1, axis=1), case((3, 4), shift=5), case((0, 3), shift=1),
                  case((3, 4), shift=(1, -2), axis=(0, 1)), case((3, 4), shift=2, axis=(0, -1))])
def roll(x: Any, shift: int | Sequence[int], axis: int | Sequence[int] | None = None) -> Any:
    """Move elements by `shift` places along an axis, several, or as if flat; what leaves at an end enters at the other.

    Raises ValueError for shifts and axes that do not match, IndexError for an axis that does not exist.
    """
    shift, axis = _turns(x, shift, axis)
    return np.roll(x, shift, axis)


# ---- repeating ------------------------------------------------------------------------------------------------------
def tile(x: Any, repetitions: int | Sequence[int]) -> Any:
    """x several times beside itself, along each axis as often as `repetitions` says; axes count from the last.

    Raises ValueError for a negative number.
    """
    x = operand(x)
    given: Any = repetitions if isinstance(repetitions, (tuple, list)) else (repetitions,)
    counts = tuple(map(index, given))
    if min(counts, default=0) < 0:
        raise ValueError(f"tile: repetitions must not be negative, got {counts}")
    ndim = max(len(counts), x.ndim)
    counts, shape = (1,) * (ndim - len(counts)) + counts, (1,) * (ndim - x.ndim) + x.shape
    # (n, ...) -> (1, n, ...) -> (count, n, ...) -> (count n, ...)
    apart = reshape(x, tuple(size for n in shape for size in (1, n)))
    spread = broadcast_to(apart, tuple(size for c, n in zip(counts, shape) for size in (c, n)))
    return reshape(spread, tuple(c * n for c, n in zip(counts, shape)))


def repeat(x: Any, repeats: int | Sequence[int], axis: int | None = None) -> Any:
    """Each element several times in a row, along an axis or, without, as if flat.

    Parameters
    ----------
    x : Tensor
    repeats : int, or one a position
    axis : int or None

    Raises
    ------
    ValueError, TypeError, IndexError
        For a negative number or another length, no ints, an axis that does not exist.
    """
    x = operand(x)
    if axis is None:
        x, axis = reshape(x, (-1,)), 0      # (...) -> (size,)
    axis = one_axis(axis, x.ndim, "repeat")
    counts = np.asarray(as_array(repeats))
    if counts.dtype.kind not in "iu" and counts.size:
        raise TypeError(f"repeat: repeats must be integers, got dtype {counts.dtype}")
    if counts.ndim > 1 or counts.shape not in ((), (1,), (x.shape[axis],)) or (counts < 0).any():
        raise ValueError(f"repeat: repeats must be one number from 0 on, or one for each of {x.shape[axis]} positions, "
                         f"got {np.array2string(counts, threshold=6)}")
    return take(x, np.repeat(np.arange(x.shape[axis]), counts.astype(np.int64)), axis)


# ---- borders --------------------------------------------------------------------------------------------------------
MODES = ("constant", "edge", "reflect", "symmetric", "wrap")


def _inside(like: Any, widths: Sequence[Sequence[int]]) -> tuple[slice, ...]:
    return tuple(slice(before, before + n) for (before, _), n in zip(widths, like.shape))


@primitive(rules=[lambda g, _y, like, widths, values=0: getitem(g, _inside(like, widths))], kind="structural",
           name="pad", domain=[reals()],
           oracle=lambda x, widths, values=0: np.pad(x, widths, constant_values=values),
           cases=[case((3, 4), widths=((1, 0), (2, 3))), case((2,), widths=((1, 2),), values=((1.5, -2.0),)),
                  case((0, 2), widths=((1, 1), (0, 0))),
                  case((2, 1), widths=((1, 2), (2, 1)), values=((1, 2), (3, 4)))])
def padded(x: Any, widths: Sequence[Sequence[int]], values: Any = 0) -> Any:
    """x in the middle of a larger tensor, around it one value or a pair an axis; corners belong to the last axis."""
    out = np.empty([before + n + after for (before, after), n in zip(widths, x.shape)], x.dtype)
    for axis, ((before, after), (low, high)) in enumerate(zip(widths, np.broadcast_to(values, (x.ndim, 2)))):
        across = (slice(None),) * axis
        out[(*across, slice(before))] = low
        out[(*across, slice(out.shape[axis] - after, None))] = high
    out[_inside(x, widths)] = x
    return out


def pad(x: Any, pad_width: Any, mode: str = "constant", constant_values: Any = 0) -> Any:
    """x with a border, as NumPy's.

    Parameters
    ----------
    x : Tensor
    pad_width : int, (before, after), or one such pair an axis
    mode : "constant", or what continues x: "edge" repeats its border, "reflect" mirrors it without the border itself,
        "symmetric" with it, "wrap" begins again at the other end
    constant_values : number, (before, after), or one such pair an axis
        What the border holds, in the dtype of x; corners are the last axis's.

    Raises
    ------
    ValueError, TypeError
        For widths that are negative or do not fit, no ints, another mode, nothing to continue, values that do not fit.
    """
    x = operand(x)
    given = np.asarray(as_array(pad_width))
    if given.dtype.kind not in "iu" and given.size:
        raise TypeError(f"pad: pad_width must hold integers, got dtype {given.dtype}")
    widths = [tuple(map(int, pair)) for pair in _sides("pad_width", given, x.ndim)]
    if given.size and given.min() < 0:
        raise ValueError(f"pad: widths must not be negative, got {pad_width}")
    if mode not in MODES:
        raise ValueError(f"pad: mode must be one of {', '.join(MODES)}, got {mode!r}")
    if mode == "constant":
        values = _sides("constant_values", np.asarray(constant_values), x.ndim)
        return padded(x, tuple(widths), values.astype(x.dtype))
    for axis, width in enumerate(widths):
        if any(width):
            if not x.shape[axis]:
                raise ValueError(f"pad: axis {axis} of shape {x.shape} has size 0: there is nothing to continue")
            places: np.ndarray = np.pad(np.arange(x.shape[axis]), width, mode=mode)     # type: ignore[call-overload]
            x = take(x, places, axis)
    return x


def _sides(name: str, given: np.ndarray, ndim: int) -> np.ndarray:
    """One value before and one after each axis."""
    try:
        return np.broadcast_to(given, (ndim, 2))
    except ValueError:
        raise ValueError(f"pad: {name} must be a number, a pair, or a pair for each of {ndim} axes, got shape "
                         f"{given.shape}") from None


# ---- parts of matrices ----------------------------------------------------------------------------------------------
def tril(x: Any, k: int = 0) -> Any:
    """The last two axes' lower triangle, 0 above the k-th diagonal.  ValueError for fewer than two dimensions."""
    return _triangle(x, k, "tril")


def triu(x: Any, k: int = 0) -> Any:
    """The last two axes' upper triangle, 0 below the k-th diagonal.  ValueError for fewer than two dimensions."""
    return _triangle(x, k, "triu")


def _triangle(x: Any, k: int, who: str) -> Any:
    x = operand(x)
    if x.ndim < 2:
        raise ValueError(f"{who}: at least 2 dimensions are needed, got shape {x.shape}")
    rows, columns = x.shape[-2:]
    lower = np.tri(rows, columns, index(k) - (who == "triu"), bool)
    return where(lower == (who == "tril"), x, np.zeros((), x.dtype))


def diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The elements whose positions on two axes differ by `offset`; they stand along a new last axis.

    Raises ValueError for fewer than two dimensions or an axis named twice, IndexError for one that does not exist.
    """
    x = operand(x)
    if x.ndim < 2:
        raise ValueError(f"diagonal: at least 2 dimensions are needed, got shape {x.shape}")
    normalised((axis1, axis2), x.ndim, "diagonal")
    first, second = (one_axis(a, x.ndim, "diagonal") for a in (axis1, axis2))
    rest = tuple(k for k in range(x.ndim) if k not in (first, second))
    rows, columns = x.shape[first], x.shape[second]
    start = np.arange(max(0, min(rows + min(offset, 0), columns - max(offset, 0))))
    turned = permute_dims(x, (*rest, first, second))
    return getitem(turned, (Ellipsis, start - min(offset, 0), start + max(offset, 0)))
