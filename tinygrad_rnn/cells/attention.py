"""Attention as steps of a cell: `attend` and `attend_additive`, and cells that look at a memory while they write.

    attend(query, keys, values, mask)               a_s = softmax of query . keys_s        (Luong 2015, equation 8)
    attend_additive(query, keys, values, mask, v)   a_s = softmax of v . tanh(query + keys_s)   (Bahdanau 2015, A.1.2)

both give the context, the sum of a_s values_s, (B, V), for a query (B, A).  keys (B, S, A), values (B, S, V), v (B, A)
and the mask (B, S), 1 where the memory is real, are handed on whole; where the mask is 0 a weight is exactly 0.

In the equations of a cell they run compiled (`kernels/attention.py`); called with Tensors they are operations of the
tape, made of the library's own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..autograd import Tensor, grad, ops
from ..autograd.mode import enable_grad
from ..autograd.primitive import Primitive, as_array
from ..autograd.tensor import constant
from .functions import StepKernels, register_step
from .graph import Graph
from .symbols import State, Symbol, leaf

if TYPE_CHECKING:
    from .cell import Cell


# ---- the equations ---------------------------------------------------------------------------------------------------
def attention_weights(query: Any, keys: Any, mask: Any = None, v: Any = None) -> Any:
    """Attention weights over a memory.

    Parameters
    ----------
    query : Tensor (B, A), (B, T, A), or (A,) for all alike
    keys : Tensor (B, S, A)
    mask : array (B, S), optional
        1 where the memory is real.
    v : Tensor (A,) or (B, A), optional
        With it the score is v . tanh(query + key), else query . key.

    Returns
    -------
    Tensor (B, S), or (B, T, S)
        They sum to 1 and are exactly 0 where the mask is 0.
    """
    if query.ndim == 1:         # a row of a cell that is no more than a learned vector
        query = ops.broadcast_to(query, (keys.shape[0], query.shape[0]))
    single = query.ndim == 2
    q = ops.expand_dims(query, 1) if single else query                          # (B, T, A)
    if v is None:
        scores = ops.matmul(q, ops.matrix_transpose(keys))                      # (B, T, S)
    else:
        energy = ops.tanh(ops.expand_dims(q, 2) + ops.expand_dims(keys, 1))     # (B, T, S, A)
        v = v if v.ndim == 1 else ops.reshape(v, (v.shape[0], 1, 1, v.shape[1]))
        scores = ops.sum(energy * v, axis=-1)
    weights = ops.softmax(scores, axis=-1) if mask is None else masked_softmax(scores, ops.expand_dims(mask, 1) > 0)
    return ops.squeeze(weights, 1) if single else weights


def masked_softmax(scores: Any, on: Any, axis: int = -1) -> Any:
    """softmax where `on`, exactly 0 elsewhere; a row needs one place at least."""
    return ops.softmax(ops.where(on, scores, -float("inf")), axis=axis)


def context(weights: Any, values: Any) -> Any:
    """The weighted sum of a memory: weights (B, S) or (B, T, S), values (B, S, V) -> (B, V) or (B, T, V)."""
    if weights.ndim == 3:
        return ops.matmul(weights, values)
    return ops.squeeze(ops.matmul(ops.expand_dims(weights, 1), values), 1)


# ---- as steps of cells -----------------------------------------------------------------------------------------------
def _step(score: str) -> Callable[[Callable[..., Any]], Primitive]:
    """Declare a function as a step primitive; its derivative is that of the operations that it is made of."""
    return lambda function: _declared(function, score)


def _declared(function: Callable[..., Any], score: str) -> Primitive:
    def pull(g: Any, _y: Any, *args: Any, needed: Sequence[bool]) -> tuple[Any, ...]:
        recorded = any(isinstance(a, Tensor) for a in (g, *args))
        with enable_grad():
            copies = [(ops.copy(a) if isinstance(a, Tensor) else Tensor(as_array(a), requires_grad=True)) if n else a
                      for a, n in zip(args, needed)]
            found = iter(grad(function(*copies), [c for c, n in zip(copies, needed) if n],
                              g if isinstance(g, Tensor) else constant(g), create_graph=recorded,
                              allow_unused=True))
        gradients = [next(found) if n else None for n in needed]
        return tuple(d if recorded or d is None else d.data for d in gradients)

    def machine_code() -> tuple[Any, Any]:
        from ..kernels import attention
        return attention.forward[score], attention.backward[score]

    operation = Primitive(function, pull=pull, kind="structural")
    arity = 4 + (score == "additive")
    return register_step(operation, arity=arity, width=2, sequence=range(1, arity), no_gradient=(3,),
                         compiled=StepKernels(machine_code, lambda *shapes: int(shapes[1][1]), _seen))


def _seen(query: Any, keys: Any, _values: Any, mask: Any, *v: Any) -> Any:
    """The weights, from the arguments of a step."""
    return attention_weights(query, keys, mask, *v)


@_step("dot")
def attend(query: Any, keys: Any, values: Any, mask: Any) -> Any:
    """The context for a query, weights by the dot product."""
    return context(attention_weights(query, keys, mask), values)


@_step("additive")
def attend_additive(query: Any, keys: Any, values: Any, mask: Any, v: Any) -> Any:
    """The context for a query, weights by v . tanh(query + key)."""
    return context(attention_weights(query, keys, mask, v), values)


# ---- cells that attend -----------------------------------------------------------------------------------------------
SCORES = ("dot", "general", "scaled_dot", "additive")
FEEDINGS = ("attended", "context", None)


def attentive(cell: Cell, memory_size: int, score: str = "general", size: int | None = None,
              feeding: str | None = "attended") -> Cell:
    """The cell, looking at a memory at every step.

    Luong's input feeding, "attended", looks with the new output and hands what it made of that to the next step:

        lstm:  i = sigmoid(W(x, attended_prev, h_prev) + b) ...
               query = W(h)
               context = attend(query, keys, values, mask)
               attended = tanh(W(context, h) + b)

    Bahdanau's order, "context", looks with the old output, and the context enters this step:

        lstm:  i = sigmoid(W(x, context, h_prev) + b) ...
               query = W(h_prev)

    With None it looks as in the first, and the next step does not hear of it.

    Parameters
    ----------
    cell : Cell
        One that multiplies its x by a matrix; the matrix of what is fed in stands beside each matrix of x.
    memory_size : int
        Width of the values, V.
    score : "dot", "general", "scaled_dot" or "additive"
        dot: the query is the output itself, as wide as the keys; general: W times it; scaled_dot: that over sqrt(A);
        additive: the score is v . tanh(query + key).
    size : int, optional
        Width of query and keys, A; for dot and general that of the memory, for additive by default H.
    feeding : "attended", "context" or None

    Returns
    -------
    Cell
        With the inputs keys (B, S, A), values (B, S, V), mask (B, S), and for additive v (B, A); its output is
        `attended`, as wide as the output of `cell`.

    Raises
    ------
    ValueError
        For an unknown score or feeding, a size that does not fit, a cell without W(x), or one that has such names.
    """
    _one_of("score", score, SCORES)
    _one_of("feeding", feeding, FEEDINGS)
    if size is not None and score in ("dot", "general") and size != memory_size:
        raise ValueError(f"attentive: score={score!r} compares with the memory itself, so size is its width "
                         f"{memory_size}, got {size}")
    if score == "scaled_dot" and size is None:
        raise ValueError("attentive: score='scaled_dot' divides by the square root of the size: give it")
    rows = "query", "context", "attended", "scale"
    inputs = "keys", "values", "mask", *(["v"] * (score == "additive"))
    taken = {*cell.rows, *cell.inputs, *cell.constants, *cell.functions}.intersection((*rows, *inputs))
    if taken:
        raise ValueError(f"attentive: {cell.name} has the name {min(taken)!r}, which attention needs: rename it")
    out, x = cell.output, leaf("input", cell.inputs[0])
    fed = leaf("row", "context") if feeding == "context" else leaf("state", State("attended"))
    graph = cell.graph if feeding is None else _beside(cell, x, fed, "attentive")
    width = str(memory_size if score in ("dot", "general") else size or "H")
    widths = {**cell.widths, "keys": width, "values": str(memory_size), "context": str(memory_size),
              "attended": cell.widths.get(out, "H")}
    looking = f"{out}_prev" if feeding == "context" else out
    lines, constants = [], graph.constants
    if score != "dot":
        widths["query"] = width
        lines = ["query = " + "scale*" * (score == "scaled_dot") + f"W({looking})"]
        looking = "query"
    if score == "scaled_dot":
        constants = (*constants, ("scale", float(size or 0) ** -0.5))
    if score == "additive":
        widths["v"] = width
    call = "attend_additive" if score == "additive" else "attend"
    lines += [f"context = {call}({', '.join([looking, *inputs])})", f"attended = tanh(W(context, {out}) + b)"]
    graph = dataclasses.replace(graph, inputs=(*graph.inputs, *inputs), constants=constants,
                                widths=tuple((n, w) for n, w in widths.items() if w != "H"))
    return type(cell)("\n".join([str(graph), *lines]), name=f"{cell.name}_{score}")


def conditioned(cell: Cell, vector_size: int, name: str = "v") -> Cell:
    """The cell with a further input in every sum that its x enters: h = tanh(W(x, v, h_prev) + b).

    Given as (B, width) it enters at every step, as (T, B, width) with zeros after the first step, at the first alone.

    Raises
    ------
    ValueError
        For a cell without W(x), or one that has the name.
    """
    if name in {*cell.rows, *cell.inputs, *cell.constants, *cell.functions}:
        raise ValueError(f"conditioned: {cell.name} has the name {name!r} already: give another name=")
    graph = _beside(cell, leaf("input", cell.inputs[0]), leaf("input", name), "conditioned")
    graph = dataclasses.replace(graph, inputs=(*graph.inputs, name),
                                widths=(*graph.widths, (name, str(vector_size))))
    return type(cell)(str(graph), name=f"{cell.name}_{name}")


def _beside(cell: Cell, x: Symbol, further: Symbol, who: str) -> Graph:
    """The cell's graph with a matrix for `further` beside every matrix for x."""
    graph = cell.graph
    products = [n for n in graph.nodes if n.op == "product" and x in n.args]
    if not products:
        raise ValueError(f"{who}: {cell.name} nowhere multiplies its {x.data} by a matrix, W({x.data}): nothing could "
                         "stand beside it")
    new: dict[Symbol, Symbol] = {}
    for node in graph.nodes:
        args = [b for a in node.args for b in ((a, further) if a is x and node in products else (new[a],))]
        new[node] = Symbol(node.op, tuple(args), node.data)
    return dataclasses.replace(graph, rows=tuple((name, new[symbol]) for name, symbol in graph.rows))


def _one_of(name: str, value: Any, known: Sequence[Any]) -> None:
    if value not in known:
        raise ValueError(f"attentive: {name} must be one of {', '.join(map(repr, known))}, got {value!r}")
