"""word2vec as one would explain it: window after window, loss on Tensors, backward, one step of gradient descent.

It meets the same pairs, in the same order, with the same noise and learning rates as the compiled kernel on one thread,
so the two must agree; and it is what runs where nothing is compiled (NUMBA_DISABLE_JIT=1), at toy size.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np

from ..autograd import tensor
from .objectives import bag, logistic_loss, softmax_loss
from .plan import Plan

MASK, LOW = 2**64 - 1, 2**32 - 1


def draw(key: int, position: int) -> int:
    """64 random bits at a position of a stream (SplitMix64); they may be the key of another stream."""
    x = (key + position * 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ x >> 30) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ x >> 27) * 0x94D049BB133111EB) & MASK
    return x ^ x >> 31


def below(bits: int, n: int) -> int:
    """A whole number from 0 to n - 1, of the upper 32 bits."""
    return (bits >> 32) * n >> 32


def pick(bits: int, alias: np.ndarray) -> int:
    """A number drawn from an alias table."""
    k = below(bits, len(alias))
    return k if bits & LOW <= alias[k, 0] else int(alias[k, 1])


def windows(plan: Plan, key: int, begin: int, end: int) -> Iterator[tuple[int, int, int, list[int]]]:
    """(position, random bits, centre word, context words) of each window around ids[begin:end] that has contexts."""
    ids = plan.ids
    bits = functools.cache(functools.partial(draw, key))

    def kept(q: int) -> bool:
        return bits(q) & LOW <= int(plan.keep[ids[q]])

    for p in range(begin, end):
        if ids[p] < 0 or not kept(p):
            continue
        reach = 1 + below(draw(bits(p), 0), plan.window) if plan.dynamic else plan.window
        context = list[int]()
        for side in (-1, 1):
            q, found = p + side, 0
            while 0 <= q < len(ids) and ids[q] >= 0 and found < reach:
                if kept(q):     # subsampling brings words closer together
                    context.append(int(ids[q]))
                    found += 1
                q += side
        if context:
            yield p, bits(p), int(ids[p]), context


def outputs(plan: Plan, bits: int, centre: int, groups: int) -> Iterator[tuple[list[int], np.ndarray]]:
    """Rows of outputs and their labels, as many times as noise is drawn for a window."""
    drawn = 0
    for _ in range(groups):
        if plan.objective == "softmax":
            yield list(range(len(plan.outer))), (np.arange(len(plan.outer)) == centre).astype(np.float32)
        elif plan.tree:
            way = slice(plan.tree.starts[centre], plan.tree.starts[centre + 1])
            yield plan.tree.nodes[way].tolist(), plan.tree.labels[way]
        else:
            noise = [pick(draw(bits, drawn + k + 1), plan.noise) for k in range(plan.negative)]
            drawn += plan.negative
            rows = [centre, *(word for word in noise if word != centre)]
            yield rows, np.array([1] + [0] * (len(rows) - 1), np.float32)


@np.errstate(over="ignore", invalid="ignore")       # of steps that are too large: it is said after the pass
def train(plan: Plan, epoch: int, begin: int, end: int, totals: np.ndarray) -> None:
    """Train on the windows around ids[begin:end]; add their loss in nats, and the number of pairs, to `totals`."""
    objective = softmax_loss if plan.objective == "softmax" else logistic_loss
    start, slope = plan.rate(epoch)
    for p, bits, centre, context in windows(plan, plan.key(epoch), begin, end):
        alpha = np.float32(start + slope * p)
        exact = plan.objective == "negative" and not plan.shared and not plan.bag
        groups = [[word] for word in context] if exact else [context]
        for words, (rows, labels) in zip(groups, outputs(plan, bits, centre, len(groups))):
            x = tensor(plan.inner[words], requires_grad=True)
            o = tensor(plan.outer[rows], requires_grad=True)
            h = bag(x, plan.mean) if plan.bag else x
            h.retain_grad()
            loss = objective(h, o, labels)
            loss.backward()
            totals += loss.item(), 1 if plan.bag else len(words)
            # As word2vec, CBOW moves every context word by the whole gradient of h, not by its share of it.
            assert h.grad is not None
            assert o.grad is not None
            np.add.at(plan.inner, words, -alpha * np.broadcast_to(h.grad.data, x.shape))
            np.add.at(plan.outer, rows, -alpha * o.grad.data)
