"""The commands of translation: train a model on sentence pairs, translate with it, evaluate it."""

from __future__ import annotations

import argparse
import math
import shlex
import sys
from collections.abc import Callable, Iterator
from dataclasses import Field, asdict, fields
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from ..data import SPECIALS, PairBatches, Vocabulary
from ..data.pairs import read_pairs
from ..decode.analysis import ErrorAnalysis, analyse_errors, width_curve
from ..metrics import corpus_bleu
from ..metrics.segmentation import TOKENIZERS
from ..models.seq2seq import plot_attention
from ..models.translator import Translation, Translator
from ..optim import Adam, clip_grad_norm_
from ..train import Checkpoints, Interrupted, ProgressBar, Saver, write_curve
from ..train.settings import changed, checked, described, from_toml, kind
from ..train.translating import cross_entropy
from ..train.translation import (
    TRANSLATION,
    TranslationOptions,
    TranslationRun,
    Validation,
    build,
    parse_translation,
    read_translation,
)
from .arguments import Parser, above_zero, natural, positive, zero_or_more

WIDTH, ALPHA = 10, 0.7
CURVE = 200             # sentences that the widths of beams are compared on
BUDGETS = ("epochs", "steps", "minutes")
TEXTS = ("source", "target", "valid_source", "valid_target")


# ---- train ----------------------------------------------------------------------------------------------------------
def train(arguments: argparse.Namespace) -> None:
    """Train on sentence pairs; print how good the translations of others are."""
    checkpoints = Checkpoints(arguments.out, TRANSLATION, arguments.keep, replace=arguments.force)
    folder = checkpoints.folder
    begun = None if arguments.resume else _begun(arguments, checkpoints)
    if arguments.resume and not checkpoints.exist():
        read_translation(folder)        # says so
    with checkpoints:
        run = begun or _resumed(arguments, checkpoints)
        run.save(checkpoints)           # claims the folder, and finds a full disk now rather than in an hour
        _describe(run, folder)
        try:
            _learn(run, checkpoints)
        except Interrupted:
            run.save(checkpoints)
            raise KeyboardInterrupt(f"stopped after step {run.training.step} and saved; go on with: tinygrad-rnn "
                                    f"translate train --resume --out {shlex.quote(str(folder))}") from None
        except FloatingPointError as error:
            raise FloatingPointError(f"{error}; the last good checkpoint is kept in {folder}; lower --lr, which was "
                                     f"{run.options.lr:g}, and begin again with --force") from None
        curve = write_curve(folder, run.training.losses, run.validations[-1].nats, "word")
    best = max(run.validations, key=lambda one: one.bleu if run.options.best == "bleu" else -one.nats)
    print(f"loss curve: {curve}\ncheckpoint: {checkpoints.latest}\nbest: {checkpoints.best}, {_told(best, run)}")


def _begun(arguments: argparse.Namespace, checkpoints: Checkpoints) -> TranslationRun:
    """A new run."""
    if checkpoints.exist() and not arguments.force:
        raise ValueError(f"{checkpoints.folder} holds another run: --resume goes on with it, --force replaces it, and "
                         "--out names another folder")
    return TranslationRun(TranslationOptions(**_asked(arguments)))


def _resumed(arguments: argparse.Namespace, checkpoints: Checkpoints) -> TranslationRun:
    """The saved run in the folder, which must be the one that the other arguments describe."""
    saved = parse_translation(checkpoints.load(), checkpoints.latest)
    asked = _asked(arguments)
    for name, value in asked.items():
        before = asdict(saved.options)[name]
        if name not in TEXTS and before != value:
            was = f"without {_flag(name)}" if before is None else f"with {_flag(name)} {before}"
            raise ValueError(f"--resume: this run was begun {was}, not with {_flag(name)} {value}: leave that out, "
                             "or begin anew with --force")
    # Texts may have moved; that they are the same ones is checked by what is in them.
    return saved.resume(**{name: value for name, value in asked.items() if name in TEXTS})


