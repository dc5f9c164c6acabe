"""A schedule that listens: the rate falls when the loss has stopped falling."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from .base import Optimizer


class ReduceLROnPlateau:
    """rate * factor, at least min_lr, after more than `patience` steps in a row without a better metric.

    Parameters
    ----------
    optimizer : Optimizer
    mode : "min" or "max"
        Whether a smaller or a larger metric is better.
    factor : float in (0, 1)
    patience : int
        Steps without improvement that are put up with.
    threshold : float
        How much better counts: with "rel" a share of the best so far, with "abs" as it is.
    threshold_mode : "rel" or "abs"
    cooldown : int
        Steps after a reduction that do not count.
    min_lr : float, or one a group
    eps : float
        A smaller change of the rate is not made.

    Attributes
    ----------
    best : float
        The best metric so far.
    num_bad_epochs, cooldown_counter, last_epoch : int

    Raises
    ------
    TypeError, ValueError
        For what is no Optimizer, words or numbers out of range, another number of min_lr than groups.

    Notes
    -----
    Its state is what it has heard, so a run resumes with `state_dict`; a NaN is no improvement.
    """

    def __init__(self, optimizer: Optimizer, mode: str = "min", factor: float = 0.1, patience: int = 10,
                 threshold: float = 1e-4, threshold_mode: str = "rel", cooldown: int = 0,
                 min_lr: float | Sequence[float] = 0.0, eps: float = 1e-8) -> None:
        who = "ReduceLROnPlateau"
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{who}: optimizer must be an Optimizer, got {type(optimizer).__name__}")
        for name, word, words in (("mode", mode, ("min", "max")), ("threshold_mode", threshold_mode, ("rel", "abs"))):
            if word not in words:
                raise ValueError(f"{who}: {name} must be one of {', '.join(words)}, got {word!r}")
        if not 0 < factor < 1:
            raise ValueError(f"{who}: factor must lie between 0 and 1, got {factor}")
        for name, number in (("patience", patience), ("threshold", threshold), ("cooldown", cooldown), ("eps", eps)):
            if not number >= 0:
                raise ValueError(f"{who}: {name} must not be negative, got {number}")
        groups = len(optimizer.param_groups)
        self.min_lrs = list(min_lr) if isinstance(min_lr, (list, tuple)) else [min_lr] * groups
        if len(self.min_lrs) != groups:
            raise ValueError(f"{who}: min_lr must be one number or {groups}, one a group, got {len(self.min_lrs)}")
        self.optimizer, self.mode, self.factor, self.patience = optimizer, mode, factor, patience
        self.threshold, self.threshold_mode, self.cooldown, self.eps = threshold, threshold_mode, cooldown, eps
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = self.last_epoch = 0

    def step(self, metrics: Any) -> None:
        """Hear a metric, a number; set the rates if it is time."""
        current = float(metrics)
        self.last_epoch += 1
        if self._is_better(current):
            self.best, self.num_bad_epochs = current, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            for group, least in zip(self.optimizer.param_groups, self.min_lrs):
                lower = max(group["lr"] * self.factor, least)
                if group["lr"] - lower > self.eps:
                    group["lr"] = lower
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0

    def _is_better(self, current: float) -> bool:
        sign = 1 if self.mode == "max" else -1
        if self.threshold_mode == "rel":
            bound = self.best * (1 + sign * self.threshold)
        else:
            bound = self.best + sign * self.threshold
        return sign * current > sign * bound

    def get_last_lr(self) -> list[float]:
        """The rate of each group now."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """What it has heard, as plain numbers; the rates stand in the optimizer's."""
        return {name: getattr(self, name) for name in ("best", "num_bad_epochs", "cooldown_counter", "last_epoch")}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken.  ValueError if something is missing; nothing is changed then."""
        missing = self.state_dict().keys() - state_dict.keys()
        if missing:
            raise ValueError(f"ReduceLROnPlateau.load_state_dict: {', '.join(sorted(missing))} are missing")
        for name, now in self.state_dict().items():
            setattr(self, name, type(now)(state_dict[name]))
