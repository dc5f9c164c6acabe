"""A cell compiled for its sizes: forward over a whole sequence, and back-propagation through time, from its equations.

    compiled = Compiled(cell, input_size=64, hidden_size=128, dtype=np.float32)
    y, last, tape = compiled.forward(x, state, parameters)
    gradients = compiled.backward(tape, d_y, d_last)

Arrays in, arrays out; the differentiable operation around it is `cells/sequence.py`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from . import opaque, plain
from .analysis import Analysis
from .arrangement import Arrangement, arranged
from .buffers import aligned
from .emit import module_text, run_module
from .gradients import Room, parameter_gradients
from .memory import Layout, Memory
from .planning import planned
from .schedule import row_column
from .symbols import topological

if TYPE_CHECKING:
    from .cell import Cell

WITHOUT_JIT = os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")
Arrays = Mapping[str, np.ndarray]


@dataclass
class Tape:
    """What a forward pass keeps for its backward pass: the record, its inputs and parameters."""

    memory: Memory
    arrangement: Arrangement
    parameters: Arrays

    @property
    def nbytes(self) -> int:
        """Bytes that are kept beside the caller's own arrays."""
        return sum(a.nbytes for name, a in self.memory.arrays.items() if name.startswith(("record", "kept")))


@dataclass
class Gradients:
    """What the backward pass finds, for all that was asked for and that a gradient reaches."""

    inputs: dict[str, np.ndarray]               # by name
    state: dict[tuple[str, int], np.ndarray]    # (row, lag)


