"""A translation model from nothing to its BLEU: German to English, the 29,000 pairs of Multi30k, ours and PyTorch's.

A round is one pass over the training pairs, the same batches for both sides; its time is that of training alone. After
`passes` of them the learning rate has fallen to 0: two warm the sides, the others are the rounds. Beside the time stand
the BLEU of the validation pairs (sacreBLEU's, words as they come) by greedy decoding and by a beam of width 10 at
alpha 0.7, both after the last pass, the training loss of that pass, and the minutes of training in all. Both sides are
decoded by `tinygrad_rnn.decode`, which takes PyTorch's step as it takes ours.

Needs the pairs in the folder `TINYGRAD_RNN_DATA`; at toy size a made-up language takes their place.
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.harness import Benchmark, Case, Seconds

UNK, BOS, EOS, PAD = range(4)
WARMUP, RATE, SMOOTHING = 200, 2e-3, 0.1    # updates; of Adam; of the labels
Pairs = list[tuple[list[str], list[str]]]


# ---- data -----------------------------------------------------------------------------------------------------------
def read(part: str) -> Pairs:
    """The pairs of a part, "train" or "val", as words."""
    folder = Path(os.environ.get("TINYGRAD_RNN_DATA", ".")) / "multi30k"
    sides = [(folder / f"{part}.{language}").read_text(encoding="utf-8").splitlines() for language in ("de", "en")]
    return [(source.split(), target.split()) for source, target in zip(*sides)]


def made_up(number: int) -> Pairs:
    """Sentences of numbers, and the same said backwards in other words."""
    import numpy as np

    rng = np.random.default_rng(0)
    drawn = [rng.integers(0, 10, rng.integers(1, 6)).tolist() for _ in range(number)]
    return [([f"a{k}" for k in ids], [f"b{k}" for k in reversed(ids)]) for ids in drawn]


class Data:
    """Training batches of ids, validation sources, and their references."""

    def __init__(self, batch: int, pairs: int | None) -> None:
        from tinygrad_rnn.data import SPECIALS, PairBatches, Vocabulary

        train, valid = (read("train"), read("val")) if pairs is None else (made_up(pairs), made_up(5))
        counts = [Counter(word for pair in train for word in pair[side]) for side in (0, 1)]
        self.source, self.target = (Vocabulary(c, 2, specials=SPECIALS) for c in counts)
        self.batches = PairBatches([self.ids(source) for source, _ in train],
                                   [[BOS, *self.target.encode(target), EOS] for _, target in train],
                                   batch, strategy="source-target", padding=PAD, rng=0)
        self.asked = [self.ids(source) for source, _ in valid]
        self.references = [[" ".join(target) for _, target in valid]]

    def ids(self, source: list[str]) -> list[int]:
        """A source with its end."""
        return [*self.source.encode(source).tolist(), EOS]

    def bleu(self, stepper: Callable[[Any, Any], tuple[Any, Any]], width: int) -> float:
        """Of translations of the validation sources; stepper(source (S, B), lengths (B,)) -> (step, state)."""
        from tinygrad_rnn import data, decode, metrics

        found = {}
        order = sorted(range(len(self.asked)), key=lambda k: len(self.asked[k]))
        for part in (order[k:k + 64] for k in range(0, len(order), 64)):
            source, lengths = data.pad([self.asked[k] for k in part], PAD)
            step, state = stepper(source, lengths)
            ends: Any = {"bos": BOS, "eos": EOS, "max_length": [2 * len(self.asked[k]) + 10 for k in part]}
            best = decode.greedy(step, state, **ends) if width == 1 else decode.beam_search(
                step, state, width=width, **ends)
            found |= dict(zip(part, best))
        lines = [" ".join(self.target.decode([i for i in found[k][0].tokens if i not in (BOS, EOS, PAD)]))
                 for k in range(len(found))]
        return metrics.corpus_bleu(lines, self.references, tokenize="none").score


def rates(updates: int) -> Iterator[float]:
    """Learning rates: up in some updates, then down to 0 on a line."""
    for k in range(updates):
        yield RATE * min(1, (k + 1) / WARMUP) * (1 - k / updates)
    while True:
        yield 0.0


def passing(data: Data, passes: int, update: Callable[[Any, float], float], stepper: Callable[..., Any],
            beam: int) -> Callable[[], Seconds]:
    """A step that makes one pass; update(batch, rate) gives the loss."""
    rate = rates(passes * len(data.batches))
    done = spent = 0.0

    def step() -> Seconds:
        nonlocal done, spent
        begun = time.perf_counter()
        losses = [update(batch, next(rate)) for batch in data.batches]
        taken = time.perf_counter() - begun
        done, spent = done + 1, spent + taken
        if done == passes:
            step.notes = {"BLEU greedy": data.bleu(stepper, 1),     # type: ignore[attr-defined]
                          f"BLEU beam {beam}": data.bleu(stepper, beam),
                          "loss": sum(losses) / len(losses), "minutes": spent / 60}
        return Seconds(taken)

    return step


# ---- sides ----------------------------------------------------------------------------------------------------------
def ours(batch: int, E: int, H: int, dropout: float, passes: int, pairs: int | None, beam: int) -> Callable[[], object]:
    """The model in tinygrad_rnn."""
    from tinygrad_rnn import models, optim

    data = Data(batch, pairs)
    model = models.EncoderDecoder(len(data.source), len(data.target), E, H, dropout=dropout, rng=0)
    optimizer = optim.Adam(model.parameters(), lr=RATE)

    def update(batch: Any, rate: float) -> float:
        optimizer.param_groups[0]["lr"] = rate
        loss = model.loss(batch.source, batch.target, batch.source_lengths, batch.target_lengths,
                          label_smoothing=SMOOTHING)
        optimizer.zero_grad()
        loss.backward()
        optim.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return float(loss.item())

    return passing(data, passes, update, model.stepper, beam)


def via_torch(batch: int, E: int, H: int, dropout: float, passes: int, pairs: int | None,
              beam: int) -> Callable[[], object]:
    """The same model and schedule in PyTorch."""
    import torch
    from torch import nn

    from benchmarks.peers.translation import Model

    torch.manual_seed(0)
    data = Data(batch, pairs)
    model = Model(len(data.source), len(data.target), E, H, "general", "attended", dropout)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    loss_of = nn.CrossEntropyLoss(label_smoothing=SMOOTHING)

    def update(batch: Any, rate: float) -> float:
        optimizer.param_groups[0]["lr"] = rate
        source, source_lengths, target, target_lengths, _ = map(torch.from_numpy, batch)
        model.train()
        scores = model(source, source_lengths, target[:-1])
        real = torch.arange(len(target) - 1)[:, None] < target_lengths - 1
        loss = loss_of(scores[real], target[1:][real])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return float(loss)

    @torch.inference_mode()
    def stepper(source: Any, lengths: Any) -> tuple[Any, Any]:
        model.eval()
        read, (h, c) = model.encode(torch.from_numpy(source), torch.from_numpy(lengths))

        @torch.inference_mode()
        def step(tokens: Any, state: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
            rows = torch.from_numpy(state["sentence"])
            before: Any = tuple(torch.from_numpy(state[name]) for name in ("h", "c", "attended"))
            held: Any = [part[rows] for part in read]
            after = model.step(model.target(torch.from_numpy(tokens)), before, held)
            found = model.linear(after[2]).log_softmax(-1).numpy()
            return found, {"sentence": state["sentence"], **dict(zip(("h", "c", "attended"), (
                part.numpy() for part in after)))}

        import numpy as np
        return step, {"h": h.numpy(), "c": c.numpy(), "attended": np.zeros_like(h.numpy()),
                      "sentence": np.arange(len(lengths))}

    return passing(data, passes, update, stepper, beam)


def case(batch: int, E: int, H: int, passes: int, words: int, pairs: int | None = None, beam: int = 10) -> Case:
    """General attention with input feeding, one layer a side, the encoder in both directions."""
    label = f"batch {batch}, embedding {E}, hidden {H}, dropout 0.3, {passes} passes"
    return Case(label, {"batch": batch, "E": E, "H": H, "dropout": 0.3, "passes": passes, "pairs": pairs, "beam": beam},
                items=words, targets={"torch": 1.5})


BENCHMARK = Benchmark(
    title="Translation of Multi30k, German to English: a pass over the training pairs",
    sides={"ours": ours, "torch": via_torch},
    cases=[case(64, 256, 256, 6, 406_534)],
    toy=[case(4, 4, 5, 3, 60, 20, 2)],
    threads=(2,),
    item="words",
    rounds=4,
    budget=0.0,
)
