"""The elementwise part of a recurrent step, as machine code: one straight-line function, over the rows of a batch and one
vector of units at a time, while the product that came before is still in the nearest cache.

The function is plain Python (`i = sigmoid(z_i + b_i)` ...), the same that the cell compiler shows and that runs on NumPy rows
without the JIT; here it is traced on the vectors of `llvm.py`. What it reads and writes stands in *groups*: memory with one
stride a step and one a row, in which an operand is a constant distance away. A table of integers tells where all that is:

    base, step stride, row stride        for each group, in bytes
    offset                               for each operand: what is read, in the order of the arguments, then what is written
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .jit import Compiled, native
from .llvm import Emit, Int

ROW, VECTOR, SCALAR = "row", "vector", "scalar"


@dataclass(frozen=True)
class Operand:
    """Where one argument or result stands.

    group : index of its group in the table
    kind : "row" (one value a row and unit), "vector" (one a unit), "scalar" (one)
    masked : True for memory that is not padded to whole vectors: lanes beyond the last unit are then neither read nor written
    """

    group: int
    kind: str = ROW
    masked: bool = False


def unit(function: Callable[..., Any], reads: Sequence[Operand], writes: Sequence[Operand], name: str) -> Compiled:
    """dtype -> address of void(rows, lanes, step, row, first, table).

    It computes for `rows` rows from `row` on, at time `step`, the `lanes` (at most a vector) units from `first` on.
    """
    groups = 1 + max(o.group for o in (*reads, *writes))

    def kernel(e: Emit, rows: Int, lanes: Int, step: Int, row: Int, first: Int, table: Int) -> None:
        mask = e.first(lanes) if any(o.masked for o in (*reads, *writes)) else None
        column = first * e.size
        base, stride = [], []
        for g in range(groups):
            stride.append(e.load_int(table + (24 * g + 16)))
            base.append(e.load_int(table + 24 * g) + step * e.load_int(table + (24 * g + 8)) + row * stride[g])
        offset = [e.load_int(table + 24 * groups + 8 * k) for k in range(len(reads) + len(writes))]
        fixed = {}
        for k, o in enumerate(reads):
            if o.kind == VECTOR:
                fixed[k] = e.load(base[o.group] + offset[k] + column, mask if o.masked else None)
            elif o.kind == SCALAR:
                fixed[k] = e.broadcast(base[o.group] + offset[k])
        used = sorted({o.group for o in (*reads, *writes) if o.kind == ROW})

        def body(_: Int, *pointers: Int) -> list[Int]:
            at = dict(zip(used, pointers))
            values = [fixed[k] if k in fixed else e.load(at[o.group] + offset[k], mask if o.masked else None)
                      for k, o in enumerate(reads)]
            results = function(*values)
            for k, (o, result) in enumerate(zip(writes, results)):
                known = result if not isinstance(result, (int, float)) else e.const(result)
                e.store(at[o.group] + offset[len(reads) + k], known, mask if o.masked else None)
            return [p + stride[g] for g, p in zip(used, pointers)]

        e.loop(rows, body, *(base[g] + column for g in used))

    return native(kernel, name)
