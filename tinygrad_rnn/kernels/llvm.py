"""A small vector language, the only file of the library that touches LLVM.

A kernel in it is a plain Python function `kernel(e, *integers)`. It is run once a dtype with symbols instead of
numbers, and what it does to them is written down as LLVM code for whole vectors:

    def scale(e, n, x, y):                  # y[:n] = 2 x[:n];  x, y: addresses
        def body(k):
            lanes = e.first(n - k * e.width)        # true in every lane but those beyond the end
            e.store(y + k * e.bytes, 2 * e.load(x + k * e.bytes, lanes), lanes)
        e.loop(e.vectors(n), body)

Two values exist: `Int`, a 64-bit integer (a count, a stride, an address), and `V`, a vector of floating-point lanes,
with its companions `Lanes` (the integers of the same bits) and `Mask` (what a comparison gives). Arithmetic is IEEE and
nothing is reordered or contracted, so a lane's result depends neither on its position nor on the width of the vector.
"""
import functools
import inspect
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

I1, I8, I32, I64 = (ir.IntType(bits) for bits in (1, 8, 32, 64))
BYTE_POINTER = I8.as_pointer()
Code = Callable[..., Any]
Size = int  # Emit has a method of that name
_X86 = llvm.get_process_triple().startswith(("x86_64", "amd64"))


# ---- the machine ----------------------------------------------------------------------------------------------------


