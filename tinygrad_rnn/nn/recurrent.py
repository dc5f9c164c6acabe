"""Layers of any recurrent cell: `Recurrent(cell, input_size, hidden_size)`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..autograd import Tensor
from ..autograd.ops import concat
from ..autograd.replay import generator
from ..autograd.tensor import constant
from ..cells import Cell
from ..cells.regularise import masked, zoned
from ..cells.sequence import Named
from ..cells.symbols import topological
from ..random import Rng
from . import init as starts
from .checks import positive, probability
from .dropout import mask
from .stack import Part, Stack

SKIPS = ("none", "residual", "dense")
INITS = ("uniform", "orthogonal", "identity")


class Recurrent(Stack):
    """Layers of a recurrent cell, compiled from its equations.

    Parameters
    ----------
    cell : Cell
        From `cells.catalogue()`, or of your own.
    input_size : int
    hidden_size : int or sequence of int
        One for all layers, or one a layer.
    num_layers : int
    bidirectional, batch_first : bool
    dropout : float
        Between layers, while training; a new mask a step.
    variational_dropout : float or (input, recurrent, output)
        Dropout with one mask a sequence, while training (Gal and Ghahramani 2016): on what each layer reads, on each
        state where it enters a W, and on what the last layer gives.
    zoneout : float, or one a state of the cell
        Probability that a unit of a state keeps its old value, while training; then its expectation (Krueger 2017).
    skip : "none", "residual" or "dense"
        residual: from the second layer on, a layer's input is added to its output; dense: a layer reads x and the
        outputs of all layers below.
    fused : bool or "auto"
        Compiled, or readable steps on the tape.  "auto": compiled, unless the cell calls a step primitive that has no
        machine code.
    checkpoint_every : int, "sqrt" or None
        Keep only the states at every so many steps, "sqrt": at every 2 sqrt(T), and run the steps between them again in
        the backward pass.  Gradients of parameters are then summed segment by segment: equal but for rounding; all else
        is equal bit by bit.
    init : "uniform", "orthogonal", "identity", or callable
        Where parameters start: uniform in +-1/sqrt(hidden_size); orthogonal, identity: the same but for square matrices
        that multiply a state; callable: init(matrix, rng=generator), as the functions of `nn.init`, for all matrices.
        A start written in the text, as b(1), stands under each.
    naive_dropout : float
        Dropout on the recurrent connection with a new mask a step: it is here to show why not (Zaremba 2014).
    rng : numpy.random.Generator, int or None

    Attributes
    ----------
    W_i_x_l0, b_f_l1_reverse ...
        Parameters: the cell's names, the layer, and _reverse for the second direction.

    Raises
    ------
    ValueError, TypeError
        For arguments out of range, widths that do not fit together, or a cell that is no Cell.
    """

    def __init__(self, cell: Cell, input_size: int, hidden_size: int | Sequence[int], num_layers: int = 1, *,
                 bidirectional: bool = False, batch_first: bool = False, dropout: float = 0.0,
                 variational_dropout: float | Sequence[float] = 0.0, zoneout: float | Sequence[float] = 0.0,
                 skip: str = "none", fused: bool | str = "auto", checkpoint_every: int | str | None = None,
                 init: str | Callable[..., Any] = "uniform", naive_dropout: float = 0.0, rng: Rng = None) -> None:
        super().__init__()
        if not isinstance(cell, Cell):
            raise TypeError(f"Recurrent: cell must be a Cell, as cells.catalogue()['lstm'], got {type(cell).__name__}")
        positive("Recurrent", input_size=input_size, num_layers=num_layers)
        if taken := {"x", "state", "lengths", "reverse", "return_gates"} & {*cell.inputs[1:]}:
            raise ValueError(f"Recurrent: the cell's input {min(taken)!r} is an argument of the layer: rename it")
        self.cell, self.input_size, self.hidden_size, self.num_layers = cell, input_size, hidden_size, num_layers
        self.bidirectional, self.batch_first = bool(bidirectional), bool(batch_first)
        self.dropout = probability("Recurrent", dropout, "dropout")
        self.variational_dropout = _three(variational_dropout)
        self.naive_dropout = probability("Recurrent", naive_dropout, "naive_dropout")
        if self.naive_dropout and self.variational_dropout[1]:
            raise ValueError("Recurrent: naive_dropout and the recurrent part of variational_dropout drop the same "
                             "connection: give one of them")
        self.zoneout = _rates(zoneout, cell)
        self.skip, self.init = _one_of("skip", skip, SKIPS), init
        if not callable(init):
            _one_of("init", init, INITS)
        self.fused = _one_of("fused", fused, (True, False, "auto"))
        if fused is True and not cell.compilable:
            raise ValueError(f"Recurrent: fused=True, but {cell.name} calls a step primitive without machine code, "
                             "which runs step by step: use fused='auto'")
        self.checkpoint_every = _every(checkpoint_every)
        if checkpoint_every is not None and not self.compiled:
            raise ValueError("Recurrent: checkpoint_every works on compiled cells; this one runs step by step")
        self._hidden_sizes = _each_layer(hidden_size, num_layers)
        self._widths = []
        self._names = [[name + suffix for name in cell.parameters] for suffix in self._suffixes()]
        for k in range(num_layers):
            self._declare(k)
        if any((self.dropout, *self.variational_dropout, self.naive_dropout, *self.zoneout.values())):
            self.stream = np.random.default_rng(0)      # initialise() seeds it
        self.initialise(rng)

    # ---- parameters -------------------------------------------------------------------------------------------------
    def _declare(self, layer: int) -> None:
        """The parameters of a layer, and the widths of its states."""
        D, H = self.input_width(layer), self._hidden_sizes[layer]
        widths = self.cell.sizes(D, H).widths
        self._widths.append(tuple(widths[s.row] for s in self.cell.carried))
        if self.skip == "residual" and layer and D != self._widths[layer][0] * self._directions:
            raise ValueError(f"Recurrent: skip='residual' adds a layer's input to its output: layer {layer} reads {D} "
                             f"features and gives {self._widths[layer][0] * self._directions}")
        for name in self.cell.inputs[1:]:
            first = self.cell.sizes(self.input_size, self._hidden_sizes[0]).widths[name]
            if widths[name] != first:
                raise ValueError(f"Recurrent: every layer reads the input {name}, but for layer 0 it is {first} wide, "
                                 f"for layer {layer} {widths[name]}: give its width, cell.but(widths=...)")
        recurrent = _recurrent_matrices(self.cell)
        for suffix in ("", "_reverse")[:self._directions]:
            for name, shape in self.cell.parameter_shapes(D, H).items():
                start = self._start(self.cell.parameters[name], shape, name in recurrent, H ** -0.5)
                self.declare(f"{name}_l{layer}{suffix}", shape, start)

    def _start(self, value: float | None, shape: tuple[int, ...], recurrent: bool, bound: float) -> Callable[..., Any]:
        """How a parameter starts; value: what the text says."""
        if value is not None:
            return partial(starts.constant_, val=value)
        if callable(self.init) and len(shape) == 2:
            return self.init
        if recurrent and shape[0] == shape[1] and self.init in ("orthogonal", "identity"):
            return starts.orthogonal_ if self.init == "orthogonal" else starts.eye_
        return partial(starts.uniform_, a=-bound, b=bound)

    def input_width(self, layer: int) -> int:
        if self.skip != "dense":
            return super().input_width(layer)
        return self.input_size + self._directions * sum(widths[0] for widths in self._widths[:layer])

    # ---- one run ----------------------------------------------------------------------------------------------------
    def part(self, k: int, steps: int, batch: int) -> Part:
        layer, tensors = k // self._directions, [getattr(self, name) for name in self._names[k]]
        cell, inputs = self.cell, {}
        widths = {s.row: width for s, width in zip(cell.carried, self._widths[layer])}
        if self.training and (p := self.variational_dropout[1] or self.naive_dropout):
            cell, names = _masked(cell)
            lead = (steps, batch) if self.naive_dropout else (batch,)
            inputs.update({name: self._mask((*lead, widths[row]), p) for row, name in names.items()})
        if any(self.zoneout.values()):
            cell, names = _zoned(cell, None if self.training else tuple(self.zoneout.items()))
            for row, name in names.items() if self.training else ():
                stays = generator(self.stream).random((steps, batch, widths[row]), np.float32) < self.zoneout[row]
                inputs[name] = constant(stays.astype(self.first.dtype))
        return Part(cell, self._hidden_sizes[layer], Named(tuple(cell.parameters)), tensors, inputs)

    def _mask(self, shape: tuple[int, ...], p: float) -> Tensor:
        return constant(mask(shape, p, self.first.dtype, self.stream))

    def _reading(self, below: Sequence[Any]) -> Any:
        x = concat(below, -1) if self.skip == "dense" and len(below) > 1 else below[-1]
        return self._dropped(x, self.variational_dropout[0])

    def _handed_on(self, layer: int, below: Sequence[Any], y: Any) -> Any:
        if self.skip == "residual" and layer:
            y = y + below[-1]
        y = super()._handed_on(layer, below, y)
        return self._dropped(y, self.variational_dropout[2]) if layer + 1 == self.num_layers else y

    def _dropped(self, x: Any, p: float) -> Any:
        """x (T, B, n) with one mask for all steps, (B, n)."""
        return x * self._mask(x.shape[1:], p) if p and self.training else x

    def options(self) -> dict[str, Any]:
        """The arguments beside the cell, plain numbers and strings: `Recurrent(cell, **layer.options())` is like it.

        An `init` of one's own is left out: it says where parameters start, and not what they are.
        """
        names = ("input_size", "num_layers", "bidirectional", "batch_first", "dropout", "variational_dropout", "skip",
                 "fused", "checkpoint_every", "naive_dropout")
        return {**{name: getattr(self, name) for name in names}, "hidden_size": self.hidden_size,
                "zoneout": tuple(self.zoneout.values()), "init": "uniform" if callable(self.init) else self.init}

    def extra_repr(self) -> str:
        """The cell, sizes, and the options that are not the default."""
        options = {"num_layers": 1, "bidirectional": False, "batch_first": False, "dropout": 0.0,
                   "variational_dropout": (0.0, 0.0, 0.0), "zoneout": dict.fromkeys(self.zoneout, 0.0), "skip": "none",
                   "fused": "auto", "checkpoint_every": None, "init": "uniform", "naive_dropout": 0.0}
        return f"{self.cell.name}, {self.input_size}, {self.hidden_size}" + "".join(
            f", {name}={getattr(self, name)!r}" for name, default in options.items() if getattr(self, name) != default)


_masked = functools.lru_cache(maxsize=256)(masked)


@functools.lru_cache(maxsize=256)
def _zoned(cell: Cell, rates: tuple[tuple[str, float], ...] | None) -> tuple[Cell, dict[str, str]]:
    return zoned(cell, None if rates is None else dict(rates))


def _recurrent_matrices(cell: Cell) -> set[str]:
    """Names of the matrices that multiply what is computed from a state."""
    products = [n for n in topological(cell.flat.values()) if n.op == "product"]
    return {name for p in products for name, source in zip(p.data.parameters, p.args)
            if any(n.op == "state" for n in topological([source]))}


# ---- arguments ------------------------------------------------------------------------------------------------------
def _each_layer(hidden_size: Any, num_layers: int) -> list[int]:
    """One size a layer."""
    if not isinstance(hidden_size, Sequence):
        positive("Recurrent", hidden_size=hidden_size)
        return [hidden_size] * num_layers
    if len(hidden_size) != num_layers:
        raise ValueError(f"Recurrent: hidden_size must be an int, or one a layer: num_layers={num_layers}, got "
                         f"{len(hidden_size)} sizes")
    for k, size in enumerate(hidden_size):
        positive("Recurrent", **{f"hidden_size[{k}]": size})
    return list(hidden_size)


def _three(p: Any) -> tuple[float, float, float]:
    """Dropout of input, recurrent connection and output."""
    each = tuple(p) if isinstance(p, Sequence) else (p, p, p)
    if len(each) != 3:
        raise ValueError(f"Recurrent: variational_dropout must be a number or (input, recurrent, output), got "
                         f"{len(each)} numbers")
    a, b, c = (probability("Recurrent", q, "variational_dropout") for q in each)
    return a, b, c


def _rates(zoneout: Any, cell: Cell) -> dict[str, float]:
    """Zoneout of each state of a cell."""
    rows = list(dict.fromkeys(s.row for s in cell.carried))
    each = tuple(zoneout) if isinstance(zoneout, Sequence) else (zoneout,) * len(rows)
    if len(each) != len(rows):
        raise ValueError(f"Recurrent: zoneout must be a number, or one for each of {', '.join(rows)}, got "
                         f"{len(each)} numbers")
    return {row: probability("Recurrent", p, "zoneout") for row, p in zip(rows, each)}


def _one_of(name: str, value: Any, known: Sequence[Any]) -> Any:
    if not any(value is k or type(value) is str and value == k for k in known):
        raise ValueError(f"Recurrent: {name} must be one of {', '.join(map(repr, known))}, got {value!r}")
    return value


def _every(value: Any) -> int | str | None:
    """A checked checkpoint_every."""
    if value is None or value == "sqrt":
        return value    # type: ignore[no-any-return]
    if isinstance(value, str):
        raise ValueError(f"Recurrent: checkpoint_every must be None, a number of steps or 'sqrt', got {value!r}")
    positive("Recurrent", checkpoint_every=value)
    return int(value)
