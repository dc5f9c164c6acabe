"""How the cost of recurrent cells grows: with the cell, with T, B and H, one step at a time, and in little memory.

Peers are our own: that of a cell is nn.LSTM at the same sizes, its time scaled to as many FLOPs of matrix products;
that of checkpoint_every="sqrt" is the same layer without.  One step of inference meets torch's LSTMCell.

    python -m benchmarks.bench_growth build/benchmarks/growth.json growth.png      draws the last results
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.bench_cells import training_step
from benchmarks.harness import Benchmark, Case, Seconds

SIZES = [(32, 50, 64, 128), (20, 35, 200, 200)]
UNGATED = {"rnn", "rnn_relu", "rnn_sigmoid", "leaky_rnn", "residual_rnn", "rnn_layernorm", "irnn", "lstm_cec"}
ALIASES = {"lstm_np"}
LONG = 10_000


def ours(kind: str, what: str, B: int, T: int, D: int, H: int) -> Callable[[], object]:
    """A training step of a cell, a step of inference, or a long sequence."""
    import numpy as np

    import tinygrad_rnn as tg
    from tinygrad_rnn import nn
    from tinygrad_rnn.cells import catalogue
    if what == "inference":
        stepper, x = nn.LSTM(D, H).stepper(), np.ones((B, D), np.float32)
        return lambda: stepper(x)
    every = "sqrt" if what == "sqrt" else None
    layer = nn.Recurrent(catalogue()[kind], D, H, checkpoint_every=every)
    return training(tg, layer, B, T, D, np, held=what in ("long", "sqrt"))


def training(tg: Any, layer: Any, B: int, T: int, D: int, np: Any, held: bool = False) -> Callable[[], object]:
    """Forward and backward with all gradients; notes the memory that is held between them."""
    import tracemalloc
    x = tg.tensor(np.random.default_rng(0).standard_normal((T, B, D)).astype(np.float32), requires_grad=True)
    ones = np.ones(layer(x[:2])[0].shape[1:], np.float32)
    ones = np.broadcast_to(ones, (T, *ones.shape)).copy()
    step: Any = training_step(layer, x, ones)
    if held:
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        y = layer(x)[0]
        step.notes = {"MiB held": (tracemalloc.get_traced_memory()[0] - before - y.data.nbytes) / 2**20}
        tracemalloc.stop()
    return step


def per_flop(kind: str, what: str, B: int, T: int, D: int, H: int) -> Callable[[], object] | None:
    """The time in which nn.LSTM does as many FLOPs of matrix products; of other cases none."""
    if what != "cell":
        return None
    import time

    import numpy as np

    import tinygrad_rnn as tg
    from tinygrad_rnn import nn
    step = training(tg, nn.LSTM(D, H), B, T, D, np)
    factor = matrices(kind, D, H) / (4 * (D + H) * H)

    def scaled() -> Seconds:
        start = time.perf_counter()
        step()
        return Seconds((time.perf_counter() - start) * factor)

    return scaled


def via_torch(kind: str, what: str, B: int, T: int, D: int, H: int) -> Callable[[], object] | None:
    """One step of torch's LSTMCell."""
    if what != "inference":
        return None
    import torch
    cell, x = torch.nn.LSTMCell(D, H), torch.ones(B, D)
    h = c = torch.zeros(B, H)

    @torch.no_grad()
    def step() -> None:
        nonlocal h, c
        h, c = cell(x, (h, c))

    return step


def without(kind: str, what: str, B: int, T: int, D: int, H: int) -> Callable[[], object] | None:
    """The same long sequence with everything kept."""
    return ours(kind, "long", B, T, D, H) if what == "sqrt" else None


def matrices(kind: str, D: int, H: int) -> int:
    """Elements of a cell's matrices."""
    from tinygrad_rnn.cells import catalogue
    return sum(shape[0] * shape[1] for shape in catalogue()[kind].parameter_shapes(D, H).values() if len(shape) == 2)


def gated() -> list[str]:
    """The cells of the catalogue that have a gate, each once."""
    from tinygrad_rnn.cells import catalogue
    return [name for name in catalogue() if name not in UNGATED | ALIASES]


def case(label: str, kind: str, what: str, B: int, T: int, D: int, H: int, **more: Any) -> Case:
    """A row; FLOPs are those of the products, forward and twice that backward."""
    flops = None if what == "inference" else 3 * 2 * T * B * matrices(kind, D, H)
    return Case(f"{label} ({B}, {T}, {D}, {H})", {"kind": kind, "what": what, "B": B, "T": T, "D": D, "H": H},
                flops=flops, **more)


def cell_case(kind: str, B: int, T: int, D: int, H: int) -> Case:
    """At most 1.3 times the time of nn.LSTM per FLOP, layer norm twice."""
    D = H if kind in ("mut1", "mut2") else D
    return case(kind, kind, "cell", B, T, D, H,
                targets={"nn.LSTM per FLOP": 1 / (2 if "layernorm" in kind else 1.3)})


def growth_cases() -> list[Case]:
    """The LSTM, from (32, 50, 64, 128) on, twice and four times as much of each."""
    rows = [case("lstm, T", "lstm", "growth", 32, 50 * k, 64, 128) for k in (1, 2, 4, 8)]
    rows += [case("lstm, B", "lstm", "growth", 8 * k, 50, 64, 128) for k in (1, 2, 4, 8, 16)]
    return rows + [case("lstm, H", "lstm", "growth", 32, 50, 64, 64 * k) for k in (1, 2, 4, 8)]


BENCHMARK = Benchmark(
    title="Growth of recurrent cells: training step unless said, float32, (batch, steps, inputs, hidden)",
    sides={"ours": ours, "nn.LSTM per FLOP": per_flop, "torch": via_torch, "all kept": without},
    cases=[*(cell_case(kind, *size) for size in SIZES for kind in gated()),
           case("one step of inference, LSTM", "lstm", "inference", 1, 1, 256, 256, targets={"torch": 2.0}),
           case("checkpoint_every=sqrt, LSTM", "lstm", "sqrt", 4, LONG, 32, 64, targets={"all kept": 1 / 1.5}),
           *growth_cases()],
    toy=[cell_case("gru_sheet", 2, 3, 4, 4), case("inference", "lstm", "inference", 1, 1, 4, 4),
         case("sqrt", "lstm", "sqrt", 2, 9, 3, 4), case("lstm, T", "lstm", "growth", 2, 3, 4, 4)],
    threads=(2,),
)


def plot(results: Path, to: str) -> None:
    """Draw the last results: time against T, B and H, doubly logarithmic."""
    import matplotlib.pyplot as plt
    rows = json.loads(results.read_text(encoding="utf-8"))["tables"][0]["rows"]
    figure, panels = plt.subplots(1, 3, figsize=(10, 3), sharey=True, layout="constrained")
    for panel, (letter, place) in zip(panels, {"T": 1, "B": 0, "H": 3}.items()):
        chosen = [row for row in rows if row["label"].startswith(f"lstm, {letter} ")]
        sizes = [int(row["label"].partition("(")[2].rstrip(")").split(", ")[place]) for row in chosen]
        panel.loglog(sizes, [1e3 * row["sides"]["ours"]["median_s"] for row in chosen], "o-")
        panel.set(xlabel=letter, xticks=sizes, xticklabels=sizes)
    panels[0].set_ylabel("training step, ms")
    figure.savefig(to)


if __name__ == "__main__":
    plot(Path(sys.argv[1]), sys.argv[2])
