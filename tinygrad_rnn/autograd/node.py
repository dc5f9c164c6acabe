"""The graph: one node for each recorded operation, and one for each leaf that wants a gradient."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Self

from .primitive import Plan

# Creation numbers that fall: whatever a node was computed from has a larger one, and the newest node is the smallest of
# a heap.  The same clock can stamp writes in place, to tell whether a saved value is older than a write.
tick: Callable[[], int] = itertools.count(0, -1).__next__


class Node:
    """One recorded operation: what backward needs, and where its arguments came from.

    A node refers to the nodes of its arguments and to arrays, never to Tensors: there are no cycles, and what nobody
    can reach is freed at once.

    Attributes
    ----------
    plan : Plan or None
        The operation and the rules to run; None for a leaf.
    edges : one an argument: its node, or None where no gradient flows.
    saved : the result and the arguments as arrays.  None for what no rule reads, a node where a rule reads only the
    shape.
        None as a whole once freed, and inside of a `checkpoint`.
    keywords : the operation's other arguments; inside of a `checkpoint` what restores both.
    shape, dtype : of the result; None for an operation with several results.
    order : creation number, see `tick`.
    hooks : functions that see, and may replace, the gradient; None without.
    site : the line of user code, recorded under `detect_anomaly`.
    grad : a leaf's gradient, or that of a result that was asked to retain it; unset until then.
    """

    __slots__ = ("__weakref__", "dtype", "edges", "grad", "hooks", "keywords", "order", "plan", "saved", "shape",
                 "site")

    plan: Plan | None
    edges: Any
    saved: Any
    keywords: Any
    shape: Any
    dtype: Any
    order: int
    hooks: dict[object, Callable[[Any], Any]] | None
    site: str | None
    grad: Any

    @property
    def ndim(self) -> int:
        """Number of dimensions; a node may stand in for an argument of which a rule reads the shape alone."""
        return len(self.shape)

    @property
    def freed(self) -> bool:
        """Has a backward pass dropped what this operation needs?"""
        return self.saved is None and self.keywords is None and self.plan is not None

    def free(self) -> None:
        """Drop what backward needed; a later backward through here is then an error that says so."""
        self.saved, self.edges, self.keywords = None, (), None


def leaf(shape: tuple[int, ...], dtype: Any) -> Node:
    """The node of a Tensor that gradients are accumulated for."""
    node = Node()
    node.plan, node.edges, node.saved, node.keywords = None, (), None, None
    node.shape, node.dtype, node.order, node.hooks, node.site = shape, dtype, tick(), None, None
    return node


class Parts(dict[int, Any]):
    """The gradient of an operation with `count` results: position -> gradient, absent where none came."""

    # As an array's: what backward compares before it passes a gradient on.
    shape = None
    dtype = None

    def __init__(self, gradients: dict[int, Any], count: int) -> None:
        super().__init__(gradients)
        self.count = count

    def __add__(self, other: dict[int, Any]) -> Parts:
        total = Parts(self, self.count)
        total += other
        return total

    def __iadd__(self, other: dict[int, Any]) -> Self:
        for position, g in other.items():
            self[position] = self[position] + g if position in self else g
        return self

    def listed(self) -> tuple[Any, ...]:
        """All gradients in order, None for those that are absent."""
        return tuple(map(self.get, range(self.count)))
