"""The loop over time and the packing of weights, against NumPy; a unit against its function called on arrays."""

import ctypes

import numpy as np
import pytest

from tinygrad_rnn.cells.buffers import aligned
from tinygrad_rnn.cells.compiled import WITHOUT_JIT
from tinygrad_rnn.cells.native import machine_code
from tinygrad_rnn.kernels import llvm, sequence, tiles, units

pytestmark = pytest.mark.skipif(WITHOUT_JIT, reason="there is no machine code without the JIT")
WORD = np.dtype(np.int64)
DTYPES = [np.float32, np.float64]


def lanes(dtype) -> int:
    return llvm.vector_bytes() // np.dtype(dtype).itemsize


def packed(matrices, dtype, forward: bool) -> np.ndarray:
    """The panels of matrices (units, depth) that one product reads together."""
    size, width = np.dtype(dtype).itemsize, lanes(dtype)
    units_, depth = matrices[0].shape
    blocks = -(-units_ // width) if forward else -(-depth // (2 * width))
    row = depth * width if forward else units_ * 2 * width
    panels = aligned((blocks, len(matrices) * row), dtype, zero=True)
    table = []
    for k, matrix in enumerate(matrices):
        before = k * depth if forward else k * units_
        table += [matrix.ctypes.data, units_, depth, matrix.strides[0], panels.ctypes.data,
                  len(matrices) * row * size, before]
    words = np.array(table, WORD)
    sequence.pack_weights[WORD](0, 3, tiles.pack_columns[np.dtype(dtype)], tiles.pack_rows[np.dtype(dtype)], size,
                                width, int(forward), words.ctypes.data, len(matrices))
    return panels


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (16, 16), (33, 7), (40, 65)], ids=str)
def test_packing_forward(dtype, shape, rng):
    """[block][matrix][k][lane], 0 beyond the last unit."""
    n, depth = shape
    width = lanes(dtype)
    matrices = [rng.standard_normal(shape).astype(dtype) for _ in range(3)]
    panels = packed(matrices, dtype, True)
    blocks = -(-n // width)
    filled = np.zeros((3, blocks * width, depth), dtype)
    filled[:, :n] = matrices
    expected = filled.reshape(3, blocks, width, depth).transpose(1, 0, 3, 2)      # (3, n, k) -> (block, 3, k, lane)
    np.testing.assert_array_equal(panels.reshape(blocks, 3, depth, width), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (16, 16), (7, 33), (40, 65)], ids=str)
def test_packing_backward(dtype, shape, rng):
    """[pair of vectors of the depth][matrix][unit][lane]; an odd vector at the end stands alone."""
    n, depth = shape
    width = lanes(dtype)
    matrices = [rng.standard_normal(shape).astype(dtype) for _ in range(2)]
    panels = packed(matrices, dtype, False)
    for block in range(len(panels)):
        columns = slice(2 * width * block, min(depth, 2 * width * (block + 1)))
        count = columns.stop - columns.start
        padded = -(-count // width) * width
        found = panels[block][:2 * n * padded].reshape(2, n, padded)
        np.testing.assert_array_equal(found[:, :, :count], np.array(matrices)[:, :, columns])
        assert not found[:, :, count:].any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("vectors, fresh", [(1, ()), (2, ()), (3, ()), (4, ()), (2, (0,)), (3, (2,)), (4, (0, 2))],
                         ids=str)
def test_tiles(dtype, vectors, fresh, rng):
    """C[r, s] = start + sum over segments and k, for every number of rows up to three tiles."""
    width, depth, segments, size = lanes(dtype), 5, 2, np.dtype(dtype).itemsize
    call = tile_caller(vectors, fresh, dtype)
    for rows in range(1, 3 * sequence.ROWS[vectors] + 2):
        a = rng.standard_normal((rows, segments, 7)).astype(dtype)
        b = aligned((segments, depth, vectors, width), dtype)
        b[:] = rng.standard_normal(b.shape)
        c = aligned((rows, vectors, width), dtype)
        c[:] = rng.standard_normal(c.shape)
        c[:, list(fresh)] = np.nan
        expected = np.where(np.isnan(c), 0, c) + np.einsum("rgk,gksl->rsl", a[:, :, :depth], b)
        call(rows, a.ctypes.data, a.strides[0], segments, a.strides[1], depth, b.ctypes.data, width * size,
             vectors * width * size, c.ctypes.data, c.strides[0], c.ctypes.data, c.strides[0], width * size)
        np.testing.assert_allclose(c, expected, rtol=1e-4 if dtype == np.float32 else 1e-12, atol=1e-5)


def tile_caller(vectors: int, fresh: tuple[int, ...], dtype):
    address = sequence.tile(vectors, fresh)[np.dtype(dtype)]
    return ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 14)(address)


