"""A cell as a NumPy function over a whole sequence, which needs nothing of this library: for slides and for serving."""

from __future__ import annotations

import keyword
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .functions import STEPS
from .printing import ATOM, SUM, TERM, Code
from .symbols import Symbol, topological

if TYPE_CHECKING:
    from .cell import Cell

# What NumPy has, and what is defined in the module where a cell needs it.
NUMPY = {"tanh": "np.tanh", "exp": "np.exp", "log": "np.log", "sqrt": "np.sqrt"}
HELPERS = {
    "sigmoid": """def sigmoid(u):
    e = np.exp(-np.abs(u))
    return np.where(u >= 0, 1, e) / (1 + e)""",
    "relu": """def relu(u):
    return np.maximum(u, 0)""",
    "softplus": """def softplus(u):
    return np.maximum(u, 0) + np.log1p(np.exp(-np.abs(u)))""",
    "step": """def step(u):
    return np.heaviside(u, 0)""",
    "mean": """def mean(u):
    return np.mean(u, axis=-1, keepdims=True) + np.zeros_like(u)""",
    "stop": """def stop(u):                            # no gradient passes; forward it does nothing
    return u""",
    "layer_norm": """def layer_norm(u):
    centred = u - np.mean(u, axis=-1, keepdims=True)
    return centred / np.sqrt(np.mean(centred**2, axis=-1, keepdims=True) + 1e-5)""",
}


def numpy_source(cell: Cell) -> str:
    """What Cell.source("numpy") does."""
    nodes = topological(row.expression for row in cell.rows.values())
    nodes += topological(f.expression for f in cell.functions.values())
    called = {n.data if n.op == "call" else n.op for n in nodes if n.args}
    foreign = sorted(called & STEPS.keys() - cell.functions.keys())
    if foreign:
        raise ValueError(f"source: {cell.name} calls {', '.join(foreign)}, which is not part of NumPy")
    helpers = {name: text for name, text in HELPERS.items() if name in called - cell.functions.keys()}
    writer = _Writer(cell, {"np", *helpers})
    head = f'"""{cell.name}: generated from its equations.\n\n{_indented(str(cell), 1)}\n"""\nimport numpy as np'
    return "\n\n\n".join([head, *helpers.values(), writer.function()]) + "\n"


