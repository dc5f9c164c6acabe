"""Transforms, writes in place, sparse gradients and shared memory beside PyTorch's."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn, optim, tensor
from tinygrad_rnn.autograd import checkpoint, hessian, hvp, jacobian, jvp, vjp

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.parity

RNG = np.random.default_rng(12)
W, X = RNG.standard_normal((3, 4)), RNG.standard_normal(4)


def several(m: Any) -> Callable[[Any], Any]:
    """(4,) -> (3,), in a library's own names."""
    w = tensor(W) if m is tg else torch.tensor(W)
    return lambda x: m.tanh(w @ x) * m.exp(x[:3]) / (1 + x[1] ** 2)


def one(m: Any) -> Callable[[Any], Any]:
    """(4,) -> a number."""
    return lambda x: (several(m)(x) ** 2).sum() * m.sin(x).mean()


def test_transforms() -> None:
    functional, x, u, v = torch.autograd.functional, torch.tensor(X), RNG.standard_normal(4), RNG.standard_normal(3)
    pairs = [
        (jacobian(several(tg), X), functional.jacobian(several(torch), x)),
        (hessian(one(tg), X), functional.hessian(one(torch), x)),
        (hvp(one(tg), X, u), functional.hvp(one(torch), x, torch.tensor(u))[1]),
        (jvp(several(tg), X, u)[1], functional.jvp(several(torch), x, torch.tensor(u))[1]),
        (vjp(several(tg), X)[1](v)[0], functional.vjp(several(torch), x, torch.tensor(v))[1]),
    ]
    for ours, theirs in pairs:
        assert ours.shape == tuple(theirs.shape)
        np.testing.assert_allclose(ours.data, theirs.numpy(), rtol=1e-10, atol=1e-12)


PROGRAMS: dict[str, Callable[[Any, Any], Any]] = {
    "assign": lambda t, y: t.__setitem__(1, y[0] * 2),
    "column": lambda t, y: t.__setitem__((slice(None), 0), y[:, 1]),
    "whole": lambda t, y: t.__setitem__(..., y),
    "mask": lambda t, y: t.__setitem__(t > 0, 0.5),
    "number": lambda t, y: t.__setitem__((0, 1), 3.0),
    "zero_": lambda t, y: t.zero_(),
    "add_": lambda t, y: t.add_(y),
    "exp_": lambda t, y: t.exp_(),
    "twice": lambda t, y: (t.add_(y), t.__setitem__(0, y[1]), t.sigmoid_()),
}


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS.keys())
def test_writes_in_place(program: Callable[[Any, Any], Any]) -> None:
    x, y = RNG.standard_normal((2, 3)), RNG.standard_normal((2, 3))
    found = []
    for leaves in ([tensor(a, requires_grad=True) for a in (x, y)],
                   [torch.tensor(a, requires_grad=True) for a in (x, y)]):
        t = leaves[0] * 1.5
        program(t, leaves[1])
        (t * t + t).sum().backward()
        found.append([np.asarray(t.detach()), *(np.zeros((2, 3)) if leaf.grad is None else np.asarray(leaf.grad)
                                                for leaf in leaves)])
    for ours, theirs in zip(*found):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-14)


# Something that keeps y or z, and a write that takes it away.
LOST: dict[str, tuple[Callable[[Any], Any], Callable[[Any, Any], Any]]] = {
    "argument": (lambda y: y * y, lambda y, z: y.add_(1)),
    "row": (lambda y: y * y, lambda y, z: y[0:1].zero_()),
    "detached": (lambda y: y * y, lambda y, z: y.detach().zero_()),
    "result": (lambda y: y.tanh(), lambda y, z: z.add_(1)),
    "element": (lambda y: y.exp(), lambda y, z: z.__setitem__(0, 1.0)),
}


