"""The innermost loops of the matrix product: tiles of C that stay in registers, and the packing of panels.

A tile is some rows times some vectors of columns. For each k one row of B is loaded, each element of a column of A is
broadcast, and every element of the tile gets one fused multiply-add: rows * vectors of them for rows + vectors loads,
so that the multipliers, not the loads, set the pace. A processor starts two multiply-adds a cycle and each takes four,
so at least eight must be independent.

A panel of B is PANEL vectors wide, the last one of a matrix perhaps less. All strides and addresses count bytes.
"""
import functools
from typing import Any

from .jit import native
from .llvm import Emit, Int, V, has_fma, registers

PANEL = 3  # vectors
AHEAD = 24  # rows: where these stand far apart, each on a page of its own, the processor does not look ahead
# The most rows of a tile by its vectors: accumulators, one row of B and one broadcast must fit the registers.
ROWS = {1: 12, 2: 12, 3: 8} if registers() == 32 else {1: 6, 2: 6, 3: 4}


def multiply_add(x: V, y: V, z: V) -> V:
    """x y + z, rounded once where the processor can do that."""
    return x.fma(y, z) if has_fma() else x * y + z


def accumulate(e: Emit, rows: int, columns: list[Any], a: Int, a_row: Int, a_k: Int, b: Int, b_k: Int,
               depth: Int) -> list[list[V]]:
    """sum over k of A[r, k] * B[k, s], in order, from zero: [rows][vectors] accumulators.

    `columns`: where each vector stands in a row of B, as offsets in bytes.
    """
    # Every third row has a pointer; the processor's own address arithmetic reaches the other two.
    groups = range(0, rows, 3)

    def step(k: Int, b: Int, *carried):
        pointers, sums = carried[:len(groups)], carried[len(groups):]

        def element(r: int) -> V:
            return e.broadcast(pointers[r // 3] + (a_row * (r % 3) if r % 3 else 0))

        result = list(sums)
        if rows > 2:    # beside many multiply-adds it costs nothing, and it pays where A or B is read across its rows
            e.prefetch(pointers[0] + a_k * AHEAD)
            for offset in columns:
                e.prefetch(b + b_k * AHEAD + offset)
        if rows < len(columns):  # hold the shorter side in registers
            elements = [element(r) for r in range(rows)]
            for s, offset in enumerate(columns):
                vector = e.load(b + offset)
                for r in range(rows):
                    result[r * len(columns) + s] = multiply_add(elements[r], vector, result[r * len(columns) + s])
        else:
            vectors = [e.load(b + offset) for offset in columns]
            for r in range(rows):
                x = element(r)
                for s, vector in enumerate(vectors):
                    result[r * len(columns) + s] = multiply_add(x, vector, result[r * len(columns) + s])
        return [b + b_k, *(p + a_k for p in pointers), *result]

    zeros = [e.const(0.0)] * (rows * len(columns))
    sums = e.loop(depth, step, b, *(a + a_row * r for r in groups), *zeros, at_least_once=True)[1 + len(groups):]
    return [sums[r * len(columns):(r + 1) * len(columns)] for r in range(rows)]


def _panel(vectors: int):
    def kernel(e: Emit, m: Int, a: Int, a_row: Int, a_k: Int, b: Int, b_k: Int, depth: Int,
               start: Int, start_row: Int, c: Int, c_row: Int, columns: Int) -> None:
        """C[:m, :columns] = start + A B for a panel of some vectors; rows in tiles of as equal size as can be."""
        limit = ROWS[vectors]
        tiles = (m + (limit - 1)) // limit
        offsets = [s * e.bytes for s in range(vectors)]

        def tile(i: Int, left: Int, a: Int, start: Int, c: Int):
            rows = (left + (tiles - i - 1)) // (tiles - i)
            e.switch(rows, {r: functools.partial(case, r, a, start, c) for r in range(1, limit + 1)})
            return [left - rows, a + rows * a_row, start + rows * start_row, c + rows * c_row]

        def case(rows: int, a: Int, start: Int, c: Int) -> None:
            for r in range(rows):  # C is on its way while the product is computed
                for offset in offsets:
                    e.prefetch(start + r * start_row + offset)
            sums = accumulate(e, rows, offsets, a, a_row, a_k, b, b_k, depth)
            ragged = columns < vectors * e.width
            last = e.first(columns - (vectors - 1) * e.width)
            for mask, condition in ((None, ~ragged), (last, ragged)):
                with e.when(condition):
                    for r in range(rows):
                        for s, offset in enumerate(offsets):
                            lanes = mask if s == vectors - 1 else None
                            before = e.load(start + r * start_row + offset, lanes)
                            e.store(c + r * c_row + offset, before + sums[r][s], lanes)

        e.loop(tiles, tile, m, a, start, c)

    return native(kernel, f"gemm_panel{vectors}")


panels = [_panel(vectors) for vectors in range(1, PANEL + 1)]


def _strip(rows: int, count: int):
    def kernel(e: Emit, a: Int, a_row: Int, a_k: Int, b: Int, b_k: Int, b_panel: Int, depth: Int,
               start: Int, start_row: Int, c: Int, c_row: Int) -> None:
        """The same for very few rows and several full panels at once, so that enough sums are independent."""
        offsets = [b_panel * p + s * e.bytes for p in range(count) for s in range(PANEL)]
        sums = accumulate(e, rows, offsets, a, a_row, a_k, b, b_k, depth)
        for r in range(rows):
            for s in range(count * PANEL):
                offset = s * e.bytes
                e.store(c + r * c_row + offset, e.load(start + r * start_row + offset) + sums[r][s])

    return native(kernel, f"gemm_strip{rows}")


STRIP = (4, 2)  # panels at once, for one row and for two
strips = [_strip(rows, count) for rows, count in enumerate(STRIP, 1)]


@native
def pack_rows(e: Emit, depth: Int, columns: Int, vectors: Int, source: Int, source_k: Int, to: Int) -> None:
    """A panel from rows of contiguous elements; beyond `columns` it is 0."""
    whole = (columns == PANEL * e.width)
    with e.when(whole):

        def row(k: Int, source: Int, to: Int):
            offsets = [s * e.bytes for s in range(PANEL)]
            for offset in offsets:
                e.prefetch(source + source_k * AHEAD + offset)
            for offset, x in zip(offsets, [e.load(source + offset) for offset in offsets]):
                e.store(to + offset, x)
            return [source + source_k, to + PANEL * e.bytes]

        e.loop(depth, row, source, to)
    with e.when(~whole):

        def ragged(k: Int, source: Int, to: Int):
            def vector(s: Int) -> None:
                e.store(to + s * e.bytes, e.load(source + s * e.bytes, e.first(columns - s * e.width)))

            e.loop(vectors, vector)
            return [source + source_k, to + vectors * e.bytes]

        e.loop(depth, ragged, source, to)


@native
def pack_columns(e: Emit, depth: Int, columns: Int, vectors: Int, source: Int, source_n: Int, to: Int) -> None:
    """A panel from columns of contiguous elements, `source_n` apart: squares are transposed in registers."""
    row = vectors * e.bytes
    nothing = e.scratch(1)
    e.store(nothing, e.const(0.0))

    def square(source: Int, to: Int, columns: Int, lanes=None) -> list[V]:
        x = [e.load((columns > n).select(source + source_n * n, nothing), lanes) for n in range(e.width)]
        distance = 1
        while distance < e.width:  # rows i and i + distance swap blocks beside the diagonal
            for i in range(e.width):
                if not i & distance:
                    low = [n if not n & distance else e.width + n - distance for n in range(e.width)]
                    high = [n + distance if not n & distance else e.width + n for n in range(e.width)]
                    x[i], x[i + distance] = (e.shuffle(x[i], x[i + distance], picks) for picks in (low, high))
            distance *= 2
        return x

    def vector(s: Int) -> None:
        left = columns - s * e.width
        first, column = source + s * e.width * source_n, to + s * e.bytes

        def whole(i: Int) -> None:
            k = i * e.width
            for n, x in enumerate(square(first + k * e.size, column + k * row, left)):
                e.store(column + (k + n) * row, x)

        squares = depth // e.width
        e.loop(squares, whole)
        rest = depth - squares * e.width
        with e.when(rest > 0):
            k = squares * e.width
            for n, x in enumerate(square(first + k * e.size, column + k * row, left, e.first(rest))):
                with e.when(rest > n):
                    e.store(column + (k + n) * row, x)

    e.loop(vectors, vector)


@native
def pack_any(e: Emit, depth: Int, columns: Int, vectors: Int, source: Int, source_k: Int, source_n: Int,
             to: Int) -> None:
    """A panel from elements at any distances."""

    def row(k: Int, source: Int, to: Int):
        def vector(s: Int) -> None:
            lanes = e.first(columns - s * e.width)
            e.store(to + s * e.bytes, e.gather(source + s * e.width * source_n, source_n, lanes))

        e.loop(vectors, vector)
        return [source + source_k, to + vectors * e.bytes]

    e.loop(depth, row, source, to)
