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


def record(primitive: Primitive, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run an operation on Tensors; remember it if any argument requires a gradient.

    Parameters
    ----------
    primitive : Primitive
    args : Tensors, arrays, numbers
    kwargs : parameters that are no Tensors

    Returns
    -------
    Tensor, or a tuple of Tensors for an operation with several results.
    """
    values: list[Any] = []
    edges: list[Node | None] = []
    wanted, bit = 0, 1
    for a in args:
        if isinstance(a, Tensor):
            values.append(a._data)
            edges.append(a._node)
            if a._node is not None:
                wanted += bit
        else:
            values.append(a)
            edges.append(None)
        bit += bit
    try:
        y = primitive.forward(*values, **kwargs)
    except (TypeError, ValueError, IndexError) as error:
        explain(primitive, values, error)
    mode = MODE.get()
    if mode.anomaly:
        check_result(primitive, values, y)
    several = type(y) is tuple
    if type(y) is not np.ndarray and not several:
        y = np.asarray(y)
    if not wanted or not mode.grad:
        return tuple(map(constant, y)) if several else constant(y)
    plan = primitive.plan(wanted + bit)
    site = user_line() if mode.anomaly else None
    if several:
        return _several(plan, edges, values, kwargs, y, site)
    dtype = y.dtype
    if dtype.kind != "f" or not plan.taped and primitive.pull is None:      # no derivative
        return constant(y)
    node = Node()
    node.shape, node.dtype = y.shape, dtype
    _fill(node, plan, edges, values, kwargs, y, site)
    return on_graph(y, node)


def _fill(node: Node, plan: Plan, edges: list[Any], values: list[Any], kwargs: dict[str, Any], y: Any,
          site: str | None) -> None:
    """Keep what the rules of the plan read."""
    for k in plan.drops:
        values[k] = None
    for k in plan.likes:
        if edges[k] is not None:
            values[k] = edges[k]
    node.plan, node.edges, node.keywords = plan, edges, kwargs
    node.saved = (y if plan.keeps_result else None, *values)
    node.order, node.hooks, node.site = tick(), None, site


# ---- operations with several results --------------------------------------------------------------------------------
# Each result is a node of its own above that of the operation, which therefore runs when all of them have their
# gradients.

def _several(plan: Plan, edges: list[Any], values: list[Any], kwargs: dict[str, Any], y: tuple[np.ndarray, ...],
             site: str | None) -> tuple[Tensor, ...]:
    node = Node()
    node.shape = node.dtype = None
    _fill(node, plan, edges, values, kwargs, y, site)
    return parts(node, plan.primitive, y)


def parts(node: Node, primitive: Primitive, y: tuple[np.ndarray, ...]) -> tuple[Tensor, ...]:
    """The results of an operation that has several."""
    plan = _selection(primitive)
    results = []
    for position, array in enumerate(y):
        selection = None
        if array.dtype.kind == "f":
            selection = Node()
            selection.shape, selection.dtype = array.shape, array.dtype
            _fill(selection, plan, [node], [None], {"position": position, "count": len(y)}, None, node.site)
        results.append(on_graph(array, selection))
    return tuple(results)


@functools.cache
def _selection(primitive: Primitive) -> Plan:
    """The plan of picking one result; it goes by the operation's own name."""
    def rule(g: Any, _y: Any, _results: Any, position: int, count: int) -> Parts:
        return Parts({position: g}, count)

    return Primitive(_selection, rules=[rule], kind="structural", name=primitive.name).plan(0b11)


INTERPRETERS[Tensor] = record
