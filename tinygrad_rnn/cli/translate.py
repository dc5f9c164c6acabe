"""The commands of translation: train a model on sentence pairs; what to do with it stands in `translations`."""

from __future__ import annotations

import argparse
import math
import shlex
from collections.abc import Callable
from dataclasses import Field, asdict, fields
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from ..data import SPECIALS, Vocabulary
from ..metrics.segmentation import TOKENIZERS
from ..models.translator import Translator
from ..optim import Adam, clip_grad_norm_
from ..train import Checkpoints, Interrupted, ProgressBar, Saver, write_curve
from ..train.settings import changed, checked, described, from_toml, kind
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
from .translations import evaluate, run

WIDTH, ALPHA = 10, 0.7
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
