"""The matrix product and what is made of it."""

from __future__ import annotations

import numpy as np

from ... import kernels
from ..primitive import as_array, case, primitive, reals
from .shapes import expand_dims, reshape, swapaxes


def _left_rule(g, _y, a, b):
    """d_a = g b^T, with vectors treated as the one row or one column that they stand for."""
    if b.ndim == 1:
        return g * b if a.ndim == 1 else expand_dims(g, -1) * b
    if a.ndim == 1:
        return reshape(matmul(expand_dims(g, -2), swapaxes(b, -1, -2)), g.shape[:-1] + a.shape)
    return matmul(g, swapaxes(b, -1, -2))


def _right_rule(g, _y, a, b):
    """d_b = a^T g, summed over the batch at once where only a has one."""
    if a.ndim == 1:
        return g * a if b.ndim == 1 else reshape(a, (-1, 1)) * expand_dims(g, -2)
    if b.ndim == 1:
        flat = reshape(a, (-1, a.shape[-1]))
        return matmul(reshape(g, (-1,)), flat)
    if b.ndim == 2 and a.ndim > 2:
        return matmul(swapaxes(reshape(a, (-1, a.shape[-1])), 0, 1), reshape(g, (-1, g.shape[-1])))
    return matmul(swapaxes(a, -1, -2), g)


@primitive(rules=[_left_rule, _right_rule], kind="pairing", oracle=np.matmul, domain=[reals(), reals()],
           cases=[case((3, 4), (4, 5)), case((4,), (4, 5)), case((3, 4), (4,)), case((4,), (4,)), case((2, 3, 4), (4, 5)),
                  case((2, 3, 4), (2, 4, 5)), case((3, 4), (2, 4, 5)), case((2, 1, 3, 4), (6, 4, 2)), case((0, 4), (4, 5)),
                  case((3, 0), (0, 2)), case((1, 1), (1, 1)), case((2, 3, 4), (4,)), case((4,), (2, 4, 3))])
def matmul(a, b):
    """The matrix product (..., M, K) @ (..., K, N); a vector counts as one row on the left, one column on the right."""
    a, b = as_array(a), as_array(b)
    if not a.ndim or not b.ndim:
        raise ValueError(f"matmul: both arguments need a dimension, got shapes {a.shape} and {b.shape}; "
                         "multiply by a number with *")
    if a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
        raise ValueError(f"matmul: the last axis of a ({a.shape[-1]}) must equal the {'second last' if b.ndim > 1 else 'only'} "
                         f"axis of b ({b.shape[-2 if b.ndim > 1 else 0]}); got shapes {a.shape} and {b.shape}")
    if a.dtype.kind != "f" and b.dtype.kind != "f":
        return np.matmul(a, b)
    dtype = np.result_type(a, b) if a.dtype.kind == b.dtype.kind else a.dtype if a.dtype.kind == "f" else b.dtype
    return kernels.matmul(a.astype(dtype, copy=False), b.astype(dtype, copy=False))


@primitive(rules=[lambda g, _y, _x, weight, _b=None: matmul(g, weight),
                  lambda g, _y, x, _weight, _b=None: matmul(swapaxes(_rows(g), 0, 1), _rows(x)),
                  lambda g, _y, _x, _weight, _b=None: g], kind="structural",
           oracle=lambda x, weight, bias=0: np.einsum("...i,oi->...o", x, weight) + bias, domain=[reals(), reals(), reals()],
           cases=[case((3, 4), (5, 4), (5,)), case((2, 3, 4), (5, 4), (5,)), case((4,), (5, 4), (5,)), case((3, 4), (5, 4)),
                  case((0, 4), (5, 4), (5,)), case((2, 0, 4), (1, 4), (1,))])
def linear(x, weight, bias=None):
    """x weight^T + bias: x (..., in), weight (out, in), bias (out,) -> (..., out), as one product."""
    x, weight = as_array(x), as_array(weight)
    y = matmul.forward(_rows(x), weight.T)
    if bias is not None:
        bias = as_array(bias)
        y = np.add(y, bias, out=y if y.dtype == np.result_type(y, bias) else None)
    return y.reshape(x.shape[:-1] + y.shape[-1:])       # (rows, out) -> (..., out)


def _rows(x):
    """All but the last axis as one."""
    return x if x.ndim == 2 else reshape(x, (int(np.prod(x.shape[:-1])), x.shape[-1]))
