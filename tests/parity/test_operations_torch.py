"""Operations of indexing, sorting, joining and shape beside PyTorch's, at shapes that Hypothesis draws."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn import tensor
from tinygrad_rnn.nn import functional

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.parity
FEW = settings(max_examples=8)
SHAPES = st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple)


def values(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """No two alike, so that nothing ties, none near a kink."""
    size = int(np.prod(shape))
    rng = np.random.default_rng(seed)
    return (rng.permutation(np.arange(1, size + 1)) * rng.choice([-1.0, 1.0], size) / 3 + 0.1).reshape(shape)


def listed(y: Any) -> list[Any]:
    return list(y) if isinstance(y, (list, tuple)) else [y]


def alike(ours: Callable[..., Any], theirs: Callable[..., Any], *arrays: np.ndarray) -> None:
    """Values, shapes, and the gradients of all floating arguments for a random cotangent."""
    a = [tensor(x, requires_grad=True) for x in arrays]
    b = [torch.tensor(x, requires_grad=True) for x in arrays]
    rng = np.random.default_rng(5)
    total, other = tensor(0.0), torch.tensor(0.0)
    for y, z in zip(listed(ours(*a)), listed(theirs(*b)), strict=True):
        assert y.shape == tuple(z.shape)
        np.testing.assert_allclose(y.data, z.detach().numpy(), rtol=1e-9, atol=1e-11)
        if y.dtype.kind == "f":
            v = rng.standard_normal(y.shape)
            total, other = total + (y * v).sum(), other + (z * torch.tensor(v)).sum()
    total.backward()
    other.backward()
    for s, t in zip(a, b):
        expected = np.zeros(s.shape) if t.grad is None else t.grad.numpy()
        found = np.zeros(s.shape) if s.grad is None else s.grad.data
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11)


def drawn(data: Any, shapes: Any = SHAPES) -> tuple[np.ndarray, int]:
    """An array, and one of its axes."""
    x = values(data.draw(shapes), data.draw(st.integers(0, 9)))
    return x, data.draw(st.integers(-x.ndim, x.ndim - 1))


def places(data: Any, x: np.ndarray, axis: int, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """Positions along an axis; elsewhere x's shape, or no larger."""
    sizes = list(shape or [data.draw(st.integers(1, n)) for n in x.shape])
    sizes[axis] = data.draw(st.integers(1, 5))
    return np.random.default_rng(data.draw(st.integers(0, 9))).integers(0, x.shape[axis], sizes)


# ---- by position ----------------------------------------------------------------------------------------------------
@FEW
@given(st.data())
def test_take_along_axis(data) -> None:
    x, axis = drawn(data)
    where = places(data, x, axis, x.shape)
    alike(lambda t: tg.take_along_axis(t, where, axis), lambda t: torch.gather(t, axis, torch.tensor(where)), x)


@FEW
@given(st.data())
def test_scatter(data) -> None:
    """Each place once: of several for one place PyTorch does not say which stays."""
    x, axis = drawn(data)
    sizes = [data.draw(st.integers(1, n)) for n in x.shape]
    where = np.argsort(np.random.default_rng(1).random(x.shape), axis)[tuple(map(slice, sizes))]
    alike(lambda t, v: tg.scatter(t, where, v, axis), lambda t, v: t.scatter(axis, torch.tensor(where), v), x,
          values(where.shape, 3))


@FEW
@given(st.data())
def test_scatter_add(data) -> None:
    x, axis = drawn(data)
    where = places(data, x, axis)
    added = values(where.shape, 3)
    alike(lambda t, v: tg.scatter_add(t, where, v, axis), lambda t, v: t.scatter_add(axis, torch.tensor(where), v), x,
          added)
    alike(lambda t, v: (t * 1.0).scatter_add_(where, v, axis), lambda t, v: (t * 1.0).scatter_add_(
        axis, torch.tensor(where), v), x, added)


