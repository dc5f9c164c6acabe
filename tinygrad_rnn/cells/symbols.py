"""Symbols: the expression graph of a cell, on which the library's operations and derivative rules run unchanged.

A symbol is a leaf (a number, an input, an earlier state, a learned vector ...) or an operation on other symbols.  Every
value is one number a unit: nothing here knows sizes.  Equal symbols are one object, so common subexpressions are found
by construction, and `is` compares graphs.

The operations are the very primitives of the tape.  Given symbols, they build symbols (`INTERPRETERS`); so one rule
differentiates arrays, Tensors and the equations of a cell.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..autograd import ops
from ..autograd.primitive import INTERPRETERS, Primitive

LEAVES = ("number", "input", "state", "row", "constant", "vector", "parameter", "cotangent")
_NARROW = ("number", "constant")


@dataclass(frozen=True)
class Product:
    """What a `W(...)` of the text is: a matrix for each argument, the products summed."""

    letter: str                         # W, W2 ...
    row: str
    index: int                          # the how many-th of its row, in the order of the text
    parameters: tuple[str, ...]         # one an argument: W_i_x, W_i_h


@dataclass(frozen=True)
class Vector:
    """A learned vector of a row: `b`, `p2`, or `b(1)` with its value at the start."""

    letter: str
    row: str
    start: float | None = None

    @property
    def parameter(self) -> str:
        """Name of the parameter: b_i."""
        return f"{self.letter}_{self.row}"


@dataclass(frozen=True)
class State:
    """A row's value `lag` steps earlier; `word` is the constant that names the lag in the text."""

    row: str
    lag: int = 1
    word: str | None = None

    @property
    def name(self) -> str:
        """As in the text, with the number in place of the word: h_prev, h_prev(2)."""
        return f"{self.row}_prev" if self.lag == 1 else f"{self.row}_prev({self.lag})"


class Symbol:
    """One value of a step; equal symbols are the same object.

    Attributes
    ----------
    op : str
        A leaf: one of `LEAVES`.  "product": a `W(...)`; "transposed": products with transposed matrices, summed;
        "call": a function of the cell, not yet expanded; "pull": the gradient of a step primitive; otherwise the
        operation's name in the language.
    args : tuple of Symbol
    data : hashable
        A number's value, a leaf's name (`State`, `Vector`), a `Product`, the parameters of "transposed", a function's
        name; otherwise the `Primitive`.
    wide : bool
        Has it one value a unit?  Numbers and constants have not.
    """

    __slots__ = ("op", "args", "data", "wide", "__weakref__")

    op: str
    args: tuple[Symbol, ...]
    data: Any
    wide: bool

    _interned: weakref.WeakValueDictionary[Any, Symbol] = weakref.WeakValueDictionary()
    _lock = threading.Lock()

    def __new__(cls, op: str, args: tuple[Symbol, ...] = (), data: Any = None) -> Symbol:
        key = (op, args, data)
        with cls._lock:
            found = cls._interned.get(key)
            if found is None:
                found = super().__new__(cls)
                found.op, found.args, found.data = key
                found.wide = any(a.wide for a in args) if args else op not in _NARROW
                cls._interned[key] = found
            return found

    @property
    def parameter(self) -> str:
        """Of a learned vector: the name of its parameter."""
        if self.op != "vector":
            raise ValueError(f"parameter: only a learned vector is one, got {self!r}")
        return str(self.data.parameter)

    def __reduce__(self) -> Any:
        raise TypeError("a symbol is not stored; store the cell's text, str(cell), and parse it")

    def __repr__(self) -> str:
        from .printing import sketch
        return f"<{sketch(self)}>"

    def __neg__(self) -> Symbol:
        return _symbol(ops.negative(self))

    def __add__(self, other: Any) -> Symbol:
        return _symbol(ops.add(self, other))

    def __radd__(self, other: Any) -> Symbol:
        return _symbol(ops.add(other, self))

    def __sub__(self, other: Any) -> Symbol:
        return _symbol(ops.subtract(self, other))

    def __rsub__(self, other: Any) -> Symbol:
        return _symbol(ops.subtract(other, self))

    def __mul__(self, other: Any) -> Symbol:
        return _symbol(ops.multiply(self, other))

    def __rmul__(self, other: Any) -> Symbol:
        return _symbol(ops.multiply(other, self))

    def __truediv__(self, other: Any) -> Symbol:
        return _symbol(ops.divide(self, other))

    def __rtruediv__(self, other: Any) -> Symbol:
        return _symbol(ops.divide(other, self))

    def __pow__(self, exponent: Any) -> Symbol:
        return _symbol(ops.pow(self, exponent))


