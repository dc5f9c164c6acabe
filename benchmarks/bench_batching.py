"""What a batching strategy is worth: a pass over sentence pairs of many lengths through an LSTM for each side.

Every side is ours: the pairs are the same, and so is the work but for the padding and the number of batches.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks.harness import Benchmark, Case


def passes(strategy: str, pairs: int, H: int, by: str) -> Callable[[], object]:
    """A pass of training; source lengths lognormal about 12 words, targets close to them."""
    import numpy as np

    from tinygrad_rnn import nn
    from tinygrad_rnn.data import PairBatches

    rng = np.random.default_rng(0)
    lengths = np.clip(rng.lognormal(2.5, 0.5, pairs).astype(int), 1, 60)
    others = np.maximum(1, lengths + rng.integers(-3, 4, pairs))
    corpus = [[rng.integers(0, 1000, n) for n in side] for side in (lengths, others)]
    size: dict[str, Any] = {"batch_size": 64} if by == "pairs" else {"tokens": 64 * 16}
    batches = PairBatches(*corpus, **size, strategy=strategy, rng=0)
    embedding = nn.Embedding(1000, H, rng=0)
    encoder, decoder = nn.LSTM(H, H, rng=1), nn.LSTM(H, H, rng=2)

    def step() -> None:
        for source, source_lengths, target, target_lengths, _ in batches:
            _, state = encoder(embedding(source), lengths=source_lengths)
            output, _ = decoder(embedding(target), state, lengths=target_lengths)
            output.sum().backward()
            for module in (embedding, encoder, decoder):
                module.zero_grad()

    step.notes = dict(zip(("padding of sources", "padding of targets"), batches.waste()))   # type: ignore[attr-defined]
    return step


SIDES = ("source-target", "shuffle", "source", "target", "target-source", "bucket")


def case(pairs: int, H: int, by: str) -> Case:
    """Batches of 64 pairs, or of 1,024 tokens."""
    return Case(f"{pairs:,} pairs, LSTMs of {H}, batches of {'64 pairs' if by == 'pairs' else '1,024 tokens'}",
                {"pairs": pairs, "H": H, "by": by}, items=pairs)


BENCHMARK = Benchmark(
    title="Batching strategies",
    sides={strategy: partial(passes, strategy) for strategy in SIDES},
    cases=[case(2_000, 128, "pairs"), case(2_000, 128, "tokens")],
    toy=[case(50, 4, "pairs"), case(50, 4, "tokens")],
    threads=(2,),
    item="pairs",
    rounds=3,
    budget=0.0,
)
