"""Tables that several shards move at once, and one result whatever thread took which shard.

In a round all shards start from the same tables.  A row that one shard alone may touch is moved where it stands.  Of a
row that others may touch too each shard makes a copy when it first touches it, and moves that; at the end of the round
they are merged, those of one word in the order of the shards.  Which rows these are is known before the round begins:
each shard has marked the words that it will meet, and the noise words of different shards are different ones
(embeddings/sampling.py deals them out), but for frequent words, which always are copied.

The changes of shards to a row are not simply added: each has walked towards the same optimum, and a frequent word would
overshoot it S times, the more the longer a round is.  As if they had moved in sequence: n steps towards an optimum that
each leave the share 1 - c of the distance cover 1 - (1 - c)^n of it, so

    row += (1 - e^(-c sum n_s)) / sum (1 - e^(-c n_s))  sum_s (copy_s - row)

which adds the changes where few steps were made, and averages them where many were.
"""
import math
from collections import namedtuple

import numpy as np

from .jit import helper

NOWHERE = -1

# Of one shard.  A row is known by a number, those of the inner table first, then those of the outer one.
#   marks : bit s: shard s meets the word, (V,)
#   slots : where the copy of a row stands, or NOWHERE (V + V',)
#   at, size : address of the first copy, bytes of one
#   rows, times : rows that the copies are of, and how often each was asked for (C,)
#   count : (1,) how many there are
Copies = namedtuple("Copies", "marks slots at size rows times count")


@helper
def mark(shard):
    """Of the words that a shard meets."""
    return np.uint64(1) << np.uint64(max(shard, 0))


@helper
def merge(inner, outer, slots, copies, rows, times, count, contraction, part, parts):
    """Merge the copies of all shards into one part of the rows, and forget them.

    Parameters
    ----------
    inner, outer : (V, D), (V', D) the tables
    slots : (S, V + V') where the copy of a row stands, or NOWHERE
    copies, rows, times : (S, C, D), (S, C), (S, C) copies, their rows, and how often each was asked for
    count : (S,) copies of each shard
    contraction : c
    """
    change, shards = np.empty(inner.shape[1], inner.dtype), len(slots)
    for first in range(shards):
        for k in range(count[first]):
            row = rows[first, k]
            if (row >> 4) % parts != part or slots[first, row] == NOWHERE:
                continue
            if row < len(inner):
                table, at = inner, row
            else:
                table, at = outer, row - len(inner)
            steps, covered, others = 0, 0.0, 0
            for s in range(first, shards):
                slot = slots[s, row]
                if slot != NOWHERE:
                    others += s > first
                    steps += times[s, slot]
            if others == 0:
                for j in range(len(change)):
                    table[at, j] = copies[first, k, j]
                slots[first, row] = NOWHERE
                continue
            change[:] = 0
            for s in range(first, shards):
                slot = slots[s, row]
                if slot != NOWHERE:
                    covered -= math.expm1(-contraction * times[s, slot])
                    slots[s, row] = NOWHERE
                    for j in range(len(change)):
                        change[j] += copies[s, slot, j] - table[at, j]
            factor = inner.dtype.type(-math.expm1(-contraction * steps) / covered)
            for j in range(len(change)):
                table[at, j] += factor * change[j]