# ---- order ----------------------------------------------------------------------------------------------------------
@FEW
@given(st.data(), st.booleans())
def test_sort_and_topk(data, largest) -> None:
    x, axis = drawn(data)
    k = data.draw(st.integers(1, x.shape[axis]))
    alike(lambda t: tg.sort(t, axis, largest), lambda t: torch.sort(t, axis, largest)[0], x)
    alike(lambda t: tg.argsort(t, axis, largest) + t * 0, lambda t: torch.argsort(t, axis, largest) + t * 0, x)
    alike(lambda t: tg.topk(t, k, axis, largest), lambda t: torch.topk(t, k, axis, largest), x)


@FEW
@given(st.data())
def test_cummax(data) -> None:
    x, axis = drawn(data)
    alike(lambda t: tg.cummax(t, axis), lambda t: tuple(torch.cummax(t, axis)), x)


# ---- products -------------------------------------------------------------------------------------------------------
@FEW
@given(st.sampled_from(["ij,jk->ik", "bij,bjk->bik", "ij->ji", "ii->i", "ii", "i,j->ij", "bi,ij,bj->b", "ijk->j",
                        "...i,ji->...j", "bhqd,bhkd->bhqk", "ij,kj,j->ik"]), st.data())
def test_einsum(equation, data) -> None:
    size = {letter: data.draw(st.integers(1, 4)) for letter in "ijkbhqd"}
    operands = equation.split("->")[0].split(",")
    arrays = [values(tuple(n for c in o.replace("...", "b") for n in [size[c]]), k) for k, o in enumerate(operands)]
    alike(lambda *a: tg.einsum(equation, *a), lambda *a: torch.einsum(equation, *a), *arrays)


@FEW
@given(st.data())
def test_outer_tensordot_vecdot(data) -> None:
    n, m, k = (data.draw(st.integers(1, 4)) for _ in range(3))
    alike(tg.outer, torch.outer, values((n,)), values((m,), 1))
    alike(lambda a, b: tg.tensordot(a, b, 1), lambda a, b: torch.tensordot(a, b, 1), values((n, k)), values((k, m), 1))
    alike(lambda a, b: tg.tensordot(a, b, ((2, 0), (0, 1))), lambda a, b: torch.tensordot(a, b, ((2, 0), (0, 1))),
          values((n, m, k)), values((k, n, 2), 1))
    alike(tg.vecdot, torch.linalg.vecdot, values((n, k)), values((n, k), 1))


# ---- shape ----------------------------------------------------------------------------------------------------------
@FEW
@given(st.data())
def test_roll_and_repeat(data) -> None:
    x, axis = drawn(data)
    shift, times = data.draw(st.integers(-5, 5)), data.draw(st.integers(1, 3))
    alike(lambda t: tg.roll(t, shift, axis), lambda t: torch.roll(t, shift, axis), x)
    alike(lambda t: tg.roll(t, shift), lambda t: torch.roll(t, shift), x)
    alike(lambda t: tg.repeat(t, times, axis), lambda t: torch.repeat_interleave(t, times, axis), x)
    alike(lambda t: tg.tile(t, (times, 2)), lambda t: torch.tile(t, (times, 2)), x)


@FEW
@given(st.data(), st.sampled_from(["constant", "reflect", "edge", "wrap"]))
def test_pad(data, mode) -> None:
    """Theirs pads the last axes of a batch, ours any."""
    x = values((2, 2, data.draw(st.integers(3, 5)), data.draw(st.integers(3, 5))))
    up, left = ((data.draw(st.integers(0, 2)), data.draw(st.integers(0, 2))) for _ in range(2))
    names = {"edge": "replicate", "wrap": "circular"}
    alike(lambda t: tg.pad(t, ((0, 0), (0, 0), up, left), mode),
          lambda t: torch.nn.functional.pad(t, (*left, *up), names.get(mode, mode)), x)