class Compiled:
    """The compiled forms of a cell for one pair of sizes and one dtype.

    Parameters
    ----------
    cell : Cell
    input_size, hidden_size : int
    dtype : float32 or float64
    jit : bool
        Run machine code, or the generated module on NumPy rows; by default as NUMBA_DISABLE_JIT says.
    """

    def __init__(self, cell: Cell, input_size: int, hidden_size: int, dtype: Any, jit: bool | None = None) -> None:
        self.cell, self.dtype = cell, np.dtype(dtype)
        self.sizes = sizes = cell.sizes(input_size, hidden_size)
        if jit is None:
            jit = not WITHOUT_JIT
        if jit:
            from . import native
        self._engine: Any = native if jit else plain
        flat = {name: cell.flat[name] for name in cell.order}
        self.schedule = planned(Analysis(flat, cell.carried, cell.output, sizes.widths, sizes.of))
        read = topological(flat.values())
        vectors = {n.parameter: sizes.widths[n.data.row] for n in read if n.op == "vector"}
        constants = {n.data: cell.constants[n.data] for n in read if n.op == "constant"}
        self._wide = {n: value for n, value in constants.items() if isinstance(value, tuple)}
        scalars = [n for n in constants if n not in self._wide]
        self._learned = vectors
        self.layout = Layout(self.schedule, self._engine.lanes(self.dtype),
                             {**vectors, **{n: len(value) for n, value in self._wide.items()}}, scalars)
        self._passes: dict[frozenset[str], Any] = {}

    # ---- generated code ---------------------------------------------------------------------------------------------
    @cached_property
    def source(self) -> str:
        """The generated module, which is what is compiled."""
        return module_text(self.cell, self.schedule)

    @cached_property
    def _functions(self) -> dict[str, Any]:
        return run_module(self.source, self.cell.name, self._engine.calls)

    @cached_property
    def forward_pass(self) -> Any:
        """The engine's forward pass."""
        units = self.schedule.units
        functions = [self._functions[f"forward_{k}"] for k in range(len(units))]
        return self._engine.Pass(self.layout, self.dtype, units, functions, self.schedule.multiplies, False,
                                 self.schedule.calls)

    def prepared(self, memory: Memory, arrangement: Arrangement, parameters: Arrays) -> Callable[..., None]:
        """The forward pass with its weights packed, to be run in the same memory any number of times."""
        run: Callable[..., None] = self.forward_pass.bound(memory, arrangement, parameters)
        return run

    def _backward(self, wanted: frozenset[str]) -> Any:
        """The backward pass that computes the gradients of some inputs."""
        if wanted not in self._passes:
            units = self.schedule.backward_units
            functions = [self._functions[f"backward_{k}"] for k in range(len(units))]
            multiplies = [m for m in self.schedule.backward_multiplies
                          if m.source.group != "d_input" or m.source.name in wanted]
            self._passes[wanted] = self._engine.Pass(self.layout, self.dtype, units, functions, multiplies, True,
                                                     self.schedule.backward_calls)
        return self._passes[wanted]

    # ---- forward ----------------------------------------------------------------------------------------------------
    def forward(self, x: np.ndarray, state: Sequence[np.ndarray], parameters: Arrays, inputs: Arrays | None = None,
                lengths: np.ndarray | None = None,
                reverse: bool = False) -> tuple[np.ndarray, tuple[np.ndarray, ...], Tape]:
        """Run the sequence.

        Parameters
        ----------
        x : (T, B, D)
        state : in the order of cell.carried, each (B, width)
        parameters : by name
        inputs : further inputs by name, (T, B, width) or (B, width)
        lengths : (B,) int64, checked: 1 <= length <= T
        reverse : begin at each row's last step

        Returns
        -------
        output (T, B, width), 0 beyond a length; state after each row's last step; the tape for `backward`
        """
        cell, layout = self.cell, self.layout
        steps, batch = x.shape[:2]
        arrangement = arranged(steps, batch, lengths, reverse)
        ragged = arrangement.ragged is not None
        memory = Memory(layout, steps, batch, self.dtype)
        arrays = memory.arrays
        zero = ragged or self._engine is plain          # NumPy warns of what stands in unused memory
        arrays["record"] = record = aligned((steps + layout.lag, batch, layout.record_size), self.dtype, zero)
        arrays["y"] = np.empty((steps, batch, self.sizes.widths[cell.output]), self.dtype)
        for name, value in {cell.inputs[0]: x, **(inputs or {})}.items():
            if name in cell.whole:
                arrays[f"whole {name}"] = np.ascontiguousarray(arrangement.arranged(value, whole=True), self.dtype)
                continue
            arrays[f"input {name}"] = _contiguous_rows(arrangement.arranged(value).astype(self.dtype, copy=False))
        opaque.remember(self.schedule, memory)
        self.fill_vectors(arrays, parameters)
        for s, value in zip(cell.carried, state):
            column = layout.record[row_column(s.row)]
            record[layout.lag - s.lag, :, column:column + self.sizes.widths[s.row]] = arrangement.arranged(value)
        if steps and batch:
            self.forward_pass.run(memory, arrangement, parameters)
        y = arrangement.restored(memory.forget("y"))
        tape = Tape(memory, arrangement, parameters)
        return y, tuple(self._final(tape, s.row, s.lag) for s in cell.carried), tape

    def fill_vectors(self, arrays: dict[str, np.ndarray], parameters: Arrays) -> None:
        """Learned vectors and constants, where the units read them."""
        at = self.layout.vectors
        arrays["vectors"] = vectors = aligned((self.layout.vectors_size,), self.dtype, zero=True)
        for name in self._learned:
            vectors[at[name]:at[name] + len(parameters[name])] = parameters[name]
        for name, value in self._wide.items():
            vectors[at[name]:at[name] + len(value)] = value
        arrays["scalars"] = np.array([self.cell.constants[n] for n in self.layout.scalars] + [0.0], self.dtype)

    def _final(self, tape: Tape, row: str, lag: int) -> np.ndarray:
        """A state after each row's last step, in the caller's order."""
        record, column = tape.memory.arrays["record"], self.layout.record[row_column(row)]
        columns = slice(column, column + self.sizes.widths[row])
        arrangement, at = tape.arrangement, self.layout.lag - lag
        if arrangement.ragged is None:
            return record[arrangement.steps + at, :, columns].copy()
        return arrangement.restored(record[arrangement.ends + at, np.arange(arrangement.batch), columns])

    # ---- backward ---------------------------------------------------------------------------------------------------
    def backward(self, tape: Tape, d_y: np.ndarray | None, d_last: Sequence[np.ndarray | None],
                 inputs: Collection[str] | None = None, room: Room | None = None, add: bool = False) -> Gradients:
        """Back-propagation through time; may be run several times on a tape.

        Parameters
        ----------
        d_y : (T, B, width), gradient of the output, None for zero
        d_last : gradients of the final state, None for zero
        inputs : names of those whose gradients are wanted, None for all; others cost nothing
        room : where the gradients of parameters are written, of those that are wanted
        add : to what stands in the room
        """
        cell, arrangement = self.cell, tape.arrangement
        wanted = frozenset(cell.inputs if inputs is None else inputs)
        memory = self._prepared_backward(tape, d_y, d_last)
        arrays = memory.arrays
        if memory.steps and memory.batch:
            self._backward(wanted).run(memory, arrangement, tape.parameters)
        d_inputs = {n: arrangement.restored(arrays[f"d_input {n}"][..., :arrays[f"input {n}"].shape[-1]])
                    for n in cell.inputs if n in wanted & self.schedule.reached and n not in cell.whole}
        d_inputs |= {n: arrangement.restored(arrays[f"d_whole {n}"], whole=True)
                     for n in cell.whole & wanted & self.schedule.reached}
        d_state = {(s.row, s.lag): self._initial(memory, arrangement, s.row, s.lag) for s in cell.carried}
        if room:
            parameter_gradients(self.schedule, memory, self._learned, room, add)
        return Gradients(d_inputs, d_state)

    def _prepared_backward(self, tape: Tape, d_y: np.ndarray | None, d_last: Sequence[np.ndarray | None]) -> Memory:
        """The memory of a backward pass, with the gradients that come from outside."""
        cell, layout, arrangement = self.cell, self.layout, tape.arrangement
        steps, batch, ragged = arrangement.steps, arrangement.batch, arrangement.ragged is not None
        memory = tape.memory.following()
        arrays = memory.arrays
        if d_y is None:
            arrays["y"] = np.zeros((steps, batch, self.sizes.widths[cell.output]), self.dtype)
        else:
            arrays["y"] = _contiguous_rows(arrangement.arranged(d_y))
        zero = ragged or self._engine is plain
        arrays["adjoint"] = aligned((steps, batch, layout.adjoint_size), self.dtype, zero)
        arrays["carry"] = aligned((batch, layout.carry_size), self.dtype, zero=True)
        for row, width in layout.history.items():
            arrays[f"history {row}"] = aligned((steps + layout.lag, batch, width), self.dtype, zero=True)
        for s, g in zip(cell.carried, d_last):
            if g is not None:
                self._end(memory, arrangement, s.row, s.lag, arrangement.arranged(g))
        opaque.make_room(self.schedule, memory)
        for name in cell.inputs:
            if name in cell.whole:
                continue
            shape = arrays[f"input {name}"].shape
            arrays[f"d_input {name}"] = aligned((*shape[:-1], layout.padded(shape[-1], 2)), self.dtype,
                                                zero=ragged or len(shape) == 2)
        return memory

    def _end(self, memory: Memory, arrangement: Arrangement, row: str, lag: int, g: np.ndarray) -> None:
        """The gradient of a final state, put where back-propagation meets it."""
        width = self.sizes.widths[row]
        if row in self.layout.history:
            history = memory.arrays[f"history {row}"]
            history[arrangement.ends + self.layout.lag - lag, np.arange(arrangement.batch), :width] += g
        else:
            column = self.layout.carry[f"d_{row}"]
            memory.arrays["carry"][:, column:column + width] = g

    def _initial(self, memory: Memory, arrangement: Arrangement, row: str, lag: int) -> np.ndarray:
        """The gradient of an initial state, in the caller's order."""
        width = self.sizes.widths[row]
        if row in self.layout.history:
            g = memory.arrays[f"history {row}"][self.layout.lag - lag, :, :width]
        else:
            column = self.layout.carry[f"d_{row}"]
            g = memory.arrays["carry"][:, column:column + width]
        return arrangement.restored(g.copy())


def generated_source(cell: Cell, dtype: Any) -> str:
    """What Cell.source does: the module does not depend on the dtype, and on sizes only where widths coincide."""
    if cell.opaque and not cell.compilable:
        raise ValueError(f"source: {cell.name} calls a step primitive without machine code: such a cell runs step by "
                         "step")
    size = max([64, *(len(value) for value in cell.constants.values() if isinstance(value, tuple))])
    return Compiled(cell, size, size, dtype, jit=False).source


def _contiguous_rows(x: np.ndarray) -> np.ndarray:
    """An array whose rows are contiguous."""
    return x if x.strides[-1] == x.itemsize and x.dtype.isnative else np.ascontiguousarray(x)
