"""Words of a text, numbered in the order in which they first come: a hash table over the bytes of a file.

Words stand apart by ASCII whitespace, as `bytes.split` sees it; a line end also ends a sentence, which is written as
END.  The table is open: a word's number stands in the first free slot from its hash on, and its bytes in an arena.
"""
import numpy as np

from .jit import helper, kernel

BASIS, PRIME, SHIFT = np.uint64(14695981039346656037), np.uint64(1099511628211), np.uint64(29)  # Fowler, Noll and Vo
END = -1
EMPTY = -1
# What the state holds: words known, bytes of the arena in use, ids written, whether the sentence has a word.
WORDS, ARENA, WRITTEN, OPEN = range(4)


@helper
def is_space(byte):
    """Space, or one of \\t \\n \\v \\f \\r."""
    return byte == 32 or 9 <= byte <= 13


@helper
def first(hashed, slots):
    """Where to look first; there are 2**k slots."""
    return np.intp((hashed ^ hashed >> SHIFT) & np.uint64(len(slots) - 1))


@kernel("intp(const(uint8[::1]), intp, int32[::1], uint64[::1], int64[::1], int64[::1], uint8[::1], int64[::1], "
        "int32[::1])", dtypes="q")
def number_words(text, at, slots, hashes, bounds, counts, arena, state, ids):
    """Number the words of text[at:], whose last byte is whitespace.

    Stops where the table, the arena or `ids` has no room for one more word, to be called again from there with more.

    Parameters
    ----------
    text : bytes
    at : where to begin
    slots : (2**k,) numbers of words, or EMPTY
    hashes, counts : (n,) of each known word, its hash and how often it came
    bounds : (n + 1,) where its bytes begin and end in the arena
    arena : bytes of all words
    state : WORDS, ARENA, WRITTEN, OPEN; goes on from call to call
    ids : (m,) filled from state[WRITTEN] on

    Returns
    -------
    int
        Where it stopped: len(text), or before a word.
    """
    words, used, written, opened = state[WORDS], state[ARENA], state[WRITTEN], state[OPEN]
    size = len(text)
    while at < size and written < len(ids):
        byte = text[at]
        if is_space(byte):
            if byte == 10 and opened:
                ids[written] = END
                written += 1
                opened = 0
            at += 1
            continue
        end = at
        hashed = BASIS
        while not is_space(text[end]):
            hashed = (hashed ^ np.uint64(text[end])) * PRIME
            end += 1
        slot = first(hashed, slots)
        while True:
            word = slots[slot]
            if word == EMPTY or hashes[word] == hashed and same(text, at, end, arena, bounds[word], bounds[word + 1]):
                break
            slot = slot + 1 if slot + 1 < len(slots) else 0
        if word == EMPTY:
            if 2 * words >= len(slots) or words >= len(hashes) or used + end - at > len(arena):
                break
            word = words
            slots[slot], hashes[word], counts[word] = word, hashed, 0
            for k in range(end - at):
                arena[used + k] = text[at + k]
            used += end - at
            words += 1
            bounds[words] = used
        counts[word] += 1
        ids[written] = word
        written += 1
        opened, at = 1, end
    state[WORDS], state[ARENA], state[WRITTEN], state[OPEN] = words, used, written, opened
    return at


@helper
def same(text, begin, end, arena, first, last):
    """Is text[begin:end] the word arena[first:last]?"""
    if end - begin != last - first:
        return False
    for k in range(end - begin):
        if text[begin + k] != arena[first + k]:
            return False
    return True


@kernel("void(const(uint64[::1]), intp, int32[::1])", dtypes="q")
def fill_slots(hashes, words, slots):
    """Enter known words into slots that are all EMPTY."""
    for word in range(words):
        slot = first(hashes[word], slots)
        while slots[slot] != EMPTY:
            slot = slot + 1 if slot + 1 < len(slots) else 0
        slots[slot] = word