@functools.cache
def target() -> tuple[str, str]:
    """Name and features of the CPU to compile for: this one, or what Numba's variables ask for."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    name = os.environ.get("NUMBA_CPU_NAME") or llvm.get_host_cpu_name()
    features = os.environ.get("NUMBA_CPU_FEATURES")
    return name, llvm.get_host_cpu_features().flatten() if features is None else features


@functools.cache
def vector_bytes() -> int:
    """Bytes of a vector: the widest registers that the CPU has, 16 where nothing is known."""
    features = target()[1].split(",")
    return 64 if "+avx512f" in features else 32 if "+avx2" in features and "+fma" in features else 16


@functools.cache
def has_fma() -> bool:
    """Whether the CPU has fused multiply-add; where not, `fma` is a function call, exact and slow."""
    return not _X86 or "+fma" in target()[1].split(",")


@functools.cache
def registers() -> int:
    """How many vector registers the CPU has."""
    return 16 if _X86 and vector_bytes() < 64 else 32


# ---- values ---------------------------------------------------------------------------------------------------------


class Value:
    """An LLVM value and the emitter that it belongs to."""

    __slots__ = ("e", "v")

    def __init__(self, e: "Emit", v: Any) -> None:
        self.e, self.v = e, v

    def __hash__(self) -> int:
        raise TypeError("a symbol has no hash")

    def __bool__(self) -> bool:
        raise TypeError("a symbol has no truth value: use select, when or loop")


def _operator(method: str, reverse: bool = False) -> Code:
    def apply(self: Any, other: Any) -> Any:
        a, b = self.v, self.wrap(other).v
        return type(self)(self.e, getattr(self.e.b, method)(*((b, a) if reverse else (a, b))))

    return apply


def _comparison(method: str, sign: str) -> Code:
    def compare(self: Any, other: Any) -> "Mask":
        return Mask(self.e, getattr(self.e.b, method)(sign, self.v, self.wrap(other).v))

    return compare


class Int(Value):
    """A 64-bit integer."""

    def wrap(self, x: Any) -> "Int":
        return x if isinstance(x, Int) else self.e.int(x)

    __add__, __radd__ = _operator("add"), _operator("add", True)
    __sub__, __rsub__ = _operator("sub"), _operator("sub", True)
    __mul__, __rmul__ = _operator("mul"), _operator("mul", True)
    __floordiv__, __mod__ = _operator("udiv"), _operator("urem")  # of numbers that are not negative
    __lt__, __le__ = _comparison("icmp_signed", "<"), _comparison("icmp_signed", "<=")
    __gt__, __ge__ = _comparison("icmp_signed", ">"), _comparison("icmp_signed", ">=")
    __eq__, __ne__ = _comparison("icmp_signed", "=="), _comparison("icmp_signed", "!=")
    __hash__ = Value.__hash__


class Mask(Value):
    """Truth values, one a lane, or a single one (from comparing `Int`s)."""

    def wrap(self, x: "Mask") -> "Mask":
        return x

    __and__, __or__, __xor__ = _operator("and_"), _operator("or_"), _operator("xor")

    def __invert__(self) -> "Mask":
        return Mask(self.e, self.e.b.not_(self.v))

    def select(self, yes: Any, no: Any) -> Any:
        """`yes` where true, else `no`; numbers become what the other one is."""
        known = yes if isinstance(yes, Value) else no if isinstance(no, Value) else self.e.const(0.0)
        return type(known)(known.e, self.e.b.select(self.v, known.wrap(yes).v, known.wrap(no).v))  # type: ignore


class Lanes(Value):
    """Integer lanes, as wide as the floating-point ones: their bits, or whole numbers."""

    def wrap(self, x: Any) -> "Lanes":
        return x if isinstance(x, Lanes) else self.e.lanes(x)

    __add__, __radd__ = _operator("add"), _operator("add", True)
    __sub__, __rsub__ = _operator("sub"), _operator("sub", True)
    __and__, __or__, __xor__ = _operator("and_"), _operator("or_"), _operator("xor")
    __lshift__, __rshift__ = _operator("shl"), _operator("ashr")
    __lt__, __gt__ = _comparison("icmp_signed", "<"), _comparison("icmp_signed", ">")
    __eq__, __ne__ = _comparison("icmp_signed", "=="), _comparison("icmp_signed", "!=")
    __hash__ = Value.__hash__

    def as_float(self) -> "V":
        """The same bits as floating-point lanes."""
        return V(self.e, self.e.b.bitcast(self.v, self.e.vector))

    def to_float(self) -> "V":
        """The same numbers as floating-point lanes."""
        return V(self.e, self.e.b.sitofp(self.v, self.e.vector))


class V(Value):
    """Floating-point lanes. Comparisons with a NaN are false, `!=` is true."""

    def wrap(self, x: Any) -> "V":
        return x if isinstance(x, V) else self.e.const(x)

    @property
    def dtype(self) -> np.dtype:
        return self.e.dtype

    __add__, __radd__ = _operator("fadd"), _operator("fadd", True)
    __sub__, __rsub__ = _operator("fsub"), _operator("fsub", True)
    __mul__, __rmul__ = _operator("fmul"), _operator("fmul", True)
    __truediv__, __rtruediv__ = _operator("fdiv"), _operator("fdiv", True)
    __lt__, __le__ = _comparison("fcmp_ordered", "<"), _comparison("fcmp_ordered", "<=")
    __gt__, __ge__ = _comparison("fcmp_ordered", ">"), _comparison("fcmp_ordered", ">=")
    __eq__, __ne__ = _comparison("fcmp_ordered", "=="), _comparison("fcmp_unordered", "!=")
    __hash__ = Value.__hash__

    def __neg__(self) -> "V":
        return V(self.e, self.e.b.fneg(self.v))

    def __abs__(self) -> "V":
        return self._call("fabs")

    def _call(self, name: str, *others: Any) -> "V":
        args = [self.v, *(self.wrap(x).v for x in others)]
        function = self.e.function(f"llvm.{name}.{self.e.suffix}", self.e.vector, [a.type for a in args])
        return V(self.e, self.e.b.call(function, args))

    def fma(self, y: Any, z: Any) -> "V":
        """self * y + z, rounded once."""
        return self._call("fma", y, z)

    def sqrt(self) -> "V":
        return self._call("sqrt")

    def floor(self) -> "V":
        return self._call("floor")

    def ceil(self) -> "V":
        return self._call("ceil")

    def round(self) -> "V":
        """To the nearest whole number, ties to even."""
        return self._call("nearbyint")

    def scale(self, n: "Lanes") -> "V | None":
        """2^n times each lane, rounded once, also beyond the normal numbers; None where no one instruction does it."""
        if not _X86 or self.e.bytes != 64 or vector_bytes() != 64:
            return None
        kind, bits = ("ps", 16) if self.e.size == 4 else ("pd", 8)
        args = [self.v, n.to_float().v, self.v, ir.IntType(bits)(-1), I32(4)]     # all lanes; rounded as the rest
        function = self.e.function(f"llvm.x86.avx512.mask.scalef.{kind}.512", self.e.vector, [a.type for a in args])
        return V(self.e, self.e.b.call(function, args))

    def copysign(self, sign: Any) -> "V":
        return self._call("copysign", sign)

    def isnan(self) -> Mask:
        return self != self

    def unordered(self, y: "V") -> Mask:
        """Whether either is NaN."""
        return Mask(self.e, self.e.b.fcmp_unordered("uno", self.v, y.v))

    def minimum(self, y: Any) -> "V":
        """The smaller one, a NaN if either is one."""
        y = self.wrap(y)
        return ((self <= y) | self.isnan()).select(self, y)

    def maximum(self, y: Any) -> "V":
        """The larger one, a NaN if either is one."""
        y = self.wrap(y)
        return ((self >= y) | self.isnan()).select(self, y)

    def clip(self, low: Any, high: Any) -> "V":
        """Between two numbers; a NaN stays a NaN. One instruction a side."""
        low, high = self.wrap(low), self.wrap(high)
        x = (high < self).select(high, self)
        return (low > x).select(low, x)

    def polynomial(self, coefficients: Sequence[float]) -> "V":
        """c[0] + c[1] x + c[2] x**2 + ..., by Horner's rule."""
        result = self.e.const(coefficients[-1])
        for c in coefficients[-2::-1]:
            result = result.fma(self, c)
        return result

    def as_int(self) -> Lanes:
        """The bits."""
        return Lanes(self.e, self.e.b.bitcast(self.v, self.e.integers))

    def to_int(self) -> Lanes:
        """Towards zero; lanes that do not fit are undefined."""
        return Lanes(self.e, self.e.b.fptosi(self.v, self.e.integers))

    def to(self, e: "Emit") -> "V":
        """The same numbers in the format of another emitter of as many lanes, rounded if need be."""
        if e.size == self.e.size:
            return V(e, self.v)
        return V(e, (self.e.b.fpext if e.size > self.e.size else self.e.b.fptrunc)(self.v, e.vector))

    def fold(self, combine: Callable[["V", "V"], "V"]) -> "V":
        """All lanes combined into every lane, by halves: lane k with lane k + width / 2, and so on."""
        x, half = self, self.e.width // 2
        while half:
            x = combine(x, self.e.shuffle(x, x, [k ^ half for k in range(self.e.width)]))
            half //= 2
        return x


