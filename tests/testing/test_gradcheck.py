"""gradcheck and its relatives: they pass what is right, name what is wrong, and refuse what cannot be checked."""

from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import tensor, testing
from tinygrad_rnn.autograd import ops
from tinygrad_rnn.autograd.primitive import primitive, reals
from tinygrad_rnn.testing import adjointcheck, gradcheck, gradgradcheck

CHECKS = [gradcheck, gradgradcheck, adjointcheck]
RNG = np.random.default_rng(0)
X, W = RNG.standard_normal((3, 4)), RNG.standard_normal((4, 2))


def declare(rule: Any, forward: Any = lambda x: x**3, name: str = "cube") -> Any:
    return primitive(rules=[rule], oracle=None, register=False, name=name)(forward)


cube = declare(lambda g, _y, x: g * (3 * x * x))
wrong = declare(lambda g, _y, x: g * (3 * x * x * 1.01))


@pytest.mark.parametrize("check", CHECKS)
def test_what_is_right(check: Any) -> None:
    assert check(lambda x, w: (x @ w).tanh(), [X, W])
    assert check(lambda x, w: (x @ w).tanh(), (tensor(X), tensor(W, requires_grad=True)))
    assert check(cube, X)
    assert check(cube, tensor(X))
    assert check(lambda x: [x.exp().sum(), x[0] * 2.0, x.argmax()], X)
    assert check(lambda x: x * 3.0, [np.zeros((0, 2))])
    assert check(lambda x: x.sin(), [np.array(0.5)])


@pytest.mark.parametrize("check", CHECKS)
def test_inputs_that_are_not_differentiated(check: Any) -> None:
    assert check(lambda x, i: x[i], [X, np.array([0, 2, 2])])
    assert check(lambda c, x: tg.where(c, x, 0.0), [X > 0, X])


@pytest.mark.parametrize("check", CHECKS)
def test_inputs_with_any_strides(check: Any) -> None:
    wide = np.repeat(X, 2, 1)
    for x in (X.T, X[::-1], wide[:, ::2], np.broadcast_to(X[0], (2, 4)), np.asfortranarray(X)):
        seen = []

        def fn(t: Any, seen: Any = seen) -> Any:
            seen.append(t.data.strides)
            return t.exp() * t

        assert check(fn, [x])
        assert x.strides in seen


@pytest.mark.parametrize("check", CHECKS)
def test_inputs_are_not_modified(check: Any) -> None:
    x, w = X.copy(), W.copy()
    t = tensor(x, requires_grad=True)
    check(lambda x, w: x @ w, [t, w])
    np.testing.assert_array_equal(t.data, X)
    np.testing.assert_array_equal(w, W)
    assert t.grad is None
    assert t.requires_grad


# ---- what is wrong ------------------------------------------------------------------------------------------------
def test_the_message_of_gradcheck() -> None:
    point = np.array([[1.0, 2.0]])
    with pytest.raises(AssertionError) as caught:
        gradcheck(lambda a, x: (a * 2.0, wrong(x)), [point, point])
    assert str(caught.value) == (
        "gradcheck: <lambda> (by cube): derivative of output 1 at (0, 0) by input 1 at (0, 0): analytic 3.03, numeric 3"
    )
    with pytest.raises(
        AssertionError,
        match=r"gradcheck: cube \(by cube\): derivative of output 0 at \(1,\) by input 0 at \(1,\): "
        r"analytic 12\.12, numeric 12",
    ):
        gradcheck(wrong, np.array([0.0, 2.0]))


def test_the_message_of_gradgradcheck() -> None:
    lost = declare(lambda g, _y, x: g * (3 * x * np.asarray(x)))
    assert gradcheck(lost, X)
    with pytest.raises(
        AssertionError,
        match=r"gradgradcheck: gradient of cube .*: derivative of output 0 at \(0, 0\) by input 0 at "
        r"\(0, 0\): analytic .*, numeric",
    ):
        gradgradcheck(lost, X)


def test_the_message_of_adjointcheck() -> None:
    with pytest.raises(
        AssertionError,
        match=r"adjointcheck: cube \(by cube\): <J\^T v, u> is .*, but <v, J u>, by finite differences, ",
    ):
        adjointcheck(wrong, X)