def _asked(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options on the command line, and those in --config that it does not give."""
    given = {one.name: value for one in fields(TranslationOptions)
             if (value := getattr(arguments, one.name)) is not None}
    filed = {} if arguments.config is None else from_toml(TranslationOptions, arguments.config)
    if any(name in given for name in BUDGETS):      # one budget takes the place of another
        filed = {name: value for name, value in filed.items() if name not in BUDGETS}
    return {**filed, **given}


def _describe(run: TranslationRun, folder: Path) -> None:
    """Say what is going to happen."""
    training, options = run.training, run.options
    left = [f" ({number:,} left out: no word, or more than {options.max_length})" if number else ""
            for number in run.skipped]
    print(f"pairs: {len(training.pairs.sources):,} to learn from{left[0]}, {len(run.valid.sources):,} to validate with"
          f"{left[1]}; {len(run.vocabularies[0]):,} and {len(run.vocabularies[1]):,} words")
    count = sum(parameter.size for parameter in run.translator.model.parameters())
    print(f"model: {count:,} parameters; {_listed(options) or 'all options as usual'}")
    name, amount = next((name, value) for name, value in options.budget.items() if value is not None)
    going = f", going on after step {training.step}" if training.step else ""
    print(f"training: {amount:g} {name if amount != 1 else name[:-1]}{going}; Adam at {options.lr:g}, "
          f"{options.schedule}, seed {options.seed}; into {folder}", flush=True)


def _listed(options: TranslationOptions) -> str:
    """The options that are not as usual, files and budget aside."""
    hidden = {*TEXTS, *BUDGETS}
    return ", ".join(f"{name} {value}" for name, value in changed(options).items() if name not in hidden)


def _learn(run: TranslationRun, checkpoints: Checkpoints) -> None:
    """Use up the budget, with a bar, validations and checkpoints."""
    if run.training.progress < 1:
        _compile(run.options)
    saver, training = Saver(lambda: run.save(checkpoints)), run.training
    with ProgressBar(training, "words", unit_of_loss="nats", show_rate=True) as bar:
        def judge(_: object) -> None:
            if run.due():
                before = run.validations[-1].step if run.validations else 0
                learned = (f"learned at {fmean(training.losses[before:]):.3f} nats a word, "
                           f"{training.words / training.seconds:,.0f} words/s, learning rate "
                           f"{training.optimizer.param_groups[0]['lr']:.2g}")
                bar.write(f"{_told(run.validate(), run)}; {learned}")
                run.save(checkpoints, run.validations[-1])

        run.training.run([bar, judge, saver])


def _compile(options: TranslationOptions) -> None:
    """Do each thing once with a throwaway model of these sizes, so that no budget is spent on compiling."""
    words = Vocabulary({"a": 1, "b": 1}, specials=SPECIALS)
    translator = Translator(build(options, words, words), words, words)
    optimizer = Adam(translator.model.parameters())
    translator.model.loss(*(np.tile(part, (1, options.batch)) for part in (translator.read("ab")[:, None],
                                                                           translator.written("ab")[:, None])),
                          own=options.own_words, label_smoothing=options.label_smoothing).backward()
    clip_grad_norm_(translator.model.parameters(), options.clip)
    optimizer.step()
    translator.translate(["ab", "a"], search="greedy")


def _told(one: Validation, run: TranslationRun) -> str:
    how = "greedy" if run.options.valid_beam == 1 else f"beam {run.options.valid_beam}"
    return (f"step {one.step}: validation {one.nats:.3f} nats a word, perplexity {math.exp(min(one.nats, 700)):.2f}, "
            f"BLEU {one.bleu:.2f} ({how})")


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
        _refuse_wider(translator, arguments.beam)
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


def _refuse_wider(translator: Translator, *widths: int) -> None:
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
    _refuse_wider(translator, arguments.beam, *arguments.widths)
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


# ---- their arguments ------------------------------------------------------------------------------------------------
def add_commands(commands: argparse._SubParsersAction[Parser]) -> None:
    """Describe the commands to a parser."""
    summary = "train a translation model, translate with it, evaluate it"
    several = commands.add_parser("translate", help=summary, description=f"{summary[0].upper()}{summary[1:]}. "
                                  "Texts have a sentence a line, its words apart by spaces.")
    parts = several.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, action: Callable[[argparse.Namespace], None], summary: str, more: str) -> Parser:
        parser: Parser = parts.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}. {more}")
        parser.set_defaults(command=action)
        return parser

    parser = command("train", train, "train an encoder-decoder with attention on sentence pairs", (
        "Ctrl-C saves; --resume goes on as if nothing had happened. Options stand on the command line, or under the "
        "same names in a TOML file."))
    for one in fields(TranslationOptions):
        _add_option(parser, one)
    add = parser.add_argument
    add("--config", metavar="TOML", help="a file of options, which flags override")
    add("--out", metavar="DIR", required=True, help="folder for checkpoints and loss curve")
    add("--keep", type=positive, default=3, metavar="K", help="checkpoints to keep, the best beside them (default 3)")
    existing = parser.add_mutually_exclusive_group().add_argument
    existing("--resume", action="store_true", help="go on with the run in DIR, which remembers its texts and options")
    existing("--force", action="store_true", help="replace the run in DIR")

    parser = command("run", run, "translate standard input, a sentence a line", (
        "An empty line stays one. Translations come in the order of the lines, and do not depend on each other."))
    add = parser.add_argument
    add("run", metavar="DIR", help="folder of a run, or one of the checkpoints in it")
    _add_search(parser)
    how = parser.add_mutually_exclusive_group().add_argument
    how("--greedy", action="store_true", help="take the likeliest word at every step")
    how("--sample", action="store_true", help="draw every word")
    add("--temperature", type=above_zero, metavar="T", help="of --sample (default 1)")
    add("--seed", type=natural, metavar="S", help="of --sample (default 0)")
    add("--n-best", type=positive, default=1, metavar="N", help="translations of each sentence, a line each with "
        "number, score and text, tabs between (default 1, the text alone)")
    add("--scores", action="store_true", help="number and score before each translation, too")
    add("--replace-unknown", action="store_true", help="copy the source word that was looked at where the model says "
        "<unk>")
    add("--attention", metavar="PNG", help="draw where each word looked, a picture a sentence: NAME-1.png and so on")
    add("--batch", type=positive, default=64, metavar="B", help="sentences that are searched together (default 64)")

    parser = command("evaluate", evaluate, "score the translations of a text, and find the reason of errors", (
        "BLEU is sacreBLEU's. A search error is one where the model prefers the reference to what the search found; "
        "a model error is one where it does not."))
    add = parser.add_argument
    add("run", metavar="DIR", help="folder of a run, or one of the checkpoints in it")
    add("--source", metavar="FILE", required=True, help="sentences to translate")
    add("--target", metavar="FILE", required=True, help="their references")
    _add_search(parser)
    add("--tokenize", choices=TOKENIZERS, default="none", help="of BLEU (default none: at white space)")
    add("--widths", type=_widths, default=(), metavar="N,N,...", help="compare beams of these widths")
    add("--plot", metavar="PNG", help="draw scores of references against those of translations")


def _add_search(parser: Parser) -> None:
    parser.add_argument("--beam", type=positive, default=WIDTH, metavar="N", help="sentences that are followed at once "
                        f"(default {WIDTH})")
    parser.add_argument("--alpha", type=zero_or_more, default=ALPHA, metavar="A", help="length normalisation: 0 none, "
                        f"1 the mean of a word (default {ALPHA:g})")


def _add_option(parser: Parser, one: Field[Any]) -> None:
    """A flag for a field of the options."""
    expected, rule = kind(TranslationOptions, one), one.metadata
    if expected is bool:
        parser.add_argument(_flag(one.name), action="store_true", default=None, help=rule["help"])
        return

    def value(text: str) -> Any:
        try:
            return checked(TranslationOptions, {one.name: expected(text)}, _flag)[one.name]
        except (ValueError, TypeError):
            wanted = described(expected, rule)
            raise argparse.ArgumentTypeError(f"must be {wanted}, got {text!r}") from None

    usual = f" (default {one.default:g})" if isinstance(one.default, (int, float)) else (
        f" (default {one.default})" if one.default else "")
    parser.add_argument(_flag(one.name), type=value, metavar={int: "N", float: "X"}.get(
        expected, "FILE" if one.name.endswith(("source", "target")) else "NAME"), help=rule["help"] + (
        f": {', '.join(rule['choices'])}" if rule["choices"] else "") + usual)


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _widths(text: str) -> tuple[int, ...]:
    return tuple(positive(part) for part in text.split(","))
