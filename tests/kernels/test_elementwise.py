"""Elementwise functions: accuracy against mpmath, limits, and that a value depends on nothing but the input's value."""

import dataclasses
import math
from collections.abc import Callable

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinygrad_rnn.kernels import arrays, elementwise, formats, functions, oracle
from tinygrad_rnn.kernels.ufunc import joint_ufunc

DTYPES = [np.float32, np.float64]
INF, NAN = math.inf, math.nan


def mp_sigmoid(x: mp.mpf) -> mp.mpf:
    return 1 / (1 + mp.exp(-x))


def mp_normal(x: mp.mpf) -> mp.mpf:
    return mp.erfc(-x / mp.sqrt(2)) / 2


# The true function, and what numbers to try beside those of all magnitudes: an interval.
TRUTH: dict[str, tuple[Callable[[mp.mpf], mp.mpf], tuple[float, float]]] = {
    "exp": (mp.exp, (-110, 95)),
    "expm1": (mp.expm1, (-20, 5)),
    "log": (mp.log, (0, 3)),
    "log1p": (mp.log1p, (-1, 3)),
    "tanh": (mp.tanh, (-10, 10)),
    "sigmoid": (mp_sigmoid, (-110, 20)),
    "softplus": (lambda x: mp.log1p(mp.exp(x)), (-20, 20)),
    "silu": (lambda x: x * mp_sigmoid(x), (-110, 20)),
    "erf": (mp.erf, (-5, 5)),
    "gelu": (lambda x: x * mp_normal(x), (-40, 8)),
    "gelu_tanh": (lambda x: x * mp_sigmoid(mp.sqrt(8 / mp.pi) * (x + mp.mpf("0.044715") * x**3)), (-22, 8)),
    "sin": (mp.sin, (-200, 200)),
    "cos": (mp.cos, (-200, 200)),
    "tan": (mp.tan, (-200, 200)),
    "asin": (mp.asin, (-1, 1)),
    "acos": (mp.acos, (-1, 1)),
    "atan": (mp.atan, (-4, 4)),
    "sinh": (mp.sinh, (-90, 90)),
    "cosh": (mp.cosh, (-90, 90)),
    "asinh": (mp.asinh, (-4, 4)),
    "acosh": (mp.acosh, (1, 4)),
    "atanh": (mp.atanh, (-1, 1)),
    "rsqrt": (lambda x: 1 / mp.sqrt(x), (0, 4)),
}
CIRCULAR = ("sin", "cos", "tan")


def numbers(dtype: type, interval: tuple[float, float], count: int) -> np.ndarray:
    """Numbers of all magnitudes and signs, as many in an interval, and those about 0, 1 and the powers of two."""
    rng, info = np.random.default_rng(3), np.finfo(dtype)
    bits = np.dtype(dtype).itemsize * 8
    magnitudes = rng.integers(0, info.max.view(f"u{bits // 8}"), count, f"u{bits // 8}").view(dtype)
    inside = rng.uniform(*interval, count).astype(dtype)
    wide = rng.uniform(-1000, 1000, count).astype(dtype)
    powers = 2.0 ** np.arange(-40, 8).astype(dtype)
    near = [np.nextafter(powers, dtype(direction)) for direction in (-INF, INF)]
    edges = np.concatenate([powers, *near, [info.tiny, info.max, info.smallest_subnormal]])
    return np.concatenate([magnitudes, -magnitudes, inside, wide, edges, -edges])


def ulps(result: float, truth: mp.mpf, info: np.finfo) -> mp.mpf:
    """Error in units of the last place; of subnormal numbers these are all alike."""
    if abs(truth) >= mp.mpf(float(info.max)) * (1 + mp.mpf(2) ** -(info.nmant + 2)):
        return mp.mpf(0) if result == math.copysign(INF, truth) else mp.inf
    if not math.isfinite(result):
        return mp.inf
    exponent = max(int(mp.floor(mp.log(abs(truth), 2))), info.minexp) if truth else info.minexp
    return abs(mp.mpf(result) - truth) / mp.mpf(2) ** (exponent - info.nmant)


