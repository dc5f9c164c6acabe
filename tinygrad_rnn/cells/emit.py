"""The units of a schedule as Python text: straight-line functions with the equation above each line that is one.

The same text is traced into vector code by `kernels/units.py`, runs on NumPy rows without the JIT, and is what
`Cell.source()` shows.
"""

from __future__ import annotations

import hashlib
import linecache
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .printing import ATOM, Code
from .schedule import OUTPUT, Place, Schedule, Unit
from .symbols import Symbol, evaluate, leaf, replace, topological

if TYPE_CHECKING:
    from .cell import Cell

# What the text may call: arithmetic aside, the functions of the language.
CALLS = frozenset({"tanh", "sigmoid", "softplus", "exp", "log", "relu", "step", "sqrt", "abs", "sign", "maximum",
                   "minimum"})


def module_text(cell: Cell, schedule: Schedule) -> str:
    """The generated module: the equations, then every unit as a function, forward and backward."""
    equations = {name: row.text for name, row in cell.rows.items()}
    lines = [f'"""{cell.name}: generated from its equations.', "", *("    " + line for line in str(cell).splitlines()),
             '"""', ""]
    for way, units in (("forward", schedule.units), ("backward", schedule.backward_units)):
        for k, unit in enumerate(units):
            lines += ["", f"# {way}, stage {unit.stage}: gives {', '.join(str(p) for _, p in unit.results())}",
                      _function(unit, f"{way}_{k}", schedule, equations if way == "forward" else {})]
    return "\n".join(lines)


def run_module(text: str, name: str, calls: Mapping[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    """The functions of a generated module, {"forward_0": ...}; tracebacks and the debugger find its lines.

    calls : what stands behind the names of CALLS
    """
    file = f"<compiled {name} {hashlib.sha256(text.encode()).hexdigest()[:8]}>"
    linecache.cache[file] = len(text), None, text.splitlines(keepends=True), file
    scope: dict[str, Any] = {"__builtins__": {}, **calls}
    exec(compile(text, file, "exec"), scope)        # noqa: S102 - the text is ours: made above, from checked symbols
    return {name: value for name, value in scope.items() if name.startswith(("forward_", "backward_"))}


# ---- one function ---------------------------------------------------------------------------------------------------
def _function(unit: Unit, name: str, schedule: Schedule, equations: Mapping[str, str]) -> str:
    """The function of one unit: arguments are its reads, results its writes, adds, sums and means, in order."""
    namer = _Namer(schedule)
    for symbol, _ in unit.reads:
        namer(symbol)
    namer.hints = {symbol: _gradient_name(place, schedule) for symbol, place in unit.results()}
    printer = _Python(namer.names)
    loaded = {symbol for symbol, _ in unit.reads}
    results = [symbol for symbol, _ in unit.results()]
    inner = _between(results, loaded)
    uses = Counter(a for n in inner for a in n.args)
    uses.update(n.args[0] for n in inner if n.op in ("pow", "square"))      # what is multiplied out has a name
    lines = []
    for node in inner:
        row = namer.rows.get(node)
        if row is not None or uses[node] > 1 or node in results:
            text = printer.written(node)[0]
            if row is not None and row in equations:
                lines.append(f"    # {row} = {equations[row]}")
            lines.append(f"    {namer(node)} = {text}")
    returned = ", ".join(printer.text(r) for r in results)
    arguments = ", ".join(namer(s) for s, _ in unit.reads)
    return "\n".join([f"def {name}({arguments}):", *lines, f"    return {returned},", ""])


def _gradient_name(place: Place, schedule: Schedule) -> str:
    """A name for what a backward unit gives: the gradient of a product, of a state of the step before ..."""
    if place.group == "adjoint":
        return f"d_z_{schedule.products[int(place.name[1:])].data.row}"
    if place.group in ("carry", "history") and not place.name.startswith(("mean", "sum")):
        return place.name if place.name.startswith("g_") else f"d_{place.name.removeprefix('d_')}_prev"
    return "u"


def _between(results: list[Symbol], loaded: set[Symbol]) -> list[Symbol]:
    """What a unit computes, arguments first: from what it loads to its results."""
    found: set[Symbol] = set()
    stack = list(results)
    while stack:
        node = stack.pop()
        if node not in found and node not in loaded and node.args:
            found.add(node)
            stack.extend(node.args)
    return [n for n in topological(results) if n in found]


class _Python(Code):
    """Arithmetic as Python text; whole powers as products."""

    def number(self, value: float) -> str:
        """A number as a float."""
        return repr(float(value))

    def written(self, node: Symbol) -> tuple[str, int]:
        """Powers are multiplied out; everything else as in the language."""
        if node not in self.names and node.op in ("pow", "square"):
            exponent = 2 if node.op == "square" else int(node.args[1].data)
            if exponent == 0:
                return self.number(1.0), ATOM
            return "(" + "*".join([self.text(node.args[0], ATOM)] * exponent) + ")", ATOM
        return super().written(node)

    def call(self, node: Symbol) -> tuple[str, int]:
        """A function of the language; of numbers alone it is a number; `stop` is what it is given."""
        numbers = {n: leaf("constant", n.data) for n in topological([node]) if not n.args}
        if all(n.op == "number" for n in numbers):
            return self.number(evaluate(replace([node], numbers), lambda n: np.float64(n.data), {})[0]), ATOM
        if node.op == "stop":
            return self.written(node.args[0])
        return f"{node.op.strip('_')}({', '.join(map(self.text, node.args))})", ATOM


class _Namer:
    """One Python name a symbol, readable and unique."""

    def __init__(self, schedule: Schedule) -> None:
        self.rows = {symbol: row for row, symbol in reversed(list(schedule.rows.items())) if symbol.args}
        self.taken = set(CALLS)
        self.names: dict[Symbol, str] = {}
        self.hints: dict[Symbol, str] = {}

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
            return str(node.data.name).replace("(", "_").replace(")", "")
        if node.op == "vector":
            return node.parameter
        if node.op == "cotangent":
            return "d_output" if node.data == OUTPUT else f"d_{node.data}"
        if node.op in ("input", "constant"):
            return str(node.data)
        return {"transposed": "pulled", "mean": "mean_of"}.get(node.op, self.hints.get(node, "u"))
