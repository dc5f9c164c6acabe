r"""Functions of functions: products with a Jacobian from either side, whole Jacobians and Hessians.

For y = f(x) with the Jacobian J, J[i, j] = d y_i / d x_j, a backward pass computes g -> J^T g.  All else follows:

    vjp        J^T g: one backward pass
    jvp        J u.  g -> J^T g is linear, and its own transpose is J: a backward pass through the backward pass
    jacobian   J^T e_i a row, or J e_j a column, whichever are fewer
    hvp        H v, with H the Hessian: J^T v of the gradient, since H is symmetric (Pearlmutter 1994)
    hessian    the Jacobian of the gradient

Each takes a function of Tensors that returns Tensors.  Nothing is accumulated in `.grad`.  Results can be
differentiated again, by these functions or by `backward`, if they depend on a tensor outside that requires a gradient:
an input, or a parameter that the function holds.  Under no_grad() they cannot.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import ops
from .backward import grad
from .graph import behind
from .mode import MODE, enable_grad
from .node import Node
from .record import passed
from .sparse import RowSparse
from .tensor import Tensor, constant, on_graph


def vjp(fn: Callable[..., Any], *inputs: Any) -> tuple[Any, Callable[..., tuple[Tensor, ...]]]:
    """A function's value, and the map from gradients of its outputs to gradients of its inputs.

    Parameters
    ----------
    fn : callable
        fn(*inputs) -> Tensor, or a tuple of Tensors.
    inputs : floating Tensors or arrays

    Returns
    -------
    outputs : what fn returned
    pull : callable
        pull(*cotangents) -> tuple, one an input, of its shape and dtype: J^T g, zeros where nothing flows.  A cotangent
        an output, of its shape and dtype; none are needed for outputs of one element (1).  May be called repeatedly.

    Raises
    ------
    TypeError, ValueError
        For inputs that are not floating, outputs that are no Tensors, cotangents of another number, shape or dtype.
    """
    run = _Run("vjp", fn, inputs)

    def pull(*cotangents: Any) -> tuple[Tensor, ...]:
        if cotangents and len(cotangents) != len(run.outputs):
            raise ValueError(f"vjp: pull takes one cotangent for each of {len(run.outputs)} outputs, got "
                             f"{len(cotangents)}")
        return run.pull(cotangents or [None] * len(run.outputs))

    return run.result(), pull


def jvp(fn: Callable[..., Any], inputs: Any, tangents: Any) -> tuple[Any, Any]:
    """A function's value, and its derivative along a direction.

    Parameters
    ----------
    fn : callable
        fn(*inputs) -> Tensor, or a tuple of Tensors.
    inputs, tangents : a floating Tensor or array each, or tuples of equal length
        A tangent an input, of its shape and dtype.

    Returns
    -------
    outputs, tangents_out
        What fn returned, and J u in the same form.

    Raises
    ------
    TypeError, ValueError
        As `vjp`; for tangents that do not fit the inputs.

    Notes
    -----
    J u is the derivative of <J^T g, u> with respect to g, whatever g is: one forward and two backward passes, and no
    rule beyond those that backward has.
    """
    several = isinstance(inputs, (tuple, list))
    listed, directions = (list(inputs), list(tangents)) if several else ([inputs], [tangents])
    if len(listed) != len(directions):
        raise ValueError(f"jvp: one tangent for each of {len(listed)} inputs is needed, got {len(directions)}")
    run = _Run("jvp", fn, listed)
    directions = [_like("jvp", f"tangents[{k}]", u, x) for k, (u, x) in enumerate(zip(directions, run.inputs))]
    out = run.push([directions])[0]
    return run.result(), tuple(out) if run.several else out[0]


def jacobian(fn: Callable[[Any], Tensor], x: Any) -> Tensor:
    """All derivatives of a function: J[i, j] = d fn(x)[i] / d x[j], for multi-indices i and j.

    Parameters
    ----------
    fn : callable
        fn(x) -> Tensor.
    x : floating Tensor or array

    Returns
    -------
    Tensor, fn(x).shape + x.shape

    Raises
    ------
    TypeError, ValueError
        As `vjp`; if fn gives several outputs.
    """
    return _jacobian("jacobian", fn, x)


def hessian(fn: Callable[[Any], Tensor], x: Any) -> Tensor:
    """All second derivatives of a scalar function.

    Parameters
    ----------
    fn : callable
        fn(x) -> Tensor of one element.
    x : floating Tensor or array

    Returns
    -------
    Tensor, x.shape + x.shape
        Symmetric, but for rounding.

    Raises
    ------
    TypeError, ValueError
        As `vjp`; if fn(x) is no scalar.
    """
    return _jacobian("hessian", lambda t: _gradient("hessian", fn, t), x)


def hvp(fn: Callable[[Any], Tensor], x: Any, v: Any) -> Tensor:
    """The Hessian of a scalar function times a vector, without the Hessian: about twice the cost of a gradient.

    Parameters
    ----------
    fn : callable
        fn(x) -> Tensor of one element.
    x : floating Tensor or array
    v : Tensor or array of the shape and dtype of x

    Returns
    -------
    Tensor, x.shape

    Raises
    ------
    TypeError, ValueError
        As `vjp`; if fn(x) is no scalar, or v does not fit x.
    """
    run = _Run("hvp", lambda t: _gradient("hvp", fn, t), [x])
    product: Tensor
    product, = run.pull([_like("hvp", "v", v, run.inputs[0])], retain=False)
    return product


# ---- one evaluation -------------------------------------------------------------------------------------------------
class _Run:
    """A function evaluated on inputs of its own, and the graph of that."""

    def __init__(self, who: str, fn: Callable[..., Any], inputs: Sequence[Any]) -> None:
        self.who = who
        self.inputs = [_inside(who, k, x) for k, x in enumerate(inputs)]
        with enable_grad():
            outputs = fn(*self.inputs)
        self.several = isinstance(outputs, (tuple, list))
        self.outputs: list[Tensor] = list(outputs) if self.several else [outputs]
        for y in self.outputs:
            if not isinstance(y, Tensor):
                raise TypeError(f"{who}: fn must return a Tensor or a tuple of Tensors, got {type(y).__name__}")
        # Someone outside may differentiate again if a leaf was reached that is none of ours.
        own = {t._node for t in self.inputs}
        leaves = (n for n in behind(y._node for y in self.outputs) if n.plan is None)
        self.open = MODE.get().grad and any(n not in own for n in leaves)

    def result(self) -> Any:
        """The outputs as fn gave them, off the tape if nobody outside has a part in them."""
        given = self.outputs if self.open else [y.detach() for y in self.outputs]
        return tuple(given) if self.several else given[0]

    def pull(self, cotangents: Sequence[Any], retain: bool = True, record: bool = False) -> tuple[Any, ...]:
        """J^T g."""
        pairs = [(y, g) for y, g in zip(self.outputs, cotangents) if y._node is not None]
        found: tuple[Any, ...] = (None,) * len(self.inputs)
        if pairs:
            again = record or MODE.get().grad and (
                self.open or any(isinstance(g, Tensor) and g.requires_grad for _, g in pairs))
            found = grad([y for y, _ in pairs], self.inputs, [g for _, g in pairs], create_graph=again,
                         allow_unused=True, retain_graph=retain)
        return tuple(_dense(g, x) for g, x in zip(found, self.inputs))

    def push(self, directions: Sequence[Sequence[Any]]) -> list[list[Tensor]]:
        """J u for each of several directions u, one an input: one an output."""
        seeds = [constant(np.zeros(y.shape, y.dtype)).requires_grad_() if y.dtype.kind == "f" else None
                 for y in self.outputs]
        pulled = self.pull(seeds, record=True)
        wanted = [s for s in seeds if s is not None]
        results = []
        for u in directions:
            pairs = [(g, d) for g, d in zip(pulled, u) if g._node is not None]
            found: Any = [None] * len(wanted)
            if pairs:
                again = MODE.get().grad and (self.open or any(isinstance(d, Tensor) and d.requires_grad for d in u))
                found = grad([g for g, _ in pairs], wanted, [d for _, d in pairs], create_graph=again,
                             allow_unused=True, retain_graph=True)
            given = iter(found)
            results.append([_dense(None if s is None else next(given), y) for s, y in zip(seeds, self.outputs)])
        return results


def _inside(who: str, k: int, x: Any) -> Tensor:
    """An input of its own for the function: a leaf, or on the tape a new place behind the input's."""
    t = x if isinstance(x, Tensor) else Tensor(x)
    if t.dtype.kind != "f":
        raise TypeError(f"{who}: inputs[{k}] must be floating to be differentiated, got dtype {t.dtype}; let fn hold "
                        "what is not")
    node: Node | None = t._node if MODE.get().grad else None
    return constant(t._data).requires_grad_() if node is None else on_graph(t._data, passed(node, "input"))


