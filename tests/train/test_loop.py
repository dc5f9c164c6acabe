"""The training loop: its step longhand, its budget, and that stopping and going on leaves no trace."""

import math
import os
import signal
import threading
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinygrad_rnn import nn, optim, set_num_threads
from tinygrad_rnn.data import Windows
from tinygrad_rnn.files import checkpoint
from tinygrad_rnn.models import LanguageModel, detach
from tinygrad_rnn.train import Diverged, Interrupted, Training, loop

V = 6


class Forgetful(nn.Module):
    """A language model with dropout, so that a random stream has to be resumed too."""

    def __init__(self, rng: int) -> None:
        super().__init__()
        self.inner, self.dropout = LanguageModel(V, 3, 4, 2), nn.Dropout(0.3)
        self.initialise(rng)

    def forward(self, x: Any, state: Any = None) -> Any:
        """Drop some of the scores."""
        logits, state = self.inner(x, state)
        return self.dropout(logits), state


def windows(tokens: int = 103) -> Windows:
    """Windows (5, 4) of a stream; 5 of them a pass."""
    return Windows(np.random.default_rng(1).integers(0, V, tokens), 5, 4)


def training(model: nn.Module | None = None, optimizer: Any = optim.Adam, lr: float = 0.05, **budget: Any) -> Training:
    """A small training; without a budget, of 12 steps."""
    model = model or LanguageModel(V, 3, 4, rng=0)
    return Training(model, optimizer(model.parameters(), lr=lr), windows(), **(budget or {"steps": 12}))


def test_a_step_longhand() -> None:
    subject, twin = training(optimizer=optim.SGD, lr=0.5, clip=0.1, steps=8), LanguageModel(V, 3, 4, rng=0)
    rates = []
    for step, loss in enumerate(subject.steps()):
        if step % 5 == 0:
            state = None
        k, epoch = step % 5, step // 5
        x, y = at(epoch, k)
        logits, state = twin(x, state)
        expected = nn.functional.cross_entropy(logits, y, axis=-1)
        twin.zero_grad()
        expected.backward()
        state = detach(state)
        norm = math.sqrt(sum(float((p.grad.numpy().astype(float) ** 2).sum()) for p in twin.parameters()))
        rates.append(0.5 * (1 - step / 8))
        for p in twin.parameters():
            p.data -= rates[-1] * min(1, 0.1 / norm) * p.grad.numpy()
        assert loss == pytest.approx(expected.item(), rel=1e-5)
        assert subject.optimizer.param_groups[0]["lr"] == pytest.approx(rates[-1])
        for name, value in subject.model.state_dict().items():
            np.testing.assert_allclose(value, twin.state_dict()[name], atol=1e-5)
    assert subject.step == 8 == len(subject.losses)


