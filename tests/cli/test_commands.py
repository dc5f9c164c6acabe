"""The command line does its job, and answers each mistake with one line."""

import errno
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tinygrad_rnn import metrics, models
from tinygrad_rnn.cli import language, main
from tinygrad_rnn.cli.arguments import above_zero, natural, positive, zero_or_more
from tinygrad_rnn.data import corpora
from tinygrad_rnn.train import Checkpoints, checkpoint_path, loop, read

ROOT = Path(__file__).resolve().parent.parent.parent
TEXT = "".join(random.Random(3).choices("abcd e\r\n", k=300)) + "$ü"
SIZES = "--hidden 6 --embedding 4 --seq-len 5 --batch 3".split()
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture) -> Run:
    """Run a command line in this process: exit code, standard output, standard error."""
    def run(*arguments: object) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return code, printed.out, without_notice(printed.err)
    return run


def without_notice(error: str) -> str:
    """Standard error but for the line that says that kernels are being compiled, once a machine."""
    return "".join(line for line in error.splitlines(True) if "compiling kernels" not in line)


@pytest.fixture
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A text file in an empty working directory."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "novel.txt"
    path.write_bytes(TEXT.encode())
    return path


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run; tests copy it."""
    folder = tmp_path_factory.mktemp("template")
    (folder / "novel.txt").write_bytes(TEXT.encode())
    assert main(["train", str(folder / "novel.txt"), "--out", str(folder / "run"), "--steps", "4", *SIZES]) == 0
    return folder / "run"


@pytest.fixture
def trained(template: Path, text: Path) -> Path:
    """A run of four steps on `text`."""
    return Path(shutil.copytree(template, text.parent / "run"))


def fails(result: tuple[int, str, str], words: str, code: int = 1) -> None:
    """One line on standard error that says what is wrong, and no traceback."""
    assert result[0] == code, result
    lines = result[2].splitlines()
    assert len(lines) == 1 and lines[0].startswith("tinygrad-rnn"), result[2]
    assert re.search(words, lines[0]), lines[0]


# ---- the job --------------------------------------------------------------------------------------------------------
def test_train_sample_eval(run: Run, text: Path) -> None:
    code, out, err = run("train", text, "--out", "runs/a", "--epochs", 2, *SIZES)
    assert code == 0 and err == ""
    assert "novel.txt; 302 characters, 10 of them different" in out
    assert "training: 2 epochs; 3 streams, windows of 5" in out
    assert {path.name for path in Path("runs/a").iterdir()} == {
        "checkpoint.safetensors", "checkpoint-00000000.safetensors", "best.safetensors", "curve.png"}
    last = out.splitlines()[-1]
    assert re.fullmatch(r"held-out: \d\.\d{3} bits/char", last)
    # The last line, longhand.
    model, vocabulary = read("runs/a").language_model()
    held_out = models.evaluate(model, vocabulary.encode(TEXT[-30:]), streams=1)
    assert float(last.split()[1]) == pytest.approx(held_out.bits, abs=6e-4)
    assert f"{held_out.nats:.4f} nats" in out and f"perplexity {held_out.perplexity:.3f}" in out

    code, out, err = run("sample", "runs/a", "--prompt", "abc", "--length", 20, "--temperature", 0.5, "--seed", 1)
    ids = models.sample(model, vocabulary.encode("abc"), 20, 0.5, 1)
    assert (code, err) == (0, "") and out == "abc" + "".join(vocabulary.decode(list(ids))) + "\n"
    assert run("sample", "runs/a", "--length", 0) == (0, "\n", "")

    code, out, err = run("eval", "runs/a", text)
    whole = models.evaluate(model, vocabulary.encode(TEXT))
    assert (code, err) == (0, "") and f"301 characters predicted, per character: {whole.nats:.4f} nats" in out


def test_without_a_file_it_reads_what_every_python_has(run: Run, text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpora, "python_topics", lambda: TEXT)
    code, out, _ = run("train", "--steps", 1, *SIZES)
    assert code == 0 and corpora.sha256(TEXT) in out and "documentation topics of Python 3" in out
    assert checkpoint_path("runs/python-topics").exists()


def test_a_corpus_by_name(run: Run, text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpora, "corpus", {"tinyshakespeare": TEXT}.__getitem__)
    assert run("train", "tinyshakespeare", "--steps", 1, *SIZES)[0] == 0
    assert run("train", "--resume", "--out", "runs/tinyshakespeare")[0] == 0


def test_without_a_budget_it_says_which(run: Run, text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language, "MINUTES", 1e-3)
    code, out, _ = run("train", text, *SIZES)
    assert code == 0 and "No budget given: training for 0.001 minutes" in out and "training: 0.001 minutes" in out


def test_samples_while_it_trains_and_they_change_nothing(run: Run, text: Path) -> None:
    code, out, _ = run("train", text, "--out", "a", "--steps", 6, "--sample-every", 2, *SIZES)
    assert code == 0 and re.findall(r"--- step (\d+)", out) == ["2", "4", "6"]
    run("train", text, "--out", "b", "--steps", 6, *SIZES)
    assert read("a").training["losses"].tolist() == read("b").training["losses"].tolist()


def test_a_curve_without_matplotlib(run: Run, text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    code, out, _ = run("train", text, "--out", "a", "--steps", 3, *SIZES)
    assert code == 0 and "loss curve: a/curve.csv" in out and out.count("matplotlib") == 1
    assert Path("a/curve.csv").read_text().startswith("step,")


def test_warmup(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    done = []
    monkeypatch.setattr(language, "_compile", done.append)
    code, out, err = run("warmup")
    assert code == 0 and done == [language.Options()] and "ready" in out and err == ""


@pytest.mark.parametrize("arguments", ["-h", "train -h", "sample -h", "eval -h", "warmup -h", "bleu -h", "--version"])
def test_help(run: Run, arguments: str) -> None:
    code, out, err = run(*arguments.split())
    assert code == 0 and "tinygrad-rnn" in out and err == ""


def test_module_and_script_are_the_same(text: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "tinygrad_rnn", "train", "none"], capture_output=True, text=True,
                          env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.returncode == 1 and done.stderr == "tinygrad-rnn: none: No such file or directory\n"


def test_bleu(run: Run, text: Path) -> None:
    Path("ref").write_text("The cat sat on the mat.\nA dog\u2028barks.\r\n", encoding="utf-8")
    Path("other").write_text("A cat was on the mat.\nThe dog barked.", encoding="utf-8")
    Path("hyp").write_text("the cat sat on a mat.\nA dog barks.\n", encoding="utf-8")
    lines = [["the cat sat on a mat.", "A dog barks."], ["The cat sat on the mat.", "A dog\u2028barks."],
             ["A cat was on the mat.", "The dog barked."]]
    assert run("bleu", "ref", "hyp") == (0, f"{metrics.corpus_bleu(lines[0], lines[1:2])}\n", "")
    options = ["--tokenize", "none", "--lowercase", "--smooth", "floor", "--smooth-value", 0.5]
    assert run("bleu", "ref", "other", "hyp", *options) == (
        0, f"{metrics.corpus_bleu(lines[0], lines[1:], 'floor', 0.5, 'none', True)}\n", "")
    Path("short").write_text("one line\n")
    fails(run("bleu", "ref", "short", "hyp"), "short has 1 lines, hyp has 2: line by line")
    fails(run("bleu", "ref", "none"), "none: No such file")
    for arguments in ("bleu ref", "bleu ref hyp --tokenize zh", "bleu ref hyp --smooth-value -1"):
        fails(run(*arguments.split()), r"\(see tinygrad-rnn.* --help\)", 2)


# ---- resume and force -----------------------------------------------------------------------------------------------
def test_resume_goes_on_as_if_nothing_had_happened(run: Run, text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, whole, _ = run("train", text, "--out", "a", "--steps", 9, *SIZES)
    with monkeypatch.context() as patch:
        learn = loop.Training._learn

        def interrupted(self: Any, *window: Any) -> float:
            if self.step == 4:
                os.kill(os.getpid(), signal.SIGINT)
            return learn(self, *window)

        patch.setattr(loop.Training, "_learn", interrupted)
        result = run("train", text, "--out", "b", "--steps", 9, *SIZES)
        fails(result, "stopped after step 5 and saved; go on with: tinygrad-rnn train --resume --out b$", 130)
    code, out, err = run("train", "--resume", "--out", "b")
    assert code == 0 and err == "" and "9 steps, going on after step 5" in out
    assert out.splitlines()[-1] == whole.splitlines()[-1]
    assert read("a").training["losses"].tolist() == read("b").training["losses"].tolist()
    # A run that is complete has nothing left to do, and says again how it ended.
    code, out, _ = run("train", text, "--resume", "--out", "b", "--hidden", 6)
    assert code == 0 and out.splitlines()[-1] == whole.splitlines()[-1]


def test_resume_of_something_else(run: Run, text: Path, trained: Path) -> None:
    fails(run("train", "--resume", "--out", "none"), "none holds no run")
    fails(run("train", "--resume", "--out", trained, "--hidden", 7), "begun with --hidden 6, not with --hidden 7")
    fails(run("train", "--resume", "--out", trained, "--epochs", 4), "begun without --epochs, not with --epochs 4")
    text.write_bytes(TEXT.replace("a", "b").encode())
    fails(run("train", text, "--resume", "--out", trained), "trained on another text")
    fails(run("train", text, "--resume", "--force", "--out", trained), "not allowed with", 2)


def test_a_folder_with_another_run(run: Run, text: Path, trained: Path) -> None:
    before = checkpoint_path(trained).read_bytes()
    fails(run("train", text, "--out", trained, "--steps", 2, *SIZES), "holds another run: --resume .* --force")
    fails(run("train", text, "--out", trained, "--force", "--steps", 2, "--batch", 999), "need at least")
    assert checkpoint_path(trained).read_bytes() == before
    (trained / "notes.txt").write_text("mine")
    assert run("train", text, "--out", trained, "--force", "--steps", 2, *SIZES)[0] == 0
    assert read(trained).training["step"] == 2 and (trained / "notes.txt").read_text() == "mine"


# ---- mistakes -------------------------------------------------------------------------------------------------------
def test_texts_that_are_none(run: Run, text: Path, trained: Path) -> None:
    Path("empty").write_bytes(b"")
    Path("latin").write_bytes("grün".encode("latin-1"))
    Path("short").write_bytes(b"too short " * 9)
    for command in (["train", "{}", "--steps", "1"], ["eval", trained, "{}"]):
        def with_text(name: str, command: list = command) -> tuple[int, str, str]:
            return run(*(name if argument == "{}" else argument for argument in command))
        fails(with_text("none.txt"), "none.txt: No such file or directory")
        fails(with_text(str(trained)), "Is a directory")
        fails(with_text("empty"), "empty is empty")
        fails(with_text("latin"), "latin is not UTF-8: byte 0xfc at offset 2")
    fails(run("train", "short", "--steps", 1), "the text has 90 characters; 32 streams of windows of 64.*need at least")
    assert not Path("runs").exists()
    fails(run("eval", trained, "short"), "short has characters that the model has never seen: 'h', 'o', 'r', 's', 't'")
    Path("one").write_bytes(b"a")
    fails(run("eval", trained, "one"), "one has one character")


def test_runs_that_are_none(run: Run, text: Path, trained: Path) -> None:
    damaged = checkpoint_path(trained)
    data = bytearray(damaged.read_bytes())
    data[-3] ^= 4
    for content, words in ((bytes(data), "is damaged"), (data[:100], "damaged or no checkpoint"), (b"", "damaged"),
                           (b"PK", "damaged or no checkpoint")):
        damaged.write_bytes(content)
        for command in (["sample", trained], ["eval", trained, text], ["train", text, "--resume", "--out", trained]):
            fails(run(*command), f"checkpoint.safetensors .*{words}|{words}")
    for command in (["sample", "none"], ["eval", "none", text], ["sample", text.parent]):
        fails(run(*command), "holds no run")
    fails(run("sample", text), "novel.txt is damaged or no checkpoint")


def test_a_damaged_checkpoint_and_the_one_before_it(run: Run, text: Path, trained: Path) -> None:
    latest = checkpoint_path(trained)
    data, losses = latest.read_bytes(), read(trained).training["losses"].tolist()
    latest.unlink()         # best.safetensors is another name of it
    latest.write_bytes(data[:-9])
    fails(run("train", "--resume", "--out", trained), "damaged or cut short.*checkpoint-00000000.safetensors is whole: "
          "rename it to checkpoint.safetensors to go on from there$")
    assert run("sample", trained / "checkpoint-00000000.safetensors", "--length", 3)[0] == 0
    os.replace(trained / "checkpoint-00000000.safetensors", latest)
    assert run("train", text, "--resume", "--out", trained)[0] == 0
    assert read(trained).training["losses"].tolist() == losses


def test_two_processes_on_one_folder(run: Run, text: Path, trained: Path) -> None:
    before = {path.name: path.read_bytes() for path in trained.iterdir()}
    with Checkpoints(trained, "another process"):
        for arguments in (["--resume"], ["--force", "--steps", 2, *SIZES]):
            fails(run("train", text, "--out", trained, *arguments), f"run: in use by process {os.getpid()}$")
        assert run("sample", trained, "--length", 3)[0] == 0        # reading disturbs no one
    assert {path.name: path.read_bytes() for path in trained.iterdir()} == before
    assert run("train", text, "--resume", "--out", trained)[0] == 0


def test_the_last_checkpoints_and_the_best(run: Run, text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class EachStep:
        """Saves after every step."""

        def __init__(self, save: Callable[[], object]) -> None:
            self.save = save

        def __call__(self, _: object) -> None:
            self.save()

    monkeypatch.setattr(language, "Saver", EachStep)
    code, out, _ = run("train", text, "--out", "a", "--steps", 40, "--lr", 0.5, "--keep", 3, *SIZES)
    steps = {path.name: read(path).step for path in Path("a").glob("*.safetensors")}
    best = steps.pop("best.safetensors")
    assert steps == {"checkpoint.safetensors": 40, "checkpoint-00000039.safetensors": 39,
                     "checkpoint-00000038.safetensors": 38}
    assert code == 0 and best < 40 and f"best on held-out text: a/best.safetensors, after step {best}\n" in out
    assert read("a/best.safetensors").score < read("a").score
    _, worse, _ = run("eval", "a", text)
    assert worse != run("eval", "a/best.safetensors", text)[1]


def test_prompts(run: Run, trained: Path) -> None:
    fails(run("sample", trained, "--prompt", "xay"), "--prompt has characters that the model has never seen: 'x', 'y'")
    many = "ijklmnopqrst"
    fails(run("sample", trained, "--prompt", many), "'i', 'j'.*'r' and 2 more")
    assert run("sample", trained, "--prompt", "ü\r", "--length", 1)[1].startswith("ü\r")


@pytest.mark.parametrize("arguments", [
    "train --hidden 0", "train --layers -1", "train --embedding x", "train --seq-len 1.5", "train --batch 0",
    "train --lr 0", "train --lr nan", "train --lr inf", "train --seed -1", "train --epochs 0", "train --steps -3",
    "train --minutes 0", "train --minutes -1", "train --sample-every 0", "train --keep 0", "train --steps 3 --epochs 2",
    "sample run --temperature -1", "sample run --temperature nan", "sample run --length -1", "sample run --seed x",
    "sample", "eval run", "", "dance", "train a b", "train --colour red",
])
def test_misuse(run: Run, arguments: str) -> None:
    fails(run(*arguments.split()), r"\(see tinygrad-rnn.* --help\)", 2)


def test_numbers() -> None:
    assert (positive("3"), natural("0"), above_zero("1e-300"), zero_or_more("0")) == (3, 0, 1e-300, 0.0)


def test_a_training_that_diverges(run: Run, text: Path) -> None:
    result = run("train", text, "--out", "a", "--steps", 50, "--lr", "3e38", *SIZES)
    fails(result, "diverged at step .*the last good checkpoint is kept in a; lower --lr, which was 3e.38")
    model, vocabulary = read("a").language_model()
    assert models.evaluate(model, vocabulary.encode(TEXT)).bits < 10


def test_a_folder_that_cannot_be_written(run: Run, text: Path) -> None:
    fails(run("train", text, "--out", text / "below", "--steps", 1, *SIZES), "below: Not a directory")
    fails(run("train", text, "--out", text, "--steps", 1, *SIZES), "novel.txt: (File exists|Not a directory)")


def test_a_full_disk(run: Run, text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    fails(run("train", text, "--out", "a", "--steps", 1, *SIZES),
          "a/checkpoint.safetensors: not written, No space left on device$")
    assert list(Path("a").iterdir()) == []


def test_too_large_for_the_memory(run: Run, text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_large(*_: Any, **__: Any) -> None:
        raise MemoryError("Unable to allocate 9.00 TiB")

    monkeypatch.setattr(language, "Run", too_large)
    fails(run("train", text), "not enough memory: Unable to allocate 9.00 TiB")


def test_a_mistake_of_ours_is_not_hidden(run: Run, text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language, "Run", lambda *_: [][0])
    with pytest.raises(IndexError):
        run("train", text)


@pytest.mark.skipif(os.name != "posix", reason="pipes of a POSIX shell")
def test_a_reader_that_goes_away(trained: Path) -> None:
    def piped(command: str) -> tuple[list[str], str]:
        line = f"{sys.executable} -m tinygrad_rnn {command} | head -c 5; echo ${{PIPESTATUS[@]}}"
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True,
                              env=os.environ | {"PYTHONPATH": str(ROOT)})
        return done.stdout[5:].split(), without_notice(done.stderr)

    assert piped(f"sample {trained} --length 100000 --prompt abcdeabcde") == (["0", "0"], "")
    status, error = piped(" ".join(["train novel.txt --out b --steps 300 --sample-every 1", *SIZES]))
    assert status == ["1", "0"] and error == "tinygrad-rnn: whoever was reading the output has gone\n"


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_before_the_training(trained: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(language, "read", interrupted)
    fails(run("sample", trained), "interrupted", 130)
