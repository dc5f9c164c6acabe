"""Layers, losses and their start values: PyTorch's names, arguments and formulas."""

from . import functional, init, utils
from .activation import ELU, GELU, LeakyReLU, LogSoftmax, ReLU, Sigmoid, SiLU, Softmax, Softplus, Tanh
from .attending import Attending
from .attention import Attention, LocationAttention
from .containers import ModuleList, Sequential
from .convolution import Conv1d, Conv2d
from .criteria import (
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    KLDivLoss,
    L1Loss,
    MSELoss,
    NLLLoss,
    SmoothL1Loss,
)
from .dropout import Dropout
from .embedding import Embedding
from .linear import Linear
from .module import Module
from .norm import LayerNorm
from .parameter import Parameter
from .pooling import MaxPool2d, Unfold
from .recurrent import Recurrent
from .rnn import GRU, LSTM, RNN
from .rnn_cells import GRUCell, LSTMCell, RNNCell

__all__ = ["Attending", "Attention", "BCELoss", "BCEWithLogitsLoss", "Conv1d", "Conv2d", "CrossEntropyLoss", "Dropout",
           "ELU", "Embedding", "GELU", "GRU", "GRUCell", "KLDivLoss", "L1Loss", "LSTM", "LSTMCell", "LayerNorm",
           "LeakyReLU", "Linear", "LocationAttention", "LogSoftmax", "MSELoss", "MaxPool2d", "Module", "ModuleList",
           "NLLLoss", "Parameter", "RNN", "RNNCell", "ReLU", "Recurrent", "Sequential", "SiLU", "Sigmoid",
           "SmoothL1Loss", "Softmax", "Softplus", "Tanh", "Unfold", "functional", "init", "utils"]
