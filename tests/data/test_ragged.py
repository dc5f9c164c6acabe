"""Ragged sequences: padding, its inverse, and batches."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_rnn import data, tensor


@given(st.lists(st.integers(0, 5), min_size=1, max_size=6), st.sampled_from([(), (1,), (2, 3)]),
       st.sampled_from(["float32", "float64", "int64", "bool"]), st.integers(0, 99))
def test_unpad_inverts_pad(lengths, shape, dtype, seed) -> None:
    rng = np.random.default_rng(seed)
    sequences = [(3 * rng.normal(size=(n, *shape))).astype(dtype) for n in lengths]
    x, found = data.pad(sequences)
    assert x.shape == (max(lengths), len(lengths), *shape) and x.dtype == dtype
    assert found.dtype == np.int64 and found.tolist() == lengths
    for b, n in enumerate(lengths):
        assert not x[n:, b].any()
    for a, b in zip(data.unpad(x, found), sequences, strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.shares_memory(a, x)


def test_lists_and_other_fillings() -> None:
    x, lengths = data.pad([[1, 2, 3], [4]], value=-1)
    assert x.tolist() == [[1, 4], [2, -1], [3, -1]] and x.dtype == np.int64 and lengths.tolist() == [3, 1]
    assert data.pad([[0.5], [1.5, 2.5]])[0].dtype == np.float32
    assert np.isnan(data.pad([[0.5], [1.5, 2.5]], np.nan)[0][1, 0])
    assert data.pad([tensor([1.0, 2.0])])[0].tolist() == [[1.0], [2.0]]


@pytest.mark.parametrize(("call", "error", "match"), [
    (lambda: data.pad([]), ValueError, "pad: there are no sequences"),
    (lambda: data.pad([[1], 2]), ValueError, "sequence 1 is a number"),
    (lambda: data.pad([np.zeros((2, 3)), np.zeros((2, 4))]), ValueError, r"sequence 1 has shape \(2, 4\), the first"),
    (lambda: data.pad([[1], [1.5]]), TypeError, "sequence 1 is float32, the first int64"),
    (lambda: data.unpad(np.zeros((3, 2)), [1]), ValueError, r"shapes \(3, 2\) and \(1,\)"),
    (lambda: data.unpad(np.zeros((3, 2)), [1, 4]), ValueError, "length of row 1 is 4, .* the 3 steps"),
    (lambda: data.unpad(np.zeros((3, 2)), [1.0, 2.0]), TypeError, "lengths must be integers"),
    (lambda: data.batches([[1]], [1, 2]), ValueError, "1 sequences and 2 targets"),
    (lambda: data.batches([[1, 2], [1]], [[1, 2], [1, 2]], per_step=True), ValueError, "1 has 1 steps and 2 targets"),
    (lambda: data.batches([[1, 2], [1]], [[1, 2], [1]]), ValueError, r"target 1 has shape \(1,\), .*per_step=True"),
    (lambda: data.batches([[1]], batch_size=0), ValueError, "batch_size must be at least 1"),
    (lambda: data.batches([]), ValueError, "there are no sequences"),
])
def test_errors(call, error, match) -> None:
    with pytest.raises(error, match=match):
        call()


def corpus(n, rng):
    """Sequences whose every number says which sequence and step it is."""
    lengths = rng.integers(1, 20, n)
    return [1000 * k + np.arange(t) for k, t in enumerate(lengths)]


@pytest.mark.parametrize("per_step", [False, True])
@pytest.mark.parametrize(("shuffle", "pool", "drop_last"), [(True, 4, False), (True, 1, True), (False, 4, False)])
def test_every_sequence_once_a_pass_beside_its_target(per_step, shuffle, pool, drop_last, rng) -> None:
    sequences = corpus(50, rng)
    targets = [s + 5 for s in sequences] if per_step else [int(s[0]) + 5 for s in sequences]
    found = data.batches(sequences, targets, 8, per_step=per_step, shuffle=shuffle, pool=pool, drop_last=drop_last,
                         rng=1)
    seen = []
    for x, lengths, y in found:
        for b, n in enumerate(lengths):
            k = int(x[0, b]) // 1000
            np.testing.assert_array_equal(x[:n, b], sequences[k])
            np.testing.assert_array_equal(y[:n, b] if per_step else y[b], targets[k])
            seen.append(k)
    assert len(list(found)) == len(found) == 6 + (not drop_last)
    assert len(set(seen)) == len(seen) == (48 if drop_last else 50)
    assert (seen == sorted(seen)) != shuffle


def test_pools_save_padding_and_orders_differ(rng) -> None:
    sequences = corpus(200, rng)

    def waste(pool) -> float:
        return sum(x.size - lengths.sum() for x, lengths, _ in data.batches(sequences, batch_size=10, pool=pool, rng=1))

    assert waste(10) < waste(1) / 3
    a, b, c = (data.batches(sequences, batch_size=10, rng=seed) for seed in (1, 1, 2))
    first = [batch.x[0].tolist() for batch in a]
    assert first == [batch.x[0].tolist() for batch in b]
    assert first != [batch.x[0].tolist() for batch in c]
    assert first != [batch.x[0].tolist() for batch in a]        # the next pass
    assert next(iter(a)).y is None
