"""Layers and losses beside PyTorch's: values, gradients, names, starting distributions, state_dicts both ways."""

import itertools

import numpy as np
import pytest

from tinygrad_rnn import interop, nn, tensor
from tinygrad_rnn.nn import functional, init

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.parity

KINDS = ("RNN", "LSTM", "GRU")


def both(x: np.ndarray):
    """One array as our tensor and as PyTorch's, both wanting a gradient."""
    return tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)


def close(ours, theirs, rtol=1e-9, atol=1e-11) -> None:
    np.testing.assert_allclose(np.asarray(ours), theirs.detach().numpy(), rtol=rtol, atol=atol)


def twins(ours: nn.Module, theirs) -> None:
    """Give our layer PyTorch's values, in float64."""
    ours.astype(np.float64)
    theirs.double()
    state = theirs.state_dict()
    assert list(ours.state_dict()) == list(state)
    ours.load_state_dict(state)


def same_gradients(ours: nn.Module, theirs) -> None:
    for (name, a), (other, b) in zip(ours.named_parameters(), theirs.named_parameters()):
        assert name == other
        close(a.grad, b.grad)


# ---- recurrent layers -----------------------------------------------------------------------------------------------
NO_YES = (False, True)


@pytest.mark.parametrize(("kind", "num_layers", "bidirectional", "bias", "batch_first", "proj", "given"), [
    case for case in itertools.product(KINDS, (1, 2), NO_YES, NO_YES, NO_YES, (0, 3), NO_YES)
    if case[0] == "LSTM" or not case[5]])
def test_recurrent(kind, num_layers, bidirectional, bias, batch_first, proj, given, rng) -> None:
    options = dict(num_layers=num_layers, bidirectional=bidirectional, bias=bias, batch_first=batch_first)
    options |= {"proj_size": proj} if proj else {}
    ours, theirs = getattr(nn, kind)(4, 5, **options), getattr(torch.nn, kind)(4, 5, **options)
    twins(ours, theirs)
    x, their_x = both(rng.normal(size=(3, 6, 4)))
    B, ways = (3, 6)[not batch_first], num_layers * (1 + bidirectional)
    pairs = [both(rng.normal(size=(ways, B, width))) for width in (proj or 5, 5)][:1 + (kind == "LSTM")]
    state, their_state = zip(*pairs)
    if kind != "LSTM":
        state, their_state = state[0], their_state[0]
    output, final = ours(x, state if given else None)
    their_output, their_final = theirs(their_x, their_state if given else None)
    final, their_final = (final, their_final) if kind == "LSTM" else ((final,), (their_final,))
    loss, their_loss = 0.0, 0.0
    for a, b in zip((output, *final), (their_output, *their_final)):
        close(a, b)
        w = rng.normal(size=a.shape)
        loss, their_loss = loss + (a * w).sum(), their_loss + (b * torch.tensor(w)).sum()
    loss.backward()
    their_loss.backward()
    close(x.grad, their_x.grad)
    same_gradients(ours, theirs)
    for a, b in pairs if given else ():
        close(a.grad, b.grad)


@pytest.mark.parametrize("kind", KINDS)
def test_ragged_batches_equal_packed_sequences(kind, rng) -> None:
    lengths = [3, 6, 1, 4]
    ours, theirs = getattr(nn, kind)(4, 5, 2, bidirectional=True), getattr(torch.nn, kind)(4, 5, 2, bidirectional=True)
    twins(ours, theirs)
    x = rng.normal(size=(6, 4, 4))
    output, state = ours(x, lengths=lengths)
    pack = torch.nn.utils.rnn.pack_padded_sequence(torch.tensor(x), lengths, enforce_sorted=False)
    packed, their_state = theirs(pack)
    close(output, torch.nn.utils.rnn.pad_packed_sequence(packed)[0])
    for a, b in zip(state if kind == "LSTM" else (state,), their_state if kind == "LSTM" else (their_state,)):
        close(a, b)


@pytest.mark.parametrize(("kind", "num_layers", "bidirectional", "bias", "proj", "given"), [
    case for case in itertools.product(KINDS, (1, 2), NO_YES, NO_YES, (0, 3), NO_YES)
    if case[0] == "LSTM" or not case[4]])
