"""Every primitive, from its declaration alone, against every law; shapes and values drawn by Hypothesis."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_rnn.cells  # noqa: F401  (it registers primitives of its own)
from tinygrad_rnn.autograd import ops, tensor
from tinygrad_rnn.autograd.primitive import INTERPRETERS, REGISTRY, Domain, Primitive, case, primitive, reals
from tinygrad_rnn.autograd.tensor import constant
from tinygrad_rnn.testing import adjointcheck, check, strategies
from tinygrad_rnn.testing.calls import calls, draw
from tinygrad_rnn.testing.laws import LAWS, Symbol, symbols

KINDS = ("elementwise", "reduction", "pairing", "structural")
ELEMENTWISE = sorted(name for name, p in REGISTRY.items() if p.kind == "elementwise")
REDUCTIONS = sorted(name for name, p in REGISTRY.items() if p.kind == "reduction")
FEW = settings(max_examples=12)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_laws(name: str, law: str) -> None:
    LAWS[law](REGISTRY[name])


def differentiable(name: str) -> bool:
    return any(rule is not None for rule in REGISTRY[name].rules)


# ---- drawn shapes and values --------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise_broadcasts(name: str) -> None:
    p = REGISTRY[name]

    @FEW
    @given(strategies.broadcastable(len(p.domain)), st.integers(0, 2**32))
    def holds(shapes: tuple[tuple[int, ...], ...], seed: int) -> None:
        rng = np.random.default_rng(seed)
        arrays = [draw(domain, shape, rng) for domain, shape in zip(p.domain, shapes)]
        with np.errstate(all="ignore"):
            expected = np.asarray(p.oracle(*arrays))
        result = p(*map(constant, arrays))
        assert result.shape == np.broadcast_shapes(*shapes)
        np.testing.assert_allclose(result.data, expected, rtol=1e-11, atol=1e-11)
        if differentiable(name) and any(a.dtype.kind == "f" for a in arrays):
            adjointcheck(p, arrays)

    holds()


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise_values_of_a_domain(name: str) -> None:
    p = REGISTRY[name]

    @FEW
    @given(st.data())
    def holds(data: st.DataObject) -> None:
        shape = data.draw(strategies.shapes(max_dims=2))
        arrays = [data.draw(strategies.arrays(domain, shape)) for domain in p.domain]
        np.testing.assert_allclose(p(*map(constant, arrays)).data, p.oracle(*arrays), rtol=1e-11, atol=1e-11)

    holds()


@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions_over_any_axes(name: str) -> None:
    p = REGISTRY[name]
    one_axis = name.startswith("arg")
    of_nothing = name in ("sum", "prod", "length", "any", "all")

    @FEW
    @given(st.data(), st.booleans(), st.integers(0, 2**32))
    def holds(data: st.DataObject, keepdims: bool, seed: int) -> None:
        shape = data.draw(strategies.shapes(min_side=0 if of_nothing else 1))
        axes = st.sets(st.integers(0, len(shape) - 1)).map(tuple) if shape else st.just(())
        single = st.integers(-len(shape), len(shape) - 1) if shape else st.none()
        axis = data.draw(st.none() | single if one_axis else st.none() | single | axes)
        x = draw(p.domain[0], shape, np.random.default_rng(seed))
        expected = np.asarray(p.oracle(x, axis=axis, keepdims=keepdims))
        result = p(constant(x), axis=axis, keepdims=keepdims)
        assert result.shape == expected.shape
        np.testing.assert_allclose(result.data, expected, rtol=1e-11, atol=1e-11)
        if differentiable(name):
            adjointcheck(lambda t: p(t, axis=axis, keepdims=keepdims), [x])

    holds()


# ---- declarations -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_declarations_are_complete(name: str) -> None:
    p = REGISTRY[name]
    assert p.name == name
    assert p.oracle is not None
    assert p.domain
    assert p.kind in KINDS
    assert p.pull is None or not p.rules, "rules or pull, not both"
    assert len(p.rules) <= len(p.domain)
    assert set(p.fused) <= set(range(len(p.rules)))


def test_nothing_is_registered_untested() -> None:
    def forward(x: np.ndarray) -> np.ndarray:
        return x

    with pytest.raises(ValueError, match="forward: an oracle, a domain"):
        primitive(rules=[None], oracle=None, domain=[reals()])(forward)
    with pytest.raises(ValueError, match="an oracle, a domain and, unless it is elementwise, cases"):
        primitive(rules=[None], oracle=np.positive, domain=[reals()], kind="structural")(forward)
    with pytest.raises(ValueError, match="tanh: registered twice"):
        primitive(rules=[None], oracle=np.tanh, domain=[reals()], name="tanh")(forward)
    assert REGISTRY["tanh"] is ops.tanh


def test_every_public_operation_is_a_primitive_or_composed_of_them() -> None:
    composed = {
        "clip",
        "concat",
        "diagonal",
        "dot",
        "einsum",
        "gelu",
        "masked_fill",
        "matrix_transpose",
        "norm",
        "outer",
        "pad",
        "repeat",
        "selu",
        "softplus",
        "split",
        "stack",
        "std",
        "swapaxes",
        "take",
        "tensordot",
        "tile",
        "tril",
        "triu",
        "unstack",
        "vecdot",
        "vector_norm",
    }
    assert {name for name in ops.__all__ if not isinstance(getattr(ops, name), Primitive)} == composed


# ---- what rules read ----------------------------------------------------------------------------------------------
def plan_of(operation: Any, wanted: int) -> tuple[bool, tuple[int, ...], tuple[int, ...]]:
    plan = operation.plan(wanted)
    return plan.keeps_result, plan.drops, plan.likes


def test_the_tape_keeps_what_the_rules_name() -> None:
    assert plan_of(ops.tanh, 0b11) == (True, (0,), ())
    assert plan_of(ops.log, 0b11) == (False, (), ())
    assert plan_of(ops.add, 0b111) == (False, (0, 1), ())
    assert plan_of(ops.multiply, 0b111) == (False, (), ())
    assert plan_of(ops.multiply, 0b101) == (False, (0,), ()), "x * constant needs the constant alone"
    assert plan_of(ops.multiply, 0b110) == (False, (1,), ())
    assert plan_of(ops.sum, 0b11) == (False, (), (0,))
    assert plan_of(ops.joined, 0b1111) == (False, (), (0, 1, 2))
    assert plan_of(ops.matmul, 0b111) == (False, (), ())


def test_an_argument_is_not_kept_for_its_shape() -> None:
    x = tensor(np.ones((3, 4)), requires_grad=True)
    product = x * 2.0
    total = product.sum()
    assert not any(isinstance(v, np.ndarray) for v in total._node.saved)
    total.backward()
    assert x.grad.tolist() == [[2.0] * 4] * 3


# ---- interpreters -------------------------------------------------------------------------------------------------
def test_operations_serve_any_interpreter() -> None:
    with symbols() as applied:
        result = ops.tanh(ops.add(Symbol(), 1.0))
        ops.maximum(2.0, b=Symbol())
    assert isinstance(result, Symbol)
    assert [p.name for p in applied] == ["add", "tanh", "maximum"]
    assert Symbol not in INTERPRETERS


def test_arrays_compute_and_record_nothing() -> None:
    x = np.array([0.5, -1.0])
    assert type(ops.tanh(x)) is np.ndarray
    assert type(ops.sum(x, 0)) in (np.ndarray, np.float64)
    assert ops.tanh([0.5]).dtype == np.float32
    assert ops.add(1, 2.5).dtype == np.float32


# ---- the tests can fail -------------------------------------------------------------------------------------------
def planted(monkeypatch: pytest.MonkeyPatch, name: str, position: int, rule: Callable[..., Any]) -> Primitive:
    """A primitive of the library with another rule."""
    p = REGISTRY[name]
    rules = list(p.rules)
    rules[position] = rule
    monkeypatch.setattr(p, "rules", tuple(rules))
    monkeypatch.setattr(p, "fused", {})
    monkeypatch.setattr(p, "plans", {})
    return p


MISTAKES: dict[str, tuple[str, int, Callable[..., Any]]] = {
    "scaled": ("tanh", 0, lambda g, y, _x: 1.001 * g * (1 - y * y)),
    "wrong sign": ("subtract", 1, lambda g, _y, _a, _b: g),
    "wrong argument": ("multiply", 0, lambda g, _y, a, _b: g * a),
    "lost tie share": (
        "max",
        0,
        lambda g, y, x, axis=None, keepdims=False: (
            ops.where(ops.equal(x, ops.broadcast_to(ops.max(x, axis, True), x.shape)), 1.0, 0.0) * ops.sum(g)
        ),
    ),
    "off-by-one axis": (
        "cumulative_sum",
        0,
        lambda g, _y, x, axis=None: ops.flip(ops.cumulative_sum(ops.flip(g, 0), 0), 0),
    ),
    "forgotten count": (
        "mean",
        0,
        lambda g, _y, x, axis=None, keepdims=False: ops.broadcast_to(
            ops.reshape(g, g.shape if keepdims or axis is not None else (1,) * x.ndim), x.shape
        ),
    ),
    "forgotten permutation": ("permute_dims", 0, lambda g, _y, x, axes: ops.reshape(g, x.shape)),
    "overwritten duplicates": ("index", 0, lambda g, _y, x, index: _assigned(g, x, index)),
    "shifted by one": ("take", 0, lambda g, _y, x, indices: ops.scattered(g, x.shape, (indices + 1) % len(x))),
    "no gradient": ("exp", 0, lambda g, y, _x: g * 0),
    "constant in a derivative": ("sigmoid", 0, lambda g, y, _x: g * np.asarray(y) * (1 - y)),
}


def _assigned(g: Any, x: Any, index: Any) -> Any:
    out = np.zeros(x.shape)
    out[index] = np.asarray(g)
    return out


@pytest.mark.parametrize("mistake", MISTAKES)
def test_planted_mistakes_are_caught(mistake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, position, rule = MISTAKES[mistake]
    p = planted(monkeypatch, name, position, rule)
    with pytest.raises((AssertionError, ValueError), match=r"analytic|rule gave a gradient|do not fit|broadcast"):
        check(p)


def test_lost_precision_beside_a_python_number_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    # where() of Python's numbers is float32: log(2.0) would have half of its digits.
    p = planted(monkeypatch, "pow", 1, lambda g, y, a, _b: g * y * ops.log(ops.where(ops.equal(a, 0), 1.0, a)))
    with pytest.raises(AssertionError, match="another gradient with numbers"):
        check(p)


def test_a_transposed_factor_is_caught() -> None:
    def declared(rule: Callable[..., Any]) -> Primitive:
        return primitive(
            rules=[rule, lambda g, _y, a, _b: ops.matmul(a.T, g)],
            oracle=np.matmul,
            domain=[reals(), reals()],
            kind="pairing",
            cases=[case((3, 3), (3, 3))],
            register=False,
        )(lambda a, b: a @ b)

    assert check(declared(lambda g, _y, _a, b: ops.matmul(g, b.T)))
    with pytest.raises(AssertionError, match="analytic"):
        check(declared(lambda g, _y, _a, b: ops.matmul(g, b)))


def test_a_forgotten_sum_over_broadcast_axes_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    from tinygrad_rnn.autograd import backward

    def first_of_each(g: Any, shape: tuple[int, ...]) -> Any:
        for _ in range(g.ndim - len(shape)):
            g = g[0]
        return g[tuple(slice(0, 1) if n == 1 else slice(None) for n in shape)]

    monkeypatch.setattr(backward, "unbroadcast", first_of_each)
    with pytest.raises(AssertionError, match="add.*analytic 1, numeric 4|add.*numeric"):
        check(ops.add)


def declare(**changes: Any) -> Primitive:
    """A small primitive, with a mistake."""
    settings_ = dict(rules=[lambda g, _y, x: g * (3 * x * x)], oracle=lambda x: x**3, domain=[reals()]) | changes
    forward = settings_.pop("forward", lambda x: x * x * x)
    return primitive(register=False, name="cube", **settings_)(forward)


def wrong_dtype(x: np.ndarray) -> np.ndarray:
    return (x * x * x).astype(np.float64)


def modifies(x: np.ndarray) -> np.ndarray:
    y = x * x * x
    if x.flags.writeable:
        x += 1
    return y


def looks_at_strides(x: np.ndarray) -> np.ndarray:
    return x * x * x if x.flags.c_contiguous else x * x * x * 1.01


def loses_nan(x: np.ndarray) -> np.ndarray:
    return np.nan_to_num(x * x * x)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(oracle=lambda x: x**3 * 1.00002), "expected"),
        (dict(forward=wrong_dtype), "of float32 gives float64"),
        (dict(forward=modifies), "input 0 was modified"),
        (dict(forward=looks_at_strides), "another result for (transposed|reversed|strided) inputs"),
        (dict(forward=loses_nan), "at NaN"),
        (dict(fused={0: lambda g, _y, x: g * (3 * x)}), "analytic|differ"),
        (dict(rules=[lambda g, _y, x: g * (3 * np.asarray(x) * x)]), "gradgradcheck|does not run on symbols"),
        (dict(rules=[lambda g, _y, x: g * (3 * ops.sum(x) * x)]), "analytic"),
        (
            dict(rules=[lambda g, _y, x: ops.reshape(g, g.shape) * (3 * x * x)]),
            "does not run on symbols|its rules use reshape",
        ),
    ],
    ids=lambda v: v if isinstance(v, str) else "+".join(v),
)
def test_planted_declarations_are_caught(changes: dict[str, Any], message: str) -> None:
    assert check(declare())
    with pytest.raises(AssertionError, match=message):
        check(declare(**changes))


def test_laws_need_an_oracle() -> None:
    with pytest.raises(ValueError, match="cube: declared without an oracle"):
        check(declare(oracle=None))


def test_domains_draw_what_they_say(rng: np.random.Generator) -> None:
    x = draw(Domain(-1, 1, (0.0,), gap=0.25), (1000,), rng)
    assert np.abs(x).min() >= 0.25
    assert np.abs(x).max() <= 1
    assert draw(Domain(-2, 2, dtype="int64"), (100,), rng).dtype == np.int64
    assert set(draw(Domain(dtype="bool"), (100,), rng)) == {False, True}
    assert case((2, 3), axis=0).keywords == (("axis", 0),)
    assert [c.arrays[0].shape for c in calls(ops.reshape)] == [c.shapes[0] for c in ops.reshape.cases]


@pytest.fixture(autouse=True)
def unchanged_registry() -> Iterator[None]:
    before = dict(REGISTRY)
    yield
    assert before == REGISTRY
