"""Arrays that one run after the other uses again.

A new array of some megabytes costs as much as writing to it several times: the system hands it out page by page. So the
memory of a run comes from here. Nobody gives anything back: memory is free again when no array refers to it, be it the
caller's; Python counts references, so that is known exactly.
"""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Iterable
from typing import Any

import numpy as np

LINE = 64                   # bytes of the cache
LARGEST = 256 << 20         # bytes: beyond, what a fresh array costs is small beside what is done with it
MOST = 512 << 20            # bytes that are kept in all


class _Block:
    """Memory, and where its first cache line begins."""

    __slots__ = ("memory", "start")

    def __init__(self, size: int) -> None:
        self.memory = np.empty(size + 3 * LINE, np.uint8)
        self.start = -self.memory.ctypes.data % LINE

    def references(self) -> int:
        """How many there are to the memory, this look included."""
        return sys.getrefcount(self.memory)


_UNUSED = _Block(0).references()


class Buffers:
    """A bounded store of memory; safe to use from several threads.

    Attributes
    ----------
    held : int
        Bytes in it, in use or not.
    """

    def __init__(self, largest: int = LARGEST, most: int = MOST) -> None:
        self.largest, self.most, self.held = largest, most, 0
        self._blocks: dict[int, list[_Block]] = {}          # by size
        self._lock = threading.Lock()

    def array(self, shape: Iterable[int], dtype: Any, zero: bool = False) -> np.ndarray:
        """An array that begins at a cache line, with a line to spare behind it; of any content, or 0."""
        shape, dtype = tuple(shape), np.dtype(dtype)
        size = math.prod(shape) * dtype.itemsize
        made: np.ndarray
        if size > self.largest:
            block = _Block(size)
            made = np.ndarray(shape, dtype, block.memory, block.start)
        else:
            with self._lock:        # until the array refers to it, the memory looks unused
                block = self._block(size)
                made = np.ndarray(shape, dtype, block.memory, block.start)
        if zero:
            made.fill(0)
        return made

    def _block(self, size: int) -> _Block:
        """Memory that nothing refers to, of at least this size."""
        step = max(4096, 1 << max(0, size.bit_length() - 3))
        size = -(-size // step) * step      # few different sizes, at most a quarter too large
        for block in self._blocks.get(size, ()):
            if block.references() == _UNUSED:
                return block
        if self.held + size > self.most:
            self._shrink()
        block = _Block(size)
        if self.held + size <= self.most:
            self._blocks.setdefault(size, []).append(block)
            self.held += size
        return block

    def _shrink(self) -> None:
        """Let go of all that is not in use."""
        used = {size: [b for b in blocks if b.references() != _UNUSED] for size, blocks in self._blocks.items()}
        self._blocks = {size: blocks for size, blocks in used.items() if blocks}
        self.held = sum(size * len(blocks) for size, blocks in self._blocks.items())


BUFFERS = Buffers()
aligned = BUFFERS.array
