"""The loss curve."""

import csv
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_rnn.train import smoothed, write_curve

LOSSES = [3.0, 2.0, 2.5, 1.0]


@given(st.lists(st.floats(-10, 10), max_size=30), st.integers(1, 40))
def test_smoothed_longhand(losses: list[float], span: int) -> None:
    expected = [np.mean(losses[max(0, k + 1 - span):k + 1]) for k in range(len(losses))]
    np.testing.assert_allclose(smoothed(losses, span), expected, atol=1e-12)


def test_default_span() -> None:
    assert smoothed(LOSSES).tolist() == LOSSES
    np.testing.assert_allclose(smoothed(range(100))[-1], 98.5)


def test_a_picture(tmp_path: Path) -> None:
    path = write_curve(tmp_path, LOSSES, 2.0, "character")
    assert path == tmp_path / "curve.png" and path.read_bytes().startswith(b"\x89PNG")


def test_numbers_without_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    path = write_curve(tmp_path, LOSSES, 2.0, "character")
    with open(path, newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert path == tmp_path / "curve.csv" and header == ["step", "bits/character"]
    assert [int(step) for step, _ in rows] == [1, 2, 3, 4]
    assert [float(bits) * math.log(2) for _, bits in rows] == pytest.approx(LOSSES)
