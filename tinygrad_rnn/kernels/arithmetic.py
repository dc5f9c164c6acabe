"""Arithmetic, comparison and choice on arrays that broadcast: NumPy's ufuncs, large arrays by all threads.

What these compute is exact, or rounded once, so NumPy's result is one function of the numbers whatever their layout,
and the loops of `exact.py`, which take over where the arrays are large and lie in memory alike, give the same bits.
`pow` is not, and NumPy's loops for different layouts differ in the last bits, so it is only given contiguous arrays of
full shape. Python's numbers are weak: they never change a dtype. Comparisons give bools; maximum and minimum are NaN
if either is, and of 0 and -0 either one.
"""
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from .arrays import FLOAT32, FLOAT64, LARGE, large, share_rows, split_ufunc
from .threads import COMPILED

WARNING = ("add", "subtract", "multiply", "divide", "square", "sqrt", "reciprocal")      # as NumPy's do
TRUTHS = ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "logical_and", "logical_or",
          "logical_xor", "logical_not", "isnan", "isinf", "isfinite")


@functools.cache
def _by_threads(name: str) -> Callable[..., np.ndarray]:
    """The compiled ufunc of a function of `exact.py`, which tells the threads that it comes."""
    from . import exact
    from .ufunc import joint_ufunc, use_threads

    function = abs if name == "absolute" else getattr(exact, name)
    inputs = {"clip": "vvv", "where": "mvv"}.get(name) or "v" * getattr(np, name).nin
    ufunc = joint_ufunc(function, len(inputs), f"exact_{name}", inputs + ("m" if name in TRUTHS else "v"),
                        name in WARNING)

    def apply(*operands: Any) -> np.ndarray:
        use_threads()
        result: np.ndarray = ufunc(*operands)
        return result

    return apply


def _fit(x: np.ndarray) -> bool:
    """Is it an array that the compiled loops take as it is?"""
    return COMPILED and (x.dtype is FLOAT32 or x.dtype is FLOAT64) and x.flags.forc


def _alike(*operands: Any) -> bool:
    """Are they arrays of one floating dtype, shape and layout, or numbers beside such?"""
    if len(operands) == 2:      # the common cases, kept short: after a large array no code is in the cache
        a, b = operands
        if type(b) is float and type(a) is np.ndarray:
            return _fit(a)
        if type(a) is np.ndarray is type(b) and a.shape == b.shape and a.flags.c_contiguous and b.flags.c_contiguous:
            return a.dtype is b.dtype and _fit(a)
    arrays = [x for x in operands if type(x) is not int and type(x) is not float]
    first = arrays[0] if arrays else None
    if not COMPILED or type(first) is not np.ndarray or first.dtype is not FLOAT32 and first.dtype is not FLOAT64:
        return False
    for x in arrays[1:]:
        if type(x) is not np.ndarray or x.dtype is not first.dtype or x.shape != first.shape:
            return False
    return all(x.flags.c_contiguous for x in arrays) or all(x.flags.f_contiguous for x in arrays)


def _array_function(ufunc: np.ufunc, most: int = LARGE) -> Callable[..., np.ndarray]:
    """A ufunc whose arrays of `most` elements go to the compiled loops."""
    name = ufunc.__name__

    def of_two(a: Any, b: Any, out: np.ndarray | None = None) -> np.ndarray:
        # Two small ones may still have a large result, but then each row of it is constant, and NumPy fast.
        if (type(a) is not np.ndarray or a.size < most) and (type(b) is not np.ndarray or b.size < most):
            return ufunc(a, b, out=out)
        if _alike(a, b):
            return _by_threads(name)(a, b, out)
        return split_ufunc(ufunc, (a, b), out) if large(a) or large(b) else ufunc(a, b, out=out)

    def of_one(x: Any, out: np.ndarray | None = None) -> np.ndarray:
        if type(x) is not np.ndarray or x.size < LARGE:
            return ufunc(x, out=out)
        return _by_threads(name)(x, out) if _fit(x) else split_ufunc(ufunc, (x,), out)

    apply: Any = of_two if ufunc.nin == 2 else of_one
    apply.__name__ = apply.__qualname__ = name
    apply.__doc__ = f"`numpy.{name}`."
    return apply


