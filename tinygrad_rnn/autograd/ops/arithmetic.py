"""Arithmetic, comparison and choice, elementwise with broadcasting.

Rules give the gradient at the broadcast shape; the engine sums it back to the argument's
(`backward.unbroadcast`).  Only arithmetic and other elementwise operations stand in them, so that they also run on the
symbols of the cell compiler.

Dtypes: a Python number is weak, it takes the other operand's dtype; beside floats, integers and bools become floats of
the same width; a Python float beside integers, or a quotient of integers, is float32; the rest is NumPy's promotion.
Division by zero, overflow and NaN out of numbers warn in the forward pass as NumPy's do, and not in the backward pass.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import kernels
from ..primitive import Domain, as_array, floating, primitive, reals

INTEGERS = Domain(-4, 4, dtype="int64")
BOOLS = Domain(0, 1, dtype="bool")
WHOLE = tuple(range(-3, 4))
NUMBERS = (float, int, bool)


def paired(a: Any, b: Any) -> tuple[Any, Any]:
    """Two operands as NumPy shall promote them: arrays of one kind, or an array and a Python number of its kind."""
    if type(a) is np.ndarray:       # the common cases first
        if type(b) is np.ndarray:
            if a.dtype == b.dtype:
                return a, b
        elif type(b) in NUMBERS and a.dtype.kind == "f":
            return a, b
    a, b = _strong(a), _strong(b)
    if type(a) is not np.ndarray and type(b) is not np.ndarray:
        a = as_array(a)
    return _beside(a, b), _beside(b, a)


def _strong(a: Any) -> Any:
    """A Python number as it is, anything else as an array."""
    return a if type(a) in NUMBERS else as_array(a)


def _beside(a: Any, other: Any) -> Any:
    """An array of integers or bools as floats if the other operand is floating."""
    if type(a) is np.ndarray and a.dtype.kind != "f":
        if type(other) is float:
            return a.astype(np.float32)
        if type(other) is np.ndarray and other.dtype.kind == "f":
            return a.astype(other.dtype)
    return a


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
    return kernels.divide(_beside(a, 1.0), _beside(b, 1.0))


@primitive(rules=[lambda g, _y, _a: -g], oracle=np.negative, domain=[reals()])
def negative(a: Any) -> Any:
    """-a."""
    return np.negative(a)


@primitive(rules=[lambda g, _y, a: g * sign(a)], oracle=np.abs, domain=[reals(kinks=[0])])
def abs(a: Any) -> Any:
    """|a|; the derivative at 0 is 0."""
    return np.abs(a)


@primitive(rules=[lambda g, _y, a: g * (2 * a)], oracle=lambda a: a * a, domain=[reals()])
def square(a: Any) -> Any:
    """a * a."""
    return np.square(a)


@primitive(rules=[lambda g, y, _x: g / (2 * y)], oracle=np.sqrt, domain=[reals(0.2, 4)])
def sqrt(x: Any) -> Any:
    """Square root; NaN below 0.  The derivative at 0 is infinite, and so NaN where the incoming gradient is 0."""
    return np.sqrt(floating(x))


# ---- constant almost everywhere -------------------------------------------------------------------------------------
@primitive(rules=[lambda g, _y, _a: g * 0], oracle=np.sign, domain=[reals(kinks=[0])])
def sign(a: Any) -> Any:
    """-1, 0 or 1; NaN stays NaN.  The derivative is 0."""
    return np.sign(a)


@primitive(rules=[lambda g, _y, _a: g * 0], oracle=np.floor, domain=[reals(kinks=WHOLE)])
def floor(a: Any) -> Any:
    """The largest integer not above a, in a's dtype.  The derivative is 0."""
    return np.floor(a) if a.dtype.kind == "f" else a.copy()


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
    return np.remainder(*paired(a, b))


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


def clip(x: Any, min: Any = None, max: Any = None) -> Any:
    """x limited to [min, max].

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
    if min is not None:
        x = maximum(x, min)
    return x if max is None else minimum(x, max)


# ---- comparison: bools, no gradient ---------------------------------------------------------------------------------
@primitive(rules=[None, None], oracle=np.equal, domain=[INTEGERS, INTEGERS])
def equal(a: Any, b: Any) -> Any:
    """a == b, elementwise."""
    return kernels.equal(*paired(a, b))


@primitive(rules=[None, None], oracle=np.not_equal, domain=[INTEGERS, INTEGERS])
def not_equal(a: Any, b: Any) -> Any:
    """a != b, elementwise."""
    return kernels.not_equal(*paired(a, b))


@primitive(rules=[None, None], oracle=np.less, domain=[INTEGERS, INTEGERS])
def less(a: Any, b: Any) -> Any:
    """a < b."""
    return kernels.less(*paired(a, b))


@primitive(rules=[None, None], oracle=np.less_equal, domain=[INTEGERS, INTEGERS])
def less_equal(a: Any, b: Any) -> Any:
    """a <= b."""
    return kernels.less_equal(*paired(a, b))


@primitive(rules=[None, None], oracle=np.greater, domain=[INTEGERS, INTEGERS])
def greater(a: Any, b: Any) -> Any:
    """a > b."""
    return kernels.greater(*paired(a, b))


@primitive(rules=[None, None], oracle=np.greater_equal, domain=[INTEGERS, INTEGERS])
def greater_equal(a: Any, b: Any) -> Any:
    """a >= b."""
    return kernels.greater_equal(*paired(a, b))


@primitive(rules=[None, None], oracle=np.logical_and, domain=[BOOLS, BOOLS])
def logical_and(a: Any, b: Any) -> Any:
    """Are both true (not 0)?"""
    return np.logical_and(*paired(a, b))


@primitive(rules=[None, None], oracle=np.logical_or, domain=[BOOLS, BOOLS])
def logical_or(a: Any, b: Any) -> Any:
    """Is one of them true, or both?"""
    return np.logical_or(*paired(a, b))


@primitive(rules=[None, None], oracle=np.logical_xor, domain=[BOOLS, BOOLS])
def logical_xor(a: Any, b: Any) -> Any:
    """Is just one of them true?"""
    return np.logical_xor(*paired(a, b))


@primitive(rules=[None], oracle=np.logical_not, domain=[BOOLS])
def logical_not(a: Any) -> Any:
    """Is it false (0)?"""
    return np.logical_not(a)


@primitive(rules=[None], oracle=np.isnan, domain=[reals()])
def isnan(a: Any) -> Any:
    """Is it NaN?"""
    return np.isnan(a)


@primitive(rules=[None], oracle=np.isfinite, domain=[reals()])
def isfinite(a: Any) -> Any:
    """Is it neither infinite nor NaN?"""
    return np.isfinite(a)


@primitive(rules=[None], oracle=np.isinf, domain=[reals()])
def isinf(a: Any) -> Any:
    """Is it infinite?"""
    return np.isinf(a)
