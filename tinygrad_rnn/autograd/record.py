"""What an operation does when it is given Tensors: compute, and remember how."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from .anomaly import check_result, user_line
from .errors import explain
from .mode import MODE
from .node import Node, Parts, tick
from .primitive import INTERPRETERS, Plan, Primitive
from .tensor import Tensor, constant, on_graph
from .writes import LATEST, check_arguments


def record(primitive: Primitive, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run an operation on Tensors; remember it if any argument requires a gradient.

    Parameters
    ----------
    primitive : Primitive
    args : Tensors, arrays, numbers
    kwargs : parameters, or arguments that were named

    Returns
    -------
    Tensor, or a tuple of Tensors for an operation with several results.
    """
    if kwargs and any(isinstance(v, Tensor) for v in kwargs.values()):
        args, kwargs = primitive.positional(args, kwargs), {}
    values: list[Any] = []
    edges: list[Node | None] = []
    wanted, bit, latest, written = 0, 1, LATEST[0], False
    for a in args:
        if isinstance(a, Tensor):
            values.append(a._data)
            node = a._node
            edges.append(node)
            if node is not None:
                wanted += bit
                if node.order > latest and node.plan is not None:
                    written = True
        else:
            values.append(a)
            edges.append(None)
        bit += bit
    mode = MODE.get()
    try:
        if mode.anomaly:        # which raises an error of its own for what NumPy would warn of
            with np.errstate(all="ignore"):
                y = primitive.forward(*values, **kwargs)
        else:
            y = primitive.forward(*values, **kwargs)
    except (TypeError, ValueError, IndexError) as error:
        explain(primitive, values, error)
    if mode.anomaly:
        check_result(primitive, values, y)
    several = type(y) is tuple
    if type(y) is not np.ndarray and not several:
        y = np.asarray(y)
    if not wanted or not mode.grad:
        return tuple(map(constant, y)) if several else constant(y)
    if written:
        check_arguments(primitive, args)
    plan = primitive.plans.get(wanted + bit) or primitive.plan(wanted + bit)
    site = user_line() if mode.anomaly else None
    if several:
        return parts(_node(plan, edges, values, kwargs, y, None, None, site), primitive, y)
    dtype = y.dtype
    if dtype.kind != "f" or not plan.taped and plan.pull is None:      # no derivative
        return constant(y)
    return on_graph(y, _node(plan, edges, values, kwargs, y, y.shape, dtype, site))


def _node(plan: Plan, edges: list[Any], values: list[Any], kwargs: dict[str, Any], y: Any, shape: Any, dtype: Any,
          site: str | None) -> Node:
    """The node of a call: it keeps what the rules of the plan read."""
    for k in plan.drops:
        values[k] = None
    for k in plan.likes:
        if edges[k] is not None:
            values[k] = edges[k]
    node = Node()
    node.plan = plan
    node.edges = edges
    node.saved = (y if plan.keeps_result else None, *values)
    node.keywords = kwargs
    node.shape = shape
    node.dtype = dtype
    node.order = tick()
    node.hooks = None
    node.site = site
    return node


def recorded_call(primitive: Primitive, args: tuple[Any, ...], shape: Any, dtype: Any) -> Node:
    """The node of a call whose result somebody else computes, and whose rules read no result."""
    edges = [a._node if isinstance(a, Tensor) else None for a in args]
    check_arguments(primitive, args)
    wanted = sum(1 << k for k, edge in enumerate(edges) if edge is not None) + (1 << len(args))
    plan = primitive.plans.get(wanted) or primitive.plan(wanted)
    site = user_line() if MODE.get().anomaly else None
    return _node(plan, edges, [a._data if isinstance(a, Tensor) else a for a in args], {}, None, shape, dtype, site)


def passed(node: Node, name: str) -> Node:
    """A new node that hands its gradient on to another, under a name."""
    return _node(_passing(name), [node], [None], {}, None, node.shape, node.dtype, node.site)


@functools.cache
def _passing(name: str) -> Plan:
    """The plan of doing nothing."""
    def rule(g: Any, _y: Any, _x: Any) -> Any:
        return g

    return Primitive(_passing, rules=[rule], kind="structural", name=name).plan(0b11)


# ---- operations with several results --------------------------------------------------------------------------------
# Each result is a node of its own above that of the operation, which therefore runs when all have their gradients.

def parts(node: Node, primitive: Primitive, y: tuple[np.ndarray, ...]) -> tuple[Tensor, ...]:
    """The results of an operation that has several."""
    plan = _selection(primitive)
    results = []
    for k, array in enumerate(y):
        selection = None
        if array.dtype.kind == "f":
            position = {"position": k, "count": len(y)}
            selection = _node(plan, [node], [None], position, None, array.shape, array.dtype, node.site)
        results.append(on_graph(array, selection))
    return tuple(results)


@functools.cache
def _selection(primitive: Primitive) -> Plan:
    """The plan of picking one result; it goes by the operation's own name."""
    def rule(g: Any, _y: Any, _results: Any, position: int, count: int) -> Parts:
        return Parts({position: g}, count)

    return Primitive(_selection, rules=[rule], kind="structural", name=primitive.name).plan(0b11)


INTERPRETERS[Tensor] = record
