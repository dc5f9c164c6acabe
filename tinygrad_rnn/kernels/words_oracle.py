"""The compiled kernels of word vectors again, in NumPy and plain loops; see oracle.py for what that means.

Same names, arguments and results as in nearest.py, cooccurrence.py, glove.py and tsne.py.
"""
import math

import numpy as np

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


# ---- nearest neighbours ---------------------------------------------------------------------------------------------


def keep_largest(scores, first, best, places):
    """Insert into the k largest numbers of each row what a further block of columns has."""
    shown = np.where(np.isnan(scores), -np.inf, scores)
    both = np.concatenate([best, shown], 1)
    columns = np.broadcast_to(np.arange(first, first + scores.shape[1]), scores.shape)
    where = np.concatenate([places, np.where(shown > -np.inf, columns, -1)], 1)
    kept = np.argsort(-both, 1, kind="stable")[:, :best.shape[1]]
    best[...], places[...] = np.take_along_axis(both, kept, 1), np.take_along_axis(where, kept, 1)


# ---- words near words -----------------------------------------------------------------------------------------------


def count_pairs(ids, begin, end, size, before, after):
    """Every pair of places in turn."""
    keys, amounts = [], []
    for p in range(begin, end):
        for step, weight in ((-1, before), (1, after)):
            for d in range(1, len(weight)):
                q = p + step * d
                if ids[p] < 0 or not 0 <= q < len(ids) or ids[q] < 0:
                    break
                if weight[d]:
                    keys.append(int(ids[p]) * size + int(ids[q]))
                    amounts.append(weight[d])
    found, place = np.unique(np.array(keys, np.int64), return_inverse=True)
    sums = np.zeros(len(found), np.int64)
    np.add.at(sums, place, np.array(amounts, np.int64))
    return (found // size).astype(np.int32), (found % size).astype(np.int32), sums


# ---- GloVe ----------------------------------------------------------------------------------------------------------


def deal_entries(rows, columns, values, blocks, starts, to_rows, to_columns, to_values):
    """One entry after the other to the next place of its cell."""
    for row, column, value in zip(rows.tolist(), columns.tolist(), values.tolist()):
        number = row % blocks * blocks + column % blocks
        at = starts[number]
        to_rows[at], to_columns[at], to_values[at] = row, column, value
        starts[number] += 1


def mix(state):
    """SplitMix64's function of a state, on whole numbers."""
    z = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & _MASK
    return z ^ (z >> 31)


def shuffled(n, key):
    """0 ... n - 1 in an order that depends on the key alone."""
    order, state = [], mix(key & _MASK)
    for k in range(n):
        state = state + _GOLDEN & _MASK
        j = (mix(state) >> 32) * (k + 1) >> 32
        order.append(k)
        order[k], order[j] = order[j], k
    return order


def glove_stratum(shift, key, blocks, starts, rows, columns, logs, shares, words, contexts, learned, rate, losses,
                  alone=False):
    """One cell after the other, and in it one entry after the other."""
    dtype = logs.dtype.type
    for block in range(blocks):
        number = block * blocks + (block + shift) % blocks
        losses[number] = 0
        for k in shuffled(int(starts[number + 1] - starts[number]), key + number):
            entry = starts[number] + k
            (e, squares), (theta, context_squares) = words[rows[entry]], contexts[columns[entry]]
            error = e @ theta - logs[entry]
            losses[number] += float(shares[entry]) * float(error)**2
            scale = error * shares[entry] * dtype(rate)
            change, context_change = scale * theta * learned[0], scale * e * learned[1]
            e -= change / np.sqrt(squares)
            theta -= context_change / np.sqrt(context_squares)
            squares += change**2
            context_squares += context_change**2


# ---- t-SNE ----------------------------------------------------------------------------------------------------------


def tsne_padded(n, dtype):
    """Nothing is filled up here."""
    return n


def tsne_exact(P, Y):
    """All pairs at once."""
    n = len(Y)
    apart = Y[:, None].astype(np.float64) - Y[None]
    q = 1 / (1 + (apart**2).sum(2))
    np.fill_diagonal(q, 0)
    attraction, repulsion = (np.einsum("ij,ijd->id", f, apart) for f in (P[:, :n] * q, q * q))
    return attraction, repulsion, float(q.sum())


def tsne_tree(starts, columns, P, Y, theta):
    """All pairs, whatever theta is."""
    dense = np.zeros((len(Y), len(Y)))
    dense[np.repeat(np.arange(len(Y)), np.diff(starts)), columns] = P
    return tsne_exact(dense, Y)


def tsne_conditionals(squares, perplexity):
    """Bisection in log beta."""
    P = np.empty_like(squares)
    for row, out in zip(squares, P):
        x = row - row.min()
        known = np.isfinite(x)
        mean = x[known].mean()
        middle = -math.log(mean) if mean > 0 else 0.0
        low, high = middle - 50, middle + 50
        for _ in range(100):
            middle = (low + high) / 2
            p = np.where(known, np.exp(-math.exp(middle) * np.where(known, x, 0)), 0)
            p /= p.sum()
            entropy = -(p[p > 0] * np.log(p[p > 0])).sum()
            low, high = (middle, high) if entropy > math.log(perplexity) else (low, middle)
        out[...] = p
    return P
