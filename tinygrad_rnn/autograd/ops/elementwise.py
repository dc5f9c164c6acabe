"""Elementwise functions: the kernel that computes each, and its derivative beside it.

The rules are written once and serve three interpreters: arrays (a backward pass), Tensors (derivatives of derivatives)
and the symbols of the cell compiler.  `fused` names the kernel that does the array pass in one loop; a test holds it to
the rule.  Integers and bools are computed in float32.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ... import kernels
from ..primitive import floating, operand, primitive, reals
from .arithmetic import step, where
from .comparison import equal
from .dtypes import paired

SQRT_2_PI = math.sqrt(2 / math.pi)
SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805


def _np_erf(x: np.ndarray) -> Any:
    return np.vectorize(math.erf, otypes=[np.float64])(x)


# ---- exponentials and logarithms ------------------------------------------------------------------------------------
@primitive(rules=[lambda g, y, _x: g * y], oracle=np.exp, domain=[reals()])
def exp(x: Any) -> Any:
    """e^x."""
    return kernels.exp(x)


@primitive(rules=[lambda g, y, _x: g * (y + 1)], oracle=np.expm1, domain=[reals()])
def expm1(x: Any) -> Any:
    """e^x - 1, accurate near 0."""
    return kernels.expm1(x)


@primitive(rules=[lambda g, _y, x: g / x], oracle=np.log, domain=[reals(0.2, 5)])
def log(x: Any) -> Any:
    """Natural logarithm; -inf at 0, NaN below."""
    return kernels.log(x)


@primitive(rules=[lambda g, _y, x: g / (1 + x)], oracle=np.log1p, domain=[reals(-0.8, 4)])
def log1p(x: Any) -> Any:
    """log(1 + x), accurate near 0."""
    return kernels.log1p(x)


# ---- powers ---------------------------------------------------------------------------------------------------------
def _base_rule(g: Any, _y: Any, a: Any, b: Any) -> Any:
    """b a^(b - 1); with the exponent 0 it is 0, also where a is 0 and the formula gives 0 * inf."""
    if hasattr(b, "dtype"):
        return g * where(equal(b, 0), 0.0, b * a ** (b - 1))
    return g * 0 if b == 0 else g * (b * a ** (b - 1))


def _exponent_rule(g: Any, y: Any, a: Any, _b: Any) -> Any:
    """y log a, taken as 0 where a is 0."""
    if type(a) in (int, float):
        return g * y * (math.log(a) if a > 0 else 0.0 if a == 0 else math.nan)
    zero = equal(a, 0)
    return where(zero, 0.0, g * y * log(where(zero, 1.0, a)))


@primitive(rules=[_base_rule, _exponent_rule], oracle=np.power, domain=[reals(0.5, 2), reals()])
def pow(a: Any, b: Any) -> Any:
    """a ** b; 0 ** 0 is 1, and NaN for a negative base with a broken exponent.

    d_a = b a^(b - 1), 0 for b = 0;  d_b = y log a, 0 for a = 0, NaN for a < 0.
    """
    a, b = paired(a, b)
    if type(b) is int and b == 2 or type(b) is float and b == 2.0:
        return np.square(a)
    return kernels.pow(a, b)


@primitive(rules=[lambda g, y, x: g * (-0.5 * (y / x))], oracle=lambda x: 1 / np.sqrt(x), domain=[reals(0.2, 4)])
def rsqrt(x: Any) -> Any:
    """1 / sqrt(x); infinite at 0, NaN below."""
    return kernels.rsqrt(x)


# ---- functions that saturate -----------------------------------------------------------------------------------------
@primitive(rules=[lambda g, y, _x: g * (1 - y * y)], fused={0: lambda g, y, _x: kernels.tanh_backward(g, y)},
           oracle=np.tanh, domain=[reals()])
def tanh(x: Any) -> Any:
    """Hyperbolic tangent, (e^x - e^-x) / (e^x + e^-x)."""
    return kernels.tanh(x)


@primitive(rules=[lambda g, y, _x: g * (y * (1 - y))], fused={0: lambda g, y, _x: kernels.sigmoid_backward(g, y)},
           oracle=lambda x: 1 / (1 + np.exp(-x)), domain=[reals()])
def sigmoid(x: Any) -> Any:
    """The logistic function 1 / (1 + e^-x), accurate in both tails."""
    return kernels.sigmoid(x)


@primitive(rules=[lambda g, _y, x: g * ((2 / math.sqrt(math.pi)) * exp(-(x * x)))], oracle=_np_erf, domain=[reals()])
def erf(x: Any) -> Any:
    """The error function, 2/sqrt(pi) times the integral of e^(-t^2) from 0 to x."""
    return kernels.erf(x)


# ---- activations ----------------------------------------------------------------------------------------------------
@primitive(rules=[lambda g, y, _x: g * step(y)], fused={0: lambda g, y, _x: kernels.relu_backward(g, y)},
           oracle=lambda x: np.maximum(x, 0), domain=[reals(kinks=[0])])
def relu(x: Any) -> Any:
    """max(x, 0) (Nair and Hinton 2010); the derivative at 0 is 0."""
    return kernels.relu(x)


@primitive(rules=[lambda g, _y, x, negative_slope=0.01: g * (negative_slope + (1 - negative_slope) * step(x))],
           fused={0: lambda g, _y, x, negative_slope=0.01: kernels.leaky_relu_backward(g, x, negative_slope)},
           oracle=lambda x, negative_slope=0.01: np.where(x > 0, x, negative_slope * x), domain=[reals(kinks=[0])])
def leaky_relu(x: Any, negative_slope: float = 0.01) -> Any:
    """x where x > 0, else negative_slope * x (Maas 2013); the derivative at 0 is negative_slope, PyTorch's choice."""
    return kernels.leaky_relu(x, negative_slope)


