"""Inference one step at a time, against the layer over the whole sequence."""

import os

import numpy as np
import pytest

from tinygrad_rnn import nn, tensor
from tinygrad_rnn.cells import Cell, catalogue

JIT = os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0")
CELLS = catalogue()
GATED = Cell("h = tanh(W(x, h_prev) + v*u)", inputs="x v u", name="gated")

LAYERS = {
    "LSTM": lambda: nn.LSTM(3, 5, 2, rng=1),
    "projection": lambda: nn.LSTM(3, 5, proj_size=2, rng=1),
    "GRU": lambda: nn.GRU(3, 5, bias=False, rng=1),
    "RNN": lambda: nn.RNN(3, 5, nonlinearity="relu", rng=1),
    "two steps back": lambda: nn.Recurrent(CELLS["residual_rnn"], 3, 5, 2, rng=1),
    "five states": lambda: nn.Recurrent(CELLS["lstm_fgr"], 3, [5, 7], 2, skip="dense", rng=1),
    "residual": lambda: nn.Recurrent(CELLS["mgu"], 3, 5, 3, skip="residual", rng=1),
    "regularised": lambda: nn.Recurrent(CELLS["lstm"], 3, 5, 2, dropout=0.5, variational_dropout=0.4, zoneout=0.3,
                                        rng=1),
    "readable": lambda: nn.Recurrent(CELLS["lstm"], 3, 5, 2, fused=False, rng=1),
}


def arrays(state) -> list[np.ndarray]:
    if isinstance(state, (list, tuple)):
        return [a for s in state for a in arrays(s)]
    return [np.asarray(state)]


def same(a, b) -> None:
    if JIT:
        np.testing.assert_array_equal(a, b)
    else:
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("batch", [1, 3])
def test_steps_equal_the_sequence(kind, batch, rng) -> None:
    """From a random state, in the middle of which the state is taken out and put back."""
    layer, x = LAYERS[kind](), rng.normal(size=(6, batch, 3)).astype(np.float32)
    stepper = layer.stepper(batch=batch)
    layer.eval()
    _, state = layer(x)
    whole, last = layer(x, state)
    stepper.state = state
    found = [stepper(x[t]) for t in range(3)]
    between, stepper.state = stepper.state, None
    stepper.state = between
    found += [stepper(tensor(x[t])) for t in range(3, 6)]
    assert all(type(y) is np.ndarray and y.dtype == np.float32 for y in found)
    same(np.stack(found), whole.numpy())
    assert type(stepper.state) is type(last) or kind in ("GRU", "RNN")
    for a, b in zip(arrays(stepper.state), arrays(last), strict=True):
        assert a.shape == b.shape
        same(a, b)


def test_a_row_without_a_batch(rng) -> None:
    layer, x = nn.LSTM(3, 5, rng=1), rng.normal(size=(4, 3)).astype(np.float32)
    stepper = layer.stepper()
    found = np.stack([stepper(row) for row in x])
    assert found.shape == (4, 5)
    same(found, layer(x)[0].numpy())


def test_outputs_stay_and_weights_are_those_of_its_making(rng) -> None:
    layer, x = nn.GRU(3, 5, rng=1), rng.normal(size=(3,)).astype(np.float32)
    stepper = layer.stepper()
    first = stepper(x)
    kept = first.copy()
    layer.initialise(2)
    stepper(x)
    np.testing.assert_array_equal(first, kept)
    stepper.state = None
    np.testing.assert_array_equal(stepper(x), kept)
    assert not np.array_equal(layer.stepper()(x), kept)
    assert layer.training


@pytest.mark.parametrize("fused", ["auto", False])
def test_further_inputs(fused, rng) -> None:
    layer = nn.Recurrent(GATED, 3, 5, 2, fused=fused, rng=1)
    x, v = (rng.normal(size=(4, 2, n)).astype(np.float32) for n in (3, 5))
    u = rng.normal(size=(2, 5)).astype(np.float32)
    stepper = layer.stepper(batch=2)
    same(np.stack([stepper(x[t], v=v[t], u=u) for t in range(4)]), layer(x, v=v, u=u)[0].numpy())
    with pytest.raises(ValueError, match="further inputs of the cell are v, u, got v"):
        stepper(x[0], v=v[0])


@pytest.mark.parametrize("kind", LAYERS)
def test_any_number_of_rows_from_any_state(kind, rng) -> None:
    """Rows first in the state; their number changes from call to call; each row as if it were alone."""
    layer = LAYERS[kind]()
    layer.eval()
    step, x = layer.row_stepper(), rng.normal(size=(4, 6, 3)).astype(np.float32)
    _, initial = layer(x)
    state = step.start(initial, 6)
    assert all(a.shape[0] == 6 for a in arrays(state))
    y, after = step(x[0], state)
    y = y.copy()
    whole, _ = layer(x[:1], initial)
    same(y, whole.numpy()[0])
    chosen = [5, 0, 0]
    fewer = tuple(tuple(a[chosen] for a in one) for one in after)
    z, last = step(x[1, :3], fewer)
    z = z.copy()
    for k, row in enumerate(chosen):
        alone, end = step(x[1, k:k + 1], tuple(tuple(a[row:row + 1] for a in one) for one in after))
        same(z[k:k + 1], alone)
        for a, b in zip(arrays(last), arrays(end), strict=True):
            same(a[k:k + 1], b)
    zeros = step.start(batch=2)
    same(step(x[2, :2], zeros)[0], layer(x[2:3, :2])[0].numpy()[0])


def test_many_rows_by_threads_and_few_without(rng, threads) -> None:
    from tinygrad_rnn.kernels import set_num_threads

    layer, x = nn.GRU(40, 100, rng=1), rng.normal(size=(70, 40)).astype(np.float32)
    results = []
    for n in (1, 2, 3):
        set_num_threads(n)
        step = layer.row_stepper()
        results.append([step(x[:rows], step.start(batch=rows))[0].copy() for rows in (70, 2, 33, 70, 1)])
    for result in results:
        for found, whole in zip(result, results[0]):
            same(found, whole)
            same(found, results[0][0][:len(found)])


@pytest.mark.parametrize(("call", "error", "match"), [
    (lambda: nn.LSTM(3, 5, bidirectional=True).row_stepper(), ValueError, "the layer is bidirectional"),
    (lambda: nn.Recurrent(GATED, 3, 5).row_stepper(), ValueError, "the cell has further inputs, v, u"),
    (lambda: nn.LSTM(3, 5).row_stepper()(np.zeros((1, 4), np.float32), ()), ValueError, r"D = 3, got \(1, 4\)"),
    (lambda: nn.LSTM(3, 5, bidirectional=True).stepper(), ValueError, "the layer is bidirectional"),
    (lambda: nn.LSTM(3, 5).stepper(batch=0), ValueError, "batch must be at least 1"),
    (lambda: nn.LSTM(3, 5).stepper(batch=2)(np.zeros(3, np.float32)), ValueError, r"= \(2, 3\), got \(3,\)"),
    (lambda: nn.LSTM(3, 5).stepper()(np.zeros((1, 4), np.float32)), ValueError, r"= \(1, 3\), got \(1, 4\)"),
    (lambda: nn.LSTM(3, 5).stepper()(np.zeros((1, 3))), TypeError, "stepper: x is float64"),
    (lambda: nn.LSTM(3, 5).stepper(np.zeros((1, 1, 5), np.float32)), TypeError, r"must be a tuple \(h, c\)"),
])
def test_errors(call, error, match) -> None:
    with pytest.raises(error, match=match):
        call()
