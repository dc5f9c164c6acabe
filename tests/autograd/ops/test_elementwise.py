"""Elementwise operations at kinks, ties and limits, beyond what the registry's laws cover; their errors."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import tensor
from tinygrad_rnn.autograd import grad
from tinygrad_rnn.testing import gradcheck, gradgradcheck

INF, NAN = np.inf, np.nan


def slope(fn: Callable[..., Any], *points: Any) -> list[Any]:
    """Value and derivatives of a function of numbers."""
    xs = [tensor(float(p), dtype=tg.float64, requires_grad=True) for p in points]
    y = fn(*xs)
    with np.errstate(all="ignore"):
        return [y.item(), *(None if g is None else g.item() for g in grad(y, xs, allow_unused=True))]


# ---- kinks and ties, decided once ---------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("fn", "points", "expected"),
    [
        (tg.abs, [0], [0, 0]),
        (tg.sign, [0], [0, 0]),
        (tg.relu, [0], [0, 0]),
        (tg.leaky_relu, [0], [0, 0.01]),
        (tg.elu, [0], [0, 1]),
        (lambda x: tg.elu(x, 2.0), [0], [0, 2]),
        (tg.floor, [2], [2, 0]),
        (tg.maximum, [2, 2], [2, 0.5, 0.5]),
        (tg.minimum, [2, 2], [2, 0.5, 0.5]),
        (tg.maximum, [INF, INF], [INF, 0.5, 0.5]),
        (tg.maximum, [-INF, -INF], [-INF, 0.5, 0.5]),
        (tg.minimum, [-INF, INF], [-INF, 1, 0]),
        (tg.maximum, [3, 2], [3, 1, 0]),
        (lambda x: tg.clip(x, 1.0, 2.0), [1], [1, 0.5]),
        (lambda x: tg.clip(x, 1.0, 2.0), [1.5], [1.5, 1]),
        (lambda x: tg.clip(x, 1.0, 2.0), [5], [2, 0]),
        (tg.clip, [5, 1, 2], [2, 0, 0, 1]),
        (tg.pow, [0, 2], [0, 0, 0]),
        (tg.pow, [0, 1], [0, 1, 0]),
        (tg.pow, [0, 0], [1, 0, 0]),
        (tg.pow, [2, 0], [1, 0, np.log(2)]),
        (tg.pow, [-2, 3], [-8, 12, NAN]),
        (lambda x: x**0, [0], [1, 0]),
        (lambda x: x**0.0, [0], [1, 0]),
        (lambda x: x**1, [0], [0, 1]),
        (lambda x: x**2, [0], [0, 0]),
        (lambda x: x**3, [-2], [-8, 12]),
        (lambda x: x**-1, [2], [0.5, -0.25]),
        (lambda x: 0.0**x, [2], [0, 0]),
        (tg.sqrt, [0], [0, INF]),
        (tg.log, [0], [-INF, INF]),
        (tg.softplus, [800], [800, 1]),
        (tg.softplus, [-800], [0, 0]),
        (tg.sigmoid, [800], [1, 0]),
        (tg.sigmoid, [-800], [0, 0]),
        (tg.silu, [-800], [0, 0]),
        (tg.gelu, [50], [50, 1]),
        (tg.gelu, [-50], [0, 0]),
        (tg.tanh, [-400], [-1, 0]),
        (tg.remainder, [7, 2], [1, 1, -3]),
        (tg.remainder, [-7, 2], [1, 1, 4]),
        (tg.floor_divide, [7, 2], [3, 0, 0]),
    ],
)
def test_kinks_ties_and_limits(fn: Any, points: list[float], expected: list[float]) -> None:
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(slope(fn, *points), expected, rtol=1e-12, atol=1e-300)


def test_sqrt_where_no_gradient_arrives() -> None:
    x = tensor([0.0, 4.0], requires_grad=True)
    tg.where(x > 0, tg.sqrt(x), 0.0).sum().backward()
    assert np.isnan(x.grad.data[0]), "0 * inf, as the docstring of where warns"
    x.grad = None
    tg.where(x > 0, tg.sqrt(tg.where(x > 0, x, 1.0)), 0.0).sum().backward()
    assert x.grad.tolist() == [0, 0.25]


# ---- where, masked_fill, clip -------------------------------------------------------------------------------------
def test_where_ignores_nan_in_what_was_not_chosen() -> None:
    x, y = tensor([1.0, NAN], requires_grad=True), tensor([INF, 2.0], requires_grad=True)
    z = tg.where(tensor([True, False]), x, y)
    assert z.tolist() == [1, 2]
    (z * 3.0).sum().backward()
    assert x.grad.tolist() == [3, 0]
    assert y.grad.tolist() == [0, 3]


def test_where_does_not_multiply_an_infinite_gradient() -> None:
    x = tensor([1.0, 2.0], requires_grad=True)
    tg.where([True, False], x, 0.0).backward(np.array([1, INF], np.float32))
    assert x.grad.tolist() == [1, 0]


def test_where_broadcasts_and_takes_numbers() -> None:
    mask = np.array([[True], [False]])
    x = tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = tg.where(mask, x, -1)
    assert y.tolist() == [[1, 2, 3], [-1, -1, -1]]
    assert y.dtype == np.float32
    y.sum().backward()
    assert x.grad.tolist() == [1, 1, 1]
    assert tg.where(tensor([1, 0, 2]), 1.0, 0.0).tolist() == [1, 0, 1]
    assert tg.where(tensor([True]), 1, 2).dtype == np.int64
    with pytest.raises(
        ValueError, match=r"where: shapes \(2,\) and \(3,\) do not broadcast: axis -1 has sizes 2 and 3"
    ):
        tg.where(tensor([True, False]), x, 0.0)


def test_masked_fill() -> None:
    x = tensor([[1.0, 2.0], [3.0, NAN]], requires_grad=True)
    mask = tensor([[False, True], [False, True]])
    y = x.masked_fill(mask, -INF)
    assert y.tolist() == [[1, -INF], [3, -INF]]
    tg.softmax(y, 0).sum().backward()
    assert x.grad.data[:, 1].tolist() == [0, 0]
    v = tensor(5.0, requires_grad=True)
    tg.masked_fill(x, mask, v).sum().backward()
    assert v.grad.item() == 2
    with pytest.raises(TypeError, match="masked_fill: mask must be of bools, got dtype int64"):
        x.masked_fill([[0, 1], [0, 1]], 0.0)


def test_clip() -> None:
    x = tensor([-2.0, 0.5, 3.0])
    assert tg.clip(x, -1, 1).tolist() == [-1, 0.5, 1]
    assert tg.clip(x, max=1.0).tolist() == [-2, 0.5, 1]
    assert tg.clip(x, min=tensor([0.0, 1.0, 5.0])).tolist() == [0, 1, 5]
    assert tg.clip(tensor([1, 5]), 2, 4).dtype == np.int64
    with pytest.raises(ValueError, match="clip: at least one of min and max must be given"):
        tg.clip(x)


# ---- activations with parameters ----------------------------------------------------------------------------------
X = np.array([-2.0, -0.3, 0.4, 3.0])


@pytest.mark.parametrize(
    ("fn", "expected"),
    [
        (lambda x: tg.leaky_relu(x, 0.2), np.where(X > 0, X, 0.2 * X)),
        (lambda x: tg.leaky_relu(x, negative_slope=-0.5), np.where(X > 0, X, -0.5 * X)),
        (lambda x: tg.elu(x, alpha=1.7), np.where(X > 0, X, 1.7 * np.expm1(X))),
        (lambda x: tg.softplus(x, 2.0), np.log1p(np.exp(2 * X)) / 2),
        (lambda x: tg.softplus(x, beta=0.5), np.log1p(np.exp(0.5 * X)) / 0.5),
        (lambda x: tg.gelu(x, approximate="tanh"), 0.5 * X * (1 + np.tanh(np.sqrt(2 / np.pi) * (X + 0.044715 * X**3)))),
    ],
)
def test_parameters_of_activations(fn: Any, expected: np.ndarray) -> None:
    np.testing.assert_allclose(fn(tensor(X)).data, expected, rtol=1e-12)
    assert gradcheck(fn, X)
    assert gradgradcheck(fn, X)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tg.gelu(tensor(X), "fast"), "gelu: approximate must be 'none' or 'tanh', got 'fast'"),
        (lambda: tg.softplus(tensor(X), 0), "softplus: beta must be positive, got 0"),
    ],
)
def test_wrong_parameters(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_softplus_and_gelu_take_lists() -> None:
    assert tg.softplus([0.0], 2.0).dtype == np.float32
    assert tg.gelu([0.0], "tanh").tolist() == [0]


# ---- comparison ---------------------------------------------------------------------------------------------------
def test_comparisons_give_bools() -> None:
    a = tensor([1.0, NAN, 3.0], requires_grad=True)
    for fn, expected in (
        (tg.equal, [False, False, True]),
        (tg.not_equal, [True, True, False]),
        (tg.less, [True, False, False]),
        (tg.less_equal, [True, False, True]),
        (tg.greater, [False] * 3),
        (tg.greater_equal, [False, False, True]),
    ):
        result = fn(a, 3)
        assert result.dtype == np.bool_
        assert not result.requires_grad
        assert result.tolist() == expected
    assert tg.logical_and(tensor([2, 0]), [1.5, 1.0]).tolist() == [True, False]


# ---- errors -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: tensor(np.ones((2, 3))) + tensor(np.ones((2, 4))),
            ValueError,
            r"^add: shapes \(2, 3\) and \(2, 4\) do not broadcast: axis -1 has sizes 3 and 4; sizes must be equal",
        ),
        (
            lambda: np.ones((5, 1, 2)) * tensor(np.ones((4, 3, 2))),
            ValueError,
            r"multiply: shapes \(5, 1, 2\) and \(4, 3, 2\) do not broadcast: axis -3 has sizes 4 and 5",
        ),
        (lambda: tg.maximum(np.ones(2), np.ones(3)), ValueError, r"maximum: shapes \(2,\) and \(3,\) do not broadcast"),
        (lambda: tensor([1.0]) - [[1.0, 2.0], [3.0]], (TypeError, ValueError), "subtract: "),
        (
            lambda: tg.add(tensor([1.0]), "x"),
            TypeError,
            r"add: expected bools, integers, float32 or float64, got str \(a: float32 \(1,\), b: 'x'\)",
        ),
        (
            lambda: tg.add(None, tensor([1.0])),
            TypeError,
            "add: expected bools, integers, float32 or float64, got NoneType",
        ),
        (lambda: tg.tanh("x"), TypeError, "tanh: expected bools, .* got str"),
        (lambda: tensor([1.0]) * np.ones(1, np.float16), TypeError, "multiply: .* got dtype float16"),
        (lambda: -tensor([True]), TypeError, "negative: .*bool"),
        (lambda: tensor([True]) - tensor([True]), TypeError, "subtract: .*bool"),
        (lambda: tg.tanh(), TypeError, "tanh: .*missing 1 required positional argument"),
        (lambda: tensor([1.0]).tanh(3), TypeError, "tanh: .*takes 1 positional argument"),
        (lambda: tensor([1.0]).sum(axes=0), TypeError, "axes"),
    ],
)
def test_errors_name_operation_argument_and_remedy(call: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_arithmetic_warns_as_numpy_does() -> None:
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        tensor([1.0]) / 0.0
    x = tensor([0.0], requires_grad=True)
    y = x.sqrt()
    y.backward()  # silent
    assert np.isinf(x.grad.item())
