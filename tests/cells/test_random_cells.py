"""Cells that nobody would write, drawn from the algebra: compiled equals readable."""

import pytest

from tests.cells.random_cells import random_cell
from tests.cells.sequences import by_kernel, by_steps, problem
from tests.cells.tools import worst

KINDS = ({}, {"T": 4, "lengths": [2, 4, 1], "B": 3, "shared": True},
         {"T": 6, "lengths": [6, 3, 5], "B": 3, "D": 5, "H": 9, "reverse": True})


@pytest.mark.parametrize("seed", range(60))
def test_on_numpy_rows(seed):
    p = problem(random_cell(seed), seed=seed, **KINDS[seed % len(KINDS)])
    assert worst(by_kernel(p, jit=False), by_steps(p)) < 1e-9


@pytest.mark.parity
@pytest.mark.parametrize("seed", range(30))
def test_compiled(seed):
    cell = random_cell(seed)
    for options in KINDS:
        p = problem(cell, seed=seed, **options)
        assert worst(by_kernel(p), by_steps(p)) < 1e-9
    p = problem(cell, T=3, B=7, D=20, H=70, seed=seed, scale=0.1)
    assert worst(by_kernel(p), by_kernel(p, jit=False)) < 1e-9
