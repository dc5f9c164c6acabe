"""Reading and adding by index: duplicates, Tensors as indices, ranges, errors."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinygrad_rnn as tg
from tinygrad_rnn import Tensor, tensor
from tinygrad_rnn.autograd.ops import rows
from tinygrad_rnn.testing import adjointcheck, gradcheck, strategies

X = np.arange(20.0).reshape(4, 5)


def test_duplicates_add_up() -> None:
    for read in (
        lambda t: t[[0, 2, 2, 2]],
        lambda t: t[tensor([0, 2, 2, 2])],
        lambda t: tg.take(t, [0, 2, 2, 2], 0),
        lambda t: rows(t, np.array([0, 2, 2, 2])),
        lambda t: t[np.array([0, -2, 2, 2])],
    ):
        t = tensor(X, requires_grad=True)
        read(t).sum().backward()
        assert t.grad.data[:, 0].tolist() == [1, 0, 3, 0]
    t = tensor(X, requires_grad=True)
    t[np.array([0, 0, 1]), np.array([1, 1, 2])].sum().backward()
    assert t.grad.data[0, 1] == 2
    assert t.grad.data.sum() == 3


@given(st.data())
def test_any_index(data: st.DataObject) -> None:
    shape = data.draw(strategies.shapes(max_dims=3))
    x = np.random.default_rng(1).standard_normal(shape)
    index = data.draw(
        hnp.basic_indices(shape, allow_newaxis=True)
        | (hnp.integer_array_indices(shape) if shape and 0 not in shape else st.just(()))
    )
    result = tensor(x)[index]
    np.testing.assert_array_equal(result.data, x[index])
    assert result.shape == np.shape(x[index])
    assert adjointcheck(lambda t: t[index], x)


def test_masks() -> None:
    t = tensor(X, requires_grad=True)
    mask = X % 3 == 0
    for index in (mask, tensor(mask)):
        t.grad = None
        y = t[index]
        assert y.tolist() == X[mask].tolist()
        (y * 2.0).sum().backward()
        np.testing.assert_array_equal(t.grad.data, 2.0 * mask)
    assert t[t > 17].tolist() == [18, 19]


def test_tensors_inside_an_index() -> None:
    t = tensor(X)
    assert t[tensor(1), 2].item() == X[1, 2]
    assert t[:, tensor([1, 1])].tolist() == X[:, [1, 1]].tolist()
    assert t[tensor([0, 1]), tensor([2, 3])].tolist() == [2, 8]
    assert t[1:, None, -1].shape == (3, 1)
    assert t[...].shape == (4, 5)


def test_a_row_of_a_leaf_is_no_copy() -> None:
    t = tensor(X)
    assert np.shares_memory(t[1].data, t.data)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (4, r"index: index 4 is out of bounds for axis 0 with size 4; the tensor has shape \(4, 5\)"),
        ((0, 0, 0), "index: too many indices"),
        ([0, 9], "index: index 9 is out of bounds"),
        ("x", "index: only integers"),
        (1.0, "index: only integers"),
        (tensor([0.5]), "index: arrays used as indices must be of integer"),
        (np.ones((3, 5), bool), "index: boolean index did not match"),
    ],
)
def test_wrong_indices(index: Any, message: str) -> None:
    for t in (tensor(X), tensor(X, requires_grad=True)):
        with pytest.raises(IndexError, match=message):
            t[index]


# ---- take ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("axis", [None, 0, 1, -1, -2])
@pytest.mark.parametrize("indices", [1, [2, 0, 0], [[1, -1], [0, 3]], []])
def test_take(axis: int | None, indices: Any) -> None:
    expected = np.take(X, np.array(indices, int), axis)
    for given_indices in (indices, np.array(indices, int), tensor(np.array(indices, int))):
        result = tg.take(tensor(X), given_indices, axis)
        assert result.shape == expected.shape
        np.testing.assert_array_equal(result.data, expected)
    assert gradcheck(lambda t: tg.take(t, indices, axis), X)


def test_take_of_arrays_and_lists() -> None:
    np.testing.assert_array_equal(tg.take(X, [1], 1), X[:, [1]])
    assert tg.take([1.0, 2.0], [1]).tolist() == [2]
    assert isinstance(tg.take(X, tensor([1])), (np.ndarray, Tensor))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda t: tg.take(t, [0.5]), TypeError, "take: indices must be integers, got dtype float64"),
        (lambda t: tg.take(t, [True]), TypeError, "take: indices must be integers, got dtype bool"),
        (lambda t: tg.take(t, [4], 0), IndexError, "take: .*4"),
        (lambda t: tg.take(t, [-5], 0), IndexError, "take: .*-5"),
        (lambda t: tg.take(t, [9], 1), IndexError, "index: index 9 is out of bounds"),
        (lambda t: tg.take(t, [0], 2), IndexError, "take: axis 2 is out of range for a tensor of 2 dimensions"),
        (
            lambda t: tg.index_add(t, [0, 1], np.ones((3, 5))),
            ValueError,
            r"index_add: values must have shape \(2, 5\): 2 along axis 0, elsewhere that of x; got \(3, 5\)",
        ),
        (
            lambda t: tg.index_add(t, [[0]], np.ones((1, 5))),
            ValueError,
            r"index_add: indices must have one dimension, got shape \(1, 1\)",
        ),
        (
            lambda t: tg.index_add(t, [0.0], np.ones((1, 5))),
            TypeError,
            "index_add: indices must be integers, got dtype float64",
        ),
        (lambda t: tg.index_add(t, [4], np.ones((1, 5))), IndexError, "index_add: .*4"),
        (lambda t: tg.index_add(t, [0], np.ones((4, 1)), axis=2), IndexError, "index_add: axis 2 is out of range"),
    ],
)
def test_wrong_positions(call: Any, error: type, message: str) -> None:
    for t in (tensor(X), tensor(X, requires_grad=True)):
        with pytest.raises(error, match=message):
            call(t)


# ---- index_add ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_index_add(axis: int) -> None:
    indices = [1, 3, 1, -1]
    values = np.random.default_rng(2).standard_normal((4, 5) if axis == 0 else (4, 4))
    expected = X.copy()
    for k, i in enumerate(indices):
        expected[(i,) if axis == 0 else (slice(None), i)] += values[(k,) if axis == 0 else (slice(None), k)]
    np.testing.assert_allclose(tg.index_add(tensor(X), indices, values, axis).data, expected)
    assert gradcheck(lambda x, v: tg.index_add(x, indices, v, axis) ** 2, [X / 10, values])


def test_index_add_leaves_its_arguments_alone() -> None:
    x, values = tensor(X), tensor(np.ones((1, 5)))
    tg.index_add(x, [0], values)
    np.testing.assert_array_equal(x.data, X)
    assert tg.index_add(tensor(np.zeros(3, np.float32)), tensor([0]), [1.0]).dtype == np.float32
    assert tg.index_add(tensor([0, 0]), [1], [5]).tolist() == [0, 5]
