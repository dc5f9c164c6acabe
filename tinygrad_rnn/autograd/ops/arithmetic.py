"""Arithmetic and choice, elementwise with broadcasting.

Rules give the gradient at the broadcast shape; the engine sums it back to the argument's
(`backward.unbroadcast`).  Only arithmetic and other elementwise operations stand in them, so that they also run on the
symbols of the cell compiler.

Dtypes: see `dtypes.py`.  Division by zero, overflow and NaN out of numbers warn in the forward pass as NumPy's do, and
not in the backward pass.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import kernels
from ..primitive import as_array, floating, operand, primitive, reals
from .comparison import BOOLS, equal, greater
from .dtypes import beside, paired

WHOLE = tuple(range(-3, 4))


# ---- arithmetic -----------------------------------------------------------------------------------------------------
@primitive(rules=[lambda g, _y, _a, _b: g, lambda g, _y, _a, _b: g], oracle=np.add, domain=[reals(), reals()])
def add(a: Any, b: Any) -> Any:
    """a + b."""
    return kernels.add(*paired(a, b))


@primitive(rules=[lambda g, _y, _a, _b: g, lambda g, _y, _a, _b: -g], oracle=np.subtract, domain=[reals(), reals()])
def subtract(a: Any, b: Any) -> Any:
    """a - b."""
    return kernels.subtract(*paired(a, b))


@primitive(rules=[lambda g, _y, _a, b: g * b, lambda g, _y, a, _b: g * a], oracle=np.multiply,
           domain=[reals(), reals()])
def multiply(a: Any, b: Any) -> Any:
    """a * b."""
    return kernels.multiply(*paired(a, b))


@primitive(rules=[lambda g, _y, _a, b: g / b, lambda g, y, _a, b: -(g * y / b)], oracle=np.true_divide,
           domain=[reals(), reals(0.5, 3)])
def divide(a: Any, b: Any) -> Any:
    """a / b; integers divide as float32."""
    a, b = paired(a, b)
    return kernels.divide(beside(a, 1.0), beside(b, 1.0))


@primitive(rules=[lambda g, _y, _a: -g], oracle=np.negative, domain=[reals()])
def negative(a: Any) -> Any:
    """-a."""
    return kernels.negative(a)


@primitive(rules=[lambda g, _y, a: g * sign(a)], oracle=np.abs, domain=[reals(kinks=[0])])
def abs(a: Any) -> Any:
    """|a|; the derivative at 0 is 0."""
    return kernels.absolute(a)


@primitive(rules=[lambda g, _y, a: g * (2 * a)], oracle=lambda a: a * a, domain=[reals()])
def square(a: Any) -> Any:
    """a * a."""
    return kernels.square(a)


@primitive(rules=[lambda g, y, _x: -(g * (y * y))], oracle=lambda x: 1 / x, domain=[reals(0.4, 3)])
def reciprocal(x: Any) -> Any:
    """1 / x; infinite at 0.  Integers give float32."""
    return kernels.reciprocal(floating(x))


@primitive(rules=[lambda g, y, _x: g / (2 * y)], oracle=np.sqrt, domain=[reals(0.2, 4)])
def sqrt(x: Any) -> Any:
    """Square root; NaN below 0.  The derivative at 0 is infinite, and so NaN where the incoming gradient is 0."""
    return kernels.sqrt(floating(x))


# ---- constant almost everywhere -------------------------------------------------------------------------------------
@primitive(rules=[lambda g, _y, _a: g * 0], oracle=np.sign, domain=[reals(kinks=[0])])
def sign(a: Any) -> Any:
    """-1, 0 or 1; NaN stays NaN.  The derivative is 0."""
    return kernels.sign(a)


@primitive(rules=[lambda g, _y, _a: g * 0], oracle=np.floor, domain=[reals(kinks=WHOLE)])
def floor(a: Any) -> Any:
    """The largest integer not above a, in a's dtype.  The derivative is 0."""
    return kernels.floor(a) if a.dtype.kind == "f" else a.copy()


@primitive(rules=[lambda g, _y, _a: g * 0], oracle=np.ceil, domain=[reals(kinks=WHOLE)])
def ceil(a: Any) -> Any:
    """The smallest integer not below a, in a's dtype.  The derivative is 0."""
    return kernels.ceil(a) if a.dtype.kind == "f" else a.copy()


@primitive(rules=[lambda g, _y, _a: g * 0], oracle=np.round, domain=[reals(kinks=[k + 0.5 for k in range(-4, 4)])])
def round(a: Any) -> Any:
    """The nearest integer, the even one of two equally near, in a's dtype.  The derivative is 0."""
    return kernels.rint(a) if a.dtype.kind == "f" else a.copy()