def test_ragged_batches_with_gradients(kind, num_layers, bidirectional, bias, proj, given, rng) -> None:
    """Against packed sequences, with cotangents on outputs and on final states."""
    lengths, ways = [3, 6, 1, 4], num_layers * (1 + bidirectional)
    options = dict(num_layers=num_layers, bidirectional=bidirectional, bias=bias)
    options |= {"proj_size": proj} if proj else {}
    ours, theirs = getattr(nn, kind)(4, 5, **options), getattr(torch.nn, kind)(4, 5, **options)
    twins(ours, theirs)
    x, their_x = both(rng.normal(size=(6, 4, 4)))
    pairs = [both(rng.normal(size=(ways, 4, width))) for width in (proj or 5, 5)][:1 + (kind == "LSTM")]
    state, their_state = zip(*pairs) if kind == "LSTM" else pairs[0]
    output, final = ours(x, state if given else None, lengths)
    pack = torch.nn.utils.rnn.pack_padded_sequence(their_x, lengths, enforce_sorted=False)
    packed, their_final = theirs(pack, their_state if given else None)
    their_output = torch.nn.utils.rnn.pad_packed_sequence(packed)[0]
    final, their_final = (final, their_final) if kind == "LSTM" else ((final,), (their_final,))
    loss, their_loss = 0.0, 0.0
    for a, b in zip((output, *final), (their_output, *their_final)):
        close(a, b)
        w = rng.normal(size=a.shape)
        loss, their_loss = loss + (a * w).sum(), their_loss + (b * torch.tensor(w)).sum()
    loss.backward()
    their_loss.backward()
    close(x.grad, their_x.grad)
    same_gradients(ours, theirs)
    for a, b in pairs if given else ():
        close(a.grad, b.grad)


@pytest.mark.parametrize(("kind", "B", "D", "H", "options"), [
    ("LSTM", 20, 201, 650, {}), ("LSTM", 33, 65, 131, {"bidirectional": True}),
    ("LSTM", 7, 129, 257, {"proj_size": 99}),
    ("GRU", 20, 201, 512, {}), ("GRU", 1, 63, 129, {"bidirectional": True}), ("RNN", 17, 127, 650, {}),
    ("RNN", 5, 300, 128, {"nonlinearity": "relu", "bidirectional": True})])
def test_two_layers_at_real_sizes(kind, B, D, H, options, rng) -> None:
    ours, theirs = getattr(nn, kind)(D, H, 2, **options), getattr(torch.nn, kind)(D, H, 2, **options)
    twins(ours, theirs)
    x, their_x = both(rng.normal(size=(5, B, D)))
    output, their_output = ours(x)[0], theirs(their_x)[0]
    close(output, their_output)
    w = rng.normal(size=output.shape)
    (output * w).sum().backward()
    (their_output * torch.tensor(w)).sum().backward()
    close(x.grad, their_x.grad, atol=1e-9)
    for (_, a), (_, b) in zip(ours.named_parameters(), theirs.named_parameters()):
        close(a.grad, b.grad, atol=1e-9)


@pytest.mark.parametrize(("kind", "bias"), list(itertools.product(KINDS, NO_YES)))
def test_single_steps(kind, bias, rng) -> None:
    ours, theirs = getattr(nn, kind + "Cell")(4, 5, bias), getattr(torch.nn, kind + "Cell")(4, 5, bias)
    twins(ours, theirs)
    x, their_x = both(rng.normal(size=(3, 4)))
    pairs = [both(rng.normal(size=(3, 5))) for _ in range(1 + (kind == "LSTM"))]
    state, their_state = zip(*pairs) if kind == "LSTM" else pairs[0]
    for given in (False, True):
        found, wanted = ours(x, *[state] * given), theirs(their_x, *[their_state] * given)
        found, wanted = (found, wanted) if kind == "LSTM" else ((found,), (wanted,))
        for a, b in zip(found, wanted):
            close(a, b)
    sum((a.sum() for a in found), start=0.0).backward()
    sum(b.sum() for b in wanted).backward()
    close(x.grad, their_x.grad)
    same_gradients(ours, theirs)
    for a, b in pairs:
        close(a.grad, b.grad)
    again = getattr(nn, kind + "Cell")(4, 5, bias)
    interop.torch.load(again, theirs.state_dict())
    assert list(interop.torch.state_dict(again)) == list(theirs.state_dict())


def test_a_stepper_equals_their_layer(rng) -> None:
    ours, theirs = nn.LSTM(65, 129, 2), torch.nn.LSTM(65, 129, 2)
    ours.load_state_dict(theirs.state_dict())
    x, stepper = rng.normal(size=(6, 1, 65)).astype(np.float32), ours.stepper()
    close(np.stack([stepper(row) for row in x]), theirs(torch.tensor(x))[0], rtol=1e-4, atol=1e-5)


