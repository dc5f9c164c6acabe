"""Clipping: gradients that are too large are made smaller, in place, before the optimizer's step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from .. import kernels
from ..autograd import RowSparse, Tensor

# Elements at a time: the float64 squares of a block stay in the cache.
_BLOCK = 1 << 14


def clip_grad_norm_(parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0,
                    error_if_nonfinite: bool = False) -> float:
    """Scale all gradients by one factor, so that together they have at most a given norm.

    Parameters
    ----------
    parameters : Tensor or iterable of Tensors
        Those without a gradient are passed over.
    max_norm : float
    norm_type : float
        p of the p-norm; infinity for the largest absolute value.
    error_if_nonfinite : bool
        Raise if the norm is NaN or infinite.  Otherwise the gradients are scaled all the same: a NaN among them makes
        all of them NaN, an infinity makes the finite ones 0, and the result tells, so that a training loop can stop.

    Returns
    -------
    float
        The norm of all gradients together before clipping (a numpy.float64, which has `item()`); 0 if there is none.

    Raises
    ------
    ValueError
        For no parameters at all (an exhausted generator), a negative max_norm, a norm_type that is not positive; for a
        norm that is not finite, if asked to, and nothing is changed then.

    Notes
    -----
    The factor is min(1, max_norm / (norm + 1e-6)), PyTorch's.  The lecture's rule (Pascanu 2013, algorithm 1) is

        if norm > threshold: gradient = gradient * threshold / norm

    which differs by the 1e-6 alone: the clipped norm falls short of max_norm by a millionth at norm 1.  What differs
    much is the loss: the lecture sums it over the T steps of a sequence where a training loop takes the mean, so that
    its gradients are about T times (with a batch, T * B times) as large.  A threshold of 5 for the sum is one of 5 / T
    for the mean.
    """
    gradients = list(_gradients("clip_grad_norm_", parameters))
    if not max_norm >= 0:
        raise ValueError(f"clip_grad_norm_: max_norm must not be negative, got {max_norm}")
    if not norm_type > 0:
        raise ValueError(f"clip_grad_norm_: norm_type must be positive, got {norm_type}")
    norm = _norm(gradients, float(norm_type))
    if error_if_nonfinite and not np.isfinite(norm):
        raise ValueError(f"clip_grad_norm_: the norm of the gradients is {norm}, nothing was clipped; "
                         "autograd.detect_anomaly() finds the operation that made it")
    factor = max_norm / (norm + 1e-6)
    if not factor >= 1:
        with np.errstate(invalid="ignore"):         # infinity * 0
            for g in gradients:
                g *= factor
    return norm


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Limit every element of every gradient to [-clip_value, clip_value], in place; NaN stays NaN.

    Raises
    ------
    ValueError
        For no parameters at all, or a negative clip_value.
    """
    if not clip_value >= 0:
        raise ValueError(f"clip_grad_value_: clip_value must not be negative, got {clip_value}")
    for g in _gradients("clip_grad_value_", parameters):
        np.clip(g, -clip_value, clip_value, out=g)


def _gradients(who: str, parameters: Any) -> Iterator[np.ndarray]:
    """The gradients that there are, as arrays."""
    listed = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    if not listed:
        raise ValueError(f"{who}: there are no parameters; if this is a generator, it is exhausted: make a list of it")
    for parameter in listed:
        if not isinstance(parameter, Tensor):
            raise TypeError(f"{who}: expected Tensors, got {type(parameter).__name__}")
        if isinstance(parameter.grad, RowSparse):
            parameter.grad = parameter.grad.coalesce()      # a row that is there twice has the norm of its sum
            yield parameter.grad.values.data
        elif parameter.grad is not None:
            yield parameter.grad.data


def _norm(arrays: list[np.ndarray], p: float) -> float:
    """The p-norm of all elements of all arrays, computed in float64 in a fixed order."""
    with np.errstate(over="ignore", invalid="ignore"):
        if p == np.inf:
            # np.max hands a NaN on, Python's max does not.
            return np.float64(np.max([np.abs(a).max(initial=0) for a in arrays], initial=0))
        if p == 2:
            return np.float64(sum(map(kernels.sum_of_squares, map(np.ascontiguousarray, arrays)))) ** 0.5
        sums = [_power_sum(block, p) for a in arrays for block in _blocks(a)]
        return np.sum(sums, dtype=np.float64) ** (1 / p)


def _power_sum(block: np.ndarray, p: float) -> float:
    return float((np.abs(block).astype(np.float64) ** p).sum())


def _blocks(array: np.ndarray) -> Iterator[np.ndarray]:
    """The elements in C order, a cache-full at a time."""
    flat = array.reshape(-1)
    return (flat[k:k + _BLOCK] for k in range(0, len(flat), _BLOCK))
