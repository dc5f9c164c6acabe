"""A run on disk: what comes back, and what is refused."""

import dataclasses
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinygrad_rnn.data import split
from tinygrad_rnn.models import sample
from tinygrad_rnn.train import CheckpointError, Options, Run, checkpoint, checkpoint_path, read

TEXT = "".join(random.Random(2).choices("abcd e\n", k=400))
SMALL = Options(hidden=6, embedding=4, seq_len=5, batch=3, steps=30)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A folder with a run, ten steps old."""
    run = Run(TEXT, SMALL, "novel.txt")
    list(zip(range(10), run.training.steps()))
    run.save(tmp_path)
    return tmp_path


def test_a_run_comes_back(saved: Path) -> None:
    found = read(saved)
    assert (found.options, found.source, found.characters["a"]) == (SMALL, "novel.txt", TEXT.count("a"))
    run = found.resume(TEXT)
    assert run.training.step == 10 and run.source == "novel.txt"
    run.training.run()
    whole = Run(TEXT, SMALL)
    whole.training.run()
    assert run.training.losses == whole.training.losses


def test_the_model_alone(saved: Path) -> None:
    model, vocabulary = read(saved).language_model()
    run = read(saved).resume(TEXT)
    assert vocabulary == run.vocabulary and sorted(vocabulary.tokens) == sorted(set(TEXT))
    assert list(sample(model, [0], 20, rng=1)) == list(sample(run.model, [0], 20, rng=1))


def test_the_last_tenth_is_held_out() -> None:
    run = Run(TEXT, SMALL)
    assert "".join(run.vocabulary.decode(run.held_out)) == TEXT[-40:]
    assert "".join(run.vocabulary.decode(run.training.windows.ids)) == TEXT[:-40]


@pytest.mark.parametrize(("seq_len", "batch"), [(1, 1), (5, 3), (64, 32), (7, 4)])
def test_the_least_text_is_enough_and_one_less_is_not(seq_len: int, batch: int) -> None:
    options = dataclasses.replace(SMALL, seq_len=seq_len, batch=batch)
    least = next(n for n in range(20, 10_000) if len(split(np.zeros(n, int))[0]) > seq_len * batch)
    run = Run(("ab" * least)[:least], options)
    assert len(run.held_out) >= 2 and len(run.training.windows) >= 1
    with pytest.raises(ValueError, match=f"need at least {least:,}"):
        Run(("ab" * least)[:least - 1], options)


def test_another_text_is_refused(saved: Path) -> None:
    with pytest.raises(ValueError, match="was trained on another text") as caught:
        read(saved).resume(TEXT[:-1] + "a")
    assert not isinstance(caught.value, CheckpointError)


def test_a_folder_without_a_run(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(FileNotFoundError, match="holds no run"):
            read(folder)


def altered(folder: Path, change: Any) -> Path:
    """Save the checkpoint anew, whole but changed."""
    content = checkpoint.load(checkpoint_path(folder))
    change(content)
    checkpoint.save(checkpoint_path(folder), content)
    return folder


@pytest.mark.parametrize("change", [
    lambda content: content.clear(),
    lambda content: content.update(kind="a translator"),
    lambda content: content.pop("characters"),
    lambda content: content["options"].update(width=3),
    lambda content: content.update(surplus=1),
], ids=["empty", "another kind", "missing part", "unknown option", "surplus part"])
def test_whole_checkpoints_of_something_else(saved: Path, change: Any) -> None:
    with pytest.raises(CheckpointError, match="checkpoint.safetensors"):
        read(altered(saved, change))


@pytest.mark.parametrize("change", [
    lambda content: content["options"].update(hidden=7),
    lambda content: content["characters"].pop("a"),
    lambda content: content["training"].pop("model"),
    lambda content: content["training"]["model"].update(other=np.ones(2)),
], ids=["another shape", "another vocabulary", "no model", "surplus parameter"])
def test_parts_that_do_not_fit(saved: Path, change: Any) -> None:
    with pytest.raises(CheckpointError, match="does not fit together"):
        read(altered(saved, change)).language_model()


def test_a_training_that_does_not_fit(saved: Path) -> None:
    altered(saved, lambda content: content["training"]["windows"].update(window=10**6))
    with pytest.raises(CheckpointError, match="does not fit together: Windows: no such position"):
        read(saved).resume(TEXT)


# ---- killed ---------------------------------------------------------------------------------------------------------
KILLED = """
import sys
from tinygrad_rnn.train import Options, Run, checkpoint_path, read
folder, text = sys.argv[1], open(sys.argv[2]).read()
run = read(folder).resume(text) if checkpoint_path(folder).exists() else Run(text, Options(
    hidden=6, embedding=4, seq_len=5, batch=3, steps=400))
print("ready", flush=True)
run.training.run([lambda training: run.save(folder)])
"""


@pytest.mark.slow
def test_killed_at_any_moment_and_resumed(tmp_path: Path) -> None:
    (tmp_path / "text").write_text(TEXT)
    chance, kills = random.Random(0), 0
    while True:
        process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path), str(tmp_path / "text")],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        if kills < 4:
            time.sleep(chance.uniform(0.05, 0.3))
            process.send_signal(signal.SIGKILL)
            kills += 1
        code, errors = process.wait(), process.stderr.read()
        process.stdout.close()
        process.stderr.close()
        if code == 0:
            break
        assert code == -signal.SIGKILL, errors
    whole = Run(TEXT, dataclasses.replace(SMALL, steps=400))
    whole.training.run()
    ended = read(tmp_path).resume(TEXT)
    assert kills and ended.training.losses == whole.training.losses
    for name, value in whole.model.state_dict().items():
        assert value.tobytes() == ended.model.state_dict()[name].tobytes()
    assert os.listdir(tmp_path).count(checkpoint_path(tmp_path).name) == 1
