"""A long stream of tokens, cut for truncated back-propagation through time.

The stream is laid out as B parallel streams, one a column, and is read T steps at a time.  Column b of one window
continues where column b of the window before it ended, so a recurrent state carried from window to window has read
everything since the column began, although gradients reach back T steps only.

    text       t h e _ q u i c k _ b r o w n            B = 2, T = 3:   window 0    window 1
    column 0   t h e _ q u i                                            t h e       _ q u
    column 1   c k _ b r o w                                            c k _       b r o
    targets are the next tokens:                                        h e _       q u i
                                                                        k _ b       r o w
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np


class Windows:
    """Windows of a token stream with a position that can be saved.

    Parameters
    ----------
    ids : array of int, (N,)
        The stream, N > T B.
    seq_len : int
        T, steps a window.
    batch : int
        B, parallel streams.

    Attributes
    ----------
    epoch, window : int
        The position: passes completed, and the next window of this pass.

    Iterating goes on from the position to the end of the pass, and yields (x, y), int64 arrays of shape (T, B): the
    tokens and those that follow them.  At window 0 the streams begin anew, so a carried state must be dropped.

    All windows have the shape (T, B), so fewer than T B tokens do not fit into the last; every second pass is aligned
    to the end of the stream instead of its beginning, so that two passes read everything.

    Source: Williams and Peng 1990, An efficient gradient-based algorithm for on-line training of recurrent network
    trajectories; in the form that language models use, Mikolov 2010.
    """

    def __init__(self, ids: Any, seq_len: int, batch: int) -> None:
        self.ids = np.asarray(ids)
        if self.ids.ndim != 1 or self.ids.dtype.kind not in "iu":
            raise TypeError(f"Windows: ids must be a one-dimensional array of integers, got shape {self.ids.shape}, "
                            f"dtype {self.ids.dtype}")
        for name, value in (("seq_len", seq_len), ("batch", batch)):
            if value < 1:
                raise ValueError(f"Windows: {name} must be at least 1, got {value}")
        self.seq_len, self.batch = seq_len, batch
        self._count = (len(self.ids) - 1) // (seq_len * batch)
        if self._count < 1:
            raise ValueError(f"Windows: {batch} streams of windows of {seq_len} need at least {seq_len * batch + 1} "
                             f"tokens, got {len(self.ids)}; lower batch or seq_len")
        self.epoch = self.window = 0

    def __len__(self) -> int:
        """Windows a pass."""
        return self._count

    def __getitem__(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Window k of this pass, 0 <= k < len(self)."""
        if not 0 <= k < len(self):
            raise IndexError(f"Windows: window {k} of {len(self)}")
        steps = len(self) * self.seq_len        # of each stream
        left_over = len(self.ids) - 1 - steps * self.batch
        start = (self.epoch % 2) * left_over + k * self.seq_len
        # (T, 1) + (B,) -> (T, B)
        at = start + np.arange(self.seq_len)[:, None] + steps * np.arange(self.batch)
        return self.ids[at].astype(np.int64), self.ids[at + 1].astype(np.int64)

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        # The position moves before a window is handed out: saved while that window is in work, it names the next.
        while self.window < len(self):
            self.window += 1
            yield self[self.window - 1]
        self.epoch, self.window = self.epoch + 1, 0

    def state_dict(self) -> dict[str, int]:
        """The position, and what it counts in."""
        return {"epoch": self.epoch, "window": self.window, "seq_len": self.seq_len, "batch": self.batch,
                "tokens": len(self.ids)}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go to a saved position.

        Raises
        ------
        ValueError
            If it was saved of another stream, or of other windows.
        """
        mine = self.state_dict()
        for name in ("seq_len", "batch", "tokens"):
            if state[name] != mine[name]:
                raise ValueError(f"Windows: the position was saved with {name}={state[name]}, here it is "
                                 f"{mine[name]}")
        if not (state["epoch"] >= 0 and 0 <= state["window"] <= len(self)):
            raise ValueError(f"Windows: no such position: epoch {state['epoch']}, window {state['window']} of "
                             f"{len(self)}")
        self.epoch, self.window = state["epoch"], state["window"]


def split(ids: np.ndarray, held_out: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """A stream's beginning to train on, and its end (a tenth by default) to judge by.

    Raises
    ------
    ValueError
        If held_out is not in (0, 1), or leaves fewer than two tokens (one to predict the next from) on a side.
    """
    if not 0 < held_out < 1:
        raise ValueError(f"split: held_out must lie between 0 and 1, got {held_out}")
    cut = len(ids) - int(len(ids) * held_out)
    if min(cut, len(ids) - cut) < 2:
        raise ValueError(f"split: {len(ids)} tokens are too few to hold out a share of {held_out}")
    return ids[:cut], ids[cut:]
