"""Convolution and its gradients: the same products as with columns written out, bit by bit, however it is cut."""

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_rnn.kernels import col2im, convolve, convolve_filters, convolve_image, im2col, matmul, set_num_threads
from tinygrad_rnn.kernels.convolution import Window, compiled

DTYPES = [np.float32, np.float64]
COMPILED = os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0")
SAME = Window((3, 3), padding=((1, 1), (1, 1)))
# (images, filters, window, groups): more positions and a longer sum than a panel, a piece of K and a block hold; rows
# of the output that are short, as wide as the source's or not; channels that are crowded in the cache.
SHAPES = [((2, 70, 9, 11), 5, SAME, 1), ((1, 3, 40, 37), 70, SAME, 1), ((2, 9, 16, 16), 13, SAME, 1),
          ((3, 8, 5, 6), 6, Window((3, 2), (2, 3), ((2, 1), (0, 1)), (1, 2)), 2),
          ((2, 4, 1, 600), 3, Window((1, 5)), 1), ((1, 12, 7, 7), 12, SAME, 12),
          ((2, 6, 23, 4), 50, Window((2, 3), (1, 1), ((0, 0), (0, 0)), (3, 1)), 1),
          ((2, 8, 16, 16), 9, Window((1, 1), (3, 2)), 1),
          ((1, 2, 3, 3), 2, Window((3, 3), padding=((4, 4), (5, 0))), 1)]


def draw(shape, filters, window, groups, dtype):
    rng = np.random.default_rng(1)
    shapes = (shape, (filters, shape[1] // groups, *window.kernel), (shape[0], filters, *window.output(shape[2:])),
              (filters,))
    return (rng.standard_normal(s).astype(dtype) for s in shapes)


def written_out(x, weight, g, window, groups):
    """The result and both gradients from columns, group by group."""
    y, back, filters = [], [], []
    for a, w, b in zip(np.split(x, groups, 1), np.split(weight, groups), np.split(g, groups, 1)):
        columns, flat, d = im2col(a, window), w.reshape(len(w), -1), b.reshape(*b.shape[:2], -1)
        y.append(np.stack([matmul(flat, c) for c in columns]).reshape(b.shape))
        back.append(col2im(flat.T @ d, x.shape[2:], window))
        filters.append(np.einsum("bop,bkp->ok", d, columns).reshape(w.shape))
    return np.concatenate(y, 1), np.concatenate(back, 1), np.concatenate(filters)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "filters", "window", "groups"), SHAPES)
def test_forward_has_the_bits_of_the_product(shape, filters, window, groups, dtype) -> None:
    x, weight, g, bias = draw(shape, filters, window, groups, dtype)
    y = convolve(x, weight, None, window, groups)
    expected = written_out(x, weight, g, window, groups)[0]
    if COMPILED:
        np.testing.assert_array_equal(y, expected)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)
    biased = convolve(x, weight, bias, window, groups)
    np.testing.assert_allclose(biased, expected + bias[:, None, None], rtol=1e-4, atol=1e-4)
    assert y.dtype == biased.dtype == dtype
    strided = np.repeat(x, 2, axis=3)[..., ::2]
    np.testing.assert_array_equal(convolve(strided, weight, bias, window, groups), biased)


@pytest.mark.compiled
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "filters", "window", "groups"), SHAPES)
def test_gradients(shape, filters, window, groups, dtype) -> None:
    x, weight, g, _ = draw(shape, filters, window, groups, dtype)
    exact = written_out(*(a.astype(np.float64) for a in (x, weight, g)), window, groups)
    found = (convolve_image(g, weight, shape[2:], window, groups), convolve_filters(g, x, window, groups))
    for a, b in zip(found, exact[1:]):
        assert a.dtype == dtype and a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=0, atol=abs(b).max() * np.finfo(dtype).eps * 16)


@pytest.mark.compiled
def test_bits_depend_neither_on_threads_nor_on_the_batch(threads) -> None:
    for shape, filters, window, groups in SHAPES:
        shape, found = (5, *shape[1:]), []
        x, weight, g, bias = draw(shape, filters, window, groups, np.float32)
        for n in (1, 2, 3):
            set_num_threads(n)
            y, d_x = convolve(x, weight, bias, window, groups), convolve_image(g, weight, shape[2:], window, groups)
            found.append((y, d_x, convolve_filters(g, x, window, groups)))
            np.testing.assert_array_equal(convolve(x[3:4], weight, bias, window, groups), y[3:4])
            np.testing.assert_array_equal(convolve_image(g[3:4], weight, shape[2:], window, groups), d_x[3:4])
        for results in found[1:]:
            assert all(np.array_equal(a, b) for a, b in zip(results, found[0]))


@pytest.mark.compiled
@settings(max_examples=60)
@given(st.data())
def test_any_window(data) -> None:
    pair = st.tuples(st.integers(1, 4), st.integers(1, 4))
    kernel, stride, dilation = (data.draw(pair) for _ in range(3))
    padding = data.draw(st.tuples(*[st.tuples(st.integers(0, 3), st.integers(0, 3))] * 2))
    window = Window(kernel, stride, padding, dilation)
    size = tuple(data.draw(st.integers(max(1, d * (k - 1) + 1 - sum(p)), 20)) for k, d, p in zip(
        kernel, dilation, padding))
    groups = data.draw(st.integers(1, 2))
    shape, filters = (data.draw(st.integers(1, 3)), groups * data.draw(st.integers(1, 9)), *size), groups * 2
    x, weight, g, _ = draw(shape, filters, window, groups, np.float64)
    expected = written_out(x, weight, g, window, groups)
    found = (convolve(x, weight, None, window, groups), convolve_image(g, weight, size, window, groups),
             convolve_filters(g, x, window, groups))
    for a, b in zip(found, expected):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-11)


@pytest.mark.compiled
def test_nothing_is_read_or_skipped_beyond_the_image() -> None:
    """Neighbours of the images in memory do not show, and NaN comes through to every place that sees it."""
    room = np.full(2 + 2 * 9 * 36 + 2, np.nan, np.float32)
    x = room[2:-2].reshape(2, 9, 6, 6)
    x[...] = np.random.default_rng(1).standard_normal(x.shape)
    weight = np.ones((2, 9, 3, 3), np.float32)
    assert np.isfinite(convolve(x, weight, None, SAME)).all()
    x[1, 4, 0, 5] = np.nan
    y = convolve(x, np.zeros_like(weight), None, SAME)
    seen = np.zeros((2, 2, 6, 6), bool)
    seen[1, :, :2, 4:] = True
    np.testing.assert_array_equal(np.isnan(y), seen)


def test_sizes_of_zero() -> None:
    bias = np.array([1, 2], np.float32)
    y = convolve(np.zeros((2, 0, 3, 3), np.float32), np.zeros((2, 0, 2, 2), np.float32), bias, Window((2, 2)))
    np.testing.assert_array_equal(y, np.broadcast_to(bias[:, None, None], (2, 2, 2, 2)))
    assert convolve(np.zeros((0, 3, 3, 3), np.float32), np.zeros((2, 3, 2, 2), np.float32), None,
                    Window((2, 2))).shape == (0, 2, 2, 2)
    if compiled(np.dtype(np.float32)):
        x, g = np.zeros((0, 3, 3, 3), np.float32), np.zeros((0, 2, 2, 2), np.float32)
        assert not convolve_filters(g, x, Window((2, 2))).any()
        assert convolve_image(g, np.zeros((2, 3, 2, 2), np.float32), (3, 3), Window((2, 2))).shape == x.shape
