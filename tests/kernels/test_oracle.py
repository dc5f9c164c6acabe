"""The oracle has a twin for every compiled function, and is what runs without the JIT."""

import inspect
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from tinygrad_rnn import kernels

ROOT = Path(__file__).resolve().parents[2]
COMPILED = [(module, name) for module, names in kernels._COMPILED.items() for name in names.split()]


@pytest.mark.parametrize("module, name", COMPILED)
def test_every_compiled_function_has_a_twin(module, name):
    ours = getattr(__import__(f"tinygrad_rnn.kernels.{module}", fromlist=[name]), name)
    twin = getattr(import_module(f"tinygrad_rnn.kernels.{kernels._ORACLE.get(module, 'oracle')}"), name)
    assert twin.__doc__
    if module != "elementwise":     # those take what their formula takes
        assert list(inspect.signature(ours).parameters) == list(inspect.signature(twin).parameters)


def test_without_the_jit_nothing_imports_numba():
    script = """
import sys
import numpy as np
from tinygrad_rnn import kernels
from tinygrad_rnn.kernels import oracle
for name in kernels.__all__:
    getattr(kernels, name)
x = np.linspace(-2, 2, 12, dtype=np.float32).reshape(3, 4)
assert kernels.tanh is oracle.tanh and kernels.tanh(x).dtype == x.dtype
assert np.allclose(kernels.add(np.ones((600, 600)), 1), 2) and kernels.matmul(x, x.T).shape == (3, 3)
assert kernels.sum(x, axis=0).shape == (4,) and kernels.nll_forward(x, np.array([0, 1, 2]))[0].shape == (3,)
assert kernels.pack(x).shape == (3, 4)
assert not {"numba", "llvmlite"} & set(sys.modules)
"""
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True, cwd=ROOT, env=environment)
