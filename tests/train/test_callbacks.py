"""What happens beside the steps."""

import io
import math
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from tinygrad_rnn.train import ProgressBar, Saver, callbacks, every


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """A clock that the test sets."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(callbacks.time, "perf_counter", lambda: clock.now)
    yield clock


def stand_in(step: int = 0, progress: float = 0.0) -> Any:
    """What a callback looks at."""
    return SimpleNamespace(step=step, progress=progress, losses=[0.6931471805599453], tokens=1000 * step)


def test_every() -> None:
    seen: list[int] = []
    callback = every(3, lambda training: seen.append(training.step))
    for step in range(1, 11):
        callback(stand_in(step))
    assert seen == [3, 6, 9]


def test_saves_now_and_then(clock: SimpleNamespace) -> None:
    saved: list[float] = []
    saver = Saver(lambda: saved.append(clock.now), seconds=10)
    for clock.now in range(35):
        saver(stand_in())
    assert saved == [10, 20, 30]


def test_slow_saving_is_rare(clock: SimpleNamespace) -> None:
    saved: list[float] = []

    def slow() -> None:
        saved.append(clock.now)
        clock.now += 4

    saver = Saver(slow, seconds=10)
    while clock.now < 500:
        saver(stand_in())
        clock.now += 1
    assert saved[0] == 10 and saved[1] == 10 + 4 + 200


def test_the_bar_tells_bits_rate_and_time_left(capsys: pytest.CaptureFixture, clock: SimpleNamespace) -> None:
    with ProgressBar(stand_in(), "characters", show=True) as bar:
        clock.now = 2.0
        bar.bar.mininterval = 0
        bar(stand_in(step=4, progress=0.5))
        bar.write("a sample")
        bar(SimpleNamespace(**vars(stand_in(step=8, progress=1.0)) | {"losses": [2 * math.log(2)]}))
    printed = capsys.readouterr()
    assert " 50%" in printed.err and "1.000 bits, 2,000 characters/s" in printed.err and "left" in printed.err
    assert "100%" in printed.err and "1.050 bits, 4,000 characters/s" in printed.err    # a moving average
    assert printed.out == "a sample\n"


def test_the_bar_tells_nats_and_the_learning_rate(capsys: pytest.CaptureFixture, clock: SimpleNamespace) -> None:
    with ProgressBar(stand_in(), "words", show=True, unit_of_loss="nats", show_rate=True) as bar:
        clock.now = 2.0
        bar.bar.mininterval = 0
        optimizer = SimpleNamespace(param_groups=[{"lr": 0.00125}])
        bar(SimpleNamespace(**vars(stand_in(step=4, progress=0.5)), optimizer=optimizer))
    assert "0.693 nats, 2,000 words/s, learning rate 0.0013, " in capsys.readouterr().err


def test_silent_where_nobody_looks(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    with ProgressBar(stand_in()) as bar:
        bar(stand_in(1, 0.5))
        bar.write("a sample")
    assert capsys.readouterr() == ("a sample\n", "")
    terminal = io.StringIO()
    terminal.isatty = lambda: True      # type: ignore[method-assign]
    monkeypatch.setattr("sys.stderr", terminal)
    with ProgressBar(stand_in()) as bar:
        bar(stand_in(1, 1.0))
    assert "100%" in terminal.getvalue()
    with ProgressBar(stand_in(), show=False) as bar:
        assert bar.bar.disable