# ---- the emitter ----------------------------------------------------------------------------------------------------


class Emit:
    """Writes vector code of one dtype; addresses are `Int`s that count bytes."""

    def __init__(self, builder: ir.IRBuilder, dtype: Any, width: int = 0) -> None:
        self.b = builder
        self.dtype = np.dtype(dtype)
        self.size = self.dtype.itemsize
        self.width = width or vector_bytes() // self.size
        self.bytes = self.width * self.size
        self.scalar = {4: ir.FloatType(), 8: ir.DoubleType()}[self.size]
        self.vector = ir.VectorType(self.scalar, self.width)
        self.integers = ir.VectorType(ir.IntType(8 * self.size), self.width)
        self.suffix = f"v{self.width}f{8 * self.size}"

    def double(self) -> "Emit":
        """The emitter of as many lanes of float64, for `V.to`: sums that need more precision than their terms."""
        return Emit(self.b, np.float64, self.width)

    # -- constants

    def int(self, n: Any) -> Int:
        return Int(self, n if isinstance(n, ir.Value) else I64(n))

    def const(self, c: float) -> V:
        """`c` in every lane."""
        return V(self, ir.Constant(self.vector, [float(c)] * self.width))

    def ramp(self) -> V:
        """0, 1, 2 ... in the lanes."""
        return V(self, ir.Constant(self.vector, [float(k) for k in range(self.width)]))

    def lanes(self, n: Size) -> Lanes:
        """The integer `n` in every lane."""
        return Lanes(self, ir.Constant(self.integers, [n] * self.width))

    def vectors(self, n: Int) -> Int:
        """How many vectors n elements fill, the last one perhaps in part."""
        return (n + (self.width - 1)) // self.width

    def first(self, n: Int) -> Mask:
        """True in the first n lanes (n may be negative, or more than there are)."""
        numbers = ir.Constant(ir.VectorType(I64, self.width), list(range(self.width)))
        return Mask(self, self.b.icmp_signed("<", numbers, self._splat(n.v)))

    # -- memory

    def load(self, address: Int, mask: Mask | None = None) -> V:
        """The vector at an address, aligned to its elements; lanes that are masked out are not read and give 0."""
        pointer = self.b.inttoptr(address.v, self.vector.as_pointer())
        if mask is None:
            return V(self, self.b.load(pointer, align=self.size))
        args = [pointer, I32(self.size), mask.v, self.const(0.0).v]
        function = self.function(f"llvm.masked.load.{self.suffix}.p0", self.vector, [a.type for a in args])
        return V(self, self.b.call(function, args))

    def store(self, address: Int, x: V, mask: Mask | None = None) -> None:
        """The vector to an address; lanes that are masked out are not touched."""
        pointer = self.b.inttoptr(address.v, self.vector.as_pointer())
        if mask is None:
            self.b.store(x.v, pointer, align=self.size)
        else:
            args = [x.v, pointer, I32(self.size), mask.v]
            name = f"llvm.masked.store.{self.suffix}.p0"
            self.b.call(self.function(name, ir.VoidType(), [a.type for a in args]), args)

    def broadcast(self, address: Int) -> V:
        """The element at an address in every lane."""
        return V(self, self._splat(self.b.load(self.b.inttoptr(address.v, self.scalar.as_pointer()), align=self.size)))

    def store_first(self, address: Int, x: V) -> None:
        """The first lane to an address."""
        pointer = self.b.inttoptr(address.v, self.scalar.as_pointer())
        self.b.store(self.b.extract_element(x.v, I32(0)), pointer, align=self.size)

    def number(self, n: Int) -> V:
        """An integer as a floating-point number in every lane."""
        return V(self, self._splat(self.b.sitofp(n.v, self.scalar)))

    def gather(self, address: Int, stride: Int, mask: Mask, truth: bool = False) -> Any:
        """Elements `stride` bytes apart: numbers, or truth values that are kept as bytes."""
        kind, size = (I8, 1) if truth else (self.scalar, self.size)
        pointers = [self.b.inttoptr((address + stride * k).v, kind.as_pointer()) for k in range(self.width)]
        x = nothing = ir.Constant(ir.VectorType(kind, self.width), [kind(0)] * self.width)
        for k, pointer in enumerate(pointers):
            with self.when(Mask(self, self.b.extract_element(mask.v, I32(k)))) as merge:
                filled = self.b.insert_element(x, self.b.load(pointer, align=size), I32(k))
            x = merge(filled, x)
        return Mask(self, self.b.icmp_unsigned("!=", x, nothing)) if truth else V(self, x)

    def scatter(self, address: Int, stride: Int, x: V | Mask, mask: Mask) -> None:
        """Lanes to elements `stride` bytes apart."""
        kind, size = (I8, 1) if isinstance(x, Mask) else (self.scalar, self.size)
        value = self.b.zext(x.v, ir.VectorType(I8, self.width)) if isinstance(x, Mask) else x.v
        for k in range(self.width):
            with self.when(Mask(self, self.b.extract_element(mask.v, I32(k)))):
                pointer = self.b.inttoptr((address + stride * k).v, kind.as_pointer())
                self.b.store(self.b.extract_element(value, I32(k)), pointer, align=size)

    def load_mask(self, address: Int, lanes: Mask | None = None) -> Mask:
        """Truth values that are kept as bytes."""
        kind, name = ir.VectorType(I8, self.width), f"llvm.masked.load.v{self.width}i8.p0"
        pointer, nothing = self.b.inttoptr(address.v, kind.as_pointer()), ir.Constant(kind, [0] * self.width)
        if lanes is None:
            x = self.b.load(pointer, align=1)
        else:
            args = [pointer, I32(1), lanes.v, nothing]
            x = self.b.call(self.function(name, kind, [a.type for a in args]), args)
        return Mask(self, self.b.icmp_unsigned("!=", x, nothing))

    def store_mask(self, address: Int, x: Mask, lanes: Mask | None = None) -> None:
        """Truth values as bytes, 0 and 1."""
        kind, name = ir.VectorType(I8, self.width), f"llvm.masked.store.v{self.width}i8.p0"
        pointer, value = self.b.inttoptr(address.v, kind.as_pointer()), self.b.zext(x.v, kind)
        if lanes is None:
            self.b.store(value, pointer, align=1)
        else:
            args = [value, pointer, I32(1), lanes.v]
            self.b.call(self.function(name, ir.VoidType(), [a.type for a in args]), args)

    def load_int(self, address: Int) -> Int:
        return Int(self, self.b.load(self.b.inttoptr(address.v, I64.as_pointer())))

    def store_int(self, address: Int, n: Int) -> None:
        self.b.store(n.v, self.b.inttoptr(address.v, I64.as_pointer()))

    def call(self, address: Int, *args: Int) -> None:
        """Call the C function void(int64, ...) at an address."""
        function = ir.FunctionType(ir.VoidType(), [I64] * len(args)).as_pointer()
        self.b.call(self.b.inttoptr(address.v, function), [a.v for a in args])

    def prefetch(self, address: Int) -> None:
        """Have the cache line of an address fetched; never faults."""
        function = self.function("llvm.prefetch.p0", ir.VoidType(), [BYTE_POINTER, I32, I32, I32])
        self.b.call(function, [self.b.inttoptr(address.v, BYTE_POINTER), I32(0), I32(3), I32(1)])

    def scratch(self, vectors: Size) -> Int:
        """Address of room for some vectors on the stack."""
        with self.b.goto_entry_block():
            room = self.b.alloca(self.vector, vectors)
            room.align = self.bytes
            return Int(self, self.b.ptrtoint(room, I64))

    def save_flags(self) -> Any:
        """The floating-point flags, which NumPy would turn into warnings about what our formulas do inside."""
        if not _X86:
            return None
        room = self.scratch(1)
        function = self.function("llvm.x86.sse.stmxcsr", ir.VoidType(), [BYTE_POINTER])
        self.b.call(function, [self.b.inttoptr(room.v, BYTE_POINTER)])
        return room

    def clear_flags(self, saved: Any) -> None:
        """None of them set, everything else as saved."""
        if saved is not None:
            self._set_flags(self.b.and_(self._word(saved), I32(~63)))

    def collect_flags(self, into: Int) -> None:
        """Add the flags that are set to a word of memory that several threads may write to."""
        if _X86:
            flags = self.b.and_(self._word(self.save_flags()), I32(63))
            self.b.atomic_rmw("or", self.b.inttoptr(into.v, I64.as_pointer()), self.b.zext(flags, I64), "seq_cst")

    def raise_flags(self, word: Int) -> None:
        """Set what was collected."""
        if _X86:
            self._set_flags(self.b.or_(self._word(self.save_flags()), self.b.trunc(self.load_int(word).v, I32)))

    def _word(self, address: Int) -> Any:
        return self.b.load(self.b.inttoptr(address.v, I32.as_pointer()))

    def _set_flags(self, flags: Any) -> None:
        room = self.scratch(1)
        self.b.store(flags, self.b.inttoptr(room.v, I32.as_pointer()))
        self.restore_flags(room)

    def restore_flags(self, saved: Any) -> None:
        """What save_flags found."""
        if saved is not None:
            function = self.function("llvm.x86.sse.ldmxcsr", ir.VoidType(), [BYTE_POINTER])
            self.b.call(function, [self.b.inttoptr(saved.v, BYTE_POINTER)])

    # -- control

    def loop(self, n: Int, body: Code, *start: Any, at_least_once: bool = False) -> list[Any]:
        """for k in range(n): carried = body(k, *carried). Returns what is carried out."""
        b, before = self.b, self.b.block
        head, done = b.append_basic_block("loop"), b.append_basic_block("done")
        if at_least_once:
            b.branch(head)
        else:
            b.cbranch(b.icmp_signed(">", n.v, I64(0)), head, done)
        b.position_at_end(head)
        k, *phis = (b.phi(t) for t in [I64, *(x.v.type for x in start)])
        for phi, x in zip([k, *phis], [self.int(0), *start]):
            phi.add_incoming(x.v, before)
        result = list(body(Int(self, k), *(type(x)(x.e, phi) for x, phi in zip(start, phis))) or ())
        following, end = b.add(k, I64(1)), b.block
        for phi, v in zip([k, *phis], [following, *(x.v for x in result)]):
            phi.add_incoming(v, end)
        b.cbranch(b.icmp_signed("<", following, n.v), head, done)
        b.position_at_end(done)
        if at_least_once:
            return result
        out = []
        for x, y in zip(start, result):
            phi = b.phi(x.v.type)
            phi.add_incoming(x.v, before)
            phi.add_incoming(y.v, end)
            out.append(type(x)(x.e, phi))
        return out

    @contextmanager
    def when(self, condition: Mask) -> Iterator[Code]:
        """A block that runs if a single truth value holds; gives a function that merges LLVM values after it."""
        before = self.b.block
        with self.b.if_then(condition.v):
            end: list[Any] = []

            def merge(inside: Any, outside: Any) -> Any:
                phi = self.b.phi(inside.type)
                phi.add_incoming(inside, end[0])
                phi.add_incoming(outside, before)
                return phi

            yield merge
            end.append(self.b.block)

    def switch(self, value: Int, cases: dict[Size, Callable[[], None]]) -> None:
        """Run the case that a number names; none, if there is no such case."""
        done = self.b.append_basic_block("end")
        choice = self.b.switch(value.v, done)
        for number, case in cases.items():
            block = self.b.append_basic_block(f"case{number}")
            choice.add_case(I64(number), block)
            self.b.position_at_end(block)
            case()
            self.b.branch(done)
        self.b.position_at_end(done)

    # -- underneath

    def shuffle(self, x: V, y: V, picks: Sequence[Size]) -> V:
        """Lanes of x (0 ...) and y (width ...), picked by number."""
        return V(self, self.b.shuffle_vector(x.v, y.v, ir.Constant(ir.VectorType(I32, len(picks)), list(picks))))

    def function(self, name: str, result: Any, args: list[Any]) -> ir.Function:
        """An external function, declared once a module."""
        known = self.b.module.globals.get(name)
        return known or ir.Function(self.b.module, ir.FunctionType(result, args), name)

    def _splat(self, x: Any) -> Any:
        empty = ir.Constant(ir.VectorType(x.type, self.width), ir.Undefined)
        zeros = ir.Constant(ir.VectorType(I32, self.width), [0] * self.width)
        return self.b.shuffle_vector(self.b.insert_element(empty, x, I32(0)), empty, zeros)


