"""A cell and where it stands in the literature."""

from __future__ import annotations

from typing import NamedTuple

from .cell import Cell


class Cited(NamedTuple):
    """A cell of the catalogue with its papers and lectures, and equation numbers where there are.

    A number is that of the paper's arXiv or journal edition, and a pointer for the reader: editions differ, and not
    every number was compared with the printed page.  What the cell computes is held by tests to its equations written
    out.
    """

    cell: Cell
    reference: str
