"""Decoding: one loop over any step function, and what to do with its log-probabilities."""

from . import adjusters, analysis
from .beam import beam_search
from .coverage import Coverage
from .draw_tree import plot_beam
from .errors import NotANumberError
from .exact import exact_search
from .greedy import greedy, sample, stream
from .hypothesis import Hypothesis, Objective
from .loop import Logits, Loop
from .rows import Trace
from .scoring import score_sentences
from .unknown import replace_unknown

__all__ = ["Coverage", "Hypothesis", "Logits", "Loop", "NotANumberError", "Objective", "Trace", "adjusters", "analysis",
           "beam_search", "exact_search", "greedy", "plot_beam", "replace_unknown", "sample", "score_sentences",
           "stream"]
