"""Reductions: values, the error bound, and that the order of summation depends on the reduced length alone."""

import functools
import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinygrad_rnn.kernels import arrays, fold, get_num_threads, oracle, reduce, set_num_threads

DTYPES = [np.float32, np.float64]
NAMES = ["sum", "mean", "prod", "norm", "var", "max", "min"]


def stated_sum(row: np.ndarray) -> float:
    """The sum of a row in the order that the docstring of `reduce` states, in Python's floats."""
    total = 0.0
    for first in range(0, len(row), fold.BLOCK):
        lanes = [0.0] * fold.LANES
        for i, x in enumerate(row[first:first + fold.BLOCK].tolist()):
            lanes[i % fold.LANES] += x
        while len(lanes) > 1:
            half = len(lanes) // 2
            lanes = [a + b for a, b in zip(lanes[:half], lanes[half:])]
        total += lanes[0]
    return total


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [0, 1, 2, 15, 16, 17, 31, 32, 33, 64, 100, 1000, 4095, 4096, 4097, 9000])
def test_sums_are_taken_in_the_stated_order(n, dtype, rng):
    x = (rng.standard_normal((3, n)) * 10.0 ** rng.integers(-3, 4, (3, n))).astype(dtype)
    expected = np.array([stated_sum(row) for row in x])
    assert np.array_equal(reduce.sum(x, 1), expected.astype(dtype))
    assert np.array_equal(reduce.sum(x.T.copy(), 0), expected.astype(dtype))
    if n:
        assert np.array_equal(reduce.mean(x, 1), (expected / n).astype(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_error_bound(dtype, rng):
    for n in (1, 7, 100, 5000):
        x = (rng.standard_normal(n) * 10.0 ** rng.integers(-8, 9, n)).astype(dtype)
        exact = sum(map(Fraction, x.tolist()))
        magnitude = sum(abs(Fraction(v)) for v in x.tolist())
        bound = (n // fold.BLOCK + fold.BLOCK // fold.LANES + 6) * Fraction(2) ** -53 * magnitude
        bound += abs(exact) * Fraction(2) ** -24 * (dtype is np.float32)
        assert abs(Fraction(float(reduce.sum(x))) - exact) <= bound


@pytest.mark.parametrize("dtype", DTYPES)
def test_float32_sums_do_not_lose_small_terms(dtype):
    x = np.ones(2**20, dtype)
    x[0] = 2**30
    assert reduce.sum(x) == dtype(2**30 + 2**20 - 1)


# ---- against the oracle --------------------------------------------------------------------------------------------


def close(a: np.ndarray, b: np.ndarray) -> None:
    assert a.dtype == b.dtype and a.shape == b.shape
    eps = np.finfo(a.dtype).eps
    np.testing.assert_allclose(a, b, rtol=8 * eps, atol=100 * eps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 4), (2, 3, 4), (5, 1, 3), (33, 65), (4, 100, 3), (2, 3, 2, 5)])
def test_all_axes_of_all_layouts(shape, dtype, rng):
    for turn in itertools.permutations(range(len(shape))):
        x = rng.standard_normal(shape).astype(dtype).transpose(turn)
        sets = [None, *itertools.chain(*(itertools.combinations(range(x.ndim), k) for k in range(1, x.ndim + 1)))]
        for axis, keepdims, name in itertools.product(sets, (False, True), NAMES):
            result = getattr(reduce, name)(x, axis=axis, keepdims=keepdims)
            close(result, getattr(oracle, name)(x, axis=axis, keepdims=keepdims))
        for axis in (None, *range(-x.ndim, x.ndim)):
            for name, keepdims in itertools.product(("argmax", "argmin"), (False, True)):
                result = getattr(reduce, name)(x, axis, keepdims)
                assert result.dtype == np.int64
                np.testing.assert_array_equal(result, getattr(np, name)(x, axis, keepdims=keepdims))
            if axis is not None:
                close(reduce.cumulative_sum(x, axis), oracle.cumulative_sum(x, axis))


@pytest.mark.parametrize("dtype", DTYPES)
@given(data=st.data())
def test_strided_arrays(dtype, data):
    shape = data.draw(hnp.array_shapes(max_dims=4, max_side=6))
    x = data.draw(hnp.arrays(dtype, shape, elements=st.floats(-100, 100, width=32)))
    cut = tuple(slice(None, None, data.draw(st.sampled_from([1, 2, -1, -2]))) for _ in shape)
    x = x[cut]
    axis = data.draw(st.none() | st.integers(-x.ndim, x.ndim - 1))
    before = x.copy()
    for name in NAMES:
        result, expected = (getattr(module, name)(x, axis) for module in (reduce, oracle))
        np.testing.assert_allclose(result, expected, rtol=1e-6, atol=1e-3 if dtype is np.float32 else 1e-9)
        assert np.array_equal(result, getattr(reduce, name)(before, axis))      # layout changes nothing
    assert np.array_equal(x, before)


@pytest.mark.parametrize("name", NAMES)
def test_nan_and_infinity(name):
    function = getattr(reduce, name)
    for dtype, n in itertools.product(DTYPES, (1, 5, 16, 33, 200)):
        for place in {0, n // 2, n - 1}:
            x = np.zeros((n, 3), dtype)
            x[place, 1] = np.nan
            assert np.array_equal(np.isnan(function(x, 0)), [False, True, False])
            assert np.array_equal(np.isnan(function(x.T.copy(), 1)), [False, True, False])
            x[place, 1] = -np.inf
            expected = {"sum": -math.inf, "mean": -math.inf, "norm": math.inf,
                        "prod": -math.inf if n == 1 else math.nan, "var": math.nan, "min": -math.inf,
                        "max": 0 if n > 1 else -math.inf}[name]
            np.testing.assert_array_equal(function(x, 0)[1], expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_extremes_see_a_nan_wherever_it_stands(dtype, rng):
    """Rows watch for NaNs beside their extremes; a NaN with its sign bit set is one, too."""
    for n, function in itertools.product((1, 3, 127, 129, 4096, 4099), (reduce.max, reduce.min)):
        for place in sorted({*range(0, n, 97), n - 1}):
            x = rng.standard_normal((2, n)).astype(dtype)
            x[0, place] = -np.nan if place % 2 else np.nan
            x[1, place] = math.inf if function is reduce.min else -math.inf
            result = function(x, 1)
            assert np.isnan(result[0]) and result[1] == function(x.T.copy(), 0)[1]
            assert n == 1 or result[1] == (np.min if function is reduce.min else np.max)(x[1])
    long = rng.standard_normal(arrays.LARGE + 5).astype(dtype)
    for place in (0, 4095, 4096, len(long) - 1):
        x = long.copy()
        x[place] = np.nan
        assert np.isnan(reduce.max(x)) and np.isnan(reduce.min(x))
    assert reduce.max(long) == np.max(long) and reduce.min(long) == np.min(long)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows, n", [(0, 3), (3, 0), (1, 5), (7, 9), (8, 16), (16, 1), (16, 17), (31, 33), (33, 100),
                                     (40, 7000)])
def test_running_sums_of_any_number_of_rows(rows, n, dtype, rng):
    """One after the other in float64, as NumPy's; a NaN and an infinity stay in their row."""
    x = rng.standard_normal((rows, n)).astype(dtype)
    if rows > 1 and n > 2:
        x[0, n // 2], x[-1, n // 3] = np.nan, np.inf
    assert np.array_equal(reduce.cumulative_sum(x, 1), np.cumsum(x, 1, np.float64).astype(dtype), equal_nan=True)


def test_zeros_and_ties():
    assert not np.signbit(reduce.max(np.array([-0.0, -0.0]))) and not np.signbit(reduce.max(np.array([-0.0, 0.0])))
    assert not np.signbit(reduce.min(np.array([0.0, -0.0]))) and not np.signbit(reduce.sum(np.array([-0.0])))
    x = np.tile(np.array([[1, 3, 3, np.nan, 5, np.nan]], np.float32), (1, arrays.LARGE // 6 + 1))
    for y in (x[:, :3], x):
        assert reduce.argmax(y, 1)[0] == np.argmax(y) and reduce.argmin(y, 1)[0] == np.argmin(y)
    columns = np.tile(x.reshape(-1, 6), (2, 1))
    for y in (columns, columns[:, ::-1], np.roll(columns, 1, axis=0), columns * np.float32([1, 1, 1, 0, 1, 1])):
        assert np.array_equal(reduce.argmax(y, 0), np.argmax(y, 0))
        assert np.array_equal(reduce.argmin(y, 0), np.argmin(y, 0))
    columns[5, 1:3] = columns[7, 1:3] = np.nan      # after numbers, and twice
    assert np.array_equal(reduce.argmax(columns, 0), np.argmax(columns, 0))
    assert np.array_equal(reduce.argmin(columns, 0), np.argmin(columns, 0))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("threads", [1, 3])
@given(data=st.data())
def test_positions_in_rows(dtype, threads, data):
    """The first of equals, the first NaN: rows of any length, more and fewer than there are threads."""
    rows, n = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 300) | st.sampled_from([4095, 4096, 4097, 9000]))
    few = st.sampled_from([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf] + [np.nan] * data.draw(st.integers(0, 1)))
    x = np.resize(np.array(data.draw(st.lists(few, min_size=1, max_size=40)), dtype), (rows, n))
    x[data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, n - 1))] = data.draw(few)
    before = get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reduce, "LARGE", 1)
        patch.setattr(reduce, "COUNTABLE", data.draw(st.sampled_from([100, reduce.COUNTABLE])))
        set_num_threads(threads)
        try:
            for name in ("argmax", "argmin"):
                for axis in (None, 0, 1):
                    np.testing.assert_array_equal(getattr(reduce, name)(x, axis), getattr(np, name)(x, axis))
        finally:
            set_num_threads(before)


