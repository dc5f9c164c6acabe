"""Processes that die, for tests/train/test_killed.py.  A program: it loads the library once, and forks for each life.

    lives.py random FOLDER BUDGET N KILLS       train, be killed at random moments, resume, until KILLS are over
    lives.py each FOLDER                        save, be killed before each call that changes the disk in turn

It prints a line for each life.
"""

import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_rnn import set_num_threads
from tinygrad_rnn.files import checkpoint, disk
from tinygrad_rnn.train import Checkpoints, Options, Run
from tinygrad_rnn.train.run import KIND, parse

TEXT = "".join(random.Random(2).choices("abcdefghij\n", k=1200))
OPTIONS = Options(hidden=64, embedding=16, seq_len=12, batch=16, steps=1)


def options(budget: str, amount: int) -> Options:
    """Those of a small run: a window of 12 steps and 16 streams, five of them an epoch."""
    return replace(OPTIONS, **{"steps": None, budget: amount})


def fork(life: Callable[[], object]) -> int:
    """Process id of a child that does this and nothing else."""
    pid = os.fork()
    if not pid:
        try:
            life()
            os._exit(0)
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", flush=True)
        finally:
            os._exit(1)
    return pid


def train(folder: Path, wanted: Options, threads: int, said: int) -> None:
    """Go on with the run, or begin it; save after each step, and say so."""
    set_num_threads(threads)
    with Checkpoints(folder, KIND, keep=2) as checkpoints:
        run = parse(checkpoints.load(), checkpoints.latest).resume(TEXT) if checkpoints.exist() else Run(TEXT, wanted)

        def after_a_step(_: Any) -> None:
            run.save(checkpoints, judge=run.training.step % 5 == 0)
            os.write(said, b".")

        run.training.run([after_a_step])


def killed_at_random(folder: Path, budget: str, amount: int, kills: int) -> None:
    """Lives of a run, the last of which is not disturbed.  Ends early, and another run begins: how fast is chance."""
    set_num_threads(1)      # a fork has no other threads
    wanted, chance, lives = options(budget, amount), random.Random(budget), 0
    Run(TEXT, replace(wanted, steps=1, epochs=None)).training.run()     # loads the kernels
    while True:
        hears, says = os.pipe()
        threads = chance.randint(1, 3)
        pid = fork(partial(train, folder / "run", wanted, threads, says))
        os.close(says)
        if kills:
            for _ in range(steps := chance.choice((0, 0, *range(1, 11)))):
                os.read(hears, 1)
            time.sleep(chance.uniform(0, 0.01 if steps else 0.03))
            os.kill(pid, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os.close(hears)
        print(code, threads, flush=True)
        if code not in (0, -signal.SIGKILL):
            sys.exit(1)
        kills -= code == -signal.SIGKILL
        if code == 0:
            os.rename(folder / "run", folder / f"done-{lives}")
            if not kills:
                return
        lives += 1


class Fuse:
    """Kills this process before the call number `at` of those that change the disk; half of a write is done."""

    def __init__(self, at: int) -> None:
        self.left = at

    def burn(self) -> None:
        """One call more."""
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1

    def lay(self) -> None:
        """Into all that `files/disk.py` and `train/folder.py` call."""
        for name in ("fsync", "replace", "link"):
            setattr(os, name, self.before(getattr(os, name)))
        Path.unlink = self.before(Path.unlink)      # type: ignore[method-assign]
        disk.open = self.open                       # type: ignore[attr-defined]

    def before(self, call: Callable) -> Callable:
        """The call, with the fuse before it."""
        def burning(*args: Any, **options: Any) -> Any:
            self.burn()
            return call(*args, **options)
        return burning

    def open(self, *args: Any) -> Any:
        """A file whose writes may be cut short."""
        file = open(*args)
        fuse = self

        class Burning:
            """Hands on what it does not write."""

            def write(self, data: Any) -> None:
                """Half of the data, then the fuse, then the other half."""
                half = len(data) // 2
                file.write(data[:half])
                file.flush()
                fuse.burn()
                file.write(data[half:])

            def __enter__(self) -> Any:
                return self

            def __exit__(self, *exc: object) -> None:
                file.close()

            def __getattr__(self, name: str) -> Any:
                return getattr(file, name)

        return Burning()


def contents(step: int) -> Iterator[tuple[str, Any]]:
    """Of a checkpoint: numbers that tell its step."""
    yield "weights", np.full(1000, step)
    yield "text", f"step {step}"


def killed_at_each_call(parent: Path) -> None:
    """Save step 3 after steps 1 and 2, killed before each call of `save` in turn; says what is found after each."""
    def save(folder: Path, step: int, fuse: Fuse) -> None:
        with Checkpoints(folder, "numbers", keep=2) as checkpoints:
            if checkpoints.exist():
                checkpoints.load()
            fuse.lay()
            checkpoints.save(dict(contents(step)), step, score=-step)

    for at in range(100):
        folder = parent / str(at)
        for step, fuse in ((1, Fuse(10**6)), (2, Fuse(10**6)), (3, Fuse(at))):
            code = os.waitstatus_to_exitcode(os.waitpid(fork(partial(save, folder, step, fuse)), 0)[1])
        with Checkpoints(folder, "numbers", keep=2) as checkpoints:
            found = [checkpoints.load(), *(checkpoint.load(path, "numbers")
                                           for path in (checkpoints.best, *checkpoints.earlier()))]
        for content in found:
            number = content["step"]
            assert content["weights"].tolist() == [number] * 1000 and content["text"] == f"step {number}"
        print(code, *(content["step"] for content in found), flush=True)
        if code == 0:
            return


if __name__ == "__main__":
    if sys.argv[1] == "random":
        killed_at_random(Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
    else:
        killed_at_each_call(Path(sys.argv[2]))
