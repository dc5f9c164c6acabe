"""NumPy ufuncs from functions of the vector language.

A ufunc brings what an elementwise operation needs beside its arithmetic, all of it in C: broadcasting, strides, `out=`,
allocation, overlap, dispatch in a quarter of a microsecond, and it runs without the GIL. We only supply the innermost
loop; a large one is shared out to the thread pool from within.
"""
import ctypes
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy._core import umath

from . import threads
from .arrays import LARGE
from .jit import Compiled, native
from .llvm import Emit, Int, Mask, V
from .pool import RUN

# Entries of the ufunc table in NumPy's C interface: PyUFunc_FromFuncAndData, and the same with ...AndSignature.
_FROM_FUNC_AND_DATA, _WITH_SIGNATURE = 1, 31
_NO_IDENTITY = -1
_alive: list[Any] = []  # NumPy keeps pointers to these
_shared = np.zeros(2, np.int64)  # what all loops look at: the address of the pool, or 0, and its number of threads
_told: Any = None       # the pool that they know


def use_threads() -> None:
    """To be called before a ufunc of ours gets a large array: its loop then finds the pool as it is now."""
    global _told
    if threads.started is None or threads.started is not _told:
        _shared[:] = threads.pool_address(), threads.get_num_threads()
        _told = threads.started


# ---- elementwise ----------------------------------------------------------------------------------------------------


def ufunc(function: Callable[..., V], inputs: int, name: str | None = None, dtypes: str = "fd") -> Compiled:
    """A function V, ... -> V as NumPy ufuncs, one a dtype: `tanh = ufunc(_tanh, 1)`, then `tanh[x.dtype](x, out=y)`.

    Inputs that NumPy hands on contiguous or constant run in whole vectors; others are gathered.
    A lane's value never depends on which of these happened.
    """
    name = name or function.__name__.strip("_")
    loop = native(_loop(function, inputs), f"ufunc_{name}", dtypes)
    doc = function.__doc__ or ""
    return Compiled(name, lambda dtype: _make([loop[dtype]], [dtype] * (inputs + 1), inputs, name, doc), dtypes)


def joint_ufunc(function: Callable[..., Any], inputs: int, name: str | None = None, kinds: str = "",
                warns: bool = False) -> np.ufunc:
    """The same as one NumPy ufunc for float32 and float64, compiled at once: half the time of a call.

    Parameters
    ----------
    kinds : one letter an operand, the result last: "v" for lanes, "m" for truth values, which are bool arrays
    warns : whether division by zero, overflow and NaN out of numbers warn, as those of NumPy's ufuncs do
    """
    name, kinds = name or function.__name__.strip("_"), kinds or "v" * (inputs + 1)
    loop = native(_loop(function, inputs, kinds, warns), f"ufunc_{name}")
    dtypes = [d if kind == "v" else np.dtype(bool) for d in loop.dtypes for kind in kinds]
    return _make([loop[d] for d in loop.dtypes], dtypes, inputs, name, function.__doc__ or "")


def _loop(function: Callable[..., Any], inputs: int, kinds: str = "", warns: bool = False) -> Callable[..., None]:
    """A part of the loop that NumPy calls; the context: addresses of operands, of the length, of the strides, and the
    floating-point flags that came up."""
    kinds = kinds or "v" * (inputs + 1)
    truths = [kind == "m" for kind in kinds]

    def loop(e: Emit, part: Int, parts: Int, context: Int) -> None:
        operands, length, strides = (e.load_int(context + 8 * i) for i in range(3))
        total = e.load_int(length)
        first = total * part // parts
        n = total * (part + 1) // parts - first
        stride = [e.load_int(strides + 8 * i) for i in range(inputs + 1)]
        address = [e.load_int(operands + 8 * i) + first * s for i, s in enumerate(stride)]
        flags = e.save_flags()
        if warns:
            e.clear_flags(flags)
        simple = stride[inputs] == (1 if truths[inputs] else e.size)
        for s, truth in zip(stride[:inputs], truths):
            simple = simple & ((s == 1) if truth else (s == e.size) | (s == 0))
        with e.when(simple):
            # A constant input is spread out over a vector of scratch, which the loop then reads again and again.
            room, advance = e.scratch(inputs), []
            for i, (a, s) in enumerate(zip(address, stride[:inputs])):
                if truths[i]:
                    advance.append((a, e.int(e.width)))
                    continue
                with e.when(n > 0):
                    e.store(room + i * e.bytes, e.broadcast(a))
                constant = (s == 0) & (n > 0)
                advance.append((constant.select(room + i * e.bytes, a), constant.select(e.int(0), e.int(e.bytes))))

            def vector(k: Int, lanes: Mask | None = None) -> None:
                x: list[Any] = [e.load_mask(a + k * step, lanes) if truth else e.load(a + k * step, lanes)
                                for (a, step), truth in zip(advance, truths)]
                if warns and lanes is not None:     # what lies beyond the end shall not warn
                    x = [value if truth else lanes.select(value, 1.0) for value, truth in zip(x, truths)]
                if truths[inputs]:
                    e.store_mask(address[inputs] + k * e.width, function(*x), lanes)
                else:
                    e.store(address[inputs] + k * e.bytes, function(*x), lanes)

            whole = n // e.width
            e.loop(whole, vector)
            with e.when(n > whole * e.width):
                vector(whole, e.first(n - whole * e.width))
        with e.when(~simple):

            def gathered(k: Int) -> None:
                lanes, first = e.first(n - k * e.width), k * e.width
                x: list[Any] = []
                for a, s, truth in zip(address, stride[:inputs], truths):
                    value = e.gather(a + first * s, s, lanes, truth)
                    x.append(value if truth or not warns else lanes.select(value, 1.0))
                e.scatter(address[inputs] + first * stride[inputs], stride[inputs], function(*x), lanes)

            e.loop(e.vectors(n), gathered)
        if warns:
            e.collect_flags(context + 24)
        e.restore_flags(flags)

    return loop


