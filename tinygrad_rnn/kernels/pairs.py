"""One gradient step of word vectors, as machine code: m words that predict, n outputs that are right or wrong.

    F = X O^T       (m, n)  scores; X: rows of the words that predict, O: rows of the outputs
    G = alpha (L - sigmoid(F))      L: 1 for outputs that are right, 0 for noise
    X += G O        O += G^T X      both from the rows as they were

One word and its outputs are the step of word2vec, a pair at a time (m = 1).  All context words of a window against
the same outputs are products of small matrices instead of single rows: each row is fetched and written once a window,
and most arithmetic runs from registers (Ji, Satish, Li and Dubey 2016, Parallelizing word2vec in shared and distributed
memory, "level 3").

Rows are given by their addresses, so that the same code steps in the tables themselves or in a shard's copies of rows.
They are whole vectors long, the lanes beyond their end 0.
"""
import math
from collections.abc import Callable
from functools import partial
from typing import Any

from . import functions
from .jit import Compiled, native
from .llvm import Emit, Int, V

SOURCES = 8     # rows held in registers while they are added to others


def sums_of_lanes(e: Emit, vectors: list[V]) -> V:
    """Lane k of the result is the sum of all lanes of vectors[k]; as many vectors as lanes, or half as many."""
    distance, count = e.width // 2, len(vectors)
    while distance:
        half, block = len(vectors) // 2, 2 * distance
        low = [k - k % block + k % distance + (e.width if k % block >= distance else 0) for k in range(e.width)]
        high = [k + distance for k in low]
        if half:
            vectors = [e.shuffle(a, b, low) + e.shuffle(a, b, high) for a, b in zip(vectors[:half], vectors[half:])]
        else:       # half as many: each sum comes twice
            vectors = [x + e.shuffle(x, x, [k ^ distance for k in range(e.width)]) for x in vectors]
        distance //= 2
    if count == e.width:
        return vectors[0]
    return e.shuffle(vectors[0], vectors[0], [2 * k % e.width for k in range(e.width)])


def copy_rows(e: Emit, rows: Int, table: Int, vectors: Int, panel: Int) -> None:
    """Rows at the addresses in a table, one below the other."""
    def row(r: Int, to: Int) -> list[Int]:
        source = e.load_int(table + 8 * r)

        def vector(k: Int) -> None:
            e.store(to + k * e.bytes, e.load(source + k * e.bytes))

        e.loop(vectors, vector, at_least_once=True)
        return [to + vectors * e.bytes]

    e.loop(rows, row, panel)


