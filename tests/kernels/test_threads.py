"""The pool: every part exactly once, whoever calls, whatever fails, and whatever the operating system does to it."""

import ctypes
import math
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
    pytest.skip("nothing is compiled", allow_module_level=True)
from tinygrad_rnn.kernels import jit, threads  # noqa: E402
from tinygrad_rnn.kernels.pool import share  # noqa: E402
from tinygrad_rnn.kernels.threads import get_num_threads, run, set_num_threads  # noqa: E402

pytestmark = pytest.mark.usefixtures("threads")
COUNTS = [1, 2, 3]


@jit.helper
def _count(part, parts, counts, work):
    counts[part] += 1
    x = 1.0
    for _ in range(work):
        x = x * 1.0000001
    counts[part] += x < 0  # so that the work is not left out


@jit.kernel("void(intp, int64[::1], intp)", dtypes="q")
def count(address, counts, work):
    """Every part raises its own counter."""
    share(address, counts.size, _count, (counts, work))


@jit.helper
def _nested(part, parts, address, counts):
    share(address, counts.shape[1], _count, (counts[part], 10))


@jit.kernel("void(intp, int64[:, ::1])", dtypes="q")
def nested(address, counts):
    """Parts that share out work themselves."""
    share(address, counts.shape[0], _nested, (address, counts))


@jit.helper
def _fail(part, parts, failing):
    if part == failing:
        raise ValueError("one part fails")


@jit.kernel("void(intp, intp, intp)", dtypes="q")
def fail(address, parts, failing):
    """One part raises an exception."""
    share(address, parts, _fail, (failing,))


INT64 = np.dtype(np.int64)


@pytest.mark.parametrize("n", COUNTS)
@pytest.mark.parametrize("parts", [0, 1, 2, 3, 7, 1000])
def test_each_part_once(n, parts):
    set_num_threads(n)
    for repetition in range(20):
        counts = np.zeros(parts, np.int64)
        count[INT64](threads.pool_address(), counts, repetition * 50)
        assert (counts == 1).all()
    seen = []
    run(lambda part, total, mark: seen.append((part, total, mark)), "x", parts=parts)
    assert sorted(seen) == [(part, parts, "x") for part in range(parts)]


def test_dispatch_after_any_pause():
    """Threads that spin, that are about to sleep and that sleep are all woken."""
    set_num_threads(3)
    address, kernel, counts = threads.pool_address(), count[INT64], np.zeros(3, np.int64)
    pauses = [0, 1e-5, 3e-5, 4e-5, 5e-5, 6e-5, 7e-5, 1e-4, 1e-3] * 40
    for pause in pauses:
        end = time.perf_counter() + pause
        while time.perf_counter() < end:
            pass
        kernel(address, counts, 200)
    assert (counts == len(pauses)).all()


def test_threads_really_run():
    """Each of two parts waits for the other to have begun."""
    set_num_threads(2)
    both = threading.Barrier(2, timeout=20)
    names = []
    run(lambda part, parts: (both.wait(), names.append(threading.current_thread().name)))
    assert len(set(names)) == 2 and sum(name.startswith("tinygrad_rnn-") for name in names) == 1


def test_default_number_of_parts_and_chunks():
    set_num_threads(3)
    seen = []
    run(lambda part, parts: seen.append(parts))
    assert seen == [3, 3, 3]


def test_nested_calls_run():
    set_num_threads(3)
    counts = np.zeros((5, 4), np.int64)
    nested[INT64](threads.pool_address(), counts)
    assert (counts == 1).all()
    seen = []
    run(lambda part, parts: run(lambda inner, _: seen.append((part, inner)), parts=4), parts=5)
    assert sorted(seen) == [(part, inner) for part in range(5) for inner in range(4)]


def test_concurrent_callers():
    set_num_threads(2)
    address, kernel, wrong = threads.pool_address(), count[INT64], []

    def caller():
        for _ in range(300):
            counts = np.zeros(6, np.int64)
            kernel(address, counts, 300)
            seen: list[int] = []
            run(lambda part, parts, seen=seen: seen.append(part), parts=3)
            if (counts != 1).any() or sorted(seen) != [0, 1, 2]:
                wrong.append((counts, seen))

    callers = [threading.Thread(target=caller) for _ in range(4)]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("n", COUNTS)
