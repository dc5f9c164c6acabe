"""The commands of the main job: train a character language model, sample from it, evaluate it."""

from __future__ import annotations

import argparse
import math
import os
import platform
import shlex
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from ..data import corpora
from ..data.vocabulary import Vocabulary
from ..models.language_model import LanguageModel, Likelihood, evaluate, sample
from ..train import Checkpoints, Interrupted, Options, ProgressBar, Run, Saver, every, read, write_curve
from ..train.run import KIND, parse
from .arguments import Parser, above_zero, natural, positive, zero_or_more

MINUTES = 5.0                       # of training, where no budget is given
TOPICS = "python-topics"            # name of a run on the text that every Python has
SHOWN, TEMPERATURE = 200, 0.8       # of samples
BUDGETS = ("epochs", "steps", "minutes")


# ---- train ----------------------------------------------------------------------------------------------------
def train(arguments: argparse.Namespace) -> None:
    """Train on a text; print how well the end of the text is predicted."""
    checkpoints = Checkpoints(_folder(arguments), KIND, arguments.keep, replace=arguments.force)
    folder = checkpoints.folder
    begun = None if arguments.resume else _begun(arguments, checkpoints)
    if arguments.resume and not checkpoints.exist():
        read(folder)                # says so
    with checkpoints:
        run = begun or _resumed(arguments, checkpoints)
        # Claims the folder, and finds a full disk now rather than in an hour.
        run.save(checkpoints, judge=False)
        _describe(run, folder)
        try:
            _learn(run, checkpoints, arguments.sample_every)
            path = run.save(checkpoints)
            likelihood = evaluate(run.model, run.held_out)
            if not math.isfinite(likelihood.perplexity):
                raise FloatingPointError(f"training diverged: {likelihood.nats:.3g} nats a character on the held-out "
                                         "text")
        except Interrupted:
            run.save(checkpoints, judge=False)
            raise KeyboardInterrupt(f"stopped after step {run.training.step} and saved; go on with: tinygrad-rnn train "
                                    f"--resume --out {shlex.quote(str(folder))}") from None
        except FloatingPointError as error:
            raise FloatingPointError(f"{error}; the last good checkpoint is kept in {folder}; lower --lr, which was "
                                     f"{run.options.lr:g}, and begin again with --force") from None
        curve = write_curve(folder, run.training.losses, likelihood.nats, "character")
    print(f"\nA sample at temperature {TEMPERATURE}:\n{_excerpt(run.model, run.vocabulary, run.options.seed)}\n")
    if curve.suffix == ".csv":
        print("The loss curve is a table, since matplotlib is not installed: pip install 'tinygrad-rnn[plot]'")
    print(f"loss curve: {curve}\ncheckpoint: {path}{_better(checkpoints)}\n{_report(likelihood)}")
    print(f"held-out: {likelihood.bits:.3f} bits/char")


def _better(checkpoints: Checkpoints) -> str:
    """Where the best checkpoint stands, if it is not the last."""
    step = read(checkpoints.best).step
    if step == read(checkpoints.latest).step:
        return ""
    return f"\nbest on held-out text: {checkpoints.best}, after step {step}"


def _begun(arguments: argparse.Namespace, checkpoints: Checkpoints) -> Run:
    """A new run."""
    if checkpoints.exist() and not arguments.force:
        raise ValueError(f"{checkpoints.folder} holds another run: --resume goes on with it, --force replaces it, and "
                         "--out names another folder")
    options = _asked(arguments)
    asked = any(name in options for name in BUDGETS)
    run = Run(_text(arguments.text), Options(**(options if asked else {**options, "minutes": MINUTES})), arguments.text)
    if not asked:
        print(f"No budget given: training for {MINUTES:g} minutes (--minutes, --epochs or --steps change that).")
    return run


def _resumed(arguments: argparse.Namespace, checkpoints: Checkpoints) -> Run:
    """The saved run in the folder, which must be the one that the other arguments describe."""
    saved = parse(checkpoints.load(), checkpoints.latest)
    for name, value in _asked(arguments).items():
        before = asdict(saved.options)[name]
        if before != value:
            flag = "--" + name.replace("_", "-")
            was = f"without {flag}" if before is None else f"with {flag} {before}"
            raise ValueError(f"--resume: this run was begun {was}, not with {flag} {value}: leave that out, or begin "
                             "anew with --force")
    return saved.resume(_text(arguments.text or saved.source))


