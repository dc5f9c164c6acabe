"""Random numbers that belong to a sentence: what is drawn for it does not depend on the batch that it is in.

    key  = hash(seed, the sentence's initial state and first token, equal ones before it, number of the sample)
           its place in the batch (`state.PLACE`) aside
    u_t  = SplitMix64(key + t * golden ratio) / 2^64

The state counts bit by bit: another processor, whose products round otherwise, draws other sentences from the same
distribution.

Source: Steele 2014, Fast splittable pseudorandom number generators, figure 16.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any

import numpy as np

from ..autograd import Tensor
from ..random import Rng, entropy
from .state import PLACE, leaves, rows_of

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_STEPS = ((np.uint64(30), np.uint64(0xBF58476D1CE4E5B9)), (np.uint64(27), np.uint64(0x94D049BB133111EB)))


class Streams:
    """A stream of uniform numbers for each sample of each sentence, in that order.

    Parameters
    ----------
    state : the initial state of the sentences
    first : int, or one for each sentence; the token that each begins with
    number : samples of each
    rng : numpy.random.Generator, int or None
    """

    def __init__(self, state: Any, first: Any, number: int, rng: Rng) -> None:
        seed, count = hashlib.blake2b(str(entropy(rng)).encode()).digest(), rows_of(state)
        parts = [np.ascontiguousarray(leaf.data if isinstance(leaf, Tensor) else leaf)
                 for path, leaf in leaves(state) if not path.endswith(f"[{PLACE!r}]")]
        parts.append(np.broadcast_to(np.asarray(first), count))
        seen, keys = Counter[bytes](), []
        for row in range(count):
            # Without zeros at the end: padding does not make a sentence another one.
            content = hashlib.blake2b(key=seed)
            for part in parts:
                content.update(part[row].tobytes().rstrip(b"\0") + b"\1")
            own = content.digest()
            keys += [_digest(own, seen[own], sample) for sample in range(number)]
            seen[own] += 1
        self.keys = np.array(keys, np.uint64)

    def uniform(self, streams: np.ndarray, t: np.ndarray) -> np.ndarray:
        """The t-th number of some streams, float64 in [0, 1)."""
        z = self.keys[streams] + (t.astype(np.uint64) + np.uint64(1)) * GOLDEN
        for shift, factor in _STEPS:
            z = (z ^ (z >> shift)) * factor
        z ^= z >> np.uint64(31)
        found: np.ndarray = (z >> np.uint64(11)) * 2.0**-53
        return found


def _digest(content: bytes, *numbers: int) -> int:
    """64 bits that nothing else shares, but for chance."""
    content += b"".join(number.to_bytes(8, "little") for number in numbers)
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")
