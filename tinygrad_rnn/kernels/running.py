"""The kernels of running sums, in float64, one element after the other."""
from functools import cached_property
from typing import Any

import numpy as np

from .llvm import Emit, Int, V
from .ufunc import Operand, gufunc

ROWS = 4    # whose running sums are computed together: each addition waits for the one before


def _running_columns(e: Emit, sizes: list[Int], x: Operand, out: Operand) -> None:
    """(n,m) -> (n,m): the sums of the first 1, 2, ... elements of each column."""
    n, m = sizes
    double = e.double()

    def vector(c: Int) -> None:
        lanes = e.first(m - c * e.width)

        def step(_: Int, source: Int, to: Int, total: V) -> list[Any]:
            total = total + e.load(source, lanes).to(double)
            e.store(to, total.to(e), lanes)
            return [source + x.strides[0], to + out.strides[0], total]

        e.loop(n, step, x.address + c * e.bytes, out.address + c * e.bytes, double.const(0.0))

    e.loop(e.vectors(m), vector)


def _transposed(e: Emit, rows: list[V]) -> list[V]:
    """As many vectors as a vector has lanes: lane k of vector i becomes lane i of vector k."""
    rows, half = list(rows), e.width // 2
    while half:
        for i in range(e.width):
            if not i & half:
                a, b = rows[i], rows[i + half]
                rows[i] = e.shuffle(a, b, [k + (e.width - half) * bool(k & half) for k in range(e.width)])
                rows[i + half] = e.shuffle(a, b, [k + (e.width if k & half else half) for k in range(e.width)])
        half //= 2
    return rows


def _running_rows(e: Emit, sizes: list[Int], x: Operand, out: Operand) -> None:
    """(m,n) -> (m,n): the same of each row. A vector's lanes are as many rows; those left over go a few at a time."""
    m, n = sizes
    double, one = e.double(), e.first(e.int(1))
    whole = m // e.width

    def square(g: Int) -> None:
        source, to = (o.address + g * e.width * o.strides[0] for o in (x, out))

        def step(k: Int, total: V) -> list[V]:
            lanes, at, sums = e.first(n - k * e.width), k * e.bytes, []
            for column in _transposed(e, [e.load(source + r * x.strides[0] + at, lanes) for r in range(e.width)]):
                total = total + column.to(double)
                sums.append(total.to(e))
            for r, row in enumerate(_transposed(e, sums)):
                e.store(to + r * out.strides[0] + at, row, lanes)
            return [total]

        e.loop(e.vectors(n), step, double.const(0.0))

    def group(g: Int) -> None:
        # Beyond the last row it is done once more.
        rows = [whole * e.width + g * ROWS + r for r in range(ROWS)]
        rows = [(m > row).select(row, m - 1) for row in rows]

        def step(k: Int, *totals: V) -> list[V]:
            result = []
            for row, total in zip(rows, totals):
                total = total + e.broadcast(x.address + row * x.strides[0] + k * e.size).to(double)
                e.store(out.address + row * out.strides[0] + k * e.size, total.to(e), one)
                result.append(total)
            return result

        e.loop(n, step, *[double.const(0.0)] * ROWS)

    e.loop(whole, square)
    e.loop((m - whole * e.width + (ROWS - 1)) // ROWS, group)


class Running:
    """Running sums."""

    @cached_property
    def rows(self) -> np.ufunc:
        """(m,n) -> (m,n), along n."""
        return gufunc(_running_rows, "(m,n)->(m,n)", name="running_rows")

    @cached_property
    def columns(self) -> np.ufunc:
        """(n,m) -> (n,m), along n."""
        return gufunc(_running_columns, "(n,m)->(n,m)", name="running_columns")


RUNNING = Running()
