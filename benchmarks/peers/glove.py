"""The program in C of glove.c, built, and its three stages."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).with_suffix(".c")


class Stage(NamedTuple):
    """A call: its arguments, the program first, what it reads and what it writes."""

    arguments: list[str]
    source: Path
    target: Path


class Program:
    """The program for a corpus and its words, the commonest first; all files are written to a folder.

    ImportError without gcc, as of any peer that is not installed.
    """

    def __init__(self, corpus: Path, tokens: Sequence[str], folder: Path, window: int, size: int) -> None:
        if not shutil.which("gcc"):
            raise ImportError("needs gcc")
        self.corpus, self.folder, self.words, self.window, self.size = corpus, folder, len(tokens), window, size
        self.program = str(folder / "glove")
        subprocess.run(["gcc", "-O3", "-march=native", "-pthread", str(SOURCE), "-o", self.program, "-lm"], check=True)
        (folder / "vocabulary").write_text("".join(f"{word}\n" for word in tokens), encoding="utf-8")

    def count(self) -> Stage:
        """The pairs of the corpus."""
        arguments = [self.program, "count", str(self.folder / "vocabulary"), str(self.window)]
        return Stage(arguments, self.corpus, self.folder / "counts")

    def shuffle(self, seed: int = 1) -> Stage:
        """What `count` wrote, in another order."""
        return Stage([self.program, "shuffle", str(seed)], self.folder / "counts", self.folder / "shuffled")

    def train(self, threads: int, epochs: int = 1, seed: int = 1) -> Stage:
        """From what `shuffle` wrote: float64 (2, words, size + 1), words and contexts with their biases."""
        numbers = map(str, (self.words, self.size, threads, epochs, seed))
        return Stage([self.program, "train", str(self.folder / "shuffled"), *numbers], Path(os.devnull),
                     self.folder / "vectors")


def run(stage: Stage) -> str:
    """Run a stage; what it printed to standard error: of training, seconds and loss of each epoch."""
    with open(stage.source, "rb") as read, open(stage.target, "wb") as write:
        done = subprocess.run(stage.arguments, stdin=read, stdout=write, stderr=subprocess.PIPE, text=True, check=True)
    return done.stderr
