"""The ten nearest of 60,000 words of 100 numbers, for 1,000 words at once."""

from collections.abc import Callable
from typing import Any

from benchmarks.harness import Benchmark, Case


def data(n: int, D: int, Q: int) -> tuple[list[str], Any, list[str]]:
    """Words, vectors (n, D), and the words that are asked about."""
    import numpy as np

    words = [f"word{k}" for k in range(n)]
    vectors = np.random.default_rng(1).standard_normal((n, D)).astype(np.float32)
    return words, vectors, words[:Q]


def ours(n: int, D: int, Q: int) -> Callable[[], object]:
    """One matrix product."""
    from tinygrad_rnn.embeddings import KeyedVectors

    words, vectors, asked = data(n, D, Q)
    kv = KeyedVectors(words, vectors)
    return lambda: kv.nearest_neighbours(asked, topn=10)


def one_by_one(n: int, D: int, Q: int) -> Callable[[], object]:
    """The same by most_similar."""
    from tinygrad_rnn.embeddings import KeyedVectors

    words, vectors, asked = data(n, D, Q)
    kv = KeyedVectors(words, vectors)
    return lambda: [kv.most_similar(word, topn=10) for word in asked]


def via_gensim(n: int, D: int, Q: int) -> Callable[[], object]:
    """gensim's most_similar, which takes one query at a time."""
    from gensim.models import KeyedVectors

    words, vectors, asked = data(n, D, Q)
    kv = KeyedVectors(D)
    kv.add_vectors(words, vectors)
    return lambda: [kv.most_similar(word, topn=10) for word in asked]


BENCHMARK = Benchmark(
    title="Nearest words",
    sides={"ours": ours, "ours, one by one": one_by_one, "gensim": via_gensim},
    cases=[Case("60,000 words of 100, 1,000 queries", {"n": 60_000, "D": 100, "Q": 1000}, items=1000,
                targets={"gensim": 3.0})],
    toy=[Case("50 words of 3, 5 queries", {"n": 50, "D": 3, "Q": 5})],
    threads=(1, 2),
    item="queries",
    rounds=3,
)
