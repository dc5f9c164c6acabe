"""Convolution and pooling against loops over every element, in any shape; laws, starts and errors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn import nn, tensor
from tinygrad_rnn.nn import functional as F
from tinygrad_rnn.testing import adjointcheck, gradcheck

from .numeric import check_layer


def longhand(x, weight, bias, stride, padding, dilation, groups):
    """One output element after the other, one product after the other."""
    x = np.pad(x, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2))
    (B, _, H, W), (filters, c, kh, kw) = x.shape, weight.shape
    rows = (H - dilation[0] * (kh - 1) - 1) // stride[0] + 1
    columns = (W - dilation[1] * (kw - 1) - 1) // stride[1] + 1
    y = np.zeros((B, filters, rows, columns))
    for b, o, p, q in np.ndindex(y.shape):
        first = o // (filters // groups) * c      # the first channel of the group
        y[b, o, p, q] = bias[o] + sum(
            weight[o, k, i, j] * x[b, first + k, p * stride[0] + i * dilation[0], q * stride[1] + j * dilation[1]]
            for k, i, j in np.ndindex(c, kh, kw))
    return y


@settings(max_examples=40)
@given(st.data())
def test_conv2d(data) -> None:
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    kernel, stride, dilation = (data.draw(pair) for _ in range(3))
    padding = data.draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    groups, c, o = (data.draw(st.integers(1, 2)) for _ in range(3))
    size = [data.draw(st.integers(max(1, d * (k - 1) + 1 - 2 * p), 8)) for k, d, p in zip(kernel, dilation, padding)]
    rng = np.random.default_rng(1)
    x, bias = rng.standard_normal((data.draw(st.integers(1, 2)), groups * c, *size)), rng.standard_normal(groups * o)
    weight = rng.standard_normal((groups * o, c, *kernel))
    expected = longhand(x, weight, bias, stride, padding, dilation, groups)
    arguments = dict(stride=stride, padding=padding, dilation=dilation, groups=groups)
    np.testing.assert_allclose(F.conv2d(x, weight, bias, **arguments).data, expected, rtol=1e-11, atol=1e-12)
    assert adjointcheck(lambda *t: F.conv2d(*t, **arguments), [x, weight, bias])
    if groups == 1:     # the product of matrices that it is
        columns = F.unfold(x, kernel, dilation, padding, stride)
        product = weight.reshape(o, -1) @ columns.data + bias[:, None]
        np.testing.assert_allclose(product.reshape(expected.shape), expected, rtol=1e-11, atol=1e-12)


def test_gradients_by_finite_differences(rng) -> None:
    check_layer(layer := nn.Conv2d(2, 3, (2, 3), 2, 1, rng=0), layer, rng.standard_normal((2, 2, 4, 5)))
    check_layer(layer := nn.Conv1d(2, 4, 3, padding="same", dilation=2, groups=2, rng=0), layer,
                rng.standard_normal((2, 2, 7)))
    for layer in (nn.MaxPool2d(2, 1, 1), nn.Unfold((2, 1), stride=2)):
        assert gradcheck(layer, [rng.standard_normal((1, 2, 4, 5))])


def test_conv1d_is_conv2d_of_one_row(rng) -> None:
    x, weight, bias = rng.standard_normal((2, 4, 9)), rng.standard_normal((6, 2, 3)), rng.standard_normal(6)
    y = F.conv1d(x, weight, bias, 2, 1, 2, 2)
    z = F.conv2d(x[:, :, None], weight[:, :, None], bias, (1, 2), (0, 1), (1, 2), 2)
    np.testing.assert_array_equal(y.data, z.data[:, :, 0])
    np.testing.assert_array_equal(F.conv1d(x[0], weight, bias, 2, 1, 2, 2).data, y.data[0])


def test_a_filter_of_one_element_is_a_layer_of_units(rng) -> None:
    x, weight = rng.standard_normal((2, 3, 4, 5)).astype(np.float32), rng.standard_normal((6, 3)).astype(np.float32)
    y = F.conv2d(x, weight[:, :, None, None])
    np.testing.assert_allclose(y.data, np.einsum("oc,bchw->bohw", weight, x), rtol=1e-5, atol=1e-6)


def test_a_shift_of_the_image_shifts_the_result(rng) -> None:
    layer = nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular", rng=0)
    x = rng.standard_normal((1, 2, 6, 7)).astype(np.float32)
    turned = layer(np.roll(x, (2, 3), (2, 3))).data
    np.testing.assert_allclose(turned, np.roll(layer(x).data, (2, 3), (2, 3)), rtol=1e-5, atol=1e-6)


def test_results_depend_neither_on_the_batch_nor_on_threads(rng, threads) -> None:
    x = rng.standard_normal((5, 8, 30, 31)).astype(np.float32)
    layer, found = nn.Conv2d(8, 16, 3, padding=1, rng=0), []
    for n in (1, 2, 3):
        tg.set_num_threads(n)
        t = tensor(x, requires_grad=True)
        y = layer(t)
        y.backward(np.ones(y.shape, np.float32))
        found.append((y.data, t.grad.data, F.unfold(x, 3).data))
        np.testing.assert_array_equal(layer(x[2]).data, y.data[2])
    for results in found[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results, found[0]))


def test_same_keeps_the_size() -> None:
    x = np.zeros((1, 2, 7, 8), np.float32)
    for kernel, dilation in ((1, 1), (2, 1), (3, 1), (4, 3)):
        assert nn.Conv2d(2, 3, kernel, padding="same", dilation=dilation)(x).shape == (1, 3, 7, 8)
    assert nn.Conv2d(2, 3, 3, padding="valid")(x).shape == (1, 3, 5, 6)


# ---- pooling --------------------------------------------------------------------------------------------------------
@settings(max_examples=40)
@given(st.data())
def test_max_pool(data) -> None:
    kernel, stride, dilation = (data.draw(st.integers(1, 3)) for _ in range(3))
    padding, ceil = data.draw(st.integers(0, kernel // 2)), data.draw(st.booleans())
    reach = dilation * (kernel - 1) + 1
    x = np.random.default_rng(1).standard_normal((1, 2, *(data.draw(st.integers(reach, 8)) for _ in range(2))))
    y, places = F.max_pool2d(x, kernel, stride, padding, dilation, ceil, return_indices=True)
    for b, c, p, q in np.ndindex(y.shape):
        inside = [(x[b, c, r, s], r * x.shape[3] + s) for r in range(p * stride - padding, p * stride - padding + reach,
                                                                     dilation) if 0 <= r < x.shape[2]
                  for s in range(q * stride - padding, q * stride - padding + reach, dilation) if 0 <= s < x.shape[3]]
        assert (y.data[b, c, p, q], places.data[b, c, p, q]) == max(inside)
    assert adjointcheck(lambda t: F.max_pool2d(t, kernel, stride, padding, dilation, ceil), x)


def test_ties_share_and_nan_comes_through() -> None:
    x = tensor(np.ones((1, 1, 2, 2)), requires_grad=True)
    nn.MaxPool2d(2)(x).sum().backward()
    assert x.grad.tolist() == [[[[0.25, 0.25], [0.25, 0.25]]]]
    x = np.array([[[[1.0, np.nan], [3.0, 4.0]]]])
    y, place = F.max_pool2d(x, 2, return_indices=True)
    assert np.isnan(y.item()) and place.item() == 1
    y, place = F.max_pool2d(np.full((1, 1, 2, 2), -np.inf), 2, 1, 1, return_indices=True)
    assert place.data.min() >= 0 and np.isneginf(y.data).all()


# ---- layers ---------------------------------------------------------------------------------------------------------
def test_layers_start_as_said_and_show_their_options() -> None:
    layer = nn.Conv2d(40, 30, 3, groups=2, rng=0)
    bound = (20 * 9) ** -0.5
    for p in layer.parameters():
        assert np.abs(p.data).max() <= bound and np.abs(p.data).max() > 0.9 * bound
    assert layer.weight.shape == (30, 20, 3, 3) and layer.bias.shape == (30,)
    assert nn.Conv1d(2, 3, 4, bias=False).bias is None
    assert "2, 3, kernel_size=(4,), stride=(2,), bias=False" in repr(nn.Conv1d(2, 3, 4, 2, bias=False))
    assert "kernel_size=2" in repr(nn.MaxPool2d(2)) and "padding=1" in repr(nn.Unfold(2, padding=1))


X, W = np.zeros((2, 4, 5, 6), np.float32), np.zeros((6, 4, 3, 3), np.float32)


@pytest.mark.parametrize(("call", "error", "match"), [
    (lambda: F.conv2d(X[0, 0], W), ValueError, r"conv2d: input must have shape \(B, C, H, W\) or \(C, H, W\)"),
    (lambda: F.conv2d(X, W[0]), ValueError, "weight must have 4 dimensions"),
    (lambda: F.conv2d(X, W[:, :3]), ValueError, r"input has 4 channels and weight shape \(6, 3, 3, 3\)"),
    (lambda: F.conv2d(X, W, groups=2), ValueError, "with groups=2"),
    (lambda: F.conv2d(X, W, np.zeros(5, np.float32)), ValueError, r"bias must have shape \(6,\), got \(5,\)"),
    (lambda: F.conv2d(X, W, dilation=3), ValueError, r"a window of \(3, 3\) with dilation \(3, 3\) does not fit"),
    (lambda: F.conv2d(X, W, stride=0), ValueError, "stride must be at least 1, got 0"),
    (lambda: F.conv2d(X, W, stride=(1, 2, 3)), ValueError, "stride must be one number or 2"),
    (lambda: F.conv2d(X, W, stride=1.5), TypeError, "stride must be an int"),
    (lambda: F.conv2d(X, W, padding=-1), ValueError, "padding must be at least 0"),
    (lambda: F.conv2d(X, W, padding="full"), ValueError, "padding must be 'valid', 'same' or numbers, got 'full'"),
    (lambda: F.conv2d(X, W, None, 2, "same"), ValueError, "stride 1"),
    (lambda: F.conv2d(X.astype(int), W), TypeError, "input must be floating, got int64"),
    (lambda: nn.Conv2d(4, 6, 3)(X.astype(np.float64)), TypeError, "Conv2d: input is float64, the layer's parameters"),
    (lambda: nn.Conv2d(4, 6, 3, groups=4), ValueError, "must be multiples of groups=4"),
    (lambda: nn.Conv2d(0, 6, 3), ValueError, "in_channels must be at least 1"),
    (lambda: nn.Conv1d(4, 6, 3, padding_mode="mirror"), ValueError, "padding_mode must be one of zeros, reflect"),
    (lambda: F.max_pool2d(X, 3, padding=2), ValueError, "padding must be at most half of kernel_size"),
    (lambda: F.max_pool2d(X, 7), ValueError, "does not fit into an input"),
    (lambda: F.unfold(X[0, 0], 2), ValueError, "unfold: input must have shape"),
    (lambda: F.unfold(X.astype(int), 2), TypeError, "unfold: input must be floating"),
])
def test_errors(call, error, match) -> None:
    with pytest.raises(error, match=match):
        call()
