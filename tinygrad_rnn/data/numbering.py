"""Words numbered in the order in which they first come, with the numbers in a temporary file.

Two ways: of token lists with a dictionary, of a stretch of a file with a compiled hash table over its bytes.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from array import array
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

END = -1                # stands after each sentence
PIECE = 1 << 20         # bytes or numbers that are in memory at once; a word must be shorter
SPACES = b" \t\n\r\v\f"


class Numbering:
    """Numbers of words, in a file: where those of `Lists` and `Bytes` end up.

    Attributes
    ----------
    occurrences : int64 ndarray
        How often each word came, in the order of the numbers.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.occurrences = np.zeros(0, np.int64)
        self._numbers = np.zeros(0, np.int32)

    @property
    def tokens(self) -> list[str]:
        """Each word, in the order of the numbers."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the file; its content can still be read, and vanishes with this object."""
        try:
            self.file.flush()
            if self.file.tell():
                self._numbers = np.memmap(self.file, np.int32, "r")
        finally:
            self.file.close()

    def pieces(self) -> Iterator[np.ndarray]:
        """All numbers in order, and END after each sentence; int32 arrays, one a piece."""
        for k in range(0, len(self._numbers), PIECE):
            yield self._numbers[k:k + PIECE]
            forget(self._numbers)


class Lists(Numbering):
    """Numbers words of token lists."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        self._known = _Known()
        self._recent = array("i")

    def add(self, sentence: Iterable[str], ends: bool = True) -> None:
        """Take one sentence, or its beginning."""
        self._recent.extend(map(self._known.__getitem__, sentence))
        if ends:
            self._recent.append(END)
        if len(self._recent) >= PIECE:
            self._flush()

    @property
    def tokens(self) -> list[str]:
        """Each word, in the order of the numbers."""
        return list(self._known)

    def finish(self) -> None:
        """Nothing more will come."""
        self._flush()

    def _flush(self) -> None:
        numbers = np.array(self._recent, np.int32)
        counts = np.bincount(numbers[numbers != END], minlength=len(self._known))
        counts[:len(self.occurrences)] += self.occurrences
        self.occurrences = counts
        self.file.write(numbers.data)
        del self._recent[:]


class _Known(dict[str, int]):
    """Numbers of tokens; a new one gets the next."""

    def __missing__(self, token: str) -> int:
        if not isinstance(token, str):
            raise TypeError(f"corpus: tokens must be strings, got {token!r}")
        self[token] = number = len(self)
        return number


class Bytes(Numbering):
    """Numbers words of a stretch of a file."""

    _arena, _bounds = b"", np.zeros(1, np.int64)

    @property
    def tokens(self) -> list[str]:
        """Each word, in the order of the numbers; made anew, since strings take ten times the room of their bytes."""
        bounds = self._bounds.tolist()
        return [self._arena[a:b].decode() for a, b in zip(bounds, bounds[1:])]

    def read(self, path: Path, begin: int, end: int, progress: Callable[[int], Any]) -> None:
        """Number the words of bytes `begin` to `end`; a word that one of them cuts belongs to what is before it."""
        from ..kernels import words

        table = _Table()
        with open(path, "rb") as file:
            begin, end = _boundary(file, begin), _boundary(file, end)
            file.seek(begin)
            carried, left = b"", end - begin
            table.state[words.OPEN] = begin > 0     # the sentence before may go on, or end with the first byte
            while left:
                block = file.read(min(left, PIECE))
                if not block:
                    raise ValueError(f"corpus: {path} became shorter while it was read")
                left -= len(block)
                text = carried + block if left else carried + block + b" "
                cut = max(text.rfind(space) for space in SPACES) + 1
                if not cut and len(text) > PIECE:
                    raise too_long(path)
                carried = text[cut:]
                table.number(np.frombuffer(text, np.uint8, cut), self.file)
                progress(len(block))
        n = int(table.state[words.WORDS])
        self.occurrences, self._bounds = table.counts[:n].copy(), table.bounds[:n + 1].copy()
        self._arena = table.arena[:self._bounds[-1]].tobytes()


class _Table:
    """The hash table of `kernels.words`, growing."""

    def __init__(self) -> None:
        self.arena, self.state = np.empty(PIECE, np.uint8), np.zeros(4, np.int64)
        self.ids = np.empty(PIECE, np.int32)
        self.hashes, self.counts, self.bounds = np.empty(0, np.uint64), np.empty(0, np.int64), np.zeros(1, np.int64)
        self._grow(1 << 15)

    def _grow(self, words: int) -> None:
        from ..kernels import words as kernel

        known = int(self.state[kernel.WORDS])
        self.hashes, self.counts = _longer(self.hashes, words), _longer(self.counts, words)
        self.bounds = _longer(self.bounds, words + 1)
        self.slots = np.full(2 * words, kernel.EMPTY, np.int32)
        kernel.fill_slots[np.int64](self.hashes, known, self.slots)

    def number(self, text: np.ndarray, file: IO[bytes]) -> None:
        """Number the words of a text that ends with whitespace."""
        from ..kernels import words

        kernel, at = words.number_words[np.int64], 0
        while True:
            at = kernel(text, at, self.slots, self.hashes, self.bounds, self.counts, self.arena, self.state, self.ids)
            written, self.state[words.WRITTEN] = int(self.state[words.WRITTEN]), 0
            file.write(self.ids[:written].data)
            if at == len(text):
                return
            if self.state[words.WORDS] == len(self.hashes):
                self._grow(2 * len(self.hashes))
            elif written < len(self.ids):
                self.arena = _longer(self.arena, 2 * len(self.arena))


def forget(mapped: np.ndarray) -> None:
    """Give back the memory of a file's pages that have been read; they are read again when they are asked for."""
    pages = getattr(mapped, "_mmap", None)
    if pages is not None and hasattr(mmap, "MADV_DONTNEED"):
        pages.madvise(mmap.MADV_DONTNEED)


def trim() -> None:
    """Have the C library give back what was freed, which glibc keeps: between many small objects and large ones."""
    give_back = getattr(ctypes.pythonapi, "malloc_trim", None)
    if give_back is not None:
        give_back(0)


def too_long(path: Path) -> ValueError:
    """A word that cannot be one."""
    return ValueError(f"corpus: {path} has a word of more than {PIECE:,} bytes; are its tokens apart by whitespace?")


def _longer(a: np.ndarray, length: int) -> np.ndarray:
    """The array with room behind it."""
    out = np.empty(length, a.dtype)
    out[:len(a)] = a
    return out


def _boundary(file: IO[bytes], at: int) -> int:
    """The first whitespace from an offset on, or the end of the file; 0 is a boundary."""
    if at == 0:
        return 0
    file.seek(at)
    while block := file.read(1 << 12):
        found = next((k for k, byte in enumerate(block) if byte in SPACES), None)
        if found is not None:
            return file.tell() - len(block) + found
    return file.seek(0, os.SEEK_END)
