"""The matrix product, float32: shapes of recurrent layers and square ones, against the BLAS in NumPy and in PyTorch.

Below 512**3 multiply-adds the second operand is packed in advance, as weights are that stay for a whole sequence; the
same without packing stands beside it. From 512**3 on nothing is packed in advance.
"""

from collections.abc import Callable

from benchmarks.harness import Benchmark, Case

LARGE = 512**3


def operands(m: int, k: int, n: int):
    """The same two matrices for every side."""
    import numpy as np

    rng = np.random.default_rng(0)
    return rng.standard_normal((m, k), np.float32), rng.standard_normal((k, n), np.float32)


def ours(m: int, k: int, n: int) -> Callable[[], object]:
    """Our product; packed in advance where that is agreed."""
    from tinygrad_rnn.kernels import matmul, pack

    a, b = operands(m, k, n)
    right = pack(b) if m * k * n < LARGE else b
    return lambda: matmul(a, right)


def unpacked(m: int, k: int, n: int) -> Callable[[], object] | None:
    """Our product of plain arrays."""
    from tinygrad_rnn.kernels import matmul

    a, b = operands(m, k, n)
    return None if m * k * n >= LARGE else lambda: matmul(a, b)


def via_numpy(m: int, k: int, n: int) -> Callable[[], object]:
    """NumPy's product, that is OpenBLAS."""
    import numpy as np

    a, b = operands(m, k, n)
    return lambda: np.matmul(a, b)


def via_torch(m: int, k: int, n: int) -> Callable[[], object]:
    """PyTorch's product."""
    import torch

    a, b = map(torch.from_numpy, operands(m, k, n))
    return lambda: torch.matmul(a, b)


def case(m: int, k: int, n: int) -> Case:
    """A row; large ones are held to the processor's ceiling, too."""
    targets = {"NumPy": 0.9 if m == 1 else 1.0} | ({"ceiling": 0.9} if m * k * n >= LARGE else {})
    return Case(f"({m}, {k}) @ ({k}, {n})", {"m": m, "k": k, "n": n}, flops=2 * m * k * n, targets=targets)


SHAPES = [(1, 256, 1008), (10, 200, 816), (16, 128, 528), (32, 128, 480), (20, 650, 2592), (64, 512, 2064),
          (512, 512, 528), (1024, 1024, 1008)]

BENCHMARK = Benchmark(
    title="Matrix product, float32",
    # Some builds of OpenBLAS do not know a new processor and use half of its vectors: told so, it does its best.
    sides={"ours": ours, "ours, nothing packed": unpacked, "NumPy": via_numpy, "NumPy, told of AVX-512": via_numpy,
           "torch": via_torch},
    environment={"NumPy, told of AVX-512": {"OPENBLAS_CORETYPE": "SKYLAKEX"}},
    cases=[case(*shape) for shape in SHAPES],
    toy=[case(3, 5, 20)],
    threads=(1, 2),
    mean_targets={"NumPy": 1.2},
)
