"""t-SNE of 2,000 points with 100 numbers each, perplexity 30: as fast, and as true to the neighbourhoods.

Each side with its own defaults: ours and scikit-learn make 1,000 iterations, openTSNE 750. Beside the time stand the
trustworthiness of the picture (12 neighbours; Venna and Kaski 2001) and KL(P || Q), both computed alike for all.
"""

import time
from collections.abc import Callable
from typing import Any

from benchmarks.harness import Benchmark, Case, Seconds

PERPLEXITY = 30
NEIGHBOURS = 12


def points(n: int, D: int) -> Any:
    """Clusters of different widths, (n, D) float64: somewhat like word vectors."""
    import numpy as np

    rng = np.random.default_rng(1)
    centres = rng.standard_normal((n // 25, D))
    return centres[rng.integers(0, len(centres), n)] + 0.7 * rng.gamma(2, 0.5, (n, 1)) * rng.standard_normal((n, D))


def judged(embed: Callable[[Any], Any], n: int, D: int) -> Callable[[], object]:
    """A step that times `embed` alone, and judges its picture."""
    X = points(n, D)

    def step() -> Seconds:
        begun = time.perf_counter()
        Y = embed(X)
        taken = Seconds(time.perf_counter() - begun)
        step.notes = {"trustworthiness": trustworthiness(X, Y), "KL": divergence(X, Y)}  # type: ignore[attr-defined]
        return taken

    return step


def trustworthiness(X: Any, Y: Any) -> float:
    """1 - 2 / (n k (2n - 3k - 1)) sum of (rank in X - k) over those of the k nearest in Y that are not so near in X."""
    import numpy as np

    n, k = len(X), NEIGHBOURS
    squares = [((Z * Z).sum(1)[:, None] + (Z * Z).sum(1) - 2 * Z @ Z.T) for Z in (X, Y)]
    for matrix in squares:
        np.fill_diagonal(matrix, np.inf)
    ranks = np.empty((n, n), np.int64)
    np.put_along_axis(ranks, squares[0].argsort(1), np.arange(1, n + 1)[None], 1)
    near = np.take_along_axis(ranks, squares[1].argsort(1)[:, :k], 1)
    return float(1 - 2 / (n * k * (2 * n - 3 * k - 1)) * np.maximum(near - k, 0).sum())


def divergence(X: Any, Y: Any) -> float:
    """KL(P || Q) with the full P."""
    from tinygrad_rnn.embeddings.tsne import affinities, kl_divergence

    return float(kl_divergence(affinities(X, min(PERPLEXITY, (len(X) - 2) / 3)), Y).item())


def ours(n: int, D: int, iterations: int = 1000) -> Callable[[], object]:
    """The library's, exact at this size."""
    from tinygrad_rnn.embeddings import tsne

    return judged(lambda X: tsne(X, perplexity=min(PERPLEXITY, (n - 2) / 3), n_iter=iterations, progress=False), n, D)


def tree(n: int, D: int, iterations: int = 1000) -> Callable[[], object]:
    """The library's, by the tree."""
    from tinygrad_rnn.embeddings import tsne

    return judged(lambda X: tsne(X, perplexity=min(PERPLEXITY, (n - 2) / 3), n_iter=iterations, method="barnes_hut",
                                 progress=False), n, D)


def via_sklearn(n: int, D: int, iterations: int = 1000) -> Callable[[], object]:
    """scikit-learn's, Barnes-Hut; it refuses fewer than 250 iterations."""
    import os

    from sklearn.manifold import TSNE

    jobs = int(os.environ["OMP_NUM_THREADS"])
    return judged(lambda X: TSNE(perplexity=min(PERPLEXITY, n - 2), init="pca", n_jobs=jobs).fit_transform(X), n, D)


def via_opentsne(n: int, D: int, iterations: int = 1000) -> Callable[[], object]:
    """openTSNE's."""
    import os

    from openTSNE import TSNE

    jobs = int(os.environ["OMP_NUM_THREADS"])
    return judged(lambda X: TSNE(perplexity=min(PERPLEXITY, n / 4), n_jobs=jobs, random_state=1).fit(X), n, D)


BENCHMARK = Benchmark(
    title="t-SNE, perplexity 30",
    sides={"ours": ours, "ours, Barnes-Hut": tree, "scikit-learn": via_sklearn, "openTSNE": via_opentsne},
    cases=[Case("2,000 points of 100", {"n": 2000, "D": 100}, targets={"scikit-learn": 1 / 0.7, "openTSNE": 1 / 0.7})],
    toy=[Case("75 points of 5", {"n": 75, "D": 5, "iterations": 20})],
    threads=(2,),
    rounds=3,
)