def worst(function: Callable[[np.ndarray], np.ndarray], name: str, x: np.ndarray) -> tuple[float, float]:
    """The largest error in ulp, and where."""
    truth, _ = TRUTH[name]
    info, errors = np.finfo(x.dtype), []
    with mp.workdps(40):
        for number, result in zip(x.tolist(), function(x).tolist()):
            try:
                exact = truth(mp.mpf(number))
            except ValueError:
                exact = mp.nan
            if isinstance(exact, mp.mpc) or mp.isnan(exact):
                errors.append(0.0 if math.isnan(result) else INF)
            elif mp.isinf(exact):
                errors.append(0.0 if result == float(exact) else INF)
            else:
                errors.append(float(ulps(result, exact, info)))
    place = int(np.argmax(errors))
    return errors[place], float(x[place])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", TRUTH)
def test_within_4_ulp_of_the_true_value(name, dtype):
    x = numbers(dtype, TRUTH[name][1], 300)
    if name in CIRCULAR:
        x = x[np.abs(x) < (1e5 if dtype is np.float32 else 1e9)]
    if dtype is np.float64 and name in ("softplus", "sigmoid", "silu", "gelu_tanh", "gelu", "exp", "sinh", "cosh"):
        x = x[np.abs(x) < 1e6]     # mpmath would write down numbers of a million digits
    error, place = worst(getattr(elementwise, name), name, x)
    assert error <= 4, f"{name}({place!r}) is {error} ulp away"


@pytest.mark.parametrize("name", TRUTH)
def test_within_4_ulp_over_a_million_float32_bit_patterns(name):
    """Against the function in float64, which the test above holds to the truth."""
    function = getattr(elementwise, name)
    x = np.arange(0, 2**32, 4099, np.uint32).view(np.float32)
    if name in CIRCULAR:
        x = x[np.abs(x) < 1e5]
    with np.errstate(all="ignore"):
        result, truth = function(x), function(x.astype(np.float64))
        rounded = truth.astype(np.float32)
        normal = np.isfinite(rounded) & (np.abs(rounded) >= np.finfo(np.float32).tiny)
        distance = np.abs(result - truth)
        error = distance / np.spacing(np.abs(rounded))
    assert error[normal].max() <= 4
    subnormal = np.abs(truth) < np.finfo(np.float32).tiny
    assert distance[subnormal].max(initial=0) <= 2 * np.finfo(np.float32).smallest_subnormal
    np.testing.assert_array_equal(result[~normal & ~subnormal], rounded[~normal & ~subnormal])


