"""Layers, data and losses put together: models that do a job."""

from .language_model import LanguageModel, Likelihood, detach, evaluate, sample

__all__ = ["LanguageModel", "Likelihood", "detach", "evaluate", "sample"]
