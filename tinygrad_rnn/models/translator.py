"""Sentences in, translations out: an encoder-decoder, its two vocabularies, and a search.

    translator = Translator(model, source_vocabulary, target_vocabulary)
    translator.translate([["ein", "hund"]])[0][0].words         ["a", "dog"]

Sentences of one length are read together; a translation does not depend on its neighbours.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .. import data, decode
from ..data.vocabulary import BEGIN, END, PADDING, UNKNOWN, Vocabulary
from ..decode import Hypothesis
from ..random import Rng
from .seq2seq import EncoderDecoder

SEARCHES = ("beam", "greedy", "sample")


@dataclass(frozen=True)
class Translation:
    """What a sentence may be in the other language.

    Attributes
    ----------
    words : list of str
    hypothesis : Hypothesis
        Ids, score and log-probabilities, the end among them where it was written.
    attention : float array (len(hypothesis.tokens), S + 1), or None
        Where each written word, and the end, looked: the S words of the source, and its end.
    """

    words: list[str]
    hypothesis: Hypothesis
    attention: np.ndarray | None = None

    @property
    def text(self) -> str:
        """The words, a space between them."""
        return " ".join(self.words)


class Translator:
    """A model and the words that it reads and writes.

    Parameters
    ----------
    model : EncoderDecoder
    source, target : Vocabulary
        With the four usual special tokens.
    """

    def __init__(self, model: EncoderDecoder, source: Vocabulary, target: Vocabulary) -> None:
        for name, vocabulary in (("source", source), ("target", target)):
            lacking = [token for token in data.SPECIALS if token not in vocabulary]
            if lacking:
                raise ValueError(f"Translator: the {name} vocabulary lacks {', '.join(lacking)}")
        self.model, self.source, self.target = model, source, target
        self.unknown, self.begin, self.end, self.padding = target.encode((UNKNOWN, BEGIN, END, PADDING)).tolist()

    # ---- ids --------------------------------------------------------------------------------------------------------
    def read(self, words: Sequence[str]) -> np.ndarray:
        """Ids of a source: its words and the end.  A word of a text that is written as a special token is unknown."""
        return self.source.encode([*_plain(words), END])

    def written(self, words: Sequence[str]) -> np.ndarray:
        """Ids of a target: the begin, its words and the end."""
        return self.target.encode([BEGIN, *_plain(words), END])

    def stepper(self, sentences: Sequence[Sequence[str]]) -> tuple[Any, Any]:
        """What `tinygrad_rnn.decode` takes, for these sources, of one word at least."""
        source, lengths = data.pad([self.read(words) for words in sentences], self.source.encode([PADDING])[0])
        return self.model.stepper(source, lengths)

    def ends(self, sentences: Sequence[Sequence[str]], longest: float = 2.0) -> dict[str, Any]:
        """What decoding begins and ends with: at most `longest` words for each of the source's, and ten."""
        limits = [int(longest * len(words)) + 10 for words in sentences]
        return {"bos": self.begin, "eos": self.end, "max_length": limits}

    # ---- translating ------------------------------------------------------------------------------------------------
    def translate(self, sentences: Iterable[Sequence[str]], *, search: str = "beam", width: int = 10,
                  alpha: float = 0.7, n_best: int = 1, temperature: float = 1.0, rng: Rng = 0, batch_size: int = 64,
                  attention: bool = False, replace_unknown: bool = False,
                  **options: Any) -> list[list[Translation]]:
        """Translate sentences.

        Parameters
        ----------
        sentences : iterable of sequences of words
            One without a word has one translation, without a word.
        search : "beam", "greedy" or "sample"
        width, alpha, n_best : see `decode.beam_search`
        temperature, rng : see `decode.sample`
        batch_size : int
            Sentences that are searched together.
        attention : bool
            Give the attention of each translation.
        replace_unknown : bool
            Write the source word that was looked at where the model says that it does not know the word; see
            `decode.replace_unknown`.
        **options : further ones of the search, adjusters for one

        Returns
        -------
        list over the sentences of lists of Translation, best first: n_best of them with a beam (fewer where fewer were
        found), n_best samples, one otherwise

        Raises
        ------
        ValueError, TypeError
            For an unknown search, a model without attention where that is needed, and as the search.
        """
        if search not in SEARCHES:
            raise ValueError(f"translate: search must be one of {', '.join(SEARCHES)}, got {search!r}")
        if batch_size < 1:
            raise ValueError(f"translate: batch_size must be at least 1, got {batch_size}")
        if (attention or replace_unknown) and not self.model.decoder.attends:
            raise ValueError("translate: attention and replace_unknown need a model with attention")
        given = [list(words) for words in sentences]
        find: Any = {"beam": decode.beam_search, "greedy": decode.greedy, "sample": decode.sample}[search]
        chosen: Any = {"beam": {"width": width, "alpha": alpha, "n_best": n_best}, "greedy": {},
                       "sample": {"temperature": temperature, "num_return": n_best, "rng": rng}}[search]
        found = [[Translation([], Hypothesis([], 0.0, 0.0, [], True))] for _ in given]
        for part in self.batches(given, batch_size):
            here = [given[k] for k in part]
            step, state = self.stepper(here)
            hypotheses = find(step, state, **self.ends(here), **chosen, **options)
            looked: list[list[Any]] = self._looked(here, hypotheses) if attention or replace_unknown else [
                [None] * len(several) for several in hypotheses]
            for k, several, maps in zip(part, hypotheses, looked):
                found[k] = [self._translation(one, given[k], seen, replace_unknown)
                            for one, seen in zip(several, maps)]
                if not attention:
                    found[k] = [replace(one, attention=None) for one in found[k]]
        return found

    def batches(self, sentences: Sequence[Sequence[str]], size: int) -> Iterator[list[int]]:
        """Which sentences, of those with words, are read together, `size` at most: those of like length."""
        order = sorted((k for k, words in enumerate(sentences) if words), key=lambda k: len(sentences[k]))
        return (order[k:k + size] for k in range(0, len(order), size))

    def _looked(self, sentences: Sequence[Sequence[str]],
                hypotheses: Sequence[Sequence[Hypothesis]]) -> list[list[Any]]:
        """Attention of each hypothesis, (T, S + 1)."""
        pairs = [(words, one) for words, several in zip(sentences, hypotheses) for one in several]
        source, lengths = data.pad([self.read(words) for words, _ in pairs], 0)
        read, counts = data.pad([np.array([self.begin, *one.tokens[:-1]]) for _, one in pairs], 0)
        weights = self.model.attention_weights(source, read, lengths, counts)       # (T, pairs, S)
        maps = iter([weights[:len(one.tokens), k, :len(words) + 1] for k, (words, one) in enumerate(pairs)])
        return [[next(maps) for _ in several] for several in hypotheses]

    def _translation(self, one: Hypothesis, source: Sequence[str], looked: np.ndarray | None,
                     replace_unknown: bool) -> Translation:
        tokens: list[Any] = self.target.decode(one.tokens)
        if replace_unknown:
            tokens = decode.replace_unknown(tokens, looked, source, UNKNOWN)
        words = [word for word, k in zip(tokens, one.tokens) if k not in (self.begin, self.end, self.padding)]
        return Translation(words, one, looked)


def _plain(words: Sequence[str]) -> list[str]:
    """The words of a text, where an end that is written out ends nothing."""
    return [UNKNOWN if word in data.SPECIALS else word for word in words]
