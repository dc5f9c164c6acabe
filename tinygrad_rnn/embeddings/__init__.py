"""Word vectors: skip-gram and CBOW by their objectives, and what is done with the vectors."""

from .keyed_vectors import KeyedVectors
from .word2vec import Word2Vec

__all__ = ["KeyedVectors", "Word2Vec"]
