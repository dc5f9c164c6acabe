"""A compiled cell one step at a time, for inference: the weights are packed once, and all memory is made beforehand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from ..autograd import no_grad
from . import opaque
from .arrangement import Arrangement
from .buffers import aligned
from .compiled import Compiled
from .memory import Memory
from .schedule import row_column

if TYPE_CHECKING:
    from .cell import Cell

NOTHING: Mapping[str, np.ndarray] = MappingProxyType({})


class CompiledStepper:
    """Steps of a compiled cell.  Changes of the parameters after its making do not show.

    Parameters
    ----------
    plan : Compiled
    parameters : arrays by name
    batch : int
    """

    def __init__(self, plan: Compiled, parameters: Mapping[str, np.ndarray], batch: int) -> None:
        cell, layout, widths = plan.cell, plan.layout, plan.sizes.widths
        memory = Memory(layout, 1, batch, plan.dtype)
        arrays = memory.arrays
        # Step -1 and what lies before it, then the one step that is run.
        self._record = arrays["record"] = aligned((1 + layout.lag, batch, layout.record_size), plan.dtype, zero=True)
        self._y = arrays["y"] = np.zeros((1, batch, widths[cell.output]), plan.dtype)
        self._inputs = {name: np.zeros((1, batch, widths[name]), plan.dtype) for name in cell.inputs
                        if name not in cell.whole}
        arrays.update({f"input {name}": value for name, value in self._inputs.items()})
        plan.fill_vectors(arrays, parameters)
        self._whole: dict[str, np.ndarray] = {}             # what was last handed on whole
        self._x = self._inputs[cell.inputs[0]][0]
        columns = [slice(column, column + widths[s.row]) for s in cell.carried
                   for column in (layout.record[row_column(s.row)],)]
        self._states = [self._record[layout.lag - s.lag, :, at] for s, at in zip(cell.carried, columns)]
        self._after = [self._record[layout.lag - s.lag + 1, :, at] for s, at in zip(cell.carried, columns)]
        self._memory, self._plan, self._parameters = memory, plan, parameters
        if not cell.whole:
            self._run = plan.prepared(memory, Arrangement(1, batch), parameters)

    def __call__(self, x: np.ndarray, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """One step: (B, D) -> the output (B, width), which the next step overwrites.

        What is handed on whole is copied when it is another array than in the step before.
        """
        self._x[:] = x
        for name, value in inputs.items():
            if name in self._inputs:
                self._inputs[name][0] = value
        self._hand_on({name: value for name, value in inputs.items() if name not in self._inputs})
        self._run()
        self._record[:-1] = self._record[1:]
        y: np.ndarray = self._y[0]
        return y

    def from_state(self, x: np.ndarray, state: Sequence[np.ndarray], inputs: Mapping[str, np.ndarray] = NOTHING,
                   places: np.ndarray | None = None) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        """One step from any state: n rows, at most the batch -> their outputs, and the state after.

        x : (n, D);  state : in the order of cell.carried, (n, width) each;  inputs : (n, width) each
        places : (n,) int64, which row of what `share` was given each row reads
        """
        rows = len(x)
        self._x[:rows] = x
        for own, value in zip(self._states, state):
            own[:rows] = value
        for name, value in inputs.items():
            self._inputs[name][0, :rows] = value
        if places is not None:
            self._memory.arrays["places"][:rows] = places
        self._run(rows)
        return self._y[0, :rows], tuple([value[:rows].copy() for value in self._after])

    def share(self, whole: Mapping[str, np.ndarray]) -> None:
        """What is handed on whole, (sentences, ...), for steps from any state."""
        self._hand_on(whole)

    def kept(self, rows: int) -> np.ndarray:
        """What the cell's first step primitive left of the last step, (rows, n): the weights of attention."""
        left: np.ndarray = self._memory.arrays["kept 0"][0, :rows]
        return left.copy()

    def _hand_on(self, given: Mapping[str, np.ndarray]) -> None:
        """Put whole inputs where the step finds them; another shape needs another program."""
        new = {name: value for name, value in given.items() if value is not self._whole.get(name)}
        arrays, reshaped = self._memory.arrays, False
        for name, value in new.items():
            own = arrays.get(f"whole {name}")
            if own is not None and own.shape == value.shape:
                own[:] = value
            else:
                arrays[f"whole {name}"] = np.array(value, self._plan.dtype, order="C")
                reshaped = True
        self._whole.update(new)
        if reshaped:
            opaque.remember(self._plan.schedule, self._memory)
            self._run = self._plan.prepared(self._memory, Arrangement(1, self._memory.batch), self._parameters)

    @property
    def state(self) -> tuple[np.ndarray, ...]:
        """After the last step, in the order of cell.carried, (B, width) each."""
        return tuple(value.copy() for value in self._states)

    @state.setter
    def state(self, values: Sequence[np.ndarray]) -> None:
        for own, value in zip(self._states, values):
            own[:] = value


class ReadableStepper:
    """The same by `Cell.step`, for cells that are not compiled."""

    def __init__(self, cell: Cell, parameters: Mapping[str, np.ndarray]) -> None:
        self._cell, self._parameters = cell, parameters
        self.state: tuple[np.ndarray, ...] = ()
        self._whole: Mapping[str, np.ndarray] = NOTHING

    def __call__(self, x: np.ndarray, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """One step: (B, D) -> the output (B, width)."""
        y, self.state = self._step(x, self.state, inputs)
        return y

    def from_state(self, x: np.ndarray, state: Sequence[np.ndarray], inputs: Mapping[str, np.ndarray] = NOTHING,
                   places: np.ndarray | None = None) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        """See `CompiledStepper`."""
        whole = {name: value if places is None else value[places] for name, value in self._whole.items()}
        return self._step(x, state, {**inputs, **whole})

    def share(self, whole: Mapping[str, np.ndarray]) -> None:
        """See `CompiledStepper`."""
        self._whole = whole

    def kept(self, rows: int) -> np.ndarray:
        """Nothing."""
        raise ValueError(f"{self._cell.name} is not compiled: the weights of its attention are not kept")

    def _step(self, x: np.ndarray, state: Sequence[np.ndarray],
              inputs: Mapping[str, np.ndarray]) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        with no_grad():
            new = tuple(np.asarray(value) for value in self._cell.step(self._parameters, x, state, **inputs))
        return new[0], new
