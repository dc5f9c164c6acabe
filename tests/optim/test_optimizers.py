"""Every update rule against its longhand, in float64, over ten steps and all options; and what all optimizers share."""

import copy
import json

import numpy as np
import pytest

from tinygrad_rnn import nn, optim, tensor
from tinygrad_rnn.optim import base


# ---- longhand rules: state is a dict, one parameter, no arrays are changed in place ---------------------------------
def sgd(p, g, s, lr, momentum=0, dampening=0, weight_decay=0, nesterov=False, maximize=False):
    g = (-g if maximize else g) + weight_decay * p
    if momentum:
        s["v"] = momentum * s["v"] + (1 - dampening) * g if "v" in s else g
        g = g + momentum * s["v"] if nesterov else s["v"]
    return p - lr * g


def adagrad(p, g, s, lr, lr_decay=0, weight_decay=0, initial_accumulator_value=0, eps=1e-10, maximize=False):
    g = (-g if maximize else g) + weight_decay * p
    s["t"] = s.get("t", 0) + 1
    s["s"] = s.get("s", initial_accumulator_value) + g ** 2
    return p - lr / (1 + (s["t"] - 1) * lr_decay) * g / (np.sqrt(s["s"]) + eps)


def rmsprop(p, g, s, lr, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=False, maximize=False):
    g = (-g if maximize else g) + weight_decay * p
    s["s"] = alpha * s.get("s", 0) + (1 - alpha) * g ** 2
    s["m"] = alpha * s.get("m", 0) + (1 - alpha) * g
    root = np.sqrt(s["s"] - s["m"] ** 2 if centered else s["s"]) + eps
    s["v"] = momentum * s.get("v", 0) + g / root
    return p - lr * s["v"]


def adadelta(p, g, s, lr, rho=0.9, eps=1e-6, weight_decay=0, maximize=False):
    g = (-g if maximize else g) + weight_decay * p
    s["s"] = rho * s.get("s", 0) + (1 - rho) * g ** 2
    step = np.sqrt(s.get("u", 0) + eps) / np.sqrt(s["s"] + eps) * g
    s["u"] = rho * s.get("u", 0) + (1 - rho) * step ** 2
    return p - lr * step


def adam(p, g, s, lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, amsgrad=False, maximize=False, decoupled=False):
    g = -g if maximize else g
    if decoupled:
        p = p - lr * weight_decay * p
    else:
        g = g + weight_decay * p
    s["t"] = s.get("t", 0) + 1
    s["m"] = betas[0] * s.get("m", 0) + (1 - betas[0]) * g
    s["v"] = betas[1] * s.get("v", 0) + (1 - betas[1]) * g ** 2
    s["top"] = np.maximum(s.get("top", 0), s["v"])
    v = s["top"] if amsgrad else s["v"]
    return p - lr * (s["m"] / (1 - betas[0] ** s["t"])) / (np.sqrt(v / (1 - betas[1] ** s["t"])) + eps)


def adamw(p, g, s, lr, weight_decay=1e-2, **options):
    return adam(p, g, s, lr, weight_decay=weight_decay, decoupled=True, **options)


CASES = [
    (optim.SGD, sgd, {"lr": 0.1}),
    (optim.SGD, sgd, {"lr": 0.1, "momentum": 0.9}),
    (optim.SGD, sgd, {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1}),
    (optim.SGD, sgd, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "maximize": True}),
    (optim.Adagrad, adagrad, {"lr": 0.1}),
    (optim.Adagrad, adagrad, {"lr": 0.1, "lr_decay": 0.2, "weight_decay": 0.1, "initial_accumulator_value": 0.5,
                              "eps": 1e-3, "maximize": True}),
    (optim.RMSprop, rmsprop, {"lr": 0.01}),
    (optim.RMSprop, rmsprop, {"lr": 0.01, "alpha": 0.9, "eps": 1e-3, "weight_decay": 0.1, "maximize": True}),
    (optim.RMSprop, rmsprop, {"lr": 0.01, "momentum": 0.9, "centered": True}),
    (optim.Adadelta, adadelta, {"lr": 1.0}),
    (optim.Adadelta, adadelta, {"lr": 0.5, "rho": 0.8, "eps": 1e-2, "weight_decay": 0.1, "maximize": True}),
    (optim.Adam, adam, {"lr": 0.01}),
    (optim.Adam, adam, {"lr": 0.01, "betas": (0.5, 0.9), "eps": 1e-3, "weight_decay": 0.1, "maximize": True}),
    (optim.Adam, adam, {"lr": 0.01, "amsgrad": True, "betas": (0.9, 0.5)}),
    (optim.AdamW, adamw, {"lr": 0.01}),
    (optim.AdamW, adamw, {"lr": 0.01, "weight_decay": 0.3, "amsgrad": True, "maximize": True}),
]
KINDS = [optim.SGD, optim.Adagrad, optim.RMSprop, optim.Adam, optim.AdamW, optim.Adadelta]


