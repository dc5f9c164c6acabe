"""Arguments: argparse that answers a misuse with one line, and the kinds of numbers that options take."""

from __future__ import annotations

import argparse
import math
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """argparse, with one line for a misuse."""

    def error(self, message: str) -> NoReturn:
        """Exit with 2."""
        self.exit(2, f"{self.prog}: {' '.join(message.split())} (see {self.prog} --help)\n")


def positive(text: str) -> int:
    """A whole number, 1 or more."""
    return int(_number(text, whole=True, least=1, expected="a whole number, 1 or more"))


def natural(text: str) -> int:
    """A whole number, 0 or more."""
    return int(_number(text, whole=True, least=0, expected="a whole number, 0 or more"))


def above_zero(text: str) -> float:
    """A number above 0."""
    return _number(text, whole=False, least=math.ulp(0.0), expected="a number above 0")


def zero_or_more(text: str) -> float:
    """A number, 0 or more."""
    return _number(text, whole=False, least=0, expected="a number, 0 or more")


def _number(text: str, whole: bool, least: float, expected: str) -> float:
    """Parse a finite number that is at least `least`."""
    try:
        value = int(text) if whole else float(text)
    except ValueError:
        value = math.nan
    if not least <= value < math.inf:
        raise argparse.ArgumentTypeError(f"must be {expected}, got {text!r}")
    return value
