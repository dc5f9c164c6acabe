"""The backward pass: from the result to the leaves, newest operation first.

A node's arguments are older than the node, so a heap of the nodes whose gradient has begun to arrive, newest on top,
meets them in topological order: no recursion, however deep the graph.  Rules run on plain arrays, or on Tensors when
the pass itself is to be recorded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from heapq import heappop, heappush
from operator import attrgetter
from typing import Any

import numpy as np

from .anomaly import check_gradient
from .mode import MODE, enable_grad, no_grad
from .node import Node, Parts
from .ops.reductions import sum as total
from .ops.shapes import reshape
from .pieces import Pieces
from .primitive import Primitive, Rule, as_array
from .record import parts
from .sparse import RowSparse
from .tensor import Tensor, constant, on_graph
from .writes import LATEST, check_current, check_kept

# A node, its gradient, and: is the gradient's buffer seen by no one else?
Arrival = tuple[Node, Any, bool]


def accumulate(root: Tensor, gradient: Any, retain: bool, create_graph: bool) -> None:
    """What Tensor.backward does."""
    seed = _seed("backward", root, gradient)
    for leaf, g, owned in _flow([root], [seed], None, retain, create_graph):
        found, before = _as_tensor(g, owned), getattr(leaf, "grad", None)
        if before is None:
            leaf.grad = found
        elif create_graph:
            with enable_grad():
                leaf.grad = before + found
        elif isinstance(found, Tensor) and isinstance(before, Tensor):
            leaf.grad = constant(np.asarray(before._data + found._data))
        else:
            leaf.grad = before + found


def grad(outputs: Any, inputs: Any, grad_outputs: Any = None, create_graph: bool = False, allow_unused: bool = False,
         retain_graph: bool | None = None) -> tuple[Any, ...]:
    """Gradients of outputs with respect to inputs, returned and not accumulated.

    Parameters
    ----------
    outputs, inputs : Tensor or sequence of Tensors
    grad_outputs : array_like or sequence, optional
        One an output, of its shape and dtype; optional for outputs of one element (1).
    create_graph : bool
        Record the pass, so that the gradients can be differentiated again.
    allow_unused : bool
        Give None for an input that no output depends on, instead of raising.
    retain_graph : bool, optional
        Keep the graph for another pass; by default if create_graph.

    Returns
    -------
    tuple of Tensor
        One an input, of its shape and dtype.

    Raises
    ------
    ValueError
        For an input that requires no gradient or is not used, a missing or misshapen grad_output, a freed graph.
    TypeError
        For outputs or inputs that are no Tensors, a grad_output of another dtype.
    """
    roots, targets = _listed("outputs", outputs), _listed("inputs", inputs)
    seeds = [None] * len(roots) if grad_outputs is None else grad_outputs
    seeds = list(seeds) if isinstance(seeds, (list, tuple)) else [seeds]
    if len(seeds) != len(roots):
        raise ValueError(f"grad: grad_outputs must have one entry for each of {len(roots)} outputs, got {len(seeds)}")
    for k, t in enumerate(targets):
        if not t.requires_grad:
            raise ValueError(f"grad: inputs[{k}] does not require a gradient; call requires_grad_() before computing")
    retain = create_graph if retain_graph is None else retain_graph or create_graph
    seeds = [_seed("grad", root, seed) for root, seed in zip(roots, seeds)]
    nodes = [t._node for t in targets if t._node is not None]
    found = {node: _as_tensor(g, owned) for node, g, owned in _flow(roots, seeds, set(nodes), retain, create_graph)}
    for k, node in enumerate(nodes):
        if node not in found and not allow_unused:
            raise ValueError(f"grad: inputs[{k}] of shape {targets[k].shape} is not used by the outputs; "
                             "allow_unused=True gives None for it")
    return tuple(found.get(node) for node in nodes)


def _listed(name: str, x: Any) -> list[Tensor]:
    tensors = list(x) if isinstance(x, (list, tuple)) else [x]
    for t in tensors:
        if not isinstance(t, Tensor):
            raise TypeError(f"grad: {name} must be a Tensor or a sequence of Tensors, got {type(t).__name__}")
    return tensors


def _seed(who: str, root: Tensor, gradient: Any) -> Any:
    """The checked gradient to start from, an array or a Tensor."""
    if root._node is None:
        raise ValueError(f"{who}: nothing to differentiate: this tensor of shape {root.shape} was not computed from "
                         "one that requires a gradient, or it was under no_grad(), or it was detached")
    check_current(f"{who}: this tensor", root._data, root._node)
    if gradient is None:
        if root.size != 1:
            raise ValueError(f"{who}: a tensor of shape {root.shape} is not a number: pass a gradient of that shape, "
                             "or reduce it, for example with .sum()")
        return np.ones(root.shape, root.dtype)
    if isinstance(gradient, (int, float, list, tuple)) and not isinstance(gradient, np.generic):
        gradient = as_array(gradient).astype(root.dtype)        # Python's numbers are weak
    value = gradient if isinstance(gradient, Tensor) else as_array(gradient)
    if value.shape != root.shape:
        raise ValueError(f"{who}: gradient must have the shape of the tensor, {root.shape}, got {value.shape}")
    if value.dtype != root.dtype:
        raise TypeError(f"{who}: gradient must have the dtype of the tensor, {root.dtype}, got {value.dtype}; "
                        f"use astype({root.dtype})")
    return value


# ---- the pass -------------------------------------------------------------------------------------------------------
def _flow(roots: Sequence[Tensor], seeds: Sequence[Any], targets: set[Node] | None, retain: bool,
          create_graph: bool) -> list[Arrival]:
    """The gradients that arrive at the leaves, or at `targets`."""
    leading = set() if targets is None else _leading_to(roots, targets)
    needed = None if targets is None else leading | targets
    anomaly = MODE.get().anomaly
    pending: dict[Any, Any] = {}
    owned: set[Any] = set()         # nodes whose pending gradient no one else sees: it is added to in place
    heap: list[tuple[int, Any]] = []
    arrived: list[Arrival] = []
    g = saved = None
    node: Any = None

    def send(edge: Any, d: Any, alone: bool = True) -> None:
        if d.shape != edge.shape:
            try:
                d = unbroadcast(d, edge.shape)
            except ValueError as error:
                raise ValueError(f"{node.plan.primitive.name}: {error}") from None
        if d.dtype is not edge.dtype and d.dtype != edge.dtype:
            d = d.astype(edge.dtype)
        if edge not in pending:
            pending[edge] = d
            heappush(heap, (edge.order, edge))
            if type(d) is Pieces or alone and edge.plan is None and _is_fresh(d, g, saved):
                owned.add(edge)
        elif edge in owned and (type(d) is np.ndarray or type(d) is type(pending[edge])):
            pending[edge] += d
        else:
            pending[edge] = _whole(pending[edge]) + _whole(d)
            owned.add(edge)

    with (enable_grad() if create_graph else no_grad()), np.errstate(all="ignore"):
        for root, seed in zip(roots, seeds):
            g = _as_tensor(seed) if create_graph else seed._data if isinstance(seed, Tensor) else seed
            send(root._node, g)
        while heap:
            node = heappop(heap)[1]
            g = _whole(pending.pop(node))
            if node.hooks:
                g = _hooked(node, g)
                owned.discard(node)
            plan = node.plan
            if plan is None or targets is not None and node in targets:
                arrived.append((node, g, node in owned))
            if plan is None or targets is not None and node not in leading:
                continue
            saved = node.saved
            while saved is None:
                if node.freed:
                    raise _freed(node)
                node.keywords.restore()     # it is part of a checkpoint
                saved = node.saved
            if node.order > LATEST[0]:      # there was a write since
                check_kept(node)
            if create_graph:
                saved = _on_tape(node, plan.primitive)
            edges, keywords = node.edges, node.keywords
            if plan.pull is None:
                for position, rule in plan.taped if create_graph else plan.steps:
                    edge = edges[position]
                    if needed is None or edge in needed:
                        d = rule(g, *saved, **keywords) if keywords else rule(g, *saved)
                        if anomaly:
                            check_gradient(node, position, g, saved, d)
                        send(edge, d)
            else:
                given = _pulled(plan.pull, node, g, saved, needed)
                # One may have been given for two arguments, or be one of those that came.
                known = [id(d) for d in (*given, *g.values())] if type(g) is Parts else list(map(id, given))
                seen = Counter(known) if len(set(known)) < len(known) else None
                for position, d in enumerate(given):
                    if anomaly:
                        check_gradient(node, position, g, saved, d)
                    if d is not None:
                        send(edges[position], d, seen is None or seen[id(d)] == 1)
            if not retain:
                node.free()
    return arrived


def _leading_to(roots: Sequence[Tensor], targets: set[Node]) -> set[Node]:
    """The nodes behind the roots from which one of the targets is reached."""
    nodes = list({root._node: None for root in roots if root._node is not None})
    found, freed = {None, *nodes}, None
    for node in nodes:              # which grows
        if node.saved is None and node.freed and node not in targets:
            freed = node
        new = set(node.edges).difference(found)
        found |= new
        nodes.extend(new)
    if freed is not None and not targets <= found:
        raise _freed(freed)         # it has no edges any more: whatever is missing may be behind it
    reach, leading = set(targets), set()
    for node in sorted(nodes, key=attrgetter("order"), reverse=True):       # oldest first
        if not reach.isdisjoint(node.edges):
            reach.add(node)
            leading.add(node)
    return leading


def _pulled(pull: Rule, node: Node, g: Any, saved: tuple[Any, ...], needed: set[Node] | None) -> list[Any]:
    """One gradient an argument, or None, from an operation that computes them together."""
    wanted = tuple(edge is not None and (needed is None or edge in needed) for edge in node.edges)
    if type(g) is Parts:
        g = g.listed()
    gradients = pull(g, *saved, needed=wanted, **node.keywords)
    return [d if w else None for d, w in zip(gradients, wanted)]


def _whole(g: Any) -> Any:
    """A gradient that came in pieces, put together."""
    return g.whole() if type(g) is Pieces else g


def _is_fresh(d: Any, g: Any, saved: Any) -> bool:
    """Was the array made by the rule that returned it, for no one else?"""
    if type(d) is not np.ndarray or d.base is not None or d is g:
        return False
    for kept in saved:
        if d is kept:
            return False
    return True


def _on_tape(node: Node, primitive: Primitive) -> tuple[Any, ...]:
    """What a node saved, as Tensors in their places on the graph, for rules that are to be recorded."""
    y, *values = node.saved
    if type(y) is tuple:
        y = parts(node, primitive, y)
    elif y is not None:
        y = on_graph(y, node)
    return y, *(value if edge is None or value is None or type(value) is Node else on_graph(value, edge)
                for value, edge in zip(values, node.edges))


def unbroadcast(g: Any, shape: tuple[int, ...]) -> Any:
    """Sum a gradient over the axes along which its argument was broadcast.

    g (array or Tensor of any shape that `shape` broadcasts to) -> the same of `shape`.  ValueError where it does not.
    """
    came = g.shape
    extra = len(came) - len(shape)
    axes = list(range(extra))
    for k, n in enumerate(shape, extra):
        if extra < 0 or came[k] != n != 1:
            raise ValueError(f"backward: a rule gave a gradient of shape {came} for an argument of shape {shape}")
        if came[k] != n:
            axes.append(k)
    if axes:
        g = total(g, None if len(axes) == len(came) else axes[0] if len(axes) == 1 else tuple(axes))
    return g if g.shape == shape else reshape(g, shape)     # ones for the axes that are 1 in `shape`


def _as_tensor(g: Any, owned: bool = True) -> Any:
    """A gradient as a Tensor; a buffer that something else may see is copied, for optimizers write to theirs."""
    if isinstance(g, (Tensor, RowSparse)):
        return g
    return constant(np.asarray(g) if owned else np.array(g, order="C"))


def _hooked(node: Node, g: Any) -> Any:
    """Let the hooks of a node look at, or replace, its gradient."""
    for hook in tuple((node.hooks or {}).values()):
        given = hook(_as_tensor(g))
        if given is None:
            continue
        given = given if isinstance(given, (Tensor, RowSparse)) else constant(as_array(given))
        if given.shape != g.shape or given.dtype != g.dtype:
            raise ValueError(f"backward: a hook must return None, or a gradient like the one it got, {g.dtype} "
                             f"{g.shape}; it returned {given.dtype} {given.shape}")
        g = given if isinstance(g, Tensor) or isinstance(given, RowSparse) else given._data
    return g


def _freed(node: Node) -> ValueError:
    name = "a leaf" if node.plan is None else node.plan.primitive.name
    shape = "" if node.shape is None else f" (result of shape {node.shape})"
    return ValueError(
        f"backward: the graph was freed by an earlier backward: what {name}{shape} needs is gone. If a state is "
        "carried from one step to the next, detach() it; to go through the same graph twice, call the first backward "
        "with retain_graph=True")
