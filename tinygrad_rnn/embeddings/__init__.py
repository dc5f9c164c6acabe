"""Word vectors: learned from text, kept in files, compared, judged, drawn."""

from .evaluation import Analogies, WordPairs
from .keyed_vectors import KeyedVectors

__all__ = ["Analogies", "KeyedVectors", "WordPairs"]
