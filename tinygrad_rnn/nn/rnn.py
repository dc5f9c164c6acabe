"""RNN, LSTM and GRU as PyTorch has them: names for three cells, and the way their parameters are packed.

PyTorch keeps the matrices of all gates in one, weight_ih (gates * H, D), and adds two biases.  `Packed` says where in
them a cell's own parameters stand; everything else is common to all cells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ..autograd import Tensor
from ..cells import Cell, catalogue
from ..cells.gradients import Room
from ..random import Rng
from . import init
from .checks import positive, probability
from .stack import Part, Stack


class Packed(NamedTuple):
    """Parameters of a cell within PyTorch's: weight_ih, weight_hh, bias_ih, bias_hh, weight_hr.

    rows : the gates, in PyTorch's order
    apart : the rows whose second bias is not just added to the first
    """

    rows: tuple[str, ...]
    apart: tuple[str, ...]
    bias: bool
    projected: bool

    def unpack(self, values: Sequence[Any]) -> Mapping[str, Any]:
        """Views of the matrices, sums of the biases."""
        ih, hh, *rest = values
        b_ih, b_hh = rest[:2] if self.bias else (np.zeros(ih.shape[0], ih.dtype),) * 2
        found = {**self._blocks(ih, "W", "_x"), **self._blocks(hh, "W", "_h"), **self._blocks(b_ih + b_hh, "b"),
                 **self._blocks(b_ih, "b", rows=self.apart), **self._blocks(b_hh, "b2", rows=self.apart)}
        if self.projected:
            found["W_h_m"] = rest[-1]
        return found

    def _blocks(self, array: Any, letter: str, source: str = "", rows: Sequence[str] | None = None) -> dict[str, Any]:
        """The blocks of a packed parameter by the cell's names, of all rows or of some."""
        H = len(array) // len(self.rows)
        return {f"{letter}_{row}{source}": array[k * H:(k + 1) * H] for k, row in enumerate(self.rows)
                if rows is None or row in rows}

    def room(self, values: Sequence[Any], needed: Sequence[bool]) -> tuple[Sequence[np.ndarray | None], Room]:
        """Arrays for the gradients of the packed parameters, and where in them those of the cell's go."""
        if not any(needed):
            return [None] * len(values), {}
        made = [np.empty(v.shape, v.dtype) for v in values]
        found: dict[Any, np.ndarray] = {}       # by name, and by names that stand together
        for source, matrix in zip("xh", made):
            blocks = self._blocks(matrix, "W", f"_{source}")
            found.update(blocks)
            found[tuple(blocks)] = matrix
        if self.bias:
            found |= {**self._blocks(made[2], "b"), **self._blocks(made[3], "b2", rows=self.apart)}
        if self.projected:
            found["W_h_m"] = made[-1]
        return made, found

    def complete(self, gradients: Sequence[np.ndarray | None]) -> None:
        """A bias that is just added to the other has the same gradient."""
        if self.bias and gradients[2] is not None and gradients[3] is not None:
            H = len(gradients[2]) // len(self.rows)
            for k, row in enumerate(self.rows):
                if row not in self.apart:
                    gradients[3][k * H:(k + 1) * H] = gradients[2][k * H:(k + 1) * H]


