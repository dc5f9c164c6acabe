"""Random numbers that can be drawn again: what `checkpoint` needs of every function that draws."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

Rng = np.random.Generator | int | None


class Draws:
    """The random generators that a piece of code asked for, in order, each as it was at that moment."""

    def __init__(self) -> None:
        self.states: list[tuple[type, Any]] = []
        self._next: int | None = None       # None: noting down; otherwise which comes next
        self._outer: Draws | None = None

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Inside, note down what is asked for."""
        yield from self._entered(None)

    @contextmanager
    def again(self) -> Iterator[None]:
        """Inside, give the same once more; the generators themselves do not move on."""
        yield from self._entered(0)

    def _entered(self, start: int | None) -> Iterator[None]:
        self._outer, self._next = _DRAWS.get(), start
        token = _DRAWS.set(self)
        try:
            yield
        finally:
            _DRAWS.reset(token)
            self._outer = None

    def ask(self, rng: Rng) -> np.random.Generator:
        """The generator to draw from."""
        if self._next is None:
            given = self._outer.ask(rng) if self._outer else np.random.default_rng(rng)
            self.states.append((type(given.bit_generator), given.bit_generator.state))
            return given
        if self._next == len(self.states):
            raise ValueError("checkpoint: fn draws more random numbers when it is run again than it did at first")
        kind, state = self.states[self._next]
        self._next += 1
        bits = kind()
        bits.state = state
        return np.random.Generator(bits)


_DRAWS: ContextVar[Draws | None] = ContextVar("tinygrad_rnn.draws", default=None)


def generator(rng: Rng) -> np.random.Generator:
    """`numpy.random.default_rng(rng)`, for functions that may stand inside of a `checkpoint`."""
    draws = _DRAWS.get()
    return np.random.default_rng(rng) if draws is None else draws.ask(rng)
