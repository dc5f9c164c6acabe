"""All cells by name.  The families stand in `elman`, `gru`, `lstm`, `odyssey` and `mutants`, one screen each."""

from __future__ import annotations

import functools
import importlib

from .cell import Cell

FAMILIES = ("elman", "gru", "lstm", "odyssey", "mutants")


def catalogue() -> dict[str, Cell]:
    """The cells of the lectures and papers, by name, in a fresh dict.

    `irnn` is `rnn_relu` and `lstm_np` is `lstm`; every other two differ.  `references()` says where each comes from.
    """
    return {name: cell for name, (cell, _) in _known().items()}


def references() -> dict[str, str]:
    """Paper or lecture and equation number of every cell of the catalogue."""
    return {name: reference for name, (_, reference) in _known().items()}


@functools.cache
def _known() -> dict[str, tuple[Cell, str]]:
    """Read the families when first asked for."""
    found = {}
    for family in FAMILIES:
        module = importlib.import_module(f"{__package__}.{family}")
        for name, (cell, reference) in module.CELLS.items():
            found[name] = _named(cell, name, reference), reference
        for alias, name in module.ALIASES.items():
            reference = f"another name of {name}: {found[name][1]}"
            found[alias] = _named(found[name][0], alias, reference), reference
    return found


def _named(cell: Cell, name: str, reference: str) -> Cell:
    """The cell under its name; its docstring says where it comes from."""
    text = cell.as_text()
    text.name = name
    named = Cell.defined(text, prune=False)
    named.__doc__ = reference
    return named
