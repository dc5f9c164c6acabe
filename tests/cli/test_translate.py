"""The commands of translation: they learn, go on where they were killed, translate, and answer mistakes in one line."""

import io
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tinygrad_rnn.cli import main, translate
from tinygrad_rnn.metrics import corpus_bleu
from tinygrad_rnn.train import Checkpoints
from tinygrad_rnn.train.translation import TRANSLATION, read_translation
from tinygrad_rnn.train.updates import Updates

ROOT = Path(__file__).resolve().parent.parent.parent
Run = Callable[..., tuple[int, str, str]]
SMALL = "--embedding 16 --hidden 32 --batch 10 --min-count 1 --warmup 10 --label-smoothing 0 --dropout 0".split()
TINY = "--embedding 3 --hidden 4 --batch 7 --min-count 1 --dropout 0.3 --schedule plateau --own-words 0.3".split()


def sentences(number: int) -> tuple[list[str], list[str]]:
    """Words, and others backwards for them."""
    rng = random.Random(1)
    drawn = [[rng.randrange(8) for _ in range(rng.randint(1, 5))] for _ in range(number)]
    return [" ".join(f"a{k}" for k in ids) for ids in drawn], [" ".join(f"b{k}" for k in ids[::-1]) for ids in drawn]


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """50 pairs, as the arguments that name them."""
    folder = tmp_path_factory.mktemp("texts")
    found = []
    for flag, lines in zip(("--source", "--target"), sentences(50)):
        path = folder / flag.strip("-")
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        found += [flag, str(path)]
    return found


@pytest.fixture(scope="module")
def trained(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that knows the 50 pairs, validated by those themselves."""
    out = tmp_path_factory.mktemp("trained") / "run"
    valid = ["--valid-source", texts[1], "--valid-target", texts[3]]
    assert main(["translate", "train", *texts, *valid, "--out", str(out), *SMALL, "--lr", "0.01", "--epochs", "60",
                 "--validate-every", "100"]) == 0
    return out


@pytest.fixture
def run(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `translate ...` in this process, with a standard input: exit code, standard output, standard error."""
    def run(*arguments: object, given: str | bytes = "") -> tuple[int, str, str]:
        raw = given if isinstance(given, bytes) else given.encode()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw), encoding="utf-8"))
        code = main(["translate", *map(str, arguments)])
        printed = capsys.readouterr()
        error = "".join(line for line in printed.err.splitlines(True) if "compiling kernels" not in line)
        return code, printed.out, error
    return run


# ---- what it is for -------------------------------------------------------------------------------------------------
def test_fifty_pairs_are_learned_by_heart(run: Run, trained: Path, texts: list[str]) -> None:
    source, target = sentences(50)
    code, out, error = run("run", trained, given="\n".join(source))
    assert (code, out.splitlines(), error) == (0, target, "")
    for how in (["--greedy"], ["--beam", 3, "--batch", 7]):
        assert run("run", trained / "best.safetensors", *how, given="\n".join(source))[1].splitlines() == target
    code, out, error = run("evaluate", trained, *texts)
    assert code == 0 and not error and "tok:none" in out and "= 100.00 100.0/100.0/100.0/100.0" in out
    assert "| right | 50 | 100.0% | nothing to do |" in out
    saved = read_translation(trained)
    assert [one["step"] for one in saved.validations] == [100, 200, 300]
    assert round(saved.validations[-1]["bleu"], 6) == 100
    assert round(saved.score or 0, 6) == -100


def test_lines_keep_their_places(run: Run, trained: Path) -> None:
    code, out, _ = run("run", trained, given="a1 a2\n\n  \na3\n\n")
    assert code == 0 and out.splitlines() == ["b2 b1", "", "", "b3", ""]
    assert run("run", trained, given="")[:2] == (0, "")


