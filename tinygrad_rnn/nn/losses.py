"""Losses: how far a prediction is from its target, in nats where it is a probability.

All take `reduction`: "mean", "sum" or "none" (one value an element of the target), and `lengths` for ragged batches.  A
mean is over what counts: targets that are ignored, and steps beyond a length, are neither in the sum nor in the count.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd import Tensor
from ..autograd.ops import abs as absolute
from ..autograd.ops import (
    exp,
    index_add,
    less,
    less_equal,
    log,
    log_softmax,
    mean,
    nll_of_logits,
    permute_dims,
    reshape,
    rows,
    softplus,
    square,
    where,
)
from ..autograd.ops import sum as total
from .checks import as_tensor
from .lengths import checked, mask

REDUCTIONS = ("mean", "sum", "none")


def cross_entropy(input: Any, target: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean",
                  label_smoothing: float = 0.0, *, lengths: Any = None, axis: int | None = None) -> Tensor:
    """Softmax and negative log-likelihood in one: -log softmax(input)[target], in nats.

    Parameters
    ----------
    input : Tensor (N, V)
        Logits.  Also (V,); (N, V, d1, ...), PyTorch's order, with classes on axis 1; or (T, B, V), classes last.
    target : array_like of int
        Classes from 0 to V - 1, or ignore_index; the shape of input without its class axis.
    weight : array_like (V,), optional
        A factor for each class; the mean is then the weighted one.
    ignore_index : int
        Targets of this value do not count.
    reduction : "mean", "sum" or "none"
    label_smoothing : float in [0, 1]
        Share of the target's probability that is spread evenly over all V classes (Szegedy 2016).
    lengths : array_like of int (B,), optional
        Input is (T, B, V) and target (T, B): what lies beyond a row's length does not count, and may be NaN.
    axis : int, optional
        Where the classes stand in input: 1 or last.  None: last with lengths, otherwise as the shape of target tells;
        it is an error if that fits both.

    Returns
    -------
    Tensor
        One number, or with "none" the shape of target, 0 where nothing counts.

    Raises
    ------
    IndexError
        For a target that is no class, with its position.
    TypeError
        For targets that are not integers.
    ValueError
        For shapes that do not fit, or a mean over nothing.

    Notes
    -----
    loss = sum_n w[t_n] l_n / sum_n w[t_n], l_n = log(sum_v e^x_nv) - x_n,t_n.
    """
    who = "cross_entropy"
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"{who}: label_smoothing must lie between 0 and 1, got {label_smoothing}")
    logits, ids, kept, shape = _class_rows(who, input, target, ignore_index, lengths, axis)
    w = _class_weights(who, weight, logits)
    if label_smoothing == 0:
        losses: Any = nll_of_logits(logits, ids)[0]
        losses = losses if w is None else losses * w[ids]
    else:
        log_p = log_softmax(logits)
        spread: Any = -mean(log_p if w is None else log_p * w, -1)
        losses = (1 - label_smoothing) * _picked(log_p, ids, w) + label_smoothing * spread
    return _reduced(who, losses, reduction, len(ids) if w is None else float(w[ids].sum()), kept, shape)


def nll_loss(input: Any, target: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean", *,
             lengths: Any = None, axis: int | None = None) -> Tensor:
    """-input[target] for log-probabilities, in nats: `cross_entropy` for the result of `log_softmax`.

    Parameters, result and errors are those of `cross_entropy`.
    """
    log_p, ids, kept, shape = _class_rows("nll_loss", input, target, ignore_index, lengths, axis)
    w = _class_weights("nll_loss", weight, log_p)
    return _reduced("nll_loss", _picked(log_p, ids, w), reduction, len(ids) if w is None else float(w[ids].sum()), kept,
                    shape)


def mse_loss(input: Any, target: Any, reduction: str = "mean", *, lengths: Any = None) -> Tensor:
    """Squared difference (input - target)^2.

    Parameters
    ----------
    input, target : Tensor, of one shape
        Shapes that merely broadcast are an error: that is a mistake far more often than a wish.
    reduction : "mean", "sum" or "none"
    lengths : array_like of int (B,), optional
        Both are (T, B, ...): what lies beyond a row's length does not count, and may be NaN.

    Raises
    ------
    ValueError
        For shapes that differ, or a mean over nothing.
    """
    return _elementwise("mse_loss", lambda x, t: square(x - t), [input, target], reduction, lengths)


def l1_loss(input: Any, target: Any, reduction: str = "mean", *, lengths: Any = None) -> Tensor:
    """|input - target|; the derivative at 0 is 0.  Parameters and errors are those of `mse_loss`."""
    return _elementwise("l1_loss", lambda x, t: absolute(x - t), [input, target], reduction, lengths)


def smooth_l1_loss(input: Any, target: Any, reduction: str = "mean", beta: float = 1.0, *,
                   lengths: Any = None) -> Tensor:
    """With d = |input - target|: d^2 / (2 beta) where d < beta, else d - beta/2 (Girshick 2015, equation 3, beta = 1).

    Parameters
    ----------
    beta : float, not negative
        Where the square ends; 0 is `l1_loss`.  The other parameters and errors are those of `mse_loss`.
    """
    if not beta >= 0:
        raise ValueError(f"smooth_l1_loss: beta must not be negative, got {beta}")

    def losses(x: Any, t: Any) -> Any:
        d = absolute(x - t)
        return d if beta == 0 else where(less(d, beta), square(d) * (0.5 / beta), d - 0.5 * beta)

    return _elementwise("smooth_l1_loss", losses, [input, target], reduction, lengths)


def kl_div(input: Any, target: Any, reduction: str = "mean", log_target: bool = False, *,
           lengths: Any = None) -> Tensor:
    """t (log t - input), elementwise: the divergence of t from e^input, in nats; 0 where t is 0.

    Parameters
    ----------
    input, target : Tensor, of one shape
        Log-probabilities, and probabilities; or, with log_target, log-probabilities too.
    reduction : "mean", "batchmean", "sum" or "none"
        "mean" is over all elements, as PyTorch's; "batchmean", the sum over the number of distributions along the first
        axis (with lengths: of real steps), is the divergence as the books have it.
    log_target : bool
    lengths : array_like of int (B,), optional
        Both are (T, B, ...): what lies beyond a row's length does not count, and may be NaN.

    Raises
    ------
    ValueError
        For shapes that differ, or a mean over nothing.

    Notes
    -----
    KL(t || p) = sum_k t_k (log t_k - log p_k) (Kullback and Leibler 1951).
    """
    def losses(x: Any, t: Any) -> Any:
        if log_target:
            return exp(t) * (t - x)
        zero = less_equal(t, 0)
        return where(zero, 0.0, t * (log(where(zero, 1.0, t)) - x))

    batch = reduction == "batchmean"
    value = _elementwise("kl_div", losses, [input, target], "sum" if batch else reduction, lengths)
    if not batch:
        return value
    shape = as_tensor(input).shape
    rows_ = int(np.sum(np.asarray(as_tensor(lengths).data))) if lengths is not None else shape[0] if shape else 1
    if not rows_:
        raise ValueError("kl_div: a mean over nothing: there is no distribution; reduction='sum' gives 0")
    return value / rows_


def binary_cross_entropy(input: Any, target: Any, weight: Any = None, reduction: str = "mean", *,
                         lengths: Any = None) -> Tensor:
    """-t log p - (1 - t) log(1 - p) for probabilities p, in nats; `binary_cross_entropy_with_logits` is more accurate.

    Logarithms stop at -100, as PyTorch's, so that p = 0 and p = 1 have a finite loss; the gradient is 0 there.

    Parameters
    ----------
    input, target : Tensor, of one shape
        Probabilities, each between 0 and 1.  The other parameters are those of `binary_cross_entropy_with_logits`.

    Raises
    ------
    ValueError
        For an input outside [0, 1], shapes that differ, or a mean over nothing.
    """
    who = "binary_cross_entropy"
    factor = _broadcast(who, "weight", weight, input)

    def losses(x: Any, t: Any, w: Any) -> Any:
        p = np.asarray(x.data)
        if not (p.size == 0 or 0 <= p.min() and p.max() <= 1):
            raise ValueError(f"{who}: input must hold probabilities, between 0 and 1, got {p.min()} to {p.max()}; for "
                             "logits take binary_cross_entropy_with_logits")
        value = -(t * _log_from(x, -100.0) + (1 - t) * _log_from(1 - x, -100.0))
        return value if w is None else value * w

    return _elementwise(who, losses, [input, target, factor], reduction, lengths)


def _log_from(p: Any, lowest: float) -> Any:
    """log p, no less than a number; where it would be, there is no gradient."""
    small = less_equal(p, np.exp(lowest))
    return where(small, lowest, log(where(small, 1.0, p)))


def binary_cross_entropy_with_logits(input: Any, target: Any, weight: Any = None, reduction: str = "mean",
                                     pos_weight: Any = None, *, lengths: Any = None) -> Tensor:
    """-t log s(x) - (1 - t) log(1 - s(x)) with the sigmoid s, in nats, stable for any logit x.

    Parameters
    ----------
    input, target : Tensor, of one shape
        Logits, and probabilities of "yes" (mostly 0 and 1; floating).
    weight : array_like, optional
        A factor for each element; broadcasts to target.
    reduction : "mean", "sum" or "none"
        The mean is over the number of elements, whatever the weights, as PyTorch's.
    pos_weight : array_like, optional
        A factor for the first term; broadcasts to target.
    lengths : array_like of int (B,), optional
        Both are (T, B, ...): what lies beyond a row's length does not count, and may be NaN.

    Raises
    ------
    ValueError
        For shapes that differ, or a mean over nothing.
    """
    who = "binary_cross_entropy_with_logits"
    factors = [_broadcast(who, "weight", weight, input), _broadcast(who, "pos_weight", pos_weight, input)]

    def losses(x: Any, t: Any, w: Any, p: Any) -> Any:
        # -log s(x) = softplus(-x), and 1 - s(x) = s(-x).
        yes = t * softplus(-x)
        value = (yes if p is None else yes * p) + (1 - t) * softplus(x)
        return value if w is None else value * w

    return _elementwise(who, losses, [input, target, *factors], reduction, lengths)


# ---- what they share ------------------------------------------------------------------------------------------------
def _class_rows(who: str, input: Any, target: Any, ignore_index: int, lengths: Any, axis: int | None
                ) -> tuple[Any, np.ndarray, np.ndarray | None, tuple[int, ...]]:
    """Scores (n, V) and classes (n,) of the rows that count, which rows of the flattened target these are (None: all),
    and the target's shape."""
    x: Any = as_tensor(input)
    ids = target.data if isinstance(target, Tensor) else np.asarray(target)
    if x.dtype.kind != "f":
        raise TypeError(f"{who}: input must be floating, got {x.dtype}")
    if ids.dtype.kind not in "iu":
        raise TypeError(f"{who}: target must hold classes as integers, got dtype {ids.dtype}")
    if lengths is not None and (x.ndim != 3 or ids.shape != x.shape[:2]):
        raise ValueError(f"{who}: with lengths, input must be (T, B, V) and target (T, B), got {x.shape} and "
                         f"{ids.shape}")
    axis = _class_axis(who, x.shape, ids.shape, -1 if lengths is not None else axis)
    if axis != x.ndim - 1:
        x = permute_dims(x, (*range(axis), *range(axis + 1, x.ndim), axis))
    classes = x.shape[-1]
    x = reshape(x, (ids.size, classes))         # (..., V) -> (N, V)
    flat = ids.reshape(-1)
    kept = flat != ignore_index
    if lengths is not None:
        kept &= mask(checked(who, lengths, *ids.shape), len(ids)).reshape(-1)       # (T, B) -> (T*B,)
    places = np.flatnonzero(kept)
    if len(places) < len(flat):
        # What does not count is left out rather than multiplied by 0: a NaN there would survive that.
        x, flat = rows(x, places), flat[places]
    wrong = np.flatnonzero((flat < 0) | (flat >= classes))
    if len(wrong):
        place = np.unravel_index(places[wrong[0]], ids.shape)
        position = f" at position {', '.join(map(str, place))}" if place else ""
        raise IndexError(f"{who}: target{position} is {flat[wrong[0]]}, there are {classes} classes: 0 to "
                         f"{classes - 1}, or ignore_index={ignore_index}")
    return x, flat.astype(np.int64, copy=False), None if len(flat) == ids.size else kept, ids.shape


