"""A translation model in training: two texts, one set of options, and what comes of them, as one folder on disk.

    run = TranslationRun(TranslationOptions("train.de", "train.en", epochs=10))
    with Checkpoints(folder, TRANSLATION) as checkpoints:
        run.training.run([Saver(lambda: run.save(checkpoints))])
        run.save(checkpoints, run.validate())
    read_translation(folder).resume()           the run, to go on with
    read_translation(folder).translator()       to translate
"""

from __future__ import annotations

import math
import os
from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..data import SPECIALS, PairBatches, Vocabulary
from ..data.batching import STRATEGIES
from ..data.pairs import Pairs, read_pairs
from ..files import checkpoint
from ..metrics import corpus_bleu
from ..models.encoder import BRIDGES
from ..models.seq2seq import EncoderDecoder
from ..models.translator import Translator
from ..optim import Adam
from .folder import LATEST, Checkpoints
from .run import whole
from .settings import checked, option
from .translating import SCHEDULES, PairTraining, cross_entropy
from .updates import Diverged

TRANSLATION = "translation model"
NONE = "none"
JUDGED = 1000       # pairs held out at most, where no files are given to validate with


@dataclass(frozen=True)
class TranslationOptions:
    """What a translation model is, and how it is trained; at most one of epochs, steps and minutes is given."""

    source: str = option("", "sentences to translate from, one a line, words apart by spaces")
    target: str = option("", "their translations, line by line")
    valid_source: str | None = option(None, "sentences to validate with (default: the last 2 %% of the pairs)")
    valid_target: str | None = option(None, "their translations")
    embedding: int = option(256, "numbers that stand for a word", least=1)
    hidden: int = option(256, "units of a layer, of the encoder in each direction", least=1)
    layers: int = option(1, "layers of the decoder", least=1)
    encoder_layers: int | None = option(None, "layers of the encoder (default: as many)", least=1)
    cell: str = option("lstm", "a cell of the catalogue")
    one_way: bool = option(False, "the encoder reads forwards only")
    attention: str = option("general", "how words read and written are compared",
                            choices=("general", "dot", "scaled_dot", "additive", "location", NONE))
    feeding: str = option("attended", "what the decoder hears of its attention", choices=("attended", "context", NONE))
    bridge: str = option("tanh", "from the encoder's last state to the decoder's first", choices=BRIDGES)
    dropout: float = option(0.3, "share of units that are left out in training", least=0.0, most=0.95)
    label_smoothing: float = option(0.1, "probability that is shared out among all words", least=0.0, most=0.95)
    own_words: float = option(0.0, "scheduled sampling: how often the decoder reads its own words in the end",
                              least=0.0, most=1.0)
    min_count: int = option(2, "words that occur less often are unknown", least=1)
    max_words: int | None = option(None, "largest number of words of a side, special ones included", least=5)
    max_length: int = option(100, "pairs with a longer sentence are left out", least=1)
    batch: int = option(64, "pairs of a batch", least=1)
    tokens: int | None = option(None, "instead of --batch: pairs times longest sentence of a batch, at most", least=1)
    strategy: str = option("source-target", "which pairs stand in a batch together", choices=STRATEGIES)
    lr: float = option(2e-3, "Adam's learning rate", above=0.0)
    schedule: str = option("linear", "how it falls over the budget", choices=SCHEDULES)
    warmup: int = option(200, "steps until it is there", least=0)
    clip: float = option(1.0, "largest norm of the gradient", above=0.0)
    seed: int = option(0, "the same seed gives the same start, and with epochs or steps the same model", least=0)
    epochs: int | None = option(None, "train for so many passes", least=1)
    steps: int | None = option(None, "train on so many batches", least=1)
    minutes: float | None = option(None, "train for so many minutes", above=0.0)
    validate_every: int | None = option(None, "steps between validations (default: after each pass)", least=1)
    valid_beam: int = option(1, "width of the beam that validations translate with, 1: greedily", least=1)
    best: str = option("bleu", "what the best checkpoint is best by", choices=("bleu", "loss"))

    def __post_init__(self) -> None:
        checked(type(self), asdict(self))
        if not self.source or not self.target:
            raise ValueError("source and target are needed: two files, translations of each other line by line")
        if (self.valid_source is None) != (self.valid_target is None):
            raise ValueError("valid_source and valid_target must be given together")
        if sum(part is not None for part in (self.epochs, self.steps, self.minutes)) > 1:
            raise ValueError("at most one of epochs, steps and minutes is the budget")

    @property
    def budget(self) -> dict[str, Any]:
        """The budget, 10 passes where none is given."""
        given = {name: getattr(self, name) for name in ("epochs", "steps", "minutes")}
        return given if any(value is not None for value in given.values()) else {**given, "epochs": 10}

    @property
    def files(self) -> list[str]:
        """The texts."""
        return [name for name in (self.source, self.target, self.valid_source, self.valid_target) if name is not None]


