"""The matrix product, and the affine map of a layer."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ... import kernels
from ..primitive import as_array, case, primitive, reals
from .arithmetic import paired
from .shapes import expand_dims, reshape


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


def flat_rows(x: Any) -> Any:
    """All but the last axis as one: (..., N) -> (rows, N)."""
    return x if x.ndim == 2 else reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))
