"""With a trained translation model: translate standard input, and judge the translations of a text."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from ..data import PairBatches
from ..data.pairs import read_pairs
from ..decode.analysis import ErrorAnalysis, analyse_errors, width_curve
from ..metrics import corpus_bleu
from ..models.seq2seq import plot_attention
from ..models.translator import Translation, Translator
from ..train.translating import cross_entropy
from ..train.translation import read_translation

CURVE = 200             # sentences that the widths of beams are compared on


# ---- run ------------------------------------------------------------------------------------------------------------
def run(arguments: argparse.Namespace) -> None:
    """Translate standard input, a sentence a line."""
    translator = read_translation(arguments.run).translator()
    search = "greedy" if arguments.greedy else "sample" if arguments.sample else "beam"
    if search == "greedy" and arguments.n_best > 1:
        raise ValueError("--n-best needs a beam or --sample: --greedy finds one translation of each sentence")
    if search != "sample" and (arguments.temperature is not None or arguments.seed is not None):
        raise ValueError("--temperature and --seed need --sample: nothing else is drawn")
    if search == "beam" and arguments.n_best > arguments.beam:
        raise ValueError(f"--n-best {arguments.n_best} needs a --beam as wide, it is {arguments.beam}")
    if search == "beam":
        refuse_wider(translator, arguments.beam)
    if arguments.attention:
        _picture_or_say_so()
    number = 0
    # At a terminal each line is answered at once; in a pipe many are translated together.
    chunk = 1 if sys.stdin.isatty() else 8 * arguments.batch
    for lines in _read(sys.stdin.buffer, chunk):
        found = translator.translate(
            [line.split() for line in lines], search=search, width=arguments.beam, alpha=arguments.alpha,
            n_best=arguments.n_best, temperature=arguments.temperature or 1.0, rng=arguments.seed or 0,
            batch_size=arguments.batch, attention=bool(arguments.attention), replace_unknown=arguments.replace_unknown)
        for line, several in zip(lines, found):
            number += 1
            _write(number, several, arguments)
            if arguments.attention and several[0].attention is not None:
                _draw(Path(arguments.attention), number, line.split(), several[0], translator)
        sys.stdout.flush()


def refuse_wider(translator: Translator, *widths: int) -> None:
    """Complain about a beam wider than the vocabulary."""
    if max(widths) > len(translator.target):
        raise ValueError(f"a beam of {max(widths)} is wider than the vocabulary: the model knows "
                         f"{len(translator.target):,} words")


def _read(file: Any, size: int) -> Iterator[list[str]]:
    """Lines in lists of up to `size`; one that is not UTF-8 is named."""
    before = 0
    while raw := list(islice(file, size)):
        lines = []
        for k, line in enumerate(raw):
            try:
                lines.append(line.decode("utf-8"))
            except UnicodeDecodeError as error:
                raise ValueError(f"standard input, line {before + k + 1:,}, is not UTF-8: byte "
                                 f"0x{error.object[error.start]:02x}") from None
        before += len(lines)
        yield lines


def _write(number: int, several: list[Translation], arguments: argparse.Namespace) -> None:
    """One line of text; with scores or several translations: number, score and text of each, tabs between."""
    if arguments.n_best == 1 and not arguments.scores:
        print(several[0].text)
        return
    for one in several:
        print(number, f"{one.hypothesis.score:.4f}", one.text, sep="\t")


def _picture_or_say_so() -> None:
    """Find out before the work that pictures cannot be drawn."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise ValueError("pictures need matplotlib: pip install 'tinygrad_rnn[plot]'") from None


def _draw(path: Path, number: int, source: list[str], one: Translation, translator: Translator) -> None:
    """Attention of sentence `number` as PATH-number.png."""
    from matplotlib.figure import Figure

    read, written = [*source, "</s>"], translator.target.decode(one.hypothesis.tokens)
    figure = Figure(figsize=(1.5 + 0.4 * len(read), 1.5 + 0.3 * len(written)), layout="constrained")
    plot_attention(one.attention, read, written, figure.subplots())
    figure.savefig(path.with_name(f"{path.stem}-{number}{path.suffix or '.png'}"))


# ---- evaluate -------------------------------------------------------------------------------------------------------
def evaluate(arguments: argparse.Namespace) -> None:
    """Print BLEU, the loss, and whose fault the errors are."""
    translator = read_translation(arguments.run).translator()
    pairs = read_pairs(arguments.source, arguments.target)
    usable = [k for k, (source, target) in enumerate(zip(pairs.sources, pairs.targets)) if source and target]
    if not usable:
        raise ValueError(f"{arguments.source} and {arguments.target} have no line with words on both sides")
    if arguments.plot:
        _picture_or_say_so()
    refuse_wider(translator, arguments.beam, *arguments.widths)
    found = translator.translate(pairs.sources, width=arguments.beam, alpha=arguments.alpha)
    print(corpus_bleu([one.text for one, *_ in found], [[" ".join(words) for words in pairs.targets]],
                      tokenize=arguments.tokenize, force=True))
    if len(usable) < len(pairs.sources):
        print(f"{len(pairs.sources) - len(usable):,} of {len(pairs.sources):,} pairs lack words on a side: they count "
              "in BLEU alone")
    batches = _batches(translator, [pairs.sources[k] for k in usable], [pairs.targets[k] for k in usable])
    nats, words = cross_entropy(translator.model, batches)
    print(f"{words:,} words predicted, per word: {nats:.4f} nats, {nats / math.log(2):.4f} bits, perplexity "
          f"{math.exp(min(nats, 700)):.3f}")
    analysis = _analysed(translator, pairs, usable, arguments)
    print(f"\nSearch or model, beam {arguments.beam}, alpha {arguments.alpha:g}:\n\n{analysis.table()}")
    if arguments.plot:
        _save(analysis.plot, arguments.plot, 5.0)
        print(f"\nplot: {arguments.plot}")
    if arguments.widths:
        some = usable[:CURVE]
        step, state = translator.stepper([pairs.sources[k] for k in some])
        curve = width_curve(step, state, [translator.written(pairs.targets[k])[1:].tolist() for k in some],
                            arguments.widths, alpha=arguments.alpha,
                            **translator.ends([pairs.sources[k] for k in some]))
        print(f"\nWidth of the beam, the first {len(some)} sentences:\n\n{curve.table()}")


def _batches(translator: Translator, sources: list[list[str]], targets: list[list[str]]) -> Any:
    return PairBatches([translator.read(words) for words in sources], [translator.written(words) for words in targets],
                       64, strategy="source", padding=translator.padding, rng=0)


def _analysed(translator: Translator, pairs: Any, usable: list[int], arguments: argparse.Namespace) -> ErrorAnalysis:
    """Search errors and model errors of all pairs."""
    analysis = ErrorAnalysis(())
    for part in translator.batches([pairs.sources[k] for k in usable], 64):
        here = [pairs.sources[usable[k]] for k in part]
        step, state = translator.stepper(here)
        references = [translator.written(pairs.targets[usable[k]])[1:].tolist() for k in part]
        analysis += analyse_errors(step, state, references, width=arguments.beam, alpha=arguments.alpha,
                                   **translator.ends(here))
    return analysis


def _save(plot: Callable[[Any], Any], path: str, size: float) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(size, size), layout="constrained")
    plot(figure.subplots())
    figure.savefig(path)
