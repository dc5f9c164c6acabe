"""Reductions: ties, nothing, one element, axes, and the functions composed of them."""

from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import tensor
from tinygrad_rnn.testing import gradcheck, gradgradcheck

X = np.random.default_rng(3).standard_normal((2, 3, 4))
NAN = np.nan


@pytest.mark.parametrize("name", ["max", "min"])
def test_ties_share_the_gradient_equally(name: str) -> None:
    sign = 1 if name == "max" else -1
    x = tensor(sign * np.array([[1.0, 3.0, 3.0], [2.0, 0.0, 0.0], [5.0, 5.0, 5.0]]), requires_grad=True)
    getattr(tg, name)(x, 1).backward([6.0, 6.0, 6.0])
    np.testing.assert_allclose(x.grad.data, [[0, 3, 3], [6, 0, 0], [2, 2, 2]])
    x.grad = None
    getattr(tg, name)(x).backward()
    np.testing.assert_allclose(x.grad.data, [[0] * 3, [0] * 3, [1 / 3] * 3])
    y = tensor([[np.inf, np.inf, 1.0]], requires_grad=True)
    tg.max(y, -1).sum().backward()
    assert y.grad.tolist() == [[0.5, 0.5, 0]]


def test_argmax_gives_the_first_of_several() -> None:
    x = tensor([[1.0, 3.0, 3.0], [0.0, 0.0, -1.0]])
    assert x.argmax(1).tolist() == [1, 0]
    assert x.argmin(1).tolist() == [0, 2]
    assert x.argmax().item() == 1
    assert x.argmax(0, keepdims=True).tolist() == [[0, 0, 0]]
    assert x.argmax().dtype == np.int64
    assert tensor([1.0, NAN, 2.0]).argmax().item() == 1


def test_nan_propagates() -> None:
    x = tensor([1.0, NAN, 2.0])
    for fn in (tg.sum, tg.mean, tg.max, tg.min, tg.var, tg.std, tg.logsumexp):
        assert np.isnan(fn(x).item()), fn


def test_over_nothing() -> None:
    x = tensor(np.zeros((0, 3)))
    assert tg.sum(x).item() == 0
    assert tg.sum(x, 0).tolist() == [0, 0, 0]
    assert tg.sum(x, 1).shape == (0,)
    assert np.isnan(tg.mean(x, 0).data).all()
    assert np.isnan(tg.var(x, 0).data).all()
    assert tg.max(x, 1).shape == (0,)
    assert tg.all(x).item() is True
    assert tg.any(x).item() is False
    for fn in (tg.max, tg.min, tg.argmax, tg.argmin):
        with pytest.raises(ValueError, match=rf"{fn.name}: axis 0 of shape \(0, 3\) has size 0"):
            fn(x, 0)
    with pytest.raises(ValueError, match=r"logsumexp: a reduced axis of shape \(0, 3\) has size 0"):
        tg.logsumexp(x, 0)


def test_sums_of_integers_and_bools() -> None:
    assert tg.sum(tensor([True, True])).item() == 2
    assert tg.sum(tensor(np.array([1, 2], np.int32))).dtype == np.int64
    assert tg.mean(tensor([1, 2])).dtype == np.float32
    assert tg.mean(tensor([1, 2])).item() == 1.5


@pytest.mark.parametrize(
    ("axis", "error", "message"),
    [
        (3, IndexError, "axis 3 is out of range for a tensor of 3 dimensions"),
        (-4, IndexError, "axis -4 is out of range"),
        ((0, 3), IndexError, "axis 3 is out of range"),
        ((0, 0), ValueError, r"axis \(0, 0\) names a dimension twice"),
        ((0, -3), ValueError, "names a dimension twice"),
        (1.0, TypeError, "axis must be an int, got 1.0"),
        ("x", TypeError, "axis must be an int, got 'x'"),
    ],
)
@pytest.mark.parametrize("fn", [tg.sum, tg.mean, tg.max, tg.var, tg.std, tg.logsumexp, tg.any])
def test_wrong_axes(fn: Any, axis: Any, error: type, message: str) -> None:
    for x in (X, tensor(X), tensor(X, requires_grad=True)):
        with pytest.raises(error, match=message):
            fn(x, axis)


