"""Reductions: sum, mean, product, variance, norms, extremes, and the running sum.

The order of summation depends on the reduced length and the dtype alone (kernels/reduce.py states it and its error
bound), so a row's result does not depend on its batch.  `axis` is None for all, an int, or a tuple of ints.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ... import kernels
from ..primitive import case, operand, primitive, reals
from .arithmetic import abs, sqrt, where
from .axes import count, normalised, not_empty, one_axis, over, reduced, spread
from .comparison import equal, not_equal
from .indexing import getitem
from .joining import joined, stacked
from .shapes import astype, flip, permute_dims, reshape

Axis = int | tuple[int, ...] | None

ANY_SIZE = [case((3, 4)), case((3, 4), axis=0), case((3, 4), axis=-1, keepdims=True), case((2, 3, 4), axis=(0, 2)),
            case((2, 3, 4), axis=1), case(()), case((5, 1), axis=1), case((3, 4), axis=()), case((2, 3), axis=(1, 0))]
NOT_EMPTY = [case((3, 4)), case((3, 4), axis=0), case((3, 4), axis=-1, keepdims=True), case((2, 3, 4), axis=(0, 2)),
             case(())]
ONE_AXIS = [case((3, 4), axis=1), case((3, 4), axis=-2, keepdims=True), case((3, 4)), case((1,), axis=0)]


# ---- sums -----------------------------------------------------------------------------------------------------------
@primitive(rules=[lambda g, _y, like, axis=None, keepdims=False: spread(g, like, axis, keepdims)], kind="reduction",
           oracle=np.sum, domain=[reals()], cases=[*ANY_SIZE, case((0, 3), axis=0), case((0, 3), axis=1)])
def sum(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Sum over all elements, one axis or several; of nothing it is 0.  Bools and integers sum as int64."""
    return over(kernels.sum, x, axis, keepdims, "sum")


@primitive(rules=[lambda g, _y, like, axis=None, keepdims=False:
                  spread(g / count(like.shape, axis), like, axis, keepdims)],
           kind="reduction", oracle=np.mean, domain=[reals()], cases=ANY_SIZE)
