"""Steps of word vectors against products in NumPy, and the merging of shards against its formula."""

import ctypes

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_rnn.cells.compiled import WITHOUT_JIT
from tinygrad_rnn.kernels import pairs, shards
from tinygrad_rnn.kernels.llvm import vector_bytes


def addresses(table: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return table.ctypes.data + rows.astype(np.int64) * table.strides[0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("softmax", [False, True])
@pytest.mark.parametrize("bag", [False, True])
@given(m=st.integers(1, 21), n=st.integers(1, 40), size=st.sampled_from([1, 7, 16, 17, 100]), seed=st.integers(0, 99))
def test_a_step_is_three_small_products(dtype, softmax, bag, m, n, size, seed) -> None:
    rng = np.random.default_rng(seed)
    lanes = vector_bytes() // np.dtype(dtype).itemsize
    width = -(-size // lanes) * lanes
    inner, outer = np.zeros((9, width), dtype), np.zeros((40, width), dtype)
    inner[:, :size], outer[:, :size] = rng.normal(size=(9, size)) / size**0.5, rng.normal(size=(40, size))
    of_inner, of_outer = rng.integers(0, 9, m), rng.choice(40, n, replace=False)     # a word may come twice in a window
    labels = np.zeros(n + lanes, dtype)
    labels[:n] = np.arange(n) == rng.integers(n) if softmax else rng.integers(0, 2, n)
    alpha, scale, loss = np.array([0.1], dtype), np.array([1 / m], dtype), np.array([3.0])
    scratch = np.full((m + n + 3) * width + m * (n + 2 * lanes), np.nan, dtype)

    x, o = inner[of_inner].astype(float), outer[of_outer].astype(float)
    x = x.mean(0, keepdims=True) if bag else x
    scores, target = x @ o.T, labels[:n].astype(float)
    if softmax:
        p = np.exp(scores - scores.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        nats = -np.log((p * target).sum(1)).sum()
    else:
        p = 1 / (1 + np.exp(-scores))
        nats = np.logaddexp(0, np.where(target, -scores, scores)).sum()
    g = 0.1 * (target - p)
    new_inner, new_outer = inner.astype(float), outer.astype(float)
    np.add.at(new_inner, of_inner, np.broadcast_to(g @ o, (m, width)))
    np.add.at(new_outer, of_outer, g.T @ x)

    step = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 10)(pairs.STEPS[bag, softmax][dtype])
    tables = addresses(inner, of_inner), addresses(outer, of_outer)
    step(m, tables[0].ctypes.data, n, tables[1].ctypes.data, labels.ctypes.data, alpha.ctypes.data, width // lanes,
         scratch.ctypes.data, loss.ctypes.data, scale.ctypes.data)
    near = dict(rtol=1e-5, atol=2e-6) if dtype == np.float32 else dict(rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(inner, new_inner, **near)
    np.testing.assert_allclose(outer, new_outer, **near)
    assert loss[0] - 3 == pytest.approx(nats, rel=near["rtol"], abs=10 * near["atol"])


@pytest.mark.skipif(WITHOUT_JIT, reason="without the JIT there are no shards")
@given(st.integers(1, 4), st.integers(1, 3), st.integers(0, 99))
def test_shards_are_merged_by_the_formula(count, parts, seed) -> None:
    rng = np.random.default_rng(seed)       # rows 0 ... 14 are those of one table, the others of a second one
    words, room, width, c = 40, 12, 16, 0.02
    table = rng.normal(size=(words, width)).astype(np.float32)
    slots = np.full((count, words), shards.NOWHERE, np.int32)
    copies = rng.normal(size=(count, room, width)).astype(np.float32)
    touched, times = np.zeros((count, room), np.int32), rng.integers(1, 200, (count, room)).astype(np.int32)
    counts = np.zeros(count, np.int64)
    expected = table.astype(float)
    for s in range(count):
        counts[s] = n = int(rng.integers(0, room + 1))
        touched[s, :n] = rng.choice(words, n, replace=False)
        slots[s, touched[s, :n]] = np.arange(n)
    for w in range(words):
        had = [(copies[s, slots[s, w]].astype(float), times[s, slots[s, w]]) for s in range(count) if slots[s, w] >= 0]
        if had:
            covered = sum(1 - np.exp(-c * n) for _, n in had)
            factor = (1 - np.exp(-c * sum(n for _, n in had))) / covered
            expected[w] += factor * sum(copy - table[w] for copy, _ in had)
    for part in range(parts):
        shards.merge(table[:15], table[15:], slots, copies, touched, times, counts, c, part, parts)
    np.testing.assert_allclose(table, expected, rtol=1e-5, atol=1e-5)
    assert (slots == shards.NOWHERE).all()
