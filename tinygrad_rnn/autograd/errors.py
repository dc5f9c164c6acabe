"""Errors in the words of the library: the operation, its arguments' shapes, and what does not fit."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

if TYPE_CHECKING:
    from .primitive import Primitive


def explain(primitive: Primitive, values: tuple[Any, ...] | list[Any], error: Exception) -> NoReturn:
    """Raise an error from inside an operation with the operation's name and arguments, or as it is if it has them."""
    if str(error).startswith(f"{primitive.name}: "):
        raise error
    shapes = [np.shape(v) for v in values if isinstance(v, np.ndarray)]
    conflict = broadcast_conflict(shapes) if primitive.kind == "elementwise" else ""
    kind = next(kind for kind in (IndexError, ValueError, TypeError) if isinstance(error, kind))
    raise kind(f"{primitive.name}: {conflict or f'{error} ({arguments(primitive, values)})'}") from error


def arguments(primitive: Primitive, values: tuple[Any, ...] | list[Any]) -> str:
    """The arguments of a call by name: arrays by shape and dtype."""
    names: list[str] = []
    for parameter in inspect.signature(primitive.forward).parameters.values():
        several = parameter.kind is parameter.VAR_POSITIONAL
        names += [f"{parameter.name}[{k}]" for k in range(len(values))] if several else [parameter.name]
    return ", ".join(f"{name}: {_short(value)}" for name, value in zip(names, values))


def _short(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape}"
    text = repr(value)
    return text if len(text) < 60 else type(value).__name__


def broadcast_conflict(shapes: list[tuple[int, ...]]) -> str:
    """Which axis keeps shapes from broadcasting, '' where they do."""
    for axis in range(1, max(map(len, shapes), default=0) + 1):
        sizes = {s[-axis] for s in shapes if len(s) >= axis} - {1}
        if len(sizes) > 1:
            return (f"shapes {' and '.join(map(str, shapes))} do not broadcast: axis {-axis} has sizes "
                    f"{' and '.join(map(str, sorted(sizes)))}; sizes must be equal or 1")
    return ""
