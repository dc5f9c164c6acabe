"""The thread pool: what a dispatch costs, and how a step of a millisecond suffers from a busy neighbour.

A dispatch is measured until all threads have met in it, so that none can do the others' parts. The neighbour is a
process that never rests: with it, three threads want two processors, and a fair scheduler gives a step 1.5 times its
time. A pool whose threads wait for one another by spinning gives it many times that.
"""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from statistics import median

from benchmarks.harness import Benchmark, Case, Seconds

SHAPE = (512, 512, 900)  # a product of about a millisecond on two processors
NEIGHBOUR = "print(flush=True)\nwhile True: pass"
PATIENCE = 10_000_000  # turns of waiting for the others, should they never come


def dispatch(share: Callable[[], object], pause: float) -> Callable[[], object]:
    """A step that shares out a meeting, right away or after a rest in which threads fall asleep."""
    if not pause:
        return share

    def step() -> Seconds:
        samples = []
        for _ in range(50):
            time.sleep(pause)
            start = time.perf_counter()
            share()
            samples.append(time.perf_counter() - start)
        return Seconds(median(samples))

    return step


def beside(product: Callable[[], object], neighbours: int) -> Callable[[], object]:
    """A step that times a product with some busy processes around it; the alone-to-beside factor as a note."""

    def sample(seconds: float = 0.2) -> float:
        times, end = [], time.perf_counter() + seconds
        while time.perf_counter() < end:
            start = time.perf_counter()
            product()
            times.append(time.perf_counter() - start)
        return sum(times) / len(times)

    def step() -> Seconds:
        alone = sample()
        busy = [subprocess.Popen([sys.executable, "-c", NEIGHBOUR], stdout=subprocess.PIPE) for _ in range(neighbours)]
        try:
            for process in busy:
                process.stdout.readline()
            taken = sample()
        finally:
            for process in busy:
                process.kill()
                process.communicate()
        step.notes = {"times slower": taken / alone} if neighbours else {}  # type: ignore[attr-defined]
        return Seconds(taken)

    return step


def ours(kind: str, pause: float = 0.0, neighbours: int = 0) -> Callable[[], object]:
    """The library's pool."""
    import numpy as np

    from tinygrad_rnn import kernels
    from tinygrad_rnn.kernels import jit, threads
    from tinygrad_rnn.kernels.llvm import fetch_add, load, store
    from tinygrad_rnn.kernels.pool import share

    if kind == "product":
        a, b = np.ones(SHAPE[:2], np.float32), np.ones(SHAPE[1:], np.float32)
        return beside(lambda: kernels.matmul(a, b), neighbours)

    count = threads.get_num_threads()
    if kind == "dispatch from Python":
        barrier = threading.Barrier(count)
        return dispatch(lambda: threads.run(lambda part, parts: barrier.wait()), pause)

    @jit.helper
    def meet(part, parts, here):
        fetch_add(here, 1)
        patience = PATIENCE
        while load(here) % parts != 0 and patience > 0:
            patience -= 1

    @jit.kernel("void(intp, intp, intp)", dtypes="q")
    def share_meeting(pool, parts, here):
        store(here, 0)
        share(pool, parts, meet, (here,))

    here = np.zeros(1, np.int64)
    address, call = threads.pool_address(), share_meeting[np.int64]

    def step(where: int = here.ctypes.data, keep: object = here) -> None:
        call(address, count, where)

    return dispatch(step, pause)


def executor(kind: str, pause: float = 0.0, neighbours: int = 0) -> Callable[[], object] | None:
    """Python's ThreadPoolExecutor."""
    import os
    from concurrent.futures import ThreadPoolExecutor

    if kind == "product":
        return None
    count = int(os.environ["TINYGRAD_RNN_NUM_THREADS"])
    pool, barrier = ThreadPoolExecutor(count), threading.Barrier(count)
    return dispatch(lambda: [future.result() for future in [pool.submit(barrier.wait) for _ in range(count)]], pause)


def via_numpy(kind: str, pause: float = 0.0, neighbours: int = 0) -> Callable[[], object] | None:
    """OpenBLAS in NumPy."""
    import numpy as np

    a, b = np.ones(SHAPE[:2], np.float32), np.ones(SHAPE[1:], np.float32)
    return beside(lambda: np.matmul(a, b), neighbours) if kind == "product" else None


def via_torch(kind: str, pause: float = 0.0, neighbours: int = 0) -> Callable[[], object] | None:
    """OpenMP in PyTorch."""
    import torch

    a, b = torch.ones(SHAPE[:2]), torch.ones(SHAPE[1:])
    return beside(lambda: torch.matmul(a, b), neighbours) if kind == "product" else None


BENCHMARK = Benchmark(
    title="Thread pool",
    sides={"ours": ours, "ThreadPoolExecutor": executor, "NumPy": via_numpy, "torch": via_torch},
    cases=[
        Case("dispatch, right away", {"kind": "dispatch"}, targets={"seconds": 50e-6}),
        Case("dispatch, after 1 ms", {"kind": "dispatch", "pause": 1e-3}, targets={"seconds": 50e-6}),
        Case("dispatch from Python, right away", {"kind": "dispatch from Python"}),
        Case("dispatch from Python, after 1 ms", {"kind": "dispatch from Python", "pause": 1e-3}),
        Case("a product of 1 ms, alone", {"kind": "product"}),
        Case("a product of 1 ms, a busy neighbour", {"kind": "product", "neighbours": 1}),
    ],
    toy=[Case("dispatch", {"kind": "dispatch"}), Case("product", {"kind": "product"})],
    threads=(2,),
)
