"""Operators and methods of Tensor: the operations again, with the tensor as an operand."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from . import ops

if TYPE_CHECKING:
    from .tensor import Tensor

    Binary = Callable[[Any, Any], Tensor]
    Method = Callable[..., Tensor]


def _operators(operation: Callable[[Any, Any], Any]) -> tuple[Binary, Binary]:
    """The operator and its reflected form, for a tensor on the right of something else."""

    def apply(self: Any, other: Any) -> Any:
        return operation(self, other) if isinstance(other, _OPERANDS) else NotImplemented

    def reflected(self: Any, other: Any) -> Any:
        return operation(other, self) if isinstance(other, _OPERANDS) else NotImplemented

    return apply, reflected


def _operator(operation: Callable[[Any, Any], Any]) -> Binary:
    """An operator that Python itself reflects: a < b is b > a."""
    return _operators(operation)[0]


def _of_bools(operator: str, operation: Callable[..., Any]) -> Callable[..., Any]:
    """A logical operation as an operator of bools: on integers the same sign means bits."""

    def apply(*operands: Any) -> Any:
        for operand in operands:
            dtype = getattr(operand, "dtype", type(operand))
            if dtype not in (np.bool_, bool):
                raise TypeError(f"operator {operator} is for bools, got {getattr(dtype, '__name__', dtype)}")
        return operation(*operands)

    return apply


def _method(operation: Callable[..., Any]) -> Method:
    @functools.wraps(operation)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return operation(self, *args, **kwargs)

    return method


class Operators:
    """What Tensor inherits."""

    __slots__ = ()

    # ---- operators --------------------------------------------------------------------------------------------------
    __add__, __radd__ = _operators(ops.add)
    __sub__, __rsub__ = _operators(ops.subtract)
    __mul__, __rmul__ = _operators(ops.multiply)
    __truediv__, __rtruediv__ = _operators(ops.divide)
    __floordiv__, __rfloordiv__ = _operators(ops.floor_divide)
    __mod__, __rmod__ = _operators(ops.remainder)
    __pow__, __rpow__ = _operators(ops.pow)
    __matmul__, __rmatmul__ = _operators(ops.matmul)
    __and__, __rand__ = _operators(_of_bools("&", ops.logical_and))
    __or__, __ror__ = _operators(_of_bools("|", ops.logical_or))
    __xor__, __rxor__ = _operators(_of_bools("^", ops.logical_xor))
    __lt__, __le__ = _operator(ops.less), _operator(ops.less_equal)
    __gt__, __ge__ = _operator(ops.greater), _operator(ops.greater_equal)
    __eq__, __ne__ = _operator(ops.equal), _operator(ops.not_equal)     # type: ignore[assignment]

    def __neg__(self) -> Tensor:
        result: Tensor = ops.negative(self)
        return result

    def __pos__(self) -> Self:
        return self

    def __abs__(self) -> Tensor:
        result: Tensor = ops.abs(self)
        return result

    def __invert__(self) -> Tensor:
        result: Tensor = _of_bools("~", ops.logical_not)(self)
        return result

    def __getitem__(self, index: Any) -> Tensor:
        result: Tensor = ops.getitem(self, index)
        return result

    # ---- methods ----------------------------------------------------------------------------------------------------
    def reshape(self, *shape: Any) -> Tensor:
        """The same elements under another shape, `t.reshape(2, -1)` or `t.reshape((2, -1))`."""
        result: Tensor = ops.reshape(self, shape[0] if len(shape) == 1 else shape)
        return result

    @property
    def T(self) -> Tensor:
        """All axes in reverse order."""
        result: Tensor = ops.permute_dims(self, tuple(range(self.ndim))[::-1])      # type: ignore[attr-defined]
        return result

    @property
    def mT(self) -> Tensor:
        """The last two axes exchanged."""
        result: Tensor = ops.matrix_transpose(self)
        return result

    # Every function of the library whose first argument is a tensor, under its name; the names are sorted by family.
    add, subtract = _method(ops.add), _method(ops.subtract)
    multiply, divide = _method(ops.multiply), _method(ops.divide)
    floor_divide, remainder = _method(ops.floor_divide), _method(ops.remainder)
    negative, abs = _method(ops.negative), _method(ops.abs)
    pow, square, sqrt = _method(ops.pow), _method(ops.square), _method(ops.sqrt)
    reciprocal, rsqrt = _method(ops.reciprocal), _method(ops.rsqrt)
    maximum, minimum, clip = _method(ops.maximum), _method(ops.minimum), _method(ops.clip)
    sign, floor = _method(ops.sign), _method(ops.floor)
    ceil, round = _method(ops.ceil), _method(ops.round)

    equal, not_equal = _method(ops.equal), _method(ops.not_equal)
    less, less_equal = _method(ops.less), _method(ops.less_equal)
    greater, greater_equal = _method(ops.greater), _method(ops.greater_equal)
    logical_and, logical_or = _method(ops.logical_and), _method(ops.logical_or)
    logical_xor, logical_not = _method(ops.logical_xor), _method(ops.logical_not)
    isnan, isfinite, isinf = _method(ops.isnan), _method(ops.isfinite), _method(ops.isinf)

    exp, expm1 = _method(ops.exp), _method(ops.expm1)
    log, log1p = _method(ops.log), _method(ops.log1p)
    sin, cos, tan = _method(ops.sin), _method(ops.cos), _method(ops.tan)
    asin, acos, atan = _method(ops.asin), _method(ops.acos), _method(ops.atan)
    arcsin, arccos, arctan = _method(ops.arcsin), _method(ops.arccos), _method(ops.arctan)
    sinh, cosh, tanh = _method(ops.sinh), _method(ops.cosh), _method(ops.tanh)
    asinh, acosh, atanh = _method(ops.asinh), _method(ops.acosh), _method(ops.atanh)
    arcsinh, arccosh, arctanh = _method(ops.arcsinh), _method(ops.arccosh), _method(ops.arctanh)
    erf, sigmoid, softplus = _method(ops.erf), _method(ops.sigmoid), _method(ops.softplus)
    relu, leaky_relu, elu = _method(ops.relu), _method(ops.leaky_relu), _method(ops.elu)
    gelu, silu, selu = _method(ops.gelu), _method(ops.silu), _method(ops.selu)
    hardtanh, hardsigmoid = _method(ops.hardtanh), _method(ops.hardsigmoid)
    softmax, log_softmax = _method(ops.softmax), _method(ops.log_softmax)

    sum, mean, prod = _method(ops.sum), _method(ops.mean), _method(ops.prod)
    var, std = _method(ops.var), _method(ops.std)
    max, min = _method(ops.max), _method(ops.min)
    amax, amin = _method(ops.amax), _method(ops.amin)
    argmax, argmin = _method(ops.argmax), _method(ops.argmin)
    any, all = _method(ops.any), _method(ops.all)
    logsumexp, vector_norm, norm = _method(ops.logsumexp), _method(ops.vector_norm), _method(ops.norm)
    cumulative_sum, cumsum = _method(ops.cumulative_sum), _method(ops.cumsum)
    matmul, tensordot = _method(ops.matmul), _method(ops.tensordot)
    vecdot, outer, dot = _method(ops.vecdot), _method(ops.outer), _method(ops.dot)

    permute_dims, swapaxes = _method(ops.permute_dims), _method(ops.swapaxes)
    matrix_transpose, flip = _method(ops.matrix_transpose), _method(ops.flip)
    squeeze, expand_dims = _method(ops.squeeze), _method(ops.expand_dims)
    broadcast_to, where = _method(ops.broadcast_to), _method(ops.where)
    roll, tile, repeat = _method(ops.roll), _method(ops.tile), _method(ops.repeat)
    pad, diagonal = _method(ops.pad), _method(ops.diagonal)
    tril, triu = _method(ops.tril), _method(ops.triu)
    split: Callable[..., list[Tensor]] = _method(ops.split)             # type: ignore[assignment]
    unstack: Callable[..., tuple[Tensor, ...]] = _method(ops.unstack)   # type: ignore[assignment]
    astype, copy = _method(ops.astype), _method(ops.copy)

    take, take_along_axis = _method(ops.take), _method(ops.take_along_axis)
    index_add, masked_fill = _method(ops.index_add), _method(ops.masked_fill)
    scatter, scatter_add = _method(ops.scatter), _method(ops.scatter_add)
    sort, argsort = _method(ops.sort), _method(ops.argsort)
    topk: Callable[..., tuple[Tensor, Tensor]] = _method(ops.topk)          # type: ignore[assignment]
    cummax: Callable[..., tuple[Tensor, Tensor]] = _method(ops.cummax)      # type: ignore[assignment]
    nonzero: Callable[..., tuple[Tensor, ...]] = _method(ops.nonzero)       # type: ignore[assignment]


# What may stand on the other side of an operator; anything else gets to try its own.
_OPERANDS = (Operators, float, int, np.ndarray, np.generic, list, tuple)
