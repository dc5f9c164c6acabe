"""einsum, convolution, sorting and the k largest at common sizes, float32, against PyTorch."""

from collections.abc import Callable
from typing import Any

from benchmarks.harness import Benchmark, Case

# What is measured: (operation, further arguments, shapes of the operands).
CASES: dict[str, tuple[str, tuple[Any, ...], list[tuple[int, ...]]]] = {
    "einsum bhqd,bhkd->bhqk, attention scores": ("einsum", ("bhqd,bhkd->bhqk",), [(16, 8, 64, 64)] * 2),
    "einsum btd,dh->bth, a layer": ("einsum", ("btd,dh->bth",), [(32, 50, 128), (128, 512)]),
    "einsum bik,bjk->bij, a batch": ("einsum", ("bik,bjk->bij",), [(64, 64, 64)] * 2),
    "einsum bi,ij,bj->b, bilinear": ("einsum", ("bi,ij,bj->b",), [(256, 256), (256, 256), (256, 256)]),
    "conv2d 3 to 32, 3 x 3, (16, 3, 64, 64)": ("conv2d", (1, 1), [(16, 3, 64, 64), (32, 3, 3, 3), (32,)]),
    "conv2d 32 to 64, 3 x 3, (16, 32, 32, 32)": ("conv2d", (1, 1), [(16, 32, 32, 32), (64, 32, 3, 3), (64,)]),
    "conv2d 128 to 128, 3 x 3, (16, 128, 14, 14)": ("conv2d", (1, 1), [(16, 128, 14, 14), (128, 128, 3, 3), (128,)]),
    "conv2d 64 to 128, 1 x 1, (16, 64, 28, 28)": ("conv2d", (1, 0), [(16, 64, 28, 28), (128, 64, 1, 1), (128,)]),
    "conv1d 64 to 64, 5, (32, 64, 200)": ("conv1d", (1, 2), [(32, 64, 200), (64, 64, 5), (64,)]),
    "topk 10 of (64, 32000)": ("topk", (10,), [(64, 32000)]),
    "topk 50 of (20, 10000)": ("topk", (50,), [(20, 10000)]),
    "sort (1000, 1000)": ("sort", (), [(1000, 1000)]),
    "sort 1 Mi": ("sort", (), [(1 << 20,)]),
    "argsort (1000, 1000)": ("argsort", (), [(1000, 1000)]),
}
TOY = {"einsum": ("einsum", ("ij,jk->ik",), [(3, 4), (4, 5)]),
       "conv2d": ("conv2d", (1, 1), [(1, 2, 5, 5), (3, 2, 3, 3), (3,)]),
       "topk": ("topk", (2,), [(3, 40)]), "sort": ("sort", (), [(3, 4)])}


def data(shapes: list[tuple[int, ...]]) -> list[Any]:
    """The same numbers for both sides."""
    import numpy as np

    rng = np.random.default_rng(1)
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


def step(label: str, backward: bool, wrap: Callable[[Any], Any], functions: Callable[[str], Any]
         ) -> Callable[[], object]:
    """One call, or one with its backward pass for gradients of all operands."""
    name, arguments, shapes = (CASES | TOY)[label]
    function, operands = functions(name), [wrap(x) for x in data(shapes)]
    given = [*arguments, *operands] if name == "einsum" else [*operands, *arguments]
    if not backward:
        return lambda: function(*given)
    for x in operands:
        x.requires_grad_(True)
    ones = wrap(data([tuple(function(*given).shape)])[0])

    def run() -> None:
        function(*given).backward(ones)
        for x in operands:
            x.grad = None

    return run


def ours(label: str, backward: bool = False) -> Callable[[], object]:
    """The library's operations on Tensors."""
    import tinygrad_rnn as tg
    from tinygrad_rnn.nn import functional

    return step(label, backward, tg.tensor, lambda name: getattr(functional if "conv" in name else tg, name))


def via_torch(label: str, backward: bool = False) -> Callable[[], object]:
    """PyTorch's."""
    import torch

    return step(label, backward, torch.from_numpy,
                lambda name: getattr(torch.nn.functional if "conv" in name else torch, name))


BENCHMARK = Benchmark(
    title="einsum, convolution, topk, sort, float32",
    sides={"ours": ours, "torch": via_torch},
    cases=[*(Case(label, {"label": label}, targets={"torch": 0.7}) for label in CASES),
           *(Case(f"{label}, forward + backward", {"label": label, "backward": True}, targets={"torch": 0.7})
             for label in CASES if label.startswith(("einsum", "conv")))],
    toy=[Case(label, {"label": label, "backward": label == "conv2d"}) for label in TOY],
    threads=(2,),
    rounds=5,
    budget=0.06,
)
