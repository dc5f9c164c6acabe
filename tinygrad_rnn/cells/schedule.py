"""From the graph of a cell to a schedule: what is computed when, what is kept for the backward pass, where it stands.

A step is cut into *stages*. Within one, everything is elementwise: a unit computes it in one go, a vector of units at a
time. A stage ends where something needs whole rows: a product with a matrix, or a mean over units.

    level of a value = how many such cuts lie before it
    forward:   products of a stage, then its unit: one stage for an LSTM, two for a GRU that resets before the product
    backward:  the same of the adjoint graph; then the products that lead to the states of the step before

Kept are states, the arguments of products, and what a function like tanh or exp gave; arithmetic is computed again. A
kept value takes the place of the pre-activation that it was computed from, so an LSTM keeps five numbers a unit beside
h and c.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from .derivative import gradient
from .symbols import State, Symbol, leaf, number, topological

COSTLY = {"tanh", "sigmoid", "softplus", "exp", "log", "sqrt"}
MOST_SLOTS = 4              # of one product: vectors of a tile
MOST_ORDERS = 7             # products whose order is chosen by trying them all
OUTPUT = "output"           # the cotangent that comes from outside


@dataclass(frozen=True)
class Place:
    """Where a value stands: a column of a group of memory, so many steps before the current one.

    group : "record" (kept: a row of the batch at a step), "adjoint" (the same for gradients of products), "carry" (a
    row
        of the batch, not of a step), "history" (gradients of states that are read from further back), "y" (output or
        its gradient), "vector", "constant", "input", "d_input"
    name : of the column within its group
    lag : steps back
    """

    group: str
    name: str
    lag: int = 0

    def __str__(self) -> str:
        return f"{self.group} {self.name}".strip()


@dataclass
class Unit:
    """What is computed elementwise at one stage: reads and writes in order, and the graph between them."""

    stage: int
    width: int
    reads: list[tuple[Symbol, Place]] = field(default_factory=list)
    writes: list[tuple[Symbol, Place]] = field(default_factory=list)
    adds: list[tuple[Symbol, Place]] = field(default_factory=list)      # added to what stands there
    totals: list[tuple[Symbol, Place]] = field(default_factory=list)    # summed over the units of the row

    def results(self) -> list[tuple[Symbol, Place]]:
        """What it computes and where that goes, in order."""
        return [*self.writes, *self.adds, *self.totals]

    def values(self) -> list[Symbol]:
        """What it computes, each once."""
        return list(dict.fromkeys(n for n, _ in self.results()))


@dataclass(frozen=True)
class Multiply:
    """One product for several slots. Forward: the slots (+)= source times their matrices; backward: source (+)= the
    slots' gradients times the matrices, where `source` says where the result goes."""

    stage: int                          # -1: outside the loop over time
    source: Place
    slots: tuple[int, ...]              # numbers of products, neighbours in the record
    parameters: tuple[str, ...]
    fresh: bool                         # starts from zero
    width: int                          # of the slots
    depth: int                          # of the source


@dataclass
class Schedule:
    """A cell's plan for given widths.

    Attributes
    ----------
    products : product k of the graph has slot k of the record and, backward, of the adjoint record.
    record, carry : columns with their widths, in order; the slots come first in the record.
    totals : columns, of record and carry, that hold the sum over a row's units: one vector, of partial sums.
    bias_of : vector -> slot whose gradient, summed over rows and steps, is its own.
    gathered : vector -> column of the carry where its gradient gathers, a row at a time.
    raw : inputs that are read outside of products.
    lags : row -> how many steps back it is read, of every state.
    """

    rows: Mapping[str, Symbol]
    output: str
    products: list[Symbol] = field(default_factory=list)
    record: dict[str, int] = field(default_factory=dict)
    carry: dict[str, int] = field(default_factory=dict)
    totals: set[str] = field(default_factory=set)
    units: list[Unit] = field(default_factory=list)
    multiplies: list[Multiply] = field(default_factory=list)
    backward_units: list[Unit] = field(default_factory=list)
    backward_multiplies: list[Multiply] = field(default_factory=list)
    bias_of: dict[str, int] = field(default_factory=dict)
    gathered: dict[str, str] = field(default_factory=dict)
    raw: list[str] = field(default_factory=list)
    lags: dict[str, int] = field(default_factory=dict)

    def slot_width(self, slot: int) -> int:
        """Units of a product."""
        return self.record[f"z{slot}"]


