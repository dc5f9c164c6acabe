"""Elementwise functions and reductions of 1 Mi numbers, float32, two threads: a new array each time, as programs write.

Results are allocated by the library that computes them, so this measures the whole call and not the arithmetic alone.
"""

from collections.abc import Callable
from typing import Any

from benchmarks.harness import Benchmark, Case

SHAPE = (1024, 1024)

# Ours, and what NumPy and PyTorch call it where that is another name; None: NumPy has it not.
ONE: dict[str, tuple[str | None, str]] = {
    **{name: (name, name) for name in (
        "negative", "abs", "square", "sqrt", "reciprocal", "sign", "floor", "ceil", "exp", "expm1", "log", "log1p",
        "sin", "cos", "tan", "sinh", "cosh", "tanh", "isnan", "isfinite", "logical_not")},
    **{name: (name.replace("a", "arc", 1), name) for name in ("asin", "acos", "atan", "asinh", "atanh")},
    "round": ("round", "round"),
    **{name: (None, name) for name in ("rsqrt", "erf", "sigmoid", "relu")},
    **{name: (None, "nn.functional." + name) for name in ("silu", "gelu", "softplus", "selu", "elu", "hardtanh",
                                                          "hardsigmoid", "leaky_relu")},
}
TWO = {"add": "add", "subtract": "subtract", "multiply": "multiply", "divide": "divide", "maximum": "maximum",
       "minimum": "minimum", "remainder": "remainder", "pow": "pow", "less": "less", "equal": "eq",
       "logical_and": "logical_and"}
OVER = {"sum": "sum", "mean": "mean", "prod": "prod", "max": "amax", "min": "amin", "var": "var", "std": "std",
        "argmax": "argmax", "any": "any", "all": "all", "cumulative_sum": "cumsum", "vector_norm": "norm",
        "logsumexp": "logsumexp"}
NUMPY = {"pow": "power", "cumulative_sum": "cumsum"}
AXES = {"all": None, "rows": 1, "columns": 0}


def numbers(function: str) -> tuple[Any, Any]:
    """Two arrays of the same numbers for every side; in (0, 1) where a function needs it, by 1 for products."""
    import numpy as np

    rng = np.random.default_rng(1)
    if function == "prod":      # too small ones are another matter, slow on every side
        return rng.uniform(0.99, 1.01, SHAPE).astype(np.float32), np.empty(0)
    if function in ("sqrt", "rsqrt", "log", "log1p", "pow", "asin", "acos", "atanh"):
        return rng.uniform(0.01, 0.99, SHAPE).astype(np.float32), rng.uniform(0.5, 2, SHAPE).astype(np.float32)
    return (rng.standard_normal(SHAPE) * 2).astype(np.float32), rng.standard_normal(SHAPE).astype(np.float32)


def arguments(function: str, a: Any, b: Any, axis: str) -> tuple[Any, ...]:
    """What a side's function takes; where() and clip() have their own."""
    if function in OVER:
        return (a,) if AXES[axis] is None else (a, AXES[axis])
    return {"where": (a > 0, a, b), "clip": (a, -1.0, 1.0), "scalar": (a, 2.5)}.get(
        function, (a, b) if function in TWO else (a,))


def ours(function: str, axis: str = "all") -> Callable[[], object]:
    """The library's operations on Tensors."""
    import tinygrad_rnn as tg

    a, b = map(tg.tensor, numbers(function))
    call, given = getattr(tg, {"scalar": "multiply"}.get(function, function)), arguments(function, a, b, axis)
    return lambda: call(*given)


def via_numpy(function: str, axis: str = "all") -> Callable[[], object] | None:
    """NumPy's, where it has the function."""
    import numpy as np

    name = ONE[function][0] if function in ONE else {"scalar": "multiply", "vector_norm": "linalg.norm"}.get(
        function, NUMPY.get(function, function))
    if name is None or function == "logsumexp":
        return None
    call: Any = np
    for part in name.split("."):
        call = getattr(call, part)
    given = arguments(function, *numbers(function), axis)
    if function == "vector_norm":
        return lambda: call(given[0], None, *given[1:])
    return lambda: call(*given)


def via_torch(function: str, axis: str = "all") -> Callable[[], object] | None:
    """PyTorch's."""
    import torch

    a, b = map(torch.from_numpy, numbers(function))
    name = ONE[function][1] if function in ONE else {"scalar": "multiply"}.get(
        function, {**TWO, **OVER}.get(function, function))
    call: Any = torch
    for part in name.split("."):
        call = getattr(call, part)
    given = arguments(function, a, b, axis)
    if function == "vector_norm":
        return lambda: torch.linalg.vector_norm(*given[:1], 2, *given[1:])
    if function in ("cumulative_sum", "logsumexp") and axis == "all":
        return None
    if function in ("var", "std"):
        return lambda: call(given[0], given[1:] or None, correction=0)
    return lambda: call(*given)


def case(function: str, axis: str = "all") -> Case:
    """To reach: the better of the two."""
    label = f"{function}, over {axis}" if function in OVER else "multiply by 2.5" if function == "scalar" else function
    return Case(label, {"function": function, "axis": axis}, targets={"best": 1.0})


BENCHMARK = Benchmark(
    title="1 Mi numbers, float32: elementwise functions and reductions",
    sides={"ours": ours, "NumPy": via_numpy, "torch": via_torch},
    cases=[*map(case, (*ONE, *TWO, "scalar", "where", "clip")),
           *(case(function, axis) for function in OVER for axis in AXES
             if (function, axis) not in (("cumulative_sum", "all"), ("logsumexp", "all")))],
    toy=[case("exp"), case("add"), case("where"), case("sum", "columns")],
    threads=(2,),
    rounds=5,
    budget=0.03,
)
