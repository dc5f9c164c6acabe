"""tinygrad_rnn: recurrent networks from scratch on NumPy and Numba, with an autograd engine of its own.

Not the tinygrad project.  Importing this package compiles nothing and does not import Numba.

Which equation lives in which file
----------------------------------
=====================================================  ===========================================
the chain rule on a tape                               autograd/backward.py
an operation and its derivative, side by side          autograd/ops/elementwise.py
softmax, cross-entropy                                 autograd/ops/softmax.py
matrix product, blocked for caches and registers       kernels/product.py, kernels/tiles.py
exp, tanh, sigmoid as polynomials                      kernels/functions.py
the plain RNN, h = tanh(W x + W h + b)                 cells/elman.py
the LSTM's six equations, peepholes                    cells/lstm.py
the GRU, both resets and both signs of z               cells/gru.py
the odyssey's variants, MUT1 to MUT3                   cells/odyssey.py, cells/mutants.py
symbols and notation of every source                   cells/sources.py
back-propagation through time, derived                 cells/derivative.py
a recurrence over a whole sequence, compiled           kernels/sequence.py
dropout and zoneout inside the recurrence              cells/regularise.py
back-propagation in little memory, sqrt(T) segments    cells/segments.py
deep, bidirectional and ragged recurrent layers        nn/stack.py
attention: dot, general, additive, location            nn/attention.py, kernels/attention.py
input feeding, attention inside the recurrence         cells/attention.py, nn/attending.py
encoder, bridge, decoder                               models/encoder.py, models/decoder.py, models/seq2seq.py
a vector or a film in, a sentence out (S2VT)           models/captioner.py
teacher forcing, scheduled sampling                    models/teaching.py
embedding as a row of a table, e_w = E o_w             nn/embedding.py
start values (Xavier, He, orthogonal)                  nn/init.py
losses                                                 nn/losses.py
SGD, momentum, RMSprop, Adam                           optim/optimizers.py
clipping of gradients                                  nn/utils.py
truncated back-propagation through time                data/windows.py, models/language_model.py
sampling a character at a time, temperature            models/language_model.py
perplexity, bits a character                           metrics/perplexity.py
finite differences against derivatives                 testing/gradcheck.py
=====================================================  ===========================================
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as _np

from . import autograd
from .autograd import Tensor, detect_anomaly, enable_grad, no_grad, tensor
from .autograd import creation as _creation
from .autograd import ops as _ops
from .autograd.creation import *  # noqa: F403
from .autograd.ops import *  # noqa: F403

__version__ = "0.1.0"

float32, float64, int32, int64 = _np.float32, _np.float64, _np.int32, _np.int64
bool = _np.bool_

_MODULES = ("autograd cells data decode diagnostics embeddings interop kernels metrics models nn optim random "
            "testing train").split()
_HANDED_ON = {"Parameter": "nn", "Cell": "cells", "set_num_threads": "kernels", "get_num_threads": "kernels"}

__all__ = ["Tensor", "autograd", "bool", "detect_anomaly", "enable_grad", "float32", "float64", "int32", "int64",
           "no_grad", "tensor", *_creation.__all__, *_ops.__all__]


def __getattr__(name: str) -> Any:
    """Modules and names beyond the core are imported when first asked for."""
    if name in _HANDED_ON:
        return getattr(importlib.import_module(f"{__name__}.{_HANDED_ON[name]}"), name)
    if name in _MODULES:
        try:
            return importlib.import_module(f"{__name__}.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"{__name__}.{name}":
                raise
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES, *_HANDED_ON})
