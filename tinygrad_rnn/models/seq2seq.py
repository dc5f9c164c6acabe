"""Encoder and decoder with attention between them: translation, and whatever else turns one sequence into another.

    states = encoder(source)                                    Sutskever 2014 without, Bahdanau 2015 with attention
    p(y_t | y_1 ... y_t-1, source) = decoder(y_t-1, attention to the states)

    model = EncoderDecoder(V_source, V_target)
    model.loss(source, target, source_lengths, target_lengths).backward()
    step, state = model.stepper(source, source_lengths)         # for tinygrad_rnn.decode
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import nn
from ..autograd import Tensor, no_grad
from ..cells import Cell
from ..nn.attention import Memory
from ..random import Rng
from .decoder import Decoder, State
from .encoder import Bridge, Encoder
from .teaching import mean_loss, read_own, reading


class EncoderDecoder(nn.Module):
    """A deep encoder, a bridge, a decoder.

    Parameters
    ----------
    source_vocabulary_size : int or None
        None: the source is a sequence of feature vectors, source_size wide.
    target_vocabulary_size : int
        V.
    embedding_size, hidden_size : int
        Of both sides; the encoder has hidden_size units a direction.
    num_layers : int
        Of the decoder; the first one attends.
    encoder_layers : int, optional
        By default as many.
    cell : Cell or str
        A name of the catalogue, or a cell of your own.
    bidirectional : bool
        The encoder.
    score : str or None
        "general", "dot", "scaled_dot", "additive", "location", see `nn.Attention`; None: no attention.
    size : int, optional
        See `nn.Attending`.
    feeding : "attended", "context" or None
        How the decoder hears of its attention, see `nn.Attending`.
    bridge : "tanh", "copy" or "zeros"
        From the encoder's last states to the decoder's first.
    dropout : float
    source_size : int, optional
        Width of the feature vectors.
    rng : numpy.random.Generator, int or None
    """

    def __init__(self, source_vocabulary_size: int | None, target_vocabulary_size: int, embedding_size: int = 256,
                 hidden_size: int = 256, num_layers: int = 1, *, encoder_layers: int | None = None,
                 cell: Cell | str = "lstm", bidirectional: bool = True, score: str | None = "general",
                 size: int | None = None, feeding: str | None = "attended", bridge: str = "tanh", dropout: float = 0.0,
                 source_size: int | None = None, rng: Rng = None) -> None:
        super().__init__()
        if (source_vocabulary_size is None) == (source_size is None):
            raise ValueError("EncoderDecoder: give source_vocabulary_size for words, or None and source_size for "
                             "feature vectors")
        read = embedding_size if source_size is None else source_size
        self.encoder = Encoder(source_vocabulary_size, read, hidden_size, encoder_layers or num_layers, cell=cell,
                               bidirectional=bidirectional, dropout=dropout)
        self.decoder = Decoder(target_vocabulary_size, embedding_size, hidden_size, num_layers, cell=cell,
                               memory_size=None if score is None else self.encoder.output_size, score=score or "",
                               size=size, feeding=feeding, dropout=dropout)
        ways, widths = (2 if bidirectional else 1), self.decoder.widths
        self.bridge = Bridge([ways * width for width in widths], widths, num_layers, bridge)
        self.stream = np.random.default_rng(0)      # of scheduled sampling; initialise() seeds it
        self.initialise(rng)

    def encode(self, source: Any, lengths: Any = None) -> tuple[State, Memory | None]:
        """Read sources: the state that the decoder begins with, and the memory that it attends to.

        Parameters
        ----------
        source : int array (S, B), or Tensor (S, B, source_size)
        lengths : array_like of int (B,), optional
        """
        states, last = self.encoder(source, lengths)
        memory = self.decoder.first.remember(states, lengths=lengths) if self.decoder.attends else None
        return self.decoder.begin(states.shape[1], self.bridge(last), memory), memory

    def forward(self, source: Any, target: Any, source_lengths: Any = None, target_lengths: Any = None,
                own: float = 0.0) -> Tensor:
        """Scores of every next word, given the words before it.

        Parameters
        ----------
        source : int array (S, B), or Tensor (S, B, source_size)
        target : int array (T, B)
            What the decoder reads: the begin, then the words.
        source_lengths, target_lengths : array_like of int (B,), optional
        own : float
            Scheduled sampling: probability that it reads a word of its own in place of the true one.

        Returns
        -------
        Tensor (T, B, V)
            softmax makes probabilities of them; beyond a length they mean nothing.

        Raises
        ------
        ValueError, TypeError, IndexError
            For what does not fit, a length below 1, or words outside the vocabulary.
        """
        state, memory = self.encode(source, source_lengths)
        target = target.data if isinstance(target, Tensor) else np.asarray(target)
        self._check_batch(state, target)
        if own:
            return read_own(lambda words, s: self.decoder.step(words, s, memory), target, state, own, self.stream)
        y, _, _ = self.decoder(target, state, memory, target_lengths)
        scores: Tensor = self.decoder.linear(y)
        return scores

    def loss(self, source: Any, target: Any, source_lengths: Any = None, target_lengths: Any = None, *,
             own: float = 0.0, label_smoothing: float = 0.0) -> Tensor:
        """Mean cross-entropy of the target's words, nats a word, the end included.

        Parameters
        ----------
        target : int array (T, B)
            Begin, words, end.
        target_lengths : array_like of int (B,), optional
            Begin and end counted.
        source, source_lengths, own : see `forward`
        label_smoothing : float
            See `nn.functional.cross_entropy`.
        """
        state, memory = self.encode(source, source_lengths)
        batch = state["first"][0].shape[0]
        read, following, lengths = reading(target, target_lengths, "EncoderDecoder", batch)
        if own:
            scores = read_own(lambda words, s: self.decoder.step(words, s, memory), read, state, own, self.stream)
            return mean_loss(lambda rows: rows, scores, following, lengths, label_smoothing)
        y, _, _ = self.decoder(read, state, memory, lengths)
        return mean_loss(self.decoder.linear, y, following, lengths, label_smoothing)

    @no_grad()
    def attention_weights(self, source: Any, target: Any, source_lengths: Any = None,
                          target_lengths: Any = None) -> np.ndarray:
        """Where the decoder looks while it reads the target: (T, B, S), each row of weights sums to 1.

        Raises
        ------
        ValueError
            For a model without attention.
        """
        if not self.decoder.attends:
            raise ValueError("attention_weights: the model was built with score=None, it has no attention")
        mode = self.training
        self.eval()
        try:
            state, memory = self.encode(source, source_lengths)
            target = target.data if isinstance(target, Tensor) else np.asarray(target)
            self._check_batch(state, target)
            _, _, weights = self.decoder(target, state, memory, target_lengths, return_weights=True)
        finally:
            self.train(mode)
        found: np.ndarray = weights.data
        return found

    @no_grad()
    def stepper(self, source: Any, lengths: Any = None, *, weights: bool = False) -> tuple[Callable[..., Any], State]:
        """The model as decoding takes it, for these sources: (step, state); see `Decoder.stepper`."""
        mode = self.training
        self.eval()
        try:
            state, memory = self.encode(source, lengths)
        finally:
            self.train(mode)
        return self.decoder.stepper(state, memory, weights)

    def _check_batch(self, state: State, target: np.ndarray) -> None:
        batch = state["first"][0].shape[0]
        if target.ndim != 2 or not len(target) or target.shape[1] != batch:
            raise ValueError("EncoderDecoder: target must have shape (T, B) with T >= 1 and a row for each of the "
                             f"{batch} sources, got {target.shape}")


def plot_attention(weights: Any, source: list[str], target: list[str], axes: Any = None) -> Any:
    """Draw where each written word looked; needs matplotlib.

    Parameters
    ----------
    weights : array_like (T, S)
    source : S words
    target : T words
    axes : matplotlib Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If there are not as many words as weights.
    """
    import matplotlib.pyplot as plt
    array = np.asarray(weights)
    if array.shape != (len(target), len(source)):
        raise ValueError(f"plot_attention: weights must have shape (T, S) = {(len(target), len(source))}, one row for "
                         f"each written word, got {array.shape}")
    axes = plt.subplots()[1] if axes is None else axes
    axes.imshow(array, cmap="Greys", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(source)), source, rotation=60, ha="right")
    axes.set_yticks(range(len(target)), target)
    axes.set_xlabel("read")
    axes.set_ylabel("written")
    return axes
