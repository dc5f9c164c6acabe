"""word2vec against gensim's: words a second of training, and the memory that a fit takes.

Passes over the first 7 MB of the Wikipedia file where TINYGRAD_RNN_DATA has it, otherwise over invented words.  Reading
the corpus and counting its words is left out on both sides; gensim reads its fastest way, `corpus_file`.  The rows of
several passes over the same process see vectors that have learned already, which changes no step's work.
Memory: the peak of a fit of the whole file, less what stood after a warm-up on a small corpus.
Deterministic mode is a side of its own: its "ratio" is its time over that of our other mode, at most 1.5 by its target.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.harness import Benchmark, Case, Seconds

WIKI, LETTERS, WORDS = 3_462_359, 6, 1_200_000       # words of the file; bytes of a word; words of a pass
SETTINGS = dict(vector_size=100, window=5, negative=5, sample=1e-3, min_count=5)


def corpus(words: int) -> Path:
    """A file of about so many words."""
    import os
    import tempfile

    import numpy as np

    real = Path(os.environ.get("TINYGRAD_RNN_DATA", "")) / "wiki" / "enwiki20m.txt"
    if real.is_file() and words >= WIKI:
        return real
    path = Path(tempfile.gettempdir()) / f"tinygrad_rnn-bench-{os.getuid()}-{words}.txt"
    if real.is_file() and words > 10_000:
        path.write_bytes(real.read_bytes()[:LETTERS * words])
        return path
    ids = np.minimum(np.random.default_rng(1).zipf(1.3, words), 30_000)
    path.write_text("\n".join(" ".join(f"w{k}" for k in line) for line in np.split(ids, range(300, words, 300))) + "\n")
    return path


def memory(what: str) -> float:
    """Megabytes: VmRSS, what this process has; VmHWM, the most that it had."""
    status = Path("/proc/self/status")
    if not status.exists():
        return float("nan")
    line = next(line for line in status.read_text().splitlines() if line.startswith(what))
    return int(line.split()[1]) / 1024


def peak(fit: Callable[[Path], Any], words: int) -> dict[str, float]:
    """Note of the memory of a whole fit; none for 0 words."""
    if not words:
        return {}
    fit(corpus(5000))
    before = memory("VmRSS")
    try:
        Path("/proc/self/clear_refs").write_text("5")       # the peak begins anew
    except OSError:
        before = float("nan")
    fit(corpus(words))
    return {"peak MB": round(memory("VmHWM") - before, 1)}


def ours(words: int, model: str, shared: bool, whole: int, deterministic: bool = False) -> Callable[[], Seconds]:
    """The library."""
    import time

    from tinygrad_rnn.data import Sentences
    from tinygrad_rnn.embeddings import Word2Vec

    def fresh() -> Word2Vec:
        return Word2Vec(**SETTINGS, model=model, shared_negatives=shared, deterministic=deterministic, epochs=1, rng=1)

    notes = peak(lambda path: fresh().fit(path, progress=False), whole)
    trained = fresh().fit(corpus(words), progress=False)
    ids = Sentences(corpus(words), progress=False).encode(trained.vocabulary)

    def step() -> Seconds:
        begin = time.perf_counter()
        trained._begin(ids, (), False)
        return Seconds(time.perf_counter() - begin)

    step.notes = notes      # type: ignore[attr-defined]
    return step


def ours_deterministic(words: int, model: str, shared: bool, whole: int) -> Callable[[], Seconds]:
    """The library, the same bits each time."""
    return ours(words, model, shared, whole, True)


def via_gensim(words: int, model: str, shared: bool, whole: int) -> Callable[[], Seconds]:
    """gensim, whose noise words are always drawn for each pair."""
    import os
    import time

    from gensim.models import Word2Vec

    path, threads = str(corpus(words)), int(os.environ.get("OMP_NUM_THREADS", "1"))

    def fit(path: Path) -> Word2Vec:
        return Word2Vec(corpus_file=str(path), **SETTINGS, sg=int(model == "skipgram"), epochs=1, workers=threads,
                        seed=1)

    notes, trained = peak(fit, whole), fit(Path(path))

    def step() -> Seconds:
        begin = time.perf_counter()
        trained.train(corpus_file=path, total_words=trained.corpus_total_words, total_examples=trained.corpus_count,
                      epochs=1)
        return Seconds(time.perf_counter() - begin)

    step.notes = notes      # type: ignore[attr-defined]
    return step


def case(label: str, words: int, model: str, shared: bool, target: float, whole: int = 0) -> Case:
    """A row; with the memory of a fit of so many words."""
    parameters = {"words": words, "model": model, "shared": shared, "whole": whole}
    return Case(label, parameters, items=words, targets={"gensim": target})


BENCHMARK = Benchmark(
    title="word2vec, 100 dimensions, window 5, 5 noise words",
    sides={"ours": ours, "ours, deterministic": ours_deterministic, "gensim": via_gensim},
    cases=[case("skip-gram, noise shared by a window", WORDS, "skipgram", True, 3.0, whole=WIKI),
           case("skip-gram, noise for each pair", WORDS, "skipgram", False, 1.8),
           case("CBOW", WORDS, "cbow", True, 2.0)],
    toy=[case("skip-gram", 3000, "skipgram", True, 3.0, whole=3000), case("CBOW", 3000, "cbow", True, 2.0)],
    threads=(2,),
    item="words",
    rounds=3,
    budget=0.1,
)
