"""Memory that is used again is never memory that somebody still sees."""

import threading

import numpy as np
import pytest

from tests.cells.sequences import by_kernel, problem, same
from tinygrad_rnn.cells import catalogue
from tinygrad_rnn.cells.buffers import LINE, Buffers
from tinygrad_rnn.cells.compiled import Compiled


def address(x: np.ndarray) -> int:
    return int(x.ctypes.data)


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 5, 7), (1000, 33)], ids=str)
def test_arrays_are_aligned_writable_and_zero_if_asked(shape):
    store = Buffers()
    for dtype in (np.float32, np.float64):
        x = store.array(shape, dtype)
        assert x.shape == shape and x.dtype == dtype and address(x) % LINE == 0 and x.flags.c_contiguous
        x[...] = 7
        del x
        assert not store.array(shape, dtype, zero=True).any()


def test_what_nobody_sees_is_used_again():
    store = Buffers()
    x = store.array((100, 100), np.float32)
    first = address(x)
    del x
    assert address(store.array((100, 100), np.float32)) == first
    assert address(store.array((99, 101), np.float32)) == first         # about as large


@pytest.mark.parametrize("view", [
    lambda x: x[3], lambda x: x[::-1, 1:4].T, lambda x: x.reshape(-1)[5:6], lambda x: x.view(np.int32), memoryview,
    lambda x: np.lib.stride_tricks.as_strided(x, (2, 2), (4, 4)), lambda x: x.ctypes.data_as, lambda x: [x.ravel()]])
def test_what_a_view_sees_is_not(view):
    store = Buffers()
    x = store.array((100, 100), np.float32)
    first = address(x)
    seen = view(x)
    del x
    assert address(store.array((100, 100), np.float32)) != first
    del seen
    assert address(store.array((100, 100), np.float32)) == first


def test_it_is_bounded():
    store = Buffers(largest=1 << 20, most=4 << 20)
    kept = [store.array((1 << 18,), np.float32) for _ in range(8)]      # 1 MiB each
    assert len({address(x) for x in kept}) == 8 and store.held <= store.most
    large = store.array((1 << 19,), np.float32)
    assert store.held <= store.most and large.size == 1 << 19
    del kept, large
    for size in range(1, 60):                   # of many sizes, what is not in use makes way
        store.array((size << 12,), np.float32)
        assert store.held <= store.most


def test_many_threads():
    store, wrong = Buffers(), []

    def work(number: int) -> None:
        for _ in range(300):
            x = store.array((64, 64), np.float32)
            x.fill(number)
            y = store.array((64, 64), np.float32, zero=True)
            if (x != number).any() or y.any():
                wrong.append(number)
    threads = [threading.Thread(target=work, args=(k,)) for k in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_results_stay_what_they_are_while_others_are_computed():
    a, b = problem(catalogue()["lstm"], seed=1), problem(catalogue()["lstm"], seed=2)
    compiled = Compiled(a.cell, *a.sizes, np.float64)
    found = by_kernel(a, compiled=compiled)
    before = {n: v.copy() for n, v in found.items()}
    tapes = [compiled.forward(p.inputs["x"], p.state, p.parameters)[2] for p in (a, b, a)]
    by_kernel(b, compiled=compiled)
    assert same(found, before)
    again = compiled.backward(tapes[0], a.d_y, a.d_last)
    np.testing.assert_array_equal(again.inputs["x"], before["d x"])
