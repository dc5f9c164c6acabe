"""The schedule of a cell: what is computed when, and where it stands.

A step is cut into *stages*. Within one, everything is elementwise: a unit computes it in one go, a vector of units at a
time. A stage ends where something needs whole rows: a product with a matrix, or a mean over units.

    forward:   products of a stage, then its unit: one stage for an LSTM, two for a GRU that resets before the product
    backward:  the same of the adjoint graph; then the products that lead to the states of the step before

A step primitive needs whole rows too: its call comes first in a stage, and what it gives is at hand for all of it.

`analysis.py` finds the stages and what must be kept; `planning.py` makes the schedule of it; `plain.py` and `native.py`
run it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from .symbols import Symbol

OUTPUT = "output"           # the cotangent that comes from outside
OUTSIDE = -1                # the stage of products that no step waits for: with x, and for the gradient of x


@dataclass(frozen=True)
class Place:
    """Where a value stands: a column of a group of memory, so many steps before the current one.

    Attributes
    ----------
    group : str
        "record": kept, a row for each row of the batch and step; "adjoint": the same for gradients of products;
        "carry": a row for each row of the batch, whatever the step; "history": gradients of states that are read from
        further back; "y": the output or its gradient; "vector", "constant", "input", "d_input"; "whole", "d_whole":
        an input that step primitives are handed as it is, and its gradient.
    name : str
        Of the column within its group.
    lag : int
        Steps back.
    """

    group: str
    name: str
    lag: int = 0

    def __str__(self) -> str:
        return f"{self.group} {self.name}".strip()


@dataclass
class Unit:
    """What is computed elementwise at one stage: reads and results in order, and the graph between them."""

    stage: int
    width: int
    reads: list[tuple[Symbol, Place]] = field(default_factory=list)
    writes: list[tuple[Symbol, Place]] = field(default_factory=list)
    adds: list[tuple[Symbol, Place]] = field(default_factory=list)      # added to what stands there
    sums: list[tuple[Symbol, Place]] = field(default_factory=list)      # partial sums over the units of the row
    means: list[tuple[Symbol, Place]] = field(default_factory=list)     # of what is summed, one each

    def results(self) -> list[tuple[Symbol, Place]]:
        """What it computes and where that goes, in order."""
        return [*self.writes, *self.adds, *self.sums, *self.means]

    def values(self) -> list[Symbol]:
        """What it computes, each once."""
        return list(dict.fromkeys(symbol for symbol, _ in self.results()))


@dataclass(frozen=True)
class Multiply:
    """One product for several slots.

    Forward, the slots (+)= source times their matrices; backward, source (+)= the slots' gradients times the matrices,
    where `source` says where the result goes.
    """

    stage: int
    source: Place
    slots: tuple[int, ...]              # numbers of products, neighbours in the record
    parameters: tuple[str, ...]
    fresh: tuple[int, ...]              # slots that start from zero; backward, all of them if the result does
    width: int                          # of the slots
    depth: int                          # of the source


@dataclass(frozen=True)
class Call:
    """One call of a step primitive: a stage that is not elementwise, with kernels of its own.

    Its arguments stand in the record or are whole inputs.
    """

    stage: int
    number: int
    node: Symbol
    args: tuple[Place, ...]
    widths: tuple[int, ...]             # of the arguments
    width: int
    result: Place                       # backward: its gradient
    to: tuple[Place | None, ...] = ()   # backward: where the gradient of each argument goes


@dataclass
class Schedule:
    """A cell's plan for given widths.

    Attributes
    ----------
    rows : row -> its symbol.
    output : name of the row that is the output.
    products : product k of the graph has slot k of the record and, backward, of the adjoint record.
    record, carry : columns with their widths, in order; the slots come first in the record.
    narrow : columns, of record and carry, for what is the same for all units of a row, as their mean is: one number.
    held : forward value -> where in the record it stands once the step is done: kept, or a product not overwritten.
    units, multiplies, calls : of the forward pass; backward_... : of the backward pass.
    bias_of : vector -> slot whose gradient, summed over rows and steps, is its own.
    gathered : vector -> column of the carry where its gradient gathers, a row at a time.
    lags : row -> from how many steps back it is read at most, for every state.
    """

    rows: Mapping[str, Symbol]
    output: str
    products: list[Symbol] = field(default_factory=list)
    record: dict[str, int] = field(default_factory=dict)
    carry: dict[str, int] = field(default_factory=dict)
    narrow: set[str] = field(default_factory=set)
    held: dict[Symbol, Place] = field(default_factory=dict)
    units: list[Unit] = field(default_factory=list)
    multiplies: list[Multiply] = field(default_factory=list)
    backward_units: list[Unit] = field(default_factory=list)
    backward_multiplies: list[Multiply] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    backward_calls: list[Call] = field(default_factory=list)
    bias_of: dict[str, int] = field(default_factory=dict)
    gathered: dict[str, str] = field(default_factory=dict)
    lags: dict[str, int] = field(default_factory=dict)

    def slot_width(self, slot: int) -> int:
        """Units of a product."""
        return self.record[slot_column(slot)]

    @cached_property
    def reached(self) -> frozenset[str]:
        """The inputs that a gradient reaches."""
        places = [m.source for m in self.backward_multiplies]
        places += [place for unit in self.backward_units for _, place in unit.writes]
        places += [place for call in self.backward_calls for place in call.to if place is not None]
        return frozenset(place.name for place in places if place.group in ("d_input", "d_whole"))


def slot_column(slot: int) -> str:
    """The column of a product."""
    return f"z{slot}"


def call_column(number: int) -> str:
    """The column of what a step primitive gives."""
    return f"call{number}"


def row_column(row: str) -> str:
    """The column of a state in the record."""
    return f"row_{row}"
