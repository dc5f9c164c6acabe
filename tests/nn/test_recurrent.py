"""RNN, LSTM and GRU against loops over one sequence at a time, written from the papers' equations."""

import itertools
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.nn.numeric import check_layer
from tinygrad_rnn import nn, no_grad, set_num_threads, tensor
from tinygrad_rnn.nn import stack
from tinygrad_rnn.nn.rnn import Packed

# Without compiled code the product is BLAS's, which promises no bits.
JIT = os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0")
KINDS = {"RNN": nn.RNN, "LSTM": nn.LSTM, "GRU": nn.GRU}


# ---- the oracle: one row, one layer, one direction at a time --------------------------------------------------------
def sigma(x):
    return 1 / (1 + np.exp(-x))


def one_step(kind, p, x, h, c):
    """(h, c) after one step; p: the weights of one layer and direction."""
    H = len(p["weight_ih"]) // {"RNN": 1, "LSTM": 4, "GRU": 3}[kind]
    a, b = p["weight_ih"] @ x + p["bias_ih"], p["weight_hh"] @ h + p["bias_hh"]
    if kind == "RNN":
        return np.tanh(a + b), c
    if kind == "GRU":
        r, z = sigma(a[:H] + b[:H]), sigma(a[H:2 * H] + b[H:2 * H])
        n = np.tanh(a[2 * H:] + r * b[2 * H:])
        return n + z * (h - n), c
    s = a + b
    c = sigma(s[H:2 * H]) * c + sigma(s[:H]) * np.tanh(s[2 * H:3 * H])
    h = sigma(s[3 * H:]) * np.tanh(c)
    return (p["weight_hr"] @ h if "weight_hr" in p else h), c


def oracle(kind, layer, x, h0, c0, lengths, reverse=False):
    """Output (T, B, ...) and final h, c, by running each row alone over its real steps."""
    T, B, _ = x.shape
    ways = 2 if layer.bidirectional else 1
    state = {name: value.astype(float) for name, value in layer.state_dict().items()}
    hs, cs = h0.copy(), c0.copy()
    for k in range(layer.num_layers):
        outputs = []
        for way in range(ways):
            suffix = f"_l{k}" + "_reverse" * way
            p = {name.removesuffix(suffix): value for name, value in state.items()
                 if name.endswith(suffix) and name.count("reverse") == way}
            rows = len(p["weight_ih"])
            p.setdefault("bias_ih", np.zeros(rows))
            p.setdefault("bias_hh", np.zeros(rows))
            output = np.zeros((T, B, h0.shape[-1]))
            for b in range(B):
                h, c = h0[ways * k + way, b], c0[ways * k + way, b]
                steps = range(lengths[b])
                for t in reversed(steps) if bool(way) != reverse else steps:
                    h, c = one_step(kind, p, x[t, b], h, c)
                    output[t, b] = h
                hs[ways * k + way, b], cs[ways * k + way, b] = h, c
            outputs.append(output)
        x = np.concatenate(outputs, -1)
    return x, hs, cs


def compare(kind, layer, T, B, lengths=None, reverse=False, rng=None) -> None:
    """Output and final state of a layer equal the oracle's, from random states."""
    ways = 2 if layer.bidirectional else 1
    layer.astype(np.float64)
    x = rng.normal(size=(T, B, layer.input_size))
    width = layer.proj_size or layer.hidden_size
    h0, c0 = (rng.normal(size=(layer.num_layers * ways, B, n)) for n in (width, layer.hidden_size))
    cut = [T] * B if lengths is None else lengths
    expected = oracle(kind, layer, np.nan_to_num(x), h0, c0, cut, reverse)
    for b, n in enumerate(cut):
        x[n:, b] = np.nan
    given_x = np.swapaxes(x, 0, 1) if layer.batch_first else x
    output, state = layer(given_x, (h0, c0) if kind == "LSTM" else h0, lengths, reverse)
    output = np.swapaxes(output.numpy(), 0, 1) if layer.batch_first else output.numpy()
    np.testing.assert_allclose(output, expected[0], atol=1e-12)
    for b, n in enumerate(cut):
        assert not output[n:, b].any()
    for found, wanted in zip(state if kind == "LSTM" else (state,), expected[1:]):
        np.testing.assert_allclose(found.numpy(), wanted, atol=1e-12)


