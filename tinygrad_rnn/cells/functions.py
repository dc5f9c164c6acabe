"""What the equations of a cell may call, beside functions of their own.

Elementwise functions are the primitives of the tape.  The mean over units spreads its result over them again: that is
the matrix with 1/H everywhere, which is symmetric, hence its own adjoint; so layer normalisation is a line of
arithmetic and needs no derivative of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .. import kernels
from ..autograd import ops
from ..autograd.primitive import REGISTRY, Primitive, as_array, case, primitive, reals
from .symbols import UNITWISE

EPSILON = 1e-5


def _spread_back(g: Any, _y: Any, _x: Any) -> Any:
    return unit_mean(g)


@primitive(rules=[_spread_back], kind="structural", domain=[reals()],
           oracle=lambda x: np.mean(x, axis=-1, keepdims=True) + np.zeros_like(x),
           cases=[case((3, 4)), case((4,)), case((2, 3, 5)), case((0, 4)), case((3, 1))])
def unit_mean(x: Any) -> Any:
    """The mean over the last axis, at every place of that axis."""
    x = as_array(x)
    if not x.ndim:
        raise ValueError("unit_mean: a number has no units to average over")
    return np.broadcast_to(kernels.mean(x, axis=-1, keepdims=True), x.shape).copy()


# Its gradient is not that of the identity that it computes: the laws of the registry are not for it.
@primitive(rules=[None], oracle=np.positive, domain=[reals()], register=False)
def stop(x: Any) -> Any:
    """x; no gradient passes."""
    return as_array(x)


def layer_norm(u: Any) -> Any:
    """(u - mean(u)) / sqrt(mean((u - mean(u))**2) + 1e-5), over the units of a row (Ba 2016, equation 4)."""
    centred = u - unit_mean(u)
    return centred / ops.sqrt(unit_mean(centred ** 2) + EPSILON)


# Under the names of the language; each takes one argument.
PRIMITIVES: dict[str, Primitive] = {
    "tanh": ops.tanh, "sigmoid": ops.sigmoid, "relu": ops.relu, "softplus": REGISTRY["softplus"], "exp": ops.exp,
    "log": ops.log, "sqrt": ops.sqrt, "step": ops.step, "mean": unit_mean, "stop": stop}
FUNCTIONS: dict[str, Callable[[Any], Any]] = {**PRIMITIVES, "layer_norm": layer_norm}
UNITWISE.update({operation: name for name, operation in PRIMITIVES.items()})


# ---- opaque steps ---------------------------------------------------------------------------------------------------
class StepKernels(NamedTuple):
    """The machine code of a step primitive, for compiled cells; `kernels/attention.py` is an example.

    Attributes
    ----------
    code : callable
        code() -> (forward, backward): each dtype -> address of void(rows, lanes, step, row, first, table).  The table
        holds for each operand: address, bytes of a step, bytes of a row, and the two sizes of a row, (n,) as (n, 1).
        forward: the arguments, result, kept, and where an int64 for each row stands: which row of the whole arguments
        it reads.  backward: gradient of the result, the arguments, kept, as much room for a
        row again, then for each argument with a gradient where that goes: it overwrites those of width-like arguments
        and adds to those of whole ones.
    kept : callable
        kept(*shapes of the arguments, (batch, ...)) -> numbers that forward leaves for backward, a row and step.
    keep : callable, optional
        keep(*arguments) -> these numbers, (batch, n), by NumPy.
    """

    code: Callable[[], tuple[Any, Any]]
    kept: Callable[..., int]
    keep: Callable[..., Any] | None = None


@dataclass(frozen=True)
class StepPrimitive:
    """A primitive that the text of a cell may call, with its own forward and backward kernel."""

    primitive: Primitive
    arity: int
    width: Callable[..., int]
    sequence: tuple[int, ...]
    no_gradient: tuple[int, ...]
    compiled: StepKernels | None = None


STEPS: dict[str, StepPrimitive] = {}


def register_step(operation: Primitive, *, arity: int, width: int | Callable[..., int] = 0,
                  sequence: Sequence[int] = (), no_gradient: Sequence[int] = (),
                  compiled: StepKernels | None = None) -> Primitive:
    """Make a primitive callable, by its name, in the equations of cells: attend(query, keys, values, mask).

    Parameters
    ----------
    operation : Primitive
        Made by `autograd.custom` or `autograd.primitive.primitive`; its forward takes (batch, width) arrays and, at the
        positions `sequence`, whole per-sequence inputs (batch, ...), and gives (batch, width).
    arity : int
        Number of arguments.
    width : int, or callable(*widths) -> int
        The width of its result: that of the argument at this position, or a function of all widths (last axes).
    sequence : sequence of int
        Positions of arguments that are further inputs of the cell, handed on as they are, of any rank.
    no_gradient : sequence of int
        Positions of arguments that get none, as a mask; those without a rule are known.
    compiled : StepKernels, optional
        Its machine code; cells that call a primitive without any run step by step.

    Returns
    -------
    Primitive
        operation

    Raises
    ------
    TypeError
        If operation is not a Primitive.
    ValueError
        If its name is taken or not a free name, or a position does not exist.
    """
    if not isinstance(operation, Primitive):
        raise TypeError(f"register_step: operation must be a Primitive, got {type(operation).__name__}")
    name = operation.name
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or re.fullmatch(r"[xWbps]\d*", name) or name.endswith("_prev"):
        raise ValueError(f"register_step: {name!r} cannot name a function of the language")
    if name in FUNCTIONS or (name in STEPS and STEPS[name].primitive is not operation):
        raise ValueError(f"register_step: the name {name!r} is taken")
    positions = [*sequence, *no_gradient, *([width] if isinstance(width, int) else [])]
    if arity < 1 or any(not 0 <= k < arity for k in positions):
        raise ValueError(f"register_step: {name} takes {arity} arguments; got positions {positions}")
    chosen: Callable[..., int] = (lambda *widths: widths[width]) if isinstance(width, int) else width
    without = {*no_gradient, *(k for k in range(arity) if operation.pull is None and operation.rule(k) is None)}
    STEPS[name] = StepPrimitive(operation, arity, chosen, tuple(sequence), tuple(sorted(without)), compiled)
    UNITWISE[operation] = name
    return operation
