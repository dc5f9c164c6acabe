"""Attention: a weighted mean of a memory, weights from how well each of its places fits a query.

    e_s = score(query, key_s)       dot         query . key_s                       Luong 2015, equation 8
                                    general     (W query) . key_s                   the same
                                    scaled_dot  (W query) . (W' key_s) / sqrt(A)    Vaswani 2017, equation 1
                                    additive    v . tanh(W query + W' key_s)        Bahdanau 2015, appendix A.1.2
                                    location    v . tanh(W query + W' key_s + U (F * a_before)_s)   Chorowski 2015, 9
    a_s = exp(e_s) / sum exp(e_r)   over the real places; exactly 0 on padding
    context = sum of a_s value_s

The memory is any (S, B, D) tensor: states of an encoder, frames of a film, regions of an image.  Two functions
(`masked_softmax`, `attention`), and the layers that learn W, W', v: `Attention` and `LocationAttention`.  A recurrent
layer that attends at every step is `Attending`.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ..autograd import Tensor, ops
from ..autograd.tensor import constant
from ..cells import attention as equations
from ..random import Rng
from . import init
from . import lengths as ragged
from .checks import as_tensor, features, positive, same_dtype
from .module import Module

SCORES = (*equations.SCORES, "location")


# ---- functions -------------------------------------------------------------------------------------------------------
def masked_softmax(scores: Any, mask: Any, axis: int = -1) -> Tensor:
    """softmax over what the mask leaves, exactly 0 elsewhere.

    Parameters
    ----------
    scores : Tensor
    mask : array_like of bool or numbers that broadcasts to scores
        True, or more than 0, where a place is real.
    axis : int

    Raises
    ------
    ValueError
        If all places of a row are masked: there is nothing to share out.
    """
    scores, on = as_tensor(scores), np.asarray(mask.data if isinstance(mask, Tensor) else mask) > 0
    try:
        on = np.broadcast_to(on, scores.shape)
    except ValueError:
        raise ValueError(f"masked_softmax: mask of shape {on.shape} does not broadcast to the scores' {scores.shape}"
                         ) from None
    empty = np.argwhere(~on.any(axis))
    if on.size and len(empty):
        raise ValueError(f"masked_softmax: all places of row {tuple(map(int, empty[0]))} are masked")
    weights: Tensor = equations.masked_softmax(scores, on, axis)
    return weights


def attention(query: Any, keys: Any, values: Any, mask: Any = None, v: Any = None,
              scale: float | None = None) -> tuple[Tensor, Tensor]:
    """Attend to a memory with ready queries and keys.

    Parameters
    ----------
    query : Tensor (T, B, A), or (B, A) for one step
    keys : Tensor (S, B, A)
    values : Tensor (S, B, V)
    mask : array_like (B, S), optional
        True, or more than 0, where the memory is real; None: all of it.  What stands elsewhere may be NaN.
    v : Tensor (A,), optional
        With it the score is v . tanh(query + key); else scale * query . key.
    scale : float, optional
        1 if None; 1/sqrt(A) gives scaled dot products.

    Returns
    -------
    context : Tensor (T, B, V), or (B, V)
    weights : Tensor (T, B, S), or (B, S)
        They sum to 1 and are exactly 0 on padding.

    Raises
    ------
    ValueError
        For shapes that do not fit together, or a row of the memory that is all padding.
    """
    query, keys, values = map(as_tensor, (query, keys, values))
    if query.ndim not in (2, 3) or keys.ndim != 3 or values.ndim != 3:
        raise ValueError("attention: expected query (T, B, A) or (B, A), keys (S, B, A), values (S, B, V), got shapes "
                         f"{query.shape}, {keys.shape}, {values.shape}")
    if keys.shape[:2] != values.shape[:2] or query.shape[-2:] != keys.shape[1:]:
        raise ValueError(f"attention: query {query.shape}, keys {keys.shape} and values {values.shape} must agree in B "
                         "(the last axis but one), query and keys in A, keys and values in S")
    memory = stored(keys, values, _mask("attention", mask, None, *keys.shape[:2]))
    return _attend(query if scale is None else query * scale, memory, v)


class Memory(NamedTuple):
    """A memory as attention reads it, made once a sequence by `Attention.remember`."""

    keys: Any           # (B, S, A)
    values: Any         # (B, S, V), 0 on padding
    mask: np.ndarray    # (B, S), 1 where it is real, in the dtype of the values


def stored(keys: Any, values: Any, mask: np.ndarray) -> Memory:
    """(S, B, ...) keys and values as a `Memory`; what stands on padding cannot matter any more."""
    if not mask.all():
        on = mask.T[..., None]                                  # (B, S) -> (S, B, 1)
        keys, values = ops.where(on, keys, 0.0), ops.where(on, values, 0.0)
    return Memory(ops.swapaxes(keys, 0, 1), ops.swapaxes(values, 0, 1), mask.astype(values.dtype))


def _attend(query: Any, memory: Memory, v: Any = None) -> tuple[Tensor, Tensor]:
    """Context and weights, (T, B, .) or (B, .)."""
    several = query.ndim == 3
    q = ops.swapaxes(query, 0, 1) if several else query         # (T, B, A) -> (B, T, A)
    weights = equations.attention_weights(q, memory.keys, memory.mask, v)
    found = equations.context(weights, memory.values)
    return (ops.swapaxes(found, 0, 1), ops.swapaxes(weights, 0, 1)) if several else (found, weights)


def _mask(who: str, mask: Any, lengths: Any, steps: int, batch: int) -> np.ndarray:
    """bool (B, S) from a mask or from lengths."""
    if mask is not None and lengths is not None:
        raise ValueError(f"{who}: give a mask or lengths, not both")
    if lengths is not None:
        return ragged.mask(ragged.checked(who, lengths, steps, batch), steps).T
    if mask is None:
        if not steps:
            raise ValueError(f"{who}: the memory is empty: there is nothing to attend to")
        return np.ones((batch, steps), np.bool_)
    on: np.ndarray = np.asarray(mask.data if isinstance(mask, Tensor) else mask) > 0
    if on.shape != (batch, steps):
        raise ValueError(f"{who}: mask must have shape (B, S) = {(batch, steps)}, got {on.shape}")
    empty = np.flatnonzero(~on.any(1))
    if len(empty):
        raise ValueError(f"{who}: row {empty[0]} of the memory is all padding: there is nothing to attend to")
    return on


# ---- layers ----------------------------------------------------------------------------------------------------------
class Attention(Module):
    """Attention with learned queries and keys.

    Parameters
    ----------
    query_size : int or None
        Width of the queries; None: they come as they are compared, as wide as the keys.
    memory_size : int
        Width of the memory, D; also of the context.
    score : "general", "dot", "scaled_dot" or "additive"
    size : int, optional
        Width in which query and key meet, A; by default that of the memory.  For dot and general it is.
    rng : numpy.random.Generator, int or None
        Everything starts uniform in +-1/sqrt(number of its inputs).

    Attributes
    ----------
    weight_query : Parameter (A, query_size), none for dot
    weight_key : Parameter (A, memory_size), for scaled_dot and additive
    v : Parameter (A,), for additive

    Raises
    ------
    ValueError, TypeError
        For an unknown score, or sizes that do not fit it.
    """

    def __init__(self, query_size: int | None, memory_size: int, score: str = "general", size: int | None = None, *,
                 rng: Rng = None) -> None:
        super().__init__()
        self._sizes(query_size, memory_size, score, size)
        self.initialise(rng)

    def _sizes(self, query_size: int | None, memory_size: int, score: str, size: int | None) -> None:
        """Check sizes and declare the parameters that they ask for."""
        who = type(self).__name__
        self.size = size = memory_size if size is None else size
        positive(who, memory_size=memory_size, size=size,
                 **({} if query_size is None else {"query_size": query_size}))
        if score not in SCORES:
            raise ValueError(f"{who}: score must be one of {', '.join(map(repr, SCORES))}, got {score!r}")
        if score == "location" and not isinstance(self, LocationAttention):
            raise ValueError(f"{who}: score='location' needs the weights of the step before: use LocationAttention")
        if score in ("dot", "general") and size != memory_size:
            raise ValueError(f"{who}: score={score!r} compares with the memory itself, so size is memory_size="
                             f"{memory_size}, got {size}")
        if score == "dot" and query_size not in (None, memory_size):
            raise ValueError(f"{who}: score='dot' compares query and memory as they are, so query_size is memory_size="
                             f"{memory_size}, got {query_size}")
        self.query_size, self.memory_size, self.score = query_size, memory_size, score
        if query_size is not None and score != "dot":
            self.declare("weight_query", (size, query_size), _uniform(query_size))
        if score not in ("dot", "general"):
            self.declare("weight_key", (size, memory_size), _uniform(memory_size))
        if score in ("additive", "location"):
            self.declare("v", (size,), _uniform(size))

    weight_query: Tensor
    weight_key: Tensor
    v: Tensor

    def remember(self, memory: Any, mask: Any = None, lengths: Any = None) -> Memory:
        """A memory with its keys, to attend to any number of times.

        Parameters
        ----------
        memory : Tensor (S, B, D)
        mask : array_like (B, S), optional
            True, or more than 0, where it is real.
        lengths : array_like of int (B,), optional
            Or how many of its first places are.

        Raises
        ------
        ValueError, TypeError
            For a memory that does not fit, or a row of it that is all padding.
        """
        who = type(self).__name__
        memory = as_tensor(memory)
        if memory.ndim != 3 or memory.shape[-1] != self.memory_size:
            raise ValueError(f"{who}: memory must have shape (S, B, D) with D = memory_size = {self.memory_size}, got "
                             f"{memory.shape}")
        first = next(self.parameters(), None)
        if first is not None:
            same_dtype(who, "memory", memory, first)
        on = _mask(who, mask, lengths, *memory.shape[:2])
        if not on.all():
            memory = ops.where(on.T[..., None], memory, 0.0)    # (B, S) -> (S, B, 1)
        keys = memory if self.score in ("dot", "general") else ops.linear(memory, self.weight_key)
        return stored(keys, memory, on)

    def query(self, x: Any) -> Tensor:
        """(..., query_size) -> (..., A), as keys are compared with."""
        if self.query_size is None:
            return as_tensor(x)
        if self.score == "dot":
            same = as_tensor(x)
            if same.shape[-1] != self.query_size:
                raise ValueError(f"{type(self).__name__}: the query has {same.shape[-1]} features, expected query_size="
                                 f"{self.query_size}")
            return same
        x = features(type(self).__name__, x, self.weight_query, self.query_size, "query_size")
        scale = self.size ** -0.5 if self.score == "scaled_dot" else 1.0
        query: Tensor = ops.linear(x, self.weight_query) * scale
        return query

    def forward(self, query: Any, memory: Any, mask: Any = None, lengths: Any = None) -> tuple[Tensor, Tensor]:
        """Attend.

        Parameters
        ----------
        query : Tensor (T, B, query_size), or (B, query_size) for one step
        memory : Tensor (S, B, D), or what `remember` made of it
        mask, lengths : see `remember`

        Returns
        -------
        context : Tensor (T, B, D), or (B, D)
        weights : Tensor (T, B, S), or (B, S)
            They sum to 1 and are exactly 0 on padding.
        """
        if not isinstance(memory, Memory):
            memory = self.remember(memory, mask, lengths)
        return _attend(self.query(query), memory, getattr(self, "v", None))

    def extra_repr(self) -> str:
        """Sizes and score."""
        return f"{self.query_size}, {self.memory_size}, score={self.score!r}, size={self.size}"


class LocationAttention(Attention):
    """Additive attention that also sees where the step before looked: the weights then, filtered along the memory.

    Parameters
    ----------
    query_size, memory_size, size, rng : see `Attention`
    filters : int
        How many.
    width : int
        Places that a filter reads, an odd number.

    Attributes
    ----------
    weight_filter : Parameter (filters, width)
    weight_location : Parameter (A, filters)
    """

    def __init__(self, query_size: int, memory_size: int, size: int | None = None, filters: int = 10, width: int = 7,
                 *, rng: Rng = None) -> None:
        Module.__init__(self)
        positive("LocationAttention", filters=filters, width=width)
        if not width % 2:
            raise ValueError(f"LocationAttention: width must be odd, so that a filter has a middle, got {width}")
        self._sizes(query_size, memory_size, "location", size)
        self.filters, self.width = filters, width
        self.declare("weight_filter", (filters, width), _uniform(width))
        self.declare("weight_location", (self.size, filters), _uniform(filters))
        self.initialise(rng)

    weight_filter: Tensor
    weight_location: Tensor

    def forward(self, query: Any, memory: Any, mask: Any = None, lengths: Any = None,
                before: Any = None) -> tuple[Tensor, Tensor]:
        """One step.

        Parameters
        ----------
        query : Tensor (B, query_size)
        memory, mask, lengths : see `Attention`
        before : Tensor (B, S), optional
            Weights of the step before; None: none yet, zeros.

        Returns
        -------
        context (B, D), weights (B, S)
        """
        if not isinstance(memory, Memory):
            memory = self.remember(memory, mask, lengths)
        query = as_tensor(query)
        if query.ndim != 2:
            raise ValueError("LocationAttention: each step needs the weights of the step before, so a query is (B, "
                             f"query_size), got shape {query.shape}")
        before = constant(np.zeros_like(memory.mask)) if before is None else as_tensor(before)
        places, half = before.shape[1], self.width // 2
        rim = constant(np.zeros((len(memory.mask), half), memory.mask.dtype))
        padded = ops.concat([rim, before, rim], 1)
        windows = ops.stack([padded[:, k:k + places] for k in range(self.width)], -1)       # (B, S, width)
        seen = ops.linear(ops.linear(windows, self.weight_filter), self.weight_location)    # (B, S, A)
        weights = equations.attention_weights(self.query(query), memory.keys + seen, memory.mask, self.v)
        return equations.context(weights, memory.values), weights


def _uniform(inputs: int) -> Any:
    return partial(init.uniform_, a=-inputs ** -0.5, b=inputs ** -0.5)
