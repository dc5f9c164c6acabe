"""A run: one text, one set of options, and the character model that comes of them, as one folder on disk.

    run = Run(text, Options(minutes=1))
    with Checkpoints(folder, KIND) as checkpoints:
        run.training.run([Saver(lambda: run.save(checkpoints))])
        run.save(checkpoints)
    saved = read(folder)            or read(folder / "best.safetensors")
    saved.resume(text)              the run, to go on with
    saved.language_model()          model and vocabulary alone: to sample, to evaluate
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..data.corpora import sha256
from ..data.vocabulary import Vocabulary
from ..data.windows import Windows, split
from ..files import checkpoint
from ..files.checkpoint import CheckpointError
from ..models.language_model import LanguageModel, evaluate
from ..optim import Adam
from .folder import LATEST, Checkpoints
from .loop import Training

KIND = "character language model"
JUDGED = 1 << 15        # characters, held out, that checkpoints are compared by: a fraction of a second


@dataclass(frozen=True)
class Options:
    """What a run is asked for; exactly one of epochs, steps and minutes is given."""

    hidden: int = 256
    layers: int = 1
    embedding: int = 64
    seq_len: int = 64
    batch: int = 32
    lr: float = 4e-3
    seed: int = 0
    epochs: int | None = None
    steps: int | None = None
    minutes: float | None = None

    @property
    def least_text(self) -> int:
        """Characters that a text must have: one window of every stream and one more, beside the tenth to judge by."""
        learned = self.seq_len * self.batch + 1
        return max(20, learned + (learned - 1) // 9)


class Run:
    """A character language model in training on a text, the last tenth of which is held out.

    Parameters
    ----------
    text : str
    options : Options
    source : str, optional
        Where the text came from; stored, so that a resumed run finds it.

    Attributes
    ----------
    vocabulary : Vocabulary
        The characters of the whole text.
    model : LanguageModel
    training : Training
    held_out : int64 array
        The characters to judge by, as ids.

    Raises
    ------
    ValueError
        For a text too short to fill one window of every stream.
    """

    def __init__(self, text: str, options: Options, source: str | None = None) -> None:
        if len(text) < options.least_text:
            raise ValueError(f"the text has {len(text):,} characters; {options.batch} streams of windows of "
                             f"{options.seq_len}, and a tenth held out, need at least {options.least_text:,}: lower "
                             "the batch or the sequence length, or take a longer text")
        self.options, self.source, self.sha256 = options, source, sha256(text)
        self.characters = dict(Counter(text))
        self.vocabulary = Vocabulary(self.characters)
        learned, self.held_out = split(self.vocabulary.encode(text))
        self.model = _model(options, self.vocabulary)
        self.training = Training(self.model, Adam(self.model.parameters(), lr=options.lr),
                                 Windows(learned, options.seq_len, options.batch),
                                 epochs=options.epochs, steps=options.steps, minutes=options.minutes)

    def save(self, checkpoints: Checkpoints, *, judge: bool = True) -> Path:
        """Write the checkpoint of this moment; returns its path.

        Parameters
        ----------
        checkpoints : Checkpoints
            Of the run's folder, and of `KIND`.
        judge : bool
            Say with it how well the held-out text is predicted, so that the best one is known.

        Raises
        ------
        FloatingPointError
            If the model's predictions are not finite: nothing is written then.
        """
        return checkpoints.save({
            "options": asdict(self.options),
            "source": self.source,
            "sha256": self.sha256,
            "characters": self.characters,
            "training": self.training.state_dict(),
        }, self.training.step, evaluate(self.model, self.held_out[:JUDGED]).nats if judge else None)


@dataclass(frozen=True)
class Saved:
    """What a run's checkpoint holds.

    Attributes
    ----------
    path : Path
    options : Options
    source : str or None
        Where the text came from.
    sha256 : str
        Of the text.
    characters : dict
        How often each stands in the text.
    training : dict
        What `Training.load_state_dict` takes.
    step : int
        Steps done.
    score : float or None
        Nats a character of held-out text.
    """

    path: Path
    options: Options
    source: str | None
    sha256: str
    characters: dict[str, int]
    training: dict[str, Any]
    step: int
    score: float | None

    def resume(self, text: str) -> Run:
        """The run as it was saved, to go on with.

        Raises
        ------
        ValueError
            If it was on another text.
        """
        if sha256(text) != self.sha256:
            raise ValueError(f"{self.path} was trained on another text: its SHA-256 begins with {self.sha256[:12]}, "
                             f"this one's with {sha256(text)[:12]}")
        with whole(self.path):
            run = Run(text, self.options, self.source)
            run.training.load_state_dict(self.training)
        return run

    def language_model(self) -> tuple[LanguageModel, Vocabulary]:
        """The model, and the characters it knows."""
        with whole(self.path):
            vocabulary = Vocabulary(self.characters)
            model = _model(self.options, vocabulary)
            model.load_state_dict(self.training["model"])
        return model, vocabulary


def checkpoint_path(folder: str | os.PathLike[str]) -> Path:
    """Where a run's latest checkpoint stands."""
    return Path(folder) / LATEST


def read(path: str | os.PathLike[str]) -> Saved:
    """The latest checkpoint of the run in a folder, or the one in a file.

    Raises
    ------
    FileNotFoundError
        If the folder holds no run.
    CheckpointError
        If the checkpoint is damaged, or is not that of a character language model.
    """
    file = checkpoint_path(path) if Path(path).is_dir() else Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"{os.fspath(path)} holds no run: there is no {LATEST} in it")
    return parse(checkpoint.load(file, KIND), file)


def parse(content: dict[str, Any], path: Path) -> Saved:
    """What was loaded from a file, as a run.  CheckpointError if it is none."""
    with whole(path):
        return Saved(path, **{**content, "options": Options(**content["options"])})


def _model(options: Options, vocabulary: Vocabulary) -> LanguageModel:
    return LanguageModel(len(vocabulary), options.embedding, options.hidden, options.layers, rng=options.seed)


@contextmanager
def whole(path: Path) -> Iterator[None]:
    """Parts of a checkpoint that do not fit each other are a CheckpointError, not a puzzle."""
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} does not fit together: {' '.join(str(error).split())}") from error