def test_of_nothing():
    nothing = np.zeros((0, 3), np.float32)
    assert reduce.sum(nothing) == 0 and np.array_equal(reduce.sum(nothing, 0), [0, 0, 0])
    assert reduce.sum(nothing, 1).shape == (0,) and reduce.max(nothing, 1).shape == (0,)
    assert reduce.argmax(nothing, 1).shape == (0,) and reduce.cumulative_sum(nothing, 0).shape == (0, 3)
    with np.errstate(all="raise"):
        assert np.isnan(reduce.mean(nothing)) and np.isnan(reduce.var(nothing, 0)).all()
        assert np.isnan(reduce.var(np.ones(1), correction=1))
    for name in ("max", "min", "argmax", "argmin"):
        with pytest.raises(ValueError, match=rf"{name}: nothing to choose from along axis 0 of .* \(0, 3\)"):
            getattr(reduce, name)(nothing, 0)


def test_integers():
    x = np.array([[True, False, True], [True, True, True]])
    assert reduce.sum(x) == 5 and reduce.sum(x).dtype == np.int64
    big = np.array([2**62, 2**61, 1])
    assert reduce.sum(big) == 2**62 + 2**61 + 1 and reduce.max(big, 0).dtype == np.int64
    assert reduce.mean(x, 0).dtype == np.float32 and np.array_equal(reduce.mean(x, 0), [1, 0.5, 1])
    assert np.array_equal(reduce.cumulative_sum(x, 1), [[1, 1, 2], [1, 2, 3]])
    assert reduce.argmax(np.array([3, 9, 9])) == 1