LIMITS = {
    "exp": [(INF, INF), (-INF, 0.0), (0.0, 1.0), (-0.0, 1.0), (1e6, INF), (-1e6, 0.0)],
    "expm1": [(INF, INF), (-INF, -1.0), (0.0, 0.0), (-0.0, -0.0), (1e6, INF), (-1e6, -1.0)],
    "log": [(INF, INF), (0.0, -INF), (-0.0, -INF), (-1.0, NAN), (-INF, NAN), (1.0, 0.0)],
    "log1p": [(INF, INF), (-1.0, -INF), (-2.0, NAN), (-INF, NAN), (0.0, 0.0), (-0.0, -0.0)],
    "tanh": [(INF, 1.0), (-INF, -1.0), (0.0, 0.0), (-0.0, -0.0), (30.0, 1.0), (-30.0, -1.0)],
    "sigmoid": [(INF, 1.0), (-INF, 0.0), (0.0, 0.5), (1000.0, 1.0), (-1000.0, 0.0)],
    "softplus": [(INF, INF), (-INF, 0.0), (1000.0, 1000.0), (-1000.0, 0.0)],
    "silu": [(INF, INF), (-INF, -0.0), (0.0, 0.0), (-0.0, -0.0), (1000.0, 1000.0), (-1000.0, -0.0)],
    "erf": [(INF, 1.0), (-INF, -1.0), (0.0, 0.0), (-0.0, -0.0), (30.0, 1.0)],
    "gelu": [(INF, INF), (-INF, -0.0), (0.0, 0.0), (-0.0, -0.0), (1000.0, 1000.0), (-1000.0, -0.0)],
    "gelu_tanh": [(INF, INF), (-INF, -0.0), (0.0, 0.0), (-0.0, -0.0), (1000.0, 1000.0), (-1000.0, -0.0)],
    "sin": [(INF, NAN), (-INF, NAN), (0.0, 0.0), (-0.0, -0.0)],
    "cos": [(INF, NAN), (-INF, NAN), (0.0, 1.0), (-0.0, 1.0)],
    "tan": [(INF, NAN), (-INF, NAN), (0.0, 0.0), (-0.0, -0.0)],
    "asin": [(INF, NAN), (-1.5, NAN), (0.0, 0.0), (-0.0, -0.0), (1.0, math.pi / 2), (-1.0, -math.pi / 2)],
    "acos": [(INF, NAN), (-1.5, NAN), (0.0, math.pi / 2), (1.0, 0.0), (-1.0, math.pi)],
    "atan": [(INF, math.pi / 2), (-INF, -math.pi / 2), (0.0, 0.0), (-0.0, -0.0), (1.0, math.pi / 4)],
    "sinh": [(INF, INF), (-INF, -INF), (0.0, 0.0), (-0.0, -0.0), (1e6, INF), (-1e6, -INF)],
    "cosh": [(INF, INF), (-INF, INF), (0.0, 1.0), (-0.0, 1.0), (1e6, INF)],
    "asinh": [(INF, INF), (-INF, -INF), (0.0, 0.0), (-0.0, -0.0)],
    "acosh": [(INF, INF), (1.0, 0.0), (0.5, NAN), (-INF, NAN)],
    "atanh": [(1.0, INF), (-1.0, -INF), (1.5, NAN), (-INF, NAN), (0.0, 0.0), (-0.0, -0.0)],
    "rsqrt": [(INF, 0.0), (0.0, INF), (-1.0, NAN), (4.0, 0.5)],
    "relu": [(INF, INF), (-INF, 0.0), (3.0, 3.0)],
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LIMITS)
def test_limits_and_signs_of_zero(name, dtype):
    given, expected = (np.array(side, dtype) for side in zip(*LIMITS[name], (NAN, NAN)))
    with np.errstate(all="raise"):      # they are no reason for a floating-point warning
        result = getattr(elementwise, name)(given)
    np.testing.assert_array_equal(result, expected)
    zeros = expected == 0
    np.testing.assert_array_equal(np.signbit(result[zeros]), np.signbit(expected[zeros]))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CIRCULAR)
def test_circular_functions_reduce_any_number_of_radians(name, dtype):
    x = np.array([1e5, 131072.5, 2e9, -2e9, 1e15, 1e22, 3e38, 1.7e308 if dtype is np.float64 else -3e38, 0.5], dtype)
    with mp.workdps(400):
        truth = [float(getattr(mp, name)(mp.mpf(number))) for number in x.tolist()]
    np.testing.assert_allclose(getattr(elementwise, name)(x), truth, rtol=4 * np.finfo(dtype).eps)
    assert getattr(elementwise, name)(x[5]) == getattr(elementwise, name)(x)[5]


# ---- one function of the input's value -----------------------------------------------------------------------------

