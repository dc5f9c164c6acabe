"""Single steps with weights packed once equal the sequence, bit for bit."""

import numpy as np
import pytest

from tests.cells.sequences import problem
from tinygrad_rnn.cells import Cell, catalogue
from tinygrad_rnn.cells.compiled import WITHOUT_JIT, Compiled
from tinygrad_rnn.cells.stepper import CompiledStepper, ReadableStepper

CELLS = {n: catalogue()[n] for n in ("lstm", "gru_reset_before", "residual_rnn", "lstm_projection", "gru_layernorm")}
CELLS["zoneout"] = Cell("n = tanh(W(x, h_prev) + b)\nh = m*h_prev + (1 - m)*n", inputs="x m", name="zoneout")


@pytest.mark.parametrize("jit", [False, pytest.param(True, marks=pytest.mark.skipif(WITHOUT_JIT, reason="no JIT"))])
@pytest.mark.parametrize("B", [1, 5])
@pytest.mark.parametrize("name", CELLS)
def test_steps_are_the_sequence(name, B, jit):
    p = problem(CELLS[name], T=4, B=B, D=7, H=20, dtype=np.float32)
    compiled = Compiled(p.cell, *p.sizes, np.float32, jit)
    x, *further = p.cell.inputs
    y, last, _ = compiled.forward(p.inputs[x], p.state, p.parameters, {n: p.inputs[n] for n in further})
    step = CompiledStepper(compiled, p.parameters, B)
    readable = ReadableStepper(p.cell, p.parameters)
    step.state = readable.state = p.state
    outputs = []
    for k in range(4):
        more = {n: p.inputs[n][k] for n in further}
        outputs.append(step(p.inputs[x][k], more).copy())
        np.testing.assert_allclose(outputs[-1], readable(p.inputs[x][k], more), rtol=1e-4, atol=1e-5)
    for found, expected in zip((np.array(outputs), *step.state), (y, *last)):
        if jit:
            np.testing.assert_array_equal(found, expected)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_parameters_are_as_they_were():
    p = problem(CELLS["lstm"], B=1)
    step = CompiledStepper(Compiled(p.cell, *p.sizes, np.float64), p.parameters, 1)
    step.state = p.state
    before = step(p.inputs["x"][0], {}).copy()
    for value in p.parameters.values():
        value += 1
    step.state = p.state
    np.testing.assert_array_equal(step(p.inputs["x"][0], {}), before)
