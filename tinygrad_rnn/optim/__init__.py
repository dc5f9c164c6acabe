"""Optimizers, learning-rate schedules and clipping: PyTorch's names, defaults and formulas."""

from ..nn.utils import clip_grad_norm_, clip_grad_value_
from . import lr_scheduler
from .adadelta import Adadelta
from .base import Optimizer
from .optimizers import SGD, Adagrad, Adam, AdamW, RMSprop

__all__ = ["Adadelta", "Adagrad", "Adam", "AdamW", "Optimizer", "RMSprop", "SGD", "clip_grad_norm_",
           "clip_grad_value_", "lr_scheduler"]
