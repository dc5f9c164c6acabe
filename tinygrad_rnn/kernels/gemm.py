"""The matrix product: `matmul`, and `pack` for a second operand that is used often.

    C[i, j] = sum over k of A[i, k] B[k, j]

float32 and float64, any strides, batches, vectors. The order in which an element's products are added depends on K
and the dtype alone (product.py states it): a row's result is bitwise the same alone and in a batch, packed or not, in
any layout, on any number of threads. No term is skipped, so that a NaN or an infinity always comes through.
"""
import functools
import math
import warnings
from typing import Any

import numpy as np

from . import threads

_DTYPES = (np.dtype(np.float32), np.dtype(np.float64))
_ALONE = np.zeros((1, 3), np.int64)  # a batch of one product
_SERIAL = 1 << 20  # multiply-adds of a product that one thread does alone: less than ten microseconds
KEPT = 1 << 12  # products of a batch whose offsets are kept for the next time
_FEW, _SERIAL_FEW = 2, 1 << 21  # the same for so few rows: the cache sets the pace, and waking a thread takes as long
_LINE = 64  # bytes, of the cache


class Packed:
    """A matrix whose columns stand in the order in which a product reads them: what `pack` gives.

    Attributes
    ----------
    shape : (K, N)
    dtype : float32 or float64
    """

    __slots__ = ("shape", "dtype", "matrix", "panels")

    def __init__(self, matrix: np.ndarray, panels: bool) -> None:
        self.shape, self.dtype, self.matrix, self.panels = matrix.shape, matrix.dtype, matrix, int(panels)

    ndim = 2

    def __repr__(self) -> str:
        return f"<packed matrix of shape {self.shape}, {self.dtype}>"


def pack(b: np.ndarray) -> Packed:
    """Copy a matrix into the order in which a product reads its second operand.

    Parameters
    ----------
    b : (K, N) float32 or float64, any strides

    Returns
    -------
    Packed of shape (K, N): the second operand of any number of `matmul`s. Later changes of b do not show in it.

    Raises
    ------
    TypeError, ValueError
        If b is not such an array.
    """
    _check_array(b, "pack: b")
    if b.ndim != 2:
        raise ValueError(f"pack: b: expected a matrix (K, N), got shape {b.shape}")
    product = products(b.dtype)
    if product is None or b.shape[1] <= 1 or b.size == 0:
        return Packed(b.copy(), False)
    return product.pack(b)


def matmul(a: np.ndarray, b: np.ndarray | Packed, out: np.ndarray | None = None) -> np.ndarray:
    """Matrix product, with the rules of `numpy.matmul` for vectors and batches.

    Parameters
    ----------
    a : (..., M, K) or (K,), float32 or float64
    b : (..., K, N) or (K,), dtype of a; or a matrix from `pack`
    out : (..., M, N) of the same dtype, to write to; may overlap a and b

    Returns
    -------
    (..., M, N), without M or N where a or b is a vector; `out` if given. C[i, j] = sum_k A[i, k] B[k, j]

    Raises
    ------
    TypeError
        If an operand is no array, or dtypes are neither float32 nor float64, or differ.
    ValueError
        If shapes do not fit.
    """
    right, panels = (b.matrix, b.panels) if isinstance(b, Packed) else (b, 0)
    if out is None and type(a) is type(right) is np.ndarray and a.ndim == right.ndim == 2:
        # The way most products go, kept short. Whatever is unusual takes the long way.
        dtype, (m, depth), (rows, n) = a.dtype, a.shape, right.shape
        if depth == rows and n > 1 and m * depth and dtype is right.dtype:
            product = _ready.get(dtype)
            if product is not None:
                out = np.empty((m, n), dtype)
                pool = threads.pool_address() if m * n * depth > (_SERIAL if m > _FEW else _SERIAL_FEW) else 0
                product.call(product.table, pool, 1, product.alone, a, right, panels, out, 0)
                return out
    return _matmul(a, right, panels, out, False)


def accumulate(a: np.ndarray, b: np.ndarray | Packed, out: np.ndarray) -> np.ndarray:
    """out += a @ b, in place: as `matmul`, but the sums are added to what stands in `out`."""
    right, panels = (b.matrix, b.panels) if isinstance(b, Packed) else (b, 0)
    return _matmul(a, right, panels, out, True)


