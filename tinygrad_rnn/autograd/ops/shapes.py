"""Operations that only move elements: reshaping, reordering, joining and splitting."""

from __future__ import annotations

import numpy as np

from ..primitive import as_array, case, primitive, reals


@primitive(rules=[lambda g, _y, x, shape: reshape(g, x.shape)], kind="structural", oracle=np.reshape, domain=[reals()],
           cases=[case((3, 4), shape=(2, 6)), case((3, 4), shape=(-1,)), case((), shape=(1, 1)), case((0, 3), shape=(3, 0))])
def reshape(x, shape):
    """The same elements in C order under another shape; one size may be -1."""
    return np.reshape(as_array(x), shape)


@primitive(rules=[lambda g, _y, x, axes: permute_dims(g, tuple(np.argsort([a % x.ndim for a in axes])))],
           kind="structural", oracle=np.transpose, domain=[reals()],
           cases=[case((2, 3, 4), axes=(2, 0, 1)), case((3, 4), axes=(1, 0)), case((2, 3, 4), axes=(-1, 0, 1))])
def permute_dims(x, axes):
    """The axes in another order: result axis k is x's axis axes[k]."""
    x = as_array(x)
    if sorted(a % max(x.ndim, 1) for a in axes) != list(range(x.ndim)):
        raise ValueError(f"permute_dims: axes must name each of {x.ndim} dimensions once, got {tuple(axes)}")
    return np.transpose(x, axes)


def swapaxes(x, axis1, axis2):
    """Exchange two axes."""
    axes = list(range(np.ndim(x)))
    for axis in (axis1, axis2):
        if not -len(axes) <= axis < len(axes):
            raise IndexError(f"swapaxes: axis {axis} is out of range for a tensor of {len(axes)} dimensions")
    axes[axis1], axes[axis2] = axes[axis2], axes[axis1]
    return permute_dims(x, tuple(axes))


def matrix_transpose(x):
    """Exchange the last two axes."""
    if np.ndim(x) < 2:
        raise ValueError(f"matrix_transpose: at least 2 dimensions are needed, got shape {np.shape(x)}")
    return swapaxes(x, -1, -2)


@primitive(rules=[lambda g, _y, x, axis: reshape(g, x.shape)], kind="structural", oracle=np.squeeze, domain=[reals()],
           cases=[case((3, 1, 2), axis=1), case((1, 3, 1), axis=(0, -1))])
def squeeze(x, axis):
    """Drop axes of size 1; ValueError if one is larger."""
    x = as_array(x)
    for a in axis if isinstance(axis, (tuple, list)) else (axis,):
        if not -x.ndim <= a < x.ndim:
            raise IndexError(f"squeeze: axis {a} is out of range for a tensor of {x.ndim} dimensions")
        if x.shape[a] != 1:
            raise ValueError(f"squeeze: axis {a} has size {x.shape[a]}, only axes of size 1 can go; shape {x.shape}")
    return np.squeeze(x, axis)


@primitive(rules=[lambda g, _y, x, axis=0: reshape(g, x.shape)], kind="structural", oracle=np.expand_dims, domain=[reals()],
           cases=[case((3, 2), axis=1), case((3, 2), axis=-1), case((), axis=0)])
def expand_dims(x, axis=0):
    """A new axis of size 1 before position `axis`."""
    x = as_array(x)
    if not -x.ndim - 1 <= axis <= x.ndim:
        raise IndexError(f"expand_dims: axis {axis} is out of range for {x.ndim + 1} dimensions")
    return x.reshape(x.shape[:axis % (x.ndim + 1)] + (1,) + x.shape[axis % (x.ndim + 1):])


@primitive(rules=[lambda g, _y, x, shape: g], kind="structural", oracle=np.broadcast_to, domain=[reals()],
           cases=[case((3, 1), shape=(2, 3, 4)), case((), shape=(2, 2)), case((3,), shape=(3,))])
def broadcast_to(x, shape):
    """Repeat x, without copying, to a shape that it broadcasts to."""
    return np.broadcast_to(as_array(x), shape)


@primitive(rules=[lambda g, _y, x, axis=None: flip(g, axis)], kind="structural", oracle=np.flip, domain=[reals()],
           cases=[case((3, 4)), case((3, 4), axis=0), case((3, 4), axis=(0, 1))])
def flip(x, axis=None):
    """Reverse the order along an axis, several, or all."""
    return np.flip(as_array(x), axis)


@primitive(rules=[lambda g, _y, x, dtype: astype(g, x.dtype)], kind="structural", oracle=lambda x, dtype: x.astype(dtype),
           domain=[reals()], cases=[case((2, 3), dtype=np.float64)])
def astype(x, dtype):
    """A copy with another dtype; the gradient comes back in the old one."""
    return as_array(x).astype(dtype)


@primitive(rules=[lambda g, _y, _x: g], kind="structural", oracle=np.array, domain=[reals()], cases=[case((2, 3))])
def copy(x):
    """A copy."""
    return np.array(as_array(x))


# ---- joining and splitting --------------------------------------------------------------------------------------------
def concat(arrays, axis=0):
    """Join tensors along an axis; axis=None flattens them first."""
    arrays = _several(arrays, "concat")
    if axis is None:
        arrays, axis = [reshape(a, (-1,)) for a in arrays], 0
    return joined(*arrays, axis=axis)


