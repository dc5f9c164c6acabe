"""Operations beside PyTorch's: values, first and second derivatives, dtypes, ties; and graphs at random."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import tensor
from tinygrad_rnn.autograd import grad
from tinygrad_rnn.autograd.ops import linear, nll_of_logits

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.parity

RNG = np.random.default_rng(11)
X = RNG.standard_normal((3, 4))
Y = RNG.standard_normal((3, 4))
P = np.abs(X) + 0.2
B = RNG.standard_normal((2, 3, 4))
TIES = np.array([[1.0, 3.0, 3.0, 0.0], [2.0, 2.0, 2.0, 2.0], [-1.0, -1.0, 0.0, -5.0]])
IDX = np.array([2, 0, 2, 2])
T_IDX = torch.tensor(IDX)

Pair = tuple[Callable[..., Any], Callable[..., Any], list[np.ndarray]]

UNARY: dict[str, tuple[str, np.ndarray]] = {
    "exp": ("exp", X),
    "expm1": ("expm1", X),
    "log": ("log", P),
    "log1p": ("log1p", P),
    "sqrt": ("sqrt", P),
    "square": ("square", X),
    "abs": ("abs", X),
    "sign": ("sign", X),
    "sin": ("sin", X),
    "cos": ("cos", X),
    "tanh": ("tanh", X),
    "sigmoid": ("sigmoid", X),
    "relu": ("relu", X),
    "erf": ("erf", X),
    "negative": ("neg", X),
    "floor": ("floor", X),
}

OPERATIONS: dict[str, Pair] = {
    name: (getattr(tg, name), getattr(torch, other), [x]) for name, (other, x) in UNARY.items()
}
OPERATIONS |= {
    "abs at 0": (tg.abs, torch.abs, [np.zeros(3)]),
    "relu at 0": (tg.relu, torch.relu, [np.zeros(3)]),
    "leaky_relu": (
        lambda x: tg.leaky_relu(x, 0.2),
        lambda x: torch.nn.functional.leaky_relu(x, 0.2),
        [np.append(X, 0.0)],
    ),
    "elu": (lambda x: tg.elu(x, 1.3), lambda x: torch.nn.functional.elu(x, 1.3), [np.append(X, 0.0)]),
    "gelu": (tg.gelu, torch.nn.functional.gelu, [X]),
    "gelu tanh": (lambda x: tg.gelu(x, "tanh"), lambda x: torch.nn.functional.gelu(x, approximate="tanh"), [X]),
    "silu": (tg.silu, torch.nn.functional.silu, [X]),
    "softplus": (tg.softplus, torch.nn.functional.softplus, [X]),
    "softplus beta": (lambda x: tg.softplus(x, 2.0), lambda x: torch.nn.functional.softplus(x, 2.0), [X]),
    "add": (tg.add, torch.add, [X, B]),
    "subtract": (tg.subtract, torch.subtract, [B, X[0]]),
    "multiply": (tg.multiply, torch.multiply, [X[:, :1], B]),
    "divide": (tg.divide, torch.divide, [X, P]),
    "remainder": (tg.remainder, torch.remainder, [X, P]),
    "pow": (tg.pow, torch.pow, [P, Y]),
    "pow of 0": (tg.pow, torch.pow, [np.zeros(4), np.array([0.0, 1.0, 2.0, 3.0])]),
    "cube": (lambda x: x**3, lambda x: x**3, [X]),
    "power of 2": (lambda x: 2**x, lambda x: 2**x, [X]),
    "reciprocal": (lambda x: 1 / x, lambda x: 1 / x, [P]),
    "maximum": (tg.maximum, torch.maximum, [X, Y]),
    "maximum ties": (tg.maximum, torch.maximum, [TIES, TIES[:, ::-1].copy()]),
    "minimum ties": (tg.minimum, torch.minimum, [TIES, TIES[:, ::-1].copy()]),
    "clip": (lambda x: tg.clip(x, -0.5, 0.7), lambda x: torch.clip(x, -0.5, 0.7), [X]),
    "where": (lambda x, y: tg.where(X > 0, x, y), lambda x, y: torch.where(torch.tensor(X > 0), x, y), [X, B]),
    "masked_fill": (lambda x: tg.masked_fill(x, X > 0, 2.0), lambda x: x.masked_fill(torch.tensor(X > 0), 2.0), [X]),
    "sum": (tg.sum, torch.sum, [B]),
    "sum axes": (lambda x: tg.sum(x, (0, 2)), lambda x: torch.sum(x, (0, 2)), [B]),
    "sum keepdims": (lambda x: tg.sum(x, 1, True), lambda x: torch.sum(x, 1, True), [B]),
    "mean": (lambda x: tg.mean(x, 1), lambda x: torch.mean(x, 1), [B]),
    "var": (lambda x: tg.var(x, -1, 1), lambda x: torch.var(x, -1), [B]),
    "var 0": (lambda x: tg.var(x, (0, 1)), lambda x: torch.var(x, (0, 1), correction=0), [B]),
    "std": (lambda x: tg.std(x, 1, 1, True), lambda x: torch.std(x, 1, keepdim=True), [B]),
    "std of equals": (lambda x: tg.std(x, 1, 1), lambda x: torch.std(x, 1), [TIES]),
    "max": (lambda x: tg.max(x, 1), lambda x: torch.amax(x, 1), [X]),
    "max ties": (lambda x: tg.max(x, 1), lambda x: torch.amax(x, 1), [TIES]),
    "max ties of all": (tg.max, torch.max, [TIES]),
    "min ties": (lambda x: tg.min(x, (0, 1)), lambda x: torch.amin(x, (0, 1)), [TIES]),
    "logsumexp": (lambda x: tg.logsumexp(x, (0, 2)), lambda x: torch.logsumexp(x, (0, 2)), [B]),
    "softmax": (lambda x: tg.softmax(x, 1), lambda x: torch.softmax(x, 1), [B]),
    "log_softmax": (tg.log_softmax, lambda x: torch.log_softmax(x, -1), [B]),
    "cumulative_sum": (lambda x: tg.cumulative_sum(x, 1), lambda x: torch.cumsum(x, 1), [B]),
    "matmul": (tg.matmul, torch.matmul, [X, Y.T.copy()]),
    "matmul batched": (tg.matmul, torch.matmul, [B, Y.T.copy()]),
    "matmul of two batches": (tg.matmul, torch.matmul, [B, np.swapaxes(B, 1, 2).copy()]),
    "matmul of a batch and a vector": (tg.matmul, torch.matmul, [B, Y[0]]),
    "matmul of a vector and a batch": (tg.matmul, torch.matmul, [X[:, 0].copy(), B]),
    "dot": (tg.matmul, torch.matmul, [X[0], Y[0]]),
    "linear": (linear, torch.nn.functional.linear, [B, Y, X[:, 0].copy()]),
    "cross entropy": (
        lambda x: nll_of_logits(x, IDX[:3])[0],
        lambda x: torch.nn.functional.cross_entropy(x, T_IDX[:3], reduction="none"),
        [X],
    ),
    "reshape": (lambda x: tg.reshape(x, (4, 6)), lambda x: x.reshape(4, 6), [B]),
    "permute_dims": (lambda x: tg.permute_dims(x, (2, 0, 1)), lambda x: x.permute(2, 0, 1), [B]),
    "swapaxes": (lambda x: tg.swapaxes(x, 0, 2), lambda x: x.swapaxes(0, 2), [B]),
    "T": (lambda x: x.T, lambda x: x.T, [X]),
    "squeeze": (lambda x: tg.squeeze(x, 1), lambda x: x.squeeze(1), [B[:, :1]]),
    "expand_dims": (lambda x: tg.expand_dims(x, 1), lambda x: x.unsqueeze(1), [B]),
    "broadcast_to": (lambda x: tg.broadcast_to(x, (5, 3, 4)), lambda x: x.expand(5, 3, 4), [X]),
    "flip": (lambda x: tg.flip(x, (0, 2)), lambda x: x.flip(0, 2), [B]),
    "concat": (lambda x, y: tg.concat([x, y, x], 1), lambda x, y: torch.cat([x, y, x], 1), [X, Y]),
    "stack": (lambda x, y: tg.stack([x, y, x], -1), lambda x, y: torch.stack([x, y, x], -1), [X, Y]),
    "split": (
        lambda x: [p * float(k) for k, p in enumerate(tg.split(x, 2, 2))],
        lambda x: [p * float(k) for k, p in enumerate(torch.split(x, 2, 2))],
        [B],
    ),
    "unstack": (lambda x: tg.unstack(x, 1)[2] * 3.0, lambda x: x.unbind(1)[2] * 3.0, [B]),
    "index int": (lambda x: x[1], lambda x: x[1], [B]),
    "index slices": (lambda x: x[:, 1:, ::2], lambda x: x[:, 1:, ::2], [B]),
    "index ellipsis": (lambda x: x[..., None, 1], lambda x: x[..., None, 1], [B]),
    "index duplicates": (lambda x: x[IDX], lambda x: x[T_IDX], [X]),
    "index pairs": (lambda x: x[IDX, [0, 1, 0, 0]], lambda x: x[T_IDX, torch.tensor([0, 1, 0, 0])], [X]),
    "index mask": (lambda x: x[X > 0], lambda x: x[torch.tensor(X > 0)], [X]),
    "take": (lambda x: tg.take(x, IDX, 1), lambda x: torch.index_select(x, 1, T_IDX), [B]),
    "embedding": (
        lambda x: tg.take(x, IDX.reshape(2, 2), 0),
        lambda x: torch.nn.functional.embedding(T_IDX.reshape(2, 2), x),
        [X],
    ),
    "index_add": (
        lambda x, v: tg.index_add(x, IDX, v, 0),
        lambda x, v: x.index_add(0, T_IDX, v),
        [X, RNG.standard_normal((4, 4))],
    ),
    "index_add 1": (
        lambda x, v: tg.index_add(x, IDX, v, 1),
        lambda x, v: x.index_add(1, T_IDX, v),
        [B, RNG.standard_normal((2, 4, 4))],
    ),
}


def listed(y: Any) -> list[Any]:
    return list(y) if isinstance(y, (list, tuple)) else [y]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", OPERATIONS)
def test_values_and_gradients(name: str, dtype: Any) -> None:
    ours, theirs, arrays = OPERATIONS[name]
    a = [tensor(x.astype(dtype), requires_grad=True) for x in arrays]
    b = [torch.tensor(x.astype(dtype), requires_grad=True) for x in arrays]
    tolerance = dict(rtol=1e-9, atol=1e-11) if dtype == np.float64 else dict(rtol=2e-5, atol=2e-5)
    seeds = np.random.default_rng(0)
    total, other = tensor(0.0), torch.tensor(0.0)
    for y, z in zip(listed(ours(*a)), listed(theirs(*b)), strict=True):
        assert y.shape == tuple(z.shape)
        assert y.dtype == dtype
        np.testing.assert_allclose(y.data, z.detach().numpy(), **tolerance)
        v = seeds.standard_normal(y.shape).astype(dtype)
        total, other = total + (y * v).sum(), other + (z * torch.tensor(v)).sum()
    total.backward()
    other.backward()
    if "clip" in name:
        assert not np.isin(arrays[0], (-0.5, 0.7)).any(), "at a bound we share the gradient, PyTorch gives all to x"
    for s, t in zip(a, b):
        np.testing.assert_allclose(s.grad.data, t.grad.numpy(), **tolerance)
        assert s.grad.dtype == dtype


KINKED = ("ties", "of 0", "equals", "sign", "floor")


@pytest.mark.parametrize("name", [name for name in OPERATIONS if not any(word in name for word in KINKED)])
def test_second_derivatives(name: str) -> None:
    ours, theirs, arrays = OPERATIONS[name]
    a = [tensor(x, requires_grad=True) for x in arrays]
    b = [torch.tensor(x, requires_grad=True) for x in arrays]
    y = sum((p * p).sum() for p in listed(ours(*a)))
    z = sum((p * p).sum() for p in listed(theirs(*b)))
    first = grad(y, a, create_graph=True)
    other = torch.autograd.grad(z, b, create_graph=True)
    sum((g * g * g).sum() for g in first).backward()
    sum((g * g * g).sum() for g in other).backward()
    for s, t in zip(a, b):
        np.testing.assert_allclose(s.grad.data, t.grad.numpy(), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("a", ["float32", "float64", "int64", "int32", "bool"])
@pytest.mark.parametrize("b", ["float32", "float64", "int64", "int32", "bool", int, float])
def test_dtypes(a: str, b: Any) -> None:
    x = np.ones(2, a)
    other = b(2) if isinstance(b, type) else np.ones(2, b)
    theirs = other if isinstance(b, type) else torch.tensor(other)
    for name in ("add", "multiply", "maximum", "divide"):
        if name == "maximum" and isinstance(b, type):
            continue
        result = getattr(torch, name)(torch.tensor(x), theirs)
        assert getattr(tg, name)(tensor(x), other).dtype == str(result.dtype).removeprefix("torch."), name


UNARY_STEPS = ["tanh", "sigmoid", "exp", "sin", "relu", "square"]


@pytest.mark.parametrize("seed", range(25))
def test_random_graphs(seed: int) -> None:
    """Fan-out, broadcasting and reuse, as no list of operations has them."""
    rng = np.random.default_rng(seed)
    arrays = [rng.standard_normal((3, 1)), rng.standard_normal(4), rng.standard_normal((2, 3, 4))]
    a = [tensor(x, requires_grad=True) for x in arrays]
    b = [torch.tensor(x, requires_grad=True) for x in arrays]
    ours, theirs = list(a), list(b)
    for _ in range(15):
        i, j = rng.integers(len(ours), size=2)
        if rng.random() < 0.4:
            step = rng.choice(UNARY_STEPS)
            ours.append(getattr(tg, step)(tg.tanh(ours[i])))
            theirs.append(getattr(torch, step)(torch.tanh(theirs[i])))
        else:
            step = rng.choice(["add", "multiply", "subtract"])
            ours.append(getattr(tg, step)(ours[i], ours[j]))
            theirs.append(getattr(torch, step)(theirs[i], theirs[j]))
    sum(y.mean() for y in ours[-6:]).backward()
    sum(z.mean() for z in theirs[-6:]).backward()
    for s, t in zip(a, b):
        assert (s.grad is None) == (t.grad is None)
        if s.grad is not None:
            np.testing.assert_allclose(s.grad.data, t.grad.numpy(), rtol=1e-9, atol=1e-12)
