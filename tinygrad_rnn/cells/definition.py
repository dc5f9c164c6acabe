"""A cell's text, checked: what every line means, and that they mean something together."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from .functions import STEPS
from .graph import Graph
from .language import NAME, Text, check_name, fault, nearest, parse_width, shown
from .order import check_used, computed_order, states_of
from .printing import code
from .program import Program
from .rows import Reader
from .symbols import Symbol, leaf, lift, number, topological

NAMELESS = "cell"


class Definition:
    """The equations of a cell, read; `Cell` adds what follows from them.

    Attributes
    ----------
    As of `Cell`.
    """

    def __init__(self, text: Text, prune: bool = False) -> None:
        self.name = _checked_name(text.name)
        self.inputs = _checked_inputs(text.inputs or ("x",))
        self._constants = {check_name(n, "a constant", f"constants: {n}"): _checked_constant(n, v)
                           for n, v in text.constants.items()}
        if not text.rows:
            raise ValueError("text: a cell needs at least one row, name = expression")
        _check_distinct(self.inputs, self._constants, text)
        reader = Reader(text, self.inputs, self._constants)
        self.functions, self.rows = reader.functions(), reader.rows()
        reader.check_expansion(self.rows)
        self.output = list(self.rows)[-1]
        self.order = computed_order(self.rows)
        self.carried = states_of(self.rows, self.output)
        check_used(self.rows, self.carried)
        self.states = tuple(s.row if s.lag == 1 else _earlier(s.row, s.lag - 1) for s in self.carried)
        self._widths = self._checked_widths(text.widths, prune)
        self._drop_unused(prune)
        self.program = Program(str(self), self.name, self.functions, self.rows, self.order, self._constants)
        self.flat = self.on_symbols()
        self._check_flat()

    def _checked_widths(self, widths: Mapping[str, Any], prune: bool) -> dict[str, str]:
        """Widths in one spelling, those that are H left out."""
        found = {}
        for name, width in widths.items():
            line = f"widths: {name}={width}"
            if name in self.rows or name in self.inputs[1:]:
                text = parse_width(width, line)
                if text != "H":
                    found[name] = text
            elif not prune:
                raise fault(line, f"{shown(name)} is neither a row nor a further input"
                                  f"{nearest(name, [*self.rows, *self.inputs[1:]])}")
        return found

    def _drop_unused(self, prune: bool) -> None:
        """Drop inputs, constants and functions that nothing reads, or say so."""
        nodes = topological(row.expression for row in self.rows.values())
        called = [n.data for n in nodes if n.op == "call"]
        for name in called:     # grows as functions call others
            if name in self.functions:
                inner = topological([self.functions[name].expression])
                called += [n.data for n in inner if n.op == "call" and n.data not in called]
                nodes += inner
        used = {*called, *(n.data for n in nodes if n.op in ("input", "constant")),
                *(n.data.word for n in nodes if n.op == "state"), *NAME.findall(" ".join(self._widths.values()))}
        for what, names in (("input", self.inputs[1:]), ("constant", self._constants), ("function", self.functions)):
            for name in names:
                if name not in used and not prune:
                    raise ValueError(f"{self.name}: the {what} {name!r} is unused: no row reads it")
        self.inputs = (self.inputs[0], *(n for n in self.inputs[1:] if n in used))
        self._constants = {n: v for n, v in self._constants.items() if n in used}
        self.functions = {n: f for n, f in self.functions.items() if n in used}
        self._widths = {n: w for n, w in self._widths.items() if n in self.rows or n in self.inputs}

    def on_symbols(self, seen: Callable[[str, Any], Any] = lambda name, value: value) -> dict[str, Symbol]:
        """Run the rows on symbols, functions expanded; seen(row, symbol) is what other rows see of one."""
        values = {**{n: leaf("input", n) for n in self.inputs}, **{n: leaf("constant", n) for n in self._constants},
                  **{s.name: leaf("state", s) for s in self.carried}}
        try:
            rows = self.program.run(values, lambda v: leaf("vector", v),
                                    lambda node, args: Symbol("product", tuple(map(lift, args)), node.data), number,
                                    seen)
        except ArithmeticError as error:
            raise ValueError(f"{self.name}: arithmetic on numbers of the text fails: {error}") from None
        return {name: lift(value) for name, value in rows.items()}

    def _check_flat(self) -> None:
        """ValueError for numbers that are none, and for what needs units and has none."""
        for node in topological(self.flat.values()):
            if node.op == "number" and not math.isfinite(node.data):
                raise ValueError(f"{self.name}: arithmetic on numbers of the text gives {node.data}")
            if node.op in ("mean", "product") and not all(a.wide for a in node.args):
                raise ValueError(f"{self.name}: {'W' if node.op == 'product' else 'mean'} of a number: it has no units")

    @property
    def constants(self) -> dict[str, Any]:
        """{name: number, or tuple of numbers}."""
        return dict(self._constants)

    @property
    def widths(self) -> dict[str, str]:
        """{row or further input: width as text}, where it is not H."""
        return dict(self._widths)

    @cached_property
    def parameters(self) -> dict[str, float | None]:
        """{parameter: where it starts, None where the text does not say}, in the order of `parameter_shapes`."""
        found: dict[str, float | None] = {}
        for row in self.rows.values():
            found.update({name: None for product in row.products for name in product.data.parameters})
            found.update({v.parameter: v.start for v in row.vectors})
        return found

    @cached_property
    def whole(self) -> frozenset[str]:
        """Inputs that a step primitive is handed as they are."""
        nodes = topological(row.expression for row in self.rows.values())
        return frozenset(n.args[k].data for n in nodes if n.op in STEPS for k in STEPS[n.op].sequence)

    @cached_property
    def opaque(self) -> bool:
        """Does a row call a step primitive, whose kernels are not generated from equations?"""
        return any(n.op in STEPS for n in topological(row.expression for row in self.rows.values()))

    @cached_property
    def compilable(self) -> bool:
        """Can it run compiled?  Its step primitives must have machine code, and its whole inputs no other reader."""
        nodes = topological(self.flat.values())
        calls = [n for n in nodes if n.op in STEPS]
        others = (a for n in nodes for k, a in enumerate(n.args) if n.op not in STEPS or k not in STEPS[n.op].sequence)
        return all(STEPS[n.op].compiled for n in calls) and not any(
            a.op == "input" and a.data in self.whole for a in [*others, *self.flat.values()])

    @cached_property
    def graph(self) -> Graph:
        """The equations as symbols."""
        return Graph(tuple((name, row.expression) for name, row in self.rows.items()), tuple(self.functions.values()),
                     self.inputs, tuple(self._widths.items()), tuple(self._constants.items()))

    def as_text(self) -> Text:
        """The lines of the cell, to be changed and read again."""
        return Text(self.name if self.name != NAMELESS else None, self.inputs, self.widths, self.constants,
                    {f.name: (f.arguments, code(f.expression)) for f in self.functions.values()},
                    {row.name: row.text for row in self.rows.values()})

    def __str__(self) -> str:
        return f"name: {self.name}\n" * (self.name != NAMELESS) + str(self.graph)

    def __repr__(self) -> str:
        return 'Cell("""\n    ' + str(self).replace("\n", "\n    ") + '""")'

    def __eq__(self, other: object) -> bool:
        return self.graph == other.graph if isinstance(other, Definition) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.graph)


def _earlier(row: str, lag: int) -> str:
    return f"{row}_prev" if lag == 1 else f"{row}_prev({lag})"


def _checked_name(name: Any) -> str:
    if name is None:
        return NAMELESS
    if not isinstance(name, str):
        raise TypeError(f"name: expected a string, got {type(name).__name__}")
    if not NAME.fullmatch(name) or len(name) > 64:
        raise ValueError(f"name: letters, digits and _, at most 64 of them, got {shown(name)}")
    return name


def _checked_inputs(inputs: tuple[str, ...]) -> tuple[str, ...]:
    line = f"inputs: {' '.join(inputs)}"
    if len(set(inputs)) < len(inputs):
        raise fault(line, "an input is named twice")
    return tuple(check_name(name, "an input", line) for name in inputs)


def _checked_constant(name: str, value: Any) -> Any:
    """An int, a float, or a tuple of floats; all finite."""
    if isinstance(value, (Sequence, np.ndarray)) and not isinstance(value, str) and np.ndim(value):
        if np.ndim(value) != 1 or not len(value):
            raise ValueError(f"constant {name}: expected a number or a vector of length H, got shape {np.shape(value)}")
        return tuple(float(_checked_constant(name, v)) for v in value)
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and not value.ndim):
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, numbers.Real | float):
        raise TypeError(f"constant {name}: expected a number or a vector of length H, got {type(value).__name__}")
    try:
        finite = math.isfinite(value)
    except OverflowError:
        finite = False
    if not finite:
        raise ValueError(f"constant {name}: expected a finite number")
    return value if type(value) is int else float(value)


def _check_distinct(inputs: Iterable[str], constants: Iterable[str], text: Text) -> None:
    """ValueError if a name means two of row, input and constant."""
    seen: dict[str, str] = {}
    for what, names in (("an input", inputs), ("a constant", constants), ("a row", text.rows)):
        for name in names:
            if name in seen:
                raise ValueError(f"{shown(name)} names {seen[name]} and {what}; rename one")
            seen[name] = what
