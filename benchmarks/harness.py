"""Declare a benchmark, and measure it: each side in a process of its own, asked in turn, never at the same time.

Two numerical libraries in one process stall each other's thread pools, and two timings a minute apart see two different
machines. So every side is a long-lived worker, and a *round* asks each of them once, moments apart; a ratio is formed
within a round, and what is reported is the median of those ratios with the smallest and the largest.
How to write a benchmark: the docstring of this package.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import geometric_mean, median
from typing import Any

from benchmarks import machine

ROOT = Path(__file__).resolve().parent.parent
CEILING = "ceiling"     # the side that measures what the machine can do


class Seconds(float):
    """What a step returns that timed itself."""


@dataclass(frozen=True)
class Case:
    """One row of a table.

    Parameters
    ----------
    label : what the row is called
    parameters : keyword arguments of every side's setup function
    flops, bytes, items : work of one call; adds GFLOP/s and the share of the FMA ceiling, GB/s, items/s
    per : operations in one call; times are printed for one of them
    targets : what to reach. A side's name, or "best" for the fastest other side: the least ratio against it;
        "ceiling": the least share of the FMA ceiling; "seconds": the longest time. Judged on a quiet machine alone
    """

    label: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    flops: float | None = None
    bytes: float | None = None
    items: float | None = None
    per: int = 1
    targets: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Benchmark:
    """A table: its sides, its rows, and the same at toy size for the smoke test.

    Parameters
    ----------
    title : heading of the table
    sides : name to setup function; the first is ours, the others are peers
    cases, toy : rows; those of `toy` run in a second or two without any peer
    threads : numbers of threads to measure with, one table each
    mean_targets : side to the least geometric mean of the ratios over all rows
    environment : side to variables of its process, for a peer that must be told what the processor can do
    item : what `items` counts: "characters", "words"
    rounds, budget : rounds a row, and seconds a side and round
    """

    title: str
    sides: Mapping[str, Callable[..., Callable[[], object] | None]]
    cases: Sequence[Case]
    toy: Sequence[Case]
    threads: Sequence[int] = (1,)
    mean_targets: Mapping[str, float] = field(default_factory=dict)
    environment: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    item: str = "items"
    rounds: int = 7
    budget: float = 0.25


@dataclass(frozen=True)
class Options:
    """How a run is made, as the command line says; None: as the benchmark says."""

    toy: bool = False
    peers: bool = True
    case: str = ""
    rounds: int | None = None
    budget: float | None = None
    threads: Sequence[int] | None = None


class Worker:
    """One side in a process of its own, which runs as many threads as it is told."""

    def __init__(self, name: str, side: str, threads: int, environment: Mapping[str, str] | None = None) -> None:
        pools = ("TINYGRAD_RNN_NUM", "OMP_NUM", "OPENBLAS_NUM", "MKL_NUM", "NUMBA_NUM", "VECLIB_MAXIMUM")
        self.side = side
        self.skipped: str | None = None
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", name, side], text=True, cwd=ROOT,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env=os.environ | {f"{pool}_THREADS": str(threads) for pool in pools} | dict(environment or {}),
        )

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send a request, wait for the answer; what went wrong over there is raised here."""
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise RuntimeError(f"{self.side}: the worker ended with exit code {self.process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"{self.side}: {answer['error']}")
        return answer

    def close(self) -> None:
        """Let the process go: it stops at the end of its input."""
        self.process.communicate()


def run(name: str, benchmark: Benchmark, options: Options, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure `bench_<name>.py`; returns what is written as JSON. A line is said as each row is done."""
    sides = list(benchmark.sides) if options.peers else list(benchmark.sides)[:1]
    rows = benchmark.toy if options.toy else benchmark.cases
    chosen = [(index, case) for index, case in enumerate(rows) if options.case in case.label]
    rounds = options.rounds or (1 if options.toy else benchmark.rounds)
    budget = options.budget or (0.002 if options.toy else benchmark.budget)
    skipped: dict[str, str] = {}
    tables = []
    for threads in options.threads or benchmark.threads:
        workers = [Worker(name, side, threads, benchmark.environment.get(side)) for side in sides]
        if any(case.flops for _, case in chosen):
            workers.append(Worker(name, CEILING, threads))
        try:
            measured = []
            for index, case in chosen:
                measured.append(measure(case, index, workers, rounds, budget, options.toy))
                say(f"{name}, {case.label}, {threads} thread{'s' * (threads > 1)}: {brief(measured[-1])}")
            skipped |= {worker.side: worker.skipped for worker in workers if worker.skipped}
        finally:
            for worker in workers:
                worker.close()
        tables.append({"threads": threads, "rows": measured, "means": means(measured, benchmark.mean_targets)})
    return {
        "name": name, "title": benchmark.title, "item": benchmark.item, "toy": options.toy, "rounds": rounds,
        "budget_s": budget, "environment": {side: dict(benchmark.environment.get(side, {})) for side in sides},
        "machine": machine.describe(), "skipped": skipped, "tables": tables,
    }


def measure(case: Case, index: int, workers: Sequence[Worker], rounds: int, budget: float, toy: bool) -> dict[str, Any]:
    """One row: every side is set up and warmed, then asked in turn, `rounds` times."""
    first = {}
    for worker in workers:
        if worker.skipped is None:
            answer = worker.ask(do="setup", case=index, toy=toy)
            worker.skipped = answer.get("skip")
            if "first_s" in answer:
                first[worker.side] = answer
    if workers[0].side not in first:
        raise RuntimeError(f"{workers[0].side}: its setup returned None for {case.label}; each case is one of ours")
    active = [worker for worker in workers if worker.side in first]
    rounds_s: dict[str, list[float]] = {worker.side: [] for worker in active if worker.side != CEILING}
    fastest = {worker.side: float("inf") for worker in active}
    quiet = 0
    for number in range(rounds):
        quiet += toy or machine.wait_until_quiet()
        # Whoever goes first finds the caches and the clock frequency that the last one left: take turns.
        turn = number % len(active)
        for worker in active[turn:] + active[:turn]:
            answer = worker.ask(do="measure", budget=budget)
            rounds_s.get(worker.side, []).append(answer["median_s"])
            fastest[worker.side] = min(fastest[worker.side], answer["min_s"])
            time.sleep(0 if toy else 0.02)      # threads that spin after their work fall asleep meanwhile
    # What the machine can do is its best, not its typical; the time is that of a GFLOP.
    peak = 1 / fastest[CEILING] if CEILING in fastest else None
    row: dict[str, Any] = {
        "label": case.label, "per": case.per, "quiet_rounds": quiet, "judged": 2 * quiet > rounds, "sides": {
            worker.side: first[worker.side] | worker.ask(do="notes") | {
                "median_s": median(rounds_s[worker.side]), "min_s": fastest[worker.side],
                "rounds_s": rounds_s[worker.side],
            } for worker in active if worker.side != CEILING
        }}
    return row | compare(case, rounds_s, peak)


def compare(case: Case, rounds_s: Mapping[str, list[float]], peak: float | None) -> dict[str, Any]:
    """From each round's times to ratios with their spread, rates, and whether the targets are met."""
    ours, *peers = rounds_s.values()
    against = dict(zip(list(rounds_s)[1:], peers))
    if peers:
        against["best"] = [min(times) for times in zip(*peers)]
    ratios = {side: spread([theirs / mine for theirs, mine in zip(times, ours)]) for side, times in against.items()}
    reached = {side: ratio["median"] for side, ratio in ratios.items()}
    rates = {side: {unit: work / median(times) for unit, work in (
        ("gflops", case.flops and case.flops / 1e9), ("gbytes", case.bytes and case.bytes / 1e9), ("items", case.items),
    ) if work} for side, times in rounds_s.items()}
    result: dict[str, Any] = {"ratios": ratios, "rates": rates}
    if peak and case.flops:
        shares = {side: rate["gflops"] / peak for side, rate in rates.items()}
        reached["ceiling"] = next(iter(shares.values()))
        # Nothing is faster than the ceiling: if it seems so, flops or ceiling are wrong, and so is every share.
        result |= {"ceiling_gflops": peak, "share_of_ceiling": reached["ceiling"],
                   "impossible": [side for side, share in shares.items() if share > 1.03]}
    reached["seconds"] = median(ours) / case.per
    result["targets"] = {name: verdict(name, target, reached[name])
                         for name, target in case.targets.items() if name in reached}
    return result


def means(rows: Sequence[Mapping[str, Any]], targets: Mapping[str, float]) -> dict[str, Any]:
    """Geometric means of the ratios over the rows that have them, with their targets."""
    sides = dict.fromkeys(side for row in rows for side in row["ratios"])
    judged = all(row["judged"] and not row.get("impossible") for row in rows)
    result = {}
    for side in sides:
        mean = geometric_mean([row["ratios"][side]["median"] for row in rows if side in row["ratios"]])
        result[side] = verdict(side, targets[side], mean) if side in targets and judged else {"reached": mean}
    return result


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, smallest and largest."""
    return {"median": median(values), "min": min(values), "max": max(values)}


def verdict(name: str, target: float, reached: float) -> dict[str, Any]:
    """A target beside what was reached; of seconds fewer are better, of all others more."""
    return {"target": target, "reached": reached, "met": reached <= target if name == "seconds" else reached >= target}


def brief(row: Mapping[str, Any]) -> str:
    """A row in one line, for whoever watches."""
    times = ", ".join(f"{side} {duration(figures['median_s'] / row['per'])}" for side, figures in row["sides"].items())
    ratios = "".join(f"; {ratio['median']:.2f}x {side} ({ratio['min']:.2f}..{ratio['max']:.2f})"
                     for side, ratio in row["ratios"].items() if side != "best")
    return times + ratios


def duration(seconds: float) -> str:
    """Three significant digits in the unit that fits."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"
