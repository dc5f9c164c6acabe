"""Tables that several shards move at once, and one result whatever thread took which shard.

In a round each shard works on copies of the rows that it touches, made when it first touches them, so all shards start
from the same table.  Then the rows are merged, those of one word in the order of the shards.

The changes of shards to a row are not simply added: each has walked towards the same optimum, and a frequent word would
overshoot it V times, the more the longer a round is.  As if they had moved in sequence: n steps towards an optimum that
each leave the share 1 - c of the distance cover 1 - (1 - c)^n of it, so

    row += (1 - e^(-c sum n_s)) / sum (1 - e^(-c n_s))  sum_s (copy_s - row)

which adds the changes where few steps were made, and averages them where many were.
"""
import math

import numpy as np
from numba import njit

from .jit import OPTIONS, helper, kernel

NOWHERE = -1


@helper
def look_up(word, table, slots, copies):
    """The address of a row: of the shard's copy if there is one, else of the table's."""
    slot = slots[word]
    if slot == NOWHERE:
        return table.ctypes.data + word * table.strides[0]
    return copies.ctypes.data + slot * copies.strides[0]


@njit(inline="always", **OPTIONS)
def place(word, table, slots, copies, touched, times, count, side):
    """The address of the shard's copy of a row, which is made if there is none."""
    slot = slots[word]
    if slot == NOWHERE:
        slot = count[side]
        count[side] = slot + 1
        adopt(table[word], copies[slot])
        slots[word], touched[slot], times[slot] = slot, word, 0
    times[slot] += 1
    return copies.ctypes.data + slot * copies.strides[0]


@helper
def adopt(row, copy):
    """Copy a row."""
    for k in range(len(row)):
        copy[k] = row[k]


@kernel("void(T[:, ::1], int32[:, ::1], const(T[:, :, ::1]), const(int32[:, ::1]), const(int32[:, ::1]), "
        "const(int64[:, ::1]), intp, intp, float64, intp, intp)")
def merge(table, slots, copies, touched, times, count, side, shards, contraction, part, parts):
    """Merge the copies of all shards into the rows of one part of the words, and forget them.

    Parameters
    ----------
    table : (V, D)
    slots : (S, V) where the copy of a word stands, or NOWHERE
    copies, touched, times : (S, C, D), (S, C), (S, C) copies, their words, and how often each was asked for
    count : (S, 2) copies of each shard, for two sides
    side : which of them
    shards : how many took part
    contraction : c
    """
    change = np.empty(table.shape[1], table.dtype)
    for first in range(shards):
        for k in range(count[first, side]):
            word = touched[first, k]
            if (word >> 4) % parts != part or slots[first, word] == NOWHERE:
                continue
            steps, covered, others = 0, 0.0, 0
            for s in range(first, shards):
                slot = slots[s, word]
                if slot != NOWHERE:
                    others += s > first
                    steps += times[s, slot]
            if others == 0:
                for j in range(len(change)):
                    table[word, j] = copies[first, k, j]
                slots[first, word] = NOWHERE
                continue
            change[:] = 0
            for s in range(first, shards):
                slot = slots[s, word]
                if slot != NOWHERE:
                    covered -= math.expm1(-contraction * times[s, slot])
                    slots[s, word] = NOWHERE
                    for j in range(len(change)):
                        change[j] += copies[s, slot, j] - table[word, j]
            factor = table.dtype.type(-math.expm1(-contraction * steps) / covered)
            for j in range(len(change)):
                table[word, j] += factor * change[j]
