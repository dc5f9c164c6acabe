"""Generalised ufuncs of the vector language: signatures, strides, dtypes; no kernel touches what is beyond an array."""

import functools

import numpy as np
import pytest

from tinygrad_rnn import kernels
from tinygrad_rnn.kernels import ufunc
from tinygrad_rnn.kernels.llvm import Emit, Int

from .guarded import SUPPORTED, guarded


def weighted(e: Emit, sizes: list[Int], x: ufunc.Operand, weight: ufunc.Operand, index: ufunc.Operand,
             y: ufunc.Operand, count: ufunc.Operand) -> None:
    """(n,m),(m),()->(m),(): the row of x at an index times the weights; and n times m."""
    n, m = sizes
    row = x.address + e.load_int(index.address) * x.strides[0]

    def element(k: Int) -> None:
        product = e.broadcast(row + k * x.strides[1]) * e.broadcast(weight.address + k * weight.strides[0])
        e.store(y.address + k * y.strides[0], product, e.first(e.int(1)))

    e.loop(m, element)
    double = e.double()
    double.store(count.address, double.number(n * m), e.first(e.int(1)))


@functools.cache
def compiled() -> np.ufunc:
    return ufunc.gufunc(weighted, "(n,m),(m),()->(m),()", ("ffqfd", "ddqdd"), "test_weighted")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gufunc_takes_any_strides_and_broadcasts(dtype, rng):
    x = rng.standard_normal((4, 5, 3)).astype(dtype)
    weight, index = rng.standard_normal((2, 1, 3)).astype(dtype), np.array([4, 0, 1, 1])
    for layout in (x, np.asfortranarray(x), x[::-1, :, ::-1], np.broadcast_to(x[:1], x.shape)):
        y, count = compiled()(layout, weight, index)
        assert y.dtype == dtype and count.dtype == np.float64 and np.all(count == 15) and count.shape == (2, 4)
        np.testing.assert_array_equal(y, weight * layout[np.arange(4), index])
    out = np.zeros((2, 4, 6), dtype), np.zeros((2, 4))
    assert compiled()(x, weight, index, out=(out[0][..., ::2], out[1]))[1] is out[1]
    np.testing.assert_array_equal(out[0][..., ::2], weight * x[np.arange(4), index])
    assert not out[0][..., 1::2].any()


def test_gufunc_describes_itself():
    assert compiled().types == ["ffl->fd", "ddl->dd"] or "q" in compiled().types[0]
    assert compiled().signature == "(n,m),(m),()->(m),()" and compiled().__name__ == "test_weighted"
    with pytest.raises(ValueError, match="mismatch"):
        compiled()(np.zeros((3, 4), np.float32), np.zeros(5, np.float32), 0)


OF_ROWS = ["sum", "max", "var", "softmax", "log_softmax", "logsumexp", "cumulative_sum"]


@pytest.mark.skipif(not SUPPORTED, reason="needs Linux's memory protection")
@pytest.mark.parametrize("at_end", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nothing_beyond_an_array_is_touched(dtype, at_end, rng):
    keep = functools.partial(guarded, at_end=at_end)
    for shape in [(1, 1), (3, 5), (2, 16), (5, 33), (33, 5), (2, 130), (70, 67), (2, 4100)]:
        x = keep(rng.standard_normal(shape).astype(dtype))
        for name in ("exp", "tanh", "gelu", "log1p"):
            getattr(kernels, name)(x, out=keep(np.zeros_like(x)))
            getattr(kernels, name)(x[:, 0])
        kernels.tanh_backward(x, x, out=keep(np.zeros_like(x)))
        for name in OF_ROWS:
            getattr(kernels, name)(x, **({"axis": -1} if name in ("sum", "max", "var", "cumulative_sum") else {}))
        for name in ("sum", "max", "var", "cumulative_sum"):
            getattr(kernels, name)(x, axis=0)
        rows, columns = shape
        targets = keep(rng.integers(0, columns, rows))
        _, sums = kernels.nll_forward(x, targets)
        kernels.nll_backward(keep(np.ones(rows, dtype)), x, keep(sums), targets)
        table = keep(np.zeros(shape, dtype))
        kernels.scatter_add(table, keep(rng.integers(0, rows, rows)), x)
        kernels.take_rows(table, targets % rows)


@pytest.mark.skipif(not SUPPORTED, reason="needs Linux's memory protection")
def test_positions_of_large_columns_stay_inside(rng):
    x = guarded(rng.standard_normal((600, 441)).astype(np.float32), at_end=True)
    np.testing.assert_array_equal(kernels.argmax(x, axis=0), np.argmax(x, axis=0))
