"""Arithmetic, comparison and choice, elementwise with broadcasting.

Rules give the gradient at the broadcast shape; the engine sums it back to the argument's (`backward.unbroadcast`).  Only
arithmetic and other elementwise operations stand in them, so that they also run on the symbols of the cell compiler.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import kernels
from ..primitive import Domain, as_array, primitive, reals

INTEGERS = Domain(-4, 4, dtype="int64")
BOOLS = Domain(0, 1, dtype="bool")


def paired(a: Any, b: Any) -> tuple[Any, Any]:
    """Operands as arrays.  A Python number is weak: it takes the array's dtype, a float beside integers makes float32."""
    if type(a) is np.ndarray:
        if type(b) is np.ndarray or type(b) is int:
            return a, b
        if type(b) is float:
            return (a if a.dtype.kind == "f" else a.astype(np.float32)), b
    elif type(b) is np.ndarray:
        if type(a) is int:
            return a, b
        if type(a) is float:
            return a, (b if b.dtype.kind == "f" else b.astype(np.float32))
    return _weak(a), _weak(b)


def _weak(a: Any) -> Any:
    return a if type(a) in (int, float, bool) else as_array(a)


def _numbers(a: Any, b: Any) -> tuple[Any, Any]:
    """The same, in float32 where both are integers or bools."""
    a, b = paired(a, b)
    if not any(isinstance(v, (np.ndarray, np.generic)) and v.dtype.kind == "f" for v in (a, b)):
        a, b = np.asarray(a, np.float32), np.asarray(b, np.float32)
    return a, b


# ---- arithmetic -----------------------------------------------------------------------------------------------------
@primitive(rules=[lambda g, _y, _a, _b: g, lambda g, _y, _a, _b: g], oracle=np.add, domain=[reals(), reals()])
def add(a, b):
    """a + b."""
    return kernels.add(*paired(a, b))


@primitive(rules=[lambda g, _y, _a, _b: g, lambda g, _y, _a, _b: -g], oracle=np.subtract, domain=[reals(), reals()])
def subtract(a, b):
    """a - b."""
    return kernels.subtract(*paired(a, b))


@primitive(rules=[lambda g, _y, _a, b: g * b, lambda g, _y, a, _b: g * a], oracle=np.multiply, domain=[reals(), reals()])
def multiply(a, b):
    """a * b."""
    return kernels.multiply(*paired(a, b))


@primitive(rules=[lambda g, _y, _a, b: g / b, lambda g, y, _a, b: -(g * y / b)], oracle=np.true_divide,
           domain=[reals(), reals(0.5, 3)])
def divide(a, b):
    """a / b; integers divide as float32."""
    return kernels.divide(*_numbers(a, b))


@primitive(rules=[lambda g, _y, _a: -g], oracle=np.negative, domain=[reals()])
def negative(a):
    """-a."""
    return np.negative(as_array(a))


@primitive(rules=[lambda g, _y, _a, _b: g, lambda g, _y, a, b: -(g * floor(a / b))], oracle=np.remainder, domain=[reals(0.1, 0.9), reals(1, 2)])
def remainder(a, b):
    """a - b floor(a / b): the sign is that of b, as Python's %."""
    return np.remainder(*paired(a, b))


@primitive(rules=[lambda g, _y, a: g * sign(a)], oracle=np.abs, domain=[reals(kinks=[0])])
def abs(a):
    """|a|; the derivative at 0 is 0."""
    return np.abs(as_array(a))


@primitive(rules=[lambda g, _y, a: g * (2 * a)], oracle=np.square, domain=[reals()])
def square(a):
    """a * a."""
    return np.square(as_array(a))


# ---- constant almost everywhere ---------------------------------------------------------------------------------------
@primitive(rules=[lambda g, _y, a: g * 0], oracle=np.sign, domain=[reals(kinks=[0])])
def sign(a):
    """-1, 0 or 1; NaN stays NaN.  The derivative is 0."""
    return np.sign(as_array(a))


@primitive(rules=[lambda g, _y, a: g * 0], oracle=np.floor, domain=[reals(0.1, 0.9)])
def floor(a):
    """The largest integer not above a.  The derivative is 0."""
    return np.floor(as_array(a))


