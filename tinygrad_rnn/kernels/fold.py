"""The kernels of reductions: one row to one number, columns to a row of numbers, in the order that `reduce.py`
states."""
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .llvm import Emit, Int, Mask, V
from .ufunc import Operand, gufunc

LANES, BLOCK = 32, 4096     # of a sum
CHUNK = 4                   # vectors of columns that are reduced together
ROWS = 4                    # whose running sums are computed together: each addition waits for the one before


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


def _running_columns(e: Emit, sizes: list[Int], x: Operand, out: Operand) -> None:
    """(n,m) -> (n,m): the sums of the first 1, 2, ... elements of each column."""
    n, m = sizes
    double = e.double()

    def vector(c: Int) -> None:
        lanes = e.first(m - c * e.width)

        def step(_: Int, source: Int, to: Int, total: V) -> list[Any]:
            total = total + e.load(source, lanes).to(double)
            e.store(to, total.to(e), lanes)
            return [source + x.strides[0], to + out.strides[0], total]

        e.loop(n, step, x.address + c * e.bytes, out.address + c * e.bytes, double.const(0.0))

    e.loop(e.vectors(m), vector)


def _transposed(e: Emit, rows: list[V]) -> list[V]:
    """As many vectors as a vector has lanes: lane k of vector i becomes lane i of vector k."""
    rows, half = list(rows), e.width // 2
    while half:
        for i in range(e.width):
            if not i & half:
                a, b = rows[i], rows[i + half]
                rows[i] = e.shuffle(a, b, [k + (e.width - half) * bool(k & half) for k in range(e.width)])
                rows[i + half] = e.shuffle(a, b, [k + (e.width if k & half else half) for k in range(e.width)])
        half //= 2
    return rows


def _running_rows(e: Emit, sizes: list[Int], x: Operand, out: Operand) -> None:
    """(m,n) -> (m,n): the same of each row. A vector's lanes are as many rows; those left over go a few at a time."""
    m, n = sizes
    double, one = e.double(), e.first(e.int(1))
    whole = m // e.width

    def square(g: Int) -> None:
        source, to = (o.address + g * e.width * o.strides[0] for o in (x, out))

        def step(k: Int, total: V) -> list[V]:
            lanes, at, sums = e.first(n - k * e.width), k * e.bytes, []
            for column in _transposed(e, [e.load(source + r * x.strides[0] + at, lanes) for r in range(e.width)]):
                total = total + column.to(double)
                sums.append(total.to(e))
            for r, row in enumerate(_transposed(e, sums)):
                e.store(to + r * out.strides[0] + at, row, lanes)
            return [total]

        e.loop(e.vectors(n), step, double.const(0.0))

    def group(g: Int) -> None:
        # Beyond the last row it is done once more.
        rows = [whole * e.width + g * ROWS + r for r in range(ROWS)]
        rows = [(m > row).select(row, m - 1) for row in rows]

        def step(k: Int, *totals: V) -> list[V]:
            result = []
            for row, total in zip(rows, totals):
                total = total + e.broadcast(x.address + row * x.strides[0] + k * e.size).to(double)
                e.store(out.address + row * out.strides[0] + k * e.size, total.to(e), one)
                result.append(total)
            return result

        e.loop(n, step, *[double.const(0.0)] * ROWS)

    e.loop(whole, square)
    e.loop((m - whole * e.width + (ROWS - 1)) // ROWS, group)


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


class Running:
    """Running sums."""

    @cached_property
    def rows(self) -> np.ufunc:
        """(m,n) -> (m,n), along n."""
        return gufunc(_running_rows, "(m,n)->(m,n)", name="running_rows")

    @cached_property
    def columns(self) -> np.ufunc:
        """(n,m) -> (n,m), along n."""
        return gufunc(_running_columns, "(n,m)->(n,m)", name="running_columns")


ARGMAX, ARGMIN = Position("argmax", lambda a, b: a > b), Position("argmin", lambda a, b: a < b)
RUNNING = Running()
