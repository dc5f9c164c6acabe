"""Training on sentence pairs: updates of an encoder-decoder, and how fast it learns when.

    factor = warm-up * decay
    warm-up = min(1, (step + 1) / warmup)
    decay   "constant"  1                      "linear"   1 - progress
            "cosine"    (1 + cos(pi progress)) / 2
            "plateau"   halved whenever the validation loss did not fall
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from ..autograd import Tensor, no_grad
from ..data.batching import PairBatch, PairBatches
from ..models.seq2seq import EncoderDecoder
from .updates import Updates

SCHEDULES = ("linear", "constant", "cosine", "plateau")


class PairTraining(Updates):
    """An encoder-decoder on its way through sentence pairs, for a budget of steps, passes or minutes.

    Parameters
    ----------
    model : EncoderDecoder
    optimizer : optimizer of `optim`
    pairs : PairBatches
        Targets with their begin and their end.
    steps, epochs, minutes, clip : see `Updates`
    schedule : str
        Of `SCHEDULES`, above.
    warmup : int
        Steps until the learning rate is there.
    label_smoothing : float
    own_words : float
        Scheduled sampling: the probability that the decoder reads a word of its own grows linearly to this.

    Attributes
    ----------
    words : int
        Words of targets learned from, ends included.
    """

    def __init__(self, model: EncoderDecoder, optimizer: Any, pairs: PairBatches, *, steps: int | None = None,
                 epochs: int | None = None, minutes: float | None = None, clip: float = 1.0, schedule: str = "linear",
                 warmup: int = 0, label_smoothing: float = 0.0, own_words: float = 0.0) -> None:
        super().__init__(model, optimizer, pairs, steps=steps, epochs=epochs, minutes=minutes, clip=clip)
        self.model: EncoderDecoder = model
        if schedule not in SCHEDULES:
            raise ValueError(f"PairTraining: schedule must be one of {', '.join(SCHEDULES)}, got {schedule!r}")
        self.pairs, self.epochs, self.schedule, self.warmup = pairs, epochs, schedule, warmup
        self.label_smoothing, self.own_words = label_smoothing, own_words
        self.words, self.halvings, self.least = 0, 0, math.inf
        self.begun = 0.0        # progress before the batch in work

    @property
    def progress(self) -> float:
        """Share of the budget that is used up, 0 to 1."""
        if self.epochs is None:
            return super().progress
        # Passes in batches of so many tokens differ in their number of batches.
        return min((self.pairs.epoch + self.pairs.batch / len(self.pairs)) / self.epochs, 1.0)

    @property
    def tokens(self) -> int:
        """Words of targets learned from."""
        return self.words

    def factor(self) -> float:
        """What the learning rates are multiplied by, at this moment."""
        p = self.begun
        decay = {"constant": 1.0, "linear": 1 - p, "cosine": (1 + math.cos(math.pi * p)) / 2,
                 "plateau": 0.5**self.halvings}[self.schedule]
        return decay * min(1.0, (self.step + 1) / self.warmup if self.warmup else 1.0)

    def batches(self) -> Iterator[PairBatch]:
        """What is left of this pass."""
        following = iter(self.pairs)
        while True:
            self.begun = self.progress      # the position moves before a batch is handed out
            batch = next(following, None)
            if batch is None:
                return
            yield batch

    def loss(self, batch: PairBatch) -> Tensor:
        """Mean cross-entropy of the words of a batch, nats; labels smoothed."""
        self.words += int(batch.target_lengths.sum()) - len(batch.pairs)
        loss: Tensor = self.model.loss(batch.source, batch.target, batch.source_lengths, batch.target_lengths,
                                       own=self.own_words * self.begun, label_smoothing=self.label_smoothing)
        return loss

    def judged(self, loss: float) -> None:
        """Tell the schedule what the loss on validation data is."""
        self.halvings += loss >= self.least
        self.least = min(self.least, loss)

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed training needs to end with the very bits of one that was never interrupted."""
        return {**super().state_dict(), "pairs": self.pairs.state_dict(), "words": self.words,
                "halvings": self.halvings, "least": self.least}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        super().load_state_dict(state)
        self.pairs.load_state_dict(state["pairs"])
        self.words, self.halvings, self.least = state["words"], state["halvings"], state["least"]


@no_grad()
def cross_entropy(model: EncoderDecoder, pairs: PairBatches) -> tuple[float, int]:
    """How well a model predicts the targets of a pass: nats a word, and the number of words.

    Label smoothing, dropout and scheduled sampling aside.
    """
    mode = model.training
    model.eval()
    total, words = 0.0, 0
    try:
        for k in range(len(pairs)):
            source, source_lengths, target, target_lengths, _ = pairs[k]
            count = int(target_lengths.sum()) - len(target_lengths)
            total += float(model.loss(source, target, source_lengths, target_lengths)) * count
            words += count
    finally:
        model.train(mode)
    return total / words, words
