"""Files that are whole or not there, and a folder of one's own."""

import errno
import hashlib
import os
import stat
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinygrad_rnn.files import checkpoint, disk

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A checkpoint in a folder of its own."""
    checkpoint.save(tmp_path / "run.safetensors", {"a": 1})
    return tmp_path / "run.safetensors"


def names(folder: Path) -> set[str]:
    """What stands in a folder."""
    return {entry.name for entry in folder.iterdir()}


def test_parts_and_their_sha256(tmp_path: Path) -> None:
    parts = [b"head", np.arange(10_000.0).data.cast("B"), b"", bytearray(b"tail")]
    disk.put(disk.write(tmp_path / "a", parts), tmp_path / "a")
    whole = b"".join(map(bytes, parts))
    assert (tmp_path / "a").read_bytes() == whole + hashlib.sha256(whole).digest() and names(tmp_path) == {"a"}


# ---- a full disk ----------------------------------------------------------------------------------------------------
class Full:
    """A file whose disk is full from the k-th write on."""

    def __init__(self, file: Any, k: int) -> None:
        self.file, self.k = file, k

    def write(self, data: bytes) -> None:
        """Half of what does not fit is written, as disks do."""
        if not self.k:
            self.file.write(data[:len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.k -= 1
        self.file.write(data)

    def __enter__(self) -> "Full":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


@pytest.mark.parametrize("when", [0, 1, 2, 3, "fsync", "replace"])
def test_a_full_disk_leaves_the_old_one(path: Path, monkeypatch: pytest.MonkeyPatch, when: Any) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        if isinstance(when, int):
            real = open
            patch.setattr(disk, "open", lambda *args: Full(real(*args), when), raising=False)
        else:
            patch.setattr(os, when, full)
        for target, intact in ((path, "; the one before is intact: "), (path.with_name("new"), ": ")):
            with pytest.raises(OSError, match="not written, No space left on device" + intact) as caught:
                checkpoint.save(target, {"a": np.ones(1000)})
            assert caught.value.errno == errno.ENOSPC and caught.value.filename == str(target)
    assert checkpoint.load(path) == {"a": 1} and names(path.parent) == {path.name}


LIMITED = """
import resource, signal, sys
import numpy as np
from tinygrad_rnn.files import checkpoint
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    checkpoint.save(sys.argv[1], {"a": np.ones(50_000)})
except OSError as error:
    print(error)
