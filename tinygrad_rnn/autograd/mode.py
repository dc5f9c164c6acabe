"""What the tape does at this moment: record or not, look for NaN or not.

The mode is a context variable: each thread, and each asyncio task, has its own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import ContextDecorator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


class Mode:
    """One setting of the tape, and the setting that it stands inside of."""

    __slots__ = ("grad", "anomaly", "outer")

    def __init__(self, grad: bool, anomaly: bool, outer: Mode | None = None) -> None:
        self.grad, self.anomaly, self.outer = grad, anomaly, outer


_OUTERMOST = Mode(grad=True, anomaly=False)
MODE: ContextVar[Mode] = ContextVar("tinygrad_rnn.mode", default=_OUTERMOST)


class _Setting(ContextDecorator):
    """Changes the mode for a block, or for each call of a decorated function."""

    # Entering links the new mode to the old one, so that an instance holds nothing: it can be nested in itself and
    # shared.

    if not TYPE_CHECKING:
        def __new__(cls, function=None):
            """A setting; or, for `@no_grad` without brackets, the decorated function."""
            setting = super().__new__(cls)
            return setting if function is None else setting(function)

    def __enter__(self) -> None:
        MODE.set(self.changed(MODE.get()))

    def __exit__(self, *exc: object) -> None:
        outer = MODE.get().outer
        if outer is not None:
            MODE.set(outer)

    def changed(self, now: Mode) -> Mode:
        """The mode inside the block."""
        raise NotImplementedError

    def __call__(self, func: F) -> F:
        if inspect.isgeneratorfunction(func) or inspect.iscoroutinefunction(func) or inspect.isasyncgenfunction(func):
            raise TypeError(f"{type(self).__name__}: cannot decorate {func.__name__}, whose body runs after the call: "
                            f"write `with {type(self).__name__}():` inside it, around what does not yield")
        return super().__call__(func)


class no_grad(_Setting):
    """Record nothing inside: results have `requires_grad=False`.  A context manager and a decorator."""

    def changed(self, now: Mode) -> Mode:
        """The same mode without recording."""
        return Mode(False, now.anomaly, now)


class enable_grad(_Setting):
    """Record again inside a `no_grad` block.  A context manager and a decorator."""

    def changed(self, now: Mode) -> Mode:
        """The same mode with recording."""
        return Mode(True, now.anomaly, now)


class detect_anomaly(_Setting):
    """Stop at the first operation that makes a NaN or an infinity out of finite numbers, forward or backward.

    Raises FloatingPointError with the operation, the shapes and the line of user code that called it.  Costs one look
    at every result: for the hunt, not for every day.  A context manager and a decorator.
    """

    def changed(self, now: Mode) -> Mode:
        """The same mode with a look at every result."""
        return Mode(now.grad, True, now)
