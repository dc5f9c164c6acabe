"""The k largest numbers of each row, in order.

A row is cut into blocks, and the largest number of each block found by vector instructions. At least k numbers are as
large as the k-th largest of these, so all others stand in vain: only the few blocks that reach it are looked into. One
pass over the row, then, whatever k is.

**Ties**: of equal numbers the one that stands first comes first, so a row's result depends on nothing but the row.
"""
import numpy as np

from .arrays import LARGE
from .cross_entropy import EXPONENTIALS
from .fold import fold_row
from .jit import helper, kernel, native
from .llvm import Emit, Int, V, call
from .pool import share
from .search_oracle import check_rows, sorted_top, top_log_probs_by_sorting
from .threads import get_num_threads, pool_address

BLOCK = 64      # numbers
MOST = 256      # k up to which numbers are sorted by insertion
SHARED = 1 << 15    # elements from which threads pay: each costs an exponential


@native
def block_maxima(e: Emit, n: Int, x: Int, out: Int) -> None:
    """The largest number of each block of a row; NaN of a block that has one."""
    nothing, vectors = e.const(-np.inf), BLOCK // e.width

    def largest(found: list[V], to: Int) -> None:
        while len(found) > 1:
            found = [a.maximum(b) for a, b in zip(found[::2], found[1::2])]
        e.store(to, found[0].fold(V.maximum), e.first(e.int(1)))

    def whole(k: Int) -> None:
        at = x + k * (BLOCK * e.size)
        largest([e.load(at + v * e.bytes) for v in range(vectors)], out + k * e.size)

    blocks = n // BLOCK
    e.loop(blocks, whole)
    left = n - blocks * BLOCK
    with e.when(left > 0):
        masks = [e.first(left - v * e.width) for v in range(vectors)]
        at = x + blocks * (BLOCK * e.size)
        largest([m.select(e.load(at + v * e.bytes, m), nothing) for v, m in enumerate(masks)], out + blocks * e.size)


@helper
def insert(values, indices, count, k, value, index):
    """Put a number into a falling list of at most k, behind its equals; how many the list then has."""
    if count == k:
        if not value > values[k - 1]:
            return count
        count -= 1
    at = count
    while at > 0 and value > values[at - 1]:
        values[at] = values[at - 1]
        indices[at] = indices[at - 1]
        at -= 1
    values[at] = value
    indices[at] = index
    return count + 1


@helper
def top_of_row(x, maxima, k, values, indices):
    """The k largest of a row whose block maxima are known; NaN alone, with its block's first index, if there is one."""
    count = 0
    for block in range(len(maxima)):
        if maxima[block] != maxima[block]:
            values[0], indices[0] = np.nan, block * BLOCK
            return
        count = insert(values, indices, count, k, maxima[block], block)
    enough = values[k - 1] if count == k else -np.inf
    count = 0
    for block in range(len(maxima)):
        if maxima[block] >= enough:
            for i in range(block * BLOCK, min((block + 1) * BLOCK, len(x))):
                if x[i] >= enough:
                    count = insert(values, indices, count, k, x[i], i)
                    if count == k:
                        enough = values[k - 1]


@helper
def top_of_rows(part, parts, x, scan, values, indices):
    """The rows of one thread."""
    rows, n = x.shape
    maxima = np.empty((n + BLOCK - 1) // BLOCK, x.dtype)
    for row in range(rows * part // parts, rows * (part + 1) // parts):
        call(scan, (n, x.ctypes.data + row * n * x.itemsize, maxima.ctypes.data))
        top_of_row(x[row], maxima, values.shape[1], values[row], indices[row])


@native
def sum_exponentials(e: Emit, n: Int, x: Int, largest: Int, out: Int) -> None:
    """The sum of e^(x - largest) over a row, in float64."""
    double = e.double()
    double.store(out, fold_row(e, EXPONENTIALS, [x], n, e.broadcast(largest)), double.first(e.int(1)))


@helper
def top_of_logits(part, parts, x, scan, add, found, values, indices):
    """The rows of one thread, normalised."""
    rows, n = x.shape
    maxima, total = np.empty((n + BLOCK - 1) // BLOCK, x.dtype), np.empty(1)
    for row in range(rows * part // parts, rows * (part + 1) // parts):
        address = x.ctypes.data + row * n * x.itemsize
        call(scan, (n, address, maxima.ctypes.data))
        top_of_row(x[row], maxima, values.shape[1], found[row], indices[row])
        largest = np.float64(found[row, 0])
        rest = 0.0
        if largest > -np.inf:
            call(add, (n, address, found.ctypes.data + row * found.shape[1] * x.itemsize, total.ctypes.data))
            rest = np.log(total[0])
        for k in range(values.shape[1]):
            values[row, k] = found[row, k] - largest - rest if largest > -np.inf else largest


@kernel("void(intp, intp, intp, intp, const(T[:, ::1]), T[:, ::1], float64[:, ::1], int64[:, ::1])")
def likeliest_of_rows(pool, parts, scan, add, x, found, values, indices):
    """values[n], indices[n] = the largest numbers of log_softmax(x[n])."""
    share(pool, parts, top_of_logits, (x, scan, add, found, values, indices))


@kernel("void(intp, intp, intp, const(T[:, ::1]), T[:, ::1], int64[:, ::1])")
def largest_of_rows(pool, parts, scan, x, values, indices):
    """values[n], indices[n] = the largest numbers of x[n]."""
    share(pool, parts, top_of_rows, (x, scan, values, indices))


def top_k(x: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k largest numbers of each row, the largest first, and where they stand; of equal ones the first stands first.

    A row with a NaN gives NaN as its first value, and nothing else that means anything.

    Parameters
    ----------
    x : (N, V) float32 or float64
    k : int, 1 to V

    Returns
    -------
    values (N, k) in the dtype of x, indices (N, k) int64

    Raises
    ------
    ValueError, TypeError
        For an x that is no matrix of numbers, a k that is not among 1 ... V.
    """
    x = check_rows(x, k, "top_k")
    if k > MOST:
        return sorted_top(x, k)
    values, indices = np.empty((len(x), k), x.dtype), np.empty((len(x), k), np.int64)
    parts = min(get_num_threads(), len(x)) if x.size >= LARGE else 1
    largest_of_rows[x.dtype](pool_address() if parts > 1 else 0, parts, block_maxima[x.dtype], x, values, indices)
    return values, indices


def top_log_probs(x: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """`top_k` of log_softmax(x), which is never written down.

    Parameters
    ----------
    x : (N, V) float32 or float64, logits
    k : int, 1 to V

    Returns
    -------
    values (N, k) float64, in nats; indices (N, k) int64

    Raises
    ------
    ValueError, TypeError
        As `top_k`.
    """
    x = check_rows(x, k, "top_log_probs")
    if k > MOST:
        return top_log_probs_by_sorting(x, k)
    found, values, indices = np.empty((len(x), k), x.dtype), np.empty((len(x), k)), np.empty((len(x), k), np.int64)
    parts = min(get_num_threads(), len(x)) if x.size >= SHARED else 1
    likeliest_of_rows[x.dtype](pool_address() if parts > 1 else 0, parts, block_maxima[x.dtype],
                               sum_exponentials[x.dtype], x, found, values, indices)
    return values, indices