def test_relu_rnn_and_unbatched(rng) -> None:
    ours, theirs = nn.RNN(4, 5, 2, "relu"), torch.nn.RNN(4, 5, 2, "relu")
    twins(ours, theirs)
    x = rng.normal(size=(7, 4))
    for a, b in zip(ours(x), theirs(torch.tensor(x))):
        close(a, b)


def test_in_float32_at_a_real_size(rng) -> None:
    ours, theirs = nn.LSTM(64, 128), torch.nn.LSTM(64, 128)
    ours.load_state_dict(theirs.state_dict())
    x = rng.normal(size=(50, 32, 64)).astype(np.float32)
    output, their_output = ours(x)[0], theirs(torch.tensor(x))[0]
    close(output, their_output, rtol=1e-4, atol=1e-5)
    output.sum().backward()
    their_output.sum().backward()
    for (_, a), (_, b) in zip(ours.named_parameters(), theirs.named_parameters()):
        close(a.grad, b.grad, rtol=1e-3, atol=2e-2)


@pytest.mark.parametrize("kind", KINDS)
def test_our_state_loads_into_theirs(kind, rng) -> None:
    ours, theirs = getattr(nn, kind)(3, 4, 2, bidirectional=True), getattr(torch.nn, kind)(3, 4, 2, bidirectional=True)
    state = interop.torch.state_dict(ours)
    theirs.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
    again = getattr(nn, kind)(3, 4, 2, bidirectional=True)
    interop.torch.load(again, theirs.state_dict())
    for name, value in again.state_dict().items():
        np.testing.assert_array_equal(value, state[name])
    x = rng.normal(size=(5, 2, 3)).astype(np.float32)
    close(ours(x)[0], theirs(torch.tensor(x))[0], rtol=1e-5, atol=1e-6)


# ---- other layers ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("name", "arguments", "shape"), [
    ("Linear", (4, 3), (2, 5, 4)), ("LayerNorm", (4,), (2, 5, 4)), ("LayerNorm", ((5, 4),), (2, 5, 4)),
    ("Tanh", (), (3, 4)), ("Sigmoid", (), (3, 4)), ("ReLU", (), (3, 4)), ("LeakyReLU", (0.2,), (3, 4)),
    ("ELU", (0.5,), (3, 4)), ("GELU", (), (3, 4)), ("GELU", ("tanh",), (3, 4)), ("SiLU", (), (3, 4)),
    ("Softplus", (2.0,), (3, 4)),
    ("Softmax", (1,), (3, 4, 2)), ("LogSoftmax", (-1,), (3, 4)),
    ("Conv1d", (4, 6, 3), (2, 4, 9)), ("Conv1d", (4, 6, 3, 2, 1, 2, 2), (2, 4, 9)), ("Conv1d", (4, 6, 3), (4, 9)),
    ("Conv2d", (4, 6, 3), (2, 4, 7, 9)), ("Conv2d", (4, 6, (2, 3), (2, 1), (1, 2), (1, 2), 2), (2, 4, 7, 9)),
    ("Conv2d", (4, 8, 1), (2, 4, 7, 9)), ("Conv2d", (4, 4, 3, 1, "same", 2, 4, False), (2, 4, 7, 9)),
    ("Conv2d", (4, 6, 3, 1, 1, 1, 1, True, "reflect"), (2, 4, 7, 9)), ("Conv2d", (4, 6, 3), (4, 7, 9)),
    ("Conv2d", (4, 6, 3, 2, (1, 2), 1, 1, True, "replicate"), (2, 4, 7, 9)),
    ("Conv1d", (4, 6, 2, 1, "same", 1, 1, True, "circular"), (2, 4, 9)),
    ("MaxPool2d", (2,), (2, 3, 6, 7)), ("MaxPool2d", ((3, 2), (2, 1), 1, (1, 2)), (2, 3, 6, 7)),
    ("MaxPool2d", (3, 2, 1, 1, False, True), (2, 3, 6, 8)), ("MaxPool2d", (2, 3, 0, 1, False, True), (3, 6, 7)),
    ("Unfold", (2,), (2, 3, 4, 5)), ("Unfold", ((2, 3), (1, 2), (1, 0), (2, 1)), (2, 3, 6, 7)),
    ("Unfold", (2,), (3, 4, 5)),
])
def test_layers(name, arguments, shape, rng) -> None:
    options = {"approximate": arguments[0]} if arguments == ("tanh",) else {}
    arguments = () if options else arguments
    ours, theirs = getattr(nn, name)(*arguments, **options), getattr(torch.nn, name)(*arguments, **options)
    twins(ours, theirs)
    x, their_x = both(rng.normal(size=shape))
    y, their_y = ours(x), theirs(their_x)
    close(y, their_y)
    w = rng.normal(size=y.shape)
    (y * w).sum().backward()
    (their_y * torch.tensor(w)).sum().backward()
    close(x.grad, their_x.grad)
    same_gradients(ours, theirs)


