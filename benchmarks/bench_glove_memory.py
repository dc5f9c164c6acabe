"""Memory of GloVe: the most that counting the pairs of a text, and an epoch of training, hold at once.

What is measured is no time: a "second" here is a GB. Ours is what a process holds at its worst moment beyond what it
held after a warm-up on a small text, as Linux counts it; the peer's (peers/glove.c) is all that its processes hold at
theirs, of which next to nothing is the program itself. Its `shuffle` holds all records at once, and `train` reads them
from a file; ours holds them in memory, 16 bytes each, up to a gigabyte, and beyond that in temporary files.
"""

import os
import subprocess
import sys
from collections.abc import Callable

from benchmarks.bench_glove import SIZE, WINDOW, corpus, removed, vocabulary
from benchmarks.harness import ROOT, Benchmark, Case, Seconds
from benchmarks.peers.glove import Program, Stage, run

PROGRAM = """
import sys
from pathlib import Path
from benchmarks.bench_glove import SIZE, WINDOW
from benchmarks.bench_word2vec import memory
from tinygrad_rnn.data import Sentences, Vocabulary
from tinygrad_rnn.embeddings import GloVe
from tinygrad_rnn.embeddings.cooccurrence import CHUNK, count_text
from tinygrad_rnn.embeddings.entries import Entries, block_count

def count(path):
    sentences = Sentences(path, progress=False)
    known = Vocabulary(sentences.counts, min_count=5)
    counted = count_text(sentences.encode(known), len(known), WINDOW, True, True, CHUNK, None)
    return Entries(counted, block_count(len(known), 8 * SIZE), 100.0, 0.75)

def train(path):
    return GloVe(vector_size=SIZE, window=WINDOW, epochs=1, rng=1).fit(path, progress=False)

step, warm, path = {"count": count, "train": train}[sys.argv[1]], *sys.argv[2:]
step(warm)
before = memory("VmRSS")
Path("/proc/self/clear_refs").write_text("5")       # the peak begins anew
step(path)
print(memory("VmHWM") - before)
"""


def ours(kind: str, words: int) -> Callable[[], object]:
    """The library, in a process of its own for each measurement; training is counting and an epoch."""
    warm, path = corpus(2000), corpus(words)

    def step() -> Seconds:
        done = subprocess.run([sys.executable, "-c", PROGRAM, kind, str(warm), str(path)], cwd=ROOT,
                              capture_output=True, text=True, check=True)
        return Seconds(float(done.stdout) * 2**20 / 1e9)

    return removed(warm, removed(path, step))


# Linux counts what a process was before it became another program, so a small one must start it: this, of 10 MB.
STARTER = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stderr=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
"""


def peak(stage: Stage) -> float:
    """Run a stage; the most bytes that its process held."""
    return int(run(stage._replace(arguments=[sys.executable, "-S", "-c", STARTER, *stage.arguments]))) * 1024


def via_c(kind: str, words: int) -> Callable[[], object]:
    """The program in C: the larger of its processes."""
    path = corpus(words)
    _, known = vocabulary(path)
    program = Program(path, known.tokens, path.parent, WINDOW, SIZE)

    def step() -> Seconds:
        counting, shuffling, training = peak(program.count()), peak(program.shuffle()), 0.0
        if kind == "train":
            training = peak(program.train(int(os.environ["OMP_NUM_THREADS"])))
        step.notes = {"counting MB": counting / 1e6, "shuffling MB": shuffling / 1e6,     # type: ignore[attr-defined]
                      "training MB": training / 1e6}
        return Seconds(max(counting, shuffling, training) / 1e9)

    return removed(path, step)


BENCHMARK = Benchmark(
    title="Memory of GloVe, window 10, 100 dimensions, a second standing for a GB",
    sides={"ours": ours, "C, as Stanford's": via_c},
    cases=[Case("co-occurrences and shuffling, 12 MB", {"kind": "count", "words": 2_000_000},
                targets={"C, as Stanford's": 1.0}),
           Case("all of it with an epoch of training, 12 MB", {"kind": "train", "words": 2_000_000},
                targets={"C, as Stanford's": 1.0})],
    toy=[Case("count", {"kind": "count", "words": 2000}), Case("train", {"kind": "train", "words": 2000})],
    threads=(2,),
    rounds=3,
    budget=0.001,
)
