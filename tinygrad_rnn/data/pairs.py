"""Two text files that say the same in two languages, line by line."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

Sentence = list[str]


class Pairs(NamedTuple):
    """Sentences as words, as many of one side as of the other, and the SHA-256 of both files together."""

    sources: list[Sentence]
    targets: list[Sentence]
    sha256: str

    def part(self, begin: int, end: int) -> Pairs:
        """Pairs `begin` to `end`."""
        return Pairs(self.sources[begin:end], self.targets[begin:end], self.sha256)

    def within(self, longest: int) -> Pairs:
        """Those whose sides both have 1 to `longest` words."""
        kept = [(source, target) for source, target in zip(self.sources, self.targets)
                if 1 <= len(source) <= longest and 1 <= len(target) <= longest]
        return Pairs([source for source, _ in kept], [target for _, target in kept], self.sha256)


def read_pairs(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> Pairs:
    """The sentences of two UTF-8 files: line k of one is the translation of line k of the other.

    Parameters
    ----------
    source, target : path
        A sentence a line, its words apart by white space.

    Raises
    ------
    ValueError
        If one is empty, is not UTF-8 (names the line), or has fewer lines than the other.
    OSError
        If one cannot be read.
    """
    read = [Path(path).read_bytes() for path in (source, target)]
    sides = [decoded_lines(text, os.fspath(path)) for text, path in zip(read, (source, target))]
    lines = [len(side) for side in sides]
    if lines[0] != lines[1]:
        short = (source, target)[lines[0] > lines[1]]
        raise ValueError(f"{os.fspath(source)} has {lines[0]:,} lines and {os.fspath(target)} has {lines[1]:,}: they "
                         f"must be translations of each other, line by line; {os.fspath(short)} ends first")
    digest = hashlib.sha256(b"".join(hashlib.sha256(text).digest() for text in read)).hexdigest()
    sources, targets = ([line.split() for line in side] for side in sides)
    return Pairs(sources, targets, digest)


def decoded_lines(text: bytes, where: str) -> Sequence[str]:
    """The lines of a file, without their ends.  ValueError if it is empty or not UTF-8, naming the line."""
    if not text.strip():
        raise ValueError(f"{where} is empty")
    lines = text.removesuffix(b"\n").split(b"\n")       # not splitlines: it also cuts at what others take for spaces
    try:
        return [line.decode("utf-8") for line in lines]
    except UnicodeDecodeError as error:
        number = lines.index(error.object) + 1
        raise ValueError(f"{where}, line {number:,}, is not UTF-8: byte 0x{error.object[error.start]:02x}") from None
