"""Softmax, its logarithm, and the cross-entropy that training spends its time in: each stable for any logits."""

from __future__ import annotations

import numpy as np

from ... import kernels
from ..primitive import Domain, as_array, case, primitive, reals
from .axes import normalised, spread
from .elementwise import exp, log
from .reductions import max as largest
from .reductions import sum as total
from .shapes import reshape

ROWS = [case((3, 4)), case((3, 4), axis=0), case((2, 3, 4), axis=1), case((5,)), case((3, 1))]


def _along_last(kernel, x, axis):
    """Run a kernel over the last axis along another one."""
    x = as_array(x)
    x = x if x.dtype.kind == "f" else x.astype(np.float32)
    axis, = normalised(axis, x.ndim, kernel.__name__)
    return np.moveaxis(kernel(np.moveaxis(x, axis, -1)), -1, axis)


def _np_softmax(x, axis=-1):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


@primitive(rules=[lambda g, y, _x, axis=-1: y * (g - total(g * y, axis, True))], kind="structural", oracle=_np_softmax,
           domain=[reals()], cases=ROWS)
def softmax(x, axis=-1):
    """e^x / sum(e^x) along an axis."""
    return _along_last(kernels.softmax, x, axis)


@primitive(rules=[lambda g, y, _x, axis=-1: g - exp(y) * total(g, axis, True)], kind="structural",
           oracle=lambda x, axis=-1: np.log(_np_softmax(x, axis)), domain=[reals()], cases=ROWS)
def log_softmax(x, axis=-1):
    """x - log(sum(e^x)) along an axis: log-probabilities in nats."""
    return _along_last(kernels.log_softmax, x, axis)


@primitive(rules=[lambda g, y, x, axis=None, keepdims=False:
                  spread(g, x, axis, keepdims) * exp(x - spread(y, x, axis, keepdims))], kind="reduction",
           oracle=lambda x, axis=None, keepdims=False: np.log(np.sum(np.exp(x), axis, keepdims=keepdims)),
           domain=[reals()], cases=[case((3, 4)), case((3, 4), axis=0), case((2, 3, 4), axis=(0, 2), keepdims=True)])
def logsumexp(x, axis=None, keepdims=False):
    """log(sum(e^x)) over axes, without overflow; -inf over nothing but -inf."""
    x = as_array(x)
    x = x if x.dtype.kind == "f" else x.astype(np.float32)
    peak = largest(x, axis, True)
    safe = np.where(np.isfinite(peak), peak, 0).astype(x.dtype)
    with np.errstate(divide="ignore"):
        y = log(total(exp(x - safe), axis, True)) + safe
    return y if keepdims else y.reshape(total(x, axis).shape)


def _onehot(targets, shape, dtype):
    out = np.zeros(shape, dtype)
    out[np.arange(shape[0]), targets] = 1
    return out


def _nll_pull(g, y, logits, targets, needed):
    """(softmax - onehot) g for the losses, softmax g for the logarithms of the sums."""
    g_losses, g_sums = g
    if g_sums is None and isinstance(g_losses, np.ndarray):
        return kernels.nll_backward(g_losses, logits, y[1], targets), None
    p, d = softmax(logits), 0
    if g_losses is not None:
        d = (p - _onehot(targets, logits.shape, logits.dtype)) * reshape(g_losses, (-1, 1))
    return (d if g_sums is None else d + p * reshape(g_sums, (-1, 1))), None


def _np_nll(logits, targets):
    sums = np.log(np.sum(np.exp(logits), -1))
    return sums - logits[np.arange(len(targets)), targets], sums


@primitive(pull=_nll_pull, kind="structural", oracle=_np_nll, domain=[reals(), Domain(0, 3, dtype="int64")],
           cases=[case((5, 4), (5,)), case((1, 4), (1,)), case((0, 4), (0,))])
def nll_of_logits(logits, targets):
    """-log softmax(logits)[n, targets[n]] and the log of each row's sum: logits (N, V), targets (N,) -> two (N,), in nats.

    One pass over memory forward and one backward, without the probabilities ever being stored.
    """
    return kernels.nll_forward(as_array(logits), np.asarray(targets))
