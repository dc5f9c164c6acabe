"""The checkpoints of a run in a folder: the latest, a few earlier ones, the best; no other process writes there.

    checkpoint.safetensors              the latest: what a run goes on from
    checkpoint-00001200.safetensors     an earlier one, by its step
    best.safetensors                    the one with the least score

    with Checkpoints("runs/novel", "translator", keep=3) as checkpoints:
        if checkpoints.exist():
            content = checkpoints.load()        # and hand its parts to load_state_dict
        for step in ...:
            checkpoints.save(content, step, score=loss_on_held_out_data)
"""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from ..files import checkpoint, disk
from ..files.checkpoint import CheckpointError

LATEST = "checkpoint.safetensors"
BEST = "best.safetensors"
EARLIER = "checkpoint-{}.safetensors"
LOCK = "checkpoint.lock"


class Checkpoints:
    """The checkpoints of one run.  A context manager: inside it the folder is this process's alone.

    Parameters
    ----------
    folder : path
        Made on entering, with those above it.
    kind : str
        What the run trains, "translator" for one: checkpoints of other kinds are refused.
    keep : int
        How many are kept, the latest among them, the best beside them; at least 1.
    replace : bool
        May a run that is found in the folder, and was not loaded, be written over?

    Attributes
    ----------
    latest, best : Path
        Where they stand, if there are any.

    Raises
    ------
    BlockingIOError
        On entering, while another process is in the folder; names that.
    OSError
        If the folder cannot be made.
    """

    def __init__(self, folder: str | os.PathLike[str], kind: str, keep: int = 3, *, replace: bool = False) -> None:
        if keep < 1:
            raise ValueError(f"Checkpoints: keep must be at least 1, got {keep}")
        self.folder, self.kind, self.keep, self.replace = Path(folder), kind, keep, replace
        self.latest, self.best = self.folder / LATEST, self.folder / BEST
        self._lock: disk.Lock | None = None
        self._step: int | None = None       # of the latest, once it is ours
        self._score = math.inf              # of the best

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = disk.Lock(self.folder / LOCK)
        return self

    def __exit__(self, *exc: object) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def exist(self) -> bool:
        """Is there a run in the folder?"""
        return self.latest.is_file()

    def earlier(self) -> list[Path]:
        """Those before the latest, by step."""
        found = [path for path in self.folder.glob(EARLIER.format("*")) if path.stem.rpartition("-")[2].isdecimal()]
        return sorted(found, key=lambda path: (len(path.name), path.name))

    def load(self) -> dict[str, Any]:
        """The latest: what `save` was given, with "step" and "score" beside it.  The run goes on.

        Raises
        ------
        FileNotFoundError
            If there is none.
        CheckpointError
            If it is damaged, or of another kind; names an earlier one that is whole.
        """
        try:
            content = checkpoint.load(self.latest, self.kind)
            self._step = int(content["step"])
        except (CheckpointError, KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{error if isinstance(error, CheckpointError) else f'{self.latest} has no step'}"
                                  f"{self._remedy()}") from None
        best = (self._readable(self.best) or {}).get("score")
        self._score = best if isinstance(best, float) else math.inf
        return content

    def _readable(self, path: Path) -> dict[str, Any] | None:
        try:
            return checkpoint.load(path, self.kind)
        except (CheckpointError, FileNotFoundError):
            return None

    def _remedy(self) -> str:
        """What to do about a latest one that is damaged."""
        for path in [*reversed(self.earlier()), self.best]:
            if self._readable(path) is not None:
                return f"; {path.name} is whole: rename it to {LATEST} to go on from there"
        return ""

    def save(self, content: Mapping[str, Any], step: int, score: float | None = None) -> Path:
        """Write the latest; the one before becomes an earlier one, and the best is named anew if this is better.

        Nothing is removed or renamed before the new one is on the disk.  Checkpoints of a run that was not loaded,
        which `replace` allows, are then removed.

        Parameters
        ----------
        content : mapping
            What `checkpoint.save` takes, without the keys "step" and "score".
        step : int
            How far the run is; 0 or more, rising.
        score : float, optional
            How bad the model is: a loss on data that it has not seen.  None, and NaN: never the best.

        Returns
        -------
        Path
            Of the latest.

        Raises
        ------
        FileExistsError
            If the folder holds another run, and `replace` is not set.
        OSError
            If the disk is full, for one; all that was there is there still.
        """
        if self._lock is None:
            raise ValueError("Checkpoints: use `with Checkpoints(...) as checkpoints:`, which locks the folder")
        if step < 0 or {"step", "score"} & content.keys():
            raise ValueError(f"Checkpoints.save: step must not be negative, got {step}; content must not have the keys "
                             f"'step' and 'score', it has {sorted(map(str, content))}")
        if self._step is None and self.exist() and not self.replace:
            raise FileExistsError(errno.EEXIST, "holds another run: load it to go on with it, or pass replace=True",
                                  str(self.folder))
        temporary = checkpoint.write(self.latest, {**content, "step": step,
                                                   "score": None if score is None else float(score)}, self.kind)
        try:
            self._name_others(temporary, step, score)
            disk.put(temporary, self.latest)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        self._step = step
        for path in self.earlier()[:-(self.keep - 1) or None]:
            path.unlink(missing_ok=True)
        return self.latest

    def _name_others(self, temporary: Path, step: int, score: float | None) -> None:
        """While the latest is still the one before: name that an earlier one, and the new one the best, if it is."""
        if self._step is None:
            for path in [self.best, *self.earlier()]:
                path.unlink(missing_ok=True)
        elif self.keep > 1 and step != self._step and self.exist():
            disk.also(self.latest, self.folder / EARLIER.format(f"{self._step:08}"))
        if score is not None and score < self._score:
            disk.also(temporary, self.best)
            self._score = score
