"""A schedule run by NumPy, step by step: what happens without the JIT, and what the compiled run is held to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .memory import Memory
from .schedule import Multiply, Place, Unit


def run(memory: Memory, units: Sequence[Unit], functions: Mapping[int, Callable[..., Any]], multiplies: Sequence[Multiply],
        weights: Mapping[str, np.ndarray], active: np.ndarray, backward: bool) -> None:
    """All steps of one pass.

    functions : number of a unit -> its function
    active : (T,), how many rows are not over; rows are sorted, the longest first
    """
    steps = range(memory.steps - 1, -1, -1) if backward else range(memory.steps)
    multiply = _backward if backward else _forward
    last = max([u.stage for u in units] + [m.stage for m in multiplies], default=0)
    for step in steps:
        rows = int(active[step])
        order = [-1, *range(last + 1)] if not backward else [*range(last + 1), -1]
        for stage in order:
            for m in multiplies:
                if m.stage == stage:
                    multiply(memory, m, weights, step, rows)
            for k, unit in enumerate(units):
                if unit.stage == stage:
                    _unit(memory, unit, functions[k], step, rows)


def _forward(memory: Memory, m: Multiply, weights: Mapping[str, np.ndarray], step: int, rows: int) -> None:
    source = memory.rows(m.source, step, m.depth, rows)
    for slot, name in zip(m.slots, m.parameters):
        z = memory.rows(Place("record", f"z{slot}"), step, m.width, rows)
        z[:] = source @ weights[name].T + (0 if m.fresh else z)


def _backward(memory: Memory, m: Multiply, weights: Mapping[str, np.ndarray], step: int, rows: int) -> None:
    to = memory.rows(m.source, step, m.depth, rows)
    total = sum(memory.rows(Place("adjoint", f"z{slot}"), step, m.width, rows) @ weights[name]
                for slot, name in zip(m.slots, m.parameters))
    to[:] = total + (0 if m.fresh and not memory.gathers(m.source) else to)


def _unit(memory: Memory, unit: Unit, function: Callable[..., Any], step: int, rows: int) -> None:
    values = []
    for symbol, place in unit.reads:
        if symbol.op == "mean":
            total = memory.rows(place, step, memory.layout.lanes, rows).sum(-1, keepdims=True)
            values.append(total / memory.dtype.type(unit.width))
        elif place.group == "constant" and place.name not in memory.layout.vectors:
            values.append(memory.arrays["scalars"][memory.layout.scalars[place.name]])
        else:
            values.append(memory.rows(place, step, unit.width, rows))
    results = iter(function(*values))
    changes = []
    for k, (_, place) in enumerate((*unit.writes, *unit.adds)):
        to, value = memory.rows(place, step, unit.width, rows), next(results)
        changes.append((to, value + to if k >= len(unit.writes) or memory.gathers(place) else value))
    for _, place in unit.totals:
        total = np.zeros((rows, memory.layout.lanes), memory.dtype)
        total[:, 0] = np.broadcast_to(next(results), (rows, unit.width)).sum(-1)
        changes.append((memory.rows(place, step, memory.layout.lanes, rows), total))
    for to, value in changes:
        to[:] = value
