"""Softmax and cross-entropy: values for any logits, and that a row's result depends on that row alone."""

import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinygrad_rnn.kernels import arrays, cross_entropy, oracle
from tinygrad_rnn.kernels.cross_entropy import nll_backward, nll_forward

DTYPES = [np.float32, np.float64]
INF, NAN = math.inf, math.nan
OF_ROWS = ["softmax", "log_softmax", "logsumexp"]


def close(a: np.ndarray, b: np.ndarray, ulps: float = 16) -> None:
    assert a.dtype == b.dtype and np.shape(a) == np.shape(b)
    eps = np.finfo(a.dtype).eps
    np.testing.assert_allclose(a, b, rtol=ulps * eps, atol=ulps * eps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1,), (7,), (1, 1), (3, 5), (2, 3, 17), (0, 4), (5, 64), (4, 1000), (2, 5000)])
def test_rows_against_the_oracle(shape, dtype, rng):
    x = (rng.standard_normal(shape) * 3).astype(dtype)
    for y in (x, np.asfortranarray(x), x[..., ::-1], np.repeat(x, 2, axis=-1)[..., ::2]):
        before = y.copy()
        for name in OF_ROWS:
            close(getattr(cross_entropy, name)(y), getattr(oracle, name)(y))
            assert np.array_equal(getattr(cross_entropy, name)(y), getattr(cross_entropy, name)(before))
        assert np.array_equal(y, before)
    g = rng.standard_normal(shape).astype(dtype)
    for name in ("softmax", "log_softmax"):
        y = getattr(cross_entropy, name)(x)
        close(*(getattr(module, f"{name}_backward")(g, y) for module in (cross_entropy, oracle)), ulps=100)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape, axis", [((600, 700), 0), ((2, 600, 301), 1), ((700, 5, 100), 0)])
def test_logsumexp_of_columns_is_that_of_rows(shape, axis, dtype, rng, threads):
    """Bit for bit, whatever the number of threads: columns are read as they lie."""
    from tinygrad_rnn.kernels import set_num_threads

    x = (rng.standard_normal(shape) * 30).astype(dtype)
    assert x.size >= arrays.LARGE
    x[..., 1], x[..., 2] = -np.inf, 0.0
    x.reshape(-1)[0] = np.inf
    x[-1, ..., 3] = np.nan
    turned = np.moveaxis(x, axis, -1)
    expected = cross_entropy.logsumexp(np.ascontiguousarray(turned))
    close(np.nan_to_num(expected), np.nan_to_num(oracle.logsumexp(turned)))
    for n in (1, 2, 3):
        set_num_threads(n)
        with np.errstate(all="raise"):
            result = cross_entropy.logsumexp(turned)
        assert result.dtype == dtype and np.array_equal(result, expected, equal_nan=True)


@pytest.mark.parametrize("dtype", DTYPES)
@given(data=st.data())
def test_any_finite_logits(dtype, data):
    x = data.draw(hnp.arrays(dtype, st.integers(1, 40), elements=st.floats(-(2.0**99), 2.0**99, width=32)))
    p, log_p, total = (getattr(cross_entropy, name)(x) for name in OF_ROWS)
    eps = np.finfo(dtype).eps
    assert np.all((p >= 0) & (p <= 1 + 4 * eps)) and abs(p.astype(np.float64).sum() - 1) < 8 * eps
    assert np.all(log_p <= 0) and np.all(np.isfinite(log_p)) and np.isfinite(total)
    assert x.max() <= total <= dtype(x.max() + math.log(len(x)) * (1 + 4 * eps))
    with mp.workdps(60):
        exact = mp.log(mp.fsum(mp.exp(mp.mpf(v) - mp.mpf(float(x.max()))) for v in x.tolist())) + mp.mpf(float(x.max()))
    assert abs(float(total - exact)) <= 4 * eps * abs(float(exact)) + 4 * eps


def test_confident_rows_keep_their_digits():
    """The loss of a row that is nearly sure is tiny, not 0."""
    for gap in (10, 20, 30):
        x = np.array([[gap, 0, 0]], np.float32)
        expected = math.log1p(2 * math.exp(-gap))
        assert nll_forward(x, np.array([0]))[0] == pytest.approx(expected, rel=1e-6 if gap < 30 else 1e-3)
        assert cross_entropy.log_softmax(x)[0, 0] == pytest.approx(-expected, rel=1e-6 if gap < 30 else 1e-3)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("row, p, total", [
    ([-INF, 0.0, 0.0], [0, 0.5, 0.5], math.log(2)),
    ([-INF, -INF, 5.0], [0, 0, 1], 5),
    ([-INF, -INF, -INF], [NAN, NAN, NAN], -INF),
    ([INF, 0.0, 0.0], [NAN, NAN, NAN], INF),
    ([NAN, 0.0, 0.0], [NAN, NAN, NAN], NAN),
])
def test_infinite_logits(dtype, row, p, total):
    x = np.array([row] * 7, dtype)
    with np.errstate(all="raise"):
        np.testing.assert_allclose(cross_entropy.logsumexp(x), total, rtol=1e-6)
        losses, _ = nll_forward(x, np.array([0, 1, 2] * 2 + [2]))
        result = cross_entropy.softmax(x)
        log_p = cross_entropy.log_softmax(x)
    finite = ~np.isnan(p)
    np.testing.assert_allclose(result[0][finite], np.array(p)[finite], rtol=1e-6)
    if not finite.all():        # no row that is NaN in part passes for a distribution
        assert np.isnan(losses).all() and np.isnan(result).any() and np.isnan(log_p).any()
    else:
        assert losses[0] == INF and log_p[0, 0] == -INF


