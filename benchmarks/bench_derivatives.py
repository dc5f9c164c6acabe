"""Second derivatives: the Hessian of a network's loss times a vector, by a backward pass through the backward pass."""

from collections.abc import Callable
from typing import Any

from benchmarks.harness import Benchmark, Case


def network(batch: int, width: int) -> tuple[Any, ...]:
    """Inputs, targets, all parameters of an MLP (width, width, width, 10) as a vector, a direction; layer sizes."""
    import numpy as np

    rng = np.random.default_rng(0)
    sizes = [(width, width), (width, width), (width, 10)]
    count = sum(n * m + m for n, m in sizes)
    x, target = rng.normal(size=(batch, width)), rng.normal(size=(batch, 10))
    p, v = rng.normal(0, width ** -0.5, count), rng.normal(size=count)
    return (*(a.astype(np.float32) for a in (x, target, p, v)), sizes)


def loss_of(module: Any, x: Any, target: Any, sizes: Any) -> Callable[[Any], Any]:
    """The mean squared error as a function of the vector; module: ours or torch, whose names agree here."""
    def loss(p: Any) -> Any:
        h, start = x, 0
        for k, (n, m) in enumerate(sizes):
            W, b = p[start:start + n * m].reshape(n, m), p[start + n * m:start + n * m + m]
            start += n * m + m
            h = h @ W + b
            if k < len(sizes) - 1:
                h = module.tanh(h)
        return ((h - target) ** 2).mean()

    return loss


def ours(batch: int, width: int) -> Callable[[], object]:
    """autograd.hvp."""
    import tinygrad_rnn as tg

    x, target, p, v, sizes = network(batch, width)
    loss = loss_of(tg, tg.tensor(x), tg.tensor(target), sizes)
    p, v = tg.tensor(p), tg.tensor(v)
    return lambda: tg.autograd.hvp(loss, p, v)


def via_torch(batch: int, width: int) -> Callable[[], object]:
    """Two calls of torch.autograd.grad, which is quicker than torch.autograd.functional.hvp."""
    import torch

    x, target, p, v, sizes = network(batch, width)
    loss = loss_of(torch, torch.tensor(x), torch.tensor(target), sizes)
    v, p = torch.tensor(v), torch.tensor(p, requires_grad=True)

    def step() -> object:
        gradient, = torch.autograd.grad(loss(p), p, create_graph=True)
        return torch.autograd.grad(gradient, p, v)

    return step


def via_functional(batch: int, width: int) -> Callable[[], object]:
    """torch.autograd.functional.hvp, which has our signature."""
    import torch

    x, target, p, v, sizes = network(batch, width)
    loss = loss_of(torch, torch.tensor(x), torch.tensor(target), sizes)
    v, p = torch.tensor(v), torch.tensor(p)
    return lambda: torch.autograd.functional.hvp(loss, p, v)


def case(batch: int, width: int) -> Case:
    """To reach: 0.8 of torch's speed."""
    return Case(f"Hessian-vector product, MLP of 3 layers of {width}, batch {batch}", {"batch": batch, "width": width},
                targets={"torch": 0.8})


BENCHMARK = Benchmark(
    title="Second derivatives, float32",
    sides={"ours": ours, "torch": via_torch, "torch, functional.hvp": via_functional},
    cases=[case(32, 64), case(64, 256)],
    toy=[case(2, 4)],
    threads=(1, 2),
)
