"""The width of the processor's vectors changes no bit of a result."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import llvmlite.binding as llvm
import pytest

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """
import hashlib
import numpy as np
from tinygrad_rnn import kernels
from tinygrad_rnn.kernels import llvm
rng, digest = np.random.default_rng(0), hashlib.sha256()
for dtype in (np.float32, np.float64):
    x = (rng.standard_normal((50, 401)) * 4).astype(dtype)
    for y in (kernels.tanh(x), kernels.sum(x, axis=0), kernels.sum(x, axis=1), kernels.softmax(x),
              *kernels.nll_forward(x, np.arange(50))):
        digest.update(np.ascontiguousarray(y).tobytes())
print(llvm.vector_bytes(), digest.hexdigest())
"""


def digest(**environment: str) -> tuple[str, str]:
    """(bytes of a vector, hash of some results) in a process of its own."""
    run = subprocess.run([sys.executable, "-c", SCRIPT], check=True, capture_output=True, text=True, cwd=ROOT,
                         env=os.environ | environment)
    width, result = run.stdout.split()
    return width, result


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="other processors have one width")
def test_results_do_not_depend_on_the_width_of_vectors():
    width, expected = digest()
    tried = {width}
    for cpu, wide in (("haswell", ("avx512", "avx10")), ("x86-64", ("avx", "fma", "f16c", "xop", "vaes", "vpclmul"))):
        features = llvm.get_host_cpu_features()
        names = ",".join(("+" if on and not name.startswith(wide) else "-") + name for name, on in features.items())
        width, result = digest(NUMBA_CPU_NAME=cpu, NUMBA_CPU_FEATURES=names)
        assert result == expected, f"{width} bytes"
        tried.add(width)
    assert "16" in tried
