"""Attention as steps of a cell: `attend` and `attend_additive`, and cells that look at a memory while they write.

    attend(query, keys, values, mask)               a_s = softmax of query . keys_s        (Luong 2015, equation 8)
    attend_additive(query, keys, values, mask, v)   a_s = softmax of v . tanh(query + keys_s)   (Bahdanau 2015, A.1.2)

both give the context, the sum of a_s values_s, of shape (B, V).  keys (B, S, A), values (B, S, V), v (B, A) and the mask
(B, S), 1 where the memory is real, are handed on whole; where the mask is 0 a weight is exactly 0.

In the equations of a cell they run compiled (`kernels/attention.py`); called with Tensors they are operations of the
tape, made of the library's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..autograd import Tensor, grad, ops
from ..autograd.mode import enable_grad
from ..autograd.primitive import Primitive, as_array
from ..autograd.tensor import constant
from .functions import StepKernels, register_step


# ---- the equations ---------------------------------------------------------------------------------------------------
def attention_weights(query: Any, keys: Any, mask: Any = None, v: Any = None) -> Any:
    """Attention weights over a memory.

    Parameters
    ----------
    query : Tensor (B, A), or (B, T, A)
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
    single = query.ndim == 2
    q = ops.expand_dims(query, 1) if single else query                          # (B, T, A)
    if v is None:
        scores = ops.matmul(q, ops.matrix_transpose(keys))                      # (B, T, S)
    else:
        energy = ops.tanh(ops.expand_dims(q, 2) + ops.expand_dims(keys, 1))     # (B, T, S, A)
        v = v if v.ndim == 1 else ops.reshape(v, (v.shape[0], 1, 1, v.shape[1]))
        scores = ops.sum(energy * v, axis=-1)
    if mask is not None:
        scores = ops.where(ops.expand_dims(mask, 1) > 0, scores, -float("inf"))
    weights = ops.softmax(scores, axis=-1)
    return ops.squeeze(weights, 1) if single else weights


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
                         compiled=StepKernels(machine_code, lambda *shapes: int(shapes[1][1])))


@_step("dot")
def attend(query: Any, keys: Any, values: Any, mask: Any) -> Any:
    """The context for a query, weights by the dot product."""
    return context(attention_weights(query, keys, mask), values)


@_step("additive")
def attend_additive(query: Any, keys: Any, values: Any, mask: Any, v: Any) -> Any:
    """The context for a query, weights by v . tanh(query + key)."""
    return context(attention_weights(query, keys, mask, v), values)
