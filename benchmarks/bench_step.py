"""One training step of the main job's model: embedding 64, LSTM 256, batch 32, windows of 64, Adam, clipping at 1."""

from collections.abc import Callable

from benchmarks.harness import Benchmark, Case

# Of the text that `make demo` trains on.
SYMBOLS = 103


def ours(T: int, B: int, embedding: int, H: int) -> Callable[[], object]:
    """The model in tinygrad_rnn."""
    from tinygrad_rnn import nn, optim

    x, y = window(T, B)
    embed, lstm, head = nn.Embedding(SYMBOLS, embedding), nn.LSTM(embedding, H), nn.Linear(H, SYMBOLS)
    parameters = [*embed.parameters(), *lstm.parameters(), *head.parameters()]
    optimizer = optim.Adam(parameters, lr=4e-3)
    state = None

    def step() -> None:
        nonlocal state
        output, (h, c) = lstm(embed(x), state)
        state = h.detach(), c.detach()
        loss = nn.functional.cross_entropy(head(output), y)
        optimizer.zero_grad()
        loss.backward()
        optim.clip_grad_norm_(parameters, 1.0)
        optimizer.step()

    return step


def via_torch(T: int, B: int, embedding: int, H: int) -> Callable[[], object]:
    """The same in PyTorch, whose loss takes its classes second."""
    import torch
    from torch import nn

    x, y = (torch.from_numpy(ids) for ids in window(T, B))
    embed, lstm, head = nn.Embedding(SYMBOLS, embedding), nn.LSTM(embedding, H), nn.Linear(H, SYMBOLS)
    parameters = [*embed.parameters(), *lstm.parameters(), *head.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=4e-3)
    state = None

    def step() -> None:
        nonlocal state
        output, (h, c) = lstm(embed(x), state)
        state = h.detach(), c.detach()
        loss = nn.functional.cross_entropy(head(output).flatten(0, 1), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()

    return step


def window(T: int, B: int) -> tuple:
    """Input and target ids, (T, B) each."""
    import numpy as np

    ids = np.random.default_rng(0).integers(0, SYMBOLS, (T + 1, B))
    return ids[:-1].copy(), ids[1:].copy()


def case(T: int, B: int, embedding: int, H: int) -> Case:
    """FLOPs of the three products a gate and of the output layer, forward and twice that backward."""
    products = 4 * H * (embedding + H) + H * SYMBOLS
    return Case(f"batch {B}, windows of {T}, embedding {embedding}, LSTM {H}",
                {"T": T, "B": B, "embedding": embedding, "H": H}, flops=3 * 2 * T * B * products, items=T * B)


BENCHMARK = Benchmark(
    title="Training step of the character model",
    sides={"ours": ours, "torch": via_torch},
    cases=[case(64, 32, 64, 256)],
    toy=[case(3, 2, 4, 5)],
    threads=(1, 2),
    item="characters",
    budget=1.0,
)
