"""`python -m benchmarks`: run them, write JSON and Markdown."""

import argparse
import importlib
import json
import sys
from pathlib import Path

from benchmarks import harness, report

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
SCRATCH = HERE.parent / "build" / "benchmarks"


def main() -> int:
    """Exit code 1 where a benchmark could not be run; a missed target is printed, and is no failure."""
    names = sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Ours against peers, in the same run.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)}; none: all")
    parser.add_argument("--toy", action="store_true", help="tiny sizes and one round: does it run?")
    parser.add_argument("--no-peers", action="store_true", help="ours alone")
    parser.add_argument("--case", default="", metavar="TEXT", help="cases whose label contains TEXT")
    parser.add_argument("--threads", type=int, nargs="+", metavar="N", help="numbers of threads")
    parser.add_argument("--rounds", type=int, metavar="N")
    parser.add_argument("--budget", type=float, metavar="SECONDS", help="a side and round")
    parser.add_argument("--record", action="store_true", help="keep the results in benchmarks/results, for the README")
    parser.add_argument("--report", action="store_true", help="print the table of the recorded results and stop")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(names):
        parser.error(f"no benchmark named {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    if arguments.report:
        print(report.summary(recorded()), end="")
        return 0
    options = harness.Options(toy=arguments.toy, peers=not arguments.no_peers, case=arguments.case,
                              rounds=arguments.rounds, budget=arguments.budget, threads=arguments.threads)
    folder = RESULTS if arguments.record else SCRATCH
    folder.mkdir(parents=True, exist_ok=True)
    failed = False
    for name in arguments.names or names:
        benchmark = importlib.import_module(f"benchmarks.bench_{name}").BENCHMARK
        try:
            result = harness.run(name, benchmark, options, say=lambda line: print(line, file=sys.stderr, flush=True))
        except RuntimeError as error:
            print(f"{name} failed: {error}", file=sys.stderr)
            failed = True
            continue
        (folder / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        text = report.markdown(result)
        SCRATCH.mkdir(parents=True, exist_ok=True)
        (SCRATCH / f"{name}.md").write_text(text, encoding="utf-8")
        print(text)
    return int(failed)


def recorded() -> list[report.Result]:
    """The results that are kept with the code."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("*.json"))]


if __name__ == "__main__":
    sys.exit(main())
