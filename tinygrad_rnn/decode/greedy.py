"""Greedy decoding and ancestral sampling: one token after the other, never to be taken back.

    greedy     y_t = argmax p(y | y_1 ... y_t-1, x)
    sampling   y_t drawn from p^(1 / temperature), normalised, its unlikely tokens perhaps cut off

Source: Fan 2018, Hierarchical neural story generation (top-k); Holtzman 2020, The curious case of neural text
degeneration (top-p); Nguyen 2024, Turning up the heat: min-p sampling.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from .. import kernels
from ..random import Rng
from .adjusters import Adjuster
from .hypothesis import Hypothesis
from .loop import Loop, Step
from .rows import Ended, Rows
from .streams import Streams

ENDED = -1      # in a stream: this sentence is over


class _Alone:
    """A strategy whose rows never compete."""

    loop: Loop

    def begin(self, loop: Loop) -> None:
        """Get to know the loop that asks."""
        self.loop = loop

    def settle(self, picked: Rows, rows: Rows, ended: Sequence[Sequence[Ended]]) -> np.ndarray | None:
        """All go on."""
        return None

    def ends(self, tokens: np.ndarray, rows: Rows) -> np.ndarray:
        """Is it the end token, or the last step?"""
        found: np.ndarray = (tokens == self.loop.eos) | self.loop.last(rows)
        return found


class Greedy(_Alone):
    """The likeliest token; of equally likely ones the smallest id."""

    def pick(self, log_probs: np.ndarray, rows: Rows) -> Rows:
        """See `Strategy`."""
        values, indices = self.loop.top(log_probs, 1)
        best = values[:, 0].astype(np.float64, copy=False)
        self.loop.check(best, rows, True)
        tokens = indices[:, 0]
        return rows.continued(None, tokens, best, self.ends(tokens, rows))


class Sampling(_Alone):
    """A token drawn at random; the random numbers are those of a sentence and a sample, wherever they stand."""

    def __init__(self, rng: Rng, number: int, temperature: float, top_k: int | None, top_p: float | None,
                 min_p: float | None) -> None:
        self.rng, self.number = rng, number
        self.temperature, self.top_k = temperature, top_k or 0
        self.top_p, self.min_p = 1.0 if top_p is None else top_p, 0.0 if min_p is None else min_p

    def begin(self, loop: Loop) -> None:
        """Get to know the loop that asks, and what each sentence begins with."""
        super().begin(loop)
        self.streams = Streams(loop.state, loop.rows.tokens, self.number, self.rng)

    def pick(self, log_probs: np.ndarray, rows: Rows) -> Rows:
        """See `Strategy`."""
        parents = None
        if self.number > 1 and not rows.lengths[0]:     # at the first step the samples of a sentence part
            parents = np.repeat(np.arange(len(rows)), self.number)
            log_probs, rows = log_probs[parents], rows.at(parents)
            rows.slots, rows.parents = np.arange(len(rows)), None
        tokens = kernels.draw(log_probs, self.streams.uniform(rows.slots, rows.lengths), self.temperature,
                              min(self.top_k, log_probs.shape[1]), self.top_p, self.min_p)
        if tokens.min() < 0:
            # -1: NaN, -2: nothing is possible; see kernels/sampling.py
            self.loop.check(np.choose(-np.minimum(tokens, 0), (0.0, np.nan, -np.inf)), rows, True)
        chosen = self.loop.chosen(log_probs, tokens)
        self.loop.check(chosen, rows, True)
        picked = rows.continued(None, tokens, chosen, self.ends(tokens, rows))
        picked.parents = parents
        return picked


def _loop(who: str, strategy: Any, step: Step, state: Any, **options: Any) -> Loop:
    """The loop of a strategy that wants to know it."""
    loop = Loop(who, step, state, strategy, **options)
    strategy.begin(loop)
    return loop


def greedy(step: Step, state: Any, *, bos: Any, eos: int | None, max_length: Any, adjusters: Sequence[Adjuster] = (),
           stop: Callable[[list[int]], bool] | None = None) -> list[list[Hypothesis]]:
    """The likeliest token, again and again.

    Parameters
    ----------
    step : callable (tokens, state) -> (log_probs, state)
        tokens int64 (N,), log_probs (N, V) float32 or float64, in nats. N changes from call to call.
    state : tuples, lists and dicts, nested, of arrays or Tensors
        All with first axis B, the sentences.
    bos : int, or (B,) ints
        The token that stands before the first.
    eos : int or None
        The token that ends a sentence; None: nothing does.
    max_length : int, or (B,) ints
        The most tokens of a sentence, the end token among them. What has not ended by then is cut off: finished=False.
    adjusters : sequence of Adjuster
        Applied one after the other.
    stop : callable (list of int) -> bool, optional
        Ends a sentence, given its tokens so far.

    Returns
    -------
    list over the sentences of lists of one Hypothesis
        score is log_prob.

    Raises
    ------
    ValueError, TypeError
        For arguments that do not fit, constraints that leave no token, log-probabilities that are positive or NaN
        (`NotANumberError`, which is a FloatingPointError too).
    """
    return _loop("greedy", Greedy(), step, state, bos=bos, eos=eos, max_length=max_length, adjusters=adjusters,
                 stop=stop).run()


def sample(step: Step, state: Any, *, bos: Any, eos: int | None, max_length: Any, temperature: float = 1.0,
           top_k: int | None = None, top_p: float | None = None, min_p: float | None = None, num_return: int = 1,
           rng: Rng = None, adjusters: Sequence[Adjuster] = (),
           stop: Callable[[list[int]], bool] | None = None) -> list[list[Hypothesis]]:
    """Draw each token from what the model says.

        p_i = exp(l_i / temperature) / sum_j exp(l_j / temperature)

    The random numbers of a sentence depend on `rng` and on its initial state, not on where in the batch it stands;
    sentences with the same state are drawn independently of each other.

    Parameters
    ----------
    step, state, bos, eos, max_length, adjusters, stop : see `greedy`
    temperature : float, positive
        Below 1 likely tokens become likelier; towards 0 it is `greedy`.
    top_k : int, optional
        Then only the k likeliest tokens; of equally likely ones those with the smaller ids.
    top_p : float in (0, 1], optional
        Of these the smallest set of likeliest ones whose probabilities, normalised, make up top_p.
    min_p : float in [0, 1], optional
        Of these those that are at least min_p times as likely as the likeliest.
    num_return : int
        Samples of each sentence.
    rng : numpy.random.Generator, int or None

    Returns
    -------
    list over the sentences of lists of num_return Hypothesis, the likeliest first
        score is log_prob: what the model thinks of what was drawn, before temperature and truncation.

    Raises
    ------
    ValueError, TypeError
        As `greedy`.
    """
    strategy = sampling("sample", temperature, top_k, top_p, min_p, num_return, rng)
    return _loop("sample", strategy, step, state, bos=bos, eos=eos, max_length=max_length, adjusters=adjusters,
                 stop=stop).run()


def sampling(who: str, temperature: float, top_k: int | None, top_p: float | None, min_p: float | None,
             num_return: int, rng: Rng) -> Sampling:
    """The strategy, its arguments checked."""
    if not 0 < temperature < math.inf:
        raise ValueError(f"{who}: temperature must be positive and finite, got {temperature}")
    for name, value, least in (("top_k", top_k, 1), ("num_return", num_return, 1)):
        if value is not None and (not hasattr(value, "__index__") or value < least):
            raise ValueError(f"{who}: {name} must be an int of at least {least}, got {value!r}")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"{who}: top_p must be above 0 and at most 1, got {top_p}")
    if min_p is not None and not 0 <= min_p <= 1:
        raise ValueError(f"{who}: min_p must be from 0 to 1, got {min_p}")
    return Sampling(rng, num_return, temperature, top_k, top_p, min_p)


def stream(step: Step, state: Any, *, bos: Any, eos: int | None, max_length: Any, temperature: float = 1.0,
           top_k: int | None = None, top_p: float | None = None, min_p: float | None = None, rng: Rng = None,
           adjusters: Sequence[Adjuster] = (),
           stop: Callable[[list[int]], bool] | None = None) -> Iterator[np.ndarray]:
    """`greedy` or `sample`, each token as soon as it is known.

    Parameters
    ----------
    temperature : float, not negative
        0 for `greedy`.
    others : see `sample`

    Yields
    ------
    (B,) int64
        The next token of each sentence, `ENDED` (-1) where it is over. For the same rng the tokens are those of
        `sample`.

    Raises
    ------
    ValueError, TypeError
        As `greedy`; wrong arguments at once, not when the first token is asked for.
    """
    strategy = Greedy() if temperature == 0 else sampling("stream", temperature, top_k, top_p, min_p, 1, rng)
    loop = _loop("stream", strategy, step, state, bos=bos, eos=eos, max_length=max_length, adjusters=adjusters,
                 stop=stop)
    return _tokens(loop)


def _tokens(loop: Loop) -> Iterator[np.ndarray]:
    for picked in loop:
        tokens = np.full(loop.sentences, ENDED)
        tokens[picked.sentences] = picked.tokens
        yield tokens
