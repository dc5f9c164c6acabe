"""Softmax along the last axis, and the cross-entropy that training spends its time in.

The largest logit is subtracted before the exponential, so any finite logits do: nothing overflows, and what
underflows is 0. Sums are taken in float64 in the order that `reduce.py` states, so a row's result depends on that row
alone. A row stays in the processor's cache from its first reading to its last; cross-entropy reads memory once
forward, reads and writes it once backward, and stores no probabilities.

A logit of -inf has probability 0. A row with a NaN or +inf, or of nothing but -inf, has no distribution: its results
are NaN, as PyTorch's; only its logsumexp is +inf or -inf where that is the limit.
"""
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from . import functions
from .arrays import LARGE, as_float
from .elementwise import log
from .fold import MAX, Reduction, fold_row
from .llvm import Emit, Int, V
from .reduce import placed, reduced, seen_as_rows
from .ufunc import Operand, gufunc, use_threads

# What rows are folded to, in float64.
EXPONENTIALS = Reduction("exponentials", element=lambda x, largest: functions.exp(x - largest))
PRODUCTS = Reduction("products", element=lambda x, y, _: x.to(x.e.double()) * y.to(x.e.double()))
# Of columns, told their largest elements.
EXPONENTIALS_OF_COLUMNS = Reduction("exponentials_of_columns", double=True, tells=True,
                                    element=lambda x, largest: functions.exp(x - largest.to(x.e)))
ELEMENTS = Reduction("elements", element=lambda x, _: x)


# ---- kernels of one row --------------------------------------------------------------------------------------------


def each(e: Emit, n: Int, to: Operand, function: Callable[..., V], *inputs: Operand) -> None:
    """to[i] = function(inputs[i], ...) for a row."""
    whole = n // e.width

    def vector(k: Int, lanes: Any = None) -> None:
        at = k * e.bytes
        e.store(to.address + at, function(*(e.load(x.address + at, lanes) for x in inputs)), lanes)

    e.loop(whole, vector)
    with e.when(n > whole * e.width):
        vector(whole, e.first(n - whole * e.width))


def one(e: Emit, to: Operand, x: V) -> None:
    """Write the number that is in every lane."""
    e.store(to.address, x.to(e), e.first(e.int(1)))


def largest_and_sum(e: Emit, n: Int, x: Operand) -> tuple[V, V]:
    """The largest element of a row, and in float64 the sum of e^(x - largest)."""
    largest = fold_row(e, MAX, [x.address], n)
    return largest, fold_row(e, EXPONENTIALS, [x.address], n, largest)


def softmax_row(e: Emit, sizes: list[Int], x: Operand, y: Operand) -> None:
    """e^x / sum(e^x)."""
    largest, total = largest_and_sum(e, sizes[0], x)
    factor = (1 / total).to(e)
    each(e, sizes[0], y, lambda x: functions.exp(x - largest) * factor, x)


def log_softmax_row(e: Emit, sizes: list[Int], x: Operand, y: Operand) -> None:
    """x - log(sum(e^x))."""
    largest, total = largest_and_sum(e, sizes[0], x)
    rest = functions.log(total).to(e)
    each(e, sizes[0], y, lambda x: (x - largest) - rest, x)


def logsumexp_row(e: Emit, sizes: list[Int], x: Operand, y: Operand) -> None:
    """log(sum(e^x)); an infinite largest element is the result."""
    largest, total = largest_and_sum(e, sizes[0], x)
    result = (largest.to(total.e) + functions.log(total)).to(e)
    one(e, y, (abs(largest) == float("inf")).select(largest, result))


def softmax_backward_row(e: Emit, sizes: list[Int], g: Operand, y: Operand, d: Operand) -> None:
    """y (g - sum(g y))."""
    mean = fold_row(e, PRODUCTS, [g.address, y.address], sizes[0]).to(e)
    each(e, sizes[0], d, lambda g, y: y * (g - mean), g, y)


def log_softmax_backward_row(e: Emit, sizes: list[Int], g: Operand, y: Operand, d: Operand) -> None:
    """g - e^y sum(g)."""
    total = fold_row(e, ELEMENTS, [g.address], sizes[0]).to(e)
    each(e, sizes[0], d, lambda g, y: g - functions.exp(y) * total, g, y)


def nll_row(e: Emit, sizes: list[Int], x: Operand, target: Operand, loss: Operand, sums: Operand) -> None:
    """log(sum(e^x)) - x[target], and its first term."""
    largest, total = largest_and_sum(e, sizes[0], x)
    chosen = e.broadcast(x.address + e.load_int(target.address) * e.size).to(total.e)
    largest, rest = largest.to(total.e), functions.log(total)
    one(e, loss, (largest - chosen) + rest)
    one(e, sums, largest + rest)


def nll_backward_row(e: Emit, sizes: list[Int], g: Operand, x: Operand, sums: Operand, target: Operand,
                     d: Operand) -> None:
    """g e^(x - sums), less g at the target."""
    gradient, total = e.broadcast(g.address), e.broadcast(sums.address)
    each(e, sizes[0], d, lambda x: gradient * functions.exp(x - total), x)
    at = d.address + e.load_int(target.address) * e.size
    e.store(at, e.broadcast(at) - gradient, e.first(e.int(1)))


# ---- compiled at their first use, and called for all rows ----------------------------------------------------------

