"""PyTorch's names and layouts, without PyTorch: tests/parity loads real state_dicts both ways."""

import numpy as np
import pytest

from tinygrad_rnn import nn
from tinygrad_rnn.interop import torch


def test_states_go_both_ways() -> None:
    a, b = nn.LSTM(3, 4, 2, bidirectional=True, rng=1), nn.LSTM(3, 4, 2, bidirectional=True, rng=2)
    torch.load(b, torch.state_dict(a))
    x = np.ones((2, 1, 3), np.float32)
    np.testing.assert_array_equal(a(x)[0].numpy(), b(x)[0].numpy())
    assert "weight_hh_l1_reverse" in torch.state_dict(a)


def test_a_state_that_does_not_fit() -> None:
    with pytest.raises(ValueError, match="(?s)missing: bias.*unexpected: beta.*weight: shape is"):
        torch.load(nn.Linear(2, 3), {"weight": np.zeros((2, 3)), "beta": np.zeros(3)})
