"""Schedules: the learning rate as a function of the number of steps taken, in closed form.

Each schedule is one function, `lr(base, t)`: the rate after t steps, from the rate that the optimizer was made with.
Nothing is accumulated, so that a resumed run has the very rates of one that was never interrupted.  The one schedule
that listens to the loss, `ReduceLROnPlateau`, stands in plateau.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .base import Optimizer
from .plateau import ReduceLROnPlateau as ReduceLROnPlateau  # noqa: F401


class LRScheduler:
    """Base of the schedules: call `step()` after the optimizer's.

    Parameters
    ----------
    optimizer : Optimizer
        Its groups' rates are what the schedule starts from; they are set at once for step 0.
    last_epoch : int
        Steps taken already; -1 to begin.  `load_state_dict` sets it when a run resumes.

    Attributes
    ----------
    base_lrs : list of float
        One a group.
    last_epoch : int
        Steps taken.  The unit is whatever `step()` is called for: an epoch, or an update.
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(self).__name__}: optimizer must be an Optimizer, got {type(optimizer).__name__}")
        if last_epoch < -1:
            raise ValueError(f"{type(self).__name__}: last_epoch must be at least -1, got {last_epoch}")
        self.optimizer = optimizer
        if last_epoch == -1:
            for group in optimizer.param_groups:
                group.setdefault("initial_lr", group["lr"])
        elif not all("initial_lr" in group for group in optimizer.param_groups):
            raise ValueError(f"{type(self).__name__}: last_epoch={last_epoch} needs 'initial_lr' in every group of the "
                             "optimizer: load the optimizer's state first")
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = max(last_epoch, 0)
        self._apply()

    def lr(self, base: float, t: int) -> float:
        """The rate after t steps."""
        raise NotImplementedError

    def step(self) -> None:
        """Count one step and set the rates."""
        self.last_epoch += 1
        self._apply()

    def get_last_lr(self) -> list[float]:
        """The rate of each group now."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def _apply(self) -> None:
        for k, group in enumerate(self.optimizer.param_groups):
            group["lr"] = float(self._group_lr(k, self.base_lrs[k], self.last_epoch))

    def _group_lr(self, group: int, base: float, t: int) -> float:
        """`lr`, for a schedule that treats groups differently."""
        return self.lr(base, t)

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers: how far it is, and from where."""
        return {"last_epoch": self.last_epoch, "base_lrs": list(self.base_lrs)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken.  ValueError if it belongs to another number of groups."""
        if {"last_epoch", "base_lrs"} - state_dict.keys() or len(state_dict["base_lrs"]) != len(self.base_lrs):
            raise ValueError(f"{type(self).__name__}.load_state_dict: expected last_epoch and {len(self.base_lrs)} "
                             f"base_lrs, got {dict(state_dict)}")
        self.last_epoch, self.base_lrs = int(state_dict["last_epoch"]), [float(lr) for lr in state_dict["base_lrs"]]
        self._apply()


class LambdaLR(LRScheduler):
    """base * lr_lambda(t); one function, or one a group."""

    def __init__(self, optimizer: Optimizer, lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
                 last_epoch: int = -1) -> None:
        groups = len(optimizer.param_groups)
        self.lr_lambdas = [lr_lambda] * groups if callable(lr_lambda) else list(lr_lambda)
        if len(self.lr_lambdas) != groups:
            raise ValueError(f"LambdaLR: expected one function or {groups}, one a group, got {len(self.lr_lambdas)}")
        super().__init__(optimizer, last_epoch)

    def _group_lr(self, group: int, base: float, t: int) -> float:
        return base * self.lr_lambdas[group](t)


class StepLR(LRScheduler):
    """base * gamma^floor(t / step_size)."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        _at_least("StepLR", "step_size", step_size, 1)
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def lr(self, base: float, t: int) -> float:
        """The rate after t steps."""
        return base * self.gamma ** (t // self.step_size)


class ExponentialLR(LRScheduler):
    """base * gamma^t."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def lr(self, base: float, t: int) -> float:
        """The rate after t steps."""
        return base * self.gamma ** t


class LinearLR(LRScheduler):
    """From base * start_factor to base * end_factor in total_iters steps, constant after: a warm-up, or a decay.

    `LinearLR(optimizer, 1.0, 0.0, total_iters=steps)` falls to 0; `LinearLR(optimizer, 0.01, total_iters=500)` warms
    up, and `SequentialLR` puts one after the other.
    """

    def __init__(self, optimizer: Optimizer, start_factor: float = 1 / 3, end_factor: float = 1.0, total_iters: int = 5,
                 last_epoch: int = -1) -> None:
        if not 0 < start_factor <= 1:
            raise ValueError(f"LinearLR: start_factor must lie in (0, 1], got {start_factor}")
        if not 0 <= end_factor <= 1:
            raise ValueError(f"LinearLR: end_factor must lie in [0, 1], got {end_factor}")
        _at_least("LinearLR", "total_iters", total_iters, 1)
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer, last_epoch)

    def lr(self, base: float, t: int) -> float:
        """The rate after t steps."""
        share = min(t, self.total_iters) / self.total_iters
        return base * (self.start_factor + (self.end_factor - self.start_factor) * share)


class CosineAnnealingLR(LRScheduler):
    """eta_min + (base - eta_min) (1 + cos(pi t / T_max)) / 2 (Loshchilov and Hutter 2016); rises again after T_max."""

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        _at_least("CosineAnnealingLR", "T_max", T_max, 1)
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def lr(self, base: float, t: int) -> float:
        """The rate after t steps."""
        return self.eta_min + (base - self.eta_min) * (1 + math.cos(math.pi * t / self.T_max)) / 2


class OneCycleLR(LRScheduler):
    """Up to max_lr and down again, far below the start, once in a run (Smith and Topin 2017); momentum the other way.

    Parameters
    ----------
    optimizer : Optimizer
    max_lr : float, or one a group
        The rate starts at max_lr / div_factor and ends at max_lr / div_factor / final_div_factor.
    total_steps : int, or epochs and steps_per_epoch : ints
        Steps of the whole cycle.
    pct_start : float in [0, 1]
        Share of the steps that go up.
    anneal_strategy : "cos" or "linear"
    cycle_momentum : bool
        Let momentum (of Adam: beta1) fall from max_momentum to base_momentum while the rate rises, and back.
    base_momentum, max_momentum : float
    div_factor, final_div_factor : float
    three_phase : bool
        Down to the start in as many steps as up, then on to the end.

    Raises
    ------
    ValueError
        For options out of range; by `step`, beyond the last one.
    """

    def __init__(self, optimizer: Optimizer, max_lr: float | Sequence[float], total_steps: int | None = None,
                 epochs: int | None = None, steps_per_epoch: int | None = None, pct_start: float = 0.3,
                 anneal_strategy: str = "cos", cycle_momentum: bool = True, base_momentum: float = 0.85,
                 max_momentum: float = 0.95, div_factor: float = 25.0, final_div_factor: float = 1e4,
                 three_phase: bool = False, last_epoch: int = -1) -> None:
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("OneCycleLR: give total_steps, or epochs and steps_per_epoch")
            _at_least("OneCycleLR", "epochs", epochs, 1)
            _at_least("OneCycleLR", "steps_per_epoch", steps_per_epoch, 1)
            total_steps = epochs * steps_per_epoch
        _at_least("OneCycleLR", "total_steps", total_steps, 1)
        if not 0 <= pct_start <= 1:
            raise ValueError(f"OneCycleLR: pct_start must lie between 0 and 1, got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"OneCycleLR: anneal_strategy must be 'cos' or 'linear', got {anneal_strategy!r}")
        groups = optimizer.param_groups if isinstance(optimizer, Optimizer) else []
        given: Any = max_lr if isinstance(max_lr, (list, tuple)) else [max_lr] * len(groups)
        self.max_lrs: list[float] = list(given)
        if len(self.max_lrs) != len(groups):
            raise ValueError(f"OneCycleLR: max_lr must be one number or {len(groups)}, one a group, got "
                             f"{len(self.max_lrs)}")
        if cycle_momentum and not all("momentum" in group or "betas" in group for group in groups):
            raise ValueError("OneCycleLR: the optimizer has no momentum to cycle; pass cycle_momentum=False")
        up = pct_start * total_steps - 1
        self.total_steps, self.anneal_strategy, self.cycle_momentum = total_steps, anneal_strategy, cycle_momentum
        # (last step, rate as a share of max_lr, momentum) at the end of each phase, after where it starts.
        start, end = 1 / div_factor, 1 / div_factor / final_div_factor
        self.phases = [(0.0, start, max_momentum), (up, 1.0, base_momentum)]
        self.phases += [(2 * up, start, max_momentum)] if three_phase else []
        self.phases += [(total_steps - 1.0, end, max_momentum)]
        if last_epoch == -1:
            for group, highest in zip(groups, self.max_lrs):
                group["initial_lr"] = highest * start
        super().__init__(optimizer, last_epoch)

    def _at(self, t: int, column: int) -> float:
        """The rate's share of its highest (1), or the momentum (2), after t steps."""
        number = next((k for k, phase in enumerate(self.phases[1:], 1) if t <= phase[0]), len(self.phases) - 1)
        before, after = self.phases[number - 1:number + 1]
        share = min((t - before[0]) / (after[0] - before[0]), 1.0) if after[0] != before[0] else 1.0
        if self.anneal_strategy == "cos":
            share = (1 - math.cos(math.pi * share)) / 2
        return before[column] + (after[column] - before[column]) * share

    def _group_lr(self, group: int, base: float, t: int) -> float:
        return self.max_lrs[group] * self._at(t, 1)

    def _apply(self) -> None:
        if self.last_epoch > self.total_steps:
            raise ValueError(f"OneCycleLR: step {self.last_epoch} lies beyond the {self.total_steps} steps of the "
                             "cycle")
        super()._apply()
        if self.cycle_momentum:
            for group in self.optimizer.param_groups:
                momentum = self._at(self.last_epoch, 2)
                group.update({"betas": (momentum, *group["betas"][1:])} if "betas" in group else {"momentum": momentum})


class SequentialLR(LRScheduler):
    """Schedules one after the other, each counting from 0 when its turn comes.

    Parameters
    ----------
    optimizer : Optimizer
    schedulers : sequence of LRScheduler
        All of this optimizer.
    milestones : sequence of int
        Rising: the step at which each schedule but the first takes over.

    Examples
    --------
    A warm-up of 500 steps, then a decay to 0:

    >>> warm = LinearLR(optimizer, 0.01, total_iters=500)
    >>> decay = LinearLR(optimizer, 1.0, 0.0, total_iters=steps - 500)
    >>> schedule = SequentialLR(optimizer, [warm, decay], milestones=[500])
    """

    def __init__(self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int],
                 last_epoch: int = -1) -> None:
        self.schedulers, self.milestones = list(schedulers), list(milestones)
        if len(self.milestones) != len(self.schedulers) - 1:
            raise ValueError(f"SequentialLR: {len(self.schedulers)} schedulers need {len(self.schedulers) - 1} "
                             f"milestones, got {len(self.milestones)}")
        if sorted(set(self.milestones)) != self.milestones or any(m < 1 for m in self.milestones):
            raise ValueError(f"SequentialLR: milestones must rise from at least 1, got {self.milestones}")
        if any(s.optimizer is not optimizer for s in self.schedulers):
            raise ValueError("SequentialLR: every schedule must be of the same optimizer")
        super().__init__(optimizer, last_epoch)

    def _group_lr(self, group: int, base: float, t: int) -> float:
        turn = sum(t >= milestone for milestone in self.milestones)
        return self.schedulers[turn]._group_lr(group, base, t - (self.milestones[turn - 1] if turn else 0))


def _at_least(who: str, name: str, value: int, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{who}: {name} must be an int, got {type(value).__name__}")
    if value < least:
        raise ValueError(f"{who}: {name} must be at least {least}, got {value}")
