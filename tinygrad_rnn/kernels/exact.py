"""What needs no approximation, on the lanes of a vector: arithmetic, comparison and choice, rounded once or not at all.

`arithmetic.py` gives large arrays to these and small ones to NumPy's ufuncs of the same names, which give the same
bits.
"""
from .llvm import Mask, V


def negative(x: V) -> V:
    """-x."""
    return -x


def square(x: V) -> V:
    """x * x."""
    return x * x


def sqrt(x: V) -> V:
    """Square root; NaN below 0."""
    return x.sqrt()


def reciprocal(x: V) -> V:
    """1 / x."""
    return 1 / x


def sign(x: V) -> V:
    """-1, 0 or 1; NaN stays NaN."""
    return (x > 0).select(1.0, (x < 0).select(-1.0, (x == 0).select(0.0, x)))


def floor(x: V) -> V:
    """The largest whole number not above x."""
    return x.floor()


def ceil(x: V) -> V:
    """The smallest whole number not below x."""
    return x.ceil()


def rint(x: V) -> V:
    """The nearest whole number, the even one of two."""
    return x.round()


def add(a: V, b: V) -> V:
    """a + b."""
    return a + b


def subtract(a: V, b: V) -> V:
    """a - b."""
    return a - b


def multiply(a: V, b: V) -> V:
    """a * b."""
    return a * b


def divide(a: V, b: V) -> V:
    """a / b."""
    return a / b


def maximum(a: V, b: V) -> V:
    """The larger one; NaN if either is."""
    return a.maximum(b)


def minimum(a: V, b: V) -> V:
    """The smaller one; NaN if either is."""
    return a.minimum(b)


def remainder(a: V, b: V) -> V:
    """a - b floor(a / b), with the sign of b; NaN where the quotient is too large for this, or b infinite."""
    quotient = a / b
    r = (-quotient.floor()).fma(b, a)   # exact, if the quotient below a whole number was not rounded up to it
    found = (r == 0).select(r.wrap(0.0).copysign(b), ((r < 0) ^ (b < 0)).select(r + b, r))
    return (abs(quotient) < 2.0**(22 if a.dtype.itemsize == 4 else 51)).select(found, float("nan"))


def clip(x: V, low: V, high: V) -> V:
    """x between two numbers; NaN if any is."""
    x = (low > x).select(low, x)
    x = (high < x).select(high, x)
    return low.unordered(high).select(float("nan"), x)


def where(condition: Mask, x: V, y: V) -> V:
    """x where the condition holds, else y."""
    return condition.select(x, y)


# ---- truth values ----------------------------------------------------------------------------------------------------


def equal(a: V, b: V) -> Mask:
    """a == b."""
    return a == b


def not_equal(a: V, b: V) -> Mask:
    """a != b."""
    return a != b


def less(a: V, b: V) -> Mask:
    """a < b."""
    return a < b


def less_equal(a: V, b: V) -> Mask:
    """a <= b."""
    return a <= b


def greater(a: V, b: V) -> Mask:
    """a > b."""
    return a > b


def greater_equal(a: V, b: V) -> Mask:
    """a >= b."""
    return a >= b


def logical_and(a: V, b: V) -> Mask:
    """Is neither 0?"""
    return (a != 0) & (b != 0)


def logical_or(a: V, b: V) -> Mask:
    """Is one of them not 0?"""
    return (a != 0) | (b != 0)


def logical_xor(a: V, b: V) -> Mask:
    """Is just one of them not 0?"""
    return (a != 0) ^ (b != 0)


def logical_not(x: V) -> Mask:
    """Is it 0?"""
    return x == 0


def isnan(x: V) -> Mask:
    """Is it NaN?"""
    return x != x


def isinf(x: V) -> Mask:
    """Is it infinite?"""
    return abs(x) == float("inf")


def isfinite(x: V) -> Mask:
    """Is it neither infinite nor NaN?"""
    return abs(x) < float("inf")