def _gradient(who: str, fn: Callable[[Any], Any], t: Tensor) -> Tensor:
    """The gradient of a scalar function, recorded."""
    y = fn(t)
    if not isinstance(y, Tensor) or y.size != 1:
        what = f"a Tensor of shape {y.shape}" if isinstance(y, Tensor) else type(y).__name__
        raise ValueError(f"{who}: fn must return a Tensor of one element, got {what}")
    found = grad(y, t, create_graph=True, allow_unused=True)[0] if y.requires_grad else None
    return _dense(found, t)


def _jacobian(who: str, fn: Callable[[Any], Any], x: Any) -> Tensor:
    run = _Run(who, fn, [x])
    if run.several:
        raise ValueError(f"{who}: fn must return one Tensor, got {len(run.outputs)}")
    (y,), (x,) = run.outputs, run.inputs
    if not x.size or not y.size:
        return constant(np.zeros(y.shape + x.shape, x.dtype))
    # A column costs about twice as much as a row: it runs through the backward pass and through its record.
    if 2 * x.size < y.size:
        columns = run.push([[e] for e in _units(x)])
        flat = ops.stack([c for c, in columns], -1)     # y.shape + (n,)
    else:
        flat = ops.stack([run.pull([e])[0] for e in _units(y)])     # (m,) + x.shape
    whole: Tensor = ops.reshape(flat, y.shape + x.shape)
    return whole


def _units(t: Tensor) -> Any:
    """One at each position in turn, zeros elsewhere."""
    for k in range(t.size):
        e = np.zeros(t.size, t.dtype)
        e[k] = 1
        yield e.reshape(t.shape)        # (size,) -> t.shape


def _like(who: str, name: str, v: Any, x: Tensor) -> Tensor:
    """A vector for x, checked."""
    t = v if isinstance(v, Tensor) else Tensor(v)
    if t.shape != x.shape:
        raise ValueError(f"{who}: {name} must have the shape of the input, {x.shape}, got {t.shape}")
    if t.dtype != x.dtype and not isinstance(v, (list, tuple, int, float)):
        raise TypeError(f"{who}: {name} must have the dtype of the input, {x.dtype}, got {t.dtype}; use "
                        f"astype({x.dtype})")
    return t if t.dtype == x.dtype else Tensor(v, x.dtype)


def _dense(g: Any, like: Tensor) -> Tensor:
    """A gradient as a Tensor; zeros for none."""
    if g is None:
        return constant(np.zeros(like.shape, like.dtype))
    return g.to_dense() if isinstance(g, RowSparse) else g
