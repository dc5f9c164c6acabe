"""A cell and where it stands in the literature."""

from __future__ import annotations

from typing import NamedTuple

from .cell import Cell


class Cited(NamedTuple):
    """A cell of the catalogue with its papers and lectures, and equation numbers where there are."""

    cell: Cell
    reference: str
