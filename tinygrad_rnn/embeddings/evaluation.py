"""Word vectors judged: by human similarity scores, and by analogy questions.

Words are looked up without regard to upper and lower case, the commonest spelling of the vocabulary first, as gensim
does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from ..metrics import pearson, spearman
from .nearest import nearest, unit

SPELLINGS = 4       # candidates beyond the first that may be other spellings of the words in the question


class Vectors(Protocol):
    """What is judged."""

    index_to_key: list[str]

    @property
    def unit_vectors(self) -> np.ndarray:
        """(n, size) float32, of length 1."""


@dataclass(frozen=True)
class WordPairs:
    """How cosines agree with human judgments.

    Attributes
    ----------
    pearson, spearman : float, -1 to 1
    oov_share : float
        Share of the pairs left out because a word is not in the vocabulary, 0 to 1.
    pairs : int
        How many were compared.
    """

    pearson: float
    spearman: float
    oov_share: float
    pairs: int


@dataclass(frozen=True)
class Analogies:
    """How many analogy questions are answered rightly.

    Attributes
    ----------
    accuracy : float
        Share of right answers among the questions whose words are all in the vocabulary, 0 to 1.
    sections : dict of str to float
        The same for each section that has such questions.
    counts : dict of str to (int, int)
        Right answers and questions of each section, also of those without questions.
    oov_share : float
        Share of the questions left out because a word is not in the vocabulary.
    """

    accuracy: float
    sections: dict[str, float]
    counts: dict[str, tuple[int, int]] = field(repr=False)
    oov_share: float


def judge_pairs(kv: Vectors, file: str | os.PathLike[str], n: int) -> WordPairs:
    """Cosines of the pairs of a file against its scores: two words and a number a line, apart by tab, space or comma.

    Parameters
    ----------
    kv : KeyedVectors
    file : str or Path
        Lines that are empty or begin with # are comments. What follows the number is ignored.
    n : int
        Only the first n words are known.

    Raises
    ------
    ValueError
        For a line that is something else, and where fewer than two pairs are known.
    """
    rows, scores, total = [], [], 0
    known = spellings(kv.index_to_key[:n])
    for number, line in lines(file):
        if line.startswith("#"):
            continue
        fields = [part.strip() for part in line.split("\t")] if "\t" in line else line.replace(",", " ").split()
        try:
            first, second, score = fields[0].upper(), fields[1].upper(), float(fields[2])
        except (IndexError, ValueError):
            raise ValueError(f"{os.fspath(file)}, line {number}: expected two words and a number, got "
                             f"{line[:80]!r}") from None
        total += 1
        if first in known and second in known:
            rows.append((known[first], known[second]))
            scores.append(score)
    if len(rows) < 2:
        raise ValueError(f"{os.fspath(file)}: {len(rows)} of {total} pairs are in the vocabulary; two are needed")
    a, b = (kv.unit_vectors[list(side)].astype(np.float64) for side in zip(*rows))
    cosines = (a * b).sum(1)
    return WordPairs(pearson(cosines, scores), spearman(cosines, scores), 1 - len(rows) / total, len(rows))


def judge_analogies(kv: Vectors, file: str | os.PathLike[str], n: int) -> Analogies:
    """Questions a : b = c : ? of a file, answered by the word nearest to b - a + c that is none of the three.

    Parameters
    ----------
    kv : KeyedVectors
    file : str or Path
        Four words a line, the last is the answer; `: name` begins a section. The format of word2vec's questions-words.
    n : int
        Only the first n words are known, and can be answers.

    Raises
    ------
    ValueError
        For a line that is something else, and where no question is known.
    """
    known = spellings(kv.index_to_key[:n])
    section, questions, places = "", [], []     # places: the section of each question
    asked: dict[str, int] = {}
    total = 0
    for number, line in lines(file):
        words = line.split()
        if line.startswith(":"):
            section = line[1:].strip()
            asked.setdefault(section, 0)
            continue
        if len(words) != 4:
            raise ValueError(f"{os.fspath(file)}, line {number}: expected four words or ': section', got "
                             f"{line[:80]!r}")
        total += 1
        rows = [known.get(word.upper(), -1) for word in words]
        asked.setdefault(section, 0)
        if min(rows) >= 0:
            questions.append(rows)
            places.append(section)
            asked[section] += 1
    if not questions:
        raise ValueError(f"{os.fspath(file)}: none of {total} questions has all its words in the vocabulary")
    right = answered(kv, np.array(questions), n, known)
    hits = dict.fromkeys(asked, 0)
    for section, hit in zip(places, right):
        hits[section] += int(hit)
    return Analogies(float(right.mean()), {name: hits[name] / count for name, count in asked.items() if count},
                     {name: (hits[name], count) for name, count in asked.items()}, 1 - len(questions) / total)


def answered(kv: Vectors, questions: np.ndarray, n: int, known: dict[str, int]) -> np.ndarray:
    """Whether each question (rows of its four words, (Q, 4)) is answered rightly, (Q,) bool."""
    table = kv.unit_vectors
    a, b, c = (table[questions[:, k]].astype(np.float64) for k in range(3))
    rows, _ = nearest(table[:n], unit(b - a + c), 1 + SPELLINGS, questions[:, :3])
    # The row that speaks for all spellings of a word; the last place is for -1, no answer.
    speaker = np.array([*(known[word.upper()] for word in kv.index_to_key[:n]), -1])
    answers = speaker[rows]
    allowed = (answers[:, :, None] != questions[:, None, :3]).all(2)
    first = answers[np.arange(len(answers)), allowed.argmax(1)]
    return np.asarray(allowed.any(1) & (first == questions[:, 3]))


def spellings(words: list[str]) -> dict[str, int]:
    """Upper-case word -> the first row that is spelled so."""
    known: dict[str, int] = {}
    for row, word in enumerate(words):
        known.setdefault(word.upper(), row)
    return known


def lines(file: str | os.PathLike[str]) -> Iterator[tuple[int, str]]:
    """Numbered lines that are not empty, stripped; ValueError for a file that is not UTF-8."""
    for number, line in enumerate(Path(file).read_bytes().split(b"\n"), 1):
        try:
            text = line.decode("utf-8").strip()
        except UnicodeDecodeError as error:
            raise ValueError(f"{os.fspath(file)}, line {number}: not UTF-8: {error.reason}") from None
        if text:
            yield number, text
