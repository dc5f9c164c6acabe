"""Rows of a table by their numbers, and the adding up of rows that is the gradient of that.

Negative numbers count from the end, as NumPy's; a number beyond the table is an IndexError that names it.
"""
from functools import cache
from math import prod
from typing import Any

import numpy as np

from .arrays import FLOAT32, FLOAT64, LARGE, share_rows
from .llvm import Emit, Int
from .threads import get_num_threads, run
from .ufunc import Operand, gufunc

COLUMNS = 16    # a thread takes a multiple of so many columns: no two threads write to one cache line


def scatter_rows(e: Emit, sizes: list[Int], values: Operand, indices: Operand, out: Operand) -> None:
    """(k,m),(k)->(n,m): out[indices[k]] += values[k], one k after the other; out holds what was there before."""
    k, m, _ = sizes

    def row(k: Int, index: Int, source: Int) -> list[Int]:
        to = out.address + e.load_int(index) * out.strides[0]

        def vector(v: Int, lanes: Any = None) -> None:
            at = v * e.bytes
            e.store(to + at, e.load(to + at, lanes) + e.load(source + at, lanes), lanes)

        whole = m // e.width
        e.loop(whole, vector)
        with e.when(m > whole * e.width):
            vector(whole, e.first(m - whole * e.width))
        return [index + indices.strides[0], source + values.strides[0]]

    e.loop(k, row, indices.address, values.address)


@cache
def _scatter() -> np.ufunc:
    return gufunc(scatter_rows, "(k,m),(k)->(n,m)", ("fqf", "dqd"))


def take_rows(table: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """table[indices]: rows of a table, as an embedding reads them.

    Parameters
    ----------
    table : (V, ...), any dtype
    indices : integers of any shape, from -V to V - 1

    Returns
    -------
    array of shape indices.shape + table.shape[1:]

    Raises
    ------
    TypeError, ValueError, IndexError
        For indices that are not integers, a table without rows, an index beyond them.
    """
    table, indices = _table(table, "take_rows"), _integers(indices, "take_rows")
    size = indices.size * prod(table.shape[1:])
    if size < LARGE or get_num_threads() == 1:
        try:
            return np.take(table, indices, axis=0)
        except IndexError:
            _in_range(indices, len(table), "take_rows")
            raise
    flat = _in_range(indices, len(table), "take_rows").reshape(-1)
    out = np.empty((indices.size, *table.shape[1:]), table.dtype)
    share_rows(lambda chosen, out: np.take(table, chosen, axis=0, out=out[0], mode="wrap"), [flat], [out])
    return out.reshape(indices.shape + table.shape[1:])


def scatter_add(out: np.ndarray, indices: np.ndarray, values: np.ndarray) -> None:
    """Add values[k] to out[indices[k]], in place; rows that are named twice get both, in the order of k.

    Parameters
    ----------
    out : (V, ...)
    indices : integers of any shape, from -V to V - 1
    values : indices.shape + out.shape[1:], converted to the dtype of out

    Raises
    ------
    TypeError, ValueError, IndexError
        For indices that are not integers, shapes that do not fit, an index beyond the rows.
    """
    indices, values = _integers(indices, "scatter_add"), np.asarray(values)
    _table(out, "scatter_add")
    if values.shape != indices.shape + out.shape[1:]:
        raise ValueError(f"scatter_add: values must have shape {indices.shape + out.shape[1:]}, got {values.shape}")
    flat, columns = _in_range(indices, len(out), "scatter_add").reshape(-1), prod(out.shape[1:])
    if not len(flat) or not columns:
        return
    if out.dtype not in (FLOAT32, FLOAT64) or not out.flags.c_contiguous:
        np.add.at(out, flat, values.reshape(len(flat), *out.shape[1:]))
        return
    table = out.reshape(len(out), columns)
    rows = np.ascontiguousarray(values, out.dtype).reshape(len(flat), columns)
    if rows.size < LARGE or columns < 2 * COLUMNS:
        _scatter()(rows, flat, out=table)
    else:
        run(_columns, flat, rows, table)


def _columns(part: int, parts: int, indices: np.ndarray, values: np.ndarray, out: np.ndarray) -> None:
    """One part of the columns: each thread adds all rows there, in their order."""
    groups = -(-out.shape[1] // COLUMNS)
    chosen = slice(COLUMNS * (groups * part // parts), COLUMNS * (groups * (part + 1) // parts))
    if out[:, chosen].size:
        _scatter()(values[:, chosen], indices, out=out[:, chosen])


def _table(table: Any, name: str) -> np.ndarray:
    table = np.asarray(table)
    if table.ndim == 0:
        raise ValueError(f"{name}: expected a table with at least one dimension, got a single number")
    return table


def _integers(indices: Any, name: str) -> np.ndarray:
    """Indices as int64."""
    indices = np.asarray(indices)
    if indices.dtype.kind not in "iu" and indices.size:
        raise TypeError(f"{name}: indices must be integers, got {indices.dtype}")
    return indices.astype(np.int64, copy=False)


def _in_range(indices: np.ndarray, rows: int, name: str) -> np.ndarray:
    """Indices from 0 on."""
    wrapped = np.where(indices < 0, indices + rows, indices)
    wrong = wrapped.view(np.uint64) >= rows     # a negative number is a very large one
    if wrong.any():
        raise IndexError(f"{name}: index {indices[wrong][0]} is out of range for {rows} rows")
    return wrapped
