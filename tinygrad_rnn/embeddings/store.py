"""A model in one safetensors file: its arrays, and the rest as JSON in the metadata.  No pickle."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

FORMAT, VERSION = "tinygrad_rnn.embeddings", 1


def write(path: Path, kind: str, state: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write a model; a file that exists is replaced at once or not at all."""
    header = {"format": FORMAT, "version": str(VERSION), "kind": kind, "state": json.dumps(state)}
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_bytes(safetensors.numpy.save(
            {name: np.ascontiguousarray(array) for name, array in arrays.items()}, header))
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def read(path: Path, kind: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """State and arrays of a model.  ValueError naming the file if it holds none of this kind."""
    with open(path, "rb"):
        pass        # an error of the system's, with its own words
    try:
        with safetensors.safe_open(path, "numpy") as file:
            header = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if (header.get("format"), header.get("kind")) != (FORMAT, kind):
            raise ValueError("another format")
        if header.get("version") != str(VERSION):
            raise ValueError(f"version {header.get('version')}, this library reads {VERSION}")
        return json.loads(header["state"]), arrays
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise ValueError(f"{path} holds no {kind} model, or is damaged: {error}") from None
