"""What happens beside the steps: a progress bar, checkpoints now and then, anything every N steps.

A callback is any function of the `Training`, called after each step.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from tqdm import tqdm

from .loop import Training

Callback = Callable[[Training], object]


def every(steps: int, action: Callback) -> Callback:
    """Call action(training) after every `steps` steps."""
    def callback(training: Training) -> None:
        if training.step % steps == 0:
            action(training)
    return callback


class Saver:
    """Call `save` now and then: at most every `seconds`, and so that saving takes no more than 2 % of the time."""

    def __init__(self, save: Callable[[], object], seconds: float = 10.0) -> None:
        self.save, self.seconds = save, seconds
        self.due = time.perf_counter() + seconds

    def __call__(self, training: Training) -> None:
        begun = time.perf_counter()
        if begun >= self.due:
            self.save()
            ended = time.perf_counter()
            self.due = ended + max(self.seconds, 50 * (ended - begun))


class ProgressBar:
    """A bar on standard error with bits a token, tokens a second and the time left.  A context manager.

    Parameters
    ----------
    training : Training
    unit : str
        What a token is, for the rate: "characters".
    show : bool, optional
        None: only where standard error is a terminal.
    """

    def __init__(self, training: Training, unit: str = "tokens", show: bool | None = None) -> None:
        self.unit = unit
        self.bits = math.nan
        self.begun, self.step = time.perf_counter(), training.step
        self.bar: Any = tqdm(total=1.0, initial=training.progress, disable=None if show is None else not show,
                             bar_format="{percentage:3.0f}% |{bar}| {postfix[0]}{elapsed}, {remaining} left",
                             postfix=[""], dynamic_ncols=True, mininterval=0.2, leave=True)

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *exc: object) -> None:
        self.bar.close()

    def __call__(self, training: Training) -> None:
        if self.bar.disable:
            return
        now = training.losses[-1] / math.log(2)
        # A moving average over about twenty windows: single ones differ by what they are about.
        self.bits = now if math.isnan(self.bits) else 0.95 * self.bits + 0.05 * now
        tokens = (training.step - self.step) * training.windows.seq_len * training.windows.batch
        rate = tokens / (time.perf_counter() - self.begun)
        self.bar.postfix[0] = f"{self.bits:.3f} bits, {rate:,.0f} {self.unit}/s, "
        self.bar.update(training.progress - self.bar.n)

    def write(self, text: str) -> None:
        """Print a text to standard output, above the bar."""
        self.bar.write(text) if not self.bar.disable else print(text, flush=True)
