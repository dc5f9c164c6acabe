"""Elementwise functions: the kernel that computes each, and its derivative beside it.

The rules are written once and serve three interpreters: arrays (a backward pass), Tensors (derivatives of derivatives)
and the symbols of the cell compiler.  `fused` names the kernel that does the array pass in one loop; a test holds it to
the rule.
"""

from __future__ import annotations

import math

import numpy as np

from ... import kernels
from ..primitive import as_array, primitive, reals
from .arithmetic import paired, step, where


def _np_erf(x):
    return np.vectorize(math.erf, otypes=[np.float64])(x)


# ---- exponentials and logarithms ------------------------------------------------------------------------------------
@primitive(rules=[lambda g, y, _x: g * y], oracle=np.exp, domain=[reals()])
def exp(x):
    """e^x."""
    return kernels.exp(x)


@primitive(rules=[lambda g, y, _x: g * (y + 1)], oracle=np.expm1, domain=[reals()])
def expm1(x):
    """e^x - 1, accurate near 0."""
    return kernels.expm1(x)


@primitive(rules=[lambda g, _y, x: g / x], oracle=np.log, domain=[reals(0.2, 5)])
def log(x):
    """Natural logarithm; -inf at 0, NaN below."""
    return kernels.log(x)


@primitive(rules=[lambda g, _y, x: g / (1 + x)], oracle=np.log1p, domain=[reals(-0.8, 4)])
def log1p(x):
    """log(1 + x), accurate near 0."""
    return kernels.log1p(x)


@primitive(rules=[lambda g, y, _x: g / (2 * y)], oracle=np.sqrt, domain=[reals(0.2, 4)])
def sqrt(x):
    """Square root; NaN below 0, an infinite derivative at 0."""
    x = as_array(x)
    return np.sqrt(x if x.dtype.kind == "f" else x.astype(np.float32))


# ---- powers --------------------------------------------------------------------------------------------------------
def _exponent_rule(g, y, a, b):
    """y log a.  Where a is 0 the power does not move with a positive exponent: 0, and not 0 * -inf."""
    return g * y * log(where(a == 0, 1.0, a))


@primitive(rules=[lambda g, _y, a, b: g * (b * a ** (b - 1)), _exponent_rule], oracle=np.power,
           domain=[reals(0.5, 2), reals()])
def pow(a, b):
    """a ** b.  The derivative with respect to the exponent is y log a, taken as 0 where a = 0."""
    a, b = paired(a, b)
    if type(b) in (int, float) and b in (1, 2):
        return a * a if b == 2 else +a
    return kernels.pow(a, b)


# ---- circular and hyperbolic functions --------------------------------------------------------------------------------
@primitive(rules=[lambda g, _y, x: g * cos(x)], oracle=np.sin, domain=[reals()])
def sin(x):
    """Sine; x in radians."""
    return kernels.sin(x)


@primitive(rules=[lambda g, _y, x: -(g * sin(x))], oracle=np.cos, domain=[reals()])
def cos(x):
    """Cosine; x in radians."""
    return kernels.cos(x)


@primitive(rules=[lambda g, y, _x: g * (1 - y * y)], oracle=np.tanh, domain=[reals()],
           fused={0: lambda g, y, _x: kernels.tanh_backward(g, y)})
def tanh(x):
    """Hyperbolic tangent, (e^x - e^-x) / (e^x + e^-x)."""
    return kernels.tanh(x)


@primitive(rules=[lambda g, y, _x: g * (y * (1 - y))], oracle=lambda x: 1 / (1 + np.exp(-x)), domain=[reals()],
           fused={0: lambda g, y, _x: kernels.sigmoid_backward(g, y)})
def sigmoid(x):
    """The logistic function 1 / (1 + e^-x), accurate in both tails."""
    return kernels.sigmoid(x)


# ---- activations --------------------------------------------------------------------------------------------------------
@primitive(rules=[lambda g, y, _x: g * step(y)], oracle=lambda x: np.maximum(x, 0), domain=[reals(kinks=[0])])
def relu(x):
    """max(x, 0) (Nair and Hinton 2010); the derivative at 0 is 0."""
    return kernels.maximum(as_array(x), 0)


@primitive(rules=[lambda g, _y, x, negative_slope=0.01: g * (negative_slope + (1 - negative_slope) * step(x))],
           oracle=lambda x, a=0.01: np.where(x > 0, x, a * x), domain=[reals(kinks=[0])])
def leaky_relu(x, negative_slope=0.01):
    """x where x > 0, else negative_slope * x (Maas 2013); the derivative at 0 is negative_slope, PyTorch's choice."""
    x = as_array(x)
    return np.where(x > 0, x, negative_slope * x)


@primitive(rules=[lambda g, y, x, alpha=1.0: g * (step(x) + (1 - step(x)) * (y + alpha))],
           oracle=lambda x, a=1.0: np.where(x > 0, x, a * np.expm1(np.minimum(x, 0))), domain=[reals(kinks=[0])])
def elu(x, alpha=1.0):
    """x where x > 0, else alpha (e^x - 1) (Clevert 2015); the derivative at 0 is alpha."""
    x = as_array(x)
    return np.where(x > 0, x, alpha * kernels.expm1(np.minimum(x, 0)))


@primitive(rules=[lambda g, _y, x: g * (sigmoid(x) * (1 + x * (1 - sigmoid(x))))],
           oracle=lambda x: x / (1 + np.exp(-x)), domain=[reals()])
def silu(x):
    """x sigmoid(x), also called swish (Elfwing 2017)."""
    return kernels.silu(x)


@primitive(rules=[lambda g, _y, x: g * ((2 / math.sqrt(math.pi)) * exp(-(x * x)))], oracle=_np_erf, domain=[reals()])
def erf(x):
    """The error function, 2/sqrt(pi) times the integral of e^(-t^2) from 0 to x."""
    return kernels.erf(x)


@primitive(rules=[lambda g, _y, x: g * (0.5 * (1 + erf(x * math.sqrt(0.5)))
                                        + x * (math.sqrt(0.5 / math.pi) * exp(-0.5 * (x * x))))],
           oracle=lambda x: x * 0.5 * (1 + _np_erf(x / math.sqrt(2))), domain=[reals()])
def _gelu(x):
    return kernels.gelu(x)


def gelu(x, approximate="none"):
    """x Phi(x), Phi the normal distribution (Hendrycks and Gimpel 2016).

    approximate : "none", or "tanh" for 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).
    Raises ValueError for another word.
    """
    if approximate == "none":
        return _gelu(x)
    if approximate == "tanh":
        return 0.5 * x * (1 + tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * (x * x * x))))
    raise ValueError(f"gelu: approximate must be 'none' or 'tanh', got {approximate!r}")


@primitive(rules=[lambda g, _y, x: g * sigmoid(x)], oracle=lambda x: np.logaddexp(x, 0), domain=[reals()])
def _softplus(x):
    return kernels.softplus(x)


def softplus(x, beta=1.0):
    """log(1 + e^(beta x)) / beta, stable for any x; its derivative is sigmoid(beta x)."""
    return _softplus(x) if beta == 1 else _softplus(x * beta) / beta

