"""The adjoint equations that a cell derives from its text, against the tape, finite differences, planted mistakes."""

import numpy as np
import pytest

import tinygrad_rnn as t
from tests.cells.random_cells import random_cell
from tests.cells.tools import by_graph, by_tape, case, loss, slope_error, worst
from tinygrad_rnn.autograd import ops
from tinygrad_rnn.cells import Cell, catalogue
from tinygrad_rnn.cells.derivative import ONE, ZERO, gradient, simplified
from tinygrad_rnn.cells.functions import PRIMITIVES, layer_norm, stop, unit_mean
from tinygrad_rnn.cells.symbols import evaluate, leaf, lift, number, topological

CATALOGUE = catalogue()
OPERATIONS = {**PRIMITIVES, "multiply": ops.multiply, "subtract": ops.subtract, "divide": ops.divide, "pow": ops.pow}


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_adjoint_equals_the_tape(name):
    c = case(CATALOGUE[name])
    assert worst(by_graph(c), by_tape(c)) < 1e-9


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_adjoint_is_the_slope(name):
    c = case(CATALOGUE[name], seed=1)
    assert slope_error(c, by_graph(c)) < 1e-6


@pytest.mark.parametrize("sizes", [dict(T=1, B=1, D=1, H=1), dict(T=5, B=1, D=2, H=3), dict(T=2, B=4, D=7, H=5)])
def test_odd_sizes(sizes):
    for name in ("lstm_fgr", "residual_rnn", "lstm_projection", "gru_layernorm"):
        if name == "lstm_projection" and sizes["H"] == 1:
            continue
        c = case(CATALOGUE[name], **sizes)
        assert worst(by_graph(c), by_tape(c)) < 1e-9, name


@pytest.mark.parametrize("seed", range(60))
def test_random_cells(seed):
    c = case(random_cell(seed), T=5, seed=seed)
    assert worst(by_graph(c), by_tape(c)) < 1e-9


def test_random_cells_slopes():
    for seed in range(30):
        c = case(random_cell(seed, stops=False), seed=seed)
        assert slope_error(c, by_graph(c)) < 1e-5, seed


WRONG = {
    "tanh": [lambda g, y, _x: g * (1 - y)], "sigmoid": [lambda g, y, _x: g * y],
    "multiply": [lambda g, _y, _a, b: g * b, lambda g, _y, _a, b: g * b],
    "subtract": [lambda g, _y, _a, _b: g, lambda g, _y, _a, _b: g],
    "divide": [lambda g, _y, _a, b: g / b, lambda g, y, _a, b: g * y / b], "sqrt": [lambda g, y, _x: g / y],
    "mean": [lambda g, _y, _x: g], "relu": [lambda g, _y, _x: g], "pow": [lambda g, _y, a, b: g * a ** (b - 1), None],
    "exp": [lambda g, _y, x: g * x], "log": [lambda g, _y, x: g * x], "softplus": [lambda g, y, _x: g * y],
}
SMOOTH = Cell("""
    u = softplus(x)*exp(0.1*h_prev) - log(2 + x**2)/sqrt(1 + h_prev**2)
    h = tanh(W(u, h_prev) + b) + relu(sigmoid(W(x) + p*mean(h_prev)) - 0.3)""", name="smooth")


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_rule_is_caught(name, monkeypatch):
    c = case(SMOOTH)
    assert slope_error(c, by_graph(c)) < 1e-6
    monkeypatch.setattr(OPERATIONS[name], "rules", WRONG[name])
    wrong = Cell(str(SMOOTH))           # derives anew
    c.cell = wrong
    assert slope_error(c, by_graph(c)) > 1e-4


def test_a_matrix_that_is_not_transposed_is_caught(monkeypatch):
    from tinygrad_rnn.cells import symbols
    c = case(CATALOGUE["rnn"], D=4, H=4)
    right = symbols._value

    def forgets(node, args, parameters):
        if node.op == "transposed":
            return symbols.total(v @ parameters[n].T for v, n in zip(args, node.data))
        return right(node, args, parameters)
    monkeypatch.setattr(symbols, "_value", forgets)
    assert worst(by_graph(c), by_tape(c)) > 1e-2


def test_stop_passes_no_gradient():
    stopped = Cell("h = tanh(W(x, stop(h_prev)) + b)", name="stopped")
    c = case(stopped, T=3)
    found = by_graph(c)
    assert not found["state 0"].any() and worst(found, by_tape(c)) < 1e-12
    assert found["W_h_stoph"].any()         # the matrix itself still learns


