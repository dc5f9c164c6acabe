"""Operators and methods of Tensor, attached here so that the data structure knows no operation."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import ops
from .tensor import Tensor, record

_BINARY = {"add": ops.add, "sub": ops.subtract, "mul": ops.multiply, "truediv": ops.divide, "pow": ops.pow,
           "mod": ops.remainder, "matmul": ops.matmul}
_COMPARE = {"eq": ops.equal, "ne": ops.not_equal, "lt": ops.less, "le": ops.less_equal, "gt": ops.greater,
            "ge": ops.greater_equal, "and": ops.logical_and, "or": ops.logical_or, "xor": ops.logical_xor}
METHODS = """abs exp expm1 log log1p sqrt square sign sin cos tanh sigmoid relu leaky_relu elu gelu silu erf softplus
    add subtract multiply divide pow negative remainder equal not_equal less less_equal greater greater_equal logical_and
    logical_or logical_xor logical_not floor isnan isfinite isinf maximum minimum clip
    sum mean var std max min any all argmax argmin cumulative_sum logsumexp softmax log_softmax matmul
    permute_dims swapaxes squeeze expand_dims broadcast_to flip split unstack matrix_transpose astype copy
    take index_add masked_fill""".split()


def _operator(operation: Any) -> Any:
    def apply(self: Tensor, other: Any) -> Any:
        if isinstance(other, _OPERANDS):
            return record(operation, (self, other), {})
        return NotImplemented
    return apply


def _reflected(operation: Any) -> Any:
    def apply(self: Tensor, other: Any) -> Any:
        if isinstance(other, _OPERANDS):
            return record(operation, (other, self), {})
        return NotImplemented
    return apply


_OPERANDS = (Tensor, np.ndarray, np.generic, int, float, list, tuple)


def reshape(self: Tensor, *shape: Any) -> Any:
    """The same elements under another shape, `t.reshape(2, -1)` or `t.reshape((2, -1))`."""
    return record(ops.reshape, (self, shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape), {})


def attach() -> None:
    """Give Tensor its operators and methods."""
    for name, operation in _BINARY.items():
        setattr(Tensor, f"__{name}__", _operator(operation))
        setattr(Tensor, f"__r{name}__", _reflected(operation))
    for name, operation in _COMPARE.items():
        setattr(Tensor, f"__{name}__", _operator(operation))
    for name in METHODS:
        setattr(Tensor, name, _method(getattr(ops, name)))
    setattr(Tensor, "reshape", reshape)
    setattr(Tensor, "__neg__", lambda self: record(ops.negative, (self,), {}))
    setattr(Tensor, "__pos__", lambda self: self)
    setattr(Tensor, "__abs__", lambda self: record(ops.abs, (self,), {}))
    setattr(Tensor, "__invert__", lambda self: record(ops.logical_not, (self,), {}))
    setattr(Tensor, "__getitem__", lambda self, index: record(ops.getitem, (self, index), {}))
    setattr(Tensor, "T", property(_transposed, doc="All axes in reverse order."))
    setattr(Tensor, "mT", property(ops.matrix_transpose, doc="The last two axes exchanged."))


def _transposed(self: Tensor) -> Any:
    return ops.permute_dims(self, tuple(range(self.ndim))[::-1])


def _method(operation: Any) -> Any:
    def method(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        return operation(self, *args, **kwargs)
    method.__name__ = method.__qualname__ = operation.__name__
    method.__doc__ = operation.__doc__
    return method


attach()