def _class_axis(who: str, x: tuple[int, ...], target: tuple[int, ...], axis: int | None) -> int:
    """The axis of x that target lacks: 1 as in PyTorch, or the last."""
    last = len(x) - 1
    fitting = [k for k in sorted({min(1, last), last}) if k >= 0 and target == x[:k] + x[k + 1:]]
    if axis is not None:
        fitting = [k for k in fitting if k == (axis + len(x) if axis < 0 else axis)]
    if len(fitting) > 1:
        raise ValueError(f"{who}: with a target of shape {target}, the classes of an input of shape {x} may stand on "
                         "axis 1, as in PyTorch, or last: say axis=1 or axis=-1")
    if not fitting:
        where = "" if axis is None else f" with axis={axis}"
        raise ValueError(f"{who}: input of shape {x} and target of shape {target} do not fit{where}: target must have "
                         "the shape of input without its class axis, which is axis 1 or the last")
    return fitting[0]


def _constant(who: str, name: str, value: Any) -> np.ndarray:
    """A weight as an array.  TypeError if it asks for a gradient, which it would not get."""
    factor = as_tensor(value)
    if factor.requires_grad:
        raise TypeError(f"{who}: {name} is a constant and gets no gradient; pass {name}.detach()")
    return np.asarray(factor.data)


