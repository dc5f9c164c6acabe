"""The training loop: truncated back-propagation through time that can stop after any step and go on as if it had not.

A step reads one window, starting from the memory that the window before it left:

    loss = mean cross-entropy of the window        its gradients reach back to the start of the window, no further
    the update                                     of `updates`, at the rate lr * (1 - progress)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from .. import nn
from ..autograd import Tensor
from ..data.windows import Windows
from ..models.language_model import detach
from .updates import Updates


class Training(Updates):
    """A language model on its way through a stream, for a budget of steps, passes or minutes.

    Parameters
    ----------
    model : Module
        model(x, state) -> (logits (T, B, V), state), the state a Tensor or nested tuples of them.
    optimizer : optimizer of `optim`
        Its learning rates at this moment are those of the beginning; they decay linearly to 0 over the budget.
    windows : Windows
    steps, epochs, minutes, clip : see `Updates`

    Attributes
    ----------
    step, seconds, losses : see `Updates`
    state : Tensor, nested tuples of Tensors, or None
        Memory carried into the next window.
    """

    def __init__(self, model: nn.Module, optimizer: Any, windows: Windows, *, steps: int | None = None,
                 epochs: int | None = None, minutes: float | None = None, clip: float = 1.0) -> None:
        super().__init__(model, optimizer, windows, steps=steps, epochs=epochs, minutes=minutes, clip=clip)
        self.windows = windows
        self.state: Any = None

    @property
    def tokens(self) -> int:
        """Tokens learned from."""
        return self.step * self.windows.seq_len * self.windows.batch

    def batches(self) -> Iterator[Any]:
        """The windows (x, y) that are left of this pass."""
        for window in self.windows:
            if self.windows.window == 1:
                self.state = None       # a new pass: the streams begin anew
            yield window

    def loss(self, batch: Any) -> Tensor:
        """Nats a token of a window; the memory goes on, and gradients do not."""
        x, y = batch
        logits, state = self.model(x, self.state)
        self.state = detach(state)
        return nn.functional.cross_entropy(logits, y, axis=-1)

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed training needs to end with the very bits of one that was never interrupted."""
        return {**super().state_dict(), "windows": self.windows.state_dict(),
                "memory": _each(Tensor.numpy, self.state)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        super().load_state_dict(state)
        self.windows.load_state_dict(state["windows"])
        self.state = _each(Tensor, state["memory"])


def _each(f: Callable[[Any], Any], state: Any) -> Any:
    """f of every part of a recurrent state."""
    if state is None:
        return None
    return tuple(_each(f, part) for part in state) if isinstance(state, tuple) else f(state)
