"""Gradients of the parameters, once all steps are done: one product for each source, or a sum over rows and steps."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from .. import kernels
from .memory import Memory
from .schedule import Multiply, Schedule, slot_column

MANY = 1024         # rows and steps: from so many on, copying a result costs little beside computing it


def parameter_gradients(schedule: Schedule, memory: Memory, vectors: Mapping[str, int],
                        wanted: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """Gradients by name.

    Parameters
    ----------
    memory : of a backward pass that is over
    vectors : learned vectors with their widths
    wanted : names, None for all
    """
    found: dict[str, np.ndarray] = {}
    for m in schedule.multiplies:
        if wanted is None or any(name in wanted for name in m.parameters):
            found.update(_matrices(memory, m))
    sums: np.ndarray | None = None
    for name, width in vectors.items():
        if wanted is not None and name not in wanted:
            continue
        if name in schedule.bias_of:
            if sums is None:
                sums = _column_sums(_flat(memory.arrays["adjoint"]))
            column = memory.layout.adjoint[slot_column(schedule.bias_of[name])]
            found[name] = sums[column:column + width].copy()
        elif name in schedule.gathered:
            column = memory.layout.carry[schedule.gathered[name]]
            found[name] = _column_sums(memory.arrays["carry"][:, column:column + width])
        else:       # no gradient reaches it
            found[name] = np.zeros(width, memory.dtype)
    return found


def _matrices(memory: Memory, m: Multiply) -> dict[str, np.ndarray]:
    """The gradients of the matrices that multiply one source: outer products, summed over rows and steps."""
    layout, arrays = memory.layout, memory.arrays
    steps, batch = memory.steps, memory.batch
    name, timed, index, column = memory.find(m.source)
    padded, first = layout.padded(m.width), layout.adjoint[slot_column(m.slots[0])]
    adjoint = arrays["adjoint"]
    if timed:
        d = _flat(adjoint)[:, first:first + padded * len(m.slots)]
        source = _flat(arrays[name])[index * batch:(index + steps) * batch, column:column + m.depth]
    else:       # the same source at every step: the gradients are summed first
        d = _column_sums(adjoint.reshape(steps, -1)).reshape(batch, -1)[:, first:first + padded * len(m.slots)]
        source = arrays[name][:, :m.depth]
    # The same bits either way; the narrower factor as the first is faster, but its result has to be turned.
    turned = len(source) >= MANY
    product = kernels.matmul(source.T, d).T if turned else kernels.matmul(d.T, source)
    return {parameter: product[k * padded:k * padded + m.width] for k, parameter in enumerate(m.parameters)}


def _flat(x: np.ndarray) -> np.ndarray:
    """(T, B, n) as (T B, n), without copying where steps follow on each other."""
    return x.reshape(-1, x.shape[-1])


def _column_sums(x: np.ndarray) -> np.ndarray:
    """Sums over the rows, as a product with a row of ones: its order of summation is fixed, and it is fast."""
    sums: np.ndarray = kernels.matmul(np.ones((1, len(x)), x.dtype), x)[0]
    return sums
