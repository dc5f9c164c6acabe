"""Compiling: lazily, once a machine, into a private folder.

Three ways from a Python function to machine code, each compiled at the first look-up of a dtype and then kept on disk:

    @kernel("void(const(T[:, ::1]), T[::1])")    Numba. row_sums[x.dtype](x, out): for Python, runs without the GIL
    def row_sums(x, out): ...

    @helper                                      Numba. A function that kernels call; it becomes part of them
    def midpoint(a, b): ...

    @native                                      The vector language of llvm.py. scale[x.dtype]: the address of a C
    def scale(e, n, x, y): ...                   function void(int64, int64, int64), for ufunc.py and `llvm.call`

One compiled form a dtype: layout, broadcasting and whether an array may be written to are settled before, in Python.
Whatever is in the folder was made from exactly these sources, by these versions, for this CPU: their hash is its name.
"""
import atexit
import functools
import hashlib
import importlib.util
import os
import platform
import shutil
import stat
import sys
import tempfile
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import llvmlite
import numba
import numpy as np
from numba import types

from . import llvm

# Without the GIL, division as NumPy's, and no flag that lets the compiler reorder sums or assume that there is no NaN.
OPTIONS: dict[str, Any] = dict(nogil=True, error_model="numpy")
Function = Callable[..., Any]
NOTICE_AFTER = 1.0  # seconds of compiling before it is mentioned

helper = numba.njit(**OPTIONS)


# ---- where compiled code is kept ------------------------------------------------------------------------------------


@functools.cache
def key() -> str:
    """Hash of everything that decides what compiled code looks like."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    versions = (numba.__version__, llvmlite.__version__, np.__version__, sys.version, platform.system(),
                platform.machine())
    digest.update(repr((versions, llvm.target(), llvm.vector_bytes())).encode())
    return digest.hexdigest()[:32]


def cache_root() -> Path:
    """The folder that the user named, or the usual one for caches."""
    named = os.environ.get("TINYGRAD_RNN_CACHE_DIR")
    if named:
        return Path(named).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_cache_dir("tinygrad_rnn", appauthor=False))


def check_private(path: Path) -> None:
    """Whoever can write to the folder can run code as this user: refuse if that is anybody else."""
    if not hasattr(os, "getuid"):
        return  # Windows: a user's folders are private by inheritance
    status = path.stat()
    if status.st_uid != os.getuid():
        raise PermissionError(f"{path} belongs to another user")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(f"{path} can be written by others (mode {stat.S_IMODE(status.st_mode):o}, expected 700)")


@functools.cache
def folder() -> Path:
    """The private folder of this key; a temporary one, with a warning, where that cannot be had."""
    root = cache_root()
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_private(root)
        path = root / key()
        path.mkdir(mode=0o700, exist_ok=True)
        check_private(path)
        with tempfile.TemporaryFile(dir=path):
            return path
    except OSError as error:
        path = Path(tempfile.mkdtemp(prefix="tinygrad_rnn-"))  # made with mode 700
        atexit.register(_remove, path, os.getpid())
        warnings.warn(f"tinygrad_rnn: cannot keep compiled kernels in {root}: {error}. This process compiles its own; "
                      "set TINYGRAD_RNN_CACHE_DIR to a folder that is yours alone (mode 700)", RuntimeWarning,
                      stacklevel=2)
        return path


def _remove(path: Path, owner: int) -> None:
    """Remove a temporary folder, unless this is a fork of the process that made it."""
    if os.getpid() == owner:
        shutil.rmtree(path, ignore_errors=True)


def write_atomically(path: Path, content: bytes) -> None:
    """A reader sees the whole file or none, also if several processes write the same one."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    temporary.write_bytes(content)
    os.replace(temporary, path)


