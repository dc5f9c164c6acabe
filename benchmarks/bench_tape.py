"""What the tape costs: a chain of 100 tanh on an 8 x 8 tensor, forward and backward, a time an operation."""

from collections.abc import Callable

from benchmarks.harness import Benchmark, Case


def ours(length: int) -> Callable[[], object]:
    """The chain on our Tensors."""
    import numpy as np

    import tinygrad_rnn as tg

    x = tg.tensor(np.full((8, 8), 0.5, np.float32), requires_grad=True)

    def step() -> None:
        y = x
        for _ in range(length):
            y = tg.tanh(y)
        tg.sum(y).backward()
        x.grad = None

    return step


def hips_autograd(length: int) -> Callable[[], object]:
    """The chain in HIPS autograd."""
    import autograd
    import autograd.numpy as anp
    import numpy as np

    def loss(y):
        for _ in range(length):
            y = anp.tanh(y)
        return anp.sum(y)

    gradient, x = autograd.grad(loss), np.full((8, 8), 0.5, np.float32)
    return lambda: gradient(x)


def via_torch(length: int) -> Callable[[], object]:
    """The chain in PyTorch."""
    import torch

    x = torch.full((8, 8), 0.5, requires_grad=True)

    def step() -> None:
        y = x
        for _ in range(length):
            y = torch.tanh(y)
        y.sum().backward()
        x.grad = None

    return step


def case(length: int) -> Case:
    """To reach: HIPS autograd's time; to aim at: PyTorch's."""
    return Case(f"chain of {length} tanh, an operation", {"length": length}, per=length,
                targets={"HIPS autograd": 1.0, "torch": 1.0})


BENCHMARK = Benchmark(
    title="Tape",
    sides={"ours": ours, "HIPS autograd": hips_autograd, "torch": via_torch},
    cases=[case(100)],
    toy=[case(3)],
)
