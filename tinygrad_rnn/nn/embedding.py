"""Embedding: a row of a table for each id.

The lecture writes e_w = E o_w, the matrix E (size, vocabulary) times the one-hot column o_w of a word.  That product
picks a column of E; here the words are the rows of the table, and the row is read without multiplying by the zeros.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Self

import numpy as np

from ..autograd import Tensor
from ..autograd.ops import expand_dims, rows, where
from ..autograd.sparse import sparse_rows
from ..autograd.writes import wrote
from ..random import Rng
from . import init
from .checks import as_tensor, indices, positive
from .module import Module


class Embedding(Module):
    """A table of learned vectors, read by id.

    Parameters
    ----------
    num_embeddings : int
        Rows of the table: ids are 0 to num_embeddings - 1.
    embedding_dim : int
    padding_idx : int, optional
        An id whose row starts at zero and gets no gradient.
    max_norm : float, optional
        Before they are read, rows longer than this are shortened to it, in place.
    sparse : bool
        The gradient of the table is a RowSparse, of the rows that were read alone: for large tables.  SGD without
        momentum, Adagrad and Adam(lazy=True) take it, and both ways of clipping.
    rng : numpy.random.Generator, int or None
        The table starts standard normal, as PyTorch's.

    Attributes
    ----------
    weight : Parameter (num_embeddings, embedding_dim)
    found : float
        Of `from_pretrained`: the share of the vocabulary that has a vector.
    """

    weight: Tensor
    found: float = 0.0

    def __init__(self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None,
                 max_norm: float | None = None, sparse: bool = False, *, rng: Rng = None) -> None:
        super().__init__()
        positive("Embedding", num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        if max_norm is not None and not max_norm > 0:
            raise ValueError(f"Embedding: max_norm must be positive, got {max_norm}")
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise ValueError(f"Embedding: padding_idx must be an id of {num_embeddings} rows, got {padding_idx}")
            padding_idx %= num_embeddings
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx, self.max_norm, self.sparse = padding_idx, max_norm, sparse
        self.declare("weight", (num_embeddings, embedding_dim), partial(_normal_but_padding, padding_idx=padding_idx))
        self.initialise(rng)

    @classmethod
    def from_pretrained(cls, kv_or_array: Any, vocabulary: Any = None, freeze: bool = False, *,
                        missing: str | Callable[..., Any] = "normal", rng: Rng = None) -> Self:
        """A table of given vectors.

        Parameters
        ----------
        kv_or_array : KeyedVectors, or array_like (num_embeddings, embedding_dim), floating
        vocabulary : data.Vocabulary or sequence of str, optional
            With KeyedVectors: the words of the rows, in the order of their ids. None: all words that have vectors.
        freeze : bool
            Keep the table as it is while training.
        missing : "normal", "zeros" or callable
            Rows of words without a vector: normal with the mean and standard deviation of each dimension over the rows
            that were found (a standard normal where none was); zero; or `missing(word)` -> (embedding_dim,).
        rng : numpy.random.Generator, int or None
            For missing="normal".

        Returns
        -------
        Embedding
            Its `found` is the share of the words that have a vector, 0 to 1.

        Raises
        ------
        TypeError
            For a vocabulary with an array, whose rows have no words.
        """
        keys = getattr(kv_or_array, "key_to_index", None)
        table, found = as_tensor(getattr(kv_or_array, "vectors", kv_or_array)).data, 1.0
        if table.ndim != 2 or table.dtype.kind != "f":
            raise ValueError("from_pretrained: expected floating vectors (num_embeddings, embedding_dim), got shape "
                             f"{table.shape} and dtype {table.dtype}")
        if vocabulary is not None:
            if keys is None:
                raise TypeError("from_pretrained: vocabulary= chooses words of KeyedVectors; the rows of an array have "
                                "no words, pass them in the order of the ids")
            tokens = list(getattr(vocabulary, "tokens", vocabulary))
            if not tokens:
                raise ValueError("from_pretrained: vocabulary has no words")
            table, found = _chosen(table, keys, tokens, missing, np.random.default_rng(rng))
        layer = cls(*table.shape, rng=0)
        layer.astype(table.dtype).weight.data[...] = table
        layer.weight.requires_grad_(not freeze)
        layer.found = found
        return layer

    def forward(self, ids: Any) -> Tensor:
        """ids: integers of any shape -> (..., embedding_dim)."""
        return embedding(ids, self.weight, self.padding_idx, self.max_norm, self.sparse)

    def extra_repr(self) -> str:
        """Sizes and options."""
        options = "".join(f", {name}={getattr(self, name)}" for name in ("padding_idx", "max_norm")
                          if getattr(self, name) is not None)
        return f"{self.num_embeddings}, {self.embedding_dim}{options}{', sparse=True' * self.sparse}"


def embedding(ids: Any, weight: Tensor, padding_idx: int | None = None, max_norm: float | None = None,
              sparse: bool = False) -> Tensor:
    """Rows of a table.

    Parameters
    ----------
    ids : array_like of int, any shape
    weight : Tensor (V, D)
    padding_idx, max_norm, sparse : see `Embedding`
        A weight that is itself the result of an operation gets its gradient dense.

    Returns
    -------
    Tensor, shape of ids + (D,)

    Raises
    ------
    IndexError
        For an id that is no row, with its position; ids do not count from the end.
    TypeError
        For ids that are not integers.
    """
    weight = as_tensor(weight)
    ids = indices("embedding", "id", ids, weight.shape[0], "rows")
    if max_norm is not None:
        _shorten(weight.data, np.unique(ids), max_norm)
        wrote(weight.data, "embedding(max_norm)")
    if sparse and weight.is_leaf:
        return as_tensor(sparse_rows(weight, ids, without=None if padding_idx is None else padding_idx % len(weight)))
    vectors: Tensor = rows(weight, ids)
    if padding_idx is not None:
        # Where a constant stands in for the row that was read, no gradient reaches the row.
        vectors = where(expand_dims(ids == padding_idx % weight.shape[0], -1), weight.data[padding_idx], vectors)
    return vectors


def _shorten(table: np.ndarray, ids: np.ndarray, max_norm: float) -> None:
    """Scale the rows that are longer than max_norm down to it."""
    lengths = np.sqrt(np.square(table[ids], dtype=np.float64).sum(1))
    long = ids[lengths > max_norm]
    # PyTorch's constant against a division by zero, so that the numbers agree.
    table[long] *= (max_norm / (lengths[lengths > max_norm] + 1e-7))[:, None].astype(table.dtype)


def _normal_but_padding(tensor: Tensor, padding_idx: int | None, rng: Rng = None) -> Tensor:
    """Standard normal rows, zeros for padding."""
    init.normal_(tensor, rng=rng)
    if padding_idx is not None:
        tensor.data[padding_idx] = 0
    return tensor


def _chosen(table: np.ndarray, keys: Any, tokens: list[str], missing: str | Callable[..., Any],
            rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """The vectors of some words, and the share of them that was found."""
    if not callable(missing) and missing not in ("normal", "zeros"):
        raise ValueError(f"from_pretrained: missing must be 'normal', 'zeros' or a function, got {missing!r}")
    rows = np.array([keys.get(token, -1) for token in tokens], np.int64)
    known = rows >= 0
    chosen = np.zeros((len(tokens), table.shape[1]), table.dtype)
    chosen[known] = table[rows[known]]
    if missing == "normal":
        mean, std = (chosen[known].mean(0), chosen[known].std(0)) if known.any() else (0.0, 1.0)
        chosen[~known] = mean + std * rng.standard_normal((int((~known).sum()), table.shape[1]))
    elif callable(missing):
        for row in np.flatnonzero(~known):
            vector = np.asarray(missing(tokens[row]))
            if vector.shape != table.shape[1:]:
                raise ValueError(f"from_pretrained: missing({tokens[row]!r}) must give shape {table.shape[1:]}, got "
                                 f"{vector.shape}")
            chosen[row] = vector
    return chosen, float(known.mean())
