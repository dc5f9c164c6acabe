"""What a process pays before its first result: the import, and the first training step with a cold and a warm cache."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.harness import Benchmark, Case, Seconds

FIRST_STEP = """
import time
start = time.perf_counter()
from benchmarks.bench_step import {side}
{side}(T={T}, B={B}, embedding={embedding}, H={H})()
print(time.perf_counter() - start)
"""
IMPORT = """
import time
start = time.perf_counter()
import {library}
print(time.perf_counter() - start)
"""


def ours(work: str, **sizes: int) -> Callable[[], object] | None:
    """In a process of its own each time; the cold one has an empty folder for its kernels."""
    if work == "import":
        return lambda: in_child(IMPORT.format(library="tinygrad_rnn"))
    code = FIRST_STEP.format(side="ours", **sizes)
    if work == "cold":
        def cold() -> Seconds:
            with tempfile.TemporaryDirectory() as folder:
                return in_child(code, TINYGRAD_RNN_CACHE_DIR=str(Path(folder) / "cache"))
        return cold
    in_child(code)          # fills the cache
    return lambda: in_child(code)


def via_torch(work: str, **sizes: int) -> Callable[[], object] | None:
    """PyTorch compiles nothing for this model, so that it has one first step, set beside our warm one."""
    import torch  # noqa: F401

    if work == "import":
        return lambda: in_child(IMPORT.format(library="torch"))
    return (lambda: in_child(FIRST_STEP.format(side="via_torch", **sizes))) if work == "warm" else None


def in_child(code: str, **environment: str) -> Seconds:
    """Seconds that a fresh process says it took."""
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | environment, check=True, text=True,
                          stdout=subprocess.PIPE)
    return Seconds(done.stdout.split()[-1])


def cases(T: int, B: int, embedding: int, H: int) -> list[Case]:
    """The import, and the first step of the character model at this size."""
    sizes = {"T": T, "B": B, "embedding": embedding, "H": H}
    return [
        Case("import", {"work": "import"}, targets={"seconds": 0.15}),
        Case("first training step, warm cache", {"work": "warm", **sizes}, targets={"seconds": 1.5}),
        Case("first training step, cold cache", {"work": "cold", **sizes}, targets={"seconds": 20.0}),
    ]


BENCHMARK = Benchmark(
    title="From nothing to the first result",
    sides={"ours": ours, "torch": via_torch},
    cases=cases(64, 32, 64, 256),
    toy=cases(3, 2, 4, 5)[:2],
    threads=(2,),
    rounds=3,
    budget=0.0,
)
