"""The machine that is measured on: what it is, and whether it is quiet."""

import os
import platform
import time
from importlib import metadata
from pathlib import Path
from typing import Any

LIBRARIES = ("numpy", "numba", "llvmlite", "torch", "gensim", "scikit-learn", "sacrebleu", "autograd")


def describe() -> dict[str, Any]:
    """Processor, cores, memory, system and versions: enough to read a table by, nothing that names the machine."""
    versions = {}
    for library in LIBRARIES:
        try:
            versions[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            pass
    return {
        "cpu": cpu_name(), "cores": available_cores(), "memory_gib": memory_gib(),
        "system": f"{platform.system()} {platform.machine()}", "python": platform.python_version(),
        "versions": versions,
    }


def cpu_name() -> str:
    """The processor's name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def available_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_gib() -> int | None:
    """Main memory where the system tells it."""
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
    except (AttributeError, ValueError, OSError):
        return None


def busy_share(seconds: float = 0.15) -> float | None:
    """Share of all cores that other processes used while this one slept; None where the system does not tell."""
    def ticks() -> tuple[int, int]:
        user_to_steal = list(map(int, Path("/proc/stat").read_text(encoding="utf-8").split("\n", 1)[0].split()[1:9]))
        return sum(user_to_steal), user_to_steal[3] + user_to_steal[4]      # idle, waiting for a disk

    try:
        total, idle = ticks()
        time.sleep(seconds)
        later, idle_later = ticks()
    except (OSError, ValueError):
        return None
    return 1 - (idle_later - idle) / max(1, later - total)


def wait_until_quiet(patience: float = 2.0, share: float = 0.08) -> bool:
    """Wait for the neighbours to rest, but not for ever; says whether they did, or that the system does not tell."""
    end = time.perf_counter() + patience
    while (busy := busy_share()) is not None and busy >= share:
        if time.perf_counter() > end:
            return False
    return True
