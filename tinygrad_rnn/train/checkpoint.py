"""Checkpoints: one safetensors file, written so that a crash at any moment leaves a whole one behind.

The arrays of a nested structure are stored as tensors, named by where they stand (`model/lstm.weight_ih_l0`); the
rest is JSON in the file's metadata.  Any program that reads safetensors reads the parameters.

    save    writes a temporary file beside the target, forces it to disk, renames it over the target: a reader, and
            whoever comes after a crash, finds the whole old file or the whole new one
    load    believes nothing before the format, the version and a SHA-256 over all content have been checked

No pickle: loading a stranger's checkpoint runs no code.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

FORMAT = "tinygrad_rnn checkpoint"
VERSION = 1


class CheckpointError(ValueError):
    """A file that is no whole checkpoint of ours; the message names the file and what is wrong with it."""


def save(path: str | os.PathLike[str], content: Mapping[str, Any]) -> None:
    """Write a checkpoint; what stood at `path` is there, whole, until the new one is.

    Parameters
    ----------
    path : path
        In an existing folder.
    content : mapping
        Nested dicts (str or int keys), lists and tuples of NumPy arrays, numbers, str, bool and None.

    Raises
    ------
    TypeError
        For any other content.
    OSError
        If the file cannot be written; the old one still stands then.
    """
    tensors: dict[str, np.ndarray] = {}
    text = json.dumps(_take_out(content, "", tensors))
    header = {"format": FORMAT, "version": str(VERSION), "content": text, "sha256": _digest(text, tensors)}
    _replace(Path(path), safetensors.numpy.save(tensors, header))


def load(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What `save` was given, with equal values and dtypes.

    Raises
    ------
    CheckpointError
        If the file is damaged, cut short, not a checkpoint, or of a later version.
    OSError
        If it cannot be read.
    """
    data = Path(path).read_bytes()
    try:
        header, tensors = _parse(data)
        version, text, digest = int(header["version"]), header["content"], header["sha256"]
        if header["format"] != FORMAT:
            raise ValueError("another format")
    except MemoryError:
        raise
    except Exception as error:  # whatever a parser makes of hostile bytes
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{os.fspath(path)} is damaged or no checkpoint: {reason}") from None
    if version > VERSION:
        raise CheckpointError(f"{os.fspath(path)} is a checkpoint of version {version}, this library reads up to "
                              f"{VERSION}: it was written by a later tinygrad_rnn")
    if _digest(text, tensors) != digest:
        raise CheckpointError(f"{os.fspath(path)} is damaged: its content does not have the SHA-256 it was saved with")
    content: dict[str, Any] = _put_back(json.loads(text), tensors)
    return content


# ---- nested structures and flat names -------------------------------------------------------------------------------
def _take_out(value: Any, name: str, tensors: dict[str, np.ndarray]) -> Any:
    """The value as JSON, its arrays moved into `tensors` under their path; what JSON lacks becomes {"$...": }."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        while name in tensors:      # the key "a/b" beside the key "a" that holds a "b"
            name += "'"
        tensors[name] = np.asarray(value, value.dtype.newbyteorder("="), order="C")
        return {"$tensor": name}
    if isinstance(value, np.generic):
        return _take_out(value.item(), name, tensors)
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, (list, tuple)):
        items = [_take_out(item, f"{name}/{k}", tensors) for k, item in enumerate(value)]
        return items if isinstance(value, list) else {"$tuple": items}
    if isinstance(value, Mapping):
        # Pairs, for JSON knows no other keys than strings.
        pairs = {key: _take_out(item, f"{name}/{key}" if name else str(key), tensors) for key, item in value.items()}
        if all(isinstance(key, str) and not key.startswith("$") for key in pairs):
            return pairs
        if all(isinstance(key, (str, int)) for key in pairs):
            return {"$items": [[key, item] for key, item in pairs.items()]}
    raise TypeError(f"checkpoint: {name or 'content'} must be arrays, numbers, str, None, or lists, tuples and dicts "
                    f"of them, got {type(value).__name__}")


def _put_back(value: Any, tensors: dict[str, np.ndarray]) -> Any:
    """The inverse of `_take_out`."""
    if isinstance(value, list):
        return [_put_back(item, tensors) for item in value]
    if isinstance(value, dict):
        match value:
            case {"$tensor": name}:
                return tensors[name]
            case {"$tuple": items}:
                return tuple(_put_back(item, tensors) for item in items)
            case {"$items": pairs}:
                return {key: _put_back(item, tensors) for key, item in pairs}
        return {key: _put_back(item, tensors) for key, item in value.items()}
    return value


def _digest(text: str, tensors: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over everything that `load` hands out."""
    digest = hashlib.sha256(f"{FORMAT} {VERSION}\n{text}\n".encode("utf-8", "surrogatepass"))
    for name in sorted(tensors):
        array = tensors[name]
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode("utf-8", "surrogatepass"))
        digest.update(np.ascontiguousarray(array).data.cast("B") if array.size else b"")
    return digest.hexdigest()


def _parse(data: bytes) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """Metadata and tensors of a safetensors file: eight bytes, the header's length; the header, in JSON; the arrays."""
    tensors = safetensors.numpy.load(data)      # checks that header and arrays fill the file exactly
    header = json.loads(data[8:8 + int.from_bytes(data[:8], "little")])
    return header["__metadata__"], tensors


# ---- the disk -------------------------------------------------------------------------------------------------------
def _replace(path: Path, data: bytes) -> None:
    """Put data at `path` in one step, and let it survive a loss of power from the moment this returns."""
    # A fixed name: what a killed process left behind is overwritten by the next.
    temporary = path.with_name(path.name + ".tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            full = "no space left on the disk; the checkpoint of before is intact"
            raise OSError(error.errno, full, str(path)) from None
        raise
    # The rename itself is data of the folder.  Windows cannot open folders, and needs no such thing.
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
