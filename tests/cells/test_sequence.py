"""The compiled sequence as an operation of the tape: gradients, derivatives of derivatives, memory."""

import gc
import weakref

import numpy as np
import pytest

import tinygrad_rnn as t
from tests.cells.sequences import Problem, by_steps, named, problem
from tests.cells.tools import worst
from tinygrad_rnn.cells import catalogue, sequence
from tinygrad_rnn.cells.compiled import Compiled
from tinygrad_rnn.testing import gradcheck, gradgradcheck

CATALOGUE = catalogue()
KINDS = {"plain": {}, "ragged": {"lengths": [2, 5, 3, 1]}, "reverse": {"reverse": True}}


def leaves(p: Problem) -> tuple[dict, list, dict]:
    inputs, parameters = ({n: t.tensor(np.nan_to_num(v), requires_grad=True) for n, v in part.items()}
                          for part in (p.inputs, p.parameters))
    return inputs, [t.tensor(s, requires_grad=True) for s in p.state], parameters


def run(p: Problem, inputs, state, parameters, fused=True):
    x, *further = p.cell.inputs
    return sequence.run(p.cell, p.sizes[1], inputs[x], state, parameters, {n: inputs[n] for n in further}, p.lengths,
                        p.reverse, fused)


def loss(p, y, last):
    return (y * p.d_y).sum() + sum((s * d).sum() for s, d in zip(last, p.d_last))


def by_tape(p: Problem, fused: bool = True):
    inputs, state, parameters = leaves(p)
    y, last = run(p, inputs, state, parameters, fused)
    loss(p, y, last).backward()
    return named(y.numpy(), [s.numpy() for s in last], [s.grad.numpy() for s in state],
                 {n: v.grad.numpy() for n, v in (inputs | parameters).items()})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["lstm", "gru_reset_before", "residual_rnn"])
def test_both_ways_on_the_tape(name, kind):
    p = problem(CATALOGUE[name], **KINDS[kind])
    for fused in (True, False):
        assert worst(by_tape(p, fused), by_steps(p)) < 1e-9


@pytest.mark.parametrize("kind", KINDS)
def test_derivatives_of_derivatives(kind):
    p = problem(CATALOGUE["gru_reset_before"], T=3, B=2, D=2, H=2, scale=0.8,
                lengths=[1, 3] if kind == "ragged" else None, reverse=kind == "reverse")
    names = list(p.parameters)

    def f(x, state, *values):
        parameters = p.parameters | dict(zip(names, values))
        y, last = sequence.run(p.cell, 2, x, [state], parameters, lengths=p.lengths, reverse=p.reverse)
        return y, *last
    arrays = [np.nan_to_num(p.inputs["x"]), *p.state, *p.parameters.values()]
    assert gradcheck(f, arrays)
    assert gradgradcheck(f, arrays[:4])


def test_a_graph_that_is_kept_gives_the_same_again():
    p = problem(CATALOGUE["lstm"])
    inputs, state, parameters = leaves(p)
    total = loss(p, *run(p, inputs, state, parameters))
    total.backward(retain_graph=True)
    first = {n: v.grad.numpy().copy() for n, v in parameters.items()}
    total.backward()
    for n, v in parameters.items():
        np.testing.assert_array_equal(v.grad.numpy(), 2 * first[n])
    with pytest.raises(ValueError, match="freed"):
        total.backward()


def test_the_record_goes_with_the_graph(monkeypatch):
    records = []
    forward = Compiled.forward

    def seen(self, *args, **kwargs):
        found = forward(self, *args, **kwargs)
        records.append(weakref.ref(found[2]))
        return found
    monkeypatch.setattr(Compiled, "forward", seen)
    p = problem(CATALOGUE["lstm"])
    gc.disable()
    try:
        y, last = run(p, *leaves(p))
        total = loss(p, y, last)
        assert records[-1]() is not None
        total.backward()                # frees, although y, last and total are still there
        assert records[-1]() is None
        y, last = run(p, *leaves(p))
        del y, last                     # never differentiated
        assert records[-1]() is None
        with t.no_grad():
            kept = run(p, *leaves(p))
        assert records[-1]() is None and kept
    finally:
        gc.enable()


def test_only_what_requires_a_gradient_is_computed(monkeypatch):
    asked = []
    backward = Compiled.backward

    def seen(self, tape, d_y, d_last, inputs=None, room=None):
        asked.append((inputs, list(room or ())))
        return backward(self, tape, d_y, d_last, inputs, room)
    monkeypatch.setattr(Compiled, "backward", seen)
    p = problem(CATALOGUE["lstm"])
    inputs, state, parameters = leaves(p)
    frozen = {n: v if n == "W_f_h" else v.detach() for n, v in parameters.items()}
    y, _ = run(p, {"x": inputs["x"].detach()}, [s.detach() for s in state], frozen)
    (y * p.d_y).sum().backward()
    assert asked == [([], ["W_f_h"])]
    assert parameters["W_f_h"].grad is not None and inputs["x"].grad is None
    y, _ = run(p, inputs, state, {n: v.detach() for n, v in parameters.items()})
    t.autograd.grad((y * p.d_y).sum(), inputs["x"])
    assert asked[-1] == (["x"], [])


def test_the_last_state_alone():
    p = problem(CATALOGUE["lstm"])
    inputs, state, parameters = leaves(p)
    _, last = run(p, inputs, state, parameters)
    (last[1] * p.d_last[1]).sum().backward()
    p.d_y[:], p.d_last = 0, (np.zeros_like(p.d_last[0]), p.d_last[1])
    expected = by_steps(p)
    for n, v in (inputs | parameters).items():
        np.testing.assert_allclose(v.grad.numpy(), expected[f"d {n}"], rtol=1e-9, atol=1e-12)
