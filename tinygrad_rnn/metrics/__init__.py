"""What is said of a model's predictions."""

from .bleu import BLEU, corpus_bleu, sentence_bleu, sheet_bleu
from .perplexity import perplexity

__all__ = ["BLEU", "corpus_bleu", "perplexity", "sentence_bleu", "sheet_bleu"]
