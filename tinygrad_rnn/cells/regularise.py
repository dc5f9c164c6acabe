"""Dropout and zoneout inside the recurrence: cells derived from a cell.

    masked(lstm)    i = sigmoid(W(x, m_h*h_prev) + b) ...       a state times a mask, only where it enters a W
    zoned(lstm)     c_new = f*c_prev + i*g                      a unit keeps its old value where k is 1
                    h_new = o*tanh(c_new)
                    c = k_c*c_prev + (1 - k_c)*c_new
                    h = k_h*h_prev + (1 - k_h)*h_new

Masks are further inputs, so that the layer says how long one lasts: (B, H), one for a whole sequence, is variational
dropout (Gal and Ghahramani 2016); (T, B, H), a new one a step, is the naive kind, which forgets.  k is a further input
too, or a number: its expectation.  Source of zoneout: Krueger 2017, equations 4 and 5.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING

from .symbols import State, Symbol, leaf, replace, topological

if TYPE_CHECKING:
    from .cell import Cell


def masked(cell: Cell) -> tuple[Cell, dict[str, str]]:
    """The cell with a mask on each state that enters a W, and the masks' names by row: {"h": "m_h"}.

    Its parameters are those of the cell in the same order; their names may differ.
    """
    graph = cell.graph
    products = [n for n in graph.nodes if n.op == "product"]
    states = [n for n in topological(a for p in products for a in p.args) if n.op == "state"]
    masks = {row: _free(cell, f"m_{row}") for row in dict.fromkeys(s.data.row for s in states)}
    times_mask = {s: leaf("input", masks[s.data.row]) * s for s in states}
    graph = dataclasses.replace(graph, inputs=(*graph.inputs, *masks.values()), widths=_widths(cell, masks))
    graph = graph.replace({p: Symbol("product", tuple(replace(p.args, times_mask)), p.data) for p in products})
    return type(cell)(str(graph), name=cell.name), masks


def zoned(cell: Cell, rates: Mapping[str, float] | None = None) -> tuple[Cell, dict[str, str]]:
    """The cell whose states stay where an input k is 1, and the inputs' names by row: {"h": "k_h", "c": "k_c"}.

    Its parameters are those of the cell in the same order; their names may differ.

    Parameters
    ----------
    cell : Cell
    rates : mapping of str to float, optional
        {row: k}, numbers in place of inputs.
    """
    graph = cell.graph
    states = sorted({s.row: None for s in cell.carried}, key=lambda row: row == cell.output)   # the output comes last
    new = {row: _free(cell, f"{row}_new") for row in states}
    keep = {row: _free(cell, f"k_{row}") for row in states}
    renamed = replace([graph[row] for row in graph], {leaf("row", row): leaf("row", new[row]) for row in states})
    rows = [(new.get(row, row), symbol) for row, symbol in zip(graph, renamed)]
    for row in states:
        k = leaf("constant" if rates else "input", keep[row])
        rows.append((row, k * leaf("state", State(row)) + (1 - k) * leaf("row", new[row])))
    if rates:
        widths, inputs = _widths(cell, new), graph.inputs
        constants = (*graph.constants, *((keep[row], float(rates[row])) for row in states))
    else:
        widths, inputs, constants = _widths(cell, new, keep), (*graph.inputs, *keep.values()), graph.constants
    graph = dataclasses.replace(graph, rows=tuple(rows), inputs=inputs, widths=widths, constants=constants)
    return type(cell)(str(graph), name=cell.name), keep


def _widths(cell: Cell, *names: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The cell's widths, and those of new names {row: name}, as wide as their rows."""
    new = {name: cell.widths[row] for mapping in names for row, name in mapping.items() if row in cell.widths}
    return tuple({**cell.widths, **new}.items())


def _free(cell: Cell, name: str) -> str:
    """The name, or one that the cell does not use."""
    taken = {*cell.rows, *cell.inputs, *cell.constants, *cell.functions}
    return next(n for n in itertools.chain([name], (f"{name}_{k}" for k in itertools.count(2))) if n not in taken)
