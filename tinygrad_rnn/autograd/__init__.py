"""The tape: primitives, tensors, the backward pass, and the operations."""

from . import methods as _methods  # noqa: F401  (attaches the operators)
from .backward import grad
from .mode import detect_anomaly, enable_grad, no_grad
from .tensor import Tensor, tensor

__all__ = ["Tensor", "tensor", "grad", "no_grad", "enable_grad", "detect_anomaly"]
