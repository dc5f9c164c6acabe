"""Operations on two arrays: NumPy's numbers, weak Python scalars, and no influence of layout or threads."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinygrad_rnn.kernels import arithmetic, arrays

NAMES = ["add", "subtract", "multiply", "divide", "maximum", "minimum", "pow",
         "equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "remainder", "logical_and",
         "logical_or", "logical_xor"]
ONE = ["negative", "absolute", "square", "sqrt", "reciprocal", "sign", "floor", "ceil", "rint", "logical_not", "isnan",
       "isinf", "isfinite"]


def numpy_function(name: str) -> np.ufunc:
    return np.power if name == "pow" else getattr(np, name)


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_against_numpy(name, data):
    shapes = data.draw(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=5))
    floats = st.floats(0.125 if name in ("pow", "divide", "remainder") else -100, 10, width=32)
    dtypes = st.sampled_from([np.float32, np.float64])
    a, b = (data.draw(hnp.arrays(data.draw(dtypes), shape, elements=floats)) for shape in shapes.input_shapes)
    a, b = (x.T.copy().T if data.draw(st.booleans()) else x for x in (a, b))
    before = a.copy(), b.copy()
    result, expected = getattr(arithmetic, name)(a, b), numpy_function(name)(a, b)
    assert result.dtype == expected.dtype and result.shape == shapes.result_shape
    np.testing.assert_allclose(result, expected, rtol=1e-6 if name == "pow" else 0)
    assert np.array_equal(a, before[0]) and np.array_equal(b, before[1])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_python_numbers_are_weak_and_out_is_written(name, dtype, rng):
    x = np.abs(rng.standard_normal((3, 4))).astype(dtype) + dtype(0.1)
    function, expected = getattr(arithmetic, name), numpy_function(name)
    kind = np.bool_ if name in arithmetic.TRUTHS else dtype
    for a, b in ((x, 2), (2, x), (x, 1.5), (1.5, x)):
        assert function(a, b).dtype == kind
        np.testing.assert_allclose(function(a, b), expected(a, b), rtol=1e-6)
    out = np.empty((3, 8), kind)
    assert function(x, x[0], out=out[:, ::2]).base is out
    np.testing.assert_array_equal(out[:, ::2], function(x, x[0]))
    if kind is dtype:
        expected = function(x, x[0])
        assert function(x, x[0], out=x) is x and np.array_equal(x, expected)


def test_nan_comes_through():
    x, y = np.array([np.nan, 1, np.nan], np.float32), np.array([1, np.nan, np.nan], np.float32)
    for function in (arithmetic.maximum, arithmetic.minimum):
        assert np.isnan(function(x, y)).all()
    assert not arithmetic.less(x, y).any() and not arithmetic.equal(x, x)[0] and arithmetic.not_equal(x, x)[0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_powers_do_not_depend_on_layout(dtype, rng):
    a, b = (np.abs(rng.standard_normal((40, 50))).astype(dtype) * 3 for _ in range(2))
    y = arithmetic.pow(a, b)
    assert np.array_equal(arithmetic.pow(a[::-1, ::-1], b[::-1, ::-1]), y[::-1, ::-1])
    assert np.array_equal(arithmetic.pow(a.T, b.T), y.T) and np.array_equal(arithmetic.pow(a[:, 3], b[:, 3]), y[:, 3])
    assert np.array_equal(arithmetic.pow(np.broadcast_to(a[0], a.shape), b), arithmetic.pow(np.tile(a[0], (40, 1)), b))
    assert np.array_equal(arithmetic.pow(a, 1.7), arithmetic.pow(a, np.full_like(a, 1.7)))
    assert np.array_equal(arithmetic.pow(a, 2.0), arithmetic.pow(a, np.full_like(a, 2.0)))
    assert arithmetic.pow(a[3, 4], b[3, 4]) == y[3, 4] == arithmetic.pow(a[3:, 4:], b[3:, 4:])[0, 0]


@pytest.mark.parametrize("name", [*NAMES, "where"])
def test_large_arrays_in_any_layout_by_any_number_of_threads(name, rng, threads):
    from tinygrad_rnn.kernels import set_num_threads

    a, b = (np.abs(rng.standard_normal((513, 600))).astype(np.float32) + 0.1 for _ in range(2))
    condition = a > b
    assert a.size >= arrays.LARGE
    for x, y in ((a, b), (a.T.copy().T, b.T.copy().T), (a[::-1], b), (a, b[0]), (a[:, :1], b), (a, 2.5), (3, b),
                 (a, np.float64(2.5)), (a.reshape(-1), b.reshape(-1))):
        results = []
        for n in (1, 2, 3):
            set_num_threads(n)
            if name == "where":
                results.append(arithmetic.where(condition.reshape(np.broadcast_shapes(np.shape(x), np.shape(y))), x, y))
            else:
                results.append(getattr(arithmetic, name)(x, y))
        expected = (np.where(condition.reshape(results[0].shape), x, y) if name == "where"
                    else numpy_function(name)(x, y))
        assert results[0].dtype == expected.dtype
        np.testing.assert_allclose(results[0], expected, rtol=1e-6 if name == "pow" else 0)
        assert all(np.array_equal(r, results[0]) for r in results)


def test_shapes_that_do_not_broadcast(threads):
    from tinygrad_rnn.kernels import set_num_threads

    for n in (1, 2):
        set_num_threads(n)
        for size in (3, arrays.LARGE):
            with pytest.raises(ValueError, match="broadcast"):
                arithmetic.add(np.zeros(size), np.zeros(size + 1))
            with pytest.raises(ValueError):
                arithmetic.add(np.zeros(size), np.zeros(size), out=np.zeros(size + 1))


def test_overlapping_out(threads):
    from tinygrad_rnn.kernels import set_num_threads

    for n in (1, 3):
        set_num_threads(n)
        x = np.arange(arrays.LARGE + 8, dtype=np.float64)
        expected = x[:-4] * 2
        arithmetic.multiply(x[:-4], 2, out=x[4:])
        assert np.array_equal(x[4:], expected)


def test_threads_treat_floating_point_errors_as_the_caller_does(threads):
    from tinygrad_rnn.kernels import set_num_threads

    x = np.zeros(arrays.LARGE)
    for n in (1, 3):
        set_num_threads(n)
        with np.errstate(all="ignore"):
            assert np.isnan(arithmetic.divide(x, x)).all()
        with np.errstate(all="raise"), pytest.raises(FloatingPointError):
            arithmetic.divide(x, x)
    strict = dict.fromkeys(np.geterr(), "raise")
    with np.errstate(all="ignore"), pytest.raises(FloatingPointError):      # as a worker, which has its own
        arrays._slice(0, 1, np.divide, np.empty(3), [x[:3], x[:3]], strict)


# ---- the compiled loops give NumPy's bits ---------------------------------------------------------------------------
def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal, signs of zeros included; NaNs alike."""
    if a.dtype.kind != "f":
        return a.dtype == b.dtype and np.array_equal(a, b)
    nan = np.isnan(a)
    return a.dtype == b.dtype and np.array_equal(nan, np.isnan(b)) and a[~nan].tobytes() == b[~nan].tobytes()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", [*ONE, *(name for name in NAMES if name != "pow")])
