"""Every named row of a cell at every step of a sequence: what the gates did, differentiable.

A compiled run gives them from what it kept (`recorded`).  Otherwise, and for their gradients, the readable steps give
the states that each step begins with; given those no step needs another, so all rows of all steps are computed at once,
as one step over T * B rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..autograd import Tensor, grad, ops
from ..autograd.mode import enable_grad, no_grad
from ..autograd.primitive import Primitive
from .sequence import Form, split
from .symbols import Symbol, total

if TYPE_CHECKING:
    from .cell import Cell


def gates(cell: Cell, hidden_size: int, x: Any, state: Sequence[Any], parameters: Sequence[Any], form: Form,
          inputs: Mapping[str, Any], lengths: np.ndarray | None = None, reverse: bool = False,
          known: Mapping[str, np.ndarray] | None = None) -> dict[str, Tensor]:
    """All rows at all steps; the arguments are those of `sequence.run`.

    Parameters
    ----------
    known : mapping, optional
        The rows, of a compiled run with the same arguments: then nothing is computed.

    Returns
    -------
    {row: (T, B, width)} in the order of the text, 0 beyond a length.  Differentiable, through the readable steps.
    """
    found = GATES(x, *inputs.values(), *state, *parameters, cell=cell, hidden_size=hidden_size,
                  names=(tuple(inputs), len(state), form), lengths=lengths, reverse=reverse, known=known)
    return dict(zip(cell.rows, found))


def _forward(*values: Any, cell: Cell, hidden_size: int, names: Any, lengths: Any, reverse: bool,
             known: Any) -> tuple[np.ndarray, ...]:
    if known:
        return tuple(known[name] for name in cell.rows)
    x, inputs, state, parameters = split([np.asarray(v) for v in values], names)
    x = _real(x, lengths)
    with no_grad():
        before = [np.asarray(b) for b in _before(cell, x, state, parameters, inputs, lengths, reverse)]
    with np.errstate(all="ignore"):
        rows = _rows(cell, hidden_size, x, before, parameters, inputs)
    return tuple(np.asarray(_real(rows[name], lengths)) for name in cell.rows)


def _pull(g: Any, _y: Any, *values: Any, needed: Sequence[bool], cell: Cell, hidden_size: int, names: Any,
          lengths: Any, reverse: bool, known: Any) -> tuple[Any, ...]:
    recorded = any(isinstance(v, Tensor) for v in (*g, *values))
    with enable_grad():
        copies = [(ops.copy(v) if isinstance(v, Tensor) else Tensor(v, requires_grad=True)) if n else v
                  for v, n in zip(values, needed)]
        x, inputs, state, parameters = split(copies, names)
        x = _real(x, lengths)
        before = _before(cell, x, state, parameters, inputs, lengths, reverse)
        rows = _rows(cell, hidden_size, x, before, parameters, inputs)
        pairs = [(_real(rows[name], lengths), d) for name, d in zip(cell.rows, g) if d is not None]
        pairs = [(row, d) for row, d in pairs if isinstance(row, Tensor) and row.requires_grad]
        found = iter(grad([row for row, _ in pairs], [c for c, n in zip(copies, needed) if n],
                          [d for _, d in pairs], create_graph=recorded, allow_unused=True))
    gradients = (next(found) if n else None for n in needed)
    return tuple(d if recorded or d is None else d.data for d in gradients)


GATES = Primitive(_forward, pull=_pull, kind="structural", name="gates")


def _real(x: Any, lengths: np.ndarray | None) -> Any:
    """x (T, B, n), 0 beyond the lengths."""
    return x if lengths is None else ops.where((np.arange(len(x))[:, None] < lengths)[..., None], x, 0.0)


def _before(cell: Cell, x: Any, state: Sequence[Any], parameters: Mapping[str, Any], inputs: Mapping[str, Any],
            lengths: np.ndarray | None, reverse: bool) -> list[Any]:
    """The states that each step begins with, (T, B, width) each, by readable steps."""
    steps, current = len(x), tuple(state)
    timed = _timed(cell, inputs)
    found: list[Any] = [None] * steps
    for step in reversed(range(steps)) if reverse else range(steps):
        found[step] = current
        new = cell.step(parameters, x[step], current, **{n: v[step] if n in timed else v for n, v in inputs.items()})
        if lengths is not None:
            on = (step < lengths)[:, None]
            new = tuple(ops.where(on, a, b) for a, b in zip(new, current))
        current = new
    return [ops.stack(column) for column in zip(*found)]


def _rows(cell: Cell, hidden_size: int, x: Any, before: Sequence[Any], parameters: Mapping[str, Any],
          inputs: Mapping[str, Any]) -> dict[str, Any]:
    """All rows of all steps from the states before each, (T, B, width); arrays from arrays, Tensors from Tensors."""
    steps, batch = x.shape[:2]
    timed = _timed(cell, inputs)

    def flat(value: Any, in_time: bool = True) -> Any:
        if not in_time:
            value = ops.broadcast_to(value, (steps, *value.shape))
        return ops.reshape(value, (steps * batch, *value.shape[2:]))    # (T, B, n) -> (T B, n)

    def product(node: Symbol, sources: tuple[Any, ...]) -> Any:
        return total(v @ parameters[name].T for v, name in zip(sources, node.data.parameters))

    def number(value: Any) -> np.ndarray:
        return np.asarray(value, x.dtype)

    values = {cell.inputs[0]: flat(x), **{n: flat(v, n in timed) for n, v in inputs.items()},
              **{s.name: flat(v) for s, v in zip(cell.carried, before)},
              **{n: number(v) for n, v in cell.constants.items()}}
    rows = cell.program.run(values, lambda v: parameters[v.parameter], product, number)
    widths = cell.sizes(x.shape[-1], hidden_size).widths

    def shaped(name: str) -> Any:
        row, flat_shape = rows[name], (steps * batch, widths[name])
        if not isinstance(row, Tensor):
            row = number(row)       # "i = 1" is one number for all
        if row.shape != flat_shape:
            row = ops.broadcast_to(row, flat_shape)
        return ops.reshape(row, (steps, batch, widths[name]))           # (T B, n) -> (T, B, n)

    return {name: shaped(name) for name in cell.rows}


def _timed(cell: Cell, inputs: Mapping[str, Any]) -> set[str]:
    """Inputs that have a value for each step."""
    return {name for name, v in inputs.items() if v.ndim == 3 and name not in cell.whole}
