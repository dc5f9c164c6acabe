"""The kernels of reductions: one row to one number, columns to a row of numbers, in the order that `reduce.py`
states."""
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .llvm import Emit, Int, Mask, V
from .ufunc import Operand, gufunc

LANES, BLOCK = 32, 4096     # of a sum
CHUNK = 4                   # vectors of columns that are reduced together


def add(a: V, b: V) -> V:
    """The sum of two partial sums."""
    return a + b


def multiply(a: V, b: V) -> V:
    """The product of two partial products."""
    return a * b


def larger(a: V, b: V) -> V:
    """The larger of two numbers that are not NaN."""
    return (a > b).select(a, b)


def smaller(a: V, b: V) -> V:
    """The smaller of two numbers that are not NaN."""
    return (a < b).select(a, b)


def _deviation(x: V, mean: V) -> V:
    d = x.to(mean.e) - mean
    return d * d


def _square(x: V, _: V | None) -> V:
    wide = x.to(x.e.double())
    return wide * wide


def _truth(x: V, _: V | None) -> V:
    return (x != 0).select(x.wrap(1.0), 0.0)


@dataclass(frozen=True)
class Reduction:
    """What is done with each element.

    combine : two numbers to one, the new one first; `neutral` changes nothing
    quick : the same where no number is NaN, for rows, which watch for NaNs beside it
    lanes : so many numbers are combined side by side
    wide : compute in float64
    element : the number that an element stands for; the last argument is what the reduction is told, or None
    finish : the result, from the last number and the reduced length
    double : the result is float64 too
    tells : it is told a float64 for each result
    part : what gives the partial results of a long row, if that is not the reduction itself
    """

    name: str
    combine: Callable[[V, V], V] = add
    neutral: float = 0.0
    lanes: int = LANES
    wide: bool = True
    quick: Callable[[V, V], V] | None = None
    element: Callable[..., V] = lambda x, told: x
    finish: Callable[[V, V], V] = lambda x, length: x
    double: bool = False
    tells: bool = False
    part: "Reduction | None" = None

    @cached_property
    def rows(self) -> np.ufunc:
        """(n) -> ()."""
        return gufunc(_rows(self), "(n),()->()" if self.tells else "(n)->()", self._kinds(), f"{self.name}_rows")

    @cached_property
    def columns(self) -> np.ufunc:
        """(n,m) -> (m)."""
        signature = "(n,m),(m)->(m)" if self.tells else "(n,m)->(m)"
        return gufunc(_columns(self), signature, self._kinds(), f"{self.name}_columns")

    def _kinds(self) -> list[str]:
        """The dtypes of all operands, for float32 and for float64."""
        return [c + "d" * self.tells + ("d" if self.double else c) for c in "fd"]


TOTAL = Reduction("total", double=True)
SUM = Reduction("sum", part=TOTAL)
MEAN = Reduction("mean", finish=lambda x, length: x / length, part=TOTAL)
SQUARES = Reduction("squares", element=_square, double=True)
NORM = Reduction("norm", element=_square, finish=lambda x, length: x.sqrt(), part=SQUARES)
PROD = Reduction("prod", multiply, 1.0, part=Reduction("product", multiply, 1.0, double=True))
DEVIATION = Reduction("deviation", element=_deviation, double=True, tells=True)
# In any order, so with many lanes; of 0 and -0 either could come last, so the result is 0.
MAX = Reduction("max", V.maximum, -math.inf, 4 * LANES, wide=False, quick=larger, finish=lambda x, length: x + 0.0)
MIN = Reduction("min", V.minimum, math.inf, 4 * LANES, wide=False, quick=smaller, finish=lambda x, length: x + 0.0)
ANY = Reduction("any", larger, 0.0, 4 * LANES, wide=False, element=_truth)
ALL = Reduction("all", smaller, 1.0, 4 * LANES, wide=False, element=_truth)


def tree(lanes: list[V], combine: Callable[[V, V], V]) -> V:
    """Vectors to one, by halves."""
    while len(lanes) > 1:
        half = len(lanes) // 2
        lanes = [combine(a, b) for a, b in zip(lanes[:half], lanes[half:])]
    return lanes[0]


def _result(e: Emit, r: Reduction) -> Emit:
    """The emitter of what comes out."""
    return e.double() if r.double else e


def _store(e: Emit, r: Reduction, to: Int, x: V, length: Int, count: Int) -> None:
    """Finish and write so many results."""
    result = _result(e, r)
    result.store(to, r.finish(x, x.e.number(length)).to(result), result.first(count))


