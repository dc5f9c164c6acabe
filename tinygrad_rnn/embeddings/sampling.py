"""Which occurrences of a word are kept, and which words are noise.

Both are decided by 32 random bits and a threshold for them.

Source: Mikolov, Sutskever, Chen, Corrado and Dean 2013, section 2.3; the formula is the one of their program, which has
a second term that the paper leaves out.
"""

from __future__ import annotations

import numpy as np

ALWAYS = 2**32 - 1


def keep_probability(counts: np.ndarray, sample: float) -> np.ndarray:
    """Probability that an occurrence of a word survives subsampling: sqrt(t/f) + t/f, at most 1.

    Parameters
    ----------
    counts : int ndarray (V,)
    sample : float
        t; f is a word's share of all occurrences. 0: all are kept.

    Returns
    -------
    float64 ndarray (V,)
    """
    if not sample:
        return np.ones(len(counts))
    rarity: np.ndarray = sample * counts.sum() / counts
    kept: np.ndarray = np.minimum(1.0, np.sqrt(rarity) + rarity)
    return kept


def thresholds(probability: np.ndarray) -> np.ndarray:
    """The numbers that 32 random bits must not exceed, uint32."""
    return np.maximum(np.round(probability * 2.0**32) - 1, 0).astype(np.uint32)


def noise_probability(counts: np.ndarray, exponent: float) -> np.ndarray:
    """The distribution of noise words, count^exponent / sum, float64 (V,)."""
    weight: np.ndarray = counts.astype(np.float64) ** exponent
    probability: np.ndarray = weight / weight.sum()
    return probability


def alias_table(probability: np.ndarray) -> np.ndarray:
    """A distribution over 0 ... n - 1 as a table that is drawn from in one step.

    Each number gets a slot of the probability 1/n; what it has less is given by one that has more, its alias.

    Parameters
    ----------
    probability : float64 ndarray (n,)

    Returns
    -------
    uint32 ndarray (n, 2)
        Threshold and alias: of a slot drawn uniformly, itself if 32 bits are at most the threshold, else the alias.

    Source: Vose 1991, A linear algorithm for generating random numbers with a given distribution.
    """
    n = len(probability)
    share = (probability * n).tolist()
    threshold, alias = np.full(n, ALWAYS, np.uint32), np.arange(n, dtype=np.uint32)
    small = [k for k in range(n) if share[k] < 1]
    large = [k for k in range(n) if share[k] >= 1]
    while small and large:
        less, more = small.pop(), large[-1]
        threshold[less], alias[less] = min(max(round(share[less] * 2**32) - 1, 0), ALWAYS), more
        share[more] -= 1 - share[less]
        if share[more] < 1:
            small.append(large.pop())
    return np.ascontiguousarray(np.stack([threshold, alias], axis=1))