def _symbol(value: Any) -> Symbol:
    return value if isinstance(value, Symbol) else number(value)


# ---- how operations receive symbols ---------------------------------------------------------------------------------
UNITWISE: dict[Primitive, str] = {}     # operations on symbols that are not elementwise, or named otherwise in the text


def _apply(primitive: Primitive, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Symbol:
    if kwargs:
        args = primitive.positional(args, kwargs)
    name = UNITWISE.get(primitive)
    if name is None:
        if primitive.kind != "elementwise":
            raise TypeError(f"{primitive.name}: only elementwise operations, mean over units and stop run on symbols")
        name = primitive.name
    return Symbol(name, tuple(map(lift, args)), primitive)


INTERPRETERS[Symbol] = _apply


def lift(value: Any) -> Symbol:
    """A number as a symbol; a symbol as it is.  TypeError for anything else."""
    if isinstance(value, Symbol):
        return value
    if isinstance(value, (int, float)):
        return number(value)
    raise TypeError(f"expected a symbol or a number, got {type(value).__name__}")


def number(value: float) -> Symbol:
    """A number of the text."""
    return Symbol("number", (), float(value))


def leaf(kind: str, data: Any) -> Symbol:
    """A leaf: kind is one of `LEAVES`."""
    if kind not in LEAVES:
        raise ValueError(f"leaf: kind must be one of {', '.join(LEAVES)}, got {kind!r}")
    return Symbol(kind, (), data)


# ---- walking the graph ----------------------------------------------------------------------------------------------
def topological(roots: Iterable[Symbol], without: Container[Symbol] = ()) -> list[Symbol]:
    """The roots and all that they are computed from, arguments first, each once; not what is in `without` nor below it.

    Iterative: no depth is too deep.
    """
    order: list[Symbol] = []
    seen: set[Symbol] = set()
    stack = [(root, False) for root in reversed(list(roots))]
    while stack:
        node, ready = stack.pop()
        if ready:
            order.append(node)
        elif node not in seen and node not in without:
            seen.add(node)
            stack.append((node, True))
            stack.extend((a, False) for a in reversed(node.args))
    return order


def ancestors(node: Symbol) -> list[Symbol]:
    """What a symbol is computed from, arguments first, without itself."""
    return topological([node])[:-1]


def replace(roots: Iterable[Symbol], mapping: Mapping[Symbol, Any]) -> list[Symbol]:
    """The roots with some symbols exchanged for others, wherever they stand; numbers may stand for symbols.

    What is put in is not searched again, so an exchange of two symbols is possible.
    """
    roots = list(roots)
    new: dict[Symbol, Symbol] = {}
    for node in topological(roots):
        args = tuple(new[a] for a in node.args)
        new[node] = lift(mapping[node]) if node in mapping else Symbol(node.op, args, node.data)
    return [new[root] for root in roots]


def evaluate(roots: Iterable[Symbol], value: Callable[[Symbol], Any], parameters: Mapping[str, Any]) -> list[Any]:
    """The values of symbols, each computed once.

    Parameters
    ----------
    roots : iterable of Symbol
        Without unexpanded calls (`Graph.flat` has none).
    value : callable
        value(leaf) -> array or Tensor, for every leaf but numbers.
    parameters : mapping
        Matrices by name.

    Returns
    -------
    list
        Arrays from arrays, Tensors from Tensors, symbols from symbols, one a root.
    """
    roots = list(roots)
    found: dict[Symbol, Any] = {}
    for node in topological(roots):
        if node.op == "number":
            found[node] = node.data
        elif not node.args:
            found[node] = value(node)
        else:
            found[node] = _value(node, [found[a] for a in node.args], parameters)
    return [found[root] for root in roots]


def _value(node: Symbol, args: list[Any], parameters: Mapping[str, Any]) -> Any:
    """One operation on the values of its arguments (batch, width)."""
    if node.op == "product":
        return total(v @ parameters[name].T for v, name in zip(args, node.data.parameters))
    if node.op == "transposed":
        return total(v @ parameters[name] for v, name in zip(args, node.data))
    if node.op == "pull":
        primitive, position = node.data
        g, y, *values = args
        if primitive.pull is not None:
            needed = tuple(k == position for k in range(len(values)))
            return primitive.pull(g, y, *values, needed=needed)[position]
        return primitive.rule(position)(g, y, *values)
    if node.op == "call":
        raise ValueError(f"evaluate: {node.data} is a function of the cell; expand it first (Graph.flat)")
    return node.data(*args)


def total(values: Iterable[Any]) -> Any:
    """The sum of one or more values, from the left."""
    first, *rest = values
    for v in rest:
        first = first + v
    return first
