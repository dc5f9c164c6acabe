"""The vector language: every word of it against NumPy, in both dtypes, in whole vectors and at a ragged end."""

import ctypes
import os

import numpy as np
import pytest

if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
    pytest.skip("nothing is compiled", allow_module_level=True)
from tinygrad_rnn.kernels import jit, llvm, ufunc  # noqa: E402

DTYPES = [np.float32, np.float64]
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.5, 1e-30, -7e8, np.inf, -np.inf, np.nan]


def values(dtype, n=61):
    x = np.random.default_rng(3).normal(scale=4, size=n)
    x[:len(SPECIAL)] = SPECIAL
    return x.astype(dtype)


def call(kernel, dtype, *args):
    """Run a kernel of the language once, uncached."""
    name = f"test_{kernel.__name__}_{np.dtype(dtype).name}_{id(kernel)}"
    address = llvm.load_object(llvm.compile_object(kernel, dtype, name), name)
    words = [a.ctypes.data if isinstance(a, np.ndarray) else a for a in args]
    ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * len(words))(address)(*words)


def apply(function, dtype, *inputs):
    """A function V, ... -> V on arrays, with masks at the end."""
    inputs = [np.asarray(x, dtype) for x in inputs]
    out = np.full(inputs[0].size + 1, 77, dtype)

    def kernel(e, n, result, a, b, c):
        def body(k):
            lanes = e.first(n - k * e.width)
            loaded = [e.load(p + k * e.bytes, lanes) for p in (a, b, c)]
            e.store(result + k * e.bytes, function(*loaded[:len(inputs)]), lanes)

        e.loop(e.vectors(n), body)

    call(kernel, dtype, inputs[0].size, out, *(inputs * 3)[:3])
    assert out[-1] == 77  # nothing written beyond the end
    return out[:-1]


