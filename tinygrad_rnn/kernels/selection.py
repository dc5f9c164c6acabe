"""The k best elements of a row: a heap of the best so far, whose root is the worst of them.

A stretch of the row in which nothing beats the root is left behind at the speed of its comparison, in whole vectors.
In a long row a limit is found before, which not many more than k elements beat: all others never see the heap.
"""
import numpy as np

from .jit import helper, kernel
from .llvm import load
from .pool import THREADS, share

STRETCH = 64
SAMPLES = 4     # parts of a row, for each of the best, of which the best number is looked for first
ROUNDS = 4      # elements of such a part from which that pays
HALVINGS = 12   # of the interval in which the limit lies


@helper
def beats(a, i, b, j, largest):
    """Does element a at position i come before b at j? NaN is larger than every number."""
    if a == b or (a != a and b != b):
        return i < j
    if a != a or b != b:
        return (a != a) == largest
    return (a > b) == largest


@helper
def sift(values, indices, at, size, largest):
    """Let an element sink until it is worse than both below it."""
    value, index = values[at], indices[at]
    while 2 * at + 1 < size:
        child = 2 * at + 1
        if child + 1 < size and beats(values[child], indices[child], values[child + 1], indices[child + 1], largest):
            child += 1
        if beats(values[child], indices[child], value, index, largest):
            break
        values[at], indices[at] = values[child], indices[child]
        at = child
    values[at], indices[at] = value, index


@helper
def above(x, sign, limit):
    """How many elements are not clearly worse than a limit."""
    count = np.int32(0)     # as wide as the numbers, so that a vector of them is counted at once
    for i in range(np.uint64(len(x))):
        count += np.int32(not sign * x[i] <= limit)
    return count


@helper
def bound(x, k, sign, best):
    """A limit that at least k elements beat, and few more; NaN where none is found.

    Of interleaved parts of the row, as many as `best` has room for, the best numbers: what k of these beat will do.
    """
    one, count = x.dtype.type(1), 0
    best[:] = -np.inf
    for start in range(0, len(x) - len(best) + 1, len(best)):
        piece = x[start:start + len(best)]
        for i in range(np.uint64(len(best))):
            best[i] = sign * piece[i] if sign * piece[i] > best[i] else best[i]
    low, high = best.min(), best.max()
    if above(best, one, low) < k:
        return x.dtype.type(np.nan)
    for _ in range(HALVINGS):
        middle = low + (high - low) / 2
        count = above(best, one, middle)
        if count >= k:
            low = middle
        else:
            high = middle
        if k <= count <= k + k // 8:
            break
    return low


@helper
def top_row(x, values, indices, best, largest):
    """One row; positions rise, so an equal element never replaces one that is there."""
    n, k, count = len(x), len(values), 0
    sign = x.dtype.type(1 if largest else -1)
    limit = bound(x, k, sign, best) if n >= ROUNDS * len(best) else x.dtype.type(np.nan)
    for start in range(0, n, STRETCH):
        end = min(start + STRETCH, n)
        if above(x[start:end], sign, limit) > 0:
            for i in range(start, end):
                if not sign * x[i] <= limit:
                    if count < k:
                        values[count], indices[count] = x[i], i
                        count += 1
                        if count < k:
                            continue
                        for at in range(k // 2 - 1, -1, -1):
                            sift(values, indices, at, k, largest)
                    elif beats(x[i], i, values[0], indices[0], largest):
                        values[0], indices[0] = x[i], i
                        sift(values, indices, 0, k, largest)
                    limit = sign * values[0]
    for size in range(k - 1, 0, -1):
        values[0], values[size] = values[size], values[0]
        indices[0], indices[size] = indices[size], indices[0]
        sift(values, indices, 0, size, largest)


@helper
def top_part(part, parts, x, values, indices, largest):
    """Some rows."""
    best = np.empty((SAMPLES * values.shape[1] + STRETCH - 1) // STRETCH * STRETCH, x.dtype)
    for row in range(len(x) * part // parts, len(x) * (part + 1) // parts):
        top_row(x[row], values[row], indices[row], best, largest)


@kernel("void(intp, const(T[:, ::1]), T[:, ::1], int64[:, ::1], boolean)")
def top_rows(pool, x, values, indices, largest):
    """values, indices (rows, k): the best k of each row of x, the best first."""
    parts = min(len(x), 4 * load(pool + THREADS)) if pool != 0 else 1
    share(pool, parts, top_part, (x, values, indices, largest))
