"""What the tape costs: common operations on 8 x 8 numbers, forward and backward, a time an operation.

A chain of one operation, so that starting a pass does not count. An operation that changes the shape is followed by
one that changes it back, which is what its chain costs on every side.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

from benchmarks.harness import Benchmark, Case

LENGTH = 50

# Label -> the operation in our names, in HIPS autograd's, in torch's.  y: the 8 x 8 that goes on; w, b: a matrix and a
# bias that require gradients; c, e: constants of 1.5 and 1/8.
OPERATIONS: dict[str, tuple[str, str, str]] = {
    "tanh": ("tg.tanh(y)", "anp.tanh(y)", "torch.tanh(y)"),
    "sigmoid": ("tg.sigmoid(y)", "1 / (1 + anp.exp(-y))", "torch.sigmoid(y)"),
    "negative, exp": ("tg.exp(-y)", "anp.exp(-y)", "torch.exp(-y)"),
    "add, log": ("tg.log(y + c)", "anp.log(y + c)", "torch.log(y + c)"),
    "relu": ("tg.relu(y)", "anp.maximum(y, 0)", "torch.relu(y)"),
    "abs": ("abs(y)", "anp.abs(y)", "abs(y)"),
    "square": ("y ** 2", "y ** 2", "y ** 2"),
    "negative": ("-y", "-y", "-y"),
    "add": ("y + w", "y + w", "y + w"),
    "add a number": ("y + 0.5", "y + 0.5", "y + 0.5"),
    "subtract": ("y - w", "y - w", "y - w"),
    "multiply": ("y * w", "y * w", "y * w"),
    "divide": ("y / w", "y / w", "y / w"),
    "maximum": ("tg.maximum(y, w)", "anp.maximum(y, w)", "torch.maximum(y, w)"),
    "matmul": ("y @ w", "anp.matmul(y, w)", "y @ w"),
    "add a bias": ("y + b", "y + b", "y + b"),
    "sum over an axis, times": ("tg.sum(y, 0, True) * e", "anp.sum(y, 0, keepdims=True) * e",
                                "torch.sum(y, 0, True) * e"),
    "mean, subtracted": ("y - tg.mean(y)", "y - anp.mean(y)", "y - torch.mean(y)"),
    "reshape, twice": ("tg.reshape(y, (4, 16)).reshape(8, 8)", "anp.reshape(anp.reshape(y, (4, 16)), (8, 8))",
                       "torch.reshape(y, (4, 16)).reshape(8, 8)"),
    "index twice, concatenate": ("tg.concat([y[4:], y[:4]])", "anp.concatenate([y[4:], y[:4]])",
                                 "torch.cat([y[4:], y[:4]])"),
    "log-softmax": ("tg.log_softmax(y)", "log_softmax(y)", "torch.log_softmax(y, -1)"),
}


def arrays(operation: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Leaves that the operation reads, and constants: such that 50 of them in a row neither vanish nor overflow."""
    import numpy as np

    rng = np.random.default_rng(0)
    w = np.linalg.qr(rng.normal(size=(8, 8)))[0] if operation == "matmul" else rng.uniform(0.95, 1.05, (8, 8))
    leaves = {"y": rng.uniform(0.2, 0.8, (8, 8)), "w": w, "b": np.full(8, 0.1)}
    used = set(re.findall(r"\b[ywb]\b", OPERATIONS[operation][0]))
    constants = {"c": np.full((8, 8), 1.5), "e": np.full((8, 8), 1 / 8)}
    return ({name: a.astype(np.float32) for name, a in leaves.items() if name in used},
            {name: a.astype(np.float32) for name, a in constants.items()})


def chain(expression: str, leaves: Iterable[str], length: int, **names: Any) -> Callable[..., Any]:
    """The operation applied `length` times, as a function of the leaves."""
    exec(f"def run({', '.join(leaves)}):\n    for _ in range({length}):\n        y = {expression}\n    return y", names)
    run: Callable[..., Any] = names["run"]
    return run


def ours(operation: str, length: int) -> Callable[[], object]:
    """The chain on our Tensors."""
    import tinygrad_rnn as tg

    given, constants = arrays(operation)
    leaves = [tg.tensor(a, requires_grad=True) for a in given.values()]
    run = chain(OPERATIONS[operation][0], given, length, tg=tg, **{k: tg.tensor(a) for k, a in constants.items()})

    def step() -> None:
        tg.sum(run(*leaves)).backward()
        for leaf in leaves:
            leaf.grad = None

    return step


def hips_autograd(operation: str, length: int) -> Callable[[], object]:
    """The chain in HIPS autograd."""
    import autograd
    import autograd.numpy as anp

    def log_softmax(y):
        y = y - anp.max(y, axis=-1, keepdims=True)
        return y - anp.log(anp.sum(anp.exp(y), axis=-1, keepdims=True))

    given, constants = arrays(operation)
    run = chain(OPERATIONS[operation][1], given, length, anp=anp, log_softmax=log_softmax, **constants)
    gradient = autograd.grad(lambda *leaves: anp.sum(run(*leaves)), list(range(len(given))))
    return lambda: gradient(*given.values())


def via_torch(operation: str, length: int) -> Callable[[], object]:
    """The chain in PyTorch."""
    import torch

    given, constants = arrays(operation)
    leaves = [torch.tensor(a, requires_grad=True) for a in given.values()]
    tensors = {k: torch.tensor(a) for k, a in constants.items()}
    run = chain(OPERATIONS[operation][2], given, length, torch=torch, **tensors)

    def step() -> None:
        run(*leaves).sum().backward()
        for leaf in leaves:
            leaf.grad = None

    return step


def case(operation: str, length: int = LENGTH) -> Case:
    """To reach: HIPS autograd's time on each; 1.3 times PyTorch's over all."""
    return Case(operation, {"operation": operation, "length": length}, per=length, targets={"HIPS autograd": 1.0})


BENCHMARK = Benchmark(
    title="Tape, 8 x 8",
    sides={"ours": ours, "HIPS autograd": hips_autograd, "torch": via_torch},
    cases=[case(operation) for operation in OPERATIONS],
    toy=[case(operation, 3) for operation in OPERATIONS],
    mean_targets={"torch": 1 / 1.3},
    rounds=5,
    budget=0.1,
)
