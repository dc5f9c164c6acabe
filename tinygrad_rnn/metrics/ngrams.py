"""How many n-grams of each hypothesis stand in its references too, each counted no more often than in one of them.

A segment is a hypothesis and its references.  Every n-gram of every segment gets a number, so that counting is sorting:

    words       the  cat  the  mat          tokens of all texts of some segments, one after the other
    unigrams    (segment, word)             numbered 0, 1, 2 ...: u
    bigrams     (u, next u)                 numbered: p
    3-grams     (p, the u after it)         a pair of numbers is one number, and is equal where they are
    4-grams     (p, the p after it)

Numbers below 2^31 make pairs below 2^62: nothing is hashed, so no two n-grams are ever taken for one another.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

ORDERS = 4
Texts = Sequence[Sequence[str] | None]      # tokens; None: there is no such text


class Matches(NamedTuple):
    """Counts for BLEU, summed over segments.

    counts: (orders,), n-grams of hypotheses that stand in a reference; one that stands there k times counts k times at
    most, with the largest k of all references.  totals: (orders,), all n-grams of hypotheses.  sys_len: tokens of the
    hypotheses; ref_len: of the references closest to them in length, the shorter one of two that are as close.
    """

    counts: np.ndarray
    totals: np.ndarray
    sys_len: int
    ref_len: int


def matches(hypotheses: Texts, references: Sequence[Texts], orders: int = ORDERS) -> Matches:
    """Count what hypotheses and references have in common.

    Parameters
    ----------
    hypotheses : sequence of token sequences, (S,)
        A few thousand at a time are fastest: then their numbers fit into the cache.
    references : sequence of R streams of S token sequences each
        None in place of a token sequence: this segment has fewer references; each has one.
    orders : int
        1-grams to `orders`-grams, up to 4.
    """
    streams = [hypotheses, *references]
    # (R + 1, S)
    lengths = np.array([[-1 if text is None else len(text) for text in stream] for stream in streams], np.int64)
    words = [word for stream in streams for text in stream if text for word in text]
    ids: defaultdict[str, int] = defaultdict()
    ids.default_factory = ids.__len__       # a new word gets the next number
    numbers = np.fromiter(map(ids.__getitem__, words), np.int64, len(words))
    totals = np.maximum(lengths[0] - np.arange(orders)[:, None], 0).sum(1)
    return Matches(_matched(numbers, np.maximum(lengths, 0), orders), totals, int(lengths[0].sum()),
                   int(_closest(lengths).sum()))


def _matched(words: np.ndarray, lengths: np.ndarray, orders: int) -> np.ndarray:
    """Clipped counts of each order.

    words (N,): of all texts, stream by stream; lengths (R + 1, S): theirs, with the hypotheses' first.
    """
    streams, segments = lengths.shape
    each = lengths.ravel()                          # (R + 1, S) -> texts
    text = np.repeat(np.arange(len(each)), each)    # of each word
    stream, segment = np.divmod(text, segments)
    left = np.repeat(each.cumsum(), each) - np.arange(len(words))      # words from this one to the end of its text
    unigram = _numbered(_pair(segment, words))
    bigram = np.zeros_like(unigram)
    counts = np.zeros(orders, np.int64)
    for n in range(1, orders + 1):
        at = np.flatnonzero(left >= n)
        if n < 3:
            if n == 2:
                bigram[at] = _numbered(_pair(unigram[at], unigram[at + 1]))
            counts[n - 1] = _clipped((unigram if n == 1 else bigram)[at], stream[at], streams)
        else:
            counts[n - 1] = _clipped_by_sorting(_pair(bigram[at], (unigram if n == 3 else bigram)[at + 2]), stream[at],
                                                streams)
    return counts


def _clipped(gram: np.ndarray, stream: np.ndarray, streams: int) -> int:
    """How many n-grams of stream 0, the hypotheses, are matched; n-grams numbered 0, 1, 2 ..."""
    if not len(gram):
        return 0
    # (n-grams * streams,) -> (n-grams, streams)
    count = np.bincount(gram * streams + stream, minlength=(int(gram.max()) + 1) * streams).reshape(-1, streams)
    best = count[:, 1] if streams == 2 else count[:, 1:].max(1)
    return int(np.minimum(count[:, 0], best).sum())


def _clipped_by_sorting(gram: np.ndarray, stream: np.ndarray, streams: int) -> int:
    """The same for n-grams with any numbers: to number them would take longer than to sort them."""
    # Sorted, the occurrences of an n-gram stand together, stream by stream: a run each.
    key = np.sort(gram * streams + stream)
    run = np.flatnonzero(np.diff(key, prepend=-1))
    count = np.diff(run, append=len(key))
    gram, stream = np.divmod(key[run], streams)
    if streams == 2:        # an n-gram in both has two runs, one after the other
        both = np.flatnonzero(gram[1:] == gram[:-1])
        return int(np.minimum(count[both], count[both + 1]).sum())
    first = np.flatnonzero(np.diff(gram, prepend=-1))       # run of each n-gram, the hypotheses' if they have it
    if not len(first):
        return 0
    best = np.maximum.reduceat(np.where(stream == 0, 0, count), first)
    return int(np.minimum(best, np.where(stream == 0, count, 0)[first]).sum())


def _pair(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """One number for two, different for different ones."""
    pair: np.ndarray = a * (1 + b.max(initial=0)) + b
    return pair


def _numbered(keys: np.ndarray) -> np.ndarray:
    """0, 1, 2 ... in place of the keys, equal for equal ones."""
    return np.unique(keys, return_inverse=True)[1]


def _closest(lengths: np.ndarray) -> np.ndarray:
    """The reference lengths that hypotheses are measured by: (R + 1, S) -> (S,)."""
    ours, theirs = lengths[0], lengths[1:]
    far = np.int64(2**62)
    # By distance first, then by length: both below 2^31.
    rank = np.where(theirs < 0, far, np.abs(theirs - ours) * 2**31 + theirs)
    closest: np.ndarray = np.take_along_axis(theirs, rank.argmin(0)[None], 0)[0]
    return closest
