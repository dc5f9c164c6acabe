"""Writes in place: `t[i] = v`, and methods whose names end in `_`.

`t.add_(v)` puts t + v into t's own memory, so everything that shares it sees the new values: views, `detach()`, arrays
of NumPy.  On the tape t is from then on the result of that operation, and gradients flow as if a new tensor had been
made.  What needs an old value that is gone says so: see `writes`.  `a += b` is no write: it binds the name to a + b.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from . import ops
from .mode import MODE
from .writes import owner, wrote

if TYPE_CHECKING:
    from .node import Node

    Method = Callable[..., Any]


def _in_place(operation: Callable[..., Any]) -> Method:
    name = f"{operation.name if hasattr(operation, 'name') else operation.__name__}_"

    @functools.wraps(operation)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return _write(self, name, operation, args, kwargs)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"`{name[:-1]}`, written into this tensor; returns it.  Errors: see `autograd.in_place`."
    return method


class InPlace:
    """What Tensor inherits.

    Raises
    ------
    ValueError
        For a leaf that requires a gradient, unless under no_grad(); a result of another shape; memory that is
        read-only; values on the tape that are written through a view of a tensor that is not.
    TypeError
        For a result of another dtype.
    """

    __slots__ = ()

    def __setitem__(self, index: Any, value: Any) -> None:
        _assign(self, "setitem", index, value)

    def copy_(self, values: Any) -> Any:
        """Take over values of a shape that broadcasts to this one; returns the tensor."""
        return _assign(self, "copy_", ..., values)

    def fill_(self, value: Any) -> Any:
        """Take one value everywhere; returns the tensor."""
        if np.ndim(value):
            raise ValueError(f"fill_: value must be a number, got shape {np.shape(value)}; copy_() takes arrays")
        return _assign(self, "fill_", ..., value)

    def zero_(self) -> Any:
        """Become 0 everywhere; returns the tensor."""
        return _assign(self, "zero_", ..., 0)

    add_, subtract_ = _in_place(ops.add), _in_place(ops.subtract)
    multiply_, divide_ = _in_place(ops.multiply), _in_place(ops.divide)
    floor_divide_, remainder_ = _in_place(ops.floor_divide), _in_place(ops.remainder)
    negative_, abs_ = _in_place(ops.negative), _in_place(ops.abs)
    pow_, square_, sqrt_ = _in_place(ops.pow), _in_place(ops.square), _in_place(ops.sqrt)
    maximum_, minimum_, clip_ = _in_place(ops.maximum), _in_place(ops.minimum), _in_place(ops.clip)
    sign_, floor_ = _in_place(ops.sign), _in_place(ops.floor)
    ceil_, round_ = _in_place(ops.ceil), _in_place(ops.round)
    reciprocal_, rsqrt_ = _in_place(ops.reciprocal), _in_place(ops.rsqrt)

    exp_, expm1_ = _in_place(ops.exp), _in_place(ops.expm1)
    log_, log1p_ = _in_place(ops.log), _in_place(ops.log1p)
    sin_, cos_, tan_ = _in_place(ops.sin), _in_place(ops.cos), _in_place(ops.tan)
    sinh_, cosh_, tanh_ = _in_place(ops.sinh), _in_place(ops.cosh), _in_place(ops.tanh)
    asin_, acos_, atan_ = arcsin_, arccos_, arctan_ = _in_place(ops.asin), _in_place(ops.acos), _in_place(ops.atan)
    asinh_, acosh_, atanh_ = _in_place(ops.asinh), _in_place(ops.acosh), _in_place(ops.atanh)
    arcsinh_, arccosh_, arctanh_ = asinh_, acosh_, atanh_
    erf_, sigmoid_, softplus_ = _in_place(ops.erf), _in_place(ops.sigmoid), _in_place(ops.softplus)
    relu_, leaky_relu_, elu_ = _in_place(ops.relu), _in_place(ops.leaky_relu), _in_place(ops.elu)
    gelu_, silu_ = _in_place(ops.gelu), _in_place(ops.silu)
    hardtanh_, hardsigmoid_ = _in_place(ops.hardtanh), _in_place(ops.hardsigmoid)
    masked_fill_, index_add_ = _in_place(ops.masked_fill), _in_place(ops.index_add)
    scatter_, scatter_add_ = _in_place(ops.scatter), _in_place(ops.scatter_add)
    selu_, cumulative_sum_ = _in_place(ops.selu), _in_place(ops.cumulative_sum)
    tril_, triu_ = _in_place(ops.tril), _in_place(ops.triu)


# ---- the write ------------------------------------------------------------------------------------------------------
def _write(target: Any, name: str, operation: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Put the result of an operation on a tensor into the tensor's memory."""
    from .tensor import on_graph

    recorded = _recorded(target, (*args, *kwargs.values()))
    _may_write(target, name, recorded)
    old = target
    if recorded:        # what rules may read must not lie where the result goes
        own = owner(target._data)

        def apart(a: Any) -> Any:
            array = getattr(a, "_data", a)
            if not isinstance(array, np.ndarray) or owner(array) is not own:
                return a
            return on_graph(array.copy(), getattr(a, "_node", None))

        old, args, kwargs = apart(target), tuple(map(apart, args)), {k: apart(v) for k, v in kwargs.items()}
    result = operation(old, *args, **kwargs)
    if result.shape != target.shape:
        raise ValueError(f"{name}: the result has shape {result.shape}, the tensor {target.shape}, which cannot change "
                         "in place")
    if result.dtype != target.dtype:
        raise TypeError(f"{name}: the result is of {result.dtype}, the tensor of {target.dtype}, which cannot change "
                        f"in place; use astype({target.dtype}) on what is given")
    target._data[...] = result._data
    wrote(target._data, name)
    _move(target, name, result._node)
    return target


