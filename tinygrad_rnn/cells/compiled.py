"""A cell compiled for its sizes: forward over a whole sequence and back-propagation through time, from its equations
alone.

    compiled = Compiled(cell, input_size=64, hidden_size=128, dtype=np.float32)
    y, last, tape = compiled.forward(x, state, parameters)
    gradients = compiled.backward(tape, d_y, d_last)

Arrays in, arrays out; the differentiable operation around it is `cells/sequence.py`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import kernels
from . import plain
from .emit import unit_text
from .memory import Layout, Memory, aligned
from .schedule import Planner, Schedule
from .symbols import topological

if TYPE_CHECKING:
    from .cell import Cell

WITHOUT_JIT = os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")
CALLS = {"tanh", "sigmoid", "softplus", "exp", "log", "relu", "step", "sqrt", "abs", "sign", "maximum", "minimum"}


@dataclass
class Tape:
    """What a forward pass keeps for its backward pass."""

    memory: Memory
    order: "Order"
    parameters: Mapping[str, np.ndarray]


@dataclass
class Order:
    """In which order rows and steps are worked on: the longest row first, each from its first step on, or from its last."""

    steps: int
    batch: int
    lengths: np.ndarray | None = None
    reverse: bool = False
    rows: np.ndarray | None = None              # where each row worked on comes from
    times: np.ndarray | None = field(default=None, repr=False)      # (T, B): which step it is, where it is one
    active: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    real: np.ndarray | None = field(default=None, repr=False)       # (T, B): is it within the length?

    def __post_init__(self) -> None:
        if self.lengths is None:
            self.active = np.full(self.steps, self.batch, np.int64)
            return
        self.rows = np.argsort(-self.lengths, kind="stable")
        ordered = self.lengths[self.rows]
        time = np.arange(self.steps)[:, None]
        self.real = time < ordered
        self.active = self.real.sum(1).astype(np.int64)
        self.times = np.where(self.real, ordered - 1 - time if self.reverse else time, 0)

    @property
    def ends(self) -> np.ndarray:
        """How many steps each row worked on has."""
        return np.full(self.batch, self.steps) if self.lengths is None else self.lengths[self.rows]

    def arranged(self, x: np.ndarray) -> np.ndarray:
        """(T, B, n), or (B, n) for what has no time, in the order of work; 0 beyond a length."""
        if self.rows is None:
            return x[::-1] if self.reverse and x.ndim == 3 else x
        if x.ndim < 3:
            return x[self.rows]
        found = x[self.times, self.rows]
        found[~self.real] = 0
        return found

    def restored(self, y: np.ndarray) -> np.ndarray:
        """The inverse: back in the caller's order, 0 beyond a length."""
        if self.rows is None:
            return y[::-1] if self.reverse and y.ndim == 3 else y
        if y.ndim < 3:
            out = np.empty_like(y)
            out[self.rows] = y
            return out
        out = np.zeros(y.shape, y.dtype)
        times, rows = np.broadcast_arrays(self.times, self.rows)
        out[times[self.real], rows[self.real]] = y[self.real]
        return out

    def bounds(self, threads: int) -> np.ndarray:
        """Rows of each thread, with about the same number of steps for each."""
        parts = min(threads, self.batch)
        work = np.concatenate([[0], np.cumsum(self.ends)])
        cuts = np.searchsorted(work, work[-1] * np.arange(1, parts) / parts)
        return np.concatenate([[0], cuts, [self.batch]]).astype(np.int64)


