"""Walks over the graph, and its picture."""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from typing import Any

from .node import Node
from .tensor import Tensor


def behind(roots: Iterable[Node | None], since: int | None = None) -> list[Node]:
    """The nodes that results were computed from, their own among them, oldest first.

    since : the clock at some moment; only nodes that were made after it, and what is reached through those.
    """
    def new(node: Node | None) -> bool:
        return node is not None and (since is None or node.order < since)

    stack: list[Any] = [root for root in roots if new(root)]
    found = set(stack)
    while stack:
        fresh = {edge for edge in stack.pop().edges if new(edge)} - found
        found |= fresh
        stack.extend(fresh)
    return sorted(found, key=attrgetter("order"), reverse=True)


def tensors_in(value: Any) -> list[Tensor]:
    """The Tensors in a nesting of tuples, lists and dicts."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [t for v in value for t in tensors_in(v)] if isinstance(value, (tuple, list)) else []


def draw(tensor: Tensor) -> str:
    """How a tensor was computed, as a picture: Graphviz source, for `dot -Tsvg`.

    Parameters
    ----------
    tensor : Tensor

    Returns
    -------
    str
        A box an operation, with the shape of its result; leaves, which gradients are accumulated for, are shaded.
        Arrows follow the computation, upwards; the gradient runs against them.

    Raises
    ------
    TypeError
        If tensor is no Tensor.
    ValueError
        If it was not recorded, or a backward pass has freed the graph.
    """
    if not isinstance(tensor, Tensor):
        raise TypeError(f"draw: tensor must be a Tensor, got {type(tensor).__name__}")
    if tensor._node is None:
        raise ValueError(f"draw: this tensor of shape {tensor.shape} has no graph: nothing that it was computed from "
                         "requires a gradient")
    nodes = behind([tensor._node])
    if any(node.freed for node in nodes):
        raise ValueError("draw: a backward pass has freed this graph; draw it before, or pass retain_graph=True")
    number = {node: k for k, node in enumerate(nodes)}
    lines = []
    for node, k in number.items():
        name = "leaf" if node.plan is None else node.plan.primitive.name
        shape = "" if node.shape is None else "\\n" + " x ".join(map(str, node.shape)) if node.shape else "\\nnumber"
        shaded = ", style=filled, fillcolor=wheat" if node.plan is None else ""
        bold = ", penwidth=2" if node is tensor._node else ""
        lines.append(f'n{k} [label="{name}{shape}"{shaded}{bold}];')
        lines += [f"n{number[edge]} -> n{k};" for edge in node.edges if edge is not None]
    return "\n".join(["digraph tape {", "  rankdir=BT;", '  node [shape=box, fontname="monospace"];',
                      *(f"  {line}" for line in lines), "}"])
