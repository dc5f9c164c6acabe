"""Recurrent layers: a training step, forward and backward with all gradients, against PyTorch; and compiling a cell.

nn.LSTM, nn.GRU and nn.RNN meet PyTorch's own kernels; the other cells meet the same cell written step by step in
PyTorch, as a user has to: eager, and by torch.compile where it compiles.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any

from benchmarks.harness import Benchmark, Case, Seconds

GRID = [(1, 50, 64, 64, 1), (8, 50, 64, 128, 1), (32, 50, 64, 128, 1), (32, 100, 128, 256, 1), (20, 35, 200, 200, 2),
        (20, 35, 650, 650, 2), (64, 100, 512, 512, 1), (128, 28, 28, 128, 1)]
BUILT_IN = {"LSTM": 4, "GRU": 3, "RNN": 1}      # their gates
VARIANTS = {"lstm_peephole": 4, "lstm_cifg": 3, "mut1": 3, "gru_reset_before": 3, "lstm_layernorm": 4}


def ours(kind: str, B: int, T: int, D: int, H: int, layers: int) -> Callable[[], object]:
    """A step of our layer, or compiling a cell."""
    if kind.startswith("compile"):
        return compiling(kind)
    import numpy as np

    import tinygrad_rnn as tg
    from tinygrad_rnn import nn
    from tinygrad_rnn.cells import catalogue
    if kind in BUILT_IN:
        layer = getattr(nn, kind)(D, H, layers)
    else:
        layer = nn.Recurrent(catalogue()[kind], D, H, num_layers=layers)
    x = tg.tensor(np.random.default_rng(0).standard_normal((T, B, D)).astype(np.float32), requires_grad=True)
    ones = np.ones((T, B, H), np.float32)
    return training_step(layer, x, ones)


def via_torch(kind: str, B: int, T: int, D: int, H: int, layers: int) -> Callable[[], object] | None:
    """The same by PyTorch's own layer, or by the equations step by step."""
    if kind.startswith("compile"):
        return None
    import torch
    layer = getattr(torch.nn, kind)(D, H, layers) if kind in BUILT_IN else eager(kind, D, H, layers)
    x, ones = torch.randn(T, B, D, requires_grad=True), torch.ones(T, B, H)
    return training_step(layer, x, ones)


def via_compile(kind: str, B: int, T: int, D: int, H: int, layers: int) -> Callable[[], object] | None:
    """The equations step by step, by torch.compile: most of a minute a row, so only the variants' first rows."""
    if kind not in VARIANTS or layers > 1 or (B, T, H) not in [(b, t, h) for b, t, _, h, _ in GRID[:3]]:
        return None
    import torch
    layer = torch.compile(eager(kind, D, H, layers))
    x, ones = torch.randn(T, B, D, requires_grad=True), torch.ones(T, B, H)
    step = training_step(layer, x, ones)
    try:
        step()
    except RuntimeError:        # it does not compile
        return None
    return step


def training_step(layer: Any, x: Any, ones: Any) -> Callable[[], None]:
    """Forward and backward with all gradients, of a layer of either library."""
    parameters = [x, *layer.parameters()]

    def step() -> None:
        layer(x)[0].backward(ones)
        for p in parameters:
            p.grad = None

    return step


