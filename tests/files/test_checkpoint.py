"""Checkpoints: what goes in comes out, and nothing else ever does."""

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinygrad_rnn.files import checkpoint
from tinygrad_rnn.files.checkpoint import CheckpointError, load, save

CONTENT: dict[str, Any] = {
    "model": {"layer.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "layer.bias": np.array([-0.0, math.inf])},
    "optimizer": {"state": {0: {"step": 3, "mean": np.ones((2, 3), np.float32).T}, 1: {}},
                  "groups": [{"betas": (0.9, 0.999)}]},
    "streams": {"dropout": {"state": 2**127 - 1, "name": "PCG64", "spare": None, "full": True}},
    "odd": {"\ud800": np.ones(1, np.uint16), "sha256": np.ones(2),
            "a/b": np.zeros((0, 2), np.int64), "a": {"b": np.array(7, np.int32)}, "$tensor": np.array([True]), "": 0.1},
    "text": "Grüße, \x00, \ud800 and \u2028",
    "sha256": np.array(1), "__metadata__": np.ones((1, 1), np.float16),
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
    assert equal(load(path), CONTENT) and equal(load(path, ""), CONTENT)
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
                                     {"a": {1, 2}}, {"a": np.ones(1, np.complex64)}, {"a": np.ones(1, np.longdouble)}])
def test_what_cannot_be_kept_is_refused(tmp_path: Path, content: dict) -> None:
    with pytest.raises(TypeError, match="checkpoint: .* must be"):
        save(tmp_path / "a", content)
    assert not list(tmp_path.iterdir())


# ---- damage ---------------------------------------------------------------------------------------------------------
def put(file: Path, data: bytes) -> None:
    """Write over a file; ext4 would flush one that is emptied first, which takes milliseconds."""
    with open(file, "r+b" if file.exists() else "wb") as stream:
        stream.write(data)
        stream.truncate()


def refused(file: Path, data: bytes) -> str:
    """What `load` says of these bytes: always a CheckpointError, in one line that names the file."""
    put(file, data)
    with pytest.raises(CheckpointError) as caught:
        load(file)
    message = str(caught.value)
    assert message.startswith(f"{file} is ") and "\n" not in message and len(message) < 400
    return message


SMALL = {"model": {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array([-0.0, math.inf])}, "step": 3}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """A file to write to, and the bytes of a checkpoint."""
    file = tmp_path_factory.mktemp("fuzz") / "run.safetensors"
    save(file, SMALL)
    return file, file.read_bytes()


def test_cut_short_anywhere(small: tuple[Path, bytes]) -> None:
    file, whole = small
    for n in range(len(whole)):
        refused(file, whole[:n])
    refused(file, whole + b"\0")


def test_a_bit_that_flips_anywhere(small: tuple[Path, bytes]) -> None:
    file, whole = small
    arrays = 8 + int.from_bytes(whole[:8], "little")
    for at in range(len(whole)):
        message = refused(file, flipped(whole, at, at % 8))
        assert "does not have the SHA-256" in message or at < arrays    # before them stands what is parsed first


def flipped(data: bytes, at: int, n: int) -> bytes:
    """With one bit turned over."""
    changed = bytearray(data or b"0")
    changed[at % len(changed)] ^= 1 << n % 8
    return bytes(changed)


# What disks, transfers and editors do, at `at` and to some n bytes.
DAMAGE = (
    flipped,
    lambda data, at, n: data[:at],                              # cut short
    lambda data, at, n: data[:at] + bytes(n) + data[at + n:],   # a hole
    lambda data, at, n: data[:at] + data[at + n:],              # a piece is missing
    lambda data, at, n: data[:at] + data[max(0, at - n):],      # a piece stands twice
    lambda data, at, n: data + data[:n],
)
MUTATIONS = st.lists(st.tuples(st.sampled_from(DAMAGE), st.integers(0, 500), st.integers(0, 40)), min_size=1,
                     max_size=3)


def mutated(data: bytes, steps: list) -> bytes:
    """One damage after the other."""
    for damage, at, n in steps:
        data = damage(data, at, n)
    return data


