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


SCHEDULES = {
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