def _class_weights(who: str, weight: Any, scores: Any) -> np.ndarray | None:
    """Class weights as an array (V,) of the scores' dtype."""
    if weight is None:
        return None
    w = _constant(who, "weight", weight).astype(scores.dtype, copy=False)
    if w.shape != scores.shape[1:]:
        raise ValueError(f"{who}: weight must have one entry a class, shape {scores.shape[1:]}, got {w.shape}")
    return w


def _picked(log_p: Any, ids: np.ndarray, w: np.ndarray | None) -> Any:
    """-w[t_n] log_p[n, t_n]."""
    first = np.arange(len(ids)) * log_p.shape[1]
    losses: Any = -rows(reshape(log_p, (log_p.size,)), first + ids)       # (n, V) -> (n V,)
    return losses if w is None else losses * w[ids]


def _elementwise(who: str, losses: Callable[..., Any], operands: list[Any], reduction: str, lengths: Any) -> Tensor:
    """losses(input, target, ...) of operands of one shape (or None), without what lies beyond the lengths."""
    tensors: list[Any] = [None if x is None else as_tensor(x) for x in operands]
    shape = tensors[0].shape
    for x, name in zip(tensors, ("input", "target")):
        if x.shape != shape:
            raise ValueError(f"{who}: input and target must have one shape, got {shape} and {x.shape}")
        if x.dtype.kind != "f":
            raise TypeError(f"{who}: {name} must be floating, got {x.dtype}")
    kept = None
    if lengths is not None:
        if len(shape) < 2:
            raise ValueError(f"{who}: with lengths, input and target must be (T, B, ...), got {shape}")
        real = mask(checked(who, lengths, *shape[:2]), shape[0])
        if not real.all():
            kept = real.reshape(-1)     # (T, B) -> (T*B,)
            # (T, B, ...) -> (T*B, ...), of which the real steps are kept
            tensors = [None if x is None else rows(reshape(x, (real.size, *shape[2:])), np.flatnonzero(kept))
                       for x in tensors]
    values = losses(*tensors)
    return _reduced(who, values, reduction, values.size, kept, shape)


