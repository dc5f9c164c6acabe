"""The compiled half of the thread pool: how parts of a job are shared out, and how threads wait for one another.

A job is `function(part, parts, context)` for part = 0, 1, ... parts - 1. Its caller writes it down in the pool's
memory, wakes as many threads as there are parts, takes parts itself until none is left, and waits for those that others
have taken. Parts are taken one by one, so a thread that comes late, because another program has its processor, holds up
nobody.

Whoever waits spins for some 50 us, then sleeps. The word `asleep` decides who pays for that: the waiter raises it and
looks once more; the waker lowers it, and releases the waiter's lock only if it was up. So two threads that are awake
meet without a system call. The locks are those of Python's own threads, called here without the GIL. A thread that
sleeps keeps off its caller's CPU, or it would be woken there, and too late.

The pool is an array of 64-bit words, given by its address; words that different threads write stand on different lines
of the cache.
"""
from numba import njit

from .jit import OPTIONS, helper, kernel, routine
from .llvm import ask, call, compare_exchange, exchange, fetch_add, load, outline, pause, stack_room, store

LINE = 128  # bytes: processors fetch lines of 64 bytes in pairs
WORK = 0 * LINE  # job number << 32 | parts that nobody has taken
DONE = 1 * LINE  # parts that are finished
OWNED = 2 * LINE  # 1 while a job runs
CALLER = 3 * LINE  # a waiter (asleep, lock): the thread whose job it is
JOB = 4 * LINE  # what the job is: written by its caller, read by all
FUNCTION, CONTEXT, PARTS, CPU = JOB, JOB + 8, JOB + 16, JOB + 24
SETUP = 5 * LINE  # constants of the pool
STOP, SPINS, THREADS, ACQUIRE, RELEASE, RUN = SETUP, SETUP + 8, SETUP + 16, SETUP + 24, SETUP + 32, SETUP + 40
GET_CPU, GET_CPUS, SET_CPUS = SETUP + 48, SETUP + 56, SETUP + 64   # Linux's functions; 0 elsewhere
WORKER = 6 * LINE  # the first of the workers' waiters, a line each
LOCK = 8  # within a waiter: its lock, after the word `asleep`
TAKEN = 16  # within a waiter: 1 while it does a part in Python
LEFT_CPU = 24  # within a waiter: the CPU that it keeps off

CPUS = 128  # bytes of a set of CPUs, a bit each
LEFT = (1 << 32) - 1
NOTHING = -1
PYTHON = 0  # the function of a job that runs in Python
_cpus = stack_room(CPUS)


@helper
def wake(pool, waiter):
    """Let a thread go on that sleeps, or is about to."""
    if exchange(pool + waiter, 0) == 1:
        call(load(pool + RELEASE), (load(pool + waiter + LOCK),))


@helper
def finish(pool):
    """Count a part as finished; the last one wakes the caller."""
    if fetch_add(pool + DONE, 1) + 1 == load(pool + PARTS):
        wake(pool, CALLER)


@helper
def work(pool):
    """Do parts until none is left; a part of a Python job is handed out instead, to be finished by whoever gets it."""
    while True:
        word = load(pool + WORK)
        if word & LEFT == 0:
            return NOTHING
        # The job cannot end, nor its description change, between this exchange and `finish`.
        if compare_exchange(pool + WORK, word, word - 1):
            parts = load(pool + PARTS)
            part = parts - (word & LEFT)
            if load(pool + FUNCTION) == PYTHON:
                return part
            call(load(pool + FUNCTION), (part, parts, load(pool + CONTEXT)))
            finish(pool)


@helper
def current_cpu(pool):
    """The CPU that the calling thread is on; NOTHING where the system does not tell, or it is beyond all sets."""
    cpu = ask(load(pool + GET_CPU)) if load(pool + GET_CPU) != 0 else NOTHING
    return cpu if cpu < 8 * CPUS else NOTHING


