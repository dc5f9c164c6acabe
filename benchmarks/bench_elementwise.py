"""tanh, sigmoid, exp on 64 Ki numbers of float32, one thread; and their largest error, in units of the last place."""

from collections.abc import Callable
from typing import Any

from benchmarks.harness import Benchmark, Case


def numbers(size: int) -> Any:
    """Normal numbers of deviation 3: what reaches an activation, with its tails."""
    import numpy as np

    return (np.random.default_rng(1).standard_normal(size) * 3).astype(np.float32)


def timed(function: Callable[..., Any], x: Any, out: Any) -> Callable[[], object]:
    """A call that writes to `out`, and as a note its error against float64."""
    import numpy as np

    def step() -> None:
        function(x, out=out)

    step()
    wide = np.asarray(x, np.float64)
    truth = {"tanh": np.tanh, "exp": np.exp, "sigmoid": lambda v: 1 / (1 + np.exp(-v))}[function.__name__](wide)
    error = np.abs(np.asarray(out, np.float64) - truth) / np.spacing(np.abs(truth).astype(np.float32))
    step.notes = {"ulp": float(error.max())}    # type: ignore[attr-defined]
    return step


def ours(function: str, size: int) -> Callable[[], object]:
    """The library's kernels."""
    import numpy as np

    from tinygrad_rnn import kernels

    x = numbers(size)
    return timed(getattr(kernels, function), x, np.empty_like(x))


def via_numpy(function: str, size: int) -> Callable[[], object]:
    """NumPy's functions; its sigmoid is composed of them, in place."""
    import numpy as np

    def sigmoid(x: Any, out: Any) -> None:
        np.negative(x, out=out)
        np.exp(out, out=out)
        np.add(out, 1, out=out)
        np.divide(1, out, out=out)

    x = numbers(size)
    return timed(sigmoid if function == "sigmoid" else getattr(np, function), x, np.empty_like(x))


def via_torch(function: str, size: int) -> Callable[[], object]:
    """PyTorch's functions."""
    import torch

    x = torch.from_numpy(numbers(size))
    return timed(getattr(torch, function), x, torch.empty_like(x))


def case(function: str, size: int) -> Case:
    """To reach: the better of the two."""
    return Case(f"{function}, {size}", {"function": function, "size": size}, items=size, bytes=8 * size,
                targets={"best": 1.0})


BENCHMARK = Benchmark(
    title="Elementwise functions, float32",
    sides={"ours": ours, "NumPy": via_numpy, "torch": via_torch},
    cases=[case(function, 1 << 16) for function in ("tanh", "sigmoid", "exp")],
    toy=[case("tanh", 100), case("sigmoid", 7)],
    item="numbers",
)
