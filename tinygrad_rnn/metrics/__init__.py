"""What is said of a model's predictions."""

from .bleu import BLEU, corpus_bleu, sentence_bleu, sheet_bleu
from .correlation import pearson, ranks, spearman
from .perplexity import perplexity

__all__ = ["BLEU", "corpus_bleu", "pearson", "perplexity", "ranks", "sentence_bleu", "sheet_bleu", "spearman"]
