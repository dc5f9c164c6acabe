"""The tape: primitives, tensors, the backward pass, and the operations."""

from .backward import grad
from .checkpointing import checkpoint
from .customised import custom
from .graph import draw
from .mode import detect_anomaly, enable_grad, no_grad
from .sparse import RowSparse
from .tensor import Tensor, tensor
from .transforms import hessian, hvp, jacobian, jvp, vjp

__all__ = ["RowSparse", "Tensor", "checkpoint", "custom", "detect_anomaly", "draw", "enable_grad", "grad", "hessian",
           "hvp", "jacobian", "jvp", "no_grad", "tensor", "vjp"]
