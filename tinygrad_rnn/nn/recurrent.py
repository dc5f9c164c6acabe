"""Recurrent layers: RNN, LSTM and GRU, the equations step by step on the tape.

`_step` of each layer is its equations.  What surrounds them is common: one product for the input's side of all steps,
the loop over time, ragged lengths, directions, stacking, and the state's layout, which are PyTorch's.
"""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ..autograd import Tensor, ops
from ..autograd.ops import concat, linear, sigmoid, split, stack, swapaxes, tanh, unstack, where
from ..autograd.tensor import constant
from ..random import Rng
from . import init
from . import lengths as ragged
from .checks import as_tensor, features, positive, probability, same_dtype
from .dropout import dropout
from .module import Module


class Weights(NamedTuple):
    """What one direction of one layer multiplies by; None for what it does not have."""

    ih: Any
    hh: Any
    b_ih: Any
    b_hh: Any
    hr: Any


class _Layers(Module):
    """Layers of one recurrence, in one or both directions."""

    gates: ClassVar[int]                    # blocks of hidden_size rows in each weight
    states: ClassVar[tuple[str, ...]]       # rows that one step hands to the next, the output first
    weight_ih_l0: Tensor

    def __init__(self, input_size: int, hidden_size: int, num_layers: int, bias: bool, batch_first: bool,
                 dropout: float, bidirectional: bool, proj_size: int, forget_bias: float | None, rng: Rng) -> None:
        super().__init__()
        who = type(self).__name__
        positive(who, input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        if not 0 <= proj_size < hidden_size:
            raise ValueError(f"{who}: proj_size must lie in [0, hidden_size={hidden_size}), got {proj_size}")
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.bidirectional = bool(bias), bool(batch_first), bool(bidirectional)
        self.dropout, self.proj_size, self.forget_bias = probability(who, dropout), proj_size, forget_bias
        self._declare_weights()
        if self.dropout:
            self.stream = np.random.default_rng(0)      # initialise() seeds it
        self.initialise(rng)

    def _declare_weights(self) -> None:
        """PyTorch's names, order and start: everything uniform in +-1/sqrt(hidden_size)."""
        rows, bound = self.gates * self.hidden_size, self.hidden_size ** -0.5
        start = partial(init.uniform_, a=-bound, b=bound)
        for suffix in self._suffixes():
            width = self.input_size if suffix.startswith("_l0") else self._width * self._directions
            self.declare("weight_ih" + suffix, (rows, width), start)
            self.declare("weight_hh" + suffix, (rows, self._width), start)
            if self.bias:
                for name in ("bias_ih", "bias_hh"):
                    self.declare(name + suffix, (rows,), start if self.forget_bias is None else partial(
                        _uniform_but, bound=bound, where=slice(self.hidden_size, 2 * self.hidden_size),
                        value=self.forget_bias if name == "bias_ih" else 0.0))
            if self.proj_size:
                self.declare("weight_hr" + suffix, (self.proj_size, self.hidden_size), start)

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def _width(self) -> int:
        """Of h."""
        return self.proj_size or self.hidden_size

    def _suffixes(self) -> list[str]:
        """Of the parameters' names: layer 0, layer 0 reverse, layer 1 ..."""
        return [f"_l{k}{way}" for k in range(self.num_layers) for way in ("", "_reverse")[:self._directions]]

    def _weights(self, suffix: str) -> Weights:
        return Weights(*(getattr(self, name + suffix, None)
                         for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")))

    # ---- forward ----------------------------------------------------------------------------------------------------
    def forward(self, x: Any, state: Any = None, lengths: Any = None, reverse: bool = False,
                return_gates: bool = False) -> Any:
        """Run over sequences.

        Parameters
        ----------
        x : Tensor (T, B, D), with batch_first (B, T, D), unbatched (T, D)
        state : Tensor (num_layers * directions, B, width), or for an LSTM the pair (h, c); zeros if None
            Layer 0, layer 0 reverse, layer 1 ...; without B for an unbatched x.
        lengths : array_like of int (B,), optional
            Real steps of each row, in any order.  x beyond them is never read and may be NaN; the output there is 0;
            the final state is that of the last real step.
        reverse : bool
            Run from each row's last real step to the first; outputs stand at the step they belong to.
        return_gates : bool
            Return every row of the equations too.

        Returns
        -------
        output : Tensor, shape of x with directions * width in place of D
        state : as the argument
        gates : list of dict, only with return_gates
            One a layer and direction: name of the row -> Tensor, laid out as the output.

        Raises
        ------
        TypeError
            For dtypes that do not fit the parameters', or a state that is no pair.
        ValueError
            For shapes or lengths that do not fit.
        """
        x, batched = self._checked(x)
        steps, batch = x.shape[:2]
        if lengths is None:
            real = None
        else:
            real = ragged.mask(ragged.checked(type(self).__name__, lengths, steps, batch), steps)
            # Left out here, before the products: a NaN times the gradient 0 would be NaN.
            x = where(real[:, :, None], x, 0.0)
        before = self._unpacked(state, batch, batched)
        after, gates = [], []
        for layer in range(self.num_layers):
            if layer and self.dropout:
                x = dropout(x, self.dropout, self.training, self.stream)
            outputs = []
            for way in range(self._directions):
                k = layer * self._directions + way
                rows, final = self._sequence(x, before[k], self._weights(self._suffixes()[k]), real,
                                             bool(way) != bool(reverse), return_gates)
                outputs.append(rows[self.states[0]])
                after.append(final)
                gates.append(rows)
            x = outputs[0] if len(outputs) == 1 else concat(outputs, -1)
        result = self._laid_out(x, batched), self._packed(after, batched)
        if not return_gates:
            return result
        return *result, [{name: self._laid_out(row, batched) for name, row in rows.items()} for rows in gates]

    def _sequence(self, x: Any, state: tuple[Any, ...], weights: Weights, real: np.ndarray | None, backwards: bool,
                  keep_all: bool) -> tuple[dict[str, Any], tuple[Any, ...]]:
        """One direction of one layer: its rows (the output, or all) at all steps (T, B, width), and the final state."""
        inputs = unstack(self._input_side(x, weights))
        kept: list[Any] = [None] * len(inputs)
        for t in range(len(inputs))[::-1 if backwards else 1]:
            rows = self._step(inputs[t], state, weights)
            new = tuple(rows[name] for name in self.states)
            if real is not None and not real[t].all():
                # A row that has ended, or going backwards has not begun, keeps its state.
                new = tuple(where(real[t][:, None], n, s) for n, s in zip(new, state))
            state = new
            kept[t] = rows
        names = list(kept[0]) if keep_all else self.states[:1]
        whole = {name: stack([rows[name] for rows in kept]) for name in names}
        if real is not None and not real.all():
            whole = {name: where(real[:, :, None], row, 0.0) for name, row in whole.items()}
        return whole, state

    def _input_side(self, x: Any, weights: Weights) -> Any:
        """The input's part of all gates at all steps in one product: (T, B, D) -> (T, B, gates * H).

        Both biases go with it, since they are simply added.
        """
        return linear(x, weights.ih, weights.b_ih + weights.b_hh if self.bias else None)

    def _step(self, z_x: Any, state: tuple[Any, ...], weights: Weights) -> dict[str, Any]:
        """The equations: the input's part and the state (B, width) -> every row (B, width) by its name."""
        raise NotImplementedError

    # ---- layout -----------------------------------------------------------------------------------------------------
    def _checked(self, x: Any) -> tuple[Any, bool]:
        """x as (T, B, D), and whether it came with a batch."""
        who = type(self).__name__
        x = features(who, x, self.weight_ih_l0, self.input_size, "input_size")
        if x.ndim not in (2, 3):
            layout = "(B, T, D)" if self.batch_first else "(T, B, D)"
            raise ValueError(f"{who}: x must be {layout} or, unbatched, (T, D), got shape {x.shape}")
        batched = x.ndim == 3
        if not batched:
            x = ops.expand_dims(x, 1)
        elif self.batch_first:
            x = swapaxes(x, 0, 1)
        if not x.shape[0]:
            raise ValueError(f"{who}: x has no steps; the shape is (T, B, D) = {x.shape}")
        return x, batched

    def _laid_out(self, y: Any, batched: bool) -> Any:
        """(T, B, width) as the caller's x was."""
        if not batched:
            return ops.squeeze(y, 1)
        return swapaxes(y, 0, 1) if self.batch_first else y

    def _unpacked(self, state: Any, batch: int, batched: bool) -> list[tuple[Any, ...]]:
        """For each layer and direction its states, (B, width) each."""
        who, count = type(self).__name__, self.num_layers * self._directions
        weight = self.weight_ih_l0
        widths = (self._width, self.hidden_size)[:len(self.states)]
        if state is None:
            return [tuple(constant(np.zeros((batch, width), weight.dtype)) for width in widths)] * count
        parts = (state,) if len(self.states) == 1 else state
        if not isinstance(parts, (tuple, list)) or len(parts) != len(self.states):
            raise TypeError(f"{who}: state must be a tuple ({', '.join(self.states)}), got {type(state).__name__}")
        rows = []
        for name, part, width in zip(self.states, parts, widths):
            part = same_dtype(who, f"state {name}", as_tensor(part), weight)
            expected = (count, batch, width) if batched else (count, width)
            if part.shape != expected:
                meaning = "(num_layers * directions, " + ("B, " if batched else "") + "width)"
                raise ValueError(f"{who}: state {name} must have shape {expected}, {meaning}, got {part.shape}")
            rows.append(unstack(part if batched else ops.expand_dims(part, 1)))
        return list(zip(*rows))

    def _packed(self, after: list[tuple[Any, ...]], batched: bool) -> Any:
        """The final states in the layout of the state argument."""
        parts = tuple(stack(column) for column in zip(*after))
        if not batched:
            parts = tuple(ops.squeeze(part, 1) for part in parts)
        return parts if len(parts) > 1 else parts[0]

    def extra_repr(self) -> str:
        """Sizes, and the options that are not the default."""
        options = {"num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0, "bidirectional": False,
                   "proj_size": 0, "forget_bias": None}
        return f"{self.input_size}, {self.hidden_size}" + "".join(
            f", {name}={getattr(self, name)}" for name, default in options.items() if getattr(self, name) != default)


class RNN(_Layers):
    """Elman's network: h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh) (Elman 1990).

    Parameters
    ----------
    input_size, hidden_size, num_layers : int
    nonlinearity : "tanh" or "relu"
    bias, batch_first : bool
    dropout : float
        Between layers, while training.
    bidirectional : bool
    rng : numpy.random.Generator, int or None
    """

    gates, states = 1, ("h",)

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, nonlinearity: str = "tanh",
                 bias: bool = True, batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, *,
                 rng: Rng = None) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"RNN: nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}")
        self.nonlinearity = nonlinearity
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, None, rng)

    def _step(self, z_x: Any, state: tuple[Any, ...], weights: Weights) -> dict[str, Any]:
        h, = state
        z = linear(h, weights.hh, z_x)
        return {"h": tanh(z) if self.nonlinearity == "tanh" else ops.relu(z)}


