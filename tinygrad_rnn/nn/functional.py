"""Layers and losses as functions: the state is passed in."""

from ..autograd.ops import (
    elu,
    gelu,
    leaky_relu,
    linear,
    log_softmax,
    logsumexp,
    relu,
    sigmoid,
    silu,
    softmax,
    softplus,
    tanh,
)
from .attention import attention, masked_softmax
from .dropout import dropout
from .embedding import embedding
from .losses import binary_cross_entropy_with_logits, cross_entropy, mse_loss, nll_loss
from .norm import layer_norm

__all__ = ["attention", "binary_cross_entropy_with_logits", "cross_entropy", "dropout", "elu", "embedding", "gelu",
           "layer_norm", "leaky_relu", "linear", "log_softmax", "logsumexp", "masked_softmax", "mse_loss", "nll_loss",
           "relu", "sigmoid", "silu", "softmax", "softplus", "tanh"]
