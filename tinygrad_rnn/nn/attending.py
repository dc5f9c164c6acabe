"""A recurrent layer that looks at a memory at every step: a decoder's, over what an encoder, a film or an image gave.

Three ways, by `feeding`:

    "attended"  attention after the step; its result is an input of the next step        Luong 2015, section 3.3
    "context"   attention before the step, with the old output; its result is an input   Bahdanau 2015
    None        attention after the step, and the recurrence does not know of it         Luong 2015, section 3

The first two are recurrences of their own, `cells.attentive(cell)`, compiled as any cell; in the third all steps attend
at once, as products of matrices.  score="location" sees where the step before looked and runs step by step.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import Tensor, no_grad, ops
from ..autograd.tensor import constant
from ..cells import Cell, attentive
from ..cells.attention import attention_weights
from ..cells.sequence import run
from ..random import Rng
from . import lengths as ragged
from .attention import Attention, LocationAttention, Memory
from .checks import as_tensor, positive
from .linear import Linear
from .module import Module
from .recurrent import Recurrent
from .stepper import RowStepper

State = tuple[Any, ...]
# All steps of additive attention at once, without the (T, B, S, A) numbers between: a cell that carries nothing.
_LOOKING = Cell("h = attend_additive(x, keys, values, mask, v)", inputs="x keys values mask v",
                widths={"keys": "D", "v": "D"}, name="looking")


class Attending(Module):
    """One recurrent layer with attention.

    Parameters
    ----------
    cell : Cell
        Of the catalogue, or of your own.
    input_size, hidden_size : int
    memory_size : int
        Width of the memory, D.
    score : "dot", "general", "scaled_dot", "additive" or "location"
        See `nn.Attention`.
    size : int, optional
        Width in which query and key meet; by default hidden_size for scaled_dot, additive and location.
    feeding : "attended", "context" or None
        See above; "location" knows only "attended".
    fused : bool or "auto"
        As `nn.Recurrent`'s.
    rng : numpy.random.Generator, int or None

    Attributes
    ----------
    output_size : int
        Width of what it gives: that of the cell's output.
    states : tuple of str
        What it carries from step to step.

    Raises
    ------
    ValueError, TypeError
        For unknown options, sizes that do not fit, or a cell that reads its x without a matrix.
    """

    def __init__(self, cell: Cell, input_size: int, hidden_size: int, memory_size: int, score: str = "general",
                 size: int | None = None, feeding: str | None = "attended", *, fused: bool | str = "auto",
                 rng: Rng = None) -> None:
        super().__init__()
        positive("Attending", input_size=input_size, hidden_size=hidden_size, memory_size=memory_size)
        if feeding not in ("attended", "context", None):
            raise ValueError(f"Attending: feeding must be 'attended', 'context' or None, got {feeding!r}")
        if score == "location" and feeding != "attended":
            raise ValueError(f"Attending: score='location' runs with feeding='attended', got {feeding!r}")
        if size is None and score not in ("dot", "general"):
            size = hidden_size
        self.base, self.score, self.feeding, self.memory_size = cell, score, feeding, memory_size
        self.output_size = out = cell.sizes(input_size, hidden_size).widths[cell.output]
        if feeding is None:
            self.layer = Recurrent(cell, input_size, hidden_size, fused=fused)
            self.attention: Attention = Attention(out, memory_size, score, size)
        elif score == "location":
            self.layer = Recurrent(cell, input_size + out, hidden_size, fused=fused)
            self.attention = LocationAttention(out, memory_size, size)
        else:
            if score == "dot" and out != memory_size:
                raise ValueError(f"Attending: score='dot' compares the output, {out} wide, with the memory, "
                                 f"memory_size={memory_size}: they must be of one width")
            self.attention = Attention(None, memory_size, score, size)
            self.layer = Recurrent(attentive(cell, memory_size, score, size, feeding), input_size, hidden_size,
                                   fused=fused)
        if feeding is None or score == "location":
            self.combine = Linear(memory_size + out, out)
        extra = (["attended"], ["weights"]) if score == "location" else ([], [])
        self.states = (*extra[0], *self.layer.cell.states, *extra[1])
        self.initialise(rng)

    # ---- memory and state -------------------------------------------------------------------------------------------
    def remember(self, memory: Any, mask: Any = None, lengths: Any = None) -> Memory:
        """The memory with its keys, to be given in its place any number of times: see `Attention.remember`."""
        return self.attention.remember(memory, mask, lengths)

    def begin(self, state: State, places: int) -> State:
        """The state to begin with: the cell's own, and nothing attended yet.

        Parameters
        ----------
        state : tuple of Tensor (B, width), in the order of the cell's states
        places : int
            Of the memory, S.
        """
        given = dict(zip(self.base.states, state))
        batch, dtype = state[0].shape[0], self.layer.first.dtype
        widths = {"attended": self.output_size, "weights": places}
        return tuple(given[name] if name in given else constant(np.zeros((batch, widths[name]), dtype))
                     for name in self.states)

    def row_stepper(self, memory: Memory, state: State, rows: int = 1) -> tuple[RowStepper, State]:
        """Inference one step at a time from any state, for any number of rows of this memory: see `RowStepper`.

        Without feeding the layer is rewritten as one that looks after its step, as a single step may, and what it gave
        is one more state.

        Parameters
        ----------
        memory : of arrays
        state : arrays in the order of `states`, to begin with

        Returns
        -------
        the stepper, and the state as that orders it: its only layer's

        Raises
        ------
        ValueError
            For location-aware attention.
        """
        if self.score == "location":
            raise ValueError("row_stepper: location-aware attention runs on the tape, step by step")
        layer = self.layer
        if self.feeding is None:
            cell = attentive(self.base, self.memory_size, self.score, self.attention.size, None)
            layer = Recurrent(cell, layer.input_size, layer.hidden_size, fused=layer.fused).astype(layer.first.dtype)
            layer.load_state_dict({name: value.data for name, value in self._as_one().items()})
        with no_grad():
            whole = {name: np.asarray(getattr(v, "data", v)) for name, v in self.inputs(memory).items()}
        nothing = np.zeros((len(state[0]), self.output_size), state[0].dtype)
        given = {"attended": nothing, **dict(zip(self.states, state))}
        return layer.row_stepper(whole, rows), tuple(given[name] for name in layer.cell.states)

    def _as_one(self) -> dict[str, Any]:
        """The parameters of layer, attention and combination, as those of one cell."""
        found: dict[str, Any] = dict(self.layer.named_parameters())
        out, context, y = self.base.output, self.combine.weight[:, :self.memory_size], slice(self.memory_size, None)
        if self.score != "dot":
            found[f"W_query_{out}_l0"] = self.attention.weight_query
        return {**found, "W_attended_context_l0": context, f"W_attended_{out}_l0": self.combine.weight[:, y],
                "b_attended_l0": self.combine.bias}

    # ---- forward ----------------------------------------------------------------------------------------------------
    def forward(self, x: Any, memory: Any, state: State | None = None, lengths: Any = None, *, mask: Any = None,
                memory_lengths: Any = None, return_weights: bool = False) -> Any:
        """Run over sequences.

        Parameters
        ----------
        x : Tensor (T, B, input_size)
        memory : Tensor (S, B, memory_size), or what `remember` made of it
        state : tuple of Tensor (B, width), in the order of `states`; None: zeros
        lengths : array_like of int (B,), optional
            Of x.
        mask : array_like (B, S), optional
            True, or more than 0, where the memory is real.
        memory_lengths : array_like of int (B,), optional
            Or how many of its first places are.
        return_weights : bool

        Returns
        -------
        attended : Tensor (T, B, output_size)
            tanh(W [context; output] + b) (Luong 2015, equation 5).
        state : tuple, as the argument
        weights : Tensor (T, B, S), only with return_weights; 0 beyond a length
        """
        x = as_tensor(x)
        if not isinstance(memory, Memory):
            memory = self.remember(memory, mask, memory_lengths)
        if x.ndim != 3 or x.shape[1] != len(memory.mask):
            raise ValueError(f"Attending: x must be (T, B, D) with the memory's batch {len(memory.mask)}, got shape "
                             f"{x.shape}")
        if state is None:
            rows = (s.row for s in self.base.carried)
            widths = self.base.sizes(self.layer.input_size, self.layer._hidden_sizes[0]).widths
            state = self.begin(tuple(constant(np.zeros((x.shape[1], widths[row]), x.dtype)) for row in rows),
                               memory.mask.shape[1])
        if len(state) != len(self.states):
            raise ValueError(f"Attending: state must be a tuple ({', '.join(self.states)}), got {len(state)} entries")
        if lengths is not None:
            lengths = ragged.checked("Attending", lengths, *x.shape[:2])
        run_ = self._along if self.score == "location" else self._after if self.feeding is None else self._fed
        attended, state, weights = run_(x, memory, state, lengths, return_weights)
        if not return_weights:
            return attended, state
        return attended, state, _within(weights, lengths)

    def _layer(self, x: Any, state: State, lengths: Any, **more: Any) -> tuple[Any, State, list[Any]]:
        y, after, *gates = self.layer(x, tuple(ops.expand_dims(s, 0) for s in state), lengths, **more)
        return y, tuple(ops.squeeze(s, 0) for s in after), gates

    def inputs(self, memory: Memory) -> dict[str, Any]:
        """The memory as further inputs of `layer`."""
        given = {"keys": memory.keys, "values": memory.values, "mask": memory.mask}
        if self.score == "additive":
            given["v"] = ops.broadcast_to(self.attention.v, (len(memory.mask), self.attention.size))
        return given

    def _fed(self, x: Any, memory: Memory, state: State, lengths: Any, wanted: bool) -> tuple[Any, State, Any]:
        """All of it is the cell's."""
        y, after, gates = self._layer(x, state, lengths, return_gates=wanted, **self.inputs(memory))
        if not wanted:
            return y, after, None
        rows, out = gates[0][0], self.base.output
        if "query" in rows:
            query = rows["query"]
        elif self.feeding == "attended":
            query = rows[out]
        else:           # the output of the step before
            first = dict(zip(self.states, state))[out]
            query = ops.concat([ops.expand_dims(first, 0), rows[out][:-1]], 0)
        v = getattr(self.attention, "v", None)
        weights = attention_weights(ops.swapaxes(query, 0, 1), memory.keys, memory.mask, v)
        return y, after, ops.swapaxes(weights, 0, 1)

    def _after(self, x: Any, memory: Memory, state: State, lengths: Any, wanted: bool) -> tuple[Any, State, Any]:
        """The recurrence first, then attention for all steps at once."""
        y, after, _ = self._layer(x, state, lengths)
        if self.score == "additive" and not wanted:
            nothing = constant(np.zeros((y.shape[1], self.memory_size), y.dtype))
            context, _ = run(_LOOKING, self.memory_size, self.attention.query(y), (nothing,), {}, self.inputs(memory),
                             fused=self.layer.compiled)
            weights = None
        else:
            context, weights = self.attention(y, memory)
        return _within(self._combined(context, y), lengths), after, weights

    def _along(self, x: Any, memory: Memory, state: State, lengths: Any, wanted: bool) -> tuple[Any, State, Any]:
        """Step by step: where the last step looked matters to the next one."""
        attended, *inner, weights = state
        outputs, maps, x = [], [], _within(x, lengths)
        for step in range(x.shape[0]):
            read = ops.concat([x[step:step + 1], ops.expand_dims(attended, 0)], -1)
            y, new, _ = self._layer(read, tuple(inner), None)
            context, seen = self.attention(y[0], memory, before=weights)
            found = attended, *inner, weights
            attended, inner, weights = self._combined(context, y[0]), list(new), seen
            outputs.append(attended)
            maps.append(weights)
            if lengths is not None:
                on = (step < lengths)[:, None]
                attended, *inner, weights = (ops.where(on, a, b) for a, b in zip((attended, *inner, weights), found))
        return (_within(ops.stack(outputs), lengths), (attended, *inner, weights),
                ops.stack(maps) if wanted else None)

    def _combined(self, context: Any, y: Any) -> Tensor:
        found: Tensor = ops.tanh(self.combine(ops.concat([context, y], -1)))
        return found

    def extra_repr(self) -> str:
        """The score and the way of feeding."""
        return f"{self.base.name}, score={self.score!r}, feeding={self.feeding!r}"


def _within(x: Any, lengths: np.ndarray | None) -> Any:
    """x (T, B, n), 0 beyond the lengths."""
    return x if lengths is None else ops.where(ragged.mask(lengths, x.shape[0])[..., None], x, 0.0)