@pytest.mark.parametrize("failing", [0, 4])
def test_exceptions_reach_the_caller(n, failing):
    set_num_threads(n)

    def part_fails(part, parts):
        if part == failing:
            raise KeyError("one part fails")

    for _ in range(30):
        with pytest.raises(KeyError, match="one part fails"):
            run(part_fails, parts=5)
        with pytest.raises(RuntimeError, match="a part of a parallel kernel raised"):
            fail[INT64](threads.pool_address(), 5, failing)
        fail[INT64](threads.pool_address(), 5, -1)
    test_each_part_once(n, 7)


def test_interrupt_leaves_the_pool_usable():
    """Ctrl-C in the middle of a part: the exception comes out, nothing hangs, the next call works."""
    set_num_threads(2)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)       # a process in the background may ignore it
    try:
        interrupted_runs()
    finally:
        signal.signal(signal.SIGINT, before)
    test_each_part_once(2, 7)


def interrupted_runs():
    """Runs that go on until a signal comes, after 1 to 30 milliseconds."""
    for delay in np.linspace(0.001, 0.03, 15):
        timer = threading.Timer(delay, lambda: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            timer.start()
            while True:
                run(lambda part, parts: time.sleep(1e-4), parts=6)
        timer.join()


def test_numpy_in_parts(rng):
    """What `run` is for: ufuncs on slices, equal to one call, bitwise."""
    x = rng.normal(size=100_003)

    def part_of(part, parts, x, out):
        rows = slice(x.size * part // parts, x.size * (part + 1) // parts)
        np.exp(x[rows], out=out[rows])

    for n in COUNTS:
        set_num_threads(n)
        out = np.empty_like(x)
        run(part_of, x, out, parts=8)
        assert np.array_equal(out, np.exp(x))


def test_changing_the_number_while_others_run():
    set_num_threads(2)
    stop, wrong = threading.Event(), []

    def caller():
        while not stop.is_set():
            counts = np.zeros(5, np.int64)
            count[INT64](threads.pool_address(), counts, 300)
            if (counts != 1).any():
                wrong.append(counts)

    thread = threading.Thread(target=caller)
    thread.start()
    for n in [1, 3, 2, 4, 2, 1, 2] * 3:
        set_num_threads(n)
        assert get_num_threads() == n
        test_each_part_once(n, 3) if n == 1 else time.sleep(0.002)
        set_num_threads(n)
    stop.set()
    thread.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_fork_has_a_pool_of_its_own():
    set_num_threads(2)
    test_each_part_once(2, 7)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            assert threads.started is None
            test_each_part_once(2, 7)
            test_threads_really_run()
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    test_each_part_once(2, 7)


# ---- how many threads -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n, error, words", [
    (0, ValueError, "expected 1 to 1024 threads, got 0"), (-1, ValueError, "expected 1 to 1024 threads, got -1"),
    (2000, ValueError, "expected 1 to 1024 threads, got 2000"),
    (1.5, TypeError, "expected an int, got float"), (None, TypeError, "expected an int, got NoneType"),
    ("two", ValueError, "expected a whole number of threads, got 'two'"),
])
def test_wrong_numbers(n, error, words):
    before = get_num_threads()
    with pytest.raises(error, match=f"set_num_threads: n: {words}"):
        set_num_threads(n)
    assert get_num_threads() == before
    set_num_threads(np.int64(2))
    assert get_num_threads() == 2


def in_process(code, **variables):
    environment = {k: v for k, v in os.environ.items() if k not in ("TINYGRAD_RNN_NUM_THREADS", "NUMBA_DISABLE_JIT")}
    return subprocess.run([sys.executable, "-c", code], env=environment | variables, text=True, capture_output=True,
                          timeout=100)


def test_environment():
    code = "from tinygrad_rnn.kernels import get_num_threads; print(get_num_threads())"
    assert in_process(code, TINYGRAD_RNN_NUM_THREADS="3").stdout == "3\n"
    assert int(in_process(code).stdout) == threads.usable_cpus()
    for bad in ("0", "many", "-2", "1.5"):
        result = in_process(code, TINYGRAD_RNN_NUM_THREADS=bad)
        assert "ValueError: TINYGRAD_RNN_NUM_THREADS: expected" in result.stderr and bad in result.stderr


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs affinity")
def test_affinity():
    code = ("import os; os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])\n"
            "from tinygrad_rnn.kernels import threads; print(threads.get_num_threads(), threads.pool_address())")
    assert in_process(code).stdout == "1 0\n"


