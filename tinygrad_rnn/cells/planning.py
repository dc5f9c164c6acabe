"""From the analysis of a cell to its schedule: every kept value gets a place, every stage its units and products.

A kept value takes the place of the pre-activation that it was computed from, once nobody reads that any more: so an
LSTM keeps five numbers a unit beside h and c.
"""

from __future__ import annotations

from collections.abc import Iterable

from .analysis import Analysis, runs
from .functions import STEPS
from .schedule import (
    OUTPUT,
    OUTSIDE,
    Call,
    Multiply,
    Place,
    Schedule,
    Unit,
    call_column,
    row_column,
    slot_column,
)
from .symbols import Symbol, number, topological

MOST_SLOTS = 4              # of one product: vectors of a tile


def planned(analysis: Analysis) -> Schedule:
    """The schedule of a cell."""
    return _Planner(analysis).plan


class _Planner:
    def __init__(self, analysis: Analysis) -> None:
        self.graph = analysis
        self.plan = Schedule(analysis.rows, analysis.output, analysis.products, lags=analysis.lags)
        self.written: dict[Symbol, Place] = {}              # where a kept value is written to
        self.places: dict[Symbol, Place] = {}               # where it is read from: a mean, as a sum
        self.rows_of: dict[Symbol, list[str]] = {}          # value -> the states that it is
        for row in analysis.lags:
            self.rows_of.setdefault(analysis.rows[row], []).append(row)
        self._lay_out()
        self._plan_units()
        self._plan_backward_units()
        self._plan_multiplies()
        self._plan_backward_multiplies()
        self._plan_calls()

    # ---- where it stands --------------------------------------------------------------------------------------------
    def _lay_out(self) -> None:
        """Give every kept value, sum and gradient of a state a column."""
        plan, graph = self.plan, self.graph
        for k, product in enumerate(graph.products):
            plan.record[slot_column(k)] = graph.width(product)
        self._reuse_slots()
        for row in plan.lags:
            plan.record[row_column(row)] = graph.row_widths[row]
        for node in graph.kept:
            if node in self.rows_of:
                self.written[node] = Place("record", row_column(self.rows_of[node][0]))
            elif node in graph.sources:
                self._record(node, f"source{graph.sources.index(node)}", graph.width(node))
        for k, call in enumerate(graph.calls):
            self._record(call, call_column(k), graph.width(call))
        self.places.update(self.written)
        taken = set(self.written.values())
        left = {product: Place("record", slot_column(k)) for k, product in enumerate(graph.products)}
        plan.held = {**self.written, **{product: place for product, place in left.items() if place not in taken}}
        for n in graph.nodes:
            if n.op == "mean":
                self.places[n] = Place("record", self._narrow(f"mean{len(plan.narrow)}"))
        for row in plan.lags:
            plan.carry[f"d_{row}"] = graph.row_widths[row]
        for n in graph.back_nodes:
            if n.op in ("transposed", "mean", "pull") and n not in graph.forward:
                name = f"{'mean' if n.op == 'mean' else 'pulled'}{len(plan.carry)}"
                plan.carry[name] = 0 if n.op == "mean" else graph.width(n)
                plan.narrow.update([name] if n.op == "mean" else [])
                self.places[n] = Place("carry", name)
        for call in graph.d_call:
            plan.carry[self._d_call(call)] = graph.width(call)

    def _d_call(self, call: Symbol) -> str:
        """The column of the gradient of what a step primitive gave."""
        return f"d_call{self.graph.calls.index(call)}"

    def _narrow(self, name: str) -> str:
        """A column of the record that is one vector."""
        self.plan.record[name] = 0
        self.plan.narrow.add(name)
        return name

    def _record(self, node: Symbol, name: str, width: int) -> None:
        self.plan.record[name] = width
        self.written[node] = Place("record", name)

    def _reuse_slots(self) -> None:
        """Other kept values take the slot of a product that nobody reads any more, their own if possible."""
        plan, graph = self.plan, self.graph
        last_read = graph.last_reads()
        free = list(range(len(graph.products)))
        for node in graph.kept:
            if node in self.rows_of or node in graph.sources or node in graph.calls:
                continue
            own = set(topological([node]))
            able = [k for k in free if last_read[k] <= graph.level[node] and plan.slot_width(k) == graph.width(node)]
            if able and node not in graph.narrow:
                slot = min(able, key=lambda k: (graph.products[k] not in own, k))
                free.remove(slot)
                self.written[node] = Place("record", slot_column(slot))
            else:
                name = f"kept{sum(c.startswith('kept') for c in plan.record)}"
                if node in graph.narrow:
                    self.written[node] = Place("record", self._narrow(name))
                else:
                    self._record(node, name, graph.width(node))

    def _where(self, node: Symbol) -> Place:
        """Where a loaded symbol stands."""
        if node.op == "product":
            return Place("record", slot_column(self.graph.slot[node]))
        if node.op == "state":
            return Place("record", row_column(node.data.row), node.data.lag)
        if node.op == "cotangent":
            return Place("y", "") if node.data == OUTPUT else self._incoming(node.data)
        if node.op == "vector":
            return Place("vector", node.data.parameter)
        if node.op in ("input", "constant"):
            return Place(node.op, node.data)
        return self.places[node]

    def _incoming(self, row: str, lag: int = 0) -> Place:
        """The gradient of a state: handed on from step to step, or gathered in a history if read from further back."""
        return Place("carry", f"d_{row}") if self.plan.lags[row] == 1 else Place("history", row, lag)

    # ---- units ------------------------------------------------------------------------------------------------------
    def _plan_units(self) -> None:
        """One unit for each stage and width: it writes what is kept, and sums what a mean is taken of."""
        plan, graph = self.plan, self.graph
        for stage in graph.stages:
            units: dict[int, Unit] = {}
            for n in graph.roots(stage):
                rows = self.rows_of.get(n, [])
                width = graph.row_width(n, rows[0] if rows else None)
                unit = units.setdefault(width, Unit(stage, width))
                for row in rows:
                    unit.writes.append((n, Place("record", row_column(row))))
                    if row == plan.output:
                        unit.writes.append((n, Place("y", "")))
                if not rows and n in graph.kept:
                    unit.writes.append((n, self.written[n]))
                self._average(unit, [(n, self.places[m]) for m in graph.nodes if m.op == "mean" and m.args[0] is n])
            plan.units += units.values()
        for unit in plan.units:
            unit.reads = [(n, self._where(n)) for n in graph.needs(unit.values(), unit.stage).loaded]

    def _average(self, unit: Unit, means: list[tuple[Symbol, Place]]) -> None:
        """Let a unit take means; the columns of partial sums serve one unit after the other."""
        for value, place in means:
            columns = self.plan.record if place.group == "record" else self.plan.carry
            name = f"sum{len(unit.sums)}"
            columns.setdefault(name, 0)
            unit.sums.append((value, Place(place.group, name)))
            unit.means.append((value, place))

    def _plan_backward_units(self) -> None:
        """Gradients of slots as early as they can be had, those of states, inputs and vectors at the last stage."""
        plan, graph = self.plan, self.graph
        units: dict[tuple[int, int], Unit] = {}

        def unit(stage: int, width: int) -> Unit:
            return units.setdefault((stage, width), Unit(stage, width))

        def level(n: Symbol) -> int:
            return graph.back_level.get(n, 0)

        for k, g in enumerate(graph.d_slot):
            unit(level(g), plan.slot_width(k)).writes.append((g, Place("adjoint", slot_column(k))))
        for call, g in graph.d_call.items():
            unit(level(g), graph.width(call)).writes.append((g, Place("carry", self._d_call(call))))
        for m in graph.back_nodes:
            if m.op == "mean" and m not in graph.forward:
                self._average(unit(level(m) - 1, graph.width(m)), [(m.args[0], self.places[m])])
        last: dict[int, int] = {}
        for n, g in graph.d_leaf.items():
            width = graph.width(n)
            last[width] = max(last.get(width, 0), level(g), *(s for s, w in units if w == width), 0)
        for n, g in graph.d_leaf.items():
            where = unit(last[graph.width(n)], graph.width(n))
            if n.op == "vector":
                self._plan_vector(n, g, where)
            elif n.op == "input":
                where.writes.append((g, Place("d_input", n.data)))
            elif plan.lags[n.data.row] == 1:
                where.writes.append((g, self._incoming(n.data.row)))
            else:
                where.adds.append((g, self._incoming(n.data.row, n.data.lag)))
        for row in self._dead_ends():
            width = graph.row_widths[row]
            where = unit(max((s for s, w in units if w == width), default=0), width)
            where.writes.append((number(0.0), self._incoming(row)))
        plan.backward_units = sorted(units.values(), key=lambda u: (u.stage, u.width))
        for u in plan.backward_units:
            u.reads = [(n, self._where(n)) for n in graph.needs(u.values()).loaded]

    def _dead_ends(self) -> list[str]:
        """States whose gradient no step hands on: it must not arrive a second time."""
        passing = {n.data.row for n in [*self.graph.d_leaf, *self._readers()] if n.op == "state"}
        return [row for row, lag in self.plan.lags.items() if lag == 1 and row not in passing]

    def _plan_vector(self, vector: Symbol, g: Symbol, unit: Unit) -> None:
        """A bias has the gradient of its product; any other vector's gathers over the steps."""
        plan, name = self.plan, vector.data.parameter
        slot = next((k for k, d in enumerate(self.graph.d_slot) if d is g), None)
        if slot is not None:
            plan.bias_of[name] = slot
            return
        plan.gathered[name] = f"g_{name}"
        plan.carry[f"g_{name}"] = self.graph.width(vector)
        unit.adds.append((g, Place("carry", f"g_{name}")))

    # ---- products ---------------------------------------------------------------------------------------------------
    def _readers(self) -> dict[Symbol, dict[int, str]]:
        """source -> {slot: the matrix that it is multiplied with}."""
        found: dict[Symbol, dict[int, str]] = {}
        for k, product in enumerate(self.graph.products):
            for source, name in zip(product.args, product.data.parameters):
                found.setdefault(source, {})[k] = name
        return found

    def _multiply(self, stage: int, place: Place, source: Symbol, slots: tuple[int, ...], names: dict[int, str],
                  fresh: tuple[int, ...]) -> Multiply:
        return Multiply(stage, place, slots, tuple(names[k] for k in slots), fresh, self.plan.slot_width(slots[0]),
                        self.graph.width(source))

    def _plan_multiplies(self) -> None:
        readers = self._readers()
        stage_of = {s: OUTSIDE if s.op == "input" else 0 if s.op == "state" else
                    self.graph.level[s] + (s not in self.graph.calls) for s in readers}
        begun: set[int] = set()
        for s in sorted(readers, key=lambda s: stage_of[s]):
            names = readers[s]
            for slots in self._split(names, MOST_SLOTS):
                place = self.written[s] if s in self.graph.sources else self._where(s)
                fresh = tuple(k for k in slots if k not in begun)
                self.plan.multiplies.append(self._multiply(stage_of[s], place, s, slots, names, fresh))
            begun.update(names)

    def _plan_backward_multiplies(self) -> None:
        plan = self.plan
        written = {place for u in plan.backward_units for _, place in u.writes}
        end = 1 + max((u.stage for u in plan.backward_units), default=0)
        for s, names in self._readers().items():
            if s.op == "input":
                to, stage = Place("d_input", s.data), OUTSIDE
            elif s.op == "state":
                to, stage = self._incoming(s.data.row, s.data.lag), end
            else:
                pulled = [n for n, source in self.graph.pulled.items() if source is s and n in self.places]
                if not pulled:
                    continue                # no gradient passes
                to, stage = self.places[pulled[0]], self.graph.back_level[pulled[0]]
            for slots in self._split(names, len(plan.products)):
                fresh = to not in written and to.group != "history"
                plan.backward_multiplies.append(self._multiply(stage, to, s, slots, names, slots if fresh else ()))
                written.add(to)

    # ---- step primitives --------------------------------------------------------------------------------------------
    def _plan_calls(self) -> None:
        plan, graph = self.plan, self.graph
        pulls = {(n.args[1], n.data[1]): n for n in graph.back_nodes if n.op == "pull"}
        for k, node in enumerate(graph.calls):
            args = tuple(Place("whole", a.data) if a in graph.whole else self.written.get(a) or self._where(a)
                         for a in node.args)
            widths = tuple(map(graph.width, node.args)), graph.width(node)
            plan.calls.append(Call(graph.level[node], k, node, args, *widths, self.written[node]))
            g = graph.d_call.get(node)
            if g is None:
                continue
            without = STEPS[node.op].no_gradient
            to = tuple(None if p in without else Place("d_whole", a.data) if a in graph.whole
                       else self.places[pulls[node, p]] if (node, p) in pulls else None
                       for p, a in enumerate(node.args))
            stage = graph.back_level.get(g, 0) + 1
            plan.backward_calls.append(Call(stage, k, node, args, *widths, Place("carry", self._d_call(node)), to))
        plan.backward_calls.reverse()

    def _split(self, slots: Iterable[int], most: int) -> list[tuple[int, ...]]:
        """Runs of neighbouring slots of one width."""
        by_width: dict[int, list[int]] = {}
        for k in slots:
            by_width.setdefault(self.plan.slot_width(k), []).append(k)
        return [run for same in by_width.values() for run in runs(same, most)]
