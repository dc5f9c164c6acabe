"""The objectives against their formulas, spelled out number by number."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn.data import Vocabulary
from tinygrad_rnn.embeddings import huffman, objectives
from tinygrad_rnn.testing import gradcheck


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


@given(st.integers(1, 4), st.integers(1, 5), st.integers(1, 4), st.integers(0, 99))
def test_losses_are_what_the_papers_print(m, n, size, seed) -> None:
    rng = np.random.default_rng(seed)
    x, o, labels = rng.normal(size=(m, size)), rng.normal(size=(n, size)), rng.integers(0, 2, n)
    dots = (x @ o.T).tolist()
    expected = -sum(math.log(sigmoid((1 if labels[k] else -1) * dots[r][k])) for r in range(m) for k in range(n))
    assert objectives.logistic_loss(tg.tensor(x), tg.tensor(o), labels).item() == pytest.approx(expected, rel=1e-10)
    right = int(rng.integers(n))
    expected = -sum(math.log(math.exp(dots[r][right]) / sum(map(math.exp, dots[r])))
                    for r in range(m))
    loss = objectives.softmax_loss(tg.tensor(x), tg.tensor(o), np.arange(n) == right).item()
    assert loss == pytest.approx(expected, rel=1e-10, abs=1e-12)
    assert objectives.bag(tg.tensor(x)).numpy()[0] == pytest.approx(x.mean(0))
    assert objectives.bag(tg.tensor(x), mean=False).numpy()[0] == pytest.approx(x.sum(0))


def test_gradients(rng) -> None:
    x, o = tg.tensor(rng.normal(size=(3, 4))), tg.tensor(rng.normal(size=(5, 4)))
    labels = np.array([1, 0, 0, 1, 0])
    gradcheck(lambda x, o: objectives.logistic_loss(x, o, labels), (x, o))
    gradcheck(lambda x, o: objectives.softmax_loss(objectives.bag(x), o, np.eye(5)[2]), (x, o))


def test_hierarchical_softmax_is_a_distribution_over_all_words(rng) -> None:
    """Its probabilities add up to one without a sum over words: that is what the tree is for."""
    tree = huffman.huffman_tree(rng.integers(1, 50, 9))
    x, nodes = tg.tensor(rng.normal(size=(1, 4))), rng.normal(size=(8, 4))
    ways = [slice(a, b) for a, b in zip(tree.starts, tree.starts[1:])]
    total = sum(math.exp(-objectives.logistic_loss(x, tg.tensor(nodes[tree.nodes[way]]), tree.labels[way]).item())
                for way in ways)
    assert total == pytest.approx(1, abs=1e-6)


def test_a_row_is_the_product_with_a_one_hot_column(rng) -> None:
    """The lecture's e_w = E o_w: E has a column a word, o_w is one where the word stands."""
    vocabulary = Vocabulary({"king": 3, "queen": 2, "man": 1})
    table = rng.normal(size=(3, 4))                 # a row a word
    E, one_hot = table.T, np.eye(3)                 # noqa: N806
    for word in vocabulary.tokens:
        w = vocabulary.encode([word])[0]
        np.testing.assert_array_equal(E @ one_hot[w], tg.take(tg.tensor(table), w, axis=0).numpy())
        np.testing.assert_array_equal(E @ one_hot[w], table[w])