def _read_checked(path: Path) -> bytes | None:
    """What follows its own hash in a file; None where that is missing or damaged, as by a power cut."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    return content[32:] if hashlib.sha256(content[32:]).digest() == content[:32] else None


def generated(name: str, text: str) -> ModuleType:
    """Import `text` as a module from the private folder, where Numba can cache what it declares.

    The name should hash the text: a module is written once and never changed.
    """
    full = f"{__package__}._generated_{name}"
    if full not in sys.modules:
        path = folder() / "generated" / f"{name}.py"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            write_atomically(path, text.encode())
        check_private(path.parent)
        check_private(path)
        spec = importlib.util.spec_from_file_location(full, path)
        module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
        sys.modules[full] = module
        try:
            spec.loader.exec_module(module)  # type: ignore[union-attr]
        except BaseException:
            del sys.modules[full]
            raise
    return sys.modules[full]


# ---- compiling ------------------------------------------------------------------------------------------------------

_lock = threading.RLock()
_spent = 0.0  # seconds of compiling so far
_announced = False
_alive: list[Any] = []  # what addresses point into


def _announce() -> None:
    global _announced
    if not _announced:
        _announced = True
        print(f"tinygrad_rnn: compiling kernels for this machine, once; they are kept in {folder()}",
              file=sys.stderr, flush=True)


@contextmanager
def _compiling() -> Iterator[None]:
    """Mention a long compilation while it runs; loading from the cache is too short to be mentioned."""
    global _spent
    start = time.perf_counter()
    timer = None if _announced else threading.Timer(max(0.0, NOTICE_AFTER - _spent), _announce)
    if timer:
        timer.daemon = True
        timer.start()
    try:
        yield
    finally:
        _spent += time.perf_counter() - start
        if timer:
            timer.cancel()


class Compiled(dict[Any, Any]):
    """dtype -> compiled form, made at the first look-up."""

    def __init__(self, name: str, build: Callable[[np.dtype], Any], dtypes: str = "fd") -> None:
        super().__init__()
        self.name, self.build, self.dtypes = name, build, [np.dtype(c) for c in dtypes]

    def __missing__(self, dtype: Any) -> Any:
        wanted = np.dtype(dtype)
        if wanted not in self.dtypes:
            raise TypeError(f"{self.name}: expected dtype {' or '.join(map(str, self.dtypes))}, got {wanted}")
        with _lock:
            if wanted not in self:
                self[wanted] = self.build(wanted)
            return self[wanted]

    def __repr__(self) -> str:
        return f"<compiled {self.name}: {', '.join(map(str, self)) or 'nothing yet'}>"


def _documented(compiled: Compiled, function: Function) -> Compiled:
    """Give it the function's docstring."""
    compiled.__doc__, compiled.__module__ = function.__doc__, function.__module__
    return compiled


def const(array: types.Array) -> types.Array:
    """The type of an array that is only read."""
    return array.copy(readonly=True)


def parse_signature(text: str, dtype: np.dtype) -> Any:
    """A Numba signature in which T is the dtype and const(...) an array that is only read."""
    names = {**vars(types), "T": numba.from_dtype(dtype), "const": const}
    return eval(text, {"__builtins__": {}}, names)


@contextmanager
def _caching_in(path: Path) -> Iterator[None]:
    """Numba's cache folder while a function of ours is declared; the user's functions keep theirs."""
    config: Any = numba.config
    saved = config.CACHE_DIR
    try:
        config.CACHE_DIR = str(path)
        yield
    finally:
        config.CACHE_DIR = saved


def kernel(signature: str, dtypes: str = "fd") -> Callable[[Function], Compiled]:
    """Decorate a function that Python calls: `name[dtype](...)`. `T` in the signature is the dtype."""

    def declare(function: Function) -> Compiled:
        def build(dtype: np.dtype) -> Any:
            with _caching_in(folder() / dtype.name):
                dispatcher = numba.njit(cache=True, **OPTIONS)(python)
            with _compiling():
                dispatcher.compile(parse_signature(signature, dtype))
            dispatcher.disable_compile()
            return dispatcher

        python = getattr(function, "py_func", function)
        return _documented(Compiled(python.__qualname__, build, dtypes), python)

    return declare


def routine(signature: str, dtypes: str = "fd") -> Callable[[Function], Compiled]:
    """Decorate a function that compiled code calls by its address, `name[dtype]`: it is compiled once for all."""

    def declare(function: Function) -> Compiled:
        def build(dtype: np.dtype) -> int:
            with _caching_in(folder() / dtype.name), _compiling():
                compiled = numba.cfunc(parse_signature(signature, dtype), cache=True, error_model="numpy")(python)
            _alive.append(compiled)
            return int(compiled.address or 0)

        python = getattr(function, "py_func", function)
        return _documented(Compiled(python.__qualname__, build, dtypes), python)

    return declare


def native(function: Function, name: str | None = None, dtypes: str = "fd") -> Compiled:
    """Decorate a kernel of the vector language: `name[dtype]` is the address of its C function."""
    full = name or f"{function.__module__}.{function.__qualname__}".rpartition(f"{__package__}.")[2]

    def build(dtype: np.dtype) -> int:
        symbol = f"tinygrad_rnn.{full}.{dtype.name}"
        path = folder() / "native" / f"{symbol}.o"
        with _compiling():
            code = _read_checked(path)
            if code is None:
                code = llvm.compile_object(function, dtype, symbol)
                write_atomically(path, hashlib.sha256(code).digest() + code)
            return llvm.load_object(code, symbol)

    return _documented(Compiled(full, build, dtypes), function)
