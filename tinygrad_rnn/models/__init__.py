"""Layers, data and losses put together: models that do a job."""

from .captioner import S2VT, VectorToSequence
from .decoder import Decoder
from .encoder import Bridge, Encoder
from .language_model import LanguageModel, Likelihood, detach, evaluate, sample
from .seq2seq import EncoderDecoder, plot_attention
from .teaching import exponential_decay, inverse_sigmoid_decay, linear_decay
from .translator import Translation, Translator

__all__ = ["Bridge", "Decoder", "Encoder", "EncoderDecoder", "LanguageModel", "Likelihood", "S2VT", "Translation",
           "Translator", "VectorToSequence", "detach", "evaluate", "exponential_decay", "inverse_sigmoid_decay",
           "linear_decay", "plot_attention", "sample"]
