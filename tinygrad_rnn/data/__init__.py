"""What goes into a model: texts, vocabularies, windows."""

from .corpora import corpus, python_topics, read_text, sha256
from .ragged import Batch, batches, pad, unpad
from .vocabulary import Vocabulary
from .windows import Windows, split

__all__ = ["Batch", "Vocabulary", "Windows", "batches", "corpus", "pad", "python_topics", "read_text", "sha256",
           "split", "unpad"]