def into(a: np.ndarray, b: np.ndarray, out: np.ndarray, add: bool = False) -> None:
    """out = a @ b, or out += a @ b, for matrices that are known to fit: nothing is checked.

    out has contiguous rows and shares no memory with a and b; a and b are not empty.
    """
    product = products(out.dtype)
    if product is None or out.shape[1] == 1:
        _matmul(a, b, 0, out, add)
        return
    pool = threads.pool_address() if a.size * out.shape[1] > _SERIAL else 0
    product.call(product.table, pool, 1, product.alone, a, b, 0, out, int(add))


# ---- the long way ---------------------------------------------------------------------------------------------------


def _check_array(x: Any, name: str) -> None:
    if not isinstance(x, np.ndarray):
        raise TypeError(f"{name}: expected a NumPy array, got {type(x).__name__}")
    if x.dtype not in _DTYPES:
        raise TypeError(f"{name}: expected float32 or float64, got {x.dtype}; convert it with astype")


def _result_shape(a: np.ndarray, b: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shape of the batch and of the result; ValueError where shapes do not fit."""
    if not a.ndim or not b.ndim:
        raise ValueError(f"matmul: expected vectors or matrices, got shapes {a.shape} and {b.shape}")
    depth = b.shape[-2] if b.ndim > 1 else b.shape[0]
    if a.shape[-1] != depth:
        axis = "second to last" if b.ndim > 1 else "only"
        raise ValueError(f"matmul: the last axis of a must be as long as the {axis} axis of b, "
                         f"got shapes {a.shape} and {b.shape}: {a.shape[-1]} and {depth}")
    batch = a.shape[:-2]
    try:
        if batch != b.shape[:-2]:
            batch = np.broadcast_shapes(batch, b.shape[:-2])
    except ValueError:
        raise ValueError(f"matmul: the leading axes do not broadcast, got shapes {a.shape} and {b.shape}") from None
    return batch, batch + (a.shape[-2:-1] if a.ndim > 1 else ()) + (b.shape[-1:] if b.ndim > 1 else ())


def _matmul(a: np.ndarray, b: np.ndarray, panels: int, out: np.ndarray | None, adds: bool) -> np.ndarray:
    """Check everything, bring it to matrices with contiguous rows of the result, and multiply."""
    _check_array(a, "matmul: a")
    _check_array(b, "matmul: b")
    if a.dtype != b.dtype:
        raise TypeError(f"matmul: a is {a.dtype} and b {b.dtype}; convert one of them with astype")
    batch, shape = _result_shape(a, b)
    if out is None:
        out = np.empty(shape, a.dtype)
    elif not isinstance(out, np.ndarray) or out.dtype != a.dtype:
        raise TypeError(f"matmul: out: expected an array of {a.dtype}, got {getattr(out, 'dtype', type(out).__name__)}")
    elif out.shape != shape or not out.flags.writeable:
        raise ValueError(f"matmul: out: expected a writable array of shape {shape}, got {out.shape}"
                         + ("" if out.flags.writeable else ", read-only"))
    product = products(a.dtype)
    if product is None:
        with np.errstate(all="ignore"):  # as compiled code is silent too
            np.add(out, np.matmul(a, b), out=out) if adds else np.matmul(a, b, out=out)
        return out
    if not out.size or not a.shape[-1]:
        if not adds:
            out.fill(0)
        return out
    c = out
    if not out.flags.c_contiguous or np.may_share_memory(out, a) or np.may_share_memory(out, b):
        c = out.copy() if adds else np.empty(shape, a.dtype)
    product.multiply(batch, a, b, panels, c, adds)
    if c is not out:
        out[...] = c
    return out


class _Product:
    """The compiled product of one dtype."""

    def __init__(self, dtype: np.dtype) -> None:
        from . import llvm, product, tiles

        self.dtype, self.width = dtype, llvm.vector_bytes() // dtype.itemsize
        self.call, self._pack = product.multiply_matrices[dtype], product.pack_matrix[dtype]
        self.zeros = np.zeros(max(tiles.STRIP) * tiles.PANEL * self.width, dtype)
        kernels = [*tiles.panels, *tiles.strips, tiles.pack_rows, tiles.pack_columns, tiles.pack_any]
        self._words = np.array([*(k[dtype] for k in kernels), self.zeros.ctypes.data,
                                product.multiply[np.dtype(np.int64)], self.width], np.int64)
        self.table, self.alone = self._words.ctypes.data, _ALONE.ctypes.data

    def pack(self, b: np.ndarray) -> Packed:
        depth, n = b.shape
        room = np.empty(depth * -(-n // self.width) * self.width + _LINE // b.itemsize, b.dtype)
        first = -room.ctypes.data % _LINE // b.itemsize
        panels = room[first:first + depth * -(-n // self.width) * self.width].reshape(depth, -1)
        self._pack(self.table, b, panels)
        return Packed(panels[:, :n], True)

    def multiply(self, batch: tuple[int, ...], a: np.ndarray, b: np.ndarray, panels: int, c: np.ndarray,
                 adds: bool) -> None:
        """c = a b, or c += a b; c is contiguous, nothing is empty."""
        if b.ndim == 1:
            b, c = b[:, None], c[..., None]
        if a.ndim == 1:
            a, c = a[None], c[..., None, :]
        if b.ndim == 2 and a.ndim > 2 and a.flags.c_contiguous:
            a, c, batch = a.reshape(-1, a.shape[-1]), c.reshape(-1, c.shape[-1]), ()  # (..., M, K) -> (... M, K)
        if b.shape[-1] == 1:
            # A column: its transpose, one row, is computed instead, whose elements fill vectors.
            a, b, c = b.swapaxes(-1, -2), a.swapaxes(-1, -2), c.swapaxes(-1, -2)
        offsets = _ALONE
        if batch:
            many = math.prod(batch) > KEPT
            offsets = (_offsets.__wrapped__ if many else _offsets)(batch, *(_steps(x, len(batch)) for x in (a, b, c)))
            a, b, c = (x[(0,) * (x.ndim - 2)] for x in (a, b, c))
        work = len(offsets) * c.size * a.shape[1]
        pool = threads.pool_address() if work > _SERIAL else 0
        self.call(self.table, pool, len(offsets), offsets.ctypes.data, a, b, panels, c, int(adds))


def _steps(x: np.ndarray, axes: int) -> tuple[int, ...]:
    """From one matrix to the next along each axis of the batch, in bytes; 0 where x has one for all."""
    steps = [0 if n == 1 else stride for n, stride in zip(x.shape[:-2], x.strides)]
    return (*[0] * (axes - len(steps)), *steps)


@functools.lru_cache(64)
def _offsets(batch: tuple[int, ...], *steps: tuple[int, ...]) -> np.ndarray:
    """Where the matrices of each product of a batch stand, in bytes from the first: (products, operands)."""
    indices = np.indices(batch).reshape(len(batch), -1)     # (axes, products)
    return (np.array(steps, np.int64) @ indices).T.copy()


# ---- at first use ---------------------------------------------------------------------------------------------------

_ready: dict[np.dtype, _Product | None] = {}  # None: NumPy's product is used


def products(dtype: np.dtype) -> _Product | None:
    """The compiled product of a dtype, tried out once; None where there is none that works."""
    try:
        return _ready[dtype]
    except KeyError:
        _ready[dtype] = _first_use(dtype) if threads.COMPILED else None
        return _ready[dtype]


def _first_use(dtype: np.dtype) -> _Product | None:
    try:
        product = _Product(dtype)
        fault = _self_test(product)
    except Exception as error:  # whatever an unknown Numba or processor may bring
        fault = f"{type(error).__name__}: {error}"
    if fault is None:
        return product
    if None in _ready.values():
        return None  # it was said before
    warnings.warn(f"tinygrad_rnn: the compiled matrix product does not work here ({fault}); NumPy's is used, which is "
                  "as correct, but its results may depend on the batch and on the number of threads", RuntimeWarning,
                  stacklevel=2)
    return None


def _self_test(product: _Product) -> str | None:
    """Multiply some integers, where every order of summation gives the same; what is wrong, or None."""
    wide = 4 * 3 * product.width + 1
    for m, depth, n in ((1, 3, wide), (2, 5, wide), (3, 2, 2), (29, 9, 2 * product.width + 3), (5, 600, product.width)):
        a = (np.arange(m * depth) % 7 - 3).reshape(m, depth).astype(product.dtype)
        b = (np.arange(depth * n) % 5 - 2).reshape(depth, n).astype(product.dtype)
        expected = np.einsum("ik,kj->ij", a, b)
        packed = product.pack(b)
        for right, panels in ((b, 0), (np.asfortranarray(b), 0), (packed.matrix, 1)):
            c = np.full((m, n), np.nan, product.dtype)
            product.multiply((), a, right, panels, c, False)
            if not np.array_equal(c, expected):
                return f"a {product.dtype} product of shapes {a.shape} and {b.shape} is wrong"
    return None
