"""Drawing a token from each row of log-probabilities, one uniform number a row.

    p_i proportional to e^(x_i / temperature), among the tokens that are not cut off

By inversion: the first token at which the cumulative probability exceeds the uniform number. Where nothing is cut off
the tokens stand in the order of their ids and only the sums of blocks are formed, by vector instructions, before one
block is looked into; else in falling order of their probabilities, of which few are needed.
"""
import math

import numpy as np

from . import functions
from .arrays import LARGE
from .fold import add
from .jit import helper, kernel, native
from .llvm import Emit, Int, Mask, call
from .pool import share
from .search_oracle import MANY, NAN, NOTHING, SLACK, boltzmann, check_rows
from .threads import get_num_threads, pool_address
from .topk import BLOCK, MOST, block_maxima, top_of_row

FEW = 32    # tokens: most nuclei have no more


@native
def block_weights(e: Emit, n: Int, x: Int, told: Int, out: Int) -> None:
    """Sums over blocks of e^z, z = (x - largest) / temperature, where z is at least a bound; these three are told."""
    largest, temperature, bound = (e.broadcast(told + k * e.size) for k in range(3))
    double, vectors = e.double(), BLOCK // e.width

    def block(k: Int, masks: list[Mask | None]) -> None:
        total = double.const(0.0)
        for v, mask in enumerate(masks):
            z = (e.load(x + k * (BLOCK * e.size) + v * e.bytes, mask) - largest) / temperature
            kept = z >= bound if mask is None else (z >= bound) & mask
            total = total + kept.select(functions.exp(z), e.const(0.0)).to(double)
        double.store(out + k * double.size, total.fold(add), double.first(e.int(1)))

    blocks = n // BLOCK
    e.loop(blocks, lambda k: block(k, [None] * vectors))
    left = n - blocks * BLOCK
    with e.when(left > 0):
        block(blocks, [e.first(left - v * e.width) for v in range(vectors)])


@helper
def draw_by_id(x, largest, temperature, bound, uniform, sums):
    """A token, given the sums of the blocks."""
    total = 0.0
    for block in range(len(sums)):
        total += sums[block]
    target, before, chosen = uniform * total, 0.0, -1
    for block in range(len(sums)):
        # The last block that has any weight takes what rounding leaves.
        if sums[block] > 0 and before <= target:
            chosen, start = block, before
        before += sums[block]
    found, cumulative = -1, start
    for i in range(chosen * BLOCK, min((chosen + 1) * BLOCK, len(x))):
        z = (x[i] - largest) / temperature
        if z >= bound:
            weight = math.exp(z)
            cumulative += weight
            if weight > 0:
                found = i
                if cumulative > target:
                    break
    return found


@helper
def draw_by_rank(values, indices, count, temperature, everything, top_p, min_p, uniform):
    """A token of the likeliest; MANY if these are not all that is needed. everything: the weight of all, 0: of these"""
    total = 0.0
    for i in range(count):
        total += math.exp((float(values[i]) - float(values[0])) / temperature)
    bound = top_p * (everything if everything > 0 else total) * (1 - SLACK)
    if top_p < 1 and total < bound:
        return MANY
    cumulative, kept = 0.0, 0
    for i in range(count):
        weight = math.exp((float(values[i]) - float(values[0])) / temperature)
        if weight < min_p or (top_p < 1 and cumulative >= bound):
            break
        cumulative += weight
        kept += 1
    target, cumulative = uniform * cumulative, 0.0
    for i in range(kept):
        cumulative += math.exp((float(values[i]) - float(values[0])) / temperature)
        if cumulative > target:
            return indices[i]
    return indices[kept - 1]