def _asked(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options of a run that stand on the command line."""
    given = vars(arguments)
    return {field.name: given[field.name] for field in fields(Options) if given[field.name] is not None}


def _folder(arguments: argparse.Namespace) -> Path:
    """Where the run stands: --out, or the text's name in runs/."""
    return Path(arguments.out or Path("runs") / (Path(arguments.text).stem if arguments.text else TOPICS))


def _text(name: str | None) -> str:
    """The text of a file, of a named corpus, or the one that every Python has."""
    if name is None:
        return corpora.python_topics()
    return corpora.corpus(name) if name in corpora.CORPORA and not Path(name).exists() else corpora.read_text(name)


def _describe(run: Run, folder: Path) -> None:
    """Say what is going to happen."""
    options, step = run.options, run.training.step
    source = run.source or f"documentation topics of Python {platform.python_version()}"
    print(f"text: {source}; {sum(run.characters.values()):,} characters, {len(run.vocabulary)} of them different; the "
          "last tenth is held out")
    if run.source is None:
        print(f"SHA-256 of the text: {run.sha256}")
    layers = "an LSTM" if options.layers == 1 else f"{options.layers} LSTM layers"
    count = sum(parameter.size for parameter in run.model.parameters())
    print(f"model: embedding {options.embedding}, {layers} of {options.hidden}; {count:,} parameters")
    name, amount = next((name, value) for name, value in asdict(options).items() if name in BUDGETS and value)
    budget = f"{amount:g} {name if amount != 1 else name[:-1]}"
    print(f"training: {budget}{f', going on after step {step}' if step else ''}; {options.batch} streams, windows of "
          f"{options.seq_len}, Adam at {options.lr:g} falling to 0, seed {options.seed}; into {folder}", flush=True)


def _learn(run: Run, checkpoints: Checkpoints, sample_every: int | None) -> None:
    """Use up the budget, with a bar, checkpoints now and then, and samples."""
    if run.training.progress < 1:
        _compile(run.options)
    with ProgressBar(run.training, "characters") as bar:
        def show(_: object) -> None:
            bar.write(f"--- step {run.training.step}\n{_excerpt(run.model, run.vocabulary, run.training.step)}\n")

        samples = [every(sample_every, show)] if sample_every else []
        run.training.run([bar, Saver(lambda: run.save(checkpoints)), *samples])


def _compile(options: Options) -> None:
    """Do each thing once with a throwaway model of these sizes, so that no budget is spent on compiling."""
    text = "\n".join("some text" for _ in range(options.least_text // 10 + 2))
    run = Run(text, replace(options, lr=1e-3, steps=1, epochs=None, minutes=None))
    run.training.run()
    evaluate(run.model, run.held_out[:1000])
    _excerpt(run.model, run.vocabulary, 0)


def _excerpt(model: LanguageModel, vocabulary: Vocabulary, seed: int) -> str:
    """What the model writes after a line end."""
    ids = sample(model, vocabulary.encode(_opening(vocabulary)), SHOWN, TEMPERATURE, seed)
    return "".join(vocabulary.decode(list(ids))).strip("\n")


def _opening(vocabulary: Vocabulary) -> str:
    """What a text begins after: the end of a line, or else the commonest character."""
    return "\n" if "\n" in vocabulary else vocabulary.tokens[0]


def _report(likelihood: Likelihood) -> str:
    """The three ways to say how well a text was predicted."""
    return (f"{likelihood.tokens:,} characters predicted, per character: {likelihood.nats:.4f} nats, "
            f"{likelihood.bits:.4f} bits, perplexity {likelihood.perplexity:.3f}")


# ---- sample, eval, warmup -------------------------------------------------------------------------------------
def draw(arguments: argparse.Namespace) -> None:
    """Print a prompt, and what a trained model writes after it."""
    model, vocabulary = read(arguments.run).language_model()
    prompt = arguments.prompt or _opening(vocabulary)
    _refuse_unseen(prompt, vocabulary, "--prompt")
    ids = sample(model, vocabulary.encode(prompt), arguments.length, arguments.temperature, arguments.seed)
    try:
        print(arguments.prompt, end="", flush=True)
        for token in ids:
            print(*vocabulary.decode([token]), end="", flush=True)
        print(flush=True)
    except BrokenPipeError:
        # `tinygrad-rnn sample ... | head` has seen enough: that is no error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def judge(arguments: argparse.Namespace) -> None:
    """Print how well a trained model predicts a text."""
    model, vocabulary = read(arguments.run).language_model()
    text = _text(arguments.text)
    _refuse_unseen(text, vocabulary, arguments.text)
    if len(text) < 2:
        raise ValueError(f"{arguments.text} has one character, and the first is never predicted: two are needed")
    print(_report(evaluate(model, vocabulary.encode(text))))


def _refuse_unseen(text: str, vocabulary: Vocabulary, where: str) -> None:
    """Complain about characters that the model has no number for."""
    unseen = sorted(character for character in set(text) if character not in vocabulary)
    if unseen:
        shown = ", ".join(map(repr, unseen[:10])) + (f" and {len(unseen) - 10} more" if len(unseen) > 10 else "")
        raise ValueError(f"{where} has characters that the model has never seen: {shown}")


def warm_up(arguments: argparse.Namespace) -> None:
    """Compile now what training, sampling and evaluating would compile when they begin."""
    begin = time.perf_counter()
    _compile(Options())
    print(f"The kernels of the main job are ready, after {time.perf_counter() - begin:.1f} s.")


# ---- their arguments ------------------------------------------------------------------------------------------
def add_commands(commands: argparse._SubParsersAction[Parser]) -> None:
    """Describe the commands to a parser, and what their numbers mean to whoever asks for help."""
    def command(name: str, action: Callable[[argparse.Namespace], None], summary: str, more: str) -> Parser:
        parser = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}. {more}")
        parser.set_defaults(command=action)
        return parser

    usual = Options()
    parser = command("train", train, "train a character language model on a text", (
        "The text is read as parallel streams, a window at a time; at each character the model learns to predict the "
        "next from all before it. The last tenth of the text is held out, and judges the result: bits/char is what a "
        "compressor with this model would need for a character of text that it has not seen. Ctrl-C saves; --resume "
        "goes on as if nothing had happened."))
    add = parser.add_argument
    add("text", metavar="TEXTFILE", nargs="?", help="a UTF-8 text file, or tinyshakespeare; without it the texts of "
        "Python's own documentation topics, which need no download")
    add("--out", metavar="DIR", help="folder for checkpoint and loss curve (default: the text's name, in runs/)")
    add("--hidden", type=positive, metavar="N", help=f"units of an LSTM layer: its memory (default {usual.hidden})")
    add("--layers", type=positive, metavar="N", help=f"LSTM layers, one above the other (default {usual.layers})")
    add("--embedding", type=positive, metavar="N", help="numbers that stand for a character on its way in (default "
        f"{usual.embedding})")
    add("--seq-len", type=positive, metavar="T", help="characters that gradients reach back; memory reaches further "
        f"(default {usual.seq_len})")
    add("--batch", type=positive, metavar="B", help=f"streams that the text is cut into (default {usual.batch})")
    add("--lr", type=above_zero, metavar="LR", help=f"Adam's learning rate, which falls to 0 (default {usual.lr:g})")
    add("--seed", type=natural, metavar="S", help="the same seed gives the same start, and with --epochs or --steps "
        f"the same model (default {usual.seed})")
    budget = parser.add_mutually_exclusive_group().add_argument
    budget("--epochs", type=positive, metavar="N", help="train for N passes over the text")
    budget("--steps", type=positive, metavar="N", help="train on N windows")
    budget("--minutes", type=above_zero, metavar="M", help=f"train for M minutes (default {MINUTES:g})")
    add("--sample-every", type=positive, metavar="N", help="print what the model writes after every N steps")
    add("--keep", type=positive, default=3, metavar="K", help="checkpoints to keep, the latest among them, the best on "
        "held-out text beside them (default 3)")
    existing = parser.add_mutually_exclusive_group().add_argument
    existing("--resume", action="store_true", help="go on with the run in DIR, which remembers its text and options")
    existing("--force", action="store_true", help="replace the run in DIR")

    add = command("sample", draw, "let a trained model write", (
        "Each character is drawn from the model's prediction, and then read by the model.")).add_argument
    add("run", metavar="DIR", help="folder of a run, or one of the checkpoints in it")
    add("--prompt", default="", metavar="TEXT", help="what it reads first, and goes on from (default: a line end)")
    add("--length", type=natural, default=500, metavar="N", help="characters to write (default 500)")
    add("--temperature", type=zero_or_more, default=TEMPERATURE, metavar="T", help="1: the model's own probabilities; "
        f"lower: likely characters become likelier; 0: always the likeliest (default {TEMPERATURE})")
    add("--seed", type=natural, metavar="S", help="the same seed writes the same text (default: another each time)")

    add = command("eval", judge, "say how well a trained model predicts a text", (
        "Nats and bits per character are the means of -ln p and -log2 p, where p is the probability that the model "
        "gave to the character that came. Perplexity is e to the nats: as if it had to guess one of so many characters."
    )).add_argument
    add("run", metavar="DIR", help="folder of a run, or one of the checkpoints in it")
    add("text", metavar="TEXTFILE", help="a UTF-8 text file")

    command("warmup", warm_up, "compile the kernels of the main job", (
        "That happens once a machine; they are kept in the user's cache, or in TINYGRAD_RNN_CACHE_DIR. For images that "
        "are to start at once."))