def eager(kind: str, D: int, H: int, layers: int) -> Any:
    """A cell as a PyTorch module with a loop over the steps: one product with x for all, one with h a step."""
    import torch
    from torch import nn

    def normalised(u):
        return torch.nn.functional.layer_norm(u, u.shape[-1:])

    class Layer(nn.Module):
        def __init__(self, D: int) -> None:
            super().__init__()
            gates = VARIANTS[kind]
            self.x, self.h = nn.Linear(D, gates * H), nn.Linear(H, gates * H, bias=False)
            self.s, self.p = nn.Parameter(torch.ones(2, gates, H)), nn.Parameter(torch.zeros(3, H))

        def forward(self, x):
            h = c = x.new_zeros(x.shape[1], H)
            outputs, from_x = [], self.x(x)
            if kind == "lstm_layernorm":
                bias = self.x.bias
                from_x = normalised((from_x - bias).unflatten(-1, (4, H))) * self.s[0] + bias.view(4, H)
            for z_x, raw in zip(from_x, x):
                h, c = getattr(self, kind)(z_x, raw, h, c)
                outputs.append(h)
            return torch.stack(outputs), h

        def lstm_peephole(self, z_x, _raw, h, c):
            i, f, g, o = (z_x + self.h(h)).chunk(4, -1)
            i, f, g = torch.sigmoid(i + self.p[0] * c), torch.sigmoid(f + self.p[1] * c), torch.tanh(g)
            c = f * c + i * g
            return torch.sigmoid(o + self.p[2] * c) * torch.tanh(c), c

        def lstm_cifg(self, z_x, _raw, h, c):
            i, g, o = (z_x + self.h(h)).chunk(3, -1)
            i = torch.sigmoid(i + self.p[0] * c)
            c = (1 - i) * c + i * torch.tanh(g)
            return torch.sigmoid(o + self.p[2] * c) * torch.tanh(c), c

        def mut1(self, z_x, raw, h, c):
            z, r, n = z_x.chunk(3, -1)
            weight = self.h.weight
            z, r = torch.sigmoid(z), torch.sigmoid(r + h @ weight[:H].T)
            n = torch.tanh((r * h) @ weight[H:2 * H].T + torch.tanh(raw) + n)
            return z * n + (1 - z) * h, c

        def gru_reset_before(self, z_x, _raw, h, c):
            weight = self.h.weight
            r, z = torch.sigmoid(z_x[:, :2 * H] + h @ weight[:2 * H].T).chunk(2, -1)
            n = torch.tanh(z_x[:, 2 * H:] + (r * h) @ weight[2 * H:].T)
            return (1 - z) * n + z * h, c

        def lstm_layernorm(self, z_x, _raw, h, c):
            i, f, g, o = (z_x + normalised(self.h(h).unflatten(-1, (4, H))) * self.s[1]).unbind(1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            return torch.sigmoid(o) * torch.tanh(normalised(c) * self.p[0] + self.p[1]), c

    class Stacked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(Layer(D if k == 0 else H) for k in range(layers))

        def forward(self, x):
            for layer in self.layers:
                x, last = layer(x)
            return x, last

    return Stacked()


# ---- compiling ------------------------------------------------------------------------------------------------------
CHILD = """
import sys, time
import numpy as np
from tinygrad_rnn.cells import catalogue
from tinygrad_rnn.cells.compiled import Compiled

def first_step(cell):
    start = time.perf_counter()
    compiled = Compiled(cell, 32, 32, np.float32)
    parameters = {n: np.zeros(s, np.float32) for n, s in cell.parameter_shapes(32, 32).items()}
    state = [np.zeros((2, 32), np.float32) for _ in cell.carried]
    y, last, tape = compiled.forward(np.zeros((3, 2, 32), np.float32), state, parameters)
    compiled.backward(tape, y, last)
    return time.perf_counter() - start

first_step(catalogue()["lstm_cec"])         # what all cells share
print(first_step(catalogue()[sys.argv[1]]))
"""


def compiling(kind: str) -> Callable[[], Seconds]:
    """Seconds to the first result of a cell in a new process, kernels that all cells share aside."""
    _, how, cell = kind.split()
    if how == "warm":
        run_child(cell, None)
        return lambda: Seconds(run_child(cell, None))

    def cold() -> Seconds:
        with tempfile.TemporaryDirectory() as folder:
            return Seconds(run_child(cell, folder))
    return cold


def run_child(cell: str, cache: str | None) -> float:
    """Run CHILD with this folder of compiled kernels, None: the user's."""
    environment = os.environ | ({"TINYGRAD_RNN_CACHE_DIR": cache} if cache else {})
    done = subprocess.run([sys.executable, "-c", CHILD, cell], env=environment, capture_output=True, text=True,
                          check=True)
    return float(done.stdout)


# ---- rows -----------------------------------------------------------------------------------------------------------
def case(kind: str, B: int, T: int, D: int, H: int, layers: int) -> Case:
    """FLOPs of the products, forward and twice that backward; the targets of the cells' issue."""
    first = D if kind != "mut1" else H
    weights = sum(matrices(kind, first if k == 0 else H, H) for k in range(layers))
    aims = {"LSTM": 2.5 if B == 1 else 1.0, "GRU": 1.3, "RNN": 1.25}
    small = (B, T, D, H) in [shape[:4] for shape in GRID[:3]]
    targets = {"torch": aims[kind]} if kind in aims else {}
    if small and kind in VARIANTS:
        targets = {"torch": 2.5} if "layernorm" in kind else {"torch": 4.0, "torch.compile": 2.0}
    if kind == "LSTM" and B >= 20:
        targets["ceiling"] = 0.75
    return Case(f"{kind} ({B}, {T}, {first}, {H})" + f" x {layers} layers" * (layers > 1),
                {"kind": kind, "B": B, "T": T, "D": first, "H": H, "layers": layers},
                flops=3 * 2 * T * B * weights, targets=targets)


def matrices(kind: str, D: int, H: int) -> int:
    """Elements of a cell's matrices."""
    if kind == "mut1":
        return 2 * D * H + 2 * H * H
    return (BUILT_IN | VARIANTS)[kind] * (D + H) * H


def compile_case(how: str, cell: str, seconds: float) -> Case:
    """A row of compiling."""
    return Case(f"compile {how} {cell}", {"kind": f"compile {how} {cell}", "B": 0, "T": 0, "D": 0, "H": 0, "layers": 0},
                targets={"seconds": seconds})


BENCHMARK = Benchmark(
    title="Recurrent layers: training step, float32, (batch, steps, inputs, hidden)",
    sides={"ours": ours, "torch": via_torch, "torch.compile": via_compile},
    cases=[*(case(kind, *shape) for kind in (*BUILT_IN, *VARIANTS) for shape in GRID),
           *(compile_case("cold", cell, 12.0 if "layernorm" in cell else 8.0) for cell in ("lstm", "lstm_layernorm")),
           *(compile_case("warm", cell, 0.3) for cell in ("lstm", "lstm_layernorm"))],
    toy=[case(kind, 2, 3, 4, 4, 2) for kind in (*BUILT_IN, *VARIANTS)],
    threads=(2,),
    budget=0.5,
)
