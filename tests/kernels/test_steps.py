"""One pass over memory gives what several give, bit by bit."""

import numpy as np
import pytest

from tinygrad_rnn import kernels
from tinygrad_rnn.kernels import oracle
from tinygrad_rnn.kernels.threads import COMPILED

SIZES = [1, 15, 16, 17, 4095, 4096, 4097, 3 * 4096 + 5, 300_000]


def arguments(size, dtype, rng):
    p, g, m = (rng.standard_normal(size).astype(dtype) for _ in range(3))
    return p, g, m, rng.random(size).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", SIZES)
def test_adam_is_the_rule(size, dtype, rng):
    given = arguments(size, dtype, rng)
    ours, theirs = [a.copy() for a in given], [a.copy() for a in given]
    options = {"betas": (0.9, 0.999), "root": 0.37, "eps": 1e-8, "lr": 0.01}
    kernels.adam(*ours, **options)
    oracle.adam(*theirs, **options)
    for a, b in zip(ours, theirs):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(ours[1], given[1])


def test_adam_on_any_number_of_threads(rng):
    given = arguments(600_000, np.float32, rng)
    found = []
    before = kernels.get_num_threads()
    for threads in (1, 2, 3):
        kernels.set_num_threads(threads)
        ours = [a.copy().reshape(600, 1000) for a in given]
        kernels.adam(*ours, betas=(0.9, 0.99), root=1.0, eps=1e-3, lr=0.1)
        found.append((ours, kernels.sum_of_squares(ours[0])))
    kernels.set_num_threads(before)
    for ours, total in found[1:]:
        assert total == found[0][1]
        for a, b in zip(ours, found[0][0]):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [0, *SIZES])
def test_sum_of_squares(size, dtype, rng):
    x = rng.standard_normal(size).astype(dtype)
    np.testing.assert_allclose(kernels.sum_of_squares(x), (x.astype(np.longdouble) ** 2).sum(), rtol=1e-13)


@pytest.mark.skipif(not COMPILED, reason="NumPy squares in float64 too")
def test_large_float32_numbers_do_not_overflow():
    assert kernels.sum_of_squares(np.full(5000, 1e30, np.float32)) == pytest.approx(5000 * 1e60, rel=1e-6)
    assert np.isnan(kernels.sum_of_squares(np.array([1.0, np.nan])))
    assert kernels.sum_of_squares(np.array([1.0, np.inf])) == np.inf