@pytest.mark.parametrize("name", ["lstm_peephole", "gru_layernorm", "residual_rnn", "rnn_sigmoid"])
def test_second_derivatives_of_the_step(name):
    """The derivative of |gradient|^2 along a direction, against its finite difference."""
    c = case(CATALOGUE[name], T=3, B=2)
    rng = np.random.default_rng(2)
    direction = {n: rng.standard_normal(v.shape) for n, v in c.parameters.items()}

    def square(parameters, create_graph):
        value = loss(c, parameters, c.inputs, c.state)
        grads = t.autograd.grad(value, list(parameters.values()), create_graph=create_graph)
        return sum((g * g).sum() for g in grads)

    def at(distance):
        return float(square({n: t.tensor(v + distance * direction[n], requires_grad=True)
                             for n, v in c.parameters.items()}, False))
    parameters = {n: t.tensor(v, requires_grad=True) for n, v in c.parameters.items()}
    square(parameters, True).backward()
    predicted = sum((v.grad.numpy() * direction[n]).sum() for n, v in parameters.items())
    slope = (at(1e-5) - at(-1e-5)) / 2e-5
    assert abs(predicted - slope) < 1e-5 * max(1, abs(slope))


# ---- the graph's own rules ------------------------------------------------------------------------------------------
X, Y = leaf("input", "x"), leaf("input", "y")


@pytest.mark.parametrize("given, expected", [
    (X + 0, X), (0 + X, X), (X - 0, X), (0 - X, -X), (X * 1, X), (1 * X, X), (X * 0, ZERO), (0 * X, ZERO), (X / 1, X),
    (ZERO / X, ZERO), (ops.negative(-X), X), (X + (-Y), X - Y), (X - (-Y), X + Y), ((-X) * Y, -(X * Y)),
    (X * (-Y), -(X * Y)),
    ((-X) / Y, -(X / Y)), (X ** 1, X), (-number(2), number(-2)), (number(2) * 3 + 1, number(7)),
    (ops.tanh(X * 1), ops.tanh(X)),
    ((-X) + Y, Y - X), (number(5) - 3, number(2)), (stop(ONE * 1), ONE)])
def test_simplification(given, expected):
    assert simplified(given) is simplified(expected) is expected


def test_simplification_keeps_the_value():
    for seed in range(20):
        rng, leaves = np.random.default_rng(seed), {}

        def value(node, rng=rng, leaves=leaves):
            return leaves.setdefault(node, rng.standard_normal(5))
        roots = [r for r in random_cell(seed).flat.values() if not any(n.op == "product" for n in topological([r]))]
        for a, b in zip(evaluate(roots, value, {}), evaluate([simplified(r) for r in roots], value, {})):
            np.testing.assert_allclose(a, b, rtol=1e-9)


def test_one_transposed_product_for_each_source():
    adjoint = CATALOGUE["lstm"].adjoint
    assert sorted(s.op for s in adjoint.transposed) == ["input", "state"]
    h = next(s for s in adjoint.transposed if s.op == "state")
    assert sorted(adjoint.transposed[h].data) == ["W_f_h", "W_g_h", "W_i_h", "W_o_h"]
    assert h not in adjoint.direct


def test_layer_norm_and_mean_run_on_everything(rng):
    x = rng.standard_normal((3, 5))
    expected = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(layer_norm(x), expected, rtol=1e-12)
    np.testing.assert_allclose(layer_norm(t.tensor(x)).numpy(), expected, rtol=1e-12)
    np.testing.assert_allclose(evaluate([lift(layer_norm(X))], lambda _: x, {})[0], expected, rtol=1e-12)
    v, u = rng.standard_normal((2, 3, 5))
    assert abs((v * unit_mean(u)).sum() - (unit_mean(v) * u).sum()) < 1e-12       # self-adjoint


def test_a_call_is_expanded_first():
    with pytest.raises(ValueError, match="layer_norm is a function of the cell; expand it first"):
        gradient({CATALOGUE["rnn_layernorm"].graph["h"]: ONE})
    with pytest.raises(ValueError, match="no units to average over"):
        unit_mean(np.float64(1))


def test_a_graph_of_any_depth():
    node = X
    for _ in range(5_000):
        node = ops.tanh(node) + 1
    adjoint = gradient({node: ONE})
    assert X in adjoint.cotangents