class Compiled:
    """The compiled forms of a cell for one pair of sizes and one dtype."""

    def __init__(self, cell: Cell, input_size: int, hidden_size: int, dtype: Any) -> None:
        self.cell, self.dtype = cell, np.dtype(dtype)
        self.sizes = sizes = cell.sizes(input_size, hidden_size)
        flat = {name: cell.flat[name] for name in cell.order}
        self.schedule: Schedule = Planner(flat, cell.carried, cell.output, sizes.widths, sizes.of).plan
        read = topological(flat.values())
        vectors = {n.parameter: sizes.widths[n.data.row] for n in read if n.op == "vector"}
        constants = [n.data for n in read if n.op == "constant"]
        self.wide = {n: len(cell.constants[n]) for n in constants if isinstance(cell.constants[n], tuple)}
        scalars = [n for n in constants if n not in self.wide]
        self.learned = list(vectors)
        self.layout = Layout(self.schedule, self._lanes(), {**vectors, **self.wide}, scalars)
        self.functions = {way: self._functions(way) for way in ("forward", "backward")}

    def _lanes(self) -> int:
        if WITHOUT_JIT:
            return 4
        from .native import lanes
        return lanes(self.dtype)

    # ---- generated text
    # -------------------------------------------------------------------------------------------------
    @cached_property
    def source(self) -> str:
        """The generated module: the equations, then every unit as a function, forward and backward."""
        cell, plan = self.cell, self.schedule
        equations = {name: row.text for name, row in cell.rows.items()}
        lines = [f'"""{cell.name}: generated from its equations.', "", *("    " + line for line in str(cell).splitlines()),
                 '"""', ""]
        for way, units in (("forward", plan.units), ("backward", plan.backward_units)):
            for k, u in enumerate(units):
                lines += ["", f"# {way}, stage {u.stage}: gives {', '.join(str(p) for _, p in u.results())}",
                          unit_text(u, f"{way}_{k}", plan, CALLS, equations if way == "forward" else {})]
        return "\n".join(lines)

    def _functions(self, way: str) -> dict[int, Any]:
        units = self.schedule.units if way == "forward" else self.schedule.backward_units
        scope: dict[str, Any] = dict(_plain_calls() if WITHOUT_JIT else _native_calls())
        code = compile(self.source, f"<compiled {self.cell.name}>", "exec")
        exec(code, scope)
        import linecache
        lines = [line + "\n" for line in self.source.splitlines()]
        linecache.cache[f"<compiled {self.cell.name}>"] = (len(self.source), None, lines, f"<compiled {self.cell.name}>")
        return {k: scope[f"{way}_{k}"] for k in range(len(units))}

    @cached_property
    def _passes(self) -> dict[str, Any]:
        from .native import Pass
        plan = self.schedule
        return {way: Pass(self.layout, self.dtype, units, self.functions[way], multiplies, way == "backward")
                for way, units, multiplies in (("forward", plan.units, plan.multiplies),
                                               ("backward", plan.backward_units, plan.backward_multiplies))}

    # ---- forward
    # --------------------------------------------------------------------------------------------------------
    def forward(self, x: np.ndarray, state: Sequence[np.ndarray], parameters: Mapping[str, np.ndarray],
                inputs: Mapping[str, np.ndarray] | None = None, lengths: np.ndarray | None = None,
                reverse: bool = False) -> tuple[np.ndarray, tuple[np.ndarray, ...], Tape]:
        """Run the sequence.

        Parameters
        ----------
        x : (T, B, D);  state : in the order of cell.carried, each (B, width);  parameters : by name
        inputs : further inputs by name, (T, B, width) or (B, width)
        lengths : (B,) int64, checked;  reverse : begin at each row's last step

        Returns
        -------
        output (T, B, width), state after each row's last step, and the tape for `backward`
        """
        cell, layout = self.cell, self.layout
        steps, batch = x.shape[:2]
        order = Order(steps, batch, lengths, reverse)
        memory = Memory(layout, steps, batch, self.dtype)
        arrays = memory.arrays
        arrays["record"] = aligned((steps + layout.lag, batch, layout.record_size), self.dtype, lengths is not None)
        arrays["y"] = np.empty((steps, batch, self.sizes.widths[cell.output]), self.dtype)
        for name, value in {cell.inputs[0]: x, **(inputs or {})}.items():
            arrays[f"input {name}"] = _rows(order.arranged(value).astype(self.dtype, copy=False))
        self._fill_vectors(memory, parameters)
        for s, value in zip(cell.carried, state):
            column = layout.record[f"row_{s.row}"]
            value = value if order.rows is None else value[order.rows]
            arrays["record"][layout.lag - s.lag, :, column:column + self.sizes.widths[s.row]] = value
        self._run("forward", memory, order, parameters)
        tape = Tape(memory, order, parameters)
        last = tuple(self._final(tape, s.row, s.lag) for s in cell.carried)
        y = order.restored(arrays.pop("y"))
        return y, last, tape

    def _final(self, tape: Tape, row: str, lag: int) -> np.ndarray:
        """A state after each row's last step, in the caller's order."""
        record, column = tape.memory.arrays["record"], self.layout.record[f"row_{row}"]
        width, order = self.sizes.widths[row], tape.order
        if order.rows is None:
            return record[order.steps + self.layout.lag - lag, :, column:column + width].copy()
        found = record[order.ends + self.layout.lag - lag, np.arange(order.batch), column:column + width]
        return order.restored(found)

    def _fill_vectors(self, memory: Memory, parameters: Mapping[str, np.ndarray]) -> None:
        layout, arrays = self.layout, memory.arrays
        arrays["vectors"] = aligned((layout.vectors_size,), self.dtype, True)
        for name in self.learned:
            value = parameters[name]
            arrays["vectors"][layout.vectors[name]:layout.vectors[name] + len(value)] = value
        for name in self.wide:
            arrays["vectors"][layout.vectors[name]:layout.vectors[name] + self.wide[name]] = self.cell.constants[name]
        arrays["scalars"] = np.array([self.cell.constants[n] for n in layout.scalars] + [0.0], self.dtype)

    def _run(self, way: str, memory: Memory, order: Order, parameters: Mapping[str, np.ndarray]) -> None:
        plan, backward = self.schedule, way == "backward"
        units, multiplies = (plan.backward_units, plan.backward_multiplies) if backward else (plan.units, plan.multiplies)
        if order.steps == 0 or order.batch == 0:
            return
        if WITHOUT_JIT:
            with np.errstate(all="ignore"):
                plain.run(memory, units, self.functions[way], multiplies, parameters, order.active, backward)
            return
        compiled, arrays = self._passes[way], memory.arrays
        weights = {f"parameter {n}": np.ascontiguousarray(parameters[n]) for m in multiplies for n in m.parameters}
        run_arrays = {**arrays, **weights}
        run_arrays["panels"] = aligned((compiled.panels_size // self.dtype.itemsize + 16,), self.dtype)
        run_arrays["zeros"] = np.zeros(max(layout_row(self.layout), 16), self.dtype)
        run_arrays["widths"] = np.array([u.width for u in units] + [0], self.dtype)
        memory.arrays = run_arrays
        gathering = tuple(sorted(n for n in arrays if n.startswith(("d_input", "input")) and arrays[n].ndim == 2))
        key = (order.steps, order.batch, order.reverse, order.rows is not None, gathering,
               tuple(arrays[n].strides for n in arrays if n.startswith("input")), "y" in arrays and arrays["y"].strides)
        compiled.run(memory, order.active, order.bounds(kernels.get_num_threads()), order.rows is not None, key)
        memory.arrays = arrays

    # ---- backward
    # -------------------------------------------------------------------------------------------------------
    def backward(self, tape: Tape, d_y: np.ndarray, d_last: Sequence[np.ndarray | None]) -> dict[str, dict[str, Any]]:
        """Back-propagation through time.

        Parameters
        ----------
        d_y : (T, B, width), gradient of the output
        d_last : gradients of the final state, None for zero

        Returns
        -------
        {"inputs": {name: gradient}, "state": {(row, lag): gradient}, "parameters": {name: gradient}}
        """
        cell, layout, order = self.cell, self.layout, tape.order
        memory = Memory(layout, order.steps, order.batch, self.dtype)
        arrays = memory.arrays = dict(tape.memory.arrays)
        ragged = order.rows is not None
        arrays["y"] = _rows(order.arranged(d_y))
        arrays["adjoint"] = aligned((order.steps, order.batch, layout.adjoint_size), self.dtype, ragged)
        arrays["carry"] = aligned((order.batch, layout.carry_size), self.dtype, True)
        for row, width in layout.history.items():
            arrays[f"history {row}"] = aligned((order.steps + layout.lag, order.batch, width), self.dtype, True)
        for s, g in zip(cell.carried, d_last):
            if g is not None:
                self._begin(arrays, order, s.row, s.lag, g if order.rows is None else g[order.rows])
        for name in cell.inputs:
            shape = arrays[f"input {name}"].shape
            arrays[f"d_input {name}"] = aligned((*shape[:-1], layout.padded(shape[-1], 2)), self.dtype,
                                                ragged or len(shape) == 2)
        self._run("backward", memory, order, tape.parameters)
        inputs = {name: order.restored(arrays[f"d_input {name}"][..., :arrays[f"input {name}"].shape[-1]])
                  for name in cell.inputs if self._reaches(name)}
        return {"inputs": inputs, "state": self._state_gradients(arrays, order), "parameters": self._parameter_gradients(memory)}

    def _reaches(self, name: str) -> bool:
        """Does any gradient reach an input?"""
        plan = self.schedule
        return any(m.source.group == "d_input" and m.source.name == name for m in plan.backward_multiplies) or any(
            p.group == "d_input" and p.name == name for u in plan.backward_units for _, p in u.writes)

    def _begin(self, arrays: dict[str, np.ndarray], order: Order, row: str, lag: int, g: np.ndarray) -> None:
        """The gradient of a final state, where back-propagation meets it."""
        width = self.sizes.widths[row]
        if row in self.layout.history:
            arrays[f"history {row}"][order.ends + self.layout.lag - lag, np.arange(order.batch), :width] += g
        else:
            column = self.layout.carry[f"d_{row}"]
            arrays["carry"][:, column:column + width] = g

    def _state_gradients(self, arrays: dict[str, np.ndarray], order: Order) -> dict[tuple[str, int], np.ndarray]:
        found = {}
        for s in self.cell.carried:
            width, lag = self.sizes.widths[s.row], self.layout.lag
            if s.row in self.layout.history:
                g = arrays[f"history {s.row}"][lag - s.lag, :, :width]
            else:
                column = self.layout.carry[f"d_{s.row}"]
                g = arrays["carry"][:, column:column + width]
            found[s.row, s.lag] = order.restored(g.copy())
        return found

    def _parameter_gradients(self, memory: Memory) -> dict[str, np.ndarray]:
        """Matrices: outer products summed over rows and steps, as one product; vectors: sums."""
        plan, layout, arrays = self.schedule, self.layout, memory.arrays
        steps, batch = memory.steps, memory.batch
        adjoint = arrays["adjoint"].reshape(steps * batch, -1)
        found: dict[str, np.ndarray] = {}
        for m in plan.multiplies:
            name, timed, index, column = memory.find(m.source)
            first = layout.adjoint[f"z{m.slots[0]}"]
            padded = layout.padded(m.width)
            d = adjoint[:, first:first + padded * len(m.slots)]
            if timed:
                source = arrays[name][index:index + steps, :, column:column + m.depth]
                source = _flat(source)
            else:
                source = arrays[name][:, :m.depth]
                d = _column_sums(arrays["adjoint"].reshape(steps, -1)).reshape(batch, -1)[:, first:first + d.shape[1]]
            product = kernels.matmul(d.T, source)
            for k, parameter in enumerate(m.parameters):
                found[parameter] = product[k * padded:k * padded + m.width]
        sums: dict[int, np.ndarray] = {}
        for parameter in self.learned:
            if parameter in plan.bias_of:
                slot = plan.bias_of[parameter]
                if slot not in sums:
                    column = layout.adjoint[f"z{slot}"]
                    sums[slot] = _column_sums(adjoint[:, column:column + plan.slot_width(slot)])
                found[parameter] = sums[slot].copy()
            elif parameter in plan.gathered:
                column = layout.carry[plan.gathered[parameter]]
                width = plan.carry[plan.gathered[parameter]]
                found[parameter] = _column_sums(arrays["carry"][:, column:column + width])
        return found


def layout_row(layout: Layout) -> int:
    """Elements that any row of a group may have."""
    return max(layout.record_size, layout.adjoint_size, layout.carry_size) + 8 * layout.lanes


def _rows(x: np.ndarray) -> np.ndarray:
    """An array whose rows are contiguous."""
    return x if x.strides[-1] == x.itemsize and x.dtype.isnative else np.ascontiguousarray(x)


def _flat(x: np.ndarray) -> np.ndarray:
    """(T, B, n) as (T B, n), without copying where steps follow on each other."""
    steps, batch, n = x.shape
    if x.strides[0] != batch * x.strides[1]:
        return x.reshape(steps * batch, n)
    return np.lib.stride_tricks.as_strided(x, (steps * batch, n), x.strides[1:])


def _column_sums(x: np.ndarray) -> np.ndarray:
    """Sums over the rows, as a product with a row of ones: its order of summation is fixed, and it is fast."""
    return kernels.matmul(np.ones((1, len(x)), x.dtype), x)[0]


def _native_calls() -> dict[str, Any]:
    from ..kernels.units import CALLS as calls
    return calls


def _plain_calls() -> dict[str, Any]:
    return {"tanh": np.tanh, "sigmoid": kernels.sigmoid, "softplus": kernels.softplus, "exp": np.exp, "log": np.log,
            "relu": lambda x: np.maximum(x, 0), "step": lambda x: (x > 0).astype(x.dtype), "sqrt": np.sqrt, "abs": np.abs,
            "sign": np.sign, "maximum": np.maximum, "minimum": np.minimum}
