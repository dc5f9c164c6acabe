"""The expression graph of a cell, public: to look at, to change, and to write out as text again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .language import read
from .printing import code
from .rows import Function
from .symbols import Symbol, ancestors, replace, topological


@dataclass(frozen=True)
class Graph:
    """The equations of a cell as symbols; two graphs are equal if they are the same equations.

    `graph["c"]` is the right side of row c, in which other rows are leaves.  `str(graph)` is text of the language, and
    parse(str(graph)) == graph.

    Attributes
    ----------
    rows : tuple of (name, Symbol)
    functions : tuple of Function
    inputs : tuple of str
    widths : tuple of (name, text)
        Those that are not H.
    constants : tuple of (name, number or tuple of numbers)
    """

    rows: tuple[tuple[str, Symbol], ...]
    functions: tuple[Function, ...] = ()
    inputs: tuple[str, ...] = ("x",)
    widths: tuple[tuple[str, str], ...] = ()
    constants: tuple[tuple[str, Any], ...] = ()

    def __getitem__(self, row: str) -> Symbol:
        for name, symbol in self.rows:
            if name == row:
                return symbol
        raise KeyError(f"graph: no row {row!r}; the rows are {', '.join(name for name, _ in self.rows)}")

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self.rows)

    @property
    def nodes(self) -> tuple[Symbol, ...]:
        """All symbols, each once, arguments before what is made of them."""
        return tuple(topological(symbol for _, symbol in self.rows))

    def ancestors(self, node: str | Symbol) -> list[Symbol]:
        """What a row or a symbol is computed from within one step, through other rows too, arguments first.

        A row stands in the result as its leaf, after the symbols of its equation.
        """
        start = self[node] if isinstance(node, str) else node
        found: dict[Symbol, None] = {}
        self._collect(start, found, set())
        return list(found)

    def _collect(self, start: Symbol, found: dict[Symbol, None], seen: set[str]) -> None:
        stack: list[Any] = [(start, iter(ancestors(start)))]
        while stack:
            node, below = stack[-1]
            for n in below:
                if n.op == "row" and n.data not in seen:
                    seen.add(n.data)
                    inner = self[n.data]
                    stack.append((n, iter([*ancestors(inner), inner])))
                    break
                found.setdefault(n)
            else:
                stack.pop()
                if node is not start:
                    found.setdefault(node)

    def replace(self, mapping: Mapping[Symbol, Any]) -> Graph:
        """The graph with some symbols exchanged for others, or for numbers, wherever they stand.

        Rows that nothing needs any more are dropped.  The matrices are named anew from the new equations.

        Raises
        ------
        ValueError
            If the result is no cell.
        """
        from .cell import Cell
        names = [name for name, _ in self.rows]
        new = dict(zip(names, replace([symbol for _, symbol in self.rows], mapping)))
        kept = _needed(new, names[-1])
        graph = Graph(tuple((name, new[name]) for name in names if name in kept), self.functions, self.inputs,
                      tuple((n, w) for n, w in self.widths if n in kept or n in self.inputs), self.constants)
        return Cell.defined(read(str(graph)), prune=True).graph

    def __str__(self) -> str:
        lines = [f"inputs: {' '.join(self.inputs)}"] if self.inputs != ("x",) else []
        if self.widths:
            lines.append("widths: " + ", ".join(f"{name}={width}" for name, width in self.widths))
        if self.constants:
            lines.append("constants: " + ", ".join(f"{name}={_constant(value)}" for name, value in self.constants))
        return "\n".join([*lines, *map(str, self.functions),
                          *(f"{name} = {code(symbol)}" for name, symbol in self.rows)])


def parse(text: str) -> Graph:
    """The graph of a cell's text; parse(str(graph)) == graph.  Raises what `Cell` raises."""
    from .cell import Cell
    return Cell(text).graph


def _needed(rows: Mapping[str, Symbol], output: str) -> set[str]:
    """Rows that reach the output, now or later."""
    found = {output}
    waiting = [output]
    while waiting:
        for node in topological([rows[waiting.pop()]]):
            name = node.data.row if node.op == "state" else node.data
            if node.op in ("row", "state") and name not in found:
                found.add(name)
                waiting.append(name)
    return found


def _constant(value: Any) -> str:
    """0.3, 2 or [0.1, 0.2]; repr keeps a whole number and a float apart."""
    return f"[{', '.join(map(repr, value))}]" if isinstance(value, tuple) else repr(value)
