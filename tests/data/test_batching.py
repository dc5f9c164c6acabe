"""Batches of sentence pairs: every strategy's promise, the budget, the padding, and the position."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_rnn.data import PairBatches
from tinygrad_rnn.data.batching import BUCKET, STRATEGIES
from tinygrad_rnn.files import checkpoint

LENGTHS = st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), min_size=1, max_size=40)
SIZES = st.one_of(st.fixed_dictionaries({"batch_size": st.integers(1, 9)}),
                  st.fixed_dictionaries({"tokens": st.integers(1, 120)}))
SORTED_BY = {
    "source": lambda s, t: s, "target": lambda s, t: t, "source-target": lambda s, t: (s, t),
    "target-source": lambda s, t: (t, s), "bucket": lambda s, t: (max(s, t) - 1) // BUCKET, "shuffle": lambda s, t: 0}


def corpus(lengths: list) -> tuple[list, list]:
    """Sentences of these lengths that tell which they are: pair k reads k + 1, over and over."""
    return tuple([np.full(pair[side], k + 1) for k, pair in enumerate(lengths)] for side in (0, 1))


@given(LENGTHS, SIZES, st.sampled_from(STRATEGIES), st.integers(0, 5))
def test_every_pair_once_padded_to_the_longest(lengths: list, sizes: dict, strategy: str, seed: int) -> None:
    subject = PairBatches(*corpus(lengths), **sizes, strategy=strategy, padding=-1, rng=seed)
    found, cells, real = [], np.zeros(2), np.zeros(2)
    count = len(subject)
    for source, source_lengths, target, target_lengths, pairs in subject:
        found += pairs.tolist()
        for side, (x, own) in enumerate(((source, source_lengths), (target, target_lengths))):
            assert x.shape == (max(own), len(pairs)) and own.tolist() == [lengths[k][side] for k in pairs]
            for b, k in enumerate(pairs):
                assert (x[:own[b], b] == k + 1).all() and (x[own[b]:, b] == -1).all()
            cells[side] += x.size
            real[side] += own.sum()
        count -= 1
    assert sorted(found) == list(range(len(lengths))) and count == 0
    assert (subject.epoch, subject.batch) == (1, 0)
    again = PairBatches(*corpus(lengths), **sizes, strategy=strategy, rng=seed)
    assert again.waste() == pytest.approx((1 - real / cells).tolist())


@given(LENGTHS, SIZES, st.sampled_from(STRATEGIES))
def test_the_strategies(lengths: list, sizes: dict, strategy: str) -> None:
    plan = PairBatches(*corpus(lengths), **sizes, strategy=strategy, rng=1).plan()
    key = SORTED_BY[strategy]
    keys = [[key(*lengths[k]) for k in pairs] for pairs in plan]
    # Batches are cut off a sorted list: each is sorted, and no two overlap by more than what is equal at their ends.
    assert all(a <= b for batch in keys for a, b in pairwise(batch))
    assert all(a[-1] <= b[0] for a, b in pairwise(sorted(keys, key=lambda batch: (batch[0], batch[-1]))))
    if "batch_size" in sizes:
        assert sorted(map(len, plan))[1:] == [sizes["batch_size"]] * (len(plan) - 1)


@given(LENGTHS, st.integers(1, 120), st.sampled_from(STRATEGIES))
def test_the_budget(lengths: list, tokens: int, strategy: str) -> None:
    subject = PairBatches(*corpus(lengths), tokens=tokens, strategy=strategy, rng=1)
    for source, _, target, _, pairs in subject:
        assert len(pairs) * max(len(source), len(target)) <= tokens or len(pairs) == 1


def test_the_budget_is_used() -> None:
    subject = PairBatches(*corpus([(4, 3)] * 100), tokens=42)
    assert sorted(len(pairs) for pairs in subject.plan()) == [10] * 10


def test_batches_and_equal_pairs_are_shuffled_anew_each_pass() -> None:
    lengths = [(k % 5 + 1, 3) for k in range(60)]
    subject = PairBatches(*corpus(lengths), 6, rng=0)
    passes = [[batch.pairs.tolist() for batch in subject] for _ in range(3)]
    assert len({str(order) for order in passes}) == 3
    assert len({str(sorted(map(sorted, order))) for order in passes}) == 3, "other pairs stand together"
    firsts = [lengths[pairs[0]][0] for pairs in passes[0]]
    assert firsts != sorted(firsts), "the batches are in no order of length"
    other = PairBatches(*corpus(lengths), 6, rng=1)
    assert [batch.pairs.tolist() for batch in other] != passes[0]


def test_sorting_wastes_less() -> None:
    rng = np.random.default_rng(0)
    source = rng.integers(1, 50, 2000)
    lengths = list(zip(source.tolist(), np.maximum(1, source + rng.integers(-5, 6, 2000)).tolist()))
    waste = {strategy: sum(PairBatches(*corpus(lengths), 32, strategy=strategy, rng=0).waste())
             for strategy in STRATEGIES}
    assert waste["source-target"] < waste["bucket"] < waste["shuffle"] and waste["shuffle"] > 0.5
    assert PairBatches(*corpus(lengths), 32, strategy="source", rng=0).waste()[0] < 0.05


# ---- the position ---------------------------------------------------------------------------------------------------
@given(LENGTHS, SIZES, st.sampled_from(STRATEGIES), st.integers(0, 30))
def test_resumed_it_gives_the_very_batches(tmp_path_factory: pytest.TempPathFactory, lengths: list, sizes: dict,
                                           strategy: str, cut: int) -> None:
    def endless(subject: PairBatches) -> object:
        while True:
            yield from subject

    whole = PairBatches(*corpus(lengths), **sizes, strategy=strategy, rng=3)
    stream = endless(whole)
    for _ in range(cut):
        next(stream)
    file: Path = tmp_path_factory.getbasetemp() / "position.safetensors"
    checkpoint.save(file, whole.state_dict())
    part = PairBatches(*corpus(lengths), **sizes, strategy=strategy)    # another seed
    part.load_state_dict(checkpoint.load(file))
    for a, b, _ in zip(stream, endless(part), range(8)):
        assert all(np.array_equal(x, y) for x, y in zip(a, b))


def test_positions_of_something_else() -> None:
    subject = PairBatches(*corpus([(3, 2)] * 9), 2, rng=0)
    state, before = subject.state_dict(), subject.plan()
    for change, words in (({"batch_size": 3}, "saved with batch_size=3, here it is 2"), ({"pairs": 8}, "pairs=8"),
                          ({"tokens_of_all": [27, 19]}, "tokens_of_all"), ({"strategy": "bucket"}, "strategy=bucket"),
                          ({"batch": 6}, "no such position: epoch 0, batch 6"), ({"epoch": -1}, "no such position")):
        with pytest.raises(ValueError, match=words):
            subject.load_state_dict(state | change | {"seed": 5})
        assert subject.state_dict() == state and all(map(np.array_equal, subject.plan(), before))


def test_misuse() -> None:
    pairs = corpus([(1, 2), (3, 4)])
    for call, error, words in (
        (lambda: PairBatches(pairs[0], pairs[1][:1]), ValueError, "there are 2 sources and 1 targets"),
        (lambda: PairBatches([], []), ValueError, "there are no sources"),
        (lambda: PairBatches(*pairs, strategy="length"), ValueError, "strategy must be one of shuffle, .*'length'"),
        (lambda: PairBatches(*pairs, 2, tokens=3), ValueError, "give batch_size or tokens, got 2 and 3"),
        (lambda: PairBatches(*pairs, 0), ValueError, "batch_size must be at least 1, got 0"),
        (lambda: PairBatches(*pairs, tokens=0), ValueError, "tokens must be at least 1, got 0"),
        (lambda: PairBatches([3], [4]), ValueError, "source 0 is a number"),
        (lambda: PairBatches(*pairs)[1], IndexError, "batch 1 of 1"),
    ):
        with pytest.raises(error, match=words):
            call()
