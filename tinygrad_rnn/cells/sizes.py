"""Widths of the rows, shapes of the parameters and what a step costs, once D and H are known."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from .functions import STEPS
from .language import fault, width_of
from .printing import ATOM, Code
from .rows import Row
from .symbols import Symbol, topological

if TYPE_CHECKING:
    from .cell import Cell

Width = int | None      # None: a number or a scalar constant, which suits any width


def check_size(value: Any, name: str) -> int:
    """A size as an int.  TypeError if it is none, ValueError if it is not positive."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name}: expected a whole number, got {type(value).__name__}")
    size = int(value.__index__())
    if size < 1:
        raise ValueError(f"{name}: expected at least 1, got {size}")
    return size


def declared_widths(cell: Cell, input_size: int, hidden_size: int) -> dict[str, int]:
    """The width of every input and row, as declared.  ValueError for one that is not positive."""
    names = {**{n: v for n, v in cell.constants.items() if type(v) is int}, "D": input_size, "H": hidden_size}
    found = {cell.inputs[0]: input_size}
    for name in (*cell.inputs[1:], *cell.rows):
        text = cell.widths.get(name, "H")
        line = f"{cell.name}: widths: {name}={text}"
        found[name] = width_of(ast.parse(text, mode="eval").body, names, line)
        if found[name] < 1:
            raise fault(line, f"a width must be positive, got {found[name]} for D = {input_size}, H = {hidden_size}")
    return found


class Sizes:
    """Everything about a cell that depends on the sizes of its input and of its hidden state.

    Attributes
    ----------
    widths : dict
        {input or row: width}
    """

    def __init__(self, cell: Cell, input_size: int, hidden_size: int) -> None:
        self.cell = cell
        self.widths = declared_widths(cell, input_size, hidden_size)
        self._known: dict[Symbol, Width] = {}
        for row in cell.rows.values():
            self._check(row)
        self.shapes = self._shapes()

    def _check(self, row: Row) -> None:
        """ValueError if different widths meet in a row."""
        try:
            _merged([self.widths[row.name], self.of(row.expression)])
        except _Conflict as conflict:
            raise self._explained(row, conflict) from None

    def of(self, root: Symbol) -> Width:
        """The width of a symbol of the cell, or of its derivatives."""
        for node in topological([root]) if root not in self._known else ():
            if node not in self._known:
                self._known[node] = self._node(node) if node.args else self._leaf(node)
        return self._known[root]

    def _leaf(self, node: Symbol) -> Width:
        if node.op in ("state", "vector"):
            return self.widths[node.data.row]
        if node.op == "constant":
            value = self.cell.constants[node.data]
            return len(value) if isinstance(value, tuple) else None
        return None if node.op == "number" else self.widths[node.data]

    def _node(self, node: Symbol) -> Width:
        widths = [self._known[a] for a in node.args]
        if node.op == "product":
            return self.widths[node.data.row]
        if node.op == "transposed":
            return self.shapes[node.data[0]][1]
        if node.op == "pull":                   # of g, y, and the arguments, one of which it is the gradient of
            return widths[2 + int(node.data[1])]
        if node.op in STEPS:
            return STEPS[node.op].width(*widths)
        return _merged(widths)

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        found: dict[str, tuple[int, ...]] = {}
        for row in self.cell.rows.values():
            for product in row.products:
                for name, source in zip(product.data.parameters, product.args):
                    found[name] = self.widths[row.name], self.of(source) or 1
            found.update({v.parameter: (self.widths[row.name],) for v in row.vectors})
        return found

    def operations(self, roots: Iterable[Symbol]) -> int:
        """Floating-point operations: two for each weight of a product, one for each elementwise result."""
        count = 0
        for node in topological(roots):
            if node.op in ("product", "transposed"):
                names = node.data.parameters if node.op == "product" else node.data
                weights = sum(self.shapes[name][0] * self.shapes[name][1] for name in names)
                count += 2 * weights + (len(names) - 1) * (self.of(node) or 1)
            elif node.args:
                count += self.of(node) or 1
        return count

    def _explained(self, row: Row, conflict: _Conflict) -> ValueError:
        """Which widths meet in a row, and how to bring a bare input to the width of the others."""
        met = " and ".join(map(str, conflict.args))
        bare = [name for name in _bare_inputs(row) if self.widths[name] in conflict.args]
        if not bare:
            return ValueError(f"{self.cell.name}: {row}: values of widths {met} meet; a matrix, W(...), changes a "
                              f"width")
        name, width = bare[0], self.widths[row.name]
        size = f"D = {width}" if name == self.cell.inputs[0] else f"its width {width}"
        remedy = _Projected(bare).text(row.expression)
        return ValueError(f"{self.cell.name}: {row}: widths {met} meet: {name} stands without a matrix, which needs "
                          f"{size}, "
                          f"got {self.widths[name]}; with one: cell.but(\"{row.name} = {remedy}\")")


class _Conflict(Exception):
    """Two widths where one is needed."""


def _merged(widths: Iterable[Width]) -> Width:
    """The one width among those that are known."""
    found: Width = None
    for width in widths:
        if width is not None and found is not None and width != found:
            raise _Conflict(found, width)
        found = width if found is None else found
    return found


def _bare_inputs(row: Row) -> list[str]:
    """Inputs that a row uses otherwise than as what a matrix multiplies or a step is handed."""
    nodes = topological([row.expression])
    bare = [a.data for n in nodes if n.op != "product" and n.op not in STEPS for a in n.args if a.op == "input"]
    return list(dict.fromkeys([row.expression.data] * (row.expression.op == "input") + bare))


class _Projected(Code):
    """The language, with a matrix in front of inputs that have none."""

    def __init__(self, bare: Iterable[str]) -> None:
        super().__init__()
        self.bare = set(bare)

    def leaf(self, node: Symbol) -> str:
        """W(x) for x."""
        return f"W({node.data})" if node.op == "input" and node.data in self.bare else super().leaf(node)

    def product(self, node: Symbol) -> tuple[str, int]:
        """W(...); an input that is all of an argument has its matrix."""
        args = (self.text(a) if a.args else super(_Projected, self).leaf(a) for a in node.args)
        return f"{node.data.letter}({', '.join(args)})", ATOM
