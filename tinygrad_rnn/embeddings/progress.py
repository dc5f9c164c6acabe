"""The bar of a run of word2vec: words a second, learning rate, loss."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from tqdm import tqdm

from .plan import Plan


class Bar:
    """On standard error; a context manager.

    Parameters
    ----------
    plan : Plan
    epoch, position : int
        Where the run begins.
    show : bool, optional
        None: only where standard error is a terminal.
    """

    def __init__(self, plan: Plan, epoch: int, position: int, show: bool | None) -> None:
        size = len(plan.ids)
        self.plan, self.begun, self.start = plan, time.perf_counter(), epoch * size + position
        self.bar: Any = tqdm(total=plan.epochs * size, initial=self.start, unit=" words", leave=False,
                             disable=None if show is None else not show, mininterval=0.2, dynamic_ncols=True,
                             bar_format="{percentage:3.0f}% |{bar}| {postfix[0]}{elapsed}, {remaining} left",
                             postfix=[""])

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *exc: object) -> None:
        self.bar.close()

    def update(self, epoch: int, position: int, totals: np.ndarray) -> None:
        """Show how far the run has come; `totals`: loss and pairs of this pass."""
        if self.bar.disable:
            return
        done = epoch * len(self.plan.ids) + position
        rate, slope = self.plan.rate(epoch)
        speed = (done - self.start) / (time.perf_counter() - self.begun)
        self.bar.postfix[0] = (f"{speed:,.0f} words/s, rate {rate + slope * position:.4f}, "
                               f"loss {totals[0] / max(totals[1], 1):.3f}, ")
        self.bar.update(done - self.bar.n)
        if done == self.bar.total:
            self.bar.refresh()
