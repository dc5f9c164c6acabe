"""From the lines of a cell to its rows: every name is looked up, every W and learned vector gets its parameter.

A row is kept as the symbol of its right side, in which other rows are leaves and functions of the cell are calls not
yet expanded: so it prints back as it was written.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..autograd import ops
from .functions import FUNCTIONS, PRIMITIVES, STEPS
from .language import (
    INPUT,
    MATRIX,
    MOST_DEPTH,
    MOST_LAG,
    MOST_OPERATIONS,
    VECTOR,
    Text,
    called,
    check_number,
    fault,
    nearest,
    parse,
    shown,
    spelled,
)
from .printing import code
from .symbols import Product, State, Symbol, Vector, leaf, number, topological

_BINARY = {ast.Add: ops.add, ast.Sub: ops.subtract, ast.Mult: ops.multiply, ast.Div: ops.divide, ast.Pow: ops.pow}


@dataclass(frozen=True)
class Row:
    """One equation.

    Attributes
    ----------
    name : str
    text : str
        The right side in the language's one spelling.
    expression : Symbol
        Other rows are leaves, functions of the cell calls.
    products : tuple of Symbol
        Its W(...), in the order of the text; `.data.parameters` names the matrices, `.args` what they multiply.
    vectors : tuple of Vector
        Its learned vectors, in the order of the text.
    reads : tuple of str
        Rows that it needs at the same step.
    states : tuple of State
        Rows that it needs from earlier steps.
    """

    name: str
    text: str
    expression: Symbol
    products: tuple[Symbol, ...]
    vectors: tuple[Vector, ...]
    reads: tuple[str, ...]
    states: tuple[State, ...]

    def __str__(self) -> str:
        return f"{self.name} = {self.text}"


@dataclass(frozen=True)
class Function:
    """A function of the cell; its arguments are the leaves "parameter" of the expression."""

    name: str
    arguments: tuple[str, ...]
    expression: Symbol

    def __str__(self) -> str:
        return f"{self.name}({', '.join(self.arguments)}) = {code(self.expression)}"


class Reader:
    """Reads equations among the names that a cell has."""

    def __init__(self, text: Text, inputs: tuple[str, ...], constants: Mapping[str, Any]) -> None:
        self.text, self.inputs, self.constants = text, inputs, constants
        self._taken: set[str] = set()           # names of matrices
        self._next: dict[str, int] = {}         # where to go on looking for a free number after a taken name
        self._line, self._row, self._source = "", "", ""
        self._arguments: tuple[str, ...] | None = None      # of the function that is read; None in a row
        self._products: list[Symbol | None] = []
        self._starts: dict[str, float] = {}
        self._sizes: dict[str, int] = {}

    # ---- functions --------------------------------------------------------------------------------------------------
    def functions(self) -> dict[str, Function]:
        """The functions of the cell, read and bounded."""
        found = {}
        for name, (arguments, right) in self.text.functions.items():
            self._line = line = f"{name}({', '.join(arguments)}) = {right}"
            if name in FUNCTIONS or name in STEPS:
                raise fault(line, f"{name!r} is a function of the language; choose another name")
            self._arguments = arguments
            found[name] = Function(name, arguments, self._read(parse(right, line)))
            read = {n.data for n in topological([found[name].expression]) if n.op == "parameter"}
            for argument in arguments:
                if argument not in read:
                    raise fault(line, f"{argument!r} is never used")
        self._arguments = None
        self._sizes = self._expanded(found)
        return found

    def _expanded(self, functions: dict[str, Function]) -> dict[str, int]:
        """Operations of each function when expanded.  ValueError for one that calls itself or nests too deep."""
        calls = {name: [n.data for n in _nodes(f.expression) if n.op == "call" and n.data in functions]
                 for name, f in functions.items()}
        sizes: dict[str, int] = {}
        for _ in range(MOST_DEPTH):
            ready = [name for name in functions if name not in sizes and all(c in sizes for c in calls[name])]
            sizes.update({name: min(MOST_OPERATIONS + 1, sum(1 for _ in _nodes(functions[name].expression))
                                    + sum(sizes[c] for c in calls[name])) for name in ready})
        stuck = [name for name in functions if name not in sizes]
        if stuck:
            raise fault(str(functions[stuck[0]]), f"its calls never end, or nest deeper than {MOST_DEPTH} levels")
        return sizes

    def check_expansion(self, rows: dict[str, Row]) -> None:
        """ValueError if the rows, with functions expanded, are too many operations."""
        size = sum(self._sizes.get(n.data, 1) if n.op == "call" else 1 for r in rows.values()
                   for n in _nodes(r.expression))
        if size > MOST_OPERATIONS:
            raise ValueError(f"text: its functions expand to more than {MOST_OPERATIONS} operations")

    # ---- rows -------------------------------------------------------------------------------------------------------
    def rows(self) -> dict[str, Row]:
        """The rows in the order of the text."""
        return {name: self._read_row(name, right) for name, right in self.text.rows.items()}

    def _read_row(self, name: str, right: str) -> Row:
        self._line, self._row, self._source = f"{name} = {right}", name, right
        self._products = []
        tree = parse(right, self._line)
        self._starts = self._read_starts(tree)
        expression = self._read(tree)
        nodes = list(_nodes(expression))
        return Row(name, code(expression), expression, tuple(p for p in self._products if p is not None),
                   tuple(dict.fromkeys(n.data for n in nodes if n.op == "vector")),
                   tuple(dict.fromkeys(n.data for n in nodes if n.op == "row")),
                   tuple(dict.fromkeys(n.data for n in nodes if n.op == "state")))

    def _read_starts(self, tree: ast.expr) -> dict[str, float]:
        """{vector: its start} of the b(1) in a row."""
        starts: dict[str, float] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and VECTOR.fullmatch(letter := called(node)):
                value = _literal(node.args[0]) if len(node.args) == 1 else None
                if value is None:
                    raise fault(self._line, f"{letter}(...) takes the number at which {letter} starts")
                if starts.setdefault(letter, value) != value:
                    raise fault(self._line, f"{letter} starts at two values")
        return starts

    # ---- expressions ------------------------------------------------------------------------------------------------
    def _read(self, node: ast.expr) -> Symbol:
        if isinstance(node, ast.Constant):
            return number(check_number(node.value, self._line))     # type: ignore[arg-type]
        if isinstance(node, ast.Name):
            return self._read_name(node.id)
        if isinstance(node, ast.UnaryOp):
            return Symbol("negative", (self._read(node.operand),), ops.negative)
        if isinstance(node, ast.BinOp):
            operation = _BINARY[type(node.op)]
            return Symbol(operation.name, (self._read(node.left), self._read(node.right)), operation)
        if isinstance(node, ast.Call):
            return self._read_call(called(node), node)
        raise fault(self._line, f"{type(node).__name__} is not part of the language")

    def _read_name(self, name: str) -> Symbol:
        if self._arguments is not None:
            if name in self._arguments:
                return leaf("parameter", name)
            if name not in self.constants:
                raise fault(self._line, f"{shown(name)} is neither an argument nor a constant; hand it on as "
                                        "an argument")
        if name in self.text.rows:
            return leaf("row", name)
        if VECTOR.fullmatch(name):
            return leaf("vector", Vector(name, self._row, self._starts.get(name)))
        if name in self.inputs or name in self.constants:
            return leaf("input" if name in self.inputs else "constant", name)
        if name.endswith("_prev"):
            return self._read_state(name, State(name[:-5]))
        raise fault(self._line, self._unknown(name))

    def _unknown(self, name: str) -> str:
        if MATRIX.fullmatch(name):
            return f"{name} is a matrix: write {name}(x), {name}(x, h_prev)"
        if name in FUNCTIONS or name in STEPS or name in self.text.functions:
            return f"{name!r} is a function: write {name}(...)"
        if INPUT.fullmatch(name):
            known = " ".join(self.inputs) if len(self.inputs) < 10 else "..."
            return f"{name!r} is no input of this cell: declare it, inputs=\"{known} {name}\""
        return f"unknown name {shown(name)}{nearest(name, self._known())}"

    def _known(self) -> Iterator[str]:
        yield from self.text.rows
        yield from (f"{name}_prev" for name in self.text.rows)
        yield from self.inputs
        yield from self.constants
        yield from self._arguments or ()

    def _read_state(self, word: str, state: State) -> Symbol:
        if state.row not in self.text.rows:
            if state.row in self.inputs:
                raise fault(self._line, f"{state.row!r} is an input and keeps nothing: make it a row, "
                                        f"q = {state.row}, and read q_prev")
            known = [f"{name}_prev" for name in self.text.rows]
            raise fault(self._line, f"{shown(word)} is read, but the state {shown(state.row)} is never computed"
                                    f"{nearest(word, known)}")
        return leaf("state", state)

    # ---- calls ------------------------------------------------------------------------------------------------------
    def _read_call(self, name: str, node: ast.Call) -> Symbol:
        if self._arguments is not None and (MATRIX.fullmatch(name) or VECTOR.fullmatch(name) or name.endswith("_prev")):
            raise fault(self._line, f"{name}(...) belongs to a row: hand it on as an argument")
        if MATRIX.fullmatch(name):
            return self._read_product(name, node)
        if VECTOR.fullmatch(name):
            return leaf("vector", Vector(name, self._row, self._starts[name]))
        if name.endswith("_prev"):
            return self._read_lag(name, node)
        return self._read_function(name, node)

    def _read_product(self, letter: str, node: ast.Call) -> Symbol:
        if not node.args:
            raise fault(self._line, f"{letter}() needs something to multiply: {letter}(x)")
        names = tuple(self._matrix(letter, self._source[a.col_offset:a.end_col_offset]) for a in node.args)
        index = len(self._products)
        self._products.append(None)         # the outer W comes before those inside its arguments
        args = tuple(map(self._read, node.args))
        for a in args:
            if not a.wide:
                raise fault(self._line, f"{letter}({code(a)}): a matrix multiplies inputs, states and rows, "
                                        "not a number")
        self._products[index] = product = Symbol("product", args, Product(letter, self._row, index, names))
        return product

    def _matrix(self, letter: str, source: str) -> str:
        base = name = f"{letter}_{self._row}_{spelled(source)}"
        count = self._next.get(base, 2)
        while name in self._taken:
            name, count = f"{base}_{count}", count + 1
        self._next[base] = count
        self._taken.add(name)
        return name

    def _read_lag(self, name: str, node: ast.Call) -> Symbol:
        lag: Any = node.args[0] if len(node.args) == 1 else None
        word = lag.id if isinstance(lag, ast.Name) else None
        value = self.constants.get(word) if word else lag.value if isinstance(lag, ast.Constant) else None
        if type(value) is not int or not 1 <= value <= MOST_LAG:
            raise fault(self._line, f"{name}(k) is the value k steps earlier: k is a whole number from 1 to "
                                    f"{MOST_LAG}, or such a constant")
        return self._read_state(name, State(name[:-5], value, word))

    def _read_function(self, name: str, node: ast.Call) -> Symbol:
        functions = self.text.functions
        if name in functions:
            count = len(functions[name][0])
        elif name in STEPS and self._arguments is None:
            count = STEPS[name].arity
        elif name in FUNCTIONS:
            count = 1
        else:
            known = f"; {name!r} is no function, and * multiplies" if name in {*self._known()} else ""
            raise fault(self._line, f"unknown function {shown(name)}"
                                    f"{known or nearest(name, [*FUNCTIONS, *STEPS, *functions, 'W'])}")
        if len(node.args) != count:
            raise fault(self._line, f"{name} takes {count} argument{'s' * (count > 1)}, got {len(node.args)}")
        args = tuple(map(self._read, node.args))
        if name in functions or name == "layer_norm":
            return Symbol("call", args, name)
        if name in STEPS:
            return self._read_step(name, args)
        return Symbol(name, args, PRIMITIVES[name])

    def _read_step(self, name: str, args: tuple[Symbol, ...]) -> Symbol:
        for position in STEPS[name].sequence:
            if args[position].op != "input" or args[position].data == self.inputs[0]:
                raise fault(self._line, f"{name}: argument {position + 1} is handed on whole, so it must be one of the "
                                        f"further inputs, not {code(args[position])}")
        return Symbol(name, args, STEPS[name].primitive)


def _nodes(expression: Symbol) -> Iterator[Symbol]:
    """All places of an expression as it is written, from left to right; what stands twice comes twice."""
    stack = [expression]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(reversed(node.args))


def _literal(node: ast.expr) -> float | None:
    """The value of 1, 0.5 or -1 in the text."""
    if isinstance(node, ast.UnaryOp):
        value = _literal(node.operand)
        return None if value is None else -value
    return float(node.value) if isinstance(node, ast.Constant) else None        # type: ignore[arg-type]
