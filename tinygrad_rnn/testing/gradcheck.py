"""Derivatives against finite differences: how everything in this library is tested, and how to test your own.

Each function raises an AssertionError that names what is wrong, and returns True otherwise.  The numeric derivative is
the central difference (f(x + eps) - f(x - eps)) / (2 eps), whose error is of order eps^2 plus rounding / eps: it needs
float64.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..autograd import Tensor, grad
from ..autograd.primitive import as_array
from ..autograd.tensor import constant

Function = Callable[..., Any]


def gradcheck(fn: Function, inputs: Any, eps: float = 1e-6, atol: float = 1e-5, rtol: float = 1e-3) -> bool:
    """Compare every entry of the Jacobian of a function with a finite difference.

    Parameters
    ----------
    fn : callable
        fn(*inputs) -> Tensor, or a tuple or list of Tensors; deterministic, and smooth at the inputs.
    inputs : array_like or Tensor, or a sequence of them
        float64: each is differentiated; integers and bools are passed on.  Any strides; they are not modified.
    eps : float
        Step of the difference.
    atol, rtol : float
        |analytic - numeric| <= atol + rtol |numeric|.

    Returns
    -------
    bool
        True.

    Raises
    ------
    AssertionError
        With operation, input, index, analytic and numeric value; or if fn modified its inputs or is not deterministic.
    TypeError
        If an input is floating but not float64.
    ValueError
        If no input, or no result, is floating.
    """
    return _compare("gradcheck", _name(fn), fn, _arrays("gradcheck", inputs), eps, atol, rtol)


def gradgradcheck(fn: Function, inputs: Any, eps: float = 1e-6, atol: float = 1e-5, rtol: float = 1e-3) -> bool:
    """Compare second derivatives with finite differences of the first.

    The gradient of fn for fixed random cotangents v is a function of the inputs and of v: its Jacobian is checked as by
    `gradcheck`, with the same arguments, result and errors.
    """
    arrays = _arrays("gradgradcheck", inputs)
    rng = np.random.default_rng(0)
    cotangents = [rng.standard_normal(y.shape) for y in _floating(fn(*_leaves(arrays)))]

    def gradient(*args: Tensor) -> list[Tensor]:
        x, v = args[:len(arrays)], args[len(arrays):]
        wanted = [t for t in x if t.dtype.kind == "f"]
        pairs = [(y, c) for y, c in zip(_floating(fn(*x)), v) if y.requires_grad]
        if not pairs:
            return [constant(np.zeros(t.shape)) for t in wanted]
        found = grad([y for y, _ in pairs], wanted, [c for _, c in pairs], create_graph=True, allow_unused=True)
        return [constant(np.zeros(t.shape)) if g is None else g for t, g in zip(wanted, found)]

    return _compare("gradgradcheck", f"gradient of {_name(fn)}", gradient, [*arrays, *cotangents], eps, atol, rtol)


def adjointcheck(fn: Function, inputs: Any, eps: float = 1e-6, atol: float = 1e-5, rtol: float = 1e-3) -> bool:
    """Check <v, J u> = <J^T v, u> for random u and v: one backward pass and two evaluations, whatever the size.

    J u is the central difference along u.  Arguments, result and errors are those of `gradcheck`.
    """
    arrays = _arrays("adjointcheck", inputs)
    rng = np.random.default_rng(1)
    u = [rng.standard_normal(a.shape) if a.dtype.kind == "f" else None for a in arrays]
    leaves = _leaves(arrays)
    outputs = _floating(fn(*leaves))
    v = [rng.standard_normal(y.shape) for y in outputs]
    above, below = ([y.data for y in _floating(fn(*_leaves(
        [a if d is None else a + sign * eps * d for a, d in zip(arrays, u)])))] for sign in (1, -1))
    with np.errstate(all="ignore"):
        numeric = sum(float(np.sum(c * (p - m))) / (2 * eps) for c, p, m in zip(v, above, below))
    gradients = _pull(outputs, leaves, v)
    analytic = sum(float(np.sum(g * d)) for g, d in zip(gradients, u) if d is not None)
    if not abs(analytic - numeric) <= atol + rtol * abs(numeric):
        raise AssertionError(f"adjointcheck: {_name(fn)}{_last(outputs)}: <J^T v, u> is {analytic:.9g}, but <v, J u>, "
                             f"by finite differences, {numeric:.9g}")
    return True


# ---- the comparison -------------------------------------------------------------------------------------------------
def _compare(who: str, name: str, fn: Function, arrays: list[np.ndarray], eps: float, atol: float, rtol: float) -> bool:
    before = [a.copy() for a in arrays]
    leaves = _leaves(arrays)
    outputs = _floating(fn(*leaves))
    if not outputs:
        raise ValueError(f"{who}: {name} gave no floating result: there is nothing to differentiate")
    for first, second in zip(outputs, _floating(fn(*_leaves(arrays)))):
        if not np.array_equal(first.data, second.data, equal_nan=True):
            raise AssertionError(f"{who}: {name} gives different results for the same inputs")
    jacobians = _analytic(outputs, leaves)
    for k, (a, b) in enumerate(zip(arrays, before)):
        if not np.array_equal(a, b, equal_nan=a.dtype.kind == "f"):
            raise AssertionError(f"{who}: {name} modified input {k}")
    for k, a in enumerate(arrays):
        if a.dtype.kind != "f":
            continue
        for index in np.ndindex(a.shape):
            above, below = (_moved(fn, arrays, k, index, step) for step in (eps, -eps))
            for j, y in enumerate(outputs):
                numeric = (above[j] - below[j]) / (2 * eps)
                analytic = jacobians[j][k][(..., *index)]
                wrong = ~(np.abs(analytic - numeric) <= atol + rtol * np.abs(numeric))
                if wrong.any():
                    at = tuple(map(int, np.argwhere(wrong)[0]))
                    raise AssertionError(
                        f"{who}: {name}{_last([y])}: derivative of output {j} at {at} by input {k} at {index}: "
                        f"analytic {float(analytic[at]):.9g}, numeric {float(numeric[at]):.9g}")
    return True


def _analytic(outputs: list[Tensor], leaves: list[Tensor]) -> list[list[np.ndarray]]:
    """For each output and input the Jacobian, output.shape + input.shape, a row a backward pass."""
    jacobians = []
    for y in outputs:
        rows = []
        for index in np.ndindex(y.shape):
            v = np.zeros(y.shape, y.dtype)
            v[index] = 1
            rows.append(_pull([y], leaves, [v]))
        jacobians.append([np.array([row[k] for row in rows]).reshape(y.shape + x.shape) for k, x in enumerate(leaves)])
    return jacobians


def _pull(outputs: list[Tensor], leaves: list[Tensor], v: Sequence[np.ndarray]) -> list[np.ndarray]:
    """J^T v, one array an input; zeros where nothing flows."""
    wanted = [x for x in leaves if x.requires_grad]
    pairs = [(y, c) for y, c in zip(outputs, v) if y.requires_grad]
    found: dict[int, Any] = {}
    if pairs:
        gradients = grad([y for y, _ in pairs], wanted, [c for _, c in pairs], allow_unused=True, retain_graph=True)
        found = {id(x): g for x, g in zip(wanted, gradients) if g is not None}
    return [found[id(x)].data if id(x) in found else np.zeros(x.shape) for x in leaves]


def _moved(fn: Function, arrays: list[np.ndarray], k: int, index: tuple[int, ...], step: float) -> list[np.ndarray]:
    """The outputs with one element of one input moved."""
    moved = arrays[k].copy()
    moved[index] += step
    return [y.data for y in _floating(fn(*_leaves([*arrays[:k], moved, *arrays[k + 1:]])))]


# ---- inputs and outputs ---------------------------------------------------------------------------------------------
def _arrays(who: str, inputs: Any) -> list[np.ndarray]:
    """The inputs as arrays, checked."""
    listed = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
    arrays = [x.data if isinstance(x, Tensor) else as_array(x) for x in listed]
    for k, a in enumerate(arrays):
        if a.dtype.kind == "f" and a.dtype != np.float64:
            raise TypeError(f"{who}: inputs[{k}] must be float64, for finite differences in {a.dtype} are noise; use "
                            "astype(float64)")
    if not any(a.dtype.kind == "f" for a in arrays):
        raise ValueError(f"{who}: no input is floating: there is nothing to differentiate")
    return arrays


def _leaves(arrays: Sequence[np.ndarray]) -> list[Tensor]:
    """Leaf Tensors around the arrays, strides and all."""
    return [constant(a).requires_grad_(a.dtype.kind == "f") for a in arrays]


def _floating(outputs: Any) -> list[Tensor]:
    """The outputs that have derivatives."""
    listed = list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]
    for y in listed:
        if not isinstance(y, Tensor):
            raise TypeError(f"fn must return a Tensor, or a tuple or list of Tensors, got {type(y).__name__}")
    return [y for y in listed if y.dtype.kind == "f"]


def _name(fn: Function) -> str:
    return str(getattr(fn, "name", None) or getattr(fn, "__name__", None) or type(fn).__name__)


def _last(outputs: list[Tensor]) -> str:
    """The operation that made the outputs, for the message."""
    names = {y._made_by() for y in outputs if not y.is_leaf}
    return f" (by {', '.join(sorted(names))})" if names else ""
