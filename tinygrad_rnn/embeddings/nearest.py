"""Nearest neighbours of many vectors at once: cosines are one matrix product, of which only the best are kept."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import kernels

QUERIES, CANDIDATES = 1024, 4096    # a block of scores: 16 MB


def unit(vectors: np.ndarray) -> np.ndarray:
    """Rows divided by their lengths, float32; a row of zeros stays one.

    Lengths are taken in float64, so that neither tiny nor huge numbers are lost.
    """
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    lengths[lengths == 0] = 1
    return np.asarray(vectors / lengths[:, None], np.float32)


def nearest(table: np.ndarray, queries: np.ndarray, topn: int, left_out: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """The rows of a table with the largest products with each query.

    Parameters
    ----------
    table : (N, D) float32
        Rows of length 1, for cosines.
    queries : (Q, D) float32
    topn : int
        At most N are found.
    left_out : (Q, E) integers, optional
        Rows that a query is not to find; -1 stands for none.

    Returns
    -------
    rows : (Q, k) int64, k = min(topn, N)
        Best first; among equal ones the first row. -1 where there are not enough.
    scores : (Q, k) float32
        Their products, -infinity where there are not enough. A query's result does not depend on the others.
    """
    k = min(topn, len(table))
    rows = np.full((len(queries), k), -1, np.int64)
    scores = np.full((len(queries), k), -np.inf, np.float32)
    if not k:
        return rows, scores
    for start in range(0, len(queries), QUERIES):
        block = slice(start, start + QUERIES)
        asked = np.ascontiguousarray(queries[block], np.float32)
        for first in range(0, len(table), CANDIDATES):
            candidates = table[first:first + CANDIDATES]
            products = kernels.matmul(asked, candidates.T)
            if left_out is not None:
                query, entry = np.nonzero((left_out[block] >= first) & (left_out[block] < first + len(candidates)))
                products[query, left_out[block][query, entry] - first] = -np.inf
            kernels.keep_largest(products, first, scores[block], rows[block])
    return rows, scores
