"""Back-propagation through a long sequence in little memory: kept are only the states at the borders of segments, and a
segment is run again when its gradients are due.

With segments of 2 sqrt(T) steps the memory between forward and backward grows as sqrt(T), and the time by one more
forward pass (Chen 2016, Training deep nets with sublinear memory cost).  Outputs, states and the gradients of inputs
and states are the same bit by bit; those of the parameters are summed segment by segment, and may differ in rounding.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..autograd import Tensor
from ..autograd.primitive import Primitive
from .compiled import Compiled
from .recorded import recorded
from .sequence import Form, compiled, pull_readable, split

if TYPE_CHECKING:
    from .cell import Cell


class Segment(NamedTuple):
    """Steps first to end of the sequence, and what is run there."""

    x: np.ndarray
    inputs: dict[str, np.ndarray]
    lengths: np.ndarray | None
    steps: slice


def run_in_segments(cell: Cell, hidden_size: int, x: Any, state: Sequence[Any], parameters: Sequence[Any],
                    inputs: Mapping[str, Any], lengths: np.ndarray | None, reverse: bool, form: Form,
                    every: int | str, rows: dict[str, np.ndarray] | None = None) -> tuple[Tensor, tuple[Tensor, ...]]:
    """`sequence.run`, compiled, in segments of `every` steps; "sqrt": of 2 sqrt(T)."""
    parts: list[tuple[slice, dict[str, np.ndarray]]] | None = None if rows is None else []
    # A state is small beside the record of a step: fewer, longer segments cost less time for little more memory.
    every = 2 * (math.isqrt(max(x.shape[0] - 1, 0)) + 1) if every == "sqrt" else int(every)
    plan = compiled(cell, x.shape[-1], hidden_size, np.dtype(x.dtype))
    y, *last = SEGMENTS(x, *inputs.values(), *state, *parameters, plan=plan, names=(tuple(inputs), len(state), form),
                        lengths=lengths, reverse=reverse, every=every, kept=[], parts=parts)
    if rows is not None and parts:
        for name, first in parts[0][1].items():
            rows[name] = np.zeros((x.shape[0], *first.shape[1:]), first.dtype)
            for steps, part in parts:
                rows[name][steps] = part[name]
        parts.clear()               # else they would live as long as the tape
    return y, tuple(last)


def _segments(plan: Compiled, x: np.ndarray, inputs: Mapping[str, np.ndarray], lengths: np.ndarray | None,
              reverse: bool, every: int) -> list[Segment]:
    """The segments in the order of work; those that no row reaches are left out."""
    found = []
    for first in range(0, len(x), every):
        steps = slice(first, min(first + every, len(x)))
        inside = None if lengths is None else np.clip(lengths - first, 0, steps.stop - first)
        if inside is None or inside.any():
            found.append(Segment(x[steps], {n: v[steps] if v.ndim == 3 and n not in plan.cell.whole else v
                                            for n, v in inputs.items()}, inside,
                                 steps))
    return found[::-1] if reverse else found


def _forward(*values: Any, plan: Compiled, names: Any, lengths: Any, reverse: bool, every: int,
             kept: list[Any], parts: list[Any] | None) -> Any:
    state: Sequence[np.ndarray]
    x, inputs, state, parameters = split([np.asarray(v) for v in values], names)
    y = np.zeros((*x.shape[:2], plan.sizes.widths[plan.cell.output]), x.dtype)
    for s in _segments(plan, x, inputs, lengths, reverse, every):
        kept.append(state)
        y[s.steps], state, tape = plan.forward(s.x, state, parameters, s.inputs, s.lengths, reverse)
        if parts is not None:
            parts.append((s.steps, recorded(plan, tape)))
    return (y, *state)


def _pull(g: Any, _y: Any, *values: Any, needed: Sequence[bool], plan: Compiled, names: Any, lengths: Any,
          reverse: bool, every: int, kept: list[Any], parts: list[Any] | None) -> tuple[Any, ...]:
    if any(isinstance(v, Tensor) for v in (*g, *values)):
        return pull_readable(g, values, needed, plan.cell, names, lengths, reverse)
    x, inputs, _, parameters = split(values, names)
    further, states, form = names
    input_names, first = (plan.cell.inputs[0], *further), len(further) + 1
    wanted = [n for n, w in zip(input_names, needed) if w]
    given = dict(zip(input_names, values))
    learned, room = form.room(values[first + states:], needed[first + states:])
    d_y, *d_state = g
    d_inputs: dict[str, np.ndarray] = {}
    segments = list(zip(_segments(plan, x, inputs, lengths, reverse, every), kept))
    for k, (s, before) in enumerate(reversed(segments)):
        _, _, tape = plan.forward(s.x, before, parameters, s.inputs, s.lengths, reverse)
        found = plan.backward(tape, None if d_y is None else d_y[s.steps], d_state, wanted, room, add=k > 0)
        d_state = [found.state[state.row, state.lag] for state in plan.cell.carried]
        for n, d in found.inputs.items():
            total = d_inputs.setdefault(n, np.zeros(given[n].shape, d.dtype))
            total[s.steps if d.ndim == 3 and n not in plan.cell.whole else ...] += d
    form.complete(learned)
    return (*map(d_inputs.get, input_names), *d_state, *learned)


SEGMENTS = Primitive(_forward, pull=_pull, kind="structural", name="sequence")
