"""RowSparse: arithmetic against dense arrays; what reaches a table by reading rows of it."""

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn import Tensor, nn, tensor
from tinygrad_rnn.autograd import RowSparse, grad
from tinygrad_rnn.nn.functional import embedding


@st.composite
def sparse(draw: Any, shape: tuple[int, ...] = (5, 3)) -> RowSparse:
    indices = draw(st.lists(st.integers(0, shape[0] - 1), max_size=8))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return RowSparse(np.array(indices, int), rng.standard_normal((len(indices), *shape[1:])), shape)


def dense(s: RowSparse) -> np.ndarray:
    """Longhand."""
    out = np.zeros(s.shape, s.dtype)
    for i, row in zip(s.indices.tolist(), s.values.data):
        out[i] += row
    return out


@settings(max_examples=50)
@given(sparse(), sparse(), st.integers(0, 2**32))
def test_sums(a: RowSparse, b: RowSparse, seed: int) -> None:
    np.testing.assert_array_equal(a.to_dense().data, dense(a))
    both = a + b
    assert isinstance(both, RowSparse)
    np.testing.assert_allclose(both.to_dense().data, dense(a) + dense(b), atol=1e-14)
    array = np.random.default_rng(seed).standard_normal(a.shape)
    for total in (a + array, array + a, a + tensor(array), tensor(array) + a):
        assert type(total) in (np.ndarray, Tensor)
        np.testing.assert_allclose(np.asarray(total), array + dense(a))


@settings(max_examples=50)
@given(sparse())
def test_coalescing(a: RowSparse) -> None:
    c = a.coalesce()
    assert c.indices.tolist() == sorted(set(a.indices.tolist()))
    np.testing.assert_array_equal(c.to_dense().data, dense(a))
    assert c.coalesce() is c


