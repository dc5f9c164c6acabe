"""The one thread pool of the library: `set_num_threads`, and `run` for work of Python's.

Compiled kernels share out their work themselves, with `pool.share` and the address that `pool_address()` gives. Results
must not depend on the number of threads, which each kernel sees to: a sum is never split, and a part writes what no
other part does.

One caller at a time has the pool; a second one, from another Python thread or from within a part, does its work alone.
A fork leaves the child with a pool of its own, that starts when it is first used.
"""
import atexit
import ctypes
import math
import os
import re
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

WAIT = 50e-6    # seconds of spinning before a thread sleeps
_INT64 = np.dtype(np.int64)
COMPILED = os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0")


# ---- how many -------------------------------------------------------------------------------------------------------


def usable_cpus() -> int:
    """How many CPUs this process may use: its affinity, and the quota of its control groups."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(count, _cgroup_quota())))


def _cgroup_quota(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> float:
    """CPUs that the control groups grant, infinity without a limit: version 2, or 1."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return math.inf
    quota = math.inf
    for line in lines:
        _, controllers, path = line.split(":", 2)
        folder = root if controllers == "" else root / controllers
        if controllers and "cpu" not in controllers.split(","):
            continue
        # The limits of all groups above count too. In a container the path may not exist below the root that it sees.
        inner = folder / path.lstrip("/")
        for group in [inner, *inner.parents]:
            if group.is_relative_to(folder):
                quota = min(quota, _group_quota(group))
    return quota


def _group_quota(group: Path) -> float:
    for names in (["cpu.max"], ["cpu.cfs_quota_us", "cpu.cfs_period_us"]):
        try:
            words = " ".join((group / name).read_text() for name in names).split()
        except OSError:
            continue
        if len(words) == 2 and re.fullmatch(r"\d+", words[0]) and float(words[1]) > 0:  # "max" and "-1" mean no limit
            return float(words[0]) / float(words[1])
    return math.inf


def _checked(n: Any, source: str) -> int:
    try:
        value = int(n) if isinstance(n, str) else n.__index__()
    except ValueError:
        raise ValueError(f"{source}: expected a whole number of threads, got {n!r}") from None
    except AttributeError:
        raise TypeError(f"{source}: expected an int, got {type(n).__name__}") from None
    if not 1 <= value <= 1024:
        raise ValueError(f"{source}: expected 1 to 1024 threads, got {value}")
    return value


def set_num_threads(n: int) -> None:
    """Set how many threads compiled kernels use. Results do not depend on it, bitwise.

    Parameters
    ----------
    n : int, 1 to 1024

    Raises
    ------
    TypeError, ValueError
        If n is not such a number.
    """
    global _threads
    n = _checked(n, "set_num_threads: n")
    with _lock:
        if n != _threads:
            _threads = n
            _discard_pool()


def get_num_threads() -> int:
    """How many threads compiled kernels use.

    At first TINYGRAD_RNN_NUM_THREADS, or as many as there are CPUs that this process may use.

    Raises
    ------
    ValueError
        If TINYGRAD_RNN_NUM_THREADS is not a whole number from 1 to 1024.
    """
    global _threads
    if not _threads:
        named = os.environ.get("TINYGRAD_RNN_NUM_THREADS")
        _threads = _checked(named, "TINYGRAD_RNN_NUM_THREADS") if named else usable_cpus()
    return _threads


# ---- the pool -------------------------------------------------------------------------------------------------------