@pytest.mark.parametrize(("kind", "num_layers", "bidirectional", "bias", "batch_first"),
                         list(itertools.product(KINDS, (1, 2), (False, True), (False, True), (False, True))))
def test_forward(kind, num_layers, bidirectional, bias, batch_first, rng) -> None:
    layer = KINDS[kind](3, 4, num_layers, bias=bias, batch_first=batch_first, bidirectional=bidirectional, rng=1)
    for reverse, lengths in itertools.product((False, True), (None, [2, 5, 1])):
        compare(kind, layer, 5, 3, lengths, reverse, rng)


@pytest.mark.parametrize(("num_layers", "bidirectional"), list(itertools.product((1, 2), (False, True))))
def test_projection(num_layers, bidirectional, rng) -> None:
    layer = nn.LSTM(3, 4, num_layers, bidirectional=bidirectional, proj_size=2, rng=1)
    assert layer.weight_hr_l0.shape == (2, 4) and layer.weight_hh_l0.shape == (16, 2)
    compare("LSTM", layer, 4, 2, [3, 4], rng=rng)


@given(st.sampled_from(sorted(KINDS)), st.integers(1, 6), st.integers(1, 4), st.booleans(), st.data())
def test_any_lengths(kind, T, B, reverse, data) -> None:
    lengths = [data.draw(st.integers(1, T)) for _ in range(B)]
    layer = KINDS[kind](2, 3, 2, bidirectional=True, rng=1)
    compare(kind, layer, T, B, lengths, reverse, np.random.default_rng(data.draw(st.integers(0, 99))))


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_at_real_sizes(kind, layers, rng) -> None:
    compare(kind, KINDS[kind](65, 131, layers, rng=1), 7, 5, rng=rng)


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_rnn_nonlinearities(nonlinearity, rng) -> None:
    layer, x = nn.RNN(2, 3, nonlinearity=nonlinearity, rng=1), rng.normal(size=(1, 1, 2)).astype(np.float32)
    a = layer.weight_ih_l0.data @ x[0, 0] + layer.bias_ih_l0.data + layer.bias_hh_l0.data
    np.testing.assert_allclose(layer(x)[0].numpy()[0, 0], np.tanh(a) if nonlinearity == "tanh" else np.maximum(a, 0),
                               rtol=1e-5)


# ---- gradients ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("kind", "options"), [
    ("RNN", {}), ("LSTM", {}), ("GRU", {}), ("LSTM", {"proj_size": 2}), ("LSTM", {"bias": False}),
    ("LSTM", {"bidirectional": True, "num_layers": 2}), ("GRU", {"bidirectional": True}),
])
@pytest.mark.parametrize("lengths", [None, [1, 3]])
def test_gradients_of_inputs_states_and_parameters(kind, options, lengths, rng) -> None:
    layer = KINDS[kind](2, 3, **options, rng=1)
    ways = layer.num_layers * (2 if layer.bidirectional else 1)
    widths = (layer.proj_size or 3, 3)[:len(layer.cell.states)]
    states = [rng.normal(size=(ways, 2, width)) for width in widths]

    def call(x, *state):
        output, final = layer(x, state if kind == "LSTM" else state[0], lengths)
        final = final if kind == "LSTM" else (final,)
        # random weights, so that no gradient cancels
        weights = np.random.default_rng(5)
        return sum(((part * weights.normal(size=part.shape)).sum() for part in (output, *final)), start=0.0)

    check_layer(layer, call, rng.normal(size=(3, 2, 2)), *states)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_has_no_gradient_and_does_no_harm(kind, rng) -> None:
    layer, lengths = KINDS[kind](2, 3, 2, bidirectional=True, rng=1), [2, 4, 1]
    x = rng.normal(size=(4, 3, 2)).astype(np.float32)
    gradients = []
    for beyond in (0.0, np.nan, np.inf):
        for b, n in enumerate(lengths):
            x[n:, b] = beyond
        layer.zero_grad()
        t = tensor(x, requires_grad=True)
        output, _ = layer(t, lengths=lengths)
        (output * output).sum().backward()
        for b, n in enumerate(lengths):
            assert not t.grad.numpy()[n:, b].any()
        gradients.append([t.grad.numpy(), *(parameter.grad.numpy().copy() for parameter in layer.parameters())])
    for clean, *dirty in zip(*gradients):
        for g in dirty:
            np.testing.assert_array_equal(clean, g)


