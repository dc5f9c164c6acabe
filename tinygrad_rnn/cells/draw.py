"""A cell as a picture: Graphviz source, a node a row, dashed edges where time passes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .sizes import check_size
from .symbols import State, topological

if TYPE_CHECKING:
    from .cell import Cell


def draw(cell: Cell, unrolled: int | None = None) -> str:
    """What Cell.draw does."""
    body = _one_step(cell) if unrolled is None else _unrolled(cell, check_size(unrolled, "unrolled"))
    return "\n".join([f"digraph {_quoted(cell.name)} {{", "  rankdir=BT;", '  node [shape=box, fontname="monospace"];',
                      *(f"  {line}" for line in body), "}"])


def _one_step(cell: Cell) -> Iterator[str]:
    """The rows with their equations; what is read later goes back by a dashed edge."""
    for name in cell.inputs:
        yield f"{_quoted(name)} [shape=plaintext];"
    for name, row in cell.rows.items():
        yield f"{_quoted(name)} [label={_quoted(str(row))}{', penwidth=2' * (name == cell.output)}];"
    for name in cell.rows:
        for source in _read_now(cell, name):
            yield f"{_quoted(source)} -> {_quoted(name)};"
        for state in _read_later(cell, name):
            yield f"{_quoted(state.row)} -> {_quoted(name)} [style=dashed, constraint=false, label=\"t-{state.lag}\"];"


def _unrolled(cell: Cell, steps: int) -> Iterator[str]:
    """The rows once a step, by name; step 0 and before are the states at the start."""
    longest = {s.row: s.lag for s in cell.carried}
    read = {s for name in cell.rows for s in _read_later(cell, name)}
    for row in dict.fromkeys(s.row for s in read):
        for t in range(1 - longest[row], 1):
            if any(s.row == row and 1 <= t + s.lag <= steps for s in read):
                yield f"{_at(row, t)} [shape=plaintext];"
    for t in range(1, steps + 1):
        yield f"subgraph {_quoted(f'cluster_{t}')} {{"
        yield f"  label={_quoted(f't = {t}')};"
        for name in (*cell.inputs, *cell.rows):
            look = " [shape=plaintext]" if name in cell.inputs else " [penwidth=2]" if name == cell.output else ""
            yield f"  {_at(name, t)}{look};"
        yield "}"
    for t in range(1, steps + 1):
        for name in cell.rows:
            for source in _read_now(cell, name):
                yield f"{_at(source, t)} -> {_at(name, t)};"
            for state in _read_later(cell, name):
                yield f"{_at(state.row, t - state.lag)} -> {_at(name, t)} [style=dashed];"


def _read_now(cell: Cell, name: str) -> list[str]:
    """Inputs and rows that a row reads at its own step."""
    nodes = topological([cell.rows[name].expression])
    return list(dict.fromkeys(n.data for n in nodes if n.op in ("input", "row")))


def _read_later(cell: Cell, name: str) -> list[State]:
    """Rows that a row reads from earlier steps."""
    return list(dict.fromkeys(State(s.row, s.lag) for s in cell.rows[name].states))


def _at(name: str, t: int) -> str:
    """A node's name at a step."""
    return _quoted(f"{name}_{t}")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
