"""Layers and losses as functions: the state is passed in."""

from ..autograd.ops import (
    elu,
    gelu,
    hardsigmoid,
    hardtanh,
    leaky_relu,
    linear,
    log_softmax,
    logsumexp,
    relu,
    selu,
    sigmoid,
    silu,
    softmax,
    softplus,
    tanh,
)
from .attention import attention, masked_softmax
from .convolution import conv1d, conv2d
from .dropout import dropout
from .embedding import embedding
from .losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    kl_div,
    l1_loss,
    mse_loss,
    nll_loss,
    smooth_l1_loss,
)
from .norm import layer_norm
from .pooling import max_pool2d, unfold

__all__ = ["attention", "binary_cross_entropy", "binary_cross_entropy_with_logits", "conv1d", "conv2d", "cross_entropy",
           "dropout", "elu", "embedding", "gelu", "hardsigmoid", "hardtanh", "kl_div", "l1_loss", "layer_norm",
           "leaky_relu", "linear", "log_softmax", "logsumexp", "masked_softmax", "max_pool2d", "mse_loss", "nll_loss",
           "relu", "selu", "sigmoid", "silu", "smooth_l1_loss", "softmax", "softplus", "tanh", "unfold"]
