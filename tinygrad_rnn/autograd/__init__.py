"""The tape: primitives, tensors, the backward pass, and the operations."""

from .backward import grad
from .mode import detect_anomaly, enable_grad, no_grad
from .sparse import RowSparse
from .tensor import Tensor, tensor

__all__ = ["RowSparse", "Tensor", "detect_anomaly", "enable_grad", "grad", "no_grad", "tensor"]
