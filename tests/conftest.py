"""What every test shares: reproducible Hypothesis, a seeded generator, and a restored number of threads."""

import os
from collections.abc import Iterator

import hypothesis
import numpy as np
import pytest

# Two profiles: `ci` (the default) draws the same examples on every machine and run; `explore` draws new ones,
# for looking for trouble: HYPOTHESIS_PROFILE=explore pytest tests/autograd.
# No deadline: the first call of a kernel compiles it.
COMMON = dict(deadline=None, print_blob=True)
hypothesis.settings.register_profile("ci", derandomize=True, database=None, max_examples=50, **COMMON)
hypothesis.settings.register_profile("explore", max_examples=1000, **COMMON)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

# Figures are drawn into memory: a test opens no window.
os.environ.setdefault("MPLBACKEND", "agg")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without the JIT, tests of what only the kernels promise are skipped."""
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        for item in items:
            if item.get_closest_marker("compiled"):
                item.add_marker(pytest.mark.skip(reason="of compiled kernels"))


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator that starts alike in every test."""
    return np.random.default_rng(20)


@pytest.fixture
def threads() -> Iterator[None]:
    """Let a test call `set_num_threads`; the number it found stands again afterwards."""
    import tinygrad_rnn

    before = tinygrad_rnn.get_num_threads()
    yield
    tinygrad_rnn.set_num_threads(before)
