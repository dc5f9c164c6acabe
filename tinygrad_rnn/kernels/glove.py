"""Training of GloVe: AdaGrad, one entry of the co-occurrence matrix after the other, the same on any number of threads.

Words and contexts are dealt out into P blocks each, and so the entries into P x P cells. Cells that share neither a
block of words nor one of contexts touch different numbers, so P cells at a time are worked on in parallel, in any
order, with the same result: a *stratum*. P strata make an epoch. (Gemulla et al. 2011, Large-scale matrix
factorization with distributed stochastic gradient descent.)  What a cell touches also fits in a processor's cache.

A row of the table of words is [e (D), b, 1, 0 ...], of contexts [theta (D), 1, b', 0 ...], so that one product of rows
is theta.e + b + b'; the sums of squared gradients follow, at the same places.
"""
import numpy as np

from .jit import helper, kernel, native
from .llvm import Emit, Int, V, call
from .pool import share
from .threads import pool_address

GOLDEN = 0x9E3779B97F4A7C15


@native
def steps(e: Emit, n: Int, words: Int, contexts: Int, logs: Int, shares: Int, length: Int, learned: Int, rate: Int,
          errors: Int) -> None:
    """n entries in turn. words, contexts: addresses of their rows; shares: f(X); length: bytes of half a row.

    learned: which numbers of a word's row are not constant (1 or 0), then of a context's; errors: where
    theta.e + b + b' - log X goes, as it was before the step.
    """
    speed, vectors = e.broadcast(rate), length // e.bytes

    def step(k: Int) -> None:
        w, c = e.load_int(words + 8 * k), e.load_int(contexts + 8 * k)

        def product(v: Int, total: V) -> list[V]:
            return [e.load(w + v * e.bytes).fma(e.load(c + v * e.bytes), total)]

        total, = e.loop(vectors, product, e.const(0.0), at_least_once=True)
        error = total.fold(lambda x, y: x + y) - e.broadcast(logs + k * e.size)
        e.store(errors + k * e.size, error, e.first(e.int(1)))
        scale = error * e.broadcast(shares + k * e.size) * speed

        def update(v: Int) -> None:
            at = v * e.bytes
            left, right = e.load(w + at), e.load(c + at)
            for row, x, other, mask in ((w, left, right, learned + at), (c, right, left, learned + length + at)):
                squares, change = e.load(row + length + at), scale * other * e.load(mask)
                e.store(row + at, x - change / squares.sqrt())
                e.store(row + length + at, change.fma(change, squares))

        e.loop(vectors, update, at_least_once=True)

    e.loop(n, step)


@helper
def mix(state):
    """A number that looks random, from each of a row of states GOLDEN apart (SplitMix64; Steele et al. 2014)."""
    z = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@helper
def shuffle(order, key):
    """Fill with 0 ... n - 1 in an order that depends on the key alone (Fisher and Yates)."""
    state = mix(key)
    for k in range(len(order)):
        state += np.uint64(GOLDEN)
        j = np.int64(((mix(state) >> np.uint64(32)) * np.uint64(k + 1)) >> np.uint64(32))
        order[k] = order[j]
        order[j] = k


@helper
def cell(part, parts, shift, key, starts, rows, columns, logs, shares, words, contexts, stride, length, learned, rate,
         native_steps, losses):
    """The cell of one block of words: all its entries, once, in random order."""
    number = part * parts + (part + shift) % parts
    first = starts[number]
    n = starts[number + 1] - first
    order = np.empty(n, np.int64)
    shuffle(order, key + np.uint64(number))
    w, c = np.empty(n, np.int64), np.empty(n, np.int64)
    x, f, errors = np.empty(n, logs.dtype), np.empty(n, logs.dtype), np.empty(n, logs.dtype)
    for k in range(n):
        entry = first + order[k]
        w[k], c[k] = words + rows[entry] * stride, contexts + columns[entry] * stride
        x[k], f[k] = logs[entry], shares[entry]
    call(native_steps, (n, w.ctypes.data, c.ctypes.data, x.ctypes.data, f.ctypes.data, length, learned.ctypes.data,
                        rate.ctypes.data, errors.ctypes.data))
    loss = 0.0
    for k in range(n):
        loss += np.float64(f[k]) * np.float64(errors[k]) * np.float64(errors[k])
    losses[number] = loss


@kernel("void(intp, intp, intp, uint64, const(int64[::1]), const(int32[::1]), const(int32[::1]), const(T[::1]), "
        "const(T[::1]), intp, intp, intp, intp, const(T[:, ::1]), const(T[::1]), intp, float64[::1])")
def stratum(pool, parts, shift, key, starts, rows, columns, logs, shares, words, contexts, stride, length, learned,
            rate, native_steps, losses):
    """The cells of all blocks of words, each with the block of contexts that stands `shift` further."""
    share(pool, parts, cell, (shift, key, starts, rows, columns, logs, shares, words, contexts, stride, length, learned,
                              rate, native_steps, losses))


@kernel("void(const(int32[::1]), const(int32[::1]), const(float64[::1]), intp, int64[::1], int32[::1], int32[::1], "
        "T[::1])")
def deal(rows, columns, values, blocks, starts, to_rows, to_columns, to_values):
    """Copy entries to their cells; starts moves on to the end of what each cell has."""
    for k in range(len(rows)):
        number = rows[k] % blocks * blocks + columns[k] % blocks
        at = starts[number]
        to_rows[at], to_columns[at], to_values[at] = rows[k], columns[k], values[k]
        starts[number] = at + 1


def deal_entries(rows: np.ndarray, columns: np.ndarray, values: np.ndarray, blocks: int, starts: np.ndarray,
                 to_rows: np.ndarray, to_columns: np.ndarray, to_values: np.ndarray) -> None:
    """Copy entries (n,) to their cells, in their order: row % blocks, column % blocks.

    starts (blocks^2,) int64 says where the next entry of each cell goes, and moves on.
    """
    deal[to_values.dtype](rows, columns, values, blocks, starts, to_rows, to_columns, to_values)


def glove_stratum(shift: int, key: int, blocks: int, starts: np.ndarray, rows: np.ndarray, columns: np.ndarray,
                  logs: np.ndarray, shares: np.ndarray, words: np.ndarray, contexts: np.ndarray, learned: np.ndarray,
                  rate: float, losses: np.ndarray, alone: bool = False) -> None:
    """One step of AdaGrad for each entry of `blocks` cells: those of words r and contexts r + shift (mod blocks).

        error = theta.e + b + b' - log X;  change = rate f(X) error d_error/d_x;  x -= change / sqrt(s);  s += change^2

    Parameters
    ----------
    key : int
        Of the random order within the cells.
    starts : (blocks^2 + 1,) int64
        Where the entries of each cell begin.
    rows, columns : (n,) int32
    logs, shares : (n,) float32 or float64
        log X and f(X).
    words, contexts : (V, 2, L), dtype of logs
        Numbers and the sums s of their squared changes, see this module; changed in place. L fills whole vectors.
    learned : (2, L)
        1 for the numbers of words, and of contexts, that are learned, 0 for the others.
    losses : (blocks^2,) float64
        Gets f(X) error^2 summed over each cell that was visited, with the errors before their steps.
    alone : bool
        Use one thread. The result is the same.
    """
    dtype = logs.dtype
    stratum[dtype](0 if alone else pool_address(), blocks, shift, np.uint64(key), starts, rows, columns, logs,
                   shares, words.ctypes.data, contexts.ctypes.data, words.strides[0], words.strides[1], learned,
                   np.array([rate], dtype), steps[dtype], losses)
