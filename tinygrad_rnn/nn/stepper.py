"""Inference with a recurrent layer one step at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..autograd import Tensor
from ..autograd.primitive import as_array
from ..autograd.tensor import constant
from ..cells.sequence import compiled
from ..cells.stepper import NOTHING, CompiledStepper, ReadableStepper
from .checks import as_tensor, positive, same_dtype

if TYPE_CHECKING:
    from .stack import Stack


class Stepper:
    """A layer's steps, one a call: `h = step(x)`.  `layer.stepper()` makes one.

    The weights are packed once, when it is made; later changes of the layer do not show.  Nothing is recorded, dropout
    is off, zoneout at its expectation, as after `layer.eval()`.

    Parameters
    ----------
    layer : RNN, LSTM, GRU or Recurrent, not bidirectional
    state : as the layer's, optional
    batch : int

    Attributes
    ----------
    state : as the layer's, of arrays
        After the last step; may be assigned, None for zeros.

    Raises
    ------
    ValueError
        For a bidirectional layer, whose second direction begins at the end.
    """

    def __init__(self, layer: Stack, state: Any = None, batch: int = 1) -> None:
        if layer.bidirectional:
            raise ValueError("stepper: the layer is bidirectional, and its second direction begins at the end")
        positive("stepper", batch=batch)
        self._layer, self._batch = layer, batch
        mode, layer.training = layer.training, False        # part() draws no masks
        self._steps = [self._of(k) for k in range(layer.num_layers)]
        layer.training = mode
        self.state = state

    def _of(self, k: int) -> CompiledStepper | ReadableStepper:
        """The steps of layer k."""
        part = self._layer.part(k, 1, self._batch)
        parameters = part.form.unpack([np.array(t.data) for t in part.tensors])
        if not self._layer.compiled:
            return ReadableStepper(part.cell, parameters)
        plan = compiled(part.cell, self._layer.input_width(k), part.hidden_size, self._layer.first.dtype)
        return CompiledStepper(plan, parameters, self._batch)

    def __call__(self, x: Any, **inputs: Any) -> np.ndarray:
        """One step.

        Parameters
        ----------
        x : array_like (B, D), or (D,) for a batch of one
        **inputs : array_like (B, width)
            The cell's further inputs.

        Returns
        -------
        ndarray (B, width), or (width,) for an x without batch
            The output of the last layer.

        Raises
        ------
        ValueError, TypeError
            For an x or further inputs that do not fit.
        """
        layer = self._layer
        array = _array(x)
        if array.shape != (self._batch, layer.input_size) and array.shape != (layer.input_size,) * (self._batch == 1):
            expected = self._batch, layer.input_size
            raise ValueError(f"stepper: x must have shape (B, D) = {expected}, got {array.shape}")
        if array.dtype != layer.first.dtype:
            same_dtype("stepper", "x", as_tensor(array), layer.first)
        given = self._further(inputs) if inputs or len(layer.cell.inputs) > 1 else {}
        below = [array if array.ndim == 2 else array[None]]
        for k, step in enumerate(self._steps):
            y = step(np.concatenate(below, -1) if layer.skip == "dense" else below[-1], given)
            below.append(y + below[-1] if layer.skip == "residual" and k else y)
        return below[-1].copy() if array.ndim == 2 else below[-1][0].copy()

    def from_state(self, x: np.ndarray, state: Any, inputs: Mapping[str, np.ndarray] = NOTHING,
                   places: np.ndarray | None = None) -> tuple[np.ndarray, tuple[tuple[np.ndarray, ...], ...]]:
        """One step of up to `batch` rows from a state of theirs; see `RowStepper`."""
        below, after, skip = [x], [], self._layer.skip
        for k, (step, one) in enumerate(zip(self._steps, state)):
            y, new = step.from_state(np.concatenate(below, -1) if skip == "dense" else below[-1], one, inputs, places)
            after.append(new)
            below.append(y + below[-1] if skip == "residual" and k else y)
        return below[-1], tuple(after)

    def share(self, whole: Mapping[str, np.ndarray]) -> None:
        """What the cell reads whole, for `from_state`."""
        for step in self._steps:
            step.share(whole)

    def kept(self, rows: int) -> np.ndarray:
        """The attention weights of the last step, (rows, S), of a layer whose cell attends."""
        return self._steps[-1].kept(rows)

    def _further(self, inputs: dict[str, Any]) -> dict[str, np.ndarray]:
        """The further inputs as arrays."""
        return {name: value.data for name, value in self._layer.further(inputs, 1, self._batch, True).items()}

    @property
    def state(self) -> Any:
        """After the last step, as the layer's; arrays."""
        after = self._layer.packed([tuple(map(constant, step.state)) for step in self._steps], True)
        return _arrays(after)

    @state.setter
    def state(self, state: Any) -> None:
        for step, one in zip(self._steps, self._layer.unpacked(state, self._batch, True)):
            step.state = tuple(np.asarray(value, self._layer.first.dtype) for value in one)


