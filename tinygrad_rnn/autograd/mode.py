"""What the tape does at this moment, a thread at a time: record or not, look for NaN or not."""

from __future__ import annotations

import threading
from contextlib import ContextDecorator
from typing import Any


class _Mode(threading.local):
    grad = True
    anomaly = False


MODE = _Mode()


class _Setting(ContextDecorator):
    """Sets one field of MODE for a block or for a decorated function, and restores it."""

    field: str
    value: bool

    def __init__(self) -> None:
        self._before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(getattr(MODE, self.field))
        setattr(MODE, self.field, self.value)

    def __exit__(self, *exc: Any) -> None:
        setattr(MODE, self.field, self._before.pop())

    def _recreate_cm(self) -> "_Setting":
        return type(self)()


class no_grad(_Setting):
    """Record nothing inside: results have `requires_grad=False`.  A context manager and a decorator."""

    field, value = "grad", False


class enable_grad(_Setting):
    """Record again inside a `no_grad` block.  A context manager and a decorator."""

    field, value = "grad", True


class detect_anomaly(_Setting):
    """Stop at the first operation that makes a NaN or an infinity out of finite numbers, forward or backward.

    Raises FloatingPointError with the operation, the shapes and the line of user code that called it.  Costs one look at
    every result: for the hunt, not for every day.  A context manager and a decorator.
    """

    field, value = "anomaly", True
