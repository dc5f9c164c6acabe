"""What a decoder finds, and what it is worth.

    score(y) = log P(y | x) / l(T)  +  coverage  +  diversity

    l(T) = T^alpha                  "power": 0 the probability itself, 1 the mean of a token, 0.7 what the lecture takes
    l(T) = ((5 + T) / 6)^alpha      "gnmt"

T counts all tokens of y, the end token too. Log-probabilities are not positive, so that without l(T) each further token
costs, and short sentences win.

Source: Graves 2012, Sequence transduction with recurrent neural networks; Wu 2016, Google's neural machine translation
system, equation 14.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

PENALTIES = ("power", "gnmt")


@dataclass(frozen=True)
class Hypothesis:
    """A sentence that a decoder proposes.

    Attributes
    ----------
    tokens : list of int
        Ids, the end token included where it was emitted, the beginning token not; T of them.
    score : float
        What hypotheses are ranked by: see this file's equation.
    log_prob : float
        Nats, the sum of `token_log_probs`.
    token_log_probs : list of float
        Of each token, after the adjusters, before temperature and truncation.
    finished : bool
        Was the end token emitted? False for what was cut off at `max_length`, or ended by `stop`.
    """

    tokens: list[int]
    score: float
    log_prob: float
    token_log_probs: list[float]
    finished: bool

    def __len__(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True)
class Objective:
    """How a log-probability becomes a score.

    Parameters
    ----------
    alpha : float, not negative
        Strength of the length normalisation; 0 for none.
    length_penalty : "power" or "gnmt"
    """

    alpha: float = 0.0
    length_penalty: str = "power"

    def __post_init__(self) -> None:
        if not 0 <= self.alpha < math.inf:
            raise ValueError(f"alpha must be 0 or more, and finite, got {self.alpha}")
        if self.length_penalty not in PENALTIES:
            raise ValueError(f"length_penalty must be one of {', '.join(PENALTIES)}, got {self.length_penalty!r}")

    def normaliser(self, length: float) -> float:
        """l(T)."""
        base = length if self.length_penalty == "power" else (5 + length) / 6
        return float(base**self.alpha)

    def score(self, log_prob: float, length: int, extra: float = 0.0) -> float:
        """Score of a whole sentence of `length` tokens; extra: coverage and diversity."""
        return log_prob / self.normaliser(length) + extra
