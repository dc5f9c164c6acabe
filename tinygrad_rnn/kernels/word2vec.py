"""The windows of word2vec: which words meet, in which order, against which noise.

What happens at a position of the corpus depends on the key of the epoch and on that position alone (streams.py):
whether its word is kept (the lower half of the bits), how wide its window is (position 0 of the stream that these bits
are the key of), its noise words (positions 1, 2, ...).  So any part of a corpus can be done by itself, and pairs at the
border of two parts are neither lost nor done twice.

`embeddings/readable.py` says the same in Python, a window at a time.
"""
import numpy as np

from .jit import helper, kernel
from .llvm import call
from .shards import look_up, place
from .streams import LOW, below, draw, pick

SHARED, EXACT, HIERARCHICAL, SOFTMAX = range(4)     # which outputs a window has
INNER, OUTER = 0, 1                                 # sides: rows that predict, rows that are predicted
LOSS, PAIRS = 0, 1                                  # of the totals


@helper
def is_kept(key, place, word, keep):
    """Has subsampling left this occurrence?"""
    return draw(key, place) & LOW <= np.uint64(keep[word])


@helper
def compact(ids, begin, end, window, key, keep, words, places):
    """The words that are left of ids[begin:end], with as many before and after as its windows reach.

    Returns
    -------
    (first, last, n) : words[first:last] are the centres, words[:n] all; -1 where a sentence ends
    """
    q, found = begin - 1, 0
    while q >= 0 and ids[q] >= 0 and found < window:
        found += is_kept(key, q, ids[q], keep)
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
        if word < 0 or is_kept(key, p, word, keep):
            words[n], places[n] = word, p
            n += 1
            beyond += p >= end
    return first, last if last >= 0 else n, n


@kernel("void(const(int32[::1]), intp, intp, intp, boolean, const(uint32[::1]), uint64, intp, boolean, boolean, intp, "
        "const(uint32[:, ::1]), const(int64[::1]), const(int32[::1]), const(T[::1]), T[:, ::1], T[:, ::1], boolean, "
        "int32[::1], T[:, ::1], int32[::1], int32[::1], int32[::1], T[:, ::1], int32[::1], int32[::1], int64[::1], "
        "float64, float64, intp, intp, intp, intp, float64[::1])")
