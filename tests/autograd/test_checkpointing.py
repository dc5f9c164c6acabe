"""checkpoint: the same values, gradients and random numbers as without, in less memory; and what it refuses."""

import gc
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import Tensor, nn, tensor
from tinygrad_rnn.autograd import checkpoint, grad, hessian
from tinygrad_rnn.autograd.node import Node
from tinygrad_rnn.autograd.replay import Draws, generator
from tinygrad_rnn.cells.compiled import WITHOUT_JIT

RNG = np.random.default_rng(6)
X = RNG.standard_normal((5, 2, 4)).astype(np.float32)

Run = Callable[..., Any]


def plain(fn: Run, *tensors: Any) -> Any:
    return fn(*tensors)


def leaf(*shape: int) -> Tensor:
    return tensor(np.random.default_rng(1).uniform(0.3, 0.9, shape), requires_grad=True)


# ---- the same as without ------------------------------------------------------------------------------------------
def stochastic_model() -> list[nn.Module]:
    return [
        nn.Sequential(nn.Linear(4, 4, rng=1), nn.Dropout(0.5, rng=2), nn.Tanh()),
        nn.LSTM(4, 4, 2, dropout=0.5, rng=3),
        nn.Recurrent(tg.cells.catalogue()["gru_sheet"], 4, 4, variational_dropout=0.3, zoneout=0.2, rng=4),
    ]


