"""Comparison and logic, elementwise with broadcasting: bools, which have no gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import kernels
from ..primitive import Domain, primitive, reals
from .dtypes import paired

INTEGERS = Domain(-4, 4, dtype="int64")
BOOLS = Domain(0, 1, dtype="bool")


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
    return kernels.logical_and(*paired(a, b))


@primitive(rules=[None, None], oracle=np.logical_or, domain=[BOOLS, BOOLS])
def logical_or(a: Any, b: Any) -> Any:
    """Is one of them true, or both?"""
    return kernels.logical_or(*paired(a, b))


@primitive(rules=[None, None], oracle=np.logical_xor, domain=[BOOLS, BOOLS])
def logical_xor(a: Any, b: Any) -> Any:
    """Is just one of them true?"""
    return kernels.logical_xor(*paired(a, b))


@primitive(rules=[None], oracle=np.logical_not, domain=[BOOLS])
def logical_not(a: Any) -> Any:
    """Is it false (0)?"""
    return kernels.logical_not(a)


@primitive(rules=[None], oracle=np.isnan, domain=[reals()])
def isnan(a: Any) -> Any:
    """Is it NaN?"""
    return kernels.isnan(a)


@primitive(rules=[None], oracle=np.isfinite, domain=[reals()])
def isfinite(a: Any) -> Any:
    """Is it neither infinite nor NaN?"""
    return kernels.isfinite(a)


@primitive(rules=[None], oracle=np.isinf, domain=[reals()])
def isinf(a: Any) -> Any:
    """Is it infinite?"""
    return kernels.isinf(a)
