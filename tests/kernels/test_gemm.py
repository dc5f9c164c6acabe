"""The matrix product: values against float64, and the laws about order of summation, bounds and special values."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from tinygrad_rnn.kernels import gemm, set_num_threads
from tinygrad_rnn.kernels.gemm import Packed, accumulate, matmul, pack

from . import guarded

DTYPES = [np.float32, np.float64]
# Sizes around those of vectors (4 to 16), panels (3 vectors), tiles (8 and 12 rows) and pieces of K (512).
ROWS = [1, 2, 3, 5, 8, 9, 12, 13, 17, 25, 200]
COLUMNS = [1, 2, 3, 4, 7, 8, 15, 16, 17, 24, 33, 47, 48, 49, 96, 97, 145, 193]
DEPTHS = [1, 2, 3, 16, 17, 100, 511, 512, 513, 1030]
COMPILED = os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0")


def draw(*shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed + sum(shape)).normal(size=shape).astype(dtype)


def assert_close(c, a, b):
    """Each element within the error bound of a sum of K products, computed from float64."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    depth = max(1, a.shape[-1])
    bound = 2 * (min(depth, 512) + depth / 512 + 1) * np.finfo(c.dtype).eps * np.matmul(abs(a), abs(b))
    expected = np.matmul(a, b)
    assert c.shape == expected.shape
    assert (abs(c - expected) <= bound).all(), abs(c - expected).max()


def assert_same(x, y):
    """Bitwise, where we promise that; NumPy's product may round differently."""
    if COMPILED:
        assert np.array_equal(x, y)
    else:
        np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-3 * abs(y).max() if y.size else 0)


def layouts(x):
    """The same matrix in other layouts."""
    wide = np.zeros((2 * x.shape[0], 3 * x.shape[1]), x.dtype)
    wide[::2, 1::3] = x
    rows = np.zeros((x.shape[0], x.shape[1] + 5), x.dtype)
    rows[:, 2:-3] = x
    reverse = x[::-1, ::-1].copy()[::-1, ::-1]
    flipped = x[:, ::-1].copy()[:, ::-1]
    read_only = x.view()
    read_only.flags.writeable = False
    return [np.asfortranarray(x), wide[::2, 1::3], rows[:, 2:-3], reverse, flipped, reverse.T.copy().T, read_only]


# ---- values ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", COLUMNS)
def test_values_at_every_edge(n, dtype):
    for m in ROWS:
        for depth in (DEPTHS if m in (1, 2, 9) else (3, 100)):
            a, b = draw(m, depth, dtype=dtype), draw(depth, n, dtype=dtype, seed=1)
            c = matmul(a, b)
            assert c.dtype == dtype
            assert_close(c, a, b)
            if COMPILED:
                assert np.array_equal(matmul(a, pack(b)), c)


@pytest.mark.parametrize("dtype", DTYPES)
def test_values_of_whole_numbers_are_exact(dtype):
    """No rounding, so every order of summation agrees: any missing or doubled term shows."""
    for m, depth, n in [(65, 1100, 131), (1, 1500, 400), (400, 1500, 1), (2, 700, 290), (800, 40, 50)]:
        a = np.random.default_rng(0).integers(-8, 9, (m, depth)).astype(dtype)
        b = np.random.default_rng(1).integers(-8, 9, (depth, n)).astype(dtype)
        assert np.array_equal(matmul(a, b), a.astype(int) @ b.astype(int))


@st.composite
def operands(draw_):
    """a, b of any rank, batch and layout that fit together."""
    dtype = draw_(st.sampled_from(DTYPES))
    size = st.integers(0, 20) | st.sampled_from([47, 48, 49, 513])
    m, depth, n = draw_(size), draw_(size), draw_(size)
    batch = draw_(st.lists(st.integers(0, 3), max_size=2))
    one_of = lambda shape: [1 if draw_(st.booleans()) else length for length in shape][draw_(st.integers(0, 2)):]
    a_shape = [depth] if draw_(st.integers(0, 5)) == 0 else [*one_of(batch), m, depth]
    b_shape = [depth] if draw_(st.integers(0, 5)) == 0 else [*one_of(batch), depth, n]

    def array(shape, seed):
        axes = draw_(st.permutations(range(len(shape))))
        steps = [draw_(st.sampled_from([1, 1, 2, -1, -2])) for _ in shape]
        base = draw(*(shape[axis] * abs(steps[axis]) + 1 for axis in axes), dtype=dtype, seed=seed)
        x = base.transpose(np.argsort(axes))
        return x[tuple(slice(None, None, step) for step in steps)][tuple(slice(0, length) for length in shape)]

    return array(a_shape, 0), array(b_shape, 1)


