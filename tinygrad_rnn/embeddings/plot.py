"""A map of words: points with labels that do not cover one another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

# Where a label may stand, seen from its point: alignment, and distance in points of type.
PLACES = (("left", "center", 4, 0), ("right", "center", -4, 0), ("center", "bottom", 0, 4), ("center", "top", 0, -4),
          ("left", "bottom", 3, 3), ("right", "bottom", -3, 3), ("left", "top", 3, -3), ("right", "top", -3, -3))


def plot_words(words: Sequence[str], points: Any, *, ax: Any = None, colors: Any = None, fontsize: float = 8.0,
               size: float = 6.0) -> Any:
    """Draw words at their places, the first ones first; a word without room for its label is a point alone.

    Parameters
    ----------
    words : sequence of str, length n
        The most important first.
    points : array_like (n, 2)
    ax : matplotlib Axes, optional
        None: a new figure of 9 by 9 inches.
    colors : sequence of n colours, or one, optional
    fontsize, size : float
        Of the labels, and of the points, in points of type.

    Returns
    -------
    matplotlib Axes
        Its `texts` are the labels; at this size of the figure no two of them overlap.

    Raises
    ------
    ImportError
        Without matplotlib, saying how to install it.
    ValueError
        For lengths that do not fit, and points that are not finite.
    """
    places = np.asarray(points, np.float64)
    words = list(words)
    if places.shape != (len(words), 2) or not words:
        raise ValueError(f"plot_words: expected points of shape ({len(words)}, 2), one for each word, got "
                         f"{places.shape}")
    if not np.isfinite(places).all():
        raise ValueError(f"plot_words: the point of {words[np.flatnonzero(~np.isfinite(places).all(1))[0]]!r} is not "
                         "finite")
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise ImportError("plot_words needs matplotlib: pip install 'tinygrad-rnn[plot]'") from None
    if ax is None:
        _, ax = plt.subplots(figsize=(9, 9), layout="constrained")
    ax.scatter(places[:, 0], places[:, 1], s=size, c=colors, linewidths=0)
    ax.set(xticks=[], yticks=[])
    ax.margins(0.08)
    ax.figure.draw_without_rendering()      # the layout decides where a place is on the paper
    renderer = ax.figure.canvas.get_renderer()
    taken = np.empty((0, 4))
    for word, place in zip(words, places):
        # A dollar sign would begin a formula.
        label = ax.annotate(word.replace("$", r"\$"), place, (0, 0), textcoords="offset points", fontsize=fontsize)
        for across, along, right, up in PLACES:
            label.set(ha=across, va=along, position=(right, up))
            box = label.get_window_extent(renderer).extents
            below, above = box[2:] <= taken[:, :2], taken[:, 2:] <= box[:2]
            if (below | above).any(1).all():
                taken = np.vstack([taken, box])
                break
        else:
            label.remove()
    return ax