def gradient(parameter: nn.Parameter, rng: np.random.Generator) -> np.ndarray:
    """Give a parameter a gradient, and return it."""
    g = rng.normal(size=parameter.shape).astype(parameter.dtype)
    parameter.grad = tensor(g)
    return g


@pytest.mark.parametrize(("kind", "rule", "options"), CASES)
def test_ten_steps(kind, rule, options, rng) -> None:
    # more than a block, a scalar, and nothing at all
    starts = [rng.normal(size=shape) for shape in ((base._BLOCK // 50, 103), (), (0, 3))]
    parameters = [nn.Parameter(start) for start in starts]
    arrays = [parameter.data for parameter in parameters]
    optimizer, states = kind(parameters, **options), [{} for _ in starts]
    for _ in range(10):
        gradients = [gradient(parameter, rng) for parameter in parameters]
        optimizer.step()
        starts = [rule(p, g, s, **options) for p, g, s in zip(starts, gradients, states)]
        for parameter, g, array, expected in zip(parameters, gradients, arrays, starts):
            assert parameter.data is array
            np.testing.assert_allclose(parameter.data, expected, rtol=1e-12, atol=1e-14)
            np.testing.assert_array_equal(parameter.grad.data, g)       # arguments are not modified


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_rule_would_be_caught(kind, rng, monkeypatch) -> None:
    _, rule, options = next(case for case in CASES if case[0] is kind)
    update = kind._update
    monkeypatch.setattr(kind, "_update", lambda self, p, g, state, group: update(self, p, g * 1.001, state, group))
    with pytest.raises(AssertionError):
        test_ten_steps(kind, rule, {**options, "weight_decay": 0.1}, rng)


def test_arrays_that_are_not_contiguous(rng) -> None:
    for kind, rule, options in CASES:
        start = rng.normal(size=(4, 6))
        parameter = nn.Parameter(np.zeros((6, 4)))
        parameter.data = start.copy().T
        g = gradient(parameter, rng)
        kind([parameter], **options).step()
        np.testing.assert_allclose(parameter.data, rule(start.T, g, {}, **options), rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_float32_stays_float32(kind, rng) -> None:
    parameter = nn.Parameter(rng.normal(size=5).astype(np.float32))
    optimizer = kind([parameter], lr=np.float64(0.1))
    gradient(parameter, rng)
    optimizer.step()
    assert parameter.dtype == np.float32
    assert all(value.dtype == np.float32 for name, value in optimizer.state[parameter].items() if name != "step")


@pytest.mark.parametrize("kind", KINDS)
def test_results_are_bitwise_one_function_of_the_gradients(kind, rng) -> None:
    """Whatever the shape: an element's step does not depend on what stands beside it."""
    values, g = rng.normal(size=(2, 40_000)).astype(np.float32)
    whole, part = nn.Parameter(values), nn.Parameter(values[20_001:20_008])
    a, b = kind([whole]), kind([part])
    for _ in range(3):
        whole.grad, part.grad = tensor(g), tensor(g[20_001:20_008])
        a.step(), b.step()
    np.testing.assert_array_equal(whole.data[20_001:20_008], part.data)


def test_parameters_without_gradients_stay(rng) -> None:
    moved, still = nn.Parameter([1.0]), nn.Parameter([1.0])
    optimizer = optim.AdamW([moved, still], lr=0.1)
    gradient(moved, rng)
    optimizer.step()
    assert moved.data != 1 and still.data == 1 and still not in optimizer.state


def test_zero_grad() -> None:
    parameter = nn.Parameter([1.0])
    parameter.grad = tensor([3.0])
    optimizer = optim.SGD([parameter])
    optimizer.zero_grad(set_to_none=False)
    assert parameter.grad.numpy() == 0
    optimizer.zero_grad()
    assert parameter.grad is None


# ---- groups ---------------------------------------------------------------------------------------------------------
def test_groups_have_their_own_options(rng) -> None:
    a, b, c = (nn.Parameter([1.0]) for _ in range(3))
    optimizer = optim.SGD([{"params": a}, {"params": iter([b]), "lr": 0.5}], lr=0.1)
    optimizer.add_param_group({"params": [c], "weight_decay": 1.0})
    for parameter in (a, b, c):
        parameter.grad = tensor([1.0])
    optimizer.step()
    np.testing.assert_allclose([a.item(), b.item(), c.item()], [0.9, 0.5, 0.8], rtol=1e-6)
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.5, 0.1]
    assert repr(optimizer).count("lr=") == 3


P = nn.Parameter([1.0])


@pytest.mark.parametrize(("call", "error", "match"), [
    (lambda: optim.Adam([]), ValueError, "Adam: there are no parameters; if params is a generator, it is exhausted"),
    (lambda: optim.Adam(x for x in ()), ValueError, "exhausted"),
    (lambda: optim.Adam([{"params": []}]), ValueError, "a group has no parameters"),
    (lambda: optim.Adam(P), TypeError, "must be an iterable of Tensors or of groups, got Parameter"),
    (lambda: optim.Adam(3), TypeError, "got int"),
    (lambda: optim.Adam([P, 3.0]), TypeError, r"params\[1\] must be a Tensor, got float"),
    (lambda: optim.Adam([P, P]), ValueError, r"params\[1\] of shape \(1,\) is there twice"),
    (lambda: optim.Adam([P * 2]), ValueError, "is the result of an operation; only leaf tensors"),
    (lambda: optim.Adam([{"lr": 3}]), TypeError, "a dict with the key 'params'"),
    (lambda: optim.Adam([{"params": P, "rate": 3}]), ValueError, "unknown options rate; there are lr, betas"),
    (lambda: optim.Adam([P], lr=-1), ValueError, "Adam: lr must be finite and not negative, got -1"),
    (lambda: optim.Adam([P], lr=np.nan), ValueError, "lr must be finite"),
    (lambda: optim.Adam([P], lr=np.inf), ValueError, "lr must be finite"),
    (lambda: optim.Adam([P], eps=-1), ValueError, "eps must be"),
    (lambda: optim.Adam([P], weight_decay=-1), ValueError, "weight_decay must be"),
    (lambda: optim.Adam([P], betas=(0.9, 1.0)), ValueError, r"betas must be two numbers in \[0, 1\), got \(0.9, 1.0\)"),
    (lambda: optim.SGD([P], momentum=-1), ValueError, "momentum must be not negative"),
    (lambda: optim.SGD([P], nesterov=True), ValueError, "nesterov must be False unless momentum is positive"),
    (lambda: optim.SGD([P], momentum=0.9, dampening=0.1, nesterov=True), ValueError, "nesterov"),
    (lambda: optim.Adagrad([P], lr_decay=-1), ValueError, "lr_decay"),
    (lambda: optim.RMSprop([P], alpha=-1), ValueError, "alpha"),
    (lambda: optim.Adadelta([P], rho=1.5), ValueError, "Adadelta: rho must be between 0 and 1, got 1.5"),
])
def test_errors(call, error, match) -> None:
    with pytest.raises(error, match=match):
        call()


def test_an_option_is_set_in_its_group_and_nowhere_else() -> None:
    optimizer = optim.Adam([nn.Parameter([1.0])], lr=0.1)
    with pytest.raises(AttributeError, match=r"Adam: lr is an option .* optimizer.param_groups\[0\]\['lr'\] = ..."):
        optimizer.lr = 0.2
    optimizer.note = "what is no option is the caller's"
    optimizer.param_groups[0]["lr"] = 0.2
    assert (optimizer.param_groups[0]["lr"], optimizer.defaults["lr"]) == (0.2, 0.1)


def test_a_gradient_that_does_not_fit_is_an_error() -> None:
    parameter = nn.Parameter([1.0, 2.0])
    optimizer = optim.SGD([parameter])
    for grad, match in ((tensor([1.0]), r"shape \(2,\) .* gradient of shape \(1,\)"),
                        (tensor(np.ones(2)), "dtype float32 has a gradient .* dtype float64")):
        parameter.grad = grad
        with pytest.raises(ValueError, match=match):
            optimizer.step()


# ---- saving and loading ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("kind", "rule", "options"), CASES)
@pytest.mark.parametrize("how", ["plain", "json", "deepcopy"])
def test_a_resumed_run_is_bitwise_the_same(kind, rule, options, how, rng) -> None:
    def run(parameters, optimizer, seed, steps):
        rng = np.random.default_rng(seed)
        for _ in range(steps):
            for parameter in parameters:
                gradient(parameter, rng)
            optimizer.step()

    start = rng.normal(size=(3, 4)).astype(np.float32)
    first = [nn.Parameter(start), nn.Parameter(start[0])]
    optimizer = kind(first, **options)
    run(first, optimizer, 1, 3)
    second = [nn.Parameter(parameter.data) for parameter in first]
    state = optimizer.state_dict()
    if how == "json":
        arrays = {f"{k}.{name}": value for k, values in state["state"].items() for name, value in values.items()
                  if isinstance(value, np.ndarray)}
        state = json.loads(json.dumps(state, default=lambda array: None))
        for name, value in arrays.items():
            key, name = name.split(".")
            state["state"][key][name] = value
    if how == "deepcopy":
        other, second = copy.deepcopy((optimizer, first))
    else:
        other = kind(second)
        other.load_state_dict(state)
    run(first, optimizer, 2, 3)
    run(second, other, 2, 3)
    for a, b in zip(first, second):
        np.testing.assert_array_equal(a.data, b.data)
    assert other.param_groups[0]["lr"] == options["lr"]


def test_state_is_plain_and_a_copy(rng) -> None:
    parameter = nn.Parameter([1.0, 2.0])
    optimizer = optim.Adam([parameter], lr=np.float32(0.1))
    gradient(parameter, rng)
    optimizer.step()
    state = optimizer.state_dict()
    assert state["param_groups"][0]["params"] == [0] and state["state"][0]["step"] == 1
    state["state"][0]["exp_avg"][:] = 0
    assert optimizer.state[parameter]["exp_avg"].any()


def test_loading_lists_every_fault_and_changes_nothing(rng) -> None:
    parameters = [nn.Parameter([1.0, 2.0]), nn.Parameter([3.0])]
    optimizer = optim.Adam(parameters, lr=0.1)
    for parameter in parameters:
        gradient(parameter, rng)
    optimizer.step()
    good, bad = optimizer.state_dict(), optimizer.state_dict()
    bad["state"][0]["exp_avg"] = np.zeros(3)
    del bad["state"][1]["exp_avg_sq"], bad["param_groups"][0]["eps"]
    bad["state"][7] = {}
    bad["param_groups"][0]["lr"] = 5.0
    with pytest.raises(ValueError) as error:
        optimizer.load_state_dict(bad)
    text = str(error.value)
    assert "parameter 0: exp_avg must have shape (2,), got (3,)" in text
    assert "parameter 1: exp_avg_sq is missing" in text
    assert "parameter 7: there are 2 parameters" in text and "options are missing: eps" in text
    assert optimizer.param_groups[0]["lr"] == 0.1
    np.testing.assert_array_equal(optimizer.state_dict()["state"][0]["exp_avg"], good["state"][0]["exp_avg"])
    bad = optimizer.state_dict()
    bad["param_groups"][0]["lr"] = -5.0
    with pytest.raises(ValueError, match="lr must be finite and not negative, got -5.0"):
        optimizer.load_state_dict(bad)
    assert optimizer.param_groups[0]["lr"] == 0.1
    with pytest.raises(ValueError, match="expected the keys"):
        optimizer.load_state_dict({})
    with pytest.raises(ValueError, match=r"has groups of \[2\] parameters, the state of \[1\]"):
        optimizer.load_state_dict(optim.Adam(parameters[:1]).state_dict())


def test_training_reaches_a_minimum() -> None:
    """From the layers to the step: each optimizer fits y = 2 x - 1."""
    x = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
    for kind, lr in zip(KINDS, (0.5, 0.5, 0.02, 0.05, 0.05, 5.0)):
        layer = nn.Linear(1, 1, rng=0)
        optimizer = kind(layer.parameters(), lr=lr, weight_decay=0)
        for _ in range(200):
            loss = nn.functional.mse_loss(layer(x), 2 * x - 1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        assert loss.item() < 2e-3, kind
