"""Concrete calls of a primitive, from its declaration: values in its domain, shapes from its kind or its cases."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..autograd.primitive import Domain, Primitive

# Shapes for the operands of an elementwise primitive: equal, broadcast, numbers, one element, nothing.
SHAPES: list[list[tuple[int, ...]]] = [
    [(3, 4)] * 3, [(3, 1), (4,), (2, 1, 1)], [(), (2, 3), (3,)], [()] * 3, [(1,), (1, 1), ()], [(0,), (1,), ()],
    [(2, 0), (2, 1), (0,)]]


@dataclass
class Call:
    """One call of a primitive: arrays, then its other arguments."""

    primitive: Primitive
    arrays: list[np.ndarray]
    arguments: tuple[Any, ...] = ()
    keywords: dict[str, Any] = field(default_factory=dict)

    def __call__(self, *arrays: Any) -> Any:
        """The operation on other arrays or Tensors."""
        return self.primitive(*arrays, *self.arguments, **self.keywords)

    def oracle(self, *arrays: np.ndarray) -> Any:
        """What it should give."""
        if self.primitive.oracle is None:
            raise ValueError(f"{self.primitive.name}: declared without an oracle")
        with np.errstate(all="ignore"):
            return self.primitive.oracle(*arrays, *self.arguments, **self.keywords)

    def __str__(self) -> str:
        shapes = ", ".join(str(a.shape) for a in self.arrays)
        other = [*map(repr, self.arguments), *(f"{k}={v!r}" for k, v in self.keywords.items())]
        return f"{self.primitive.name}({', '.join([shapes, *other])})"


def draw(domain: Domain, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Values in a domain."""
    if domain.dtype == "bool":
        return np.asarray(rng.random(shape) < 0.5)
    if domain.dtype == "int64":
        return np.asarray(rng.integers(int(domain.low), int(domain.high), shape, endpoint=True))
    x = np.asarray(rng.uniform(domain.low, domain.high, shape))
    for kink in domain.kinks:
        x = np.where(np.abs(x - kink) < domain.gap, kink + np.where(x < kink, -1.5, 1.5) * domain.gap, x)
    return np.asarray(x)


def calls(primitive: Primitive, seed: int = 0) -> list[Call]:
    """Concrete calls: broadcasting shapes for an elementwise primitive, its cases for another."""
    rng = np.random.default_rng(seed)
    domain = primitive.domain
    if primitive.kind == "elementwise":
        listed: list[Any] = [(shapes[:len(domain)], (), {}) for shapes in SHAPES]
    else:
        listed = [(c.shapes, c.arguments, dict(c.keywords)) for c in primitive.cases]
    return [Call(primitive, [draw(domain[min(k, len(domain) - 1)], shape, rng) for k, shape in enumerate(shapes)],
                 arguments, keywords) for shapes, arguments, keywords in listed]
