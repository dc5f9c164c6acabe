"""The backward pass: walk the graph from the result to the leaves, newest operation first.

A node's arguments are older than the node, so the order of creation, reversed, is a topological order: no recursion, and
a graph of any depth is one sort.  Rules run on plain arrays, or on Tensors when the pass itself is to be recorded.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import numpy as np

from .mode import MODE, enable_grad, no_grad
from .primitive import as_array
from .tensor import Node, Parts, Tensor, constant, on_graph


def accumulate(root: Tensor, gradient: Any, retain: bool, create_graph: bool) -> None:
    """What Tensor.backward does."""
    seed = _seed("backward", root, gradient)
    for leaf, g, ours in _flow([root], [seed], None, retain, create_graph).values():
        _add_to_grad(leaf, g, ours)


def grad(outputs: Any, inputs: Any, grad_outputs: Any = None, create_graph: bool = False,
         allow_unused: bool = False, retain_graph: bool | None = None) -> tuple[Any, ...]:
    """Gradients of outputs with respect to inputs, returned and not accumulated.

    Parameters
    ----------
    outputs, inputs : Tensor or sequence of Tensors
    grad_outputs : array_like or sequence, optional
        One an output, of its shape; optional for outputs of one element (1).
    create_graph : bool
        Record the pass, so that the gradients can be differentiated again.
    allow_unused : bool
        Give None for an input that no output depends on, instead of raising.

    Returns
    -------
    tuple of Tensor
        One an input, of its shape.

    Raises
    ------
    ValueError
        For an input that is not used, a missing or misshapen grad_output, a freed graph.
    """
    roots, targets = _listed(outputs), _listed(inputs)
    seeds = _listed(grad_outputs) if grad_outputs is not None else [None] * len(roots)
    if len(seeds) != len(roots):
        raise ValueError(f"grad: grad_outputs must have one entry an output, got {len(seeds)} for {len(roots)}")
    for k, t in enumerate(targets):
        if not isinstance(t, Tensor) or not t.requires_grad:
            raise ValueError(f"grad: inputs[{k}] does not require a gradient; call requires_grad_() before computing")
    retain = create_graph if retain_graph is None else retain_graph
    found = _flow(roots, [_seed("grad", r, s) for r, s in zip(roots, seeds)], targets, retain, create_graph)
    result = []
    for k, t in enumerate(targets):
        entry = found.get(id(t._node or t))
        if entry is None and not allow_unused:
            raise ValueError(f"grad: inputs[{k}] of shape {t.shape} is not used by the outputs; allow_unused=True gives "
                             "None for it")
        result.append(None if entry is None else _as_tensor(entry[1]))
    return tuple(result)


def _listed(x: Any) -> list[Any]:
    return list(x) if isinstance(x, (list, tuple)) else [x]


def _seed(who: str, root: Tensor, gradient: Any) -> Any:
    """The checked gradient to start from, as an array or a Tensor."""
    if not root.requires_grad:
        raise ValueError(f"{who}: nothing to differentiate: no tensor that this one was computed from requires a "
                         "gradient (or it was computed under no_grad, or detached)")
    if gradient is None:
        if root.size != 1:
            raise ValueError(f"{who}: a tensor of shape {root.shape} is not a number: pass gradient= of that shape, or "
                             "reduce it, for example with .sum()")
        return np.ones(root.shape, root.dtype)
    value = gradient if isinstance(gradient, Tensor) else as_array(gradient)
    if value.shape != root.shape:
        raise ValueError(f"{who}: gradient must have the shape of the tensor, {root.shape}, got {value.shape}")
    if value.dtype != root.dtype:
        raise TypeError(f"{who}: gradient must have the dtype of the tensor, {root.dtype}, got {value.dtype}; "
                        f"use astype({root.dtype})")
    return value


def _flow(roots: Sequence[Tensor], seeds: Sequence[Any], targets: Sequence[Tensor] | None, retain: bool,
          create_graph: bool) -> dict[int, tuple[Any, Any, bool]]:
    """Gradients that arrive at the leaves (and at `targets`).

    Result: id of the leaf or node -> (it, gradient, is the gradient's buffer seen by no one else?).
    """
    nodes = _reachable(roots)
    wanted = None if targets is None else {id(t._node or t) for t in targets}
    needed = None if targets is None else _leading_to(nodes, wanted or set())
    pending: dict[int, Any] = {}
    owned: set[int] = set()         # gradients whose buffer no one else sees: added to in place
    arrived: dict[int, tuple[Any, Any]] = {}      # a leaf's gradient stays pending until the end: None here

    def send(edge: Any, g: Any, fresh: bool) -> None:
        key = id(edge)
        if key not in pending:
            pending[key] = g
            if fresh:
                owned.add(key)
            if type(edge) is not Node:
                arrived[key] = (edge, None)
        elif key in owned:
            pending[key] += g
        else:
            pending[key] = pending[key] + g
            if type(pending[key]) is np.ndarray:
                owned.add(key)

    with (enable_grad() if create_graph else no_grad()), np.errstate(all="ignore"):
        for root, seed in zip(roots, seeds):
            seed = _as_tensor(seed) if create_graph else seed.data if isinstance(seed, Tensor) else seed
            send(root._node or root, seed, False)
        for node in nodes:
            g = pending.pop(id(node), None)
            if g is None:
                continue
            if node.hooks:
                g = _hooked(node, g)
            if wanted is not None and id(node) in wanted:
                arrived[id(node)] = (node, g)
            if needed is not None and id(node) not in needed:
                continue
            if node.values is None:
                raise _freed(node)
            for edge, gradient, fresh in _gradients(node, g, create_graph, needed):
                send(edge, gradient, fresh)
            if not retain:
                node.free()
    return {key: (edge, pending[key], key in owned) if g is None else (edge, g, False)
            for key, (edge, g) in arrived.items()}


def _reachable(roots: Sequence[Tensor]) -> list[Node]:
    """All nodes behind the roots, newest first."""
    stack = [r._node for r in roots if r._node is not None]
    seen = {id(node) for node in stack}
    found = []
    while stack:
        node = stack.pop()
        found.append(node)
        for edge in node.edges:
            if type(edge) is Node and id(edge) not in seen:
                seen.add(id(edge))
                stack.append(edge)
    found.sort(key=attrgetter("order"), reverse=True)
    return found


def _leading_to(nodes: list[Node], wanted: set[int]) -> set[int]:
    """Ids of the nodes with a path to one of the wanted nodes or leaves (below them)."""
    needed: set[int] = set()
    for node in reversed(nodes):
        if any(edge is not None and (id(edge) in wanted or id(edge) in needed) for edge in node.edges):
            needed.add(id(node))
    return needed


def _gradients(node: Node, g: Any, create_graph: bool, needed: set[int] | None) -> list[tuple[Any, Any, bool]]:
    """(edge, gradient, is the buffer ours alone?) for every argument of one operation that wants one."""
    primitive, values, result = node.primitive, node.values, node.result
    assert values is not None
    if create_graph:
        values, result = _on_tape(node)
    if primitive.pull is not None:
        return _pulled(node, g, values, result)
    out = []
    for position, edge in enumerate(node.edges):
        if edge is None:
            continue
        fused = primitive.fused.get(position)
        rule = fused if fused is not None and not create_graph else primitive.rule(position)
        if rule is None:
            continue
        d = rule(g, result, *values, **node.keywords)
        if MODE.anomaly:
            from .anomaly import check_gradient
            check_gradient(node, position, g, d)
        if type(d) is Parts:        # made by the rule for this edge alone
            out.append((edge, d, True))
            continue
        if d.shape != edge.shape:
            d = unbroadcast(d, edge.shape)
        if d.dtype != edge.dtype:
            d = d.astype(edge.dtype)
        out.append((edge, d, type(d) is np.ndarray and d is not g and d.base is None
                    and not any(d is v for v in values)))
    return out


def _pulled(node: Node, g: Any, values: list[Any], result: Any) -> list[tuple[Any, Any, bool]]:
    """The same for operations that compute all their gradients together."""
    if type(g) is Parts:
        g = tuple(g.get(k) for k in range(len(result)))
    needed = tuple(edge is not None for edge in node.edges)
    assert node.primitive.pull is not None
    gradients = node.primitive.pull(g, result, *values, needed=needed, **node.keywords)
    out = []
    for position, (edge, d) in enumerate(zip(node.edges, gradients)):
        if edge is None or d is None:
            continue
        if d.shape != edge.shape:
            raise ValueError(f"{node.primitive.name}: its gradient of argument {position} has shape {d.shape}, "
                             f"the argument has {edge.shape}")
        out.append((edge, d if d.dtype == edge.dtype else d.astype(edge.dtype), False))
    return out


def _on_tape(node: Node) -> tuple[list[Any], Any]:
    """The arguments and the result as Tensors in their places on the graph, for rules that are to be recorded."""
    assert node.values is not None
    values = [value if edge is None or value is None else
              on_graph(value, edge) if type(edge) is Node else edge
              for value, edge in zip(node.values, node.edges)]
    if node.result is None:
        return values, None
    if type(node.result) is tuple:
        return values, tuple(constant(r) for r in node.result)
    return values, on_graph(node.result, node)


def unbroadcast(g: Any, shape: tuple[int, ...]) -> Any:
    """Sum a gradient over the axes along which its argument was broadcast.  g (any shape that `shape` broadcasts to)."""
    from .ops.reductions import sum as total
    extra = g.ndim - len(shape)
    axes = tuple(range(extra)) + tuple(extra + k for k, n in enumerate(shape) if n == 1 and g.shape[extra + k] != 1)
    g = total(g, axes, True) if axes else g
    return g.reshape(shape)


def _as_tensor(g: Any) -> Tensor:
    return g if isinstance(g, Tensor) else constant(np.asarray(g))


def _add_to_grad(leaf: Tensor, g: Any, ours: bool) -> None:
    """Accumulate into .grad.  A buffer that something else may see is copied, for optimizers write to .grad."""
    g = _as_tensor(g)
    if leaf._hooks:
        g, ours = _as_tensor(_hooked(leaf, g)), False
    if leaf.grad is None:
        leaf.grad = g if g._node is not None or ours else constant(np.array(g.data))
    elif g._node is None and leaf.grad._node is None:
        leaf.grad = constant(leaf.grad.data + g.data)
    else:
        with enable_grad():
            leaf.grad = leaf.grad + g   # type: ignore[operator]


def _hooked(owner: Any, g: Any) -> Any:
    """Let the hooks of a node or leaf look at, or replace, its gradient."""
    hooks = owner.hooks if type(owner) is Node else owner._hooks
    for hook in list(hooks.values()):
        given = hook(_as_tensor(g))
        if given is not None:
            g = given if isinstance(g, Tensor) else given.data if isinstance(given, Tensor) else np.asarray(given)
    return g


def _freed(node: Node) -> ValueError:
    return ValueError(
        f"backward: the graph was freed by an earlier backward: the values that {node.primitive.name} (result of shape "
        f"{node.shape}) needs are gone. If a state is carried from one step to the next, detach() it; to go through the "
        "same graph twice, call the first backward with retain_graph=True")
