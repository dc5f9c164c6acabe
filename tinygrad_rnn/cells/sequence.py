"""A cell over a whole sequence, differentiable: compiled, or step by step on the tape.

The compiled run is one operation of the tape. Its derivative is compiled too; asked for a derivative of that (under
create_graph), it runs the readable steps again from what it was given and differentiates those, at the price of T steps
on the tape.

Cells with step primitives (`cell.opaque`) run compiled if these have machine code (`cell.compilable`), which the
schedule calls between two units; otherwise step by step.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..autograd import Tensor, grad, ops
from ..autograd.mode import enable_grad
from ..autograd.primitive import Primitive
from .compiled import Compiled, Tape
from .gradients import Room
from .recorded import recorded

if TYPE_CHECKING:
    from .cell import Cell


class Form(Protocol):
    """How a cell's parameters stand in the tensors that a layer owns."""

    def unpack(self, values: Sequence[Any]) -> Mapping[str, Any]:
        """Parameters by the cell's names from the layer's, arrays or Tensors alike."""

    def room(self, values: Sequence[Any], needed: Sequence[bool]) -> tuple[Sequence[np.ndarray | None], Room]:
        """The way back: new arrays for the gradients of the layer's tensors (None of those that nobody needs), and
        where in them those of the cell's parameters go."""

    def complete(self, gradients: Sequence[np.ndarray | None]) -> None:
        """What remains to be done when the room is filled."""


@dataclass(frozen=True)
class Named:
    """Each parameter is a tensor of its own."""

    names: tuple[str, ...]

    def unpack(self, values: Sequence[Any]) -> Mapping[str, Any]:
        """See `Form`."""
        return dict(zip(self.names, values))

    def room(self, values: Sequence[Any], needed: Sequence[bool]) -> tuple[Sequence[np.ndarray | None], Room]:
        """See `Form`."""
        made = [np.empty(v.shape, v.dtype) if n else None for v, n in zip(values, needed)]
        return made, {name: a for name, a in zip(self.names, made) if a is not None}

    def complete(self, gradients: Sequence[np.ndarray | None]) -> None:
        """See `Form`."""


@functools.lru_cache(maxsize=256)
def compiled(cell: Cell, input_size: int, hidden_size: int, dtype: np.dtype) -> Compiled:
    """The compiled forms of a cell for sizes and dtype, made once a process."""
    return Compiled(cell, input_size, hidden_size, dtype)


def run(cell: Cell, hidden_size: int, x: Any, state: Sequence[Any], parameters: Mapping[str, Any] | Sequence[Any],
        inputs: Mapping[str, Any] | None = None, lengths: np.ndarray | None = None, reverse: bool = False,
        fused: bool = True, form: Form | None = None,
        rows: dict[str, np.ndarray] | None = None) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run a cell over sequences.

    Parameters
    ----------
    x : Tensor (T, B, D)
    state : sequence of Tensor, in the order of cell.carried, each (B, width)
    parameters : mapping of str to Tensor; with a form, the sequence of Tensors that it unpacks
    inputs : further inputs by name, (T, B, width) or (B, width); (B, ...) what step primitives are handed whole
    lengths : (B,) int64, checked: 1 <= length <= T
    reverse : bool
        Begin at each row's last real step.
    fused : bool
        Compiled, or readable steps on the tape.
    form : Form, optional
        How `parameters` hold the cell's.
    rows : dict, optional
        Filled with every row of the equations at all steps, (T, B, width), if the run is compiled.

    Returns
    -------
    output (T, B, width), 0 beyond a length; state after each row's last step
    """
    inputs = inputs or {}
    if isinstance(parameters, Mapping):
        form = Named(tuple(cell.parameters))
        parameters = [parameters[name] for name in form.names]
    elif form is None:
        raise TypeError("run: parameters: expected a mapping by name where no form says what they are")
    if not fused or not cell.compilable:
        return readable(cell, x, state, form.unpack(parameters), inputs, lengths, reverse)
    names = (tuple(inputs), len(state), form)
    plan = compiled(cell, x.shape[-1], hidden_size, np.dtype(x.dtype))
    kept: dict[str, Tape] = {}
    y, *last = SEQUENCE(x, *inputs.values(), *state, *parameters, plan=plan, names=names, lengths=lengths,
                        reverse=reverse, kept=kept)
    if rows is not None:
        rows.update(recorded(plan, kept["tape"]))
    return y, tuple(last)


def split(values: Sequence[Any], names: Any) -> tuple[Any, dict[str, Any], list[Any], dict[str, Any]]:
    """x, further inputs, state, parameters of the operation's arguments."""
    inputs, states, form = names
    x, *rest = values
    a, b = len(inputs), len(inputs) + states
    return x, dict(zip(inputs, rest[:a])), rest[a:b], form.unpack(rest[b:])


