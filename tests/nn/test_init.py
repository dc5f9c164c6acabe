"""Start values against their definitions: bounds, moments, orthogonality."""

import math

import numpy as np
import pytest

from tinygrad_rnn import nn, zeros
from tinygrad_rnn.nn import init


def moments(start, shape=(400, 300), **arguments) -> tuple[float, float, float]:
    """Mean, standard deviation and largest absolute value of a start."""
    x = start(zeros(shape), **arguments, rng=1).numpy()
    return float(x.mean()), float(x.std()), float(np.abs(x).max())


@pytest.mark.parametrize(("start", "arguments", "std", "bound"), [
    (init.uniform_, {"a": -2.0, "b": 2.0}, 2 / math.sqrt(3), 2),
    (init.normal_, {"std": 0.5}, 0.5, None),
    (init.xavier_uniform_, {"gain": 2.0}, 2 * math.sqrt(2 / 700), 2 * math.sqrt(6 / 700)),
    (init.xavier_normal_, {}, math.sqrt(2 / 700), None),
    (init.kaiming_uniform_, {}, math.sqrt(2 / 300), math.sqrt(6 / 300)),
    (init.kaiming_uniform_, {"mode": "fan_out", "nonlinearity": "relu"}, math.sqrt(2 / 400), math.sqrt(6 / 400)),
    (init.kaiming_uniform_, {"a": math.sqrt(5)}, math.sqrt(1 / 900), 1 / math.sqrt(300)),
    (init.kaiming_normal_, {"nonlinearity": "tanh"}, 5 / 3 / math.sqrt(300), None),
])
def test_moments_and_bounds(start, arguments, std, bound) -> None:
    mean, deviation, largest = moments(start, **arguments)
    assert abs(mean) < 0.02 * std and abs(deviation / std - 1) < 0.01
    if bound is not None:
        assert 0.999 * bound < largest <= bound * (1 + 1e-6)


@pytest.mark.parametrize("shape", [(5, 5), (7, 3), (3, 7), (4, 2, 3)])
def test_orthogonal(shape) -> None:
    q = init.orthogonal_(zeros(shape, np.float64), gain=3.0, rng=2).numpy().reshape(shape[0], -1)
    gram = q @ q.T if q.shape[0] <= q.shape[1] else q.T @ q
    np.testing.assert_allclose(gram, 9 * np.eye(len(gram)), atol=1e-12)


def test_orthogonal_signs_are_not_fixed() -> None:
    """QR alone favours one sign on the diagonal: uniform over all orthogonal matrices it is not."""
    signs = [np.sign(init.orthogonal_(zeros((1, 1)), rng=seed).item()) for seed in range(20)]
    assert -1 in signs and 1 in signs


def test_constants() -> None:
    x = zeros((2, 3))
    assert init.ones_(x) is x
    assert x.numpy().sum() == 6 and init.zeros_(x).numpy().sum() == 0 and init.constant_(x, 2.5).numpy()[1, 2] == 2.5
    np.testing.assert_array_equal(init.eye_(x).numpy(), np.eye(2, 3))


def test_one_seed_one_start() -> None:
    a, b = init.normal_(zeros((3,)), rng=4).numpy(), init.normal_(zeros((3,)), rng=4).numpy()
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, init.normal_(zeros((3,)), rng=5).numpy())


def test_a_parameter_on_the_tape_is_filled() -> None:
    layer = nn.Linear(2, 2)
    layer(np.ones((1, 2), np.float32))
    init.ones_(layer.weight)
    assert layer.weight.requires_grad and layer.weight.data.sum() == 4


@pytest.mark.parametrize(("call", "match"), [
    (lambda: init.eye_(zeros((3,))), "eye_: needs a matrix, got a tensor of shape"),
    (lambda: init.orthogonal_(zeros((3,))), "orthogonal_: needs at least 2 dimensions"),
    (lambda: init.xavier_uniform_(zeros((3,))), "fan_in and fan_out"),
    (lambda: init.kaiming_uniform_(zeros((3, 3)), mode="fan"), "mode must be 'fan_in' or 'fan_out', got 'fan'"),
    (lambda: init.calculate_gain("swish"), "nonlinearity must be one of .* got 'swish'"),
])
def test_errors(call, match) -> None:
    with pytest.raises(ValueError, match=match):
        call()
