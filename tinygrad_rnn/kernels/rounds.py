"""word2vec in rounds of shards, of which the result does not depend on how many threads there are; see shards.py.

A round has two halves, after each of which all threads have come together: the shards walk; then the copies of rows are
merged, and the words of the next round's shards are laid out and marked.  Which noise words belong to which shard turns
from round to round.
"""
from collections import namedtuple

import numpy as np

from .jit import helper, kernel
from .llvm import fetch_add
from .pool import share
from .shards import Copies, mark, merge
from .streams import below, draw
from .word2vec import OF_PASS, Noise, Pass, advance, compact, walk

TURN = np.uint64(0x5851F42D4C957F2D)    # tells the stream of turns from that of the words

# What a round goes by, for S shards.
#   size : positions of a shard
#   words, places : as `compact` finds them for each shard (S, room)
#   bounds : where the centres of each shard begin and end, and how many words it has (S, 3)
#   noise, lengths, common : tables of noise words (S, n, 2), how long each is, the words that all of them have
#   marks, slots, copies, rows, times : see `Copies`; but for marks with a first axis of shards
Rounds = namedtuple("Rounds", "size words places bounds marks noise lengths common slots copies rows times")


@helper
def prepare(of, rounds, at, end):
    """Lay out the words of the shards of the round that begins at a position, and mark them.

    A thread does it for all shards: two that marked words side by side would fight for the lines of the cache.
    """
    marks, bounds, ids, keep = rounds.marks, rounds.bounds, of.ids, of.keep
    for s in range(len(bounds)):
        words = rounds.words[s]
        for k in range(bounds[s, 2]):
            if words[k] >= 0:
                marks[words[k]] = 0
    for s in range(len(bounds)):
        words, places, own = rounds.words[s], rounds.places[s], mark(s)
        first, last, n, begin = 0, 0, 0, at + s * rounds.size
        if begin < end:
            first, last, n = compact(ids, begin, min(end, begin + rounds.size), of.window, of.key, keep, words, places)
        bounds[s, 0], bounds[s, 1], bounds[s, 2] = first, last, n
        for k in range(n):
            if words[k] >= 0:
                marks[words[k]] |= own


@helper
def go(part, parts, of, rounds, turn, totals, count, order):
    """Walk the shards, whichever no other thread has taken."""
    while True:
        s = fetch_add(order, 1)
        if s >= len(rounds.bounds):
            return
        found, made = np.zeros(3), np.zeros(1, np.int64)        # its own, on no line of the cache that others write to
        mine = (s + turn) % len(rounds.bounds)
        noise = Noise(rounds.noise[mine, :rounds.lengths[mine]], rounds.common, mine, len(rounds.bounds))
        room = rounds.copies[s]
        copies = Copies(rounds.marks, rounds.slots[s], room.ctypes.data, room.strides[0], rounds.rows[s],
                        rounds.times[s], made)
        walk(of, noise, rounds.words[s], rounds.places[s], rounds.bounds[s, 0], rounds.bounds[s, 1],
             rounds.bounds[s, 2], s, copies, found)
        totals[s, :] = found
        count[s] = made[0]


@helper
def settle(part, parts, of, rounds, count, contraction, at, end, order):
    """Prepare the round that comes next, and merge."""
    slices = len(rounds.bounds)
    while True:
        task = fetch_add(order, 1)
        if task == 0:
            prepare(of, rounds, at, end)
        elif task <= slices:
            merge(of.inner, of.outer, rounds.slots, rounds.copies, rounds.rows, rounds.times, count, contraction,
                  task - 1, slices)
        else:
            return


@kernel("void(intp, intp, intp, intp, float64, float64[::1], intp, int32[:, ::1], int64[:, ::1], int64[:, ::1], "
        "uint64[::1], const(uint32[:, :, ::1]), const(int64[::1]), intp, int32[:, ::1], T[:, :, ::1], int32[:, ::1], "
        "int32[:, ::1], " + OF_PASS + ")")
def train_in_rounds(pool, parts, begin, end, curvature, progress, size, words, places, bounds, marks, noise, lengths,
                    common, slots, copies, rows, times, ids, window, dynamic, keep, key, objective, bag, mean, negative,
                    starts, nodes, labels, inner, outer, alpha, slope, step, fetch, copy, vectors, lanes):
    """Train on the windows around ids[begin:end], a whole number of rounds, the last of a pass aside.

    curvature : c of shards.py, divided by the learning rate
    progress : POSITION, LOSS, PAIRS of the pass, which begins where `begin` is 0; see Rounds and Pass for the others
    """
    of = Pass(ids, window, dynamic, keep, key, objective, bag, mean, negative, starts, nodes, labels, inner, outer,
              alpha, slope, step, fetch, copy, vectors, lanes)
    rounds = Rounds(size, words, places, bounds, marks, noise, lengths, common, slots, copies, rows, times)
    shards = len(bounds)
    order, totals, count = np.zeros(1, np.int64), np.zeros((shards, 3)), np.zeros(shards, np.int64)
    prepare(of, rounds, begin, end)
    for at in range(begin, end, shards * size):
        turn, following = below(draw(key ^ TURN, at), shards), at + shards * size
        order[0] = 0
        share(pool, parts, go, (of, rounds, turn, totals, count, order.ctypes.data))
        order[0] = 0
        share(pool, parts, settle, (of, rounds, count, curvature * max(alpha + slope * at, 0.0), following, end,
                                    order.ctypes.data))
        order[0] = count[0] = 0
        advance(progress, min(end, following) - at, at, totals)
