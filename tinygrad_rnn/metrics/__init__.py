"""What is said of a model's predictions."""

from .correlation import pearson, ranks, spearman
from .perplexity import perplexity

__all__ = ["pearson", "perplexity", "ranks", "spearman"]
