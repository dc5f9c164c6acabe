"""The tree of hierarchical softmax: a word is the way to its leaf, and frequent words have short ways.

Source: Huffman 1952, A method for the construction of minimum-redundancy codes; with two queues instead of a heap,
since the counts come sorted (van Leeuwen 1976).
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np


class Tree(NamedTuple):
    """Ways from the root to each word; those of word w stand in [starts[w], starts[w + 1]).

    Attributes
    ----------
    starts : int64 ndarray (V + 1,)
    nodes : int32 ndarray (N,)
        Inner nodes on the way, 0 ... V - 2; the root first.
    labels : float32 ndarray (N,)
        1 where the way goes left, 0 where it goes right.
    """

    starts: np.ndarray
    nodes: np.ndarray
    labels: np.ndarray


def huffman_tree(counts: np.ndarray) -> Tree:
    """The tree with the fewest nodes on the way to an average occurrence.

    Parameters
    ----------
    counts : int ndarray (V,)
        In any order; V of at least 1.  A single word has no way: it is certain.
    """
    words = len(counts)
    leaves = deque((int(counts[w]), w) for w in np.argsort(counts, kind="stable").tolist())
    inner: deque[tuple[int, int]] = deque()
    parent, label = [0] * (2 * words), [0] * (2 * words)

    def smallest() -> tuple[int, int]:
        return leaves.popleft() if leaves and (not inner or leaves[0][0] <= inner[0][0]) else inner.popleft()

    for node in range(words, 2 * words - 1):
        (first, left), (second, right) = smallest(), smallest()
        parent[left], label[left] = node, 1
        parent[right], label[right] = node, 0
        inner.append((first + second, node))
    starts, nodes, labels = [0], list[int](), list[int]()
    for w in range(words):
        way, at = list[tuple[int, int]](), w
        while at < 2 * words - 2:       # the last node is the root
            way.append((parent[at] - words, label[at]))
            at = parent[at]
        nodes += [node for node, _ in reversed(way)]
        labels += [bit for _, bit in reversed(way)]
        starts.append(len(nodes))
    return Tree(np.array(starts, np.int64), np.array(nodes, np.int32), np.array(labels, np.float32))
