"""RNNCell, LSTMCell and GRUCell: one step of RNN, LSTM and GRU, with PyTorch's names."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd.tensor import constant
from ..cells.sequence import run
from ..random import Rng
from .checks import as_tensor, features, same_dtype
from .rnn import PackedStack, elman, gru, lstm


class _OneStep(PackedStack):
    """One step of a layer; parameters without a layer's number: weight_ih, weight_hh, bias_ih, bias_hh."""

    def _suffixes(self) -> list[str]:
        return [""]

    def _step(self, x: Any, state: Any) -> tuple[Any, ...]:
        """x (B, D) or (D,), states alike -> the states after it."""
        who, first = type(self).__name__, self.first
        x = features(who, x, first, self.input_size, "input_size")
        if x.ndim not in (1, 2):
            raise ValueError(f"{who}: x must be (B, D) or, unbatched, (D,), got shape {x.shape}")
        lead = x.shape[:-1]
        before = [self._given(name, value, (*lead, width))
                  for name, value, width in zip(self.cell.states, state, self._widths[0])]
        part = self.part(0, 1, 1)
        x = x.astype(first.dtype) if x.dtype != first.dtype else x
        ones = (1,) * (2 - x.ndim)
        _, after = run(part.cell, part.hidden_size, x.reshape((1, *ones, *x.shape)),        # (B, D) -> (1, B, D)
                       [h.reshape((*ones, *h.shape)) for h in before], part.tensors, form=part.form)
        return tuple(h.reshape((*lead, h.shape[-1])) for h in after)

    def _given(self, name: str, value: Any, shape: tuple[int, ...]) -> Any:
        who = type(self).__name__
        if value is None:
            return constant(np.zeros(shape, self.first.dtype))
        value = same_dtype(who, f"state {name}", as_tensor(value), self.first)
        if value.shape != shape:
            raise ValueError(f"{who}: state {name} must have shape {shape}, got {value.shape}")
        return value


class RNNCell(_OneStep):
    """One step of `RNN`: h' = tanh(W_ih x + b_ih + W_hh h + b_hh).

    Parameters
    ----------
    input_size, hidden_size : int
    bias : bool
    nonlinearity : "tanh" or "relu"
    rng : numpy.random.Generator, int or None
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh", *,
                 rng: Rng = None) -> None:
        self.nonlinearity = nonlinearity
        super().__init__(*elman("RNNCell", nonlinearity, bias), input_size, hidden_size, 1, rng=rng)

    def forward(self, x: Any, h: Any = None) -> Any:      # type: ignore[override]
        """x (B, D) or (D,), h (B, H) or (H,), zeros if None -> h after the step."""
        return self._step(x, (h,))[0]


class LSTMCell(_OneStep):
    """One step of `LSTM`.

    Parameters
    ----------
    input_size, hidden_size : int
    bias : bool
    rng : numpy.random.Generator, int or None
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, *, rng: Rng = None) -> None:
        super().__init__(*lstm(bias), input_size, hidden_size, 1, rng=rng)

    def forward(self, x: Any, state: Any = None) -> Any:      # type: ignore[override]
        """x (B, D) or (D,), state (h, c), each (B, H) or (H,), zeros if None -> (h, c) after the step."""
        state = (None, None) if state is None else state
        if not isinstance(state, (tuple, list)) or len(state) != 2:
            raise TypeError(f"LSTMCell: state must be a tuple (h, c), got {type(state).__name__}")
        return self._step(x, state)


class GRUCell(_OneStep):
    """One step of `GRU`.

    Parameters
    ----------
    input_size, hidden_size : int
    bias : bool
    rng : numpy.random.Generator, int or None
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, *, rng: Rng = None) -> None:
        super().__init__(*gru(bias), input_size, hidden_size, 1, rng=rng)

    def forward(self, x: Any, h: Any = None) -> Any:      # type: ignore[override]
        """x (B, D) or (D,), h (B, H) or (H,), zeros if None -> h after the step."""
        return self._step(x, (h,))[0]
