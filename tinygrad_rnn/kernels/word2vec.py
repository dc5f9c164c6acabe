"""The windows of word2vec: which words meet, in which order, against which noise.

What happens at a position of the corpus depends on the key of the epoch and on that position alone (streams.py):
whether its word is kept (the lower half of the bits), how wide its window is (position 0 of the stream that these bits
are the key of), its noise words (positions 1, 2, ...).  So any part of a corpus can be done by itself, and pairs at the
border of two parts are neither lost nor done twice.

`embeddings/readable.py` says the same in Python, a window at a time.
"""
from collections import namedtuple

import numpy as np
from numba import njit

from .jit import OPTIONS, helper, kernel
from .llvm import call, fetch_add
from .pool import share
from .shards import NOWHERE, Copies, mark
from .streams import LOW, below, draw

SHARED, EXACT, HIERARCHICAL, SOFTMAX = range(4)     # which outputs a window has
POSITION, LOSS, PAIRS = range(3)                    # of the progress; a part counts loss and pairs as 1 and 2 too

# What a pass goes by.
#   ids : (N,) the corpus, -1 after each sentence
#   window, dynamic : words on a side at most; whether their number is drawn
#   keep : (V,) thresholds for 32 bits, below which an occurrence is kept
#   key : of the streams of this epoch
#   objective, bag, mean, negative : SHARED ...; CBOW or skip-gram; mean or sum of a bag; noise words
#   starts, nodes, labels : the outputs of word w are nodes[starts[w]:starts[w + 1]], with labels (HIERARCHICAL);
#       otherwise labels are 1, 0, 0 ...; there is a vector of room behind them
#   inner, outer : (V, D), (V', D) the tables
#   alpha, slope : the learning rate at position p is alpha + slope p
#   step, fetch, copy : addresses of the kernels of pairs.py
#   vectors, lanes : of a row, of a vector
Pass = namedtuple("Pass", "ids window dynamic keep key objective bag mean negative starts nodes labels inner outer "
                          "alpha slope step fetch copy vectors lanes")
OF_PASS = ("const(int32[::1]), intp, boolean, const(uint32[::1]), uint64, intp, boolean, boolean, intp, "
           "const(int64[::1]), const(int32[::1]), const(T[::1]), T[:, ::1], T[:, ::1], float64, float64, intp, intp, "
           "intp, intp, intp")
# Noise words: an alias table (n, 2) for the words below `common` and, of the others, every `stride`-th from
# common + first on; see sampling.py.
Noise = namedtuple("Noise", "table common first stride")


@helper
def is_kept(key, place, threshold):
    """Has subsampling left this occurrence of a word with that threshold?"""
    return draw(key, place) & LOW <= np.uint64(threshold)


@helper
def compact(ids, begin, end, window, key, keep, words, places):
    """The words that are left of ids[begin:end], with as many before and after as its windows reach.

    Returns
    -------
    (first, last, n) : words[first:last] are the centres, words[:n] all; -1 where a sentence ends
    """
    q, found = begin - 1, 0
    while q >= 0 and ids[q] >= 0 and found < window:
        found += is_kept(key, q, keep[ids[q]])
        q -= 1
    n, first, last, beyond = 0, 0, -1, 0
    for p in range(q + 1, len(ids)):
        if p == begin:
            first = n
        if p == end:
            last = n
        word = ids[p]
        if p >= end and (word < 0 or beyond == window):
            break
        if word < 0 or is_kept(key, p, keep[word]):
            words[n], places[n] = word, p
            n += 1
            beyond += p >= end
    return first, last if last >= 0 else n, n


@helper
def room_for(size, window):
    """Most words that `compact` finds around so many positions."""
    return size + 2 * window + 1


@njit(inline="always", **OPTIONS)
def pick(bits, table, common, first, stride):
    """A noise word."""
    k = below(bits, len(table))
    if bits & LOW > np.uint64(table[k, 0]):
        word = np.intp(table[k, 1])
    else:
        word = k if k < common else common + (k - common) * stride + first
    return word


@helper
def most_outputs(of):
    """The most that one step can have."""
    most = of.negative + 1
    if of.objective == HIERARCHICAL:
        for w in range(len(of.starts) - 1):
            most = max(most, of.starts[w + 1] - of.starts[w])
    elif of.objective == SOFTMAX:
        most = len(of.outer)
    return most


