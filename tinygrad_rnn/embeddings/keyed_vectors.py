"""Word vectors by word, and what they are asked: how similar, what is nearest, a is to b as c is to what.

    cosine(u, v) = u.v / (|u| |v|)

gensim's names where it has them.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from .evaluation import Analogies, WordPairs, judge_analogies, judge_pairs
from .formats import read, write
from .nearest import nearest, unit

Words = str | Sequence[Any] | np.ndarray
EPSILON = 1e-6      # of 3CosMul, against a division by zero


class KeyedVectors:
    """Vectors of words.

    Parameters
    ----------
    index_to_key : sequence of str
        The words, each once, the commonest first: `restrict_vocab` relies on that order.
    vectors : array_like (n, size), finite
        Row i belongs to word i. Copied to float32, unless it is a float32 array that nobody can write to.

    Attributes
    ----------
    vectors : ndarray (n, size) float32, read-only
    index_to_key : list of str
    key_to_index : dict of str to int

    Raises
    ------
    ValueError
        For shapes that do not fit, no words, a word that stands twice, a number that is not finite.
    TypeError
        For words that are no strings.

    Examples
    --------
    >>> kv = KeyedVectors(["north", "east", "northeast"], [[0, 1], [1, 0], [1, 1]])
    >>> kv.most_similar("north", topn=1)
    [('northeast', 0.7071067690849304)]
    """

    def __init__(self, index_to_key: Sequence[str], vectors: Any) -> None:
        given = np.asanyarray(vectors) if isinstance(vectors, np.ndarray) else np.asarray(vectors)
        if given.ndim != 2 or given.shape[1] == 0 or given.dtype.kind not in "fiu":
            raise ValueError("KeyedVectors: vectors must be numbers of shape (n, size), got shape "
                             f"{given.shape} and dtype {given.dtype}")
        if isinstance(index_to_key, str):
            raise TypeError(f"KeyedVectors: index_to_key must be a sequence of words, got the string {index_to_key!r}")
        words = list(index_to_key)
        if len(words) != len(given):
            raise ValueError(f"KeyedVectors: {len(words):,} words, but vectors of shape {given.shape}")
        if not words:
            raise ValueError("KeyedVectors: there are no words")
        with np.errstate(over="ignore"):    # what becomes infinite is refused below
            kept = given.astype(np.float32, copy=given.flags.writeable, order="C")
        wrong = np.flatnonzero(~np.isfinite(kept).all(1))
        if len(wrong):
            raise ValueError(f"KeyedVectors: the vector of {words[wrong[0]]!r} (row {wrong[0]}) has a number that is "
                             "not finite in float32")
        self.key_to_index: dict[str, int] = {}
        for row, word in enumerate(words):
            if not isinstance(word, str):
                raise TypeError(f"KeyedVectors: words must be strings, got {word!r} in row {row}")
            if self.key_to_index.setdefault(word, row) != row:
                raise ValueError(f"KeyedVectors: the word {word!r} stands twice, in rows {self.key_to_index[word]} "
                                 f"and {row}")
        kept.flags.writeable = False
        self.index_to_key, self.vectors = words, kept
        self._unit: np.ndarray | None = None

    # ---- files ------------------------------------------------------------------------------------------------------
    @classmethod
    def load(cls, path: str | os.PathLike[str], format: str = "auto", *, errors: str = "strict") -> Self:
        """Read a file of word vectors.

        Parameters
        ----------
        path : str or Path
            Compressed by gzip or not.
        format : "auto", "word2vec", "word2vec-binary", "glove", "fasttext" or "safetensors"
            "auto" looks into the file. The vectors of "safetensors" are memory-mapped.
        errors : "strict" or "skip"
            "skip" leaves out rows that cannot be read, are not finite, or whose word stood before, with a warning that
            counts them.

        Raises
        ------
        ValueError
            For a file that is damaged, naming the line (or the word), and what is wrong with it.
        OSError
            If it cannot be read.
        """
        return cls(*read(path, format, errors))

    def save(self, path: str | os.PathLike[str], format: str = "word2vec") -> None:
        """Write a file of word vectors, from which every bit is read again; `.gz` at the end of its name compresses it.

        Parameters
        ----------
        path : str or Path
            A file that exists is replaced at once or not at all.
        format : "word2vec", "word2vec-binary", "glove", "fasttext" or "safetensors"

        Raises
        ------
        ValueError
            For a word that the format cannot hold (empty, with a space or a line end): "safetensors" holds all.
        """
        write(path, format, self.index_to_key, self.vectors)

    # ---- words ------------------------------------------------------------------------------------------------------
    def __len__(self) -> int:
        return len(self.index_to_key)

    def __contains__(self, word: object) -> bool:
        return word in self.key_to_index

    def __getitem__(self, words: Words) -> np.ndarray:
        """A word: its vector (size,). A list of words: their vectors, (k, size)."""
        if isinstance(words, str):
            return np.asarray(self.vectors[self.index(words)])
        return np.asarray(self.vectors[[self.index(word) for word in words]])

    def __repr__(self) -> str:
        return f"KeyedVectors({len(self):,} words, {self.vector_size} dimensions)"

    @property
    def vector_size(self) -> int:
        """Length of a vector."""
        return int(self.vectors.shape[1])

    @property
    def unit_vectors(self) -> np.ndarray:
        """The vectors divided by their lengths, (n, size) float32; computed once."""
        if self._unit is None:
            self._unit = unit(self.vectors)
            self._unit.flags.writeable = False
        return self._unit

    def index(self, word: str) -> int:
        """The row of a word. KeyError with the words that are spelled most alike."""
        if not isinstance(word, str):
            raise TypeError(f"expected a word, got {type(word).__name__}")
        try:
            return self.key_to_index[word]
        except KeyError:
            raise KeyError(f"the word {word!r} is not among the {len(self):,}{self._nearest_spelling(word)}") from None

    def _nearest_spelling(self, word: str) -> str:
        alike = [other for other in dict.fromkeys((word.lower(), word.capitalize(), word.upper())) if other in self]
        # Comparing spellings is slow: among words of about that length, the commonest first.
        candidates = [other for other in self.index_to_key if abs(len(other) - len(word)) <= 2][:20_000]
        alike += [other for other in difflib.get_close_matches(word, candidates, 3, 0.6) if other not in alike]
        return f"; nearest in spelling: {', '.join(map(repr, alike[:3]))}" if alike else ""

    # ---- similarity -------------------------------------------------------------------------------------------------
    def similarity(self, a: str, b: str) -> float:
        """Cosine of two words, -1 to 1."""
        return cosine(self[a], self[b])

    def distance(self, a: str, b: str) -> float:
        """1 - similarity, 0 to 2."""
        return 1 - self.similarity(a, b)

    def n_similarity(self, first: Sequence[str], second: Sequence[str]) -> float:
        """Cosine of the mean vectors of two lists of words."""
        for name, words in (("first", first), ("second", second)):
            if isinstance(words, str) or not len(words):
                raise ValueError(f"n_similarity: {name} must be a list of at least one word, got {words!r}")
        return cosine(*(self[list(words)].astype(np.float64).mean(0) for words in (first, second)))

    def doesnt_match(self, words: Sequence[str]) -> str:
        """The word that is least similar to the mean of all (of their unit vectors); the first of equals."""
        if isinstance(words, str) or len(words) < 2:
            raise ValueError(f"doesnt_match: expected a list of at least two words, got {words!r}")
        vectors = self.unit_vectors[[self.index(word) for word in words]].astype(np.float64)
        return list(words)[int(np.argmin(vectors @ vectors.mean(0)))]

    # ---- neighbours -------------------------------------------------------------------------------------------------
    def most_similar(self, positive: Any = (), negative: Any = (), topn: int = 10, method: str = "3cosadd",
                     restrict_vocab: int | None = None) -> list[tuple[str, float]]:
        """The words most similar to some words and least to others: king - man + woman.

            3cosadd:  cosine(v, sum of positive - sum of negative), all of length 1
            3cosmul:  product over positive of (1 + cosine)/2, over that of negative + 1e-6

        Parameters
        ----------
        positive, negative : word, vector (size,), or list of these
            Words that are named are never an answer.
        topn : int
        method : "3cosadd" or "3cosmul"
        restrict_vocab : int, optional
            Look among the first so many words only.

        Returns
        -------
        list of (word, score), best first

        Source: Mikolov, Yih and Zweig 2013; Levy and Goldberg 2014, Linguistic regularities, equations 2 and 4.
        """
        n = self._checked(topn, restrict_vocab)
        if method not in ("3cosadd", "3cosmul"):
            raise ValueError(f"most_similar: method must be '3cosadd' or '3cosmul', got {method!r}")
        plus, minus = as_list(positive), as_list(negative)
        if not plus and not minus:
            raise ValueError("most_similar: name at least one word in positive or negative")
        named = np.array([[self.index(word) for word in plus + minus if isinstance(word, str)]], np.int64)
        terms = np.stack([self._unit_of(word) for word in plus + minus])
        signs = np.array([1.0] * len(plus) + [-1.0] * len(minus))
        if method == "3cosadd":
            query = unit((signs @ terms.astype(np.float64))[None])
            return self._answer(*nearest(self.unit_vectors[:n], query, topn, named))
        cosines = (1 + self.unit_vectors[:n].astype(np.float64) @ terms.T) / 2
        scores = cosines[:, signs > 0].prod(1) / (cosines[:, signs < 0].prod(1) + EPSILON)
        scores[named[named < n]] = -np.inf
        best = np.argsort(-scores, kind="stable")[:topn]
        return self._answer(best[None], scores[best][None])

    def similar_by_vector(self, vector: Any, topn: int = 10,
                          restrict_vocab: int | None = None) -> list[tuple[str, float]]:
        """The words whose vectors have the largest cosine with a vector (size,)."""
        n = self._checked(topn, restrict_vocab)
        return self._answer(*nearest(self.unit_vectors[:n], self._unit_of(np.asarray(vector))[None], topn))

    def nearest_neighbours(self, queries: Any = None, topn: int = 10,
                           restrict_vocab: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The nearest words of many words or vectors at once, by one matrix product.

        Parameters
        ----------
        queries : list of words, or array_like (Q, size); None: all words
            A word is not its own neighbour.
        topn : int
        restrict_vocab : int, optional
            Look among the first so many words only.

        Returns
        -------
        rows : (Q, topn) int64
            Best first; `index_to_key[rows[q, 0]]` is the word nearest to query q. -1 where there are not enough.
        cosines : (Q, topn) float32
        """
        n = self._checked(topn, restrict_vocab)
        own = None
        if queries is None:
            vectors, own = self.unit_vectors, np.arange(len(self))[:, None]
        elif isinstance(queries, str):
            raise TypeError(f"nearest_neighbours: queries must be a list of words, got the string {queries!r}")
        elif not isinstance(queries, np.ndarray) and all(isinstance(word, str) for word in queries):
            own = np.array([self.index(word) for word in queries], np.int64)[:, None]
            vectors = self.unit_vectors[own[:, 0]]
        else:
            given = np.asarray(queries, np.float64)
            if given.ndim != 2 or given.shape[1] != self.vector_size:
                raise ValueError(f"nearest_neighbours: queries must have shape (Q, {self.vector_size}), got "
                                 f"{given.shape}")
            vectors = unit(given)
        return nearest(self.unit_vectors[:n], vectors, topn, own)

    # ---- judgments --------------------------------------------------------------------------------------------------
    def evaluate_word_pairs(self, file: str | os.PathLike[str], restrict_vocab: int | None = None) -> WordPairs:
        """Compare cosines with human judgments; see `WordPairs`."""
        return judge_pairs(self, file, self._checked(1, restrict_vocab))

    def evaluate_word_analogies(self, file: str | os.PathLike[str], restrict_vocab: int | None = 300_000) -> Analogies:
        """Answer analogy questions; see `Analogies`."""
        return judge_analogies(self, file, self._checked(1, restrict_vocab))

    # ---- underneath -------------------------------------------------------------------------------------------------
    def _checked(self, topn: int, restrict_vocab: int | None) -> int:
        for name, value in (("topn", topn), ("restrict_vocab", restrict_vocab)):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        return min(restrict_vocab or len(self), len(self))

    def _unit_of(self, word: Any) -> np.ndarray:
        """Unit vector of a word or a vector."""
        if isinstance(word, str):
            return np.asarray(self.unit_vectors[self.index(word)])
        vector = np.asarray(word, np.float64)
        if vector.shape != (self.vector_size,):
            raise ValueError(f"expected a word or a vector of shape ({self.vector_size},), got shape {vector.shape}")
        if not np.isfinite(vector).all():
            raise ValueError("expected a vector of finite numbers")
        return np.asarray(unit(vector[None])[0])

    def _answer(self, rows: np.ndarray, scores: np.ndarray) -> list[tuple[str, float]]:
        return [(self.index_to_key[row], float(score)) for row, score in zip(rows[0], scores[0]) if score > -np.inf]


def cosine(u: np.ndarray, v: np.ndarray) -> float:
    """u.v / (|u| |v|) in float64; 0 if either is zero."""
    a, b = np.asarray(u, np.float64), np.asarray(v, np.float64)
    lengths = float(np.sqrt((a * a).sum()) * np.sqrt((b * b).sum()))
    return float(np.clip((a * b).sum() / lengths, -1, 1)) if lengths else 0.0


def as_list(words: Any) -> list[Any]:
    """A word or a vector alone as a list of one."""
    alone = isinstance(words, str) or isinstance(words, np.ndarray) and words.ndim == 1 and words.dtype.kind in "fiu"
    return [words] if alone else list(words)
