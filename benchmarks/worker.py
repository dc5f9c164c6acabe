"""One side of a benchmark, in its own process: `python -m benchmarks.worker NAME SIDE`, requests and answers by line.

    {"do": "setup", "case": 3, "toy": false}    -> {"setup_s": ..., "first_s": ...}, {"skip": why} or {} (no such case)
    {"do": "measure", "budget": 0.25}           -> {"median_s": ..., "min_s": ...}
    {"do": "notes"}                             -> {"notes": {...}}
"""

import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from statistics import median
from typing import Any

from benchmarks.harness import CEILING, Benchmark, Case, Seconds


class Side:
    """Holds the step of the case that was set up last."""

    def __init__(self, name: str, side: str) -> None:
        self.benchmark: Benchmark = importlib.import_module(f"benchmarks.bench_{name}").BENCHMARK
        self.name = side
        self.step: Callable[[], object] = time.perf_counter
        self.calls = 1
        self.times_itself = False

    def setup(self, case: int, toy: bool) -> dict[str, Any]:
        """Build the step and call it until it is warm; the first call, which may compile, is timed apart."""
        rows = self.benchmark.toy if toy else self.benchmark.cases
        start = time.perf_counter()
        try:
            step = self.build(rows[case])
        except ImportError as error:
            ours = self.name == next(iter(self.benchmark.sides))
            if ours or not error.name or error.name.startswith(("tinygrad_rnn", "benchmarks")):
                raise
            return {"skip": f"{error.name} is not installed"}
        if step is None:
            return {}
        self.step, built = step, time.perf_counter()
        first = self.once()
        # As many calls a sample as make the clock's own time not matter; they warm the step, too.
        self.calls = 1
        while self.sample() * self.calls < 2e-4 and not self.times_itself:
            self.calls *= 2
        return {"setup_s": built - start, "first_s": first}

    def build(self, case: Case) -> Callable[[], object] | None:
        """The callable that is timed."""
        if self.name == CEILING:
            from benchmarks.ceiling import ceiling

            return ceiling()
        return self.benchmark.sides[self.name](**case.parameters)

    def once(self) -> float:
        """Seconds of one call, by the clock or as the step says itself."""
        start = time.perf_counter()
        result = self.step()
        elapsed = time.perf_counter() - start
        self.times_itself = isinstance(result, Seconds)
        return float(result) if isinstance(result, Seconds) else elapsed

    def sample(self) -> float:
        """Seconds a call, over `calls` calls."""
        if self.calls == 1:
            return self.once()
        step, repeat = self.step, range(self.calls)
        start = time.perf_counter()
        for _ in repeat:
            step()
        return (time.perf_counter() - start) / self.calls

    def measure(self, budget: float) -> dict[str, float]:
        """Median and least of the samples that fit into `budget` seconds, at least one."""
        samples, end = [self.sample()], time.perf_counter() + budget
        while time.perf_counter() < end:
            samples.append(self.sample())
        return {"median_s": median(samples), "min_s": min(samples)}

    def notes(self) -> dict[str, Any]:
        """What the step noted beside its time."""
        return {"notes": {key: float(value) for key, value in getattr(self.step, "notes", {}).items()}}


def main() -> None:
    """Answer until the input ends."""
    # Answers go to the real standard output; whatever a library prints goes to standard error.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    side: Side | None = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            side = side or Side(*sys.argv[1:])
            answer = getattr(side, request.pop("do"))(**request)
        except Exception:
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