@pytest.mark.parametrize("options", [{}, {"padding_idx": 2}, {"padding_idx": -1}, {"max_norm": 1.0}])
def test_embedding(options, rng) -> None:
    ours, theirs = nn.Embedding(6, 3, **options), torch.nn.Embedding(6, 3, **options)
    twins(ours, theirs)
    ids = rng.integers(0, 6, (4, 5))
    y, their_y = ours(ids), theirs(torch.tensor(ids))
    close(y, their_y)
    w = rng.normal(size=y.shape)
    (y * w).sum().backward()
    (their_y * torch.tensor(w)).sum().backward()
    same_gradients(ours, theirs)
    close(ours.weight.data, theirs.weight)


# ---- losses ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("reduction", "smoothing", "weighted", "ignored", "shape"), list(itertools.product(
    ("mean", "sum", "none"), (0.0, 0.3), (False, True), (False, True), [(6, 5), (5,), (3, 5, 4), (2, 5, 3, 4)])))
def test_cross_entropy(reduction, smoothing, weighted, ignored, shape, rng) -> None:
    x, their_x = both(3 * rng.normal(size=shape))
    t = np.array(rng.integers(0, 5, shape[:1] + shape[2:] if len(shape) > 1 else ()))
    if ignored and t.ndim:
        t.flat[0] = 3
    weight = rng.uniform(0.5, 2, 5) if weighted else None
    options = {"ignore_index": 3 if ignored and t.ndim else -100, "reduction": reduction}
    theirs = dict(options, weight=None if weight is None else torch.tensor(weight))
    pairs = [(functional.cross_entropy(x, t, weight, label_smoothing=smoothing, **options),
              torch.nn.functional.cross_entropy(their_x, torch.tensor(t), label_smoothing=smoothing, **theirs))]
    if not smoothing:
        pairs.append((functional.nll_loss(x, t, weight, **options),
                      torch.nn.functional.nll_loss(their_x, torch.tensor(t), **theirs)))
    for a, b in pairs:
        close(a, b)
        x.grad = their_x.grad = None
        a.sum().backward()
        b.sum().backward()
        close(x.grad, their_x.grad)


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides:UserWarning")     # PyTorch's about its kl_div
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_elementwise_losses(reduction, rng) -> None:
    logits, y = 3 * rng.normal(size=(4, 5)), rng.uniform(0, 1, (4, 5))
    w, p = rng.uniform(0.5, 2, (4, 5)), rng.uniform(0.5, 2, 5)
    F, G, T = functional, torch.nn.functional, torch.tensor
    for ours, theirs in (
        (lambda x: F.mse_loss(x, y, reduction=reduction), lambda x: G.mse_loss(x, T(y), reduction=reduction)),
        (lambda x: F.l1_loss(x, y, reduction), lambda x: G.l1_loss(x, T(y), reduction=reduction)),
        (lambda x: F.smooth_l1_loss(x, y, reduction, 0.7), lambda x: G.smooth_l1_loss(x, T(y), reduction=reduction,
                                                                                      beta=0.7)),
        (lambda x: F.kl_div(x, y, reduction), lambda x: G.kl_div(x, T(y), reduction=reduction)),
        (lambda x: F.kl_div(x, y, reduction, True), lambda x: G.kl_div(x, T(y), reduction=reduction, log_target=True)),
        (lambda x: F.kl_div(x, y, "batchmean"), lambda x: G.kl_div(x, T(y), reduction="batchmean")),
        (lambda x: F.binary_cross_entropy(F.sigmoid(x), y, w, reduction),
         lambda x: G.binary_cross_entropy(torch.sigmoid(x), T(y), T(w), reduction=reduction)),
        (lambda x: F.binary_cross_entropy_with_logits(x, y, reduction=reduction),
         lambda x: G.binary_cross_entropy_with_logits(x, T(y), reduction=reduction)),
        (lambda x: F.binary_cross_entropy_with_logits(x, y, w, reduction, p),
         lambda x: G.binary_cross_entropy_with_logits(x, T(y), T(w), reduction=reduction, pos_weight=T(p))),
    ):
        x, their_x = both(logits)
        a, b = ours(x), theirs(their_x)
        close(a, b)
        a.sum().backward()
        b.sum().backward()
        close(x.grad, their_x.grad)


