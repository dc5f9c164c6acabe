"""What the README says is so: its blocks and command lines run, its tables are the derived ones, its links lead."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs import readme

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
LIBRARY = [code for language, code in BLOCKS if language == "python"]
COMMANDS = [line for language, code in BLOCKS if language == "console" for line in code.splitlines()
            if line.startswith("tinygrad-rnn ")]

# What makes a line of the README toy-sized. Everything else runs as printed.
TOY = {
    "--minutes 1": "--steps 3 --hidden 8 --embedding 4 --seq-len 8 --batch 4",
    "--length 200": "--length 20",
    "range(100)": "range(3)",
}


def toy(text: str) -> str:
    """The same at toy size."""
    for printed, small in TOY.items():
        text = text.replace(printed, small)
    return text


def run(arguments: list[str], folder: Path) -> str:
    """Run Python in an empty folder; its standard output."""
    done = subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True, encoding="utf-8",
                          env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"})
    assert done.returncode == 0, f"{arguments}:\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("code", LIBRARY, ids=lambda code: code.splitlines()[-1][:30])
def test_library_blocks_run(code: str, tmp_path: Path) -> None:
    run(["-c", toy(code)], tmp_path)


def test_command_lines_run_in_order(tmp_path: Path) -> None:
    (tmp_path / "novel.txt").write_text("The quick brown fox jumps over the lazy dog.\n" * 50, encoding="utf-8")
    assert [line.split()[1] for line in COMMANDS[:3]] == ["train", "sample", "eval"]
    for line in COMMANDS:
        arguments = re.findall(r'"[^"]*"|\S+', toy(line))[1:]
        output = run(["-m", "tinygrad_rnn", *(argument.strip('"') for argument in arguments)], tmp_path)
        assert output.strip()


def test_derived_tables_are_up_to_date() -> None:
    assert readme.derived(README) == README, "run `make readme`"


@pytest.fixture(autouse=True)
def compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a reader types runs compiled, whatever the tests run on."""
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "0")


def test_links_and_make_targets_exist() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    assert links and not [link for link in links if not (ROOT / link).exists()]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"`make ([a-z]+)`", README))
    assert {"demo", "test", "parity", "bench"} <= named
    assert not [target for target in named if not re.search(f"^{target}:", makefile, re.MULTILINE)]


def test_says_what_it_is_not() -> None:
    assert "**not** the [tinygrad]" in README
