"""What a batching strategy is worth: translation models that differ in their batches alone (Morishita 2017).

Every side is ours: the same attention model from the same start, the same pairs, Adam, batches of 64 pairs; the last
side takes buckets of similar length, and as many pairs as fit a budget of tokens. A round is a pass over the pairs, and
its time is that of training. The loss of held-out pairs, measured between updates while the clock stands, is told for
equal times, so that a pass that is short and one that teaches much are weighed against each other.

The pairs are those of Multi30k, German to English, where `TINYGRAD_RNN_DATA` has them; else they are made up. Chapter
11 draws the curves.
"""

import os
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness import Benchmark, Case, Seconds

PAD, UNK, BOS, EOS = SPECIALS = ("<pad>", "<unk>", "<s>", "</s>")
FOLDER = Path(os.environ.get("TINYGRAD_RNN_DATA", "")) / "multi30k"
REAL = FOLDER.is_dir()
LOOKS = 4       # at the held-out loss, a pass
SIDES = ("source-target", "shuffle", "source", "target", "target-source", "bucket")
Pairs = list[tuple[list[str], list[str]]]


def sentences(part: str, number: int) -> Pairs:
    """The first pairs of a part, "train" or "val", as words."""
    if REAL:
        sides = [(FOLDER / f"{part}.{language}").read_text(encoding="utf-8").splitlines() for language in ("de", "en")]
        return [(source.split(), target.split()) for source, target in list(zip(*sides))[:number]]
    import numpy as np

    # Lengths as people's: lognormal about 12 words. The target is the same backwards, a word or two shorter or longer.
    rng, found = np.random.default_rng(len(part)), []
    for length in np.clip(rng.lognormal(2.5, 0.5, number).astype(int), 1, 60):
        words = rng.zipf(1.3, length) % 1000
        kept = np.repeat(words, rng.choice(3, length, p=[0.1, 0.8, 0.1]))[::-1]
        found.append(([f"a{k}" for k in words], [f"b{k}" for k in kept]))
    return found


def passes(strategy: str, pairs: int, E: int, H: int, batch: int, budget: int, after: list[float]
           ) -> Callable[[], Seconds]:
    """A pass of training; notes padding, rate, and the held-out loss (nats a word) after so many seconds."""
    import numpy as np

    from tinygrad_rnn import data, models, no_grad, optim

    train, held_out = sentences("train", pairs), sentences("val", min(pairs, 256))
    counts = [Counter(word for pair in train for word in pair[side]) for side in (0, 1)]
    vocabularies = [data.Vocabulary(count, 3, specials=SPECIALS) for count in counts]

    def ids(pair: tuple[list[str], list[str]]) -> list[Any]:
        framed = pair[0], [BOS, *pair[1], EOS]
        return [known.encode([word if word in known else UNK for word in words] or [UNK])
                for known, words in zip(vocabularies, framed)]

    size: dict[str, Any] = {"tokens": budget} if strategy == "bucket" else {"batch_size": batch}
    batches = data.PairBatches(*zip(*map(ids, train)), **size, strategy=strategy, rng=0)
    (source, source_lengths), (target, target_lengths) = (data.pad(side) for side in zip(*map(ids, held_out)))
    model = models.EncoderDecoder(*map(len, vocabularies), E, H, rng=0)
    optimizer = optim.Adam(model.parameters(), lr=2e-3)
    spent, words, curve = 0.0, 0, []

    def look() -> None:
        with no_grad():
            curve.append((spent, model.loss(source, target, source_lengths, target_lengths).item()))

    def step() -> Seconds:
        nonlocal spent, words
        before, stops = spent, np.linspace(0, len(batches), LOOKS + 1).astype(int)[1:]
        for k, one in enumerate(batches, 1):
            begun = time.perf_counter()
            loss = model.loss(one.source, one.target, one.source_lengths, one.target_lengths)
            optimizer.zero_grad()
            loss.backward()
            optim.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            spent += time.perf_counter() - begun
            words += int(one.target_lengths.sum()) - len(one.pairs)
            if k in stops:
                look()
        step.notes = {                              # type: ignore[attr-defined]
            "updates a pass": len(batches), "words/s": words / spent,
            **dict(zip(("padding of sources", "padding of targets"), batches.waste())),
            **{f"loss after {at:g} s": float(np.interp(at, *zip(*curve))) for at in after if at <= spent},
            "loss at the end": curve[-1][1]}
        return Seconds(spent - before)

    look()
    return step


def case(pairs: int, E: int, H: int, batch: int, budget: int, *after: float) -> Case:
    """A model of this size on the first pairs of the corpus."""
    corpus = "Multi30k" if REAL else "made-up pairs"
    return Case(f"{pairs:,} of {corpus}, embedding {E}, hidden {H}, batches of {batch} pairs or {budget:,} tokens",
                {"pairs": pairs, "E": E, "H": H, "batch": batch, "budget": budget, "after": list(after)})


BENCHMARK = Benchmark(
    title="Batching strategies: a pass of training, against source-target",
    sides={strategy: partial(passes, strategy) for strategy in SIDES},
    cases=[case(8_000, 64, 96, 64, 64 * 18, 5, 10, 15)],
    toy=[case(50, 4, 4, 8, 100, 0.01)],
    threads=(2,),
    rounds=3,
    budget=0.0,
)