def _join_rule(position):
    def rule(g, _y, *arrays, axis=0):
        start = sum(a.shape[axis] for a in arrays[:position])
        return g[_along(axis, g.ndim, start, start + arrays[position].shape[axis])]
    return rule


@primitive(rules=_join_rule, kind="structural", oracle=lambda *a, axis=0: np.concatenate(a, axis), domain=[reals()],
           cases=[case((2, 3), (4, 3)), case((2, 3), (2, 1), (2, 2), axis=1), case((2, 3), axis=-1), case((0, 2), (1, 2))])
def joined(*arrays, axis=0):
    """concat of its arguments."""
    arrays = [as_array(a) for a in arrays]
    first = arrays[0].shape
    for k, a in enumerate(arrays):
        if a.ndim != len(first) or not -a.ndim <= axis < a.ndim or \
                any(m != n for d, (m, n) in enumerate(zip(a.shape, first)) if d != axis % a.ndim):
            raise ValueError(f"concat: tensors must agree in all dimensions but axis {axis}, got {first} and, "
                             f"at position {k}, {a.shape}")
    return np.concatenate(arrays, axis)


def stack(arrays, axis=0):
    """Join tensors of one shape along a new axis."""
    return stacked(*_several(arrays, "stack"), axis=axis)


@primitive(rules=lambda position: lambda g, _y, *arrays, axis=0: g[_along(axis, g.ndim, position, None)],
           kind="structural", oracle=lambda *a, axis=0: np.stack(a, axis), domain=[reals()],
           cases=[case((2, 3), (2, 3)), case((2,), (2,), (2,), axis=-1), case((), ())])
def stacked(*arrays, axis=0):
    """stack of its arguments."""
    arrays = [as_array(a) for a in arrays]
    for k, a in enumerate(arrays):
        if a.shape != arrays[0].shape:
            raise ValueError(f"stack: tensors must have one shape, got {arrays[0].shape} and, at position {k}, {a.shape}")
    return np.stack(arrays, axis)


def unstack(x, axis=0):
    """The slices along an axis, as a tuple; the axis goes."""
    ndim = np.ndim(x)
    if not -ndim <= axis < ndim:
        raise IndexError(f"unstack: axis {axis} is out of range for a tensor of {ndim} dimensions")
    return unstacked(x, axis=axis)


# Cutting gives all pieces at once, so that their gradients are joined in one pass over memory.
def _unstack_pull(g, y, _x, axis=0, needed=None):
    return stacked(*_filled(g, y), axis=axis),


@primitive(pull=_unstack_pull, kind="structural", oracle=lambda x, axis=0: tuple(np.moveaxis(x, axis, 0)), domain=[reals()],
           cases=[case((3, 4)), case((3, 4), axis=1), case((2, 3, 4), axis=-2), case((1,)), case((2, 0))])
def unstacked(x, axis=0):
    """unstack, once its axis is checked."""
    return tuple(np.moveaxis(as_array(x), axis, 0))


def split(x, indices_or_sections, axis=0):
    """Cut along an axis into equal sections (an int), or before each of the given indices; a list, as NumPy's."""
    size = x.shape[axis]
    if isinstance(indices_or_sections, int):
        if indices_or_sections < 1 or size % indices_or_sections:
            raise ValueError(f"split: axis {axis} of size {size} does not divide into {indices_or_sections} equal sections")
        indices_or_sections = [size // indices_or_sections * k for k in range(1, indices_or_sections)]
    # As with Python's slices, an index may count from the end, and never lies beyond it.
    cuts = tuple(slice(cut).indices(size)[1] for cut in indices_or_sections)
    if list(cuts) != sorted(cuts):
        raise ValueError(f"split: indices must not fall, got {tuple(indices_or_sections)} for an axis of size {size}")
    return list(pieces(x, cuts, axis=axis))


def _pieces_pull(g, y, x, cuts, axis=0, needed=None):
    return joined(*_filled(g, y), axis=axis), None


@primitive(pull=_pieces_pull, kind="structural", oracle=lambda x, cuts, axis=0: tuple(np.split(x, cuts, axis)),
           domain=[reals()],
           cases=[case((5, 2), cuts=(1, 3)), case((2, 6), cuts=(2, 4), axis=1), case((3,), cuts=()), case((4, 2), cuts=(0, 4))])
def pieces(x, cuts, axis=0):
    """split before each of the cuts, which rise."""
    return tuple(np.split(as_array(x), cuts, axis))


def _filled(g, y):
    """The gradients of an operation's results, zeros for those that none came for."""
    return [np.zeros(part.shape, part.dtype) if piece is None else piece for piece, part in zip(g, y)]


def _along(axis, ndim, start, stop):
    """The index of start:stop (or, without stop, of position start) along one axis."""
    return (slice(None),) * (axis % ndim) + (start if stop is None else slice(start, stop),)


def _several(arrays, who):
    if np.ndim(arrays) == 0 or isinstance(arrays, np.ndarray) and not len(arrays):
        raise TypeError(f"{who}: expected a sequence of tensors, got {type(arrays).__name__}")
    arrays = list(arrays)
    if not arrays:
        raise ValueError(f"{who}: expected at least one tensor, got none")
    return arrays