@helper
def draw_rows(part, parts, x, uniform, scan, weigh, temperature, k, top_p, min_p, tokens):
    """The rows of one thread."""
    rows, n = x.shape
    maxima, sums = np.empty((n + BLOCK - 1) // BLOCK, x.dtype), np.empty((n + BLOCK - 1) // BLOCK)
    values, indices, told = np.empty(MOST, x.dtype), np.empty(MOST, np.int64), np.empty(3, x.dtype)
    for row in range(rows * part // parts, rows * (part + 1) // parts):
        address = x.ctypes.data + row * n * x.itemsize
        call(scan, (n, address, maxima.ctypes.data))
        largest = -np.inf
        for block in range(len(maxima)):
            if not maxima[block] <= largest:
                largest = maxima[block]
                if largest != largest:
                    break
        if not -np.inf < largest < np.inf:
            tokens[row] = NOTHING if largest == -np.inf else NAN
            continue
        if k > 0:
            top_of_row(x[row], maxima, k, values, indices)
            tokens[row] = draw_by_rank(values, indices, k, temperature, 0.0, top_p, min_p, uniform[row])
            continue
        told[0], told[1], told[2] = largest, temperature, math.log(min_p) if min_p > 0 and top_p >= 1 else -np.inf
        call(weigh, (n, address, told.ctypes.data, sums.ctypes.data))
        if top_p >= 1:
            tokens[row] = draw_by_id(x[row], told[0], told[1], told[2], uniform[row], sums)
            continue
        everything = 0.0
        for block in range(len(sums)):
            everything += sums[block]
        few = min(FEW, n)
        top_of_row(x[row], maxima, few, values, indices)
        tokens[row] = draw_by_rank(values, indices, few, temperature, everything, top_p, min_p, uniform[row])
        if tokens[row] == MANY and few < n:
            few = min(MOST, n)
            top_of_row(x[row], maxima, few, values, indices)
            tokens[row] = draw_by_rank(values, indices, few, temperature, everything, top_p, min_p, uniform[row])


@kernel("void(intp, intp, intp, intp, const(T[:, ::1]), const(float64[::1]), float64, int64, float64, float64, "
        "int64[::1])")
def draw_tokens(pool, parts, scan, weigh, x, uniform, temperature, k, top_p, min_p, tokens):
    """tokens[n] = a token drawn from row n, or why there is none."""
    share(pool, parts, draw_rows, (x, uniform, scan, weigh, temperature, k, top_p, min_p, tokens))


def draw(x: np.ndarray, uniform: np.ndarray, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0,
         min_p: float = 0.0) -> np.ndarray:
    """A token of each row, drawn with probabilities e^(x / temperature), normalised.

    Cut off are, in this order: all but the `top_k` likeliest tokens (of equals the smaller ids stay); of what is left
    all but the smallest set of likeliest tokens whose share is at least `top_p`; tokens whose probability is below
    `min_p` times the largest.

    Parameters
    ----------
    x : (N, V) float32 or float64, in nats
    uniform : (N,) float64 in [0, 1)
    temperature : positive
    top_k : 0 for all, else up to V
    top_p, min_p : 0 ... 1

    Returns
    -------
    (N,) int64: tokens; NAN for a row that has one, or infinity, NOTHING for one that is -inf throughout
    """
    x = check_rows(x, max(1, top_k), "draw")
    tokens = np.empty(len(x), np.int64)
    parts = min(get_num_threads(), len(x)) if x.size >= LARGE else 1
    exact = max(temperature, float(np.finfo(x.dtype).tiny))     # 0 in the dtype of x would make 0 / 0
    if top_k <= MOST:
        draw_tokens[x.dtype](pool_address() if parts > 1 else 0, parts, block_maxima[x.dtype], block_weights[x.dtype],
                             x, uniform, exact, top_k, top_p, min_p, tokens)
    else:
        tokens[:] = MANY
    for row in np.flatnonzero(tokens == MANY):
        tokens[row] = draw_sorted(x[row], uniform[row], exact, top_k, top_p, min_p)
    return tokens


def draw_sorted(row: np.ndarray, uniform: float, temperature: float, top_k: int, top_p: float, min_p: float) -> int:
    """A token of one row by its rank, where very many are needed: numbers are sorted, which is fast, not their ids."""
    values = -np.sort(-row)
    if np.isnan(values[-1]) or math.isinf(values[0]):
        return NOTHING if values[0] == -math.inf else NAN
    weights = boltzmann(values[:top_k or None], temperature)
    cumulative = weights.cumsum()
    if top_p < 1:
        cumulative = cumulative[:1 + int(np.argmax(cumulative >= top_p * cumulative[-1] * (1 - SLACK)))]
    kept = int(np.count_nonzero(weights[:len(cumulative)] >= min_p))
    rank = int(cumulative[:kept].searchsorted(uniform * cumulative[kept - 1], side="right"))
    return int(np.flatnonzero(row == values[rank])[rank - np.count_nonzero(row > values[rank])])