def test_second_derivatives_flow(rng) -> None:
    from tinygrad_rnn.autograd import grad

    layer = nn.LSTM(2, 3, rng=1).astype(np.float64)
    x = tensor(rng.normal(size=(3, 1, 2)), requires_grad=True)
    g, = grad((layer(x)[0] ** 2).sum(), x, create_graph=True)
    (g ** 2).sum().backward()
    assert np.isfinite(x.grad.numpy()).all() and x.grad.numpy().any()


# ---- laws -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", KINDS)
def test_a_carried_state_continues_the_sequence(kind, rng) -> None:
    layer, x = KINDS[kind](2, 3, 2, rng=1), rng.normal(size=(6, 4, 2)).astype(np.float32)
    whole, end = layer(x)
    first, state = layer(x[:2])
    second, last = layer(x[2:], state)
    np.testing.assert_array_equal(whole.numpy(), np.concatenate([first.numpy(), second.numpy()]))
    for a, b in zip(end, last):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_alone_equals_the_row_in_its_batch(kind, rng) -> None:
    layer, x = KINDS[kind](5, 7, 2, bidirectional=True, rng=1), rng.normal(size=(4, 6, 5)).astype(np.float32)
    batch, _ = layer(x, lengths=[4, 1, 2, 3, 4, 1])
    for b, n in enumerate([4, 1, 2, 3, 4, 1]):
        alone, _ = layer(x[:n, b:b + 1])
        if JIT:
            np.testing.assert_array_equal(batch.numpy()[:n, b], alone.numpy()[:, 0])
        else:
            np.testing.assert_allclose(batch.numpy()[:n, b], alone.numpy()[:, 0], rtol=2e-6, atol=1e-7)


def test_threads_change_no_bit(rng, threads) -> None:
    """Outputs, losses and gradients of a training step at a size that threads do share."""
    x, y = rng.normal(size=(6, 33, 65)).astype(np.float32), rng.integers(0, 50, (6, 33))
    found = []
    for n in (1, 2, 3):
        set_num_threads(n)
        layer, head = nn.LSTM(65, 130, rng=1), nn.Linear(130, 50, rng=2)
        loss = nn.functional.cross_entropy(head(layer(x)[0]), y, axis=-1)
        loss.backward()
        parameters = (*layer.parameters(), *head.parameters())
        found.append([loss.numpy(), *(parameter.grad.numpy() for parameter in parameters)])
    for one, *others in zip(*found):
        for other in others:
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch_first", [False, True])
def test_unbatched_input(kind, batch_first, rng) -> None:
    layer, x = KINDS[kind](2, 3, 2, batch_first=batch_first, rng=1), rng.normal(size=(5, 2)).astype(np.float32)
    axis = 0 if batch_first else 1
    batched, state = layer(np.expand_dims(x, axis))
    output, final = layer(x)
    assert output.shape == (5, 3)
    np.testing.assert_array_equal(output.numpy(), np.squeeze(batched.numpy(), axis))
    again, _ = layer(x, final)
    other, _ = layer(np.expand_dims(x, axis), state)
    np.testing.assert_array_equal(again.numpy(), np.squeeze(other.numpy(), axis))


def test_gates_satisfy_the_equations(rng) -> None:
    lengths = np.array([3, 1])
    layer = nn.LSTM(2, 3, 2, bidirectional=True, proj_size=2, rng=1).astype(np.float64)
    output, _, gates = layer(rng.normal(size=(3, 2, 2)), lengths=lengths, return_gates=True)
    assert len(gates) == 4 and all(list(rows) == ["i", "f", "g", "o", "c", "m", "h"] for rows in gates)
    np.testing.assert_array_equal(np.concatenate([rows["h"].numpy() for rows in gates[2:]], -1), output.numpy())
    r = {name: row.numpy() for name, row in gates[0].items()}
    before = np.concatenate([np.zeros((1, 2, 3)), r["c"][:-1]])
    np.testing.assert_allclose(r["c"][:, 0], (r["f"] * before + r["i"] * r["g"])[:, 0], atol=1e-14)
    np.testing.assert_allclose(r["m"], r["o"] * np.tanh(r["c"]), atol=1e-14)
    assert not any(row[1:, 1].any() for row in r.values())
    gru = nn.GRU(2, 3, batch_first=True, rng=1)
    output, _, (rows,) = gru(rng.normal(size=(5, 4, 2)).astype(np.float32), return_gates=True)
    assert list(rows) == ["r", "z", "n", "h"] and rows["z"].shape == (5, 4, 3)
    np.testing.assert_array_equal(rows["h"].numpy(), output.numpy())


