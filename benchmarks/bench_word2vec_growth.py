"""How words/s of word2vec grow with threads, with dimensions and with the vocabulary; gensim beside it.

Skip-gram with 5 noise words, shared by a window on our side, on the first 2.4 MB of the Wikipedia file if it is there.

    python -m benchmarks.bench_word2vec_growth build/benchmarks/word2vec_growth.json growth.svg     draws the last run
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.bench_word2vec import corpus
from benchmarks.harness import Benchmark, Case, Seconds

SETTINGS: dict[str, Any] = dict(window=5, negative=5, sample=1e-3)
WORDS = 400_000
ALL = 10**9         # words of a vocabulary that leaves none out
DIMENSIONS, VOCABULARIES = (50, 100, 200, 400), (1000, 4000, 16_000, ALL)


def ours(words: int, size: int, vocabulary: int) -> Callable[[], Seconds]:
    """A pass of the library."""
    import time

    from tinygrad_rnn.data import Sentences
    from tinygrad_rnn.embeddings import Word2Vec

    model = Word2Vec(**SETTINGS, vector_size=size, min_count=1, max_vocab_size=vocabulary, epochs=1, rng=1)
    model.fit(corpus(words), progress=False)
    ids = Sentences(corpus(words), progress=False).encode(model.vocabulary)

    def step() -> Seconds:
        begin = time.perf_counter()
        model._begin(ids, (), False)
        return Seconds(time.perf_counter() - begin)

    step.notes = {"words in the vocabulary": len(model.vocabulary)}     # type: ignore[attr-defined]
    return step


def via_gensim(words: int, size: int, vocabulary: int) -> Callable[[], Seconds]:
    """A pass of gensim."""
    import os
    import time

    from gensim.models import Word2Vec

    path = str(corpus(words))
    model = Word2Vec(corpus_file=path, **SETTINGS, vector_size=size, min_count=1, max_final_vocab=vocabulary, sg=1,
                     epochs=1, workers=int(os.environ.get("OMP_NUM_THREADS", "1")), seed=1)

    def step() -> Seconds:
        begin = time.perf_counter()
        model.train(corpus_file=path, total_words=model.corpus_total_words, total_examples=model.corpus_count, epochs=1)
        return Seconds(time.perf_counter() - begin)

    return step


def case(label: str, words: int, size: int = 100, vocabulary: int = ALL) -> Case:
    """A row."""
    return Case(label, {"words": words, "size": size, "vocabulary": vocabulary}, items=words)


BENCHMARK = Benchmark(
    title="Growth of word2vec",
    sides={"ours": ours, "gensim": via_gensim},
    cases=[*(case(f"dimensions: {size}", WORDS, size=size) for size in DIMENSIONS),
           *(case(f"words: {words if words < ALL else 'all'}", WORDS, vocabulary=words) for words in VOCABULARIES)],
    toy=[case("dimensions: 5", 3000, size=5), case("words: 50", 3000, vocabulary=50)],
    threads=(1, 2),
    item="words",
    rounds=3,
    budget=0.1,
)


def plot(results: Path, to: str) -> None:
    """Draw words/s against dimensions and vocabulary, doubly logarithmic; a line a side and number of threads."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(10, 3.5), sharey=True, layout="constrained")
    for table in json.loads(results.read_text(encoding="utf-8"))["tables"]:
        threads = table["threads"]
        for panel, kind in zip(panels, ("dimensions", "words")):
            rows = [row for row in table["rows"] if row["label"].startswith(kind)]
            sizes = [int(row["label"].split(": ")[1]) if kind == "dimensions" else
                     row["sides"]["ours"]["notes"]["words in the vocabulary"] for row in rows]
            for side, mark in (("ours", "o"), ("gensim", "s")):
                speeds = [row["rates"][side]["items"] for row in rows if side in row["rates"]]
                if speeds:
                    panel.loglog(sizes, speeds, f"{mark}{'-' if threads > 1 else '--'}",
                                 color="C0" if side == "ours" else "C1",
                                 label=f"{side}, {threads} thread{'s' * (threads > 1)}")
            panel.set(xlabel={"dimensions": "dimensions", "words": "words in the vocabulary"}[kind])
            panel.set_xticks(sizes, [f"{size:,.0f}" for size in sizes])
            panel.minorticks_off()
    panels[0].set_ylabel("words/s")
    panels[1].legend()
    figure.savefig(to)


if __name__ == "__main__":
    plot(Path(sys.argv[1]), sys.argv[2])
