"""t-SNE: points in a plane whose neighbours are those that they had among many dimensions.

    p(j | i) ~ exp(-beta_i |x_i - x_j|^2), with beta_i such that 2^entropy = perplexity;   P = (p(j|i) + p(i|j)) / (2n)
    Q[i, j] = (1 + |y_i - y_j|^2)^-1 / sum over all pairs;   KL(P || Q) = sum P log(P / Q) is made small

The perplexity is how many neighbours a point has, in a soft count. It is the exponential of an entropy, as that of a
language model is, and has nothing else to do with it.
Source: van der Maaten and Hinton 2008, Visualizing data using t-SNE; van der Maaten 2014, Accelerating t-SNE using
tree-based algorithms.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from tqdm import tqdm

from .. import kernels
from ..autograd.ops import expand_dims, log, maximum, sum
from ..random import Rng, entropy, stream

EXACT = 4000            # points: up to here the exact gradient, in whole vectors, is faster than the tree
THETA = 0.5             # how large a group of points may look that is taken as one, width / distance
EXAGGERATION, EXAGGERATED = 12.0, 250       # P is that many times larger in the first iterations: clusters form
MOMENTUM = 0.5, 0.8     # while exaggerated, and after
SPREAD = 1e-4           # standard deviation of the first coordinate at the start
ROWS = 1024             # points whose distances are computed at once
WATCH = 50              # iterations from one report to the next


def kl_divergence(P: Any, Y: Any) -> Any:
    """KL(P || Q) on Tensors, in nats: P (n, n), zeros on its diagonal; Y (n, k)."""
    n = len(Y)
    squares = sum((expand_dims(Y, 1) - expand_dims(Y, 0))**2, 2)
    q = (1.0 - np.eye(n, dtype=np.asarray(P).dtype)) / (1.0 + squares)
    tiny = np.finfo(np.float32).tiny        # where P is 0 the logarithm does not matter, but must be finite
    return sum(P * (log(maximum(P, tiny)) - log(maximum(q / sum(q), tiny))))


def affinities(X: Any, perplexity: float = 30.0) -> np.ndarray:
    """P of points X (n, D): (n, n) float64, symmetric, summing to 1."""
    X = _points(X)
    _check_perplexity(perplexity, len(X))
    conditional = kernels.tsne_conditionals(np.concatenate([squares for _, squares in distances(X)]), perplexity)
    return np.asarray((conditional + conditional.T) / (2 * len(X)))


def tsne(X: Any, n_components: int = 2, *, perplexity: float = 30.0, method: str = "auto", init: str = "pca",
         learning_rate: float | str = "auto", n_iter: int = 1000, rng: Rng = None,
         progress: bool | Callable[[int, float], object] | None = None) -> np.ndarray:
    """Lay points out in few dimensions.

    Parameters
    ----------
    X : array_like (n, D), finite
    n_components : 1, 2 or 3
    perplexity : float, 1 or more and below (n - 1) / 3
        Neighbours that count; 5 to 50 are usual.
    method : "exact", "barnes_hut" or "auto"
        The tree takes distant groups as one, and P of the nearest 3 perplexity points alone: time n log n, for many
        points. "auto" is exact up to 4,000.
    init : "pca" or "random"
        Where points start: at their principal components, or drawn from a small normal distribution.
    learning_rate : float or "auto"
        "auto": n / 48, at least 50 (Belkina et al. 2019).
    n_iter : int
        The first 250, or quarter, exaggerate P.
    rng : numpy.random.Generator, int or None
        For init="random" alone.
    progress : bool or callable, optional
        Called every 50 iterations with their number and KL in nats; True: a bar; None: a bar where standard error is
        a terminal.

    Returns
    -------
    ndarray (n, n_components) float64, centred. The same on any number of threads.

    Raises
    ------
    ValueError
        For a perplexity at or above (n - 1) / 3, where a neighbour would be almost anybody; points that are not finite.
    """
    X = _points(X)
    n = len(X)
    if n_components not in (1, 2, 3):
        raise ValueError(f"tsne: n_components must be 1, 2 or 3, got {n_components}")
    if method not in ("auto", "exact", "barnes_hut"):
        raise ValueError(f"tsne: method must be 'auto', 'exact' or 'barnes_hut', got {method!r}")
    if init not in ("pca", "random"):
        raise ValueError(f"tsne: init must be 'pca' or 'random', got {init!r}")
    if init == "pca" and X.shape[1] < n_components:
        raise ValueError(f"tsne: init='pca' needs n_components={n_components} columns, X has {X.shape[1]}")
    if n_iter < 1:
        raise ValueError(f"tsne: n_iter must be at least 1, got {n_iter}")
    if learning_rate == "auto":
        learning_rate = max(n / EXAGGERATION / 4, 50.0)
    if isinstance(learning_rate, str) or not 0 < learning_rate < math.inf:
        raise ValueError(f"tsne: learning_rate must be a positive number or 'auto', got {learning_rate!r}")
    _check_perplexity(perplexity, n)
    exact = method == "exact" or method == "auto" and n <= EXACT
    forces = _Exact(X, perplexity) if exact else _Tree(X, perplexity)
    start = principal(X, n_components) if init == "pca" else \
        SPREAD * stream(entropy(rng), "tsne").standard_normal((n, n_components))
    with tqdm(total=n_iter, desc="t-SNE", unit=" iterations", leave=False,
              disable=None if progress is None or callable(progress) else not progress) as bar:
        return _descend(forces, start, float(learning_rate), n_iter, progress if callable(progress) else None, bar)


def _descend(forces: Any, Y: np.ndarray, rate: float, n_iter: int, report: Callable[[int, float], object] | None,
             bar: Any) -> np.ndarray:
    """Gradient descent with momentum; a coordinate's step grows while its gradient keeps its sign."""
    velocity, gains = np.zeros_like(Y), np.ones_like(Y)
    early = min(EXAGGERATED, n_iter // 4)
    for iteration in range(n_iter):
        if iteration == early:
            gains[...] = 1
            velocity[...] = 0
        attraction, repulsion, Z = forces(Y)
        gradient = 4 * ((EXAGGERATION if iteration < early else 1.0) * attraction - repulsion / Z)
        gains = np.where(velocity * gradient < 0, gains + 0.2, np.maximum(gains * 0.8, 0.01))
        velocity = MOMENTUM[iteration >= early] * velocity - rate * gains * gradient
        Y = Y + velocity
        Y -= Y.mean(0)
        if not np.isfinite(Y).all():
            raise ArithmeticError(f"tsne: the points left every bound in iteration {iteration + 1}; lower "
                                  f"learning_rate, which is {rate:g}")
        bar.update()
        if (iteration + 1) % WATCH == 0 and (report or not bar.disable):
            kl = forces.divergence(Y)
            bar.set_postfix(KL=f"{kl:.4f}")
            if report:
                report(iteration + 1, kl)
    return Y


class _Exact:
    """All pairs, in float32."""

    def __init__(self, X: np.ndarray, perplexity: float) -> None:
        P = affinities(X, perplexity)
        self.P = np.zeros((len(P), kernels.tsne_padded(len(P), np.dtype(np.float32))), np.float32)
        self.P[:, :len(P)] = P

    def __call__(self, Y: np.ndarray) -> Any:
        return kernels.tsne_exact(self.P, Y.astype(np.float32))

    def divergence(self, Y: np.ndarray) -> float:
        """KL(P || Q)."""
        n, total, cross = len(Y), 0.0, 0.0
        for first, squares in distances(Y):
            P = self.P[first:first + len(squares), :n].astype(np.float64)
            total += float((1 / (1 + squares)).sum())
            some = P > 0
            cross += float((P[some] * (np.log(P[some]) + np.log1p(squares[some]))).sum())
        return cross + math.log(total)      # P sums to 1


class _Tree:
    """P between near neighbours; repulsion by the tree of Barnes and Hut."""

    def __init__(self, X: np.ndarray, perplexity: float) -> None:
        n, k = len(X), min(len(X) - 1, int(3 * perplexity) + 1)
        near, squares = np.empty((n, k), np.int64), np.empty((n, k))
        for first, block in distances(X):
            best, places = np.full((len(block), k), -np.inf), np.full((len(block), k), -1, np.int64)
            kernels.keep_largest(-block, 0, best, places)
            near[first:first + len(block)], squares[first:first + len(block)] = places, -best
        conditional = kernels.tsne_conditionals(squares, perplexity)
        # P + P', as sorted keys row n + column: what stands in both is added.
        rows, columns = np.repeat(np.arange(n), k), near.ravel()
        keys = np.concatenate([rows * n + columns, columns * n + rows])
        keys, place = np.unique(keys, return_inverse=True)
        self.P = np.bincount(place, np.tile(conditional.ravel(), 2)) / (2 * n)
        self.columns = keys % n
        self.starts = np.searchsorted(keys, np.arange(n + 1) * n)

    def __call__(self, Y: np.ndarray) -> Any:
        return kernels.tsne_tree(self.starts, self.columns, self.P, np.ascontiguousarray(Y), THETA)

    def divergence(self, Y: np.ndarray) -> float:
        """KL(P || Q), with the tree's Z."""
        _, _, Z = self(Y)
        rows = np.repeat(np.arange(len(Y)), np.diff(self.starts))
        squares = ((Y[rows] - Y[self.columns])**2).sum(1)
        some = self.P > 0
        return float((self.P[some] * (np.log(self.P[some]) + np.log1p(squares[some]))).sum() + math.log(Z))


def distances(X: np.ndarray) -> Any:
    """(first, squares): squared distances of some points, first and following, to all; infinite to themselves."""
    lengths = (X * X).sum(1)
    for first in range(0, len(X), ROWS):
        block = X[first:first + ROWS]
        squares = lengths[first:first + ROWS, None] + lengths - 2 * kernels.matmul(block, X.T)
        np.maximum(squares, 0, out=squares)
        squares[np.arange(len(block)), first + np.arange(len(block))] = np.inf
        yield first, squares


def principal(X: np.ndarray, k: int) -> np.ndarray:
    """The first k principal components, the first with a standard deviation of 1e-4; each one's largest is positive."""
    centred = X - X.mean(0)
    _, directions = np.linalg.eigh(kernels.matmul(np.ascontiguousarray(centred.T), centred))
    Y = centred @ directions[:, :-k - 1:-1]
    Y *= np.sign(Y[np.abs(Y).argmax(0), np.arange(k)])
    spread = Y[:, 0].std()
    return np.asarray(Y * (SPREAD / spread) if spread > 0 else Y)


def _points(X: Any) -> np.ndarray:
    X = np.ascontiguousarray(np.asarray(X), np.float64)
    if X.ndim != 2 or not X.size:
        raise ValueError(f"tsne: X must have shape (n, D), got {X.shape}")
    if not np.isfinite(X).all():
        raise ValueError(f"tsne: point {np.flatnonzero(~np.isfinite(X).all(1))[0]} is not finite")
    # About their mean, and not too large or small: distances lose fewer digits, and beta absorbs the scale.
    X = X - X.mean(0)
    scale = np.abs(X).max()
    return np.asarray(X / scale) if scale > 0 else X


def _check_perplexity(perplexity: float, n: int) -> None:
    if not 1 <= perplexity < (n - 1) / 3:
        raise ValueError(f"tsne: perplexity must be at least 1 and below (n - 1) / 3 = {(n - 1) / 3:.4g} for n={n} "
                         f"points, got {perplexity}")
