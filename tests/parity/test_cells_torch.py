"""The readable step of the cells that PyTorch has, over a sequence: values and all gradients are PyTorch's."""

import numpy as np
import pytest

import tinygrad_rnn as t
from tinygrad_rnn.cells import catalogue

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.parity
CATALOGUE = catalogue()
T, B, D, H = 6, 3, 5, 4


def rnn(weights):
    wx, wh, bx, bh = weights
    return {"W_h_x": wx, "W_h_h": wh, "b_h": bx + bh}


def lstm(weights):
    wx, wh, bx, bh = weights
    return {name: value[k * H:(k + 1) * H] for k, g in enumerate("ifgo")
            for name, value in ((f"W_{g}_x", wx), (f"W_{g}_h", wh), (f"b_{g}", bx + bh))}


def gru(weights):
    wx, wh, bx, bh = weights
    found = {name: value[k * H:(k + 1) * H] for k, g in enumerate("rz")
             for name, value in ((f"W_{g}_x", wx), (f"W_{g}_h", wh), (f"b_{g}", bx + bh))}
    return {**found, "W_n_x": wx[2 * H:], "b_n": bx[2 * H:], "W_n_h": wh[2 * H:], "b2_n": bh[2 * H:]}


CASES = {"rnn": (torch.nn.RNN, {}, rnn), "rnn_relu": (torch.nn.RNN, {"nonlinearity": "relu"}, rnn),
         "lstm": (torch.nn.LSTM, {}, lstm), "gru_reset_after": (torch.nn.GRU, {}, gru)}


@pytest.mark.parametrize("name", CASES)
def test_a_sequence_equals_torch(name):
    module, options, ours = CASES[name]
    cell = CATALOGUE[name]
    torch.manual_seed(0)
    net = module(D, H, **options).double()
    rng = np.random.default_rng(0)
    x, outputs_weight = rng.standard_normal((T, B, D)), rng.standard_normal((T, B, H))
    states = [rng.standard_normal((B, H)) for _ in cell.states]
    states_weight = [rng.standard_normal((B, H)) for _ in cell.states]

    tx = torch.tensor(x, requires_grad=True)
    ts = [torch.tensor(s[None], requires_grad=True) for s in states]
    ty, tlast = net(tx, tuple(ts) if len(ts) > 1 else ts[0])
    tlast = tlast if isinstance(tlast, tuple) else (tlast,)
    loss = (ty * torch.tensor(outputs_weight)).sum() + sum((s[0] * torch.tensor(w)).sum() for s,
                                                           w in zip(tlast, states_weight))
    loss.backward()

    weights = [t.tensor(p.detach().numpy(), requires_grad=True) for p in net.parameters()]
    parameters = ours(weights)
    assert parameters.keys() == cell.parameters.keys()
    ox, state = t.tensor(x, requires_grad=True), tuple(t.tensor(s, requires_grad=True) for s in states)
    start, total = state, 0
    for k in range(T):
        state = cell.step(parameters, ox[k], state)
        np.testing.assert_allclose(state[0].numpy(), ty[k].detach().numpy(), rtol=1e-11, atol=1e-13)
        total = total + (state[0] * outputs_weight[k]).sum()
    for s, s_torch, w in zip(state, tlast, states_weight):
        np.testing.assert_allclose(s.numpy(), s_torch[0].detach().numpy(), rtol=1e-11, atol=1e-13)
        total = total + (s * w).sum()
    total.backward()
    pairs = [(ox.grad, tx.grad), *((o.grad, p.grad[0]) for o, p in zip(start, ts)),
             *((o.grad, p.grad) for o, p in zip(weights, net.parameters()))]
    for mine, theirs in pairs:
        np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=1e-10, atol=1e-12)


def test_projection():
    P, cell = 3, CATALOGUE["lstm_projection"].but(widths={"h": 3})
    torch.manual_seed(0)
    net = torch.nn.LSTM(D, H, proj_size=P).double()
    wx, wh, bx, bh, wr = (p.detach().numpy() for p in net.parameters())
    rng = np.random.default_rng(0)
    x, h, c = rng.standard_normal((T, B, D)), rng.standard_normal((B, P)), rng.standard_normal((B, H))
    ty, (th, tc) = net(torch.tensor(x), (torch.tensor(h[None]), torch.tensor(c[None])))
    state = (h, c)
    for k in range(T):
        state = cell.step({**lstm([wx, wh, bx, bh]), "W_h_m": wr}, x[k], state)
        np.testing.assert_allclose(state[0].numpy(), ty[k].detach().numpy(), rtol=1e-11)
    np.testing.assert_allclose(state[1].numpy(), tc[0].detach().numpy(), rtol=1e-11)
    np.testing.assert_allclose(state[0].numpy(), th[0].detach().numpy(), rtol=1e-11)


def test_the_equations_of_layer_norm_are_torchs():
    rng = np.random.default_rng(0)
    u = rng.standard_normal((B, H))
    cell = CATALOGUE["rnn_layernorm"].but("h = layer_norm(x) + 0*h_prev")
    ours, = cell.step({}, u, (u,))
    np.testing.assert_allclose(ours.numpy(), torch.nn.functional.layer_norm(torch.tensor(u), (H,)).numpy(), rtol=1e-10)
