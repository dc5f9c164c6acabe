"""Reverse-mode differentiation of symbols, with the rules of the tape.

A rule is called with symbols and gives a symbol.  Only matrices are the cell's own: a `W` hands its cotangent on to
each of its arguments through the transposed matrix, and all that arrives at one argument is one node, "transposed":
one product for each source, exactly as in the forward pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..autograd import ops
from .functions import STEPS
from .symbols import Symbol, number, topological

ZERO, ONE = number(0), number(1)


@dataclass(frozen=True)
class Adjoint:
    """Derivatives of a step; what has no entry has derivative 0.

    Attributes
    ----------
    cotangents : dict Symbol -> Symbol
        The whole derivative at every symbol; of a `W` node it is that of each of its products.
    direct : dict Symbol -> Symbol
        The part that comes without a transposed product.
    transposed : dict Symbol -> Symbol
        For what matrices multiply: the "transposed" node, whose args are cotangents of `W` nodes and whose data names
        the matrices, one an argument.  cotangents = direct + transposed.
    matrices : dict str -> (Symbol, Symbol)
        For each matrix the factors of its gradient: sum over steps and batch of outer(cotangent, source).
    """

    cotangents: dict[Symbol, Symbol]
    direct: dict[Symbol, Symbol]
    transposed: dict[Symbol, Symbol]
    matrices: dict[str, tuple[Symbol, Symbol]]


def gradient(seeds: Mapping[Symbol, Symbol]) -> Adjoint:
    """Derivatives of the sum of seed * symbol over `seeds`, with respect to everything that the symbols are made of."""
    result = Adjoint({}, {}, {}, {})
    arriving: dict[Symbol, list[Symbol]] = {node: [seed] for node, seed in seeds.items()}
    through: dict[Symbol, list[tuple[Symbol, str]]] = {}
    order = topological(seeds)
    known = {node: node for node in order}          # what the step computes stays as it is: derivatives share it
    for node in reversed(order):
        terms = arriving.pop(node, [])
        if terms:
            result.direct[node] = _sum(terms)
        if node in through:
            gs, names = zip(*reversed(through[node]))
            result.transposed[node] = back = Symbol("transposed", gs, names)
            terms = [*terms, back]
        g = _sum(terms)
        if g is ZERO:
            continue
        result.cotangents[node] = g
        if node.op == "product":
            for source, name in zip(node.args, node.data.parameters):
                through.setdefault(source, []).append((g, name))
                result.matrices[name] = g, source
            continue
        for position, argument in enumerate(node.args):
            if argument.wide:
                d = _through(node, position, g)
                d = ZERO if d is None else simplified(d, known)
                if d is not ZERO:
                    arriving.setdefault(argument, []).append(d)
    return result


def _through(node: Symbol, position: int, g: Symbol) -> Any:
    """What one operation sends to one of its arguments, by the rule of the tape; None for nothing."""
    if node.op == "call":
        raise ValueError(f"gradient: {node.data} is a function of the cell; expand it first (Cell.flat)")
    if node.op in STEPS:
        known = position not in STEPS[node.op].no_gradient
        return Symbol("pull", (g, node, *node.args), (node.data, position)) if known else None
    rule = node.data.rule(position)
    return rule and rule(g, node, *(a.data if a.op == "number" else a for a in node.args))


def _sum(terms: list[Symbol]) -> Symbol:
    result = ZERO
    for term in terms:
        result = reduced("add", (result, term), ops.add)
    return result


# ---- simplification -------------------------------------------------------------------------------------------------
def simplified(root: Symbol, known: dict[Symbol, Symbol] | None = None) -> Symbol:
    """The symbol without 0 and 1 in sums and products, signs collected, arithmetic of numbers done.

    Every step but one keeps NaN and infinity as they were: 0*u becomes 0, the derivative of what does not move.
    """
    known = {} if known is None else known
    for node in topological([root], without=known):
        new = reduced(node.op, tuple(known[a] for a in node.args), node.data)
        known[node] = known[new] = new
    return known[root]


def reduced(op: str, args: tuple[Symbol, ...], data: Any) -> Symbol:
    """One operation on simplified symbols, simplified."""
    rule = _REDUCE.get(op)
    found = rule(*args) if rule and args else None
    return Symbol(op, args, data) if found is None else found


def _negative(u: Symbol) -> Symbol:
    return reduced("negative", (u,), ops.negative)


def _reduce_add(a: Symbol, b: Symbol) -> Symbol | None:
    if a.op == b.op == "number":
        return number(a.data + b.data)
    if a is ZERO or b is ZERO:
        return b if a is ZERO else a
    if b.op == "negative":
        return reduced("subtract", (a, b.args[0]), ops.subtract)
    return reduced("subtract", (b, a.args[0]), ops.subtract) if a.op == "negative" else None


def _reduce_subtract(a: Symbol, b: Symbol) -> Symbol | None:
    if a.op == b.op == "number":
        return number(a.data - b.data)
    if a is ZERO or b is ZERO:
        return _negative(b) if a is ZERO else a
    return reduced("add", (a, b.args[0]), ops.add) if b.op == "negative" else None


def _reduce_multiply(a: Symbol, b: Symbol) -> Symbol | None:
    if a.op == b.op == "number":
        return number(a.data * b.data)
    if a is ZERO or b is ZERO:
        return ZERO
    if a is ONE or b is ONE:
        return b if a is ONE else a
    if a.op == "negative":
        return _negative(reduced("multiply", (a.args[0], b), ops.multiply))
    return _negative(reduced("multiply", (a, b.args[0]), ops.multiply)) if b.op == "negative" else None


def _reduce_divide(a: Symbol, b: Symbol) -> Symbol | None:
    if a is ZERO or b is ONE:
        return a
    return _negative(reduced("divide", (a.args[0], b), ops.divide)) if a.op == "negative" else None


def _reduce_negative(a: Symbol) -> Symbol | None:
    return number(-a.data) if a.op == "number" else a.args[0] if a.op == "negative" else None


def _reduce_pow(a: Symbol, b: Symbol) -> Symbol | None:
    return a if b is ONE else None


def _reduce_mean(a: Symbol) -> Symbol | None:
    return a if a.op == "number" else None


_REDUCE: dict[str, Any] = {"add": _reduce_add, "subtract": _reduce_subtract, "multiply": _reduce_multiply,
                           "divide": _reduce_divide, "negative": _reduce_negative, "pow": _reduce_pow,
                           "mean": _reduce_mean, "stop": _reduce_mean}
