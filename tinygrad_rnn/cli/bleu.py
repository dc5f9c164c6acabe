"""The command that scores translations: `tinygrad-rnn bleu REF HYP`."""

from __future__ import annotations

import argparse

from ..data.corpora import read_text
from ..metrics import corpus_bleu
from ..metrics.bleu import SMOOTHING
from ..metrics.segmentation import TOKENIZERS
from .arguments import Parser, zero_or_more


def score(arguments: argparse.Namespace) -> None:
    """Print BLEU of a file of translations, with what it was made of and how."""
    hypotheses = _lines(arguments.hypotheses)
    references = [_lines(name) for name in arguments.references]
    for name, lines in zip(arguments.references, references):
        if len(lines) != len(hypotheses):
            raise ValueError(f"{name} has {len(lines):,} lines, {arguments.hypotheses} has {len(hypotheses):,}: line "
                             "by line, one must be a translation of the other")
    print(corpus_bleu(hypotheses, references, arguments.smooth, arguments.smooth_value, arguments.tokenize,
                      arguments.lowercase, force=True))


def _lines(name: str) -> list[str]:
    """Lines of a text; what ends the last one begins no other."""
    return read_text(name).removesuffix("\n").split("\n")


def add_commands(commands: argparse._SubParsersAction[Parser]) -> None:
    """Describe the command to a parser."""
    parser = commands.add_parser("bleu", help="score translations against references", description=(
        "Score translations against references. The figure is sacreBLEU's, 0 to 100: how many n-grams of the "
        "translations the references have too, up to four words long, and a penalty where they are shorter. The "
        "signature says how it was computed: figures with another one do not compare."))
    parser.set_defaults(command=score)
    add = parser.add_argument
    add("references", metavar="REF", nargs="+", help="references, a sentence a line; several files, where there are "
        "several translations of each")
    add("hypotheses", metavar="HYP", help="translations, line by line those of the same sentences")
    add("--tokenize", choices=TOKENIZERS, default="13a", help="how lines are cut into tokens (default 13a, as WMT "
        "does; none: they are cut already, at white space)")
    add("--lowercase", action="store_true", help="do not tell upper case from lower")
    add("--smooth", choices=SMOOTHING, default="exp", help="what becomes of n-grams without a match (default exp)")
    add("--smooth-value", type=zero_or_more, metavar="X", help="matches that floor and add-k add (default 0.1 and 1)")