def _forward(*values: Any, plan: Compiled, names: Any, lengths: Any, reverse: bool, kept: dict[str, Tape]) -> Any:
    x, inputs, state, parameters = split([np.asarray(v) for v in values], names)
    y, last, kept["tape"] = plan.forward(x, state, parameters, inputs, lengths, reverse)
    return (y, *last)


def _pull(g: Any, _y: Any, *values: Any, needed: Sequence[bool], plan: Compiled, names: Any, lengths: Any,
          reverse: bool, kept: dict[str, Tape]) -> tuple[Any, ...]:
    if any(isinstance(v, Tensor) for v in (*g, *values)):
        return pull_readable(g, values, needed, plan.cell, names, lengths, reverse)
    further, states, form = names
    inputs = plan.cell.inputs[0], *further
    wanted, first = needed[:len(inputs)], len(inputs) + states
    d_y, *d_last = g
    learned, room = form.room(values[first:], needed[first:])
    found = plan.backward(kept["tape"], d_y, d_last, [n for n, w in zip(inputs, wanted) if w], room)
    form.complete(learned)
    state = [found.state[s.row, s.lag] for s in plan.cell.carried]
    return (*map(found.inputs.get, inputs), *state, *learned)


def pull_readable(g: Any, values: Any, needed: Any, cell: Cell, names: Any, lengths: Any,
                  reverse: bool) -> tuple[Any, ...]:
    """The same, recorded: the readable steps from copies of the arguments, differentiated on the tape."""
    with enable_grad():
        copies = [ops.copy(v) if n else v for v, n in zip(values, needed)]
        x, inputs, state, parameters = split(copies, names)
        y, last = readable(cell, x, state, parameters, inputs, lengths, reverse)
        pairs = [(out, d) for out, d in zip((y, *last), g) if d is not None and out.requires_grad]
        wanted = [c for c, n in zip(copies, needed) if n]
        found = iter(grad([out for out, _ in pairs], wanted, [d for _, d in pairs], create_graph=True,
                          allow_unused=True))
    return tuple(next(found) if n else None for n in needed)


SEQUENCE = Primitive(_forward, pull=_pull, kind="structural", name="sequence")


def readable(cell: Cell, x: Any, state: Sequence[Any], parameters: Mapping[str, Any], inputs: Mapping[str, Any],
             lengths: np.ndarray | None, reverse: bool) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The sequence step by step with `Cell.step`: the oracle of the compiled run."""
    steps = x.shape[0]
    timed = {n for n, v in inputs.items() if v.ndim == 3 and n not in cell.whole}
    current: tuple[Any, ...] = tuple(state)
    outputs: list[Any] = [None] * steps
    if lengths is not None:
        x = ops.where((np.arange(steps)[:, None] < lengths)[..., None], x, 0.0)
    for step in range(steps - 1, -1, -1) if reverse else range(steps):
        new = cell.step(parameters, x[step], current, **{n: v[step] if n in timed else v for n, v in inputs.items()})
        outputs[step] = new[0]
        if lengths is not None:
            on = (step < lengths)[:, None]
            new = tuple(ops.where(on, a, b) for a, b in zip(new, current))
            outputs[step] = ops.where(on, new[0], 0.0)
        current = new
    return ops.stack(outputs), current
