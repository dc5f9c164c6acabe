"""Texts to tokens: words between whitespace, words by a pattern, characters; and a tokenizer of somebody else's.

    whitespace("Don't stop")     ["Don't", "stop"]
    words("Don't stop!")         ["don't", "stop"]
    characters("stop")           ["s", "t", "o", "p"]

With a vocabulary, any of them makes a `Tokenizer`: text to ids and back, as those of the `tokenizers` package do.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from .vocabulary import Vocabulary

WORD = r"\w+(?:['’-]\w+)*"      # letters and digits, with apostrophes and hyphens inside

Split = Callable[[str], list[str]]


def whitespace(text: str) -> list[str]:
    """What stands between ASCII whitespace: space, tab, line ends.  Other spaces of Unicode are part of a token."""
    return re.findall(r"[^ \t\n\r\v\f]+", text)


def words(text: str, pattern: str = WORD, lower: bool = True) -> list[str]:
    """What matches a regular expression, in lower case unless `lower` is False; punctuation is left out."""
    return re.findall(pattern, text.lower() if lower else text)


def characters(text: str) -> list[str]:
    """Every character, spaces and line ends included."""
    return list(text)


class Tokenizer:
    """Text to ids and back.

    Parameters
    ----------
    vocabulary : Vocabulary
    split : callable str -> list of str
        Text to tokens: `whitespace`, `words`, `characters`.
    joint : str, optional
        What goes between two tokens of a decoded text; None: nothing between `characters`, else a space.

    Examples
    --------
    >>> tokenizer = Tokenizer(Vocabulary(Counter("hello")), characters)
    >>> tokenizer.decode(tokenizer.encode("hole"))
    'hole'
    """

    def __init__(self, vocabulary: Vocabulary, split: Split = whitespace, joint: str | None = None) -> None:
        if not callable(split):
            raise TypeError(f"Tokenizer: split must be a function from a text to its tokens, got {split!r}")
        self.vocabulary, self.split = vocabulary, split
        self.joint = joint if joint is not None else "" if split is characters else " "

    def encode(self, text: str) -> np.ndarray:
        """Ids of a text, int64 (tokens,).  KeyError for tokens that the vocabulary has not, see `Vocabulary.encode`."""
        return self.vocabulary.encode(self.split(text))

    def decode(self, ids: Any) -> str:
        """The tokens of ids, joined."""
        return self.joint.join(self.vocabulary.decode(ids))


def splitter(tokenizer: Any) -> Split:
    """The function from a text to its tokens of whatever stands for a tokenizer.

    Parameters
    ----------
    tokenizer : callable, or object with `encode` and `decode`
        A function from a text to a list of strings; or an object whose `encode` gives strings, ids, or an object with
        `.tokens` (as the `tokenizers` package does).  Ids become the strings that `decode` makes of each.

    Raises
    ------
    TypeError
        For anything else.
    """
    if isinstance(tokenizer, Tokenizer):
        return tokenizer.split
    if not hasattr(tokenizer, "encode") or isinstance(tokenizer, str):
        if not callable(tokenizer):
            raise TypeError("tokenizer must be a function from a text to its tokens, or an object with encode and "
                            f"decode, got {tokenizer!r}")
        return tokenizer        # type: ignore[no-any-return]
    known: dict[int, str] = {}

    def split(text: str) -> list[str]:
        encoded = tokenizer.encode(text)
        found = list(getattr(encoded, "tokens", encoded))
        if all(isinstance(token, str) for token in found):
            return found
        for k in map(int, found):
            if k not in known:
                known[k] = tokenizer.decode([k])
        return [known[int(k)] for k in found]

    return split
