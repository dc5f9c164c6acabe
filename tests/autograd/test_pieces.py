"""The gradient of a tensor that was read in pieces: one sum, whatever the pieces and whatever else read it."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn import tensor
from tinygrad_rnn.autograd import Tensor, grad
from tinygrad_rnn.autograd.ops import indexing
from tinygrad_rnn.autograd.pieces import Pieces
from tinygrad_rnn.testing import gradcheck, gradgradcheck

SHAPE = (5, 4)
PARTS = st.one_of(st.integers(-4, 3), st.slices(4), st.just(slice(None)))
INDICES = st.one_of(st.integers(-5, 4), st.slices(5), st.just(...), st.just(()), st.tuples(st.slices(5), PARTS),
                    st.tuples(st.just(...), PARTS), st.tuples(st.integers(-5, 4), st.none(), PARTS))


def longhand(pairs: Any) -> np.ndarray:
    """Zeros, added up one array a piece."""
    total = np.zeros(SHAPE)
    for index, g in pairs:
        np.add.at(total, index, g)
    return total


@given(st.lists(st.tuples(INDICES, st.booleans()), min_size=1, max_size=12), st.integers(0, 99), st.booleans())
def test_pieces_add_up(read: list[tuple[Any, bool]], seed: int, on_tape: bool) -> None:
    rng = np.random.default_rng(seed)
    x = tensor(rng.normal(size=SHAPE), requires_grad=True)
    inner = x * 1.0         # a gradient in pieces for an operation, and for a leaf
    weights = [rng.normal(size=np.zeros(SHAPE)[index].shape) for index, _ in read]
    terms = [((inner if below else x)[index] * w).sum() for (index, below), w in zip(read, weights)]
    found, = grad(sum(terms[1:], start=terms[0]), x, create_graph=on_tape)
    np.testing.assert_allclose(found.data, longhand(zip((i for i, _ in read), weights)), atol=1e-13)


def sections(x: Tensor) -> Any:
    """Rows in three slices that tile the tensor, each used in its own way."""
    a, b, c = x[:2], x[2:4], x[-1]
    return (a * b).sum() + (c ** 3).sum() + (a[0] * c).sum()


def columns(x: Tensor) -> Any:
    """Columns in two slices, out of order."""
    return (x[..., 2:] * x[:, :2] ** 2).sum()


def overlapping(x: Tensor) -> Any:
    """Windows that share rows, and the whole beside them."""
    return sum((x[k:k + 3] ** 2 * (k + 1)).sum() for k in range(3)) + (x ** 3).sum()


@pytest.mark.parametrize("fn", [sections, columns, overlapping])
def test_derivatives_of_any_order(fn: Any) -> None:
    x = np.random.default_rng(1).normal(size=SHAPE)
    assert gradcheck(fn, [tensor(x)])
    assert gradgradcheck(fn, [tensor(x)])


def test_hooks_see_the_whole_gradient_once() -> None:
    seen = []
    x = tensor(np.ones(6), requires_grad=True)
    y = x * 1.0
    y.register_hook(lambda g: seen.append(g.tolist()))
    (y[:2].sum() + 2 * y[2:].sum() + y[5]).backward()
    assert seen == [[1, 1, 2, 2, 2, 3]]


@pytest.mark.parametrize("first", [True, False])
def test_pieces_beside_sparse_rows(first: bool) -> None:
    layer = tg.nn.Embedding(4, 2, sparse=True).initialise(0)
    table = layer.weight
    terms = [table[1:3].sum() * 2, layer(np.array([0, 1, 1])).sum()]
    (terms[0] + terms[1] if first else terms[1] + terms[0]).backward()
    np.testing.assert_array_equal(np.asarray(table.grad), [[1, 1], [4, 4], [2, 2], [0, 0]])


def test_the_gradient_is_nobody_elses_memory() -> None:
    x = tensor([1.0, 2.0], requires_grad=True)
    seed = np.ones(2, np.float32)
    x[:].backward(seed)
    assert x.grad is not None
    x.grad.data[:] = 7
    assert seed.tolist() == [1, 1]


def test_what_waits_is_bounded() -> None:
    """Windows of nearly everything: their gradients are added up before there are many."""
    pieces, most = None, 0
    for k in range(100):
        new = Pieces([(slice(k % 2, 200 + k % 2), np.full(200, 1.0))], (201,), np.dtype(float), indexing.assembled)
        if pieces is None:
            pieces = new
        else:
            pieces += new
        most = max(most, sum(g.size for _, g in pieces))
    assert pieces is not None
    assert most <= 3 * 201
    np.testing.assert_array_equal(pieces.whole(), [50, *[100] * 199, 50])


@pytest.mark.parametrize(
    ("indices", "tiles"),
    [
        ((slice(3, 5), slice(0, 3)), True),
        ((0, 1, slice(2, None)), True),
        ((-1, slice(0, 4)), True),
        (((..., slice(0, 2)), (slice(None), slice(2, 4))), True),
        ((slice(0, 3), slice(2, 5)), False),
        ((slice(0, 2), slice(3, 5)), False),
        ((slice(0, 4),), False),
        ((slice(None, None, 2), slice(1, None, 2)), False),
        ((slice(0, 5), (slice(None), slice(0, 0))), False),
        ((slice(None), slice(None)), False),
        ((0, 1, 2, 3, 4, 4), False),
        (((slice(0, 2), 1), slice(2, 5)), False),
        (((),), False),
        ((None,), False),
    ],
)
def test_what_tiles_a_tensor(indices: Any, tiles: bool) -> None:
    assert indexing._tile(SHAPE, indices) == tiles
