"""Training on sentence pairs: its schedules, its budget, and that stopping and going on leaves no trace."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinygrad_rnn import models, optim
from tinygrad_rnn.autograd import no_grad
from tinygrad_rnn.data import PairBatches
from tinygrad_rnn.files import checkpoint
from tinygrad_rnn.train.translating import SCHEDULES, PairTraining, cross_entropy

V = 9


def pairs(**size: Any) -> PairBatches:
    rng = np.random.default_rng(0)
    sources = [rng.integers(0, V, rng.integers(1, 6)) for _ in range(11)]
    targets = [np.concatenate([[1], rng.integers(3, V, rng.integers(1, 6)), [2]]) for _ in range(11)]
    return PairBatches(sources, targets, **(size or {"batch_size": 4}), rng=5)


def training(seed: int = 0, **options: Any) -> PairTraining:
    model = models.EncoderDecoder(V, V, 3, 4, dropout=0.4, rng=seed)
    budget = {} if {"steps", "minutes"} & options.keys() else {"epochs": 3}
    return PairTraining(model, optim.Adam(model.parameters(), lr=0.01), options.pop("pairs", None) or pairs(),
                        **{**budget, **options})


def rates(subject: PairTraining) -> list[float]:
    return [subject.optimizer.param_groups[0]["lr"] / 0.01 for _ in subject.steps()]


# ---- schedules and budgets ------------------------------------------------------------------------------------------
def test_schedules() -> None:
    n, k = 9, np.arange(9)
    np.testing.assert_allclose(rates(training(schedule="linear")), 1 - k / n)
    np.testing.assert_allclose(rates(training(schedule="cosine")), (1 + np.cos(np.pi * k / n)) / 2)
    np.testing.assert_allclose(rates(training(schedule="constant", warmup=4)), np.minimum(1, (k + 1) / 4))
    np.testing.assert_allclose(rates(training(schedule="linear", steps=6, warmup=2)),
                               (1 - np.arange(6) / 6) * np.minimum(1, (np.arange(6) + 1) / 2))


def test_the_plateau() -> None:
    subject = training(schedule="plateau", steps=4)
    found = []
    for _, loss in zip(subject.steps(), (3.0, 3.0, 2.0, 5.0)):
        found.append(subject.optimizer.param_groups[0]["lr"] / 0.01)
        subject.judged(loss)
    np.testing.assert_allclose([*found, subject.factor()], [1, 1, 0.5, 0.5, 0.25])


@pytest.mark.parametrize("size", [{"batch_size": 4}, {"tokens": 12}])
def test_a_budget_of_passes_ends_with_the_pass(size: dict) -> None:
    subject = training(pairs=pairs(**size), epochs=2)
    subject.run()
    counted = sum(len(target) - 1 for target in subject.pairs.targets)
    assert subject.progress == 1 and subject.words == subject.tokens == 2 * counted


def test_bad_schedule() -> None:
    with pytest.raises(ValueError, match="schedule must be one of linear, constant, cosine, plateau, got 'up'"):
        training(schedule="up")


# ---- stop and go on -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("options", [{"schedule": name, "warmup": 3} for name in SCHEDULES] + [
    {"own_words": 0.5}, {"pairs": {"tokens": 12}}, {"label_smoothing": 0.2, "steps": 10}], ids=str)
@pytest.mark.parametrize("cuts", [(1,), (3, 4), range(1, 8)], ids=str)
def test_resumed_is_bitwise_the_same(tmp_path: Path, options: dict, cuts: tuple) -> None:
    def fresh(seed: int = 0) -> PairTraining:
        return training(seed, **{**options, **({"pairs": pairs(**options["pairs"])} if "pairs" in options else {})})

    def judge(subject: PairTraining) -> None:
        subject.judged(float(subject.step % 3))

    whole = fresh()
    whole.run([judge])
    part = fresh()
    for cut in cuts:
        for _ in part.steps():
            judge(part)
            if part.step == cut:
                checkpoint.save(tmp_path / "run", part.state_dict())
                break
        part = fresh(99)
        list(zip(range(2), part.steps()))
        part.load_state_dict(checkpoint.load(tmp_path / "run"))
    part.run([judge])
    assert part.step == whole.step and part.losses == whole.losses and part.words == whole.words
    for name, value in whole.model.state_dict().items():
        assert value.tobytes() == part.model.state_dict()[name].tobytes(), name
    assert part.pairs.state_dict() == whole.pairs.state_dict()
    assert part.model.rng_state() == whole.model.rng_state()


# ---- judging --------------------------------------------------------------------------------------------------------
def test_cross_entropy_is_that_of_each_word() -> None:
    model, batches = models.EncoderDecoder(V, V, 3, 4, dropout=0.4, rng=1), pairs()
    model.train()
    streams = model.rng_state()
    found, words = cross_entropy(model, batches)
    assert model.training and model.rng_state() == streams and (batches.epoch, batches.batch) == (0, 0)
    model.eval()
    total = 0.0
    with no_grad():
        for source, target in zip(batches.sources, batches.targets):
            scores = model(np.asarray(source)[:, None], np.asarray(target)[:-1, None]).data[:, 0].astype(float)
            for row, k in zip(scores, target[1:]):
                total += math.log(np.exp(row).sum()) - row[k]
    assert words == sum(len(target) - 1 for target in batches.targets)
    np.testing.assert_allclose(found, total / words, rtol=1e-5)
