"""The readable step: shapes, dtypes, further inputs, constants, delays; its errors; and what a traceback shows."""

import linecache
import traceback

import numpy as np
import pytest

import tinygrad_rnn as t
from tests.cells.tools import case, run
from tinygrad_rnn.cells import Cell, catalogue

CATALOGUE = catalogue()
RNN = CATALOGUE["rnn"]


def test_arrays_and_tensors_both_do():
    c = case(RNN)
    arrays = RNN.step(c.parameters, c.inputs["x"][0], c.state)
    tensors = RNN.step({n: t.tensor(v) for n, v in c.parameters.items()}, t.tensor(c.inputs["x"][0]), list(c.state))
    assert isinstance(arrays, tuple) and isinstance(arrays[0], t.Tensor)
    assert (arrays[0].numpy() == tensors[0].numpy()).all() and not arrays[0].requires_grad


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["leaky_rnn", "residual_rnn", "lstm_layernorm", "lstm_nig", "lstm_projection"])
def test_dtype_is_kept(name, dtype):
    c = case(CATALOGUE[name])
    parameters = {n: v.astype(dtype) for n, v in c.parameters.items()}
    for s in CATALOGUE[name].step(parameters, c.inputs["x"][0].astype(dtype), tuple(s.astype(dtype) for s in c.state)):
        assert s.dtype == dtype


def test_constants_keep_the_dtype_and_their_precision():
    cell = Cell("h = exp(-a)*h_prev + tanh(2)*x*e", a=0.3, e=[0.1, 0.2])
    x = np.ones((1, 2))
    for dtype, tolerance in (("float64", 1e-15), ("float32", 1e-6)):
        h, = cell.step({}, x.astype(dtype), (x.astype(dtype),))
        assert h.dtype == dtype
        np.testing.assert_allclose(h.numpy(), np.exp(-0.3) + np.tanh(2) * np.array([[0.1, 0.2]]), rtol=tolerance)


def test_delays():
    cell = Cell("h = h_prev(3) + 0*x")
    x = np.zeros((1, 1))
    state = tuple(np.full((1, 1), v) for v in (1.0, 2.0, 3.0))
    seen = []
    for _ in range(7):
        state = cell.step({}, x, state)
        seen.append(state[0].item())
    assert seen == [3, 2, 1, 3, 2, 1, 3]


def test_two_delays_of_one_row_and_a_state_apart():
    cell = Cell("c = c_prev(2) + x\nh = h_prev + c_prev - c_prev(2)")
    assert cell.states == ("h", "c", "c_prev")
    h, c, c1, x = (np.full((1, 1), v) for v in (1.0, 10.0, 100.0, 7.0))
    assert [s.item() for s in cell.step({}, x, (h, c, c1))] == [1 + 10 - 100, 107, 10]


def test_rows_that_read_no_input_fill_the_batch():
    cell = Cell("i = 1\nc = b\nh = c_prev*i_prev + x")
    b = np.array([5.0, 6.0])
    h, i, c = cell.step({"b_c": b}, np.zeros((3, 2)), (np.zeros((3, 2)), np.ones((3, 2)), np.full((3, 2), 4.0)))
    assert h.shape == i.shape == c.shape == (3, 2) and (c.numpy() == b).all() and (i.numpy()
                                                                                   == 1).all() and (h.numpy()
                                                                                                    == 4).all()
    parameter = t.tensor(b, requires_grad=True)
    cell.step({"b_c": parameter}, np.zeros((3, 2)), (np.zeros((3, 2)),) * 3)[2].sum().backward()
    assert (parameter.grad.numpy() == 3).all()


def test_further_inputs_and_masks():
    cell = CATALOGUE["rnn"].but("h = tanh(W(x, m*h_prev, v) + b)", inputs="x m v", widths={"v": 3})
    c = case(cell)
    given = {n: v[0] for n, v in c.inputs.items()}
    mask = np.array([[True, False, True, False]] * 3)
    h, = cell.step(c.parameters, given["x"], c.state, m=mask, v=given["v"])
    p = c.parameters
    expected = np.tanh(given["x"] @ p["W_h_x"].T + (mask * c.state[0]) @ p["W_h_mh"].T + given["v"] @ p["W_h_v"].T
                       + p["b_h"])
    np.testing.assert_allclose(h.numpy(), expected, rtol=1e-12)


def test_batch_of_one_and_of_none():
    for B in (0, 1):
        c = case(CATALOGUE["lstm_layernorm"], B=B)
        _, last = run(c, c.parameters, c.inputs, c.state)
        assert last[0].shape == (B, 4)


def test_rows_do_not_mix():
    c = case(CATALOGUE["lstm_fgr"], B=5)
    whole, _ = run(c, c.parameters, c.inputs, c.state)
    c.inputs, c.state = {"x": c.inputs["x"][:, 2:3]}, tuple(s[2:3] for s in c.state)
    alone, _ = run(c, c.parameters, c.inputs, c.state)
    np.testing.assert_allclose(whole[-1].numpy()[2:3], alone[-1].numpy(), rtol=1e-12)


