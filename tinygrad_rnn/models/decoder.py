"""A decoder: a language model of the target that is told what to speak of.

It may be told by the state that it begins with, by a memory that it attends to, by a vector that enters at the first
step or at every step, h = tanh(W x + W' h_prev + W'' v + b), or by several of these.

    embedding -> first layer (attending, conditioned, or plain) -> layers above -> scores of the next word
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import nn
from ..autograd import Tensor, ops
from ..autograd.tensor import constant
from ..cells import Cell, catalogue, conditioned
from ..nn.attention import Memory
from ..nn.checks import as_tensor, positive, same_dtype
from ..random import Rng
from .stepping import Stepping

State = dict[str, Any]


def chosen_cell(cell: Cell | str) -> Cell:
    """A cell of the catalogue by its name; a Cell as it is."""
    if isinstance(cell, Cell):
        return cell
    known = catalogue()
    if cell not in known:
        raise ValueError(f"cell must be a Cell or one of {', '.join(known)}, got {cell!r}")
    return known[cell]


class Decoder(nn.Module):
    """Words in, scores of the next words out.

    Parameters
    ----------
    vocabulary_size : int
        V.
    embedding_size, hidden_size, num_layers : int
    cell : Cell or str
        Of all layers; a name of the catalogue.
    memory_size : int, optional
        Width of a memory to attend to, by the first layer; None: no attention.
    score, size, feeding
        Of the attention, see `nn.Attending`.
    vector_size : int, optional
        Width of a vector that enters the first layer.
    every_step : bool
        The vector enters at every step; else at the first alone.
    dropout : float
        On embeddings, between layers, and on what the scores are made of.
    rng : numpy.random.Generator, int or None
    """

    def __init__(self, vocabulary_size: int, embedding_size: int = 256, hidden_size: int = 256, num_layers: int = 1, *,
                 cell: Cell | str = "lstm", memory_size: int | None = None, score: str = "general",
                 size: int | None = None, feeding: str | None = "attended", vector_size: int | None = None,
                 every_step: bool = True, dropout: float = 0.0, rng: Rng = None) -> None:
        super().__init__()
        positive("Decoder", vocabulary_size=vocabulary_size, num_layers=num_layers)
        if memory_size is not None and vector_size is not None:
            raise ValueError("Decoder: give memory_size or vector_size: a vector can be one place of a memory")
        self.cell = base = chosen_cell(cell)
        self.num_layers, self.every_step, self.vector_size = num_layers, bool(every_step), vector_size
        self.embedding = nn.Embedding(vocabulary_size, embedding_size)
        if memory_size is not None:
            self.first: Any = nn.Attending(base, embedding_size, hidden_size, memory_size, score, size, feeding)
        else:
            own = base if vector_size is None else conditioned(base, vector_size)
            self.first = nn.Recurrent(own, embedding_size, hidden_size)
        self.above: nn.Recurrent | None = None
        if num_layers > 1:
            width = base.sizes(embedding_size, hidden_size).widths[base.output]
            self.above = nn.Recurrent(base, width, hidden_size, num_layers - 1, dropout=dropout)
        out = base.sizes(embedding_size, hidden_size).widths[base.output]
        self.linear = nn.Linear(out, vocabulary_size)
        self.dropout = nn.Dropout(dropout)
        self.hidden_size, self.output_size = hidden_size, out
        self.widths = [base.sizes(embedding_size, hidden_size).widths[s.row] for s in base.carried]
        self.initialise(rng)

    @property
    def attends(self) -> bool:
        """Does it look at a memory?"""
        return isinstance(self.first, nn.Attending)

    # ---- state ------------------------------------------------------------------------------------------------------
    def begin(self, batch: int, layers: Sequence[Sequence[Any]] | None = None, memory: Memory | None = None,
              vector: Any = None) -> State:
        """The state to begin with.

        Parameters
        ----------
        batch : int
        layers : for each layer the states of the cell, (B, width) each; None: zeros
        memory : what `remember` gave, for a decoder that attends
        vector : Tensor (B, vector_size), for one that is conditioned

        Returns
        -------
        dict of tuples of Tensors, each (B, ...)
        """
        dtype = self.linear.weight.dtype
        if layers is None:
            layers = [tuple(constant(np.zeros((batch, width), dtype)) for width in self.widths)] * self.num_layers
        first = tuple(layers[0])
        if self.attends:
            if memory is None:
                raise ValueError("Decoder: it attends to a memory: give one")
            first = self.first.begin(first, memory.mask.shape[1])
        state: State = {"first": first, "above": [tuple(layer) for layer in layers[1:]]}
        if self.vector_size is not None:
            v = as_tensor(vector) if vector is not None else None
            if v is None or v.shape != (batch, self.vector_size):
                raise ValueError(f"Decoder: vector must have shape (B, vector_size) = {(batch, self.vector_size)}, got "
                                 f"{None if v is None else v.shape}")
            state["vector"] = same_dtype("Decoder", "vector", v, self.linear.weight)
        return state

    # ---- all steps --------------------------------------------------------------------------------------------------
    def forward(self, tokens: Any, state: State, memory: Memory | None = None, lengths: Any = None,
                return_weights: bool = False) -> tuple[Tensor, State, Any]:
        """Read words.

        Parameters
        ----------
        tokens : int array (T, B)
        state : from `begin`, or from a call before
        memory : what `remember` gave
        lengths : array_like of int (B,), optional
        return_weights : bool

        Returns
        -------
        features : Tensor (T, B, output_size)
            `linear` makes scores of the next words of them.
        state : after the last word
        weights : Tensor (T, B, S) if asked for, else None
        """
        x = self.dropout(self.embedding(tokens))
        after: State = dict(state)
        weights = None
        if self.attends:
            y, after["first"], *more = self.first(x, memory, state["first"], lengths, return_weights=return_weights)
            weights = more[0] if more else None
        else:
            inputs = {self.first.cell.inputs[-1]: self._vector(state, x)} if self.vector_size is not None else {}
            y, after["first"] = _layered(self.first, x, [state["first"]], lengths, inputs)
            after["first"], = after["first"]
            if self.vector_size is not None and not self.every_step:
                after["vector"] = constant(np.zeros(state["vector"].shape, x.dtype))
        if self.above is not None:
            y, after["above"] = _layered(self.above, self.dropout(y), state["above"], lengths, {})
        return self.dropout(y), after, weights

    def _vector(self, state: State, x: Any) -> Any:
        """The vector as a further input: for all steps, or for the first with zeros after it."""
        v = state["vector"]
        if self.every_step:
            return v
        rest = constant(np.zeros((x.shape[0] - 1, *v.shape), x.dtype))
        return ops.concat([ops.expand_dims(v, 0), rest], 0)

    def step(self, words: np.ndarray, state: State, memory: Memory | None = None) -> tuple[Tensor, State]:
        """One step on the tape: words (B,) -> scores (B, V) and the state."""
        y, state, _ = self(words[None], state, memory)
        return self.linear(y[0]), state

    # ---- inference --------------------------------------------------------------------------------------------------
    def stepper(self, state: State, memory: Memory | None = None,
                weights: bool = False) -> tuple[Callable[..., Any], State]:
        """The model for `tinygrad_rnn.decode`: (step, state), without a tape and with the weights packed once.

        step(tokens (N,), state) -> (log-probabilities (N, V), state); every array of the state has N as its first axis,
        and may be reordered, repeated and shortened along it.

        Parameters
        ----------
        state : from `begin`
        memory : what `remember` gave
        weights : bool
            state["attention"], (N, S), says where the last step looked: coverage and `replace_unknown` ask for it.

        Raises
        ------
        ValueError
            If weights are asked for, and it attends to nothing.
        """
        step = Stepping(self, state, memory, weights)
        return step, step.state


def _layered(layer: nn.Recurrent, x: Any, states: Sequence[Any], lengths: Any, inputs: Any) -> tuple[Any, list[Any]]:
    """Run layers whose states come one layer after the other, (B, width) each."""
    given = tuple(ops.stack(list(column)) for column in zip(*states))
    y, after = layer(x, given, lengths, **inputs)
    return y, list(zip(*(ops.unstack(part) for part in after)))
