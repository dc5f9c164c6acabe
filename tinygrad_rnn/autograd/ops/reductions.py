"""Reductions: sum, mean, variance, extremes, and the running sum.

The order of summation depends on the reduced length and the dtype alone (kernels/reduce.py states it and its error
bound), so a row's result does not depend on its batch.
"""

from __future__ import annotations

import numpy as np

from ... import kernels
from ..primitive import as_array, case, primitive, reals
from .axes import count, first_if_none, normalised, not_empty, spread
from .elementwise import sqrt
from .shapes import flip


REDUCTIONS = [case((3, 4)), case((3, 4), axis=0), case((3, 4), axis=-1, keepdims=True), case((2, 3, 4), axis=(0, 2)),
              case((2, 3, 4), axis=1), case((), axis=None), case((5, 1), axis=1)]


@primitive(rules=[lambda g, _y, x, axis=None, keepdims=False: spread(g, x, axis, keepdims)], kind="reduction",
           oracle=np.sum, domain=[reals()], cases=REDUCTIONS)
def sum(x, axis=None, keepdims=False):
    """Sum over all elements, or over one axis or several; of nothing it is 0.  Bools and integers sum as int64."""
    x = as_array(x)
    if x.dtype.kind == "f":
        return kernels.sum(x, axis=axis, keepdims=keepdims)
    return np.sum(x, axis if axis is None else normalised(axis, x.ndim, "sum"), keepdims=keepdims)


@primitive(rules=[lambda g, _y, x, axis=None, keepdims=False: spread(g / count(x, axis), x, axis, keepdims)],
           kind="reduction", oracle=np.mean, domain=[reals()], cases=REDUCTIONS)
def mean(x, axis=None, keepdims=False):
    """Arithmetic mean; of nothing it is NaN.  Integers give float32."""
    x = as_array(x)
    return kernels.mean(x if x.dtype.kind == "f" else x.astype(np.float32), axis=axis, keepdims=keepdims)


def var(x, axis=None, correction=0, keepdims=False):
    """Mean squared deviation from the mean, the sum of squares divided by (n - correction).

    correction=0 is the population's, 1 the unbiased estimate of a sample's variance (PyTorch's default).
    """
    deviation = x - mean(x, axis, True)
    n = count(x, axis) - correction
    total = sum(deviation * deviation, axis, keepdims)
    return total / n if n > 0 else total * np.float32(np.nan if n == 0 else 1 / n)


def std(x, axis=None, correction=0, keepdims=False):
    """Square root of `var`."""
    return sqrt(var(x, axis, correction, keepdims))


def _extreme_rule(g, y, x, axis=None, keepdims=False):
    """Every element that equals the extreme gets an equal share."""
    chosen = x == spread(y, x, axis, keepdims)
    chosen = chosen.astype(x.dtype)
    return spread(g / sum(chosen, axis, keepdims), x, axis, keepdims) * chosen


NOT_EMPTY = [case((3, 4)), case((3, 4), axis=0), case((3, 4), axis=-1, keepdims=True), case((2, 3, 4), axis=(0, 2))]


@primitive(rules=[_extreme_rule], kind="reduction", oracle=np.max, domain=[reals()], cases=NOT_EMPTY)
def max(x, axis=None, keepdims=False):
    """The largest element, NaN if there is one; ties share the gradient equally.  ValueError over nothing."""
    return kernels.max(not_empty(x, axis, "max"), axis=axis, keepdims=keepdims)


@primitive(rules=[_extreme_rule], kind="reduction", oracle=np.min, domain=[reals()], cases=NOT_EMPTY)
def min(x, axis=None, keepdims=False):
    """The smallest element, NaN if there is one; ties share the gradient equally.  ValueError over nothing."""
    return kernels.min(not_empty(x, axis, "min"), axis=axis, keepdims=keepdims)


@primitive(rules=[None], kind="reduction", oracle=np.argmax, domain=[reals()], cases=[case((3, 4), axis=1), case((3, 4))])
def argmax(x, axis=None, keepdims=False):
    """Index of the largest element (the first of several), int64; axis=None: into the flattened tensor."""
    return np.argmax(not_empty(x, axis, "argmax"), axis, keepdims=keepdims)


@primitive(rules=[None], kind="reduction", oracle=np.argmin, domain=[reals()], cases=[case((3, 4), axis=1), case((3, 4))])
def argmin(x, axis=None, keepdims=False):
    """Index of the smallest element (the first of several), int64; axis=None: into the flattened tensor."""
    return np.argmin(not_empty(x, axis, "argmin"), axis, keepdims=keepdims)


@primitive(rules=[None], kind="reduction", oracle=np.any, domain=[reals()], cases=[case((3, 4), axis=1), case((3, 4))])
def any(x, axis=None, keepdims=False):
    """Is one of them true?"""
    return np.any(as_array(x), axis, keepdims=keepdims)


@primitive(rules=[None], kind="reduction", oracle=np.all, domain=[reals()], cases=[case((3, 4), axis=1), case((3, 4))])
def all(x, axis=None, keepdims=False):
    """Are all of them true?"""
    return np.all(as_array(x), axis, keepdims=keepdims)


@primitive(rules=[lambda g, _y, x, axis=None: flip(cumulative_sum(flip(g, first_if_none(axis)), first_if_none(axis)), first_if_none(axis))],
           kind="structural", oracle=lambda x, axis=None: np.cumsum(x, 0 if axis is None else axis), domain=[reals()],
           cases=[case((5,)), case((3, 4), axis=0), case((3, 4), axis=-1), case((0, 2), axis=0)])
def cumulative_sum(x, axis=None):
    """Sums of the first 1, 2, ... elements along an axis (axis=None: x must have one dimension), added one by one."""
    x = as_array(x)
    if axis is None and x.ndim != 1:
        raise ValueError(f"cumulative_sum: axis is needed for a tensor of {x.ndim} dimensions")
    axis, = normalised(first_if_none(axis), x.ndim, "cumulative_sum")
    return np.cumsum(x, axis, dtype=x.dtype if x.dtype.kind == "f" else None)
