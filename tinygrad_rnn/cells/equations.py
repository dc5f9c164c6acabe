"""A cell's equations as a slide prints them, and those of back-propagation through time, derived from them.

Backward, a row is differentiated by itself, other rows being its variables; what several rows send to one is summed.
So the result reads as one derives it by hand:

    delta h_t += dL/dh_t
    delta o_t = delta h_t * tanh(c_t)
    delta c_t += delta h_t * o_t * (1 - tanh(c_t)^2)
    ...
    delta c_{t-1} = delta c_t * f_t

`+=` adds to what came from later steps.  i'_t is the sum of products in row i, n''_t the second such sum of row n.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..autograd import ops
from .derivative import ZERO, gradient, reduced
from .language import number_text
from .printing import ATOM, Latex, Plain
from .symbols import Symbol, leaf, topological

if TYPE_CHECKING:
    from .cell import Cell


def equations(cell: Cell, latex: bool = False, backward: bool = False) -> str:
    """What Cell.equations does."""
    style = Latex() if latex else Plain()
    return style.block(_Backward(cell, style).lines() if backward else _forward(cell, style))


def _forward(cell: Cell, style: Plain) -> list[str]:
    lines = [style.equation(style.applied(f.name, [style.constant(a) for a in f.arguments]), style.text(f.expression))
             for f in cell.functions.values()]
    return lines + [style.equation(style.indexed(row.name), style.text(row.expression)) for row in cell.rows.values()]


@dataclass
class _Line:
    """left (+)= sum of terms; `defines`: later lines write `left` for this symbol."""

    left: str
    terms: list[Symbol]
    sign: str = "="
    before: str = ""                    # a term that is no symbol: dL/dh_t
    factor: Symbol | None = None        # the source of a matrix gradient
    defines: Symbol | None = None

    @property
    def value(self) -> Symbol:
        """The sum of the terms."""
        result = ZERO
        for term in self.terms:
            result = reduced("add", (result, term), ops.add)
        return result


@dataclass
class _Arriving:
    """What rows send back, by where it goes."""

    rows: dict[str, list[Symbol]] = field(default_factory=dict)
    states: dict[tuple[str, int], list[Symbol]] = field(default_factory=dict)
    inputs: dict[str, list[Symbol]] = field(default_factory=dict)
    vectors: dict[str, list[Symbol]] = field(default_factory=dict)
    matrices: dict[str, tuple[Symbol, Symbol]] = field(default_factory=dict)


class _Backward:
    """The equations of back-propagation through one step of a cell."""

    def __init__(self, cell: Cell, style: Plain) -> None:
        self.cell, self.style = cell, style
        self.read_later = {s.row for row in cell.rows.values() for s in row.states}
        self.alone = cell.alone()               # each row's right side, other rows as leaves

    def lines(self) -> list[str]:
        """The equations as text."""
        names: dict[Symbol, str] = {}
        for name, root in self.alone.items():
            for k, node in enumerate(n for n in topological([root]) if n.op == "product"):
                names[node] = self.style.indexed(name + "'" * (k + 1))
            if root.args:
                names[root] = self.style.indexed(name)
        return self._written(self._derived(), names)

    def _derived(self) -> list[_Line]:
        cell, style, sent, lines = self.cell, self.style, _Arriving(), []
        for name in reversed(cell.order):
            later = name in self.read_later
            if name == cell.output or sent.rows.get(name):
                before = style.loss(name) if name == cell.output else ""
                lines.append(_Line(style.gradient(name), sent.rows.get(name, []), "+=" if later else "=", before))
            lines += self._row(name, sent)
        lines += [_Line(style.gradient(n), _ordered(terms), "+=" if n in cell.whole else "=")
                  for n, terms in sent.inputs.items()]
        sign = "=" if all(lag == 1 for _, lag in sent.states) else "+="
        lines += [_Line(style.gradient(n, lag), _ordered(terms), sign) for (n, lag), terms in sent.states.items()]
        for n in cell.parameters:
            g, source = sent.matrices.get(n, (None, None))
            terms = sent.vectors.get(n, []) if g is None else [g]
            lines += [_Line(style.learned_gradient(n), terms, "+=", factor=source)] * bool(terms)
        return lines

    def _row(self, name: str, sent: _Arriving) -> list[_Line]:
        """Differentiate one row; the lines of its products."""
        adjoint = gradient({self.alone[name]: leaf("cotangent", name)})
        lines, count = [], 0
        for node in topological([self.alone[name]]):
            g = adjoint.cotangents.get(node)
            if node.op == "product":
                count += 1
                if g is not None and g.args:
                    lines.append(_Line(self.style.gradient(name + "'" * count), [g], defines=g))
            elif g is not None and node.op == "state":
                sent.states.setdefault((node.data.row, node.data.lag), []).append(g)
            elif g is not None and node.op == "vector":
                sent.vectors.setdefault(node.data.parameter, []).append(g)
            elif g is not None and node.op in ("row", "input"):
                (sent.rows if node.op == "row" else sent.inputs).setdefault(node.data, []).append(g)
        sent.matrices.update(adjoint.matrices)
        return lines

    # ---- writing ----------------------------------------------------------------------------------------------------
    def _written(self, lines: list[_Line], names: dict[Symbol, str]) -> list[str]:
        """Each line, and before it what it shares with others under a short name."""
        style, result = self.style, []
        for line in lines:
            if line.defines is not None:
                names.setdefault(line.defines, line.left)
        shared, letter = _shared(lines, names), self._free_letter()
        style.names = names
        for line in lines:
            for node in (n for n in topological([line.value]) if n in shared and n not in names):
                short = style.indexed(f"{letter}{1 + sum(n in names for n in shared)}")
                result.append(style.equation(short, style.text(node)))
                names[node] = short
            value = line.value
            own = names.pop(value, None) if value is line.defines else None
            if line.factor is not None:
                right = style.outer(style.text(value, ATOM), style.text(line.factor, ATOM))
            else:
                right = " + ".join([line.before] * bool(line.before) + [style.text(value)] * bool(line.terms))
            if own is not None:
                names[value] = own
            result.append(style.equation(line.left, right, line.sign))
        return result

    def _free_letter(self) -> str:
        """A letter that begins no name of the cell."""
        taken = {name[0] for name in (*self.cell.rows, *self.cell.inputs, *self.cell.constants)}
        return next((c for c in "uvqkdeyalmjtw" if c not in taken), "shared_")


def _ordered(terms: list[Symbol]) -> list[Symbol]:
    """Elementwise terms first, then products with matrices in the order of the rows."""
    return [*(t for t in terms if t.op != "transposed"), *(t for t in reversed(terms) if t.op == "transposed")]


def _shared(lines: list[_Line], names: dict[Symbol, str]) -> dict[Symbol, None]:
    """What stands in several places and is more than one operation on names."""
    uses: dict[Symbol, int] = {}
    for line in lines:
        seen: set[Symbol] = set()
        stack = [line.value]
        while stack:
            node = stack.pop()
            if node not in names or node is line.defines:
                uses[node] = uses.get(node, 0) + 1
                if node not in seen and uses[node] == 1:
                    seen.add(node)
                    stack.extend(node.args)
    simple = {n for n in uses if all(not a.args or a in names for a in n.args)}
    return {n: None for n, count in uses.items() if count > 1 and n not in simple and n.op != "product"}


# ---- notebooks ------------------------------------------------------------------------------------------------------
def markdown(cell: Cell) -> str:
    """Name, equations and parameters of a cell, for a notebook."""
    lines = [f"**{cell.name}**", "", f"$${equations(cell, latex=True)}$$", "", "| parameter | shape | starts at |",
             "|---|---|---|"]
    for row in cell.rows.values():
        width = cell.widths.get(row.name, "H")
        for product in row.products:
            lines += [f"| `{name}` | ({width}, {_width_text(cell, source)}) | |"
                      for name, source in zip(product.data.parameters, product.args)]
        lines += [f"| `{v.parameter}` | ({width},) | {'' if v.start is None else number_text(v.start)} |"
                  for v in row.vectors]
    constants = ", ".join(f"{name} = {value}" for name, value in cell.constants.items())
    return "\n".join([*lines, *["", f"constants: {constants}"] * bool(constants)])


def _width_text(cell: Cell, source: Symbol) -> str:
    """The width of an argument of W, as text: that of the first thing in it that has one."""
    first = next(n for n in topological([source]) if n.wide)
    if first.op == "product":
        return cell.widths.get(first.data.row, "H")
    name = first.data.row if first.op in ("state", "vector") else first.data
    return "D" if name == cell.inputs[0] else cell.widths.get(name, "H")
