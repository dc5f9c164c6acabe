"""Counting which words stand near which: a row of the matrix at a time, in whole numbers.

All places of a word are visited one after the other, and what stands around them is added up in one long array, which
stays in the cache. Rows are independent and their sums are integers, so neither the threads nor the way a text is cut
into pieces can change a bit.
"""
from typing import Any

import numpy as np

from .jit import helper, kernel
from .threads import get_num_threads, run

BOUND = 1 << 18     # entries that a block of rows may have, unless one row alone has more


@kernel("void(const(T[::1]), int64[::1], int64[::1])", dtypes="i")
def sort_places(ids, starts, places):
    """places[starts[w]:starts[w + 1]]: where word w stands. Starts come as 0 and the cumulative counts, one too far."""
    for p in range(len(ids)):
        if ids[p] >= 0:
            places[starts[ids[p]]] = p
            starts[ids[p]] += 1


@helper
def add(row_sum, seen, blocks, word, amount):
    """Add to the sum of a column, and mark it as seen."""
    row_sum[word] += amount
    seen[word >> 6] |= np.uint64(1) << np.uint64(word & 63)
    blocks[word >> 12] |= np.uint64(1) << np.uint64(word >> 6 & 63)


@kernel("intp(const(T[::1]), intp, intp, const(int64[::1]), const(int64[::1]), intp, intp, const(int64[::1]), "
        "const(int64[::1]), int64[::1], uint64[::1], uint64[::1], T[::1], T[::1], int64[::1])", dtypes="i")
def count_block(ids, begin, end, starts, places, first, last, before, after, row_sum, seen, blocks, rows, columns,
                sums):
    """The entries of rows first to last - 1, sorted; gives how many. Only words at places begin to end - 1 are centres.

    before[d], after[d]: what a word d places before or after counts.
    """
    n, window = 0, len(before) - 1
    for w in range(first, last):
        for k in range(starts[w], starts[w + 1]):
            p = places[k]
            if begin <= p < end:
                for d in range(1, min(window, p) + 1):
                    if ids[p - d] < 0:
                        break
                    if before[d] > 0:
                        add(row_sum, seen, blocks, ids[p - d], before[d])
                for d in range(1, min(window, len(ids) - 1 - p) + 1):
                    if ids[p + d] < 0:
                        break
                    if after[d] > 0:
                        add(row_sum, seen, blocks, ids[p + d], after[d])
        for b in range(len(blocks)):
            if blocks[b] != 0:
                for s in range(64):
                    if blocks[b] >> np.uint64(s) & np.uint64(1) != 0:
                        marks = seen[b * 64 + s]
                        for bit in range(64):
                            if marks >> np.uint64(bit) & np.uint64(1) != 0:
                                column = (b * 64 + s) * 64 + bit
                                rows[n], columns[n], sums[n] = w, column, row_sum[column]
                                row_sum[column] = 0
                                n += 1
                        seen[b * 64 + s] = 0
                blocks[b] = 0
    return n


def count_pairs(ids: np.ndarray, begin: int, end: int, size: int, before: np.ndarray,
                after: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How often words stand near one another.

    Parameters
    ----------
    ids : (N,) int32
        A text; words from 0 to size - 1, any negative number between two sentences.
    begin, end : int
        Only words at these places are centres; the others are context alone.
    size : int
        Of the vocabulary.
    before, after : (window + 1,) int64
        What a context word d places before, or after, the centre counts.

    Returns
    -------
    rows, columns : (n,) int32
        Centre and context, sorted, no pair twice.
    sums : (n,) int64
    """
    dtype = np.dtype(np.int32)
    counts = np.bincount(ids[ids >= 0], minlength=size)
    starts = np.concatenate([[0], np.cumsum(counts)])
    places = np.empty(starts[-1], np.int64)
    sort_places[dtype](ids, starts[:-1].copy(), places)
    # Blocks of rows with at most so many entries: a row has no more than columns, nor than context places.
    reach = (np.count_nonzero(before) + np.count_nonzero(after)) * counts
    most = np.concatenate([[0], np.cumsum(np.minimum(reach, size))])
    edges = [0]
    while edges[-1] < size:
        edges.append(max(edges[-1] + 1, int(np.searchsorted(most, most[edges[-1]] + BOUND, "right")) - 1))
    parts = min(get_num_threads(), len(edges) - 1)
    found: Any = [None] * (len(edges) - 1)
    jobs = iter(range(len(edges) - 1))      # shared: a thread takes the next block when it has done one
    compiled = count_block[dtype]

    def work(part: int, parts: int) -> None:
        row_sum = np.zeros(size, np.int64)
        blocks = np.zeros((size >> 12) + 1, np.uint64)
        seen = np.zeros(64 * len(blocks), np.uint64)
        room = max(BOUND, size)
        rows, columns, sums = np.empty(room, np.int32), np.empty(room, np.int32), np.empty(room, np.int64)
        for job in jobs:
            n = compiled(ids, begin, end, starts, places, edges[job], edges[job + 1], before, after, row_sum, seen,
                         blocks, rows, columns, sums)
            found[job] = rows[:n].copy(), columns[:n].copy(), sums[:n].copy()

    run(work, parts=parts)
    rows, columns, sums = (np.concatenate(piece) for piece in zip(*found))
    return rows, columns, sums
