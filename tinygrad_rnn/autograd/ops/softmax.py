"""Softmax, its logarithm, and the cross-entropy that training spends its time in: each stable for any logits."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ... import kernels
from ..primitive import Domain, case, floating, primitive, reals
from .arithmetic import where
from .axes import normalised, one_axis, spread
from .comparison import equal
from .elementwise import exp
from .reductions import sum as total
from .shapes import expand_dims

ROWS = [case((3, 4)), case((3, 4), axis=0), case((2, 3, 4), axis=1), case((2, 3), axis=-2), case((5,)), case((3, 1)),
        case((0, 4))]


def _along(kernel: Callable[..., np.ndarray], axis: int, *arrays: np.ndarray) -> np.ndarray:
    """Run a kernel for the last axis along another one."""
    axis = one_axis(axis, arrays[0].ndim, kernel.__name__)
    if axis == arrays[0].ndim - 1:
        return kernel(*arrays)
    return np.moveaxis(kernel(*(np.moveaxis(a, axis, -1) for a in arrays)), -1, axis)


def _np_softmax(x: np.ndarray, axis: int = -1) -> Any:
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


@primitive(rules=[lambda g, y, _x, axis=-1: y * (g - total(g * y, axis, True))],
           fused={0: lambda g, y, _x, axis=-1: _along(kernels.softmax_backward, axis, g, y)},
           kind="structural", oracle=_np_softmax, domain=[reals()], cases=ROWS)
def softmax(x: Any, axis: int = -1) -> Any:
    """e^x / sum(e^x) along an axis."""
    return _along(kernels.softmax, axis, x)


@primitive(rules=[lambda g, y, _x, axis=-1: g - exp(y) * total(g, axis, True)],
           fused={0: lambda g, y, _x, axis=-1: _along(kernels.log_softmax_backward, axis, g, y)},
           kind="structural", oracle=lambda x, axis=-1: np.log(_np_softmax(x, axis)), domain=[reals()], cases=ROWS)
def log_softmax(x: Any, axis: int = -1) -> Any:
    """x - log(sum(e^x)) along an axis: log-probabilities in nats."""
    return _along(kernels.log_softmax, axis, x)


def _logsumexp_rule(g: Any, y: Any, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The softmax of x; where all is -inf, it is 0."""
    y = where(equal(y, -np.inf), 0.0, y)
    return spread(g, x, axis, keepdims) * exp(x - spread(y, x, axis, keepdims))


def _logsumexp_backward(g: Any, y: Any, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The same on arrays: below the lowest number, only -inf is left."""
    y = np.maximum(y, np.finfo(x.dtype).min)
    return kernels.exp(x - spread(y, x, axis, keepdims)) * spread(g, x, axis, keepdims)


@primitive(rules=[_logsumexp_rule], fused={0: _logsumexp_backward}, kind="reduction",
           oracle=lambda x, axis=None, keepdims=False: np.log(np.sum(np.exp(x), axis, keepdims=keepdims)),
           domain=[reals()], cases=[case((3, 4)), case((3, 4), axis=0), case(()),
                                    case((2, 3, 4), axis=(0, 2), keepdims=True)])
def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """log(sum(e^x)) over axes, without overflow.

    Over nothing but -inf it is -inf, with gradient 0.  ValueError over nothing at all.
    """
    axes = normalised(axis, x.ndim, "logsumexp")
    if any(x.shape[a] == 0 for a in axes):
        raise ValueError(f"logsumexp: a reduced axis of shape {x.shape} has size 0")
    kept = [n for k, n in enumerate(x.shape) if k not in axes]
    rows = np.moveaxis(x, axes, range(-len(axes), 0)).reshape(*kept, math.prod(x.shape[a] for a in axes))
    return kernels.logsumexp(rows).reshape([1 if k in axes else n for k, n in enumerate(x.shape)] if keepdims else kept)


# ---- cross-entropy --------------------------------------------------------------------------------------------------
def _onehot(targets: np.ndarray, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    out = np.zeros(shape, dtype)
    out[np.arange(shape[0]), targets] = 1
    return out


def _nll_pull(g: Any, y: Any, logits: Any, targets: Any, needed: Sequence[bool]) -> list[Any]:
    """(softmax - onehot) g for the losses, softmax g for the logarithms of the sums."""
    g_losses, g_sums = g
    if g_sums is None and isinstance(g_losses, np.ndarray):
        return [kernels.nll_backward(g_losses, logits, y[1], targets), None]
    p, d = softmax(logits), 0
    if g_losses is not None:
        d = (p - _onehot(targets, logits.shape, logits.dtype)) * expand_dims(g_losses, -1)
    return [d if g_sums is None else p * expand_dims(g_sums, -1) + d, None]


def _np_nll(logits: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    sums = np.log(np.sum(np.exp(logits), -1))
    return sums - logits[np.arange(len(targets)), targets], sums


@primitive(pull=_nll_pull, kind="structural", oracle=_np_nll, domain=[reals(), Domain(0, 3, dtype="int64")],
           cases=[case((5, 4), (5,)), case((1, 4), (1,)), case((0, 4), (0,))])
def nll_of_logits(logits: Any, targets: Any) -> Any:
    """Negative log-likelihood of the softmax: one pass over memory forward, one backward, no probabilities stored.

    Parameters
    ----------
    logits : Tensor (N, V)
    targets : (N,) integers in [0, V)

    Returns
    -------
    losses, sums : Tensor (N,), Tensor (N,)
        -log softmax(logits)[n, targets[n]] and log(sum(e^logits[n])), in nats.

    Raises
    ------
    ValueError, TypeError, IndexError
        For other shapes, targets that are not integers, or no class.
    """
    logits, targets = floating(logits), np.asarray(targets)
    if logits.ndim != 2 or targets.shape != logits.shape[:1]:
        raise ValueError(f"nll_of_logits: expected logits (N, V) and targets (N,), got {logits.shape} and "
                         f"{targets.shape}")
    if targets.dtype.kind not in "iu":
        raise TypeError(f"nll_of_logits: targets must be integers, got {targets.dtype}")
    if targets.size and not 0 <= targets.min() <= targets.max() < logits.shape[1]:
        raise IndexError(f"nll_of_logits: targets must lie in [0, {logits.shape[1]}), got {targets.min()} to "
                         f"{targets.max()}")
    return kernels.nll_forward(logits, targets.astype(np.int64, copy=False))
