"""Shared by the tests of cells: random cases, the tape over several steps, the derived adjoint equations by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

import tinygrad_rnn as t
from tinygrad_rnn.cells import Cell
from tinygrad_rnn.cells.symbols import evaluate

Arrays = dict[str, np.ndarray]


@dataclass
class Case:
    """Random inputs, states, parameters and cotangents for a cell, float64."""

    cell: Cell
    parameters: Arrays
    inputs: Arrays                      # (T, B, width)
    state: tuple[np.ndarray, ...]
    d_outputs: np.ndarray               # (T, B, width)
    d_state: tuple[np.ndarray, ...]

    @property
    def steps(self) -> int:
        return len(self.d_outputs)


def case(cell: Cell, T: int = 4, B: int = 3, D: int = 3, H: int = 4, seed: int = 0, scale: float = 0.6) -> Case:
    """Nothing is zero: states, parameters, cotangents."""
    rng = np.random.default_rng(seed)
    try:
        sizes = cell.sizes(D, H)
    except ValueError:              # a bare x needs D = H
        sizes = cell.sizes(H, H)
    inputs = {n: rng.standard_normal((T, B, sizes.widths[n])) for n in cell.inputs}
    parameters = {n: scale * rng.standard_normal(shape) for n, shape in sizes.shapes.items()}
    widths = [sizes.widths[s.row] for s in cell.carried]
    state = tuple(rng.standard_normal((B, w)) for w in widths)
    return Case(cell, parameters, inputs, state, rng.standard_normal((T, B, widths[0])),
                tuple(rng.standard_normal((B, w)) for w in widths))


def run(c: Case, parameters: Mapping[str, Any], inputs: Mapping[str, Any], state: tuple[Any, ...]) -> tuple[list,
                                                                                                            tuple]:
    """The readable step over the sequence: outputs, last state."""
    outputs = []
    first, *further = c.cell.inputs
    for k in range(c.steps):
        state = c.cell.step(parameters, inputs[first][k], state, **{n: inputs[n][k] for n in further})
        outputs.append(state[0])
    return outputs, state


def loss(c: Case, parameters: Mapping[str, Any], inputs: Mapping[str, Any], state: tuple[Any, ...]) -> Any:
    """Outputs and last state weighted with the cotangents."""
    outputs, last = run(c, parameters, inputs, state)
    total = sum((y * g).sum() for y, g in zip(outputs, c.d_outputs))
    return total + sum((s * g).sum() for s, g in zip(last, c.d_state))


def by_tape(c: Case) -> Arrays:
    """Gradients by the tape: parameters and inputs by name, initial states as "state 0" ..."""
    parameters, inputs = ({n: t.tensor(v, requires_grad=True) for n, v in part.items()}
                          for part in (c.parameters, c.inputs))
    state = tuple(t.tensor(s, requires_grad=True) for s in c.state)
    loss(c, parameters, inputs, state).backward()
    leaves = {**parameters, **inputs, **{f"state {k}": s for k, s in enumerate(state)}}
    return {n: np.zeros(v.shape) if v.grad is None else v.grad.numpy() for n, v in leaves.items()}


def by_graph(c: Case) -> Arrays:
    """The same from the adjoint graph of the cell, evaluated on arrays step by step, last to first."""
    cell, adjoint, T = c.cell, c.cell.adjoint, c.steps
    history: dict[str, dict[int, np.ndarray]] = {}
    for s, value in zip(cell.carried, c.state):
        history.setdefault(s.row, {})[-s.lag] = value
    values = [_forward(c, history, k) for k in range(T)]
    arriving: dict[str, dict[int, np.ndarray]] = {row: {} for row in history}
    for k, g in enumerate(c.d_outputs):
        _add(arriving[cell.output], k, g)
    for s, g in zip(cell.carried, c.d_state):
        _add(arriving[s.row], T - s.lag, g)
    found = {n: np.zeros_like(v) for n, v in {**c.parameters, **c.inputs}.items()}
    for k in reversed(range(T)):
        def value(node, k=k):
            return arriving[node.data].get(k,
                                           0.0 * history[node.data][k]) if node.op == "cotangent" else values[k](node)
        ends = [n for n in adjoint.cotangents if n.op in ("state", "input", "vector")]
        for node, g in zip(ends, evaluate([adjoint.cotangents[n] for n in ends], value, c.parameters)):
            if node.op == "state":
                _add(arriving[node.data.row], k - node.data.lag, g)
            elif node.op == "input":
                found[node.data][k] += g
            else:
                found[node.data.parameter] += np.sum(np.atleast_2d(g), axis=0)
        for name, factors in adjoint.matrices.items():
            g, source = evaluate(factors, value, c.parameters)
            B = len(c.state[0])
            found[name] += np.broadcast_to(g, (B, g.shape[-1])).T @ np.broadcast_to(source, (B, source.shape[-1]))
    for k, (s, before) in enumerate(zip(cell.carried, c.state)):
        found[f"state {k}"] = arriving[s.row].get(-s.lag, np.zeros_like(before))
    return found


def _add(where: dict[int, np.ndarray], k: int, g: Any) -> None:
    where[k] = where[k] + g if k in where else g


def _forward(c: Case, history: dict[str, dict[int, np.ndarray]], k: int) -> Any:
    """Compute step k on arrays; returns the values of its leaves."""
    def value(node):
        if node.op == "state":
            return history[node.data.row][k - node.data.lag]
        if node.op == "input":
            return c.inputs[node.data][k]
        if node.op == "vector":
            return c.parameters[node.data.parameter]
        return np.asarray(c.cell.constants[node.data], np.float64)

    rows = list(history)
    for row, new in zip(rows, evaluate([c.cell.flat[r] for r in rows], value, c.parameters)):
        history[row][k] = np.broadcast_to(new, history[row][-1].shape)
    return value


def worst(ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]) -> float:
    """The largest difference, relative to the largest value of each array."""
    assert ours.keys() == theirs.keys()
    return max(float(np.abs(ours[n] - theirs[n]).max(initial=0) / max(np.abs(theirs[n]).max(initial=0), 1e-3))
               for n in theirs)


def slope_error(c: Case, gradients: Arrays, seed: int = 1, eps: float = 1e-6) -> float:
    """How far gradients are from the finite difference along a random direction, relatively."""
    rng = np.random.default_rng(seed)
    start = {**c.parameters, **c.inputs, **{f"state {k}": s for k, s in enumerate(c.state)}}
    direction = {n: rng.standard_normal(v.shape) for n, v in start.items()}

    def at(distance):
        moved = {n: v + distance * direction[n] for n, v in start.items()}
        state = tuple(moved.pop(f"state {k}") for k in range(len(c.state)))
        return float(loss(c, {n: moved[n] for n in c.parameters}, {n: moved[n] for n in c.inputs}, state))

    slope = (at(eps) - at(-eps)) / (2 * eps)
    predicted = sum(float(np.sum(g * direction[n])) for n, g in gradients.items())
    return abs(predicted - slope) / max(abs(slope), 1.0)
