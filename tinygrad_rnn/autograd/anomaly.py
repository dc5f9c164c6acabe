"""The hunt for the first NaN: what `detect_anomaly()` looks at, and how it says where."""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


def user_line() -> str:
    """File, line and source of the innermost frame outside this package."""
    frame = sys._getframe(1)
    while frame.f_back is not None and os.path.abspath(frame.f_code.co_filename).startswith(_PACKAGE):
        frame = frame.f_back
    import linecache
    path, line = frame.f_code.co_filename, frame.f_lineno
    source = linecache.getline(path, line).strip()
    return f"{path}:{line}" + (f": {source}" if source else "")


def _finite(x: Any) -> bool:
    if isinstance(x, tuple):
        return all(map(_finite, x))
    x = np.asarray(x)
    return x.dtype.kind != "f" or bool(np.isfinite(x).all())


def check_result(primitive: Any, values: list[Any], y: Any) -> None:
    """Raise FloatingPointError if an operation made NaN or infinity out of finite arguments."""
    if not _finite(y) and all(_finite(v) for v in values if isinstance(v, np.ndarray)):
        shapes = ", ".join(str(v.shape) for v in values if isinstance(v, np.ndarray))
        raise FloatingPointError(f"{primitive.name} of finite arguments (shapes {shapes}) gave NaN or infinity\n"
                                 f"  called at {user_line()}")


def check_gradient(node: Any, position: int, g: Any, d: Any) -> None:
    """The same for the gradient of one argument."""
    if isinstance(d, dict) or _finite(d) or not _finite(g):
        return
    raise FloatingPointError(f"backward of {node.primitive.name} (result of shape {node.shape}): the gradient of "
                             f"argument {position} is NaN or infinite although the incoming one is finite\n"
                             f"  called at {node.site or 'an operation recorded outside detect_anomaly()'}")
