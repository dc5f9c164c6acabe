"""A model of word vectors in a checkpoint: its arrays, and the rest of its state as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..files import checkpoint


def write(path: Path, kind: str, state: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write a model; a file that exists is replaced at once or not at all."""
    # In an array, for a checkpoint has no room for the words of a very large vocabulary beside them.
    content = np.frombuffer(json.dumps(state).encode("ascii"), np.uint8)
    checkpoint.save(path, {"state": content, "arrays": dict(arrays)}, kind)


def read(path: Path, kind: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """State and arrays of a model.  CheckpointError naming the file if it is damaged, or holds none of this kind."""
    content = checkpoint.load(path, kind)
    try:
        return json.loads(content["state"].tobytes()), content["arrays"]
    except (KeyError, AttributeError, ValueError):      # sealed, but not by `write`
        raise checkpoint.CheckpointError(f"{path} holds no {kind} model") from None