@primitive(rules=[lambda g, y, x, alpha=1.0: g * (step(x) + (1 - step(x)) * (y + alpha))],
           fused={0: lambda g, y, x, alpha=1.0: kernels.elu_backward(g, x, y, alpha)}, domain=[reals(kinks=[0])],
           oracle=lambda x, alpha=1.0: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))))
def elu(x: Any, alpha: float = 1.0) -> Any:
    """x where x > 0, else alpha (e^x - 1) (Clevert 2015); the derivative at 0 is alpha."""
    return kernels.elu(x, alpha)


def selu(x: Any) -> Any:
    """scale elu(x, alpha), with the constants that keep mean 0 and variance 1 (Klambauer 2017, equation 2)."""
    return SELU_SCALE * elu(operand(x), SELU_ALPHA)


@primitive(rules=[lambda g, _y, x, min_val=-1.0, max_val=1.0: g * (step(x - min_val) * step(max_val - x))],
           oracle=lambda x, min_val=-1.0, max_val=1.0: np.clip(x, min_val, max_val), domain=[reals(kinks=[-1, 1])])
def hardtanh(x: Any, min_val: float = -1.0, max_val: float = 1.0) -> Any:
    """x limited to [min_val, max_val]; the derivative at a bound is 0, PyTorch's choice.

    Raises ValueError unless min_val < max_val.
    """
    if not min_val < max_val:
        raise ValueError(f"hardtanh: min_val must be less than max_val, got {min_val} and {max_val}")
    return kernels.clip(floating(x), float(min_val), float(max_val))


@primitive(rules=[lambda g, _y, x: g * (step(x + 3) * step(3 - x) * (1 / 6))],
           oracle=lambda x: np.clip(x + 3, 0, 6) / 6, domain=[reals(-4, 4, kinks=[-3, 3])])
def hardsigmoid(x: Any) -> Any:
    """x + 3 limited to [0, 6], over 6 (Courbariaux 2015, as PyTorch has it); the derivative at a bound is 0."""
    return kernels.hardsigmoid(x)


@primitive(rules=[lambda g, _y, x: g * (sigmoid(x) * (1 + x * (1 - sigmoid(x))))],
           fused={0: lambda g, _y, x: kernels.silu_backward(g, x)},
           oracle=lambda x: x / (1 + np.exp(-x)), domain=[reals()])
def silu(x: Any) -> Any:
    """x sigmoid(x), also called swish (Elfwing 2017)."""
    return kernels.silu(x)


@primitive(rules=[lambda g, _y, x: g * (0.5 * (1 + erf(x * math.sqrt(0.5)))
                                        + x * (math.sqrt(0.5 / math.pi) * exp(-0.5 * (x * x))))],
           fused={0: lambda g, _y, x: kernels.gelu_backward(g, x)},
           oracle=lambda x: x * 0.5 * (1 + _np_erf(x / math.sqrt(2))), domain=[reals()])
def _gelu(x: Any) -> Any:
    return kernels.gelu(x)


def _gelu_tanh_rule(g: Any, _y: Any, x: Any) -> Any:
    t = tanh(SQRT_2_PI * (x + 0.044715 * (x * x * x)))
    return g * (0.5 * (1 + t) + (0.5 * SQRT_2_PI) * (x * (1 - t * t) * (1 + (3 * 0.044715) * (x * x))))


@primitive(rules=[_gelu_tanh_rule], domain=[reals()],
           oracle=lambda x: 0.5 * x * (1 + np.tanh(SQRT_2_PI * (x + 0.044715 * x ** 3))))
def _gelu_tanh(x: Any) -> Any:
    return kernels.gelu_tanh(x)


def gelu(x: Any, approximate: str = "none") -> Any:
    """x Phi(x), Phi the normal distribution (Hendrycks and Gimpel 2016).

    Parameters
    ----------
    x : Tensor
    approximate : "none", or "tanh" for 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))

    Raises
    ------
    ValueError
        For another word.
    """
    if approximate == "none":
        return _gelu(x)
    if approximate == "tanh":
        return _gelu_tanh(x)
    raise ValueError(f"gelu: approximate must be 'none' or 'tanh', got {approximate!r}")


@primitive(rules=[lambda g, _y, x: g * sigmoid(x)], fused={0: lambda g, _y, x: kernels.softplus_backward(g, x)},
           oracle=lambda x: np.logaddexp(x, 0), domain=[reals()])
def _softplus(x: Any) -> Any:
    return kernels.softplus(x)


def softplus(x: Any, beta: float = 1.0) -> Any:
    """log(1 + e^(beta x)) / beta, stable for any x; its derivative is sigmoid(beta x).

    Raises ValueError unless beta is positive.
    """
    if beta <= 0:
        raise ValueError(f"softplus: beta must be positive, got {beta}")
    return _softplus(x) if beta == 1 else _softplus(operand(x) * beta) / beta
