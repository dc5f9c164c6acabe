"""The units of a schedule as Python text: straight-line functions with the equation above each line that is one.

The same text is traced into vector code by `kernels/units.py`, runs on NumPy rows without the JIT, and is what
`Cell.source()` shows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from .printing import ATOM, Code
from .schedule import OUTPUT, Schedule, Unit
from .symbols import Symbol, topological


class Python(Code):
    """Arithmetic as Python text; whole powers as products."""

    def number(self, value: float) -> str:
        """A number as a float."""
        return repr(float(value))

    def written(self, node: Symbol) -> tuple[str, int]:
        """Powers are multiplied out; everything else as in the language."""
        if node not in self.names and node.op in ("pow", "square"):
            exponent = 2 if node.op == "square" else int(node.args[1].data)
            return "(" + "*".join([self.text(node.args[0], ATOM)] * exponent) + ")", ATOM
        return super().written(node)

    def call(self, node: Symbol) -> tuple[str, int]:
        """A function of the language; `stop` is what it is given."""
        if node.op == "stop":
            return self.written(node.args[0])
        return f"{node.op.strip('_')}({', '.join(map(self.text, node.args))})", ATOM


class Namer:
    """One Python name a symbol, readable and unique."""

    def __init__(self, schedule: Schedule, reserved: set[str]) -> None:
        self.rows = {symbol: row for row, symbol in reversed(list(schedule.rows.items())) if symbol.args}
        self.taken, self.names = set(reserved), {}      # type: tuple[set[str], dict[Symbol, str]]

    def __call__(self, node: Symbol) -> str:
        if node not in self.names:
            base = name = self._base(node)
            count = 2
            while name in self.taken:
                name, count = f"{base}_{count}", count + 1
            self.taken.add(name)
            self.names[node] = name
        return self.names[node]

    def _base(self, node: Symbol) -> str:
        if node.op == "product":
            return f"z_{node.data.row}"
        if node in self.rows:
            return self.rows[node]
        if node.op == "state":
            return node.data.name.replace("(", "_").replace(")", "")
        if node.op == "vector":
            return node.parameter
        if node.op == "cotangent":
            return "d_output" if node.data == OUTPUT else f"d_{node.data}"
        if node.op in ("input", "constant"):
            return str(node.data)
        return {"transposed": "pulled", "mean": "mean_of"}.get(node.op, "u")


def unit_text(unit: Unit, name: str, schedule: Schedule, calls: set[str], equations: Mapping[str, str]) -> str:
    """The function of one unit: arguments are its reads, results its writes, adds and totals, in order."""
    namer = Namer(schedule, calls)
    for symbol, _ in unit.reads:
        namer(symbol)
    printer = Python(namer.names)
    loaded = {symbol for symbol, _ in unit.reads}
    results = [symbol for symbol, _ in unit.results()]
    inner = _between(results, loaded)
    uses = Counter(a for n in inner for a in n.args)
    lines = []
    for node in inner:
        if node in namer.rows or uses[node] > 1 or (node in results and node.op != "number"):
            text = printer.written(node)[0]
            row = namer.rows.get(node)
            if row in equations:
                lines.append(f"    # {row} = {equations[row]}")
            lines.append(f"    {namer(node)} = {text}")
    returned = ", ".join(printer.text(r) for r in results)
    arguments = ", ".join(namer(s) for s, _ in unit.reads)
    return "\n".join([f"def {name}({arguments}):", *lines, f"    return {returned},", ""])


def _between(results: list[Symbol], loaded: set[Symbol]) -> list[Symbol]:
    """What a unit computes, arguments first: from what it loads to its results."""
    cut: set[Symbol] = set()
    stack = list(results)
    while stack:
        node = stack.pop()
        if node not in cut and node not in loaded and node.args:
            cut.add(node)
            stack.extend(node.args)
    return [n for n in topological(results) if n in cut]
