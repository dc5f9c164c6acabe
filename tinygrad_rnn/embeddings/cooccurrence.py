"""The matrix X of GloVe: X[i, j] is how often word j stands near word i.

Counts are whole numbers of a small unit, so that they are exact: in what pieces a text is counted, and on how many
threads, never changes a bit. With distance weighting a pair at distance d counts 1/d, which is a whole number of
1/lcm(1, ..., window) for windows up to 20. For longer windows the unit is 2^-32, and 1/d is rounded to it.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import IO, Any

import numpy as np

from .. import kernels

LONGEST_EXACT = 20          # the least common multiple of 1 to 20 is 232,792,560; that of 1 to 50 has 20 digits
CHUNK = 1 << 24             # words that are counted at once, some 200 MB; what they give is spilled if there are more
MERGED = 1 << 20            # entries of each spilled file that are merged at once
Triples = tuple[np.ndarray, np.ndarray, np.ndarray]


def weights(window: int, distance_weighting: bool) -> tuple[np.ndarray, int]:
    """What a pair at distance 0, 1, ..., window counts, in whole numbers of 1/unit (0 at distance 0); and the unit."""
    if not distance_weighting:
        return np.array([0] + [1] * window, np.int64), 1
    unit = math.lcm(*range(1, window + 1)) if window <= LONGEST_EXACT else 1 << 32
    return np.array([0] + [(2 * unit + d) // (2 * d) for d in range(1, window + 1)], np.int64), unit


def cooccurrence(sentences_of_ids: Iterable[Any], vocabulary_size: int, window: int, symmetric: bool = True,
                 distance_weighting: bool = True, *, chunk: int = CHUNK, folder: str | os.PathLike[str] | None = None,
                 ) -> Triples:
    """Count the pairs of words that stand at most `window` places apart in a sentence.

        X[i, j] = sum over all places of i and of j in one sentence, d = 1 ... window apart, of 1/d (or of 1)

    Parameters
    ----------
    sentences_of_ids : iterable of sequences of int
        Each id from 0 to vocabulary_size - 1. It is read once, and may be longer than memory.
    vocabulary_size : int
    window : int
    symmetric : bool
        Count (i, j) and (j, i) both. False: only (i, j) with i before j.
    distance_weighting : bool
        A pair d places apart counts 1/d, as in Stanford's program; False: 1, the lecture's plain count.
    chunk : int
        Words that are counted at once. Where there are more, the counts of each chunk are written to a temporary file
        and merged: memory is bounded, the result the same bit for bit, and memory-mapped.
    folder : str or Path, optional
        Where temporary files stand, instead of the system's place for them (TMPDIR).

    Returns
    -------
    rows, columns : (n,) int32
        Sorted by row and column, no entry twice.
    values : (n,) float64
        Positive.

    Raises
    ------
    IndexError
        For an id that is none, naming the sentence.
    TypeError
        For ids that are not integers, or a sentence that is a str.
    OSError
        If the disk is full; nothing is left on it then.
    """
    for name, value in (("vocabulary_size", vocabulary_size), ("window", window), ("chunk", chunk)):
        if value < 1:
            raise ValueError(f"cooccurrence: {name} must be at least 1, got {value}")
    pieces = chunks(sentences_of_ids, vocabulary_size, window, chunk)
    return count(pieces, vocabulary_size, window, symmetric, distance_weighting, folder)


def count_text(ids: np.ndarray, vocabulary_size: int, window: int, symmetric: bool, distance_weighting: bool,
               chunk: int, folder: Any) -> Triples:
    """`cooccurrence` of a text that is one array of int32, a negative number after each sentence; not checked."""
    pieces = ((ids[max(0, k - window):k + chunk + window], min(k, window), min(k, window) + min(chunk, len(ids) - k))
              for k in range(0, len(ids), chunk))
    return count(pieces, vocabulary_size, window, symmetric, distance_weighting, folder)


def count(pieces: Iterable[tuple[np.ndarray, int, int]], size: int, window: int, symmetric: bool,
          distance_weighting: bool, folder: Any) -> Triples:
    """Count the pieces of a text one after the other, (ids, begin, end) as `chunks` gives them."""
    amounts, unit = weights(window, distance_weighting)
    before = amounts if symmetric else np.zeros_like(amounts)
    with ExitStack() as files:
        spilled: list[Triples] = []
        counted: Triples | None = None
        for ids, begin, end in pieces:
            if counted is not None:
                spilled.append(spill(counted, folder, files))
            counted = kernels.count_pairs(ids, begin, end, size, before, amounts)
        if counted is None:
            return np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.float64)
        if not spilled:
            rows, columns, sums = counted
            return rows, columns, sums / unit
        spilled.append(spill(counted, folder, files))
        del counted
        return collected(merged(spilled), unit, folder)


def chunks(sentences: Iterable[Any], size: int, window: int, chunk: int) -> Iterator[tuple[np.ndarray, int, int]]:
    """(ids, begin, end): a piece of the text, -1 after each sentence, whose centres are at places begin to end - 1.

    A sentence may go on in the next piece, which then begins with `window` words of context.
    """
    room = np.empty(chunk + 2 * window + 1, np.int32)
    n = begin = 0
    for number, sentence in enumerate(sentences):
        ids = checked(sentence, size, number)
        while True:
            taken = min(len(ids), len(room) - 1 - n)
            room[n:n + taken] = ids[:taken]
            n += taken
            ids = ids[taken:]
            if not len(ids):
                break
            # Full within a sentence: the last `window` words wait until what follows them is there.
            yield room[:n], begin, n - window
            kept = min(2 * window, n - begin + window)
            room[:kept] = room[n - kept:n].copy()
            n, begin = kept, kept - window
        room[n] = -1
        n += 1
        if n > chunk + window:
            yield room[:n], begin, n
            n = begin = 0
    if n > begin:
        yield room[:n], begin, n


def checked(sentence: Any, size: int, number: int) -> np.ndarray:
    """A sentence as an array of ids."""
    if isinstance(sentence, str | bytes):
        raise TypeError(f"cooccurrence: sentence {number} is the text {sentence[:40]!r}; expected ids, such as "
                        "vocabulary.encode(tokens)")
    ids = np.asarray(sentence)
    if ids.ndim != 1:
        raise ValueError(f"cooccurrence: sentence {number}: expected a list of ids, got shape {ids.shape}")
    if len(ids) and ids.dtype.kind not in "iu":
        raise TypeError(f"cooccurrence: sentence {number}: ids must be integers, got {ids.dtype}")
    if len(ids) and (ids.min() < 0 or ids.max() >= size):
        wrong = int(np.flatnonzero((ids < 0) | (ids >= size))[0])
        raise IndexError(f"cooccurrence: sentence {number}, place {wrong}: id {ids[wrong]} is out of range for "
                         f"vocabulary_size={size}")
    return ids


# ---- on disk ----------------------------------------------------------------------------------------------------


def no_room(what: str, folder: Any, error: OSError) -> OSError:
    """What to say of a disk that took no more."""
    return OSError(error.errno, f"cooccurrence: could not {what} to {folder or tempfile.gettempdir()}: "
                   f"{error.strerror}; name another folder, or set TMPDIR")


def spill(arrays: Triples, folder: Any, files: ExitStack) -> Triples:
    """The same arrays, memory-mapped from temporary files that vanish when the stack of files is closed."""
    return tuple(on_disk([array], array.dtype, folder, files) for array in arrays)  # type: ignore[return-value]


def on_disk(pieces: Iterable[np.ndarray], dtype: Any, folder: Any, files: ExitStack) -> np.ndarray:
    """Write pieces to a temporary file, one after the other, and map it."""
    file: IO[bytes] = files.enter_context(tempfile.TemporaryFile(dir=folder))
    size = 0
    try:
        for piece in pieces:
            file.write(np.ascontiguousarray(piece).data.cast("B"))
            size += len(piece)
        file.flush()
    except OSError as error:
        raise no_room("spill counts", folder, error) from error
    return np.memmap(file, dtype, "r", shape=(size,)) if size else np.empty(0, dtype)


def merged(parts: list[Triples]) -> Iterator[Triples]:
    """Sorted entries of several such lists, added up, a range of rows at a time."""
    at = [0] * len(parts)
    last = max((int(rows[-1]) for rows, _, _ in parts if len(rows)), default=-1)
    first = 0
    while first <= last:
        # Rows up to the earliest one at which a list has MERGED entries more: at least one row.
        until = min((int(rows[a + MERGED]) for a, (rows, _, _) in zip(at, parts) if a + MERGED < len(rows)),
                    default=last + 1)
        until = max(until, first + 1)
        ends = [a + int(np.searchsorted(rows[a:], until)) for a, (rows, _, _) in zip(at, parts)]
        keys, sums = (np.concatenate(pieces) for pieces in zip(*(
            (rows[a:e].astype(np.int64) << 32 | columns[a:e], counts[a:e])
            for a, e, (rows, columns, counts) in zip(at, ends, parts))))
        order = np.argsort(keys, kind="stable")
        keys, sums = keys[order], sums[order]
        starts = np.flatnonzero(np.diff(keys, prepend=-1))
        if len(starts):
            keys, sums = keys[starts], np.add.reduceat(sums, starts)
            yield (keys >> 32).astype(np.int32), (keys & 0xFFFFFFFF).astype(np.int32), sums
        first, at = until, ends


def collected(pieces: Iterator[Triples], unit: int, folder: Any) -> Triples:
    """Pieces of the result in three files, mapped; the files have no names, and vanish with the arrays."""
    with ExitStack() as files:
        out = [files.enter_context(tempfile.TemporaryFile(dir=folder)) for _ in range(3)]
        n = 0
        try:
            for rows, columns, sums in pieces:
                for file, array in zip(out, (rows, columns, sums / unit)):
                    file.write(array.data.cast("B"))
                n += len(rows)
            for file in out:
                file.flush()
        except OSError as error:
            raise no_room("spill merged counts", folder, error) from error
        if not n:
            return np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.float64)
        rows, columns, values = (np.memmap(file, dtype, "r", shape=(n,)).view(np.ndarray)
                                 for file, dtype in zip(out, (np.int32, np.int32, np.float64)))
        return rows, columns, values
