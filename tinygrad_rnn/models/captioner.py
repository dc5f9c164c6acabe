"""A sentence about something that is no sentence: about one vector, or about a sequence of feature vectors.

    h_t = tanh(W_xh x_t + W_hh h_t-1 + W_ih v)      the vector v enters at every step (Mao 2015), or at the first alone
                                                    (Karpathy 2015, equation 13), in any cell
    S2VT    the lower layer reads the frames, then nothing; the upper one reads what the lower makes of them and
            nothing, then words (Venugopalan 2015)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import nn
from ..autograd import Tensor, no_grad, ops
from ..autograd.tensor import constant
from ..cells import Cell
from ..nn.checks import as_tensor, features
from ..random import Rng
from .decoder import Decoder, State, chosen_cell
from .stepping import arrays_of
from .teaching import mean_loss, read_own, reading


class VectorToSequence(nn.Module):
    """A sentence about a vector: image features, attributes.

    Parameters
    ----------
    vector_size : int
    vocabulary_size, embedding_size, hidden_size, num_layers, cell, dropout, rng : see `Decoder`
    project : int, optional
        Width to which the vector is brought by a learned layer, tanh(W v + b); None: it enters as it is.
    every_step : bool
        The vector enters at every step; else at the first alone.
    """

    def __init__(self, vector_size: int, vocabulary_size: int, embedding_size: int = 128, hidden_size: int = 256,
                 num_layers: int = 1, *, cell: Cell | str = "lstm", project: int | None = None,
                 every_step: bool = True, dropout: float = 0.0, rng: Rng = None) -> None:
        super().__init__()
        self.vector_size = vector_size
        self.project = None if project is None else nn.Linear(vector_size, project)
        self.decoder = Decoder(vocabulary_size, embedding_size, hidden_size, num_layers, cell=cell,
                               vector_size=project or vector_size, every_step=every_step, dropout=dropout)
        self.stream = np.random.default_rng(0)      # of scheduled sampling; initialise() seeds it
        self.initialise(rng)

    def encode(self, vector: Any) -> State:
        """The state that the decoder begins with, from vectors (B, vector_size)."""
        v = as_tensor(vector)
        if v.ndim != 2 or v.shape[1] != self.vector_size:
            raise ValueError(f"VectorToSequence: vector must have shape (B, vector_size={self.vector_size}), got "
                             f"{v.shape}")
        if self.project is not None:
            v = ops.tanh(self.project(v))
        return self.decoder.begin(v.shape[0], vector=v)

    def forward(self, vector: Any, target: Any, target_lengths: Any = None) -> Tensor:
        """Scores (T, B, V) of every next word; target (T, B) is what is read, the begin first."""
        y, _, _ = self.decoder(target, self.encode(vector), lengths=target_lengths)
        scores: Tensor = self.decoder.linear(y)
        return scores

    def loss(self, vector: Any, target: Any, target_lengths: Any = None, *, own: float = 0.0,
             label_smoothing: float = 0.0) -> Tensor:
        """Mean cross-entropy, nats a word; target (T, B) with begin and end.  See `EncoderDecoder.loss`."""
        state = self.encode(vector)
        read, following, lengths = reading(target, target_lengths, "VectorToSequence", state["first"][0].shape[0])
        if own:
            scores = read_own(self.decoder.step, read, state, own, self.stream)
            return mean_loss(lambda rows: rows, scores, following, lengths, label_smoothing)
        y, _, _ = self.decoder(read, state, lengths=lengths)
        return mean_loss(self.decoder.linear, y, following, lengths, label_smoothing)

    @no_grad()
    def stepper(self, vector: Any) -> tuple[Callable[..., Any], State]:
        """The model as decoding takes it, for these vectors: (step, state)."""
        return self.decoder.stepper(self.encode(vector))


class S2VT(nn.Module):
    """Feature vectors in, words out, by one stack of two layers that reads first and then writes.

    Parameters
    ----------
    feature_size : int
    vocabulary_size, embedding_size, hidden_size : int
    cell : Cell or str
    dropout : float
        On features and embeddings, and on what the scores are made of.
    rng : numpy.random.Generator, int or None
    """

    def __init__(self, feature_size: int, vocabulary_size: int, embedding_size: int = 128, hidden_size: int = 256, *,
                 cell: Cell | str = "lstm", dropout: float = 0.0, rng: Rng = None) -> None:
        super().__init__()
        base = chosen_cell(cell)
        self.feature_size, self.embedding_size = feature_size, embedding_size
        self.embedding = nn.Embedding(vocabulary_size, embedding_size)
        self.lower = nn.Recurrent(base, feature_size, hidden_size)
        out = base.sizes(feature_size, hidden_size).widths[base.output]
        self.upper = nn.Recurrent(base, out + embedding_size, hidden_size)
        self.linear = nn.Linear(base.sizes(out + embedding_size, hidden_size).widths[base.output], vocabulary_size)
        self.dropout = nn.Dropout(dropout)
        self.stream = np.random.default_rng(0)      # of scheduled sampling; initialise() seeds it
        self.initialise(rng)

    def encode(self, frames: Any, lengths: Any = None) -> State:
        """Read frames (S, B, feature_size); rows may end early.  Gives the state in which writing begins."""
        x = features("S2VT", frames, self.linear.weight, self.feature_size, "feature_size")
        if x.ndim != 3 or not x.shape[0]:
            raise ValueError(f"S2VT: frames must have shape (S, B, feature_size) with S >= 1, got {x.shape}")
        y, lower = self.lower(self.dropout(x), lengths=lengths)
        silence = constant(np.zeros((*x.shape[:2], self.embedding_size), y.dtype))
        _, upper = self.upper(ops.concat([y, silence], -1), lengths=lengths)
        return {"lower": _rows(lower), "upper": _rows(upper)}

    def read(self, tokens: Any, state: State, lengths: Any = None) -> tuple[Tensor, State]:
        """Read words (T, B): what the scores are made of, (T, B, hidden_size), and the state."""
        words = self.embedding(tokens)
        dark = constant(np.zeros((*words.shape[:2], self.feature_size), words.dtype))
        y, lower = self.lower(dark, _layer(state["lower"]), lengths)
        y, upper = self.upper(ops.concat([y, self.dropout(words)], -1), _layer(state["upper"]), lengths)
        return self.dropout(y), {"lower": _rows(lower), "upper": _rows(upper)}

    def step(self, words: np.ndarray, state: State) -> tuple[Tensor, State]:
        """One step on the tape: words (B,) -> scores (B, V) and the state."""
        y, state = self.read(words[None], state)
        return self.linear(y[0]), state

    def forward(self, frames: Any, target: Any, lengths: Any = None, target_lengths: Any = None) -> Tensor:
        """Scores (T, B, V) of every next word; target (T, B) is what is read, the begin first."""
        y, _ = self.read(target, self.encode(frames, lengths), target_lengths)
        scores: Tensor = self.linear(y)
        return scores

    def loss(self, frames: Any, target: Any, lengths: Any = None, target_lengths: Any = None, *, own: float = 0.0,
             label_smoothing: float = 0.0) -> Tensor:
        """Mean cross-entropy, nats a word; target (T, B) with begin and end.  See `EncoderDecoder.loss`."""
        state = self.encode(frames, lengths)
        words, following, counts = reading(target, target_lengths, "S2VT", state["lower"][0].shape[0])
        if own:
            return mean_loss(lambda rows: rows, read_own(self.step, words, state, own, self.stream), following, counts,
                             label_smoothing)
        y, _ = self.read(words, state, counts)
        return mean_loss(self.linear, y, following, counts, label_smoothing)

    @no_grad()
    def stepper(self, frames: Any, lengths: Any = None) -> tuple[Callable[..., Any], State]:
        """The model as decoding takes it, for these frames: (step, state)."""
        mode = self.training
        self.eval()
        try:
            return self._step, arrays_of(self.encode(frames, lengths))
        finally:
            self.train(mode)

    @no_grad()
    def _step(self, tokens: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        mode = self.training
        self.eval()
        try:
            scores, after = self.step(np.asarray(tokens), state)
            return ops.log_softmax(scores, axis=-1).data, arrays_of(after)
        finally:
            self.train(mode)


def _rows(state: Any) -> tuple[Any, ...]:
    """The state of a single layer, (B, width) each."""
    return tuple(ops.squeeze(part, 0) for part in state)


def _layer(state: Any) -> tuple[Any, ...]:
    """The way back."""
    return tuple(ops.expand_dims(part, 0) for part in state)