# ---- kernels of the language as C functions -------------------------------------------------------------------------


def arity(kernel: Code) -> int:
    """How many integers a kernel of the language takes, beside the emitter."""
    return len(inspect.signature(kernel).parameters) - 1


def compile_object(kernel: Code, dtype: Any, name: str) -> bytes:
    """Machine code (an object file) of `void name(int64, ...)`, which runs the kernel for one dtype."""
    cpu, features = target()
    machine = llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine(
        cpu=cpu, features=features, opt=3, reloc="default", codemodel="jitdefault", jit=True)
    module = ir.Module(name)
    module.triple, module.data_layout = machine.triple, str(machine.target_data)
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [I64] * arity(kernel)), name)
    builder = ir.IRBuilder(function.append_basic_block())
    e = Emit(builder, dtype)
    kernel(e, *(Int(e, a) for a in function.args))
    builder.ret_void()
    parsed = llvm.parse_assembly(str(module))
    parsed.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    # Loops are as they should be.
    options.loop_vectorization = options.slp_vectorization = options.loop_unrolling = False
    passes = llvm.create_pass_builder(machine, options)
    passes.getModulePassManager().run(parsed, passes)
    return machine.emit_object(parsed)


@functools.cache
def _engine() -> llvm.ExecutionEngine:
    cpu, features = target()
    machine = llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine(
        cpu=cpu, features=features, opt=3, codemodel="jitdefault", jit=True)
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)


