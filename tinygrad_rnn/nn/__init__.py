"""Layers, losses and their start values: PyTorch's names, arguments and formulas."""

from . import functional, init, utils
from .activation import ELU, GELU, LeakyReLU, LogSoftmax, ReLU, Sigmoid, SiLU, Softmax, Softplus, Tanh
from .attending import Attending
from .attention import Attention, LocationAttention
from .containers import ModuleList, Sequential
from .criteria import BCEWithLogitsLoss, CrossEntropyLoss, MSELoss, NLLLoss
from .dropout import Dropout
from .embedding import Embedding
from .linear import Linear
from .module import Module
from .norm import LayerNorm
from .parameter import Parameter
from .recurrent import Recurrent
from .rnn import GRU, LSTM, RNN
from .rnn_cells import GRUCell, LSTMCell, RNNCell

__all__ = ["Attending", "Attention", "BCEWithLogitsLoss", "CrossEntropyLoss", "Dropout", "ELU", "Embedding", "GELU",
           "GRU", "GRUCell", "LSTM", "LSTMCell", "LayerNorm", "LeakyReLU", "Linear", "LocationAttention", "LogSoftmax",
           "MSELoss", "Module", "ModuleList", "NLLLoss", "Parameter", "RNN", "RNNCell", "ReLU", "Recurrent",
           "Sequential", "SiLU", "Sigmoid", "Softmax", "Softplus", "Tanh", "functional", "init", "utils"]