# ---- negative log-likelihood ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n, v", [(0, 3), (1, 1), (1, 5), (6, 2), (5, 103), (17, 64), (3, 9999)])
def test_nll_against_the_oracle(n, v, dtype, rng):
    x, targets = (rng.standard_normal((n, v)) * 3).astype(dtype), rng.integers(0, v, n)
    g = rng.standard_normal(n).astype(dtype)
    for y in (x, np.asfortranarray(x), x[::-1]):
        before = y.copy()
        losses, sums = nll_forward(y, targets)
        for a, b in zip((losses, sums), oracle.nll_forward(y, targets)):
            close(a, b)
        close(nll_backward(g, y, sums, targets), oracle.nll_backward(g, y, sums, targets), ulps=32)
        assert np.array_equal(y, before)
    if n:
        for kind in (np.int32, np.uint8 if v < 256 else np.uint64):
            assert np.array_equal(nll_forward(x, targets.astype(kind))[0], nll_forward(x, targets)[0])


def test_the_gradient_is_the_derivative(rng):
    x, targets, g = rng.standard_normal((4, 6)), np.array([0, 5, 2, 2]), rng.standard_normal(4)
    gradient = nll_backward(g, x, nll_forward(x, targets)[1], targets)
    for place in np.ndindex(x.shape):
        moved = [x.copy(), x.copy()]
        moved[0][place] += 1e-5
        moved[1][place] -= 1e-5
        up, down = (np.dot(g, nll_forward(m, targets)[0]) for m in moved)
        assert gradient[place] == pytest.approx((up - down) / 2e-5, abs=1e-9)
    np.testing.assert_allclose(gradient.sum(1), 0, atol=1e-15)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_alone_in_a_batch_and_by_threads(dtype, rng, threads):
    from tinygrad_rnn.kernels import set_num_threads

    x, targets = rng.standard_normal((73, 4001)).astype(dtype), rng.integers(0, 4001, 73)
    g = rng.standard_normal(73).astype(dtype)
    assert x.size >= arrays.LARGE

    def everything(rows: slice) -> list[np.ndarray]:
        losses, sums = nll_forward(x[rows], targets[rows])
        results = [losses, sums, nll_backward(g[rows], x[rows], sums, targets[rows])]
        y = [getattr(cross_entropy, name)(x[rows]) for name in OF_ROWS]
        backward = [cross_entropy.softmax_backward(x[rows], y[0]), cross_entropy.log_softmax_backward(x[rows], y[1])]
        return [*results, *y, *backward]

    set_num_threads(1)
    whole = everything(slice(None))
    for n in (2, 3):
        set_num_threads(n)
        assert all(np.array_equal(a, b) for a, b in zip(everything(slice(None)), whole))
    for row in (0, 40, 72):
        alone = everything(slice(row, row + 1))
        assert all(np.array_equal(a[0], b[row]) for a, b in zip(alone, whole))


# ---- errors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", [cross_entropy, oracle])
def test_errors_name_what_is_wrong(module):
    x = np.zeros((3, 4), np.float32)
    with pytest.raises(IndexError, match="nll_forward: target 4 of row 1 is not one of 4 classes"):
        module.nll_forward(x, np.array([0, 4, 9]))
    with pytest.raises(IndexError, match="nll_backward: target -1 of row 2"):
        module.nll_backward(np.ones(3), x, np.ones(3), np.array([0, 0, -1]))
    with pytest.raises(ValueError, match=r"expected logits \(N, V\) and targets \(N,\), got \(3, 4\) and \(2,\)"):
        module.nll_forward(x, np.array([0, 1]))
    with pytest.raises(ValueError, match="softmax: expected rows of at least one number"):
        module.softmax(np.zeros((3, 0)))
    with pytest.raises(TypeError, match="softmax: expected bools, integers, float32 or float64, got dtype complex128"):
        module.softmax(np.zeros(3, complex))
    assert module.softmax(np.array([1, 1])).dtype == np.float32


def test_targets_must_be_whole_numbers_and_gradients_fit():
    x = np.zeros((3, 4), np.float32)
    with pytest.raises(TypeError, match="targets must be integers, got float64"):
        nll_forward(x, np.zeros(3))
    with pytest.raises(ValueError, match=r"g and sums must be \(3,\), got \(2,\)"):
        nll_backward(np.ones(2), x, np.ones(3), np.array([0, 0, 1]))
    with pytest.raises(ValueError, match="g and y must be alike"):
        cross_entropy.softmax_backward(x, x[:2])
