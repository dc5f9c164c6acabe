"""The matrix product, and the affine map of a layer."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ... import kernels
from ..primitive import as_array, case, operand, primitive, reals
from .axes import one_axis
from .dtypes import paired
from .reductions import sum as total
from .shapes import expand_dims, permute_dims, reshape


def _left_rule(g: Any, _y: Any, like: Any, b: Any) -> Any:
    """d_a = g b^T, with vectors treated as the one row or one column that they stand for."""
    if b.ndim == 1:
        return g * b if like.ndim == 1 else expand_dims(g, -1) * b
    if like.ndim == 1:
        row = matmul(expand_dims(g, -2), b.mT)
        return reshape(row, g.shape[:-1] + like.shape)          # (..., 1, K) -> (..., K)
    return matmul(g, b.mT)


def _right_rule(g: Any, _y: Any, a: Any, like: Any) -> Any:
    """d_b = a^T g, summed over the batch within the product where only a has one."""
    if a.ndim == 1:
        return g * a if like.ndim == 1 else expand_dims(a, -1) * expand_dims(g, -2)
    if like.ndim == 1:
        return matmul(reshape(g, (-1,)), flat_rows(a))          # (..., M) -> (rows,)
    if like.ndim == 2 and a.ndim > 2:
        return matmul(flat_rows(a).mT, flat_rows(g))
    return matmul(a.mT, g)


@primitive(rules=[_left_rule, _right_rule], kind="pairing", oracle=np.matmul, domain=[reals(), reals()],
           cases=[case((3, 4), (4, 5)), case((4,), (4, 5)), case((3, 4), (4,)), case((4,), (4,)), case((2, 3, 4), (4,)),
                  case((4,), (2, 4, 3)), case((2, 3, 4), (4, 5)), case((2, 3, 4), (2, 4, 5)), case((3, 4), (2, 4, 5)),
                  case((2, 1, 3, 4), (6, 4, 2)), case((1, 1), (1, 1)), case((0, 4), (4, 5)), case((3, 0), (0, 2)),
                  case((2, 3, 0), (0, 2)), case((0,), (0,)), case((0, 3, 4), (4, 2))])
def matmul(a: Any, b: Any) -> Any:
    """The matrix product (..., M, K) @ (..., K, N) -> (..., M, N).

    A vector counts as one row on the left, as one column on the right, and that axis goes.  Integers multiply as
    integers.

    Raises
    ------
    ValueError
        For a number without dimensions, or K or batch axes that do not fit.
    """
    if type(a) is not np.ndarray or type(b) is not np.ndarray or a.dtype is not b.dtype or a.dtype.char not in "fd":
        a, b = paired(as_array(a), as_array(b))
    if not a.ndim or not b.ndim:
        raise ValueError(f"matmul: both arguments need a dimension, got shapes {a.shape} and {b.shape}; "
                         "multiply by a number with *")
    inner, which = (b.shape[-2], "second last") if b.ndim > 1 else (b.shape[0], "only")
    if a.shape[-1] != inner:
        raise ValueError(f"matmul: the last axis of a ({a.shape[-1]}) must equal the {which} axis of b ({inner}); got "
                         f"shapes {a.shape} and {b.shape}")
    if a.dtype is not b.dtype:
        dtype = np.result_type(a, b)
        a, b = a.astype(dtype, copy=False), b.astype(dtype, copy=False)
    return kernels.matmul(a, b) if a.dtype.kind == "f" else np.matmul(a, b)


@primitive(rules=[lambda g, _y, _x, weight, _bias=None: matmul(g, weight),
                  lambda g, _y, x, _weight, _bias=None: matmul(flat_rows(g).mT, flat_rows(x)),
                  lambda g, _y, _x, _weight, _bias=None: g], kind="structural",
           oracle=lambda x, weight, bias=0: np.einsum("...i,oi->...o", x, weight) + bias,
           domain=[reals(), reals(), reals()],
           cases=[case((3, 4), (5, 4), (5,)), case((2, 3, 4), (5, 4), (5,)), case((4,), (5, 4), (5,)),
                  case((3, 4), (5, 4)), case((3, 4), (5, 4), (3, 5)), case((0, 4), (5, 4), (5,)),
                  case((2, 0, 4), (1, 4), (1,)), case((3, 0), (2, 0), (2,))])
def linear(x: Any, weight: Any, bias: Any = None) -> Any:
    """x weight^T + bias as one operation: x (..., in), weight (out, in) -> (..., out).

    bias is (out,), or anything that broadcasts to the result.
    """
    x, weight = paired(as_array(x), as_array(weight))
    if weight.ndim != 2 or not x.ndim or x.shape[-1] != weight.shape[1]:
        raise ValueError(f"linear: weight must be (out, in) and x (..., in), got {weight.shape} and {x.shape}")
    product = matmul.forward(flat_rows(x), weight.T)
    y = product.reshape(*x.shape[:-1], weight.shape[0])         # (rows, out) -> (..., out)
    if bias is None:
        return y
    bias = as_array(bias)
    if bias.shape != weight.shape[:1] and np.broadcast_shapes(y.shape, bias.shape) != y.shape:
        raise ValueError(f"linear: bias must be ({weight.shape[0]},), or broadcast to {y.shape}, got {bias.shape}")
    return np.add(y, bias, out=y) if bias.dtype == y.dtype else y + bias


# ---- composed of it -------------------------------------------------------------------------------------------------
def outer(a: Any, b: Any) -> Any:
    """a[i] b[j] for all i, j: (M,), (N,) -> (M, N).  ValueError for what is no vector."""
    a, b = _vectors("outer", a, b)
    return expand_dims(a, 1) * b


def dot(a: Any, b: Any) -> Any:
    """The sum of a[k] b[k]: (K,), (K,) -> ().  ValueError for what is no vector, or vectors of different lengths."""
    a, b = _vectors("dot", a, b)
    if a.shape != b.shape:
        raise ValueError(f"dot: the vectors must be equally long, got {a.shape[0]} and {b.shape[0]}")
    return matmul(a, b)


def _vectors(who: str, a: Any, b: Any) -> tuple[Any, Any]:
    a, b = operand(a), operand(b)
    for name, x in (("a", a), ("b", b)):
        if x.ndim != 1:
            raise ValueError(f"{who}: {name} must have one dimension, got shape {x.shape}")
    return a, b


def vecdot(a: Any, b: Any, axis: int = -1) -> Any:
    """The dot product along an axis, (..., K) with (..., K) -> (...); other axes broadcast.

    Parameters
    ----------
    a, b : Tensor
    axis : int
        Counted, if negative, from the last of each; otherwise in the shape that both broadcast to.

    Raises
    ------
    ValueError, IndexError
        For vectors of different lengths, shapes that do not broadcast, an axis that does not exist.
    """
    a, b = operand(a), operand(b)
    if not a.ndim or not b.ndim:
        raise ValueError(f"vecdot: both arguments need a dimension, got shapes {a.shape} and {b.shape}")
    place = one_axis(axis, max(a.ndim, b.ndim), "vecdot") - max(a.ndim, b.ndim)
    sizes = [x.shape[place] if -x.ndim <= place else 1 for x in (a, b)]
    if sizes[0] != sizes[1]:
        raise ValueError(f"vecdot: a and b must be equally long along axis {axis}, got shapes {a.shape} and {b.shape}")
    return total(a * b, place)


def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    """The sum of products over pairs of axes: those of a that are left, then those of b.

    Parameters
    ----------
    a, b : Tensor
    axes : int, or (axes of a, axes of b)
        A number n pairs the last n axes of a with the first n of b, in order.

    Raises
    ------
    ValueError, IndexError
        For axes that do not pair up, whose sizes differ, or that do not exist.
    """
    a, b = operand(a), operand(b)
    if isinstance(axes, (tuple, list)):
        if len(axes) != 2:
            raise ValueError(f"tensordot: axes must be a number or two lists of axes, got {axes!r}")
        left, right = (tuple(x) if isinstance(x, (tuple, list)) else (x,) for x in axes)
    else:
        if not 0 <= axes <= min(a.ndim, b.ndim):
            raise ValueError(f"tensordot: axes must lie between 0 and {min(a.ndim, b.ndim)}, got {axes}")
        left, right = tuple(range(a.ndim - axes, a.ndim)), tuple(range(axes))
    left = tuple(one_axis(k, a.ndim, "tensordot") for k in left)
    right = tuple(one_axis(k, b.ndim, "tensordot") for k in right)
    sizes = tuple(a.shape[k] for k in left)
    if len(set(left)) < len(left) or len(set(right)) < len(right) or sizes != tuple(b.shape[k] for k in right):
        raise ValueError(f"tensordot: axes {axes!r} must pair axes of equal size, each once; got shapes {a.shape} and "
                         f"{b.shape}")
    rows = tuple(k for k in range(a.ndim) if k not in left)
    columns = tuple(k for k in range(b.ndim) if k not in right)
    outer_shape = (*(a.shape[k] for k in rows), *(b.shape[k] for k in columns))
    inner = math.prod(sizes)
    a = reshape(permute_dims(a, rows + left), (math.prod(a.shape[k] for k in rows), inner))            # -> (M, K)
    b = reshape(permute_dims(b, right + columns), (inner, math.prod(b.shape[k] for k in columns)))     # -> (K, N)
    return reshape(matmul(a, b), outer_shape)       # (M, N) -> (rows ..., columns ...)


def flat_rows(x: Any) -> Any:
    """All but the last axis as one: (..., N) -> (rows, N)."""
    return x if x.ndim == 2 else reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))