@pytest.mark.compiled
def test_n_best_and_scores(run: Run, trained: Path) -> None:
    code, out, _ = run("run", trained, "--n-best", 3, "--beam", 4, given="a1 a2\na3")
    rows = [line.split("\t") for line in out.splitlines()]
    assert code == 0 and [row[0] for row in rows] == ["1"] * 3 + ["2"] * 3 and rows[0][2] == "b2 b1"
    scores = [float(row[1]) for row in rows[:3]]
    assert scores == sorted(scores, reverse=True) and len({row[2] for row in rows[:3]}) == 3
    assert run("run", trained, "--scores", "--beam", 4, given="a1 a2")[1] == "\t".join(rows[0]) + "\n"
    first = run("run", trained, "--sample", "--seed", 3, "--temperature", 3, "--n-best", 2, given="a1 a2\na3 a4 a5")[1]
    assert first == run("run", trained, "--sample", "--seed", 3, "--temperature", 3, "--n-best", 2, "--batch", 1,
                        given="a1 a2\na3 a4 a5")[1]


def test_pictures(run: Run, trained: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    assert run("run", trained, "--attention", tmp_path / "look.png", given="a1 a2\n\na3\n")[0] == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["look-1.png", "look-3.png"]
    assert (tmp_path / "look-1.png").read_bytes().startswith(b"\x89PNG")


def test_unknown_words(run: Run, trained: Path) -> None:
    assert run("run", trained, "--replace-unknown", given="a1 zebra")[0] == 0


def test_evaluation(run: Run, trained: Path, tmp_path: Path) -> None:
    source, target = sentences(50)
    (tmp_path / "s").write_text("\n".join([*source[:9], "", "a1 a1 a1 a1 a1 a1"]))
    (tmp_path / "t").write_text("\n".join([*target[:9], "b1", "b1"]))
    code, out, _ = run("evaluate", trained, "--source", tmp_path / "s", "--target", tmp_path / "t", "--beam", 2,
                       "--widths", "1,3", "--plot", tmp_path / "p.png")
    found = run("run", trained, "--beam", 2, given="\n".join([*source[:9], "", "a1 a1 a1 a1 a1 a1"]))[1].splitlines()
    bleu = corpus_bleu(found, [[*target[:9], "b1", "b1"]], tokenize="none")
    assert code == 0 and out.startswith(f"{bleu}\n") and (tmp_path / "p.png").stat().st_size
    count = sum(len(line.split()) + 1 for line in [*target[:9], "b1"])
    assert f"\n{count} words predicted, per word: " in out and "\n1 of 11 pairs lack words on a side: they count" in out
    assert "\nSearch or model, beam 2, alpha 0.7:\n" in out and "the first 10 sentences" in out
    assert "\n| 1 | " in out and "\n| 3 | " in out


# ---- stop and go on -------------------------------------------------------------------------------------------------
def same(a: Path, b: Path) -> None:
    """Two runs ended with the same bits."""
    found, expected = read_translation(a), read_translation(b)
    assert found.step == expected.step and found.validations == expected.validations
    assert found.training["losses"].tobytes() == expected.training["losses"].tobytes()
    for name, value in expected.training["model"].items():
        assert value.tobytes() == found.training["model"][name].tobytes(), name


@pytest.mark.slow
@pytest.mark.parametrize("budget", [["--steps", "90"], ["--epochs", "13"]])
def test_killed_and_resumed(texts: list[str], tmp_path: Path, budget: list[str], run: Run) -> None:
    arguments = ["train", *texts, *TINY, *budget, "--validate-every", "20"]
    assert run(*arguments, "--out", tmp_path / "whole")[0] == 0
    program = ("import sys, time\nfrom tinygrad_rnn.cli import main, translate\n"
               "init = translate.Saver.__init__\n"
               "translate.Saver.__init__ = lambda self, save: init(self, save, 0.05)\n"
               "sys.exit(main(sys.argv[1:]))")
    rng = random.Random(4)
    for life in range(5):
        more = ["--resume"] if (tmp_path / "part" / "checkpoint.safetensors").exists() else []
        process = subprocess.Popen(
            [sys.executable, "-c", program, "translate", *arguments, "--out", str(tmp_path / "part"), *more],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT,
            env=os.environ | {"TINYGRAD_RNN_NUM_THREADS": str(1 + life % 3)})
        assert process.stdout is not None
        for line in process.stdout:         # in the middle of training
            if line.startswith("training:"):
                break
        time.sleep(rng.uniform(0.1, 0.6))
        process.kill()
        process.wait()
        process.stdout.close()
    code, _, error = run("train", "--out", tmp_path / "part", "--resume")
    assert (code, error) == (0, "")
    same(tmp_path / "part", tmp_path / "whole")


def test_ctrl_c_saves(run: Run, texts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["train", *texts, *TINY, "--steps", 12]
    assert run(*arguments, "--out", tmp_path / "whole")[0] == 0
    real = Updates._learn

    def interrupted(self: Any, batch: Any) -> float:
        if self.step == 4:
            os.kill(os.getpid(), signal.SIGINT)
        return real(self, batch)

    monkeypatch.setattr(Updates, "_learn", interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)   # a shell may have had it ignored
    try:
        code, _, error = run(*arguments, "--out", tmp_path / "part")
    finally:
        signal.signal(signal.SIGINT, before)
    assert code == 130 and "stopped after step 5 and saved; go on with: tinygrad-rnn translate train --resume" in error
    monkeypatch.undo()
    for _ in range(2):      # the second time there is nothing left to do
        assert run("train", "--resume", "--out", tmp_path / "part")[0] == 0
        same(tmp_path / "part", tmp_path / "whole")


# ---- options --------------------------------------------------------------------------------------------------------
def test_a_file_of_options(run: Run, texts: list[str], tmp_path: Path) -> None:
    config = tmp_path / "o.toml"
    config.write_text(f'source = "{texts[1]}"\ntarget = "{texts[3]}"\nhidden = 5\nembedding = 3\nepochs = 2\n'
                      'attention = "additive"\ncell = "mgu"\n', encoding="utf-8")
    code, out, error = run("train", "--config", config, "--hidden", 4, "--steps", 2, "--out", tmp_path / "run")
    assert (code, error) == (0, "") and "training: 2 steps" in out
    options = read_translation(tmp_path / "run").options
    assert (options.hidden, options.embedding, options.epochs, options.steps, options.cell, options.attention) == (
        4, 3, None, 2, "mgu", "additive")
    config.write_text("hiden = 5\n")
    code, _, error = run("train", "--config", config, "--out", tmp_path / "other")
    assert code == 1 and error.startswith(f"tinygrad-rnn: {config}: there is no option hiden; ")
    assert error.count("\n") == 1
    for text, said in (("hidden = 2.5", "hidden must be a whole number at least 1, got 2.5"),
                       ("dropout = 'much'", "dropout must be a number at least 0, at most 0.95, got 'much'"),
                       ("[hidden]\nx = 3", "hidden must be a whole number at least 1, got {'x': 3}"),
                       ("hidden =", "is no TOML file")):
        config.write_text(text)
        code, _, error = run("train", "--config", config, "--out", tmp_path / "other")
        assert code == 1 and str(config) in error and said in error and error.count("\n") == 1
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("more", ["--attention none --layers 2", "--attention location --encoder-layers 2",
                                  "--attention dot --feeding none --one-way --cell gru_reset_before", "--tokens 40",
                                  "--bridge zeros --feeding context", "--max-words 9 --minutes 0.001 --best loss"])
def test_every_kind_of_model(run: Run, texts: list[str], tmp_path: Path, more: str) -> None:
    budget = [] if "minutes" in more else ["--steps", 2]
    code, out, error = run("train", *texts, *TINY, *budget, *more.split(), "--out", tmp_path / "run")
    assert (code, error) == (0, "") and "best: " in out
    assert run("run", tmp_path / "run", "--beam", 2, given="a1 a2")[0] == 0


# ---- mistakes -------------------------------------------------------------------------------------------------------
def test_other_texts(run: Run, texts: list[str], tmp_path: Path) -> None:
    source, target = tmp_path / "s", tmp_path / "t"
    shutil.copy(texts[1], source)
    shutil.copy(texts[3], target)
    arguments = ["train", "--source", source, "--target", target, *TINY, "--steps", 2, "--out", tmp_path / "run"]
    assert run(*arguments)[0] == 0
    before = (tmp_path / "run" / "checkpoint.safetensors").read_bytes()
    for changed, said in (("more", "has 50 lines and"), (None, "")):
        text = target.read_text()
        target.write_text(text + "b1\n" if changed else text.replace("b1", "b2"))
        code, _, error = run("train", "--resume", "--out", tmp_path / "run")
        assert code == 1 and (said or "was trained on other texts: the SHA-256 of source and target") in error
        target.write_text(text)
    for more, said in ((["--hidden", 9], "begun with --hidden 4, not with --hidden 9"),
                       (["--epochs", 3], "begun without --epochs, not with --epochs 3"),
                       (["--valid-source", target], "valid_source and valid_target must be given together"),
                       (["--valid-source", source, "--valid-target", source], "the SHA-256 of valid_source")):
        code, _, error = run("train", "--resume", *more, "--out", tmp_path / "run")
        assert code == 1 and said in error and error.count("\n") == 1
    code, _, error = run(*arguments)
    assert code == 1 and "holds another run: --resume goes on with it" in error
    assert (tmp_path / "run" / "checkpoint.safetensors").read_bytes() == before
    with Checkpoints(tmp_path / "run", TRANSLATION):
        code, _, error = run("train", "--resume", "--out", tmp_path / "run")
        assert code == 1 and f"in use by process {os.getpid()}" in error and error.count("\n") == 1
    assert run(*arguments, "--force")[0] == 0


def test_texts_may_move(run: Run, texts: list[str], tmp_path: Path) -> None:
    here = [tmp_path / "s", tmp_path / "t"]
    for path, text in zip(here, texts[1::2]):
        shutil.copy(text, path)
    both = ["--source", here[0], "--target", here[1]]
    assert run("train", *both, *TINY, "--steps", 2, "--out", tmp_path / "run")[0] == 0
    moved = [path.rename(tmp_path / f"{path.name}-elsewhere") for path in here]
    code, _, error = run("train", "--resume", "--out", tmp_path / "run")
    assert code == 1 and f"{here[0]}: No such file" in error
    code, _, error = run("train", "--resume", "--source", moved[0], "--target", moved[1], "--out", tmp_path / "run")
    assert (code, error) == (0, "")
    assert read_translation(tmp_path / "run").options.source == str(moved[0])


def test_pairs_left_out_are_counted(run: Run, texts: list[str], tmp_path: Path) -> None:
    source, target = sentences(50)
    for name, lines in (("s", [*source, "", "a1 " * 9]), ("t", [*target, "b1", "b1"])):
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    both = ["--source", tmp_path / "s", "--target", tmp_path / "t"]
    code, out, _ = run("train", *both, "--valid-source", tmp_path / "s", "--valid-target", tmp_path / "t", *TINY,
                       "--max-length", 8, "--steps", 2, "--out", tmp_path / "run")
    left = " (2 left out: no word, or more than 8)"
    assert code == 0 and f"pairs: 50 to learn from{left}, 50 to validate with{left}; " in out


def test_minutes_begin_when_all_is_compiled(run: Run, texts: list[str], tmp_path: Path,
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    seen, real = [], translate._compile
    monkeypatch.setattr(translate, "_compile", lambda options: (seen.append(options.minutes), real(options)))
    losses = []
    for budget in (["--steps", 1], ["--minutes", 0.001]):
        out = tmp_path / budget[0]
        assert run("train", *texts, *TINY, *budget, "--out", out)[0] == 0
        losses.append(read_translation(out).training["losses"][0])
    assert seen == [None, 0.001] and losses[0] == losses[1], "the throwaway model leaves no trace"


def test_validation_with_a_beam(run: Run, texts: list[str], tmp_path: Path) -> None:
    code, out, _ = run("train", *texts, *TINY, "--steps", 4, "--validate-every", 2, "--valid-beam", 3, "--out",
                       tmp_path / "run")
    lines = [line for line in out.splitlines() if line.startswith("step ")]
    assert code == 0 and [line.split(":")[0] for line in lines] == ["step 2", "step 4"]
    for line, losses in zip(lines, read_translation(tmp_path / "run").training["losses"].reshape(2, 2)):
        assert "(beam 3); learned at " in line and " words/s, learning rate " in line
        assert f"learned at {losses.mean():.3f} nats a word" in line
    code, _, error = run("train", *texts, *TINY, "--valid-beam", 99, "--out", tmp_path / "wide")
    assert code == 1 and "valid_beam 99 is wider than the vocabulary" in error
    assert not (tmp_path / "wide").exists()


@pytest.mark.parametrize(("arguments", "code", "said"), [
    (["train", "--out", "x"], 1, "source and target are needed"),
    (["train", "--source", "no", "--target", "no", "--out", "x"], 1, "no: No such file"),
    (["train", "--source", "s", "--target", "t"], 2, "--out"),
    (["train", "--source", "s", "--target", "t", "--out", "x"], 1, "s has 2 lines and t has 1: they must be"),
    (["train", "--source", "e", "--target", "t", "--out", "x"], 1, "e is empty"),
    (["train", "--source", "u", "--target", "t", "--out", "x"], 1, "u, line 1, is not UTF-8: byte 0xff"),
    (["train", "--source", "t", "--target", "t", "--max-length", "1", "--out", "x"], 1, "leave no pair to learn from"),
    (["train", "--hidden", "0", "--out", "x"], 2, "argument --hidden: must be a whole number at least 1, got '0'"),
    (["train", "--dropout", "much", "--out", "x"], 2, "argument --dropout: must be a number at least 0"),
    (["train", "--attention", "loud", "--out", "x"], 2, "must be one of general, dot, scaled_dot, additive, location"),
    (["train", "--source", "s", "--target", "s", "--cell", "lsdm", "--out", "x"], 1, "cell must be a Cell or one of"),
    (["train", "--source", "s", "--target", "s", "--steps", "1", "--epochs", "1", "--out", "x"], 1, "at most one of"),
    (["train", "--source", "s", "--target", "s", "--valid-source", "s", "--out", "x"], 1, "must be given together"),
    (["train", "--resume", "--out", "nothing"], 1, "nothing holds no run"),
    (["run", "nothing"], 1, "nothing holds no run: there is no checkpoint.safetensors"),
    (["run", "."], 1, "holds no run"),
    (["run", "s"], 1, "s is damaged or no checkpoint"),
    (["evaluate", "nothing"], 2, "--source"),
    ([], 2, "COMMAND"),
])
def test_one_line_for_a_mistake(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str],
                                code: int, said: str) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in (("s", b"a a\nb b\n"), ("t", b"x y\n"), ("e", b""), ("u", b"\xff\n")):
        (tmp_path / name).write_bytes(text)
    found, out, error = run(*arguments)
    assert found == code and said in error and error.count("\n") == 1, error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["e", "s", "t", "u"]


def test_mistakes_with_a_model(run: Run, trained: Path, texts: list[str], tmp_path: Path) -> None:
    for arguments, given, said in (
            (["run", trained, "--n-best", 11], "", "--n-best 11 needs a --beam as wide, it is 10"),
            (["run", trained, "--beam", 99], "", "a beam of 99 is wider than the vocabulary: the model knows 12 words"),
            (["run", trained, "--greedy", "--n-best", 2], "", "--n-best needs a beam or --sample"),
            (["run", trained, "--temperature", 2], "", "--temperature and --seed need --sample"),
            (["run", trained, "--greedy", "--seed", 0], "", "--temperature and --seed need --sample"),
            (["run", trained], b"a1\na2 \xff\n", "standard input, line 2, is not UTF-8: byte 0xff"),
            (["evaluate", trained, *texts, "--widths", "1,99"], "", "a beam of 99 is wider"),
            (["evaluate", trained, "--source", texts[1], "--target", "no"], "", "no: No such file")):
        code, _, error = run(*arguments, given=given)
        assert code == 1 and said in error and error.count("\n") == 1, error
    assert run("evaluate", trained, *texts, "--widths", "1,x")[0] == 2


def test_no_pictures_without_matplotlib(run: Run, trained: Path, texts: list[str],
                                        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)        # importing it is an ImportError
    assert run("run", trained, given="a1 a2")[:2] == (0, "b2 b1\n")
    for arguments in (["run", trained, "--attention", "x.png"], ["evaluate", trained, *texts, "--plot", "x.png"]):
        code, out, error = run(*arguments, given="a1")
        assert (code, out) == (1, "") and "pictures need matplotlib: pip install" in error and error.count("\n") == 1


def test_no_model_without_attention_is_asked_for_it(run: Run, texts: list[str], tmp_path: Path) -> None:
    assert run("train", *texts, *TINY, "--attention", "none", "--steps", 1, "--out", tmp_path / "run")[0] == 0
    code, out, error = run("run", tmp_path / "run", "--replace-unknown", "--beam", 2, given="a1")
    assert (code, out) == (1, "") and "need a model with attention" in error and error.count("\n") == 1


def test_a_checkpoint_of_something_else(run: Run, trained: Path, tmp_path: Path) -> None:
    with Checkpoints(tmp_path / "other", "character language model") as checkpoints:
        checkpoints.save({"a": 1}, 0)
    code, _, error = run("run", tmp_path / "other")
    assert code == 1 and "of kind 'character language model', not 'translation model'" in error
    saved = read_translation(trained)
    content = {name: getattr(saved, name) for name in ("sha256", "words", "validations", "training")}
    words = [dict(one) for one in saved.words]
    words[1] = {**words[1], "tokens": words[1]["tokens"][:-1], "counts": words[1]["counts"][:-1]}
    for name, changed in (("words", words), ("training", {**saved.training, "model": {}})):
        with Checkpoints(tmp_path / name, TRANSLATION) as checkpoints:
            checkpoints.save({**content, "options": {**vars(saved.options)}, name: changed}, 3)
        code, _, error = run("run", tmp_path / name)
        assert code == 1 and "does not fit together" in error and error.count("\n") == 1


def test_no_nan_is_saved(run: Run, texts: list[str], tmp_path: Path) -> None:
    code, _, error = run("train", *texts, *TINY, "--steps", 50, "--lr", "3e38", "--warmup", 0, "--out",
                         tmp_path / "run")
    assert code == 1 and "training diverged at step" in error and "lower --lr, which was 3e+38" in error
    assert read_translation(tmp_path / "run").step == 0


def test_no_nan_of_a_validation_is_saved(run: Run, texts: list[str], tmp_path: Path,
                                         monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinygrad_rnn.train.translation.cross_entropy", lambda *_: (float("nan"), 1))
    code, out, error = run("train", *texts, *TINY, "--steps", 2, "--out", tmp_path / "run")
    assert code == 1 and "diverged at step 2: the validation loss is NaN or infinite; the last good" in error
    assert read_translation(tmp_path / "run").step == 0 and "BLEU" not in out


def test_help_names_every_option(run: Run) -> None:
    code, out, _ = run("train", "--help")
    assert code == 0
    for name in translate.TranslationOptions.__dataclass_fields__:
        assert "--" + name.replace("_", "-") in out
