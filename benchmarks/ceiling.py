"""The most multiply-adds that this machine can do: a loop on registers alone, which no product from memory can exceed.

It is written in LLVM's language and shares nothing with our kernels, so that it judges them from outside. Which vector
width is best differs between processors that run the same program (512-bit instructions run at full width on some, in
two halves on others), so each is tried and the best one counts. A library's matrix product is no stand-in: OpenBLAS and
MKL have been seen at half of the peak.
"""

import ctypes
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.harness import Seconds

# Independent sums hide a multiply-add's latency (4 cycles, two units); with factor and addend they fit 16 registers.
SUMS = 12
WIDTHS = (4, 8, 16)
SAMPLE_S = 5e-3


def ceiling() -> Callable[[], Seconds]:
    """A step whose time is that of 1e9 floating-point operations, on as many threads as this worker was given."""
    threads = int(os.environ["TINYGRAD_RNN_NUM_THREADS"])
    loops = [(Loop(width), width) for width in WIDTHS]
    best, width = max(loops, key=lambda pair: 1 / median_of_three(pair[0]) * pair[1])
    rounds = max(1, round(SAMPLE_S / median_of_three(best)))
    pool = ThreadPoolExecutor(threads)

    def step() -> Seconds:
        start = time.perf_counter()
        # ctypes lets go of Python's lock, so that the threads run at the same time.
        list(pool.map(best.run, [rounds] * threads))
        return Seconds((time.perf_counter() - start) / (2e-9 * width * SUMS * rounds * threads))

    return step


def median_of_three(loop: "Loop", rounds: int = 200_000) -> float:
    """Seconds a round, on this thread."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        loop.run(rounds)
        times.append((time.perf_counter() - start) / rounds)
    return sorted(times)[1]


class Loop:
    """The compiled loop for one vector width."""

    def __init__(self, width: int) -> None:
        from llvmlite import binding as llvm

        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        machine = llvm.Target.from_default_triple().create_target_machine(
            cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=2, jit=True)
        self.engine: Any = llvm.create_mcjit_compiler(llvm.parse_assembly(source(width)), machine)
        self.engine.finalize_object()
        self.call = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_void_p)(self.engine.get_function_address("loop"))
        self.width = width

    def run(self, rounds: int) -> float:
        """`rounds` times SUMS multiply-adds of a vector, from and into memory of this call's own; their total."""
        sums = (ctypes.c_float * (self.width * SUMS))(*range(self.width * SUMS))
        self.call(rounds, sums)
        return sum(sums)


def source(width: int) -> str:
    """LLVM's text of `loop(rounds, sums)`: sums = fma(sums, 1 - 2**-10, 2**-10), again and again, in registers."""
    vector = f"<{width} x float>"
    # 1 - 2^-10 and 2^-10 (LLVM wants the bits): sums stay between 0 and where they began, far from the slow subnormals.
    factor, addend = (f"<{', '.join([f'float {bits}'] * width)}>"
                      for bits in ("0x3FEFF80000000000", "0x3F50000000000000"))
    place = "\n".join(f"  %p{i} = getelementptr {vector}, ptr %sums, i64 {i}" for i in range(SUMS))
    load = "\n".join(f"  %s{i} = load {vector}, ptr %p{i}, align 4" for i in range(SUMS))
    carry = "\n".join(f"  %a{i} = phi {vector} [%s{i}, %entry], [%b{i}, %body]" for i in range(SUMS))
    multiply_add = "\n".join(
        f"  %b{i} = call {vector} @llvm.fma.v{width}f32({vector} %a{i}, {vector} {factor}, {vector} {addend})"
        for i in range(SUMS))
    store = "\n".join(f"  store {vector} %b{i}, ptr %p{i}, align 4" for i in range(SUMS))
    return f"""
declare {vector} @llvm.fma.v{width}f32({vector}, {vector}, {vector})
define void @loop(i64 %rounds, ptr %sums) {{
entry:
{place}
{load}
  br label %body
body:
  %k = phi i64 [0, %entry], [%next, %body]
{carry}
{multiply_add}
  %next = add i64 %k, 1
  %more = icmp ult i64 %next, %rounds
  br i1 %more, label %body, label %end
end:
{store}
  ret void
}}
"""
