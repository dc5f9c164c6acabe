"""word2vec: skip-gram and CBOW, with negative sampling, hierarchical softmax or the full softmax."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from ..data.encoding import Sentences, Source
from ..data.numbering import PIECE, forget, trim
from ..data.vocabulary import Vocabulary
from ..kernels import get_num_threads
from ..random import Rng, entropy, stream
from .huffman import huffman_tree
from .keyed_vectors import KeyedVectors
from .plan import Plan, check, table
from .progress import Bar
from .sampling import keep_probability, noise_probability, thresholds
from .store import read, write
from .training import STRETCH, Trainer

Callback = Callable[["Word2Vec"], object]


class Word2Vec:
    """Vectors of words, learned by predicting words from their neighbours.

    Parameters
    ----------
    vector_size : int
    window : int
        Words on each side, at most, that are a word's context.
    model : str
        "skipgram": each context word predicts the centre word; "cbow": their mean does.
    objective : str
        "negative": tell the centre word from noise words; "hierarchical": find the way to it in a Huffman tree;
        "softmax": its probability among all words, for small vocabularies (a step costs as many products as there are
        words).
    negative : int
        K, noise words for each positive.
    ns_exponent : float
        Noise words are drawn in proportion to count**ns_exponent.
    sample : float
        t: an occurrence of a word with share f of the corpus is kept with probability sqrt(t/f) + t/f.  0: all are.
    min_count : int
        Words that come less often are left out.
    max_vocab_size : int, optional
        The most words; the frequent ones stay.
    dynamic_window : bool
        Draw the width of each window from 1 ... `window`, so that near words count for more.
    shared_negatives : bool
        Skip-gram: draw noise once a window instead of once a pair.  Two to three times faster, and a slightly other
        objective: the expectation of the gradient is the same, but the pairs of a window see the same noise, and all
        move from the same parameters.  False: word2vec's own step, a pair at a time.
    cbow_mean : bool
        CBOW: the mean of the context rows, or their sum.  As in word2vec, each context word is moved by the whole
        gradient with respect to that mean, not by its share of it.
    alpha, min_alpha : float
        Learning rate at the beginning and at the end.  Within a pass it falls linearly; at the end of pass k of n it
        has fallen by the share (k/n)^2 of its way, later than with word2vec's k/n, which stops learning too early where
        the corpus is small.  (gensim's falls later too: with several workers on a file, each counts its own part only.)
    epochs : int
        Passes over the corpus.
    workers : int, optional
        Threads; None: as many as the library uses.  Several move the same tables at once (Hogwild), so two runs differ
        a little; one gives the same result each time.
    deterministic : bool
        The same bits for any number of workers: rounds of shards that start from the same tables, see `training`.
    rng : numpy.random.Generator, int or None
        Of the start values, subsampling, windows and noise.

    Attributes
    ----------
    loss_history : list of float
        For each pass the mean loss in nats of a pair, with its noise words, at the parameters it was stepped from.
        Skip-gram: a pair is a context word and a centre word; CBOW: a context and a centre word.
        The tables follow the text at hand, the more the higher the rate: this loss may rise in the last pass although
        that of the tables at rest falls (20 MB of Wikipedia, exact noise: 2.17 to 2.21, at rest 2.40 to 2.31).
    epoch, position : int
        Passes that this fit has completed; where the next one stands, in ids.

    Raises
    ------
    ValueError, TypeError
        For parameters out of range; `fit` for what is no corpus, see `data.Sentences`.

    Sources: Mikolov, Chen, Corrado and Dean 2013; Mikolov, Sutskever, Chen, Corrado and Dean 2013; `objectives.py` has
    the equations.  Ji, Satish, Li and Dubey 2016 for noise that is shared by a window.
    """

    def __init__(self, vector_size: int = 100, window: int = 5, model: str = "skipgram", objective: str = "negative",
                 negative: int = 5, ns_exponent: float = 0.75, sample: float = 1e-3, min_count: int = 5,
                 max_vocab_size: int | None = None, dynamic_window: bool = True, shared_negatives: bool = True,
                 cbow_mean: bool = True, alpha: float = 0.025, min_alpha: float = 1e-4, epochs: int = 5,
                 workers: int | None = None, deterministic: bool = False, rng: Rng = None) -> None:
        self.parameters: dict[str, Any] = {
            "vector_size": vector_size, "window": window, "model": model, "objective": objective, "negative": negative,
            "ns_exponent": ns_exponent, "sample": sample, "min_count": min_count, "max_vocab_size": max_vocab_size,
            "dynamic_window": dynamic_window, "shared_negatives": shared_negatives, "cbow_mean": cbow_mean,
            "alpha": alpha, "min_alpha": min_alpha, "epochs": epochs, "workers": workers,
            "deterministic": deterministic}
        check(self.parameters)
        self.seed = entropy(rng)
        self.loss_history: list[float] = []
        self._passes = 0                    # of former fits, which their random streams belong to
        self._progress = np.zeros(3)        # positions of this fit; loss and pairs of the pass that is under way
        self._length = 0                    # positions of a pass
        self._corpus = ""                   # what tells one corpus from another
        self._vocabulary: Vocabulary | None = None
        self._vectors: KeyedVectors | None = None
        self._inner = self._outer = np.zeros((0, 0), np.float32)

    def __getattr__(self, name: str) -> Any:
        parameters = self.__dict__.get("parameters", {})
        if name in parameters:
            return parameters[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    # ---- learning -------------------------------------------------------------------------------------------------
    def fit(self, corpus: Source, callbacks: Sequence[Callback] = (), progress: bool | None = None) -> Self:
        """Learn from a corpus, anew.

        Parameters
        ----------
        corpus : str, Path, or iterable of token lists
            A UTF-8 file, a sentence a line, tokens apart by whitespace; or sentences.  It is read once: see
            `data.Sentences`.
        callbacks : sequence of callable
            Each is called with the model some times a pass, and at its end; `epoch` and `position` tell where it is.
        progress : bool, optional
            Show a bar with words/s, learning rate and loss; None: where standard error is a terminal.

        Returns
        -------
        self
        """
        sentences = Sentences(corpus, progress=progress)
        self._vocabulary = self._words_of(sentences)
        self.loss_history = []
        self._inner, self._outer = table(0, self.vector_size), table(0, self.vector_size)
        ids = sentences.encode(self._vocabulary)
        del sentences           # its numbers and its rare words make room for the tables
        self._grow()
        return self._begin(ids, callbacks, progress)

    def partial_fit(self, corpus: Source, callbacks: Sequence[Callback] = (), progress: bool | None = None) -> Self:
        """Learn from more text, `epochs` times, from the vectors as they are.

        New words that come `min_count` times in it get ids behind the known ones; frequencies, noise and tree are those
        of all text so far.  With the hierarchical objective the tree is another, so the rows of its nodes begin anew.
        """
        if self._vocabulary is None:
            return self.fit(corpus, callbacks, progress)
        sentences = Sentences(corpus, progress=progress)
        vocabulary = self._vocabulary.extended(sentences.counts, self.min_count, self.max_vocab_size)
        ids = sentences.encode(vocabulary)
        del sentences
        self._vocabulary = vocabulary
        if self.objective == "hierarchical":
            self._outer = table(0, self.vector_size)
        self._grow()
        return self._begin(ids, callbacks, progress)

    def resume(self, corpus: Source, callbacks: Sequence[Callback] = (), progress: bool | None = None) -> Self:
        """Go on with a fit that was interrupted, from a saved model too.

        With one worker or in deterministic mode the result is, bit by bit, that of a fit that was not interrupted.

        Raises
        ------
        ValueError
            If there is none, or the corpus is another.
        """
        if self._vocabulary is None:
            raise ValueError("Word2Vec.resume: nothing has been begun; fit begins")
        ids = Sentences(corpus, progress=progress).encode(self._vocabulary)
        if _digest(ids) != self._corpus:
            raise ValueError("Word2Vec.resume: this is not the corpus that the fit was begun with; partial_fit learns "
                             "from another one")
        return self._run(ids, callbacks, progress)

    def _words_of(self, sentences: Sentences) -> Vocabulary:
        most, word = max((count, word) for word, count in sentences.counts.items())
        if most < self.min_count:
            raise ValueError(f"Word2Vec: no word is left: the most frequent one, {word!r}, comes {most} times, and "
                             f"min_count={self.min_count}")
        words = Vocabulary(sentences.counts, self.min_count, self.max_vocab_size)
        # The same words anew: those that were read stand among the rare ones, whose memory they would keep.
        text, lengths, counts = "".join(words.tokens), [len(token) for token in words.tokens], words.counts.tolist()
        del words, sentences.counts
        trim()
        ends = itertools.accumulate(lengths)
        return Vocabulary.ordered([text[end - length:end] for length, end in zip(lengths, ends)], counts)

    def _grow(self) -> None:
        """Rows for words that have none: small random numbers inside, zeros outside."""
        trim()
        words, size = len(self._words), self.vector_size
        rows = max(1, words - 1) if self.objective == "hierarchical" else words
        known, inner, outer = len(self._inner), table(words, size), table(rows, size)
        inner[:known] = self._inner
        outer[:len(self._outer)] = self._outer
        start = stream(self.seed, f"rows from {known}")
        for row in inner[known:, :size]:        # one by one, since they are drawn in float64
            row[:] = start.uniform(-1, 1, size) / size
        self._inner, self._outer = inner, outer

    def _begin(self, ids: np.ndarray, callbacks: Sequence[Callback], progress: bool | None) -> Self:
        self._passes, self._length, self._corpus = len(self.loss_history), len(ids), _digest(ids)
        self._progress[:] = 0
        return self._run(ids, callbacks, progress)

    def _plan(self, ids: np.ndarray) -> Plan:
        counts = self._words.counts
        return Plan(
            ids, self._inner, self._outer, thresholds(keep_probability(counts, self.sample)),
            noise_probability(counts, self.ns_exponent),
            huffman_tree(counts) if self.objective == "hierarchical" else None, self.objective, self.model == "cbow",
            self.cbow_mean, self.shared_negatives, self.dynamic_window, self.window, self.negative, self.alpha,
            self.min_alpha, self.epochs, self.seed, self._passes)

    def _run(self, ids: np.ndarray, callbacks: Sequence[Callback], progress: bool | None) -> Self:
        plan = self._plan(ids)
        trainer = Trainer(plan, self.workers or get_num_threads(), self.deterministic)
        with Bar(plan, self.epoch, self.position, progress) as bar:
            while (epoch := self.epoch) < self.epochs:
                called = self.position
                self._vectors = None
                for position in trainer.stretch(epoch, self.position, self._progress):
                    bar.update(epoch, position, self._progress[1:])
                    forget(ids)
                    if position - called >= STRETCH and position < len(ids):
                        called = position
                        for callback in callbacks:
                            callback(self)
                        self._vectors = None
                _, loss, pairs = self._progress
                if not pairs:
                    raise ValueError("Word2Vec: no word has a neighbour: the sentences are of one word each, after "
                                     f"min_count={self.min_count} and sample={self.sample} have left out others")
                if not np.isfinite(loss):
                    raise FloatingPointError(f"Word2Vec: the loss of epoch {epoch + 1} is not finite; lower alpha,"
                                             f" which was {self.alpha}")
                self.loss_history.append(float(loss / pairs))       # and that is the pass's end
                for callback in callbacks:
                    callback(self)
        return self

    # ---- results --------------------------------------------------------------------------------------------------
    @property
    def epoch(self) -> int:
        """Passes that this fit has completed."""
        return len(self.loss_history) - self._passes

    @property
    def position(self) -> int:
        """Where the next pass stands, in ids."""
        return int(self._progress[0]) - self.epoch * self._length

    @property
    def _words(self) -> Vocabulary:
        if self._vocabulary is None:
            raise ValueError("Word2Vec: there are no vectors yet; fit(corpus) learns them")
        return self._vocabulary

    @property
    def vocabulary(self) -> Vocabulary:
        """The words and their counts, in the order of the vectors."""
        return self._words

    @property
    def vectors(self) -> KeyedVectors:
        """The rows that predict, by word: what is meant by word vectors.  A copy, that later learning leaves alone."""
        if self._vectors is None:
            rows = self._inner[:, :self.vector_size].copy()
            rows.flags.writeable = False
            self._vectors = KeyedVectors(self._words.tokens, rows)
        return self._vectors

    @property
    def output_vectors(self) -> np.ndarray:
        """The rows of outputs, (V, vector_size): of words in the vectors' order, or of the tree's nodes."""
        return self._outer[:len(self._outer) * bool(self._words), :self.vector_size]

    def __repr__(self) -> str:
        defaults = Word2Vec.__init__.__defaults__ or ()
        given = [f"{name}={value!r}" for (name, value), default in zip(self.parameters.items(), defaults)
                 if value != default]
        return f"Word2Vec({', '.join(given)})"

    # ---- files ----------------------------------------------------------------------------------------------------
    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all that learning needs, to go on with `resume` or `partial_fit`; a safetensors file.

        One that exists is replaced at once or not at all.
        """
        words = self._words
        state = {"parameters": self.parameters, "seed": str(self.seed), "loss_history": self.loss_history,
                 "length": self._length, "passes": self._passes, "corpus": self._corpus,
                 "tokens": words.tokens}
        write(Path(path), "word2vec", state, {
            "counts": words.counts, "progress": self._progress, "inner": self._inner[:, :self.vector_size],
            "outer": self._outer[:, :self.vector_size]})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote.  ValueError naming the file if it is something else."""
        state, arrays = read(Path(path), "word2vec")
        model = cls(**state["parameters"], rng=int(state["seed"]))
        model._vocabulary = Vocabulary.ordered(state["tokens"], arrays["counts"].tolist())
        for name in ("inner", "outer"):
            rows = table(len(arrays[name]), model.vector_size)
            rows[:, :model.vector_size] = arrays[name]
            setattr(model, f"_{name}", rows)
        model.loss_history, model._passes, model._length = state["loss_history"], state["passes"], state["length"]
        model._corpus, model._progress = state["corpus"], arrays["progress"]
        return model


def _digest(ids: np.ndarray) -> str:
    """What tells one encoded corpus from another."""
    digest = hashlib.sha256()
    for k in range(0, len(ids), PIECE):
        digest.update(np.ascontiguousarray(ids[k:k + PIECE]).data)
        forget(ids)
    return digest.hexdigest()