class _Writer(Code):
    """Symbols as Python, every name free of clashes."""

    signs = {"add": " + ", "subtract": " - ", "multiply": " * ", "divide": " / ", "negative": "-"}

    def __init__(self, cell: Cell, taken: set[str]) -> None:
        super().__init__()
        self.cell = cell
        self._taken = taken
        self.main = self._free(cell.name)
        self._taken |= {"parameters", "state", "outputs", "steps", "batch", "t"}
        own = [("function", n) for n in cell.functions] + [("row", n) for n in cell.rows]
        own += [("constant", n) for n in cell.constants] + [("whole", n) for n in cell.inputs]
        self.local: dict[Any, str] = {key: self._free(key[1]) for key in own}
        self.local.update({("input", n): self._free(f"{n}_t") for n in cell.inputs})
        self.local.update({("state", s.row, s.lag): self._free(f"{s.row}_prev" + f"_{s.lag}" * (s.lag > 1))
                           for s in cell.carried})
        self.local.update({("learned", n): self._free(n) for n in cell.parameters})

    def _free(self, name: str) -> str:
        while name in self._taken or keyword.iskeyword(name):
            name += "_"
        self._taken.add(name)
        return name

    def leaf(self, node: Symbol) -> str:
        """The local name of a leaf."""
        if node.op == "vector":
            return self.local["learned", node.data.parameter]
        if node.op == "state":
            return self.local["state", node.data.row, node.data.lag]
        return self.local[node.op, node.data]

    def product(self, node: Symbol) -> tuple[str, int]:
        """x_t @ W_i_x.T + h_prev @ W_i_h.T."""
        terms = [f"{self.text(a, ATOM)} @ {self.local['learned', name]}.T"
                 for name, a in zip(node.data.parameters, node.args)]
        return " + ".join(terms), SUM if len(terms) > 1 else TERM

    def call(self, node: Symbol) -> tuple[str, int]:
        """A function, of the cell, of NumPy, or of the module."""
        name = node.data if node.op == "call" else node.op
        called = self.local.get(("function", name)) if node.op == "call" else None
        return f"{called or NUMPY.get(name, name)}({', '.join(map(self.text, node.args))})", ATOM

    # ---- the function -----------------------------------------------------------------------------------------------
    def function(self) -> str:
        """The function over a sequence, as text."""
        cell, local = self.cell, self.local
        x, *further = (local["whole", n] for n in cell.inputs)
        constants = [f"{local['constant', n]}={v!r}" for n, v in cell.constants.items() if self._read("constant", n)]
        arguments = ", ".join(["parameters", x, "state", *further, *constants])
        states = ", ".join(self._states()) + ","
        body = [f'"""Run the cell over a sequence: {x} (T, B, D), state {_tuple(cell.states)}, each (B, width).', "",
                f"Gives the outputs (T, B, width) and the last state.  parameters: name -> array.{self._further()}",
                '"""']
        body += [f"{local['learned', name]} = parameters[{name!r}]" for name in cell.parameters]
        body += [f"{local['constant', n]} = np.asarray({local['constant', n]}, {x}.dtype)"
                 for n, v in cell.constants.items() if isinstance(v, tuple)]
        body += [line for f in cell.functions.values() for line in self._nested(f)]
        body += [f"{states} = state", f"steps, batch = {x}.shape[:2]",
                 f"outputs = np.empty((steps, batch, {self._states()[0]}.shape[-1]), {x}.dtype)",
                 "for t in range(steps):"]
        loop = [f"{local['input', cell.inputs[0]]} = {x}[t]"]
        loop += [f"{local['input', n]} = {w}[t] if {w}.ndim == 3 else {w}" for n, w in zip(cell.inputs[1:], further)]
        for name in cell.order:
            loop += [f"# {cell.rows[name]}", f"{local['row', name]} = {self.text(cell.rows[name].expression)}"]
        loop += [f"outputs[t] = {local['row', cell.output]}", f"{states} = {', '.join(self._next())},"]
        body += [_indented(line, 1) for line in loop]
        return "\n".join([f"def {self.main}({arguments}):", *(_indented(line, 1) for line in body),
                          _indented(f"return outputs, ({states})", 1)])

    def _read(self, kind: str, name: str) -> bool:
        nodes = topological([*(r.expression for r in self.cell.rows.values()),
                             *(f.expression for f in self.cell.functions.values())])
        return any(n.op == kind and n.data == name for n in nodes)

    def _states(self) -> list[str]:
        return [self.local["state", s.row, s.lag] for s in self.cell.carried]

    def _next(self) -> list[str]:
        """What each state becomes; a row that reads no input or state is one value for all of the batch."""
        found = []
        for s, old in zip(self.cell.carried, [None, *self.cell.carried]):
            if s.lag > 1 and old is not None:
                found.append(self.local["state", old.row, old.lag])
                continue
            new, own = self.local["row", s.row], self.local["state", s.row, 1]
            batched = any(n.op in ("input", "state") for n in topological([self.cell.flat[s.row]]))
            found.append(new if batched else f"np.broadcast_to({new}, {own}.shape).astype({own}.dtype)")
        return found

    def _nested(self, f: Any) -> list[str]:
        """A function of the cell; its arguments hide what has their name outside."""
        inner = {("parameter", a): self._free(a) for a in f.arguments}
        self.local.update(inner)
        return [f"def {self.local['function', f.name]}({', '.join(inner.values())}):",
                f"    return {self.text(f.expression)}"]

    def _further(self) -> str:
        names: Mapping[Any, str] = self.local
        further = ", ".join(names["whole", n] for n in self.cell.inputs[1:])
        return f"\n{further}: a step (T, B, width) or a sequence (B, width)." if further else ""


def _tuple(names: tuple[str, ...]) -> str:
    return f"({', '.join(names)}{',' * (len(names) == 1)})"


def _indented(text: str, levels: int) -> str:
    return "\n".join("    " * levels + line if line else line for line in text.split("\n"))