@helper
def walk(of, noise, words, places, first, last, n, shard, copies, totals):
    """Train on the windows of words[first:last]; see `compact`.

    Parameters
    ----------
    of, noise : Pass, Noise
    shard, copies : number of a shard, which leaves rows that others touch as they are and moves copies of them, see
        shards.py; -1: move the tables
    totals : (3,) LOSS, PAIRS, added to
    """
    window, objective, bag, key = of.window, of.objective, of.bag, of.key
    starts, nodes, vectors, lanes = of.starts, of.nodes, of.vectors, of.lanes
    outer_words = len(of.outer)
    most, each, alone = most_outputs(of), objective == EXACT and not bag, shard >= 0
    table, common, mine, stride = noise.table, noise.common, noise.first, noise.stride
    marks, others, dynamic, words_inside = copies.marks, ~mark(shard), of.dynamic, len(of.inner)
    slots, first_copy, copy_size, rows, times, count = (copies.slots, copies.at, copies.size, copies.rows, copies.times,
                                                        copies.count)
    alpha, slope, step, fetch, copy, mean = of.alpha, of.slope, of.step, of.fetch, of.copy, of.mean
    drawing = objective <= EXACT
    groups = 2 * window if each else 1
    # Two windows are at hand: while one is stepped, the rows of the next are fetched.  Addresses of arrays are asked
    # for once, since asking counts references, at the price of two locked instructions.
    most_inputs = 2 * window
    room = most_inputs + groups * most                       # rows of a window
    addresses, sizes, centres = np.empty(2 * room, np.int64), np.zeros(2 * groups, np.int64), np.zeros(2, np.int64)
    filled, rates, scale = np.zeros(2, np.int64), np.empty(2, of.inner.dtype), np.ones(1, of.inner.dtype)
    asked, asked_at = np.empty(room, np.int64), np.empty(room, np.int64)      # rows that others may touch
    sources, targets, copied = np.empty(2 * room, np.int64), np.empty(2 * room, np.int64), np.zeros(2, np.int64)
    one_hot = np.zeros(outer_words + lanes if objective == SOFTMAX else 1, of.inner.dtype)
    area = np.empty((2 * window + most + 3) * vectors * lanes + 2 * window * (most + 2 * lanes), of.inner.dtype)
    scratch = (area.ctypes.data + 63) // 64 * 64
    addresses_at, sources_at, targets_at = addresses.ctypes.data, sources.ctypes.data, targets.ctypes.data
    rates_at, rate, scale_at, totals_at = rates.ctypes.data, rates.itemsize, scale.ctypes.data, totals.ctypes.data
    labels_at, one_hot_at = of.labels.ctypes.data, one_hot.ctypes.data
    inner_at, inner_row, outer_at, outer_row = (of.inner.ctypes.data, of.inner.strides[0], of.outer.ctypes.data,
                                                of.outer.strides[0])
    slot, waiting = 0, False
    for i in range(first, last + 1):
        m, total = 0, 0
        if i < last and words[i] >= 0:
            centre, bits = words[i], draw(key, places[i])
            reach = 1 + below(draw(bits, 0), window) if dynamic else window
            asks, begin = 0, slot * room
            for side in (-1, 1):
                k = i + side
                while 0 <= k < n and words[k] >= 0 and abs(k - i) <= reach:
                    if alone and marks[words[k]] & others != 0:
                        asked[asks], asked_at[asks] = words[k], begin + m
                        asks += 1
                    addresses[begin + m] = inner_at + inner_row * words[k]
                    m += 1
                    k += side
            if m:
                drawn, to = 0, begin + most_inputs
                for g in range(m if each else 1):
                    before = total
                    candidates = most
                    if objective == HIERARCHICAL:
                        candidates = starts[centre + 1] - starts[centre]
                    for j in range(candidates):
                        own = drawing
                        if objective == SOFTMAX:
                            word = np.intp(j)
                        elif objective == HIERARCHICAL:
                            word = np.intp(nodes[starts[centre] + j])
                        elif j == 0:
                            word = np.intp(centre)
                            own = alone and (word - common) % stride == mine
                        else:
                            drawn += 1
                            word = pick(draw(bits, drawn), table, common, mine, stride)
                            if word == centre:      # it would be right and wrong at once
                                continue
                        if alone and (not own or word < common or marks[word] & others != 0):
                            asked[asks], asked_at[asks] = words_inside + word, to + total
                            asks += 1
                        addresses[to + total] = outer_at + outer_row * word
                        total += 1
                    sizes[slot * groups + g] = total - before
                copied[slot] = 0
                for a in range(asks):
                    row, where = asked[a], asked_at[a]
                    copy_slot = slots[row]
                    if copy_slot == NOWHERE:        # one more is to be copied before this window
                        copy_slot = count[0]
                        count[0] += 1
                        slots[row], rows[copy_slot], times[copy_slot] = copy_slot, row, 0
                        sources[begin + copied[slot]] = addresses[where]
                        targets[begin + copied[slot]] = first_copy + copy_slot * copy_size
                        copied[slot] += 1
                    times[copy_slot] += 1
                    addresses[where] = first_copy + copy_slot * copy_size
                rates[slot], centres[slot], filled[slot] = alpha + slope * places[i], centre, m
                call(fetch, (total if objective != SOFTMAX else 0, addresses_at + to * 8, vectors))
                call(fetch, (copied[slot], sources_at + begin * 8, vectors))
        if waiting and (m or i == last):
            old = 1 - slot
            answers = labels_at
            if objective == HIERARCHICAL:
                answers += starts[centres[old]] * rate
            elif objective == SOFTMAX:
                one_hot[centres[old]] = 1
                answers = one_hot_at
            pairs = filled[old]
            if bag and mean:
                scale[0] = 1 / pairs
            begin = old * room * 8
            call(copy, (copied[old], sources_at + begin, targets_at + begin, vectors))
            which, against = addresses_at + begin, addresses_at + begin + most_inputs * 8
            for g in range(pairs if each else 1):
                size = sizes[old * groups + g]
                call(step, (1 if each else pairs, which, size, against, answers, rates_at + old * rate, vectors,
                            scratch, totals_at + 8 * LOSS, scale_at))
                which += 8
                against += 8 * size
            totals[PAIRS] += 1 if bag else pairs
            if objective == SOFTMAX:
                one_hot[centres[old]] = 0
            waiting = False
        if m:
            slot, waiting = 1 - slot, True
    area[0] = 0     # arrays that are known by their addresses alone live until they are named for the last time


