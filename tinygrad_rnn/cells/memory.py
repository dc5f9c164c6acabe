"""The memory of one run of a compiled cell over a sequence, and where each place of its schedule stands in it.

    record   (T + L, B, columns)    what the forward pass keeps; step t stands at t + L, the initial states before
    adjoint  (T, B, columns)        gradients of the products, for the weights
    carry    (B, columns)           gradients of the states on their way back, sums for learned vectors
    history  (T + L, B, width)      the same for a state that is read from further back than one step

L is the longest lag. Columns are padded to whole vectors, but what is narrow stands together at the end; rows are
padded by one vector more so that they do not fall on the same cache sets. Between forward and backward only the record
is kept: for an LSTM 7 numbers a unit, row and step.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from .schedule import Place, Schedule, row_column, slot_column


class Layout:
    """Columns of the groups, in elements, for vectors of `lanes` elements."""

    def __init__(self, schedule: Schedule, lanes: int, vectors: Mapping[str, int], scalars: Iterable[str]) -> None:
        self.lanes, self.lag = lanes, max(schedule.lags.values())
        self.scalars, self.narrow = {name: k for k, name in enumerate(scalars)}, frozenset(schedule.narrow)
        self.record, self.record_size = self._columns(schedule.record, 1)
        slots = {slot_column(k): schedule.slot_width(k) for k in range(len(schedule.products))}
        self.adjoint, self.adjoint_size = self._columns(slots, 1)
        self.carry, self.carry_size = self._columns(schedule.carry, 2)
        self.vectors, self.vectors_size = self._columns(vectors, 1)
        self.history = {row: self.padded(schedule.record[row_column(row)], 2)
                        for row, lag in schedule.lags.items() if lag > 1}

    def padded(self, width: int, vectors: int = 1) -> int:
        """A width as whole vectors, or pairs of them; partial sums are one vector."""
        unit = self.lanes * vectors
        return max(1, -(-width // unit)) * unit

    @property
    def widest(self) -> int:
        """Elements that a row of any group has at most."""
        return max(self.record_size, self.adjoint_size, self.carry_size) + 8 * self.lanes

    def _columns(self, widths: Mapping[str, int], vectors: int) -> tuple[dict[str, int], int]:
        at, found = 0, {}
        for name, width in widths.items():
            if name not in self.narrow:
                found[name] = at
                at += self.padded(width, vectors)
        narrow = [name for name in widths if name in self.narrow]
        found.update((name, at + k) for k, name in enumerate(narrow))
        return found, at + -(-len(narrow) // self.lanes) * self.lanes + self.lanes


class Memory:
    """The arrays of one run, by name.

    "record", "y", "adjoint", "carry", "history h", "vectors", "scalars", "input v", "d_input v"; see `find`.
    For step primitives "whole v", "d_whole v" (B, ...), and "kept 0" (T, B, n), "room 0" (B, n) for the first of them,
    "places" (B,).
    """

    def __init__(self, layout: Layout, steps: int, batch: int, dtype: Any) -> None:
        self.layout, self.steps, self.batch, self.dtype = layout, steps, batch, np.dtype(dtype)
        self.arrays: dict[str, np.ndarray] = {}

    def following(self) -> Memory:
        """The same arrays, for more to be added: the memory of a backward pass."""
        memory = Memory(self.layout, self.steps, self.batch, self.dtype)
        memory.arrays.update(self.arrays)
        return memory

    def forget(self, name: str) -> np.ndarray:
        """Take an array out."""
        return self.arrays.pop(name)

    def find(self, place: Place) -> tuple[str, bool, int, int]:
        """(array, has it a time axis?, its index there at step 0, first column) of a place."""
        layout, group, name = self.layout, place.group, place.name
        if group == "record":
            return "record", True, layout.lag - place.lag, layout.record[name]
        if group == "adjoint":
            return "adjoint", True, 0, layout.adjoint[name]
        if group == "carry":
            return "carry", False, 0, layout.carry[name]
        if group == "history":
            return f"history {name}", True, layout.lag - place.lag, 0
        if group == "y":
            return "y", True, 0, 0
        if group in ("whole", "d_whole"):
            return f"{group} {name}", False, 0, 0
        if group in ("vector", "constant"):
            return "vectors", False, 0, layout.vectors[name]
        array = f"{group} {name}"
        return array, self.arrays[array].ndim == 3, 0, 0

    def gathers(self, place: Place) -> bool:
        """Is it the gradient of an input that all steps share?"""
        return place.group == "d_input" and self.arrays[f"d_input {place.name}"].ndim == 2

    def rows(self, place: Place, step: int, width: int, rows: int) -> np.ndarray:
        """The numbers of a place at a step, (rows, width); of a vector (width,)."""
        name, timed, index, column = self.find(place)
        array = self.arrays[name]
        if name == "vectors":
            return array[column:column + width]
        return (array[step + index] if timed else array)[:rows, column:column + width]
