"""Answers to the exercises of chapter 9."""

import numpy as np


def counted(ids, size, window):
    """Each pair once, from its left end, written down from both sides."""
    X = np.zeros((size, size))
    for p, word in enumerate(ids):
        for d, context in enumerate(ids[p + 1:p + 1 + window], 1):
            X[word, context] += 1 / d
            X[context, word] += 1 / d
    return X


def f(X, x_max, alpha):
    """A power, cut off at 1."""
    return np.minimum(1, (X / x_max)**alpha)


def gradient_of_e(theta, e, b, b_context, X):
    """e_j meets every theta_i: the errors of column j, each times its theta."""
    error = theta @ e.T + b[:, None] + b_context - np.log(X)
    return 2 * (f(X, 100, 0.75) * error).T @ theta
