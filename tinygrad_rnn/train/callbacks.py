"""What happens beside the steps: a progress bar, checkpoints now and then, anything every N steps.

A callback is any function of the training, called after each step.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from tqdm import tqdm

from .updates import Updates

Callback = Callable[[Any], object]


def every(steps: int, action: Callback) -> Callback:
    """Call action(training) after every `steps` steps."""
    def callback(training: Updates) -> None:
        if training.step % steps == 0:
            action(training)
    return callback


class Saver:
    """Call `save` now and then: at most every `seconds`, and so that saving takes no more than 2 % of the time."""

    def __init__(self, save: Callable[[], object], seconds: float = 10.0) -> None:
        self.save, self.seconds = save, seconds
        self.due = time.perf_counter() + seconds

    def __call__(self, training: Updates) -> None:
        begun = time.perf_counter()
        if begun >= self.due:
            self.save()
            ended = time.perf_counter()
            self.due = ended + max(self.seconds, 50 * (ended - begun))


class ProgressBar:
    """A bar on standard error with bits or nats a token, tokens a second and the time left.  A context manager.

    Parameters
    ----------
    training : Updates
    unit : str
        What a token is, for the rate: "characters".
    unit_of_loss : "bits" or "nats"
    show : bool, optional
        None: only where standard error is a terminal.
    show_rate : bool
        Tell the learning rate too.
    """

    def __init__(self, training: Updates, unit: str = "tokens", show: bool | None = None,
                 unit_of_loss: str = "bits", show_rate: bool = False) -> None:
        self.unit, self.unit_of_loss, self.show_rate = unit, unit_of_loss, show_rate
        self.nats = math.nan
        self.begun, self.tokens = time.perf_counter(), training.tokens
        self.bar: Any = tqdm(total=1.0, initial=training.progress, disable=None if show is None else not show,
                             bar_format="{percentage:3.0f}% |{bar}| {postfix[0]}{elapsed}, {remaining} left",
                             postfix=[""], dynamic_ncols=True, mininterval=0.2, leave=True)

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *exc: object) -> None:
        self.bar.close()

    def __call__(self, training: Updates) -> None:
        if self.bar.disable:
            return
        now = training.losses[-1]
        # A moving average over about twenty windows: single ones differ by what they are about.
        self.nats = now if math.isnan(self.nats) else 0.95 * self.nats + 0.05 * now
        rate = (training.tokens - self.tokens) / (time.perf_counter() - self.begun)
        told = self.nats / (math.log(2) if self.unit_of_loss == "bits" else 1.0)
        pace = f"learning rate {training.optimizer.param_groups[0]['lr']:.2g}, " if self.show_rate else ""
        self.bar.postfix[0] = f"{told:.3f} {self.unit_of_loss}, {rate:,.0f} {self.unit}/s, {pace}"
        self.bar.update(training.progress - self.bar.n)

    def write(self, text: str) -> None:
        """Print a text to standard output, above the bar."""
        self.bar.write(text) if not self.bar.disable else print(text, flush=True)
