"""Recurrent: layers of any cell, against loops written out, against the readable path, and by laws."""

import itertools
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_rnn import nn, no_grad, tensor
from tinygrad_rnn.autograd.primitive import Primitive
from tinygrad_rnn.cells import Cell, catalogue, register_step, segments
from tinygrad_rnn.cells.functions import STEPS, UNITWISE
from tinygrad_rnn.nn import recurrent
from tinygrad_rnn.nn.dropout import mask

JIT = os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0")
CELLS = catalogue()
# One state and two, a product before and after a gate, a state read two steps back, gates as states, a projection.
NAMES = ("rnn", "lstm", "gru_reset_before", "residual_rnn", "lstm_fgr", "lstm_projection")


def sigma(x):
    return 1 / (1 + np.exp(-x))


def built(cell, *args, **options) -> nn.Recurrent:
    """A float64 layer with vectors that do not start at a constant."""
    layer = nn.Recurrent(CELLS[cell] if isinstance(cell, str) else cell, *args, rng=1, **options).astype(np.float64)
    rng = np.random.default_rng(3)
    for parameter in layer.parameters():
        parameter.data[...] = rng.normal(0, 0.5, parameter.shape)
    return layer


def states(layer, batch, rng):
    """Random states in the layout of the layer."""
    ways = 2 if layer.bidirectional else 1
    if len(set(layer._widths)) == 1:
        return tuple(rng.normal(size=(layer.num_layers * ways, batch, w)) for w in layer._widths[0])
    return [tuple(rng.normal(size=(ways, batch, w)) for w in widths) for widths in layer._widths]


def leaves(value) -> list:
    """The arrays and Tensors in nested lists, tuples and dicts."""
    if isinstance(value, (list, tuple)):
        return [leaf for v in value for leaf in leaves(v)]
    return [leaf for v in value.values() for leaf in leaves(v)] if isinstance(value, dict) else [value]


def arrays(value) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in leaves(value)]


def gradients(layer, x, state, lengths=None, reverse=False, gates=False, **inputs) -> list[np.ndarray]:
    """Every value that a layer gives, and every gradient, for random cotangents; its masks start anew."""
    if "stream" in vars(layer):
        layer.stream = np.random.default_rng(9)
    layer.zero_grad()
    x = tensor(x, requires_grad=True)
    inputs = {name: tensor(value, requires_grad=True) for name, value in inputs.items()}
    given = leaves(state)
    tensors = iter([tensor(s, requires_grad=True) for s in given])
    wanted = [x, *inputs.values()]

    def rebuilt(value):
        if isinstance(value, (list, tuple)):
            return type(value)(map(rebuilt, value))
        wanted.append(next(tensors))
        return wanted[-1]

    results = leaves(layer(x, rebuilt(state), lengths, reverse, gates, **inputs))
    rng = np.random.default_rng(11)
    sum(((r * rng.normal(size=r.shape)).sum() for r in results), start=0.0).backward()
    found = [*wanted, *layer.parameters()]
    return [r.numpy() for r in results] + [np.zeros(t.shape) if t.grad is None else t.grad.numpy() for t in found]


def close(found, expected, atol=1e-9) -> None:
    assert len(found) == len(expected)
    for a, b in zip(found, expected):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=atol)


# ---- longhand -------------------------------------------------------------------------------------------------------
def lstm_step(p, x, h, c, seen):
    """One step of an LSTM with Recurrent's parameters; `seen` is what the matrices see of h."""
    i, f, g, o = (p[f"W_{r}_x"] @ x + p[f"W_{r}_h"] @ seen + p[f"b_{r}"] for r in "ifgo")
    new = sigma(f) * c + sigma(i) * np.tanh(g)
    return sigma(o) * np.tanh(new), new


