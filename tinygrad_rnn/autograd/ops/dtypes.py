"""Dtypes of operands that meet.

A Python number is weak, it takes the other operand's dtype; beside floats, integers and bools become floats of the same
width; a Python float beside integers, or a quotient of integers, is float32; the rest is NumPy's promotion.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..primitive import as_array

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
    return beside(a, b), beside(b, a)


def _strong(a: Any) -> Any:
    """A Python number as it is, anything else as an array."""
    return a if type(a) in NUMBERS else as_array(a)


def beside(a: Any, other: Any) -> Any:
    """An array of integers or bools as floats if the other operand is floating."""
    if type(a) is np.ndarray and a.dtype.kind != "f":
        if type(other) is float:
            return a.astype(np.float32)
        if type(other) is np.ndarray and other.dtype.kind == "f":
            return a.astype(other.dtype)
    return a