class _Pool:
    """Its memory, its workers, and the Python job that it does at the moment."""

    def __init__(self, threads: int) -> None:
        from . import pool

        def symbol(name: str) -> int:
            return ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value or 0

        allocate = ctypes.pythonapi.PyThread_allocate_lock
        allocate.restype = ctypes.c_void_p
        acquire = ctypes.pythonapi.PyThread_acquire_lock
        acquire.argtypes = [ctypes.c_void_p, ctypes.c_int]

        self.compiled = pool
        self.memory = np.zeros((pool.WORKER + threads * pool.LINE) // 8 + pool.LINE // 8, np.int64)
        self.address = -(-self.memory.ctypes.data // pool.LINE) * pool.LINE
        self.words = self.memory[(self.address - self.memory.ctypes.data) // 8:]
        self.job: Callable[[int], None] = lambda part: None
        self.serve, self.finish_part = pool.serve[_INT64], pool.finish_part[_INT64]
        setup = {pool.SPINS: self._spins(), pool.THREADS: threads, pool.RUN: pool.run_job[_INT64],
                 pool.ACQUIRE: symbol("PyThread_acquire_lock"), pool.RELEASE: symbol("PyThread_release_lock"),
                 pool.CPU: pool.NOTHING}
        if _tells_cpus(pool.CPUS):
            names = "sched_getcpu", "sched_getaffinity", "sched_setaffinity"
            setup |= dict(zip((pool.GET_CPU, pool.GET_CPUS, pool.SET_CPUS), map(symbol, names)))
        for waiter in [pool.CALLER, *(pool.WORKER + w * pool.LINE for w in range(threads - 1))]:
            lock = allocate()
            acquire(lock, 1)  # a sleeping thread tries to acquire it once more, and is woken by a release
            setup |= {waiter + pool.LOCK: lock, waiter + pool.LEFT_CPU: pool.NOTHING}
        for offset, value in setup.items():
            self.words[offset // 8] = value
        self.workers = [threading.Thread(target=self._work, args=(w,), name=f"tinygrad_rnn-{w + 1}", daemon=True)
                        for w in range(threads - 1)]
        for worker in self.workers:
            worker.start()

    def _spins(self) -> int:
        """Turns of the spinning loop that take as long as a thread may spin."""
        spin = self.compiled.spin[_INT64]
        spin(100)
        seconds = []
        for _ in range(5):      # the first turns of a processor that slept are slow
            start = time.perf_counter()
            spin(1000)
            seconds.append(time.perf_counter() - start)
        return max(10, int(1000 * WAIT / min(seconds)))

    def _work(self, worker: int) -> None:
        while (part := self.serve(self.address, worker)) >= 0:
            self.job(part)
            self.finish_part(self.address)

    def stop(self) -> None:
        self.compiled.stop[_INT64](self.address)


def _tells_cpus(size: int) -> bool:
    """Does the system say which CPUs a thread may use, in a set of so many bytes?"""
    if sys.platform != "linux" or not hasattr(ctypes.pythonapi, "sched_getcpu"):
        return False
    return not ctypes.pythonapi.sched_getaffinity(0, ctypes.c_size_t(size), ctypes.create_string_buffer(size))


_threads = 0  # not asked for yet
started: _Pool | None = None        # the pool, once somebody has asked for it
_retired: list[_Pool] = []  # their memory stays: some kernel may still run on it
_lock = threading.RLock()


def pool_address() -> int:
    """What compiled kernels take to share out their work: the address of the pool, 0 for a single thread."""
    return started.address if started is not None else _start_pool()


def _start_pool() -> int:
    global started
    if not COMPILED or get_num_threads() == 1:
        return 0
    with _lock:
        if started is None:
            started = _Pool(get_num_threads())
        return started.address


def _discard_pool() -> None:
    global started
    if started is not None:
        started.stop()
        _retired.append(started)
        started = None


@atexit.register
def _stop_at_exit() -> None:
    """No thread may be inside compiled code when the interpreter takes that down."""
    pools = [*_retired, *([started] if started else [])]
    _discard_pool()
    for pool in pools:
        for worker in pool.workers:
            worker.join(timeout=1)


def _forget_pool() -> None:
    """In the child of a fork: its parent's threads do not exist here."""
    global started, _lock
    started, _lock = None, threading.RLock()
    _retired.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)


# ---- work of Python's -----------------------------------------------------------------------------------------------


def run(function: Callable[..., Any], *args: Any, parts: int | None = None) -> None:
    """Call function(part, parts, *args) for part = 0 ... parts - 1, on all threads of the pool.

    It should spend its time without the GIL: in NumPy's ufuncs on slices, with `out=`, or in our kernels.

    Parameters
    ----------
    function : callable, whose result is ignored
    parts : as many as there are threads, if not given. With more, each thread takes the next when it has done one

    Raises
    ------
    Exception
        What the first failing part raised; parts that had not begun by then are left out.
    """
    parts = get_num_threads() if parts is None else parts
    address = pool_address() if parts > 1 else 0
    pool = started
    if not address or pool is None or not pool.compiled.own[_INT64](address):
        for part in range(parts):
            function(part, parts, *args)
        return
    compiled, failures, work = pool.compiled, list[BaseException](), [(function, args)]

    def job(part: int) -> None:
        try:
            if not failures:
                called, given = work[0]
                called(part, parts, *given)
        except BaseException as error:
            failures.append(error)

    try:
        pool.job = job
        compiled.begin[_INT64](address, parts)
        while (part := compiled.take[_INT64](address)) >= 0:
            job(part)
            compiled.finish_own[_INT64](address)
    finally:
        compiled.end[_INT64](address)
        work.clear()    # the pool keeps the job until the next one, but not what it had
    if failures:
        raise failures[0]
