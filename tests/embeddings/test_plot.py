"""A map of words whose labels do not cover one another."""

import numpy as np
import pytest

plt = pytest.importorskip("matplotlib.pyplot")

from tinygrad_rnn.embeddings import plot_words  # noqa: E402


def boxes(ax):
    renderer = ax.figure.canvas.get_renderer()
    return [text.get_window_extent(renderer).extents for text in ax.texts]


def overlaps(a, b):
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def test_labels_do_not_collide(rng):
    words = [f"word{k}" for k in range(150)]
    ax = plot_words(words, rng.standard_normal((150, 2)))
    ax.figure.canvas.draw()
    found = boxes(ax)
    assert not any(overlaps(a, b) for k, a in enumerate(found) for b in found[:k])
    shown = [text.get_text() for text in ax.texts]
    assert 60 < len(shown) < 150 and shown[0] == "word0"        # the first have precedence
    assert len(ax.collections[0].get_offsets()) == 150          # every point is there
    plt.close(ax.figure)


def test_few_words_all_have_labels():
    figure, ax = plt.subplots()
    same = plot_words(["a$b", "$x$", "c"], [[0, 0], [1, 1], [0, 1]], ax=ax)
    assert same is ax and [text.get_text() for text in ax.texts] == [r"a\$b", r"\$x\$", "c"]
    figure.canvas.draw()
    plt.close(figure)
    at_one_place = plot_words([str(k) for k in range(40)], np.zeros((40, 2)))
    assert 4 <= len(at_one_place.texts) < 40
    plt.close("all")


def test_what_it_refuses():
    with pytest.raises(ValueError, match=r"shape \(2, 2\)"):
        plot_words(["a", "b"], [[0, 0]])
    with pytest.raises(ValueError, match="point of 'b' is not finite"):
        plot_words(["a", "b"], [[0, 0], [0, np.nan]])
