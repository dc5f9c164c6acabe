"""The hunt for the first NaN: what `detect_anomaly()` looks at, and how it says where."""

from __future__ import annotations

import linecache
import os
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import arguments

if TYPE_CHECKING:
    from .node import Node
    from .primitive import Primitive

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


def user_line() -> str:
    """File, line and source of the innermost frame outside this package."""
    frame = sys._getframe(1)
    while frame.f_back is not None and os.path.abspath(frame.f_code.co_filename).startswith(_PACKAGE):
        frame = frame.f_back
    path, line = frame.f_code.co_filename, frame.f_lineno
    source = linecache.getline(path, line).strip()
    return f"{path}:{line}" + (f": {source}" if source else "")


def check_result(primitive: Primitive, values: list[Any], y: Any) -> None:
    """Raise FloatingPointError if an operation made NaN or infinity out of finite arguments."""
    if not _finite(y) and all(map(_finite, values)):
        raise FloatingPointError(f"{primitive.name} gave NaN or infinity for finite arguments "
                                 f"({arguments(primitive, values)})\n  called at {user_line()}")


def check_gradient(node: Node, position: int, g: Any, saved: Any, d: Any) -> None:
    """The same for the gradient of one argument."""
    if node.plan is not None and not _finite(d) and _finite(g) and _finite(saved):
        raise FloatingPointError(f"backward of {node.plan.primitive.name} (result of shape {node.shape}): the gradient "
                                 f"of argument {position} is NaN or infinite, though what it is made of is finite\n"
                                 f"  called at {node.site or 'a line before detect_anomaly() was entered'}")


def _finite(x: Any) -> bool:
    """No NaN or infinity in an array, a Tensor, a number, or several of them; True for what is none of these."""
    if isinstance(x, dict):
        x = tuple(x.values())
    if isinstance(x, (tuple, list)):
        return all(map(_finite, x))
    x = getattr(x, "_data", x)
    floating = isinstance(x, float) or isinstance(x, (np.ndarray, np.generic)) and x.dtype.kind == "f"
    return not floating or bool(np.isfinite(x).all())
