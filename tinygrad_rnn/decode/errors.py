"""What can go wrong with a model's numbers."""

from __future__ import annotations


class NotANumberError(FloatingPointError, ValueError):
    """A model gave NaN for a log-probability: its training diverged, or its input was NaN."""
