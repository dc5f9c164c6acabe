"""Recurrent cells: written as their equations, from which all else follows."""

from .cell import Cell

__all__ = ["Cell"]
