"""BLEU equals sacreBLEU's, option by option, on token soup and on lines with all kinds of characters."""

import sys
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_rnn.metrics import BLEU, corpus_bleu, sentence_bleu
from tinygrad_rnn.metrics.segmentation import TOKENIZERS

pytestmark = pytest.mark.parity
sacrebleu = pytest.importorskip("sacrebleu")
METHODS = ("exp", "floor", "add-k", "none")

# What is cut, what is not, and what stands between digits.
PIECES = st.sampled_from(
    "a b A ab ß 3 3.5 1,000 4-5 don't . , -- - ! ( \" &quot; &amp; <skipped> „ “ € ÷ ² ٣ ... é …".split())
SOUP = st.lists(PIECES | st.sampled_from(" \n\t"), max_size=14).map("".join)
LINE = st.lists(st.sampled_from("abc."), max_size=9).map(" ".join) | SOUP
CHARACTERS = st.characters(exclude_categories=("Cs", "Cn"))
# The two programs know different versions of Unicode: characters that only the newer one knows differ.
TEXT = st.text(CHARACTERS, max_size=20)
OPTIONS = st.fixed_dictionaries({
    "smooth_method": st.sampled_from(METHODS), "smooth_value": st.sampled_from([None, 0.0, 0.3, 2.0]),
    "tokenize": st.sampled_from(sorted(TOKENIZERS)), "lowercase": st.booleans()})


def same(ours: BLEU, theirs: object, signature: object) -> None:
    """In every number, and in what the signature says but for the version."""
    for name in ("score", "precisions", "bp", "sys_len", "ref_len", "counts", "totals"):
        assert getattr(ours, name) == pytest.approx(getattr(theirs, name), abs=1e-9, rel=1e-12), name
    assert ours.signature.rpartition("|")[0] == str(signature).rpartition("|")[0]
    assert str(ours).partition(" = ")[2] == str(theirs).partition(" = ")[2]


@settings(max_examples=400)
@given(st.data(), OPTIONS)
def test_corpus(data: st.DataObject, options: dict) -> None:
    size, streams = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 3))
    lines = st.lists(LINE, min_size=size, max_size=size)
    some = st.lists(LINE | st.none(), min_size=size, max_size=size)
    hypotheses = data.draw(lines)
    references = [data.draw(lines), *(data.draw(some) for _ in range(streams - 1))]
    metric = sacrebleu.BLEU(force=True, **options)
    theirs = metric.corpus_score(hypotheses, references)
    same(corpus_bleu(hypotheses, references, **options), theirs, metric.get_signature())
    again = sacrebleu.corpus_bleu(hypotheses, references, force=True, **options)
    assert corpus_bleu(hypotheses, references, force=True, **options).score == pytest.approx(again.score, abs=1e-9)


@settings(max_examples=400)
@given(LINE, st.lists(LINE, min_size=1, max_size=3), OPTIONS, st.booleans())
def test_sentence(hypothesis: str, references: list[str], options: dict, effective: bool) -> None:
    metric = sacrebleu.BLEU(effective_order=effective, **options)
    theirs = metric.sentence_score(hypothesis, references)
    ours = sentence_bleu(hypothesis, references, use_effective_order=effective, **options)
    same(ours, theirs, metric.get_signature())


def test_defaults() -> None:
    hypotheses, references = ["The cat sat on the mat, and so on.", "No."], [["A cat sat on a mat, and so on.", "No!"]]
    assert corpus_bleu(hypotheses, references).score == pytest.approx(
        sacrebleu.corpus_bleu(hypotheses, references).score, abs=1e-9)
    assert sentence_bleu(hypotheses[0], references[0]).score == pytest.approx(
        sacrebleu.sentence_bleu(hypotheses[0], references[0]).score, abs=1e-9)


@settings(max_examples=500)
@given(st.sampled_from(sorted(TOKENIZERS)), TEXT | SOUP)
def test_tokens(name: str, line: str) -> None:
    line = line.rstrip()
    theirs = sacrebleu.BLEU(tokenize=name).tokenizer(line).split()
    assert TOKENIZERS[name](line) == theirs


def test_every_character_in_its_places() -> None:
    regex = pytest.importorskip("regex")
    cut = sacrebleu.BLEU(tokenize="intl").tokenizer
    # Newer characters than this Python's Unicode, and those that were given another category since, are left out.
    kinds = {kind: regex.compile(rf"\p{{{kind}}}") for kind in "NPS"}
    differ = 0
    for code in range(sys.maxunicode + 1):
        character, kind = chr(code), unicodedata.category(chr(code))
        if kind in ("Cs", "Cn") or kind[0] not in "NPS" and code % 7:
            continue
        if any((kind[0] == wanted) != bool(pattern.match(character)) for wanted, pattern in kinds.items()):
            differ += 1
            continue
        line = f"a{character}1{character}{character}b {character}"
        assert TOKENIZERS["intl"](line) == cut(line).split(), hex(code)
    assert differ < 20
