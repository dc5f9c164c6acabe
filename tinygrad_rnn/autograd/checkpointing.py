"""Memory for time: a part of the graph that is computed again when backward comes to it.

The part's nodes stay, what they keep does not.  When backward reaches the first of them, the function is run again on
the same inputs, with the same random numbers; the nodes of that second run hand over what they keep, in the order in
which they were made.  So the graph is what it was: parameters that the function holds get their gradients, hooks run,
and the pass may be recorded.  Chen 2016, "Training deep nets with sublinear memory cost".
"""

from __future__ import annotations

import weakref
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from .graph import behind, tensors_in
from .mode import MODE, enable_grad
from .node import Node, tick
from .replay import Draws
from .tensor import Tensor
from .writes import LATEST, arrays, check_kept, forget, written


def checkpoint(fn: Callable[..., Any], *tensors: Any) -> Any:
    """fn(*tensors), of which the tape keeps the inputs alone; it is run again in the backward pass.

    Parameters
    ----------
    fn : callable
        fn(*tensors) -> Tensor, or a nesting of tuples, lists and dicts of Tensors.  A function of its inputs and of
        what does not change until backward: modules and their parameters may stand in it.  Random numbers that it
        draws through the library (`nn.Dropout`, recurrent layers, `random.normal`) are the same the second time, and
        their streams stand afterwards where they would stand without it.
    tensors : Tensors, or anything else that fn takes

    Returns
    -------
    What fn returns.

    Raises
    ------
    ValueError
        In backward, if fn computes something else the second time: an input or a parameter was written to meanwhile,
        random numbers came from elsewhere, it counts its calls.

    Examples
    --------
    >>> for block in blocks:
    ...     x = checkpoint(block, x)        # memory for one block and the x between them
    """
    if not callable(fn):
        raise TypeError(f"checkpoint: fn must be a function, got {type(fn).__name__}")
    if not MODE.get().grad:
        return fn(*tensors)
    start, draws = tick(), Draws()
    with draws.noted():
        outputs = fn(*tensors)
    found = tensors_in(outputs)
    nodes = [node for node in behind((t._node for t in found), since=start) if node.plan is not None]
    segment = Segment(fn, tensors, draws, start, nodes, _sums(found))
    for node in nodes:
        node.saved, node.keywords = None, segment
    return outputs


class Segment:
    """A function whose nodes keep nothing: each refers to it in place of its keywords."""

    def __init__(self, fn: Callable[..., Any], tensors: tuple[Any, ...], draws: Draws, start: int, nodes: list[Node],
                 sums: list[int]) -> None:
        self.fn, self.tensors, self.draws, self.start, self.sums = fn, tensors, draws, start, sums
        self.nodes = [_reference(node) for node in nodes]
        self.names = _names(nodes)

    def restore(self) -> None:
        """Run the function again, and give the nodes what they kept."""
        for t in tensors_in(self.tensors):
            if (name := written(t._data, self.start)) is not None:
                raise ValueError(f"checkpoint: an input of shape {t.shape} is needed as it was, but {name} wrote to it "
                                 "in place afterwards")
        start = tick()
        with enable_grad(), self.draws.again():
            outputs = tensors_in(self.fn(*self.tensors))
        made = [node for node in behind((t._node for t in outputs), since=start) if node.plan is not None]
        if _names(made) != self.names or _sums(outputs) != self.sums:
            raise ValueError("checkpoint: fn computed something else when it was run again in the backward pass: were "
                             "its parameters changed meanwhile, does it draw from a generator of its own, or count its "
                             "calls?")
        first = {new: ref() for new, ref in zip(made, self.nodes)}
        for inner in {new.keywords for new in made if isinstance(new.keywords, Segment)}:     # checkpoints in this one
            inner.nodes = [_reference(first.get(ref())) for ref in inner.nodes]      # type: ignore[arg-type]
        for new, node in first.items():
            if new.saved is not None:
                check_kept(new)
            if node is not None and not node.freed:
                node.saved, node.keywords = new.saved, new.keywords
                if node.saved:          # nodes that stand for a shape
                    node.saved = tuple(first.get(v, v) if type(v) is Node else v for v in node.saved)
        if LATEST[0] < start:
            # Writes of the second run are older than what was kept after them, but newer than the nodes it is kept for.
            for array in arrays([new.saved for new in made]):
                forget(array)
        for new in made:
            new.free()


def _reference(node: Node | None) -> Callable[[], Node | None]:
    """A weak reference, since nodes refer to their segment: no cycle."""
    return weakref.ref(node) if node is not None else lambda: None


def _names(nodes: list[Node]) -> list[tuple[str, Any]]:
    """What a graph consists of."""
    return [(node.plan.primitive.name, node.shape) for node in nodes if node.plan is not None]


def _sums(tensors: list[Tensor]) -> list[int]:
    """A check sum of each result: two runs agree bit by bit or not at all."""
    return [zlib.crc32(np.ascontiguousarray(t._data).view(np.uint8).data) for t in tensors]
