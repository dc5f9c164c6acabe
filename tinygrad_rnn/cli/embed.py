"""The command that learns word vectors."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from typing import Any

from .arguments import Parser, above_zero, natural, positive

MODELS = ("skipgram", "cbow", "glove")
# Options of one model alone, by the name of the parameter.
WORD2VEC = ("negative", "sample")


def embed(arguments: argparse.Namespace) -> None:
    """Learn vectors of the words of a text, and write them."""
    options = {name: getattr(arguments, name) for name in ("vector_size", "window", "min_count", "epochs", "workers",
                                                           *WORD2VEC) if getattr(arguments, name) is not None}
    if arguments.model == "glove":
        refused = next((name for name in WORD2VEC if name in options), None)
        if refused:
            raise ValueError(f"--{refused} belongs to skipgram and cbow, --model glove has none")
    else:
        options["model"] = arguments.model
    out = Path(arguments.out)
    if not out.parent.is_dir():
        raise FileNotFoundError(2, "no such folder to write to", str(out.parent))
    model = _class(arguments.model)(deterministic=arguments.deterministic, rng=arguments.seed, **options)
    vectors = model.fit(arguments.corpus).vectors
    vectors.save(out)
    unit = "objective J" if arguments.model == "glove" else "nats a pair"
    print(f"{len(vectors):,} words, {vectors.vectors.shape[1]} numbers each, from {arguments.corpus}")
    print(f"loss: {model.loss_history[0]:.4f} in the first epoch, {model.loss_history[-1]:.4f} in the last ({unit})")
    print(f"vectors: {out}")


def _class(model: str) -> Any:
    """The class of a model, imported when it is asked for."""
    module, name = ("glove", "GloVe") if model == "glove" else ("word2vec", "Word2Vec")
    return getattr(importlib.import_module(f"..embeddings.{module}", __package__), name)


def add_commands(commands: argparse._SubParsersAction[Parser]) -> None:
    """Describe the command to a parser."""
    summary = "learn vectors of the words of a text"
    parser = commands.add_parser("embed", help=summary, description=f"{summary[0].upper()}{summary[1:]}. Words that "
                                 "stand in like places get like vectors. The text is read once, whatever its size.")
    parser.set_defaults(command=embed)
    add = parser.add_argument
    add("corpus", metavar="CORPUS", help="a UTF-8 text file, a sentence a line, words apart by whitespace")
    add("--model", choices=MODELS, default="skipgram", help="skipgram: each neighbour predicts a word; cbow: their "
        "mean does; glove: products of vectors approach the logarithms of how often words meet (default skipgram)")
    add("--out", metavar="FILE", required=True, help="where the vectors go, as word2vec's text")
    add("--vector-size", type=positive, metavar="N", help="numbers a vector (default 100)")
    add("--window", type=positive, metavar="N", help="words on each side that are a word's neighbours (default 5; "
        "glove 10)")
    add("--min-count", type=positive, metavar="N", help="words that come less often are left out (default 5)")
    add("--epochs", type=positive, metavar="N", help="passes over the text (default 5; glove 25)")
    add("--negative", type=positive, metavar="N", help="noise words for each word to predict (default 5)")
    add("--sample", type=above_zero, metavar="T", help="share of the text above which occurrences of a word are left "
        "out (default 0.001)")
    add("--workers", type=positive, metavar="N", help="threads (default: as many as there are CPUs)")
    add("--deterministic", action="store_true", help="the same vectors for any number of threads")
    add("--seed", type=natural, metavar="S", help="of all that is drawn (default: another each time)")