def levels(nodes: Iterable[Symbol], forward: set[Symbol] | None = None) -> dict[Symbol, int]:
    """How many cuts lie before each symbol; in the backward pass symbols of the forward graph are at hand from the start."""
    found: dict[Symbol, int] = {}
    for node in nodes:
        if forward is not None and node in forward:
            found[node] = 0
        elif node.op == "product":
            found[node] = max((found[a] + (1 if a.args else 0) for a in node.args), default=0)
        elif node.op in ("transposed", "mean"):
            found[node] = max(found[a] for a in node.args) + 1
        else:
            found[node] = max((found[a] for a in node.args), default=0)
    return found


def neighbours(products: list[Symbol]) -> list[Symbol]:
    """The products in an order in which those that read the same source stand together as far as possible."""
    if len(products) > MOST_ORDERS:
        return sorted(products, key=lambda p: (len(p.args), sorted(map(repr, p.args))))
    sources = {a for p in products for a in p.args}

    def pieces(order: tuple[Symbol, ...]) -> int:
        return sum(s in p.args and (k == 0 or s not in order[k - 1].args) for s in sources for k, p in enumerate(order))

    return list(min(itertools.permutations(products), key=pieces)) if products else []


def runs(numbers: Iterable[int], most: int) -> list[tuple[int, ...]]:
    """Numbers as runs of neighbours, none longer than `most`, as equal as can be."""
    pieces: list[list[int]] = []
    for n in sorted(numbers):
        if pieces and pieces[-1][-1] == n - 1:
            pieces[-1].append(n)
        else:
            pieces.append([n])
    out = []
    for piece in pieces:
        parts = -(-len(piece) // most)
        out += [tuple(piece[len(piece) * k // parts:len(piece) * (k + 1) // parts]) for k in range(parts)]
    return out


class Planner:
    """Builds a Schedule.

    Parameters
    ----------
    rows : row -> its symbol, in the order of computation, with other rows and functions expanded.
    states : the states that the text reads.
    width_of : symbol of the forward graph -> its width, None for a number.
    """

    def __init__(self, rows: Mapping[str, Symbol], states: Iterable[State], output: str, row_widths: Mapping[str, int],
                 width_of: Callable[[Symbol], int | None]) -> None:
        self.plan = plan = Schedule(rows, output)
        self.row_widths = row_widths
        plan.lags = {output: 1}
        for state in states:
            plan.lags[state.row] = max(state.lag, plan.lags.get(state.row, 1))
        self.nodes = topological(rows.values())
        self.forward = set(self.nodes)
        self.level = levels(self.nodes)
        self.width: dict[Symbol, int | None] = {n: width_of(n) for n in self.nodes}
        plan.products = neighbours([n for n in self.nodes if n.op == "product"])
        elementwise = {a for n in self.nodes if n.op != "product" for a in n.args} | set(rows.values())
        plan.raw = [n.data for n in self.nodes if n.op == "input" and n in elementwise]
        self.slot = {p: k for k, p in enumerate(plan.products)}
        self.computed = list(dict.fromkeys(a for p in plan.products for a in p.args if a.args))
        self._reverse()
        self._keep()
        self._lay_out()
        self._plan_units()
        self._plan_multiplies()

    # ---- the adjoint graph
    # ----------------------------------------------------------------------------------------------
    def _reverse(self) -> None:
        """What backward computes elementwise: gradients of slots, then of states, vectors and raw inputs."""
        plan = self.plan
        seeds: dict[Symbol, Symbol] = {}
        for row in plan.lags:
            incoming = leaf("cotangent", row)
            if row == plan.output:
                incoming = incoming + leaf("cotangent", OUTPUT)
            node = plan.rows[row]
            seeds[node] = seeds[node] + incoming if node in seeds else incoming
        adjoint = gradient(seeds)
        self.pulled = {node: source for source, node in adjoint.transposed.items()}
        self.d_slot = [adjoint.cotangents.get(p, number(0.0)) for p in plan.products]
        self.d_leaf = {n: g for n, g in adjoint.direct.items() if n.op in ("state", "input", "vector")}
        self.back_nodes = topological([*self.d_slot, *self.d_leaf.values()])
        for n in self.back_nodes:
            if n.op == "cotangent":
                self.width[n] = self.row_widths[plan.output if n.data == OUTPUT else n.data]
            elif n not in self.width:
                known = [w for w in (self.width[a] for a in n.args) if w is not None]
                self.width[n] = self.width[self.pulled[n]] if n in self.pulled else known[0] if known else None
        self.back_level = levels(self.back_nodes, self.forward)

    # ---- what is kept
    # ---------------------------------------------------------------------------------------------------
    def _roots(self, stage: int) -> list[Symbol]:
        """What the forward pass must have computed at a stage, by its unit."""
        means = [n.args[0] for n in self.nodes if n.op == "mean"]
        return list(dict.fromkeys(n for n in [*self.stored, *means] if self.level[n] == stage))

    def _needs(self, roots: Iterable[Symbol], stage: int | None) -> tuple[list[Symbol], list[Symbol], list[Symbol]]:
        """(loaded, computed, forgotten) symbols of a unit at a stage, None: backward; in the order of the graph.

        Forgotten are costly values of an earlier stage that are not kept.
        """
        loaded, computed, forgotten = dict.fromkeys([]), [], []
        state: dict[Symbol, bool] = {}
        stack = [(n, False) for n in reversed(list(roots))]
        while stack:
            node, ready = stack.pop()
            if ready:
                computed.append(node)
                continue
            if node in state:
                continue
            state[node] = True
            earlier = node in self.forward and (stage is None or self.level[node] < stage)
            here = node.op in ("product", "transposed", "mean")
            if not node.args or here or (earlier and node in self.stored):
                if node.op != "number":
                    loaded[node] = None
                continue
            if earlier and node.op in COSTLY:
                forgotten.append(node)
            stack.append((node, True))
            stack.extend((a, False) for a in reversed(node.args))
        return list(loaded), computed, forgotten

    def _keep(self) -> None:
        """Add to what is stored until nothing costly is forgotten."""
        self.stored = dict.fromkeys(n for n in [*(self.plan.rows[r] for r in self.plan.lags), *self.computed])
        last = max(self.level.values(), default=0)
        while True:
            forgotten = [n for stage in range(last + 1) for n in self._needs(self._roots(stage), stage)[2]]
            forgotten += self._needs([*self.d_slot, *self.d_leaf.values()], None)[2]
            if not forgotten:
                return
            self.stored.update(dict.fromkeys(forgotten))

    # ---- where it stands
    # --------------------------------------------------------------------------------------------------
    def _lay_out(self) -> None:
        """Give every stored value a column; a kept one the slot of a product that nobody reads any more."""
        plan = self.plan
        for k, p in enumerate(plan.products):
            plan.record[f"z{k}"] = self.width[p]
        last_read = self._last_reads()
        free = [k for k in range(len(plan.products))]
        self.place: dict[Symbol, Place] = {}
        rows_of = {plan.rows[r]: r for r in reversed(list(plan.lags))}
        for node in self.stored:
            if node in rows_of or node in self.computed:
                continue
            own = set(topological([node]))
            able = [k for k in free if last_read[k] <= self.level[node] and plan.record[f"z{k}"] == self.width[node]]
            able.sort(key=lambda k: (plan.products[k] not in own, k))
            if able:
                free.remove(able[0])
                self.place[node] = Place("record", f"z{able[0]}")
            else:
                name = f"kept{sum(c.startswith('kept') for c in plan.record)}"
                plan.record[name] = self.width[node]
                self.place[node] = Place("record", name)
        for row in plan.lags:
            plan.record[row_column(row)] = self.row_widths[row]
        for node in self.stored:
            if node in rows_of:
                self.place[node] = Place("record", row_column(rows_of[node]))
            elif node in self.computed:
                name = f"source{self.computed.index(node)}"
                plan.record[name] = self.width[node]
                self.place[node] = Place("record", name)
        for n in self.nodes:
            if n.op == "mean":
                name = f"total{len(plan.totals)}"
                plan.record[name] = 0
                plan.totals.add(name)
                self.place[n] = Place("record", name)
        for row in plan.lags:
            plan.carry[f"d_{row}"] = self.row_widths[row]
        for n in self.back_nodes:
            if n.op in ("transposed", "mean") and n not in self.forward:
                name = f"{'pulled' if n.op == 'transposed' else 'total'}{len(plan.carry)}"
                plan.carry[name] = self.width[n] if n.op == "transposed" else 0
                if n.op == "mean":
                    plan.totals.add(name)
                self.place[n] = Place("carry", name)

    def _last_reads(self) -> list[float]:
        """The last stage at which each slot is read; infinity for the backward pass."""
        reads = [float(self.level[p]) for p in self.plan.products]
        for stage in range(1 + max(self.level.values(), default=0)):
            for n in self._needs(self._roots(stage), stage)[0]:
                if n.op == "product":
                    reads[self.slot[n]] = max(reads[self.slot[n]], stage)
        for n in self._needs([*self.d_slot, *self.d_leaf.values()], None)[0]:
            if n.op == "product":
                reads[self.slot[n]] = float("inf")
        return reads

    def _where(self, node: Symbol) -> Place:
        """Where a loaded symbol stands."""
        if node.op == "product":
            return Place("record", f"z{self.slot[node]}")
        if node.args:
            return self.place[node]
        if node.op == "state":
            return Place("record", row_column(node.data.row), node.data.lag)
        if node.op == "cotangent":
            return Place("y", "") if node.data == OUTPUT else self._incoming(node.data)
        if node.op == "vector":
            return Place("vector", node.parameter)
        return Place(node.op, node.data)        # input, constant

    def _incoming(self, row: str, lag: int = 0) -> Place:
        """The gradient of a state: a row of the batch hands it on from step to step, or, read further back, a history does."""
        return Place("carry", f"d_{row}") if self.plan.lags[row] == 1 else Place("history", row, lag)

    # ---- units
    # ------------------------------------------------------------------------------------------------------------
    def _plan_units(self) -> None:
        plan, rows_of = self.plan, {}
        for row in plan.lags:
            rows_of.setdefault(plan.rows[row], []).append(row)
        for stage in range(1 + max(self.level.values(), default=0)):
            units: dict[int, Unit] = {}
            for n in self._roots(stage):
                width = self.width[n] or self.row_widths[rows_of[n][0]]
                unit = units.setdefault(width, Unit(stage, width))
                if n in rows_of:
                    for row in rows_of[n]:
                        unit.writes.append((n, Place("record", row_column(row))))
                        if row == plan.output:
                            unit.writes.append((n, Place("y", "")))
                    if n in self.computed:
                        self.place[n] = Place("record", row_column(rows_of[n][0]))
                elif n in self.stored:
                    unit.writes.append((n, self.place[n]))
                for m in self.nodes:
                    if m.op == "mean" and m.args[0] is n:
                        unit.totals.append((n, self.place[m]))
            plan.units += units.values()
        for unit in plan.units:
            unit.reads = [(n, self._where(n)) for n in self._needs(unit.values(), unit.stage)[0]]
        self._plan_backward_units()

    def _plan_backward_units(self) -> None:
        plan = self.plan
        units: dict[tuple[int, int], Unit] = {}

        def unit(stage: int, width: int) -> Unit:
            return units.setdefault((stage, width), Unit(stage, width))

        def level(n: Symbol) -> int:
            return self.back_level.get(n, 0)

        for k, g in enumerate(self.d_slot):
            width = plan.slot_width(k)
            unit(level(g), width).writes.append((g, Place("adjoint", f"z{k}")))
        for m in self.back_nodes:
            if m.op == "mean" and m not in self.forward:
                unit(level(m) - 1, self.width[m]).totals.append((m.args[0], self.place[m]))
        last: dict[int, int] = {}
        for n, g in self.d_leaf.items():
            width = self.width[n]
            last[width] = max(last.get(width, 0), level(g), *(s for s, w in units if w == width), 0)
        for n, g in self.d_leaf.items():
            where = unit(last[self.width[n]], self.width[n])
            if n.op == "vector":
                slot = next((k for k, d in enumerate(self.d_slot) if d is g), None)
                if slot is not None:
                    plan.bias_of[n.parameter] = slot
                    continue
                plan.gathered[n.parameter] = name = f"g_{n.parameter}"
                plan.carry[name] = self.width[n]
                where.adds.append((g, Place("carry", name)))
            elif n.op == "input":
                where.writes.append((g, Place("d_input", n.data)))
            elif plan.lags[n.data.row] == 1:
                where.writes.append((g, self._incoming(n.data.row)))
            else:
                where.adds.append((g, self._incoming(n.data.row, n.data.lag)))
        plan.backward_units = sorted(units.values(), key=lambda u: (u.stage, u.width))
        for u in plan.backward_units:
            u.reads = [(n, self._where(n)) for n in self._needs(u.values(), None)[0]]

    # ---- products
    # -----------------------------------------------------------------------------------------------------------
    def _plan_multiplies(self) -> None:
        plan, begun = self.plan, set()
        sources: dict[Symbol, list[tuple[int, str]]] = {}
        for k, p in enumerate(plan.products):
            for a, name in zip(p.args, p.data.parameters):
                sources.setdefault(a, []).append((k, name))
        stage_of = {s: -1 if s.op == "input" else 0 if s.op == "state" else self.level[s] + 1 for s in sources}
        for s in sorted(sources, key=lambda s: stage_of[s]):
            names = dict(sources[s])
            for fresh in (True, False):
                for slots in self._split(k for k in names if (k not in begun) == fresh):
                    plan.multiplies.append(Multiply(stage_of[s], self._where(s), slots, tuple(names[k] for k in slots), fresh,
                                                    plan.slot_width(slots[0]), self.width[s]))
            begun.update(names)
        written = {p.name for u in plan.backward_units for _, p in u.writes if p.group == "carry"}
        raw = {p.name for u in plan.backward_units for _, p in u.writes if p.group == "d_input"}
        end = 1 + max((u.stage for u in plan.backward_units), default=0)
        for s, readers in sources.items():
            names = dict(readers)
            if s.op == "input":
                to, stage, fresh = Place("d_input", s.data), -1, s.data not in raw
            elif s.op == "state":
                to, stage = self._incoming(s.data.row, s.data.lag), end
                fresh = to.group == "carry" and to.name not in written
            else:
                pulled = [(n, p) for n, p in self.place.items() if self.pulled.get(n) is s]
                if not pulled:
                    continue                # no gradient passes
                (n, to), = pulled
                stage, fresh = self.back_level[n], True
            for slots in self._split(names, len(plan.products)):
                plan.backward_multiplies.append(Multiply(stage, to, slots, tuple(names[k] for k in slots), fresh,
                                                         plan.slot_width(slots[0]), self.width[s]))
                fresh = False
                written.add(to.name)

    def _split(self, slots: Iterable[int], most: int = MOST_SLOTS) -> list[tuple[int, ...]]:
        """Runs of neighbouring slots of one width."""
        by_width: dict[int, list[int]] = {}
        for k in slots:
            by_width.setdefault(self.plan.slot_width(k), []).append(k)
        return [run for ks in by_width.values() for run in runs(ks, most)]


def row_column(row: str) -> str:
    """The column of a state in the record."""
    return f"row_{row}"
