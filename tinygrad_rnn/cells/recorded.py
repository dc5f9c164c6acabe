"""Every named row of a cell at every step, from what a compiled run kept: what the gates did, without a second run.

A row that the record still holds is read; any other is computed from those, elementwise, for all steps at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd import ops
from .compiled import Compiled, Tape
from .schedule import Place, row_column
from .symbols import Symbol, topological, total


def recorded(plan: Compiled, tape: Tape) -> dict[str, np.ndarray]:
    """All rows at all steps.

    Parameters
    ----------
    tape : of a forward pass of `plan`

    Returns
    -------
    {row: (T, B, width)} in the order of the text and in the caller's order of rows and steps, 0 beyond a length.
    """
    cell, arrangement, widths = plan.cell, tape.arrangement, plan.sizes.widths
    rows = {name: plan.schedule.rows[name] for name in cell.rows}
    values = _Values(plan, tape)
    with np.errstate(all="ignore"):         # beyond a length stands anything
        values.compute(list(rows.values()))
    found = {}
    for name, node in rows.items():
        shape = (arrangement.steps, arrangement.batch, widths[name])
        value = np.broadcast_to(np.asarray(values[node], plan.dtype), shape)
        value = arrangement.restored(value)
        found[name] = value if arrangement.ragged is not None else value.copy()     # not the tape's own memory
    return found


class _Values(dict[Symbol, Any]):
    """symbol -> its value at all steps, (T, B, width) or what broadcasts to it, in the order of work."""

    def __init__(self, plan: Compiled, tape: Tape) -> None:
        super().__init__()
        self.plan, self.tape, self.held = plan, tape, plan.schedule.held

    def compute(self, roots: Sequence[Symbol]) -> None:
        """All that it takes to know some symbols."""
        for node in topological(roots, without=self.held):
            if node.args:
                self[node] = self._result(node, [self[a] for a in node.args])

    def __missing__(self, node: Symbol) -> Any:
        """What stands in memory."""
        if node in self.held:
            place = self.held[node]
            width = 1 if place.name in self.plan.layout.narrow else self.plan.sizes.of(node)
            value = self._column(place, width or 1)
        elif node.op == "state":
            place = Place("record", row_column(node.data.row), node.data.lag)
            value = self._column(place, self.plan.sizes.widths[node.data.row])
        elif node.op == "input":
            value = self.tape.memory.arrays[f"input {node.data}"]
        elif node.op == "vector":
            value = self.tape.parameters[node.data.parameter]
        elif node.op == "constant":
            value = np.asarray(self.plan.cell.constants[node.data], self.plan.dtype)
        else:
            value = node.data               # a number
        self[node] = value
        return value

    def _column(self, place: Place, width: int) -> np.ndarray:
        memory = self.tape.memory
        name, _, index, column = memory.find(place)
        return memory.arrays[name][index:index + memory.steps, :, column:column + width]

    def _result(self, node: Symbol, args: list[Any]) -> Any:
        if node.op == "product":            # of a row that nothing needs: its place was taken
            parameters = self.tape.parameters
            return total(ops.matmul(a, parameters[name].T) for a, name in zip(args, node.data.parameters))
        if not any(isinstance(a, np.ndarray) for a in args):
            args = [np.asarray(a, self.plan.dtype) for a in args]
        return node.data(*args)
