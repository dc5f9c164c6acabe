"""The elementwise part of a recurrent step, as machine code: one straight-line function, called a vector of units at a
time for the rows of a batch, while the product that came before is still in the nearest cache.

The function is plain Python (`i = sigmoid(z_i + b_i)` ...), the same that the cell compiler shows and that runs on
NumPy rows without the JIT; here it is traced on the vectors of `llvm.py`. What it reads and writes stands in *groups*:
memory with one stride a step and one a row, in which an operand is a constant distance away. A table of integers tells
where it is:

    address of the number of units (a floating-point number), the same as an integer
    base, step stride, row stride        for each group, in bytes
    offset                               for each operand: what is read, in the order of the arguments, then the results
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from . import functions
from .jit import Compiled, native
from .llvm import Emit, Int, V

WIDTH, UNITS = 0, 8         # of the table
GROUP, GROUP_SIZE = 16, 24


@dataclass(frozen=True)
class Operand:
    """Where one argument or result stands, and what is done with it.

    Attributes
    ----------
    group : int
        Index of its group in the table.
    kind : str
        Of an argument "row" (one value a row and unit), "vector" (one a unit), "scalar" (one), "narrow" (one a row); of
        a result "row", "narrow", "add" (to what stands there), "sum" (over the units of a row: a vector of partial
        sums), "mean" (narrow: of the partial sums of the sum in the same place among the sums, when they are complete).
    masked : bool
        For memory that is not padded to whole vectors: lanes beyond the last unit are neither read nor written.
    """

    group: int
    kind: str = "row"
    masked: bool = False


# What the functions may call, on vectors.
CALLS: dict[str, Callable[..., V]] = {
    "tanh": functions.tanh, "sigmoid": functions.sigmoid, "softplus": functions.softplus, "exp": functions.exp,
    "log": functions.log, "relu": lambda x: x.maximum(0.0), "step": lambda x: (x > 0.0).select(x.wrap(1.0), 0.0),
    "sqrt": lambda x: x.sqrt(), "abs": abs, "sign": lambda x: (x == 0.0).select(x, x.wrap(1.0).copysign(x)),
    "maximum": lambda a, b: a.maximum(b), "minimum": lambda a, b: a.minimum(b)}


def unit(function: Callable[..., Any], reads: Sequence[Operand], writes: Sequence[Operand], name: str) -> Compiled:
    """dtype -> address of void(rows, lanes, step, row, first, table).

    It computes for `rows` rows from `row` on, at time `step`, the `lanes` (at most a vector) units from `first` on.
    """
    operands = [*reads, *writes]
    groups = 1 + max(o.group for o in operands)
    used = sorted({o.group for o in operands if o.kind not in ("vector", "scalar")})

    def kernel(e: Emit, rows: Int, lanes: Int, step: Int, row: Int, first: Int, table: Int) -> None:
        mask = e.first(lanes)
        column = first * e.size
        base, stride = [], []
        for g in range(groups):
            place = table + (GROUP + GROUP_SIZE * g)
            stride.append(e.load_int(place + 16))
            base.append(e.load_int(place) + step * e.load_int(place + 8) + row * stride[g])
        offset = [e.load_int(table + (GROUP + GROUP_SIZE * groups + 8 * k)) for k in range(len(operands))]
        last = first + lanes == e.load_int(table + UNITS)
        fixed = {}
        for k, o in enumerate(reads):
            if o.kind == "vector":
                fixed[k] = e.load(base[o.group] + offset[k] + column, mask if o.masked else None)
            elif o.kind == "scalar":
                fixed[k] = e.broadcast(base[o.group] + offset[k])

        def body(_: Int, *pointers: Int) -> list[Int]:
            at = dict(zip(used, pointers))

            def load(k: int, o: Operand) -> V:
                if k in fixed:
                    return fixed[k]
                if o.kind == "narrow":
                    return e.broadcast(at[o.group] + offset[k])
                return e.load(at[o.group] + offset[k] + column, mask if o.masked else None)

            results = function(*(load(k, o) for k, o in enumerate(reads)))
            totals: list[V] = []
            means: list[tuple[Int, V]] = []
            for k, (o, result) in enumerate(zip(writes, results), len(reads)):
                value = e.const(result) if isinstance(result, (int, float)) else result
                address = at[o.group] + offset[k]
                if o.kind == "sum":
                    totals.append(mask.select(value, 0.0) + (first == 0).select(e.const(0.0), e.load(address)))
                    e.store(address, totals[-1])
                elif o.kind == "mean":
                    means.append((address, totals[len(means)]))
                elif o.kind == "narrow":
                    e.store_first(address, value)
                if o.kind in ("sum", "mean", "narrow"):
                    continue
                address = address + column
                if o.kind == "add":
                    value = value + e.load(address, mask if o.masked else None)
                e.store(address, value, mask if o.masked else None)
            if means:
                with e.when(last):
                    width = e.broadcast(e.load_int(table + WIDTH))
                    for address, total in means:
                        e.store_first(address, total.fold(lambda a, b: a + b) / width)
            return [p + stride[g] for g, p in zip(used, pointers)]

        e.loop(rows, body, *(base[g] for g in used))

    return native(kernel, name)
