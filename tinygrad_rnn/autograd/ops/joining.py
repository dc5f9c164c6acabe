"""Joining and splitting.  All gradients of one call are computed together, in one pass over memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..primitive import as_array, case, operand, primitive, reals
from .axes import one_axis
from .shapes import reshape


# ---- joining --------------------------------------------------------------------------------------------------------
def concat(arrays: Sequence[Any], axis: int | None = 0) -> Any:
    """Join tensors along an axis; axis=None flattens them first.

    Parameters
    ----------
    arrays : sequence of Tensor
        Of one shape, `axis` aside.
    axis : int or None

    Raises
    ------
    TypeError, ValueError
        If arrays is no sequence or empty, or shapes differ elsewhere.
    IndexError
        If the axis does not exist.
    """
    arrays = _several("concat", arrays)
    if axis is None:
        arrays, axis = [reshape(a, (-1,)) for a in arrays], 0       # (...) -> (size,)
    return joined(*arrays, axis=axis)


def _join_pull(g: Any, _y: Any, *likes: Any, needed: Sequence[bool], axis: int = 0) -> list[Any]:
    """To each its section of g."""
    gradients, start = [], 0
    for like, wanted in zip(likes, needed):
        stop = start + like.shape[axis]
        gradients.append(g[along(axis, g.ndim, slice(start, stop))] if wanted else None)
        start = stop
    return gradients


@primitive(pull=_join_pull, name="concat", kind="structural", oracle=lambda *a, axis=0: np.concatenate(a, axis),
           domain=[reals()], cases=[case((2, 3), (4, 3)), case((2, 3), (2, 1), (2, 2), axis=1), case((2, 3), axis=-1),
                                    case((0, 2), (1, 2))])
def joined(*arrays: Any, axis: int = 0) -> Any:
    """concat of its arguments."""
    first, *rest = arrays = tuple(map(as_array, arrays))
    where = one_axis(axis, first.ndim, "concat")
    for k, a in enumerate(rest, 1):
        if a.ndim != first.ndim or any(m != n for d, (m, n) in enumerate(zip(a.shape, first.shape)) if d != where):
            raise ValueError(f"concat: tensors must agree in all dimensions but axis {axis}, got {first.shape} and, at "
                             f"position {k}, {a.shape}")
    return np.concatenate(arrays, where, dtype=_common(arrays))


def _common(arrays: tuple[np.ndarray, ...]) -> np.dtype[Any]:
    """The dtype of joined arrays: the widest floating one, if there is one; integers beside it do not widen it."""
    floating = [a.dtype for a in arrays if a.dtype.kind == "f"]
    return np.result_type(*(floating or [a.dtype for a in arrays]))


def stack(arrays: Sequence[Any], axis: int = 0) -> Any:
    """Join tensors of one shape along a new axis.

    Parameters
    ----------
    arrays : sequence of Tensor
    axis : int
        Where the new axis stands in the result.

    Raises
    ------
    TypeError, ValueError
        If arrays is no sequence or empty, or shapes differ.
    IndexError
        If the axis does not exist.
    """
    return stacked(*_several("stack", arrays), axis=axis)


def _stack_pull(g: Any, _y: Any, *_arrays: Any, needed: Sequence[bool], axis: int = 0) -> list[Any]:
    return [g[along(axis, g.ndim, k)] if wanted else None for k, wanted in enumerate(needed)]


@primitive(pull=_stack_pull, name="stack", kind="structural", oracle=lambda *a, axis=0: np.stack(a, axis),
           domain=[reals()], cases=[case((2, 3), (2, 3)), case((2,), (2,), (2,), axis=-1), case((), ()),
                                    case((2, 0), (2, 0), axis=1)])
def stacked(*arrays: Any, axis: int = 0) -> Any:
    """stack of its arguments."""
    first, *rest = arrays = tuple(map(as_array, arrays))
    for k, a in enumerate(rest, 1):
        if a.shape != first.shape:
            raise ValueError(f"stack: tensors must have one shape, got {first.shape} and, at position {k}, {a.shape}")
    return np.stack(arrays, one_axis(axis, first.ndim + 1, "stack"), dtype=_common(arrays))


# ---- splitting ------------------------------------------------------------------------------------------------------
def unstack(x: Any, axis: int = 0) -> tuple[Any, ...]:
    """The slices along an axis, as a tuple; the axis goes.  IndexError if it does not exist."""
    slices: tuple[Any, ...] = unstacked(x, axis=axis)
    return slices


def _unstack_pull(g: Any, _y: Any, like: Any, needed: Any, axis: int = 0) -> list[Any]:
    shape = list(like.shape)
    del shape[axis]
    return [stacked(*(np.zeros(shape, like.dtype) if piece is None else piece for piece in g), axis=axis)]


@primitive(pull=_unstack_pull, name="unstack", kind="structural", domain=[reals()],
           oracle=lambda x, axis=0: tuple(np.moveaxis(x, axis, 0)),
           cases=[case((3, 4)), case((3, 4), axis=1), case((2, 3, 4), axis=-2), case((1,)), case((2, 0))])
def unstacked(x: Any, axis: int = 0) -> Any:
    """The slices along an axis."""
    return tuple(np.moveaxis(x, one_axis(axis, x.ndim, "unstack"), 0))


def split(x: Any, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Any]:
    """Cut along an axis, as NumPy's.

    Parameters
    ----------
    x : Tensor
    indices_or_sections : int or sequence of int
        Into so many equal sections, or before each of these indices.
    axis : int

    Returns
    -------
    list of Tensor

    Raises
    ------
    ValueError
        If the sections are not equal, or the indices fall.
    IndexError
        If the axis does not exist.
    """
    x = operand(x)
    size = x.shape[one_axis(axis, x.ndim, "split")]
    if isinstance(indices_or_sections, int):
        if indices_or_sections < 1 or size % indices_or_sections:
            raise ValueError(f"split: axis {axis} of size {size} is not divisible into {indices_or_sections} parts")
        indices_or_sections = [size // indices_or_sections * k for k in range(1, indices_or_sections)]
    # As with Python's slices, an index may count from the end, and never lies beyond it.
    cuts = tuple(slice(cut).indices(size)[1] for cut in indices_or_sections)
    if list(cuts) != sorted(cuts):
        raise ValueError(f"split: indices must not fall, got {tuple(indices_or_sections)} for an axis of size {size}")
    return list(pieces(x, cuts, axis=axis))


def _split_pull(g: Any, _y: Any, like: Any, cuts: Sequence[int], needed: Any, axis: int = 0) -> list[Any]:
    stops, parts, shape = [*cuts, like.shape[axis]], [], list(like.shape)
    for piece, start, stop in zip(g, [0, *cuts], stops):
        shape[axis] = stop - start
        parts.append(np.zeros(shape, like.dtype) if piece is None else piece)
    return [joined(*parts, axis=axis), None]


@primitive(pull=_split_pull, name="split", kind="structural", domain=[reals()],
           oracle=lambda x, cuts, axis=0: tuple(np.split(x, cuts, axis)),
           cases=[case((5, 2), cuts=(1, 3)), case((2, 6), cuts=(2, 4), axis=1), case((3,), cuts=()),
                  case((4, 2), cuts=(0, 4)), case((3, 4), cuts=(2, 2), axis=-1)])
def pieces(x: Any, cuts: Sequence[int], axis: int = 0) -> Any:
    """split before each of the cuts, which rise."""
    stops = (*cuts, x.shape[axis])
    return tuple(x[along(axis, x.ndim, slice(a, b))] for a, b in zip((0, *cuts), stops))


# ---- what they share ------------------------------------------------------------------------------------------------
def along(axis: int, ndim: int, part: int | slice) -> tuple[Any, ...]:
    """The index of a slice of, or a position on, one axis."""
    return (slice(None),) * (axis % ndim) + (part,)


def _several(who: str, arrays: Any) -> list[Any]:
    """A sequence of tensors as a list; TypeError or ValueError for anything else, or nothing."""
    try:
        found = list(arrays)
    except TypeError:
        raise TypeError(f"{who}: expected a sequence of tensors, got {type(arrays).__name__}") from None
    if not found:
        raise ValueError(f"{who}: expected at least one tensor, got none")
    return found
