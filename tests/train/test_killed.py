"""Runs that are killed: they end with the bits of one that was left in peace, and no kill leaves a torn file."""

import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tinygrad_rnn.train import Run, checkpoint_path, read

PROGRAM = Path(__file__).with_name("lives.py")
ROOT = PROGRAM.parent.parent.parent
SPEC = importlib.util.spec_from_file_location("lives", PROGRAM)
assert SPEC and SPEC.loader
lives = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(lives)

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks and signals of POSIX")


def printed(*arguments: object) -> list[list[int]]:
    """What a program of lives says, line by line."""
    done = subprocess.run([sys.executable, str(PROGRAM), *map(str, arguments)], capture_output=True, text=True,
                          env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stdout + done.stderr
    return [[int(number) for number in line.split()] for line in done.stdout.splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize(("budget", "amount"), [("steps", 150), ("epochs", 30)])
def test_killed_at_random_moments(tmp_path: Path, budget: str, amount: int) -> None:
    told = printed("random", tmp_path, budget, amount, 24)
    assert [code for code, _ in told].count(-signal.SIGKILL) == 24
    assert {threads for _, threads in told} == {1, 2, 3}
    whole = Run(lives.TEXT, lives.options(budget, amount))
    whole.training.run()
    expected = whole.training.state_dict()
    ended = list(tmp_path.glob("done-*"))
    assert ended
    for folder in ended:
        found = read(folder).training
        assert found["step"] == whole.training.step == 150
        assert found["losses"].tobytes() == expected["losses"].tobytes()
        for name, value in expected["model"].items():
            assert value.tobytes() == found["model"][name].tobytes(), name
        for before, after in zip(expected["optimizer"]["state"].values(), found["optimizer"]["state"].values()):
            assert all(before[name].tobytes() == after[name].tobytes() for name in before if name != "step")
        for before, after in zip(expected["memory"], found["memory"]):
            assert before.tobytes() == after.tobytes()
        assert checkpoint_path(folder).stat().st_size and not list(folder.glob("*.tmp"))


def test_killed_before_each_call_that_changes_the_disk(tmp_path: Path) -> None:
    *killed, last = printed("each", tmp_path)
    # Four writes in two halves, flushes, two links, renames, and what is removed: each was the last call of a life.
    assert len(killed) >= 13 and {code for code, *_ in killed} == {-signal.SIGKILL} and last == [0, 3, 3, 2]
    assert {latest for _, latest, *_ in killed} == {2, 3}, "the old one, or the new one"
    for _, latest, best, *earlier in killed:
        assert best in (latest, 3) and earlier and max(earlier) <= latest