def _broadcast(who: str, name: str, factor: Any, input: Any) -> Any:
    """A factor at the shape of the input; None stays None."""
    if factor is None:
        return None
    x, factor = as_tensor(input), _constant(who, name, factor)
    try:
        return np.broadcast_to(factor, x.shape).astype(x.dtype, copy=False)
    except ValueError:
        message = f"{who}: {name} of shape {factor.shape} does not broadcast to target of shape {x.shape}"
        raise ValueError(message) from None


def _reduced(who: str, losses: Any, reduction: str, count: float, kept: np.ndarray | None,
             shape: tuple[int, ...]) -> Tensor:
    """Losses of the rows that were kept, summed, averaged over `count`, or put back where they were."""
    if reduction not in REDUCTIONS:
        raise ValueError(f"{who}: reduction must be one of {', '.join(REDUCTIONS)}, got {reduction!r}")
    if reduction == "none":
        if kept is not None:
            losses = index_add(np.zeros((kept.size, *losses.shape[1:]), losses.dtype), np.flatnonzero(kept), losses)
        losses = reshape(losses, shape)
        return as_tensor(losses)
    losses = total(losses)
    if reduction == "sum":
        return as_tensor(losses)
    if not count:
        raise ValueError(f"{who}: a mean over nothing: every target is ignored, or there is none; reduction='sum' "
                         "gives 0")
    return as_tensor(losses / count)
