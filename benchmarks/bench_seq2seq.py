"""Training an encoder-decoder with attention: one update of a translation model of the size that multi30k asks for.

A bidirectional LSTM reads, an LSTM that attends at every step writes; Adam, clipping at 1. Sentences are ragged: the
words of the target that count are counted, the end included.
"""

from collections.abc import Callable
from typing import Any

from benchmarks.harness import Benchmark, Case


def ours(B: int, T: int, E: int, H: int, V: int, score: str, feeding: str | None) -> Callable[[], object]:
    """The model in tinygrad_rnn."""
    from tinygrad_rnn import models, optim

    model = models.EncoderDecoder(V, V, E, H, score=score, feeding=feeding)
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    source, source_lengths, target, target_lengths = batch(B, T, V)

    def step() -> None:
        loss = model.loss(source, target, source_lengths, target_lengths)
        optimizer.zero_grad()
        loss.backward()
        optim.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step


def via_torch(B: int, T: int, E: int, H: int, V: int, score: str, feeding: str | None) -> Callable[[], object]:
    """The same model in PyTorch."""
    import torch
    from torch import nn

    from benchmarks.peers.translation import Model

    model = Model(V, V, E, H, score, feeding)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    source, source_lengths, target, target_lengths = map(torch.from_numpy, batch(B, T, V))
    beyond = torch.arange(T)[:, None] >= target_lengths - 1
    following = target[1:].masked_fill(beyond, -100)

    def step() -> None:
        scores = model(source, source_lengths, target[:-1])
        loss = nn.functional.cross_entropy(scores.flatten(0, 1), following.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step


def batch(B: int, T: int, V: int) -> tuple[Any, Any, Any, Any]:
    """Sources (T, B) with lengths, and targets (T + 1, B) with theirs; sorted into batches of about one length."""
    import numpy as np

    rng = np.random.default_rng(0)
    source, target = rng.integers(3, V, (T, B)), rng.integers(3, V, (T + 1, B))
    lengths = rng.integers(max(1, T - 4), T + 1, B)
    return source, lengths, target, np.minimum(lengths + rng.integers(0, 3, B), T + 1).clip(2)


def case(B: int, T: int, E: int, H: int, V: int, score: str = "general", feeding: str | None = "attended") -> Case:
    """FLOPs of all matrix products, as if nothing were padding."""
    products = 2 * 4 * H * (E + H) + 4 * H * (E + 2 * H * bool(feeding) + H * (not feeding)) + 2 * H * H + 3 * H * H
    products += H * V + (2 * H * H if score == "additive" else 0)
    items = int(batch(B, T, V)[3].sum()) - B
    name = f"batch {B}, {T} words, embedding {E}, hidden {H}, vocabulary {V}, {score}"
    return Case(name + (", input feeding" if feeding else ""), flops=3 * 2 * T * B * products, items=items,
                parameters={"B": B, "T": T, "E": E, "H": H, "V": V, "score": score, "feeding": feeding},
                targets={"torch": 1.5})


BENCHMARK = Benchmark(
    title="Training step of a translation model",
    sides={"ours": ours, "torch": via_torch},
    cases=[case(64, 15, 256, 256, 6000), case(80, 15, 256, 512, 8000),
           case(64, 15, 256, 256, 6000, "additive"), case(64, 15, 256, 256, 6000, "general", None)],
    toy=[case(3, 4, 4, 5, 11), case(3, 4, 4, 5, 11, "additive"), case(3, 4, 4, 5, 11, "general", None)],
    threads=(2,),
    item="words",
    rounds=5,
    budget=0.6,
)
