"""Activations as modules, for nn.Sequential."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from ..autograd import Tensor, ops
from .checks import as_tensor
from .module import Module


class _Activation(Module):
    """A function of the input, with its keyword arguments."""

    function: ClassVar[Callable[..., Any]]

    def __init__(self, **arguments: Any) -> None:
        super().__init__()
        self.arguments = arguments

    def forward(self, x: Any) -> Tensor:
        """x of any shape -> the same shape."""
        y: Tensor = type(self).function(as_tensor(x), **self.arguments)
        return y

    def extra_repr(self) -> str:
        """The arguments."""
        return ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())


class Tanh(_Activation):
    """tanh(x)."""

    function = ops.tanh


class Sigmoid(_Activation):
    """1 / (1 + e^-x)."""

    function = ops.sigmoid


class ReLU(_Activation):
    """max(x, 0)."""

    function = ops.relu


class SiLU(_Activation):
    """x sigmoid(x)."""

    function = ops.silu


class LeakyReLU(_Activation):
    """x where x > 0, else negative_slope * x."""

    function = ops.leaky_relu

    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__(negative_slope=negative_slope)


class ELU(_Activation):
    """x where x > 0, else alpha (e^x - 1)."""

    function = ops.elu

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__(alpha=alpha)


class GELU(_Activation):
    """x Phi(x), Phi the normal distribution; approximate="tanh" for the usual approximation."""

    function = staticmethod(ops.gelu)

    def __init__(self, approximate: str = "none") -> None:
        super().__init__(approximate=approximate)


class Softplus(_Activation):
    """log(1 + e^(beta x)) / beta."""

    function = staticmethod(ops.softplus)

    def __init__(self, beta: float = 1.0) -> None:
        super().__init__(beta=beta)


class Softmax(_Activation):
    """e^x / sum(e^x) along an axis."""

    function = ops.softmax

    def __init__(self, axis: int = -1) -> None:
        super().__init__(axis=axis)


class LogSoftmax(_Activation):
    """log(softmax(x)) along an axis."""

    function = ops.log_softmax

    def __init__(self, axis: int = -1) -> None:
        super().__init__(axis=axis)
