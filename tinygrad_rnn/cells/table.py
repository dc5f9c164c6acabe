"""A table of integers for compiled code, most of which are known once and for all, the others addresses."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ..kernels.address import address_of

WORD = np.dtype(np.int64)


class Table:
    """Integers and addresses, in order: `word(n)`, `address("record", bytes behind its start)`; `filled` gives them.

    "table" is the address of the table itself.
    """

    def __init__(self) -> None:
        self.words: list[int] = []
        self._addresses: list[tuple[int, str]] = []         # where, of what
        self._finders: list[tuple[str, Callable[[np.ndarray], int]]] = []

    def word(self, *numbers: int) -> None:
        """More integers."""
        self.words.extend(numbers)

    def address(self, name: str, behind: int = 0) -> None:
        """An address that each run knows, and so many bytes."""
        self._addresses.append((len(self.words), name))
        self.words.append(behind)

    def finish(self) -> Table:
        """No more entries."""
        self._template = np.array(self.words, WORD)
        self._names = list(dict.fromkeys(name for _, name in self._addresses if name != "table"))
        self._where = np.array([where for where, _ in self._addresses], np.intp)
        self._which = np.array([["table", *self._names].index(name) for _, name in self._addresses], np.intp)
        return self

    def filled(self, arrays: Mapping[str, np.ndarray]) -> tuple[np.ndarray, int]:
        """The integers, with the addresses of the arrays of these names; and where they stand themselves."""
        table = self._template.copy()
        if not self._finders:       # the arrays of a name are all of one kind
            self._finders = [(name, address_of(arrays[name])) for name in self._names]
            self._own = address_of(table)
        own = int(self._own(table))
        found = np.array([own, *[of(arrays[name]) for name, of in self._finders]], WORD)
        table[self._where] += found[self._which]
        return table, own
