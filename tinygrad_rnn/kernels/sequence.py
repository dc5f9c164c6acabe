"""A recurrence over a whole sequence, in compiled code: for each step the stages of a cell, for each stage the
products that feed it and then its elementwise unit (units.py), a block of units at a time.

What a cell does is a table of integers, so this loop is compiled once for all cells. The batch is split over the
threads, which do not meet before the sequence ends; a row's numbers never depend on the other rows.

    STAGE    unit, table, blocks, lanes, width, first product, end of products, vectors a block
    PRODUCT  tile, last tile, A: base, step, row, segments, segment, depth; panels of B: base, block, vector, k, last k;
             start (0: accumulate), C: base, step, row, slot, block; blocks
    WEIGHTS  source, rows, columns, row; panels: base, block, how many k stand before

All bases are addresses, all distances bytes. `C[row, slot s] (+)= sum over segments and k of A[row, segment, k]
B[segment, k, s]`.
"""

from __future__ import annotations

import functools
from collections import namedtuple
from typing import Any

from .jit import Compiled, helper, kernel, native
from .llvm import Emit, Int, V, call, load
from .pool import share
from .tiles import ROWS as _ROWS

SLOTS = 4                                   # vectors of a tile: so many gates of one vector of units at once
ROWS = {**_ROWS, 4: _ROWS[3] * 3 // 4}      # the most rows of a tile, by its vectors
STEPS = 64                                  # rows of x that go with each panel, at least

STAGE = 8 * 8
(UNIT, TABLE, BLOCKS, LANES, WIDTH, FIRST, END, VECTORS) = range(0, STAGE, 8)
PRODUCT = 20 * 8
(TILE, LAST_TILE, A, A_STEP, A_ROW, SEGMENTS, SEGMENT, DEPTH, PANELS, PANEL_BLOCK, PANEL_VECTOR, PANEL_K,
 LAST_K, START, C, C_STEP, C_ROW, SLOT, C_BLOCK, COUNT) = range(0, PRODUCT, 8)


# ---- tiles -----------------------------------------------------------------------------------------------------------
@functools.cache
def tile(vectors: int, fresh: tuple[int, ...] = ()) -> Compiled:
    """The tile of so many vectors; those in `fresh` start from zero, whatever the others add to."""
    def kernel(e: Emit, m: Int, a: Int, a_row: Int, segments: Int, segment: Int, depth: Int, b: Int, b_vector: Int,
               b_k: Int, start: Int, start_row: Int, c: Int, c_row: Int, slot: Int) -> None:
        """m rows of `vectors` vectors that stand `slot` apart; rows in tiles of as equal size as can be."""
        limit = ROWS[vectors]
        tiles = (m + (limit - 1)) // limit

        def tile(i: Int, left: Int, a: Int, start: Int, c: Int):
            rows = (left + (tiles - i - 1)) // (tiles - i)
            e.switch(rows, {r: functools.partial(case, r, a, start, c) for r in range(1, limit + 1)})
            return [left - rows, a + rows * a_row, start + rows * start_row, c + rows * c_row]

        def case(rows: int, a: Int, start: Int, c: Int) -> None:
            for r in range(rows):           # C is on its way while the product is computed
                for s in range(vectors):
                    e.prefetch(start + r * start_row + s * slot)

            def along(i: Int, a: Int, b: Int, *sums: V) -> list[Any]:
                return [a + segment, *_multiply(e, rows, vectors, a, a_row, b, b_vector, b_k, depth, list(sums))]

            zeros = [e.const(0.0)] * (rows * vectors)
            sums = e.loop(segments, along, a, b, *zeros, at_least_once=True)[2:]
            for r in range(rows):
                for s in range(vectors):
                    before = e.const(0.0) if s in fresh else e.load(start + r * start_row + s * slot)
                    e.store(c + r * c_row + s * slot, before + sums[r * vectors + s])

        e.loop(tiles, tile, m, a, start, c)

    return native(kernel, "_".join(map(str, (f"sequence_tile{vectors}", *fresh))))


def _multiply(e: Emit, rows: int, vectors: int, a: Int, a_row: Int, b: Int, b_vector: Int, b_k: Int, depth: Int,
              sums: list[V]) -> list[Any]:
    """Add A B over one segment to the sums; gives where B goes on, and the sums."""
    groups = range(0, rows, 3)

    def step(_: Int, b: Int, *carried):
        pointers, sums = carried[:len(groups)], list(carried[len(groups):])

        def element(r: int):
            return e.broadcast(pointers[r // 3] + (a_row * (r % 3) if r % 3 else 0))

        if rows < vectors:                  # hold the shorter side in registers
            elements = [element(r) for r in range(rows)]
            for s in range(vectors):
                vector = e.load(b + s * b_vector)
                for r in range(rows):
                    sums[r * vectors + s] = elements[r].fma(vector, sums[r * vectors + s])
        else:
            loaded = [e.load(b + s * b_vector) for s in range(vectors)]
            for r in range(rows):
                x = element(r)
                for s in range(vectors):
                    sums[r * vectors + s] = x.fma(loaded[s], sums[r * vectors + s])
        return [b + b_k, *(p + e.size for p in pointers), *sums]

    out = e.loop(depth, step, b, *(a + a_row * r for r in groups), *sums, at_least_once=True)
    return [out[0], *out[1 + len(groups):]]


# ---- the loop over time ----------------------------------------------------------------------------------------------
Job = namedtuple("Job", "size steps batch backward bounds active stages n_stages products outside n_outside flat")


@helper
def multiply(product, block, step, row, rows):
    """One product of one stage, for one block of its columns."""
    tile, b_k = load(product + TILE), load(product + PANEL_K)
    if block + 1 == load(product + COUNT):
        tile, b_k = load(product + LAST_TILE), load(product + LAST_K)
    c_row = load(product + C_ROW)
    c = load(product + C) + step * load(product + C_STEP) + row * c_row + block * load(product + C_BLOCK)
    start, start_row = load(product + START), 0
    if start == 0:
        start, start_row = c, c_row
    a_row = load(product + A_ROW)
    a = load(product + A) + step * load(product + A_STEP) + row * a_row
    call(tile, (rows, a, a_row, load(product + SEGMENTS), load(product + SEGMENT), load(product + DEPTH),
                load(product + PANELS) + block * load(product + PANEL_BLOCK), load(product + PANEL_VECTOR), b_k,
                start, start_row, c, c_row, load(product + SLOT)))


@helper
def running(job, step, row, end):
    """How many of the rows from `row` on are not over at a step; they are sorted, the longest first."""
    return max(0, min(end, load(job.active + 8 * step)) - row)


@helper
def outside(job, first, end, row, last):
    """Products that no step waits for (forward with x, backward for the gradient of x), for a few steps together."""
    for q in range(job.n_outside):
        product = job.outside + q * PRODUCT
        for block in range(load(product + COUNT)):
            if job.flat and row == 0 and last == job.batch:
                multiply(product, block, first, 0, (end - first) * job.batch)
            else:
                for k in range(end - first):
                    step = end - 1 - k if job.backward else first + k       # sums over steps have one order
                    rows = running(job, step, row, last)
                    if rows > 0:
                        multiply(product, block, step, row, rows)


@helper
def one_step(job, step, row, rows):
    """All stages of a cell at one step."""
    for s in range(job.n_stages):
        stage = job.stages + s * STAGE
        unit, table, lanes, width = load(stage + UNIT), load(stage + TABLE), load(stage + LANES), load(stage + WIDTH)
        first, end = load(stage + FIRST), load(stage + END)
        for block in range(load(stage + BLOCKS)):
            for q in range(first, end):
                multiply(job.products + q * PRODUCT, block, step, row, rows)
            if unit != 0:
                for v in range(load(stage + VECTORS)):
                    column = (block * load(stage + VECTORS) + v) * lanes
                    if column < width:
                        call(unit, (rows, min(lanes, width - column), step, row, column, table))


@helper
def band(part, parts, job):
    """The whole sequence for the rows of one thread."""
    row, last = load(job.bounds + 8 * part), load(job.bounds + 8 * (part + 1))
    if last <= row:
        return
    together = max(1, STEPS // (last - row))
    for i in range(0, job.steps, together):
        n = min(together, job.steps - i)
        first = job.steps - i - n if job.backward else i
        if not job.backward:
            outside(job, first, first + n, row, last)
        for k in range(n):
            step = first + (n - 1 - k if job.backward else k)
            rows = running(job, step, row, last)
            if rows > 0:
                one_step(job, step, row, rows)
        if job.backward:
            outside(job, first, first + n, row, last)


@kernel("void(intp, intp, intp, intp, intp, intp, intp, intp, intp, intp, intp, intp, intp, intp)", dtypes="q")
def run(pool, parts, size, steps, batch, backward, bounds, active, stages, n_stages, products, outsiders, n_outside,
        flat):
    """The whole sequence for all rows, by the threads of a pool; see `band`."""
    job = Job(size, steps, batch, backward, bounds, active, stages, n_stages, products, outsiders, n_outside, flat)
    share(pool, parts, band, (job,))


# ---- weights as the tiles read them ----------------------------------------------------------------------------------
WEIGHTS = 7 * 8
SOURCE, SOURCE_ROWS, SOURCE_COLUMNS, SOURCE_ROW, TO, TO_BLOCK, BEFORE = range(0, WEIGHTS, 8)


Packing = namedtuple("Packing", "pack_columns pack_rows size lanes forward table count")


@helper
def pack_part(part, parts, job):
    """Every matrix's share of panels for one thread."""
    lanes, vector = job.lanes, job.lanes * job.size
    for i in range(job.count):
        entry = job.table + i * WEIGHTS
        source, row = load(entry + SOURCE), load(entry + SOURCE_ROW)
        rows, columns = load(entry + SOURCE_ROWS), load(entry + SOURCE_COLUMNS)
        to, block, before = load(entry + TO), load(entry + TO_BLOCK), load(entry + BEFORE)
        panels = (rows + lanes - 1) // lanes if job.forward else (columns + 2 * lanes - 1) // (2 * lanes)
        for p in range(panels * part // parts, panels * (part + 1) // parts):
            if job.forward:
                call(job.pack_columns, (columns, min(lanes, rows - p * lanes), 1, source + p * lanes * row, row,
                                        to + p * block + before * vector))
            else:
                left = min(2 * lanes, columns - 2 * p * lanes)
                vectors = (left + lanes - 1) // lanes
                call(job.pack_rows, (rows, left, vectors, source + 2 * p * vector, row,
                                     to + p * block + before * vectors * vector))


@kernel("void(intp, intp, intp, intp, intp, intp, intp, intp, intp)", dtypes="q")
def pack_weights(pool, parts, pack_columns, pack_rows, size, lanes, forward, table, count):
    """Copy matrices (units, depth) into panels: forward a vector of units each; backward two vectors of the depth."""
    share(pool, parts, pack_part, (Packing(pack_columns, pack_rows, size, lanes, forward, table, count),))