@primitive(rules=[lambda g, _y, a: g * 0], oracle=lambda a: np.heaviside(a, 0), domain=[reals(kinks=[0])])
def step(a):
    """1 where a > 0, else 0.  The derivative is 0."""
    a = as_array(a)
    return (a > 0).astype(a.dtype)


# ---- choice -----------------------------------------------------------------------------------------------------------
def _share(a, b):
    """1 where a is the larger, 1/2 at a tie, 0 where it is the smaller."""
    return 0.5 + 0.5 * sign(a - b)


@primitive(rules=[lambda g, _y, a, b: g * _share(a, b), lambda g, _y, a, b: g * _share(b, a)], oracle=np.maximum,
           domain=[reals(), reals(4, 5)])
def maximum(a, b):
    """The larger of a and b; NaN if either is.  At a tie both get half of the gradient."""
    return kernels.maximum(*paired(a, b))


@primitive(rules=[lambda g, _y, a, b: g * _share(b, a), lambda g, _y, a, b: g * _share(a, b)], oracle=np.minimum,
           domain=[reals(), reals(4, 5)])
def minimum(a, b):
    """The smaller of a and b; NaN if either is.  At a tie both get half of the gradient."""
    return kernels.minimum(*paired(a, b))


@primitive(rules=[None, lambda g, _y, c, _a, _b: where(c, g, 0.0), lambda g, _y, c, _a, _b: where(c, 0.0, g)],
           oracle=np.where, domain=[BOOLS, reals(), reals()])
def where(condition, x, y):
    """x where condition holds, else y.  What was not chosen gets gradient 0, also where it is NaN."""
    x, y = paired(x, y)
    if not isinstance(x, np.ndarray) and not isinstance(y, np.ndarray):
        x = as_array(x)
    elif not isinstance(x, np.ndarray):
        x = np.asarray(x, y.dtype)
    elif not isinstance(y, np.ndarray):
        y = np.asarray(y, x.dtype)
    return kernels.where(as_array(condition).astype(bool, copy=False), x, y)


def clip(x, min=None, max=None):
    """x limited to [min, max]; bounds are numbers, arrays or Tensors, None for no bound.

    At a bound x and the bound get half of the gradient each (the tie of `maximum`).  Raises ValueError without bounds.
    """
    if min is None and max is None:
        raise ValueError("clip: at least one of min and max must be given")
    if min is not None:
        x = maximum(x, min)
    return x if max is None else minimum(x, max)


# ---- comparison: booleans, no gradient ----------------------------------------------------------------------------------
def _comparison(ufunc, text):
    def compare(a, b):
        return ufunc(*paired(a, b))
    compare.__name__ = compare.__qualname__ = ufunc.__name__
    compare.__doc__ = f"{text}: a Tensor of bools (of an array: an array); no gradient."
    return primitive(rules=[None, None], oracle=ufunc, domain=[INTEGERS, INTEGERS])(compare)


equal = _comparison(np.equal, "a == b")
not_equal = _comparison(np.not_equal, "a != b")
less = _comparison(np.less, "a < b")
less_equal = _comparison(np.less_equal, "a <= b")
greater = _comparison(np.greater, "a > b")
greater_equal = _comparison(np.greater_equal, "a >= b")
logical_and = _comparison(np.logical_and, "a and b")
logical_or = _comparison(np.logical_or, "a or b")
logical_xor = _comparison(np.logical_xor, "either a or b")


def _test(ufunc, text):
    def test(a):
        return ufunc(as_array(a))
    test.__name__ = test.__qualname__ = ufunc.__name__
    test.__doc__ = f"{text}: a Tensor of bools; no gradient."
    return primitive(rules=[None], oracle=ufunc, domain=[INTEGERS])(test)


logical_not = _test(np.logical_not, "not a")
isnan = _test(np.isnan, "Is it NaN?")
isfinite = _test(np.isfinite, "Is it neither infinite nor NaN?")
isinf = _test(np.isinf, "Is it infinite?")
