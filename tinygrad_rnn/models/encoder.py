"""What is read before a word is written: a sequence of words or of feature vectors, as states at every step.

    states_t = [h_t forward; h_t backward]      deep and in both directions (Schuster 1997; Bahdanau 2015, section 3.2)
    start of the decoder = tanh(W [last forward; last backward] + b), a bridge for each of its layers and states
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import nn
from ..autograd import Tensor, ops
from ..cells import Cell
from ..nn.checks import features
from ..random import Rng
from .decoder import chosen_cell

BRIDGES = ("tanh", "copy", "zeros")


class Encoder(nn.Module):
    """Layers of a cell over a source.

    Parameters
    ----------
    vocabulary_size : int or None
        Of words; None: the source is a sequence of feature vectors.
    embedding_size : int
        Width of the words' vectors, or of the features.
    hidden_size, num_layers : int
    cell : Cell or str
    bidirectional : bool
    dropout : float
        On what is read, and between layers.
    rng : numpy.random.Generator, int or None

    Attributes
    ----------
    output_size : int
        Width of the states, of both directions together.
    """

    def __init__(self, vocabulary_size: int | None, embedding_size: int, hidden_size: int, num_layers: int = 1, *,
                 cell: Cell | str = "lstm", bidirectional: bool = True, dropout: float = 0.0, rng: Rng = None) -> None:
        super().__init__()
        base = chosen_cell(cell)
        self.embedding = None if vocabulary_size is None else nn.Embedding(vocabulary_size, embedding_size)
        self.layers = nn.Recurrent(base, embedding_size, hidden_size, num_layers, bidirectional=bidirectional,
                                   dropout=dropout)
        self.dropout = nn.Dropout(dropout)
        self.embedding_size = embedding_size
        out = base.sizes(embedding_size, hidden_size).widths[base.output]
        self.output_size = out * (2 if bidirectional else 1)
        self.initialise(rng)

    def forward(self, source: Any, lengths: Any = None) -> tuple[Tensor, list[tuple[Any, ...]]]:
        """Read sources.

        Parameters
        ----------
        source : int array (S, B), or Tensor (S, B, embedding_size) of features
        lengths : array_like of int (B,), optional

        Returns
        -------
        states : Tensor (S, B, output_size), 0 beyond a length
        last : for each layer the states of the cell after each row's last step, (B, directions * width) each

        Raises
        ------
        ValueError, TypeError, IndexError
            For a source that is empty, does not fit, or has a word outside the vocabulary; for a length below 1.
        """
        if self.embedding is None:
            x = features("Encoder", source, self.layers.first, self.embedding_size, "embedding_size")
        else:
            ids = source.data if isinstance(source, Tensor) else np.asarray(source)
            if ids.ndim != 2:
                raise ValueError(f"Encoder: source must have shape (S, B), got {ids.shape}")
            x = self.embedding(ids)
        if x.ndim != 3:
            raise ValueError(f"Encoder: source must have shape (S, B, D), got {x.shape}")
        if not x.shape[0]:
            raise ValueError("Encoder: the source is empty: it has no step")
        states, after = self.layers(self.dropout(x), lengths=lengths)
        ways = 2 if self.layers.bidirectional else 1
        columns = [ops.unstack(part) for part in after]             # a state of the cell: layer 0, layer 0 reverse ...
        last = [tuple(column[k] if ways == 1 else ops.concat(list(column[k:k + 2]), -1) for column in columns)
                for k in range(0, ways * self.layers.num_layers, ways)]
        return states, last


class Bridge(nn.Module):
    """From an encoder's last states to those that a decoder begins with.

    Parameters
    ----------
    sizes : widths of the encoder's states, of both directions together, one a state of the cell
    widths : those of the decoder
    layers : int
        Of the decoder; layer k begins where layer k of the encoder, or its last one, ended.
    kind : "tanh", "copy" or "zeros"
    rng : numpy.random.Generator, int or None
    """

    def __init__(self, sizes: Sequence[int], widths: Sequence[int], layers: int, kind: str = "tanh", *,
                 rng: Rng = None) -> None:
        super().__init__()
        if kind not in BRIDGES:
            raise ValueError(f"Bridge: kind must be one of {', '.join(map(repr, BRIDGES))}, got {kind!r}")
        if kind == "copy" and tuple(sizes) != tuple(widths):
            raise ValueError(f"Bridge: kind='copy' needs states of one width: the encoder's are {tuple(sizes)} wide, "
                             f"the decoder's {tuple(widths)}")
        self.kind, self.layers = kind, layers
        self.linear = nn.ModuleList([nn.Linear(n, width) for _ in range(layers) for n, width in zip(sizes, widths)]
                                    if kind == "tanh" else [])
        self.initialise(rng)

    def forward(self, last: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]] | None:
        """The encoder's last states by layer -> the decoder's first ones by layer; None for zeros."""
        if self.kind == "zeros":
            return None
        found = []
        for k in range(self.layers):
            states = last[min(k, len(last) - 1)]
            maps = self.linear[k * len(states):(k + 1) * len(states)]
            found.append(tuple(states) if self.kind == "copy" else
                         tuple(ops.tanh(linear(s)) for linear, s in zip(maps, states)))
        return found
