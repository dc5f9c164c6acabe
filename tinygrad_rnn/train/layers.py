"""A recurrent layer in a file of its own: its equations as text, its options, its weights.

A cell of your own therefore loads on a machine that has never seen your program.  The text may come from a stranger: it
is read as equations and nothing else, see `cells/language.py`.
"""

from __future__ import annotations

import os
from typing import Any

from .. import nn
from ..cells import Cell
from ..files import checkpoint
from ..files.checkpoint import CheckpointError

KIND = "recurrent layer"


def save_layer(path: str | os.PathLike[str], layer: nn.Recurrent) -> None:
    """Write a layer: a safetensors file, replaced as a whole or not at all.

    Raises
    ------
    TypeError
        If it is no `nn.Recurrent`.
    OSError
        If the file cannot be written.
    """
    if not isinstance(layer, nn.Recurrent):
        raise TypeError(f"save_layer: expected an nn.Recurrent, got {type(layer).__name__}")
    checkpoint.save(path, {"cell": str(layer.cell), "options": layer.options(), "dtype": str(layer.first.dtype),
                           "weights": layer.state_dict()}, KIND)


def load_layer(path: str | os.PathLike[str], into: nn.Recurrent | None = None) -> nn.Recurrent:
    """Read a layer.

    Parameters
    ----------
    path : path
    into : nn.Recurrent, optional
        Copy the weights into this layer, which must have the same equations; its options are its own.

    Returns
    -------
    nn.Recurrent
        A new one, or `into`.

    Raises
    ------
    CheckpointError
        If the file is damaged, or holds no layer.
    ValueError
        If its equations are not those of `into`, or its weights do not fit: nothing is changed then.
    """
    content = checkpoint.load(path, KIND)
    try:
        cell, options, weights = Cell(content["cell"]), content["options"], content["weights"]
        layer = nn.Recurrent(cell, **options, rng=0).astype(content["dtype"]) if into is None else into
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{os.fspath(path)} holds no whole recurrent layer: {error}") from error
    if layer.cell != cell:
        raise ValueError(f"load_layer: {os.fspath(path)} holds weights of another cell, whose equations are\n"
                         f"{_indented(cell)}\nthose of the layer are\n{_indented(layer.cell)}")
    layer.load_state_dict(weights)
    return layer


def _indented(cell: Any) -> str:
    return "    " + str(cell).replace("\n", "\n    ")
