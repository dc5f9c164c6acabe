"""RNNCell, LSTMCell and GRUCell: one step of their layers."""

import numpy as np
import pytest

from tests.nn.numeric import check_layer
from tinygrad_rnn import nn

PAIRS = {"RNN": (nn.RNNCell, nn.RNN), "LSTM": (nn.LSTMCell, nn.LSTM), "GRU": (nn.GRUCell, nn.GRU)}


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("bias", [True, False])
def test_steps_equal_the_layer(kind, bias, rng) -> None:
    cell, layer = PAIRS[kind][0](3, 4, bias), PAIRS[kind][1](3, 4, bias=bias)
    layer.load_state_dict({f"{name}_l0": value for name, value in cell.state_dict().items()})
    x = rng.normal(size=(5, 2, 3)).astype(np.float32)
    output, last = layer(x)
    state = None
    for t in range(5):
        state = cell(x[t], state)
        h = state[0] if kind == "LSTM" else state
        np.testing.assert_allclose(h.numpy(), output.numpy()[t], rtol=1e-6, atol=1e-7)
    for a, b in zip(state if kind == "LSTM" else [state], last if kind == "LSTM" else [last]):
        np.testing.assert_allclose(a.numpy(), b.numpy()[0], rtol=1e-6, atol=1e-7)
    alone = cell(x[0, 0])
    h = alone[0] if kind == "LSTM" else alone
    assert h.shape == (4,)
    np.testing.assert_allclose(h.numpy(), output.numpy()[0, 0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", PAIRS)
def test_gradients(kind, rng) -> None:
    cell = PAIRS[kind][0](2, 3)
    weights = rng.normal(size=(2, 2, 3))

    def call(x, *state):
        found = cell(x, state if kind == "LSTM" else state[0])
        return sum(((s * w).sum() for s, w in zip(found if kind == "LSTM" else [found], weights)), start=0.0)

    check_layer(cell, call, *(rng.normal(size=(2, n)) for n in (2, 3, 3)[:3 if kind == "LSTM" else 2]))


def test_relu_names_and_text() -> None:
    cell = nn.RNNCell(3, 4, nonlinearity="relu", rng=1)
    assert list(cell.state_dict()) == ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]
    assert (cell(np.ones((5, 3), np.float32)).numpy() >= 0).all()
    assert repr(cell) == "RNNCell(3, 4, nonlinearity='relu')  # 36 parameters"


X = np.zeros((2, 3), np.float32)


@pytest.mark.parametrize(("call", "error", "match"), [
    (lambda: nn.LSTMCell(3, 4)(X[:, :2]), ValueError, "LSTMCell: x has 2 features, .* input_size=3"),
    (lambda: nn.LSTMCell(3, 4)(X[None]), ValueError, r"must be \(B, D\) or, unbatched, \(D,\), got shape \(1, 2, 3\)"),
    (lambda: nn.LSTMCell(3, 4)(X, X), TypeError, r"state must be a tuple \(h, c\), got ndarray"),
    (lambda: nn.GRUCell(3, 4)(X, X), ValueError, r"state h must have shape \(2, 4\), got \(2, 3\)"),
    (lambda: nn.GRUCell(3, 4)(X.astype(float)), TypeError, "GRUCell: x is float64"),
    (lambda: nn.RNNCell(3, 4, nonlinearity="sin"), ValueError, "RNNCell: nonlinearity must be 'tanh' or 'relu'"),
])
def test_errors(call, error, match) -> None:
    with pytest.raises(error, match=match):
        call()