@pytest.mark.skipif(sys.platform != "linux" or threads.usable_cpus() < 2, reason="needs Linux and two CPUs")
def test_threads_leave_the_callers_cpu_to_it():
    code = """
import os, threading, time
from tinygrad_rnn.kernels import threads
threads.set_num_threads(2)
threads.run(lambda part, parts: None)       # starts the other thread, with all CPUs
allowed = os.sched_getaffinity(0)
for cpu in sorted(allowed)[:2] * 2:
    os.sched_setaffinity(0, {cpu})          # the caller's own, which nobody changes
    seen, end = None, time.monotonic() + 20
    while seen != allowed - {cpu} and time.monotonic() < end:
        threads.run(lambda part, parts: None)
        time.sleep(1e-3)
        worker, = (t for t in threading.enumerate() if t.name == "tinygrad_rnn-1")
        seen = os.sched_getaffinity(worker.native_id)
    assert seen == allowed - {cpu} and os.sched_getaffinity(0) == {cpu}, (seen, cpu)
print("kept off")
"""
    result = in_process(code)
    assert result.stdout == "kept off\n", result.stderr


def test_control_groups(tmp_path):
    own, root = tmp_path / "cgroup", tmp_path / "sys"

    def write(path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    own.write_text("0::/a/b\n")
    assert threads._cgroup_quota(root, own) == math.inf
    write(root / "a/b/cpu.max", "max 100000\n")
    assert threads._cgroup_quota(root, own) == math.inf
    write(root / "a/cpu.max", "150000 100000\n")  # the limit of the group above
    assert threads._cgroup_quota(root, own) == 1.5
    write(root / "a/b/cpu.max", "50000 100000\n")
    assert threads._cgroup_quota(root, own) == 0.5
    own.write_text("4:cpu,cpuacct:/c\n3:memory:/m\n")  # version 1
    assert threads._cgroup_quota(root, own) == math.inf
    write(root / "cpu,cpuacct/c/cpu.cfs_quota_us", "-1\n")
    write(root / "cpu,cpuacct/c/cpu.cfs_period_us", "100000\n")
    assert threads._cgroup_quota(root, own) == math.inf
    write(root / "cpu,cpuacct/c/cpu.cfs_quota_us", "250000\n")
    assert threads._cgroup_quota(root, own) == 2.5
    assert threads._cgroup_quota(root, tmp_path / "absent") == math.inf


def test_without_the_jit():
    code = ("import sys; from tinygrad_rnn.kernels import threads; seen = []\n"
            "threads.run(lambda part, parts: seen.append((part, parts)), parts=3)\n"
            "print(seen, threads.pool_address(), 'numba' in sys.modules)")
    assert in_process(code, NUMBA_DISABLE_JIT="1").stdout == "[(0, 3), (1, 3), (2, 3)] 0 False\n"


def test_clean_exit():
    """Threads inside compiled code, spinning or asleep, do not disturb the end of the process."""
    code = ("import time; from tinygrad_rnn.kernels import threads; threads.set_num_threads(3)\n"
            "threads.run(lambda part, parts: None); time.sleep({})")
    for pause in (0, 0.02):
        result = in_process(code.format(pause))
        errors = [line for line in result.stderr.splitlines() if "compiling kernels" not in line]
        assert (result.returncode, result.stdout, errors) == (0, "", [])


def test_locks_are_pythons():
    """The symbols that compiled code calls exist and do what it expects of them."""
    api = ctypes.pythonapi
    api.PyThread_allocate_lock.restype = ctypes.c_void_p
    lock = api.PyThread_allocate_lock()
    api.PyThread_acquire_lock.argtypes = [ctypes.c_void_p, ctypes.c_int]
    api.PyThread_release_lock.argtypes = [ctypes.c_void_p]
    assert api.PyThread_acquire_lock(lock, 1) == 1 and api.PyThread_acquire_lock(lock, 0) == 0
    api.PyThread_release_lock(lock)
    assert api.PyThread_acquire_lock(lock, 0) == 1
