"""A schedule run by NumPy, step by step: what happens without the JIT, and what the compiled run is held to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .. import kernels
from .arrangement import Arrangement
from .memory import Layout, Memory
from .opaque import apply, pull
from .schedule import OUTSIDE, Call, Multiply, Place, Unit, slot_column

# What stands behind the functions of a generated module.
calls: dict[str, Callable[..., Any]] = {
    "tanh": np.tanh, "sigmoid": lambda x: kernels.sigmoid(x), "softplus": lambda x: kernels.softplus(x), "exp": np.exp,
    "log": np.log, "relu": lambda x: np.maximum(x, 0), "step": lambda x: (x > 0).astype(x.dtype), "sqrt": np.sqrt,
    "abs": np.abs, "sign": np.sign, "maximum": np.maximum, "minimum": np.minimum}


def lanes(_dtype: Any) -> int:
    """Columns are padded to so many elements: any number shows that padding is not read."""
    return 4


class Pass:
    """One direction of a cell; the same interface as `native.Pass`."""

    def __init__(self, layout: Layout, dtype: Any, units: Sequence[Unit], functions: Sequence[Callable[..., Any]],
                 multiplies: Sequence[Multiply], backward: bool, primitives: Sequence[Call] = ()) -> None:
        self.calls = primitives
        self.layout, self.dtype, self.backward = layout, np.dtype(dtype), backward
        self.units, self.functions, self.multiplies = units, functions, multiplies

    def run(self, memory: Memory, arrangement: Arrangement, parameters: Mapping[str, np.ndarray]) -> None:
        """All steps."""
        last = max([u.stage for u in self.units] + [m.stage for m in self.multiplies] + [c.stage for c in self.calls],
                   default=-1)
        steps, stages = range(memory.steps), [OUTSIDE, *range(last + 1)]
        multiply = self._multiply
        if self.backward:
            steps, stages, multiply = steps[::-1], [*range(last + 1), OUTSIDE], self._multiply_back
        with np.errstate(all="ignore"):
            for step in steps:
                rows = int(arrangement.active[step])
                for stage in stages:
                    for call in self.calls:
                        if call.stage == stage:
                            (pull if self.backward else apply)(call, memory, step, rows)
                    for m in self.multiplies:
                        if m.stage == stage:
                            multiply(memory, m, parameters, step, rows)
                    for unit, function in zip(self.units, self.functions):
                        if unit.stage == stage:
                            self._unit(memory, unit, function, step, rows)

    def bound(self, memory: Memory, arrangement: Arrangement,
              parameters: Mapping[str, np.ndarray]) -> Callable[..., None]:
        """What runs all steps, any number of times, in this memory and with the parameters as they are now.

        Given a number, a single step runs so many rows of the batch, the first ones.
        """
        weights = {name: np.array(value) for name, value in parameters.items()}

        def run(rows: int = memory.batch) -> None:
            if memory.steps == 1 and arrangement.ragged is None:
                arrangement.active[:] = rows
            self.run(memory, arrangement, weights)
        return run

    @staticmethod
    def _multiply(memory: Memory, m: Multiply, weights: Mapping[str, np.ndarray], step: int, rows: int) -> None:
        source = memory.rows(m.source, step, m.depth, rows)
        for slot, name in zip(m.slots, m.parameters):
            z = memory.rows(Place("record", slot_column(slot)), step, m.width, rows)
            z[:] = source @ weights[name].T + (0 if slot in m.fresh else z)

    @staticmethod
    def _multiply_back(memory: Memory, m: Multiply, weights: Mapping[str, np.ndarray], step: int, rows: int) -> None:
        to = memory.rows(m.source, step, m.depth, rows)
        total = sum(memory.rows(Place("adjoint", slot_column(slot)), step, m.width, rows) @ weights[name]
                    for slot, name in zip(m.slots, m.parameters))
        to[:] = total + (0 if m.fresh and not memory.gathers(m.source) else to)

    @staticmethod
    def _unit(memory: Memory, unit: Unit, function: Callable[..., Any], step: int, rows: int) -> None:
        def width(place: Place) -> int:
            return 1 if place.name in memory.layout.narrow else unit.width

        values = []
        for _, place in unit.reads:
            if place.group == "constant" and place.name in memory.layout.scalars:
                values.append(memory.arrays["scalars"][memory.layout.scalars[place.name]])
            else:
                values.append(memory.rows(place, step, width(place), rows))
        results = iter(function(*values))
        changes = []                # written once all is computed: a result may stand where an argument does
        for k, (_, place) in enumerate((*unit.writes, *unit.adds)):
            to, value = memory.rows(place, step, width(place), rows), next(results)
            changes.append((to, value + to if k >= len(unit.writes) or memory.gathers(place) else value))
        totals = [next(results) for _ in unit.sums]
        for (_, place), value in zip(unit.means, totals):
            total = np.broadcast_to(value, (rows, unit.width)).sum(-1, keepdims=True)
            changes.append((memory.rows(place, step, 1, rows), total / memory.dtype.type(unit.width)))
        for to, value in changes:
            to[:] = value
