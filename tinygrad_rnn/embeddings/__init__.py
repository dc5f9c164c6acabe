"""Word vectors: learned from text, kept in files, compared, judged, drawn."""

from .cooccurrence import cooccurrence
from .evaluation import Analogies, WordPairs
from .glove import GloVe
from .keyed_vectors import KeyedVectors

__all__ = ["Analogies", "GloVe", "KeyedVectors", "WordPairs", "cooccurrence"]