def test_a_vector_is_a_table_too() -> None:
    s = RowSparse([2, 0, 2], np.array([1.0, 2.0, 3.0]), (4,))
    assert s.to_dense().tolist() == [2, 0, 4, 0]
    assert s.coalesce().values.tolist() == [2, 4]
    assert np.asarray(s, np.float32).dtype == np.float32
    assert s.astype(np.float32).dtype == np.float32
    assert repr(s) == "RowSparse(3 rows, shape=(4,), dtype=float64)"
    twin = copy.deepcopy(s)
    twin.values.data[0] = 9
    assert s.values.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("args", "error", "message"),
    [
        (([0, 1], np.ones((1, 2)), (3, 2)), ValueError, r"expected indices \(K,\) and values \('K', 2\), got shapes"),
        (([[0]], np.ones((1, 2)), (3, 2)), ValueError, "expected indices"),
        (([0], np.ones((1, 2)), ()), ValueError, "expected indices"),
        (([3], np.ones((1, 2)), (3, 2)), IndexError, r"index 3 is no row of a tensor of shape \(3, 2\)"),
        (([-1], np.ones((1, 2)), (3, 2)), IndexError, "index -1 is no row"),
        (([0.5], np.ones((1, 2)), (3, 2)), TypeError, "RowSparse: indices must be integers"),
        (([0], np.ones((1, 2), int), (3, 2)), TypeError, "RowSparse: values must be floating, got dtype int64"),
    ],
)
def test_what_does_not_fit(args: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        RowSparse(*args)


def test_operands_that_do_not_fit() -> None:
    s = RowSparse([0], np.ones((1, 2)), (3, 2))
    with pytest.raises(ValueError, match=r"shapes must be equal to add, got \(3, 2\) and \(4, 2\)"):
        s + RowSparse([0], np.ones((1, 2)), (4, 2))
    with pytest.raises(TypeError):
        s + "text"
    with pytest.raises(TypeError):
        s * 2
    with pytest.raises(ValueError, match="by a copy alone"):
        np.asarray(s, copy=False)


# ---- gradients ----------------------------------------------------------------------------------------------------
IDS = np.array([[1, 3, 0], [3, 3, 1]])


def table(seed: int = 0) -> Tensor:
    return tensor(np.random.default_rng(seed).standard_normal((6, 2)), requires_grad=True)


@pytest.mark.parametrize("padding", [None, 0, 3])
def test_the_gradient_is_that_of_a_dense_embedding(padding: int | None) -> None:
    w, v = table(), np.random.default_rng(1).standard_normal((2, 3, 2))
    y = embedding(IDS, w, padding, sparse=True)
    np.testing.assert_array_equal(y.data, embedding(IDS, w, padding).data)
    (found,), (expected,) = grad(y, w, v), grad(embedding(IDS, w, padding), w, v)
    assert isinstance(found, RowSparse)
    assert len(found.indices) == (IDS != padding).sum()
    np.testing.assert_allclose(found.to_dense().data, expected.data, atol=1e-14)


def test_gradients_add_up() -> None:
    w = table()
    expected = np.zeros((6, 2))
    np.add.at(expected, IDS, 1.0)
    for k in (1, 2):
        embedding(IDS, w, sparse=True).sum().backward()
        assert isinstance(w.grad, RowSparse)
        np.testing.assert_array_equal(w.grad.to_dense().data, k * expected)
    (embedding(IDS, w, sparse=True).sum() + (w * 0.5).sum()).backward()
    assert isinstance(w.grad, Tensor), "dense and sparse is dense"
    np.testing.assert_allclose(w.grad.data, 3 * expected + 0.5)
    embedding(IDS, w, sparse=True).sum().backward()
    np.testing.assert_allclose(w.grad.data, 4 * expected + 0.5)
    (g,) = grad(embedding([0], w, sparse=True).sum() + embedding([0, 5], w, sparse=True).sum(), w)
    assert g.coalesce().values.tolist() == [[2, 2], [1, 1]]


def test_a_tied_table_gets_a_dense_gradient() -> None:
    sparse, dense = nn.Embedding(5, 3, sparse=True, rng=1), nn.Embedding(5, 3, rng=1)
    for layer in (sparse, dense):
        h = layer([0, 2, 2])
        (h @ layer.weight.T).tanh().sum().backward()
    np.testing.assert_allclose(sparse.weight.grad.data, dense.weight.grad.data, rtol=1e-6)
    assert "sparse=True" in repr(sparse)


def test_what_is_no_leaf_gets_a_dense_gradient() -> None:
    w = table()
    embedding(IDS, w * 2.0, sparse=True).sum().backward()
    assert isinstance(w.grad, Tensor)


def test_a_recorded_pass_is_dense() -> None:
    w = table()
    (g,) = grad((embedding(IDS, w, sparse=True) ** 3).sum(), w, create_graph=True)
    (h,) = grad((embedding(IDS, w) ** 3).sum(), w, create_graph=True)
    assert isinstance(g, Tensor)
    np.testing.assert_allclose(np.asarray(grad(g.sum(), w)[0]), grad(h.sum(), w)[0].data)


def test_hooks_see_it_and_may_replace_it() -> None:
    w, seen = table(), []
    hook = w.register_hook(seen.append)
    embedding([1], w, sparse=True).sum().backward()
    hook.remove()
    assert isinstance(seen[0], RowSparse)
    w.grad = None
    w.register_hook(lambda g: g.to_dense())
    embedding([1], w, sparse=True).sum().backward()
    assert isinstance(w.grad, Tensor)
    with pytest.raises(TypeError, match="grad: expected None or a Tensor, got list"):
        w.grad = [1]


def test_the_gradient_is_nobody_elses() -> None:
    w, ids, v = table(), np.array([1, 2]), np.ones((2, 2))
    embedding(ids, w, sparse=True).backward(v)
    ids[:] = 0
    v[:] = 7
    assert w.grad.indices.tolist() == [1, 2]
    assert w.grad.values.tolist() == [[1, 1], [1, 1]]


def test_a_module_changes_its_dtype() -> None:
    layer = nn.Embedding(4, 2, sparse=True, rng=0)
    layer([1]).sum().backward()
    layer.astype(tg.float64)
    assert layer.weight.grad.dtype == np.float64
    assert copy.deepcopy(layer).weight.grad.indices.tolist() == [1]
