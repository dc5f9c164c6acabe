"""The training loop: truncated back-propagation through time that can stop after any step and go on as if it had not.

A step reads one window, starting from the memory that the window before it left:

    loss = mean cross-entropy of the window        its gradients reach back to the start of the window, no further
    g <- g * min(1, clip / |g|)                    one exploding window must not wreck the model
    Adam's (or another's) step, at the rate lr * (1 - progress)
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from .. import nn, optim
from ..autograd import Tensor
from ..data.windows import Windows
from ..models.language_model import detach


class Diverged(FloatingPointError):
    """Loss, gradient or parameters became NaN or infinite; what was saved before is good."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, held back until the step was complete: the training can be saved now."""


class Training:
    """A language model on its way through a stream, for a budget of steps, passes or minutes.

    Parameters
    ----------
    model : Module
        model(x, state) -> (logits (T, B, V), state), the state a Tensor or nested tuples of them.
    optimizer : optimizer of `optim`
        Its learning rates at this moment are those of the beginning; they decay linearly to 0 over the budget.
    windows : Windows
    steps, epochs, minutes : number
        The budget, exactly one of them, positive.  Minutes count across interruptions.
    clip : float
        Largest norm of the gradient of all parameters together.

    Attributes
    ----------
    step : int
        Steps done.
    seconds : float
        Time since `steps` began, callbacks included, and before an interruption.
    losses : list of float
        Nats a token of every step.
    state : Tensor, nested tuples of Tensors, or None
        Memory carried into the next window.
    """

    def __init__(self, model: nn.Module, optimizer: Any, windows: Windows, *, steps: int | None = None,
                 epochs: int | None = None, minutes: float | None = None, clip: float = 1.0) -> None:
        budget = {"steps": steps, "epochs": epochs, "minutes": minutes}
        given = {name: value for name, value in budget.items() if value is not None}
        if len(given) != 1:
            raise ValueError(f"Training: the budget must be one of steps, epochs and minutes, got {given or 'none'}")
        for name, value in {**given, "clip": clip}.items():
            if not 0 < value < math.inf:
                raise ValueError(f"Training: {name} must be positive, got {value}")
        self.model, self.optimizer, self.windows, self.clip = model, optimizer, windows, clip
        self.limit = steps if epochs is None else epochs * len(windows)     # None: minutes
        self.minutes = minutes
        self.rates = [group["lr"] for group in optimizer.param_groups]
        self.parameters = list(model.parameters())
        self.step, self.seconds, self.losses = 0, 0.0, list[float]()
        self.state: Any = None

    @property
    def progress(self) -> float:
        """Share of the budget that is used up, 0 to 1."""
        if self.limit is not None:
            return min(self.step / self.limit, 1.0)
        return min(self.seconds / (60 * (self.minutes or math.inf)), 1.0)

    def run(self, callbacks: Iterable[Callable[[Training], object]] = ()) -> None:
        """Train until the budget is used up, calling each callback with this object after every step.

        Raises
        ------
        Diverged
            When a NaN or an infinity turns up.
        Interrupted
            A KeyboardInterrupt, raised between two steps.  A second Ctrl-C does not wait.
        """
        with _Interruption() as interruption:
            for _ in self.steps():
                for callback in callbacks:
                    callback(self)
                if interruption.pending:
                    raise Interrupted

    def steps(self) -> Iterator[float]:
        """Train step by step, yielding the loss (nats a token) of each, until the budget is used up."""
        before, begun = self.seconds, time.perf_counter()
        while self.progress < 1:
            for x, y in self.windows:
                if self.windows.window == 1:
                    self.state = None       # a new pass: the streams begin anew
                self.losses.append(self._learn(x, y))
                self.step += 1
                self.seconds = before + time.perf_counter() - begun
                yield self.losses[-1]
                if self.progress >= 1:
                    return

    def _learn(self, x: np.ndarray, y: np.ndarray) -> float:
        """One step on one window; its loss before the step."""
        for group, rate in zip(self.optimizer.param_groups, self.rates):
            group["lr"] = rate * (1 - self.progress)
        logits, state = self.model(x, self.state)
        loss = nn.functional.cross_entropy(logits, y, axis=-1)
        value = float(loss)
        self._check("the loss", math.isfinite(value))
        self.optimizer.zero_grad()
        loss.backward()
        self._check("the gradient", math.isfinite(optim.clip_grad_norm_(self.parameters, self.clip)))
        self.optimizer.step()
        self._check("a parameter", all(np.isfinite(parameter.data).all() for parameter in self.parameters))
        self.state = detach(state)
        return value

    def _check(self, what: str, finite: bool) -> None:
        """Stop at the first NaN: it is in every number soon, and then in the checkpoint."""
        if not finite:
            raise Diverged(f"training diverged at step {self.step + 1}: {what} is NaN or infinite")

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed training needs to end with the very bits of one that was never interrupted."""
        return {
            "model": self.model.state_dict(),
            "streams": self.model.rng_state(),
            "optimizer": self.optimizer.state_dict(),
            "windows": self.windows.state_dict(),
            "memory": _each(Tensor.numpy, self.state),
            "step": self.step,
            "seconds": self.seconds,
            "losses": np.array(self.losses),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        self.model.load_state_dict(state["model"])
        self.model.load_rng_state(state["streams"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.windows.load_state_dict(state["windows"])
        self.state = _each(Tensor, state["memory"])
        self.step, self.seconds, self.losses = state["step"], state["seconds"], state["losses"].tolist()


def _each(f: Callable[[Any], Any], state: Any) -> Any:
    """f of every part of a recurrent state."""
    if state is None:
        return None
    return tuple(_each(f, part) for part in state) if isinstance(state, tuple) else f(state)


class _Interruption:
    """Holds Ctrl-C back, so that it does not tear a step in two.  The second one is let through at once."""

    def __init__(self) -> None:
        self.pending = False
        self.before: Any = None

    def __enter__(self) -> _Interruption:
        # Only the main thread may say what a signal does; elsewhere Ctrl-C never arrives.
        if threading.current_thread() is threading.main_thread():
            self.before = signal.signal(signal.SIGINT, self._hold)
        return self

    def _hold(self, *_: object) -> None:
        if self.pending:
            raise KeyboardInterrupt
        self.pending = True

    def __exit__(self, *exc: object) -> None:
        if self.before is not None:
            signal.signal(signal.SIGINT, self.before)
