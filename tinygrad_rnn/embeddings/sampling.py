"""Which occurrences of a word are kept, and which words are noise.

Both are decided by 32 random bits and a threshold for them.

Source: Mikolov, Sutskever, Chen, Corrado and Dean 2013, section 2.3; the formula is the one of their program, which has
a second term that the paper leaves out.
"""

from __future__ import annotations

import numpy as np

ALWAYS = 2**32 - 1
COMMON = 128        # words that may be noise of any shard
UNEVEN = 0.01       # of the weight of a shard's own words, what one of them may have at most


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


def deal(probability: np.ndarray, shards: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Noise words dealt out to shards, so that what one of them draws no other does: frequent words aside.

    The first words are common to all, the others go around.  Each shard draws common words with their probability, and
    its own with their share of what is left; so over all shards a word comes up with its probability, within UNEVEN.
    Where the words are too few, or their weights too uneven for that, all are common.

    Parameters
    ----------
    probability : float64 ndarray (V,)
    shards : int

    Returns
    -------
    tables : uint32 ndarray (shards, n, 2)
        Alias tables.  Slot k is the word k if that is common, of the others the word common + s + shards (k - common);
        aliases are words.
    lengths : int64 ndarray (shards,)
        Of each table.
    common : int
        How many words are.
    """
    words, rest = len(probability), probability[COMMON:]
    uneven = shards == 1 or not len(rest) or rest.max() * shards > UNEVEN * rest.sum()
    common = words if uneven else COMMON
    owned = [np.concatenate([np.arange(common), np.arange(common + s, words, shards)]) for s in range(shards)]
    lengths = np.array([len(own) for own in owned], np.int64)
    tables = np.zeros((shards, lengths.max(), 2), np.uint32)
    for s, own in enumerate(owned):
        share = probability[own]
        if common < words:
            share[common:] *= rest.sum() / share[common:].sum()
        found = alias_table(share)
        tables[s, :len(own), 0], tables[s, :len(own), 1] = found[:, 0], own[found[:, 1]]
    return tables, lengths, common