# ---- starts ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("name", "arguments"), [
    ("Linear", (50, 400)), ("Embedding", (300, 100)), ("LayerNorm", (10,)), ("RNN", (30, 100)), ("LSTM", (30, 100, 2)),
    ("GRU", (30, 100, 1)), ("Conv1d", (40, 60, 5)), ("Conv2d", (40, 60, 3, 1, 0, 1, 2)),
])
def test_starting_distributions(name, arguments) -> None:
    """The same mean, deviation and extremes, parameter by parameter."""
    torch.manual_seed(0)
    ours, theirs = getattr(nn, name)(*arguments), getattr(torch.nn, name)(*arguments)
    for (label, a), (_, b) in zip(ours.named_parameters(), theirs.named_parameters()):
        a, b = a.data, b.detach().numpy()
        assert a.shape == b.shape and a.dtype == b.dtype, label
        scale, n = b.std() + 1e-9, a.size ** 0.5
        assert abs(a.mean() - b.mean()) < 6 * scale / n + 1e-9, label
        assert abs(a.std() - b.std()) < 6 * scale / n + 1e-9, label
        if name != "Embedding" and n > 15:
            assert abs(a.max() - b.max()) < 0.05 * scale + 1e-9 and abs(a.min() - b.min()) < 0.05 * scale + 1e-9, label


@pytest.mark.parametrize(("name", "options"), [
    ("xavier_uniform_", {"gain": 2.0}), ("xavier_normal_", {}), ("kaiming_uniform_", {"a": 0.3}),
    ("kaiming_uniform_", {"mode": "fan_out", "nonlinearity": "relu"}), ("kaiming_normal_", {"nonlinearity": "tanh"}),
    ("orthogonal_", {"gain": 3.0}), ("eye_", {}),
])
def test_init(name, options) -> None:
    torch.manual_seed(0)
    ours = getattr(init, name)(tensor(np.zeros((300, 200), np.float32)), **options, rng=0).numpy()
    theirs = getattr(torch.nn.init, name)(torch.zeros(300, 200), **options).numpy()
    assert abs(ours.mean() - theirs.mean()) < 0.02 * theirs.std() and abs(ours.std() / theirs.std() - 1) < 0.02
    if "uniform" in name:
        assert abs(ours.max() / theirs.max() - 1) < 0.01


@pytest.mark.parametrize("nonlinearity", ["linear", "sigmoid", "tanh", "relu", "selu", "leaky_relu"])
def test_gains(nonlinearity) -> None:
    assert init.calculate_gain(nonlinearity) == pytest.approx(torch.nn.init.calculate_gain(nonlinearity), rel=1e-12)


# ---- clipping -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("p", [1.0, 2.0, 3.5, float("inf")])
@pytest.mark.parametrize("limit", [0.1, 1e6])
def test_clipping(p, limit, rng) -> None:
    ours, theirs = [], []
    for shape in ((3, 4), (5,), ()):
        g = rng.normal(size=shape)
        ours.append(nn.Parameter(np.zeros(shape)))
        theirs.append(torch.nn.Parameter(torch.zeros(shape, dtype=torch.float64)))
        ours[-1].grad, theirs[-1].grad = tensor(g), torch.tensor(g)
    close(nn.utils.clip_grad_norm_(ours, limit, p), torch.nn.utils.clip_grad_norm_(theirs, limit, p))
    for a, b in zip(ours, theirs):
        close(a.grad, b.grad)
    nn.utils.clip_grad_value_(ours, 0.01)
    torch.nn.utils.clip_grad_value_(theirs, 0.01)
    for a, b in zip(ours, theirs):
        close(a.grad, b.grad)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_clipping_gradients_that_are_not_finite(bad) -> None:
    g = np.array([bad, 1.0])
    ours, theirs = nn.Parameter(np.zeros(2)), torch.nn.Parameter(torch.zeros(2, dtype=torch.float64))
    ours.grad, theirs.grad = tensor(g), torch.tensor(g)
    close(nn.utils.clip_grad_norm_([ours], 1.0), torch.nn.utils.clip_grad_norm_([theirs], 1.0))
    close(ours.grad, theirs.grad)


@pytest.mark.parametrize("arguments", [(2,), (3, 2, 1), ((2, 3), 1, (1, 0), 2)])
def test_positions_of_largest_elements(arguments, rng) -> None:
    x = rng.integers(0, 5, (2, 3, 6, 7)).astype(float)
    a, b = functional.max_pool2d(x, *arguments, return_indices=True)
    c, d = torch.nn.functional.max_pool2d(torch.tensor(x), *arguments, return_indices=True)
    close(a, c)
    np.testing.assert_array_equal(b.data, d.numpy())