# ---- whole rows ------------------------------------------------------------------------------------------------------


def gufunc(kernel: Callable[..., None], signature: str, kinds: Sequence[str] = ("ff", "dd"),
           name: str | None = None) -> np.ufunc:
    """A function of whole rows as a generalised ufunc, compiled for all its kinds at once.

    Parameters
    ----------
    kernel : kernel(e, sizes, *operands), for one row
        sizes: the lengths that the signature names, in the order of their first appearance.
        operands: `Operand`s, inputs and then outputs.
    signature : NumPy's, such as "(n),()->(n)"
    kinds : the dtype characters of all operands; the first one is the emitter's
    """
    name = name or kernel.__name__.strip("_")
    sides = [[tuple(filter(None, core.split(","))) for core in re.findall(r"\(([^)]*)\)", side)]
             for side in signature.split("->")]
    cores = [core for side in sides for core in side]
    sizes = list(dict.fromkeys(size for core in cores for size in core))

    def loop(e: Emit, part: Int, parts: Int, context: Int) -> None:
        operands, dimensions, strides = (e.load_int(context + 8 * i) for i in range(3))
        outer, *lengths = (e.load_int(dimensions + 8 * i) for i in range(1 + len(sizes)))
        first = outer * part // parts
        steps = [e.load_int(strides + 8 * i) for i in range(len(cores))]
        inner = (e.load_int(strides + 8 * i) for i in range(len(cores), len(cores) + sum(map(len, cores))))
        core_strides = [tuple(next(inner) for _ in core) for core in cores]
        addresses = [e.load_int(operands + 8 * i) + first * step for i, step in enumerate(steps)]
        flags = e.save_flags()

        def row(_: Int, *addresses: Int) -> list[Int]:
            kernel(e, lengths, *map(Operand, addresses, core_strides))
            return [address + step for address, step in zip(addresses, steps)]

        e.loop(outer * (part + 1) // parts - first, row, *addresses)
        e.restore_flags(flags)

    loops = [native(loop, f"gufunc_{name}_{kind}", kind[0])[kind[0]] for kind in kinds]
    dtypes = [np.dtype(np.int64 if c == "q" else c) for kind in kinds for c in kind]
    return _make(loops, dtypes, len(sides[0]), name, kernel.__doc__ or "", signature, len(sizes))


@dataclass(frozen=True)
class Operand:
    """Where one row of an operand stands: its address, and the distance in bytes along each of its core dimensions."""

    address: Int
    strides: tuple[Int, ...]


# ---- what NumPy calls ------------------------------------------------------------------------------------------------


@native
def enter(e: Emit, operands: Int, dimensions: Int, strides: Int, data: Int) -> None:
    """Every loop: run it whole, or by the threads of the pool if there is enough to do."""
    shared, loop, sizes = (e.load_int(data + 8 * i) for i in range(3))
    context = e.scratch(4)
    for i, address in enumerate((operands, dimensions, strides, e.int(0))):
        e.store_int(context + 8 * i, address)
    work, = e.loop(sizes, lambda k, product: [product * e.load_int(dimensions + 8 * (k + 1))], e.load_int(dimensions))
    pool, number = e.load_int(shared), e.load_int(shared + 8)
    several = (work >= LARGE) & (pool != 0) & (e.load_int(dimensions) > 1)
    with e.when(several):
        e.call(e.load_int(pool + RUN), pool, number, loop, context)
    with e.when(~several):
        e.call(loop, e.int(0), e.int(1), context)
    e.raise_flags(context + 24)


def _make(loops: list[int], dtypes: list[np.dtype], inputs: int, name: str, doc: str, signature: str = "",
          sizes: int = 0) -> np.ufunc:
    """dtypes: those of all operands, for one loop after the other; sizes: how many core dimensions there are."""
    get_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
        ("PyCapsule_GetPointer", ctypes.pythonapi))
    table = ctypes.cast(get_pointer(umath._UFUNC_API, None), ctypes.POINTER(ctypes.c_void_p))
    parameters = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_int,
                  ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int]
    words = [np.array([_shared.ctypes.data, loop, sizes], np.int64) for loop in loops]
    functions = (ctypes.c_void_p * len(loops))(*[enter[np.float64]] * len(loops))
    data = (ctypes.c_void_p * len(loops))(*(w.ctypes.data for w in words))
    kinds = bytes(dtype.num for dtype in dtypes)
    text = name.encode(), doc.encode()
    outputs = len(dtypes) // len(loops) - inputs
    args: list[Any] = [functions, data, kinds, len(loops), inputs, outputs, _NO_IDENTITY, *text, 0]
    entry = _FROM_FUNC_AND_DATA
    if signature:
        entry, parameters, args = _WITH_SIGNATURE, [*parameters, ctypes.c_char_p], [*args, signature.encode()]
    _alive.append((args, words))
    return ctypes.PYFUNCTYPE(ctypes.py_object, *parameters)(table[entry])(*args)