def mean(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Arithmetic mean; of nothing it is NaN.  Bools and integers give float32."""
    return over(kernels.mean, x, axis, keepdims, "mean")


def _others(x: Any) -> Any:
    """The product of all elements of each row but the one at the place, also where some are 0.

    Pairs are multiplied, the same is done with the products, and each element of a pair gets the other one.
    """
    n = x.shape[-1]
    if n < 2:
        return np.ones(x.shape, x.dtype)
    even = getitem(x, (Ellipsis, slice(0, n - n % 2, 2)))
    odd = getitem(x, (Ellipsis, slice(1, None, 2)))
    last = getitem(x, (Ellipsis, slice(n - n % 2, None)))       # the one that has no partner, if there is one
    products = even * odd
    rest = _others(joined(products, last, axis=-1))
    paired = getitem(rest, (Ellipsis, slice(n // 2)))
    # (..., n/2, 2) -> (..., n)
    both = reshape(stacked(paired * odd, paired * even, axis=-1), (*x.shape[:-1], n - n % 2))
    return joined(both, getitem(rest, (Ellipsis, slice(n // 2, None))), axis=-1)


def _prod_rule(g: Any, _y: Any, x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """To each the product of the others."""
    axes = normalised(axis, x.ndim, "prod")
    order = (*(k for k in range(x.ndim) if k not in axes), *axes)
    turned = permute_dims(x, order)
    kept = turned.shape[:x.ndim - len(axes)]
    rows = reshape(turned, (*kept, math.prod(turned.shape[len(kept):])))     # (kept ..., reduced ...) -> (kept ..., n)
    back = tuple(sorted(range(x.ndim), key=order.__getitem__))
    return spread(g, x, axis, keepdims) * permute_dims(reshape(_others(rows), turned.shape), back)


@primitive(rules=[_prod_rule], kind="reduction", oracle=np.prod, domain=[reals(-2, 2)],
           cases=[*ANY_SIZE, case((0, 3), axis=0), case((5,)), case((7,), axis=0)])
def prod(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Product over all elements, one axis or several; of nothing it is 1.  Bools and integers multiply as int64.

    The gradient is right also where elements are 0.
    """
    return over(kernels.prod, x, axis, keepdims, "prod")


def _var_rule(g: Any, _y: Any, x: Any, axis: Axis = None, correction: float = 0, keepdims: bool = False) -> Any:
    """2 (x - mean) / (n - correction): the mean moves too, but the deviations from it sum to 0."""
    g = spread(g, x, axis, keepdims)
    return g * (x - mean(x, axis, True)) * (2 / _freedom(x.shape, axis, correction))


@primitive(rules=[_var_rule], kind="reduction", domain=[reals()],
           oracle=lambda x, axis=None, correction=0, keepdims=False: np.var(x, axis, None, None, correction, keepdims),
           cases=[*ANY_SIZE[:-3], case((3, 4), correction=1), case((3, 4), axis=1, correction=0.5)])
def var(x: Any, axis: Axis = None, correction: float = 0, keepdims: bool = False) -> Any:
    """Squared deviation from the mean, summed and divided by n - correction; NaN where that is not positive.

    Parameters
    ----------
    x : Tensor
    axis : int, tuple of int or None
    correction : float
        0 for the variance of a population, 1 for the unbiased estimate from a sample (PyTorch's default).
    keepdims : bool
    """
    # Without a degree of freedom, n - correction is NaN.
    correction = count(x.shape, axis) - _freedom(x.shape, axis, correction)
    return kernels.var(x, reduced(axis, x.ndim, "var"), correction, keepdims)


def _freedom(shape: tuple[int, ...], axis: Axis, correction: float) -> float:
    """n - correction, NaN unless it is positive."""
    freedom = count(shape, axis) - correction
    return freedom if freedom > 0 else math.nan


def std(x: Any, axis: Axis = None, correction: float = 0, keepdims: bool = False) -> Any:
    """Square root of `var`, with its arguments.  Where all elements are equal it is 0, and so is the gradient."""
    variance = var(x, axis, correction, keepdims)
    zero = equal(variance, 0)
    return where(zero, 0.0, sqrt(where(zero, 1.0, variance)))


@primitive(rules=[lambda g, _y, like, axis=None: _running_rule(g, _axis_or_only(like, axis))], kind="structural",
           oracle=lambda x, axis=None: np.cumsum(x, 0 if axis is None else axis), domain=[reals()],
           cases=[case((5,)), case((3, 4), axis=0), case((3, 4), axis=-1), case((0, 2), axis=0), case((1,))])
def cumulative_sum(x: Any, axis: int | None = None) -> Any:
    """Sums of the first 1, 2, ... elements along an axis, added one by one; axis=None is for one dimension alone."""
    return kernels.cumulative_sum(x, _axis_or_only(x, axis))


def _axis_or_only(x: Any, axis: int | None) -> int:
    if axis is None and x.ndim != 1:
        raise ValueError(f"cumulative_sum: axis must be given for a tensor of shape {x.shape}")
    return one_axis(axis or 0, x.ndim, "cumulative_sum")


def _running_rule(g: Any, axis: int) -> Any:
    """Element k is in the sums from k on: a running sum from the end."""
    return flip(cumulative_sum(flip(g, axis), axis), axis)


# ---- norms ----------------------------------------------------------------------------------------------------------
def _length_rule(g: Any, y: Any, x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """x / |x|; 0 where x is 0, where there is no derivative."""
    y = where(equal(y, 0), 1.0, y)
    return spread(g / y, x, axis, keepdims) * x


@primitive(rules=[_length_rule], kind="reduction", domain=[reals()], cases=[*ANY_SIZE, case((0, 3), axis=0)],
           oracle=lambda x, axis=None, keepdims=False: np.sqrt(np.sum(x * x, axis, keepdims=keepdims)))
def length(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Root of the sum of squares, the Euclidean norm."""
    return over(kernels.norm, x, axis, keepdims, "vector_norm")


def vector_norm(x: Any, axis: Axis = None, keepdims: bool = False, ord: float = 2) -> Any:
    """(sum |x|^ord)^(1/ord) over axes; without axis over all elements, whatever the shape.

    Parameters
    ----------
    x : Tensor
    axis : int, tuple of int or None
    keepdims : bool
    ord : number
        inf for the largest |x|, -inf for the smallest, 0 for how many are not 0.

    Notes
    -----
    Where all elements are 0 the gradient is 0.
    """
    x = operand(x)
    if x.dtype.kind != "f":
        x = astype(x, np.float32)
    if ord == 2:
        return length(x, axis, keepdims)
    if ord in (math.inf, -math.inf):
        return (max if ord > 0 else min)(abs(x), axis, keepdims)
    if ord == 0:
        return sum(astype(not_equal(x, 0), x.dtype), axis, keepdims)
    if ord == 1:
        return sum(abs(x), axis, keepdims)
    sizes = abs(x)
    zero = equal(sizes, 0)      # whose powers have no derivative
    powers = sum(where(zero, 0.0, where(zero, 1.0, sizes) ** ord) if ord > 0 else sizes ** ord, axis, keepdims)
    nothing = equal(powers, 0)
    return where(nothing, 0.0, where(nothing, 1.0, powers) ** (1 / ord))


# ---- extremes -------------------------------------------------------------------------------------------------------
def _extreme_rule(g: Any, y: Any, x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Every element that equals the extreme gets an equal share."""
    chosen = astype(equal(x, spread(y, x, axis, keepdims)), x.dtype)
    return spread(g, x, axis, keepdims) * (chosen / sum(chosen, axis, True))


@primitive(rules=[_extreme_rule], kind="reduction", oracle=np.max, domain=[reals()], cases=NOT_EMPTY)
def max(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The largest element, NaN if there is one; ties share the gradient equally.  ValueError over nothing."""
    not_empty(x, axis, "max")
    return over(kernels.max, x, axis, keepdims, "max")


@primitive(rules=[_extreme_rule], kind="reduction", oracle=np.min, domain=[reals()], cases=NOT_EMPTY)
def min(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The smallest element, NaN if there is one; ties share the gradient equally.  ValueError over nothing."""
    not_empty(x, axis, "min")
    return over(kernels.min, x, axis, keepdims, "min")


@primitive(rules=[None], kind="reduction", oracle=np.argmax, domain=[reals()], cases=ONE_AXIS)
def argmax(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """Index of the largest element (the first of several), int64; axis=None: into the flattened tensor."""
    not_empty(x, axis, "argmax")
    return kernels.argmax(x, None if axis is None else one_axis(axis, x.ndim, "argmax"), keepdims)


@primitive(rules=[None], kind="reduction", oracle=np.argmin, domain=[reals()], cases=ONE_AXIS)
def argmin(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """Index of the smallest element (the first of several), int64; axis=None: into the flattened tensor."""
    not_empty(x, axis, "argmin")
    return kernels.argmin(x, None if axis is None else one_axis(axis, x.ndim, "argmin"), keepdims)


@primitive(rules=[None], kind="reduction", oracle=np.any, domain=[reals()], cases=ANY_SIZE)
def any(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Is one of them true (not 0)?"""
    return over(kernels.any, x, axis, keepdims, "any")


@primitive(rules=[None], kind="reduction", oracle=np.all, domain=[reals()], cases=ANY_SIZE)
def all(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Are all of them true (not 0)?"""
    return over(kernels.all, x, axis, keepdims, "all")
