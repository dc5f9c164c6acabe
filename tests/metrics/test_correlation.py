"""Pearson's and Spearman's correlation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_rnn.metrics import pearson, ranks, spearman

NUMBERS = st.lists(st.integers(-5, 5), min_size=2, max_size=12)


def test_by_hand():
    assert pearson([1, 2, 3], [2, 4, 6]) == pytest.approx(1)
    assert pearson([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert pearson([0, 0, 1, 1], [0, 1, 0, 1]) == pytest.approx(0)
    assert ranks([30, 10, 20, 10]).tolist() == [4, 1.5, 3, 1.5]
    assert spearman([1, 2, 3, 4], [1, 10, 100, 1000]) == pytest.approx(1)
    # 1 - 6 sum d^2 / (n (n^2 - 1)), ranks without ties: d = 0, 1, -1, 0
    assert spearman([1, 2, 3, 4], [1, 3, 2, 4]) == pytest.approx(1 - 6 * 2 / 60)


@given(NUMBERS, st.data())
def test_laws(x, data):
    y = data.draw(st.lists(st.integers(-5, 5), min_size=len(x), max_size=len(x)))
    assert ranks(x).sum() == len(x) * (len(x) + 1) / 2
    if len(set(x)) == 1 or len(set(y)) == 1:
        with pytest.raises(ValueError, match="all equal"):
            pearson(x, y)
        return
    for measure in (pearson, spearman):
        r = measure(x, y)
        assert -1 <= r <= 1 and r == pytest.approx(measure(y, x)) == pytest.approx(-measure(x, -np.array(y)))
    assert pearson(x, y) == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert pearson(1e200 * np.array(x), 1e-200 * np.array(y) + 1e-190) == pytest.approx(
        pearson(x, 1e-200 * np.array(y) + 1e-190))
    # Only the order counts.
    assert spearman(np.exp(x), y) == pytest.approx(spearman(x, y))


@pytest.mark.parametrize("x, y, message", [
    ([1], [2], "2 or more"), ([1, 2], [1, 2, 3], "same length"), ([1, np.nan], [1, 2], "x has a number that is not"),
    ([1, 2], [3, 3], "y are all equal"),
])
def test_what_has_none(x, y, message):
    with pytest.raises(ValueError, match=message):
        pearson(x, y)
