"""A Tensor that a module learns."""

from __future__ import annotations

from typing import Any

from ..autograd import Tensor


class Parameter(Tensor):
    """A leaf tensor that a Module finds among its attributes and an optimizer moves.

    Parameters
    ----------
    data : array_like, floating
        Copied.
    requires_grad : bool
        False: frozen.  It belongs to the state of its module, and no optimizer moves it.
    """

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        super().__init__(data, requires_grad=requires_grad)

    def __repr__(self) -> str:
        return f"Parameter({super().__repr__()})"