@dataclass(frozen=True)
class Validation:
    """How good a model is after a step: nats a word, BLEU of its translations (words as they come), 0 to 100."""

    step: int
    nats: float
    bleu: float


class TranslationRun:
    """A translation model in training.

    Parameters
    ----------
    options : TranslationOptions
        Names the files, which are read.

    Attributes
    ----------
    translator : Translator
    training : PairTraining
    skipped : tuple of two int
        Pairs left out of those to learn from and to validate with, without a word or too long.
    validations : list of Validation

    Raises
    ------
    ValueError
        For files that are no translations of each other, or hold no pair to learn from or to validate with.
    OSError
        If one cannot be read.
    """

    def __init__(self, options: TranslationOptions) -> None:
        self.options = options
        learned, valid = self._split(read_pairs(options.source, options.target))
        usable = learned.within(options.max_length)
        self.valid = valid.within(options.max_length)
        self.skipped = (len(learned.sources) - len(usable.sources), len(valid.sources) - len(self.valid.sources))
        for pairs, what in ((usable, "learn from"), (self.valid, "validate with")):
            if not pairs.sources:
                raise ValueError(f"{options.source} and {options.target} leave no pair to {what}: each side must have "
                                 f"1 to {options.max_length} words (max_length)")
        self.sha256 = [learned.sha256, valid.sha256]
        counts = [dict(Counter(word for words in side for word in words)) for side in (usable.sources, usable.targets)]
        self.vocabularies = [Vocabulary(c, options.min_count, options.max_words, SPECIALS) for c in counts]
        if options.valid_beam > len(self.vocabularies[1]):      # now, and not after the first pass
            raise ValueError(f"valid_beam {options.valid_beam} is wider than the vocabulary of the targets, of "
                             f"{len(self.vocabularies[1]):,} words")
        model = build(options, *self.vocabularies)
        self.translator = Translator(model, *self.vocabularies)
        limits: Any = {"tokens": options.tokens} if options.tokens else {"batch_size": options.batch}
        self.training = PairTraining(
            model, Adam(model.parameters(), lr=options.lr),
            self._batches(usable, strategy=options.strategy, rng=options.seed, **limits), **options.budget,
            clip=options.clip, schedule=options.schedule, warmup=options.warmup,
            label_smoothing=options.label_smoothing, own_words=options.own_words)
        self.judging = self.judging_of(self.valid)
        self.validations: list[Validation] = []

    def _split(self, pairs: Pairs) -> tuple[Pairs, Pairs]:
        """Pairs to learn from, and to validate with."""
        if self.options.valid_source is not None and self.options.valid_target is not None:
            return pairs, read_pairs(self.options.valid_source, self.options.valid_target)
        count = len(pairs.sources)
        cut = count - max(1, min(JUDGED, count // 50))
        return pairs.part(0, cut), pairs.part(cut, count)

    def _batches(self, pairs: Pairs, **how: Any) -> PairBatches:
        return PairBatches([self.translator.read(words) for words in pairs.sources],
                           [self.translator.written(words) for words in pairs.targets],
                           padding=self.translator.padding, **how)

    def judging_of(self, pairs: Pairs) -> PairBatches:
        """Pairs to validate with, as batches."""
        return self._batches(pairs, batch_size=64, strategy="source", rng=0)

    def due(self) -> bool:
        """Is it time to validate?"""
        every, pairs = self.options.validate_every, self.training.pairs
        return self.training.progress >= 1 or (
            self.training.step % every == 0 if every else pairs.batch == len(pairs))

    def validate(self) -> Validation:
        """Judge the model on pairs that it has not seen, and tell the schedule.

        Raises
        ------
        Diverged
            If its loss there is NaN or infinite.
        """
        nats, _ = cross_entropy(self.translator.model, self.judging)
        if not math.isfinite(nats):
            raise Diverged(f"training diverged at step {self.training.step}: the validation loss is NaN or infinite")
        width = self.options.valid_beam
        found = self.translator.translate(self.valid.sources, search="greedy" if width == 1 else "beam", width=width)
        bleu = corpus_bleu([one.text for one, *_ in found], [[" ".join(words) for words in self.valid.targets]],
                           tokenize="none")
        self.validations.append(Validation(self.training.step, nats, bleu.score))
        self.training.judged(nats)
        return self.validations[-1]

    def save(self, checkpoints: Checkpoints, judged: Validation | None = None) -> Path:
        """Write the checkpoint of this moment; returns its path.

        Parameters
        ----------
        checkpoints : Checkpoints
            Of the run's folder, and of the kind `TRANSLATION`.
        judged : Validation, optional
            What the model of this moment is worth, so that the best is known.
        """
        score = None if judged is None else -judged.bleu if self.options.best == "bleu" else judged.nats
        return checkpoints.save({
            "options": asdict(self.options), "sha256": self.sha256,
            "words": [{"tokens": v.tokens, "counts": v.counts, "specials": len(v.specials)} for v in self.vocabularies],
            "validations": [asdict(one) for one in self.validations],
            "training": self.training.state_dict(),
        }, self.training.step, score)


@dataclass(frozen=True)
class SavedTranslation:
    """What a checkpoint of a translation model holds; see `TranslationRun.save`."""

    path: Path
    options: TranslationOptions
    sha256: list[str]
    words: list[dict[str, Any]]
    validations: list[dict[str, Any]]
    training: dict[str, Any]
    step: int
    score: float | None

    def resume(self, **moved: str) -> TranslationRun:
        """The run as it was saved, to go on with.

        Parameters
        ----------
        **moved : path
            Where source, target, valid_source and valid_target stand now, where that is elsewhere.

        Raises
        ------
        ValueError
            If a text is no longer what it was.
        OSError
            If one cannot be read.
        """
        run = TranslationRun(replace(self.options, **moved))    # type: ignore[arg-type]
        for part, before, now in zip(("source and target", "valid_source and valid_target"), self.sha256, run.sha256):
            if before != now:
                raise ValueError(f"{self.path} was trained on other texts: the SHA-256 of {part} began with "
                                 f"{before[:12]}, now it begins with {now[:12]}")
        with whole(self.path):
            run.training.load_state_dict(self.training)
            run.validations = [Validation(**one) for one in self.validations]
        return run

    def translator(self) -> Translator:
        """The model with its vocabularies, to translate with."""
        with whole(self.path):
            source, target = (Vocabulary.ordered(one["tokens"], one["counts"].tolist(), one["specials"])
                              for one in self.words)
            model = build(self.options, source, target)
            model.load_state_dict(self.training["model"])
            model.eval()
            return Translator(model, source, target)


def read_translation(path: str | os.PathLike[str]) -> SavedTranslation:
    """The latest checkpoint of the run in a folder, or the one in a file.

    Raises
    ------
    FileNotFoundError
        If the folder holds no run.
    CheckpointError
        If the checkpoint is damaged, or is not that of a translation model.
    """
    file = Path(path) / LATEST if Path(path).is_dir() else Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"{os.fspath(path)} holds no run: there is no {LATEST} in it")
    return parse_translation(checkpoint.load(file, TRANSLATION), file)


def parse_translation(content: dict[str, Any], path: Path) -> SavedTranslation:
    """What was loaded from a file, as a run.  CheckpointError if it is none."""
    with whole(path):
        return SavedTranslation(path, **{**content, "options": TranslationOptions(**content["options"])})


def build(options: TranslationOptions, source: Vocabulary, target: Vocabulary) -> EncoderDecoder:
    """The model that options describe, with its start values."""
    return EncoderDecoder(
        len(source), len(target), options.embedding, options.hidden, options.layers,
        encoder_layers=options.encoder_layers, cell=options.cell, bidirectional=not options.one_way,
        score=None if options.attention == NONE else options.attention,
        feeding=None if NONE in (options.feeding, options.attention) else options.feeding, bridge=options.bridge,
        dropout=options.dropout, rng=options.seed)
