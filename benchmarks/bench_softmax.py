"""Cross-entropy of a large vocabulary, forward and backward: 640 rows of 10,000 logits, float32."""

from collections.abc import Callable
from typing import Any

from benchmarks.harness import Benchmark, Case


def data(N: int, V: int) -> tuple[Any, Any]:
    """Logits (N, V) and classes (N,)."""
    import numpy as np

    rng = np.random.default_rng(1)
    return rng.standard_normal((N, V)).astype(np.float32), rng.integers(0, V, N)


def ours(N: int, V: int) -> Callable[[], object]:
    """The library's kernels: losses, then the gradient of their mean."""
    import numpy as np

    from tinygrad_rnn import kernels

    logits, targets = data(N, V)
    g = np.full(N, 1 / N, np.float32)

    def step() -> object:
        _, sums = kernels.nll_forward(logits, targets)
        return kernels.nll_backward(g, logits, sums, targets)

    return step


def via_torch(N: int, V: int) -> Callable[[], object]:
    """PyTorch's cross_entropy and its backward pass."""
    import torch

    logits, targets = (torch.from_numpy(a) for a in data(N, V))
    logits.requires_grad_(True)

    def step() -> None:
        torch.nn.functional.cross_entropy(logits, targets).backward()
        logits.grad = None

    return step


def case(N: int, V: int) -> Case:
    """The bytes are what must move at least: logits read twice, their gradient written once."""
    return Case(f"({N}, {V}), forward + backward", {"N": N, "V": V}, bytes=3 * 4 * N * V, targets={"torch": 1.5})


BENCHMARK = Benchmark(
    title="Log-softmax and negative log-likelihood, float32",
    sides={"ours": ours, "torch": via_torch},
    cases=[case(640, 10_000)],
    toy=[case(3, 7)],
    threads=(1, 2),
)
