"""Each benchmark runs at toy size without any peer; times are never judged."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import ceiling, harness, report

ROOT = Path(__file__).resolve().parent.parent
NAMES = sorted(path.stem.removeprefix("bench_") for path in (ROOT / "benchmarks").glob("bench_*.py"))


@pytest.mark.parametrize("name", NAMES)
def test_runs_at_toy_size(name: str) -> None:
    # It is compiled code that they measure, whatever the tests run on.
    done = subprocess.run([sys.executable, "-m", "benchmarks", name, "--toy", "--no-peers"], cwd=ROOT,
                          capture_output=True, text=True, env=os.environ | {"NUMBA_DISABLE_JIT": "0"})
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("# ") and "Toy sizes" in done.stdout
    result = json.loads((ROOT / "build" / "benchmarks" / f"{name}.json").read_text(encoding="utf-8"))
    assert all(row["sides"] for table in result["tables"] for row in table["rows"])


def test_ratios_are_of_one_round_and_targets_judged() -> None:
    case = harness.Case("row", flops=2e9, bytes=4e9, per=10,
                        targets={"a": 1.5, "best": 1.5, "ceiling": 0.5, "seconds": 0.1, "absent": 1.0})
    rounds = {"ours": [1.0, 2.0, 4.0], "a": [2.0, 4.0, 8.0], "b": [1.0, 3.0, 8.0]}
    row = harness.compare(case, rounds, peak=2.0)
    assert row["ratios"]["a"] == {"median": 2.0, "min": 2.0, "max": 2.0}
    assert row["ratios"]["b"] == {"median": 1.5, "min": 1.0, "max": 2.0}
    assert row["ratios"]["best"] == {"median": 1.5, "min": 1.0, "max": 2.0}
    assert row["rates"]["ours"] == {"gflops": 1.0, "gbytes": 2.0}
    assert row["share_of_ceiling"] == 0.5
    assert {name: verdict["met"] for name, verdict in row["targets"].items()} == {
        "a": True, "best": True, "ceiling": True, "seconds": False}
    assert row["targets"]["seconds"]["reached"] == 0.2


def test_what_cannot_be_true_is_not_judged() -> None:
    case = harness.Case("row", flops=3e9, targets={"a": 1.0})
    verdict = {"judged": True} | harness.compare(case, {"ours": [1.0], "a": [2.0]}, peak=2.0)
    assert verdict["impossible"] == ["ours"] and "not judged: ours above the ceiling" in report.targets_text(verdict)
    fine = harness.compare(case, {"ours": [1.0], "a": [2.0]}, peak=4.0)
    assert report.targets_text({"judged": True} | fine) == ">= 1x a: met"
    assert report.targets_text({"judged": False} | fine) == "not judged: the machine was busy"


@pytest.mark.parametrize("width", ceiling.WIDTHS)
def test_the_ceiling_does_the_multiply_adds_that_it_counts(width: int) -> None:
    x = np.arange(width * ceiling.SUMS, dtype=np.float32)
    for _ in range(50):
        # A product of two float32 is exact in float64: this rounds once, as a fused multiply-add does.
        x = (x.astype(np.float64) * np.float32(0.9990234375) + np.float32(0.0009765625)).astype(np.float32)
    assert ceiling.Loop(width).run(50) == pytest.approx(float(x.sum(dtype=np.float64)), rel=1e-6)


def test_means_are_geometric() -> None:
    rows = [{"judged": True, "ratios": {"a": {"median": 1.0}}},
            {"judged": True, "ratios": {"a": {"median": 4.0}, "b": {"median": 3.0}}}]
    means = harness.means(rows, {"a": 2.5})
    assert means["a"]["reached"] == pytest.approx(2.0) and not means["a"]["met"]
    assert means["b"]["reached"] == pytest.approx(3.0) and "met" not in means["b"]
    assert "met" not in harness.means([row | {"judged": False} for row in rows], {"a": 2.5})["a"]


def test_durations_read_well() -> None:
    assert [harness.duration(s) for s in (2.0, 0.00123, 4.56e-5, 7.1e-9)] == ["2 s", "1.23 ms", "45.6 us", "7.1 ns"]


def test_a_grid_is_a_markdown_table() -> None:
    assert report.grid([["a", "b"], ["1", "2"]]) == "| a | b |\n|---|---|\n| 1 | 2 |"
