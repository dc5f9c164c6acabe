"""One step of a cell on Tensors: its equations as they stand, by the operations of the tape.

This is the readable form, and the oracle of the compiled one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..autograd import Tensor, ops
from ..autograd.primitive import as_array
from ..autograd.tensor import constant
from .sizes import declared_widths
from .symbols import Symbol, total

if TYPE_CHECKING:
    from .cell import Cell


def step(cell: Cell, parameters: Mapping[str, Any], x: Any, state: Any, inputs: Mapping[str, Any]) -> tuple[Tensor,
                                                                                                            ...]:
    """What Cell.step does."""
    who = f"{cell.name}.step"
    given = _inputs(cell, x, inputs, who)
    before = _states(cell, state, who)
    learned = _parameters(cell, parameters, who)
    dtype = _one_dtype({**given, **{s.name: v for s, v in zip(cell.carried, before)}, **learned}, who)
    widths = _check_shapes(cell, given, before, learned, who)

    def number(value: Any) -> Tensor:
        return constant(np.array(value, dtype))

    values = {**given, **{s.name: v for s, v in zip(cell.carried, before)},
              **{n: number(v) for n, v in cell.constants.items()}}

    def product(node: Symbol, sources: tuple[Any, ...]) -> Any:
        return total(source @ learned[name].T for name, source in zip(node.data.parameters, sources))

    rows = cell.program.run(values, lambda v: learned[v.parameter], product, number)
    batch = given[cell.inputs[0]].shape[0]
    after = []
    for s, old in zip(cell.carried, [None, *before]):
        new = rows[s.row] if s.lag == 1 else old
        after.append(_filled(new, (batch, widths[s.row]), dtype))
    return tuple(after)


def _tensor(value: Any) -> Tensor:
    return value if isinstance(value, Tensor) else constant(as_array(value))


def _filled(value: Any, shape: tuple[int, ...], dtype: Any) -> Tensor:
    """A row that reads no input or state has one value for all of the batch."""
    if not isinstance(value, Tensor):
        return constant(np.full(shape, value, dtype))
    return value if value.shape == shape else ops.broadcast_to(value, shape)


def _inputs(cell: Cell, x: Any, inputs: Mapping[str, Any], who: str) -> dict[str, Tensor]:
    further = cell.inputs[1:]
    missing = [name for name in further if name not in inputs]
    unknown = [name for name in inputs if name not in further]
    if missing or unknown:
        raise ValueError(f"{who}: the further inputs of this cell are {', '.join(further) or 'none'}"
                         + f"; missing: {', '.join(missing)}" * bool(missing)
                         + f"; unknown: {', '.join(unknown)}" * bool(unknown))
    return {name: _tensor(v) for name, v in zip(cell.inputs, [x, *(inputs[name] for name in further)])}


def _states(cell: Cell, state: Any, who: str) -> list[Tensor]:
    names = ", ".join(cell.states)
    if not isinstance(state, Sequence) or isinstance(state, str):
        raise TypeError(f"{who}: state must be a tuple ({names}), got {type(state).__name__}")
    if len(state) != len(cell.states):
        raise ValueError(f"{who}: state must have {len(cell.states)} entries ({names}), got {len(state)}")
    return [_tensor(s) for s in state]


def _parameters(cell: Cell, parameters: Any, who: str) -> dict[str, Tensor]:
    if not isinstance(parameters, Mapping):
        raise TypeError(f"{who}: parameters must be a mapping of names to tensors, got {type(parameters).__name__}")
    missing = [name for name in cell.parameters if name not in parameters]
    if missing:
        raise ValueError(f"{who}: parameters lacks {', '.join(missing)}")
    return {name: _tensor(parameters[name]) for name in cell.parameters}


def _one_dtype(values: Mapping[str, Tensor], who: str) -> Any:
    """The floating dtype that all share; masks may be bools and integers."""
    found: dict[Any, str] = {}
    for name, value in values.items():
        if value.dtype.kind == "f":
            found.setdefault(value.dtype, name)
    if len(found) > 1:
        (a, first), (b, second), *_ = found.items()
        raise TypeError(f"{who}: {first} is {a} and {second} is {b}; bring them to one dtype, {first}.astype({b}) or "
                        f"{second}.astype({a})")
    if not found:
        raise TypeError(f"{who}: x, the state and the parameters must be floating, got "
                        f"{next(iter(values.values())).dtype}")
    return next(iter(found))


def _check_shapes(cell: Cell, given: Mapping[str, Tensor], before: Sequence[Tensor], learned: Mapping[str, Tensor],
                  who: str) -> dict[str, int]:
    """The widths of all rows; ValueError for a shape that does not fit."""
    x = given[cell.inputs[0]]
    if x.ndim != 2:
        raise ValueError(f"{who}: {cell.inputs[0]} must have the shape (batch, features), got {x.shape}")
    for s, value in zip(cell.carried, before):
        if value.ndim != 2 or value.shape[0] != x.shape[0]:
            raise ValueError(f"{who}: state {s.row} must have the shape (batch, width) with batch = {x.shape[0]} as x "
                             f"has, "
                             f"got {value.shape}")
    sizes = cell.sizes(x.shape[1], _hidden_size(cell, x.shape[1], before, learned))
    for name, shape in sizes.shapes.items():
        if learned[name].shape != shape:
            raise ValueError(f"{who}: parameter {name} must have the shape {shape}, got {learned[name].shape}")
    for name, value in given.items():
        expected = x.shape[0], sizes.widths[name]
        if name in cell.whole:
            if value.ndim < 2 or value.shape[0] != expected[0]:
                raise ValueError(f"{who}: {name} must have the batch {expected[0]} as its first axis, got "
                                 f"{value.shape}")
        elif value.shape != expected:
            raise ValueError(f"{who}: {name} must have the shape {expected}, got {value.shape}")
    for s, value in zip(cell.carried, before):
        if value.shape[1] != sizes.widths[s.row]:
            raise ValueError(f"{who}: state {s.row} must be {sizes.widths[s.row]} wide, got {value.shape[1]}")
    return sizes.widths


def _hidden_size(cell: Cell, input_size: int, before: Sequence[Tensor], learned: Mapping[str, Tensor]) -> int:
    """H, from a state or a parameter of a row that is H wide; else the smallest H that gives the widths found."""
    found = {s.row: int(v.shape[1]) for s, v in zip(cell.carried, before)}
    for row in cell.rows.values():
        for name in [*(n for p in row.products for n in p.data.parameters), *(v.parameter for v in row.vectors)]:
            if learned[name].ndim:
                found.setdefault(row.name, int(learned[name].shape[0]))
    for name, width in found.items():
        if name not in cell.widths:
            return max(width, 1)
    for H in range(1, 8 * max(found.values()) + 8):
        try:
            widths = declared_widths(cell, input_size, H)
        except ValueError:
            continue
        if all(widths[name] == width for name, width in found.items()):
            return H
    return max(1, *found.values())