def longhand(layer, x, h, c, lengths, masks, keep) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One layer of LSTM, row by row: masks[t][b] on h, keep[t][b] = (k_c, k_h)."""
    p = {name.removesuffix("_l0"): value for name, value in layer.state_dict().items()}
    y, h, c = np.zeros((*x.shape[:2], h.shape[-1])), h.copy(), c.copy()
    for b, n in enumerate(lengths):
        for t in range(n):
            new_h, new_c = lstm_step(p, x[t, b], h[b], c[b], masks[t][b] * h[b])
            k_c, k_h = keep[t][b]
            c[b], h[b] = k_c * c[b] + (1 - k_c) * new_c, k_h * h[b] + (1 - k_h) * new_h
            y[t, b] = h[b]
    return y, h, c


@pytest.mark.parametrize("option", ["variational", "naive", "zoneout", "zoneout a state", "zoneout eval", "all"])
def test_dropout_and_zoneout_inside_the_recurrence(option, rng) -> None:
    T, B, D, H = 5, 3, 4, 6
    options = {"variational": {"variational_dropout": (0.0, 0.4, 0.0)}, "naive": {"naive_dropout": 0.4},
               "zoneout": {"zoneout": 0.3}, "zoneout a state": {"zoneout": (0.1, 0.6)},
               "zoneout eval": {"zoneout": 0.3}, "all": {"variational_dropout": 0.4, "zoneout": 0.3}}[option]
    layer = built("lstm", D, H, **options).train(option != "zoneout eval")
    x, (h, c) = rng.normal(size=(T, B, D)), states(layer, B, rng)
    layer.stream = np.random.default_rng(5)
    y, (last_h, last_c) = layer(x, (h, c), lengths=[5, 2, 4])
    # The same draws, in the same order: what is read, what enters the matrices, what is kept, what is given.
    stream, dtype = np.random.default_rng(5), np.dtype(float)
    reading = mask((B, D), 0.4, dtype, stream) if option == "all" else 1.0
    masks, keep = np.ones((T, B, H)), np.zeros((T, B, 2, H))
    if option in ("variational", "all"):
        masks[:] = mask((B, H), 0.4, dtype, stream)
    if option == "naive":
        masks = mask((T, B, H), 0.4, dtype, stream)
    if option == "zoneout eval":
        keep[:] = 0.3
    elif "zoneout" in options:
        rates = {"c": 0.6, "h": 0.1} if option == "zoneout a state" else {"c": 0.3, "h": 0.3}
        keep = np.stack([stream.random((T, B, H), np.float32) < rates[row] for row in "ch"], 2).astype(float)
    wanted, h, c = longhand(layer, x * reading, h[0], c[0], [5, 2, 4], masks, keep)
    if option == "all":
        wanted = wanted * mask((B, H), 0.4, dtype, stream)
    close([y.numpy(), last_h.numpy()[0], last_c.numpy()[0]], [wanted, h, c], 1e-12)


def test_a_variational_mask_lasts_a_sequence_and_a_naive_one_a_step() -> None:
    """With W = 1 on h and nothing else, units that are dropped once stay out, or do not."""
    cell = Cell("h = W(x) + W(h_prev)")
    x = np.ones((12, 1, 1))
    for options, sticky in (({"variational_dropout": (0.0, 0.5, 0.0)}, True), ({"naive_dropout": 0.5}, False)):
        layer = nn.Recurrent(cell, 1, 40, init="identity", rng=1, **options).astype(np.float64)
        layer.W_h_x_l0.data[...] = 1
        layer.stream = np.random.default_rng(0)
        reset = layer(x)[0].numpy()[1:, 0] == 1     # nothing of the step before came through
        assert 0.2 < reset.mean() < 0.8
        assert (reset == reset[0]).all() == sticky


def test_nothing_is_dropped_after_eval_and_zoneout_keeps_its_expectation(rng) -> None:
    x = rng.normal(size=(4, 2, 3))
    dropping = built("lstm", 3, 4, 2, dropout=0.5, variational_dropout=0.5, naive_dropout=0.0).eval()
    close(arrays(dropping(x)), arrays(built("lstm", 3, 4, 2)(x)), 0)
    layer = built("leaky_rnn", 3, 4, zoneout=0.25).eval()
    p = {name.removesuffix("_l0"): value for name, value in layer.state_dict().items()}
    h = np.zeros((2, 4))
    for t in range(4):
        new = 0.7 * h + 0.3 * np.tanh(x[t] @ p["W_n_x"].T + h @ p["W_n_h"].T + p["b_n"])
        h = 0.25 * h + 0.75 * new
    np.testing.assert_allclose(layer(x)[0].numpy()[-1], h, atol=1e-12)


# ---- compiled against readable --------------------------------------------------------------------------------------
@pytest.mark.parametrize(("name", "bidirectional", "lengths"),
                         list(itertools.product(NAMES, (False, True), (None, [3, 5, 1]))))
def test_compiled_equals_readable(name, bidirectional, lengths, rng) -> None:
    a, b = (built(name, 3, 4, 2, bidirectional=bidirectional, fused=fused) for fused in (True, False))
    x, state = rng.normal(size=(5, 3, 3)), states(a, 3, rng)
    for reverse in (False, True):
        close(gradients(a, x, state, lengths, reverse), gradients(b, x, state, lengths, reverse))


OPTIONS = [
    {"variational_dropout": 0.3}, {"variational_dropout": (0.0, 0.5, 0.2), "bidirectional": True},
    {"naive_dropout": 0.3}, {"zoneout": 0.3}, {"zoneout": 0.2, "variational_dropout": 0.2, "dropout": 0.3},
    {"skip": "dense", "bidirectional": True}, {"skip": "residual"}, {"skip": "dense", "variational_dropout": 0.3},
    {"checkpoint_every": 2}, {"checkpoint_every": "sqrt", "zoneout": 0.2, "variational_dropout": 0.3},
    {"checkpoint_every": 100}, {"checkpoint_every": 1, "bidirectional": True},
]


@pytest.mark.parametrize("options", OPTIONS, ids=repr)
def test_every_option_compiled_and_readable(options, rng) -> None:
    readable = {name: value for name, value in options.items() if name != "checkpoint_every"}
    for name, lengths in (("lstm", None), ("residual_rnn", [4, 6, 1])):
        a, b = built(name, 3, 4, 3, **options), built(name, 3, 4, 3, **readable, fused=False)
        x, state = rng.normal(size=(6, 3, 3)), states(a, 3, rng)
        close(gradients(a, x, state, lengths), gradients(b, x, state, lengths))


@pytest.mark.parametrize(("name", "B", "D", "H"), [("lstm", 3, 131, 650), ("gru_reset_before", 33, 65, 129),
                                                   ("lstm_projection", 7, 37, 258), ("rnn", 1, 301, 517)])
@pytest.mark.parametrize("lengths", [False, True])
def test_compiled_equals_readable_at_real_sizes(name, B, D, H, lengths, rng) -> None:
    """Two layers: mistakes in how products are cut into blocks do not show at H = 4."""
    a, b = (built(name, D, H, 2, fused=fused) for fused in (True, False))
    for layer in (a, b):
        for parameter in layer.parameters():
            parameter.data *= H ** -0.5
    x, state = rng.normal(size=(4, B, D)), states(a, B, rng)
    lengths = rng.integers(1, 5, B) if lengths else None
    close(gradients(a, x, state, lengths), gradients(b, x, state, lengths), 1e-8)


def test_sizes_of_their_own(rng) -> None:
    a, b = (built("lstm", 3, [4, 6, 5], 3, bidirectional=True, fused=fused) for fused in (True, False))
    x, state = rng.normal(size=(4, 2, 3)), states(a, 2, rng)
    close(gradients(a, x, state, [2, 4]), gradients(b, x, state, [2, 4]))
    output, last = a(x, state)
    assert output.shape == (4, 2, 10)
    assert [[s.shape for s in layer] for layer in last] == [[(2, 2, H), (2, 2, H)] for H in (4, 6, 5)]
    unbatched, (*_, (h, _)) = a(x[:, 0], [tuple(s[:, 0] for s in layer) for layer in state])
    np.testing.assert_allclose(unbatched.numpy(), output.numpy()[:, 0], atol=1e-15)
    assert h.shape == (2, 5)


FURTHER = CELLS["lstm"].but("g = tanh(W(x, h_prev, v) + e*u + b)", "h = o*tanh(c)", inputs="x v e u",
                            widths={"v": 2}, name="further")


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("lengths", [None, [2, 5, 4]])
def test_further_inputs_a_step_and_a_sequence(fused, lengths, rng) -> None:
    """Against the same numbers repeated for every step, and beyond the lengths NaN."""
    layer = built(FURTHER, 3, 4, 2, bidirectional=True, fused=fused)
    x, state = rng.normal(size=(5, 3, 3)), states(layer, 3, rng)
    v, e, u = rng.normal(size=(3, 2)), rng.normal(size=(5, 3, 4)), rng.normal(size=(3, 4))
    for b, n in enumerate(lengths or [5] * 3):
        e[n:, b] = np.nan
    found = gradients(layer, x, state, lengths, v=v, e=e, u=u)
    values = 1 + len(state)
    repeated = np.broadcast_to(v, (5, 3, 2)).copy(), np.broadcast_to(u, (5, 3, 4)).copy()
    wanted = gradients(layer, x, state, lengths, v=repeated[0], e=e, u=repeated[1])
    for k in (values + 1, values + 3):
        wanted[k] = wanted[k].sum(0)
    close(found, wanted)
    assert np.isfinite(found[0]).all()
    alone = layer(x[:, 0], v=v[0], e=np.nan_to_num(e[:, 0]), u=u[0])[0].numpy()
    first = layer(x[:, :1], v=v[:1], e=np.nan_to_num(e[:, :1]), u=u[:1])[0].numpy()
    np.testing.assert_allclose(alone, first[:, 0], atol=1e-15)


def test_batch_first_further_inputs_and_gates(rng) -> None:
    layer = built(FURTHER, 3, 4)
    turned = built(FURTHER, 3, 4, batch_first=True)
    x, e = rng.normal(size=(5, 3, 3)), rng.normal(size=(5, 3, 4))
    v, u = rng.normal(size=(3, 2)), rng.normal(size=(3, 4))
    y, _, (rows,) = layer(x, v=v, e=e, u=u, return_gates=True)
    z, _, (turned_rows,) = turned(x.swapaxes(0, 1), v=v, e=e.swapaxes(0, 1), u=u, return_gates=True)
    np.testing.assert_array_equal(y.numpy().swapaxes(0, 1), z.numpy())
    for name, row in rows.items():
        np.testing.assert_array_equal(row.numpy().swapaxes(0, 1), turned_rows[name].numpy())


def test_a_derivative_of_a_derivative(rng) -> None:
    from tinygrad_rnn.autograd import grad

    x = rng.normal(size=(4, 2, 3))
    found = []
    for options in ({"fused": True}, {"checkpoint_every": 2}, {"fused": False}):
        layer = built("gru_reset_before", 3, 4, **options)
        t = tensor(x, requires_grad=True)
        g, = grad((layer(t, lengths=[4, 2])[0] ** 2).sum(), t, create_graph=True)
        (g ** 2).sum().backward()
        found.append([t.grad.numpy(), *(p.grad.numpy() for p in layer.parameters())])
    close(found[0], found[2])
    close(found[1], found[2])


def test_only_what_is_asked_for_gets_a_gradient(rng) -> None:
    layer = built("lstm", 3, 4)
    layer.W_i_x_l0.requires_grad_(False)
    y, _ = layer(rng.normal(size=(3, 2, 3)))
    y.sum().backward()
    assert layer.W_i_x_l0.grad is None and layer.W_f_x_l0.grad is not None
    for parameter in layer.parameters():
        parameter.requires_grad_(False)
    x = tensor(rng.normal(size=(3, 2, 3)), requires_grad=True)
    layer(x)[0].sum().backward()
    assert x.grad.numpy().any()
    with no_grad():
        assert not layer(x)[0].requires_grad


@pytest.fixture
def weighted():
    """A step primitive: the sum over places s of softmax(query) values[s], for queries and values of one width."""
    def forward(query, values):
        e = np.exp((query[:, None] * values).sum(-1))
        return (e / e.sum(-1, keepdims=True))[..., None].transpose(0, 2, 1) @ values

    operation = Primitive(lambda query, values: forward(query, values)[:, 0], kind="structural", name="weighted",
                          rules=[None, None])
    register_step(operation, arity=2, width=0, sequence=(1,), no_gradient=(0, 1))
    yield operation
    STEPS.pop("weighted")
    UNITWISE.pop(operation)


def test_a_step_primitive_without_an_input_of_its_own(rng) -> None:
    operation = Primitive(lambda a: np.sort(a, -1), kind="structural", name="in_order", rules=[None])
    register_step(operation, arity=1, no_gradient=(0,))
    try:
        layer = built(Cell("h = tanh(W(x) + in_order(h_prev))"), 3, 4)
        h = layer(rng.normal(size=(2, 1, 3)), return_gates=True)[0].numpy()
        assert h.shape == (2, 1, 4) and not layer.compiled
    finally:
        STEPS.pop("in_order")
        UNITWISE.pop(operation)


def test_cells_that_call_a_step_primitive_run_step_by_step(weighted, rng) -> None:
    cell = Cell("v = weighted(W(h_prev), values)\nh = tanh(W(x, v))", inputs="x values", name="looking")
    layer = built(cell, 3, 4, 2, bidirectional=True)
    assert not layer.compiled
    x, values, lengths = rng.normal(size=(5, 3, 3)), rng.normal(size=(3, 6, 4)), [5, 2, 4]
    y, _, gates = layer(x, lengths=lengths, values=values, return_gates=True)
    p, h = {n.removesuffix("_l0"): v for n, v in layer.state_dict().items() if n.endswith("_l0")}, np.zeros(4)
    for t in range(4):
        e = np.exp(values[2] @ (p["W_v_h"] @ h))
        v = e / e.sum() @ values[2]
        h = np.tanh(p["W_h_x"] @ x[t, 2] + p["W_h_v"] @ v)
    np.testing.assert_allclose(gates[0]["v"].numpy()[3, 2], v, atol=1e-12)
    np.testing.assert_allclose(gates[0]["h"].numpy()[3, 2], h, atol=1e-12)
    alone, _ = layer(x[:4, 2], values=values[2])
    np.testing.assert_allclose(alone.numpy(), y.numpy()[:4, 2], atol=1e-12)
    y.sum().backward()
    assert layer.W_h_x_l0.grad.numpy().any()
    stepper, forward = built(cell, 3, 4).stepper(), built(cell, 3, 4)
    steps = np.stack([stepper(row, values=values[:1]) for row in x[:, 0]])
    np.testing.assert_allclose(steps, forward(x[:, :1], values=values[:1])[0].numpy()[:, 0], atol=1e-14)
    with pytest.raises(ValueError, match="fused=True, but looking calls a step primitive"):
        nn.Recurrent(cell, 3, 4, fused=True)


# ---- laws -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", NAMES)
def test_steps_in_two_parts(name, rng) -> None:
    layer = built(name, 3, 4, 2)
    x, state = rng.normal(size=(7, 3, 3)), states(layer, 3, rng)
    whole, end = layer(x, state)
    first, middle = layer(x[:3], state)
    second, last = layer(x[3:], middle)
    np.testing.assert_array_equal(whole.numpy(), np.concatenate([first.numpy(), second.numpy()]))
    for a, b in zip(end, last):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.parametrize("name", NAMES)
def test_reversing_twice_is_nothing(name, rng) -> None:
    layer = built(name, 3, 4)
    x, state, lengths = rng.normal(size=(6, 3, 3)), states(layer, 3, rng), [6, 2, 4]
    turned = np.zeros_like(x)
    for b, n in enumerate(lengths):
        turned[:n, b] = x[:n, b][::-1]
    forward, end = layer(x, state, lengths)
    backward, last = layer(turned, state, lengths, reverse=True)
    for b, n in enumerate(lengths):
        np.testing.assert_array_equal(forward.numpy()[:n, b], backward.numpy()[:n, b][::-1])
    for a, b in zip(end, last):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


@given(st.sampled_from(NAMES), st.permutations(range(4)), st.lists(st.integers(1, 6), min_size=4, max_size=4),
       st.booleans())
def test_padding_and_batch_order_change_nothing(name, order, lengths, reverse) -> None:
    layer = LAYERS[name]
    rng = np.random.default_rng(0)
    x, state = rng.normal(size=(6, 4, 3)), states(layer, 4, rng)
    lengths, order = np.array(lengths), list(order)
    clean = gradients(layer, x, state, lengths, reverse)
    for b, n in enumerate(lengths):
        x[n:, b] = np.nan
    dirty = gradients(layer, x, state, lengths, reverse)
    for a, b in zip(clean, dirty):
        np.testing.assert_array_equal(a, b)
    with no_grad():
        y, last = layer(x, state, lengths, reverse)
        z, mixed = layer(x[:, order], tuple(s[:, order] for s in state), lengths[order], reverse)
    if JIT:         # BLAS's products depend on what else is in the batch
        np.testing.assert_array_equal(y.numpy()[:, order], z.numpy())
    close([np.asarray(s)[:, order] for s in (y, *last)], arrays((z, *mixed)))


LAYERS = {name: built(name, 3, 4, bidirectional=True) for name in NAMES}


def test_stacked_and_bidirectional_equal_layers_of_their_own(rng) -> None:
    """Each direction of each layer as a layer by itself, put together by hand."""
    layer = built("lstm", 3, 4, 2, bidirectional=True)
    values, x, lengths = layer.state_dict(), rng.normal(size=(5, 3, 3)), [5, 2, 3]
    (h, c), below, finals = states(layer, 3, rng), x, []
    for k, width in enumerate((3, 8)):
        outputs = []
        for way, suffix in enumerate(("", "_reverse")):
            single = nn.Recurrent(CELLS["lstm"], width, 4).astype(np.float64)
            single.load_state_dict({f"{name}_l0": values[f"{name}_l{k}{suffix}"] for name in CELLS["lstm"].parameters})
            at = slice(2 * k + way, 2 * k + way + 1)
            y, last = single(below, (h[at], c[at]), lengths, reverse=bool(way))
            outputs.append(y.numpy())
            finals.append([s.numpy() for s in last])
        below = np.concatenate(outputs, -1)
    y, last = layer(x, (h, c), lengths)
    np.testing.assert_array_equal(y.numpy(), below)
    for k, s in enumerate(last):
        np.testing.assert_array_equal(s.numpy(), np.concatenate([final[k] for final in finals]))


def test_skips_by_hand(rng) -> None:
    x = rng.normal(size=(4, 2, 3))
    for skip in ("residual", "dense"):
        layer, handed = built("rnn", 3, 5, 3, skip=skip), [x]
        values = layer.state_dict()
        for k in range(3):
            read = np.concatenate(handed, -1) if skip == "dense" else handed[-1]
            single = nn.Recurrent(CELLS["rnn"], read.shape[-1], 5).astype(np.float64)
            single.load_state_dict({f"{n}_l0": values[f"{n}_l{k}"] for n in CELLS["rnn"].parameters})
            y = single(read)[0].numpy()
            handed.append(y + handed[-1] if skip == "residual" and k else y)
        np.testing.assert_allclose(layer(x)[0].numpy(), handed[-1], atol=1e-14)


# ---- segments -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("every", [1, 3, 7, "sqrt"])
@pytest.mark.parametrize("lengths", [None, [2, 11, 6]])
def test_segments_change_no_bit_but_in_sums_over_them(every, lengths, rng) -> None:
    a, b = built("lstm_fgr", 3, 4, checkpoint_every=every), built("lstm_fgr", 3, 4)
    x, state = rng.normal(size=(11, 3, 3)), states(a, 3, rng)
    for reverse in (False, True):
        found, wanted = gradients(a, x, state, lengths, reverse), gradients(b, x, state, lengths, reverse)
        count = 2 + 2 * len(state)          # output, final states; x, initial states
        for k, (p, q) in enumerate(zip(found, wanted)):
            if k < count and JIT:
                np.testing.assert_array_equal(p, q)
            np.testing.assert_allclose(p, q, rtol=1e-12, atol=1e-13)


def test_segments_keep_little() -> None:
    """Bytes that are alive between forward and backward, beyond inputs, parameters and outputs."""
    import tracemalloc

    x, kept = np.ones((10_000, 2, 8), np.float32), {}
    for every in (None, "sqrt"):
        layer = nn.Recurrent(CELLS["lstm"], 8, 16, checkpoint_every=every, rng=1)
        layer(x[:200])[0].sum().backward()       # compiles
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        output, state = layer(x)
        kept[every] = tracemalloc.get_traced_memory()[0] - before - output.data.nbytes
        tracemalloc.stop()
        output.sum().backward()
    assert kept["sqrt"] < kept[None] / 20


# ---- gates ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("options", [{}, {"bidirectional": True, "num_layers": 2}, {"zoneout": 0.3},
                                     {"variational_dropout": 0.3}, {"checkpoint_every": 2}])
@pytest.mark.parametrize("lengths", [None, [3, 5, 1]])
def test_gates_and_their_gradients(options, lengths, rng) -> None:
    readable = {name: value for name, value in options.items() if name != "checkpoint_every"}
    for name in ("lstm_cifg", "residual_rnn", "lstm_nig"):
        a, b = built(name, 3, 4, **options), built(name, 3, 4, **readable, fused=False)
        x, state = rng.normal(size=(5, 3, 3)), states(a, 3, rng)
        if not any(n in options for n in ("zoneout", "variational_dropout")):
            assert all(list(rows) == list(CELLS[name].rows) for rows in a(x, return_gates=True)[2])
        close(gradients(a, x, state, lengths, gates=True), gradients(b, x, state, lengths, gates=True))


def test_gates_satisfy_the_equations_and_are_zero_beyond_a_length(rng) -> None:
    layer, x = built("lstm_cifg", 3, 4), rng.normal(size=(5, 2, 3))
    (h, c), p = states(layer, 2, rng), {n.removesuffix("_l0"): v for n, v in layer.state_dict().items()}
    y, _, (rows,) = layer(x, (h, c), [5, 3], return_gates=True)
    rows = {name: row.numpy() for name, row in rows.items()}
    np.testing.assert_array_equal(rows["h"], y.numpy())
    before = np.concatenate([c, rows["c"][:-1]])
    np.testing.assert_allclose(rows["c"][:3], (rows["f"] * before + rows["i"] * rows["g"])[:3], atol=1e-14)
    i = sigma(x[0] @ p["W_i_x"].T + h[0] @ p["W_i_h"].T + p["p_i"] * c[0] + p["b_i"])
    np.testing.assert_allclose(rows["i"][0], i, atol=1e-14)
    assert not any(row[3:, 1].any() for row in rows.values())


# ---- parameters -----------------------------------------------------------------------------------------------------
def test_names_and_shapes() -> None:
    layer = nn.Recurrent(CELLS["lstm_peephole"], 3, 4, 2, bidirectional=True, rng=1)
    shapes = CELLS["lstm_peephole"].parameter_shapes
    expected = {f"{name}_l{k}{way}": shape for k, width in enumerate((3, 8)) for way in ("", "_reverse")
                for name, shape in shapes(width, 4).items()}
    assert {name: value.shape for name, value in layer.state_dict().items()} == expected
    assert list(layer.state_dict()) == list(expected)


def test_starts() -> None:
    bound = 30 ** -0.5
    for init in ("uniform", "orthogonal", "identity", nn.init.xavier_normal_):
        layer = nn.Recurrent(CELLS["lstm_peephole_full"], 30, 30, init=init, rng=1)
        assert (layer.b_f_l0.data == 1).all()
        assert 0.9 * bound < np.abs(layer.b_i_l0.data).max() <= bound
        W = layer.W_i_h_l0.data
        if init == "orthogonal":
            np.testing.assert_allclose(W @ W.T, np.eye(30), atol=1e-6)
            assert np.abs(layer.W_o_c_l0.data).max() > bound        # a row that a state leads to counts as recurrent
        elif init == "identity":
            np.testing.assert_array_equal(W, np.eye(30))
        elif init == "uniform":
            assert 0.9 * bound < np.abs(W).max() <= bound
        if callable(init):
            assert np.abs(layer.W_i_x_l0.data).max() > bound
        else:
            assert np.abs(layer.W_i_x_l0.data).max() <= bound       # square, but of x
    gain = nn.Recurrent(CELLS["lstm_layernorm"], 3, 4, init="orthogonal", rng=1)
    assert (gain.s_h_l0.data == 1).all() and (gain.s2_i_l0.data == 1).all()


def test_constants_do_not_change_parameters_or_need_any() -> None:
    slow = nn.Recurrent(CELLS["leaky_rnn"].but(a=0.01), 2, 3, rng=1)
    fast = nn.Recurrent(CELLS["leaky_rnn"], 2, 3, rng=1)
    np.testing.assert_array_equal(slow.W_n_x_l0.data, fast.W_n_x_l0.data)
    x = np.ones((2, 1, 2), np.float32)
    np.testing.assert_allclose(slow(x[:1])[0].numpy() * 30, fast(x[:1])[0].numpy(), rtol=1e-5)
    mean = nn.Recurrent(Cell("h = 0.5*h_prev + 0.5*x"), 3, 3)
    np.testing.assert_array_equal(mean(np.ones((2, 1, 3), np.float32))[0].numpy()[:, 0, 0], [0.5, 0.75])


def test_a_copy_computes_the_same_and_shows_itself(rng) -> None:
    import copy
    import pickle

    layer = built("lstm_cifg", 3, 4, 2, zoneout=0.1, skip="dense", init="orthogonal").eval()
    x = rng.normal(size=(3, 2, 3))
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        close(arrays(twin(x)), arrays(layer(x)), 0)
    text = repr(layer)
    assert text.startswith("Recurrent(lstm_cifg, 3, 4, num_layers=2, zoneout=") and "init='orthogonal'" in text


# ---- what is refused ------------------------------------------------------------------------------------------------
X = np.zeros((5, 2, 3), np.float32)
LSTM = CELLS["lstm"]


@pytest.mark.parametrize(("call", "error", "match"), [
    (lambda: nn.Recurrent("lstm", 3, 4), TypeError, "cell must be a Cell, .*, got str"),
    (lambda: nn.Recurrent(LSTM, 3, 0), ValueError, "hidden_size must be at least 1, got 0"),
    (lambda: nn.Recurrent(LSTM, 3, [4, 5]), ValueError, "one a layer: num_layers=1, got 2 sizes"),
    (lambda: nn.Recurrent(LSTM, 3, [4, 0], 2), ValueError, r"hidden_size\[1\] must be at least 1"),
    (lambda: nn.Recurrent(LSTM, 3, 4, 0), ValueError, "num_layers must be at least 1"),
    (lambda: nn.Recurrent(LSTM, 3, 4, dropout=2), ValueError, "dropout must be a probability"),
    (lambda: nn.Recurrent(LSTM, 3, 4, variational_dropout=(0, 1.5, 0)), ValueError, "variational_dropout must be a pr"),
    (lambda: nn.Recurrent(LSTM, 3, 4, variational_dropout=(0, 1)), ValueError, "got 2 numbers"),
    (lambda: nn.Recurrent(LSTM, 3, 4, zoneout=-1), ValueError, "zoneout must be a probability"),
    (lambda: nn.Recurrent(LSTM, 3, 4, zoneout=(0.1,) * 3), ValueError, "one for each of h, c, got 3 numbers"),
    (lambda: nn.Recurrent(LSTM, 3, 4, variational_dropout=0.1, naive_dropout=0.1), ValueError, "give one of them"),
    (lambda: nn.Recurrent(LSTM, 3, 4, skip="highway"), ValueError, "skip must be one of 'none', 'residual', 'dense'"),
    (lambda: nn.Recurrent(LSTM, 3, [4, 5], 2, skip="residual"), ValueError, "layer 1 reads 4 features and gives 5"),
    (lambda: nn.Recurrent(LSTM, 3, 4, fused="yes"), ValueError, "fused must be one of True, False, 'auto', got 'yes'"),
    (lambda: nn.Recurrent(LSTM, 3, 4, init="zeros"), ValueError, "init must be one of"),
    (lambda: nn.Recurrent(LSTM, 3, 4, checkpoint_every="all"), ValueError, "'sqrt', got 'all'"),
    (lambda: nn.Recurrent(LSTM, 3, 4, checkpoint_every=0), ValueError, "checkpoint_every must be at least 1"),
    (lambda: nn.Recurrent(LSTM, 3, 4, checkpoint_every=2, fused=False), ValueError, "runs step by step"),
    (lambda: nn.Recurrent(LSTM.but("g = tanh(W(x, state))", inputs="x state"), 3, 4), ValueError, "'state' is an arg"),
    (lambda: nn.Recurrent(CELLS["mut1"], 3, 4), ValueError, "x stands without a matrix, which needs D = 4"),
    (lambda: nn.Recurrent(FURTHER, 3, [4, 5], 2), ValueError, "layer 0 it is 4 wide, for layer 1 5: give its width"),
    (lambda: nn.Recurrent(LSTM, 64, 2)(np.zeros((3, 2, 40), np.float32)), ValueError,
     "^Recurrent: x has 40 features, the layer was built for input_size=64"),
    (lambda: nn.Recurrent(LSTM, 3, 4)(X.astype(np.float64)), TypeError, r"x\.astype\(float32\), .*astype\(float64\)"),
    (lambda: nn.Recurrent(LSTM, 3, 4)(X, lengths=[5, 0]), ValueError, "length of row 1 is 0"),
    (lambda: nn.Recurrent(CELLS["rnn"], 3, 4)(X, np.zeros((1, 2, 4), np.float32)), TypeError,
     r"state must be a tuple \(h,\), got ndarray"),
    (lambda: nn.Recurrent(LSTM, 3, [4, 5], 2)(X, (X, X, X)), TypeError, "one for each of 2 layers"),
    (lambda: nn.Recurrent(LSTM, 3, [4, 5], 2)(X, [(X,), (X,)]), TypeError, r"a tuple \(h, c\), got tuple of 1"),
    (lambda: nn.Recurrent(LSTM, 3, 4)(X, v=X), ValueError, "further inputs of the cell are none, got v"),
    (lambda: nn.Recurrent(FURTHER, 3, 4)(X), ValueError, "further inputs of the cell are v, e, u, got none"),
    (lambda: nn.Recurrent(FURTHER, 3, 4)(X, v=X, e=X, u=X), ValueError,
     r"v must have one row a step, \(T, B, width\) = \(5, 2, 2\), or one a sequence, \(2, 2\), got \(5, 2, 3\)"),
    (lambda: nn.LSTM(3, 4)(X, v=X), ValueError, "LSTM: further inputs of the cell are none, got v"),
])
def test_errors(call, error, match) -> None:
    with pytest.raises(error, match=match):
        call()


def test_a_state_that_was_not_detached_is_named() -> None:
    layer = nn.Recurrent(LSTM, 3, 4, checkpoint_every=2)
    output, state = layer(X)
    output.sum().backward()
    output, _ = layer(X, state)
    with pytest.raises(ValueError, match=r"freed .* detach\(\)"):
        output.sum().backward()
    layer.zero_grad()
    layer(X, tuple(s.detach() for s in state))[0].sum().backward()
    assert layer.b_i_l0.grad is not None


def test_a_state_is_carried_detached_and_reset_row_by_row(rng) -> None:
    """As over a stream of texts: row 1 begins anew in the middle."""
    layer = built("lstm", 3, 4, 2)
    x = rng.normal(size=(6, 3, 3))
    first, state = layer(x[:3])
    goes_on = np.array([1.0, 0.0, 1.0])[:, None]
    second, _ = layer(tensor(x[3:], requires_grad=True), tuple(s.detach() * goes_on for s in state))
    whole, fresh = layer(x)[0].numpy(), layer(x[3:])[0].numpy()
    np.testing.assert_array_equal(second.numpy()[:, [0, 2]], whole[3:, [0, 2]])
    np.testing.assert_array_equal(second.numpy()[:, 1], fresh[:, 1])
    layer.zero_grad()
    second.sum().backward()
    assert layer.W_i_x_l0.grad is not None      # and no error: what was detached is not gone through again


def test_batches_of_none_and_narrower_inputs() -> None:
    layer = nn.Recurrent(LSTM, 3, 4, 2, bidirectional=True, rng=1)
    output, (h, c) = layer(np.zeros((5, 0, 3), np.float32), return_gates=False)
    assert output.shape == (5, 0, 8) and h.shape == c.shape == (4, 0, 4)
    x = np.ones((5, 2, 3), np.float32)
    layer.astype(np.float64)
    assert layer(x)[0].dtype == np.float64
    np.testing.assert_array_equal(layer(x)[0].numpy(), layer(x.astype(np.float64))[0].numpy())


def test_masks_and_integers_as_further_inputs(rng) -> None:
    cell = Cell("h = tanh(W(x) + m*h_prev)", inputs="x m")
    layer, x = nn.Recurrent(cell, 3, 4, rng=1), rng.normal(size=(3, 2, 3)).astype(np.float32)
    m = rng.integers(0, 2, (2, 4))
    wanted = layer(x, m=m.astype(np.float32))[0].numpy()
    for given_m in (m, m.astype(bool)):
        np.testing.assert_array_equal(layer(x, m=given_m)[0].numpy(), wanted)


# ---- the tests are tested -------------------------------------------------------------------------------------------
def test_a_mask_on_the_state_itself_is_caught(rng, monkeypatch) -> None:
    """A mask multiplies a state where it enters a W, and not where it is carried on."""
    layer = built("gru_reset_before", 3, 4, variational_dropout=(0.0, 0.5, 0.0))
    p = {n.removesuffix("_l0"): v for n, v in layer.state_dict().items()}
    x, h = rng.normal(size=(3, 1, 3)), rng.normal(size=(1, 4))

    def last_output() -> np.ndarray:
        layer.stream = np.random.default_rng(4)
        return layer(x, (h0[None],))[0].numpy()[-1]

    h0, m = h, mask((1, 4), 0.5, np.dtype(float), np.random.default_rng(4))
    for t in range(3):
        r, z = (sigma(x[t] @ p[f"W_{g}_x"].T + (m * h) @ p[f"W_{g}_h"].T + p[f"b_{g}"]) for g in "rz")
        n = np.tanh(x[t] @ p["W_n_x"].T + (r * m * h) @ p["W_n_rh"].T + p["b_n"])
        h = (1 - z) * n + z * h
    np.testing.assert_allclose(last_output(), h, atol=1e-12)
    right, names = recurrent._masked(layer.cell)
    monkeypatch.setattr(recurrent, "_masked", lambda cell: (right.but("h = (1 - z)*n + z*(m_h*h_prev)"), names))
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(last_output(), h, atol=1e-3)


@pytest.mark.parametrize("mistake", ["h = k_h*h_new + (1 - k_h)*h_prev", "h_new = o*tanh(c)",
                                     "c = k_c*c_prev + (1 - k_c)*c_new - 0.001"])
def test_another_zoneout_is_caught(mistake, monkeypatch) -> None:
    right, names = recurrent._zoned(CELLS["lstm"], None)
    monkeypatch.setattr(recurrent, "_zoned", lambda cell, rates: (right.but(mistake), names))
    with pytest.raises(AssertionError):
        test_dropout_and_zoneout_inside_the_recurrence("zoneout", np.random.default_rng(20))


@pytest.mark.parametrize("shift", [-1, 1])
def test_segments_that_are_off_by_one_are_caught(shift, monkeypatch) -> None:
    def shifted(*args):
        return [s._replace(lengths=np.clip(s.lengths + shift, 0, len(s.x))) for s in right(*args)]

    right = segments._segments
    monkeypatch.setattr(segments, "_segments", shifted)
    with pytest.raises(AssertionError):
        test_segments_change_no_bit_but_in_sums_over_them(3, [2, 11, 6], np.random.default_rng(20))
