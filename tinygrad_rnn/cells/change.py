"""A variant is one changed equation: the lines of a cell with some replaced, added or dropped."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .language import Text, fault, nearest, read, shown, split


def change(text: Text, equations: Iterable[Any]) -> None:
    """Put equations into the lines of a cell, in place: "f = 1 - i" replaces or adds, "f =" drops."""
    changed: set[str] = set()
    for line in _lines(equations):
        left, right = split(line)
        name = left.partition("(")[0].strip()
        if name in changed:
            raise fault(line, f"{shown(name)} is changed twice")
        changed.add(name)
        if right:
            _put(text, read(line))
        else:
            _drop(text, name, line)
    text.constants = {n: v for n, v in text.constants.items() if n not in text.rows}


def _lines(equations: Iterable[Any]) -> list[str]:
    """The lines of all equations, without comments."""
    found = []
    for equation in equations:
        if not isinstance(equation, str):
            raise TypeError(f"but: an equation is a string, got {type(equation).__name__}")
        found += [line.partition("#")[0].strip() for line in equation.splitlines()]
    return [line for line in found if line]


def _drop(text: Text, name: str, line: str) -> None:
    if name not in text.rows and name not in text.functions:
        raise fault(line, f"there is no row {shown(name)} to drop{nearest(name, [*text.rows, *text.functions])}")
    if name == list(text.rows)[-1]:
        raise fault(line, f"{name!r} is the output and cannot be dropped; replace it")
    text.rows.pop(name, None)
    text.functions.pop(name, None)


def _put(text: Text, new: Text) -> None:
    """Replace a row where it stands, or add it before the output."""
    text.functions.update(new.functions)
    for name, right in new.rows.items():
        if name not in text.rows:
            output = text.rows.popitem()
            text.rows.update([(name, right), output])
        text.rows[name] = right