class LSTM(_Layers):
    """Long short-term memory (Hochreiter and Schmidhuber 1997, with the forget gate of Gers 2000).

    i = sigmoid(W_ii x + b_ii + W_hi h + b_hi)
    f = sigmoid(W_if x + b_if + W_hf h + b_hf)
    g = tanh(W_ig x + b_ig + W_hg h + b_hg)
    o = sigmoid(W_io x + b_io + W_ho h + b_ho)
    c = f c + i g
    h = o tanh(c), with proj_size h = W_hr (o tanh(c)) (Sak 2014)

    Parameters
    ----------
    input_size, hidden_size, num_layers : int
    bias, batch_first : bool
    dropout : float
        Between layers, while training.
    bidirectional : bool
    proj_size : int
        Width of h where it is projected; 0: hidden_size.
    forget_bias : float, optional
        Where the forget gates' bias starts (Jozefowicz 2015 recommend 1); None: as the rest.
    rng : numpy.random.Generator, int or None

    Attributes
    ----------
    weight_ih_l0 (4H, D), weight_hh_l0 (4H, width), bias_ih_l0, bias_hh_l0 (4H,), weight_hr_l0 (proj_size, H)
        Parameters, gates in the order i f g o; then _l0_reverse, _l1 ...
    """

    gates, states = 4, ("h", "c")

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
                 batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, proj_size: int = 0, *,
                 forget_bias: float | None = None, rng: Rng = None) -> None:
        if forget_bias is not None and not bias:
            raise ValueError("LSTM: forget_bias needs bias=True")
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size,
                         forget_bias, rng)

    def _step(self, z_x: Any, state: tuple[Any, ...], weights: Weights) -> dict[str, Any]:
        h, c = state
        i, f, g, o = split(linear(h, weights.hh, z_x), 4, -1)
        i, f, g, o = sigmoid(i), sigmoid(f), tanh(g), sigmoid(o)
        c = f * c + i * g
        m = o * tanh(c)
        if weights.hr is None:
            return {"i": i, "f": f, "g": g, "o": o, "c": c, "h": m}
        return {"i": i, "f": f, "g": g, "o": o, "c": c, "m": m, "h": linear(m, weights.hr)}