def _assign(target: Any, name: str, index: Any, value: Any) -> Any:
    """`t[index] = value`: nothing but the elements is touched, however large the tensor."""
    from .record import recorded_call
    from .tensor import Tensor

    recorded = _recorded(target, (value,))
    _may_write(target, name, recorded)
    index = _own(index)
    node = None
    if recorded:
        region = np.broadcast_to(np.empty((), bool), target.shape)[index]
        if isinstance(value, Tensor) and value.ndim > region.ndim and set(value.shape[:-region.ndim or None]) == {1}:
            value = ops.reshape(value, value.shape[value.ndim - region.ndim:])      # (1, ..., n) -> (n,), as NumPy does
        node = recorded_call(ops.assigned, (target, value, index), target.shape, target.dtype)
    array = value._data if isinstance(value, Tensor) else np.asarray(value)
    if not np.can_cast(array.dtype, target.dtype, "same_kind") and isinstance(value, (Tensor, np.ndarray, np.generic)) \
            or array.dtype.kind == "f" and target.dtype.kind != "f" or array.dtype.kind not in "biuf":
        raise TypeError(f"{name}: {array.dtype} cannot be written into a tensor of {target.dtype}; use astype("
                        f"{target.dtype}) on what is given")
    try:
        target._data[index] = array
    except (ValueError, IndexError) as error:
        raise type(error)(f"{name}: {error}; the tensor has shape {target.shape}, the value {array.shape}") from None
    part = target._data[index] if ops.indexing.is_basic(index) else target._data
    wrote(part if isinstance(part, np.ndarray) else target._data, name)
    _move(target, name, node)
    return target


def _recorded(target: Any, others: tuple[Any, ...]) -> bool:
    """Will the tape remember it?"""
    return MODE.get().grad and any(getattr(t, "_node", None) is not None for t in (target, *others))


def _may_write(target: Any, name: str, recorded: bool) -> None:
    """The errors of a write that the tape could not follow."""
    if MODE.get().grad and target._node is not None and target.is_leaf:
        raise ValueError(f"{name}: this tensor is a leaf that requires a gradient, so the tape cannot record a write "
                         "to it; write under no_grad(), or to a copy()")
    if not target._data.flags.writeable:
        raise ValueError(f"{name}: the memory of this tensor is read-only (a broadcast view, or another library's); "
                         "copy() it first")
    # Two references: this tensor's view, and the argument of getrefcount.
    if recorded and target._node is None and (base := target._data.base) is not None and sys.getrefcount(base) > 3:
        raise ValueError(f"{name}: this tensor is a view of another one's memory, which would get the values without "
                         "their gradient: write to that one, t[i, j] = v, not t[i][j] = v, or to a copy()")


def _move(target: Any, name: str, made_by: Node | None) -> None:
    """A tensor's place on the graph after a write: newer than the write, unlike all else that shares the memory."""
    from .record import passed

    if made_by is not None:
        target._node = passed(made_by, name)
    elif not target.is_leaf:        # under no_grad: other values, the same place
        target._node = passed(target._node, name)


def _own(index: Any) -> Any:
    """An index with arrays of its own, which nobody can change later."""
    if isinstance(index, tuple):
        return tuple(map(_own, index))
    index = ops.indexing.plain(index)
    return np.array(index) if isinstance(index, (np.ndarray, list)) else index