"""


@pytest.mark.skipif(os.name != "posix", reason="limits of POSIX")
def test_a_file_that_the_system_cuts_short(path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", LIMITED, str(path)], capture_output=True, text=True,
                          env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True)
    assert "not written, File too large; the one before is intact" in done.stdout
    assert checkpoint.load(path) == {"a": 1} and names(path.parent) == {path.name}


def test_a_target_that_cannot_be_written(tmp_path: Path, path: Path) -> None:
    for target, error in ((path / "below", NotADirectoryError), (tmp_path / "none" / "a", FileNotFoundError),
                          (tmp_path, IsADirectoryError)):
        with pytest.raises(error):
            checkpoint.save(target, {"b": 1})
    assert names(tmp_path) == {path.name} and tmp_path.name + ".tmp" not in names(tmp_path.parent)


def test_what_a_killed_process_left_is_swept_up(path: Path) -> None:
    path.with_name(path.name + ".tmp").write_bytes(b"half a checkpoint" * 1000)
    assert checkpoint.load(path) == {"a": 1}
    checkpoint.save(path, {"a": 2})
    assert checkpoint.load(path) == {"a": 2} and names(path.parent) == {path.name}


def test_the_folder_is_forced_to_disk_after_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    replace, sizes = os.replace, list[int]()

    def fsync(fd: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file")
        sizes.append(os.fstat(fd).st_size)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", lambda *paths: (done.append("rename"), replace(*paths)))
    checkpoint.save(tmp_path / "a", {"b": np.ones(100)})
    assert done == ["file", "rename", "folder"][:3 if os.name == "posix" else 2]
    assert sizes[0] == (tmp_path / "a").stat().st_size, "nothing is written after the last"


# ---- written by others ----------------------------------------------------------------------------------------------
def test_a_draft_takes_its_place_at_the_end(path: Path) -> None:
    before = path.read_bytes()
    with disk.replacing(path) as draft:
        draft.write_bytes(b"new")
        assert path.read_bytes() == before and names(path.parent) == {path.name, draft.name}
    assert path.read_bytes() == b"new" and names(path.parent) == {path.name}


@pytest.mark.parametrize("when", ["write", "fsync", "replace"])
def test_a_draft_that_does_not_fit(path: Path, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = path.read_bytes()
    if when != "write":
        monkeypatch.setattr(os, when, full)
    with pytest.raises(OSError, match="not written, No space left on device; the one before is intact: ") as caught:
        with disk.replacing(path) as draft:
            draft.write_bytes(b"half of the new one")
            if when == "write":
                full()
    assert caught.value.errno == errno.ENOSPC and caught.value.filename == str(path)
    assert path.read_bytes() == before and names(path.parent) == {path.name}


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("a word"), FileNotFoundError(2, "no", "another")])
def test_an_error_in_between_is_the_callers(path: Path, error: BaseException) -> None:
    before = path.read_bytes()
    with pytest.raises(type(error)) as caught:
        with disk.replacing(path) as draft:
            draft.write_bytes(b"half")
            raise error
    assert caught.value is error and path.read_bytes() == before and names(path.parent) == {path.name}


def test_a_draft_in_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="not written, No such file or directory: .*none/a"):
        with disk.replacing(tmp_path / "none" / "a") as draft:
            draft.write_bytes(b"new")


# ---- another name ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("links", [True, False])
def test_another_name(path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    def none(*_: Any) -> None:
        raise PermissionError(errno.EPERM, "no links here")

    if not links:
        monkeypatch.setattr(os, "link", none)
    other = path.with_name("other")
    other.write_bytes(b"before")
    for _ in range(2):
        disk.also(path, other)
        assert other.read_bytes() == path.read_bytes() and names(path.parent) == {path.name, "other"}
    assert os.path.samefile(path, other) is links


def test_a_copy_that_does_not_fit(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "link", full)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="full"):
        disk.also(path, path.with_name("other"))
    assert names(path.parent) == {path.name}


# ---- the lock -------------------------------------------------------------------------------------------------------
HOLDS = """
import sys
from pathlib import Path
from tinygrad_rnn.files import disk
lock = disk.Lock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen]:
    """Another process that holds the lock of a folder until its input ends."""
    process = subprocess.Popen([sys.executable, "-c", HOLDS, str(tmp_path / "lock")], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_another_process_is_named_and_its_death_frees_the_folder(tmp_path: Path, holder: subprocess.Popen) -> None:
    with pytest.raises(BlockingIOError, match=f"in use by process {holder.pid}") as caught:
        disk.Lock(tmp_path / "lock")
    assert caught.value.filename == str(tmp_path)
    holder.kill()
    holder.wait()
    lock = disk.Lock(tmp_path / "lock")
    with pytest.raises(BlockingIOError, match=f"in use by process {os.getpid()}"):
        disk.Lock(tmp_path / "lock")
    lock.release()
    assert not names(tmp_path)
    disk.Lock(tmp_path / "lock").release()


def test_a_lock_file_that_is_removed_while_one_waits_at_the_door(tmp_path: Path,
                                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    first, taken = disk.Lock(tmp_path / "lock"), []
    take = disk.Lock._take

    def late(self: disk.Lock) -> None:
        if not taken:
            first.release()     # after the second opened the file, before it locks it
        taken.append(self)
        take(self)

    monkeypatch.setattr(disk.Lock, "_take", late)
    second = disk.Lock(tmp_path / "lock")
    assert len(taken) == 2 and os.path.samestat(os.fstat(second.file.fileno()), os.stat(tmp_path / "lock"))
    second.release()


def test_a_disk_without_locks_warns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(disk.fcntl, "flock", none)
    with pytest.warns(RuntimeWarning, match="cannot be locked .No locks available.: make sure"):
        lock = disk.Lock(tmp_path / "lock")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        disk.Lock(tmp_path / "lock").file.close()
    lock.release()


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        disk.Lock(tmp_path / "none" / "lock")
