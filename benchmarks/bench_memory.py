"""Memory of a backward pass: the most that a process holds at once, on a deep chain and on a wide graph.

What is measured is no time: a "second" here is a GB. It is what a process holds at its worst moment beyond what it held
before, as Linux counts it; elsewhere this benchmark cannot run.
"""

import subprocess
import sys
from collections.abc import Callable

from benchmarks.harness import Benchmark, Case, Seconds

# A tensor of 4 MB goes through `count` operations one after the other, or through `count` side by side that are summed.
PROGRAM = """
import sys
import numpy as np
import {} as m

def leaf(a):
    return m.tensor(a, requires_grad=True)

def run(x, shape, count):
    if shape == "deep":
        for _ in range(count):
            x = m.tanh(x)
    else:
        x = sum((m.tanh(x * (k / count)) for k in range(1, count)), start=m.tanh(x))
    x.sum().backward()

def memory(of):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(of)) * 1024

for size in (8, 1 << 18):       # what is loaded and compiled once, for one thread and for several
    run(leaf(np.full(size, 0.5, np.float32)), sys.argv[1], 2)
x = leaf(np.full(int(sys.argv[2]) // 4, 0.5, np.float32))
before = memory("VmRSS")
with open("/proc/self/clear_refs", "w") as peak:
    peak.write("5")         # the peak starts anew from here
run(x, sys.argv[1], int(sys.argv[3]))
print(memory("VmHWM") - before)
"""

SIDES = {"ours": "tinygrad_rnn", "torch": "torch"}


def side(name: str) -> Callable[..., Callable[[], object]]:
    """A setup function, whose step gives GB as seconds."""
    def setup(shape: str, size: int, count: int) -> Callable[[], object]:
        if name == "torch":
            import torch  # noqa: F401  (absent: the side is skipped)

        def step() -> Seconds:
            done = subprocess.run(
                [sys.executable, "-c", PROGRAM.format(SIDES[name]), shape, str(size), str(count)],
                capture_output=True, text=True, check=True)
            return Seconds(float(done.stdout) / 1e9)

        return step

    return setup


def case(label: str, shape: str, size: int, count: int) -> Case:
    """To reach: 1.2 times PyTorch's peak."""
    return Case(label, {"shape": shape, "size": size, "count": count}, targets={"torch": 1 / 1.2})


BENCHMARK = Benchmark(
    title="Memory of a backward pass, a second standing for a GB",
    sides={name: side(name) for name in SIDES},
    cases=[case("deep, 60 tanh of 4 MB one after the other", "deep", 1 << 22, 60),
           case("wide, 60 tanh of 4 MB side by side", "wide", 1 << 22, 60)],
    toy=[case("deep", "deep", 1 << 16, 3)],
    rounds=3,
    budget=0.001,
)
