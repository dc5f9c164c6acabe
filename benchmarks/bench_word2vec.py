"""word2vec against gensim's: words a second of training, and the memory that a fit takes.

One epoch over 20 MB of Wikipedia where TINYGRAD_RNN_DATA has it, otherwise over invented words. Reading the corpus and
counting its words is left out on both sides; gensim reads its fastest way, `corpus_file`. The rows of several passes
over the same process see vectors that have learned already, which changes no step's work.
Memory: the peak of a whole fit, less what stood after a warm-up on a small corpus.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.harness import Benchmark, Case, Seconds

SETTINGS = dict(vector_size=100, window=5, negative=5, sample=1e-3, min_count=5)


def corpus(words: int) -> Path:
    """A file of about so many words."""
    import os
    import tempfile

    import numpy as np

    real = Path(os.environ.get("TINYGRAD_RNN_DATA", "")) / "wiki" / "enwiki20m.txt"
    if real.is_file() and words > 1_000_000:
        return real
    path = Path(tempfile.gettempdir()) / f"tinygrad_rnn-bench-{os.getuid()}-{words}.txt"
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


def noted(fit: Callable[[Path], Any], step: Callable[[], Seconds], words: int) -> Callable[[], Seconds]:
    """The step, with the memory of a whole fit."""
    fit(corpus(5000))
    before = memory("VmRSS")
    try:
        Path("/proc/self/clear_refs").write_text("5")       # the peak begins anew
    except OSError:
        before = float("nan")
    fit(corpus(words))
    step.notes = {"peak MB": round(memory("VmHWM") - before, 1)}        # type: ignore[attr-defined]
    return step


def ours(words: int, model: str, shared: bool, deterministic: bool = False) -> Callable[[], Seconds]:
    """The library."""
    import time

    from tinygrad_rnn.data import Sentences
    from tinygrad_rnn.embeddings import Word2Vec

    def fresh() -> Word2Vec:
        return Word2Vec(**SETTINGS, model=model, shared_negatives=shared, deterministic=deterministic, epochs=1, rng=1)

    trained = fresh().fit(corpus(words), progress=False)
    ids = Sentences(corpus(words), progress=False).encode(trained.vocabulary)

    def step() -> Seconds:
        begin = time.perf_counter()
        trained._begin(ids, (), False)
        return Seconds(time.perf_counter() - begin)

    return noted(lambda path: fresh().fit(path, progress=False), step, words)


def ours_deterministic(words: int, model: str, shared: bool) -> Callable[[], Seconds]:
    """The library, the same bits each time."""
    return ours(words, model, shared, True)


def via_gensim(words: int, model: str, shared: bool) -> Callable[[], Seconds]:
    """gensim, whose noise words are always drawn for each pair."""
    import os
    import time

    from gensim.models import Word2Vec

    path, threads = str(corpus(words)), int(os.environ.get("OMP_NUM_THREADS", "1"))

    def fit(path: Path) -> Word2Vec:
        return Word2Vec(corpus_file=str(path), **SETTINGS, sg=int(model == "skipgram"), epochs=1, workers=threads,
                        seed=1)

    trained = fit(Path(path))

    def step() -> Seconds:
        begin = time.perf_counter()
        trained.train(corpus_file=path, total_words=trained.corpus_total_words, total_examples=trained.corpus_count,
                      epochs=1)
        return Seconds(time.perf_counter() - begin)

    return noted(fit, step, words)


def case(label: str, words: int, model: str, shared: bool, target: float) -> Case:
    """A row. A ratio of 1 / 1.5 against our own deterministic mode would be too slow: it is the other's time."""
    return Case(label, {"words": words, "model": model, "shared": shared}, items=words, targets={"gensim": target})


WIKI = 3_462_359        # words of the file

BENCHMARK = Benchmark(
    title="word2vec, 100 dimensions, window 5, 5 noise words",
    sides={"ours": ours, "ours, deterministic": ours_deterministic, "gensim": via_gensim},
    cases=[case("skip-gram, noise shared by a window", WIKI, "skipgram", True, 3.0),
           case("skip-gram, noise for each pair", WIKI, "skipgram", False, 1.8),
           case("CBOW", WIKI, "cbow", True, 2.0)],
    toy=[case("skip-gram", 3000, "skipgram", True, 3.0), case("CBOW", 3000, "cbow", True, 2.0)],
    threads=(2,),
    item="words",
    rounds=3,
    budget=0.1,
)