@pytest.mark.parametrize(("keep", "write"), LOST.values(), ids=LOST.keys())
def test_both_refuse_what_lost_an_old_value(keep: Callable[[Any], Any], write: Callable[[Any, Any], Any]) -> None:
    for leaf, error, message in ((torch.tensor(X, requires_grad=True), RuntimeError, "modified by an inplace"),
                                 (tensor(X, requires_grad=True), ValueError, "in place afterwards")):
        y = leaf * 2.0
        z = keep(y)
        loss = (z * 1.0).sum()
        write(y, z)
        with pytest.raises(error, match=message):
            loss.backward()


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
def test_sparse_embeddings_train_alike() -> None:
    table, ids = RNG.standard_normal((6, 2)), [np.array([1, 3, 1]), np.array([[0, 3], [3, 5]])]
    for ours, theirs in (
        (lambda p: optim.SGD(p, lr=0.1), lambda p: torch.optim.SGD(p, lr=0.1)),
        (lambda p: optim.Adagrad(p, lr=0.1), lambda p: torch.optim.Adagrad(p, lr=0.1)),
        (lambda p: optim.Adam(p, lr=0.1, lazy=True), lambda p: torch.optim.SparseAdam(p, lr=0.1)),
    ):
        layer = nn.Embedding.from_pretrained(table)
        layer.sparse = True
        twin = torch.nn.Embedding(6, 2, sparse=True, dtype=torch.float64)
        twin.weight.data[...] = torch.tensor(table)
        optimizers = ours(list(layer.parameters())), theirs(list(twin.parameters()))
        for step in range(6):
            for model, optimizer, array in ((layer, optimizers[0], tensor), (twin, optimizers[1], torch.tensor)):
                optimizer.zero_grad()
                ((model(array(ids[step % 2])) - step) ** 2).sum().backward()
                optimizer.step()
            # SparseAdam adds eps before the correction of v, Adam, there and here, after it.
            np.testing.assert_allclose(layer.weight.data, twin.weight.detach().numpy(), rtol=1e-5, atol=1e-7)
        sparse = layer.weight.grad.coalesce(), twin.weight.grad.coalesce()
        assert sparse[0].indices.tolist() == sparse[1].indices()[0].tolist()
        np.testing.assert_allclose(sparse[0].values.data, sparse[1].values().numpy(), rtol=1e-5)


def test_checkpointed_gradients() -> None:
    from torch.utils.checkpoint import checkpoint as theirs

    x, t = tensor(X, requires_grad=True), torch.tensor(X, requires_grad=True)
    checkpoint(one(tg), x).backward()
    theirs(one(torch), t, use_reentrant=False).backward()
    np.testing.assert_allclose(x.grad.data, t.grad.numpy(), rtol=1e-10)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32", "bool"])
def test_memory_is_shared_with_torch(dtype: str) -> None:
    ours = tg.zeros((2, 3), dtype=dtype)
    theirs = torch.from_dlpack(ours)
    assert theirs.data_ptr() == ours.data.ctypes.data
    theirs[0, 0] = 1
    assert ours[0, 0].item() == 1
    back = tg.from_dlpack(theirs.T)
    assert back.shape == (3, 2)
    assert np.shares_memory(back.data, ours.data)
    back[2, 1] = 1
    assert theirs[1, 2] == 1
    assert torch.from_numpy(ours.numpy()).data_ptr() == theirs.data_ptr()
    assert np.shares_memory(np.asarray(ours), theirs.numpy())


def test_what_requires_a_gradient_stays_home() -> None:
    with pytest.raises(BufferError, match=r"detach\(\) it first"):
        torch.from_dlpack(tensor([1.0], requires_grad=True))
    with pytest.raises(ValueError, match=r"from_dlpack: .*detach\(\)"):
        tg.from_dlpack(torch.ones(1, requires_grad=True))
    with pytest.raises(TypeError, match="from_dlpack|float16"):
        tg.from_dlpack(torch.ones(1, dtype=torch.bfloat16))
