"""A decoder one step at a time, for inference: what `tinygrad_rnn.decode` calls.

    logits, state = step.logits(words, state)

The memory that it attends to stays where it is, a row for each sentence, and state["sentence"] says which of them each
hypothesis looks at: neither reordering hypotheses nor dropping sentences moves it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import kernels
from ..autograd import Tensor, no_grad
from ..decode import Logits
from ..decode.state import PLACE
from ..nn.attention import Memory

if TYPE_CHECKING:
    from .decoder import Decoder

State = dict[str, Any]
WIDTH = 10      # hypotheses of a sentence for which there is room at once: what a beam has by default


class Output:
    """The scores of all words: y W + b, for any number of rows.

    Parameters
    ----------
    linear : nn.Linear
        As it is now; later changes do not show.
    """

    def __init__(self, linear: Any) -> None:
        weight, bias = linear.weight.data, linear.bias
        column = np.zeros((len(weight), 1), weight.dtype) if bias is None else bias.data[:, None]
        # The bias as one more row of the matrix, which meets a 1: it costs nothing there.
        self.matrix = kernels.pack(np.concatenate([weight, column], 1).T)
        self.hidden = np.ones((1, weight.shape[1] + 1), weight.dtype)

    def __call__(self, y: np.ndarray) -> Logits:
        """y (N, width) -> logits (N, V)."""
        rows = len(y)
        if rows > len(self.hidden):
            self.hidden = np.ones((rows, self.hidden.shape[1]), self.hidden.dtype)
        hidden = self.hidden[:rows]
        hidden[:, :-1] = y
        return Logits(kernels.matmul(hidden, self.matrix))


class Stepping:
    """Steps of a decoder, whose parameters must not change while a search runs.

    Parameters
    ----------
    decoder, state, memory, weights : see `Decoder.stepper`

    Attributes
    ----------
    state : to begin with
    """

    def __init__(self, decoder: Decoder, state: State, memory: Memory | None, weights: bool) -> None:
        self._decoder, first, rows = decoder, decoder.first, len(state["first"][0].data)
        self._memory = None if memory is None else Memory(*map(arrays_of, memory))
        self.state: State = {**arrays_of(state), PLACE: np.arange(rows)}
        if decoder.attends and memory is None:
            raise ValueError("Decoder: it attends to a memory: give one")
        if weights and memory is None:
            raise ValueError("Decoder: it attends to nothing, there are no weights to give")
        self._weights, self._on_tape = weights, decoder.attends and first.score == "location"
        if weights and self._memory is not None:
            self.state["attention"] = np.zeros_like(self._memory.mask)
        if self._on_tape:
            return
        room = WIDTH * rows
        if decoder.attends:
            self._first, self.state["first"] = first.row_stepper(self._memory, self.state["first"], room)
        else:
            self._first = first.row_stepper({}, room)
        self._above = None if decoder.above is None else decoder.above.row_stepper(rows=room)
        self._table, self._output = decoder.embedding.weight.data, Output(decoder.linear)
        self._vector = None if decoder.vector_size is None else first.cell.inputs[-1]

    def __call__(self, tokens: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        """tokens (N,), state -> log-probabilities (N, V), state."""
        found, state = self.logits(np.asarray(tokens), state)
        return kernels.log_softmax(found.scores), state

    def logits(self, tokens: np.ndarray, state: State) -> tuple[Logits, State]:
        """The same, before they are normalised."""
        if self._on_tape:
            return self._step_on_tape(tokens, state)
        after = state.copy()
        inputs: dict[str, Any] = {}
        if self._vector is not None:
            inputs = {self._vector: state["vector"]}
            if not self._decoder.every_step:
                after["vector"] = np.zeros_like(state["vector"])
        x, places = kernels.take_rows(self._table, tokens), None if self._memory is None else state[PLACE]
        y, (after["first"],) = self._first(x, (state["first"],), inputs, places)
        if self._weights:
            after["attention"] = self._first.kept(len(tokens))
        if self._above is not None:
            y, above = self._above(y, state["above"])
            after["above"] = list(above)
        return self._output(y), after

    def _step_on_tape(self, tokens: np.ndarray, state: State) -> tuple[Logits, State]:
        """Location-aware attention, a step of the layers themselves."""
        d, sentence = self._decoder, state[PLACE]
        assert self._memory is not None
        mode = d.training
        d.eval()
        try:
            with no_grad():
                scores, after = d.step(tokens, state, Memory(*(part[sentence] for part in self._memory)))
        finally:
            d.train(mode)
        after = arrays_of(after)
        if self._weights:
            after["attention"] = after["first"][-1]
        return Logits(scores.data), after


def arrays_of(value: Any) -> Any:
    """Tensors, nested in tuples, lists and dicts, as arrays."""
    if isinstance(value, dict):
        return {name: arrays_of(v) for name, v in value.items()}
    if isinstance(value, (tuple, list)):
        return type(value)(map(arrays_of, value))
    return value.data if isinstance(value, Tensor) else value
