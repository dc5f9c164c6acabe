"""Answers to the exercises of chapter 10."""

import numpy as np


def analogy(vectors, a, b, c):
    """The three rows themselves are often the nearest, so they are taken out."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = unit @ (unit[b] - unit[a] + unit[c])      # all times the same positive number
    cosines[[a, b, c]] = -np.inf
    return int(cosines.argmax())


def perplexity(p):
    """e to the entropy; 0 log 0 is 0."""
    some = p[p > 0]
    return np.exp(-(some * np.log(some)).sum())


def gradient(P, Y):
    """4 sum over j of (P - Q) (y_i - y_j) / (1 + distance squared)."""
    apart = Y[:, None] - Y[None]
    q = 1 / (1 + (apart**2).sum(2))
    np.fill_diagonal(q, 0)
    return 4 * (((P - q / q.sum()) * q)[:, :, None] * apart).sum(1)