def train(ids, begin, end, window, dynamic, keep, key, objective, bag, mean, negative, noise, starts, nodes, labels,
          inner, outer, shard, i_slots, i_copies, i_touched, i_times, o_slots, o_copies, o_touched, o_times, count,
          alpha, slope, step, fetch, vectors, lanes, totals):
    """Train on the windows around ids[begin:end].

    Parameters
    ----------
    ids : (N,) the corpus, -1 after each sentence
    window, dynamic : words on a side at most; whether their number is drawn
    keep : (V,) thresholds for 32 bits, below which an occurrence is kept
    key : of the streams of this epoch
    objective, bag, mean, negative : SHARED ...; CBOW or skip-gram; mean or sum of a bag; noise words
    noise : (V, 2) alias table
    starts, nodes, labels : the outputs of word w are nodes[starts[w]:starts[w + 1]], with labels (HIERARCHICAL);
        otherwise labels are 1, 0, 0 ...; there is a vector of room behind them
    inner, outer : (V, D), (V', D) the tables
    shard : whether to work on copies, which the next arguments hold; see shards.py
    alpha, slope : the learning rate at position p is alpha + slope p
    step, fetch : addresses of the kernels of pairs.py
    vectors, lanes : of a row, of a vector
    totals : LOSS, PAIRS, added to
    """
    room = end - begin + 2 * window + 1
    words, places = np.empty(room, np.int32), np.empty(room, np.int64)
    first, last, n = compact(ids, begin, end, window, key, keep, words, places)
    most = negative + 1
    if objective == HIERARCHICAL:
        for w in range(len(starts) - 1):
            most = max(most, starts[w + 1] - starts[w])
    elif objective == SOFTMAX:
        most = len(outer)
    groups = 2 * window if objective == EXACT else 1
    # Two windows are at hand: while one is stepped, the rows of the next are fetched.
    inputs, outputs = np.empty((2, 2 * window), np.int64), np.empty((2, groups * most), np.int64)
    from_words, to_words = np.empty((2, 2 * window), np.int32), np.empty((2, groups * most), np.int32)
    sizes, centres = np.zeros((2, groups), np.int64), np.zeros(2, np.int64)
    filled, against_all = np.zeros(2, np.int64), np.zeros(2, np.int64)
    rates, scale = np.empty(2, inner.dtype), np.ones(1, inner.dtype)
    one_hot = np.zeros(len(outer) + lanes if objective == SOFTMAX else 1, inner.dtype)
    area = np.empty((2 * window + most + 3) * vectors * lanes + 2 * window * (most + 2 * lanes), inner.dtype)
    scratch = (area.ctypes.data + 63) // 64 * 64
    inner_row, outer_row = inner.strides[0], outer.strides[0]
    slot, waiting = 0, False
    for i in range(first, last + 1):
        m, total = 0, 0
        if i < last and words[i] >= 0:
            centre, bits = words[i], draw(key, places[i])
            reach = 1 + below(draw(bits, 0), window) if dynamic else window
            for side in (-1, 1):
                k = i + side
                while 0 <= k < n and words[k] >= 0 and abs(k - i) <= reach:
                    if shard:
                        from_words[slot, m] = words[k]
                    else:
                        inputs[slot, m] = inner.ctypes.data + inner_row * words[k]
                    m += 1
                    k += side
            if m:
                drawn = 0
                for g in range(m if objective == EXACT and not bag else 1):
                    before = total
                    candidates = most
                    if objective == HIERARCHICAL:
                        candidates = starts[centre + 1] - starts[centre]
                    for j in range(candidates):
                        if objective == SOFTMAX:
                            word = j
                        elif objective == HIERARCHICAL:
                            word = int(nodes[starts[centre] + j])
                        elif j == 0:
                            word = int(centre)
                        else:
                            drawn += 1
                            word = pick(draw(bits, drawn), noise)
                            if word == centre:      # it would be right and wrong at once
                                continue
                        if shard:
                            to_words[slot, total] = word
                            outputs[slot, total] = look_up(word, outer, o_slots, o_copies)
                        else:
                            outputs[slot, total] = outer.ctypes.data + outer_row * word
                        total += 1
                    sizes[slot, g] = total - before
                rates[slot], centres[slot] = alpha + slope * places[i], centre
                filled[slot], against_all[slot] = m, total
                call(fetch, (total if objective != SOFTMAX else 0, outputs[slot].ctypes.data, vectors))
        if waiting and (m or i == last):
            old = 1 - slot
            answers = labels.ctypes.data
            if objective == HIERARCHICAL:
                answers += starts[centres[old]] * labels.itemsize
            elif objective == SOFTMAX:
                one_hot[centres[old]] = 1
                answers = one_hot.ctypes.data
            if bag and mean:
                scale[0] = 1 / filled[old]
            pairs = filled[old]
            if shard:       # now that the rows are at hand
                for j in range(pairs):
                    inputs[old, j] = place(from_words[old, j], inner, i_slots, i_copies, i_touched, i_times, count,
                                           INNER)
                for j in range(against_all[old]):
                    outputs[old, j] = place(to_words[old, j], outer, o_slots, o_copies, o_touched, o_times, count,
                                            OUTER)
            each = objective == EXACT and not bag
            which, against = inputs[old].ctypes.data, outputs[old].ctypes.data
            for g in range(pairs if each else 1):
                call(step, (1 if each else pairs, which, sizes[old, g], against, answers, rates[old:].ctypes.data,
                            vectors, scratch, totals.ctypes.data, scale.ctypes.data))
                which += 8
                against += 8 * sizes[old, g]
            totals[PAIRS] += 1 if bag else pairs
            if objective == SOFTMAX:
                one_hot[centres[old]] = 0
            waiting = False
        if m:
            slot, waiting = 1 - slot, True
