"""Small random models whose rows do not depend on each other, and all their sentences, listed without the library."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

BOS, EOS = 0, 1


def log_softmax(z: np.ndarray) -> np.ndarray:
    """Log-probabilities along the last axis."""
    z = z - z.max(-1, keepdims=True)
    return z - np.log(np.exp(z).sum(-1, keepdims=True))


def product(x: np.ndarray, W: np.ndarray) -> np.ndarray:
    """x @ W, each row by itself."""
    return (x[:, :, None] * W).sum(1)


def markov(V: int, B: int, seed: int, dtype: Any = np.float64) -> tuple[Callable[..., Any], Any]:
    """The next token depends on the last one, and on what the sentence is about, an untouched part of the state."""
    rng = np.random.default_rng(seed)
    table, mix = rng.normal(0, 1.5, (V, V)), rng.normal(0, 1, (3, V))

    def step(tokens: np.ndarray, state: Any) -> tuple[np.ndarray, Any]:
        return log_softmax(table[tokens] + product(state["about"], mix)).astype(dtype), state

    return step, {"about": rng.normal(0, 1, (B, 3))}


def recurrent(V: int, B: int, seed: int, dtype: Any = np.float64) -> tuple[Callable[..., Any], Any]:
    """The next token depends on all before, through a state of two parts, nested."""
    rng = np.random.default_rng(seed)
    E, W, out = rng.normal(0, 1, (V, 4)), rng.normal(0, 0.8, (4, 4)), rng.normal(0, 2, (4, V))

    def step(tokens: np.ndarray, state: Any) -> tuple[np.ndarray, Any]:
        h, (about, count) = state
        h = np.tanh(product(h, W) + E[tokens] + about)
        return log_softmax(product(h, out)).astype(dtype), (h, [about, count + 1])

    return step, (np.zeros((B, 4)), [rng.normal(0, 1, (B, 4)), np.zeros(B, np.int64)])


MODELS = {"markov": markov, "recurrent": recurrent}


def rows(state: Any, which: Any) -> Any:
    """Some sentences of a state."""
    if isinstance(state, dict):
        return {key: rows(value, which) for key, value in state.items()}
    if isinstance(state, (tuple, list)):
        return type(state)(rows(value, which) for value in state)
    return state[which]


def every_sentence(step: Callable[..., Any], state: Any, sentence: int, max_length: int,
                   changed: Callable[[np.ndarray, list[int]], np.ndarray] = lambda log_probs, tokens: log_probs
                   ) -> list[tuple[list[int], list[float]]]:
    """All that a model can say of a sentence, ended or cut off: (tokens, their log-probabilities)."""
    found = []

    def go(tokens: list[int], log_probs: list[float], state: Any) -> None:
        if tokens and (tokens[-1] == EOS or len(tokens) == max_length):
            found.append((tokens, log_probs))
            return
        following, after = step(np.array([tokens[-1] if tokens else BOS]), state)
        for token, log_prob in enumerate(changed(following[0].copy(), tokens).tolist()):
            if log_prob > -np.inf:
                go([*tokens, token], [*log_probs, log_prob], after)

    go([], [], rows(state, slice(sentence, sentence + 1)))
    return found


def ranked(sentences: list[tuple[list[int], list[float]]], alpha: float, gnmt: bool = False) -> list[tuple[float, Any]]:
    """(score, tokens), best first."""
    def score(tokens: list[int], log_probs: list[float]) -> float:
        length = (5 + len(tokens)) / 6 if gnmt else len(tokens)
        return sum(log_probs) / length**alpha

    return sorted(((score(*one), one[0]) for one in sentences), key=lambda one: -one[0])
