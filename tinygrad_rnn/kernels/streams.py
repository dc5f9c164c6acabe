"""Random numbers by counter: the number at a position of a stream, without those before it.

A stream is a key, and what stands at a position depends on the two alone; so any thread draws for any part of a corpus
what a single thread would have drawn.  The mixing is that of SplitMix64 (Steele, Lea and Flood 2014, Fast splittable
pseudorandom number generators).
"""
import numpy as np

from .jit import helper

STEP, FIRST, SECOND = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
S30, S27, S31, S32 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(32)
LOW = np.uint64(0xFFFFFFFF)


@helper
def draw(key, position):
    """64 random bits at a position of the stream `key`, a uint64; they may be the key of another stream."""
    x = key + np.uint64(position) * STEP
    x = (x ^ x >> S30) * FIRST
    x = (x ^ x >> S27) * SECOND
    return x ^ x >> S31


@helper
def below(bits, n):
    """A whole number from 0 to n - 1, of the upper 32 bits; n < 2**32."""
    return np.intp((bits >> S32) * np.uint64(n) >> S32)


@helper
def pick(bits, table):
    """A number drawn from a distribution, given as an alias table (n, 2) of uint32.

    Row k: k itself if the lower 32 bits are at most the threshold table[k, 0], otherwise table[k, 1].
    """
    k = below(bits, len(table))
    return k if bits & LOW <= np.uint64(table[k, 0]) else np.intp(table[k, 1])
