"""New tensors: shapes, dtypes, values, against NumPy."""

from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import Tensor, tensor


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (tg.zeros((2, 3)), np.zeros((2, 3), np.float32)),
        (tg.zeros(3, tg.int64), np.zeros(3, np.int64)),
        (tg.ones((), tg.float64), np.ones(())),
        (tg.full((2,), 7), np.full(2, 7)),
        (tg.full((2,), 0.5), np.full(2, 0.5, np.float32)),
        (tg.full(2, True), np.full(2, True)),
        (tg.full(2, np.float64(1)), np.full(2, 1.0)),
        (tg.full(2, 1, tg.float32), np.full(2, 1, np.float32)),
        (tg.zeros_like(tensor([1, 2])), np.zeros(2, np.int64)),
        (tg.ones_like(np.zeros((1, 2))), np.ones((1, 2))),
        (tg.ones_like([1.0]), np.ones(1, np.float32)),
        (tg.full_like(tensor([1.0]), 3), np.full(1, 3, np.float32)),
        (tg.full_like(tensor([1]), 3.5, tg.float64), np.full(1, 3.5)),
        (tg.arange(4), np.arange(4)),
        (tg.arange(1, 4), np.arange(1, 4)),
        (tg.arange(5, 1, -2), np.arange(5, 1, -2)),
        (tg.arange(0, 1, 0.25), np.arange(0, 1, 0.25, dtype=np.float32)),
        (tg.arange(3, dtype=tg.float64), np.arange(3.0)),
        (tg.linspace(0, 1, 5), np.linspace(0, 1, 5, dtype=np.float32)),
        (tg.linspace(0, 1, 4, endpoint=False), np.linspace(0, 1, 4, False, dtype=np.float32)),
        (tg.eye(2), np.eye(2, dtype=np.float32)),
        (tg.eye(2, 3, 1, tg.float64), np.eye(2, 3, 1)),
    ],
)
def test_values(made: Tensor, expected: np.ndarray) -> None:
    assert type(made) is Tensor
    assert made.dtype == expected.dtype
    assert made.shape == expected.shape
    np.testing.assert_array_equal(made.data, expected)
    assert not made.requires_grad


def test_empty() -> None:
    assert tg.empty((2, 3)).shape == (2, 3)
    assert tg.empty(2).dtype == np.float32
    like = tg.empty_like(tensor([[1, 2]]))
    assert (like.shape, like.dtype) == ((1, 2), np.int64)


@pytest.mark.parametrize("indexing", ["xy", "ij"])
def test_meshgrid(indexing: str) -> None:
    x, y = np.array([1.0, 2.0, 3.0]), np.array([4, 5])
    for made, expected in zip(tg.meshgrid(tensor(x), y, indexing=indexing), np.meshgrid(x, y, indexing=indexing)):
        np.testing.assert_array_equal(made.data, expected)
        assert made.dtype == expected.dtype


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: tg.arange(0, 3, 0), ValueError, "arange: step must not be 0"),
        (lambda: tg.meshgrid([1], indexing="ab"), ValueError, "meshgrid: indexing must be 'xy' or 'ij', got 'ab'"),
        (lambda: tg.zeros((-1,)), ValueError, "negative"),
        (lambda: tg.full(2, "x"), TypeError, "expected bools, integers"),
    ],
)
def test_errors(call: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_arange_of_numpy_numbers_and_tensors() -> None:
    f = np.float32
    assert tg.arange(f(0), f(1), f(0.25)).tolist() == [0, 0.25, 0.5, 0.75]
    assert tg.arange(tg.tensor(2.5)).tolist() == [0, 1, 2]
    assert tg.arange(np.int32(3)).dtype == np.int64


def test_nested_lists_of_tensors_are_refused() -> None:
    t = tg.tensor(1.0, requires_grad=True)
    with pytest.raises(TypeError, match="stack"):
        tg.tensor([[t, t]])
