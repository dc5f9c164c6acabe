"""Where an array begins, for tables of addresses: NumPy's own `ctypes.data` takes as long as a small product."""
from collections.abc import Callable

import numpy as np

from .jit import kernel


@kernel("intp(const(T[:]))", dtypes="fdq")
def of_vector(x):
    """(n,) -> its address."""
    return x.ctypes.data


@kernel("intp(const(T[:, :]))", dtypes="fdq")
def of_matrix(x):
    """(m, n) -> its address."""
    return x.ctypes.data


@kernel("intp(const(T[:, :, :]))", dtypes="fdq")
def of_sequence(x):
    """(t, m, n) -> its address."""
    return x.ctypes.data


_by_rank = {1: of_vector, 2: of_matrix, 3: of_sequence}


def address_of(x: np.ndarray) -> Callable[[np.ndarray], int]:
    """What gives the address of the first element of arrays like x: one to three axes, float32, float64 or int64."""
    of: Callable[[np.ndarray], int] = _by_rank[x.ndim][x.dtype]
    return of


def address(x: np.ndarray) -> int:
    """The address of the first element."""
    return int(address_of(x)(x))