@helper
def chunks(part, parts, of, noise, begin, end, size, order, copies, totals):
    """Chunk after chunk, whichever no other part has taken."""
    words, places = np.empty(room_for(size, of.window), np.int32), np.empty(room_for(size, of.window), np.int64)
    found = np.zeros(3)
    while True:
        at = begin + size * fetch_add(order, 1)
        if at >= end:
            return
        first, last, n = compact(of.ids, at, min(end, at + size), of.window, of.key, of.keep, words, places)
        found[:] = 0
        walk(of, noise, words, places, first, last, n, -1, copies, found)
        for k in (LOSS, PAIRS):
            totals[part, k] += found[k]


@helper
def advance(progress, positions, begin, totals):
    """What is done by now: nothing of Python's comes between the tables' move and this."""
    if begin == 0:
        progress[LOSS] = progress[PAIRS] = 0
    for part in range(len(totals)):
        for k in (LOSS, PAIRS):
            progress[k] += totals[part, k]
    progress[POSITION] += positions


@kernel("void(intp, intp, intp, intp, intp, float64[::1], const(uint32[:, ::1]), " + OF_PASS + ")")
def train(pool, parts, begin, end, size, progress, noise, ids, window, dynamic, keep, key, objective, bag, mean,
          negative, starts, nodes, labels, inner, outer, alpha, slope, step, fetch, copy, vectors, lanes):
    """Train on the windows around ids[begin:end], in chunks of `size` positions that the parts move the tables with.

    progress : POSITION, LOSS, PAIRS of the pass, which begins where `begin` is 0; see Pass for the others
    """
    of = Pass(ids, window, dynamic, keep, key, objective, bag, mean, negative, starts, nodes, labels, inner, outer,
              alpha, slope, step, fetch, copy, vectors, lanes)
    none, order, totals = np.zeros(0, np.int32), np.zeros(1, np.int64), np.zeros((parts, 3))
    marks = np.zeros(0, np.uint64)
    copies = Copies(marks, none, 0, 0, none, none, order)
    share(pool, parts, chunks, (of, Noise(noise, len(noise), 0, 1), begin, end, size, order.ctypes.data, copies,
                                totals))
    order[0] = len(none) + len(marks)   # `share` keeps no array alive
    advance(progress, end - begin, begin, totals)