class GRU(_Layers):
    """Gated recurrent units as PyTorch and cuDNN compute them: the reset gate after the product.

    r = sigmoid(W_ir x + b_ir + W_hr h + b_hr)
    z = sigmoid(W_iz x + b_iz + W_hz h + b_hz)
    n = tanh(W_in x + b_in + r (W_hn h + b_hn))
    h = (1 - z) n + z h

    Cho 2014 and the lectures apply r before the product, W_hn (r h).

    Parameters
    ----------
    input_size, hidden_size, num_layers : int
    bias, batch_first : bool
    dropout : float
        Between layers, while training.
    bidirectional : bool
    rng : numpy.random.Generator, int or None
    """

    gates, states = 3, ("h",)

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
                 batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, *,
                 rng: Rng = None) -> None:
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, None, rng)

    def _input_side(self, x: Any, weights: Weights) -> Any:
        # The second biases stay with the state's product, which r multiplies.
        return linear(x, weights.ih, weights.b_ih)

    def _step(self, z_x: Any, state: tuple[Any, ...], weights: Weights) -> dict[str, Any]:
        h, = state
        r_x, z_x, n_x = split(z_x, 3, -1)
        r_h, z_h, n_h = split(linear(h, weights.hh, weights.b_hh), 3, -1)
        r, z = sigmoid(r_x + r_h), sigmoid(z_x + z_h)
        n = tanh(n_x + r * n_h)
        return {"r": r, "z": z, "n": n, "h": (1 - z) * n + z * h}


def _uniform_but(tensor: Tensor, bound: float, where: slice, value: float, rng: Rng = None) -> Tensor:
    """Uniform in +-bound, one value in a slice."""
    init.uniform_(tensor, -bound, bound, rng)
    tensor.data[where] = value
    return tensor