def fold_row(e: Emit, r: Reduction, addresses: list[Int], n: Int, told: V | None = None) -> V:
    """n elements of a row, or of several beside one another, to one number in every lane."""
    computing = e.double() if r.wide else e
    nothing, combine = computing.const(r.neutral), r.quick or r.combine
    vectors = r.lanes // e.width
    watches = [computing.const(0.0)] * (vectors // 2 if r.quick else 0)     # NaN in a lane that saw one

    def block(b: Int, total: V, *seen: V) -> list[V]:
        start, length = b * (BLOCK * e.size), n - b * BLOCK
        length = (length > BLOCK).select(e.int(BLOCK), length)
        whole = length // r.lanes

        def element(at: Int, lanes: Mask | None = None) -> V:
            return r.element(*(e.load(address + at, lanes) for address in addresses), told).to(computing)

        def combined(new: list[V], old: tuple[V, ...]) -> list[V]:
            pairs = zip(new[::2], new[1::2], old[vectors:])
            return [*map(combine, new, old), *(a.unordered(b).select(math.nan, w) for a, b, w in pairs)]

        def step(k: Int, *old: V) -> list[V]:
            at = start + k * (r.lanes * e.size)
            return combined([element(at + v * e.bytes) for v in range(vectors)], old)

        def last(_: Int, *old: V) -> list[V]:
            at, left, new = start + whole * (r.lanes * e.size), length - whole * r.lanes, []
            for v in range(vectors):
                lanes = e.first(left - v * e.width)
                new.append(lanes.select(element(at + v * e.bytes, lanes), nothing))
            return combined(new, old)

        sums = e.loop(whole, step, *[nothing] * vectors, *seen)
        sums = e.loop((length + (r.lanes - 1)) // r.lanes - whole, last, *sums)
        return [combine(total, tree(sums[:vectors], combine).fold(combine)), *sums[vectors:]]

    total, *seen = e.loop((n + (BLOCK - 1)) // BLOCK, block, nothing, *watches)
    return total + tree(seen, add).fold(add) if seen else total


def _rows(r: Reduction) -> Callable[..., None]:
    """(n) -> (), or (n),() -> () for a reduction that is told something."""

    def kernel(e: Emit, sizes: list[Int], x: Operand, *others: Operand) -> None:
        *extra, out = others
        told = e.double().broadcast(extra[0].address) if extra else None
        _store(e, r, out.address, fold_row(e, r, [x.address], sizes[0], told), sizes[0], e.int(1))

    return kernel


def _columns(r: Reduction) -> Callable[..., None]:
    """(n,m) -> (m), or (n,m),(m) -> (m); each column in the order of `_rows`."""

    def kernel(e: Emit, sizes: list[Int], x: Operand, *others: Operand) -> None:
        *extra, out = others
        n, m = sizes
        computing = e.double() if r.wide else e
        nothing, lanes = [computing.const(r.neutral)] * CHUNK, r.lanes if r.wide else 1
        kept = computing.scratch(lanes * CHUNK)

        def chunk(c: Int) -> None:
            first = c * (CHUNK * e.width)
            masks = [e.first(m - first - v * e.width) for v in range(CHUNK)]
            told = [computing.load(extra[0].address + (first + v * e.width) * computing.size, mask) if extra else None
                    for v, mask in enumerate(masks)]

            def block(b: Int, *totals: V) -> list[V]:
                length = n - b * BLOCK
                length = (length > BLOCK).select(e.int(BLOCK), length)

                def lane(k: Int) -> None:
                    def step(_: Int, at: Int, *sums: V) -> list[Any]:
                        new = [r.element(e.load(at + v * e.bytes, masks[v]), told[v]).to(computing)
                               for v in range(CHUNK)]
                        return [at + x.strides[0] * lanes, *map(r.combine, new, sums)]

                    start = x.address + (b * BLOCK + k) * x.strides[0] + first * e.size
                    _, *sums = e.loop((length - k + (lanes - 1)) // lanes, step, start, *nothing)
                    for v, s in enumerate(sums):
                        computing.store(kept + (k * CHUNK + v) * computing.bytes, s)

                e.loop(e.int(lanes), lane)
                for v in range(CHUNK):
                    sums = [computing.load(kept + (k * CHUNK + v) * computing.bytes) for k in range(lanes)]
                    totals = (*totals[:v], r.combine(totals[v], tree(sums, r.combine)), *totals[v + 1:])
                return list(totals)

            for v, total in enumerate(e.loop((n + (BLOCK - 1)) // BLOCK, block, *nothing)):
                done = first + v * e.width
                _store(e, r, out.address + done * _result(e, r).size, total, n, m - done)

        e.loop((m + (CHUNK * e.width - 1)) // (CHUNK * e.width), chunk)

    return kernel