def test_axes_of_a_number() -> None:
    assert tg.sum(tensor(3.0)).item() == 3
    with pytest.raises(IndexError, match="sum: axis 0 is out of range for a tensor of 0 dimensions"):
        tg.sum(tensor(3.0), 0)


def test_axes_may_be_tensors_lists_and_numpy_integers() -> None:
    for axis in (1, np.int64(1), tensor(1), [1], (np.int32(1),)):
        np.testing.assert_allclose(tg.sum(tensor(X), axis).data, X.sum(1))


# ---- variance -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("correction", [0, 1, 0.5])
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_variance(axis: Any, correction: float, keepdims: bool) -> None:
    expected = np.var(X, axis, ddof=correction, keepdims=keepdims)
    np.testing.assert_allclose(tg.var(tensor(X), axis, correction, keepdims).data, expected)
    np.testing.assert_allclose(tg.std(tensor(X), axis, correction, keepdims).data, np.sqrt(expected))
    assert gradcheck(lambda x: tg.std(x, axis, correction, keepdims), X)


def test_second_derivatives_of_the_deviation() -> None:
    assert gradgradcheck(lambda x: tg.std(x, 1), X[:, :, 0])


def test_variance_without_a_degree_of_freedom() -> None:
    for correction in (1, 2):
        assert np.isnan(tg.var(tensor([3.0]), correction=correction).item())
        assert np.isnan(tg.std(tensor([3.0]), correction=correction).item())
    assert tg.var(tensor([3.0])).item() == 0


def test_the_deviation_of_equal_elements() -> None:
    x = tensor([[2.0, 2.0], [1.0, 3.0]], requires_grad=True)
    tg.std(x, 1).sum().backward()
    np.testing.assert_allclose(x.grad.data, [[0, 0], [-0.5, 0.5]])


def test_variance_far_from_zero() -> None:
    x = tensor(np.array([1e8, 1e8 + 1, 1e8 + 2]))
    np.testing.assert_allclose(tg.var(x).item(), 2 / 3)


# ---- running sums, logsumexp --------------------------------------------------------------------------------------
def test_cumulative_sum() -> None:
    x = tensor([[1.0, 2.0], [3.0, 4.0]])
    assert tg.cumulative_sum(x, 0).tolist() == [[1, 2], [4, 6]]
    assert tg.cumulative_sum(x, axis=-1).tolist() == [[1, 3], [3, 7]]
    assert tg.cumulative_sum(tensor([1, 2, 3])).tolist() == [1, 3, 6]
    assert tg.cumulative_sum(tensor([True, True])).dtype == np.int64
    with pytest.raises(ValueError, match=r"cumulative_sum: axis must be given for a tensor of shape \(2, 2\)"):
        tg.cumulative_sum(x)
    with pytest.raises(IndexError, match="cumulative_sum: axis 2 is out of range"):
        tg.cumulative_sum(x, 2)


def test_logsumexp_of_extremes() -> None:
    x = tensor(
        [[1000.0, 1000.0], [-1000.0, -1000.0], [-np.inf, 3.0], [-np.inf, -np.inf], [np.inf, 0.0]],
        dtype=tg.float64,
        requires_grad=True,
    )
    y = tg.logsumexp(x, 1)
    np.testing.assert_allclose(y.data, [1000 + np.log(2), -1000 + np.log(2), 3, -np.inf, np.inf])
    y[:4].sum().backward()
    np.testing.assert_allclose(x.grad.data[:4], [[0.5, 0.5], [0.5, 0.5], [0, 1], [0, 0]])
