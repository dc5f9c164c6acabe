"""Optimizer steps in one pass over memory, and the sum of squares that clipping needs.

Each is tested to equal the rule that `optim` states in NumPy, bit by bit: the same operations in the same order, lane
by lane, so that it matters neither where a parameter is cut nor on how many threads.
"""
from functools import cache
from typing import Any

import numpy as np

from .llvm import Emit, Int, V
from .ufunc import Operand, gufunc, use_threads

ROW = 1 << 12       # elements of a row: what the threads share out, and what a sum of squares adds up before the next


def adam_row(e: Emit, sizes: list[Int], constants: Operand, g: Operand, p: Operand, m: Operand, v: Operand) -> None:
    """(c),(n)->(n),(n),(n): m += (1 - beta1) (g - m), v = beta2 v + (1 - beta2) g^2, p -= lr m / (sqrt(v)/s + eps)."""
    new, beta2, new2, root, eps, lr = (e.broadcast(constants.address + k * e.size) for k in range(6))

    def some(k: Int, lanes: Any = None) -> None:
        at = k * e.bytes
        x = e.load(g.address + at, lanes)
        mean, square = (e.load(o.address + at, lanes) for o in (m, v))
        mean = mean + (x - mean) * new
        square = square * beta2 + x * x * new2
        move = mean / (square.sqrt() / root + eps) * lr
        for o, value in ((m, mean), (v, square), (p, e.load(p.address + at, lanes) - move)):
            e.store(o.address + at, value, lanes)

    whole = sizes[1] // e.width
    e.loop(whole, some)
    with e.when(sizes[1] > whole * e.width):
        some(whole, e.first(sizes[1] - whole * e.width))


def squares_row(e: Emit, sizes: list[Int], x: Operand, total: Operand) -> None:
    """(n)->(): the sum of squares, in float64."""
    double = e.double()

    def some(k: Int, sums: V) -> list[V]:
        term = e.load(x.address + k * e.bytes, e.first(sizes[0] - k * e.width)).to(double)
        return [sums + term * term]

    sums = e.loop(e.vectors(sizes[0]), some, double.const(0.0))[0]
    double.store(total.address, sums.fold(lambda a, b: a + b), double.first(e.int(1)))


@cache
def _adam() -> np.ufunc:
    return gufunc(adam_row, "(c),(n)->(n),(n),(n)", ("fffff", "ddddd"))


@cache
def _squares() -> np.ufunc:
    return gufunc(squares_row, "(n)->()", ("fd", "dd"))


def _rows(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A contiguous array as rows of ROW elements, and what is left over."""
    flat = x.reshape(-1)
    cut = len(flat) - len(flat) % ROW
    return flat[:cut].reshape(-1, ROW), flat[cut:]


def adam(p: np.ndarray, g: np.ndarray, m: np.ndarray, v: np.ndarray, betas: tuple[float, float], root: float,
         eps: float, lr: float) -> None:
    """Move p, and the means m and v, in place: contiguous arrays of one shape and dtype.

    m += (1 - beta1) (g - m);  v = beta2 v + (1 - beta2) g^2;  p -= lr m / (sqrt(v) / root + eps)
    """
    constants = np.array([1 - betas[0], betas[1], 1 - betas[1], root, eps, lr], p.dtype)
    use_threads()
    for pk, gk, mk, vk in zip(*map(_rows, (p, g, m, v))):
        if pk.size:
            _adam()(constants, gk, out=(pk, mk, vk))


def sum_of_squares(x: np.ndarray) -> float:
    """In float64, in one order whatever the number of threads; of a contiguous array."""
    use_threads()
    return float(sum(float(_squares()(part).sum()) for part in _rows(x) if part.size))
