"""The tree of a beam search as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .rows import ROOT, Trace


def heights(trace: Trace) -> np.ndarray:
    """Where each node stands: leaves on a line each, the likelier child above, a parent in the middle of its children.

    Parameters
    ----------
    trace : Trace

    Returns
    -------
    (n + 1,) float64, downwards; the last is the root's
    """
    children: list[list[int]] = [[] for _ in range(len(trace.parents) + 1)]
    for node, parent in enumerate(trace.parents.tolist()):
        children[parent].append(node)       # the root, -1, is the last entry
    place = np.zeros(len(children))
    count, waiting = 0, [(ROOT, False)]
    while waiting:
        node, done = waiting.pop()
        if done:
            place[node] = np.mean([place[child] for child in children[node]])
        elif children[node]:
            waiting.append((node, True))
            best_first = sorted(children[node], key=lambda child: -trace.scores[child])
            waiting += [(child, False) for child in reversed(best_first)]
        else:
            place[node] = count
            count += 1
    return place


def plot_beam(trace: Trace, words: Sequence[str] | None = None, ax: Any = None) -> Any:
    """Draw what a beam search kept: a column a step, sentences that are over in boxes, the best one's way in bold.

    Parameters
    ----------
    trace : Trace
        Of one sentence, from `beam_search(..., trace=True)`.
    words : sequence of str, optional
        The vocabulary; else ids are written.
    ax : matplotlib axes, optional

    Returns
    -------
    matplotlib axes
    """
    from matplotlib import pyplot as plt

    place = heights(trace)
    if ax is None:
        columns = int(trace.lengths.max(initial=0)) + 1
        _, ax = plt.subplots(figsize=(1.5 + 1.3 * columns, 1 + 0.35 * max(3.0, place.max() + 1)), layout="constrained")
    best, over = set[int](), np.flatnonzero(trace.ended)
    if len(over):
        node = int(over[np.argmax(trace.scores[over])])
        while node != ROOT:
            best.add(node)
            node = int(trace.parents[node])
    xs = np.append(trace.lengths, 0)
    for node, parent in enumerate(trace.parents.tolist()):
        bold = node in best
        ax.plot(xs[[parent, node]], place[[parent, node]], color="C0" if bold else "0.75", zorder=1,
                linewidth=0.5 + 3 * float(np.exp(trace.log_probs[node])) + bold)
        token = int(trace.tokens[node])
        text = f"{token if words is None else words[token]} {trace.scores[node]:.2f}"
        ended = bool(trace.ended[node])
        ax.text(xs[node], place[node], text, ha="center", va="center", fontsize=8, zorder=2,
                fontweight="bold" if bold else "normal",
                bbox={"boxstyle": "round" if ended else "square", "facecolor": "white", "pad": 0.2,
                      "edgecolor": "C0" if ended else "white"})
    ax.plot(0, place[ROOT], "o", color="0.3")
    ax.set(xlabel="tokens", yticks=[], xlim=(-0.3, xs.max() + 0.6))
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.invert_yaxis()
    for side in ("left", "right", "top"):
        ax.spines[side].set_visible(False)
    return ax
