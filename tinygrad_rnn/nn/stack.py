"""What surrounds a recurrent cell in a layer: several of them on top of each other, one or both directions, ragged
batches, and the layout of inputs and states, which are PyTorch's.

Which cell runs, with which parameters, is the business of `Recurrent` (any cell) and of `RNN`, `LSTM`, `GRU`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..autograd import Tensor, ops
from ..autograd.ops import concat, expand_dims, squeeze, stack, swapaxes, unstack
from ..autograd.tensor import constant
from ..cells.gates import gates as rows_at_steps
from ..cells.segments import run_in_segments
from ..cells.sequence import Form, run
from . import lengths as ragged
from .checks import as_tensor, features, same_dtype
from .dropout import dropout
from .module import Module
from .stepper import RowStepper, Stepper

if TYPE_CHECKING:
    from ..cells import Cell


class Part(NamedTuple):
    """One direction of one layer: its cell, where the parameters stand, and what further inputs the layer gives."""

    cell: Cell
    hidden_size: int
    form: Form
    tensors: Sequence[Tensor]
    inputs: Mapping[str, Any] = MappingProxyType({})


_NOTHING = constant(np.zeros(0, np.float32))


class Stack(Module):
    """Layers of a recurrent cell.

    Attributes
    ----------
    input_size, num_layers : int
    bidirectional, batch_first : bool
    dropout : float
        Between layers, while training.
    fused : bool or "auto"
        Compiled, or readable steps on the tape; "auto": compiled where that is possible.
    checkpoint_every : int, "sqrt" or None
        Steps whose records are kept between forward and backward; None: all.
    """

    input_size: int
    num_layers: int
    bidirectional: bool
    batch_first: bool
    dropout: float
    fused: bool | str = "auto"
    checkpoint_every: int | str | None = None
    skip: str = "none"
    stream: np.random.Generator
    cell: Cell
    _hidden_sizes: list[int]            # one a layer
    _widths: list[tuple[int, ...]]      # of each layer's states, in the order of cell.states
    _names: list[list[str]]             # of the parameters of each layer and direction
    _bare_state = False                 # of a cell with one state: is it that state, or a tuple of one?

    def part(self, k: int, steps: int, batch: int) -> Part:
        """Layer k // directions in direction k % directions, for a batch."""
        raise NotImplementedError

    @property
    def first(self) -> Tensor:
        """The first parameter, whose dtype is the layer's; an empty one of a cell without any."""
        return getattr(self, self._names[0][0]) if self._names[0] else _NOTHING

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    def _suffixes(self) -> list[str]:
        """Of the parameters' names: layer 0, layer 0 reverse, layer 1 ..."""
        return [f"_l{k}{way}" for k in range(self.num_layers) for way in ("", "_reverse")[:self._directions]]

    def input_width(self, layer: int) -> int:
        """Features that a layer reads."""
        return self.input_size if layer == 0 else self._widths[layer - 1][0] * self._directions

    # ---- forward ----------------------------------------------------------------------------------------------------
    def forward(self, x: Any, state: Any = None, lengths: Any = None, reverse: bool = False,
                return_gates: bool = False, **inputs: Any) -> Any:
        """Run over sequences.

        Parameters
        ----------
        x : Tensor (T, B, D), with batch_first (B, T, D), unbatched (T, D)
        state : Tensor (num_layers * directions, B, width), or a tuple of them, one a state of the cell; zeros if None
            Layer 0, layer 0 reverse, layer 1 ...; without B for an unbatched x.
        lengths : array_like of int (B,), optional
            Real steps of each row, in any order.  x beyond them is never read and may be NaN; the output there is 0;
            the final state is that of the last real step.
        reverse : bool
            Run from each row's last real step to the first; outputs stand at the step they belong to.
        return_gates : bool
            Return every row of the equations too.  They are taken from what the run keeps, none is run again; their
            gradients go through the readable steps, at the price of T steps on the tape.
        **inputs : Tensor (T, B, width), with batch_first (B, T, width), or (B, width) for all steps
            The cell's further inputs; every layer reads them.

        Returns
        -------
        output : Tensor, shape of x with directions * width in place of D
        state : as the argument
        gates : list of dict, only with return_gates
            One a layer and direction: name of the row -> Tensor, laid out as the output.

        Raises
        ------
        TypeError
            For dtypes that do not fit the parameters', or a state that is no tuple.
        ValueError
            For shapes or lengths that do not fit.
        """
        x, batched = self._checked(x)
        steps, batch = x.shape[:2]
        if lengths is not None:
            lengths = ragged.checked(type(self).__name__, lengths, steps, batch)
            lengths = None if (lengths == steps).all() else lengths
        given = self.further(inputs, steps, batch, batched)
        before = self.unpacked(state, batch, batched)
        after: list[tuple[Any, ...]] = []
        gates: list[dict[str, Any]] = []
        below = [x]
        for layer in range(self.num_layers):
            x, outputs = self._reading(below), []
            for way in range(self._directions):
                k = layer * self._directions + way
                part = self.part(k, steps, batch)
                span = {**given, **part.inputs}, lengths, bool(way) != bool(reverse)
                known: dict[str, np.ndarray] | None = {} if return_gates else None
                y, last = self._run(part, x, before[k], *span, known)
                outputs.append(y)
                after.append(last)
                if return_gates:
                    gates.append(rows_at_steps(part.cell, part.hidden_size, x, before[k], part.tensors, part.form,
                                               *span, known=known))
            y = outputs[0] if len(outputs) == 1 else concat(outputs, -1)
            below.append(self._handed_on(layer, below, y))
        result = self._laid_out(below[-1], batched), self.packed(after, batched)
        if not return_gates:
            return result
        return *result, [{name: self._laid_out(row, batched) for name, row in rows.items()} for rows in gates]

    def _run(self, part: Part, x: Any, state: Sequence[Any], inputs: Mapping[str, Any], lengths: np.ndarray | None,
             backwards: bool, rows: dict[str, np.ndarray] | None) -> tuple[Any, tuple[Any, ...]]:
        """One direction of one layer: its output at all steps, and its final states; `rows` are filled if compiled."""
        if self.checkpoint_every is not None and self.compiled:
            return run_in_segments(part.cell, part.hidden_size, x, state, part.tensors, inputs, lengths, backwards,
                                   part.form, self.checkpoint_every, rows)
        return run(part.cell, part.hidden_size, x, state, part.tensors, inputs, lengths, backwards, self.compiled,
                   part.form, rows)

    @property
    def compiled(self) -> bool:
        """Do its steps run compiled?"""
        return self.fused is not False and self.cell.compilable

    def _reading(self, below: Sequence[Any]) -> Any:
        """What a layer reads, of x and of what all layers below hand on."""
        return below[-1]

    def _handed_on(self, layer: int, below: Sequence[Any], y: Any) -> Any:
        """What a layer hands on, of its output."""
        if self.dropout and layer + 1 < self.num_layers:
            return dropout(y, self.dropout, self.training, self.stream)
        return y

    def stepper(self, state: Any = None, batch: int = 1) -> Stepper:
        """Inference one step at a time, with the weights packed once: see `Stepper`.

        Parameters
        ----------
        state : as of `forward`, optional
        batch : int
        """
        return Stepper(self, state, batch)

    def row_stepper(self, whole: Mapping[str, np.ndarray] | None = None, rows: int = 1) -> RowStepper:
        """Inference one step at a time from any state, for any number of rows: see `RowStepper`."""
        return RowStepper(self, whole, rows)

    # ---- layout -----------------------------------------------------------------------------------------------------
    def _checked(self, x: Any) -> tuple[Any, bool]:
        """x as (T, B, D) in the layer's dtype, and whether it came with a batch."""
        who, parameter = type(self).__name__, self.first
        x = features(who, x, parameter, self.input_size, "input_size")
        if x.ndim not in (2, 3):
            layout = "(B, T, D)" if self.batch_first else "(T, B, D)"
            raise ValueError(f"{who}: x must be {layout} or, unbatched, (T, D), got shape {x.shape}")
        if x.dtype != parameter.dtype:
            x = ops.astype(x, parameter.dtype)
        batched = x.ndim == 3
        if not batched:
            x = expand_dims(x, 1)
        elif self.batch_first:
            x = swapaxes(x, 0, 1)
        if not x.shape[0]:
            raise ValueError(f"{who}: x has no steps; the shape is (T, B, D) = {x.shape}")
        return x, batched

    def _laid_out(self, y: Any, batched: bool) -> Any:
        """(T, B, width) as the caller's x was."""
        if not batched:
            return squeeze(y, 1)
        return swapaxes(y, 0, 1) if self.batch_first else y

    def further(self, inputs: Mapping[str, Any], steps: int, batch: int, batched: bool) -> dict[str, Any]:
        """The cell's further inputs, (T, B, width) or (B, width), in the layer's dtype."""
        who, names = type(self).__name__, self.cell.inputs[1:]
        if inputs.keys() != set(names):
            raise ValueError(f"{who}: further inputs of the cell are {', '.join(names) or 'none'}, got "
                             f"{', '.join(inputs) or 'none'}")
        return {name: self._further_one(who, name, inputs[name], steps, batch, batched) for name in names}

    def _further_one(self, who: str, name: str, value: Any, steps: int, batch: int, batched: bool) -> Any:
        value, dtype = as_tensor(value), self.first.dtype
        value = same_dtype(who, name, value, self.first) if value.dtype.kind == "f" else value
        value = value if value.dtype == dtype else ops.astype(value, dtype)
        if name in self.cell.whole:
            return value if batched else expand_dims(value, 0)
        if not batched:
            value = expand_dims(value, value.ndim - 1)                  # (T, n) -> (T, 1, n), (n,) -> (1, n)
        elif self.batch_first and value.ndim == 3:
            value = swapaxes(value, 0, 1)
        width = self.cell.sizes(self.input_size, self._hidden_sizes[0]).widths[name]
        if value.shape not in ((steps, batch, width), (batch, width)):
            raise ValueError(f"{who}: {name} must have one row a step, (T, B, width) = {(steps, batch, width)}, or one "
                             f"a sequence, {(batch, width)}, got {value.shape}")
        return value

    # ---- states -----------------------------------------------------------------------------------------------------
    @property
    def _even(self) -> bool:
        """Are all layers of one size? Then their states stand in one array."""
        return len(set(self._widths)) == 1

    def unpacked(self, state: Any, batch: int, batched: bool) -> list[tuple[Any, ...]]:
        """For each layer and direction its states, (B, width) each."""
        if state is None:
            return [tuple(constant(np.zeros((batch, width), self.first.dtype)) for width in widths)
                    for widths in self._widths for _ in range(self._directions)]
        if self._even:
            return self._rows(state, self.num_layers, 0, batch, batched)
        if not isinstance(state, (list, tuple)) or len(state) != self.num_layers:
            raise TypeError(f"{type(self).__name__}: state must be a list of tuples, one for each of "
                            f"{self.num_layers} layers, for their sizes differ")
        return [row for k, one in enumerate(state) for row in self._rows(one, 1, k, batch, batched)]

    def _rows(self, state: Any, layers: int, first: int, batch: int, batched: bool) -> list[tuple[Any, ...]]:
        """The states of some layers of one size."""
        who, names, parameter = type(self).__name__, self.cell.states, self.first
        parts = (state,) if self._bare_state else state
        if not isinstance(parts, (tuple, list)) or len(parts) != len(names):
            raise TypeError(f"{who}: state must be a tuple ({', '.join(names)}{',' * (len(names) == 1)}), got "
                            f"{type(state).__name__}" + f" of {len(state)}" * isinstance(state, (tuple, list)))
        count, columns = layers * self._directions, []
        for name, part, width in zip(names, parts, self._widths[first]):
            part = same_dtype(who, f"state {name}", as_tensor(part), parameter)
            expected = (count, batch, width) if batched else (count, width)
            if part.shape != expected:
                meaning = "(num_layers * directions, " + ("B, " if batched else "") + "width)"
                raise ValueError(f"{who}: state {name} must have shape {expected}, {meaning}, got {part.shape}")
            part = part if batched else expand_dims(part, 1)
            columns.append([squeeze(part, 0)] if count == 1 else unstack(part))
        return list(zip(*columns))

    def packed(self, after: list[tuple[Any, ...]], batched: bool) -> Any:
        """The final states in the layout of the state argument."""
        if self._even:
            return self._joined(after, batched)
        ways = self._directions
        return [self._joined(after[k:k + ways], batched) for k in range(0, len(after), ways)]

    def _joined(self, after: list[tuple[Any, ...]], batched: bool) -> Any:
        parts = tuple(expand_dims(column[0], 0) if len(column) == 1 else stack(column) for column in zip(*after))
        if not batched:
            parts = tuple(squeeze(part, 1) for part in parts)
        return parts[0] if self._bare_state else parts
