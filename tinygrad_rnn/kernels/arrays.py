"""Ufuncs on large arrays, shared out over the thread pool.

Each element is computed alone, so the result is the same however the work is split.
"""
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .threads import get_num_threads, run

LARGE = 1 << 18     # elements: below it, waking a thread costs more than it saves


FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)


def as_float(x: Any, name: str) -> np.ndarray:
    """An array of float32 or float64: bools and integers become float32.

    Raises TypeError for other dtypes.
    """
    if type(x) is np.ndarray and (x.dtype is FLOAT32 or x.dtype is FLOAT64):
        return x
    x = np.asarray(x)
    if x.dtype.newbyteorder("=") in (FLOAT32, FLOAT64):
        return x.astype(x.dtype.newbyteorder("="), copy=False)
    if x.dtype.kind in "biu":
        return x.astype(FLOAT32)
    raise TypeError(f"{name}: expected bools, integers, float32 or float64, got dtype {x.dtype}")


def large(x: Any) -> bool:
    """Is it an array worth more than one thread?"""
    return type(x) is np.ndarray and x.size >= LARGE


def split_ufunc(ufunc: np.ufunc, inputs: tuple[Any, ...], out: np.ndarray | None = None) -> np.ndarray:
    """ufunc(*inputs, out=out), by all threads. Python's numbers are weak, as they are for NumPy."""
    inputs = tuple(x if type(x) in (bool, int, float) else np.asarray(x) for x in inputs)
    arrays = [x for x in inputs if np.ndim(x)]
    shape = np.broadcast_shapes(*(x.shape for x in arrays))
    overlap = out is not None and any(x is not out and np.may_share_memory(x, out) for x in arrays)
    if get_num_threads() == 1 or overlap or (out is not None and out.shape != shape):
        return ufunc(*inputs, out=out)      # NumPy copies what overlaps, and words the error
    if all(x.flags.f_contiguous and x.shape == shape for x in arrays) and len(shape) > 1 and out is None:
        return split_ufunc(ufunc, tuple(x.T if np.ndim(x) else x for x in inputs)).T
    if out is None:
        kinds = [type(x) if type(x) in (bool, int, float) else x.dtype for x in inputs]
        out = np.empty(shape, ufunc.resolve_dtypes((*kinds, None))[-1])
    if out.flags.c_contiguous and all(x.shape == shape and x.flags.c_contiguous for x in arrays):
        whole, pieces = out.reshape(-1), [x.reshape(-1) if np.ndim(x) else x for x in inputs]
    else:
        whole, pieces = out, [np.broadcast_to(x, shape) if np.ndim(x) else x for x in inputs]
    run(_slice, ufunc, whole, pieces, np.geterr(), parts=min(len(whole), get_num_threads()))
    return out


def _slice(part: int, parts: int, ufunc: np.ufunc, out: np.ndarray, inputs: list[Any], errors: Any) -> None:
    """One part of the first axis, with the caller's treatment of floating-point errors."""
    rows = slice(len(out) * part // parts, len(out) * (part + 1) // parts)
    with np.errstate(**errors):
        ufunc(*(x[rows] if np.ndim(x) else x for x in inputs), out=out[rows])


def share_rows(kernel: Callable[..., Any], inputs: Sequence[np.ndarray], outs: Sequence[np.ndarray],
               least: int = LARGE) -> None:
    """kernel(*inputs, out=outs): the threads share the first axis, which all arrays have, from `least` elements on."""
    threads = get_num_threads() if max(a.size for a in (*inputs, *outs)) >= least else 1
    parts = min(threads, len(outs[0]))
    if parts > 1:
        run(_rows, kernel, inputs, outs, parts=parts)
    else:
        kernel(*inputs, out=tuple(outs))


def _rows(part: int, parts: int, kernel: Callable[..., Any], inputs: Sequence[np.ndarray],
          outs: Sequence[np.ndarray]) -> None:
    """One part of the first axis."""
    chosen = slice(len(outs[0]) * part // parts, len(outs[0]) * (part + 1) // parts)
    kernel(*(a[chosen] for a in inputs), out=tuple(a[chosen] for a in outs))
