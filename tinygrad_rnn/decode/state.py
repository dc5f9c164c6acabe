"""A model's state, whatever it is made of: tuples, lists and dicts, nested, of arrays or Tensors with a first axis N.

The search reorders the rows of it and understands nothing else. What `step` hands on untouched, the very object that it
was given, belongs to the sentence and not to the hypothesis (the encoder's output): while the rows' sentences stay the
same it is not copied.

A model that keeps what it reads outside of the state numbers its rows in an entry `PLACE` of a dict: where a sentence
stands, not what it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..autograd import Tensor
from ..autograd.tensor import constant

PLACE = "sentence"


def leaves(state: Any, path: str = "state") -> Iterator[tuple[str, Any]]:
    """The arrays of a state with their paths, always in the same order."""
    if isinstance(state, dict):
        for key, value in state.items():
            yield from leaves(value, f"{path}[{key!r}]")
    elif isinstance(state, (tuple, list)):
        for k, value in enumerate(state):
            yield from leaves(value, f"{path}[{k}]")
    elif isinstance(state, (np.ndarray, Tensor)):
        yield path, state
    elif state is not None:
        raise TypeError(f"{path}: expected an array, a Tensor, or tuples, lists and dicts of them, got "
                        f"{type(state).__name__}")


def flat(state: Any, found: list[Any]) -> list[Any]:
    """The arrays of a state without their paths, which is faster; None for what is no array."""
    if isinstance(state, (tuple, list)):
        for value in state:
            flat(value, found)
    elif isinstance(state, dict):
        for value in state.values():
            flat(value, found)
    elif state is not None:
        found.append(state if isinstance(state, (np.ndarray, Tensor)) else None)
    return found


def rebuilt(state: Any, values: Iterator[Any]) -> Any:
    """The same nesting of other arrays."""
    if isinstance(state, dict):
        return {key: rebuilt(value, values) for key, value in state.items()}
    if isinstance(state, (tuple, list)):
        parts = [rebuilt(value, values) for value in state]
        kind = type(state)
        return kind(*parts) if hasattr(state, "_fields") else kind(parts)
    return None if state is None else next(values)


def rows_of(state: Any) -> int:
    """N, the length of the first axis, which all arrays of a state share.

    Raises
    ------
    ValueError
        For a state without arrays, or with arrays that do not agree.
    """
    found = list(leaves(state))
    if not found:
        raise ValueError("state must hold at least one array, whose first axis leads with the sentences, got none")
    path, first = found[0]
    if not first.ndim:
        raise ValueError(f"{path} must have the sentences as its first axis, got a single number")
    check_rows(found, first.shape[0])
    return int(first.shape[0])


def check_rows(found: Sequence[tuple[str, Any]], rows: int) -> None:
    """Has every array a row for each hypothesis?"""
    for path, leaf in found:
        if not leaf.ndim or leaf.shape[0] != rows:
            raise ValueError(f"{path} must have first axis N = {rows}, got shape {tuple(leaf.shape)}")


def taken(leaf: Any, rows: np.ndarray) -> Any:
    """Some rows of an array or Tensor."""
    return constant(leaf.data[rows]) if isinstance(leaf, Tensor) else leaf[rows]


class Carrier:
    """Hands a state from step to step, each row going where the search wants it."""

    def __init__(self, state: Any) -> None:
        self.rows = rows_of(state)
        self.before = [leaf for _, leaf in leaves(state)]
        self.untouched = [True] * len(self.before)

    def check(self, state: Any) -> None:
        """Is it as long as the state that was given?"""
        self.after = found = flat(state, [])
        if len(found) != len(self.before):
            raise ValueError(f"step must return a state made like the one it was given, of {len(self.before)} arrays, "
                             f"got {len(found)}")
        for leaf in found:
            if leaf is None or not leaf.ndim or leaf.shape[0] != self.rows:
                check_rows(list(leaves(state)), self.rows)

    def __call__(self, state: Any, parents: np.ndarray | None, same: bool) -> Any:
        """The rows `parents` of a state that was checked; None for all of them.

        same : do the new rows belong to the same sentences as the old ones, one by one?
        """
        self.untouched = [old and a is b for old, a, b in zip(self.untouched, self.before, self.after)]
        if parents is None:
            self.before = self.after
            return state
        self.before = [leaf if kept and same else taken(leaf, parents)
                       for leaf, kept in zip(self.after, self.untouched)]
        self.rows = len(parents)
        return rebuilt(state, iter(self.before))
