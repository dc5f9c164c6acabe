"""A checkpoint of 100 MB, safe on the disk, and read again: ours against torch.save and torch.load.

Both sides write a file beside the target, force it to the disk, rename it and force the folder to the disk.  Ours is
sealed with a SHA-256, which is checked when it is read; torch's has a CRC-32, which is not.
"""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.harness import Benchmark, Case


def content(arrays: int, rows: int) -> dict[str, Any]:
    """Parameters of some layers, float32 (rows, 1024), and numbers beside them."""
    import numpy as np

    rng = np.random.default_rng(0)
    return {"step": 7, "model": {f"layer{k}.weight": rng.standard_normal((rows, 1024), np.float32)
                                 for k in range(arrays)}}


class Folder:
    """One for the files of a side, on the disk of this checkout, removed with the process."""

    def __init__(self) -> None:
        build = Path(__file__).resolve().parent.parent / "build"
        build.mkdir(exist_ok=True)
        self.held = tempfile.TemporaryDirectory(dir=build)      # /tmp may be memory
        self.file = Path(self.held.name) / "checkpoint"


def ours(work: str, **sizes: int) -> Callable[[], object]:
    """`files.checkpoint`."""
    from tinygrad_rnn.files import checkpoint

    folder, saved = Folder(), content(**sizes)
    if work == "load":
        checkpoint.save(folder.file, saved)
        return lambda: checkpoint.load(folder.file)
    return lambda: checkpoint.save(folder.file, saved)


def via_torch(work: str, **sizes: int) -> Callable[[], object]:
    """`torch.save` into an open file, which is then put in place as ours is."""
    import torch

    folder, saved = Folder(), content(**sizes)
    saved["model"] = {name: torch.from_numpy(value) for name, value in saved["model"].items()}

    def save() -> None:
        temporary = folder.file.with_suffix(".tmp")
        with open(temporary, "wb") as file:
            torch.save(saved, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, folder.file)
        descriptor = os.open(folder.file.parent, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)

    if work == "save":
        return save
    save()
    return lambda: torch.load(folder.file)


def cases(label: str, arrays: int, rows: int, targets: dict[str, float]) -> list[Case]:
    """Saving and loading; the bytes are those of the file."""
    sizes = {"arrays": arrays, "rows": rows}
    return [Case(f"{work} {label}", {"work": work, **sizes}, bytes=arrays * rows * 4096,
                 targets=targets if work == "save" else {}) for work in ("save", "load")]


BENCHMARK = Benchmark(
    title="Checkpoint, with fsync",
    sides={"ours": ours, "torch": via_torch},
    cases=cases("100 MB", 10, 2441, {"torch": 1.0}),
    toy=cases("8 KB", 2, 1, {}),
    threads=(2,),
    budget=0.5,
)
