"""Sorting, the positions of sorted elements, and the k largest: along the last axis, rows shared out.

NaN is larger than every number; -0 and 0 are equal. Positions are those of a stable sort, also when falling: of equal
elements the earlier one comes first. So they are one function of the numbers, on every machine.
"""
import numpy as np

from .arrays import FLOAT32, FLOAT64, share_rows
from .threads import COMPILED

ALONE = 1 << 15     # elements that one thread sorts alone
NARROW = ("f4", "i4", "i2", "i1", "u2", "u1", "b1")     # dtypes whose numbers fit 32 bits with their sign


def sort(x: np.ndarray, descending: bool = False) -> np.ndarray:
    """The elements of each row in rising or falling order.

    Parameters
    ----------
    x : (..., n) array of any dtype
    descending : bool

    Returns
    -------
    (..., n) array of its dtype
    """
    out = np.array(x, order="C")
    if out.size:
        rows = out.reshape(-1, out.shape[-1])       # (..., n) -> (rows, n)
        share_rows(_sort, [rows], [rows], ALONE)
    return out[..., ::-1] if descending else out


def _sort(_: np.ndarray, out: tuple[np.ndarray]) -> None:
    out[0].sort(axis=-1)


def argsort(x: np.ndarray, descending: bool = False) -> np.ndarray:
    """Positions (int64) that put each row in rising or falling order; of equal elements the earlier one comes first.

    x : (..., n) array of any dtype
    """
    x = np.asarray(x)
    out = np.empty(x.shape, np.int64)
    if out.size:
        rows = x.reshape(-1, x.shape[-1])       # (..., n) -> (rows, n)
        packed = x.dtype.str[1:] in NARROW and x.dtype.isnative and x.shape[-1] < 1 << 32
        kernel = _order_packed if packed else _order
        share_rows(lambda chosen, out: kernel(chosen, out[0], descending), [rows], [out.reshape(rows.shape)], ALONE)
    return out


def _order(x: np.ndarray, out: np.ndarray, descending: bool) -> None:
    """By NumPy's stable sort; falling order is the rising one of the reversed row, from its end."""
    if descending:
        np.subtract(x.shape[1] - 1, np.argsort(x[:, ::-1], axis=-1, kind="stable")[:, ::-1], out=out)
    else:
        out[...] = np.argsort(x, axis=-1, kind="stable")


def _order_packed(x: np.ndarray, out: np.ndarray, descending: bool) -> None:
    """Number and position as one integer of 64 bits, of which a plain sort, many times as fast, is stable."""
    numbers = x
    if x.dtype == FLOAT32:
        numbers = (x + np.float32(0)).view(np.int32)        # -0 + 0 is 0
        numbers ^= (numbers >> 31) & 0x7FFFFFFF             # the larger float is the larger integer
        numbers[np.isnan(x)] = 0x7FFFFFFF
    out[...] = numbers
    if descending:
        np.invert(out, out=out)
    out <<= 32
    out |= np.arange(x.shape[1])
    out.sort(axis=-1)
    out &= 0xFFFFFFFF


def topk(x: np.ndarray, k: int, largest: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """The k largest or smallest elements of each row and their positions, the most extreme first.

    Parameters
    ----------
    x : (..., n) array of any dtype
    k : int, 0 to n
    largest : bool

    Returns
    -------
    values, indices : (..., k) of x's dtype, (..., k) int64
        Of equal elements the earlier one comes first.
    """
    x = np.asarray(x)
    n = x.shape[-1]
    if not COMPILED or x.dtype not in (FLOAT32, FLOAT64) or k > max(n // 8, 8) or not k * x.size:
        indices = argsort(x, largest)[..., :k]
        return np.take_along_axis(x, indices, -1), indices
    from . import selection
    from .threads import pool_address

    values, indices = np.empty((*x.shape[:-1], k), x.dtype), np.empty((*x.shape[:-1], k), np.int64)
    rows = np.ascontiguousarray(x, x.dtype.newbyteorder("=")).reshape(-1, n)
    pool = pool_address() if x.size >= ALONE and len(rows) > 1 else 0
    selection.top_rows[x.dtype](pool, rows, values.reshape(-1, k), indices.reshape(-1, k), bool(largest))
    return values, indices
