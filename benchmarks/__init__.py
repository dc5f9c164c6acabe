"""Benchmarks: ours against a peer measured in the same run.

    python -m benchmarks                      all of them (also: make bench)
    python -m benchmarks gemm step            some, by file name
    python -m benchmarks gemm --case 512      cases whose label contains 512
    python -m benchmarks gemm --toy           tiny sizes, one round: does it run?
    python -m benchmarks --record             write benchmarks/results/*.json, which the README's table is made of
    python -m benchmarks --report             print that table, measure nothing

A benchmark is a file `bench_<name>.py` that holds one `BENCHMARK`:

    from benchmarks.harness import Benchmark, Case

    def ours(size):                           # runs in a fresh process of its own, once a case
        import numpy as np                    # imports stand inside: a side never sees another's libraries
        import tinygrad_rnn as tg
        x = tg.tensor(np.ones(size, np.float32))
        return lambda: tg.tanh(x)             # what is timed; its result is thrown away

    def via_torch(size):                      # absent library: its ImportError skips this side, with a word
        import torch
        x = torch.ones(size)
        return lambda: torch.tanh(x)

    BENCHMARK = Benchmark(
        title="tanh, float32",
        sides={"ours": ours, "torch": via_torch},            # the first is the one whose ratios are printed
        cases=[Case("64 Ki", {"size": 65536}, bytes=2 * 4 * 65536, targets={"torch": 1.0})],
        toy=[Case("3", {"size": 3})],
        threads=(1, 2),                                      # one table each
    )

A peer's setup that returns None says: this side has no such case. Data of both sides should be equal: draw it from a
seeded NumPy generator. A step may return `Seconds(s)` when it timed a part of itself (a child process, an epoch's
loop), and may carry `.notes`, a dict of numbers that are read after the last round and put in the table (an error in
ulp, a peak of memory, a loss). A ratio is the peer's time over ours, so that 2 means twice as fast as the peer.

A win over a peer that uses half of the processor is not one over the peer. NumPy's OpenBLAS has been seen to take its
AVX2 kernels on a processor with AVX-512, at half the speed. Measure it as it comes, which is what people have, and
beside it as it should be: a second side with the same setup, and
`environment={"NumPy, AVX-512": {"OPENBLAS_CORETYPE": "SKYLAKEX"}}`.
"""