negative = _array_function(np.negative)
absolute = _array_function(np.absolute)
square = _array_function(np.square)
sqrt = _array_function(np.sqrt)
reciprocal = _array_function(np.reciprocal)
sign = _array_function(np.sign)
floor = _array_function(np.floor)
ceil = _array_function(np.ceil)
rint = _array_function(np.rint)
add = _array_function(np.add)
subtract = _array_function(np.subtract)
multiply = _array_function(np.multiply)
divide = _array_function(np.divide)
maximum = _array_function(np.maximum)
minimum = _array_function(np.minimum)
equal = _array_function(np.equal)
not_equal = _array_function(np.not_equal)
less = _array_function(np.less)
less_equal = _array_function(np.less_equal)
greater = _array_function(np.greater)
greater_equal = _array_function(np.greater_equal)
logical_and = _array_function(np.logical_and)
logical_or = _array_function(np.logical_or)
logical_xor = _array_function(np.logical_xor)
logical_not = _array_function(np.logical_not)
isnan = _array_function(np.isnan)
isinf = _array_function(np.isinf)
isfinite = _array_function(np.isfinite)


def remainder(a: Any, b: Any, out: np.ndarray | None = None) -> np.ndarray:
    """`numpy.remainder`, which divides bit by bit, where the quotient is too large for one division."""
    overlap = out is not None and any(type(x) is np.ndarray and np.may_share_memory(x, out) for x in (a, b))
    if not _alike(a, b) or overlap:
        return np.remainder(a, b, out=out)
    from .reduce import any_nan

    y = np.asarray(_by_threads("remainder")(a, b, out))
    if any_nan(y):
        lacking = np.isnan(y)
        y[lacking] = np.remainder(*(x[lacking] if np.ndim(x) else x for x in (a, b)))
    return y if out is None and y.ndim else y[()] if out is None else out


def pow(a: Any, b: Any, out: np.ndarray | None = None) -> np.ndarray:
    """`numpy.power`, bitwise independent of layout."""
    if type(a) is np.ndarray and type(b) in (int, float) and a.dtype.kind == "f":
        dtype, shape = a.dtype, a.shape     # the common case, kept short
    else:
        dtype, shape = np.result_type(a, b), np.broadcast_shapes(np.shape(a), np.shape(b))
    inputs = tuple(_full(x, shape, dtype) for x in (a, b))
    if out is not None and any(np.may_share_memory(x, out) for x in inputs):
        out[...] = pow(*inputs)     # NumPy would take another loop
        return out
    return split_ufunc(np.power, inputs, out) if large(inputs[0]) else np.power(inputs[0], inputs[1], out)


def _full(x: Any, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """An operand as a contiguous array of the full shape."""
    if type(x) is np.ndarray and x.shape == shape and x.dtype is dtype and x.flags.c_contiguous:
        return x
    full = np.empty(shape, dtype)
    full[...] = x
    return full


def clip(x: Any, low: Any, high: Any) -> np.ndarray:
    """The smaller of `high` and the larger of x and `low`; NaN if any is."""
    if type(x) is np.ndarray and x.size >= LARGE and _alike(x, low, high):
        return _by_threads("clip")(x, low, high)
    return np.minimum(np.maximum(x, low), high)


def where(condition: Any, x: Any, y: Any) -> np.ndarray:
    """x where the condition holds, else y."""
    if not (large(condition) or large(x) or large(y)):
        return np.where(condition, x, y)
    shape = np.broadcast_shapes(np.shape(condition), np.shape(x), np.shape(y))
    inputs = [np.broadcast_to(a, shape) for a in (np.asarray(condition, bool), x, y)]
    dtype = np.result_type(x, y)
    if COMPILED and (dtype is FLOAT32 or dtype is FLOAT64) and inputs[0].flags.c_contiguous:
        # An array that is constant, or of one memory order, is read as it is; any other is written out.
        values = [a if np.ndim(a) == 0 else b if b.flags.c_contiguous else np.ascontiguousarray(b)
                  for a, b in zip((x, y), inputs[1:])]
        return _by_threads("where")(inputs[0], *(np.asarray(a, dtype) for a in values))
    out = np.empty(shape, dtype)
    share_rows(_choose, inputs, [out])
    return out


def _choose(condition: np.ndarray, x: np.ndarray, y: np.ndarray, out: tuple[np.ndarray]) -> None:
    np.copyto(out[0], y, casting="unsafe")
    np.copyto(out[0], x, where=condition, casting="unsafe")
