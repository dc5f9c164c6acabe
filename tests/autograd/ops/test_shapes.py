"""Shapes, joining, splitting: values against NumPy, and every shape that does not fit."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn import Tensor, tensor
from tinygrad_rnn.autograd import grad
from tinygrad_rnn.testing import adjointcheck, gradcheck, strategies

X = np.arange(24.0).reshape(2, 3, 4)


def same(result: Tensor, expected: np.ndarray) -> None:
    assert result.shape == expected.shape
    np.testing.assert_array_equal(result.data, expected)


def test_values() -> None:
    t = tensor(X)
    same(tg.reshape(t, (4, -1)), X.reshape(4, 6))
    same(tg.reshape(t, -1), X.reshape(-1))
    same(tg.permute_dims(t, (2, 0, 1)), X.transpose(2, 0, 1))
    same(tg.permute_dims(t, (-1, 0, -2)), X.transpose(2, 0, 1))
    same(tg.swapaxes(t, 0, -1), X.swapaxes(0, -1))
    same(tg.matrix_transpose(t), X.swapaxes(-1, -2))
    same(tg.expand_dims(t, 1), X[:, None])
    same(tg.expand_dims(t), X[None])
    same(tg.expand_dims(t, -1), X[..., None])
    same(tg.squeeze(tg.expand_dims(t, 1), 1), X)
    same(tg.squeeze(tensor(X[:, :1, :1]), (1, 2)), X[:, 0, 0])
    same(tg.broadcast_to(tensor([[1.0], [2.0]]), (2, 3)), np.repeat([[1.0], [2.0]], 3, 1))
    same(tg.flip(t), X[::-1, ::-1, ::-1])
    same(tg.flip(t, (0, -1)), X[::-1, :, ::-1])
    assert tg.reshape(tensor(5.0), (1, 1)).tolist() == [[5]]


def test_results_share_memory_and_copies_do_not() -> None:
    t = tensor(X)
    assert np.shares_memory(t.reshape(6, 4).data, t.data)
    assert np.shares_memory(t.T.data, t.data)
    assert not np.shares_memory(t.copy().data, t.data)
    assert not np.shares_memory(t.astype(tg.float64).data, t.data)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda t: t.reshape(5, 5), ValueError, r"reshape: 24 elements of shape \(2, 3, 4\) do not fit shape \(5, 5\)"),
        (lambda t: t.reshape(-1, -1), ValueError, r"reshape: 24 elements"),
        (
            lambda t: tg.permute_dims(t, (0, 1)),
            ValueError,
            r"permute_dims: axes must name each of 3 dimensions once, got \(0, 1\)",
        ),
        (lambda t: tg.permute_dims(t, (0, 1, 1)), ValueError, "once, got"),
        (lambda t: tg.permute_dims(t, (0, 1, 3)), ValueError, "once, got"),
        (lambda t: tg.permute_dims(t, (0, 1, 2, 2)), ValueError, "once, got"),
        (
            lambda t: tg.swapaxes(t, 0, 3),
            IndexError,
            r"swapaxes: axis 3 is out of range for a tensor of shape \(2, 3, 4\)",
        ),
        (
            lambda t: tg.squeeze(t, 1),
            ValueError,
            r"squeeze: axis 1 has size 3, only axes of size 1 can go.*\(2, 3, 4\)",
        ),
        (lambda t: tg.squeeze(t, 5), IndexError, r"squeeze: axis 5 is out of range"),
        (lambda t: tg.expand_dims(t, 4), IndexError, r"expand_dims: axis 4 is out of range for 4 dimensions"),
        (lambda t: tg.expand_dims(t, -5), IndexError, r"expand_dims: axis -5"),
        (
            lambda t: tg.broadcast_to(t, (2, 3)),
            ValueError,
            r"broadcast_to: a tensor of shape \(2, 3, 4\) does not broadcast to \(2, 3\)",
        ),
        (lambda t: tg.broadcast_to(t, (2, 4, 4)), ValueError, "broadcast_to: .*the size wanted or 1"),
        (lambda t: tg.flip(t, 3), IndexError, r"flip: .*out of bounds.*\(x: float64 \(2, 3, 4\)"),
        (
            lambda t: t.astype(np.float16),
            TypeError,
            "astype: dtype must be bool, an integer, float32 or float64, got float16",
        ),
        (lambda t: t.astype("complex128"), TypeError, "astype: .*complex128"),
        (
            lambda t: tg.concat([t, tensor(np.ones((2, 2, 4)))]),
            ValueError,
            r"concat: tensors must agree in all dimensions but axis 0, got \(2, 3, 4\) and, at position 1, \(2, 2, 4\)",
        ),
        (lambda t: tg.concat([t, tensor(1.0)]), ValueError, r"concat: .*at position 1, \(\)"),
        (lambda t: tg.concat([t, t], 3), IndexError, "concat: axis 3 is out of range"),
        (lambda t: tg.concat([]), ValueError, "concat: expected at least one tensor, got none"),
        (lambda t: tg.concat(5), TypeError, "concat: expected a sequence of tensors, got int"),
        (
            lambda t: tg.stack([t, t[0]]),
            ValueError,
            r"stack: tensors must have one shape, got \(2, 3, 4\) and, at position 1, \(3, 4\)",
        ),
        (lambda t: tg.stack([t], 5), IndexError, "stack: axis 5 is out of range for a tensor of 4 dimensions"),
        (
            lambda t: tg.stack(t.sum()),
            TypeError,
            "stack: expected a sequence of tensors, got Tensor|without dimensions",
        ),
        (lambda t: tg.split(t, 5, 1), ValueError, "split: axis 1 of size 3 is not divisible into 5 parts"),
        (lambda t: tg.split(t, 0), ValueError, "split: axis 0 of size 2 is not divisible into 0 parts"),
        (
            lambda t: tg.split(t, [2, 1], 1),
            ValueError,
            r"split: indices must not fall, got \(2, 1\) for an axis of size 3",
        ),
        (lambda t: tg.split(t, 1, 3), IndexError, "split: axis 3 is out of range"),
        (lambda t: tg.unstack(t, 3), IndexError, "unstack: axis 3 is out of range for a tensor of 3 dimensions"),
    ],
)
def test_what_does_not_fit(call: Any, error: type, message: str) -> None:
    for t in (tensor(X), tensor(X, requires_grad=True)):
        with pytest.raises(error, match=message):
            call(t)


# ---- joining and splitting ----------------------------------------------------------------------------------------
def test_joining() -> None:
    a, b = tensor(X), tensor(-X)
    same(tg.concat([a, b]), np.concatenate([X, -X]))
    same(tg.concat((a, X), axis=-1), np.concatenate([X, X], -1))
    same(tg.concat([a, b], axis=None), np.concatenate([X.ravel(), -X.ravel()]))
    same(tg.stack([a, b]), np.stack([X, -X]))
    same(tg.stack([a, X], axis=-1), np.stack([X, X], -1))
    same(tg.stack(a), X)
    assert tg.concat([tensor([1.0]), tensor([2])]).dtype == np.float32        # as the operators: floats win
    assert tg.stack([1.0, tensor(2.0)]).tolist() == [1, 2]


def test_splitting() -> None:
    t = tensor(X)
    for result, expected in (
        (tg.split(t, 3, 1), np.split(X, 3, 1)),
        (tg.split(t, [1, 2], -1), np.split(X, [1, 2], -1)),
        (tg.split(t, [-1], 1), np.split(X, [-1], 1)),
        (tg.split(t, [9], 1), np.split(X, [9], 1)),
        (tg.unstack(t, -1), np.moveaxis(X, -1, 0)),
    ):
        assert len(result) == len(expected)
        for a, b in zip(result, expected):
            same(a, b)
    assert isinstance(tg.split(t, 1), list)
    assert isinstance(tg.unstack(t), tuple)
    assert tg.unstack(tensor(np.zeros((0, 2)))) == ()


def test_gradients_of_parts() -> None:
    t = tensor(X, requires_grad=True)
    a, _, c = tg.split(t, 3, 1)
    ((a * 2.0).sum() + c.sum()).backward()
    np.testing.assert_array_equal(t.grad.data[:, :, 0], [[2, 0, 1]] * 2)
    t.grad = None
    tg.unstack(t, 1)[1].sum().backward()
    np.testing.assert_array_equal(t.grad.data[:, :, 0], [[0, 1, 0]] * 2)


def test_parts_without_and_with_gradients_join() -> None:
    a, b = tensor([1.0], requires_grad=True), tensor([2.0])
    (tg.concat([b, a, a]) * tensor([1.0, 2.0, 3.0])).sum().backward()
    assert a.grad.tolist() == [5]
    (g,) = grad(tg.stack([a, b, a]).sum(), a)
    assert g.tolist() == [2]


@given(st.data())
def test_split_and_concat_are_inverse(data: st.DataObject) -> None:
    shape = data.draw(strategies.shapes(min_dims=1, min_side=1))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    cuts = sorted(data.draw(st.lists(st.integers(0, shape[axis]), max_size=3)))
    x = np.random.default_rng(0).standard_normal(shape)
    same(tg.concat(tg.split(tensor(x), cuts, axis), axis), x)
    same(tg.stack(tg.unstack(tensor(x), axis), axis), x)
    assert adjointcheck(lambda t: [p * p for p in tg.split(t, cuts, axis)], x)


def test_a_thousand_parts() -> None:
    t = tensor(np.ones((1000, 2)), requires_grad=True)
    tg.stack([p * float(k) for k, p in enumerate(tg.unstack(t))]).sum().backward()
    assert t.grad.data[:, 1].tolist() == list(range(1000))


def test_gradients_of_joining() -> None:
    a, b = np.random.default_rng(0).standard_normal((2, 2, 3))
    assert gradcheck(lambda a, b: tg.concat([a * b, b, a], 1) ** 2, [a, b])
    assert gradcheck(lambda a, b: tg.stack([a * b, b, a], -1) ** 2, [a, b])
    assert gradcheck(lambda a, b: tg.concat([a, b], None) ** 2, [a, b])
