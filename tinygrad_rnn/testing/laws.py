"""The laws of a primitive, from its declaration alone: what oracle, domain and cases are for.

A law is a function of a primitive that raises an AssertionError where it is broken.  `check` runs them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..autograd import Tensor, grad
from ..autograd.primitive import INTERPRETERS, REGISTRY, Primitive
from ..autograd.tensor import constant
from .calls import Call, calls, draw
from .gradcheck import adjointcheck, gradcheck, gradgradcheck

FLOATS = (np.dtype(np.float64), np.dtype(np.float32))
TOLERANCE = {np.dtype(np.float32): 3e-6, np.dtype(np.float64): 1e-11}


# ---- laws of values -------------------------------------------------------------------------------------------------
def value(primitive: Primitive) -> None:
    """Forward equals the oracle in float32 and float64, keeps the dtype, and does not modify its inputs."""
    for call in calls(primitive):
        for dtype in FLOATS:
            arrays = _as(call.arrays, dtype)
            expected = call.oracle(*_as(arrays, np.float64))
            before = [a.copy() for a in arrays]
            results = call(*map(constant, arrays))
            for k, (a, b) in enumerate(zip(arrays, before)):
                _demand(np.array_equal(a, b), call, f"input {k} was modified")
            _same(call, results, expected, dtype)


def layout(primitive: Primitive) -> None:
    """Results and gradients do not depend on strides: transposed, reversed, every second element, broadcast."""
    for call in calls(primitive):
        expected = [r.data for r in _listed(call(*map(constant, call.arrays)))]
        expected_gradients = _gradients(call, call.arrays)
        for name, change in LAYOUTS.items():
            arrays = [change(a) for a in call.arrays]
            results = [r.data for r in _listed(call(*map(constant, arrays)))]
            for a, b in zip(results, expected):
                _demand(np.allclose(a, b, rtol=1e-14, atol=1e-14), call, f"another result for {name} inputs")
            for g, h in zip(_gradients(call, arrays), expected_gradients):
                _demand(np.allclose(g, h, rtol=1e-12, atol=1e-12), call, f"another gradient for {name} inputs")


LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "transposed": lambda a: np.asfortranarray(a) if a.ndim else a,
    "reversed": lambda a: np.flip(np.flip(a).copy()),
    "strided": lambda a: np.repeat(a, 2, axis=-1)[..., ::2] if a.ndim else a,
    "read-only": lambda a: _frozen(a.copy()),
}


def special(primitive: Primitive) -> None:
    """NaN, infinities and zeros of either sign give what the oracle gives, where that is no NaN of its own making."""
    if primitive.kind != "elementwise" or any(d.dtype != "float64" for d in primitive.domain):
        return
    numbers = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -2.0])
    arrays = [np.asarray(a) for a in np.meshgrid(*[numbers] * len(primitive.domain), indexing="ij")]
    call = Call(primitive, arrays)
    expected = np.asarray(call.oracle(*arrays))
    missing = np.logical_or.reduce([np.isnan(a) for a in arrays])
    for dtype in FLOATS:
        with np.errstate(all="ignore"):
            y = call(*map(constant, _as(arrays, dtype))).data
        known = missing | ~np.isnan(expected) if expected.dtype.kind == "f" else np.ones(y.shape, bool)
        _demand(np.allclose(y[known], expected[known], rtol=1e-5, equal_nan=True), call,
                f"at NaN, infinities or zeros ({dtype}): {y[known]}, expected {expected[known]}")


def weak(primitive: Primitive) -> None:
    """A Python number beside an array is as good as an array of the same dtype, in values and gradients."""
    if primitive.kind != "elementwise" or len(primitive.domain) < 2:
        return
    rng = np.random.default_rng(5)
    for k, domain in enumerate(primitive.domain):
        if domain.dtype != "float64":
            continue
        for dtype in FLOATS:
            arrays = _as([draw(d, (3, 2) if j == k or d.dtype == "bool" else (), rng)
                          for j, d in enumerate(primitive.domain)], dtype)
            numbers = [a.item() if a.dtype.kind == "f" and j != k else a for j, a in enumerate(arrays)]
            call = Call(primitive, arrays)
            x, z = (constant(arrays[k]).requires_grad_() for _ in range(2))
            y = call(*numbers[:k], x, *numbers[k + 1:])
            expected = call(*arrays[:k], z, *arrays[k + 1:])
            _demand(y.dtype == expected.dtype, call, f"with numbers gives {y.dtype}, with arrays {expected.dtype}")
            _demand(np.allclose(y.data, expected.data, rtol=TOLERANCE[dtype]), call, "another result with numbers")
            if expected.requires_grad:
                (g,), (h,) = grad(y.sum(), x), grad(expected.sum(), z)
                _demand(np.allclose(g.data, h.data, rtol=TOLERANCE[dtype]), call, "another gradient with numbers")


# ---- laws of gradients ----------------------------------------------------------------------------------------------
def jacobian(primitive: Primitive) -> None:
    """The Jacobian equals finite differences."""
    for call in _differentiable(primitive):
        _run(gradcheck, call)


def adjoint(primitive: Primitive) -> None:
    """<v, J u> = <J^T v, u>."""
    for call in _differentiable(primitive, seed=1):
        _run(adjointcheck, call)


def second_order(primitive: Primitive) -> None:
    """Second derivatives equal finite differences of the first, where they exist."""
    if primitive.smooth:
        for call in _differentiable(primitive, seed=2):
            _run(gradgradcheck, call)


def gradient_dtype(primitive: Primitive) -> None:
    """Gradients have their argument's shape and dtype, whatever the others'."""
    for call in _differentiable(primitive):
        for k in range(len(call.arrays)):
            dtypes = [FLOATS[1] if j == k else FLOATS[0] for j in range(len(call.arrays))]
            arrays = [a.astype(d) if a.dtype.kind == "f" else a for a, d in zip(call.arrays, dtypes)]
            for a, g in zip([a for a in arrays if a.dtype.kind == "f"], _gradients(call, arrays)):
                _demand(g.shape == a.shape and g.dtype == a.dtype, call,
                        f"the gradient of a {a.dtype} argument of shape {a.shape} is {g.dtype} {g.shape}")


def fused(primitive: Primitive) -> None:
    """A fused backward kernel gives what the rule gives, and so does the recorded pass."""
    for call in _differentiable(primitive, seed=3):
        plain = _gradients(call, call.arrays)
        for g, h in zip(plain, _gradients(call, call.arrays, create_graph=True)):
            _demand(np.allclose(g, h, rtol=1e-10, atol=1e-12), call, "the array pass and the recorded pass differ")


def symbolic(primitive: Primitive) -> None:
    """The rules of an elementwise primitive use only arithmetic and elementwise primitives: they run on symbols."""
    if primitive.kind != "elementwise":
        return
    with symbols() as applied:
        for position in range(len(primitive.domain)):
            rule = primitive.rule(position)
            if rule is None:
                continue
            try:
                result = rule(Symbol(), Symbol(), *(Symbol() for _ in primitive.domain))
            except Exception as error:
                raise AssertionError(f"{primitive.name}: the rule of argument {position} does not run on symbols: "
                                     f"{error!r}") from error
            _demand(isinstance(result, Symbol), Call(primitive, []), f"the rule of argument {position} gives no symbol")
    foreign = {p.name for p in applied if p.kind != "elementwise" or REGISTRY.get(p.name) is not p}
    _demand(not foreign, Call(primitive, []), f"its rules use {', '.join(sorted(foreign))}")


LAWS: dict[str, Callable[[Primitive], None]] = {law.__name__: law for law in (
    value, layout, special, weak, jacobian, adjoint, second_order, gradient_dtype, fused, symbolic)}


def check(primitive: Primitive) -> bool:
    """Hold a primitive to every law: values, layouts, first and second derivatives, dtypes, symbols.

    Parameters
    ----------
    primitive : Primitive
        Declared with oracle, domain and, unless it is elementwise, cases.

    Returns
    -------
    bool
        True.

    Raises
    ------
    AssertionError
        Naming the law's finding and the call.
    """
    for law in LAWS.values():
        law(primitive)
    return True


# ---- a symbol that only remembers what was done to it ---------------------------------------------------------------
class Symbol:
    """Stands for an argument of a rule; see `symbols`."""

    __hash__ = object.__hash__

    def _apply(self, *others: Any) -> Symbol:
        return Symbol()

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _apply
    __truediv__ = __rtruediv__ = __pow__ = __neg__ = _apply


@contextmanager
def symbols() -> Iterator[list[Primitive]]:
    """Let operations run on `Symbol`s inside; gives the list of the primitives that did."""
    applied: list[Primitive] = []

    def interpreter(primitive: Primitive, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Symbol:
        applied.append(primitive)
        return Symbol()

    INTERPRETERS[Symbol] = interpreter
    try:
        yield applied
    finally:
        del INTERPRETERS[Symbol]


# ---- what they share ------------------------------------------------------------------------------------------------
def _demand(holds: Any, call: Call, what: str) -> None:
    if not holds:
        raise AssertionError(f"{call}: {what}")


def _as(arrays: Sequence[np.ndarray], dtype: Any) -> list[np.ndarray]:
    return [a.astype(dtype) if a.dtype.kind == "f" else a for a in arrays]


def _frozen(a: np.ndarray) -> np.ndarray:
    a.flags.writeable = False
    return a


def _listed(results: Any) -> list[Tensor]:
    return list(results) if isinstance(results, tuple) else [results]


def _same(call: Call, results: Any, expected: Any, dtype: np.dtype[Any]) -> None:
    """Values, shapes and dtypes as the oracle says; floats in the dtype of the inputs."""
    listed = expected if isinstance(expected, tuple) else (expected,)
    _demand(len(_listed(results)) == len(listed), call, "another number of results than the oracle")
    for r, e in zip(_listed(results), map(np.asarray, listed)):
        wanted = e.dtype if e.dtype.kind != "f" or "dtype" in call.keywords else dtype
        _demand(r.dtype == wanted, call, f"of {dtype} gives {r.dtype}, expected {wanted}")
        _demand(r.shape == e.shape, call, f"gives shape {r.shape}, expected {e.shape}")
        scale = TOLERANCE[dtype]
        _demand(np.allclose(r.data, e, rtol=scale, atol=scale), call, f"({dtype}) gives\n{r.data}\nexpected\n{e}")


def _gradients(call: Call, arrays: Sequence[np.ndarray], create_graph: bool = False) -> list[np.ndarray]:
    """J^T v for a fixed v, of each floating input; zeros where nothing flows."""
    leaves = [constant(a).requires_grad_(a.dtype.kind == "f") for a in arrays]
    outputs = [y for y in _listed(call(*leaves)) if y.requires_grad]
    wanted = [x for x in leaves if x.requires_grad]
    if not outputs or not wanted:
        return []
    rng = np.random.default_rng(4)
    v = [rng.standard_normal(y.shape).astype(y.dtype) for y in outputs]
    found = grad(outputs, wanted, v, create_graph=create_graph, allow_unused=True)
    return [np.zeros(x.shape, x.dtype) if g is None else g.data for x, g in zip(wanted, found)]


def _differentiable(primitive: Primitive, seed: int = 0) -> list[Call]:
    if primitive.pull is None and all(rule is None for rule in primitive.rules):
        return []
    return [c for c in calls(primitive, seed) if any(a.dtype.kind == "f" for a in c.arrays)
            and np.dtype(c.keywords.get("dtype", np.float64)) == np.float64]


def _run(checker: Callable[..., bool], call: Call) -> None:
    """A check of gradients, with the call in its message."""
    try:
        checker(call, call.arrays, atol=1e-6, rtol=1e-5)
    except AssertionError as error:
        raise AssertionError(f"{call}: {error}") from None