UNARY = {
    "negative": (lambda x: -x, np.negative),
    "abs": (abs, np.abs),
    "sqrt": (lambda x: abs(x).sqrt(), lambda x: np.sqrt(np.abs(x))),
    "floor": (lambda x: x.floor(), np.floor),
    "round, ties to even": (lambda x: x.round(), np.round),
    "constants on either side": (lambda x: 3 - (2 * x + 1) / 4, lambda x: 3 - (2 * x + 1) / 4),
    "division of a constant": (lambda x: 1 / x, lambda x: 1 / x),
    "isnan": (lambda x: x.isnan().select(1.0, 0.0), lambda x: np.where(np.isnan(x), 1.0, 0.0)),
    "clip keeps a NaN": (lambda x: x.clip(-2.0, 3.0), lambda x: np.clip(x, -2, 3)),
    "bits there and back": (lambda x: (x.as_int() ^ 0).as_float(), lambda x: x),
    "whole numbers": (lambda x: x.clip(-100, 100).isnan().select(0.0, x.clip(-100, 100)).to_int().to_float(),
                      lambda x: np.trunc(np.nan_to_num(np.clip(x, -100, 100)))),
    "not, and": (lambda x: (~(x > 0) & (x > -2)).select(1.0, 0.0), lambda x: np.where(~(x > 0) & (x > -2), 1.0, 0.0)),
    "polynomial": (lambda x: x.clip(-3, 3).polynomial([1.0, 2.0, -0.5]),
                   lambda x: 1 + 2 * np.clip(x, -3, 3) - 0.5 * np.clip(x, -3, 3)**2),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", UNARY)
def test_of_one_vector(name, dtype):
    ours, oracle = UNARY[name]
    x = values(dtype)
    with np.errstate(all="ignore"):
        expected = oracle(x)
    np.testing.assert_allclose(apply(ours, dtype, x), expected, rtol=4 * np.finfo(dtype).eps)


def test_signs_of_zero():
    x = values(np.float32)
    assert np.array_equal(np.signbit(apply(lambda x: -x, np.float32, x)), ~np.signbit(x))
    assert np.array_equal(np.signbit(apply(lambda x: x.copysign(-1.0), np.float32, x)), np.ones(x.size, bool))


BINARY = {
    "add": (lambda x, y: x + y, np.add), "subtract": (lambda x, y: x - y, np.subtract),
    "multiply": (lambda x, y: x * y, np.multiply), "divide": (lambda x, y: x / y, np.divide),
    "minimum": (lambda x, y: x.minimum(y), np.minimum), "maximum": (lambda x, y: x.maximum(y), np.maximum),
    "copysign": (lambda x, y: x.copysign(y), np.copysign),
    "less": (lambda x, y: (x < y).select(1.0, 0.0), lambda x, y: (x < y) * 1.0),
    "less_equal": (lambda x, y: (x <= y).select(1.0, 0.0), lambda x, y: (x <= y) * 1.0),
    "greater": (lambda x, y: (x > y).select(1.0, 0.0), lambda x, y: (x > y) * 1.0),
    "greater_equal": (lambda x, y: (x >= y).select(1.0, 0.0), lambda x, y: (x >= y) * 1.0),
    "equal": (lambda x, y: (x == y).select(1.0, 0.0), lambda x, y: (x == y) * 1.0),
    "not_equal": (lambda x, y: (x != y).select(1.0, 0.0), lambda x, y: (x != y) * 1.0),
    "select": (lambda x, y: (x > 0).select(x, y), lambda x, y: np.where(x > 0, x, y)),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", BINARY)
def test_of_two_vectors_is_exact(name, dtype):
    ours, oracle = BINARY[name]
    x, y = (grid.ravel() for grid in np.meshgrid(values(dtype, 17), values(dtype, 14)))
    with np.errstate(all="ignore"):
        expected = oracle(x, y).astype(dtype)
    assert np.array_equal(apply(ours, dtype, x, y), expected, equal_nan=True)


def test_fma_rounds_once():
    x, eps = np.float64(1 + 2.0**-30), 2.0**-60
    assert apply(lambda x, y, z: x.fma(y, z), np.float64, [x], [x], [-(1 + 2.0**-29)])[0] == eps
    contracted = apply(lambda x, y, z: x * y + z, np.float64, [x], [x], [-(1 + 2.0**-29)])
    assert contracted[0] == 0  # nothing is fused behind one's back


def test_integer_lanes():
    x = values(np.float32)
    x[~np.isfinite(x)] = 1
    bits = x.view(np.int32)
    ours = apply(lambda x: ((x.as_int() >> 3) + 5 - (x.as_int() << 2) & 0xFFFFFF | 1).as_float(), np.float32, x)
    assert np.array_equal(ours.view(np.int32), (bits >> 3) + 5 - (bits << 2) & 0xFFFFFF | 1)


@pytest.mark.parametrize("dtype", DTYPES)
def test_fold_combines_all_lanes(dtype):
    def kernel(e, x, out):
        e.store(out, e.load(x).fold(lambda a, b: a + b))
        e.store(out + e.bytes, e.load(x).fold(lambda a, b: a.maximum(b)))

    width = llvm.vector_bytes() // np.dtype(dtype).itemsize
    x, out = np.arange(1, width + 1, dtype=dtype), np.zeros(2 * width, dtype)
    call(kernel, dtype, x, out)
    assert np.array_equal(out, np.repeat([x.sum(), x.max()], width))


@pytest.mark.parametrize("dtype", DTYPES)
def test_gather_and_scatter_touch_only_their_lanes(dtype):
    def kernel(e, n, x, stride, out):
        lanes = e.first(n)
        e.scatter(out, 2 * stride, e.gather(x, stride, lanes) + 1, lanes)

    width = llvm.vector_bytes() // np.dtype(dtype).itemsize
    x = np.arange(3.0 * width, dtype=dtype)
    for n in range(width + 1):
        out = np.zeros(6 * width, dtype)
        call(kernel, dtype, n, x, x.itemsize * 3, out)
        expected = np.zeros_like(out)
        expected[:6 * n:6] = x[:3 * n:3] + 1
        assert np.array_equal(out, expected)


def test_control():
    def kernel(e, n, out):
        total, count = e.loop(n, lambda k, total, count: [total + k * k, count + 1], e.int(0), e.int(100))
        stored = [total, count, total // 7, total % 7, (n > 3).select(e.int(1), e.int(2))]

        def say(number):
            stored.append(e.int(0))
            store(5, e.int(number))

        def store(place, value):
            e.b.store(value.v, e.b.inttoptr((out + 8 * place).v, llvm.I64.as_pointer()))

        for place, value in enumerate(stored):
            store(place, value)
        e.switch(n, {0: lambda: say(10), 5: lambda: say(11)})
        with e.when((n == 5) | (n == 6)):
            store(6, n)

    for n in range(8):
        out = np.full(7, -1)
        call(kernel, np.float32, n, out)
        total = sum(k * k for k in range(n))
        switched = {0: 10, 5: 11}.get(n, -1)
        assert out.tolist() == [total, 100 + n, total // 7, total % 7, 1 if n > 3 else 2, switched,
                                n if n in (5, 6) else -1]


def test_symbols_refuse_what_would_silently_go_wrong():
    def branches(e, n):
        if n > 3:
            e.int(0)

    with pytest.raises(TypeError, match="no truth value"):
        llvm.compile_object(branches, np.float32, "branches")
    with pytest.raises(TypeError, match="no hash"):
        llvm.compile_object(lambda e, n: {n: 1}, np.float32, "hashes")


def test_width_follows_numba(monkeypatch):
    """The vector is as wide as the CPU that Numba's variables name."""
    for features, width in (("+sse2", 16), ("+sse2,+avx2,+fma", 32), ("+avx2,+fma,+avx512f", 64)):
        monkeypatch.setenv("NUMBA_CPU_FEATURES", features)
        llvm.target.cache_clear(), llvm.vector_bytes.cache_clear()
        assert llvm.vector_bytes() == width
    monkeypatch.undo()
    llvm.target.cache_clear(), llvm.vector_bytes.cache_clear()


# ---- as NumPy ufuncs ------------------------------------------------------------------------------------------------


def _third(x):
    """x / 3, or 0 below 0."""
    return (x < 0).select(0.0, x / 3)


def _blend(x, y):
    return x.fma(2.0, y)


third, blend = ufunc.ufunc(_third, 1, "test_third"), ufunc.ufunc(_blend, 2, "test_blend")


@pytest.mark.parametrize("dtype", DTYPES)
def test_ufunc_of_any_layout(dtype, rng):
    x = rng.normal(size=(7, 45)).astype(dtype)
    layouts = [x, x.T, x[::2, ::3], x[:, ::-1], x[:, 1:2], x[:1], x[0, 0], x[:0], np.asfortranarray(x), x[:, None]]
    for view in layouts:
        assert np.array_equal(third[x.dtype](view), np.where(view < 0, 0, view / dtype(3)))
        for other in (view, x[0, 0], np.float64(2).astype(dtype)):
            assert np.array_equal(blend[x.dtype](view, other), view * 2 + other)  # times 2 is exact
            assert np.array_equal(blend[x.dtype](other, view), other * 2 + view)


def test_ufunc_does_not_depend_on_position(rng):
    x = rng.normal(size=300)
    whole = third[x.dtype](x)
    assert all(np.array_equal(third[x.dtype](x[i:i + 3]), whole[i:i + 3]) for i in range(0, 290, 7))
    assert np.array_equal(third[x.dtype](x[::-1])[::-1], whole)


def test_ufunc_dtypes_docstring_and_out(rng):
    x = rng.normal(size=9).astype(np.float32)
    out = np.empty_like(x)
    assert third[x.dtype](x, out=out) is out and third[x.dtype].__name__ == "test_third"
    assert "x / 3" in third[x.dtype].__doc__
    with pytest.raises(TypeError, match="test_third: expected dtype float32 or float64, got int64"):
        third[np.int64]
    joint = ufunc.joint_ufunc(_third, 1, "test_third")
    assert joint(x).dtype == np.float32 and joint(x.astype(float)).dtype == np.float64 and joint(3) == 1.0


def test_ufunc_raises_no_floating_point_warning():
    inverse = ufunc.joint_ufunc(lambda x: (x == 0).select(5.0, 1 / x), 1, "test_inverse")
    with np.errstate(all="raise"):
        assert inverse(np.zeros(20, np.float32)).tolist() == [5.0] * 20
    assert isinstance(third, jit.Compiled) and "test_third" in repr(third)
