"""What goes into a model: texts, vocabularies, windows."""

from .batching import PairBatch, PairBatches
from .corpora import corpus, python_topics, read_text, sha256
from .encoding import Sentences
from .numbering import END
from .ragged import Batch, batches, pad, unpad
from .tokenizers import Tokenizer, characters, whitespace, words
from .vocabulary import SPECIALS, Vocabulary
from .windows import Windows, split

__all__ = ["Batch", "END", "PairBatch", "PairBatches", "SPECIALS", "Sentences", "Tokenizer", "Vocabulary", "Windows",
           "batches", "characters", "corpus", "pad", "python_topics", "read_text", "sha256", "split", "unpad",
           "whitespace", "words"]
