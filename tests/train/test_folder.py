"""The checkpoints of a run: the latest, those before it, the best, and that nothing is lost."""

import errno
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_rnn import nn, optim, tensor
from tinygrad_rnn.files import checkpoint, disk
from tinygrad_rnn.optim.lr_scheduler import CosineAnnealingLR
from tinygrad_rnn.train import CheckpointError, Checkpoints


def names(folder: Path) -> set[str]:
    """What stands in a folder."""
    return {entry.name for entry in folder.iterdir()}


def fill(folder: Path, scores: list, keep: int = 3, first: int = 0, **options: Any) -> None:
    """Checkpoints of steps first, first + 10, ... with these scores."""
    with Checkpoints(folder, "test", keep, **options) as checkpoints:
        for k, score in enumerate(scores):
            checkpoints.save({"is": first + 10 * k}, first + 10 * k, score)


def step_of(path: Path) -> int:
    """Which checkpoint a file is."""
    content = checkpoint.load(path, "test")
    assert content["is"] == content["step"]
    return content["step"]


@given(st.lists(st.none() | st.sampled_from([1.0, 2.0, 3.0, math.nan, math.inf]), min_size=1, max_size=6),
       st.integers(1, 3), st.integers(0, 6))
def test_the_last_and_the_best(tmp_path_factory: pytest.TempPathFactory, scores: list, keep: int, cut: int) -> None:
    folder = tmp_path_factory.mktemp("run")
    fill(folder, scores[:cut], keep)
    with Checkpoints(folder, "test", keep) as checkpoints:      # another process goes on
        assert checkpoints.exist() == bool(scores[:cut])
        if checkpoints.exist():
            assert checkpoints.load()["step"] == 10 * len(scores[:cut]) - 10
        for k in range(len(scores[:cut]), len(scores)):
            checkpoints.save({"is": 10 * k}, 10 * k, scores[k])
    last = 10 * (len(scores) - 1)
    assert step_of(folder / "checkpoint.safetensors") == last
    earlier = [step_of(path) for path in checkpoints.earlier()]
    assert earlier == list(range(0, last, 10))[len(scores[:-1]) - (keep - 1):] if keep < len(scores) else \
        earlier == list(range(0, last, 10))
    assert [path.name for path in checkpoints.earlier()] == [f"checkpoint-{step:08}.safetensors" for step in earlier]
    finite = [(score, k) for k, score in enumerate(scores) if score is not None and score < math.inf]
    assert checkpoints.best.exists() == bool(finite)
    if finite:
        assert step_of(checkpoints.best) == 10 * min(finite)[1]
    assert len(names(folder)) == 1 + len(earlier) + bool(finite)


def test_the_same_step_again_is_no_earlier_one(tmp_path: Path) -> None:
    with Checkpoints(tmp_path, "test") as checkpoints:
        for step in (1, 1, 2, 2):
            checkpoints.save({}, step)
    assert [path.name for path in checkpoints.earlier()] == ["checkpoint-00000001.safetensors"]


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    for name in ("checkpoint-good.safetensors", "checkpoint-1.txt", "notes"):
        (tmp_path / name).write_text("mine")
    fill(tmp_path, [None] * 5)
    assert {"checkpoint-good.safetensors", "checkpoint-1.txt", "notes"} < names(tmp_path)


def test_steps_in_order_beyond_eight_digits(tmp_path: Path) -> None:
    with Checkpoints(tmp_path, "test", 2) as checkpoints:
        for step in (99_999_998, 99_999_999, 100_000_000, 100_000_001):
            checkpoints.save({}, step)
        assert [path.stem for path in checkpoints.earlier()] == ["checkpoint-100000000"]


# ---- another run ----------------------------------------------------------------------------------------------------
def test_another_run_is_replaced_when_that_is_asked_for(tmp_path: Path) -> None:
    fill(tmp_path, [3.0, 1.0, 2.0])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(FileExistsError, match="holds another run: load it to go on with it, or pass replace=True"):
        fill(tmp_path, [5.0])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    fill(tmp_path, [5.0], first=7, replace=True)
    assert names(tmp_path) == {"checkpoint.safetensors", "best.safetensors"}
    assert step_of(tmp_path / "checkpoint.safetensors") == step_of(tmp_path / "best.safetensors") == 7