@helper
def keep_off(pool, waiter):
    """Leave the CPU that the last job came from to its caller, until a job comes from another one.

    Linux may wake a thread on the CPU of the one who wakes it although another is idle: one that halts in a virtual
    machine does not count as idle. There it waits until its caller pauses, and is too late for its part, time after
    time: products of 0.1 ms in a row took up to twice as long, for as long as they went on.
    """
    cpu, left = load(pool + CPU), load(pool + waiter + LEFT_CPU)
    if cpu != NOTHING and cpu != left:
        allowed = _cpus()
        call(load(pool + GET_CPUS), (0, CPUS, allowed))
        if left != NOTHING:
            store(allowed + left // 64 * 8, load(allowed + left // 64 * 8) | 1 << left % 64)
        store(allowed + cpu // 64 * 8, load(allowed + cpu // 64 * 8) & ~(1 << cpu % 64))
        call(load(pool + SET_CPUS), (0, CPUS, allowed))     # changes nothing where this is the only one
        store(pool + waiter + LEFT_CPU, cpu)


@helper
def publish(pool, parts, function, context):
    """Make a job known and wake the threads for it."""
    store(pool + FUNCTION, function)
    store(pool + CONTEXT, context)
    store(pool + PARTS, parts)
    store(pool + CPU, current_cpu(pool))
    store(pool + DONE, 0)
    number = (load(pool + WORK) >> 32) + 1 & 0x3FFFFFFF
    store(pool + WORK, number << 32 | parts)
    for w in range(min(parts, load(pool + THREADS)) - 1):
        wake(pool, WORKER + w * LINE)


@helper
def wait(pool):
    """Until all parts are finished."""
    parts = load(pool + PARTS)
    for _ in range(load(pool + SPINS)):
        if load(pool + DONE) == parts:
            return
        pause()
    while load(pool + DONE) != parts:
        exchange(pool + CALLER, 1)
        if load(pool + DONE) != parts or exchange(pool + CALLER, 0) == 0:
            call(load(pool + ACQUIRE), (load(pool + CALLER + LOCK), 1))


@routine("void(intp, intp, intp, intp)", dtypes="q")
def run_job(pool, parts, function, context):
    """A whole job; on this thread alone if the pool is busy, be it with the job that this one is a part of."""
    if compare_exchange(pool + OWNED, 0, 1):
        publish(pool, parts, function, context)
        work(pool)
        wait(pool)
        store(pool + OWNED, 0)
    else:
        for part in range(parts):
            call(function, (part, parts, context))


@njit(inline="always", **OPTIONS)
def share(pool, parts, function, args):
    """function(part, parts, *args) for every part, by the threads of a pool (0: by this thread). For compiled code."""
    address, context = outline(function, args)
    if pool != 0 and parts > 1:
        call(load(pool + RUN), (pool, parts, address, context))
    else:
        for part in range(parts):
            call(address, (part, parts, context))
    if load(context) != 0:
        raise RuntimeError("a part of a parallel kernel raised an exception")


# ---- what Python calls ----------------------------------------------------------------------------------------------


@kernel("intp(intp, intp)", dtypes="q")
def serve(pool, worker):
    """The life of a worker: do parts, spin, sleep. Returns a part to be done in Python, or NOTHING at the end."""
    waiter = WORKER + worker * LINE
    while True:
        keep_off(pool, waiter)      # before work, and before sleep: it decides where this thread is woken
        part = work(pool)
        if part != NOTHING or load(pool + STOP) != 0:
            return part
        busy = False
        for _ in range(load(pool + SPINS)):
            busy = load(pool + WORK) & LEFT != 0 or load(pool + STOP) != 0
            if busy:
                break
            pause()
        if not busy:
            exchange(pool + waiter, 1)
            busy = load(pool + WORK) & LEFT != 0 or load(pool + STOP) != 0
            if not busy or exchange(pool + waiter, 0) == 0:
                call(load(pool + ACQUIRE), (load(pool + waiter + LOCK), 1))


@kernel("boolean(intp)", dtypes="q")
def own(pool):
    """Take the pool for a job of Python's; whether it was free."""
    return compare_exchange(pool + OWNED, 0, 1)


@kernel("void(intp, intp)", dtypes="q")
def begin(pool, parts):
    """Start a job of Python's."""
    publish(pool, parts, PYTHON, 0)


@kernel("intp(intp)", dtypes="q")
def take(pool):
    """A part for the caller of a Python job, or NOTHING."""
    part = work(pool)
    store(pool + CALLER + TAKEN, part != NOTHING)
    return part


@kernel("void(intp)", dtypes="q")
def finish_own(pool):
    """The caller has done the part that it took, if it took one."""
    if exchange(pool + CALLER + TAKEN, 0) == 1:
        finish(pool)


@kernel("void(intp)", dtypes="q")
def finish_part(pool):
    """A worker has done its part."""
    finish(pool)


@kernel("void(intp)", dtypes="q")
def end(pool):
    """Leave out the parts that nobody has started, wait for the others, and give the pool back."""
    if exchange(pool + CALLER + TAKEN, 0) == 1:
        finish(pool)
    while work(pool) != NOTHING:
        finish(pool)
    wait(pool)
    store(pool + OWNED, 0)


@kernel("void(intp)", dtypes="q")
def stop(pool):
    """End all workers, once they have nothing to do."""
    store(pool + STOP, 1)
    for w in range(load(pool + THREADS) - 1):
        wake(pool, WORKER + w * LINE)


@kernel("void(intp)", dtypes="q")
def spin(times):
    """Wait as spinning threads do; to measure how long that is."""
    for _ in range(times):
        pause()
