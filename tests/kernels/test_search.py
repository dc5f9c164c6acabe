"""What decoders need of arrays, against NumPy: largest numbers, the step of a beam, drawing."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_rnn import kernels
from tinygrad_rnn.kernels import search_oracle as oracle

DTYPES = st.sampled_from([np.float32, np.float64])


def matrix(data: st.DataObject, most: int = 200) -> np.ndarray:
    """Rows with ties and -inf."""
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    shape = data.draw(st.integers(1, 5)), data.draw(st.integers(1, most))
    x = rng.normal(0, data.draw(st.sampled_from([0.1, 1.0, 6.0])), shape)
    x = np.round(x * 2) / 2 if data.draw(st.booleans()) else x
    x[rng.random(x.shape) < data.draw(st.sampled_from([0.0, 0.3, 0.95]))] = -np.inf
    return x.astype(data.draw(DTYPES))


@given(st.data())
def test_the_largest_numbers_in_order(data) -> None:
    x = matrix(data, 400)
    k = data.draw(st.integers(1, x.shape[1]))
    values, indices = kernels.top_k(x, k)
    assert values.dtype == x.dtype and indices.dtype == np.int64
    for row, some, where in zip(x, values, indices):
        expected = sorted(range(len(row)), key=lambda i, row=row: (-row[i], i))[:k]
        assert where.tolist() == expected and some.tolist() == row[expected].tolist()


@given(st.data())
def test_the_largest_of_logits_are_those_of_their_log_softmax(data) -> None:
    x = matrix(data)
    x[0] = -np.inf
    k = data.draw(st.integers(1, x.shape[1]))
    for found, expected in zip(kernels.top_log_probs(x, k), oracle.top_log_probs(x, k)):
        np.testing.assert_allclose(found, expected, rtol=1e-6 if x.dtype == np.float32 else 1e-14, atol=1e-6)
    assert (kernels.top_log_probs(x, k)[0][0] == -np.inf).all()


@given(st.data())
def test_the_best_continuations_of_beams(data) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    groups, width, V = (data.draw(st.integers(1, n)) for n in (3, 4, 8))
    sizes = rng.integers(0, width + 1, groups * data.draw(st.integers(1, 3)))
    sizes[0] = 1
    first = np.concatenate([[0], np.cumsum(sizes)])
    x = rng.normal(0, 1, (first[-1], V))
    x = np.round(2 * x) / 2 if data.draw(st.booleans()) else x
    x[rng.random(x.shape) < 0.2] = -np.inf
    penalty = data.draw(st.sampled_from([0.0, 0.5, 2.0]))
    places = rng.integers(0, width + 1, len(sizes))
    totals, last = np.round(rng.normal(0, 1, len(x))), rng.random(len(sizes)) < 0.3
    whole = oracle.merge_beams(*oracle.top_k(x, V), totals, first, last, places, groups, 0, penalty)
    few = min(V, width * (groups if penalty else 1))
    found = kernels.merge_beams(*kernels.top_k(x, few), totals, first, last, places, groups, 0, penalty)
    for a, b in zip(found, whole, strict=True):
        np.testing.assert_array_equal(a, b)


@given(st.data())
def test_draws_are_those_of_the_sorted_probabilities(data) -> None:
    x = matrix(data, 600)
    uniform = np.random.default_rng(1).random(len(x))
    options = dict(temperature=data.draw(st.sampled_from([1e-5, 0.5, 1.0, 3.0])),
                   top_k=min(data.draw(st.sampled_from([0, 0, 1, 7, 300])), x.shape[1]),
                   top_p=data.draw(st.sampled_from([1.0, 0.3, 0.9, 0.9999])),
                   min_p=data.draw(st.sampled_from([0.0, 0.05, 1.0])))
    np.testing.assert_array_equal(kernels.draw(x, uniform, **options), oracle.draw(x, uniform, **options))


@pytest.mark.parametrize("module", [kernels, oracle])
def test_the_order_and_bounds_of_truncation(module) -> None:
    p = np.array([[0.1, 0.4, 0.2, 0.3]])
    grid = np.linspace(0, 1, 1000, endpoint=False)

    def share(**options) -> np.ndarray:
        drawn = module.draw(np.repeat(np.log(p), len(grid), 0), grid, **options)
        return np.bincount(drawn, minlength=4) / len(grid)

    np.testing.assert_allclose(share(), p[0], atol=2e-3)
    np.testing.assert_allclose(share(temperature=0.5), [1 / 30, 16 / 30, 4 / 30, 9 / 30], atol=2e-3)
    np.testing.assert_allclose(share(top_k=2), [0, 4 / 7, 0, 3 / 7], atol=2e-3)
    np.testing.assert_allclose(share(top_p=0.7), [0, 4 / 7, 0, 3 / 7], atol=2e-3)       # exactly reached is enough
    np.testing.assert_allclose(share(top_p=0.71), [0, 4 / 9, 2 / 9, 3 / 9], atol=2e-3)
    np.testing.assert_allclose(share(min_p=0.6), [0, 4 / 7, 0, 3 / 7], atol=2e-3)
    # Of the three likeliest, 0.4 and 0.3 of 0.9 are more than 0.75; of all they would be less.
    np.testing.assert_allclose(share(top_k=3, top_p=0.75), [0, 4 / 7, 0, 3 / 7], atol=2e-3)
    # At a temperature near 0 the likeliest makes up any nucleus.
    np.testing.assert_allclose(share(temperature=0.05, top_p=0.9), [0, 1, 0, 0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_no_token_can_be_drawn_from(dtype) -> None:
    x = np.zeros((3, 300), dtype)
    x[0, 280], x[1] = math.nan, -math.inf
    infinite = np.array([[0, math.inf, 0] * 100], dtype)
    for options in ({}, dict(top_k=5), dict(top_k=299), dict(top_p=0.5)):
        for module in (kernels, oracle):
            assert module.draw(infinite, np.zeros(1), **options) == oracle.NAN
    for options in ({}, dict(top_k=5), dict(top_k=299), dict(top_p=0.5), dict(min_p=0.5)):
        assert kernels.draw(x, np.zeros(3), **options).tolist() == [oracle.NAN, oracle.NOTHING, 0]
    values, _ = kernels.top_k(x, 3)
    assert np.isnan(values[0, 0]) and values[1:].tolist() == [[-math.inf] * 3, [0] * 3]
    assert np.isnan(kernels.top_log_probs(x, 3)[0][0, 0])


def test_a_row_alone_and_by_threads(threads) -> None:
    rng = np.random.default_rng(0)
    x, uniform = rng.normal(0, 3, (67, 5001)).astype(np.float32), rng.random(67)

    def everything(rows: slice) -> list[np.ndarray]:
        return [*kernels.top_k(x[rows], 11), *kernels.top_log_probs(x[rows], 11), kernels.draw(x[rows], uniform[rows]),
                kernels.draw(x[rows], uniform[rows], top_p=0.8), kernels.draw(x[rows], uniform[rows], top_k=40)]

    kernels.set_num_threads(1)
    whole = everything(slice(None))
    for n in (2, 3):
        kernels.set_num_threads(n)
        assert all(np.array_equal(a, b) for a, b in zip(everything(slice(None)), whole))
    for row in (0, 33, 66):
        assert all(np.array_equal(a[0], b[row]) for a, b in zip(everything(slice(row, row + 1)), whole))


@pytest.mark.parametrize("name", ["top_k", "top_log_probs"])
def test_errors(name) -> None:
    for module in (kernels, oracle):
        for x, k in ((np.zeros((2, 3)), 4), (np.zeros((2, 3)), 0), (np.zeros(3), 1)):
            with pytest.raises(ValueError, match=f"{name}: expected x .N, V. and k from 1 to V, got shape"):
                getattr(module, name)(x, k)
    with pytest.raises(TypeError, match="expected bools, integers, float32 or float64"):
        getattr(kernels, name)(np.zeros((2, 3), complex), 1)
