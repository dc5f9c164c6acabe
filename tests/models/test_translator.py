"""Sentences in, translations out, whatever stands beside them."""

from collections import Counter

import numpy as np
import pytest

from tinygrad_rnn import data, decode, models
from tinygrad_rnn.models import Translator

WORDS = "abcdef"


@pytest.fixture(scope="module")
def translator() -> Translator:
    source, target = (data.Vocabulary(Counter(words), specials=data.SPECIALS) for words in (WORDS, "uvwxyz"))
    model = models.EncoderDecoder(len(source), len(target), 5, 6, rng=3)
    model.decoder.linear.weight.data *= 8       # surer of what comes next than start values are
    return Translator(model, source, target)


SENTENCES = [list(line) for line in ("ab", "", "fedcba", "c", "abcabc", "zz")]


@pytest.mark.compiled
@pytest.mark.parametrize("options", [{}, {"search": "greedy"}, {"search": "sample", "n_best": 3, "rng": 4},
                                     {"n_best": 4, "width": 5, "alpha": 0.0}], ids=str)
def test_neighbours_change_nothing(translator: Translator, options: dict) -> None:
    together = translator.translate(SENTENCES, **options)
    for batch_size in (1, 2):
        assert translator.translate(SENTENCES, batch_size=batch_size, **options) == together
    assert translator.translate(SENTENCES[::-1], **options) == together[::-1]
    # "" has one translation, and is the only one that has no words for sure
    assert [one.text for one in together[1]] == [""] and together[1][0].hypothesis.tokens == []


def test_words_are_those_of_the_search(translator: Translator) -> None:
    (best, *_), = translator.translate([list("abc")], n_best=2)
    source = translator.source.encode(["a", "b", "c", "<eos>"])
    step, state = translator.model.stepper(source[:, None], [4])
    (expected, *_), = decode.beam_search(step, state, bos=1, eos=2, max_length=16)
    assert best.hypothesis.tokens == expected.tokens and best.attention is None
    specials = ("<bos>", "<eos>", "<pad>")
    assert best.words == [word for word in translator.target.decode(expected.tokens) if word not in specials]


def test_attention_is_where_the_model_looked(translator: Translator) -> None:
    found = translator.translate(SENTENCES, attention=True, n_best=2)
    for words, several in zip(SENTENCES, found):
        for one in several if words else []:
            assert one.attention is not None
            assert one.attention.shape == (len(one.hypothesis.tokens), len(words) + 1)
            np.testing.assert_allclose(one.attention.sum(1), 1, rtol=1e-5)
            alone = translator.model.attention_weights(
                translator.read(words)[:, None], np.array([1, *one.hypothesis.tokens[:-1]])[:, None])
            np.testing.assert_allclose(one.attention, alone[:, 0], rtol=1e-5, atol=1e-7)


def test_unknown_words_are_copied(translator: Translator) -> None:
    plain, = translator.translate([list("abc")], search="greedy", attention=True,
                                  adjusters=[decode.adjusters.ForceTokens([0, 5, 0, 2])])
    copied, = translator.translate([list("abc")], search="greedy", replace_unknown=True,
                                   adjusters=[decode.adjusters.ForceTokens([0, 5, 0, 2])])
    assert plain[0].words[::2] == ["<unk>", "<unk>"] and plain[0].attention is not None
    looked = plain[0].attention[:, :3].argmax(1)
    assert copied[0].words == ["abc"[looked[0]], plain[0].words[1], "abc"[looked[2]]] and copied[0].attention is None


def test_special_tokens_in_a_text_are_unknown_words(translator: Translator) -> None:
    assert translator.read(["a", "<eos>", "<pad>"]).tolist() == translator.read(["a", "?", "?"]).tolist()
    assert translator.written(["<eos>", "<bos>", "u"]).tolist() == translator.written(["?", "?", "u"]).tolist()
    assert translator.translate([["<eos>", "a"]])[0][0].words == translator.translate([["?", "a"]])[0][0].words


def test_bad_input(translator: Translator) -> None:
    with pytest.raises(ValueError, match="search must be one of beam, greedy, sample, got 'best'"):
        translator.translate([["a"]], search="best")
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        translator.translate([["a"]], batch_size=0)
    with pytest.raises(ValueError, match="n_best must be at most width"):
        translator.translate([["a"]], n_best=11)
    with pytest.raises(ValueError, match="the target vocabulary lacks <unk>, <bos>, <eos>, <pad>"):
        Translator(translator.model, translator.source, data.Vocabulary(Counter("a")))
    blind = models.EncoderDecoder(10, 10, 3, 4, score=None, feeding=None, rng=0)
    with pytest.raises(ValueError, match="need a model with attention"):
        Translator(blind, translator.source, translator.target).translate([["a"]], attention=True)
