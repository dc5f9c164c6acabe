"""Word vectors: learned from text, kept in files, compared, judged, drawn."""

from .cooccurrence import cooccurrence
from .evaluation import Analogies, WordPairs
from .glove import GloVe
from .keyed_vectors import KeyedVectors
from .plot import plot_words
from .tsne import tsne
from .word2vec import Word2Vec

__all__ = ["Analogies", "GloVe", "KeyedVectors", "Word2Vec", "WordPairs", "cooccurrence", "plot_words", "tsne"]
