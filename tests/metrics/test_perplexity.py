"""Perplexity, longhand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn.metrics import perplexity


def test_a_die_has_perplexity_six() -> None:
    assert perplexity(log_probs=[math.log(1 / 6)] * 4) == pytest.approx(6)
    assert perplexity(4 * math.log(6), 4) == pytest.approx(6)


@given(st.lists(st.floats(1e-6, 1), min_size=1, max_size=20))
def test_is_the_inverse_geometric_mean(probabilities: list[float]) -> None:
    product = math.prod(probabilities)
    expected = product ** (-1 / len(probabilities))
    assert perplexity(log_probs=np.log(probabilities)) == pytest.approx(expected)
    assert perplexity(-math.log(product), len(probabilities)) == pytest.approx(expected)


def test_takes_tensors_of_any_shape() -> None:
    assert perplexity(log_probs=tg.tensor(np.full((2, 3), -1.0, np.float32))) == pytest.approx(math.e)
    assert perplexity(tg.tensor(2.0), tg.tensor(2)) == pytest.approx(math.e)


def test_the_impossible_has_infinite_perplexity() -> None:
    assert perplexity(log_probs=[0.0, -math.inf]) == math.inf
    assert perplexity(1e6, 1) == math.inf
    assert perplexity(0.0, 3) == 1


@pytest.mark.parametrize("given_", [{}, {"nll": 1.0}, {"tokens": 3}, {"nll": 1.0, "tokens": 2, "log_probs": [0.0]},
                                    {"tokens": 2, "log_probs": [0.0]}])
def test_exactly_one_form(given_: dict) -> None:
    with pytest.raises(TypeError, match="nll and tokens, or log_probs"):
        perplexity(**given_)


def test_bad_values() -> None:
    with pytest.raises(ValueError, match="at least 1, got 0"):
        perplexity(1.0, 0)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        perplexity(log_probs=[])
    with pytest.raises(ValueError, match="NaN"):
        perplexity(math.nan, 2)
