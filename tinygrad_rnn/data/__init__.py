"""What goes into a model: texts, vocabularies, windows."""

from .corpora import corpus, python_topics, read_text, sha256
from .vocabulary import Vocabulary
from .windows import Windows, split

__all__ = ["Vocabulary", "Windows", "corpus", "python_topics", "read_text", "sha256", "split"]
