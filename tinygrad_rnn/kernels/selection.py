"""The k best elements of a row, in one pass: a heap of the best so far, whose root is the worst of them.

A stretch of the row in which nothing beats the root is left behind at the speed of its comparison, in whole vectors.
"""
import numpy as np

from .jit import helper, kernel
from .llvm import load
from .pool import THREADS, share

STRETCH = 64


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
def might_beat(x, root, largest):
    """Is there an element that is not clearly worse than the root?"""
    hits = np.int32(0)      # as wide as the numbers, so that a vector of them is counted at once
    if largest:
        for i in range(np.uint64(len(x))):
            hits += np.int32(not x[i] <= root)
    else:
        for i in range(np.uint64(len(x))):
            hits += np.int32(not x[i] >= root)
    return hits > 0


@helper
def top_row(x, values, indices, largest):
    """One row; positions rise, so an equal element never replaces one that is there."""
    n, k = len(x), len(values)
    for i in range(k):
        values[i], indices[i] = x[i], i
    for i in range(k // 2 - 1, -1, -1):
        sift(values, indices, i, k, largest)
    start = k
    while start < n:
        end = min(start + STRETCH, n)
        if might_beat(x[start:end], values[0], largest):
            for i in range(start, end):
                better = not x[i] <= values[0] if largest else not x[i] >= values[0]
                if better and beats(x[i], i, values[0], indices[0], largest):
                    values[0], indices[0] = x[i], i
                    sift(values, indices, 0, k, largest)
        start = end
    for size in range(k - 1, 0, -1):
        values[0], values[size] = values[size], values[0]
        indices[0], indices[size] = indices[size], indices[0]
        sift(values, indices, 0, size, largest)


@helper
def top_part(part, parts, x, values, indices, largest):
    """Some rows."""
    for row in range(len(x) * part // parts, len(x) * (part + 1) // parts):
        top_row(x[row], values[row], indices[row], largest)


@kernel("void(intp, const(T[:, ::1]), T[:, ::1], int64[:, ::1], boolean)")
def top_rows(pool, x, values, indices, largest):
    """values, indices (rows, k): the best k of each row of x, the best first."""
    parts = min(len(x), 4 * load(pool + THREADS)) if pool != 0 else 1
    share(pool, parts, top_part, (x, values, indices, largest))
