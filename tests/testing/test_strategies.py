"""Hypothesis strategies: what they draw lies where they say, and they draw the rare things."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import find, given

from tinygrad_rnn.autograd.primitive import Domain, reals
from tinygrad_rnn.testing import strategies


@given(strategies.shapes())
def test_shapes(shape: tuple[int, ...]) -> None:
    assert len(shape) <= 3
    assert all(0 <= n <= 4 for n in shape)


@given(strategies.broadcastable(3))
def test_broadcastable(shapes: tuple[tuple[int, ...], ...]) -> None:
    assert len(shapes) == 3
    np.broadcast_shapes(*shapes)


def test_rare_shapes_are_drawn() -> None:
    assert find(strategies.shapes(), lambda s: s == ()) == ()
    assert 0 in find(strategies.shapes(), lambda s: 0 in s)
    assert find(strategies.broadcastable(2), lambda s: s[0] != s[1] and 0 not in s[0] + s[1])
    assert find(strategies.broadcastable(2), lambda s: 0 in s[0])
    with pytest.raises(ValueError, match="broadcastable: n must be at least 1, got 0"):
        strategies.broadcastable(0)


@pytest.mark.parametrize("dtype", [None, np.float32])
def test_arrays_stay_in_their_domain(dtype: Any) -> None:
    domain = reals(-0.1, 2.3, kinks=(0, 1))

    @given(strategies.arrays(domain, dtype=dtype))
    def holds(x: np.ndarray) -> None:
        assert x.dtype == (dtype or np.float64)
        assert x.ndim <= 3
        if x.size:
            assert -0.1 <= x.min()
            assert x.max() <= 2.3
            assert np.abs(x).min() >= 0.05
            assert np.abs(x - 1).min() >= 0.05

    holds()


@given(
    strategies.arrays(Domain(-2, 5, dtype="int64"), (3,)),
    strategies.arrays(Domain(dtype="bool"), strategies.shapes(1, 1)),
    strategies.arrays(),
)
def test_other_dtypes_and_shapes(i: np.ndarray, b: np.ndarray, x: np.ndarray) -> None:
    assert i.dtype == np.int64
    assert i.shape == (3,)
    assert -2 <= i.min() <= i.max() <= 5
    assert b.dtype == np.bool_
    assert b.ndim == 1
    assert x.dtype == np.float64
    assert np.isfinite(x).all()


def test_hypothesis_is_needed_for_strategies_alone() -> None:
    code = (
        "import sys; import tinygrad_rnn.testing as t; assert 'hypothesis' not in sys.modules; t.strategies; "
        "assert 'hypothesis' in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)
