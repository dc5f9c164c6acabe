"""What goes into a model: texts, vocabularies, windows."""

from .corpora import corpus, python_topics, read_text, sha256
from .windows import Windows, split

__all__ = ["Windows", "corpus", "python_topics", "read_text", "sha256", "split"]
