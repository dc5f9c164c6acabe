"""tinygrad_rnn: recurrent networks from scratch on NumPy and Numba, with an autograd engine of its own.

Not the tinygrad project.  Importing this package compiles nothing and does not import Numba.

Which equation lives in which file
----------------------------------
=====================================================  ===========================================
the chain rule on a tape                               autograd/backward.py
an operation and its derivative, side by side          autograd/ops/elementwise.py
Jacobians and Hessians, and products with them         autograd/transforms.py
computing again instead of keeping                     autograd/checkpointing.py
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
training on sentence pairs, and translating            train/translating.py, models/translator.py
embedding as a row of a table, e_w = E o_w             nn/embedding.py
skip-gram, CBOW, negative sampling, as equations       embeddings/objectives.py
word2vec, compiled and as one would explain it         kernels/word2vec.py, embeddings/readable.py
hierarchical softmax, its Huffman tree                 embeddings/huffman.py
GloVe: X, f(X), J and the mean (e + theta)/2           embeddings/glove.py, embeddings/cooccurrence.py, kernels/glove.py
cosine, analogies, 3CosAdd and 3CosMul                 embeddings/keyed_vectors.py
t-SNE: P, Q and KL(P || Q)                             embeddings/tsne.py, kernels/tsne.py
start values (Xavier, He, orthogonal)                  nn/init.py
convolution as a product of matrices                   kernels/convolution.py, kernels/implicit.py, nn/convolution.py
losses                                                 nn/losses.py
SGD, momentum, RMSprop, Adam                           optim/optimizers.py
clipping of gradients                                  nn/utils.py
truncated back-propagation through time                data/windows.py, models/language_model.py
mini-batches of sentence pairs, Algorithm 1             data/batching.py
sampling a character at a time, temperature            models/language_model.py
beam search, length normalisation, patience            decode/beam.py, decode/hypothesis.py
greedy decoding, sampling, top-k, top-p                decode/greedy.py
the likeliest sentence, by branch and bound            decode/exact.py
repetition and n-gram rules, forced tokens             decode/adjusters.py
coverage of the source by attention                    decode/coverage.py
search errors and model errors                         decode/analysis.py
perplexity, bits a character                           metrics/perplexity.py
BLEU, clipped n-gram precisions, brevity penalty       metrics/bleu.py, metrics/ngrams.py
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
from .autograd import exchange as _exchange
from .autograd import ops as _ops
from .autograd.creation import *  # noqa: F403
from .autograd.exchange import *  # noqa: F403
from .autograd.exchange import NamespaceInfo as __array_namespace_info__  # noqa: F401
from .autograd.ops import *  # noqa: F403

__version__ = "0.1.0"

float32, float64, int32, int64 = _np.float32, _np.float64, _np.int32, _np.int64
bool = _np.bool_
e, inf, nan, newaxis, pi = _np.e, _np.inf, _np.nan, None, _np.pi

_MODULES = ("autograd cells data decode diagnostics embeddings interop kernels metrics models nn optim random "
            "testing train").split()
_HANDED_ON = {"Parameter": "nn", "Cell": "cells", "set_num_threads": "kernels", "get_num_threads": "kernels"}

__all__ = ["Tensor", "autograd", "bool", "detect_anomaly", "enable_grad", "float32", "float64", "int32", "int64",
           "no_grad", "tensor", *_creation.__all__, *_exchange.__all__, *_ops.__all__]


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