# ---- units ----------------------------------------------------------------------------------------------------------
def run_unit(function, reads, writes, table, rows, width, step, dtype) -> None:
    address = machine_code(function, reads, writes)[np.dtype(dtype)]
    call = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 6)(address)
    words = np.array(table, WORD)
    for column in range(0, width, lanes(dtype)):
        call(rows, min(lanes(dtype), width - column), step, 0, column, words.ctypes.data)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", [1, 15, 16, 37])
def test_a_unit_reads_and_writes_its_places(dtype, width, rng):
    """Rows, a vector, a scalar; a result that is written, one that is added, the mean of one over the units."""
    steps, rows, step = 3, 4, 1
    wide = width + lanes(dtype) * 2
    memory = aligned((steps, rows, 2, wide), dtype)             # two columns of a padded group
    memory[:] = rng.standard_normal(memory.shape)
    tight = rng.standard_normal((steps, rows, width)).astype(dtype)         # not padded
    vector = aligned((wide,), dtype)
    vector[:] = rng.standard_normal(wide)
    scalar, widths = np.array([0.3], dtype), np.array([width], dtype)
    sums, means = aligned((rows, lanes(dtype)), dtype), np.full((rows, 1), np.nan, dtype)
    sums[:] = np.nan
    before, tight_before = memory.copy(), tight.copy()

    def function(a, t, v, s):
        u = a*t + v
        return u*s, u, a*a, a*a

    row = units.Operand
    reads = (row(0), row(1, "row", True), row(2, "vector"), row(3, "scalar"))
    writes = (row(0, "row"), row(1, "add", True), row(4, "sum"), row(5, "mean"))
    table = [widths.ctypes.data, width, memory.ctypes.data, *memory.strides[:2], tight.ctypes.data, *tight.strides[:2],
             vector.ctypes.data, 0, 0, scalar.ctypes.data, 0, 0, sums.ctypes.data, 0, sums.strides[0],
             means.ctypes.data, 0, means.strides[0], 0, 0, 0, 0, memory.strides[2], 0, 0, 0]
    run_unit(function, reads, writes, table, rows, width, step, dtype)
    a, t_, v, s = before[step, :, 0, :width], tight_before[step], vector[:width], scalar[0]
    tolerance = {"rtol": 1e-5 if dtype == np.float32 else 1e-13, "atol": 1e-5 if dtype == np.float32 else 1e-13}
    np.testing.assert_allclose(memory[step, :, 1, :width], (a * t_ + v) * s, **tolerance)
    np.testing.assert_allclose(tight[step], tight_before[step] + a * t_ + v, **tolerance)
    np.testing.assert_allclose(sums.sum(1), (a * a).sum(1), **tolerance)
    np.testing.assert_allclose(means[:, 0], (a * a).mean(1), **tolerance)
    for other in (0, 2):
        np.testing.assert_array_equal(memory[other], before[other])
        np.testing.assert_array_equal(tight[other], tight_before[other])
    np.testing.assert_array_equal(memory[step, :, 0], before[step, :, 0])