@given(operands())
@settings(max_examples=300)
def test_any_shapes_and_strides(pair):
    a, b = pair
    before = a.copy(), b.copy()
    c = matmul(a, b)
    assert c.dtype == a.dtype and c.shape == np.matmul(a, b).shape and c.flags.c_contiguous
    if a.ndim > 1 and b.ndim > 1:
        assert_close(c, a, b)
    else:
        np.testing.assert_allclose(c, np.matmul(a, b), rtol=1e-4, atol=1e-4)
    assert np.array_equal(a, before[0]) and np.array_equal(b, before[1])


@pytest.mark.parametrize("shapes", [
    ((0, 3), (3, 4)), ((2, 0), (0, 4)), ((2, 3), (3, 0)), ((0, 0), (0, 0)), ((0,), (0,)),
    ((5, 0, 3), (3, 2)), ((0, 2, 3), (3, 2)), ((2, 3, 0), (2, 0, 4)),
])
def test_nothing_and_sums_of_nothing(shapes):
    a, b = (np.ones(shape, np.float32) for shape in shapes)
    c = matmul(a, b)
    assert c.dtype == np.float32 and np.array_equal(c, np.matmul(a, b))
    assert np.array_equal(accumulate(a, b, np.ones(c.shape, np.float32)), np.ones(c.shape))


def test_broadcast_strides():
    a, row = np.broadcast_to(draw(1, 70), (30, 70)), np.broadcast_to(draw(70, 1), (70, 50))
    assert_close(matmul(a, row), a, row)
    stacked = np.broadcast_to(draw(4, 6), (3, 2, 4, 6))
    other = draw(2, 6, 5)
    assert_close(matmul(stacked, other), stacked, np.broadcast_to(other, (3, 2, 6, 5)))


# ---- out ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_out_of_any_layout(dtype):
    a, b = draw(19, 30, dtype=dtype), draw(30, 51, dtype=dtype)
    expected = matmul(a, b)
    for out in layouts(np.full((19, 51), np.nan, dtype))[:-1]:
        assert matmul(a, b, out=out) is out
        assert_same(out, expected)
    for out in layouts(np.ones((19, 51), dtype))[:-1]:
        accumulate(a, b, out)
        assert_same(out, accumulate(a, b, np.ones((19, 51), dtype)))
    np.testing.assert_allclose(out, expected + 1, rtol=1e-4, atol=1e-5)


def test_out_may_overlap():
    x = draw(20, 20)
    for views in [lambda z: (z, z, z), lambda z: (z.T, z, z[::-1]),
                  lambda z: (z[:10, :10], z[10:, :10], z[5:15, 5:15])]:
        memory = x.copy()
        a, b, out = views(memory)
        expected = matmul(a.copy(), b.copy())
        assert_same(matmul(a, b, out=out), expected)


def test_accumulate_adds():
    for m, depth, n in [(1, 600, 200), (2, 600, 200), (30, 600, 50), (30, 5, 1), (1, 7, 1)]:
        a, b, c = draw(m, depth), draw(depth, n), draw(m, n, seed=9)
        out = c.copy()
        assert accumulate(a, b, out) is out
        np.testing.assert_allclose(out, c + a @ b, rtol=1e-12, atol=1e-12)
        assert_same(accumulate(a, pack(b), c.copy()), out)
    batch, row = draw(3, 4, 5), draw(5)
    np.testing.assert_allclose(accumulate(batch, row, np.ones((3, 4))), 1 + batch @ row, rtol=1e-12)


# ---- the order of summation -----------------------------------------------------------------------------------------


