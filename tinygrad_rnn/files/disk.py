"""What a crash cannot tear: a file written beside another before it takes its place, and a folder that is one's own.

    temporary = write(path, parts)      on the disk, under another name; what stood at `path` still stands there
    put(temporary, path)                and now it is the new file, in one step
    with replacing(path) as draft: ...  both, where others write the file

A process that dies at any moment leaves the old file or the new one, whole; so does a loss of power.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


_PIECE = 1 << 22        # bytes read at a time, and hashed while the next are read


def write(path: Path, parts: Sequence[Any]) -> Path:
    """Write a file beside `path`, and force it to the disk.

    Parameters
    ----------
    path : Path
        The file whose place it is going to take.
    parts : sequence of bytes-like objects
        Written one after the other, and then the 32 bytes of the SHA-256 of them all.

    Returns
    -------
    Path
        Where it stands.

    Raises
    ------
    OSError
        If the disk is full, for one; the message says what is intact.
    """
    # A fixed name: what a killed process left behind is overwritten by the next.
    temporary = path.with_name(path.name + ".tmp")
    try:
        with _Sha256() as sha, open(temporary, "wb") as file:
            for part in parts:
                file.write(part)
                sha.update(part)
                _begin_flush(file)
            file.write(sha.digest())
            _to_disk(file)
    except OSError as error:
        raise _given_up(error, temporary, path) from None
    return temporary


def read(path: str | os.PathLike[str]) -> tuple[memoryview, bytes, bytes]:
    """What `write` wrote: all bytes of a file, writable; the SHA-256 of all but the last 32; and those."""
    with _Sha256() as sha, open(path, "rb", buffering=0) as file:
        data = memoryview(bytearray(os.fstat(file.fileno()).st_size))
        end, at = max(len(data) - 32, 0), 0
        while count := file.readinto(data[at:at + _PIECE]):
            sha.update(data[at:min(at + count, end)])
            at += count
        return data[:at], sha.digest(), bytes(data[max(at - 32, 0):at])


class _Sha256:
    """SHA-256 in a thread: it takes as long as writing, and both release the GIL.  A context manager."""

    def __init__(self) -> None:
        self.parts: SimpleQueue[Any] = SimpleQueue()
        self.sha = hashlib.sha256()
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while (part := self.parts.get()) is not None:
            self.sha.update(part)

    def update(self, part: Any) -> None:
        """Hash a part, which must not change before the digest is known."""
        self.parts.put(part)

    def digest(self) -> bytes:
        """Of all parts; once."""
        self.parts.put(None)
        self.thread.join()
        return self.sha.digest()

    def __enter__(self) -> _Sha256:
        self.thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.parts.put(None)


def _begin_flush(file: IO[bytes]) -> None:
    """Let the disk begin with what is written so far, without waiting for it."""
    if hasattr(os, "posix_fadvise"):
        # Linux begins to write the pages that it is told to forget.
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _given_up(error: OSError, temporary: Path, path: Path) -> OSError:
    """Sweep up, and say what became of it."""
    temporary.unlink(missing_ok=True)
    before = "; the one before is intact" if path.is_file() else ""
    return OSError(error.errno, f"not written, {error.strerror}{before}", str(path))


def _to_disk(file: IO[bytes]) -> None:
    """Until this returns, what was written may be in the memory of the machine alone."""
    file.flush()
    os.fsync(file.fileno())


def put(temporary: Path, path: Path) -> None:
    """Let a file take its place, and let that survive a loss of power from the moment this returns."""
    try:
        os.replace(temporary, path)
    except OSError as error:
        raise _given_up(error, temporary, path) from None
    # The rename itself is data of the folder.  Windows cannot open folders, and needs no such thing.
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file beside `path` for the block to write, which takes its place at the end; an error leaves what stood there.

    Raises
    ------
    OSError
        If the disk is full, for one; the message says what is intact.
    """
    # By its process: there is no lock here, and of two that write, the later one wins.
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield draft
        with open(draft, "rb+") as file:
            _to_disk(file)
        put(draft, path)
    except OSError as error:
        if error.filename not in (None, str(draft)):
            raise
        raise _given_up(error, draft, path) from None
    finally:
        draft.unlink(missing_ok=True)


def also(path: Path, name: Path) -> None:
    """Give a file another name, which may have been another file's; where the disk has no links, copy it."""
    link = name.with_name(name.name + ".tmp")
    link.unlink(missing_ok=True)
    try:
        os.link(path, link)
    except OSError:
        try:
            shutil.copyfile(path, link)
            with open(link, "rb+") as file:
                _to_disk(file)
        except OSError:
            link.unlink(missing_ok=True)
            raise
    os.replace(link, name)
    link.unlink(missing_ok=True)        # POSIX does nothing where both are names of one file already


class Lock:
    """A folder for this process alone, until `release` or its death, whatever the death.

    The system holds the lock on an open file and drops it with the process, so that none is ever left behind; the file
    may be, and means nothing.

    Parameters
    ----------
    path : Path
        The file to lock; made if it is not there, and removed by `release`.

    Raises
    ------
    BlockingIOError
        If another process holds it, naming that.
    OSError
        If the file cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        while True:
            self.file = open(path, "a+b")
            try:
                self._take()
                # Between opening and locking, the one who held it may have removed the file: then this is no one's.
                if self._stands():
                    break
            except BaseException:
                self.file.close()
                raise
            self.file.close()
        self.file.truncate(0)
        self.file.write(str(os.getpid()).encode())
        self.file.flush()

    def _stands(self) -> bool:
        """Is the open file still the one of that name?"""
        try:
            return os.path.samestat(os.fstat(self.file.fileno()), os.stat(self.path))
        except FileNotFoundError:
            return False

    def _take(self) -> None:
        try:
            if sys.platform == "win32":
                msvcrt.locking(self.file.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            self.file.seek(0)
            owner = self.file.read(20).decode("ascii", "replace")
            by = f"process {owner}" if owner.isdigit() else "another process"
            raise BlockingIOError(error.errno, f"in use by {by}", str(self.path.parent)) from None
        except OSError as error:
            # Some network file systems have no locks; to refuse to train there would help no one.
            warnings.warn(f"{self.path.parent} cannot be locked ({error.strerror}): make sure that one process alone "
                          "writes there", RuntimeWarning, stacklevel=3)

    def release(self) -> None:
        """Let others have the folder."""
        try:
            self.path.unlink(missing_ok=True)
        except OSError:
            pass        # Windows removes no open file: it stays, and means nothing
        self.file.close()
