"""Answers to the exercises of chapter 13."""

import numpy as np


def beam_step(totals, log_probs, K):
    """All continuations side by side, and the K best of them."""
    candidates = totals[:, None] + log_probs        # (n, 1) + (n, V) -> (n, V)
    best = np.argsort(-candidates, axis=None)[:K]
    return [[int(place // candidates.shape[1]), int(place % candidates.shape[1]), float(candidates.flat[place])]
            for place in best]


def gnmt_score(log_probs, alpha):
    """The sum, by its length."""
    return float(np.sum(log_probs) / ((5 + len(log_probs)) / 6) ** alpha)


def still_possible(total, longest, alpha):
    """All further words are free, and there are as many as may be: a negative number is divided by the most."""
    return total / longest**alpha
