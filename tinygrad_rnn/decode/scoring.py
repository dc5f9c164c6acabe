"""Teacher-forced scoring: what the model thinks of given sentences, by the objective of the search.

    log P(y | x) = sum over t of log p(y_t | y_1 ... y_t-1, x)

The model reads the given tokens instead of its own, so that a reference and a hypothesis can be compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ..autograd import Tensor
from .adjusters import Adjuster, ids
from .coverage import Coverage, as_coverage
from .hypothesis import Objective
from .loop import Loop, Step, logits_of
from .rows import Ended, Rows
from .state import rows_of


class Forced:
    """The strategy: the given token, whatever the model would prefer."""

    def __init__(self, references: Sequence[tuple[int, ...]], observe: Callable[[Any], Any] | None) -> None:
        self.references, self.observe = references, observe
        self.seen: list[list[np.ndarray]] = [[] for _ in references]

    def begin(self, loop: Loop) -> None:
        """Get to know the loop that asks."""
        self.loop = loop

    def pick(self, log_probs: np.ndarray, rows: Rows) -> Rows:
        """See `Strategy`."""
        given = [self.references[s][t] for s, t in zip(rows.sentences.tolist(), rows.lengths.tolist())]
        tokens, size = np.array(given, np.int64), log_probs.shape[1]
        if tokens.max() >= size:
            row = int(tokens.argmax())
            raise ValueError(f"score_sentences: {self.loop.place(rows, row)}, token {tokens[row]} is not in the "
                             f"vocabulary of {size}")
        chosen = self.loop.chosen(log_probs, tokens)
        self.loop.check(chosen, rows, False)
        return rows.continued(None, tokens, chosen, self.loop.last(rows))

    def settle(self, picked: Rows, rows: Rows, ended: Sequence[Sequence[Ended]]) -> np.ndarray | None:
        """All go on."""
        return None


def score_sentences(step: Step, state: Any, sentences: Sequence[Iterable[int]], *, bos: Any, eos: int | None,
                    alpha: float = 0.0, length_penalty: str = "power", coverage: Coverage | float | None = None,
                    adjusters: Sequence[Adjuster] = (), observe: Callable[[Any], Any] | None = None) -> Any:
    """Score given sentences as if they had been found.

    Parameters
    ----------
    step, state, bos, eos, adjusters : see `greedy`
    sentences : B sequences of ids
        One for each sentence of the state, at least one token each, the end token included where it counts.
    alpha, length_penalty, coverage : see `beam_search`
    observe : callable (state) -> array (N, ...), optional
        What to keep of the state after each step, such as attention weights.

    Returns
    -------
    list of B Hypothesis
        log_prob is -inf for what the model, or an adjuster, holds for impossible.
    list of B arrays (T, ...), if `observe` is given

    Raises
    ------
    ValueError, TypeError
        As `greedy`; for a number of sentences that is not B, an empty one, a token that is not in the vocabulary.
    """
    given = [ids(one, f"score_sentences: sentence {k}") for k, one in enumerate(sentences)]
    strategy, step = Forced(given, observe), logits_of(step)

    def watched(tokens: np.ndarray, before: Any) -> tuple[Any, Any]:
        log_probs, after = step(tokens, before)
        if observe is not None:
            found = observe(after)
            array = np.asarray(found.data if isinstance(found, Tensor) else found)
            if not array.ndim or len(array) != len(tokens):
                raise ValueError(f"score_sentences: observe must return a row for each of {len(tokens)} hypotheses, "
                                 f"got shape {array.shape}")
            for sentence, row in zip(loop.rows.sentences.tolist(), array):
                strategy.seen[sentence].append(row.copy())
        return log_probs, after

    if len(given) != rows_of(state):
        raise ValueError(f"score_sentences: expected {rows_of(state)} sentences, one for each of the state, got "
                         f"{len(given)}")
    lengths = np.array([len(one) for one in given], np.int64)
    loop = Loop("score_sentences", watched, state, strategy, bos=bos, eos=eos, max_length=lengths,
                adjusters=adjusters, objective=Objective(alpha, length_penalty), coverage=as_coverage(coverage))
    strategy.begin(loop)
    found = [one for one, in loop.run()]
    return (found, [np.stack(rows) for rows in strategy.seen]) if observe is not None else found
