"""Subsampling and noise against their formulas, Huffman's tree against his theorem."""

import heapq

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_rnn.embeddings import huffman, readable, sampling

COUNTS = np.array([1000, 400, 50, 3, 1])


def test_keep_probability_is_that_of_the_program_not_of_the_paper() -> None:
    f = COUNTS / COUNTS.sum()
    expected = [min(1.0, (0.01 / x) ** 0.5 + 0.01 / x) for x in f]
    np.testing.assert_allclose(sampling.keep_probability(COUNTS, 0.01), expected, rtol=1e-12)
    assert (sampling.keep_probability(COUNTS, 0) == 1).all()


def test_thresholds_keep_as_often_as_they_should() -> None:
    p = np.array([1.0, 0.5, 1e-9])
    limits = sampling.thresholds(p)
    np.testing.assert_allclose((limits.astype(float) + 1) / 2**32, p, atol=2**-32)
    assert limits.dtype == np.uint32 and limits[0] == 2**32 - 1


def test_noise_is_counts_to_a_power() -> None:
    expected = [c**0.75 / sum(k**0.75 for k in COUNTS.tolist()) for c in COUNTS.tolist()]
    np.testing.assert_allclose(sampling.noise_probability(COUNTS, 0.75), expected, rtol=1e-12)


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=40))
def test_an_alias_table_has_the_distribution_that_it_was_made_of(weights) -> None:
    p = np.array(weights) / np.sum(weights)
    table = sampling.alias_table(p)
    own = (table[:, 0].astype(float) + 1) / 2**32 / len(p)
    got = own.copy()
    np.add.at(got, table[:, 1], 1 / len(p) - own)
    np.testing.assert_allclose(got, p, atol=1e-8)


@given(st.integers(1, 9), st.floats(-0.5, 1.0), st.sampled_from([1, 30, 129, 700]), st.integers(0, 99))
def test_dealt_noise_has_the_distribution_and_belongs_to_one_shard(shards, exponent, words, seed) -> None:
    counts = np.sort(np.random.default_rng(seed).zipf(1.5, words).clip(max=10**6))[::-1]
    p = sampling.noise_probability(counts, exponent)
    tables, lengths, common = sampling.deal(p, shards)
    got = np.zeros((shards, words))
    for s in range(shards):
        n = lengths[s]
        own = np.array([k if k < common else common + s + shards * (k - common) for k in range(n)])
        kept = (tables[s, :n, 0].astype(float) + 1) / 2**32 / n
        np.add.at(got[s], own, kept)
        np.add.at(got[s], tables[s, :n, 1], 1 / n - kept)
    np.testing.assert_allclose(got.mean(0), p, rtol=sampling.UNEVEN * shards, atol=1e-8)
    np.testing.assert_allclose(got.sum(1), 1)
    assert common == words or (((got > 1e-9).sum(0) == 1)[common:]).all()
    assert common == words or shards > 1 and common == sampling.COMMON


def test_many_words_are_dealt_out() -> None:
    assert sampling.deal(sampling.noise_probability(1000 / np.arange(1, 3000), 0.75), 4)[2] == sampling.COMMON


def chi_square(observed: np.ndarray, expected: np.ndarray) -> float:
    """In standard deviations above its mean."""
    free = len(observed) - 1
    return (((observed - expected) ** 2 / expected).sum() - free) / (2 * free) ** 0.5


def test_drawn_noise_has_the_distribution() -> None:
    n, p = 20_000, sampling.noise_probability(COUNTS, 0.75)
    table = sampling.alias_table(p)
    drawn = np.bincount([readable.pick(readable.draw(7, k), table) for k in range(n)], minlength=len(p))
    assert chi_square(drawn, n * p) < 4
    wrong = np.roll(p, 1)
    assert chi_square(drawn, n * wrong) > 100       # the test can fail


def test_streams_are_uniform_and_do_not_overlap() -> None:
    bits = np.array([readable.draw(5, k) for k in range(4096)], np.uint64)
    for shift in (0, 16, 32, 56):
        cells = np.bincount((bits >> np.uint64(shift) & np.uint64(63)).astype(int), minlength=64)
        assert abs(chi_square(cells, np.full(64, 64.0))) < 4
    assert len(set(bits.tolist()) & {readable.draw(6, k) for k in range(4096)}) == 0
    assert np.bincount([readable.below(int(b), 5) for b in bits]).tolist() == pytest.approx([4096 / 5] * 5, rel=0.1)


# ---- the tree -------------------------------------------------------------------------------------------------------
def least_cost(counts: list[int]) -> int:
    """Of any tree: the sum of all inner nodes' counts, by a heap."""
    heap, cost = list(counts), 0
    heapq.heapify(heap)
    while len(heap) > 1:
        both = heapq.heappop(heap) + heapq.heappop(heap)
        cost += both
        heapq.heappush(heap, both)
    return cost


@given(st.lists(st.integers(1, 100), min_size=1, max_size=40))
def test_no_tree_is_shorter_and_no_way_is_the_beginning_of_another(counts) -> None:
    tree = huffman.huffman_tree(np.array(counts))
    lengths = np.diff(tree.starts)
    assert lengths @ counts == least_cost(counts)
    ways = [tuple(zip(tree.nodes[a:b].tolist(), tree.labels[a:b].tolist()))
            for a, b in zip(tree.starts, tree.starts[1:])]
    assert len(set(ways)) == len(counts)
    for a in ways:
        for b in ways:
            assert a == b or a != b[:len(a)]
    if len(counts) > 1:
        assert {way[0][0] for way in ways} == {len(counts) - 2}     # all begin at the root
        assert sum(2.0 ** -len(way) for way in ways) == 1            # Kraft: the probabilities of all words add up


def test_labels_and_nodes_fit_together() -> None:
    """Two words on different sides of a node have different labels there."""
    tree = huffman.huffman_tree(np.array([5, 2, 1, 1]))
    assert np.diff(tree.starts).tolist() == [1, 2, 3, 3]
    assert tree.labels[tree.starts[2]:tree.starts[3]].tolist()[:2] == tree.labels[tree.starts[3]:].tolist()[:2]
    assert tree.labels[tree.starts[3] - 1] != tree.labels[-1]
