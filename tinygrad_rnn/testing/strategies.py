"""Hypothesis strategies for shapes, shapes that broadcast, and arrays.  This is the only file that needs Hypothesis."""

from __future__ import annotations

from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from ..autograd.primitive import Domain

Shape = tuple[int, ...]


def shapes(min_dims: int = 0, max_dims: int = 3, min_side: int = 0, max_side: int = 4) -> SearchStrategy[Shape]:
    """Shapes, also those of numbers and of nothing."""
    return hnp.array_shapes(min_dims=min_dims, max_dims=max_dims, min_side=min_side, max_side=max_side)


def broadcastable(n: int, max_dims: int = 3, min_side: int = 0, max_side: int = 4) -> SearchStrategy[tuple[Shape, ...]]:
    """n shapes that broadcast with each other."""
    if n < 1:
        raise ValueError(f"broadcastable: n must be at least 1, got {n}")
    groups = hnp.mutually_broadcastable_shapes(num_shapes=n, max_dims=max_dims, min_side=min_side, max_side=max_side)
    return groups.map(lambda group: tuple(group.input_shapes))


def arrays(domain: Domain | None = None, shape: Shape | SearchStrategy[Shape] | None = None,
           dtype: Any = None) -> SearchStrategy[np.ndarray]:
    """Arrays of values in a domain, by default all finite numbers from -3 to 3.

    Parameters
    ----------
    domain : Domain
        `testing.reals(low, high, kinks)` makes one.
    shape : tuple, strategy or None
        None: any of `shapes()`.
    dtype : numpy dtype, optional
        By default the domain's: float64, int64 or bool.
    """
    domain = Domain() if domain is None else domain
    wanted = np.dtype(domain.dtype if dtype is None else dtype)
    return hnp.arrays(wanted, shapes() if shape is None else shape, elements=_elements(domain, wanted))


def _elements(domain: Domain, dtype: np.dtype[Any]) -> SearchStrategy[Any]:
    if dtype.kind == "b":
        return st.booleans()
    if dtype.kind in "iu":
        return st.integers(int(np.ceil(domain.low)), int(np.floor(domain.high)))
    low, high = (float(dtype.type(bound)) for bound in (domain.low, domain.high))
    # Rounding must not lead out of the domain.
    low = float(np.nextafter(dtype.type(low), dtype.type(np.inf))) if low < domain.low else low
    high = float(np.nextafter(dtype.type(high), dtype.type(-np.inf))) if high > domain.high else high
    numbers = st.floats(low, high, width=64 if dtype.itemsize == 8 else 32, allow_nan=False, allow_subnormal=False)
    return numbers.filter(lambda x: all(abs(x - kink) >= domain.gap for kink in domain.kinks))
