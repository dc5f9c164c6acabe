"""GloVe against a program in C: counting the pairs of a text, and an epoch of training.

The peer is a re-implementation of Stanford's programs from their description (peers/glove.c says what it does), since
their source is no package anywhere. On a machine like that of the README the original was once measured at 0.79 million
pairs/s, and at 1.8 s for counting and 1.5 s for shuffling 12 MB.
"""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.harness import Benchmark, Case, Seconds
from benchmarks.peers.glove import Program, run

WINDOW, SIZE = 10, 100


def corpus(words: int) -> Path:
    """A file: the first so many bytes x 6 of the English Wikipedia corpus if it is there, else invented words."""
    import os

    import numpy as np

    path = Path(tempfile.mkdtemp(prefix="bench-glove-")) / "corpus.txt"
    real = Path(os.environ.get("TINYGRAD_RNN_DATA", "")) / "wiki" / "enwiki20m.txt"
    if real.is_file() and words > 10_000:
        path.write_bytes(real.read_bytes()[:6 * words])
    else:
        rng = np.random.default_rng(1)
        ids = np.minimum(rng.zipf(1.2, words), 50_000)
        lines = np.split(ids, np.arange(300, words, 300))
        path.write_text("\n".join(" ".join(f"w{k}" for k in line) for line in lines) + "\n")
    return path


def vocabulary(path: Path) -> Any:
    """The words that come five times, as both sides use them."""
    from tinygrad_rnn.data import Sentences, Vocabulary

    sentences = Sentences(path, progress=False)
    return sentences, Vocabulary(sentences.counts, min_count=5)


def removed(path: Path, step: Callable[[], object]) -> Callable[[], object]:
    """A step that takes its folder away at the end of the process."""
    import atexit

    atexit.register(shutil.rmtree, path.parent, True)
    return step


def ours(kind: str, words: int) -> Callable[[], object]:
    """The library."""
    import time

    from tinygrad_rnn.embeddings import GloVe
    from tinygrad_rnn.embeddings.cooccurrence import CHUNK, count_text
    from tinygrad_rnn.embeddings.entries import Entries, block_count

    path = corpus(words)
    if kind == "count":
        _, known = vocabulary(path)

        def count() -> object:
            from tinygrad_rnn.data import Sentences

            ids = Sentences(path, progress=False).encode(known)
            counted = count_text(ids, len(known), WINDOW, True, True, CHUNK, None)
            return Entries(counted, block_count(len(known), 4 * 224), 100.0, 0.75)

        return removed(path, count)
    times = [0.0]
    model = GloVe(vector_size=SIZE, window=WINDOW, epochs=1, rng=1)
    epoch = model._epoch

    def timed(entries: Any, bar: Any) -> None:
        begun = time.perf_counter()
        epoch(entries, bar)
        times[0] = time.perf_counter() - begun
        train.notes = {"M pairs/s": len(entries) / times[0] / 1e6}  # type: ignore[attr-defined]

    model._epoch = timed  # type: ignore[method-assign]

    def train() -> Seconds:
        model.fit(path, progress=False)
        return Seconds(times[0])

    return removed(path, train)


def via_c(kind: str, words: int) -> Callable[[], object]:
    """The program in C, one process a step."""
    import os

    path = corpus(words)
    _, known = vocabulary(path)
    program = Program(path, known.tokens, path.parent, WINDOW, SIZE)

    def count() -> None:
        run(program.count())
        run(program.shuffle())

    if kind == "count":
        return removed(path, count)
    count()
    records = program.shuffle().target.stat().st_size / 16

    def train() -> Seconds:
        taken = float(run(program.train(int(os.environ["OMP_NUM_THREADS"]))).split()[0])
        train.notes = {"M pairs/s": records / taken / 1e6}  # type: ignore[attr-defined]
        return Seconds(taken)

    return removed(path, train)


BENCHMARK = Benchmark(
    title="GloVe, window 10, 100 dimensions",
    sides={"ours": ours, "C, as Stanford's": via_c},
    cases=[
        Case("co-occurrences and shuffling, 12 MB", {"kind": "count", "words": 2_000_000}, items=2_000_000,
             targets={"C, as Stanford's": 2.0}),
        Case("an epoch of training, 12 MB", {"kind": "train", "words": 2_000_000}, targets={"C, as Stanford's": 3.0}),
    ],
    toy=[Case("count", {"kind": "count", "words": 2000}), Case("train", {"kind": "train", "words": 2000})],
    threads=(2,),
    item="words",
    rounds=3,
)