def test_a_full_disk_leaves_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    fill(tmp_path, [3.0, 1.0, 2.0])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left on device; the one before is intact"):
            fill(tmp_path, [5.0], first=7, replace=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    with monkeypatch.context() as patch, Checkpoints(tmp_path, "test") as checkpoints:
        checkpoints.load()
        patch.setattr(disk, "also", full)       # where there are no links, a copy may not fit
        with pytest.raises(OSError, match="No space left on device"):
            checkpoints.save({"is": 30}, 30)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    fill(tmp_path, [5.0], first=7, replace=True)
    assert step_of(tmp_path / "checkpoint.safetensors") == 7


def test_one_at_a_time(tmp_path: Path) -> None:
    with Checkpoints(tmp_path / "a", "test"):
        with pytest.raises(BlockingIOError, match="in use by process"):
            Checkpoints(tmp_path / "a", "test").__enter__()
    fill(tmp_path / "a", [None])
    with pytest.raises(ValueError, match="which locks the folder"):
        Checkpoints(tmp_path / "b", "test").save({}, 0)


def test_a_damaged_one_says_which_is_whole(tmp_path: Path) -> None:
    fill(tmp_path, [3.0, 1.0, 2.0])

    def damage(name: str) -> None:
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).unlink()      # another name may be of the same file
        (tmp_path / name).write_bytes(data[:-1])

    checkpoints = Checkpoints(tmp_path, "test")
    damage("checkpoint.safetensors")
    with pytest.raises(CheckpointError, match="damaged or cut.*; checkpoint-00000010.safetensors is whole: rename it"):
        checkpoints.load()
    damage("checkpoint-00000010.safetensors")
    damage("checkpoint-00000000.safetensors")
    with pytest.raises(CheckpointError, match="; best.safetensors is whole: rename it to checkpoint.safetensors"):
        checkpoints.load()
    damage("best.safetensors")
    with pytest.raises(CheckpointError, match="saved with$"):
        checkpoints.load()


def test_a_damaged_best_one_is_replaced_by_the_next(tmp_path: Path) -> None:
    fill(tmp_path, [3.0, 1.0, 2.0])
    (tmp_path / "best.safetensors").write_bytes(b"")
    with Checkpoints(tmp_path, "test") as checkpoints:
        checkpoints.load()
        checkpoints.save({"is": 30}, 30, 9.0)
    assert step_of(checkpoints.best) == 30


@pytest.mark.parametrize("content", [{}, {"step": "x"}, {"step": None}])
def test_checkpoints_that_are_not_of_a_run(tmp_path: Path, content: dict) -> None:
    checkpoint.save(tmp_path / "checkpoint.safetensors", content, "test")
    with pytest.raises(CheckpointError, match="checkpoint.safetensors has no step"):
        Checkpoints(tmp_path, "test").load()
    with pytest.raises(CheckpointError, match="of kind 'test', not 'other'"):
        Checkpoints(tmp_path, "other").load()
    with pytest.raises(FileNotFoundError):
        Checkpoints(tmp_path / "none", "test").load()


def test_misuse(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="keep must be at least 1, got 0"):
        Checkpoints(tmp_path, "test", 0)
    with Checkpoints(tmp_path, "test") as checkpoints:
        for content, step in (({}, -1), ({"step": 1}, 0), ({"score": 1}, 0)):
            with pytest.raises(ValueError, match="step must not be negative, got .*; content must not have the keys"):
                checkpoints.save(content, step)
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OSError, match="File exists|Not a directory"):
            Checkpoints(folder, "test").__enter__()


# ---- any training program -------------------------------------------------------------------------------------------
def regression(folder: Path, steps: int, upto: int | None = None) -> bytes:
    """A program as the docstring of `files/checkpoint.py` describes one: dropout, momentum, a schedule, its own rng."""
    model = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.3), nn.Linear(8, 1)).initialise(0)
    optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    schedule = CosineAnnealingLR(optimizer, steps)
    rng, memory, done = np.random.default_rng(1), np.zeros(1, np.float32), 0
    with Checkpoints(folder, "regression", keep=2) as checkpoints:
        if checkpoints.exist():
            content = checkpoints.load()
            model.load_state_dict(content["model"])
            model.load_rng_state(content["streams"])
            optimizer.load_state_dict(content["optimizer"])
            schedule.load_state_dict(content["schedule"])
            rng.bit_generator.state = content["rng"]
            memory, done = content["memory"], content["step"]
        for step in range(done + 1, (upto or steps) + 1):
            x = rng.standard_normal((16, 3)).astype(np.float32)
            loss = nn.functional.mse_loss(model(tensor(x)), x.sum(1, keepdims=True) + memory)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            memory = np.float32(0.5) * memory + np.float32(0.1 * math.tanh(loss.item()))
            checkpoints.save({
                "model": model.state_dict(), "streams": model.rng_state(), "optimizer": optimizer.state_dict(),
                "schedule": schedule.state_dict(), "rng": rng.bit_generator.state, "memory": memory}, step, loss.item())
    return b"".join(value.tobytes() for value in model.state_dict().values())


def test_another_program_resumes_bit_by_bit(tmp_path: Path) -> None:
    whole = regression(tmp_path / "whole", 12)
    for upto in (1, 5, 6, 11):
        regression(tmp_path / "part", 12, upto)
    assert regression(tmp_path / "part", 12) == whole
    for name in ("checkpoint", "best", "checkpoint-00000011"):
        a, b = ((tmp_path / run / f"{name}.safetensors").read_bytes() for run in ("whole", "part"))
        assert a == b
