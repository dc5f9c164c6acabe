"""The affine map y = x W^T + b."""

from __future__ import annotations

from functools import partial
from typing import Any

from ..autograd import Tensor
from ..autograd.ops import linear as affine
from ..random import Rng
from . import init
from .checks import features, positive
from .module import Module


class Linear(Module):
    """y = x W^T + b.

    Parameters
    ----------
    in_features, out_features : int
    bias : bool
    rng : numpy.random.Generator, int or None
        Weight and bias start uniform in +-1/sqrt(in_features), as PyTorch's.

    Attributes
    ----------
    weight : Parameter (out_features, in_features)
    bias : Parameter (out_features,), or None
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True, *, rng: Rng = None) -> None:
        super().__init__()
        positive("Linear", in_features=in_features, out_features=out_features)
        self.in_features, self.out_features = in_features, out_features
        bound = in_features ** -0.5
        start = partial(init.uniform_, a=-bound, b=bound)
        self.declare("weight", (out_features, in_features), start)
        if bias:
            self.declare("bias", (out_features,), start)
        else:
            self.bias = None
        self.initialise(rng)

    weight: Tensor
    bias: Tensor | None

    def forward(self, x: Any) -> Tensor:
        """x (..., in_features) -> (..., out_features)."""
        x = features("Linear", x, self.weight, self.in_features, "in_features")
        y: Tensor = affine(x, self.weight, self.bias)
        return y

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.in_features}, {self.out_features}" + ("" if self.bias is not None else ", bias=False")
