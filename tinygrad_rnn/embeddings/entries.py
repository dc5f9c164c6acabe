"""The entries of X as training takes them: dealt out into cells, with log X and f(X) at hand."""

from __future__ import annotations

import os
import tempfile
from typing import Any

import numpy as np

from .. import kernels
from .cooccurrence import no_room

CACHE = 1 << 20         # bytes that a cell's words and contexts may take: what one processor has for itself
FEWEST, MOST = 8, 512   # blocks of words; the fewest keep several threads busy
PIECE = 1 << 22         # entries that are dealt out at once
LARGE = 1 << 26         # entries, a gigabyte: more stand in temporary files
BYTES = 4               # of a number: int32 and float32


def block_count(size: int, row_bytes: int) -> int:
    """How many blocks the words are dealt out into. It decides the order of training, so threads must not decide it."""
    return max(1, min(size, MOST, max(FEWEST, -(-2 * size * row_bytes // CACHE))))


class Entries:
    """Entries of X in P x P cells.

    Parameters
    ----------
    counted : rows, columns (n,) int32; X (n,) float64
    blocks : int
        P: an entry belongs to cell (row mod P, column mod P).
    x_max, alpha : float
        Of f(X) = min(1, (X / x_max)^alpha).

    Attributes
    ----------
    starts : (P^2 + 1,) int64
        Where each cell begins.
    rows, columns : (n,) int32
    logs, shares : (n,) float32
        log X and f(X).
    """

    def __init__(self, counted: Any, blocks: int, x_max: float, alpha: float) -> None:
        rows, columns, X = counted
        n, self.blocks = len(rows), blocks
        pieces = [slice(k, k + PIECE) for k in range(0, n, PIECE)]
        sizes = np.zeros(blocks * blocks, np.int64)
        for piece in pieces:
            sizes += np.bincount(rows[piece] % blocks * blocks + columns[piece] % blocks, minlength=len(sizes))
        self.starts = np.concatenate([[0], np.cumsum(sizes)])
        self.rows, self.columns = room(n, np.int32), room(n, np.int32)
        self.logs, self.shares = room(n, np.float32), room(n, np.float32)
        at = self.starts[:-1].copy()
        for piece in pieces:
            # float32 is enough for what gets a logarithm: an error of 6e-8 in it.
            kernels.deal_entries(*(np.ascontiguousarray(a[piece]) for a in counted), blocks, at, self.rows,
                                 self.columns, self.logs)
        for piece in pieces:
            values = self.logs[piece].astype(np.float64)
            self.shares[piece] = np.minimum(1, (values / x_max)**alpha)
            self.logs[piece] = np.log(values)

    def __len__(self) -> int:
        return len(self.rows)


def room(n: int, dtype: Any) -> np.ndarray:
    """An array in memory, or a large one in a temporary file that vanishes with it."""
    if n <= LARGE:
        return np.empty(n, dtype)
    with tempfile.TemporaryFile() as file:
        # A file that only says how long it is would find the disk full when its pages are written, too late to say so.
        try:
            os.posix_fallocate(file.fileno(), 0, n * BYTES)
        except AttributeError:      # not on Windows and macOS
            file.truncate(n * BYTES)
        except OSError as error:
            raise no_room("spill entries", None, error) from error
        return np.memmap(file, dtype, "r+", shape=(n,)).view(np.ndarray)
