"""The loss curve: as a picture where matplotlib is installed, as numbers where it is not."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np


def smoothed(losses: Sequence[float] | np.ndarray, span: int | None = None) -> np.ndarray:
    """Moving average: each value with up to `span - 1` before it (default: a fiftieth of all)."""
    values = np.asarray(losses, np.float64)
    span = max(1, len(values) // 50) if span is None else span
    total = np.concatenate([[0.0], values.cumsum()])
    end = np.arange(1, len(values) + 1)
    begin = np.maximum(end - span, 0)
    average: np.ndarray = (total[end] - total[begin]) / (end - begin)
    return average


def write_curve(folder: Path, losses: Sequence[float], held_out: float | None = None, unit: str = "token") -> Path:
    """Write `curve.png`, or `curve.csv` without matplotlib.

    Parameters
    ----------
    folder : Path
    losses : sequence of float
        Nats a token, one a step.
    held_out : float, optional
        Nats a token on held-out text: a horizontal line.
    unit : str
        What a token is.

    Returns
    -------
    Path
        Of the file written.
    """
    bits = np.asarray(losses, np.float64) / math.log(2)
    steps = np.arange(1, len(bits) + 1)
    try:
        from matplotlib.figure import Figure
    except ImportError:
        path = folder / "curve.csv"
        with open(path, "w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(["step", f"bits/{unit}"])
            table.writerows(zip(steps.tolist(), bits.tolist()))
        return path
    # Not through pyplot: no window, no backend, no state of the user's figures is touched.
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(steps, bits, color="0.8", linewidth=0.7, label="each window")
    axes.plot(steps, smoothed(bits), color="C0", label="moving average")
    if held_out is not None:
        level = held_out / math.log(2)
        axes.axhline(level, color="C1", linestyle="--", label=f"held out: {level:.3f}")
    axes.set(xlabel="step", ylabel=f"bits/{unit}", title="Training loss")
    axes.legend()
    path = folder / "curve.png"
    figure.savefig(path, dpi=120)
    return path