@pytest.mark.parametrize(
    "rule",
    [
        lambda g, _y, x: -g * (3 * x * x),
        lambda g, _y, x: g * 0,
        lambda g, _y, x: g * (3 * x * x) + 0.001,
        lambda g, _y, x: g * (3 * x * x) * np.nan,
        lambda g, _y, x: tg.flip(g) * (3 * x * x),
        lambda g, _y, x: g * tg.flip(3 * x * x),
    ],
)
def test_wrong_rules(rule: Any) -> None:
    for check in (gradcheck, adjointcheck):
        with pytest.raises(AssertionError):
            check(declare(rule), X)


@pytest.mark.parametrize("check", [gradcheck, adjointcheck])
def test_a_path_that_was_cut(check: Any) -> None:
    with pytest.raises(AssertionError):
        check(lambda x: x * x.detach(), X)
    with pytest.raises(AssertionError):
        check(lambda x: tensor(x.data * 2), X)


def test_a_wrong_derivative_by_one_argument() -> None:
    swapped = primitive(
        rules=[lambda g, _y, _a, b: g * b, lambda g, _y, _a, b: g * b], oracle=None, register=False, name="times"
    )(lambda a, b: a * b)
    with pytest.raises(AssertionError, match=r"times.* by input 1 at"):
        gradcheck(swapped, [X, X + 1])


def test_tolerances() -> None:
    slightly = declare(lambda g, _y, x: g * (3 * x * x) * (1 + 1e-4))
    assert gradcheck(slightly, X)
    with pytest.raises(AssertionError):
        gradcheck(slightly, X, rtol=1e-6, atol=1e-9)
    assert gradcheck(slightly, X, rtol=1e-2, eps=1e-4)


def test_a_function_that_modifies_its_input() -> None:
    def careless(x: Any) -> Any:
        y = x * 2.0
        x.data[0] += 1e-3
        return y

    with pytest.raises(AssertionError, match="careless (modified input 0|gives different results)"):
        gradcheck(careless, X.copy())


def test_a_function_that_modifies_its_input_and_hides_it() -> None:
    def sorts(x: Any) -> Any:
        x.data.sort()
        return x * 2.0

    with pytest.raises(AssertionError, match="gradcheck: sorts modified input 0"):
        gradcheck(sorts, np.array([3.0, 1.0, 2.0]))


def test_a_function_that_is_random() -> None:
    rng = np.random.default_rng(0)

    def dropout(x: Any) -> Any:
        return x * (rng.random(x.shape) < 0.5)

    with pytest.raises(AssertionError, match="dropout gives different results for the same inputs"):
        gradcheck(dropout, X)


# ---- what cannot be checked ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("check", CHECKS)
def test_only_float64(check: Any) -> None:
    name = check.__name__
    for inputs in ([X, W.astype(np.float32)], [tensor(X), tensor([[1.0]] * 4)], [X, [[1.0]] * 4]):
        with pytest.raises(TypeError, match=rf"{name}: inputs\[1\] must be float64, .* float32 .*astype\(float64\)"):
            check(lambda x, w: x @ w, inputs)
    with pytest.raises(ValueError, match=f"{name}: no input is floating"):
        check(lambda i: i * 1.0, [np.arange(3)])
    with pytest.raises(TypeError, match="fn must return a Tensor, or a tuple or list of Tensors, got ndarray"):
        check(lambda x: x.data, X)
    with pytest.raises(TypeError, match="expected bools, integers"):
        check(lambda x: x, ["x"])


def test_second_order_of_what_is_linear_or_constant() -> None:
    assert gradgradcheck(lambda x: x.sum(), X)
    assert gradgradcheck(lambda x: x * 0.0, X)
    assert gradgradcheck(lambda x: tensor(np.ones(2)), X)
    assert gradgradcheck(lambda x, y: x * x, [X, X])


def test_what_testing_exports() -> None:
    assert tg.testing is testing
    assert testing.strategies.shapes
    assert testing.reals(0, 1).low == 0
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        testing.nothing  # noqa: B018
    assert testing.check(ops.tanh)
    assert reals(kinks=[0]).kinks == (0,)


def test_nothing_to_differentiate_is_an_error() -> None:
    with pytest.raises(ValueError, match="no floating result"):
        gradcheck(lambda a: a > 0, [np.ones(2)])
