"""Vocabulary: tokens, characters or words alike, to consecutive ids and back."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..files import disk

UNKNOWN, BEGIN, END, PADDING = SPECIALS = "<unk>", "<bos>", "<eos>", "<pad>"
_FORMAT = "tinygrad_rnn.vocabulary"


class Vocabulary:
    """An id for each token.

    Ids are stable: the special tokens in their order, then the others by falling count, ties in the order of the tokens
    as Python compares strings.  The same counts give the same ids, in whatever order they were counted.

    Parameters
    ----------
    counts : mapping str -> int
        How often each token occurs: `collections.Counter(text)` for characters, `Counter(text.split())` for words.
    min_count : int
        Tokens that occur less often are left out.
    max_size : int, optional
        The largest number of ids, special tokens included.
    specials : sequence of str
        Tokens that come first whether they occur or not.  With "<unk>" among them `encode` gives its id to tokens that
        it does not know.  `SPECIALS` are the usual four: <unk> <bos> <eos> <pad>.

    Raises
    ------
    ValueError
        For specials that stand twice, a max_size that has no room for them, a min_count below 1, or no token at all.
    TypeError
        For counts that are no mapping, or tokens that are no strings.

    Examples
    --------
    >>> vocabulary = Vocabulary(Counter("hello"))
    >>> vocabulary.tokens
    ['l', 'e', 'h', 'o']
    >>> vocabulary.encode("hole")
    array([2, 3, 0, 1])
    """

    __hash__ = None     # type: ignore[assignment]

    def __init__(self, counts: Mapping[str, int], min_count: int = 1, max_size: int | None = None,
                 specials: Sequence[str] = ()) -> None:
        if not isinstance(counts, Mapping):
            raise TypeError("Vocabulary: counts must map tokens to how often they occur, got "
                            f"{type(counts).__name__}; collections.Counter(tokens) counts")
        if isinstance(specials, str):
            raise TypeError(f"Vocabulary: specials must be a sequence of tokens, got the string {specials!r}")
        if min_count < 1:
            raise ValueError(f"Vocabulary: min_count must be at least 1, got {min_count}")
        specials = list(specials)
        if max_size is not None and max_size < len(specials):
            raise ValueError(f"Vocabulary: max_size={max_size} has no room for {len(specials)} special tokens")
        for token in (*specials, *counts):
            if not isinstance(token, str):
                raise TypeError(f"Vocabulary: tokens must be strings, got {token!r}")
        frequent = sorted((token for token, count in counts.items() if count >= min_count and token not in specials),
                          key=lambda token: (-counts[token], token))
        kept = [*specials, *frequent][:max_size]
        self._set(kept, len(specials), [int(counts.get(token, 0)) for token in kept])

    @classmethod
    def merge(cls, shards: Iterable[Mapping[str, int] | Vocabulary], min_count: int = 1, max_size: int | None = None,
              specials: Sequence[str] = ()) -> Vocabulary:
        """The vocabulary of a corpus that was counted in shards: counts of a token are added.

        Parameters
        ----------
        shards : iterable of mapping str -> int, or of Vocabulary
            Counts; a Vocabulary has forgotten the tokens that were too rare in its own shard.
        min_count, max_size, specials
            See the class; they judge the sums.
        """
        total: Counter[str] = Counter()
        for shard in shards:
            total.update(dict(zip(shard.tokens, shard.counts.tolist())) if isinstance(shard, Vocabulary) else shard)
        return cls(total, min_count, max_size, specials)

    def extended(self, counts: Mapping[str, int], min_count: int = 1, max_size: int | None = None) -> Vocabulary:
        """This vocabulary, and behind it the new tokens of more text; ids that are known stay, counts are added.

        Parameters
        ----------
        counts : mapping str -> int
            How often each token occurs in the further text.
        min_count : int
            New tokens that occur less often there are left out.
        max_size : int, optional
            The largest number of ids.
        """
        new = [token for token in counts if token not in self]
        more = Vocabulary({token: counts[token] for token in new}, min_count)._tokens if any(
            counts[token] >= min_count for token in new) else []
        room = None if max_size is None else max(0, max_size - len(self))
        tokens, known = [*self._tokens, *more[:room]], dict(zip(self._tokens, self._counts.tolist()))
        return self.ordered(tokens, [known.get(token, 0) + int(counts.get(token, 0)) for token in tokens],
                            self._specials)

    @classmethod
    def ordered(cls, tokens: Sequence[str], counts: Sequence[int], specials: int = 0) -> Vocabulary:
        """The tokens with the ids 0, 1, ... as they come; the first `specials` of them are special."""
        vocabulary = cls.__new__(cls)
        vocabulary._set(list(tokens), specials, list(counts))
        return vocabulary

    def _set(self, tokens: list[str], specials: int, counts: list[int]) -> None:
        if not tokens:
            raise ValueError("Vocabulary: there are no tokens; is the text empty, or min_count too high?")
        self._tokens, self._specials, self._counts = tokens, specials, np.array(counts, np.int64)
        self._ids = {token: k for k, token in enumerate(tokens)}
        if len(self._ids) < len(tokens):
            twice = next(token for k, token in enumerate(tokens) if self._ids[token] != k)
            raise ValueError(f"Vocabulary: the token {twice!r} stands twice")

    @property
    def tokens(self) -> list[str]:
        """All tokens, in the order of their ids; a copy."""
        return list(self._tokens)

    @property
    def counts(self) -> np.ndarray:
        """How often each token occurred, int64 (number of tokens,) in the order of ids; a copy."""
        return self._counts.copy()

    @property
    def specials(self) -> list[str]:
        """The special tokens, which come first; a copy."""
        return self._tokens[:self._specials]

    def __len__(self) -> int:
        return len(self._tokens)

    def __contains__(self, token: object) -> bool:
        return token in self._ids

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Vocabulary):
            return NotImplemented
        return self._tokens == other._tokens and self._specials == other._specials

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self._tokens[:5])) + (", ..." if len(self) > 5 else "")
        return f"Vocabulary({len(self):,} tokens: {shown})"

    # ---- to ids and back --------------------------------------------------------------------------------------------
    def encode(self, tokens: Iterable[str]) -> np.ndarray:
        """Ids of tokens; of a string, those of its characters.

        Returns
        -------
        ndarray of int64, (number of tokens,)

        Raises
        ------
        KeyError
            For a token that is not in the vocabulary, with its position, unless "<unk>" is among the specials.
        """
        tokens = tokens if isinstance(tokens, Sequence) else list(tokens)
        if UNKNOWN in self.specials:
            unknown = self._ids[UNKNOWN]
            return np.fromiter((self._ids.get(token, unknown) for token in tokens), np.int64, len(tokens))
        try:
            return np.fromiter(map(self._ids.__getitem__, tokens), np.int64, len(tokens))
        except KeyError as error:
            token = error.args[0]
        raise KeyError(f"encode: the token {token!r} at position {list(tokens).index(token)} is not among the "
                       f"{len(self):,} of the vocabulary; {UNKNOWN!r} among the specials would stand for it")

    def decode(self, ids: Any) -> list[str]:
        """Tokens of ids; `"".join` makes a text of characters.

        Raises
        ------
        IndexError
            For an id that no token has, with its position.
        TypeError
            For ids that are not integers.
        """
        array = np.asarray(ids)
        if array.ndim != 1:
            raise ValueError(f"decode: ids must have one dimension, got shape {array.shape}")
        if array.size and array.dtype.kind not in "iu":
            raise TypeError(f"decode: ids must be integers, got dtype {array.dtype}")
        wrong = np.flatnonzero((array < 0) | (array >= len(self)))
        if len(wrong):
            raise IndexError(f"decode: id {array[wrong[0]]} at position {wrong[0]}: there are {len(self):,} tokens, "
                             f"0 to {len(self) - 1}")
        return [self._tokens[k] for k in array.tolist()]

    # ---- files ------------------------------------------------------------------------------------------------------
    def save(self, path: str | os.PathLike[str]) -> None:
        """Write as JSON; a file that exists is replaced at once or not at all."""
        content = {"format": _FORMAT, "version": 1, "specials": self._specials, "tokens": self._tokens,
                   "counts": self._counts.tolist()}
        with disk.replacing(Path(path)) as draft:
            draft.write_text(json.dumps(content, indent=0) + "\n", encoding="ascii")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Vocabulary:
        """Read what `save` wrote.  ValueError naming the file if it is something else."""
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
        except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
            raise ValueError(f"Vocabulary.load: {path} is not JSON: {error}") from None
        if not isinstance(content, dict) or content.get("format") != _FORMAT:
            raise ValueError(f"Vocabulary.load: {path} holds no vocabulary")
        if content.get("version") != 1:
            raise ValueError(f"Vocabulary.load: {path} is of version {content.get('version')!r}, this library reads 1")
        tokens, specials = content.get("tokens"), content.get("specials")
        if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens) or \
                type(specials) is not int or not 0 <= specials <= len(tokens):
            raise ValueError(f"Vocabulary.load: {path} is damaged: tokens must be strings, specials how many of them "
                             "lead")
        counts = content.get("counts", [0] * len(tokens))       # files of 0.1 have none
        if not isinstance(counts, list) or len(counts) != len(tokens) or \
                not all(type(count) is int and 0 <= count < 2**63 for count in counts):
            raise ValueError(f"Vocabulary.load: {path} is damaged: counts must be whole numbers, one a token")
        return cls.ordered(tokens, counts, specials)