@settings(max_examples=2000)
@given(MUTATIONS)
def test_no_mutation_loads(small: tuple[Path, bytes], steps: list) -> None:
    file, whole = small
    data = mutated(whole, steps)
    if data != whole:           # two flips may undo one another
        refused(file, data)
    else:
        put(file, data)
        assert equal(load(file), SMALL)


def sealed(data: bytes) -> bytes:
    """With the SHA-256 that belongs to it."""
    return data[:-32] + hashlib.sha256(data[:-32]).digest()


@settings(max_examples=500)
@given(MUTATIONS)
def test_a_mutation_with_a_right_seal_is_an_error_or_a_checkpoint(small: tuple[Path, bytes], steps: list) -> None:
    file, whole = small
    put(file, sealed(mutated(whole, steps)))
    try:
        assert isinstance(load(file), dict)
    except CheckpointError as error:
        assert str(error).startswith(f"{file} is ") and "\n" not in str(error)


def test_the_seal_is_over_every_byte(small: tuple[Path, bytes]) -> None:
    _, whole = small
    assert sealed(whole) == whole


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"\x80\x04K\x01.", b"\xff" * 100, b"{}" * 50])
def test_foreign_files(tmp_path: Path, data: bytes) -> None:
    assert "is damaged or no checkpoint" in refused(tmp_path / "foreign", data)


def test_a_safetensors_file_of_someone_else(tmp_path: Path) -> None:
    for metadata in (None, {"format": "pt"}, {"format": "pt", "version": "1", "content": "{}", "sha256": ""}):
        safetensors.numpy.save_file({"a": np.ones(3)}, tmp_path / "a", metadata)
        assert "no checkpoint" in refused(tmp_path / "a", (tmp_path / "a").read_bytes())


@pytest.mark.parametrize("version", [0, 2, 99])
def test_another_version_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "VERSION", version)
        save(tmp_path / "a", {"b": 1})
    with pytest.raises(CheckpointError, match=f"of version '{version}', and this tinygrad_rnn reads version 1"):
        load(tmp_path / "a")


@pytest.mark.parametrize("format", ["tinygrad_rnn.embeddings", "tinygrad_rnn.glove"])
def test_formats_before_this_one_are_named(tmp_path: Path, format: str) -> None:
    safetensors.numpy.save_file({"table": np.ones(9)}, tmp_path / "a", {"format": format, "options": "{}"})
    message = refused(tmp_path / "a", (tmp_path / "a").read_bytes())
    assert f"is a checkpoint of the earlier format '{format}', and this tinygrad_rnn reads version 1" in message


def test_another_kind_says_so(tmp_path: Path) -> None:
    save(tmp_path / "a", {"b": 1}, "translator")
    assert load(tmp_path / "a") == load(tmp_path / "a", "translator") == {"b": 1}
    with pytest.raises(CheckpointError, match="of something else: of kind 'translator', not 'poet'"):
        load(tmp_path / "a", "poet")


@pytest.mark.parametrize("content", ["[" * 100_000, "[]", "3", "", '{"a": {"$tensor": "none"}}', '{"a": {"$tuple": 1}}',
                                     '{"$items": [[{}, 1]]}', '{"$items": [3]}', '{"$tensor": []}'])
def test_content_that_save_does_not_write(tmp_path: Path, content: str) -> None:
    header = {"format": checkpoint.FORMAT, "version": "1", "kind": "", "content": content}
    safetensors.numpy.save_file({"zzz": np.zeros(32, np.uint8)}, tmp_path / "a", header)
    assert "is no checkpoint" in refused(tmp_path / "a", sealed((tmp_path / "a").read_bytes()))


def test_more_json_than_the_format_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "_LONGEST_HEADER", 1000)
    with pytest.raises(ValueError, match="long lists of numbers belong into arrays"):
        save(tmp_path / "a", {"losses": [0.5] * 1000})
    assert not list(tmp_path.iterdir())


def test_missing_is_an_oserror(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none")


def test_the_metadata_is_json(path: Path) -> None:
    with safetensors.safe_open(path, "numpy") as file:
        metadata = file.metadata()
    assert metadata["format"] == checkpoint.FORMAT and json.loads(metadata["content"])["text"] == CONTENT["text"]