def test_errors_name_what_is_wrong():
    x = np.zeros((2, 3))
    for name in ("sum", "mean", "max", "argmin", "cumulative_sum"):
        with pytest.raises(ValueError, match=f"{name}: axis 2 is out of bounds for an array of 2 dimensions"):
            getattr(reduce, name)(x, 2)
    with pytest.raises(ValueError, match="names a dimension twice"):
        reduce.sum(x, (1, -1))
    with pytest.raises(TypeError, match="sum: expected bools, integers, float32 or float64, got dtype complex128"):
        reduce.sum(x * 1j)


# ---- one order -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [*NAMES, "cumulative_sum"])
def test_a_row_alone_and_in_a_batch(name, dtype, rng):
    x = (rng.standard_normal((40, 5000)) * 10.0 ** rng.integers(-3, 4, (40, 5000))).astype(dtype)
    function = functools.partial(getattr(reduce, name), axis=-1)
    together = function(x)
    for row in (0, 17, 39):
        assert np.array_equal(function(x[row]), together[row])
        assert np.array_equal(function(x[row:row + 2])[0], together[row])
    assert np.array_equal(function(np.asfortranarray(x)), together)
    assert np.array_equal(function(x[::-1])[::-1], together)
    turned = getattr(reduce, name)(x.T.copy(), axis=0)
    assert np.array_equal(turned.T if name == "cumulative_sum" else turned, together)
    if name != "cumulative_sum":
        both = getattr(reduce, name)(x.reshape(40, 50, 100), axis=(1, 2))
        assert np.array_equal(both, together)      # the flattened axes, in index order
        other = getattr(reduce, name)(np.moveaxis(x.reshape(40, 50, 100), 0, 1).copy(), axis=(0, 2))
        assert np.array_equal(other, together)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 300_001), (2, 140_000), (700, 401), (401, 700), (2, 300, 601)])
def test_results_do_not_depend_on_threads(shape, dtype, rng, threads):
    from tinygrad_rnn.kernels import set_num_threads

    x = rng.standard_normal(shape).astype(dtype)
    assert x.size >= arrays.LARGE
    names = [*NAMES, "argmax", "argmin", "cumulative_sum"]
    for name, axis in itertools.product(names, (None, *range(x.ndim))):
        if name == "cumulative_sum" and axis is None:
            continue
        results = []
        for n in (1, 2, 3):
            set_num_threads(n)
            results.append(getattr(reduce, name)(x, axis))
            assert np.array_equal(results[-1], results[0]), (name, axis, n)


def test_another_order_is_caught(rng, monkeypatch):
    """The tests above can fail: half as many lanes give other last bits."""
    x = rng.standard_normal((3, 1000))
    other = fold.Reduction("sum_of_16_lanes", lanes=16)
    assert not np.array_equal(other.rows(x), [stated_sum(row) for row in x])
