"""Clipping against longhand NumPy, at ordinary and at broken gradients."""

import numpy as np
import pytest

from tinygrad_rnn import nn, optim, tensor
from tinygrad_rnn.nn.utils import clip_grad_norm_, clip_grad_value_


def with_gradients(*gradients) -> list[nn.Parameter]:
    parameters = []
    for g in gradients:
        parameter = nn.Parameter(np.zeros(np.shape(g), np.float32))
        parameter.grad = tensor(np.array(g, np.float32))
        parameters.append(parameter)
    return parameters


def test_one_object_under_two_names() -> None:
    assert optim.clip_grad_norm_ is nn.utils.clip_grad_norm_ and optim.clip_grad_value_ is nn.utils.clip_grad_value_


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0, np.inf])
@pytest.mark.parametrize("max_norm", [0.0, 0.5, 1e6])
def test_norm_and_scaling(p, max_norm, rng) -> None:
    gradients = [rng.normal(size=shape) for shape in ((3, 4), (), (0,), (40_000,))]
    parameters = with_gradients(*gradients)
    flat = np.concatenate([np.ravel(parameter.grad.numpy()) for parameter in parameters]).astype(float)
    expected = np.linalg.norm(flat, p)
    before = [parameter.grad.numpy().copy() for parameter in parameters]
    total = clip_grad_norm_(parameters, max_norm, p)
    assert isinstance(total, float)
    np.testing.assert_allclose(total, expected, rtol=1e-12)
    factor = min(1, max_norm / (expected + 1e-6))
    for parameter, g in zip(parameters, before):
        np.testing.assert_allclose(parameter.grad.numpy(), factor * g, rtol=1e-6)
        if factor == 1:
            np.testing.assert_array_equal(parameter.grad.numpy(), g)


def test_large_gradients_do_not_overflow() -> None:
    parameters = with_gradients([1e30, 1e30])
    np.testing.assert_allclose(clip_grad_norm_(parameters, 1.0), np.sqrt(2) * 1e30, rtol=1e-6)
    np.testing.assert_allclose(parameters[0].grad.numpy(), [0.5 ** 0.5] * 2, rtol=1e-6)


def test_parameters_without_gradients_are_passed_over() -> None:
    parameters = [nn.Parameter([1.0]), *with_gradients([3.0, 4.0])]
    assert clip_grad_norm_(parameters, 10.0) == 5
    assert clip_grad_norm_(parameters[:1], 1.0) == 0
    assert clip_grad_norm_(parameters[1], 1.0) == 5


def test_gradients_that_are_not_finite() -> None:
    parameters = with_gradients([np.nan, 1.0], [2.0])
    with pytest.raises(ValueError, match="the norm of the gradients is nan, nothing was clipped"):
        clip_grad_norm_(parameters, 1.0, error_if_nonfinite=True)
    assert parameters[1].grad.numpy() == 2
    assert np.isnan(clip_grad_norm_(parameters, 1.0))
    assert np.isnan(parameters[1].grad.numpy()).all()
    parameters = with_gradients([np.inf, 1.0])
    assert clip_grad_norm_(parameters, 1.0) == np.inf
    np.testing.assert_array_equal(parameters[0].grad.numpy(), [np.nan, 0])
    assert np.isnan(clip_grad_norm_(with_gradients([1.0, np.nan]), 1.0, np.inf))


def test_values_are_limited_one_by_one() -> None:
    parameters = with_gradients([-3.0, 0.5, 3.0, np.inf, np.nan])
    clip_grad_value_(parameters, 1.0)
    np.testing.assert_array_equal(parameters[0].grad.numpy(), [-1, 0.5, 1, 1, np.nan])


@pytest.mark.parametrize(("call", "error", "match"), [
    (lambda: clip_grad_norm_(iter(()), 1.0), ValueError, "no parameters; if this is a generator, it is exhausted"),
    (lambda: clip_grad_norm_(with_gradients([1.0]), -1.0), ValueError, "max_norm must not be negative, got -1.0"),
    (lambda: clip_grad_norm_(with_gradients([1.0]), np.nan), ValueError, "max_norm"),
    (lambda: clip_grad_norm_(with_gradients([1.0]), 1.0, 0), ValueError, "norm_type must be positive, got 0"),
    (lambda: clip_grad_norm_([np.ones(3)], 1.0), TypeError, "expected Tensors, got ndarray"),
    (lambda: clip_grad_value_([], 1.0), ValueError, "no parameters"),
    (lambda: clip_grad_value_(with_gradients([1.0]), -1.0), ValueError, "clip_value must not be negative"),
])
def test_errors(call, error, match) -> None:
    with pytest.raises(error, match=match):
        call()