def at(epoch: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Window k of a pass."""
    stream = windows()
    stream.epoch = epoch
    return stream[k]


def test_gradients_are_clipped_together() -> None:
    norms = []
    subject = training(clip=0.01, steps=3)
    subject.run([lambda t: norms.append(math.sqrt(sum((p.grad.numpy() ** 2).sum() for p in t.parameters)))])
    assert norms == pytest.approx([0.01] * 3, rel=1e-3)


@pytest.mark.parametrize(("budget", "steps"), [({"steps": 1}, 1), ({"steps": 7}, 7), ({"epochs": 1}, 5),
                                               ({"epochs": 3}, 15)])
def test_budgets(budget: dict, steps: int) -> None:
    subject, seen = training(**budget), []
    subject.run([lambda t: seen.append(t.progress)])
    assert subject.step == steps and seen == pytest.approx([(k + 1) / steps for k in range(steps)])
    subject.run()
    assert subject.step == steps, "a budget that is used up allows no more"


def test_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 10_000, 3))
    monkeypatch.setattr(loop.time, "perf_counter", lambda: float(next(clock)))
    subject = training(minutes=0.5)
    subject.run()
    assert subject.step == 10 and subject.seconds == 30
    again = training(minutes=1)
    again.load_state_dict(subject.state_dict())
    again.run()
    assert again.step == 20 and again.seconds == 60


@pytest.mark.parametrize("budget", [{"steps": 3, "epochs": 1}, {"steps": 0}, {"minutes": -1.0}, {"minutes": math.nan},
                                    {"epochs": math.inf}, {"steps": 3, "clip": 0.0}])
def test_bad_budgets(budget: dict) -> None:
    with pytest.raises(ValueError, match="Training: .* must be"):
        training(**budget)
    with pytest.raises(ValueError, match="one of steps, epochs and minutes, got none"):
        Training(LanguageModel(V, 3, 4), optim.SGD(LanguageModel(V, 3, 4).parameters(), lr=1.0), windows())


# ---- stop and go on -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("optimizer", [optim.Adam, partial(optim.SGD, momentum=0.9)], ids=["Adam", "SGD"])
@pytest.mark.parametrize("cuts", [(1,), (4, 5), (5, 6, 10), range(1, 12)], ids=str)
def test_resumed_is_bitwise_the_same(tmp_path: Path, optimizer: Any, cuts: tuple) -> None:
    whole = training(Forgetful(0), optimizer)
    whole.run()

    part = training(Forgetful(0), optimizer)
    for cut in cuts:
        for _ in part.steps():
            if part.step == cut:
                checkpoint.save(tmp_path / "run", part.state_dict())
                break
        # Another process would begin with other numbers, and a mistaken one would keep some of them.
        part = training(Forgetful(99), optimizer)
        list(zip(range(3), part.steps()))
        part.load_state_dict(checkpoint.load(tmp_path / "run"))
    part.run()

    assert part.step == whole.step == 12 and part.losses == whole.losses
    for name, value in whole.model.state_dict().items():
        assert value.tobytes() == part.model.state_dict()[name].tobytes(), name
    assert part.model.rng_state() == whole.model.rng_state()
    assert part.windows.state_dict() == whole.windows.state_dict()


@pytest.mark.parametrize("forgotten", ["state", "optimizer", "windows", "streams"])
def test_the_test_above_can_fail(tmp_path: Path, forgotten: str) -> None:
    whole, part = training(Forgetful(0)), training(Forgetful(0))
    whole.run()
    list(zip(range(4), part.steps()))
    saved, fresh = part.state_dict(), training(Forgetful(0)).state_dict()
    saved[{"state": "memory"}.get(forgotten, forgotten)] = fresh[{"state": "memory"}.get(forgotten, forgotten)]
    again = training(Forgetful(0))
    again.load_state_dict(saved)
    again.run()
    assert again.losses != whole.losses


# ---- trouble --------------------------------------------------------------------------------------------------------
def test_a_nan_stops_the_training() -> None:
    subject = training()
    steps = subject.steps()
    next(steps)
    subject.model.linear.bias.data[0] = math.nan
    with pytest.raises(Diverged, match="diverged at step 2: the loss"):
        next(steps)
    assert subject.step == 1 == len(subject.losses)


def test_a_wild_rate_stops_the_training() -> None:
    subject = training(lr=3e38, steps=20)
    with pytest.raises(Diverged, match="a parameter|the loss|the gradient"):
        subject.run()


def test_an_infinite_gradient_does_not_reach_the_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = training()
    before = subject.model.state_dict()
    clip = optim.clip_grad_norm_

    def exploded(parameters: list, limit: float) -> float:
        parameters[0].grad.data[...] = math.inf
        return clip(parameters, limit)

    monkeypatch.setattr(optim, "clip_grad_norm_", exploded)
    with pytest.raises(Diverged, match="step 1: the gradient"):
        subject.run()
    assert all(np.array_equal(before[name], value) for name, value in subject.model.state_dict().items())


def test_ctrl_c_waits_for_the_end_of_the_step() -> None:
    subject = training()
    before = signal.getsignal(signal.SIGINT)
    real = subject._learn

    def interrupted(x: Any, y: Any) -> float:
        if subject.step == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return real(x, y)

    subject._learn = interrupted    # type: ignore[method-assign]
    seen = []
    with pytest.raises(Interrupted):
        subject.run([lambda t: seen.append(t.step)])
    assert subject.step == 4 and seen == [1, 2, 3, 4]
    assert signal.getsignal(signal.SIGINT) is before
    subject.run()
    assert subject.step == 12


def test_a_second_ctrl_c_does_not_wait() -> None:
    subject = training()

    def impatient(x: Any, y: Any) -> float:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("unreachable")

    subject._learn = impatient      # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt) as caught:
        subject.run()
    assert caught.type is KeyboardInterrupt and subject.step == 0


def test_runs_in_a_thread() -> None:
    subject = training()
    thread = threading.Thread(target=subject.run)
    thread.start()
    thread.join()
    assert subject.step == 12


def test_the_number_of_threads_changes_nothing(threads: None) -> None:
    ids, found = np.random.default_rng(1).integers(0, 40, 3000), []
    for count in (1, 2, 3):
        set_num_threads(count)
        model = LanguageModel(40, 32, 96, rng=0)
        subject = Training(model, optim.Adam(model.parameters()), Windows(ids, 16, 24), steps=4)
        subject.run()
        found.append(b"".join(value.tobytes() for value in model.state_dict().values()))
    assert found[0] == found[1] == found[2]