# ---- starts, dropout ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", KINDS)
def test_everything_starts_uniform(kind) -> None:
    layer = KINDS[kind](30, 100, 2, bidirectional=True, rng=1)
    for name, parameter in layer.named_parameters():
        assert 0.09 < np.abs(parameter.data).max() <= 0.1, name
    assert list(layer.state_dict())[:5] == ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0",
                                            "weight_ih_l0_reverse"]


def test_forget_bias() -> None:
    layer = nn.LSTM(2, 3, 2, forget_bias=1.5, rng=1)
    for k in range(2):
        bias_ih, bias_hh = getattr(layer, f"bias_ih_l{k}").data, getattr(layer, f"bias_hh_l{k}").data
        assert (bias_ih[3:6] == 1.5).all() and (bias_hh[3:6] == 0).all()
        assert (np.abs(bias_ih[[0, 1, 2, 6, 7, 8, 9, 10, 11]]) <= 3 ** -0.5).all() and bias_hh[[0, 6, 9]].all()
    assert (layer.initialise(2).bias_ih_l0.data[3:6] == 1.5).all()


def test_dropout_acts_between_layers_while_training(rng) -> None:
    x = rng.normal(size=(4, 2, 3)).astype(np.float32)
    layer, plain = nn.LSTM(3, 5, 2, dropout=0.5, rng=1), nn.LSTM(3, 5, 2, rng=1)
    assert list(layer.rng_state()) == ["stream"] and not plain.rng_state()
    assert not np.array_equal(layer(x)[0].numpy(), layer(x)[0].numpy())
    np.testing.assert_array_equal(layer.eval()(x)[0].numpy(), plain(x)[0].numpy())
    # with p = 1 the upper layer reads zeros, the lower one is untouched
    all_dropped = nn.LSTM(3, 5, 2, dropout=1.0, rng=1)
    output, (h, _), gates = all_dropped(x, return_gates=True)
    np.testing.assert_array_equal(gates[0]["h"].numpy(), plain(x, return_gates=True)[2][0]["h"].numpy())
    other, _, _ = all_dropped(x + 1, return_gates=True)
    np.testing.assert_array_equal(output.numpy(), other.numpy())


# ---- what is refused ------------------------------------------------------------------------------------------------
X = np.zeros((5, 2, 3), np.float32)


