"""A run on disk: what comes back, and what is refused."""

import dataclasses
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinygrad_rnn.data import split
from tinygrad_rnn.files import checkpoint
from tinygrad_rnn.models import evaluate, sample
from tinygrad_rnn.train import CheckpointError, Checkpoints, Options, Run, checkpoint_path, read, run
from tinygrad_rnn.train.run import KIND

TEXT = "".join(random.Random(2).choices("abcd e\n", k=400))
SMALL = Options(hidden=6, embedding=4, seq_len=5, batch=3, steps=30)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A folder with a run, ten steps old."""
    run = Run(TEXT, SMALL, "novel.txt")
    with Checkpoints(tmp_path, KIND) as checkpoints:
        for _ in run.training.steps():
            if run.training.step % 5 == 0:
                assert run.save(checkpoints) == checkpoint_path(tmp_path)
            if run.training.step == 10:
                return tmp_path
    raise AssertionError("steps that end early")


def test_a_run_comes_back(saved: Path) -> None:
    found = read(saved)
    assert (found.options, found.source, found.characters["a"]) == (SMALL, "novel.txt", TEXT.count("a"))
    run = found.resume(TEXT)
    assert run.training.step == 10 and run.source == "novel.txt"
    run.training.run()
    whole = Run(TEXT, SMALL)
    whole.training.run()
    assert run.training.losses == whole.training.losses


def test_a_checkpoint_by_its_name(saved: Path) -> None:
    assert read(saved).step == read(saved / "checkpoint.safetensors").step == 10
    earlier = read(saved / "checkpoint-00000005.safetensors")
    assert earlier.step == 5 and earlier.score is not None
    # How good it is, longhand; and it goes on as the run did.
    model, vocabulary = earlier.language_model()
    assert earlier.score == evaluate(model, vocabulary.encode(TEXT[-40:])).nats
    again = earlier.resume(TEXT)
    list(zip(range(5), again.training.steps()))
    assert again.training.losses == read(saved).training["losses"].tolist()
    assert read(saved / "best.safetensors").score == min(earlier.score, read(saved).score)


def test_checkpoints_are_compared_by_a_part_of_a_long_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "JUDGED", 15)
    begun = Run(TEXT, SMALL)
    with Checkpoints(tmp_path, KIND) as checkpoints:
        begun.save(checkpoints, judge=False)
        assert read(tmp_path).score is None and not checkpoints.best.exists()
        begun.save(checkpoints)
    assert read(tmp_path).score == evaluate(begun.model, begun.held_out[:15]).nats


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
    checkpoint.save(checkpoint_path(folder), content, change(content) or KIND)
    return folder


@pytest.mark.parametrize("change", [
    lambda content: content.clear(),
    lambda content: "a translator",
    lambda content: content.pop("characters") and None,
    lambda content: content["options"].update(width=3),
    lambda content: content.update(surplus=1),
], ids=["empty", "another kind", "missing part", "unknown option", "surplus part"])
def test_whole_checkpoints_of_something_else(saved: Path, change: Any) -> None:
    with pytest.raises(CheckpointError, match="checkpoint.safetensors"):
        read(altered(saved, change))


@pytest.mark.parametrize("change", [
    lambda content: content["options"].update(hidden=7),
    lambda content: content["characters"].pop("a") and None,
    lambda content: content["training"].pop("model") and None,
    lambda content: content["training"]["model"].update(other=np.ones(2)),
], ids=["another shape", "another vocabulary", "no model", "surplus parameter"])
def test_parts_that_do_not_fit(saved: Path, change: Any) -> None:
    with pytest.raises(CheckpointError, match="does not fit together"):
        read(altered(saved, change)).language_model()


def test_a_training_that_does_not_fit(saved: Path) -> None:
    altered(saved, lambda content: content["training"]["windows"].update(window=10**6))
    with pytest.raises(CheckpointError, match="does not fit together: Windows: no such position"):
        read(saved).resume(TEXT)