@pytest.mark.compiled
@pytest.mark.parametrize("dtype", DTYPES)
def test_order_of_summation_is_as_stated(dtype):
    """Longhand: fused multiply-adds from zero over pieces of 512, the pieces added up."""
    from fractions import Fraction

    def rounded(x):  # a Fraction to the nearest float64
        return x.numerator / x.denominator

    depth = 1030
    a, b = draw(3, depth, dtype=dtype), draw(depth, 2, dtype=dtype)
    c = matmul(a, b)
    for i in range(3):
        for j in range(2):
            total = dtype(0)
            for first in range(0, depth, 512):
                piece = dtype(0)
                for k in range(first, min(depth, first + 512)):
                    if dtype is np.float32:  # the product is exact in float64, the sum all but exact
                        piece = np.float32(np.float64(a[i, k]) * np.float64(b[k, j]) + np.float64(piece))
                    else:
                        piece = rounded(Fraction(float(a[i, k])) * Fraction(float(b[k, j])) + Fraction(float(piece)))
                total = dtype(total + dtype(piece))
            assert c[i, j] == total


@pytest.mark.compiled
@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("dtype", DTYPES)
def test_threads_do_not_change_a_bit(dtype):
    shapes = [(300, 600, 200), (1, 3000, 800), (64, 512, 520), (2000, 100, 30), (2, 1100, 900), (900, 1100, 1)]
    results = []
    for n in (1, 2, 3):
        set_num_threads(n)
        results.append([[matmul(draw(m, k, dtype=dtype), layout) for layout in (b, b.T.copy().T, pack(b))]
                        for m, k, n_ in shapes for b in [draw(k, n_, dtype=dtype, seed=1)]]
                       + [[matmul(draw(40, 50, 60, dtype=dtype), draw(40, 60, 70, dtype=dtype))]])
    for other in results[1:]:
        assert all(np.array_equal(x, y) for one, two in zip(results[0], other) for x, y in zip(one, two))


@pytest.mark.compiled
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("depth", [7, 130, 1030])
def test_layout_packing_and_tile_do_not_change_a_bit(depth, dtype):
    a, b = draw(29, depth, dtype=dtype), draw(depth, 110, dtype=dtype)
    whole = matmul(a, b)
    for left in [a, *layouts(a)]:
        for right in [b, *layouts(b), pack(b), *map(pack, layouts(b))]:
            assert np.array_equal(matmul(left, right), whole)
    for rows in [slice(0, 1), slice(3, 5), slice(28, 29), slice(1, 12), slice(5, 28)]:
        assert np.array_equal(matmul(a[rows], b), whole[rows])
        assert np.array_equal(matmul(a[rows], pack(b)), whole[rows])
    for columns in [slice(0, 1), slice(109, 110), slice(3, 20), slice(50, 99), slice(1, 110)]:
        assert np.array_equal(matmul(a, b[:, columns]), whole[:, columns])
        assert np.array_equal(matmul(a[:1], b[:, columns]), whole[:1, columns])
    assert np.array_equal(matmul(b.T, a.T), whole.T)
    assert np.array_equal(matmul(a[4], b), whole[4])
    assert np.array_equal(matmul(a, b[:, 9]), whole[:, 9])
    assert matmul(a[4], b[:, 9]) == whole[4, 9]
    batch = matmul(np.stack([a, 2 * a]), np.stack([b, b]))
    assert np.array_equal(batch[0], whole) and np.array_equal(batch[1], 2 * whole)
    assert np.array_equal(matmul(np.stack([a, a]), pack(b))[1], whole)