def scores(e: Emit, m: Int, x: Int, n: Int, o: Int, vectors: Int, f: Int, stride: Int) -> None:
    """F = X O^T, from two panels; two rows of X and half a vector of outputs at a time, so that sums fill a vector.

    Rows of F are `stride` bytes long, whole halves of vectors.
    """
    half = e.width // 2
    row = vectors * e.bytes

    def tile(rows: int, outputs: int, x: Int, o: Int, f: Int) -> None:
        def along(k: Int, x: Int, o: Int, *sums: V) -> list[Any]:
            a = [e.load(x + row * r if r else x) for r in range(rows)]
            out = list(sums)
            for s in range(outputs):
                b = e.load(o + row * s)
                for r in range(rows):
                    out[r * outputs + s] = a[r].fma(b, out[r * outputs + s])
            return [x + e.bytes, o + e.bytes, *out]

        zero = e.const(0.0)
        sums = e.loop(vectors, along, x, o, *[zero] * (rows * outputs), at_least_once=True)[2:]
        spread = [sums[r * outputs + s] if s < outputs else zero for r in range(rows) for s in range(half)]
        together = sums_of_lanes(e, spread)
        e.store(f, together, e.first(e.int(half)))
        if rows == 2:
            upper = e.shuffle(together, together, [(k + half) % e.width for k in range(e.width)])
            e.store(f + stride, upper, e.first(e.int(half)))

    def pair_of_rows(i: Int, x: Int, f: Int) -> list[Int]:
        def some_outputs(j: Int, o: Int, f: Int) -> list[Int]:
            left = n - j * half
            count = (left < half).select(left, e.int(half))
            lone = (m == 2 * i + 1).select(e.int(0), e.int(half))
            cases: dict[int, Callable[[], None]] = {
                r * half + s: partial(tile, r + 1, s, x, o, f) for r in (0, 1) for s in range(1, half + 1)}
            e.switch(count + lone, cases)
            return [o + half * row, f + half * e.size]

        e.loop((n + (half - 1)) // half, some_outputs, o, f)
        return [x + 2 * row, f + 2 * stride]

    e.loop((m + 1) // 2, pair_of_rows, x, f)


def logistic(e: Emit, m: Int, n: Int, labels: Int, alpha: V, f: Int, stride: Int, loss: Int) -> None:
    """F becomes G = alpha (L - sigmoid(F)); -log of the probability of each label is added to a float64 at `loss`."""
    double = e.double()

    def row(r: Int, f: Int, total: V) -> list[Any]:
        def vector(k: Int, total: V) -> list[Any]:
            lanes = e.first(n - k * e.width)
            label, score = e.load(labels + k * e.bytes, lanes), e.load(f + k * e.bytes, lanes)
            nats = functions.softplus((label > 0.5).select(-score, score))
            e.store(f + k * e.bytes, alpha * (label - functions.sigmoid(score)), lanes)
            return [total + lanes.select(nats, 0.0).to(double)]

        return [f + stride, *e.loop(e.vectors(n), vector, total)]

    total = e.loop(m, row, f, double.const(0.0))[1]
    add_to(loss, total.fold(lambda a, b: a + b))


def softmax(e: Emit, m: Int, n: Int, labels: Int, alpha: V, f: Int, stride: Int, loss: Int) -> None:
    """F becomes G = alpha (L - softmax(F)) where one label is 1; -log of its probability is added at `loss`."""
    double = e.double()

    def row(r: Int, f: Int, total: V) -> list[Any]:
        def lanes(k: Int) -> Any:
            return e.first(n - k * e.width)

        def highest(k: Int, top: V) -> list[V]:
            return [top.maximum(lanes(k).select(e.load(f + k * e.bytes, lanes(k)), -math.inf))]

        top = e.loop(e.vectors(n), highest, e.const(-math.inf))[0].fold(V.maximum)

        def weigh(k: Int, sum_: V, right: V) -> list[V]:
            shifted = e.load(f + k * e.bytes, lanes(k)) - top
            weight = lanes(k).select(functions.exp(shifted), 0.0)
            return [sum_ + weight.to(double), right + (e.load(labels + k * e.bytes, lanes(k)) * shifted).to(double)]

        sum_, right = (x.fold(lambda a, b: a + b)
                       for x in e.loop(e.vectors(n), weigh, double.const(0.0), double.const(0.0)))
        log_sum = functions.log(sum_)

        def gradient(k: Int) -> None:
            at = f + k * e.bytes
            probability = functions.exp(e.load(at, lanes(k)) - top - log_sum.to(e))
            e.store(at, alpha * (e.load(labels + k * e.bytes, lanes(k)) - probability), lanes(k))

        e.loop(e.vectors(n), gradient)
        return [f + stride, total + (log_sum - right)]

    add_to(loss, e.loop(m, row, f, double.const(0.0))[1])


def add_to(address: Int, x: V) -> None:
    """Add the first lane to a number in memory."""
    e = x.e
    one = e.first(e.int(1))
    e.store(address, e.load(address, one) + x, one)


def add_products(e: Emit, targets: Int, table: Int, sources: Int, panel: Int, vectors: Int, g: Int, g_target: Int,
                 g_source: Int) -> None:
    """target[t] += sum over s of g[t, s] source[s]; targets by address, sources from a panel."""
    row = vectors * e.bytes

    def tile(count: int, panel: Int, g: Int) -> None:
        def column(k: Int, panel: Int) -> list[Int]:
            held = [e.load(panel + row * s if s else panel) for s in range(count)]

            def target(t: Int, g: Int) -> list[Int]:
                address = e.load_int(table + 8 * t) + k * e.bytes
                total = e.load(address)
                for s in range(count):
                    total = e.broadcast(g + g_source * s if s else g).fma(held[s], total)
                e.store(address, total)
                return [g + g_target]

            e.loop(targets, target, g, at_least_once=True)
            return [panel + e.bytes]

        e.loop(vectors, column, panel, at_least_once=True)

    def some(i: Int, panel: Int, g: Int) -> list[Int]:
        left = sources - i * SOURCES
        cases: dict[int, Callable[[], None]] = {s: partial(tile, s, panel, g) for s in range(1, SOURCES + 1)}
        e.switch((left < SOURCES).select(left, e.int(SOURCES)), cases)
        return [panel + SOURCES * row, g + SOURCES * g_source]

    e.loop((sources + (SOURCES - 1)) // SOURCES, some, panel, g)


def _step(gradients: Any, name: str) -> Compiled:
    def kernel(e: Emit, m: Int, inputs: Int, n: Int, outputs: Int, labels: Int, alpha: Int, vectors: Int,
               scratch: Int, loss: Int, scale: Int) -> None:
        """One step of m inputs, each against the n outputs.

        `inputs`, `outputs`: tables of addresses of rows; `labels`: n numbers; `alpha`: a number; `loss`: a float64; all
        by address.  `scratch`: room for m + n rows, and for m rows of n numbers, rounded up to whole vectors.
        """
        row = vectors * e.bytes
        x, o = scratch, scratch + m * row
        f, stride = o + n * row, _stride(e, n)
        copy_rows(e, m, inputs, vectors, x)
        copy_rows(e, n, outputs, vectors, o)
        scores(e, m, x, n, o, vectors, f, stride)
        gradients(e, m, n, labels, e.broadcast(alpha), f, stride, loss)
        add_products(e, m, inputs, n, o, vectors, f, stride, e.int(e.size))
        add_products(e, n, outputs, m, x, vectors, f, e.int(e.size), stride)

    return native(kernel, name)


def _step_of_sum(gradients: Any, name: str) -> Compiled:
    def kernel(e: Emit, m: Int, inputs: Int, n: Int, outputs: Int, labels: Int, alpha: Int, vectors: Int,
               scratch: Int, loss: Int, scale: Int) -> None:
        """One step of h, the sum of m inputs times `scale` (a number by address), against n outputs.

        Each input moves by the gradient of h.  `scratch`: room for 2 + n rows, and for n numbers.
        """
        row = vectors * e.bytes
        h, moved, o = scratch, scratch + row, scratch + 2 * row
        f, stride = o + n * row, _stride(e, n)
        factor, one = e.broadcast(scale), e.int(1)

        def column(k: Int) -> None:
            def add(r: Int, total: V) -> list[V]:
                return [total + e.load(e.load_int(inputs + 8 * r) + k * e.bytes)]

            e.store(h + k * e.bytes, factor * e.loop(m, add, e.const(0.0))[0])
            e.store(moved + k * e.bytes, e.const(0.0))

        e.loop(vectors, column, at_least_once=True)
        copy_rows(e, n, outputs, vectors, o)
        scores(e, one, h, n, o, vectors, f, stride)
        gradients(e, one, n, labels, e.broadcast(alpha), f, stride, loss)
        place = e.scratch(1)
        e.store_int(place, moved)
        add_products(e, one, place, n, o, vectors, f, stride, e.int(e.size))
        add_products(e, n, outputs, one, h, vectors, f, e.int(e.size), stride)

        def spread(k: Int) -> None:
            gradient = e.load(moved + k * e.bytes)

            def target(r: Int) -> None:
                address = e.load_int(inputs + 8 * r) + k * e.bytes
                e.store(address, e.load(address) + gradient)

            e.loop(m, target)

        e.loop(vectors, spread, at_least_once=True)

    return native(kernel, name)


def _stride(e: Emit, n: Int) -> Int:
    """Bytes of n scores, in whole halves of vectors."""
    half = e.width // 2
    return (n + (half - 1)) // half * (half * e.size)


# (sum of the inputs, softmax over the outputs) -> the step.
STEPS: dict[tuple[bool, bool], Compiled] = {
    (False, False): _step(logistic, "pairs_step"), (True, False): _step_of_sum(logistic, "pairs_step_of_sum"),
    (False, True): _step(softmax, "pairs_softmax"), (True, True): _step_of_sum(softmax, "pairs_softmax_of_sum")}


@native
def fetch(e: Emit, rows: Int, table: Int, vectors: Int) -> None:
    """Have rows fetched that a later step reads; the table holds their addresses."""
    def row(r: Int) -> None:
        source = e.load_int(table + 8 * r)
        e.loop((vectors * e.bytes + 63) // 64, lambda k: e.prefetch(source + k * 64), at_least_once=True)

    e.loop(rows, row)


@native
def copy(e: Emit, rows: Int, sources: Int, targets: Int, vectors: Int) -> None:
    """Copy rows from the addresses in one table to those in another."""
    def row(r: Int) -> None:
        source, target = e.load_int(sources + 8 * r), e.load_int(targets + 8 * r)
        e.loop(vectors, lambda k: e.store(target + k * e.bytes, e.load(source + k * e.bytes)), at_least_once=True)

    e.loop(rows, row)
