"""GloVe: word vectors whose products are the logarithms of how often words stand near one another.

    J = sum over X[i, j] > 0 of f(X[i, j]) (theta_i . e_j + b_i + b'_j - log X[i, j])^2
    f(X) = min(1, (X / x_max)^alpha)

theta and e play the same part in J, so the lecture's vector of a word is their mean, (e + theta)/2.
Source: Pennington, Socher and Manning 2014, GloVe: global vectors for word representation, equations 8 and 9.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from tqdm import tqdm

from .. import kernels
from ..autograd.ops import log, minimum, sum, take
from ..data import Sentences, Vocabulary
from ..random import Rng, entropy, stream
from .cooccurrence import CHUNK, count_text
from .entries import Entries, block_count
from .keyed_vectors import KeyedVectors
from .store import read, write


def weighting(X: Any, x_max: float = 100.0, alpha: float = 0.75) -> Any:
    """f(X) = min(1, (X / x_max)^alpha): rare pairs count less, frequent ones no more than others. On Tensors."""
    return minimum((X / x_max)**alpha, 1.0)


def objective(theta: Any, e: Any, b: Any, b_context: Any, rows: Any, columns: Any, X: Any, x_max: float = 100.0,
              alpha: float = 0.75) -> Any:
    """J on Tensors: what the kernel lowers, one entry after the other.

    Parameters
    ----------
    theta, e : (V, D)
        Vectors of words as centres (rows of X) and as contexts (columns).
    b, b_context : (V,)
    rows, columns : (n,) int
    X : (n,), positive
    x_max, alpha : float

    Returns
    -------
    Tensor with one element
    """
    error = sum(take(theta, rows, 0) * take(e, columns, 0), 1) + take(b, rows) + take(b_context, columns) - log(X)
    return sum(weighting(X, x_max, alpha) * error**2)


class GloVe:
    """Learn word vectors from the co-occurrence counts of a text, by AdaGrad.

    Parameters
    ----------
    vector_size : int
        D.
    window : int
        Words up to so many places apart are a pair.
    x_max, alpha : float
        Of f(X).
    symmetric : bool
        Count contexts on both sides; False: X[i, j] counts i before j alone.
    distance_weighting : bool
        A pair d places apart counts 1/d (Stanford's program); False: 1 (the lecture).
    learning_rate : float
    epochs : int
        Passes over the entries of X.
    min_count : int
        Words that come less often are left out before pairs are formed.
    combine : "mean", "sum" or "target"
        What `vectors` are: (e + theta)/2, e + theta, or the vectors of words as centres alone.
    workers : int, optional
        1: one thread alone. Otherwise those of `set_num_threads`. The result is the same.
    deterministic : bool
        Accepted for the sake of `Word2Vec`'s signature: results never depend on the number of threads.
    rng : numpy.random.Generator, int or None

    Attributes
    ----------
    vectors : KeyedVectors
    loss_history : list of float
        J of each epoch, where each entry's error is that at the parameters it saw.
    vocabulary : Vocabulary

    Notes
    -----
    The rule is that of Stanford's program: with g = f(X) error learning_rate, half the gradient times the rate, a
    number x moves by -g d_x / sqrt(s), and then s, which starts at 1, grows by (g d_x)^2. So the rate stands within
    the sum.
    """

    def __init__(self, vector_size: int = 100, window: int = 10, x_max: float = 100.0, alpha: float = 0.75,
                 symmetric: bool = True, distance_weighting: bool = True, learning_rate: float = 0.05,
                 epochs: int = 25, min_count: int = 5, combine: str = "mean", workers: int | None = None,
                 deterministic: bool = False, rng: Rng = None) -> None:
        for name, count in (("vector_size", vector_size), ("window", window), ("epochs", epochs),
                            ("min_count", min_count), ("workers", workers)):
            if count is not None and (isinstance(count, bool) or not isinstance(count, int | np.integer)):
                raise TypeError(f"GloVe: {name} must be an int, got {type(count).__name__}")
            if count is not None and count < 1:
                raise ValueError(f"GloVe: {name} must be at least 1, got {count}")
        for name, value in (("x_max", x_max), ("learning_rate", learning_rate)):
            if not 0 < value < math.inf:
                raise ValueError(f"GloVe: {name} must be a positive number, got {value}")
        if not 0 <= alpha < math.inf:
            raise ValueError(f"GloVe: alpha must not be negative, got {alpha}")
        if combine not in ("mean", "sum", "target"):
            raise ValueError(f"GloVe: combine must be 'mean', 'sum' or 'target', got {combine!r}")
        self.options: dict[str, Any] = dict(
            vector_size=int(vector_size), window=int(window), x_max=float(x_max), alpha=float(alpha),
            symmetric=bool(symmetric), distance_weighting=bool(distance_weighting), learning_rate=float(learning_rate),
            epochs=int(epochs), min_count=int(min_count), combine=combine, workers=workers,
            deterministic=bool(deterministic))
        self._seed = entropy(rng)
        self._clear()

    def _clear(self) -> None:
        self._vocabulary: Vocabulary | None = None
        # Both sides' numbers and sums of squares, as kernels/glove.py lays them out: (2, V, 2, L).
        self._table = np.empty((2, 0, 2, self._learned().shape[1]), np.float32)
        self.loss_history: list[float] = []
        self._vectors: KeyedVectors | None = None

    # ---- training ---------------------------------------------------------------------------------------------------
    def fit(self, corpus: Any, *, callbacks: Sequence[Callable[[GloVe], object]] = (),
            progress: bool | None = None) -> Self:
        """Learn from a corpus, from the start. What was learned before stands until the corpus is counted.

        Parameters
        ----------
        corpus : str, Path, or iterable of token lists
            A file with a sentence a line, tokens apart by whitespace; read once. See `data.Sentences`.
        callbacks : functions of the model, called after each epoch
        progress : bool, optional
            Show a bar with J and pairs/s; None: where standard error is a terminal.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For a corpus without words, or in which no two words stand near one another; when min_count leaves nothing.
        ArithmeticError
            If J is no longer finite: learning_rate was too high.
        """
        return self._learn(corpus, [], callbacks, progress)

    def partial_fit(self, corpus: Any, *, callbacks: Sequence[Callable[[GloVe], object]] = (),
                    progress: bool | None = None) -> Self:
        """Go on with more text: `epochs` passes over its counts alone. Words that are new get vectors of their own.

        Parameters, errors as `fit`.
        """
        return self._learn(corpus, [] if self._vocabulary is None else [self._vocabulary], callbacks, progress)

    def _learn(self, corpus: Any, known: list[Vocabulary], callbacks: Sequence[Callable[[GloVe], object]],
               progress: bool | None) -> Self:
        """Count, and train; without a known vocabulary from the start."""
        sentences = Sentences(corpus, progress=progress)
        min_count, window = self.options["min_count"], self.options["window"]
        most = max(sentences.counts.values())
        if not known and most < min_count:
            raise ValueError(f"GloVe: no word comes min_count={min_count} times; the commonest comes {most} times")
        vocabulary = Vocabulary.merge([*known, sentences.counts], min_count)
        counted = count_text(sentences.encode(vocabulary), len(vocabulary), window, self.options["symmetric"],
                             self.options["distance_weighting"], CHUNK, None)
        if not len(counted[0]):
            raise ValueError("GloVe: no two words of the vocabulary stand near one another in a sentence of this "
                             "corpus")
        if not known:
            self._clear()
        self._grow(vocabulary)
        blocks = block_count(len(vocabulary), self._table.strides[1])
        entries = Entries(counted, blocks, self.options["x_max"], self.options["alpha"])
        del counted
        epochs = self.options["epochs"]
        with tqdm(total=epochs * len(entries), desc="GloVe", unit=" pairs", unit_scale=True, leave=False,
                  disable=None if progress is None else not progress) as bar:
            for _ in range(epochs):
                self._epoch(entries, bar)
                for callback in callbacks:
                    callback(self)
        return self

    def _grow(self, vocabulary: Vocabulary) -> None:
        """Room for a larger vocabulary: known words keep their numbers, new ones get random vectors."""
        D, table = self.options["vector_size"], self._table
        grown = np.zeros((2, len(vocabulary), *table.shape[2:]), np.float32)
        rng = stream(self._seed, f"start {len(self.loss_history)}")
        learned = self._learned()
        for side in range(2):
            start = (rng.random((len(vocabulary), D + 1), np.float32) - np.float32(0.5)) / np.float32(D)
            grown[side, :, 0, learned[side] == 1] = start.T
            grown[side, :, 0, D + 1 - side] = 1         # what meets the other side's bias
        grown[:, :, 1] = 1                              # the sums of squares
        if self._vocabulary is not None:
            ids = vocabulary.encode(self._vocabulary.tokens)
            grown[:, ids] = table
        self._vocabulary, self._table, self._vectors = vocabulary, grown, None

    def _learned(self) -> np.ndarray:
        """Which numbers of a word's row, and of a context's, are learned: (2, L) of 1 and 0."""
        D = self.options["vector_size"]
        learned = np.zeros((2, -(-(D + 2) // 16) * 16), np.float32)
        learned[:, :D] = 1
        learned[0, D] = learned[1, D + 1] = 1           # the biases
        return learned

    def _epoch(self, entries: Entries, bar: Any) -> None:
        """Every entry once."""
        P, learned = entries.blocks, self._learned()
        losses = np.zeros(P * P)
        epoch = len(self.loss_history)
        rng = stream(self._seed, f"epoch {epoch}")
        key = int(rng.integers(1 << 63))
        self._vectors = None
        for shift in rng.permutation(P):
            kernels.glove_stratum(
                int(shift), key, P, entries.starts, entries.rows, entries.columns, entries.logs, entries.shares,
                self._table[0], self._table[1], learned, self.options["learning_rate"], losses,
                alone=self.options["workers"] == 1)
            cells = np.arange(P) * P + (np.arange(P) + shift) % P
            bar.update(int((entries.starts[cells + 1] - entries.starts[cells]).sum()))
        J = math.fsum(losses)
        if not math.isfinite(J):
            raise ArithmeticError(f"GloVe: J became {J} in epoch {epoch + 1}; lower learning_rate, which is "
                                  f"{self.options['learning_rate']:g}")
        self.loss_history.append(J)
        bar.set_postfix(J=f"{J:.4g}")

    # ---- results ----------------------------------------------------------------------------------------------------
    @property
    def vocabulary(self) -> Vocabulary:
        """The words, by falling count."""
        if self._vocabulary is None:
            raise ValueError("GloVe: there is nothing yet; call fit(corpus) first")
        return self._vocabulary

    @property
    def parameters(self) -> dict[str, np.ndarray]:
        """Copies of theta, e (V, D) and of b, b_context (V,), as `objective` takes them."""
        D = self.options["vector_size"]
        words, contexts = self._table[:, :, 0]
        return {"theta": words[:, :D].copy(), "e": contexts[:, :D].copy(), "b": words[:, D].copy(),
                "b_context": contexts[:, D + 1].copy()}

    @property
    def vectors(self) -> KeyedVectors:
        """The word vectors, made of theta and e as `combine` says."""
        words = self.vocabulary.tokens
        if self._vectors is None:
            theta, e = (self.parameters[name] for name in ("theta", "e"))
            combine = self.options["combine"]
            self._vectors = KeyedVectors(words, theta if combine == "target" else
                                         (theta + e) / np.float32(2 if combine == "mean" else 1))
        return self._vectors

    # ---- files ------------------------------------------------------------------------------------------------------
    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the whole model, from which `partial_fit` goes on; a safetensors file, sealed with its SHA-256.

        One that exists is replaced at once or not at all.
        """
        words = self.vocabulary
        state = {"options": self.options, "seed": str(self._seed), "loss_history": self.loss_history,
                 "tokens": words.tokens}
        write(Path(path), "glove", state, {"table": self._table, "counts": words.counts})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote. ValueError naming the file if it is something else, or damaged."""
        state, arrays = read(Path(path), "glove")
        model = cls(**state["options"], rng=int(state["seed"]))
        model._vocabulary = Vocabulary.ordered(state["tokens"], arrays["counts"].tolist())
        model._table, model.loss_history = arrays["table"], state["loss_history"]
        return model

    def __repr__(self) -> str:
        size = f"{len(self._vocabulary):,} words" if self._vocabulary else "not fitted"
        return f"GloVe({size}, vector_size={self.options['vector_size']}, {len(self.loss_history)} epochs)"