# ---- special values and bounds --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nothing_is_skipped(bad, dtype):
    """0 * inf and 0 * nan are nan, also where a whole row is zero; other rows and columns stay clean."""
    for m, n in [(1, 50), (2, 130), (9, 16), (17, 31), (40, 1)]:
        a, b = np.zeros((m, 30), dtype), draw(30, n, dtype=dtype)
        b[7, n // 2] = bad
        for right in (b, pack(b), np.asfortranarray(b)):
            c = matmul(a, right)
            assert np.isnan(c[:, n // 2]).all() and (np.delete(c, n // 2, 1) == 0).all()
        a, b = draw(m, 30, dtype=dtype), np.zeros((30, n), dtype)
        a[m // 2, 29] = bad
        c = matmul(a, b)
        assert np.isnan(c[m // 2]).all() and (np.delete(c, m // 2, 0) == 0).all()


@pytest.mark.skipif(not guarded.SUPPORTED, reason="needs mprotect")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("at_end", [False, True])
def test_nothing_beyond_the_arrays_is_touched(at_end, dtype):
    place = lambda x: guarded.guarded(np.ascontiguousarray(x), at_end)
    for m, depth, n in [(1, 1, 1), (1, 5, 7), (1, 3, 200), (2, 9, 100), (3, 17, 16), (8, 16, 48), (9, 33, 50),
                        (13, 5, 95), (29, 520, 31), (200, 7, 49), (5, 40, 1)]:
        a, b = draw(m, depth, dtype=dtype), draw(depth, n, dtype=dtype)
        expected = matmul(a, b)
        out = place(np.zeros((m, n)).astype(dtype))
        for left in (place(a), place(a.T).T):
            every_other = place(np.repeat(b, 2, 1))[:, ::2]
            for right in (place(b), place(b.T).T, every_other, pack(place(b)), pack(place(b.T).T)):
                matmul(left, right, out=out)
                assert_same(out, expected)


def test_canaries_around_the_result():
    for m, n in [(1, 1), (3, 17), (8, 48), (9, 50), (30, 3)]:
        memory = np.full((m + 2, n), 7.0)
        out = memory[1:-1]
        matmul(draw(m, 9), draw(9, n), out=out)
        assert (memory[[0, -1]] == 7).all()


# ---- pack, and errors -----------------------------------------------------------------------------------------------


def test_packed_is_a_copy_that_lasts():
    b = draw(40, 70, dtype=np.float32)
    packed, original, a = pack(b), b.copy(), draw(5, 40, dtype=np.float32)
    expected = matmul(a, b)
    b[:] = 0
    assert isinstance(packed, Packed) and packed.shape == (40, 70) and packed.dtype == np.float32 and packed.ndim == 2
    assert "(40, 70)" in repr(packed) and "float32" in repr(packed)
    for _ in range(3):
        assert_same(matmul(a, packed), expected)
    assert_same(matmul(a[0], packed), expected[0])
    assert_same(matmul(a.reshape(5, 1, 40), packed), expected[:, None])
    a_strided = draw(3, 40, 5, dtype=np.float32).swapaxes(1, 2)
    assert_same(matmul(a_strided, packed), matmul(a_strided, original))


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (5, 1), (1, 1), (1, 100)])
def test_pack_of_odd_shapes(shape):
    b = draw(*shape)
    a = draw(3, shape[0])
    np.testing.assert_allclose(matmul(a, pack(b)), a @ b, rtol=1e-12)


F32, F64 = np.ones((2, 3), np.float32), np.ones((3, 4))


@pytest.mark.parametrize("call, error, words", [
    (lambda: matmul(F32, np.ones((4, 5), np.float32)), ValueError, r"last axis of a.*\(2, 3\) and \(4, 5\): 3 and 4"),
    (lambda: matmul(F32, pack(np.ones((4, 5), np.float32))), ValueError, r"\(2, 3\) and \(4, 5\)"),
    (lambda: matmul(F32, np.ones(2, np.float32)), ValueError, r"only axis of b, got shapes \(2, 3\) and \(2,\)"),
    (lambda: matmul(np.ones((2, 3, 3)), np.ones((3, 3, 3))), ValueError, r"leading axes do not broadcast"),
    (lambda: matmul(np.array(1.0), F64), ValueError, r"expected vectors or matrices, got shapes \(\) and \(3, 4\)"),
    (lambda: matmul(F32, F64), TypeError, "a is float32 and b float64; convert one of them with astype"),
    (lambda: matmul(F32, pack(F64)), TypeError, "a is float32 and b float64"),
    (lambda: matmul(F64.astype(int), F64), TypeError, "matmul: a: expected float32 or float64, got int64"),
    (lambda: matmul(F64, F64.astype(np.float16)), TypeError, "matmul: b: expected float32 or float64, got float16"),
    (lambda: matmul(F64.astype(">f8"), F64), TypeError, "expected float32 or float64, got >f8"),
    (lambda: matmul([[1.0]], F64), TypeError, "matmul: a: expected a NumPy array, got list"),
    (lambda: matmul(F64, 2), TypeError, "matmul: b: expected a NumPy array, got int"),
    (lambda: matmul(F64, F64.T, out=np.ones((3, 4))), ValueError, r"out: expected a writable array of shape \(3, 3\)"),
    (lambda: matmul(F64, F64.T, out=np.ones((3, 3), np.float32)), TypeError, "out: expected an array of float64"),
    (lambda: matmul(F64, F64.T, out=[1]), TypeError, "out: expected an array of float64, got list"),
    (lambda: matmul(F64, F64.T, out=np.broadcast_to(np.ones(3), (3, 3))), ValueError, "read-only"),
    (lambda: pack(np.ones(3)), ValueError, r"pack: b: expected a matrix \(K, N\), got shape \(3,\)"),
    (lambda: pack(np.ones((2, 3, 4))), ValueError, "pack: b: expected a matrix"),
    (lambda: pack(np.ones((2, 3), int)), TypeError, "pack: b: expected float32 or float64, got int64"),
    (lambda: pack("b"), TypeError, "pack: b: expected a NumPy array, got str"),
])
def test_errors_name_argument_and_shapes(call, error, words):
    with pytest.raises(error, match=words):
        call()


# ---- other processors, broken ones, no JIT, many callers ------------------------------------------------------------

ELSEWHERE = """
import warnings, sys
import numpy as np
from tinygrad_rnn.kernels import gemm, matmul, pack
{before}
rng = np.random.default_rng(0)
for dtype in (np.float32, np.float64):
    for m, k, n in [(1, 3, 2), (1, 600, 130), (2, 40, 90), (7, 513, 48), (30, 20, 101), (300, 20, 9), (9, 70, 1)]:
        a, b = (rng.integers(-3, 4, shape).astype(dtype) for shape in ((m, k), (k, n)))
        for right in (b, np.asfortranarray(b), pack(b)):
            assert np.array_equal(matmul(a, right), a @ b), (m, k, n)
{after}
print("well")
"""


def elsewhere(before="", after="", **variables):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA_")} | variables
    return subprocess.run([sys.executable, "-c", ELSEWHERE.format(before=before, after=after)], env=environment,
                          text=True, capture_output=True, timeout=300, cwd=Path(__file__).resolve().parents[2])


@pytest.mark.compiled
@pytest.mark.parametrize("name, features, width", [
    ("haswell", "+sse,+sse2,+sse3,+ssse3,+sse4.1,+sse4.2,+avx,+avx2,+fma,+bmi,+bmi2,+popcnt", 32),
    ("x86-64", "+sse2", 16),
])
def test_other_processors(name, features, width):
    from tinygrad_rnn.kernels import llvm

    if "+avx2" not in llvm.target()[1].split(","):
        pytest.skip("this processor cannot run AVX2")
    after = f"from tinygrad_rnn.kernels import llvm; assert llvm.vector_bytes() == {width}; assert gemm._ready"
    result = elsewhere(after=after, NUMBA_CPU_NAME=name, NUMBA_CPU_FEATURES=features)
    assert result.stdout == "well\n", result.stderr


def test_without_the_jit():
    result = elsewhere(after="assert not {'numba', 'llvmlite'} & set(sys.modules)", NUMBA_DISABLE_JIT="1")
    assert (result.stdout, result.stderr) == ("well\n", "")


@pytest.mark.compiled
@pytest.mark.parametrize("fault", ["wrong", "crash"])
def test_what_fails_its_test_is_not_used(fault):
    """A micro-kernel that gives wrong numbers, or cannot be compiled: NumPy's product, and one warning."""
    plant = {
        "wrong": "from tinygrad_rnn.kernels import tiles\ntiles.panels[2] = tiles.panels[1]",
        "crash": "from tinygrad_rnn.kernels import tiles\ntiles.pack_any.build = lambda dtype: 1 / 0",
    }[fault]
    result = elsewhere(before=plant, after="assert set(gemm._ready.values()) == {None}")
    assert result.stdout == "well\n", result.stderr
    assert result.stderr.count("RuntimeWarning") == 1
    assert ("ZeroDivisionError" if fault == "crash" else "is wrong") in result.stderr


@pytest.mark.usefixtures("threads")
def test_concurrent_callers():
    set_num_threads(2)
    a, b = draw(300, 300), draw(300, 300)
    expected, wrong = matmul(a, b), []

    def caller():
        for _ in range(20):
            if not np.array_equal(matmul(a, b), expected):
                wrong.append(1)

    callers = [threading.Thread(target=caller) for _ in range(4)]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join()
    assert not wrong or not COMPILED


def test_public_names():
    import tinygrad_rnn.kernels as kernels

    assert kernels.matmul is gemm.matmul and kernels.pack is gemm.pack
    assert {"matmul", "pack"} <= set(kernels.__all__) and "matmul" in dir(kernels)
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        getattr(kernels, "nonsense")  # noqa: B009