class PackedStack(Stack):
    """Layers of a cell with its parameters packed as PyTorch has them: what RNN, LSTM and GRU share."""

    def __init__(self, cell: Cell, form: Packed, input_size: int, hidden_size: int, num_layers: int,
                 batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, proj_size: int = 0,
                 forget_bias: float | None = None, rng: Rng = None) -> None:
        super().__init__()
        who = type(self).__name__
        positive(who, input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.bidirectional = form.bias, bool(batch_first), bool(bidirectional)
        self.dropout, self.proj_size, self.forget_bias = probability(who, dropout), proj_size, forget_bias
        self.cell, self._form = cell, form
        self._bare_state = len(cell.states) == 1
        self._hidden_sizes = [hidden_size] * num_layers
        self._widths = [(proj_size or hidden_size, hidden_size)[:len(cell.states)]] * num_layers
        self._declare_weights()
        if self.dropout:
            self.stream = np.random.default_rng(0)      # initialise() seeds it
        self.initialise(rng)

    def _declare_weights(self) -> None:
        """PyTorch's names, order and start: everything uniform in +-1/sqrt(hidden_size)."""
        rows, bound = len(self._form.rows) * self.hidden_size, self.hidden_size ** -0.5
        start = partial(init.uniform_, a=-bound, b=bound)
        biases = ["bias_ih", "bias_hh"] * self.bias
        names = ["weight_ih", "weight_hh", *biases, *["weight_hr"] * bool(self.proj_size)]
        self._names = [[name + suffix for name in names] for suffix in self._suffixes()]
        for k, suffix in enumerate(self._suffixes()):
            self.declare("weight_ih" + suffix, (rows, self.input_width(k // self._directions)), start)
            self.declare("weight_hh" + suffix, (rows, self._widths[0][0]), start)
            for name in biases:
                self.declare(name + suffix, (rows,), start if self.forget_bias is None else partial(
                    _uniform_but, bound=bound, where=slice(self.hidden_size, 2 * self.hidden_size),
                    value=self.forget_bias if name == "bias_ih" else 0.0))
            if self.proj_size:
                self.declare("weight_hr" + suffix, (self.proj_size, self.hidden_size), start)

    def part(self, k: int, steps: int, batch: int) -> Part:
        """Layer k // directions in direction k % directions."""
        return Part(self.cell, self.hidden_size, self._form, [getattr(self, name) for name in self._names[k]])

    def extra_repr(self) -> str:
        """Sizes, and the options that are not the default."""
        options = {"num_layers": 1, "nonlinearity": "tanh", "bias": True, "batch_first": False, "dropout": 0.0,
                   "bidirectional": False, "proj_size": 0, "forget_bias": None}
        return f"{self.input_size}, {self.hidden_size}" + "".join(
            f", {name}={getattr(self, name)!r}" for name, default in options.items()
            if getattr(self, name, default) != default)


class RNN(PackedStack):
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

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, nonlinearity: str = "tanh",
                 bias: bool = True, batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, *,
                 rng: Rng = None) -> None:
        self.nonlinearity = nonlinearity
        super().__init__(*elman("RNN", nonlinearity, bias), input_size, hidden_size, num_layers, batch_first, dropout,
                         bidirectional, rng=rng)


class LSTM(PackedStack):
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

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
                 batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, proj_size: int = 0, *,
                 forget_bias: float | None = None, rng: Rng = None) -> None:
        if forget_bias is not None and not bias:
            raise ValueError("LSTM: forget_bias needs bias=True")
        positive("LSTM", hidden_size=hidden_size)
        if not 0 <= proj_size < hidden_size:
            raise ValueError(f"LSTM: proj_size must lie in [0, hidden_size={hidden_size}), got {proj_size}")
        super().__init__(*lstm(bias, proj_size), input_size, hidden_size, num_layers, batch_first, dropout,
                         bidirectional, proj_size, forget_bias, rng)


class GRU(PackedStack):
    """Gated recurrent unit with the reset after the product, as cuDNN and PyTorch have it (Cho 2014 resets before).

    r = sigmoid(W_ir x + b_ir + W_hr h + b_hr)
    z = sigmoid(W_iz x + b_iz + W_hz h + b_hz)
    n = tanh(W_in x + b_in + r (W_hn h + b_hn))
    h = (1 - z) n + z h

    Parameters
    ----------
    input_size, hidden_size, num_layers : int
    bias, batch_first : bool
    dropout : float
        Between layers, while training.
    bidirectional : bool
    rng : numpy.random.Generator, int or None

    Attributes
    ----------
    weight_ih_l0 (3H, D), weight_hh_l0 (3H, H), bias_ih_l0, bias_hh_l0 (3H,)
        Parameters, gates in the order r z n; then _l0_reverse, _l1 ...
    """

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
                 batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, *,
                 rng: Rng = None) -> None:
        super().__init__(*gru(bias), input_size, hidden_size, num_layers, batch_first, dropout, bidirectional, rng=rng)


# ---- the cells ------------------------------------------------------------------------------------------------------
def elman(who: str, nonlinearity: str, bias: bool) -> tuple[Cell, Packed]:
    """The cell of RNN and how its parameters are packed."""
    if nonlinearity not in ("tanh", "relu"):
        raise ValueError(f"{who}: nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}")
    return catalogue()["rnn" if nonlinearity == "tanh" else "rnn_relu"], Packed(("h",), (), bool(bias), False)


def lstm(bias: bool, proj_size: int = 0) -> tuple[Cell, Packed]:
    """The cell of LSTM and how its parameters are packed."""
    cell = catalogue()["lstm"]
    if proj_size:
        cell = cell.but("m = o*tanh(c)", "h = W(m)", widths={"h": proj_size}, name="lstm_projection")
    return cell, Packed(("i", "f", "g", "o"), (), bool(bias), bool(proj_size))


def gru(bias: bool) -> tuple[Cell, Packed]:
    """The cell of GRU and how its parameters are packed."""
    return catalogue()["gru_reset_after"], Packed(("r", "z", "n"), ("n",), bool(bias), False)


def _uniform_but(tensor: Tensor, bound: float, where: slice, value: float, rng: Rng = None) -> Tensor:
    """Uniform in [-bound, bound), with one value at some places."""
    init.uniform_(tensor, -bound, bound, rng)
    tensor.data[where] = value
    return tensor
