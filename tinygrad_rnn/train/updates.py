"""Updates of a model for a budget, which can stop after any of them and go on as if they had not.

    loss                                           of one batch
    g <- g * min(1, clip / |g|)                    one exploding batch must not wreck the model
    Adam's (or another's) step, at the rate lr * factor(progress)
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self

import numpy as np

from .. import nn, optim
from ..autograd import Tensor


class Diverged(FloatingPointError):
    """Loss, gradient or parameters became NaN or infinite; what was saved before is good."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, held back until the step was complete: the training can be saved now."""


class Updates:
    """What all trainings share: the budget, the steps, and a stop between two of them.

    A subclass says what a pass and the loss of a batch are; see `Training`.

    Parameters
    ----------
    model : Module
    optimizer : optimizer of `optim`
        Its learning rates at this moment are those that the factor multiplies.
    passes : sized
        Its length is the number of batches of a pass.
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
    """

    def __init__(self, model: nn.Module, optimizer: Any, passes: Any, *, steps: int | None = None,
                 epochs: int | None = None, minutes: float | None = None, clip: float = 1.0) -> None:
        budget = {"steps": steps, "epochs": epochs, "minutes": minutes}
        given = {name: value for name, value in budget.items() if value is not None}
        who = type(self).__name__
        if len(given) != 1:
            raise ValueError(f"{who}: the budget must be one of steps, epochs and minutes, got {given or 'none'}")
        for name, value in {**given, "clip": clip}.items():
            if not 0 < value < math.inf:
                raise ValueError(f"{who}: {name} must be positive, got {value}")
        self.model, self.optimizer, self.clip = model, optimizer, clip
        self.limit = steps if epochs is None else epochs * len(passes)      # None: minutes
        self.minutes = minutes
        self.rates = [group["lr"] for group in optimizer.param_groups]
        self.parameters = list(model.parameters())
        self.step, self.seconds, self.losses = 0, 0.0, list[float]()

    @property
    def progress(self) -> float:
        """Share of the budget that is used up, 0 to 1."""
        if self.limit is not None:
            return min(self.step / self.limit, 1.0)
        return min(self.seconds / (60 * (self.minutes or math.inf)), 1.0)

    @property
    def tokens(self) -> int:
        """Tokens learned from."""
        raise NotImplementedError

    def batches(self) -> Iterator[Any]:
        """What is left of this pass, batch by batch."""
        raise NotImplementedError

    def loss(self, batch: Any) -> Tensor:
        """Nats a token of a batch."""
        raise NotImplementedError

    def factor(self) -> float:
        """What the learning rates are multiplied by, at this moment."""
        return 1 - self.progress

    def run(self, callbacks: Iterable[Callable[[Self], object]] = ()) -> None:
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
            for batch in self.batches():
                self.losses.append(self._learn(batch))
                self.step += 1
                self.seconds = before + time.perf_counter() - begun
                yield self.losses[-1]
                if self.progress >= 1:
                    return

    def _learn(self, batch: Any) -> float:
        """One step on one batch; its loss before the step."""
        factor = self.factor()
        for group, rate in zip(self.optimizer.param_groups, self.rates):
            group["lr"] = rate * factor
        loss = self.loss(batch)
        value = float(loss)
        self._check("the loss", math.isfinite(value))
        self.optimizer.zero_grad()
        loss.backward()
        self._check("the gradient", math.isfinite(optim.clip_grad_norm_(self.parameters, self.clip)))
        self.optimizer.step()
        self._check("a parameter", all(np.isfinite(parameter.data).all() for parameter in self.parameters))
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
            "step": self.step,
            "seconds": self.seconds,
            "losses": np.array(self.losses),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        self.model.load_state_dict(state["model"])
        self.model.load_rng_state(state["streams"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds, self.losses = state["step"], state["seconds"], state["losses"].tolist()


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
