"""The gradient of a tensor that was read in pieces.

A vector of all parameters of which each layer takes its slice, a sequence that is read a step at a time: the gradient
of each piece is zero nearly everywhere.  To fill those zeros and to add them up would take the square of the number of
pieces; so they wait for one another, and are written once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any


class Pieces(list[tuple[Any, Any]]):
    """Pairs (index, gradient of what stands there) of a tensor; elsewhere, the gradient is zero.

    Parameters
    ----------
    pairs : (basic index, array or Tensor)
    shape, dtype : of the tensor
    assembled : callable
        assembled(*gradients, shape, indices) -> the sum as an array or a Tensor.
    """

    def __init__(self, pairs: Iterable[tuple[Any, Any]], shape: tuple[int, ...], dtype: Any,
                 assembled: Callable[..., Any]) -> None:
        super().__init__(pairs)
        self.shape, self.dtype, self._assembled = shape, dtype, assembled
        self._held = sum(math.prod(g.shape) for _, g in self)

    def whole(self) -> Any:
        """The gradient with all its zeros, in memory of its own."""
        indices, gradients = zip(*self)
        return self._assembled(*gradients, shape=self.shape, indices=indices)

    def __iadd__(self, other: Any) -> Any:      # type: ignore[misc]
        if type(other) is not Pieces:
            return self.whole() + other
        self.extend(other)
        self._held += other._held
        size = math.prod(self.shape)
        if self._held > 2 * size + 64:      # pieces that overlap: no more than twice the tensor waits
            self[:] = [(..., self.whole())]
            self._held = size
        return self
