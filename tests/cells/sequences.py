"""Whole sequences, two ways: by the compiled kernel, and row by row with the readable step on the tape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import tinygrad_rnn as t
from tests.cells.tools import Arrays
from tinygrad_rnn.cells import Cell
from tinygrad_rnn.cells.compiled import Compiled


@dataclass
class Problem:
    """Random inputs, states, parameters and cotangents; nothing is zero, and x beyond a length is NaN."""

    cell: Cell
    sizes: tuple[int, int]
    parameters: Arrays
    inputs: Arrays                      # (T, B, width), or (B, width) where shared
    state: tuple[np.ndarray, ...]
    lengths: np.ndarray | None
    reverse: bool
    d_y: np.ndarray                     # (T, B, width)
    d_last: tuple[np.ndarray, ...]

    @property
    def ends(self) -> list[int]:
        return [len(self.d_y)] * self.d_y.shape[1] if self.lengths is None else self.lengths.tolist()

    def rows(self, chosen: Any) -> Problem:
        """The same problem for some rows of the batch."""
        return Problem(self.cell, self.sizes, self.parameters,
                       {n: v[:, chosen] if v.ndim == 3 and n not in self.cell.whole else v[chosen]
                        for n, v in self.inputs.items()},
                       tuple(s[chosen] for s in self.state), None if self.lengths is None else self.lengths[chosen],
                       self.reverse, self.d_y[:, chosen], tuple(d[chosen] for d in self.d_last))

    def astype(self, dtype: Any) -> Problem:
        """The same problem in another precision."""
        def cast(v):
            return v.astype(dtype)
        return Problem(self.cell, self.sizes, {n: cast(v) for n, v in self.parameters.items()},
                       {n: cast(v) for n, v in self.inputs.items()}, tuple(map(cast, self.state)), self.lengths,
                       self.reverse, cast(self.d_y), tuple(map(cast, self.d_last)))


def problem(cell: Cell, T: int = 5, B: int = 4, D: int = 3, H: int = 6, lengths: Any = None, reverse: bool = False,
            shared: bool = False, seed: int = 0, scale: float = 0.5, dtype: Any = np.float64) -> Problem:
    """`shared`: further inputs are the same at all steps."""
    rng = np.random.default_rng(seed)
    if any(name in cell.name for name in ("mut1", "mut2")):
        D = H
    sizes = cell.sizes(D, H)
    x, *further = cell.inputs
    inputs = {x: rng.standard_normal((T, B, D))}
    inputs |= {n: rng.standard_normal((B, sizes.widths[n]) if shared else (T, B, sizes.widths[n])) for n in further}
    lengths = None if lengths is None else np.array(lengths, np.int64)
    for row, end in enumerate([] if lengths is None else lengths):
        inputs[x][end:, row] = np.nan
    widths = [sizes.widths[s.row] for s in cell.carried]
    made = Problem(cell, (D, H), {n: scale * rng.standard_normal(s) for n, s in sizes.shapes.items()}, inputs,
                   tuple(rng.standard_normal((B, w)) for w in widths), lengths, reverse,
                   rng.standard_normal((T, B, widths[0])), tuple(rng.standard_normal((B, w)) for w in widths))
    return made.astype(dtype)


def by_kernel(p: Problem, jit: bool | None = None, compiled: Compiled | None = None) -> Arrays:
    """Outputs, last states and all gradients, by name; jit=False: the same schedule on NumPy rows."""
    compiled = compiled or Compiled(p.cell, *p.sizes, p.d_y.dtype, jit)
    x, *further = p.cell.inputs
    y, last, tape = compiled.forward(p.inputs[x], p.state, p.parameters, {n: p.inputs[n] for n in further},
                                     p.lengths, p.reverse)
    room = {n: np.full(v.shape, np.nan, v.dtype) for n, v in p.parameters.items()}
    found = compiled.backward(tape, p.d_y, p.d_last, room=room)
    d_state = [found.state[s.row, s.lag] for s in p.cell.carried]
    gradients = {n: found.inputs.get(n, np.zeros_like(v)) for n, v in p.inputs.items()} | room
    return named(y, last, d_state, gradients)


def by_steps(p: Problem) -> Arrays:
    """The same, a row of the batch and a step at a time."""
    inputs, parameters = ({n: t.tensor(np.nan_to_num(v), requires_grad=True) for n, v in part.items()}
                          for part in (p.inputs, p.parameters))
    before = [t.tensor(s, requires_grad=True) for s in p.state]
    y, last, loss = np.zeros_like(p.d_y), [np.empty_like(s) for s in p.state], 0.0
    x, *further = p.cell.inputs
    for row, end in enumerate(p.ends):
        one = slice(row, row + 1)
        state = tuple(s[one] for s in before)
        for step in reversed(range(end)) if p.reverse else range(end):
            more = {n: inputs[n][step, one] if inputs[n].ndim == 3 and n not in p.cell.whole else inputs[n][one]
                    for n in further}
            state = p.cell.step(parameters, inputs[x][step, one], state, **more)
            y[step, row] = state[0].numpy()[0]
            loss = loss + (state[0] * p.d_y[step, one]).sum()
        for k, (s, d) in enumerate(zip(state, p.d_last)):
            last[k][row] = s.numpy()[0]
            loss = loss + (s * d[one]).sum()
    loss.backward()
    gradients = {n: np.zeros(v.shape) if v.grad is None else v.grad.numpy() for n, v in (inputs | parameters).items()}
    return named(y, last, [np.zeros(s.shape) if s.grad is None else s.grad.numpy() for s in before], gradients)


def named(y: np.ndarray, last: Any, d_state: Any, gradients: Arrays) -> Arrays:
    """All results, in one dict."""
    states = {f"last {k}": s for k, s in enumerate(last)} | {f"d state {k}": s for k, s in enumerate(d_state)}
    return {"y": y, **states, **{f"d {n}": g for n, g in gradients.items()}}


def same(a: Arrays, b: Arrays) -> bool:
    """Bit for bit?"""
    return a.keys() == b.keys() and all(np.array_equal(a[n].view(np.uint8), b[n].view(np.uint8))
                                        if a[n].flags.c_contiguous and b[n].flags.c_contiguous
                                        else np.array_equal(a[n], b[n]) for n in a)
