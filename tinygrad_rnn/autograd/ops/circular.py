"""Circular and hyperbolic functions and their inverses, each with its derivative; tanh stands in `elementwise.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import kernels
from ..primitive import primitive, reals
from .arithmetic import sqrt


@primitive(rules=[lambda g, _y, x: g * cos(x)], oracle=np.sin, domain=[reals()])
def sin(x: Any) -> Any:
    """Sine; x in radians."""
    return kernels.sin(x)


@primitive(rules=[lambda g, _y, x: -(g * sin(x))], oracle=np.cos, domain=[reals()])
def cos(x: Any) -> Any:
    """Cosine; x in radians."""
    return kernels.cos(x)


@primitive(rules=[lambda g, y, _x: g * (1 + y * y)], oracle=np.tan, domain=[reals(-1.2, 1.2)])
def tan(x: Any) -> Any:
    """Tangent; x in radians."""
    return kernels.tan(x)


@primitive(rules=[lambda g, _y, x: g / sqrt((1 - x) * (1 + x))], oracle=np.arcsin, domain=[reals(-0.9, 0.9)])
def asin(x: Any) -> Any:
    """The angle in [-pi/2, pi/2] whose sine is x; NaN beyond 1.  The derivative at 1 is infinite."""
    return kernels.asin(x)


@primitive(rules=[lambda g, _y, x: -(g / sqrt((1 - x) * (1 + x)))], oracle=np.arccos, domain=[reals(-0.9, 0.9)])
def acos(x: Any) -> Any:
    """The angle in [0, pi] whose cosine is x; NaN beyond 1.  The derivative at 1 is infinite."""
    return kernels.acos(x)


@primitive(rules=[lambda g, _y, x: g / (1 + x * x)], oracle=np.arctan, domain=[reals()])
def atan(x: Any) -> Any:
    """The angle in (-pi/2, pi/2) whose tangent is x."""
    return kernels.atan(x)


@primitive(rules=[lambda g, _y, x: g * cosh(x)], oracle=np.sinh, domain=[reals()])
def sinh(x: Any) -> Any:
    """Hyperbolic sine, (e^x - e^-x) / 2."""
    return kernels.sinh(x)


@primitive(rules=[lambda g, _y, x: g * sinh(x)], oracle=np.cosh, domain=[reals()])
def cosh(x: Any) -> Any:
    """Hyperbolic cosine, (e^x + e^-x) / 2."""
    return kernels.cosh(x)


@primitive(rules=[lambda g, _y, x: g / sqrt(x * x + 1)], oracle=np.arcsinh, domain=[reals()])
def asinh(x: Any) -> Any:
    """The number whose hyperbolic sine is x, log(x + sqrt(x^2 + 1))."""
    return kernels.asinh(x)


@primitive(rules=[lambda g, _y, x: g / sqrt((x - 1) * (x + 1))], oracle=np.arccosh, domain=[reals(1.2, 4)])
def acosh(x: Any) -> Any:
    """The number from 0 on whose hyperbolic cosine is x; NaN below 1.  The derivative at 1 is infinite."""
    return kernels.acosh(x)


@primitive(rules=[lambda g, _y, x: g / ((1 - x) * (1 + x))], oracle=np.arctanh, domain=[reals(-0.9, 0.9)])
def atanh(x: Any) -> Any:
    """The number whose hyperbolic tangent is x, log((1 + x) / (1 - x)) / 2; infinite at 1, NaN beyond."""
    return kernels.atanh(x)
