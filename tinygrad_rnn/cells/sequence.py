"""A cell over a whole sequence, differentiable: compiled, or step by step on the tape.

The compiled run is one operation of the tape. Its derivative is compiled too; asked for a derivative of that (under
create_graph), it runs the readable steps again from what it was given and differentiates those, at the price of T steps
on the tape.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..autograd import Tensor, grad, ops
from ..autograd.mode import enable_grad
from ..autograd.primitive import Primitive
from .compiled import Compiled

if TYPE_CHECKING:
    from .cell import Cell


@functools.lru_cache(maxsize=256)
def compiled(cell: Cell, input_size: int, hidden_size: int, dtype: np.dtype, constants: Any = None) -> Compiled:
    """The compiled forms of a cell for sizes and dtype, made once a process."""
    return Compiled(cell, input_size, hidden_size, dtype)


def run(cell: Cell, hidden_size: int, x: Any, state: Sequence[Any], parameters: Mapping[str, Any],
        inputs: Mapping[str, Any] | None = None, lengths: np.ndarray | None = None, reverse: bool = False,
        fused: bool = True) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run a cell over sequences.

    Parameters
    ----------
    x : Tensor (T, B, D)
    state : sequence of Tensor, in the order of cell.carried, each (B, width)
    parameters : mapping of str to Tensor
    inputs : further inputs by name, (T, B, width) or (B, width)
    lengths : (B,) int64, checked: 1 <= length <= T
    reverse : bool
        Begin at each row's last real step.
    fused : bool
        Compiled, or readable steps on the tape.

    Returns
    -------
    output (T, B, width), 0 beyond a length; state after each row's last step
    """
    inputs = inputs or {}
    if not fused or cell.whole:
        return readable(cell, x, state, parameters, inputs, lengths, reverse)
    names = (tuple(inputs), len(state), tuple(cell.parameters))
    plan = compiled(cell, x.shape[-1], hidden_size, np.dtype(x.dtype))
    y, *last = SEQUENCE(x, *inputs.values(), *state, *(parameters[n] for n in cell.parameters), plan=plan, names=names,
                        lengths=lengths, reverse=reverse, kept={})
    return y, tuple(last)


def _split(values: Sequence[Any], names: Any) -> tuple[Any, dict[str, Any], list[Any], dict[str, Any]]:
    """x, further inputs, state, parameters of the operation's arguments."""
    inputs, states, parameters = names
    x, *rest = values
    a, b = len(inputs), len(inputs) + states
    return x, dict(zip(inputs, rest[:a])), rest[a:b], dict(zip(parameters, rest[b:]))


def _forward(*values: Any, plan: Compiled, names: Any, lengths: Any, reverse: bool, kept: dict[str, Any]) -> Any:
    x, inputs, state, parameters = _split([np.asarray(v) for v in values], names)
    y, last, kept["tape"] = plan.forward(x, state, parameters, inputs, lengths, reverse)
    return (y, *last)


def _pull(g: Any, y: Any, *values: Any, needed: Any, plan: Compiled, names: Any, lengths: Any, reverse: bool,
          kept: dict[str, Any]) -> tuple[Any, ...]:
    if any(isinstance(v, Tensor) for v in (*g, *values)):
        return _pull_readable(g, values, needed, plan.cell, names, lengths, reverse)
    d_y, *d_last = g
    d_y = np.zeros(y[0].shape, y[0].dtype) if d_y is None else d_y
    found = plan.backward(kept["tape"], d_y, d_last)
    inputs, _, parameters = names
    given = [found["inputs"].get(plan.cell.inputs[0]), *(found["inputs"].get(n) for n in inputs),
             *(found["state"][s.row, s.lag] for s in plan.cell.carried), *(found["parameters"].get(n) for n in parameters)]
    return tuple(given)


def _pull_readable(g: Any, values: Any, needed: Any, cell: Cell, names: Any, lengths: Any, reverse: bool) -> tuple[Any, ...]:
    """The same, recorded: the readable steps from copies of the arguments, differentiated on the tape."""
    with enable_grad():
        copies = [ops.copy(v) if n else v for v, n in zip(values, needed)]
        x, inputs, state, parameters = _split(copies, names)
        y, last = readable(cell, x, state, parameters, inputs, lengths, reverse)
        pairs = [(out, d) for out, d in zip((y, *last), g) if d is not None and out.requires_grad]
        wanted = [c for c, n in zip(copies, needed) if n]
        found = iter(grad([out for out, _ in pairs], wanted, [d for _, d in pairs], create_graph=True, allow_unused=True))
    return tuple(next(found) if n else None for n in needed)


SEQUENCE = Primitive(_forward, pull=_pull, kind="structural", name="sequence")


def readable(cell: Cell, x: Any, state: Sequence[Any], parameters: Mapping[str, Any], inputs: Mapping[str, Any],
             lengths: np.ndarray | None, reverse: bool) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The sequence step by step with `Cell.step`: the oracle of the compiled run."""
    steps, batch = x.shape[:2]
    timed = {n for n, v in inputs.items() if v.ndim == 3 and n not in cell.whole}
    state, outputs = tuple(state), [None] * steps       # type: tuple[Any, ...], list[Any]
    if lengths is not None:
        x = ops.where((np.arange(steps)[:, None] < lengths)[..., None], x, 0.0)
    for step in range(steps - 1, -1, -1) if reverse else range(steps):
        new = cell.step(parameters, x[step], state, **{n: v[step] if n in timed else v for n, v in inputs.items()})
        if lengths is not None:
            on = (step < lengths)[:, None]
            state = tuple(ops.where(on, a, b) for a, b in zip(new, state))
            outputs[step] = ops.where(on, new[0], 0.0)
        else:
            state, outputs[step] = new, new[0]
    return ops.stack(outputs), state
