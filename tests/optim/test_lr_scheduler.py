"""Schedules against their formulas, and through saving and loading."""

import json
import math

import numpy as np
import pytest

from tinygrad_rnn import nn, optim
from tinygrad_rnn.optim import lr_scheduler


def optimizer(*rates: float) -> optim.SGD:
    return optim.SGD([{"params": [nn.Parameter([1.0])], "lr": rate} for rate in rates or (0.8,)])


def rates(schedule: lr_scheduler.LRScheduler, steps: int) -> list[float]:
    """The first group's rate before each step."""
    found = []
    for _ in range(steps):
        found.append(schedule.optimizer.param_groups[0]["lr"])
        assert schedule.get_last_lr()[0] == found[-1]
        schedule.step()
    return found


def one_cycle(t: int, start: float, top: float, end: float, up: float, last: float) -> float:
    """Two half waves."""
    if t <= up:
        return start + (top - start) * (1 - math.cos(math.pi * t / up)) / 2
    return top + (end - top) * (1 - math.cos(math.pi * (t - up) / (last - up))) / 2


SCHEDULES = {
    "one cycle": (lambda o: lr_scheduler.OneCycleLR(o, 2.0, 20, pct_start=0.25, div_factor=10, final_div_factor=100),
                  lambda t: one_cycle(t, 0.2, 2.0, 0.002, 4, 19)),
    "one cycle of lines": (lambda o: lr_scheduler.OneCycleLR(o, 2.0, epochs=4, steps_per_epoch=5, pct_start=0.25,
                                                             anneal_strategy="linear", cycle_momentum=False),
                           lambda t: np.interp(t, [0, 4, 19], [0.08, 2.0, 8e-6])),
    "three phases": (lambda o: lr_scheduler.OneCycleLR(o, 2.0, 20, pct_start=0.3, anneal_strategy="linear",
                                                       three_phase=True),
                     lambda t: np.interp(t, [0, 5, 10, 19], [0.08, 2.0, 0.08, 8e-6])),
    "step": (lambda o: lr_scheduler.StepLR(o, 3, 0.5), lambda t: 0.8 * 0.5 ** (t // 3)),
    "exponential": (lambda o: lr_scheduler.ExponentialLR(o, 0.9), lambda t: 0.8 * 0.9 ** t),
    "cosine": (lambda o: lr_scheduler.CosineAnnealingLR(o, 6, 0.1),
               lambda t: 0.1 + 0.35 * (1 + math.cos(math.pi * t / 6))),
    "linear": (lambda o: lr_scheduler.LinearLR(o, 0.25, 1.0, 4), lambda t: 0.8 * (0.25 + 0.75 * min(t, 4) / 4)),
    "decay": (lambda o: lr_scheduler.LinearLR(o, 1.0, 0.0, 10), lambda t: 0.8 * (1 - min(t, 10) / 10)),
    "lambda": (lambda o: lr_scheduler.LambdaLR(o, lambda t: 1 / (1 + t)), lambda t: 0.8 / (1 + t)),
    "warm-up": (lambda o: lr_scheduler.SequentialLR(o, [lr_scheduler.LinearLR(o, 0.25, 1.0, 4),
                                                        lr_scheduler.CosineAnnealingLR(o, 6)], [4]),
                lambda t: 0.8 * (0.25 + 0.75 * t / 4) if t < 4 else 0.4 * (1 + math.cos(math.pi * (t - 4) / 6))),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_rates(name) -> None:
    make, expected = SCHEDULES[name]
    np.testing.assert_allclose(rates(make(optimizer()), 12), [expected(t) for t in range(12)], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", SCHEDULES)
def test_resuming_is_bitwise(name) -> None:
    make, _ = SCHEDULES[name]
    whole, first = rates(make(optimizer()), 12), make(optimizer())
    rates(first, 5)
    state, parameters = json.loads(json.dumps(first.state_dict())), first.optimizer.state_dict()
    again = optimizer()
    second = make(again)
    again.load_state_dict(parameters)
    second.load_state_dict(state)
    assert rates(second, 7) == whole[5:]


def test_groups_keep_their_proportion() -> None:
    o = optimizer(0.8, 0.2)
    schedule = lr_scheduler.StepLR(o, 1, 0.5)
    schedule.step()
    assert schedule.get_last_lr() == [0.4, 0.1] and schedule.base_lrs == [0.8, 0.2]
    schedule = lr_scheduler.LambdaLR(optimizer(0.8, 0.2), [lambda t: 1, lambda t: 1 + t])
    schedule.step()
    assert schedule.get_last_lr() == [0.8, 0.4]


def test_last_epoch_continues() -> None:
    o = optimizer()
    rates(lr_scheduler.ExponentialLR(o, 0.5), 3)
    assert lr_scheduler.ExponentialLR(o, 0.5, last_epoch=2).get_last_lr() == [0.2]


@pytest.mark.parametrize(("call", "error", "match"), [
    (lambda: lr_scheduler.StepLR("adam", 3), TypeError, "StepLR: optimizer must be an Optimizer, got str"),
    (lambda: lr_scheduler.StepLR(optimizer(), 0), ValueError, "step_size must be at least 1, got 0"),
    (lambda: lr_scheduler.StepLR(optimizer(), 1.5), TypeError, "step_size must be an int, got float"),
    (lambda: lr_scheduler.StepLR(optimizer(), 1, last_epoch=3), ValueError, "needs 'initial_lr'"),
    (lambda: lr_scheduler.StepLR(optimizer(), 1, last_epoch=-2), ValueError, "last_epoch must be at least -1"),
    (lambda: lr_scheduler.LinearLR(optimizer(), 0.0), ValueError, r"start_factor must lie in \(0, 1\], got 0.0"),
    (lambda: lr_scheduler.LinearLR(optimizer(), 1.0, 1.5), ValueError, "end_factor"),
    (lambda: lr_scheduler.LambdaLR(optimizer(), [abs, abs]), ValueError, "one function or 1, one a group, got 2"),
    (lambda: lr_scheduler.OneCycleLR(optimizer(), 1.0), ValueError, "give total_steps, or epochs and"),
    (lambda: lr_scheduler.OneCycleLR(optimizer(), 1.0, 0), ValueError, "total_steps must be at least 1, got 0"),
    (lambda: lr_scheduler.OneCycleLR(optimizer(), 1.0, 9, pct_start=2), ValueError, "pct_start must lie between"),
    (lambda: lr_scheduler.OneCycleLR(optimizer(), 1.0, 9, anneal_strategy="x"), ValueError, "'cos' or 'linear'"),
    (lambda: lr_scheduler.OneCycleLR(optimizer(), [1.0, 2.0], 9), ValueError, "one number or 1, one a group, got 2"),
    (lambda: lr_scheduler.OneCycleLR(optim.Adagrad([nn.Parameter([1.0])]), 1.0, 9), ValueError, "no momentum to cycle"),
    (lambda: lr_scheduler.OneCycleLR("adam", 1.0, 9), TypeError, "optimizer must be an Optimizer, got str"),
    (lambda: rates(lr_scheduler.OneCycleLR(optimizer(), 1.0, 3), 4), ValueError, "step 4 lies beyond the 3 steps"),
    (lambda: lr_scheduler.ReduceLROnPlateau("adam"), TypeError, "optimizer must be an Optimizer, got str"),
    (lambda: lr_scheduler.ReduceLROnPlateau(optimizer(), "least"), ValueError, "mode must be one of min, max"),
    (lambda: lr_scheduler.ReduceLROnPlateau(optimizer(), threshold_mode="x"), ValueError, "one of rel, abs, got 'x'"),
    (lambda: lr_scheduler.ReduceLROnPlateau(optimizer(), factor=1.0), ValueError, "factor must lie between 0 and 1"),
    (lambda: lr_scheduler.ReduceLROnPlateau(optimizer(), patience=-1), ValueError, "patience must not be negative"),
    (lambda: lr_scheduler.ReduceLROnPlateau(optimizer(), min_lr=[0, 0]), ValueError, "one number or 1, one a group"),
    (lambda: lr_scheduler.ReduceLROnPlateau(optimizer()).load_state_dict({"best": 1}), ValueError, "are missing"),
    (lambda: lr_scheduler.SequentialLR(optimizer(), [], []), ValueError, "0 schedulers need -1 milestones"),
    (lambda: lr_scheduler.StepLR(optimizer(), 1).load_state_dict({"last_epoch": 1}), ValueError, "1 base_lrs"),
])
def test_errors(call, error, match) -> None:
    with pytest.raises(error, match=match):
        call()


def test_sequences_are_checked() -> None:
    o = optimizer()
    two = [lr_scheduler.ExponentialLR(o, 0.5), lr_scheduler.ExponentialLR(o, 0.9)]
    for milestones, match in (([], "need 1 milestones"), ([0], "rise from at least 1")):
        with pytest.raises(ValueError, match=match):
            lr_scheduler.SequentialLR(o, two, milestones)
    with pytest.raises(ValueError, match="same optimizer"):
        lr_scheduler.SequentialLR(optimizer(), two, [1])


def test_momentum_goes_the_other_way() -> None:
    for o, read in ((optim.SGD([nn.Parameter([1.0])], momentum=0.9), lambda g: g["momentum"]),
                    (optim.Adam([nn.Parameter([1.0])]), lambda g: g["betas"][0])):
        schedule = lr_scheduler.OneCycleLR(o, 1.0, 11, pct_start=0.5, anneal_strategy="linear")
        found = []
        for _ in range(11):
            found.append(read(o.param_groups[0]))
            schedule.step()
        np.testing.assert_allclose(found, np.interp(range(11), [0, 4.5, 10], [0.95, 0.85, 0.95]))
        assert o.param_groups[0].get("betas", (0, 0.999))[1] == 0.999


# ---- the schedule that listens --------------------------------------------------------------------------------------
def test_a_plateau_lowers_the_rate() -> None:
    o = optimizer(0.8, 0.1)
    schedule = lr_scheduler.ReduceLROnPlateau(o, factor=0.5, patience=2, cooldown=1, min_lr=0.08, threshold=0.1)
    found = []
    for loss in (4.0, 3.0, 2.9, 2.8, 2.71, 2.8, 3.0, 3.0, 3.0, 1.0, 1.0, math.nan, 1.0):
        schedule.step(loss)
        found.append(o.param_groups[0]["lr"])
    # 2.9, 2.8, 2.71 are not a tenth better than 3; one step of cooldown; then three bad ones; then 1 is better.
    assert found == [0.8, 0.8, 0.8, 0.8, 0.4, 0.4, 0.4, 0.4, 0.2, 0.2, 0.2, 0.2, 0.1]
    assert schedule.get_last_lr() == [0.1, 0.08] and schedule.best == 1.0 and schedule.last_epoch == 13


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
def test_what_counts_as_better(mode, threshold_mode) -> None:
    sign = 1 if mode == "max" else -1
    schedule = lr_scheduler.ReduceLROnPlateau(optimizer(), mode, threshold=0.5, threshold_mode=threshold_mode)
    schedule.step(2.0)
    step = 1.0 if threshold_mode == "rel" else 0.5
    for metric, bad in ((2.0 + sign * step, 1), (2.0 + sign * (step + 0.01), 0)):
        schedule.step(metric)
        assert schedule.num_bad_epochs == bad


def test_a_plateau_resumes() -> None:
    losses = [3.0, 2.0, 2.0, 2.0, 2.0, 1.0, 1.0, 1.0]

    def run(schedule, losses):
        found = []
        for loss in losses:
            schedule.step(loss)
            found += schedule.get_last_lr()
        return found

    whole = run(lr_scheduler.ReduceLROnPlateau(optimizer(), patience=1, cooldown=1), losses)
    first = lr_scheduler.ReduceLROnPlateau(optimizer(), patience=1, cooldown=1)
    run(first, losses[:3])
    second = lr_scheduler.ReduceLROnPlateau(optimizer(), patience=1, cooldown=1)
    second.optimizer.load_state_dict(first.optimizer.state_dict())
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert run(second, losses[3:]) == whole[3:]
