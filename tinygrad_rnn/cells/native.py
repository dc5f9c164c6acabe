"""A schedule run by compiled code: units traced into vector code, and the table of integers that `kernels/sequence.py`
reads.

A table depends on the sizes alone, except for the addresses in it. So it is made once for a shape, and for each run
only the addresses are put in.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..kernels import llvm, sequence, threads, tiles, units
from .memory import Layout, Memory
from .schedule import Multiply, Place, Unit

WORD = np.dtype(np.int64)


def lanes(dtype: Any) -> int:
    """Elements of a vector."""
    return llvm.vector_bytes() // np.dtype(dtype).itemsize


_codes: dict[str, Any] = {}


def machine_code(function: Callable[..., Any], reads: Sequence[units.Operand], writes: Sequence[units.Operand]) -> Any:
    """dtype -> address of a unit. Its name hashes what it does, so no cell, size or constant compiles it again."""
    code = function.__code__
    what = repr((code.co_code, code.co_consts, code.co_names, code.co_argcount, reads, writes))
    name = "unit_" + hashlib.sha256(what.encode()).hexdigest()[:24]
    if name not in _codes:
        _codes[name] = units.unit(function, reads, writes, name)
    return _codes[name]


class Table:
    """Integers and addresses: `word(n)`, `address("record", bytes behind its start)`."""

    def __init__(self) -> None:
        self.words: list[int] = []
        self._at: list[int] = []
        self._names: list[str] = []

    def word(self, *numbers: int) -> None:
        self.words.extend(numbers)

    def address(self, name: str, behind: int = 0) -> None:
        self._at.append(len(self.words))
        self._names.append(name)
        self.words.append(behind)

    def finish(self) -> None:
        """No more entries."""
        self._template = np.array(self.words, WORD)
        self._order = list(dict.fromkeys(self._names))
        self._which = np.array([self._order.index(n) for n in self._names], np.intp)
        self._where = np.array(self._at, np.intp)

    def filled(self, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        """The integers, with the addresses of these arrays; "table" is the table itself."""
        table = self._template.copy()
        found = np.array([table.ctypes.data if n == "table" else arrays[n].ctypes.data for n in self._order], WORD)
        table[self._where] += found[self._which]
        return table


class Pass:
    """One direction of a cell: its units as machine code, its products, and their tables by shape."""

    def __init__(self, layout: Layout, dtype: Any, units_: Sequence[Unit],
                 functions: Mapping[int, Callable[..., Any]], multiplies: Sequence[Multiply], backward: bool) -> None:
        self.layout, self.dtype, self.backward = layout, np.dtype(dtype), backward
        self.units, self.multiplies = units_, multiplies
        self.size, self.lanes = self.dtype.itemsize, layout.lanes
        self.vector = self.size * self.lanes
        self.entries = {k: self._compiled(unit, functions[k]) for k, unit in enumerate(units_)}
        self.panels_at, self.panels_size = self._panels()
        self._tables: dict[Any, tuple[Table, dict[str, int]]] = {}

    # ---- units
    # ----------------------------------------------------------------------------------------------------------
    def _operand(self, place: Place, groups: dict[str, int], kind: str) -> units.Operand:
        key = {"constant": "scalars" if place.name in self.layout.scalars else "vectors",
               "vector": "vectors"}.get(place.group, f"{place.group} {place.name}" if place.group in
                                        ("history", "input", "d_input") else place.group)
        if key in ("scalars", "vectors"):
            kind = "scalar" if key == "scalars" else "vector"
        masked = place.group in ("y", "input")
        return units.Operand(groups.setdefault(key, len(groups)), kind, masked)

    def _compiled(self, unit: Unit, function: Callable[..., Any]) -> Callable[[frozenset[str]], tuple[int, list[str]]]:
        """Gives, for the inputs whose gradients gather over the steps, the address of a unit's code, and its groups."""

        def entry(gathering: frozenset[str]) -> tuple[int, list[str]]:
            groups: dict[str, int] = {}
            reads = [self._operand(p, groups, "mean" if s.op == "mean" else "row") for s, p in unit.reads]
            writes = [self._operand(p, groups, "add" if p.group == "d_input" and p.name in gathering else "row")
                      for _, p in unit.writes]
            writes += [self._operand(p, groups, "add") for _, p in unit.adds]
            writes += [self._operand(p, groups, "total") for _, p in unit.totals]
            return machine_code(function, tuple(reads), tuple(writes))[self.dtype], list(groups)

        return entry

    # ---- weights
    # --------------------------------------------------------------------------------------------------------
    def _panels(self) -> tuple[list[int], int]:
        """Where each product's panels begin, in bytes, and how many bytes all of them are."""
        at, places = 0, []
        for m in self.multiplies:
            places.append(at)
            rows = len(m.slots) * (self.layout.padded(m.width) * m.depth if not self.backward else
                                   m.width * self.layout.padded(m.depth, 2))
            at += rows * self.size + 64
        return places, at

    @functools.cached_property
    def _weights(self) -> Table:
        table = Table()
        for m, at in zip(self.multiplies, self.panels_at):
            for k, name in enumerate(m.parameters):
                table.address(f"parameter {name}")
                table.word(m.width, m.depth, m.depth * self.size)
                table.address("panels", at)
                if self.backward:
                    table.word(len(m.slots) * m.width * 2 * self.vector, k * m.width)
                else:
                    table.word(len(m.slots) * m.depth * self.vector, k * m.depth)
        table.finish()
        return table

    def pack(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Copy the weights into the order in which the tiles read them."""
        table = self._weights.filled(arrays)
        count = len(table) * 8 // sequence.WEIGHTS
        if count:
            sequence.pack_weights[WORD](tiles.pack_columns[self.dtype], tiles.pack_rows[self.dtype], self.size,
            self.lanes,
                                        int(not self.backward), table.ctypes.data, count)

    # ---- the table
    # ------------------------------------------------------------------------------------------------------
    def _strides(self, memory: Memory, name: str) -> tuple[int, int]:
        """Bytes of a step and of a row."""
        array = memory.arrays[name]
        if name in ("vectors", "scalars"):
            return 0, 0
        return (array.strides[0], array.strides[1]) if array.ndim == 3 else (0, array.strides[0])

    def _base(self, memory: Memory, name: str, index: int) -> int:
        """Bytes to step `index`."""
        return index * self._strides(memory, name)[0]

    def _unit_table(self, table: Table, memory: Memory, unit: Unit, groups: list[str]) -> None:
        table.address("widths", unit_width_index(self.units, unit) * self.size)
        first = {"record": memory.layout.lag, "adjoint": 0}
        for name in groups:
            step, row = self._strides(memory, name)
            table.address(name, first.get(name, memory.layout.lag if name.startswith("history") else 0) * step)
            table.word(step, row)
        for _, place in (*unit.reads, *unit.results()):
            if place.group == "constant" and place.name in self.layout.scalars:
                table.word(self.layout.scalars[place.name] * self.size)
                continue
            name, _, _, column = memory.find(place)
            step = self._strides(memory, name)[0]
            table.word(column * self.size - (place.lag * step if place.group in ("record", "history") else 0))

    def _product(self, table: Table, memory: Memory, m: Multiply, at: int, pair: bool) -> None:
        """One product: forward into the slots of the record, backward from those of the adjoint record."""
        name, _, index, column = memory.find(m.source)
        step, row = self._strides(memory, name)
        z_name = "adjoint" if self.backward else "record"
        z_columns = memory.layout.adjoint if self.backward else memory.layout.record
        z_step, z_row = self._strides(memory, z_name)
        z_at = z_columns[f"z{m.slots[0]}"] * self.size + (0 if self.backward else memory.layout.lag * z_step)
        slot = self.layout.padded(m.width) * self.size
        source_at = column * self.size + index * step
        forms = {v: sequence.tiles[v][self.dtype] for v in range(1, sequence.SLOTS + 1)}
        fresh = m.fresh and not memory.gathers(m.source)
        if self.backward:
            vectors = -(-m.depth // self.lanes)
            last = 2 - vectors % 2
            table.word(forms[2], forms[last])
            table.address(z_name, z_at)
            table.word(z_step, z_row, len(m.slots), slot, m.width)
            table.address("panels", at)
            table.word(len(m.slots) * m.width * 2 * self.vector, self.vector, 2 * self.vector, last * self.vector)
            self._start(table, fresh)
            table.address(name, source_at)
            table.word(step, row, self.vector, 2 * self.vector, -(-vectors // 2))
            return
        blocks = self.layout.padded(m.width) // self.lanes
        each = 2 if pair else 1
        last = each - (-blocks % each)
        table.word(forms[len(m.slots) * each], forms[len(m.slots) * last])
        table.address(name, source_at)
        table.word(step, row, 1, 0, m.depth)
        table.address("panels", at)
        table.word(len(m.slots) * each * m.depth * self.vector, m.depth * self.vector, self.vector, self.vector)
        self._start(table, fresh)
        table.address(z_name, z_at)
        table.word(z_step, z_row, self.vector if pair else slot, each * self.vector, -(-blocks // each))

    @staticmethod
    def _start(table: Table, fresh: bool) -> None:
        if fresh:
            table.address("zeros")
        else:
            table.word(0)

    def _table(self, memory: Memory) -> tuple[Table, dict[str, int]]:
        """The whole table: stages, products in the loop, products outside, units; and where each part begins."""
        gathering = frozenset(n[8:] for n in memory.arrays if n.startswith("d_input") and memory.arrays[n].ndim == 2)
        stages: list[tuple[Unit | None, list[int]]] = []
        inside = [k for k, m in enumerate(self.multiplies) if m.stage >= 0]
        order: list[int] = []
        last = max([u.stage for u in self.units] + [self.multiplies[k].stage for k in inside], default=-1)
        for stage in range(last + 1):
            here = [k for k in inside if self.multiplies[k].stage == stage]
            for unit in [u for u in self.units if u.stage == stage]:
                feeding = [] if self.backward else [k for k in here if self.multiplies[k].width == unit.width]
                here = [k for k in here if k not in feeding]
                if self.backward and here:
                    stages += [(None, [k]) for k in here]
                    here = []
                stages.append((unit, feeding))
            # Products whose slots only a later stage reads, or, at the end of the backward pass, that lead to the
            # states.
            at = len(stages) - sum(u is not None and u.stage == stage for u, _ in stages) if not self.backward else len(stages)
            stages[at:at] = [(None, [k]) for k in here]
        table, at = Table(), {}
        entries = {id(u): self.entries[k](gathering) for k, u in enumerate(self.units)}
        sizes = {id(u): 1 + 3 * len(entries[id(u)][1]) + len(u.reads) + len(u.results()) for u in self.units}
        unit_at, position = {}, len(stages) * sequence.STAGE // 8
        for u in self.units:
            unit_at[id(u)] = position
            position += sizes[id(u)]
        pairs: dict[int, bool] = {}
        for u, ks in stages:
            pair = not self.backward and bool(ks) and all(len(self.multiplies[k].slots) == 1 for k in ks)
            pairs.update(dict.fromkeys(ks, pair))
            if u is not None:
                address = entries[id(u)][0]
                table.word(address)
                table.address("table", unit_at[id(u)] * 8)
                each = 2 if pair else 1
                blocks = -(-self.layout.padded(u.width) // (each * self.lanes))
                table.word(blocks, self.lanes, u.width, len(order), len(order) + len(ks), each)
            else:
                m = self.multiplies[ks[0]]
                vectors = -(-(m.depth if self.backward else m.width) // self.lanes)
                table.word(0, 0, -(-vectors // 2) if self.backward or pair else vectors, 0, 0, len(order), len(order) + 1, 1)
            order += ks
        for u in self.units:
            self._unit_table(table, memory, u, entries[id(u)][1])
        at["products"] = len(table.words)
        for k in order:
            self._product(table, memory, self.multiplies[k], self.panels_at[k], pairs[k])
        at["outside"] = len(table.words)
        outside = [k for k, m in enumerate(self.multiplies) if m.stage < 0]
        for k in outside:
            m = self.multiplies[k]
            self._product(table, memory, m, self.panels_at[k], not self.backward and len(m.slots) == 1)
        at["stages"], at["n_outside"] = len(stages), len(outside)
        timed = [memory.find(self.multiplies[k].source) for k in outside]
        at["flat"] = int(all(t[1] and memory.arrays[t[0]].strides[0] == memory.batch * memory.arrays[t[0]].strides[1]
                             for t in timed))
        table.finish()
        return table, at

    def run(self, memory: Memory, active: np.ndarray, bounds: np.ndarray, ragged: bool, key: Any) -> None:
        """All steps, on all threads."""
        self.pack(memory.arrays)
        if key not in self._tables:
            if len(self._tables) > 64:
                self._tables.clear()
            self._tables[key] = self._table(memory)
        template, at = self._tables[key]
        table = template.filled(memory.arrays)
        base, parts = table.ctypes.data, len(bounds) - 1
        sequence.run[WORD](threads.pool_address() if parts > 1 else 0, parts, self.size, memory.steps, memory.batch,
                           int(self.backward), bounds.ctypes.data, active.ctypes.data, base, at["stages"],
                           base + 8 * at["products"], base + 8 * at["outside"], at["n_outside"],
                           int(at["flat"] and not ragged))


def unit_width_index(all_units: Sequence[Unit], unit: Unit) -> int:
    """Position of a unit's width among the widths that a run keeps as floating-point numbers."""
    return next(k for k, u in enumerate(all_units) if u is unit)
