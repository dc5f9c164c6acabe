"""A schedule run by compiled code: units traced into vector code, and the table that `kernels/sequence.py` reads.

A table depends on the sizes alone, except for the addresses in it. So it is made once for a shape, and for each run
only the addresses are put in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from ..kernels import get_num_threads, llvm, sequence, threads, tiles, units
from ..kernels.address import address
from . import opaque
from .arrangement import Arrangement
from .buffers import aligned
from .memory import Layout, Memory
from .schedule import OUTSIDE, Call, Multiply, Place, Unit, slot_column
from .table import WORD, Table

MOST_TABLES = 64            # of one pass
SHARED = 1 << 20            # bytes of weights: from so many on, threads share in packing them
SERIAL = 1 << 20            # multiply-adds of a single step that one thread does alone: waking another takes as long
calls = units.CALLS         # what stands behind the functions of a generated module


def lanes(dtype: Any) -> int:
    """Elements of a vector."""
    return int(llvm.vector_bytes() // np.dtype(dtype).itemsize)


_codes: dict[str, Any] = {}


def machine_code(function: Callable[..., Any], reads: Sequence[units.Operand], writes: Sequence[units.Operand]) -> Any:
    """dtype -> address of a unit. Its name hashes what it does, so no cell, size or constant compiles it again."""
    code = function.__code__
    what = repr((code.co_code, code.co_consts, code.co_names, code.co_argcount, reads, writes))
    name = "unit_" + hashlib.sha256(what.encode()).hexdigest()[:24]
    if name not in _codes:
        _codes[name] = units.unit(function, reads, writes, name)
    return _codes[name]


class Stage(NamedTuple):
    """Some products, by their number, and the unit that reads them, if any: a block of units after the other; or the
    call of a step primitive, once for all units."""

    products: list[int]
    unit: int | None = None
    call: int | None = None


class Program(NamedTuple):
    """A table, and in it: bytes to the stages and how many, bytes to the products inside and outside the loop."""

    table: Table
    stages: int
    n_stages: int
    inside: int
    outside: int
    n_outside: int
    flat: bool              # do the rows of all steps outside the loop follow on each other?
    weights: int            # bytes to the matrices that are packed


class Pass:
    """One direction of a cell: its units as machine code, its products, and their tables by shape.

    Parameters
    ----------
    functions : one a unit, of the generated module
    """

    def __init__(self, layout: Layout, dtype: Any, units_: Sequence[Unit], functions: Sequence[Callable[..., Any]],
                 multiplies: Sequence[Multiply], backward: bool, primitives: Sequence[Call] = ()) -> None:
        self.calls = primitives
        self.layout, self.dtype, self.backward = layout, np.dtype(dtype), backward
        self.units, self.functions, self.multiplies = units_, functions, multiplies
        self.size, self.lanes = self.dtype.itemsize, layout.lanes
        self.vector = self.size * self.lanes
        self.constants = {"zeros": np.zeros(layout.widest, self.dtype),
                          "widths": np.array([u.width for u in units_] or [0], self.dtype)}
        self._matrices = [(name, f"parameter {name}") for m in multiplies for name in m.parameters]
        self._programs: dict[Any, Program] = {}
        self._outer: list[str] = []         # arrays whose strides are not ours to choose

    def run(self, memory: Memory, arrangement: Arrangement, parameters: Mapping[str, np.ndarray]) -> None:
        """All steps, on all threads."""
        self.bound(memory, arrangement, parameters)()

    def bound(self, memory: Memory, arrangement: Arrangement,
              parameters: Mapping[str, np.ndarray]) -> Callable[..., None]:
        """What runs all steps, any number of times, in this memory and with the parameters as they are now.

        Given a number, a single step runs so many rows of the batch, the first ones.
        """
        arrays = memory.arrays
        arrays.update(self.constants)
        arrays["panels"] = aligned((self._panels[1] // self.size + 16,), self.dtype)
        for name, key in self._matrices:
            value = parameters[name]
            arrays[key] = value if value.flags.c_contiguous else np.ascontiguousarray(value)
        program = self._program(memory)
        table, base = program.table.filled(arrays)
        self._pack(base + program.weights)
        bounds = arrangement.bounds(get_num_threads())
        parts = len(bounds) - 1
        call = sequence.run[WORD]
        active, stepping = arrangement.active, memory.steps == 1 and arrangement.ragged is None
        if stepping:            # how many rows run may change from call to call
            bounds, active = bounds.copy(), active.copy()
        pool = threads.pool_address() if parts > 1 else 0
        fixed = (self.size, memory.steps, memory.batch, int(self.backward), address(bounds), address(active),
                 base + program.stages, program.n_stages, base + program.inside, base + program.outside,
                 program.n_outside)
        flat = int(program.flat and arrangement.ragged is None)
        alive = table, bounds, active, dict(arrays)     # what the addresses point to
        memory.forget("panels")
        weights = sum(parameters[name].size for name, _ in self._matrices)
        cut = memory.batch, parts       # what the bounds are for

        def run(rows: int = memory.batch) -> None:
            nonlocal cut
            fewer = parts
            if stepping and alive:
                fewer = min(parts, max(rows, 1), 1 + rows * weights // SERIAL)
                if cut != (rows, fewer):
                    cut, active[:] = (rows, fewer), rows
                    bounds[:fewer + 1] = np.arange(fewer + 1) * rows // fewer
            call(pool, fewer, *fixed, flat and rows == memory.batch)
        return run

    # ---- weights ----------------------------------------------------------------------------------------------------
    @cached_property
    def _panels(self) -> tuple[list[int], int]:
        """Where each product's panels begin, in bytes, and how many bytes all of them are."""
        at, places = 0, []
        for m in self.multiplies:
            places.append(at)
            one = m.width * self.layout.padded(m.depth, 2) if self.backward else self.layout.padded(m.width) * m.depth
            at += len(m.slots) * one * self.size + 64
        return places, at

    def _weights(self, table: Table) -> None:
        """Which matrices go where."""
        for m, at in zip(self.multiplies, self._panels[0]):
            for k, name in enumerate(m.parameters):
                table.address(f"parameter {name}")
                table.word(m.width, m.depth, m.depth * self.size)
                table.address("panels", at)
                if self.backward:
                    table.word(len(m.slots) * m.width * 2 * self.vector, k * m.width)
                else:
                    table.word(len(m.slots) * m.depth * self.vector, k * m.depth)

    def _pack(self, table: int) -> None:
        """Copy the weights into the order in which the tiles read them."""
        if self._matrices:
            parts = get_num_threads() if self._panels[1] >= SHARED else 1
            sequence.pack_weights[WORD](threads.pool_address() if parts > 1 else 0, parts,
                                        tiles.pack_columns[self.dtype], tiles.pack_rows[self.dtype], self.size,
                                        self.lanes, int(not self.backward), table, len(self._matrices))

    # ---- the table --------------------------------------------------------------------------------------------------
    def _program(self, memory: Memory) -> Program:
        """The table for the shapes and strides of a run."""
        if not self._outer:
            self._outer = [n for n in memory.arrays if n.startswith(("input", "d_input", "y"))]
        key = (memory.steps, memory.batch, tuple([memory.arrays[n].strides for n in self._outer]),
               opaque.shapes(self.calls, memory))
        found = self._programs.get(key)
        if found is None:
            if len(self._programs) >= MOST_TABLES:
                self._programs.clear()
            found = self._programs[key] = self._build(memory)
        return found

    def _stages(self) -> list[Stage]:
        """What a step does, in order. Forward, a unit follows the products that it reads, block by block."""
        inside = [k for k, m in enumerate(self.multiplies) if m.stage != OUTSIDE]
        last = max([u.stage for u in self.units] + [self.multiplies[k].stage for k in inside]
                   + [call.stage for call in self.calls], default=-1)
        stages: list[Stage] = []
        for stage in range(last + 1):
            here = [k for k in inside if self.multiplies[k].stage == stage]
            ready = [k for k, u in enumerate(self.units) if u.stage == stage]
            fused: dict[int, list[int]] = {k: [] for k in ready}
            if not self.backward:
                for k in ready:
                    fused[k] = [p for p in here if self.multiplies[p].width == self.units[k].width]
            alone = [p for p in here if not any(p in products for products in fused.values())]
            stages += [Stage([], call=k) for k, call in enumerate(self.calls) if call.stage == stage]
            stages += [Stage([p]) for p in alone]
            stages += [Stage(products, k) for k, products in fused.items()]
        return stages

    def _build(self, memory: Memory) -> Program:
        """The whole table: units, stages, products in the loop, products outside."""
        table, stages = Table(), self._stages()
        gathering = frozenset(n.removeprefix("d_input ") for n, a in memory.arrays.items()
                              if n.startswith("d_input") and a.ndim == 2)
        codes, places = [], []
        for k in range(len(self.units)):
            places.append(8 * len(table.words))
            codes.append(self._unit(table, memory, k, gathering))
        for call in self.calls:
            places.append(8 * len(table.words))
            opaque.write(table, call, memory, self.backward)
            codes.append(opaque.code(call, self.backward)[self.dtype])
        stages_at = 8 * len(table.words)
        first = 0
        for stage in stages:
            self._stage(table, stage, first, codes, places)
            first += len(stage.products)
        inside_at = 8 * len(table.words)
        for stage in stages:
            for k in stage.products:
                self._product(table, memory, k, self._each(stage.products))
        outside_at = 8 * len(table.words)
        outside = [k for k, m in enumerate(self.multiplies) if m.stage == OUTSIDE]
        for k in outside:
            self._product(table, memory, k, self._each([k]))
        flat = True
        for k in outside:
            name, timed, *_ = memory.find(self.multiplies[k].source)
            step, row = self._strides(memory, name)
            flat = flat and timed and step == memory.batch * row
        weights_at = 8 * len(table.words)
        self._weights(table)
        return Program(table.finish(), stages_at, len(stages), inside_at, outside_at, len(outside), flat, weights_at)

    def _each(self, products: Sequence[int]) -> int:
        """Vectors of units in a block: two where each product has just one slot, to fill its tile."""
        if self.backward:
            return 1
        return 2 if products and all(len(self.multiplies[k].slots) == 1 for k in products) else 1

    def _stage(self, table: Table, stage: Stage, first: int, codes: Sequence[int], places: Sequence[int]) -> None:
        end, each = first + len(stage.products), self._each(stage.products)
        if stage.call is not None:
            k = len(self.units) + stage.call
            table.word(codes[k])
            table.address("table", places[k])
            table.word(1, 1, 1, first, first, 1)
            return
        if stage.unit is None:
            m = self.multiplies[stage.products[0]]
            vectors = -(-(m.depth if self.backward else m.width) // self.lanes)
            table.word(0, 0, -(-vectors // (2 if self.backward else each)), 0, 0, first, end, 1)
            return
        width = self.units[stage.unit].width
        table.word(codes[stage.unit])
        table.address("table", places[stage.unit])
        table.word(-(-self.layout.padded(width) // (each * self.lanes)), self.lanes, width, first, end, each)

    def _strides(self, memory: Memory, name: str) -> tuple[int, int]:
        """Bytes of a step and of a row."""
        array = memory.arrays[name]
        if name in ("vectors", "scalars"):
            return 0, 0
        return (array.strides[0], array.strides[1]) if array.ndim == 3 else (0, array.strides[0])

    # ---- units ------------------------------------------------------------------------------------------------------
    def _operand(self, place: Place, groups: dict[str, int], kind: str) -> units.Operand:
        """Where an argument or a result stands; a group that is new gets the next number."""
        group = f"{place.group} {place.name}" if place.group in ("history", "input", "d_input") else place.group
        if place.group in ("constant", "vector"):
            scalar = place.group == "constant" and place.name in self.layout.scalars
            group, kind = ("scalars", "scalar") if scalar else ("vectors", "vector")
        elif kind == "row" and place.group in ("record", "carry") and place.name in self.layout.narrow:
            kind = "narrow"
        return units.Operand(groups.setdefault(group, len(groups)), kind, place.group in ("y", "input"))

    def _unit(self, table: Table, memory: Memory, number: int, gathering: frozenset[str]) -> int:
        """Write down where a unit finds its operands; gives the address of its code.

        gathering : inputs that all steps share: their gradients are summed
        """
        unit = self.units[number]
        groups: dict[str, int] = {}
        reads = [self._operand(p, groups, "row") for _, p in unit.reads]
        writes = [self._operand(p, groups, "add" if p.group == "d_input" and p.name in gathering else "row")
                  for _, p in unit.writes]
        writes += [self._operand(p, groups, "add") for _, p in unit.adds]
        writes += [self._operand(p, groups, "sum") for _, p in unit.sums]
        writes += [self._operand(p, groups, "mean") for _, p in unit.means]
        table.address("widths", number * self.size)
        table.word(unit.width)
        for name in groups:
            step, row = self._strides(memory, name)
            before = memory.layout.lag if name.startswith(("record", "history")) else 0
            table.address(name, before * step)
            table.word(step, row)
        for _, place in (*unit.reads, *unit.results()):
            if place.group == "constant" and place.name in self.layout.scalars:
                table.word(self.layout.scalars[place.name] * self.size)
                continue
            name, _, _, column = memory.find(place)
            step = self._strides(memory, name)[0]
            table.word(column * self.size - (place.lag * step if place.group in ("record", "history") else 0))
        return int(machine_code(self.functions[number], tuple(reads), tuple(writes))[self.dtype])

    # ---- products ---------------------------------------------------------------------------------------------------
    def _product(self, table: Table, memory: Memory, number: int, each: int) -> None:
        """One product: forward into the slots of the record, backward from those of the adjoint record."""
        m, panels = self.multiplies[number], self._panels[0][number]
        name, _, index, column = memory.find(m.source)
        step, row = self._strides(memory, name)
        source = column * self.size + index * step
        z_name, columns = ("adjoint", self.layout.adjoint) if self.backward else ("record", self.layout.record)
        z_step, z_row = self._strides(memory, z_name)
        z = columns[slot_column(m.slots[0])] * self.size + (0 if self.backward else self.layout.lag * z_step)
        slot, count = self.layout.padded(m.width) * self.size, len(m.slots)
        if self.backward:
            vectors = -(-m.depth // self.lanes)
            last = 2 - vectors % 2
            table.word(*[sequence.tile(v)[self.dtype] for v in (2, last)])
            table.address(z_name, z)
            table.word(z_step, z_row, count, slot, m.width)
            table.address("panels", panels)
            table.word(count * m.width * 2 * self.vector, self.vector, 2 * self.vector, last * self.vector)
            self._start(table, bool(m.fresh) and not memory.gathers(m.source))
            table.address(name, source)
            table.word(step, row, self.vector, 2 * self.vector, -(-vectors // 2))
            return
        vectors = self.layout.padded(m.width) // self.lanes
        last = each - (-vectors % each)
        fresh = tuple(s for s, k in enumerate(m.slots) if k in m.fresh)
        mixed = fresh if len(fresh) < count else ()
        table.word(*[sequence.tile(count * v, mixed)[self.dtype] for v in (each, last)])
        table.address(name, source)
        table.word(step, row, 1, 0, m.depth)
        table.address("panels", panels)
        table.word(count * each * m.depth * self.vector, m.depth * self.vector, self.vector, self.vector)
        self._start(table, len(fresh) == count)
        table.address(z_name, z)
        table.word(z_step, z_row, self.vector if each > 1 else slot, each * self.vector, -(-vectors // each))

    @staticmethod
    def _start(table: Table, fresh: bool) -> None:
        """What a product adds to: zeros, or what stands in the result."""
        if fresh:
            table.address("zeros")
        else:
            table.word(0)