def test_large_arrays_have_the_bits_of_small_ones(name, dtype, rng):
    special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 3.0, -3.0, 1e-40, 1e30, -1e30, 2.5, 0.5], dtype)
    a, b = (x.ravel() for x in np.meshgrid(special, special))
    count = arrays.LARGE // len(a) + 1
    a, b = np.tile(a, count), np.tile(b, count)
    noise = (rng.standard_normal((2, len(a))) * 5).astype(dtype)
    with np.errstate(all="ignore"):
        for pair in ((a, b), tuple(noise)):
            given = pair[:1] if name in ONE else pair
            large = getattr(arithmetic, name)(*given)
            small = np.concatenate([numpy_function(name)(*(x[k:k + 1000] for x in given))
                                    for k in range(0, len(a), 1000)])
            if name in ("maximum", "minimum"):      # of 0 and -0 NumPy's loops give either
                large, small = large + dtype(0), small + dtype(0)
            assert same_bits(large, small)
            if name not in ONE:
                assert same_bits(getattr(arithmetic, name)(given[0], 2.5), numpy_function(name)(given[0], dtype(2.5)))
                assert same_bits(getattr(arithmetic, name)(-1.5, given[1]), numpy_function(name)(dtype(-1.5), given[1]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_choice_and_limits(dtype, rng):
    x, y = (rng.standard_normal((2, arrays.LARGE + 5)) * 2).astype(dtype)
    x[::7] = np.nan
    for condition in (x > 0, np.broadcast_to([True], x.shape), (x > 0).astype(int)):
        for a, b in ((x, y), (x, 2.5), (0.0, y), (1.0, dtype(2)), (x, y.astype(np.float32))):
            expected = np.where(condition, a, b)
            result = arithmetic.where(condition, a, b)
            np.testing.assert_array_equal(result, expected.astype(result.dtype))
    np.testing.assert_array_equal(arithmetic.clip(x, -1.0, y), np.minimum(np.maximum(x, -1), y))
    np.testing.assert_array_equal(arithmetic.clip(x, -1.0, 1.0), np.clip(x, -1, 1))
    low, high = y.copy(), np.roll(y, 1)     # bounds that cross, that are not numbers, and that are what they bound
    low[:5], high[3:9], low[20:30], high[40:50] = np.nan, np.nan, x[20:30], x[40:50]
    np.testing.assert_array_equal(arithmetic.clip(x, low, high), np.minimum(np.maximum(x, low), high))


def test_compiled_loops_warn_as_numpy_does(threads):
    from tinygrad_rnn.kernels import set_num_threads

    x = np.zeros(arrays.LARGE + 3, np.float32)
    for n in (1, 2, 3):
        set_num_threads(n)
        with np.errstate(all="raise"):
            for call in (lambda: arithmetic.divide(x + 1, x), lambda: arithmetic.sqrt(x - 1),
                         lambda: arithmetic.square(x + 3e38), lambda: arithmetic.reciprocal(x)):
                with pytest.raises(FloatingPointError):
                    call()
            assert arithmetic.divide(x, x + 1)[-1] == 0     # nothing beyond the end divides by 0
            arithmetic.maximum(x, np.full_like(x, np.nan))
