"""What decoders need of arrays, in NumPy: oracles of topk.py, beam.py and sampling.py, which run without the JIT."""
import math
from typing import Any

import numpy as np

from .arrays import as_float

SLACK = 1e-6    # relative: a nucleus that lacks so little is whole, for its sum was rounded
NAN, NOTHING, MANY = -1, -2, -3     # instead of a token: the row has a NaN; is -inf throughout; must be sorted


def check_rows(x: Any, k: int, name: str) -> np.ndarray:
    """x as a contiguous matrix of floats of which k columns can be chosen."""
    x = np.ascontiguousarray(as_float(x, name))
    if x.ndim != 2 or not 1 <= k <= x.shape[1]:
        raise ValueError(f"{name}: expected x (N, V) and k from 1 to V, got shape {x.shape} and k={k}")
    return x


def sorted_top(x: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """See `top_k`; by sorting."""
    indices = np.argsort(-x, axis=1, kind="stable")[:, :k]
    values = np.take_along_axis(x, indices, 1)
    values[np.isnan(x).any(1)] = np.nan
    return values, indices


def top_k(x: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """See topk.py."""
    return sorted_top(check_rows(x, k, "top_k"), k)


def top_log_probs_by_sorting(x: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """See `top_log_probs`; by sorting."""
    values, indices = sorted_top(x, k)
    with np.errstate(all="ignore"):
        largest = x.max(1, keepdims=True).astype(np.float64)
        total = np.log(np.exp(x - largest).sum(1, keepdims=True))
        return np.where(largest == -np.inf, largest, values - largest - total), indices


def top_log_probs(x: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """See topk.py."""
    return top_log_probs_by_sorting(check_rows(x, k, "top_log_probs"), k)


def merge_beams(values: np.ndarray, indices: np.ndarray, totals: np.ndarray, first: np.ndarray, last: np.ndarray,
                places: np.ndarray, groups: int, eos: int, penalty: float) -> tuple[np.ndarray, ...]:
    """See beam.py; by listing all candidates and sorting them."""
    live: list[tuple[int, int, float, float]] = []
    done: list[tuple[int, int, int, float, float]] = []
    offsets, chosen = [0], list[int]()
    for beam in range(len(first) - 1):
        chosen = chosen if beam % groups else []
        candidates = []
        for row in range(first[beam], first[beam + 1]):
            for rank, (value, token) in enumerate(zip(values[row].tolist(), indices[row].tolist())):
                penalised = -penalty * chosen.count(token) if penalty else 0.0
                if value > -math.inf:
                    candidates.append((-(totals[row] + (value + penalised)), row, -(value + penalised), rank, token,
                                       value, penalised))
        for _, row, _, _, token, value, penalised in sorted(candidates)[:places[beam]]:
            chosen.append(token)
            if last[beam] or token == eos:
                done.append((beam, row, token, value, penalised))
            else:
                live.append((row, token, value, penalised))
        offsets.append(len(live))
    kept, ended = np.array(live).reshape(-1, 4), np.array(done).reshape(-1, 5)
    return (kept[:, :2].astype(np.int64), kept[:, 2:], ended[:, :3].astype(np.int64), ended[:, 3:],
            np.array(offsets, np.int64))


def draw(x: np.ndarray, uniform: np.ndarray, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0,
         min_p: float = 0.0) -> np.ndarray:
    """See sampling.py; row by row."""
    x = check_rows(x, max(1, top_k), "draw")
    return np.array([draw_one(row, u, temperature, top_k, top_p, min_p) for row, u in zip(x, uniform)], np.int64)


def draw_one(row: np.ndarray, uniform: float, temperature: float, top_k: int, top_p: float, min_p: float) -> int:
    """A token of one row; in the order of ids if nothing is cut off, else in falling order."""
    if np.isnan(row).any() or row.max() == math.inf:
        return NAN
    if row.max() == -math.inf:
        return NOTHING
    if not top_k and top_p >= 1:
        weights, order = boltzmann(row, temperature), np.arange(len(row))
        weights[weights < min_p] = 0
    else:
        order = np.argsort(-row, kind="stable")[:top_k or None]
        weights = boltzmann(row[order], temperature)
        if top_p < 1:
            cumulative = weights.cumsum()
            weights = weights[:1 + int(np.argmax(cumulative >= top_p * cumulative[-1] * (1 - SLACK)))]
        weights = weights[weights >= min_p]
    cumulative = weights.cumsum()
    return int(order[cumulative.searchsorted(uniform * cumulative[-1], side="right")])


def boltzmann(row: np.ndarray, temperature: float) -> np.ndarray:
    """e^((x - the largest) / temperature) in float64."""
    with np.errstate(over="ignore"):
        weights: np.ndarray = np.exp((row.astype(np.float64) - float(row.max())) / temperature)
    return weights
