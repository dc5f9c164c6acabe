"""One run of word2vec, ready for the kernels: the tables that move, the corpus as ids, and every choice."""

from __future__ import annotations

import contextlib
import functools
import math
import mmap
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .huffman import Tree
from .sampling import alias_table

LINE = 64       # bytes: rows begin where lines of the cache do


@dataclass(eq=False)
class Plan:
    """One pass after another over the ids of a corpus.

    Attributes
    ----------
    ids : int32 ndarray (N,)
        The corpus, END after each sentence.
    inner, outer : float32 ndarrays (V, width), (V', width)
        The rows that predict, and those of outputs: words, or nodes of the tree.  `width` is whole vectors.
    keep : uint32 ndarray (V,)
        Thresholds of subsampling.
    noise_probability : float64 ndarray (V,)
        The distribution of noise words; `noise`, a uint32 ndarray (V, 2), is its alias table.
    tree : Tree, optional
        For hierarchical softmax.
    objective : str
        "negative", "hierarchical" or "softmax".
    bag, mean, shared, dynamic : bool
        CBOW; the mean of a bag; noise words shared by a window; windows of a drawn width.
    window, negative : int
    alpha, min_alpha : float
        Learning rate at the first and the last position of the run.
    epochs : int
    seed, passes : int
        What the random streams are derived from: the model's seed, and how many passes it had made before this run.
    """

    ids: np.ndarray
    inner: np.ndarray
    outer: np.ndarray
    keep: np.ndarray
    noise_probability: np.ndarray
    tree: Tree | None
    objective: str
    bag: bool
    mean: bool
    shared: bool
    dynamic: bool
    window: int
    negative: int
    alpha: float
    min_alpha: float
    epochs: int
    seed: int
    passes: int
    labels: np.ndarray = field(init=False)
    noise: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.noise = alias_table(self.noise_probability)
        positives = self.tree.labels if self.tree else np.ones(1, np.float32)
        self.labels = np.zeros(len(positives) + self.negative + 64, np.float32)   # a kernel reads whole vectors
        self.labels[:len(positives)] = positives

    def rate(self, epoch: int) -> tuple[float, float]:
        """(a, b): the learning rate at position p of a pass is a + b p.

        At the end of pass k of n it has fallen by the share (k/n)^2 of its way, within a pass linearly.
        """
        start, end = (self.alpha + (self.min_alpha - self.alpha) * (k / self.epochs)**2 for k in (epoch, epoch + 1))
        return start, (end - start) / len(self.ids)

    @functools.cache    # noqa: B019
    def key(self, epoch: int) -> int:
        """Of the random streams of a pass."""
        return int(np.random.SeedSequence(self.seed, spawn_key=(self.passes + epoch,)).generate_state(1, np.uint64)[0])

    def outputs_of_a_window(self) -> int:
        """The most that a window can have."""
        if self.objective == "softmax":
            return len(self.outer)
        if self.tree:
            return int(np.diff(self.tree.starts).max())
        return (1 + self.negative) * (1 if self.shared or self.bag else 2 * self.window)


def table(rows: int, size: int) -> np.ndarray:
    """Zeros, (rows, size rounded up to whole lines), that begin where a line does."""
    width = -(-size * 4 // LINE) * LINE // 4
    room = np.zeros(rows * width + LINE // 4, np.float32)
    start = -room.ctypes.data % LINE // 4
    return room[start:start + rows * width].reshape(rows, width)


def sparse_table(rows: int, width: int) -> np.ndarray:
    """Zeros, (rows, width), of which only the pages that are written to take memory: no page is a huge one."""
    memory = mmap.mmap(-1, max(1, rows * width * 4))
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        with contextlib.suppress(OSError):      # a kernel without huge pages
            memory.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(memory, np.float32, rows * width).reshape(rows, width)


CHOICES = {"model": ("skipgram", "cbow"), "objective": ("negative", "hierarchical", "softmax")}
LEAST = {"vector_size": 1, "window": 1, "negative": 1, "min_count": 1, "max_vocab_size": 1, "epochs": 1, "workers": 1,
         "sample": 0.0, "alpha": math.ulp(0.0), "min_alpha": 0.0, "ns_exponent": -math.inf}
OPTIONAL = ("max_vocab_size", "workers")


def check(parameters: Mapping[str, Any]) -> None:
    """Refuse parameters of Word2Vec that are of another type, or out of range; the message names the first."""
    for name, value in parameters.items():
        if name in CHOICES:
            if value not in CHOICES[name]:
                raise ValueError(f"Word2Vec: {name} must be one of {', '.join(CHOICES[name])}; got {value!r}")
        elif name not in LEAST:
            if not isinstance(value, bool | np.bool_):
                raise TypeError(f"Word2Vec: {name} must be True or False, got {value!r}")
        elif not (value is None and name in OPTIONAL):
            whole = isinstance(LEAST[name], int)
            wanted = (int, np.integer) if whole else (int, float, np.integer, np.floating)
            if isinstance(value, bool) or not isinstance(value, wanted):
                raise TypeError(f"Word2Vec: {name} must be {'an int' if whole else 'a number'}, got {value!r}")
            if not LEAST[name] <= value < math.inf:
                least = "above 0" if name == "alpha" else f"at least {LEAST[name]:g}"
                raise ValueError(f"Word2Vec: {name} must be {least}, got {value}")
    if parameters["min_alpha"] > parameters["alpha"]:
        raise ValueError(f"Word2Vec: min_alpha must not exceed alpha, got {parameters['min_alpha']} and "
                         f"{parameters['alpha']}")
