"""What the graph of a cell says about its schedule: stages, neighbours, and what the backward pass will need.

    stage of a value = how many cuts lie before it: products, and means over units

Kept are states, the arguments of products, and what a costly function like tanh or exp gave; arithmetic is computed
again.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from .derivative import gradient
from .functions import STEPS
from .schedule import OUTPUT
from .symbols import State, Symbol, leaf, number, topological

COSTLY = {"tanh", "sigmoid", "softplus", "exp", "log", "sqrt"}
Kind = tuple[frozenset[Symbol], int]        # of a product: what it reads, and its width
MOST_ORDERS = 6             # kinds of products whose order is chosen by trying them all


class Needs(NamedTuple):
    """What a unit reads, in the order of the graph, and the costly values that it would have to compute again."""

    loaded: list[Symbol]
    forgotten: list[Symbol]


class Analysis:
    """The forward graph of a step and its adjoint, with the stage and width of every value.

    Parameters
    ----------
    rows : row -> its symbol, in the order of computation, with other rows and functions expanded.
    states : the states that the text reads.
    output : name of the row that is the output.
    row_widths : row -> its width.
    width_of : symbol of the forward graph -> its width, None for a number.

    Attributes
    ----------
    lags : row -> from how many steps back it is read at most.
    nodes, level : the forward graph, arguments first, and the stage of each.
    products, slot : the products in the order of their slots.
    sources : what products multiply, or calls read, that a unit has to write down first: no inputs, states, calls.
    calls, whole : the calls of step primitives, and the inputs that they are handed as they are.
    d_call : call -> the gradient of its result.
    d_slot : the gradient of each slot.
    d_leaf : gradients of vectors; of states and inputs, without what comes through matrices.
    pulled : "transposed" symbol -> the source that it is the gradient of.
    back_nodes, back_level : the adjoint graph and its stages, in which forward values are at hand from the start.
    narrow : what is the same for all units of a row: a mean, and what is computed from such alone.
    kept : forward values that are written down.
    """

    def __init__(self, rows: Mapping[str, Symbol], states: Iterable[State], output: str,
                 row_widths: Mapping[str, int], width_of: Callable[[Symbol], int | None]) -> None:
        self.rows = dict(zip(rows, by_reciprocals(rows.values())))
        self.output, self.row_widths = output, row_widths
        self.lags = {output: 1}
        for state in states:
            self.lags[state.row] = max(state.lag, self.lags.get(state.row, 1))
        self.nodes = topological(self.rows.values())
        self.forward = set(self.nodes)
        self.level = _levels(self.nodes, set())
        self._widths = {n: width_of(n) for n in self.nodes}
        self.products = neighbours([n for n in self.nodes if n.op == "product"], self.width)
        self.slot = {product: k for k, product in enumerate(self.products)}
        self.calls = [n for n in self.nodes if n.op in STEPS]
        self.whole = {a for c in self.calls for k, a in enumerate(c.args) if k in STEPS[c.op].sequence}
        read = [a for n in [*self.products, *self.calls] for a in n.args if a not in self.whole]
        self.sources = list(dict.fromkeys(a for a in read if not _standing(a)))
        self._reverse()
        self.narrow = _narrow([*self.nodes, *self.back_nodes])
        self.kept = self._keep()

    def width(self, node: Symbol) -> int:
        """Units of a value; 1 for a number."""
        return self._widths[node] or 1

    def row_width(self, node: Symbol, row: str | None) -> int:
        """Units of a value that is a row, if it is one: a row may be just a number."""
        return self._widths[node] or (self.row_widths[row] if row is not None else 1)

    @property
    def stages(self) -> range:
        """Of the forward pass."""
        return range(1 + max(self.level.values(), default=0))

    # ---- the adjoint graph ------------------------------------------------------------------------------------------
    def _reverse(self) -> None:
        """What backward computes elementwise: gradients of slots, then of states, vectors and raw inputs."""
        seeds: dict[Symbol, Symbol] = {}
        for row in self.lags:
            incoming = leaf("cotangent", row)
            if row == self.output:
                incoming = incoming + leaf("cotangent", OUTPUT)
            node = self.rows[row]
            seeds[node] = seeds[node] + incoming if node in seeds else incoming
        adjoint = gradient(seeds)
        d_leaf = {n: g for n, g in adjoint.direct.items() if n.op in ("state", "input") and n not in self.whole}
        d_leaf.update((n, g) for n, g in adjoint.cotangents.items() if n.op == "vector")
        d_slot = [adjoint.cotangents.get(p, number(0.0)) for p in self.products]
        d_call = {c: adjoint.cotangents[c] for c in self.calls if c in adjoint.cotangents}
        new = iter(by_reciprocals([*adjoint.transposed.values(), *d_slot, *d_leaf.values(), *d_call.values()]))
        self.pulled = {next(new): source for source in adjoint.transposed}
        self.d_slot = [next(new) for _ in d_slot]
        self.d_leaf = {n: next(new) for n in d_leaf}
        self.d_call = {n: next(new) for n in d_call}
        self.back_nodes = topological(self.back_roots)
        for n in self.back_nodes:
            if n.op == "cotangent":
                self._widths[n] = self.row_widths[self.output if n.data == OUTPUT else n.data]
            elif n in self.pulled:
                self._widths[n] = self._widths[self.pulled[n]]
            elif n.op == "pull":
                self._widths[n] = self._widths[n.args[2 + n.data[1]]]
            elif n not in self._widths:
                self._widths[n] = next((w for w in map(self._widths.get, n.args) if w is not None), None)
        self.back_level = _levels(self.back_nodes, self.forward)

    @property
    def back_roots(self) -> list[Symbol]:
        """All that the backward pass computes elementwise."""
        return [*self.d_slot, *self.d_leaf.values(), *self.d_call.values()]

    # ---- what is kept -----------------------------------------------------------------------------------------------
    def _keep(self) -> dict[Symbol, None]:
        """States and sources, and more until nothing costly is computed twice."""
        self.kept = dict.fromkeys([*(self.rows[row] for row in self.lags), *self.sources])
        while True:
            forgotten = [n for stage in self.stages for n in self.needs(self.roots(stage), stage).forgotten]
            forgotten += self.needs(self.back_roots).forgotten
            if not forgotten:
                return self.kept
            self.kept.update(dict.fromkeys(forgotten))

    def roots(self, stage: int) -> list[Symbol]:
        """What the forward pass has to compute at a stage: what is kept, and what a mean is taken of."""
        means = [n.args[0] for n in self.nodes if n.op == "mean"]
        return [n for n in dict.fromkeys([*self.kept, *means]) if self.level[n] == stage]

    def needs(self, roots: Iterable[Symbol], stage: int | None = None) -> Needs:
        """What it takes to compute some values at a stage of the forward pass; None: in the backward pass."""
        loaded: list[Symbol] = []
        forgotten: list[Symbol] = []
        seen: set[Symbol] = set()
        stack = list(reversed(list(roots)))
        while stack:
            node = stack.pop()
            if node in seen:
                continue
            seen.add(node)
            earlier = node in self.forward and (stage is None or self.level[node] < stage)
            cut = node.op in ("product", "transposed", "mean", "pull") or node.op in STEPS
            if not node.args or cut or (earlier and node in self.kept):
                if node.op != "number":
                    loaded.append(node)
                continue
            if earlier and (node.op in COSTLY or node.op == "divide" and node in self.narrow):
                forgotten.append(node)
            stack.extend(reversed(node.args))
        return Needs(loaded, forgotten)

    def last_reads(self) -> list[float]:
        """The last stage at which each slot is read; infinity for the backward pass."""
        reads = [float(self.level[p]) for p in self.products]
        for stage in self.stages:
            for n in self.needs(self.roots(stage), stage).loaded:
                if n.op == "product":
                    reads[self.slot[n]] = max(reads[self.slot[n]], stage)
        for n in self.needs(self.back_roots).loaded:
            if n.op == "product":
                reads[self.slot[n]] = float("inf")
        return reads


def _standing(source: Symbol) -> bool:
    """Does what a product multiplies stand in memory before the units of its stage are run?"""
    return source.op in ("input", "state") or source.op in STEPS


def _narrow(nodes: Iterable[Symbol]) -> set[Symbol]:
    """Means over units, and what is computed from them and numbers alone."""
    found: set[Symbol] = set()
    for n in nodes:
        if n.op == "mean" or n.op not in ("product", "transposed") and any(a in found for a in n.args) and all(
                a in found or a.op == "number" for a in n.args):
            found.add(n)
    return found


def by_reciprocals(roots: Iterable[Symbol]) -> list[Symbol]:
    """The same, but what divides a row by a narrow value multiplies it with the reciprocal, which is found once."""
    roots = list(roots)
    nodes = topological(roots)
    narrow, new = _narrow(nodes), dict[Symbol, Symbol]()

    def reciprocal(n: Symbol) -> Symbol:
        if n.op == "multiply" and n.args[0].op == "number" and n.args[0].data:
            return number(1 / n.args[0].data) * reciprocal(n.args[1])
        return 1.0 / n

    for node in nodes:
        args = tuple([new[a] for a in node.args])
        if node.op == "divide" and node.args[1] in narrow and node.args[0].wide and node.args[0] not in narrow:
            new[node] = args[0] * reciprocal(args[1])
        else:
            new[node] = Symbol(node.op, args, node.data)
    return [new[root] for root in roots]


def _levels(nodes: Iterable[Symbol], given: set[Symbol]) -> dict[Symbol, int]:
    """How many cuts lie before each symbol; none before those that are given."""
    found: dict[Symbol, int] = {}
    for node in nodes:
        before = max((found[a] for a in node.args), default=0)
        if node in given:
            before = 0
        elif node.op == "product" or node.op in STEPS:
            before = max(found[a] + (not _standing(a)) for a in node.args)
        elif node.op == "pull":
            before = found[node.args[0]] + 1
        elif node.op in ("transposed", "mean"):
            before += 1
        found[node] = before
    return found


def neighbours(products: Iterable[Symbol], width: Callable[[Symbol], int]) -> list[Symbol]:
    """The products in an order in which those that read the same source stand together as far as possible.

    So they are computed together: one product a source.  Those of one kind, with the same sources and the same width,
    stay together; a few kinds are tried in every order, many are joined to chains, those that share most first.
    """
    kinds: dict[Kind, list[Symbol]] = {}
    for p in products:
        kinds.setdefault((frozenset(p.args), width(p)), []).append(p)

    def shared(one: Kind, other: Kind) -> int:
        return len(one[0] & other[0]) * (one[1] == other[1])

    if len(kinds) <= MOST_ORDERS:
        orders = itertools.permutations(kinds)
        return [p for kind in max(orders, key=lambda o: sum(itertools.starmap(shared, itertools.pairwise(o))))
                for p in kinds[kind]]
    chains = {kind: [kind] for kind in kinds}
    for a, b in sorted(itertools.combinations(kinds, 2), key=lambda pair: -shared(*pair)):
        one, other = chains[a], chains[b]
        if one is not other and a in (one[0], one[-1]) and b in (other[0], other[-1]):
            if one[-1] != a:
                one.reverse()
            if other[0] != b:
                other.reverse()
            one += other
            chains.update(dict.fromkeys(other, one))
    return [p for kind in next(iter(chains.values())) for p in kinds[kind]]


def runs(numbers: Iterable[int], most: int) -> list[tuple[int, ...]]:
    """Numbers as runs of neighbours, none longer than `most`, as equal as can be."""
    pieces: list[list[int]] = []
    for n in sorted(numbers):
        if pieces and pieces[-1][-1] == n - 1:
            pieces[-1].append(n)
        else:
            pieces.append([n])
    found = []
    for piece in pieces:
        parts = -(-len(piece) // most)
        found += [tuple(piece[len(piece) * k // parts:len(piece) * (k + 1) // parts]) for k in range(parts)]
    return found
