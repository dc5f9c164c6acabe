"""Checkpoints: what goes in comes out, and nothing else ever does."""

import errno
import json
import math
import os
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinygrad_rnn.train import checkpoint
from tinygrad_rnn.train.checkpoint import CheckpointError, load, save

CONTENT: dict[str, Any] = {
    "model": {"layer.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "layer.bias": np.array([-0.0, math.inf])},
    "optimizer": {"state": {0: {"step": 3, "mean": np.ones((2, 3), np.float32).T}, 1: {}},
                  "groups": [{"betas": (0.9, 0.999)}]},
    "streams": {"dropout": {"state": 2**127 - 1, "name": "PCG64", "spare": None, "full": True}},
    "odd": {"a/b": np.zeros((0, 2), np.int64), "a": {"b": np.array(7, np.int32)}, "$tensor": np.array([True]), "": 0.1},
    "text": "Grüße, \x00 and \u2028",
}


def equal(a: Any, b: Any) -> bool:
    """Of one structure, types and bits."""
    if isinstance(a, np.ndarray):
        return (isinstance(b, np.ndarray) and a.dtype == b.dtype and a.shape == b.shape
                and np.ascontiguousarray(a).tobytes() == np.ascontiguousarray(b).tobytes())
    if isinstance(a, dict):
        return type(a) is type(b) and list(a) == list(b) and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(equal, a, b))
    return type(a) is type(b) and (a == b or a != a and b != b)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A checkpoint of CONTENT."""
    save(tmp_path / "run.safetensors", CONTENT)
    return tmp_path / "run.safetensors"


def test_what_goes_in_comes_out(path: Path) -> None:
    assert equal(load(path), CONTENT)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


ARRAYS = hnp.arrays(st.sampled_from([np.float32, np.float64, np.int64, np.uint8, np.bool_, np.float16]),
                    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | ARRAYS
KEYS = st.text("a/$'", max_size=3) | st.integers(0, 3)
TREES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner)
                     | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8)


@given(st.dictionaries(st.text(max_size=3), TREES, max_size=3))
def test_any_structure_comes_back(tmp_path_factory: pytest.TempPathFactory, content: dict) -> None:
    file = tmp_path_factory.getbasetemp() / "any.safetensors"
    save(file, content)
    assert equal(load(file), content)


def test_others_can_read_the_parameters(path: Path) -> None:
    tensors = safetensors.numpy.load_file(path)
    assert equal(tensors["model/layer.weight"], CONTENT["model"]["layer.weight"])


def test_arrays_in_any_layout(tmp_path: Path) -> None:
    grid = np.arange(24.0).reshape(4, 6)
    views = {"turned": grid.T, "strided": grid[::2, ::-3], "swapped": grid.astype(">f8"), "scalar": np.float32(0.1)}
    save(tmp_path / "a", views)
    back = load(tmp_path / "a")
    assert all(np.array_equal(back[name], view) for name, view in views.items())


@pytest.mark.parametrize("content", [{"a": object()}, {"a": np.array(["text"])}, {"a": [1j]}, {(1, 2): 3},
                                     {"a": {1, 2}}])
def test_what_cannot_be_kept_is_refused(tmp_path: Path, content: dict) -> None:
    with pytest.raises(TypeError, match="checkpoint: .* must be"):
        save(tmp_path / "a", content)
    assert not list(tmp_path.iterdir())


# ---- damage ---------------------------------------------------------------------------------------------------------
def loads_right_or_says_so(path: Path, data: bytes) -> bool:
    """Is the file refused?  If not, it holds the very numbers that were saved."""
    path.write_bytes(data)
    try:
        content = load(path)
    except CheckpointError as error:
        assert str(path) in str(error) and "\n" not in str(error)
        return True
    assert equal(content, CONTENT)
    return False


def test_cut_short_anywhere(path: Path) -> None:
    whole = path.read_bytes()
    assert all(loads_right_or_says_so(path, whole[:n]) for n in range(len(whole)))
    assert loads_right_or_says_so(path, whole + b"\0")


@settings(max_examples=300)
@given(at=st.integers(0, 10**6), bit=st.integers(0, 7))
@example(at=0, bit=0)
@example(at=7, bit=7)
def test_a_flipped_bit(tmp_path_factory: pytest.TempPathFactory, at: int, bit: int) -> None:
    file = tmp_path_factory.getbasetemp() / "flipped.safetensors"
    save(file, CONTENT)
    data = bytearray(file.read_bytes())
    data[at % len(data)] ^= 1 << bit
    # A flip in the padding of the header, or in the case of a hexadecimal escape, may change nothing that is loaded.
    loads_right_or_says_so(file, bytes(data))


@given(st.lists(st.tuples(st.integers(0, 10**6), st.binary(max_size=8)), min_size=1, max_size=3))
def test_bytes_written_over(tmp_path_factory: pytest.TempPathFactory, patches: list) -> None:
    file = tmp_path_factory.getbasetemp() / "patched.safetensors"
    save(file, CONTENT)
    data = bytearray(file.read_bytes())
    for at, patch in patches:
        data[at % len(data):at % len(data) + len(patch)] = patch
    loads_right_or_says_so(file, bytes(data))


def test_a_flipped_number_is_seen(path: Path) -> None:
    data = bytearray(path.read_bytes())
    weight = data.index(np.arange(6, dtype=np.float32).tobytes())
    data[weight + 4] ^= 1
    assert loads_right_or_says_so(path, bytes(data))


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"\x80\x04K\x01.", b"\xff" * 100, b"{}" * 50])
def test_foreign_files(tmp_path: Path, data: bytes) -> None:
    assert loads_right_or_says_so(tmp_path / "foreign", data)


def test_a_safetensors_file_of_someone_else(tmp_path: Path) -> None:
    for metadata in (None, {"format": "pt"}, {"format": "pt", "version": "1", "content": "{}", "sha256": ""}):
        safetensors.numpy.save_file({"a": np.ones(3)}, tmp_path / "a", metadata)
        with pytest.raises(CheckpointError, match="no checkpoint"):
            load(tmp_path / "a")


def test_a_later_version_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "VERSION", 99)
        save(tmp_path / "a", {"b": 1})
    with pytest.raises(CheckpointError, match="version 99, this library reads up to 1"):
        load(tmp_path / "a")


def test_nested_too_deep(tmp_path: Path) -> None:
    header = {"format": checkpoint.FORMAT, "version": "1", "content": "[" * 100_000, "sha256": "0"}
    safetensors.numpy.save_file({}, tmp_path / "a", header)
    with pytest.raises(CheckpointError):
        load(tmp_path / "a")


def test_missing_is_an_oserror(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none")


# ---- the disk -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("when", ["write", "fsync", "replace"])
def test_a_full_disk_leaves_the_old_one(path: Path, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if when == "write":
        real = open

        class Full:
            def __init__(self, *args: Any) -> None:
                self.file = real(*args)
                self.write = full

            def __enter__(self) -> "Full":
                return self

            def __exit__(self, *_: object) -> None:
                self.file.close()

        monkeypatch.setattr(checkpoint, "open", Full, raising=False)
    else:
        monkeypatch.setattr(os, when, full)
    with pytest.raises(OSError, match="no space left on the disk"):
        save(path, {"a": np.ones(1000)})
    monkeypatch.undo()
    assert equal(load(path), CONTENT)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_what_a_killed_process_left_is_swept_up(path: Path) -> None:
    path.with_name(path.name + ".tmp").write_bytes(b"half a checkpoint")
    assert equal(load(path), CONTENT)
    save(path, {"a": 1})
    assert load(path) == {"a": 1} and [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_the_folder_is_forced_to_disk_after_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    replace = os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: done.append("folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file"))
    monkeypatch.setattr(os, "replace", lambda *paths: (done.append("rename"), replace(*paths)))
    save(tmp_path / "a", {"b": 1})
    assert done == ["file", "rename", "folder"][:3 if os.name == "posix" else 2]


def test_the_metadata_is_json(path: Path) -> None:
    with safetensors.safe_open(path, "numpy") as file:
        metadata = file.metadata()
    assert metadata["format"] == checkpoint.FORMAT and json.loads(metadata["content"])["text"] == CONTENT["text"]