def test_nothing_given_is_changed():
    c = case(CATALOGUE["gru_layernorm"])
    before = {n: v.copy() for n, v in c.parameters.items()}, c.state[0].copy()
    run(c, c.parameters, c.inputs, c.state)
    assert all((c.parameters[n] == v).all() for n, v in before[0].items()) and (c.state[0] == before[1]).all()


X, S = np.zeros((2, 3)), (np.zeros((2, 4)),)
P = {"W_h_x": np.zeros((4, 3)), "W_h_h": np.zeros((4, 4)), "b_h": np.zeros(4)}


@pytest.mark.parametrize("parameters, x, state, inputs, error, message", [
    ({**P, "b_h": np.zeros(5)}, X, S, {}, ValueError,
     r"rnn.step: parameter b_h must have the shape \(4,\), got \(5,\)"),
    ({**P, "W_h_x": np.zeros((3, 4))}, X, S, {}, ValueError, r"W_h_x must have the shape \(4, 3\), got \(3, 4\)"),
    ({"W_h_x": P["W_h_x"]}, X, S, {}, ValueError, "parameters lacks W_h_h, b_h"),
    (list(P), X, S, {}, TypeError, "parameters must be a mapping"),
    (P, X[0], S, {}, ValueError, r"x must have the shape \(batch, features\), got \(3,\)"),
    (P, X[None], S, {}, ValueError, "x must have the shape"),
    (P, X, (np.zeros((3, 4)),), {}, ValueError, "state h must have the shape .* batch = 2 as x has"),
    (P, X, (np.zeros(4),), {}, ValueError, "state h must have the shape"),
    (P, X, (), {}, ValueError, r"state must have 1 entries \(h\), got 0"), (P, X, S * 2, {}, ValueError, "got 2"),
    (P, X, S[0], {}, TypeError, r"state must be a tuple \(h\), got ndarray"),
    (P, X, (np.zeros((2, 5)),), {}, ValueError, "W_h_x must have the shape .5, 3., got .4, 3."),
    (P, X.astype("float32"), S, {}, TypeError,
     r"x is float32 and h_prev is float64; bring them to one dtype, x.astype\(float64\) or"),
    (P, X, S, {"m": X}, ValueError, "further inputs of this cell are none; unknown: m"),
    (P, "x", S, {}, TypeError, "expected"),
    ({n: v.astype(int) for n, v in P.items()}, X.astype(int), (S[0].astype(int),), {}, TypeError,
     "must be floating, got int64"),
])
def test_what_step_refuses(parameters, x, state, inputs, error, message):
    with pytest.raises(error, match=message):
        RNN.step(parameters, x, state, **inputs)


def test_what_step_refuses_of_further_inputs():
    cell = RNN.but("h = tanh(W(x, m, h_prev) + b)", inputs="x m", widths={"m": 2}, name="captioned")
    p = {**P, "W_h_m": np.zeros((4, 2))}
    assert cell.step(p, X, S, m=np.zeros((2, 2)))[0].shape == (2, 4)
    with pytest.raises(ValueError, match="captioned.step: the further inputs of this cell are m; missing: m"):
        cell.step(p, X, S)
    with pytest.raises(ValueError, match=r"m must have the shape \(2, 2\), got \(2, 4\)"):
        cell.step(p, X, S, m=np.zeros((2, 4)))
    with pytest.raises(ValueError, match="unknown: q"):
        cell.step(p, X, S, m=np.zeros((2, 2)), q=X)


def test_a_state_of_another_width():
    cell = CATALOGUE["lstm_projection"]
    c = case(cell)
    with pytest.raises(ValueError, match="lstm_projection.step: state h must be 2 wide, got 4"):
        cell.step({**c.parameters}, c.inputs["x"][0], (c.state[1], c.state[1]))
    cell = Cell("h = 0*h_prev", widths={"h": "3*H"})
    with pytest.raises(ValueError, match="state h must be 3 wide|state h must be"):
        cell.step({}, np.zeros((1, 2)), (np.zeros((1, 4)),))


def test_widths_without_a_row_of_width_h():
    cell = Cell("h = tanh(W(x, h_prev))", widths={"h": "H//2"})
    assert cell.step({"W_h_x": np.zeros((3, 2)), "W_h_h": np.zeros((3, 3))}, np.zeros((1, 2)),
                     (np.zeros((1, 3)),))[0].shape == (1, 3)
    with pytest.raises(ValueError, match="W_h_h must have the shape"):
        cell.step({"W_h_x": np.zeros((3, 2)), "W_h_h": np.zeros((4, 3))}, np.zeros((1, 2)), (np.zeros((1, 3)),))


def test_a_traceback_shows_the_equation(monkeypatch):
    cell = Cell("i = sigmoid(W(x, h_prev) + b)\nh = i*tanh(2*i)", name="shown")
    c = case(cell)

    def breaks(*args):
        raise RuntimeError("planted")
    monkeypatch.setitem(cell.program._called, "tanh()", breaks)
    with pytest.raises(RuntimeError) as caught:
        cell.step(c.parameters, c.inputs["x"][0], c.state)
    text = "".join(traceback.format_exception(caught.value))
    assert "<cell shown " in text and "h = i*tanh(2*i)" in text and "line 3" in text
    assert linecache.getline(cell.program.filename, 2) == "i = sigmoid(W(x, h_prev) + b)\n"