_KERNELS: dict[Callable[..., None], tuple[str, tuple[str, str]]] = {
    softmax_row: ("(n)->(n)", ("ff", "dd")),
    log_softmax_row: ("(n)->(n)", ("ff", "dd")),
    logsumexp_row: ("(n)->()", ("ff", "dd")),
    softmax_backward_row: ("(n),(n)->(n)", ("fff", "ddd")),
    log_softmax_backward_row: ("(n),(n)->(n)", ("fff", "ddd")),
    nll_row: ("(n),()->(),()", ("fqff", "dqdd")),
    nll_backward_row: ("(),(n),(),()->(n)", ("fffqf", "dddqd")),
}


@cache
def _compiled(kernel: Callable[..., None]) -> np.ufunc:
    return gufunc(kernel, *_KERNELS[kernel])


def _rows(x: Any, name: str) -> np.ndarray:
    """An array of rows that are not empty, each contiguous."""
    x = as_float(x, name)
    if x.ndim == 0 or x.shape[-1] == 0:
        raise ValueError(f"{name}: expected rows of at least one number, got shape {x.shape}")
    return x if x.strides[-1] == x.itemsize or x.shape[-1] == 1 else np.ascontiguousarray(x)


def _apply(kernel: Callable[..., None], *inputs: np.ndarray) -> Any:
    """For every row, by all threads if it pays."""
    if max(x.size for x in inputs) >= LARGE:
        use_threads()
    return _compiled(kernel)(*inputs)


# ---- what is called ------------------------------------------------------------------------------------------------


def softmax(x: np.ndarray) -> np.ndarray:
    """e^x / sum(e^x) along the last axis.

    Raises ValueError for rows without elements, TypeError for a dtype that is neither float nor integer.
    """
    return _apply(softmax_row, _rows(x, "softmax"))


def log_softmax(x: np.ndarray) -> np.ndarray:
    """x - log(sum(e^x)) along the last axis: log-probabilities in nats."""
    return _apply(log_softmax_row, _rows(x, "log_softmax"))


def logsumexp(x: np.ndarray) -> np.ndarray:
    """log(sum(e^x)) along the last axis, which goes. If it is not the last in memory, columns are read as they lie."""
    x, axes = as_float(x, "logsumexp"), (x.ndim - 1,)
    if x.size < LARGE or x.strides[-1] == x.itemsize:
        return _apply(logsumexp_row, _rows(x, "logsumexp"))
    columns, order = seen_as_rows(x, axes)
    if columns.shape[2] == 1:
        return _apply(logsumexp_row, _rows(x, "logsumexp"))
    largest = reduced(MAX, columns).astype(np.float64)
    total = log(reduced(EXPONENTIALS_OF_COLUMNS, columns, largest))
    return placed(np.where(np.isinf(largest), largest, largest + total).astype(x.dtype), order, x.shape, axes, False)


def softmax_backward(g: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Gradient of x from that of y = softmax(x): y (g - sum(g y))."""
    return _apply(softmax_backward_row, *_rows_alike(g, y, "softmax_backward"))


def log_softmax_backward(g: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Gradient of x from that of y = log_softmax(x): g - e^y sum(g)."""
    return _apply(log_softmax_backward_row, *_rows_alike(g, y, "log_softmax_backward"))


def _rows_alike(g: Any, y: Any, name: str) -> tuple[np.ndarray, np.ndarray]:
    """A gradient and what it is the gradient of."""
    g, y = _rows(g, name), _rows(y, name)
    if g.shape != y.shape or g.dtype != y.dtype:
        raise ValueError(f"{name}: g and y must be alike, got {g.dtype} {g.shape} and {y.dtype} {y.shape}")
    return g, y


def nll_forward(logits: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Negative log-likelihood of classes: -log softmax(logits)[n, targets[n]] for each row n, in nats.

    Parameters
    ----------
    logits : (N, V)
    targets : (N,), whole numbers from 0 to V - 1

    Returns
    -------
    losses : (N,)
    sums : (N,), log(sum(e^logits)) of each row, which `nll_backward` takes

    Raises
    ------
    ValueError, TypeError, IndexError
        For shapes that do not fit, targets that are not whole numbers, a target that is no class.
    """
    logits = _rows(logits, "nll_forward: logits")
    targets = _classes(targets, logits, "nll_forward")
    return _apply(nll_row, logits, targets)


def nll_backward(g: np.ndarray, logits: np.ndarray, sums: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Gradient of the logits from that of the losses, g (softmax(logits) - onehot(targets)).

    Parameters
    ----------
    g : (N,)
    logits, targets : those of `nll_forward`;  sums : its second result

    Returns
    -------
    d_logits : (N, V)
    """
    logits = _rows(logits, "nll_backward: logits")
    targets = _classes(targets, logits, "nll_backward")
    g, sums = (np.asarray(a, logits.dtype) for a in (g, sums))
    if g.shape != targets.shape or sums.shape != targets.shape:
        raise ValueError(f"nll_backward: g and sums must be {targets.shape}, got {g.shape} and {sums.shape}")
    return _apply(nll_backward_row, g, logits, sums, targets)


def _classes(targets: Any, logits: np.ndarray, name: str) -> np.ndarray:
    """Targets as int64, each a class."""
    targets = np.asarray(targets)
    if logits.ndim != 2 or targets.shape != logits.shape[:1]:
        raise ValueError(f"{name}: expected logits (N, V) and targets (N,), got {logits.shape} and {targets.shape}")
    if targets.dtype.kind not in "iu" and targets.size:
        raise TypeError(f"{name}: targets must be integers, got {targets.dtype}")
    targets, classes = targets.astype(np.int64, copy=False), logits.shape[1]
    if not (targets.view(np.uint64) < classes).all():    # a negative number is a very large one
        row = np.flatnonzero((targets < 0) | (targets >= classes))[0]
        raise IndexError(f"{name}: target {targets[row]} of row {row} is not one of {classes} classes")
    return targets
