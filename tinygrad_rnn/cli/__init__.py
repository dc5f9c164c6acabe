"""The command line: `tinygrad-rnn`, the same as `python -m tinygrad_rnn`."""

from .main import main

__all__ = ["main"]