@FEW
@given(st.data(), st.integers(-4, 4))
def test_parts_of_matrices(data, k) -> None:
    x = values(data.draw(st.lists(st.integers(1, 4), min_size=2, max_size=3).map(tuple)))
    alike(lambda t: tg.tril(t, k), lambda t: torch.tril(t, k), x)
    alike(lambda t: tg.triu(t, k), lambda t: torch.triu(t, k), x)
    offset = min(max(k, 1 - x.shape[0]), x.shape[-1] - 1)
    alike(lambda t: tg.diagonal(t, offset, 0, -1), lambda t: torch.diagonal(t, offset, 0, -1), x)


@pytest.mark.parametrize("indexing", ["xy", "ij"])
def test_meshgrid(indexing) -> None:
    alike(lambda *t: tg.meshgrid(*t, indexing=indexing), lambda *t: torch.meshgrid(*t, indexing=indexing), values((3,)),
          values((4,), 1))


# ---- reductions and elementwise -------------------------------------------------------------------------------------
@FEW
@given(st.data(), st.booleans())
def test_prod_and_norm(data, keepdims) -> None:
    x, axis = drawn(data)
    alike(lambda t: tg.prod(t, axis, keepdims), lambda t: torch.prod(t, axis, keepdims), x)
    alike(lambda t: tg.prod(t * 0.5), lambda t: torch.prod(t * 0.5), x)
    for order in (1, 2, 3, np.inf, -np.inf):
        alike(lambda t, p=order: tg.vector_norm(t, axis, keepdims, p),
              lambda t, p=order: torch.linalg.vector_norm(t, p, axis, keepdims), x)


def test_products_with_zeros() -> None:
    for x in (np.array([[0.0, 2.0, 3.0]]), np.array([[0.0, 0.0, 3.0]]), np.array([[1.0, 2.0, 0.0]])):
        alike(lambda t: tg.prod(t, 1), lambda t: torch.prod(t, 1), x)


INSIDE = "asin acos atanh"
POSITIVE = "rsqrt reciprocal"
ABOVE = "acosh"
ANYWHERE = "tan sinh cosh atan asinh erf selu hardtanh ceil round"      # hardsigmoid: theirs takes 1/6 in float32


@pytest.mark.parametrize("name", f"{INSIDE} {POSITIVE} {ABOVE} {ANYWHERE}".split())
def test_elementwise(name) -> None:
    x = np.random.default_rng(8).uniform(-0.95, 0.95, (3, 4))
    x = np.abs(x) + 1.1 if name in ABOVE else np.abs(x) + 0.1 if name in POSITIVE else x if name in INSIDE else 4.1 * x
    theirs = getattr(torch, name, None) or getattr(torch.nn.functional, name)
    alike(getattr(tg, name), theirs, x)


# ---- images ---------------------------------------------------------------------------------------------------------
@FEW
@given(st.data())
def test_convolution(data) -> None:
    stride, dilation, padding = (data.draw(st.integers(1, 2)), data.draw(st.integers(1, 2)),
                                 data.draw(st.integers(0, 2)))
    channels, filters, k = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
    for axes, name in ((1, "conv1d"), (2, "conv2d")):
        x = values((2, channels, *(6, 7)[:axes])) / 9
        w, b = values((filters, channels, *(k, 2)[:axes]), 1) / 9, values((filters,), 2)
        options = {"stride": stride, "padding": padding, "dilation": dilation}
        alike(lambda *a, n=name, o=options: getattr(functional, n)(*a, **o),
              lambda *a, n=name, o=options: getattr(torch.nn.functional, n)(*a, **o), x, w, b)


@FEW
@given(st.data())
def test_windows(data) -> None:
    k, stride = data.draw(st.integers(2, 3)), data.draw(st.integers(1, 3))
    x = values((2, 2, data.draw(st.integers(3, 6)), data.draw(st.integers(3, 6))))
    padding = data.draw(st.integers(0, 1))
    alike(lambda t: functional.max_pool2d(t, k, stride, padding),
          lambda t: torch.nn.functional.max_pool2d(t, k, stride, padding), x)
    alike(lambda t: functional.unfold(t, k, padding=padding, stride=stride),
          lambda t: torch.nn.functional.unfold(t, k, padding=padding, stride=stride), x)
