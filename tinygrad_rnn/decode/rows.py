"""The hypotheses of a search: a row each while they grow, and a node a token, so that sentences can be read back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .hypothesis import Hypothesis, Objective

Prefixes = np.ndarray | list[np.ndarray] | None
ROOT = -1       # the node before the first token


@dataclass(slots=True)
class Rows:
    """Hypotheses side by side, those of a sentence together and the best first; all arrays have an entry for each.

    Attributes
    ----------
    sentences : int64, which of the B sentences
    slots : int64, which beam, or which sample
    nodes : int64, of the last token
    tokens : int64, the last token
    lengths : int64, T so far
    log_probs : float64, nats, summed
    penalties : float64, what diversity took off, summed
    token_log_probs : float64, of the last token
    ends : bool, is it over?
    parents : int64, of which row of the step before each is a continuation; None: one of each, in order
    prefixes : the tokens of each, if somebody asks for them
    attention : float64 (N, S), what was paid so far, if a coverage penalty asks for it
    """

    sentences: np.ndarray
    slots: np.ndarray
    nodes: np.ndarray
    tokens: np.ndarray
    lengths: np.ndarray
    log_probs: np.ndarray
    penalties: np.ndarray
    token_log_probs: np.ndarray
    ends: np.ndarray
    parents: np.ndarray | None = None
    prefixes: Prefixes = None
    attention: np.ndarray | None = None

    @classmethod
    def start(cls, tokens: np.ndarray, reading: bool) -> Rows:
        """A row for each sentence; nothing is said yet."""
        count = len(tokens)
        numbers, zeros = np.arange(count), np.zeros(count)
        return cls(numbers, numbers, np.full(count, ROOT), tokens, np.zeros(count, np.int64), zeros, zeros, zeros,
                   np.zeros(count, np.bool_), prefixes=np.zeros((count, 0), np.int64) if reading else None)

    def __len__(self) -> int:
        return len(self.tokens)

    def continued(self, parents: np.ndarray | None, tokens: np.ndarray, log_probs: np.ndarray, ends: np.ndarray,
                  slots: np.ndarray | None = None, penalties: np.ndarray | None = None) -> Rows:
        """Rows with one token more."""
        old = self if parents is None else self.at(parents)
        prefixes = old.prefixes
        if prefixes is not None:
            prefixes = np.concatenate([prefixes, tokens[:, None]], 1)       # (n, t) + (n, 1) -> (n, t + 1)
        return Rows(old.sentences, old.slots if slots is None else slots, old.nodes, tokens, old.lengths + 1,
                    old.log_probs + log_probs, old.penalties if penalties is None else old.penalties + penalties,
                    log_probs, ends, parents, prefixes, old.attention)

    def at(self, which: np.ndarray) -> Rows:
        """Some of the rows."""
        prefixes = self.prefixes
        if isinstance(prefixes, list):
            prefixes = [prefixes[k] for k in np.arange(len(self))[which]]
        elif prefixes is not None:
            prefixes = prefixes[which]
        parents = which if self.parents is None else self.parents[which]
        if parents.dtype == np.bool_:
            parents = np.flatnonzero(parents)
        return Rows(self.sentences[which], self.slots[which], self.nodes[which], self.tokens[which],
                    self.lengths[which], self.log_probs[which], self.penalties[which], self.token_log_probs[which],
                    self.ends[which], parents, prefixes, None if self.attention is None else self.attention[which])


@dataclass(frozen=True)
class Ended:
    """A whole sentence: its last node, and what it is worth."""

    score: float
    node: int
    log_prob: float
    finished: bool


@dataclass(frozen=True)
class Trace:
    """The tree of all hypotheses that a search kept of one sentence, a node for each token; see `plot_beam`.

    Attributes
    ----------
    parents : (n,) int64
        The node before each, -1 for first tokens; a parent stands before its children.
    tokens : (n,) int64
    log_probs : (n,) float64
        Nats, of each token.
    scores : (n,) float64
        Of the sentence so far, by the search's objective, without coverage.
    lengths : (n,) int64
        Tokens so far.
    ended : (n,) bool
        Is a sentence over here?
    slots : (n,) int64
        Which beam, where there are several.
    """

    parents: np.ndarray
    tokens: np.ndarray
    log_probs: np.ndarray
    scores: np.ndarray
    lengths: np.ndarray
    ended: np.ndarray
    slots: np.ndarray

    def sentence(self, node: int) -> list[int]:
        """The tokens up to a node."""
        found = []
        while node != ROOT:
            found.append(int(self.tokens[node]))
            node = int(self.parents[node])
        return found[::-1]


class Nodes:
    """All tokens of all hypotheses, each with the one before it."""

    def __init__(self) -> None:
        self.count = 0
        self.rows: list[tuple[np.ndarray, ...]] = []

    def add(self, rows: Rows) -> None:
        """Give each row a node of its own, behind the one that it has."""
        before = rows.nodes
        rows.nodes = np.arange(self.count, self.count + len(rows))
        self.count += len(rows)
        self.rows.append((before, rows.tokens, rows.token_log_probs, rows.sentences, rows.lengths, rows.log_probs,
                          rows.penalties, rows.ends, rows.slots))

    def column(self, number: int) -> np.ndarray:
        """One property of all nodes."""
        return np.concatenate([rows[number] for rows in self.rows]) if self.rows else np.zeros(0, np.int64)

    def hypotheses(self, ended: Sequence[Sequence[Ended]]) -> list[list[Hypothesis]]:
        """The sentences that end at some nodes."""
        parents, tokens, log_probs = (self.column(k).tolist() for k in range(3))

        def read(one: Ended) -> Hypothesis:
            node, path = one.node, list[int]()
            while node != ROOT:
                path.append(node)
                node = parents[node]
            path.reverse()
            return Hypothesis([tokens[k] for k in path], one.score, one.log_prob, [log_probs[k] for k in path],
                              one.finished)

        return [[read(one) for one in sentence] for sentence in ended]

    def traces(self, sentences: int, objective: Objective) -> list[Trace]:
        """The tree of each sentence."""
        columns = [self.column(k) for k in range(9)]
        found = []
        for sentence in range(sentences):
            own = np.flatnonzero(columns[3] == sentence)
            number = np.full(self.count + 1, ROOT)      # the last entry: the root's
            number[own] = np.arange(len(own))
            parents, tokens, log_probs, _, lengths, totals, penalties, ended, slots = (c[own] for c in columns)
            scores = [objective.score(total, length, extra)
                      for total, length, extra in zip(totals.tolist(), lengths.tolist(), penalties.tolist())]
            found.append(Trace(number[parents], tokens, log_probs, np.array(scores), lengths, ended.astype(np.bool_),
                               slots))
        return found