class RowStepper:
    """A layer's steps from any state, for any number of rows: `h, state = step(x, state)`. For decoders.

    The state is a tuple over the layers of tuples of arrays, (N, width) each: rows come first, so that a search can
    reorder them. A row's numbers do not depend on the others. The weights are packed once, as by `Stepper`.

    Parameters
    ----------
    layer : RNN, LSTM, GRU or Recurrent, not bidirectional
    whole : dict of arrays (B, ...), optional
        What the cell reads whole, as keys and values of attention, for B sentences: it stays where it is, and each row
        says which of them it belongs to. Needed where the cell has further inputs; {} if they are all one row a step.
    rows : int
        For so many there is room from the beginning; more pack the weights anew.

    Raises
    ------
    ValueError
        For another layer, and one whose cell has further inputs without `whole`.
    """

    def __init__(self, layer: Stack, whole: Mapping[str, np.ndarray] | None = None, rows: int = 1) -> None:
        if len(layer.cell.inputs) > 1 and (whole is None or set(whole) != set(layer.cell.whole)):
            further = ", ".join(layer.cell.inputs[1:])
            raise ValueError(f"row_stepper: the cell has further inputs, {further}; use stepper, or give whole=, a "
                             f"dict of those read whole: {', '.join(sorted(layer.cell.whole)) or 'none of them'}")
        self._layer, self._room, self._whole = layer, 0, dict(whole or {})
        self._make(rows)

    def _make(self, room: int) -> None:
        """Steps for up to so many rows."""
        self._stepper, self._room = Stepper(self._layer, None, room), room
        self._stepper.share(self._whole)

    def start(self, state: Any = None, batch: int = 1) -> tuple[tuple[np.ndarray, ...], ...]:
        """The layer's state (num_layers, B, H), or what it is, as rows; zeros for None."""
        dtype = self._layer.first.dtype
        return tuple(tuple(np.asarray(_array(value), dtype) for value in one)
                     for one in self._layer.unpacked(state, batch, True))

    def __call__(self, x: np.ndarray, state: Any, inputs: Mapping[str, np.ndarray] = NOTHING,
                 places: np.ndarray | None = None) -> tuple[np.ndarray, tuple[tuple[np.ndarray, ...], ...]]:
        """One step.

        Parameters
        ----------
        x : array (N, D) in the layer's dtype
        state : as `start` and this function give it
        inputs : dict of arrays (N, width)
            Further inputs of the cell.
        places : (N,) int64
            Which of the B sentences each row belongs to; None: one row each, in order.

        Returns
        -------
        output of the last layer, (N, width), overwritten by the next call; state
        """
        if x.ndim != 2 or x.shape[1] != self._layer.input_size:
            raise ValueError(f"row_stepper: x must have shape (N, D), D = {self._layer.input_size}, got {x.shape}")
        if len(x) > self._room:
            self._make(max(len(x), 2 * self._room))     # twice as many: few calls pack the weights anew
        return self._stepper.from_state(x, state, inputs, places)

    def kept(self, rows: int) -> np.ndarray:
        """The attention weights of the last step, (rows, S), of a layer whose cell attends and is compiled."""
        return self._stepper.kept(rows)


def _array(x: Any) -> np.ndarray:
    return x.data if isinstance(x, Tensor) else as_array(x)


def _arrays(state: Any) -> Any:
    """Nested lists and tuples of Tensors as such of arrays."""
    return type(state)(map(_arrays, state)) if isinstance(state, (list, tuple)) else state.numpy()
