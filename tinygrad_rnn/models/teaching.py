"""How a decoder is taught: it reads the true words, or now and then its own.

Teacher forcing feeds the true word at every step, so that all steps can be computed at once; but then the model never
sees its own mistakes.  Scheduled sampling (Bengio 2015) feeds, with a probability that grows over the training, a word
drawn from the model's own prediction.  A schedule says how likely the *true* word is at update i:

    linear           max(floor, start - slope i)
    exponential      k^i                            k < 1
    inverse sigmoid  k / (k + exp(i / k))           k >= 1
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import nn
from ..autograd import Tensor, ops
from ..nn import lengths as ragged
from ..random import Rng

Schedule = Callable[[int], float]
Step = Callable[[np.ndarray, Any], tuple[Any, Any]]


# ---- schedules -------------------------------------------------------------------------------------------------------
def linear_decay(slope: float, start: float = 1.0, floor: float = 0.0) -> Schedule:
    """max(floor, start - slope i): update i -> probability of the true word.

    Raises
    ------
    ValueError
        For a negative slope, or unless 0 <= floor <= start <= 1.
    """
    if slope < 0 or not 0 <= floor <= start <= 1:
        raise ValueError("linear_decay: expected slope >= 0 and 0 <= floor <= start <= 1, got "
                         f"slope={slope}, start={start}, floor={floor}")
    return lambda i: max(floor, start - slope * i)


def exponential_decay(k: float) -> Schedule:
    """k^i: update i -> probability of the true word.  ValueError unless 0 < k < 1."""
    if not 0 < k < 1:
        raise ValueError(f"exponential_decay: k must lie between 0 and 1, got {k}")
    return lambda i: k ** i


def inverse_sigmoid_decay(k: float) -> Schedule:
    """k / (k + exp(i/k)): update i -> probability of the true word.  ValueError unless k >= 1."""
    if not 1 <= k < math.inf:
        raise ValueError(f"inverse_sigmoid_decay: k must be at least 1, got {k}")
    return lambda i: k / (k + math.exp(min(i / k, 700.0)))      # exp(710) is beyond a float


# ---- reading its own words -------------------------------------------------------------------------------------------
def read_own(step: Step, tokens: np.ndarray, state: Any, own: float, rng: Rng = None) -> Tensor:
    """Scores of every next word, where the model reads some words of its own.

    Parameters
    ----------
    step : callable
        step(words (B,), state) -> (scores (B, V), state), differentiable; no gradient passes through the drawing.
    tokens : int array (T, B)
        The true words; the first is always read.
    state : whatever step takes
    own : float
        Probability, for each later word of each row, that the model reads a word drawn from its last prediction.
    rng : numpy.random.Generator, int or None

    Returns
    -------
    Tensor (T, B, V)

    Raises
    ------
    ValueError
        If own is no probability.
    """
    if not 0 <= own <= 1:
        raise ValueError(f"read_own: own must be a probability, between 0 and 1, got {own}")
    rng = np.random.default_rng(rng)
    read, found = tokens[0], []
    for k in range(len(tokens)):
        scores, state = step(read, state)
        found.append(scores)
        if k + 1 < len(tokens):
            read = np.where(rng.random(tokens.shape[1]) < own, drawn(scores.data, rng), tokens[k + 1])
    stacked: Tensor = ops.stack(found)
    return stacked


def drawn(scores: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One id a row from softmax(scores): the largest of the scores plus Gumbel noise (Gumbel 1954)."""
    noise = -np.log(-np.log(rng.random(scores.shape, np.float64) + 1e-300) + 1e-300)
    found: np.ndarray = (scores + noise).argmax(-1)
    return found


# ---- the loss --------------------------------------------------------------------------------------------------------
def reading(target: Any, lengths: Any, who: str, batch: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Targets with their first and last tokens as (what is read, what comes next, how many of each row).

    Raises
    ------
    ValueError, TypeError
        For targets that are not integers (T, B) with T >= 2, another batch, or a length below 2.
    """
    ids = target.data if isinstance(target, Tensor) else np.asarray(target)
    if ids.dtype.kind not in "iu":
        raise TypeError(f"{who}: target must be integers (T, B), got dtype {ids.dtype}")
    if ids.ndim != 2 or len(ids) < 2:
        raise ValueError(f"{who}: target must have shape (T, B) with its begin and its end, T >= 2, got {ids.shape}")
    if ids.shape[1] != batch:
        raise ValueError(f"{who}: there are {batch} sources and {ids.shape[1]} targets")
    if lengths is None:
        return ids[:-1], ids[1:], None
    counts = ragged.checked(who, lengths, *ids.shape)
    short = np.flatnonzero(counts < 2)
    if len(short):
        raise ValueError(f"{who}: target {short[0]} has the length {counts[short[0]]}: with begin and end it is 2 at "
                         "least")
    return ids[:-1], ids[1:], counts - 1


def real(features: Any, following: np.ndarray, lengths: np.ndarray | None) -> tuple[Any, np.ndarray]:
    """(T, B, n) and (T, B) as rows without the padding, so that nothing is computed for it."""
    flat = ops.reshape(features, (-1, features.shape[-1]))      # (T, B, n) -> (T B, n)
    if lengths is None:
        return flat, following.reshape(-1)
    chosen = np.flatnonzero(np.arange(len(following))[:, None] < lengths)
    return ops.take(flat, chosen, axis=0), following.reshape(-1)[chosen]


def mean_loss(linear: Any, features: Any, following: np.ndarray, lengths: np.ndarray | None,
              label_smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy of the next words, nats a word; `linear` gives the scores of rows of features."""
    rows, ids = real(features, following, lengths)
    return nn.functional.cross_entropy(linear(rows), ids, label_smoothing=label_smoothing)