def load_object(code: bytes, name: str) -> int:
    """Address of a function in an object file, which stays loaded as long as the process runs."""
    _engine().add_object_file(llvm.ObjectFileRef.from_data(code))
    _engine().finalize_object()
    return _engine().get_function_address(name)


# ---- words of memory and calls by address, for functions that Numba compiles ----------------------------------------


def _word_intrinsic(result: types.Type) -> Code:
    """Make code(builder, *values) on 64-bit integers callable from compiled functions."""

    def declare(code: Code) -> Any:
        parameters = list(inspect.signature(code).parameters.values())[1:]

        def definition(typingctx: Any, *args: Any) -> Any:
            def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
                value = code(builder, *values)
                return context.get_dummy_value() if value is None else value

            return result(*[types.intp] * len(parameters)), generate

        context = inspect.Parameter("typingctx", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        definition.__signature__ = inspect.Signature([context, *parameters])  # type: ignore[attr-defined]
        definition.__name__ = definition.__qualname__ = code.__name__
        definition.__doc__ = code.__doc__
        return intrinsic(definition)

    return declare


def _word(builder: Any, address: Any) -> Any:
    return builder.inttoptr(address, I64.as_pointer())


@_word_intrinsic(types.intp)
def load(builder, address):
    """The word at an address, ordered with all other accesses below."""
    return builder.load_atomic(_word(builder, address), "seq_cst", 8)


@_word_intrinsic(types.void)
def store(builder, address, value):
    """Write a word, ordered."""
    builder.store_atomic(value, _word(builder, address), "seq_cst", 8)


@_word_intrinsic(types.intp)
def exchange(builder, address, value):
    """Write a word; gives what stood there before."""
    return builder.atomic_rmw("xchg", _word(builder, address), value, "seq_cst")


@_word_intrinsic(types.intp)
def fetch_add(builder, address, value):
    """Add to a word; gives what stood there before."""
    return builder.atomic_rmw("add", _word(builder, address), value, "seq_cst")


@_word_intrinsic(types.boolean)
def compare_exchange(builder, address, old, new):
    """Write `new` if `old` stands there; whether it did."""
    return builder.extract_value(builder.cmpxchg(_word(builder, address), old, new, "seq_cst", "seq_cst"), 1)


@_word_intrinsic(types.void)
def pause(builder):
    """Let the processor breathe within a spinning loop."""
    if _X86:
        name, args = "llvm.x86.sse2.pause", []
    elif llvm.get_process_triple().startswith(("aarch64", "arm64")):
        name, args = "llvm.aarch64.hint", [I32(1)]
    else:
        return
    function = ir.FunctionType(ir.VoidType(), [a.type for a in args])
    builder.call(cgutils.get_or_insert_function(builder.module, function, name), args)


def stack_room(bytes_: int) -> Any:
    """A compiled function room(): the address of that many bytes in the frame of the function that calls it."""

    @_word_intrinsic(types.intp)
    def room(builder):
        with builder.goto_entry_block():
            return builder.ptrtoint(builder.alloca(ir.ArrayType(I8, bytes_)), I64)

    return room


def _call(typingctx, address, args):
    """Call the C function void(int64, ...) at an address with a tuple of integers."""

    def generate(context, builder, signature, values):
        words = cgutils.unpack_tuple(builder, values[1])
        function = ir.FunctionType(ir.VoidType(), [I64] * len(words)).as_pointer()
        builder.call(builder.inttoptr(values[0], function), words)
        return context.get_dummy_value()

    return types.void(types.intp, types.UniTuple(types.intp, len(args))), generate


@_word_intrinsic(types.intp)
def ask(builder, address):
    """Call the C function int(void) at an address."""
    function = ir.FunctionType(I32, []).as_pointer()
    return builder.sext(builder.call(builder.inttoptr(address, function), []), I64)


def _outline(typingctx, function, args):
    """(address, context): a C function void(part, parts, context) that calls function(part, parts, *args).

    The context stands in the frame of the function that calls this. Its first word becomes 1 if a part fails.
    """
    typingctx.resolve_function_type(function, (types.intp, types.intp, *args), {})  # compiles it

    def generate(context, builder, signature, values):
        compiled = function.dispatcher.get_compile_result(types.none(types.intp, types.intp, *args))
        context.active_code_library.add_linking_library(compiled.library)
        record = ir.LiteralStructType([I64, context.get_value_type(args)])
        room = cgutils.alloca_once(builder, record)
        builder.store(I64(0), builder.bitcast(room, I64.as_pointer()))
        inside = [I32(0), I32(1)]
        builder.store(values[1], builder.gep(room, inside))

        name = builder.module.get_unique_name(f"{builder.function.name}.part")
        entry = ir.Function(builder.module, ir.FunctionType(ir.VoidType(), [I64] * 3), name)
        entry.linkage = "internal"
        b = ir.IRBuilder(entry.append_basic_block())
        part, parts, where = entry.args
        shared = b.inttoptr(where, record.as_pointer())
        members = cgutils.unpack_tuple(b, b.load(b.gep(shared, inside)))
        callee = context.declare_function(b.module, compiled.fndesc)
        status, _ = context.call_conv.call_function(
            b, callee, types.none, compiled.signature.args, [part, parts, *members])
        with b.if_then(status.is_error):
            b.store(I64(1), b.inttoptr(where, I64.as_pointer()))
        b.ret_void()

        words = [builder.ptrtoint(entry, I64), builder.ptrtoint(room, I64)]
        return context.make_tuple(builder, signature.return_type, words)

    return types.UniTuple(types.intp, 2)(function, args), generate


call: Any = intrinsic(_call)
outline: Any = intrinsic(_outline)
