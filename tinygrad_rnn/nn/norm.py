"""Layer normalisation."""

from __future__ import annotations

from typing import Any

from ..autograd import Tensor
from ..autograd.ops import mean, sqrt, square
from . import init
from .checks import as_tensor, positive, same_dtype
from .module import Module


class LayerNorm(Module):
    """Shift and scale each sample's features to mean 0 and variance 1, then by a learned gain and bias (Ba 2016).

    y = (x - mean(x)) / sqrt(mean((x - mean(x))^2) + eps) * weight + bias, means over the last axes.

    Parameters
    ----------
    normalized_shape : int or tuple of int
        Sizes of the axes, the last ones of the input, that are normalised together.
    eps : float
    elementwise_affine, bias : bool
        Whether there is a gain, starting at 1, and beside it a bias, starting at 0.
    """

    weight: Tensor | None
    bias: Tensor | None

    def __init__(self, normalized_shape: int | tuple[int, ...], eps: float = 1e-5, elementwise_affine: bool = True,
                 bias: bool = True) -> None:
        super().__init__()
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        positive("LayerNorm", **{f"normalized_shape[{k}]": size for k, size in enumerate(shape)})
        if not shape:
            raise ValueError("LayerNorm: normalized_shape must name at least one axis")
        self.normalized_shape, self.eps = shape, float(eps)
        self.weight = self.bias = None
        if elementwise_affine:
            self.declare("weight", shape, init.ones_)
            if bias:
                self.declare("bias", shape, init.zeros_)
        self.initialise(0)

    def forward(self, x: Any) -> Tensor:
        """x (..., *normalized_shape) -> the same shape."""
        x = as_tensor(x)
        if self.weight is not None:
            x = same_dtype("LayerNorm", "x", x, self.weight)
        return layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The shape and what is missing."""
        missing = [name for name in ("weight", "bias") if getattr(self, name) is None]
        return f"{self.normalized_shape}, eps={self.eps}" + "".join(f", no {name}" for name in missing)


def layer_norm(x: Any, normalized_shape: tuple[int, ...], weight: Any = None, bias: Any = None,
               eps: float = 1e-5) -> Tensor:
    """See `LayerNorm`.  ValueError if the last axes of x are not `normalized_shape`."""
    x, shape = as_tensor(x), tuple(normalized_shape)
    if x.shape[-len(shape):] != shape:
        raise ValueError(f"layer_norm: the last axes of x must be {shape}, got shape {x.shape}")
    axes = tuple(range(-len(shape), 0))
    deviation = x - mean(x, axes, True)
    y: Tensor = deviation / sqrt(mean(square(deviation), axes, True) + eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias
