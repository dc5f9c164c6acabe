"""Steps and clipping with row-sparse gradients: as with dense ones, rows without gradient aside."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn, optim
from tinygrad_rnn.autograd import RowSparse

Make = Callable[[Any], optim.SGD]
TAKE: dict[str, Make] = {
    "SGD": lambda p: optim.SGD(p, lr=0.1),
    "SGD, maximize": lambda p: optim.SGD(p, lr=0.1, maximize=True),
    "Adagrad": lambda p: optim.Adagrad(p, lr=0.1, lr_decay=0.1, initial_accumulator_value=0.2),
    "Adam": lambda p: optim.Adam(p, lr=0.1, lazy=True),
    "Adam, amsgrad": lambda p: optim.Adam(p, lazy=True, amsgrad=True),
}
REFUSE: dict[str, Make] = {
    "momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9),
    "Adam": lambda p: optim.Adam(p),
    "AdamW": lambda p: optim.AdamW(p),
    "RMSprop": lambda p: optim.RMSprop(p),
}


def layers(sparse: bool) -> nn.Embedding:
    return nn.Embedding(7, 3, sparse=sparse, rng=3).astype(tg.float64)


def backward(layer: nn.Embedding, step: int) -> None:
    """A loss that reads rows 1, 2 and 5, some of them twice."""
    layer.weight.grad = None
    ids = np.array([[1, 2, 1], [5, 2, 2]])
    ((layer(ids) - step) ** 2 * np.arange(1.0, 4.0)).sum().backward()


@pytest.mark.parametrize("make", TAKE.values(), ids=TAKE.keys())
def test_rows_move_as_with_a_dense_gradient(make: Make) -> None:
    sparse, dense = layers(True), layers(False)
    start = sparse.weight.data.copy()
    first, second = make([sparse.weight]), make([dense.weight])
    for step in range(6):
        backward(sparse, step)
        backward(dense, step)
        assert isinstance(sparse.weight.grad, RowSparse)
        first.step()
        second.step()
        np.testing.assert_allclose(sparse.weight.data, dense.weight.data, rtol=1e-12, atol=1e-12)
    assert (sparse.weight.data[[0, 3, 4, 6]] == start[[0, 3, 4, 6]]).all()
    assert (sparse.weight.data[[1, 2, 5]] != start[[1, 2, 5]]).all()


def test_lazy_leaves_what_has_no_gradient() -> None:
    sparse, dense = layers(True), layers(False)
    lazy, eager = optim.Adam([sparse.weight], lr=0.1, lazy=True), optim.Adam([dense.weight], lr=0.1)
    for layer, optimizer in ((sparse, lazy), (dense, eager)):
        for ids in ([1, 2], [2, 4]):
            layer.weight.grad = None
            layer(ids).sum().backward()
            before = layer.weight.data.copy()
            optimizer.step()
        moved = (layer.weight.data != before).any(1).nonzero()[0].tolist()
        assert moved == ([2, 4] if layer is sparse else [1, 2, 4])
    state = lazy.state[sparse.weight]
    assert state["step"] == 2
    np.testing.assert_allclose(state["exp_avg"][1], 0.1)
    np.testing.assert_allclose(state["exp_avg"][2], 0.19)


def test_decay_of_a_lazy_adam_moves_its_rows_alone() -> None:
    layer = layers(True)
    before = layer.weight.data.copy()
    layer([2]).sum().backward()
    optim.AdamW([layer.weight], lr=0.1, weight_decay=0.5, lazy=True).step()
    assert (layer.weight.data != before).any(1).nonzero()[0].tolist() == [2]
    np.testing.assert_allclose(layer.weight.data[2], before[2] * 0.95 - 0.1, rtol=1e-6)


@pytest.mark.parametrize("make", REFUSE.values(), ids=REFUSE.keys())
def test_who_moves_all_rows_says_so(make: Make) -> None:
    layer = layers(True)
    backward(layer, 0)
    before = layer.weight.data.copy()
    with pytest.raises(
        TypeError, match=r"moves all rows .* row-sparse; SGD without momentum, Adagrad and Adam\(lazy=True"
    ):
        make([layer.weight]).step()
    assert (layer.weight.data == before).all()


@pytest.mark.parametrize("make", [optim.SGD, optim.Adagrad])
def test_decay_moves_all_rows(make: Any) -> None:
    layer = layers(True)
    backward(layer, 0)
    with pytest.raises(
        TypeError, match=r"weight_decay=0.1 moves all rows .* use weight_decay=0, or Embedding\(sparse=F"
    ):
        make([layer.weight], lr=0.1, weight_decay=0.1).step()


@pytest.mark.parametrize("norm_type", [1.0, 2.0, np.inf])
def test_clipping_knows_that_rows_are_there_twice(norm_type: float) -> None:
    sparse, dense = layers(True), layers(False)
    backward(sparse, 1)
    backward(dense, 1)
    norms = [nn.utils.clip_grad_norm_(layer.parameters(), 0.5, norm_type) for layer in (sparse, dense)]
    np.testing.assert_allclose(*norms, rtol=1e-12)
    assert isinstance(sparse.weight.grad, RowSparse)
    np.testing.assert_allclose(sparse.weight.grad.to_dense().data, dense.weight.grad.data, rtol=1e-12)
    backward(sparse, 1)
    backward(dense, 1)
    for layer in (sparse, dense):
        nn.utils.clip_grad_value_(layer.parameters(), 2.0)
    np.testing.assert_allclose(sparse.weight.grad.to_dense().data, dense.weight.grad.data, rtol=1e-12)
    assert np.abs(dense.weight.grad.data).max() == 2


def test_a_gradient_of_zeros_is_one_without_rows() -> None:
    layer = layers(True)
    backward(layer, 0)
    optimizer = optim.SGD([layer.weight], lr=0.1)
    optimizer.zero_grad(set_to_none=False)
    assert isinstance(layer.weight.grad, RowSparse)
    assert layer.weight.grad.to_dense().tolist() == np.zeros((7, 3)).tolist()
    optimizer.step()
    optimizer.zero_grad()
    assert layer.weight.grad is None


def test_a_gradient_of_another_shape() -> None:
    layer = layers(True)
    layer.weight.grad = RowSparse([0], np.ones((1, 3)), (5, 3))
    with pytest.raises(ValueError, match=r"of shape \(7, 3\) .* has a gradient of shape \(5, 3\)"):
        optim.SGD([layer.weight], lr=0.1).step()