ALL = [*TRUTH, "relu"]
TWO = ["tanh_backward", "sigmoid_backward", "relu_backward", "silu_backward", "softplus_backward", "gelu_backward",
       "leaky_relu", "elu"]


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal, signs of zeros and NaNs included."""
    nan = np.isnan(a)
    return a.dtype == b.dtype and np.array_equal(nan, np.isnan(b)) and a[~nan].tobytes() == b[~nan].tobytes()


def any_float(dtype: type) -> st.SearchStrategy:
    return st.floats(width=np.dtype(dtype).itemsize * 8)


@pytest.mark.parametrize("dtype", DTYPES)
@given(data=st.data())
def test_a_value_depends_neither_on_its_position_nor_on_the_length(dtype, data):
    x = data.draw(hnp.arrays(dtype, st.integers(0, 70), elements=any_float(dtype)))
    name = data.draw(st.sampled_from(ALL))
    function = getattr(elementwise, name)
    alone = np.array([function(x[k:k + 1])[0] for k in range(len(x))], dtype)
    first = data.draw(st.integers(0, len(x)))
    assert same_bits(function(x), alone)
    assert same_bits(function(x[first:]), alone[first:])
    assert same_bits(function(x[::-1]), alone[::-1].copy())
    assert same_bits(function(np.repeat(x, 3)[::3]), alone)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ALL + TWO)
def test_layouts_and_shapes(name, dtype, rng):
    function, several = getattr(elementwise, name), name in TWO
    for shape in [(), (0,), (1,), (3, 5), (2, 3, 4), (0, 4), (17, 33)]:
        x = (rng.standard_normal(shape) * 3).astype(dtype)
        others = [rng.standard_normal(shape).astype(dtype)] if several else []
        y = function(x, *others)
        assert y.shape == shape and y.dtype == dtype
        if x.ndim > 1:
            turned = function(x.T.copy().T, *(o.T.copy().T for o in others))
            assert same_bits(np.ascontiguousarray(turned), y)
            assert same_bits(function(x[::-1], *(o[::-1] for o in others)), y[::-1].copy())
        if x.ndim == 2 and x.size:
            assert same_bits(function(x[:, 1], *(o[:, 1] for o in others)), y[:, 1].copy())
            row = function(np.broadcast_to(x[0], shape), *(np.broadcast_to(o[0], shape) for o in others))
            assert same_bits(row, np.broadcast_to(y[0], shape).copy())


@pytest.mark.parametrize("dtype", DTYPES)
def test_inputs_stay_and_out_is_written(dtype, rng):
    x = rng.standard_normal((5, 7)).astype(dtype)
    before = x.copy()
    y = elementwise.tanh(x)
    assert np.array_equal(x, before)
    out = np.full((5, 14), 7, dtype)
    assert elementwise.tanh(x, out=out[:, ::2]).base is out
    assert np.array_equal(out[:, ::2], y) and np.all(out[:, 1::2] == 7)
    assert elementwise.tanh(x, out=x) is x and np.array_equal(x, y)
    overlapping = np.arange(40, dtype=dtype) / 9
    expected = elementwise.exp(overlapping[:-3])
    elementwise.exp(overlapping[:-3], out=overlapping[3:])
    assert np.array_equal(overlapping[3:], expected)
    out = np.empty((5, 7), dtype)
    assert elementwise.sin(before, out=out) is out and np.array_equal(out, elementwise.sin(before))


def test_nothing_is_written_beside_the_result(rng):
    for n in (1, 3, 15, 16, 17, 31, 33):
        room = np.full(n + 64, 5, np.float32)
        elementwise.exp(np.zeros(n, np.float32), out=room[32:32 + n])
        assert np.all(room[:32] == 5) and np.all(room[32 + n:] == 5) and np.all(room[32:32 + n] == 1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["exp", "tanh", "sin", "sigmoid_backward", "elu_backward"])
def test_results_do_not_depend_on_threads(name, dtype, rng, threads):
    from tinygrad_rnn.kernels import set_num_threads

    shape = (3, arrays.LARGE // 3 + 1)
    count = {"sigmoid_backward": 2, "elu_backward": 3}.get(name, 1)
    inputs = [rng.standard_normal(shape).astype(dtype) for _ in range(count)] + [0.5] * (name == "elu_backward")
    turned = [x if type(x) is float else x.T.copy().T for x in inputs]
    strided = [x if type(x) is float else x[:, ::-1] for x in inputs]
    results = []
    for n in (1, 2, 3):
        set_num_threads(n)
        function = getattr(elementwise, name)
        results.append(function(*inputs))
        assert same_bits(np.ascontiguousarray(function(*turned)), results[0])
        assert same_bits(function(*strided)[:, ::-1].copy(), results[0])
        assert same_bits(function(*inputs, out=np.empty(shape, dtype)), results[0])
    assert all(same_bits(r, results[0]) for r in results)


# ---- what else is promised -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.int32, np.int64, np.uint8])
@pytest.mark.parametrize("name", ["exp", "tanh", "gelu"])
def test_integers_are_computed_in_float32(name, dtype):
    x = np.array([0, 1, 1, 0], dtype)
    function = getattr(elementwise, name)
    assert same_bits(function(x), function(x.astype(np.float32)))
    assert function(3).dtype == np.float32


@pytest.mark.parametrize("dtype", [np.complex64, np.float16, object, "U3"])
def test_other_dtypes_are_an_error_that_names_them(dtype):
    with pytest.raises(TypeError, match="tanh: expected bools, integers, float32 or float64, got dtype"):
        elementwise.tanh(np.zeros(2, dtype))


def test_numbers_of_the_other_byte_order(rng):
    x = rng.standard_normal(9).astype(np.float32)
    assert same_bits(elementwise.tanh(x.astype(">f4")), elementwise.tanh(x))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ALL + TWO + ["leaky_relu_backward", "elu_backward"])
def test_equal_to_the_oracle(name, dtype, rng):
    extra = {"leaky_relu": [0.1], "elu": [0.7], "leaky_relu_backward": ["x", 0.1], "elu_backward": ["x", "x", 0.7],
             }.get(name, ["x"] if name.endswith("_backward") else [])
    x, *others = ((rng.standard_normal((6, 37)) * 4).astype(dtype) if o == "x" else o for o in ["x", *extra])
    x = np.abs(x) + 0.01 if name in ("log", "log1p", "rsqrt") else x
    x = np.tanh(x) if name in ("asin", "acos", "atanh") else np.abs(x) + 1 if name == "acosh" else x
    result, expected = (getattr(module, name)(x, *others) for module in (elementwise, oracle))
    assert result.dtype == expected.dtype == dtype and result.shape == expected.shape
    np.testing.assert_allclose(result, expected, rtol=8 * np.finfo(dtype).eps, atol=8 * np.finfo(dtype).eps)


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "silu", "gelu", "softplus", "relu", "elu", "leaky_relu"])
def test_backward_kernels_are_the_derivatives(name, rng):
    x, g = rng.standard_normal(50) * 3, rng.standard_normal(50)
    x, step, parameter = x[np.abs(x) > 0.01], 1e-5, [0.3] * (name in ("elu", "leaky_relu"))
    g = g[:len(x)]
    function = getattr(elementwise, name)
    slope = (function(x + step, *parameter) - function(x - step, *parameter)) / (2 * step)
    y = function(x, *parameter)
    about = {"elu": [x, y], "tanh": [y], "sigmoid": [y], "relu": [y]}.get(name, [x])
    result = getattr(elementwise, f"{name}_backward")(g, *about, *parameter)
    np.testing.assert_allclose(result, g * slope, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("name", ["silu", "gelu", "softplus", "relu"])
def test_backward_kernels_at_infinity(name):
    x, g = np.array([INF, -INF, NAN, 1000, -1000]), np.full(5, 2.0)
    np.testing.assert_array_equal(getattr(elementwise, f"{name}_backward")(g, x)[[0, 1, 3, 4]], [2, 0, 2, 0])


def test_a_wrong_coefficient_is_caught(monkeypatch):
    """The tests above can fail."""
    single = formats.SINGLE
    wrong = dataclasses.replace(single, expm1=(*single.expm1[:2], single.expm1[2] * 1.001, *single.expm1[3:]))
    monkeypatch.setitem(formats.FORMATS, 4, wrong)
    planted = joint_ufunc(functions.exp, 1, "planted_exp")
    assert worst(planted, "exp", numbers(np.float32, (-1, 1), 200))[0] > 4
