"""The largest numbers of each row, found in blocks: what a search for nearest neighbours does with its products."""
import numpy as np

from .jit import helper, kernel
from .pool import share
from .threads import get_num_threads, pool_address


@helper
def select(part, parts, scores, first, best, places):
    """One part of the rows: insert what is larger than the smallest kept so far; among equals the first stays."""
    rows, k = len(scores), best.shape[1]
    for r in range(rows * part // parts, rows * (part + 1) // parts):
        row, kept, where = scores[r], best[r], places[r]
        least = kept[k - 1]
        for n in range(len(row)):
            if row[n] > least:
                at = k - 1
                while at > 0 and row[n] > kept[at - 1]:
                    kept[at], where[at] = kept[at - 1], where[at - 1]
                    at -= 1
                kept[at], where[at] = row[n], first + n
                least = kept[k - 1]


@kernel("void(intp, intp, const(T[:, ::1]), intp, T[:, ::1], int64[:, ::1])")
def select_rows(pool, parts, scores, first, best, places):
    """All rows, by the threads of a pool."""
    share(pool, parts, select, (scores, first, best, places))


def keep_largest(scores: np.ndarray, first: int, best: np.ndarray, places: np.ndarray) -> None:
    """Go on with a search for the k largest numbers of each row, in place.

    Parameters
    ----------
    scores : (Q, N), contiguous
        Columns first to first + N - 1 of a wider matrix, whose earlier columns were shown before. NaN is never chosen.
    best : (Q, k), dtype of scores
        The largest so far, falling; start with -infinity. Among equal ones the leftmost comes first.
    places : (Q, k) int64
        Their columns; start with -1.
    """
    parts = min(len(scores), get_num_threads())
    select_rows[scores.dtype](pool_address() if parts > 1 else 0, parts, scores, first, best, places)
