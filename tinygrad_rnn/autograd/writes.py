"""Writes in place: what was written where and when, so that nobody uses an old value that is no longer there.

A write is stamped by the clock that numbers the nodes (`node.tick`), so whether a value that a node keeps is older than
a write is one comparison.  Writes are noted by the array that owns the memory, and so are seen through every view of
it, `detach()` included; of a view only the bytes that it spans count, so that a buffer may be filled a row at a time.

What is checked:
- `backward` looks at every value that a rule is about to read (results, arguments, arrays as index);
- an operation that is recorded looks at its arguments: a result that shares memory with a tensor that was written to
  afterwards does not know of it, its place on the graph is that of the old values.

What writes: `t[i] = v`, methods ending in `_`, optimizers' steps, `nn.init`, `Embedding(max_norm=...)`.

What is not seen: writes through `.data`, through `.numpy()` of a constant, through another library that shares the
memory (two imports of one buffer are two owners); and that a constant made as a view before is no part of the graph
when its memory gets values that are.
"""

from __future__ import annotations

import inspect
import weakref
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.lib.array_utils import byte_bounds

from .node import tick

if TYPE_CHECKING:
    from .node import Node
    from .primitive import Primitive


class Write(NamedTuple):
    """One write: its stamp, the bytes from `low` up to `high`, and who did it."""

    stamp: int
    low: int
    high: int
    name: str


# id of the array that owns the memory -> that array, weakly, and the writes, oldest first.
_WRITES: dict[int, tuple[weakref.ref[np.ndarray], list[Write]]] = {}
# Stamp of the newest write.  The clock falls: what is at most this is newer than all writes, and needs no further look.
LATEST = [1]


def wrote(array: np.ndarray, name: str) -> None:
    """Note that the elements of an array were written to by `name`."""
    own = owner(array)
    key, (low, high) = id(own), byte_bounds(array)
    if key not in _WRITES:
        _WRITES[key] = weakref.ref(own, lambda _: _WRITES.pop(key, None)), []
    writes = _WRITES[key][1]
    # What lies inside the new one need not be kept: a buffer that is filled again and again keeps one write a row.
    writes[:] = [w for w in writes if w.low < low or w.high > high]
    LATEST[0] = tick()
    writes.append(Write(LATEST[0], low, high, name))


def written(array: np.ndarray, order: int) -> str | None:
    """Who wrote to the array's memory after the moment `order`; None if nobody did."""
    entry = _WRITES.get(id(owner(array)))
    if entry is None:
        return None
    low, high = byte_bounds(array)
    return next((w.name for w in reversed(entry[1]) if w.stamp < order and w.low < high and low < w.high), None)


def forget(array: np.ndarray) -> None:
    """Take the memory's present state as its first."""
    _WRITES.pop(id(owner(array)), None)


def owner(array: np.ndarray) -> np.ndarray:
    """The array that the memory of a view belongs to."""
    base: Any = array.base
    while base is not None:
        if isinstance(base, np.ndarray):
            array = base
        base = getattr(base, "base", None)      # NumPy's tricks with strides put other objects between
    return array


# ---- who must not use it any more -----------------------------------------------------------------------------------
def check_arguments(primitive: Primitive, args: tuple[Any, ...]) -> None:
    """ValueError if an argument's memory was written to through another tensor since it was computed."""
    for k, a in enumerate(args):
        node = getattr(a, "_node", None)
        if node is not None:
            check_current(f"{primitive.name}: argument {_argument(primitive, k)}", a._data, node)


def check_current(who: str, array: np.ndarray, node: Node) -> None:
    """The same for one result and its node."""
    name = written(array, node.order) if node.plan is not None else None
    if name is not None:
        assert node.plan is not None
        raise ValueError(f"{who}, the result of {node.plan.primitive.name} of shape {array.shape}, shares memory with "
                         f"a tensor that {name} wrote to afterwards, and does not know of that: compute it again after "
                         "the write, or copy() it before")


def check_kept(node: Node) -> None:
    """ValueError if something that the rules of a node read was written to since."""
    assert node.plan is not None
    primitive = node.plan.primitive
    for k, value in enumerate((*node.saved, *node.keywords.values())):
        for array in arrays(value):
            name = written(array, node.order)
            if name is not None:
                what = "its result" if k == 0 else f"its argument {_argument(primitive, k - 1)}"
                raise ValueError(f"backward: {primitive.name} (result of shape {node.shape}) needs {what} of shape "
                                 f"{array.shape} as it was, but {name} wrote to it in place afterwards; write to a "
                                 "copy() instead, or before the value is used")


def arrays(value: Any) -> list[np.ndarray]:
    """The arrays in what a node keeps."""
    if isinstance(value, np.ndarray):
        return [value]
    if isinstance(value, (tuple, list)):
        return [array for v in value for array in arrays(v)]
    inside = getattr(value, "_data", None)
    return [inside] if isinstance(inside, np.ndarray) else []


def _argument(primitive: Primitive, k: int) -> str:
    """Name of an argument, or its position."""
    names = [p.name for p in inspect.signature(primitive.forward).parameters.values() if p.kind is not p.VAR_POSITIONAL]
    return names[k] if k < len(names) else str(k)
