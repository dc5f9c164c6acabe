"""What is said of a model's predictions."""

from .perplexity import perplexity

__all__ = ["perplexity"]
