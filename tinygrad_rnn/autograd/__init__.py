"""The tape: primitives, tensors, the backward pass, and the operations."""

from .backward import grad
from .mode import detect_anomaly, enable_grad, no_grad
from .tensor import Tensor, tensor

__all__ = ["Tensor", "detect_anomaly", "enable_grad", "grad", "no_grad", "tensor"]