@primitive(rules=[lambda g, _y, _a: g * 0], oracle=lambda a: np.where(a > 0, 1.0, 0.0), domain=[reals(kinks=[0])])
def step(a: Any) -> Any:
    """1 where a > 0, else 0, also for NaN.  The derivative is 0."""
    return (a > 0).astype(a.dtype)


@primitive(rules=[lambda g, _y, _a, _b: g * 0, lambda g, _y, _a, _b: g * 0], oracle=np.floor_divide,
           domain=[reals(), reals(0.5, 3)])
def floor_divide(a: Any, b: Any) -> Any:
    """floor(a / b), Python's //; integers stay integers.  The derivatives are 0."""
    return np.floor_divide(*paired(a, b))


@primitive(rules=[lambda g, _y, _a, _b: g, lambda g, _y, a, b: -(g * floor(a / b))], oracle=np.remainder,
           domain=[reals(), reals(0.5, 3)])
def remainder(a: Any, b: Any) -> Any:
    """a - b floor(a / b), Python's %: the sign is that of b."""
    return kernels.remainder(*paired(a, b))


# ---- choice ---------------------------------------------------------------------------------------------------------
def _share(a: Any, b: Any) -> Any:
    """1 where a is the larger, 1/2 at a tie, 0 where it is the smaller."""
    # By comparison: a - b would be NaN where both are infinite.
    return where(equal(a, b), 0.5, greater(a, b))


@primitive(rules=[lambda g, _y, a, b: g * _share(a, b), lambda g, _y, a, b: g * _share(b, a)], oracle=np.maximum,
           domain=[reals(), reals()])
def maximum(a: Any, b: Any) -> Any:
    """The larger of a and b; NaN if either is.  At a tie both get half of the gradient."""
    return kernels.maximum(*paired(a, b))


@primitive(rules=[lambda g, _y, a, b: g * _share(b, a), lambda g, _y, a, b: g * _share(a, b)], oracle=np.minimum,
           domain=[reals(), reals()])
def minimum(a: Any, b: Any) -> Any:
    """The smaller of a and b; NaN if either is.  At a tie both get half of the gradient."""
    return kernels.minimum(*paired(a, b))


@primitive(rules=[None, lambda g, _y, condition, _a, _b: where(condition, g, 0.0),
                  lambda g, _y, condition, _a, _b: where(condition, 0.0, g)],
           oracle=np.where, domain=[BOOLS, reals(), reals()])
def where(condition: Any, x: Any, y: Any) -> Any:
    """x where condition holds (is not 0), else y.

    What was not chosen gets gradient 0, also where it is NaN.  That does not help an operation before it whose
    derivative is infinite there, for 0 times infinity is NaN.  Choose its argument too:
    where(a > 0, sqrt(where(a > 0, a, 1)), 0).
    """
    condition, (x, y) = as_array(condition), paired(x, y)
    if type(x) is not np.ndarray or type(y) is not np.ndarray:
        dtype = np.result_type(x, y)        # np.where knows no weak numbers
        x, y = np.asarray(x, dtype), np.asarray(y, dtype)
    return kernels.where(condition, x, y)


def _inside(x: Any, low: Any, high: Any) -> Any:
    """The share of x in clip(x, low, high): 1 between the bounds, 1/2 at one."""
    return _share(x, low) * _share(high, maximum(x, low))


@primitive(rules=[lambda g, _y, x, low, high: g * _inside(x, low, high),
                  lambda g, _y, x, low, high: g * (_share(low, x) * _share(high, maximum(x, low))),
                  lambda g, _y, x, low, high: g * _share(maximum(x, low), high)], name="clip",
           oracle=np.clip, domain=[reals(), reals(-2, -0.5), reals(0.5, 2)])
def _between(x: Any, low: Any, high: Any) -> Any:
    x, low = paired(x, low)
    x, high = paired(x, high)
    return kernels.clip(x, beside(low, x), high)


def clip(x: Any, min: Any = None, max: Any = None) -> Any:
    """x limited to [min, max]: the smaller of max and the larger of x and min.

    Parameters
    ----------
    x : Tensor
    min, max : number, array or Tensor, optional
        None for no bound; shapes broadcast.  At a bound, x and the bound get half of the gradient each.

    Raises
    ------
    ValueError
        Without any bound.
    """
    if min is None and max is None:
        raise ValueError("clip: at least one of min and max must be given")
    x = operand(x)
    if min is None or max is None:
        return minimum(x, max) if min is None else maximum(x, min)
    return _between(x, min, max)
