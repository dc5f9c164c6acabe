"""Dropout: units left out at random while training."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import Tensor
from ..autograd.replay import generator
from ..random import Rng
from .checks import as_tensor, probability
from .module import Module


class Dropout(Module):
    """Set each element to 0 with probability p while training, and divide the others by 1 - p (Hinton 2012).

    After `eval()` everything passes.  The layer owns its random stream; a checkpoint that stores `Module.rng_state()`
    resumes with the masks of a run that was never interrupted.

    Parameters
    ----------
    p : float
        Probability of being left out.
    rng : numpy.random.Generator, int or None
        Where the stream starts.  `Module.initialise` starts it anew.
    """

    def __init__(self, p: float = 0.5, *, rng: Rng = None) -> None:
        super().__init__()
        self.p = probability("Dropout", p)
        self.stream = np.random.default_rng(0)
        self.initialise(rng)        # which seeds the stream

    def forward(self, x: Any) -> Tensor:
        """x of any shape -> the same shape."""
        return dropout(x, self.p, self.training, self.stream)

    def extra_repr(self) -> str:
        """The probability."""
        return f"p={self.p}"


def dropout(x: Any, p: float = 0.5, training: bool = True, rng: Rng = None) -> Tensor:
    """x with each element set to 0 with probability p and the others divided by 1 - p; x itself unless training.

    Raises
    ------
    ValueError
        If p is no probability.
    TypeError
        If x is not floating.
    """
    x = as_tensor(x)
    if x.dtype.kind != "f":
        raise TypeError(f"dropout: x must be floating, got dtype {x.dtype}; use astype(float32)")
    if probability("dropout", p) and training:
        x = x * mask(x.shape, p, x.dtype, rng)
    return as_tensor(x)


def mask(shape: tuple[int, ...], p: float, dtype: np.dtype[Any], rng: Rng) -> np.ndarray:
    """0 with probability p, elsewhere 1 / (1 - p), so that the mean is 1."""
    kept = generator(rng).random(shape, np.float32) >= p
    scaled: np.ndarray = kept * dtype.type(1 / (1 - p) if p < 1 else 0)
    return scaled
