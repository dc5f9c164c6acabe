"""Products, softmax and cross-entropy: values, dtypes, limits, errors."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn import tensor
from tinygrad_rnn.autograd import grad
from tinygrad_rnn.autograd.ops import linear, nll_of_logits
from tinygrad_rnn.testing import adjointcheck, gradcheck, gradgradcheck, strategies

RNG = np.random.default_rng(5)


@given(
    strategies.broadcastable(2, max_dims=2), st.integers(0, 4), st.integers(0, 4), st.integers(0, 4), st.integers(0, 99)
)
def test_batched_products(batches: Any, m: int, k: int, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((*batches[0], m, k)), rng.standard_normal((*batches[1], k, n))
    np.testing.assert_allclose(tg.matmul(tensor(a), tensor(b)).data, np.matmul(a, b), rtol=1e-12, atol=1e-12)
    assert adjointcheck(tg.matmul, [a, b])


def test_dtypes_of_products() -> None:
    a = np.arange(6).reshape(2, 3)
    for da, db, dtype in (
        ("f4", "f4", "f4"),
        ("f4", "f8", "f8"),
        ("f4", "i8", "f4"),
        ("i8", "f8", "f8"),
        ("i4", "i8", "i8"),
    ):
        result = tensor(a.astype(da)) @ tensor(a.T.astype(db))
        assert result.dtype == dtype
        np.testing.assert_array_equal(result.data, a @ a.T)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (
            (2, 3),
            (4, 5),
            r"matmul: the last axis of a \(3\) must equal the second last axis of b \(4\); got shapes .*\(4, 5\)",
        ),
        ((2, 3), (4,), r"matmul: the last axis of a \(3\) must equal the only axis of b \(4\)"),
        ((3,), (4, 5), r"must equal the second last axis of b \(4\)"),
        (
            (),
            (2,),
            r"matmul: both arguments need a dimension, got shapes \(\) and \(2,\); multiply by a number with \*",
        ),
        ((2, 3, 4), (5, 4, 2), r"matmul: .*\(2, 3, 4\).*\(5, 4, 2\)"),
    ],
)
def test_products_that_do_not_fit(a: Any, b: Any, message: str) -> None:
    for left, right in (
        (tensor(np.ones(a)), tensor(np.ones(b))),
        (np.ones(a), tensor(np.ones(b), requires_grad=True)),
        (np.ones(a), np.ones(b)),
    ):
        with pytest.raises(ValueError, match=message):
            tg.matmul(left, right)


def test_linear_is_a_product_and_a_sum() -> None:
    x, w, b = RNG.standard_normal((2, 3, 4)), RNG.standard_normal((5, 4)), RNG.standard_normal(5)
    np.testing.assert_allclose(linear(tensor(x), tensor(w), tensor(b)).data, x @ w.T + b)
    np.testing.assert_allclose(linear(tensor(x), tensor(w)).data, x @ w.T)
    rows = RNG.standard_normal((2, 3, 5))
    np.testing.assert_allclose(linear(tensor(x), tensor(w), rows).data, x @ w.T + rows)
    for bias in (b, rows, RNG.standard_normal((3, 1))):
        assert gradcheck(linear, [x, w, bias])
    with pytest.raises(
        ValueError, match=r"linear: weight must be \(out, in\) and x \(..., in\), got \(4, 5\) and \(2, 3, 4\)"
    ):
        linear(x, tensor(w.T))
    with pytest.raises(
        ValueError, match=r"linear: bias must be \(5,\), or broadcast to \(2, 3, 5\), got \(4, 2, 3, 5\)"
    ):
        linear(x, tensor(w), np.ones((4, 2, 3, 5)))


# ---- softmax ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("shift", [0.0, 1e4, -1e4])
def test_softmax_of_any_logits(axis: int, shift: float) -> None:
    x = RNG.standard_normal((3, 4))
    e = np.exp(x)
    expected = e / e.sum(axis, keepdims=True)
    np.testing.assert_allclose(tg.softmax(tensor(x + shift), axis).data, expected, rtol=1e-9)
    np.testing.assert_allclose(tg.log_softmax(tensor(x + shift), axis).data, np.log(expected), rtol=1e-9)


def test_softmax_with_forbidden_classes() -> None:
    x = tensor([[0.0, -np.inf, 0.0]], requires_grad=True)
    p = tg.softmax(x)
    assert p.tolist() == [[0.5, 0, 0.5]]
    p[0, 0].backward()
    np.testing.assert_allclose(x.grad.data, [[0.25, 0, -0.25]])


def test_softmax_axes() -> None:
    for fn in (tg.softmax, tg.log_softmax):
        with pytest.raises(IndexError, match=f"{fn.name}: axis 2 is out of range for a tensor of 2 dimensions"):
            fn(tensor(np.ones((2, 3))), 2)
        with pytest.raises(IndexError, match="axis -1 is out of range"):
            fn(tensor(1.0))
        with pytest.raises(TypeError, match="axis must be an int"):
            fn(tensor(np.ones((2, 3))), None)


# ---- cross-entropy ------------------------------------------------------------------------------------------------
def test_negative_log_likelihood() -> None:
    x, t = RNG.standard_normal((5, 4)), np.array([0, 3, 3, 1, 2])
    losses, sums = nll_of_logits(tensor(x), t)
    np.testing.assert_allclose(sums.data, np.log(np.exp(x).sum(1)))
    np.testing.assert_allclose(losses.data, sums.data - x[np.arange(5), t])
    for use in (lambda a, b: a * 2.0, lambda a, b: b * b, lambda a, b: a * b):
        assert gradcheck(lambda logits, use=use: use(*nll_of_logits(logits, t)), x)
        assert gradgradcheck(lambda logits, use=use: use(*nll_of_logits(logits, t)), x)
    far = tensor(x + 1e4, requires_grad=True)
    losses_far = nll_of_logits(far, tensor(t))[0]
    np.testing.assert_allclose(losses_far.data, losses.data, rtol=1e-8)
    (g,) = grad(losses_far.sum(), far)
    np.testing.assert_allclose(g.data.sum(1), 0, atol=1e-9)


@pytest.mark.parametrize(
    ("x", "t", "error", "message"),
    [
        ((5, 4), np.zeros(4, int), ValueError, r"expected logits \(N, V\) and targets \(N,\), got \(5, 4\) and \(4,\)"),
        ((4,), np.zeros(4, int), ValueError, r"expected logits \(N, V\)"),
        ((2, 4), np.zeros(2), TypeError, "targets must be integers, got float64"),
        ((2, 4), np.array([0, 4]), IndexError, r"targets must lie in \[0, 4\), got 0 to 4"),
        ((2, 4), np.array([-1, 3]), IndexError, r"targets must lie in \[0, 4\), got -1 to 3"),
    ],
)
def test_wrong_targets(x: Any, t: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=f"nll_of_logits: {message}"):
        nll_of_logits(tensor(np.ones(x)), t)
