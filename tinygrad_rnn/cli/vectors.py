"""Commands that ask a file of word vectors: neighbours, analogy, map."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..embeddings import KeyedVectors, plot_words, tsne
from .arguments import Parser, natural, positive

MAPPED = 400        # words on a map, if not asked for


def neighbours(arguments: argparse.Namespace) -> None:
    """Print the words nearest to each word."""
    kv = KeyedVectors.load(arguments.vectors)
    for word in arguments.words:
        print(f"{word}:")
        _show(asked(kv.most_similar, word, topn=arguments.number))


def analogy(arguments: argparse.Namespace) -> None:
    """Print the words that answer king - man + woman."""
    positives, negatives = signed(arguments.terms)
    kv = KeyedVectors.load(arguments.vectors)
    _show(asked(kv.most_similar, positives, negatives, topn=arguments.number, method=arguments.method))


def draw_map(arguments: argparse.Namespace) -> None:
    """Draw the commonest words in a plane."""
    out = Path(arguments.out)
    if out.suffix.lower() not in (".png", ".pdf", ".svg"):
        raise ValueError(f"--out must end in .png, .pdf or .svg, got {out}")
    try:
        import matplotlib
    except ImportError:
        raise ValueError("map needs matplotlib: pip install 'tinygrad-rnn[plot]'") from None
    matplotlib.use("agg")
    kv = KeyedVectors.load(arguments.vectors)
    words = kv.index_to_key[:arguments.number]
    points = tsne(kv.unit_vectors[:len(words)], perplexity=min(30.0, max(1.0, (len(words) - 1) / 4)),
                  rng=arguments.seed)
    axes = plot_words(words, points)
    axes.figure.savefig(out, dpi=150)
    print(f"map of {len(words):,} words: {out}")


def signed(terms: list[str]) -> tuple[list[str], list[str]]:
    """king - man + woman -> those to add, those to subtract."""
    positives: list[str] = []
    negatives: list[str] = []
    side, expected = positives, "word"
    for term in terms:
        if expected == "sign":
            if term not in ("+", "-"):
                raise ValueError(f"analogy: expected + or - before {term!r}: king - man + woman")
            side, expected = (positives if term == "+" else negatives), "word"
        else:
            side.append(term)
            expected = "sign"
    if expected == "word":
        raise ValueError("analogy: expected words with + or - between them: king - man + woman")
    return positives, negatives


def asked(query: Callable[..., list[tuple[str, float]]], *words: Any, **options: Any) -> list[tuple[str, float]]:
    """The answer of a query; a word that has no vector is the user's mistake."""
    try:
        return query(*words, **options)
    except KeyError as error:
        raise ValueError(error.args[0]) from None


def _show(found: list[tuple[str, float]]) -> None:
    for word, score in found:
        print(f"  {score:7.4f}  {word}")


def add_commands(commands: argparse._SubParsersAction[Parser]) -> None:
    """Describe the commands to a parser."""
    def command(name: str, action: Callable[[argparse.Namespace], None], summary: str, more: str) -> Parser:
        parser = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}. {more}")
        parser.set_defaults(command=action)
        parser.add_argument("vectors", metavar="VECTORS", help="a file of word vectors: text or binary of word2vec, "
                            "GloVe, fastText or safetensors, gzipped or not")
        return parser

    parser = command("neighbours", neighbours, "list the words nearest to some words", (
        "The score is the cosine of the two vectors, 1 at most."))
    parser.add_argument("words", metavar="WORD", nargs="+")
    parser.add_argument("--number", type=positive, default=10, metavar="N", help="words to list (default 10)")

    parser = command("analogy", analogy, "answer a question such as king - man + woman", (
        "The words that are named are never an answer."))
    parser.add_argument("terms", metavar="TERM", nargs="+", help="words with + or - between them, set apart by spaces")
    parser.add_argument("--number", type=positive, default=10, metavar="N", help="answers to list (default 10)")
    parser.add_argument("--method", choices=("3cosadd", "3cosmul"), default="3cosadd", help="add the cosines, or "
                        "multiply them, so that no single one decides (default 3cosadd)")

    parser = command("map", draw_map, "draw the commonest words in a plane, by t-SNE", (
        "Words that are near one another among all dimensions are near one another in the picture. Distances between "
        "groups mean little."))
    parser.add_argument("--out", metavar="PNG", required=True, help="picture to write: .png, .pdf or .svg")
    parser.add_argument("--number", type=positive, default=MAPPED, metavar="N", help="words to draw, the first of the "
                        f"file (default {MAPPED})")
    parser.add_argument("--seed", type=natural, metavar="S", default=0, help="of the layout (default 0)")
