"""The coverage penalty: a translation should have looked at every word of its source.

    coverage = beta sum over source words i of log(min(sum over steps t of a_ti, 1))

a_ti is the attention that step t paid to word i. It is 0 where each word got at least one step's worth, and negative
where some were passed over. It is part of the score by which whole sentences are ranked, not of the search for them.

Source: Wu 2016, Google's neural machine translation system, equation 14.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..autograd import Tensor


def attention_entry(state: Any) -> Any:
    """state["attention"]."""
    if not isinstance(state, dict) or "attention" not in state:
        raise ValueError("coverage: state must be a dict with the attention weights (N, S) of the last step under "
                         "'attention', or give Coverage(beta, attention=function of the state)")
    return state["attention"]


@dataclass(frozen=True)
class Coverage:
    """How much it costs to leave words out.

    Parameters
    ----------
    beta : float, not negative
    attention : callable (state) -> array (N, S)
        The weights of the step that gave this state; by default state["attention"]. Positions with weight 0 at every
        step, which masked softmax gives to padding alone, do not count.
    """

    beta: float
    attention: Callable[[Any], Any] = attention_entry

    def __post_init__(self) -> None:
        if not 0 <= self.beta < math.inf:
            raise ValueError(f"coverage: beta must be 0 or more, got {self.beta}")

    def weights(self, state: Any, rows: int) -> np.ndarray:
        """The attention of the last step, float64 (N, S)."""
        found = self.attention(state)
        weights = np.asarray(found.data if isinstance(found, Tensor) else found, np.float64)
        if weights.ndim != 2 or len(weights) != rows:
            raise ValueError(f"coverage: attention must be (N, S) with N = {rows}, got shape {weights.shape}")
        return weights

    def penalty(self, totals: np.ndarray) -> np.ndarray:
        """Of each row of summed attention (N, S); added up word by word, so that padding changes no bit of it."""
        seen = totals > 0
        logarithms = np.log(np.minimum(np.where(seen, totals, 1.0), 1.0))
        summed = np.add.accumulate(logarithms, 1)[:, -1] if totals.shape[1] else np.zeros(len(totals))
        found: np.ndarray = self.beta * summed
        return found


def as_coverage(coverage: Any) -> Coverage | None:
    """None, a number beta, or a Coverage."""
    if coverage is None or isinstance(coverage, Coverage):
        return coverage
    return Coverage(coverage)
