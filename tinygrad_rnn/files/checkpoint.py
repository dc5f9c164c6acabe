"""Checkpoints: all that a program needs to go on as if nothing had interrupted it, in a file that is whole or refused.

    save(path, content, kind)       nested dicts, lists and tuples of arrays, numbers, str, bool and None
    load(path, kind)                the same again, bit by bit, or a CheckpointError in one line
    train.Checkpoints               those of a run: the latest, earlier ones, the best; its folder locked

What a training program keeps, so that an interrupted run ends with the very bits of one that was not:

    content = {
        "model": model.state_dict(), "streams": model.rng_state(),      # parameters, buffers; dropout's random streams
        "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict(),
        "batches": batches.state_dict(),                                # the position in the data, and its shuffling
        "rng": rng.bit_generator.state,                                 # of any generator of its own
        "memory": h.numpy(),                                            # a recurrent state that is carried on
    }

The file is in the safetensors format: eight bytes, the length of the header; the header, in JSON; the arrays.  Arrays
are named by where they stand (`model/lstm.weight_ih_l0`), so that any program that reads safetensors reads the
parameters; the rest of the content is JSON in the header's metadata.  The last array, the last 32 bytes of the file, is
the SHA-256 of all bytes before it: a bit that flips anywhere is seen, before anything is believed.

No pickle: loading a stranger's checkpoint runs no code.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from . import disk

FORMAT = "tinygrad_rnn checkpoint"
VERSION = 1

_EARLIER = ("tinygrad_rnn.embeddings", "tinygrad_rnn.glove")     # formats of word vectors, which had no seal
_SEAL = "sha256"                # the name of the last array
_METADATA = "__metadata__"      # the format's own
_LONGEST_HEADER = 100_000_000   # bytes, the format's limit
_DTYPES = {"float64": "F64", "float32": "F32", "float16": "F16", "bool": "BOOL", "int64": "I64", "int32": "I32",
           "int16": "I16", "int8": "I8", "uint64": "U64", "uint32": "U32", "uint16": "U16", "uint8": "U8"}
_NAMES = {short: name for name, short in _DTYPES.items()}


class CheckpointError(ValueError):
    """A file that is no whole checkpoint of the kind wanted; the message names the file and what is wrong with it."""


def save(path: str | os.PathLike[str], content: Mapping[str, Any], kind: str = "") -> None:
    """Write a checkpoint; what stood at `path` is there, whole, until the new one is.

    Parameters
    ----------
    path : path
        In an existing folder.
    content : mapping
        Nested dicts (str or int keys), lists and tuples of NumPy arrays, numbers, str, bool and None.
    kind : str
        What it is a checkpoint of, "translator" for one: other programs' are refused by `load`.

    Raises
    ------
    TypeError
        For any other content.
    OSError
        If the file cannot be written; the old one still stands then.
    """
    disk.put(write(Path(path), content, kind), Path(path))


def write(path: Path, content: Mapping[str, Any], kind: str) -> Path:
    """The first half of `save`: on the disk, in a file beside `path`, whose place `disk.put` lets it take."""
    arrays: dict[str, np.ndarray] = {}
    text = json.dumps(_take_out(content, "", arrays))
    header: dict[str, Any] = {_METADATA: {"format": FORMAT, "version": str(VERSION), "kind": kind, "content": text}}
    # The widest numbers first, so that each stands at a multiple of its size.
    ordered, end = sorted(arrays.items(), key=lambda item: -item[1].itemsize), 0
    for name, array in ordered:
        header[name] = {"dtype": _DTYPES[array.dtype.name], "shape": array.shape,
                        "data_offsets": (end, end + array.nbytes)}
        end += array.nbytes
    header[_SEAL] = {"dtype": "U8", "shape": (32,), "data_offsets": (end, end + 32)}
    head = json.dumps(header, separators=(",", ":")).encode("ascii")
    head += b" " * (-len(head) % 8)
    if len(head) > _LONGEST_HEADER:
        raise ValueError(f"checkpoint: what is not an array takes {len(head):,} bytes of JSON, {_LONGEST_HEADER:,} are "
                         "allowed; long lists of numbers belong into arrays")
    bodies = (array.data.cast("B") for _, array in ordered if array.size)
    return disk.write(path, [len(head).to_bytes(8, "little"), head, *bodies])


def load(path: str | os.PathLike[str], kind: str | None = None) -> dict[str, Any]:
    """What `save` was given, with equal values and dtypes.

    Parameters
    ----------
    path : path
    kind : str, optional
        What it must be a checkpoint of.

    Raises
    ------
    CheckpointError
        If the file is damaged, cut short, not a checkpoint, of another version, or of another kind.
    OSError
        If it cannot be read.
    """
    data, digest, seal = disk.read(path)
    where = os.fspath(path)
    try:
        body = 8 + int.from_bytes(data[:8], "little")
        header = json.loads(bytes(data[8:body]))
        metadata = header.pop(_METADATA)
        format, version = metadata["format"], metadata.get("version")
        if format not in (FORMAT, *_EARLIER):
            raise ValueError("another format")
    except Exception:       # whatever a parser makes of hostile bytes
        raise CheckpointError(f"{where} is damaged or no checkpoint") from None
    if (format, version) != (FORMAT, str(VERSION)):
        found = f"version {version!r:.20}" if format == FORMAT else f"the earlier format {format!r}"
        raise CheckpointError(f"{where} is a checkpoint of {found}, and this tinygrad_rnn reads version {VERSION}")
    if digest != seal:
        raise CheckpointError(f"{where} is damaged or cut short: it does not have the SHA-256 that it was saved with")
    try:
        arrays = {name: _array(data[body:], **entry) for name, entry in header.items()}
        found, content = metadata["kind"], _put_back(json.loads(metadata["content"]), arrays)
        if not isinstance(content, dict):
            raise TypeError("its content is no dict")
    except MemoryError:
        raise
    except Exception as error:      # sealed, but not by `save`
        raise CheckpointError(f"{where} is no checkpoint: {' '.join(str(error).split())}") from None
    if kind is not None and found != kind:
        raise CheckpointError(f"{where} is a checkpoint of something else: of kind {found!r}, not {kind!r}")
    return content


def _array(body: memoryview, dtype: str, shape: list[int], data_offsets: list[int]) -> np.ndarray:
    """An array where it stands in the file, by what the header says of it: a view."""
    begin, end = data_offsets
    return np.frombuffer(body[begin:end], np.dtype(_NAMES[dtype]).newbyteorder("<")).reshape(shape)


# ---- nested structures and flat names -------------------------------------------------------------------------------
def _take_out(value: Any, name: str, arrays: dict[str, np.ndarray]) -> Any:
    """The value as JSON, its arrays moved into `arrays` under their path; what JSON lacks becomes {"$...": }."""
    if isinstance(value, np.ndarray) and value.dtype.name in _DTYPES:
        name = name.encode("utf-8", "replace").decode()     # a lone surrogate is no text to others
        while name in arrays or name in (_SEAL, _METADATA):     # the key "a/b" beside the key "a" that holds a "b"
            name += "'"
        arrays[name] = np.asarray(value, value.dtype.newbyteorder("<"), order="C")
        return {"$tensor": name}
    if isinstance(value, np.generic):
        return _take_out(value.item(), name, arrays)
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, (list, tuple)):
        items = [_take_out(item, f"{name}/{k}", arrays) for k, item in enumerate(value)]
        return items if isinstance(value, list) else {"$tuple": items}
    if isinstance(value, Mapping):
        # Pairs, for JSON knows no other keys than strings.
        pairs = {key: _take_out(item, f"{name}/{key}" if name else str(key), arrays) for key, item in value.items()}
        if all(isinstance(key, str) and not key.startswith("$") for key in pairs):
            return pairs
        if all(isinstance(key, (str, int)) for key in pairs):
            return {"$items": [[key, item] for key, item in pairs.items()]}
    raise TypeError(f"checkpoint: {name or 'content'} must be arrays, numbers, str, None, or lists, tuples and dicts "
                    f"of them, got {type(value).__name__}")


def _put_back(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """The inverse of `_take_out`."""
    if isinstance(value, list):
        return [_put_back(item, arrays) for item in value]
    if isinstance(value, dict):
        match value:
            case {"$tensor": name}:
                return arrays[name]
            case {"$tuple": items}:
                return tuple(_put_back(item, arrays) for item in items)
            case {"$items": pairs}:
                return {key: _put_back(item, arrays) for key, item in pairs}
        return {key: _put_back(item, arrays) for key, item in value.items()}
    return value
