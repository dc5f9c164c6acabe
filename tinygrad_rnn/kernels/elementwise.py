"""Elementwise functions of arrays: the mathematics of `functions.py` as NumPy ufuncs.

Each takes an array of float32 or float64 in any layout and gives a new one of the same shape and dtype; integers and
bools are computed in float32. The result of an element is one function of its value: it depends neither on where the
element stands, nor on the layout, nor on the number of threads. `out=` takes the result, and may be an input.

    kernels.tanh(x)                     float32 or float64 array
    kernels.tanh_backward(g, y)         gradient of x from that of y = tanh(x): one pass where a rule takes three

The largest errors in units of the last place, where the result is a normal number: over all float32 numbers
(benchmarks/sweep_functions.py), and over some 10,000 float64 numbers against mpmath. None gives a floating-point
warning.

    exp 1.05, 1.0       expm1 1.61, 1.8     log 0.85, 0.9       log1p 1.40, 1.4     tanh 2.57, 2.6      sin 1.57, 1.6
    sigmoid 2.41, 2.3   silu 2.67, 2.4      softplus 1.68, 1.7  erf 2.48, 1.5       gelu 3.74, 3.3      cos 1.57, 1.6
    gelu_tanh 2.86, 2.2

Over every 61st float32 number (`benchmarks.sweep_functions 61`):

    tan 3.64            asin 2.36           acos 1.15           atan 2.05           sinh 2.20           cosh 1.44
    asinh 1.81          acosh 2.17          atanh 2.05          rsqrt 1.49
"""
import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from . import circular, functions
from .arrays import FLOAT32, FLOAT64, LARGE, as_float, large, split_ufunc
from .reduce import any_nan
from .ufunc import joint_ufunc, use_threads


def _array_function(function: Callable[..., Any]) -> Callable[..., Any]:
    """An array function from one of lanes, compiled at its first call."""
    ufunc: Any = None
    name = function.__name__

    def general(inputs: tuple[Any, ...], out: np.ndarray | None) -> np.ndarray:
        nonlocal ufunc
        if ufunc is None:
            ufunc = joint_ufunc(function, len(inputs))
        inputs = tuple(x if i and type(x) in (int, float) else as_float(x, name) for i, x in enumerate(inputs))
        if large(inputs[0]):
            if not inputs[0].flags.forc:
                return split_ufunc(ufunc, inputs, out)
            use_threads()
        return ufunc(*inputs, out)

    def of_one(x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        if ufunc and type(x) is np.ndarray and x.size < LARGE and ((kind := x.dtype) is FLOAT32 or kind is FLOAT64):
            return ufunc(x, out)
        return general((x,), out)

    def of_two(x: np.ndarray, second: Any, out: np.ndarray | None = None) -> np.ndarray:
        if ufunc and type(x) is np.ndarray and x.size < LARGE and ((kind := x.dtype) is FLOAT32 or kind is FLOAT64):
            return ufunc(x, second, out)
        return general((x, second), out)

    def of_several(*inputs: Any, out: np.ndarray | None = None) -> np.ndarray:
        return general(inputs, out)

    apply: Any = {1: of_one, 2: of_two}.get(len(inspect.signature(function).parameters), of_several)
    apply.__name__ = apply.__qualname__ = name
    apply.__doc__ = function.__doc__
    return apply


exp = _array_function(functions.exp)
expm1 = _array_function(functions.expm1)
log = _array_function(functions.log)
log1p = _array_function(functions.log1p)
tanh = _array_function(functions.tanh)
sigmoid = _array_function(functions.sigmoid)
silu = _array_function(functions.silu)
softplus = _array_function(functions.softplus)
erf = _array_function(functions.erf)
gelu = _array_function(functions.gelu)
gelu_tanh = _array_function(functions.gelu_tanh)
relu = _array_function(functions.relu)
leaky_relu = _array_function(functions.leaky_relu)              # (x, slope)
elu = _array_function(functions.elu)                            # (x, alpha)
rsqrt = _array_function(functions.rsqrt)
hardsigmoid = _array_function(functions.hardsigmoid)

tanh_backward = _array_function(functions.tanh_backward)        # (g, y)
sigmoid_backward = _array_function(functions.sigmoid_backward)  # (g, y)
relu_backward = _array_function(functions.relu_backward)        # (g, y)
silu_backward = _array_function(functions.silu_backward)        # (g, x)
softplus_backward = _array_function(functions.softplus_backward)        # (g, x)
gelu_backward = _array_function(functions.gelu_backward)        # (g, x)
leaky_relu_backward = _array_function(functions.leaky_relu_backward)    # (g, x, slope)
elu_backward = _array_function(functions.elu_backward)          # (g, x, y, alpha)

asin = _array_function(circular.asin)
acos = _array_function(circular.acos)
atan = _array_function(circular.atan)
sinh = _array_function(circular.sinh)
cosh = _array_function(circular.cosh)
asinh = _array_function(circular.asinh)
acosh = _array_function(circular.acosh)
atanh = _array_function(circular.atanh)
_sin = _array_function(circular.sin)
_cos = _array_function(circular.cos)
_tan = _array_function(circular.tan)


def sin(x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Sine; x in radians."""
    return _circular(_sin, math.sin, x, out)


def cos(x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Cosine; x in radians."""
    return _circular(_cos, math.cos, x, out)


def tan(x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Tangent; x in radians."""
    return _circular(_tan, math.tan, x, out)


def _circular(lanes: Callable[..., Any], exact: Callable[[float], float], x: np.ndarray,
              out: np.ndarray | None) -> np.ndarray:
    """Where x is too large for the vector code, which gives NaN there, the C library can still reduce it."""
    y = lanes(x)
    if any_nan(y):
        x, y = np.asarray(x), np.asarray(y)
        huge = np.isnan(y) & np.isfinite(x)
        y[huge] = [exact(number) for number in x[huge].tolist()]
    if out is not None:
        np.copyto(out, y)
        return out
    return y[()]
