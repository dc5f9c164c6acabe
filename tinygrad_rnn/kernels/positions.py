"""The kernels of argmax and argmin: where the extreme of a row or of each column is."""
import math
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from .fold import CHUNK, add, smaller, tree
from .llvm import Emit, Int, Mask, V
from .ufunc import Operand, gufunc


def _position(better: Callable[[V, V], Mask]) -> Callable[..., None]:
    """(n,m) -> (m): where the best element of each column is, the first of several; a NaN is better than a number."""

    def kernel(e: Emit, sizes: list[Int], x: Operand, out: Operand) -> None:
        n, m = sizes
        double = e.double()

        def vector(c: Int) -> None:
            lanes = e.first(m - c * e.width)
            start = x.address + c * e.bytes

            def step(k: Int, at: Int, best: V, index: V) -> list[Any]:
                new = e.load(at, lanes)
                take = better(new, best) | (new.isnan() & ~best.isnan())
                return [at + x.strides[0], take.select(new, best), take.select(double.number(k), index)]

            index = e.loop(n, step, start, e.load(start, lanes), double.const(0.0))[2]
            double.store(out.address + c * double.bytes, index, lanes)

        e.loop(e.vectors(m), vector)

    return kernel


def _position_in_row(better: Callable[[V, V], Mask]) -> Callable[..., None]:
    """(n) -> (): where the best of n > 0 elements is, the first of several; NaN where one of them is."""

    def best_of(a: V, b: V) -> V:
        return better(b, a).select(b, a)

    def kernel(e: Emit, sizes: list[Int], x: Operand, out: Operand) -> None:
        n, = sizes
        together = CHUNK * e.width
        whole = n // together

        # Each lane has the best element that it saw, and the turn in which it did (0: the row's first element).
        def turn(k: Int, count: V, watch: V, *state: V, lanes: Sequence[Mask | None] = (None,) * CHUNK) -> list[V]:
            count = count + 1
            new = [e.load(x.address + k * (together * e.size) + v * e.bytes, mask) for v, mask in enumerate(lanes)]
            for a, b in zip(new[::2], new[1::2]):
                watch = a.unordered(b).select(math.nan, watch)
            takes = [better(value, best) if mask is None else better(value, best) & mask
                     for value, best, mask in zip(new, state, lanes)]
            return [count, watch, *(take.select(value, best) for take, value, best in zip(takes, new, state)),
                    *(take.select(count, seen) for take, seen in zip(takes, state[CHUNK:]))]

        def last(_: Int, *state: V) -> list[V]:
            return turn(whole, *state, lanes=[e.first(n - whole * together - v * e.width) for v in range(CHUNK)])

        zero = e.const(0.0)
        start = [zero, zero, *[e.broadcast(x.address)] * CHUNK, *[zero] * CHUNK]
        _, watch, *state = e.loop((n + (together - 1)) // together - whole, last, *e.loop(whole, turn, *start))
        best = tree(state[:CHUNK], best_of).fold(best_of)
        places = []
        for v, (value, seen) in enumerate(zip(state[:CHUNK], state[CHUNK:])):
            place = (seen == 0).select(zero, (seen - 1).fma(float(together), e.ramp() + float(v * e.width)))
            places.append((value == best).select(place, math.inf))
        double = e.double()
        double.store_first(out.address, (tree(places, smaller).fold(smaller) + watch.fold(add)).to(double))

    return kernel


class Position:
    """Where an extreme is: whole numbers in float64."""

    def __init__(self, name: str, better: Callable[[V, V], Mask]) -> None:
        self.name, self.better = name, better

    @cached_property
    def rows(self) -> np.ufunc:
        """(n) -> (), 0 < n <= 2^24, as far as float32 counts; NaN where an element is."""
        return gufunc(_position_in_row(self.better), "(n)->()", ("fd", "dd"), f"{self.name}_rows")

    @cached_property
    def columns(self) -> np.ufunc:
        """(n,m) -> (m)."""
        return gufunc(_position(self.better), "(n,m)->(m)", ("fd", "dd"), f"{self.name}_columns")


ARGMAX, ARGMIN = Position("argmax", lambda a, b: a > b), Position("argmin", lambda a, b: a < b)
