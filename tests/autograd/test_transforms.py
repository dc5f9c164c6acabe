"""Products with Jacobians and Hessians, whole ones, and derivatives of those."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn import Tensor, nn, tensor
from tinygrad_rnn.autograd import hessian, hvp, jacobian, jvp, transforms, vjp

RNG = np.random.default_rng(5)
A, B = RNG.standard_normal((3, 4)), RNG.standard_normal((9, 2))


def many_to_few(x: Tensor) -> Tensor:
    """4 -> 3: rows are fewer."""
    return tg.tanh(A @ x) * x[:3] ** 2


def few_to_many(x: Tensor) -> Tensor:
    """2 -> (3, 3): columns are fewer."""
    return (tg.exp(0.3 * (B @ x)) * x[0]).reshape(3, 3)


def square(x: Tensor) -> Tensor:
    """(2, 2) -> (2, 2)."""
    return x @ x + x.T


def energy(x: Tensor) -> Tensor:
    """Any shape -> a number, with mixed second derivatives."""
    return (tg.sin(x) * x).sum() * tg.mean(x**2)


def numeric(fn: Callable[[Any], Any], x: np.ndarray, eps: float = 1e-6) -> np.ndarray:
    """The Jacobian by central differences."""
    columns = []
    for k in range(x.size):
        e = np.zeros(x.size)
        e[k] = eps
        e = e.reshape(x.shape)
        columns.append((np.asarray(fn(tensor(x + e))) - np.asarray(fn(tensor(x - e)))) / (2 * eps))
    return np.stack(columns, -1).reshape((*columns[0].shape, *x.shape))


CASES = {
    "rows": (many_to_few, (4,)),
    "columns": (few_to_many, (2,)),
    "square": (square, (2, 2)),
    "number": (energy, (2, 3)),
    "of a number": (lambda x: x * np.arange(3.0), ()),
}


@pytest.mark.parametrize(("fn", "shape"), CASES.values(), ids=CASES.keys())
def test_jacobian_and_the_products_with_it(fn: Any, shape: tuple[int, ...]) -> None:
    x = RNG.standard_normal(shape)
    J = jacobian(fn, tensor(x))
    y = fn(tensor(x))
    assert J.shape == y.shape + shape
    np.testing.assert_allclose(J.data, numeric(fn, x), rtol=1e-6, atol=1e-8)
    u, v = RNG.standard_normal(shape), RNG.standard_normal(y.shape)
    flat = J.data.reshape(y.size, x.size)
    value, out = jvp(fn, tensor(x), tensor(u))
    np.testing.assert_array_equal(value.data, y.data)
    np.testing.assert_allclose(out.data, (flat @ u.ravel()).reshape(y.shape), rtol=1e-12, atol=1e-12)
    value, pull = vjp(fn, x)
    np.testing.assert_array_equal(value.data, y.data)
    for _ in range(2):
        (d,) = pull(v)
        np.testing.assert_allclose(d.data, (v.ravel() @ flat).reshape(shape), rtol=1e-12, atol=1e-12)
    assert not any(t.requires_grad for t in (J, value, out, d)), "nobody outside has a part in it"


def test_rows_and_columns_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    pushed = []
    push = transforms._Run.push
    monkeypatch.setattr(transforms._Run, "push", lambda self, u: pushed.append(len(u)) or push(self, u))
    jacobian(few_to_many, RNG.standard_normal(2))
    assert pushed == [2]
    jacobian(many_to_few, RNG.standard_normal(4))
    assert pushed == [2]


@settings(max_examples=30)
@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 2**32))
def test_adjoint_identity(n: int, m: int, seed: int) -> None:
    """<v, J u> = <J^T v, u>, the two computed by different passes."""
    rng = np.random.default_rng(seed)
    W, c = rng.standard_normal((m, n)), rng.standard_normal(m)

    def fn(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        h = tg.tanh(W @ a * c)
        return h * b, tg.logsumexp(h) + b.sum()

    inputs, u = ([rng.standard_normal(n), rng.standard_normal(m)] for _ in range(2))
    v = rng.standard_normal(m), rng.standard_normal(())
    _, out = jvp(fn, tuple(map(tensor, inputs)), tuple(map(tensor, u)))
    _, pull = vjp(fn, *map(tensor, inputs))
    left = sum(float((a * np.asarray(b)).sum()) for a, b in zip(v, out))
    right = sum(float((a * np.asarray(b)).sum()) for a, b in zip(u, pull(*v)))
    np.testing.assert_allclose(left, right, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("shape", [(4,), (2, 3), ()])
def test_hessian_and_its_product(shape: tuple[int, ...]) -> None:
    x, v = RNG.standard_normal(shape), RNG.standard_normal(shape)
    H = hessian(energy, tensor(x))
    assert H.shape == shape + shape
    np.testing.assert_allclose(H.data, numeric(lambda t: jacobian(energy, t), x), rtol=1e-6, atol=1e-7)
    flat = H.data.reshape(x.size, x.size)
    np.testing.assert_allclose(flat, flat.T, atol=1e-12)
    product = hvp(energy, tensor(x), tensor(v))
    np.testing.assert_allclose(product.data, (flat @ v.ravel()).reshape(shape), rtol=1e-10, atol=1e-10)
    assert not product.requires_grad
    assert not H.requires_grad


def test_known_hessians() -> None:
    M = RNG.standard_normal((3, 3))
    np.testing.assert_allclose(hessian(lambda x: 0.5 * (x @ (M @ x)), RNG.standard_normal(3)).data, (M + M.T) / 2)
    assert hessian(lambda x: x.sum(), np.ones(3)).tolist() == np.zeros((3, 3)).tolist()
    assert hvp(lambda x: tensor(1.0), np.ones(3), np.ones(3)).tolist() == [0, 0, 0]
    assert jacobian(lambda x: tensor([1.0, 2.0]), np.ones(3)).tolist() == np.zeros((2, 3)).tolist()
    x = tensor([0.5, -1.0], dtype=tg.float64)
    third = jacobian(lambda t: hessian(lambda s: (s**4).sum(), t), x)
    expected = np.zeros((2, 2, 2))
    expected[[0, 1], [0, 1], [0, 1]] = 24 * x.data
    np.testing.assert_allclose(third.data, expected)


def test_forward_over_reverse_equals_reverse_over_reverse() -> None:
    x, v = tensor(RNG.standard_normal(4)), tensor(RNG.standard_normal(4))
    _, out = jvp(lambda t: jacobian(energy, t), x, v)
    np.testing.assert_allclose(out.data, hvp(energy, x, v).data, rtol=1e-10)


# ---- others have a part in it ---------------------------------------------------------------------------------------
def test_gradients_flow_to_what_the_function_holds() -> None:
    w = tensor(2.0, dtype=tg.float64, requires_grad=True)
    x = tensor([1.0, 3.0], dtype=tg.float64)
    for result, expected in (
        (jacobian(lambda t: w * t**3, x), 3 * x.data**2),
        (vjp(lambda t: w * t**3, x)[1](np.ones(2))[0], 3 * x.data**2),
        (jvp(lambda t: w * t**3, x, tg.ones_like(x))[1], 3 * x.data**2),
        (hvp(lambda t: (w * t**3).sum(), x, tg.ones_like(x)), 6 * x.data),
        (vjp(lambda t: w * t**3, x)[0], x.data**3),
    ):
        w.grad = None
        result.sum().backward()
        np.testing.assert_allclose(w.grad.data, expected.sum())


def test_gradients_flow_to_inputs_on_the_tape() -> None:
    x = tensor([0.5, 2.0], dtype=tg.float64, requires_grad=True)
    u = tensor([1.0, 1.0], dtype=tg.float64, requires_grad=True)
    y = x * 2.0
    for result, dx, du in (
        (jacobian(lambda t: t**3, y), 12 * y.data, None),
        (vjp(lambda t: t**3, y)[1](u)[0], 12 * y.data, 3 * y.data**2),
        (jvp(lambda t: t**3, y, u)[1], 12 * y.data, 3 * y.data**2),
        (hvp(lambda t: (t**3).sum(), y, u), np.full(2, 12.0), 6 * y.data),
        (hessian(lambda t: (t**3).sum(), y), np.full(2, 12.0), None),
    ):
        x.grad = u.grad = None
        result.sum().backward(retain_graph=True)
        np.testing.assert_allclose(x.grad.data, dx)
        assert (u.grad is None) == (du is None)
        if du is not None:
            np.testing.assert_allclose(u.grad.data, du)
    assert not tg.no_grad()(lambda: jacobian(lambda t: t**3, y))().requires_grad


def test_a_gradient_penalty_trains_a_module() -> None:
    # Gulrajani 2017: the penalty is a function of a gradient, its gradient one of the parameters.
    model = nn.Sequential(nn.Linear(3, 4, rng=0), nn.Tanh(), nn.Linear(4, 1, rng=1)).astype(tg.float64)
    x = RNG.standard_normal((5, 3))

    def penalty() -> Tensor:
        _, pull = vjp(model, x)
        return (pull(np.ones((5, 1)))[0] ** 2).sum()

    penalty().backward()
    weight = model[0].weight
    found, eps = weight.grad.data[1, 2], 1e-6
    values = []
    for step in (eps, -2 * eps):
        weight.data[1, 2] += step
        values.append(penalty().item())
    np.testing.assert_allclose(found, (values[0] - values[1]) / (2 * eps), rtol=1e-6)


def test_nothing_is_accumulated() -> None:
    w, x = tensor(2.0, requires_grad=True), tensor([1.0], requires_grad=True)
    for run in (
        lambda: jacobian(lambda t: w * t, x),
        lambda: hvp(lambda t: (w * t * t).sum(), x, [1.0]),
        lambda: jvp(lambda t: w * t, x, [1.0]),
        lambda: vjp(lambda t: w * t, x)[1]([1.0]),
    ):
        run()
        assert w.grad is None
        assert x.grad is None


def test_inside_no_grad() -> None:
    with tg.no_grad():
        assert jacobian(lambda t: t * t, np.array([3.0])).tolist() == [[6]]
        assert hvp(lambda t: (t**3).sum(), np.array([2.0]), np.array([1.0])).tolist() == [12]


def test_through_layers_whose_steps_are_compiled() -> None:
    layer = nn.GRU(2, 3, rng=0).astype(tg.float64)
    x, v = RNG.standard_normal((4, 1, 2)), RNG.standard_normal((4, 1, 2))

    def loss(t: Tensor) -> Tensor:
        return (layer(t)[0] ** 2).sum()

    product = hvp(loss, x, v)
    eps = 1e-5
    above, below = (jacobian(loss, x + s * eps * v).data for s in (1, -1))
    np.testing.assert_allclose(product.data, (above - below) / (2 * eps), rtol=1e-5, atol=1e-8)


def test_a_sparse_gradient_comes_out_dense() -> None:
    (d,) = vjp(lambda table: nn.functional.embedding([1, 1, 0], table, sparse=True), np.ones((3, 2)))[1](
        np.ones((3, 2))
    )
    assert d.tolist() == [[1, 1], [2, 2], [0, 0]]


def test_dtypes_are_kept() -> None:
    x = np.array([1.0, 2.0], np.float32)
    assert jacobian(lambda t: t.sin(), x).dtype == np.float32
    assert hvp(lambda t: t.sin().sum(), x, [1.0, 0.0]).dtype == np.float32
    assert jvp(lambda t: t.sin(), x, x)[1].dtype == np.float32
    y, pull = vjp(lambda t: (t.astype(tg.float64), t > 1), x)
    assert y[1].dtype == np.bool_
    assert pull(np.ones(2), None)[0].dtype == np.float32
    assert jacobian(lambda t: t.sum(), np.zeros((0, 3))).shape == (0, 3)


# ---- mistakes -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: jacobian(lambda t: t, [1, 2]), TypeError, r"jacobian: inputs\[0\] must be floating .* int64"),
        (lambda x: vjp(lambda a, b: a, x, np.array([True])), TypeError, r"vjp: inputs\[1\] must be floating"),
        (lambda x: jacobian(lambda t: 3.0, x), TypeError, "jacobian: fn must return a Tensor .* got float"),
        (lambda x: jacobian(lambda t: (t, t), x), ValueError, "jacobian: fn must return one Tensor, got 2"),
        (
            lambda x: hessian(lambda t: t, x),
            ValueError,
            r"hessian: fn must return a Tensor of one element, got a Tensor of",
        ),
        (
            lambda x: hvp(lambda t: t.tolist(), x, x),
            ValueError,
            "hvp: fn must return a Tensor of one element, got list",
        ),
        (
            lambda x: hvp(lambda t: t.sum(), x, [1.0]),
            ValueError,
            r"hvp: v must have the shape of the input, \(2,\), got",
        ),
        (
            lambda x: hvp(lambda t: t.sum(), x, np.ones(2, "f")),
            TypeError,
            "hvp: v must have the dtype .* float64, got float32",
        ),
        (lambda x: jvp(lambda t: t, x, np.ones(3)), ValueError, r"jvp: tangents\[0\] must have the shape of the input"),
        (
            lambda x: jvp(lambda a, b: a, (x, x), (x,)),
            ValueError,
            "jvp: one tangent for each of 2 inputs is needed, got 1",
        ),
        (lambda x: vjp(lambda t: t, x)[1](), ValueError, r"a tensor of shape \(2,\) is not a number: pass a gradient"),
        (lambda x: vjp(lambda t: t, x)[1](x, x), ValueError, "pull takes one cotangent for each of 1 outputs, got 2"),
        (
            lambda x: vjp(lambda t: t, x)[1](np.ones(3)),
            ValueError,
            r"gradient must have the shape of the tensor, \(2,\)",
        ),
    ],
)
def test_mistakes(call: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        call(np.array([1.0, 2.0]))
