"""Operations that a user declares, and the mistakes that one can make."""

from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import Tensor, tensor
from tinygrad_rnn.autograd import custom, grad, hessian
from tinygrad_rnn.autograd.primitive import REGISTRY
from tinygrad_rnn.testing import gradcheck, gradgradcheck

X, Y = np.array([0.5, -1.2, 2.0]), np.array([[1.5], [0.3]])

log_cosh = custom(lambda x: np.log(np.cosh(x)), lambda g, _y, x: (g * tg.tanh(x),), name="log_cosh")
scaled = custom(
    lambda x, y, power=1: x * y**power,
    lambda g, _y, x, y, power=1: (g * y**power, g * x * (power * y ** (power - 1))),
    name="scaled",
)
polar = custom(
    lambda x, y: (np.hypot(x, y), np.arctan2(y, x)),
    lambda g, r, x, y: (
        (0 if g[0] is None else g[0] * x / r[0]) - (0 if g[1] is None else g[1] * y / r[0] ** 2),
        (0 if g[0] is None else g[0] * y / r[0]) + (0 if g[1] is None else g[1] * x / r[0] ** 2),
    ),
    name="polar",
)


def test_derivatives_of_any_order() -> None:
    assert gradcheck(log_cosh, [X])
    assert gradgradcheck(log_cosh, [X])
    np.testing.assert_allclose(hessian(lambda x: log_cosh(x).sum(), X).data, np.diag(1 - np.tanh(X) ** 2), atol=1e-12)


def test_broadcasting_is_undone_by_the_engine() -> None:
    for power in (1, 2):
        assert gradcheck(lambda x, y, power=power: scaled(x, y, power=power), [X, Y])
        assert gradgradcheck(lambda x, y, power=power: scaled(x, y, power=power), [X, Y])


def test_several_results() -> None:
    assert gradcheck(polar, [X, X[::-1].copy()])
    assert gradgradcheck(polar, [X, X[::-1].copy()])
    assert gradcheck(lambda x, y: polar(x, y)[1], [X, X[::-1].copy()])


def test_arrays_numbers_and_constants() -> None:
    assert type(log_cosh(X)) is np.ndarray
    y = scaled(tensor(X, requires_grad=True), 3.0)
    assert (y.dtype, y.requires_grad) == (np.float64, True)
    (g,) = grad(scaled(2.0, t := tensor(X, requires_grad=True)).sum(), t)
    assert g.tolist() == [2, 2, 2]
    assert not scaled(tensor(X), [1.0, 2.0, 3.0]).requires_grad
    x32 = tensor(X.astype(np.float32), requires_grad=True)
    log_cosh(x32).sum().backward()
    assert x32.grad.dtype == np.float32
    total = custom(np.sum, lambda g, _y, x: (g * np.ones_like(x),))
    assert total(tensor(X)).shape == ()
    assert "log_cosh" not in REGISTRY
    assert "from=log_cosh" in repr(log_cosh(x32))


def test_none_and_what_is_not_wanted() -> None:
    asked = []

    def vjp(g: Any, _y: Any, x: Any, n: Any) -> Any:
        asked.append(n)
        return g * n, None

    repeated = custom(lambda x, n: x * n, vjp)
    x = tensor(X, requires_grad=True)
    repeated(x, np.array([1, 2, 3])).sum().backward()
    assert x.grad.tolist() == [1, 2, 3]
    unused = tensor(X, requires_grad=True)
    (g, h) = grad(repeated(x, unused).sum(), [x, unused], allow_unused=True)
    assert h is None
    one = custom(lambda x: x * 2, lambda g, _y, _x: g * 2)  # a single gradient needs no tuple
    assert gradcheck(one, [X])


def test_underscores_say_what_is_not_kept() -> None:
    plan = log_cosh.plan(0b11)
    assert (plan.keeps_result, plan.drops) == (False, ())
    assert custom(np.exp, lambda g, y, _x: (g * y,)).plan(0b11).drops == (0,)


@pytest.mark.parametrize(
    ("forward", "vjp", "error", "message"),
    [
        (
            lambda x: x,
            lambda g, y, x: (g, g),
            ValueError,
            "broken: vjp must return one gradient for each of 1 inputs, got 2",
        ),
        (
            lambda x: x,
            lambda g, y, x: (g[:2],),
            ValueError,
            r"broken: .*gradient of shape \(2,\) for an argument of shape",
        ),
        (
            lambda x: x,
            lambda g, y, x: (np.ones(3, int),),
            TypeError,
            "broken: vjp gave a gradient of dtype int64 for input 0",
        ),
        (lambda x: x, lambda g, y, x: (g * 1j,), TypeError, "complex"),
        (lambda x: x, lambda g, y, x: ("text",), TypeError, "expected bools, integers"),
        (
            lambda x: tensor(x),
            lambda g, y, x: (g,),
            TypeError,
            "broken: forward is given arrays and must return an array",
        ),
        (lambda x: None, lambda g, y, x: (g,), TypeError, "broken: .*must return an array, got NoneType"),
        (lambda x: x * 1j, lambda g, y, x: (g,), TypeError, "broken: expected bools, integers, float32 or float64"),
        (lambda x: x @ np.ones((2, 2)), lambda g, y, x: (g,), ValueError, r"broken: matmul.*float64 \(3,\)"),
    ],
)
def test_mistakes(forward: Any, vjp: Any, error: type, message: str) -> None:
    operation = custom(forward, vjp, name="broken")
    with pytest.raises(error, match=message):
        operation(tensor(X, requires_grad=True)).sum().backward()


def test_a_derivative_in_numpy_is_not_differentiated_silently() -> None:
    numpys = custom(np.tanh, lambda g, y, _x: (np.asarray(g) * (1 - np.asarray(y) ** 2),), name="numpys")
    x = tensor(X, requires_grad=True)
    numpys(x).sum().backward()
    np.testing.assert_allclose(x.grad.data, 1 - np.tanh(X) ** 2)
    with pytest.raises(TypeError, match="numpys: vjp gave no Tensor as the gradient of input 0"):
        grad(numpys(x).sum(), x, create_graph=True)


def test_a_wrong_rule_is_caught() -> None:
    wrong = custom(lambda x: x**3, lambda g, _y, x: (g * 2 * x * x,), name="cube")
    with pytest.raises(AssertionError, match=r"cube.*analytic"):
        gradcheck(wrong, [X])
    with pytest.raises(TypeError, match="custom: vjp must be a function, got NoneType"):
        custom(np.tanh, None)


def test_it_works_inside_of_everything_else() -> None:
    x = tensor(X, requires_grad=True)
    y = tg.autograd.checkpoint(lambda t: log_cosh(t * 2.0), x)
    y.sum().backward()
    np.testing.assert_allclose(x.grad.data, 2 * np.tanh(2 * X))
    with tg.detect_anomaly(), pytest.raises(FloatingPointError, match="log_cosh gave NaN or infinity"):
        log_cosh(tensor([1000.0]))
    assert isinstance(log_cosh(x), Tensor)
