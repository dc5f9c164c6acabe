"""Rules on what may be said next: pure functions of the log-probabilities and of what was said so far, to be composed.

    beam_search(..., adjusters=[MinLength(5), NoRepeatNgram(3)])

An adjuster is called as `adjuster(log_probs, context)` with log_probs (N, V), and returns what shall stand in their
place; any function will do. It works on log-probabilities that sum to one and does not normalise again: what remains of
a forbidden token's probability is lost, and a constrained sentence is worth what the model thinks of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

Ids = Sequence[int]


@dataclass(frozen=True)
class Context:
    """What the rows are that an adjuster sees.

    Attributes
    ----------
    prefixes : N int64 arrays, or one (N, t)
        Tokens so far, without the beginning token.
    sentences : (N,) int64
        Which of the B sentences each row belongs to.
    eos : int
    """

    prefixes: Sequence[np.ndarray] | np.ndarray
    sentences: np.ndarray
    eos: int


class Adjuster(Protocol):
    """The log-probabilities (N, V) of the next token, changed; the argument is left as it is."""

    def __call__(self, log_probs: np.ndarray, context: Context, /) -> np.ndarray:
        """See `Adjuster`."""


def never_positive(adjuster: Any) -> bool:
    """Can a search rely on it that no log-probability becomes positive? An attribute `never_positive` says so."""
    return bool(getattr(adjuster, "never_positive", False))


def ids(tokens: Iterable[int], name: str, least: int = 1) -> tuple[int, ...]:
    """Tokens as ints; ValueError if there are too few or one is negative, TypeError if they are no integers."""
    try:
        found = tuple(token.__index__() for token in tokens)
    except (AttributeError, TypeError):
        raise TypeError(f"{name} must be a sequence of ints, got {tokens!r}") from None
    if len(found) < least or min(found, default=0) < 0:
        raise ValueError(f"{name} must be at least {least} ids, none negative, got {list(found)}")
    return found


def check_vocabulary(tokens: Iterable[int], log_probs: np.ndarray, name: str) -> None:
    """Is each token one of the vocabulary?"""
    size = log_probs.shape[1]
    wrong = [token for token in tokens if token >= size]
    if wrong:
        raise ValueError(f"{name}: token {wrong[0]} is not in the vocabulary of {size}")


@dataclass(frozen=True)
class RepetitionPenalty:
    """Makes what was said before less likely: log-probabilities of such tokens are multiplied by `penalty`.

    Parameters
    ----------
    penalty : float, positive
        1 changes nothing; above 1 repetition becomes rarer.

    Source: Keskar 2019, CTRL, section 4.1, for log-probabilities, which are never positive.
    """

    penalty: float
    never_positive = True

    def __post_init__(self) -> None:
        if not 0 < self.penalty < math.inf:
            raise ValueError(f"RepetitionPenalty: penalty must be positive, got {self.penalty}")

    def __call__(self, log_probs: np.ndarray, context: Context) -> np.ndarray:
        """See `Adjuster`."""
        changed = log_probs.copy()
        for row, prefix in zip(changed, context.prefixes):
            said = np.unique(prefix)
            row[said] *= self.penalty
        return changed


@dataclass(frozen=True)
class NoRepeatNgram:
    """No n tokens in a row occur twice in a sentence.

    Parameters
    ----------
    n : int, at least 1

    Source: Paulus 2018, A deep reinforced model for abstractive summarization, section 2.5.
    """

    n: int
    never_positive = True

    def __post_init__(self) -> None:
        if ids([self.n], "NoRepeatNgram: n")[0] < 1:
            raise ValueError(f"NoRepeatNgram: n must be at least 1, got {self.n}")

    def __call__(self, log_probs: np.ndarray, context: Context) -> np.ndarray:
        """See `Adjuster`."""
        changed, before = log_probs.copy(), self.n - 1
        for row, prefix in zip(changed, context.prefixes):
            tokens = [int(token) for token in prefix]
            begun = tokens[len(tokens) - before:]
            row[[tokens[i + before] for i in range(len(tokens) - before) if tokens[i:i + before] == begun]] = -math.inf
        return changed


@dataclass(frozen=True)
class Forbid:
    """Token sequences that do not occur.

    Parameters
    ----------
    sequences : sequence of sequences of int
        Each of at least one token; [[3], [5, 6]] forbids 3, and 6 after 5.
    """

    sequences: Sequence[Ids]
    never_positive = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "sequences", tuple(ids(one, "Forbid: each of sequences") for one in self.sequences))

    def __call__(self, log_probs: np.ndarray, context: Context) -> np.ndarray:
        """See `Adjuster`."""
        check_vocabulary((token for one in self.sequences for token in one), log_probs, "Forbid")
        changed = log_probs.copy()
        for row, prefix in zip(changed, context.prefixes):
            for *before, last in self.sequences:
                if not before or [int(token) for token in prefix[-len(before):]] == before:
                    row[last] = -math.inf
        return changed


@dataclass(frozen=True)
class _OfTokens:
    """What is told by tokens."""

    tokens: Ids
    never_positive = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "tokens", ids(self.tokens, f"{type(self).__name__}: tokens", 0))


@dataclass(frozen=True)
class Suppress(_OfTokens):
    """Tokens that are never said.

    Parameters
    ----------
    tokens : sequence of int
    """

    def __call__(self, log_probs: np.ndarray, context: Context) -> np.ndarray:
        """See `Adjuster`."""
        check_vocabulary(self.tokens, log_probs, "Suppress")
        changed = log_probs.copy()
        changed[:, list(self.tokens)] = -math.inf
        return changed


@dataclass(frozen=True)
class ForceTokens(_OfTokens):
    """Each sentence begins with these tokens.

    Parameters
    ----------
    tokens : sequence of int
    """

    def __call__(self, log_probs: np.ndarray, context: Context) -> np.ndarray:
        """See `Adjuster`."""
        check_vocabulary(self.tokens, log_probs, "ForceTokens")
        changed = log_probs.copy()
        for row, before, prefix in zip(changed, log_probs, context.prefixes):
            if len(prefix) < len(self.tokens):
                token = self.tokens[len(prefix)]
                row[:] = -math.inf
                row[token] = before[token]
        return changed


@dataclass(frozen=True)
class MinLength:
    """No sentence ends before it has n tokens, the end token among them.

    Parameters
    ----------
    n : int, not negative
    """

    n: int
    never_positive = True

    def __post_init__(self) -> None:
        ids([self.n], "MinLength: n")

    def __call__(self, log_probs: np.ndarray, context: Context) -> np.ndarray:
        """See `Adjuster`."""
        changed = log_probs.copy()
        changed[[len(prefix) + 1 < self.n for prefix in context.prefixes], context.eos] = -math.inf
        return changed


@dataclass(frozen=True)
class Allowed:
    """What may follow is said by a function of the sentence's number and its tokens so far.

    Parameters
    ----------
    function : callable (int, list of int) -> ids
    """

    function: Callable[[int, list[int]], Iterable[int]]
    never_positive = True

    def __call__(self, log_probs: np.ndarray, context: Context) -> np.ndarray:
        """See `Adjuster`."""
        changed = np.full_like(log_probs, -math.inf)
        for k, prefix in enumerate(context.prefixes):
            tokens = [int(token) for token in prefix]
            allowed = list(ids(self.function(int(context.sentences[k]), tokens), "prefix_allowed's result", 0))
            check_vocabulary(allowed, log_probs, "prefix_allowed")
            changed[k, allowed] = log_probs[k, allowed]
        return changed
