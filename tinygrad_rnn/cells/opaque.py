"""Step primitives within a compiled sequence: what their calls find in memory, and how they are made.

The forward kernel of a primitive leaves some numbers a row and step for the backward kernel ("kept"), attention its
weights; how many depends on the shapes of a run, as the length of a memory does, so they do not stand in the record.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..autograd.primitive import Primitive
from .functions import STEPS
from .memory import Memory
from .schedule import Call, Place, Schedule, call_column

if TYPE_CHECKING:
    from .table import Table  # which needs compiled code


# ---- memory ----------------------------------------------------------------------------------------------------------
def remember(schedule: Schedule, memory: Memory) -> None:
    """Memory for what the forward kernels leave, "kept k" (T, B, n), and "places" (B,).

    Each row reads its own row of what is handed on whole, unless somebody writes other numbers into "places".
    """
    if schedule.calls:
        memory.arrays.setdefault("places", np.arange(memory.batch))
    for call in schedule.calls:
        compiled = STEPS[call.node.op].compiled
        if compiled is not None:
            shapes = [memory.arrays[f"whole {p.name}"].shape if p.group == "whole" else (memory.batch, width)
                      for p, width in zip(call.args, call.widths)]
            shape = memory.steps, memory.batch, compiled.kept(*shapes)
            memory.arrays[f"kept {call.number}"] = np.zeros(shape, memory.dtype)


def make_room(schedule: Schedule, memory: Memory) -> None:
    """Memory for a backward pass: "room k" (B, n), and "d_whole v" for the gradients of whole inputs."""
    for call in schedule.calls:
        kept = memory.arrays.get(f"kept {call.number}")
        if kept is not None:
            memory.arrays[f"room {call.number}"] = np.empty(kept.shape[1:], memory.dtype)
    for name in [n for n in memory.arrays if n.startswith("whole ")]:
        memory.arrays[f"d_{name}"] = np.zeros(memory.arrays[name].shape, memory.dtype)


def shapes(calls: Sequence[Call], memory: Memory) -> tuple[Any, ...]:
    """What a table of a run depends on."""
    names = dict.fromkeys(p.name for call in calls for p in call.args if p.group == "whole")
    return tuple(memory.arrays[f"whole {name}"].shape for name in names)


# ---- machine code ----------------------------------------------------------------------------------------------------
def code(call: Call, backward: bool) -> Any:
    """dtype -> address of its kernel."""
    compiled = STEPS[call.node.op].compiled
    if compiled is None:
        raise TypeError(f"{call.node.op} has no machine code")
    return compiled.code()[backward]


def write(table: Table, call: Call, memory: Memory, backward: bool) -> None:
    """The operands of a call, as its kernels read them."""
    arguments = list(zip(call.args, call.widths))
    if backward:
        _operand(table, call.result, call.width, memory)
        for place, width in arguments:
            _operand(table, place, width, memory)
        _kept(table, f"kept {call.number}", memory)
        _kept(table, f"room {call.number}", memory)
        for to, (_, width) in zip(call.to, arguments):
            if to is not None:
                _operand(table, to, width, memory)
        return
    for place, width in [*arguments, (call.result, call.width)]:
        _operand(table, place, width, memory)
    _kept(table, f"kept {call.number}", memory)
    table.address("places")


def _operand(table: Table, place: Place, width: int, memory: Memory) -> None:
    name, timed, index, column = memory.find(place)
    array = memory.arrays[name]
    if place.group in ("whole", "d_whole"):
        table.address(name)
        table.word(0, int(np.prod(array.shape[1:])) * array.itemsize, array.shape[1], int(np.prod(array.shape[2:])))
        return
    step, row = (array.strides[0], array.strides[1]) if timed else (0, array.strides[0])
    table.address(name, column * array.itemsize + index * step)
    table.word(step, row, width, 1)


def _kept(table: Table, name: str, memory: Memory) -> None:
    array = memory.arrays[name]
    row = array.shape[-1] * array.itemsize
    table.address(name)
    table.word(memory.batch * row if array.ndim == 3 else 0, row, array.shape[-1], 1)


# ---- NumPy rows ------------------------------------------------------------------------------------------------------
def _values(call: Call, memory: Memory, step: int, rows: int) -> list[np.ndarray]:
    places = memory.arrays["places"][:rows]
    return [memory.arrays[f"whole {p.name}"][places] if p.group == "whole" else memory.rows(p, step, width, rows)
            for p, width in zip(call.args, call.widths)]


def apply(call: Call, memory: Memory, step: int, rows: int) -> None:
    """One call at a step, by the primitive itself."""
    primitive: Primitive = call.node.data
    compiled, values = STEPS[call.node.op].compiled, _values(call, memory, step, rows)
    if compiled is not None and compiled.keep is not None:
        memory.arrays[f"kept {call.number}"][step, :rows] = compiled.keep(*values)
    memory.rows(call.result, step, call.width, rows)[:] = primitive.forward(*values)


def pull(call: Call, memory: Memory, step: int, rows: int) -> None:
    """Its gradients: those of whole inputs add up."""
    primitive: Primitive = call.node.data
    g = memory.rows(call.result, step, call.width, rows).copy()
    y = memory.rows(Place("record", call_column(call.number)), step, call.width, rows)
    values = _values(call, memory, step, rows)
    needed = tuple(to is not None for to in call.to)
    if primitive.pull is not None:
        found = primitive.pull(g, y, *values, needed=needed)
    else:
        rules = map(primitive.rule, range(len(values)))
        found = [rule(g, y, *values) if n and rule is not None else None for rule, n in zip(rules, needed)]
    for to, width, d in zip(call.to, call.widths, found):
        if to is None:
            continue
        if to.group == "d_whole":
            memory.arrays[f"d_whole {to.name}"][:rows] += d
        else:
            memory.rows(to, step, width, rows)[:] = d