@pytest.mark.parametrize("threads", [1, 2])
def test_layers_with_dropout_train_bitwise_alike(threads: int, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue("threads")
    tg.set_num_threads(threads)
    found = []
    for run in (plain, checkpoint):
        layers = stochastic_model()

        def block(x: Tensor, layers: list[nn.Module] = layers) -> dict[str, Tensor]:
            first, lstm, recurrent = layers
            y, (h, c) = lstm(first(x))
            y, _ = recurrent(y + h[0])
            return {"y": y + tg.random.normal(y.shape, rng=7), "c": c}

        x = tensor(X, requires_grad=True)
        for _ in range(3):  # the streams move on
            out = run(block, x)
            (out["y"].sum() + (out["c"] ** 2).sum()).backward()
        found.append(
            [
                x.grad.data,
                *(p.grad.data for layer in layers for p in layer.parameters()),
                *(str(layer.rng_state()) for layer in layers),
                out["y"].data,
            ]
        )
    for a, b in zip(*found):
        np.testing.assert_array_equal(a, b)


def test_fresh_entropy_is_drawn_again() -> None:
    x = leaf(200)
    y = checkpoint(lambda t: nn.functional.dropout(t, 0.5) * 3.0, x)
    y.sum().backward()
    np.testing.assert_allclose(x.grad.data * x.data, y.data)
    assert 0.3 < (y.data == 0).mean() < 0.7


@pytest.mark.parametrize("retain", [False, True])
def test_nested_in_place_and_repeated(retain: bool) -> None:
    w, results = leaf(4), []
    for run in (plain, checkpoint):

        def inner(t: Tensor) -> Tensor:
            h = t * w
            h.add_(1.0)
            return tg.tanh(h * h)

        def outer(t: Tensor, scale: float, run: Run = run) -> tuple[Tensor, Tensor]:
            u = run(inner, t * scale) * w
            return run(inner, u), u

        x = leaf(4)
        w.grad = None
        a, b = run(outer, x, 1.5)
        loss = (a * b).sum()
        loss.backward(retain_graph=retain)
        if retain:
            loss.backward()
        with pytest.raises(ValueError, match="the graph was freed"):
            loss.backward()
        results.append((x.grad.data, w.grad.data))
    for found, expected in zip(*results):
        np.testing.assert_array_equal(found, expected)


def test_second_derivatives() -> None:
    w = tensor(1.3, dtype=tg.float64, requires_grad=True)

    def energy(t: Tensor) -> Tensor:
        return (tg.sin(t * w) * t).sum()

    x = RNG.standard_normal(3)
    found, expected = (hessian(lambda t, run=run: run(energy, t), x) for run in (checkpoint, plain))
    np.testing.assert_array_equal(found.data, expected.data)
    thirds = [grad(h.sum(), w)[0].item() for h in (found, expected)]
    assert thirds[0] == thirds[1] != 0


def test_gradients_of_what_lies_inside() -> None:
    x, kept = leaf(3), []

    def fn(t: Tensor) -> Tensor:
        h = t * 2.0
        if not kept:
            kept.append(h)
            h.retain_grad()
            h.register_hook(lambda g: kept.append(g))
        return h.exp()

    y = checkpoint(fn, x)
    (g,) = grad(y.sum(), kept[0], retain_graph=True)
    np.testing.assert_allclose(g.data, np.exp(2 * x.data))
    kept[1:], kept[0].grad = [], None
    y.sum().backward()
    np.testing.assert_allclose(kept[0].grad.data, np.exp(2 * x.data))
    assert len(kept) == 2


def test_what_needs_no_gradient_is_passed_through() -> None:
    x = tensor([1.0, 2.0])
    assert not checkpoint(lambda t, k: t * k, x, 3).requires_grad
    with tg.no_grad():
        assert not checkpoint(lambda t: t * 3, leaf(2)).requires_grad
    y = leaf(2)
    assert checkpoint(lambda t: t, y) is y
    assert checkpoint(lambda t: {"a": [t * 2.0, 5]}, y)["a"][1] == 5
    a, b = checkpoint(lambda t: tg.split(t, 2), y * 1.0)
    (a * 2.0 + b * 3.0).sum().backward()
    assert y.grad.tolist() == [2, 3]


def test_a_state_is_a_tuple() -> None:
    cell = nn.LSTMCell(2, 3, rng=0)
    state, twin = (tg.zeros((1, 3)), tg.zeros((1, 3))), (tg.zeros((1, 3)), tg.zeros((1, 3)))
    for t in range(4):
        x = np.full((1, 2), t, np.float32)
        state, twin = checkpoint(cell, x, state), cell(x, twin)
    parameters = list(cell.parameters())
    for a, b in zip(grad(state[0].sum(), parameters), grad(twin[0].sum(), parameters)):
        np.testing.assert_array_equal(a.data, b.data)


# ---- memory -------------------------------------------------------------------------------------------------------
def test_it_keeps_the_inputs_alone() -> None:
    x = tensor(np.full(1 << 16, 0.5, np.float32), requires_grad=True)  # 256 KiB

    def block(t: Tensor) -> Tensor:
        for _ in range(8):
            t = tg.tanh(t)
        return t

    def peak(run: Run) -> float:
        def step() -> None:
            y = x
            for _ in range(8):
                y = run(block, y)
            y.sum().backward()
            x.grad = None

        step()
        tracemalloc.start()
        step()
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most / x.data.nbytes

    assert peak(plain) > 60
    some = 8 if WITHOUT_JIT else 5      # NumPy makes an array of each part of a rule
    assert peak(checkpoint) < 8 + 8 + some, "eight states between blocks, one block, some gradients"


def test_nothing_is_left_behind() -> None:
    x = leaf(3)
    gc.collect()
    gc.disable()
    try:
        before = sum(type(o) is Node for o in gc.get_objects())
        for run_backward in (True, False):
            y = checkpoint(lambda t: checkpoint(lambda u: u.exp() * u, t * 2.0), x)
            if run_backward:
                y.sum().backward()
            del y
            assert sum(type(o) is Node for o in gc.get_objects()) == before
    finally:
        gc.enable()


# ---- what it refuses ----------------------------------------------------------------------------------------------
def test_random_numbers_from_elsewhere() -> None:
    rng = np.random.default_rng(1)
    y = checkpoint(lambda t: t * rng.random(), leaf(3))
    with pytest.raises(ValueError, match="checkpoint: fn computed something else when it was run again"):
        y.sum().backward()


def test_a_function_that_counts() -> None:
    calls: list[int] = []

    def fn(t: Tensor) -> Tensor:
        calls.append(1)
        return t.exp() if len(calls) == 1 else t.exp() * 1.0

    with pytest.raises(ValueError, match="something else"):
        checkpoint(fn, leaf(3)).sum().backward()
    y = checkpoint(
        lambda t: nn.functional.dropout(t.exp(), 0.5 * bool(calls.append(1) or len(calls) > 3), rng=1), leaf(3)
    )
    with pytest.raises(ValueError, match="draws more random numbers"):
        y.sum().backward()


def test_changes_between() -> None:
    layer = nn.Linear(3, 3, rng=0)
    y = checkpoint(layer, tensor(np.ones((1, 3), np.float32)))
    with tg.no_grad():
        layer.weight.add_(1.0)
    with pytest.raises(ValueError, match="were its parameters changed meanwhile"):
        y.sum().backward()
    x = leaf(3)
    h = x * 1.0
    y = checkpoint(lambda t: t * t, h)
    h.zero_()
    with pytest.raises(ValueError, match=r"checkpoint: an input of shape \(3,\) is needed as it was, but zero_ wrote"):
        y.sum().backward()
    with pytest.raises(TypeError, match="checkpoint: fn must be a function, got Tensor"):
        checkpoint(x, x)


# ---- random numbers again -----------------------------------------------------------------------------------------
def test_generators_are_given_again() -> None:
    own, draws = np.random.default_rng(3), Draws()

    def numbers() -> list[float]:
        return [generator(own).random(), generator(own).random(), generator(None).random(), generator(9).random()]

    twin = np.random.default_rng(3)
    with draws.noted():
        first = numbers()
    assert first[:2] == [twin.random(), twin.random()], "noting changes nothing"
    for _ in range(2):
        with draws.again():
            assert numbers() == first
    assert own.random() == twin.random(), "the stream itself stays where it was"
    assert generator(own) is own
