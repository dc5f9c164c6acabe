"""What goes into a model: texts, vocabularies, windows."""

from .batching import PairBatch, PairBatches
from .corpora import corpus, python_topics, read_text, sha256
from .ragged import Batch, batches, pad, unpad
from .vocabulary import Vocabulary
from .windows import Windows, split

__all__ = ["Batch", "PairBatch", "PairBatches", "Vocabulary", "Windows", "batches", "corpus", "pad", "python_topics",
           "read_text", "sha256", "split", "unpad"]
