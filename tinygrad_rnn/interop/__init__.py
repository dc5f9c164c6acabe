"""Other libraries' models: their parameters into ours, and back.  None of these libraries is imported."""

from . import torch

__all__ = ["torch"]