@pytest.mark.parametrize(("call", "error", "match"), [
    (lambda: nn.LSTM(64, 2)(np.zeros((3, 2, 40), np.float32)), ValueError,
     "^LSTM: x has 40 features, the layer was built for input_size=64"),
    (lambda: nn.LSTM(3, 4)(X.astype(np.float64)), TypeError,
     r"LSTM: x is float64, the layer's parameters are float32: .* x\.astype\(float32\), .* layer\.astype\(float64\)"),
    (lambda: nn.GRU(3, 4)(X.astype(int)), TypeError, "GRU: x must be floating, got int64"),
    (lambda: nn.LSTM(3, 4)(X[0, 0]), ValueError, r"x must be \(T, B, D\) or, unbatched, \(T, D\), got shape \(3,\)"),
    (lambda: nn.LSTM(3, 4, batch_first=True)(X[None]), ValueError, r"x must be \(B, T, D\)"),
    (lambda: nn.LSTM(3, 4)(X[:0]), ValueError, "x has no steps"),
    (lambda: nn.LSTM(3, 4)(X, np.zeros((1, 2, 4), np.float32)), TypeError, r"a tuple \(h, c\), got ndarray"),
    (lambda: nn.LSTM(3, 4)(X, (np.zeros((1, 2, 4), np.float32),) * 3), TypeError, "state must be a tuple"),
    (lambda: nn.LSTM(3, 4, 2)(X, (np.zeros((1, 2, 4), np.float32),) * 2), ValueError,
     r"state h must have shape \(2, 2, 4\), \(num_layers \* directions, B, width\), got \(1, 2, 4\)"),
    (lambda: nn.LSTM(3, 4)(X, (np.zeros((1, 2, 4), np.float32), np.zeros((1, 2, 4)))), TypeError, "c is float64"),
    (lambda: nn.GRU(3, 4)(X[:, 0], np.zeros((1, 1, 4), np.float32)), ValueError, r"must have shape \(1, 4\)"),
    (lambda: nn.LSTM(3, 4)(X, lengths=[5, 6]), ValueError, "length of row 1 is 6, .* 1 and the 5 .*batch_first"),
    (lambda: nn.LSTM(3, 4)(X, lengths=[0, 5]), ValueError, "the length of row 0 is 0"),
    (lambda: nn.LSTM(3, 4)(X, lengths=[1] * 5), ValueError, r"\(2,\), got \(5,\); time is the first .*batch_first"),
    (lambda: nn.LSTM(3, 4)(X, lengths=[1.0, 2.0]), TypeError, "lengths must be integers"),
    (lambda: nn.LSTM(3, 4, proj_size=4), ValueError, r"proj_size must lie in \[0, hidden_size=4\), got 4"),
    (lambda: nn.LSTM(3, 4, bias=False, forget_bias=1.0), ValueError, "forget_bias needs bias=True"),
    (lambda: nn.LSTM(3, 0), ValueError, "hidden_size must be at least 1, got 0"),
    (lambda: nn.LSTM(3, 4, dropout=2.0), ValueError, "between 0 and 1"),
    (lambda: nn.RNN(3, 4, nonlinearity="sin"), ValueError, "'tanh' or 'relu', got 'sin'"),
])
def test_errors(call, error, match) -> None:
    with pytest.raises(error, match=match):
        call()


def test_a_state_that_was_not_detached_is_named() -> None:
    layer = nn.LSTM(3, 4, rng=1)
    output, state = layer(X)
    output.sum().backward()
    output, _ = layer(X, state)
    with pytest.raises(ValueError, match=r"freed .* detach\(\)"):
        output.sum().backward()


# ---- the tests are tested -------------------------------------------------------------------------------------------
def test_swapped_gates_are_caught(rng) -> None:
    layer = nn.LSTM(3, 4, rng=1)
    layer._form = layer._form._replace(rows=("f", "i", "g", "o"))
    with pytest.raises(AssertionError):
        compare("LSTM", layer, 5, 3, rng=rng)


@pytest.mark.parametrize("shift", [-1, 1])
def test_lengths_that_are_off_by_one_are_caught(shift, rng, monkeypatch) -> None:
    right = stack.ragged.checked
    monkeypatch.setattr(stack.ragged, "checked", lambda *args: np.clip(right(*args) + shift, 1, 5))
    with pytest.raises(AssertionError):
        compare("LSTM", nn.LSTM(3, 4, rng=1), 5, 3, [2, 5, 1], rng=rng)


@pytest.mark.parametrize("equation", ["n = tanh(W(x) + b + r*W(h_prev) + b2)", "h = z*n + (1 - z)*h_prev",
                                      "z = sigmoid(W(x) + W(r*h_prev) + b)"])
def test_another_gru_is_caught(equation, rng) -> None:
    """The second bias out of the reset gate's reach; the update gate the other way round; another reset."""
    layer = nn.GRU(3, 4, rng=1)
    layer.cell = layer.cell.but(equation)
    layer._form = Misnamed(*layer._form)
    with pytest.raises(AssertionError):
        compare("GRU", layer, 2, 3, rng=rng)


class Misnamed(Packed):
    """Finds W_z_rh, of a mistaken cell, where W_z_h stands."""

    def unpack(self, values):
        found = super().unpack(values)
        return {**found, "W_z_rh": found["W_z_h"]}


def test_nothing_is_recorded_without_gradients() -> None:
    with no_grad():
        output, (h, _) = nn.LSTM(3, 4)(X)
    assert not output.requires_grad and not h.requires_grad
