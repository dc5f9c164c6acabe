"""Operations that a user declares: any forward computation on arrays, with its derivative beside it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .primitive import Primitive, as_array
from .tensor import Tensor


def custom(forward: Callable[..., Any], vjp: Callable[..., Any], name: str | None = None) -> Primitive:
    """An operation from a function of arrays and its vector-Jacobian product.

    Parameters
    ----------
    forward : callable
        forward(*arrays, **parameters) -> array (or a tuple of arrays): anything, compiled code too.  It must not change
        its inputs.  Python's numbers stay numbers.
    vjp : callable
        vjp(g, y, *inputs, **parameters) -> tuple, one an input: the gradient of that input, of its shape or of one that
        it was broadcast to; None where none flows.  g is the gradient of the result y (with several results both are
        tuples).  Written in the library's own operations it can be differentiated again: it is then given Tensors.
        What it does not read it may name with an underscore in front, `_y` or `_x`: that is not kept, and is None.
    name : str, optional
        What errors call it; by default forward's.

    Returns
    -------
    operation : callable
        operation(*inputs, **parameters): of arrays an array, of Tensors a Tensor on the tape.

    Raises
    ------
    TypeError
        If forward or vjp is no function.  When the operation runs: if forward gives no array, vjp no floating gradient,
        or an array where the pass is recorded.
    ValueError
        When it runs: if vjp gives another number of gradients than there are inputs, or one of another shape.

    Examples
    --------
    >>> cube = custom(lambda x: x ** 3, lambda g, _y, x: (3 * g * x * x,), name="cube")
    >>> testing.gradcheck(cube, [x]) and testing.gradgradcheck(cube, [x])
    """
    for what, function in (("forward", forward), ("vjp", vjp)):
        if not callable(function):
            raise TypeError(f"custom: {what} must be a function, got {type(function).__name__}")
    called = name or getattr(forward, "__name__", type(forward).__name__)

    @functools.wraps(forward)
    def compute(*inputs: Any, **parameters: Any) -> Any:
        y = forward(*(x if isinstance(x, (np.ndarray, bool, int, float)) else as_array(x) for x in inputs),
                    **parameters)
        return tuple(map(result, y)) if isinstance(y, tuple) else result(y)

    def result(y: Any) -> np.ndarray:
        if isinstance(y, Tensor) or not isinstance(y, (np.ndarray, np.generic, bool, int, float)):
            raise TypeError(f"{called}: forward is given arrays and must return an array, got {type(y).__name__}")
        return as_array(y)

    @functools.wraps(vjp)           # the names of its parameters say what the tape keeps
    def pull(g: Any, y: Any, *inputs: Any, needed: Sequence[bool], **parameters: Any) -> list[Any]:
        found = vjp(g, y, *inputs, **parameters)
        found = list(found) if isinstance(found, (tuple, list)) else [found]
        if len(found) != len(inputs):
            raise ValueError(f"{called}: vjp must return one gradient for each of {len(inputs)} inputs, got "
                             f"{len(found)}")
        recorded = isinstance(g, Tensor) or isinstance(g, tuple) and any(isinstance(part, Tensor) for part in g)
        return [gradient(k, d, recorded) if wanted else None for k, (d, wanted) in enumerate(zip(found, needed))]

    def gradient(k: int, d: Any, recorded: bool) -> Any:
        if d is None:
            return None
        if recorded and not isinstance(d, Tensor):
            raise TypeError(f"{called}: vjp gave no Tensor as the gradient of input {k}, so that it cannot be "
                            "differentiated again; write it in the library's operations, and return None where no "
                            "gradient flows")
        d = d if isinstance(d, Tensor) and recorded else as_array(d._data if isinstance(d, Tensor) else d)
        if d.dtype.kind != "f":
            raise TypeError(f"{called}: vjp gave a gradient of dtype {d.dtype} for input {k}; gradients are floating")
        return d

    return Primitive(compute, pull=pull, kind="structural", name=called)
