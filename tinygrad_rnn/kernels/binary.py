"""Operations on two arrays that broadcast: NumPy's ufuncs, by all threads where arrays are large.

What these compute is exact, or rounded once, so NumPy's result is one function of the numbers whatever their layout.
`pow` is not, and its loops for different layouts differ in the last bits, so it is only given contiguous arrays of
full shape. Python's numbers are weak: they never change a dtype. Comparisons give bools; maximum and minimum are NaN
if either is.
"""
from collections.abc import Callable
from typing import Any

import numpy as np

from .arrays import LARGE, large, share_rows, split_ufunc


def _array_function(ufunc: np.ufunc) -> Callable[..., np.ndarray]:
    """A ufunc that goes to the threads when it pays."""

    def apply(a: Any, b: Any, out: np.ndarray | None = None) -> np.ndarray:
        # Two small ones may still have a large result, but then each row of it is constant, and NumPy fast.
        if (type(a) is not np.ndarray or a.size < LARGE) and (type(b) is not np.ndarray or b.size < LARGE):
            return ufunc(a, b, out=out)
        return split_ufunc(ufunc, (a, b), out)

    apply.__name__ = apply.__qualname__ = ufunc.__name__
    apply.__doc__ = f"`numpy.{ufunc.__name__}`."
    return apply


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


def where(condition: Any, x: Any, y: Any) -> np.ndarray:
    """x where the condition holds, else y."""
    if not (large(condition) or large(x) or large(y)):
        return np.where(condition, x, y)
    shape = np.broadcast_shapes(np.shape(condition), np.shape(x), np.shape(y))
    out = np.empty(shape, np.result_type(x, y))
    share_rows(_choose, [np.broadcast_to(a, shape) for a in (np.asarray(condition, bool), x, y)], [out])
    return out


def _choose(condition: np.ndarray, x: np.ndarray, y: np.ndarray, out: tuple[np.ndarray]) -> None:
    np.copyto(out[0], y, casting="unsafe")
    np.copyto(out[0], x, where=condition, casting="unsafe")
