"""Gradients of the parameters, once all steps are done: one product for each source, or a sum over rows and steps.

They are written where the caller wants them: a layer that keeps the matrices of all gates in one gets the gradient of
that one, without a copy.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .. import kernels
from ..kernels.gemm import into
from .memory import Memory
from .schedule import Multiply, Schedule, slot_column

# Where gradients go: parameter -> array of its shape; several, that stand one below the other -> all of them as one.
Room = Mapping[str | tuple[str, ...], np.ndarray]


def parameter_gradients(schedule: Schedule, memory: Memory, vectors: Mapping[str, int], room: Room,
                        add: bool = False) -> None:
    """Write the gradients of those parameters for which there is room.

    Parameters
    ----------
    memory : of a backward pass that is over
    vectors : learned vectors with their widths
    add : to what stands there
    """
    if not memory.steps * memory.batch:
        for array in () if add else room.values():
            array.fill(0)
        return
    for m in schedule.multiplies:
        if any(name in room for name in m.parameters):
            _matrices(memory, m, room, add)
    sums: np.ndarray | None = None
    for name, width in vectors.items():
        if name not in room:
            continue
        value: np.ndarray | float = 0.0     # where no gradient reaches it
        if name in schedule.bias_of:
            if sums is None:
                sums = _column_sums(_flat(memory.arrays["adjoint"]))
            column = memory.layout.adjoint[slot_column(schedule.bias_of[name])]
            value = sums[column:column + width]
        elif name in schedule.gathered:
            column = memory.layout.carry[schedule.gathered[name]]
            value = _column_sums(memory.arrays["carry"][:, column:column + width])
        room[name][...] = room[name] + value if add else value


def _matrices(memory: Memory, m: Multiply, room: Room, add: bool) -> None:
    """The gradients of the matrices that multiply one source: outer products, summed over rows and steps."""
    layout, arrays = memory.layout, memory.arrays
    steps, batch = memory.steps, memory.batch
    name, timed, index, column = memory.find(m.source)
    padded, first = layout.padded(m.width), layout.adjoint[slot_column(m.slots[0])]
    adjoint = arrays["adjoint"]
    if timed:
        d = _flat(adjoint)
        source = _flat(arrays[name])[index * batch:(index + steps) * batch, column:column + m.depth]
    else:       # the same source at every step: the gradients are summed first
        d = _column_sums(adjoint.reshape(steps, -1)).reshape(batch, -1)
        source = arrays[name][:, :m.depth]
    if padded == m.width and m.parameters in room:
        into(d[:, first:first + padded * len(m.slots)].T, source, room[m.parameters], add)
        return
    for k, parameter in enumerate(m.parameters):
        if parameter in room:
            into(d[:, first + k * padded:first + k * padded + m.width].T, source, room[parameter], add)


def _flat(x: np.ndarray) -> np.ndarray:
    """(T, B, n) as (T B, n), without copying where steps follow on each other."""
    return x.reshape(-1, x.shape[-1])


def _column_sums(x: np.ndarray) -> np.ndarray:
    """Sums over the rows, as a product with a row of ones: its order of summation is fixed, and it is fast."""
    sums: np.ndarray = kernels.matmul(np.ones((1, len(x)), x.dtype), x)[0]
    return sums
