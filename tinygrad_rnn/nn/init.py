"""Start values: functions that fill a tensor in place and return it.

fan_in is the number of inputs that a unit sums up, fan_out the number of units that an input reaches: for a matrix
(out, in) its columns and its rows; further axes (a convolution's window) multiply both.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autograd import Tensor
from ..autograd.writes import wrote
from ..random import Rng


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, rng: Rng = None) -> Tensor:
    """Uniform in [a, b)."""
    return _fill(tensor, np.random.default_rng(rng).uniform(a, b, tensor.shape))


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, rng: Rng = None) -> Tensor:
    """Normal with a mean and a standard deviation."""
    return _fill(tensor, np.random.default_rng(rng).normal(mean, std, tensor.shape))


def constant_(tensor: Tensor, val: float, rng: Rng = None) -> Tensor:
    """One value everywhere; rng is taken, so that every start is called alike, and not used."""
    return _fill(tensor, val)


def zeros_(tensor: Tensor, rng: Rng = None) -> Tensor:
    """Zeros."""
    return _fill(tensor, 0)


def ones_(tensor: Tensor, rng: Rng = None) -> Tensor:
    """Ones."""
    return _fill(tensor, 1)


def eye_(tensor: Tensor, rng: Rng = None) -> Tensor:
    """Ones on the diagonal of a matrix, zeros elsewhere: a recurrent state then starts by staying (Le 2015)."""
    _need(tensor.ndim == 2, "eye_", "a matrix", tensor)
    rows, columns = tensor.shape
    return _fill(tensor, np.eye(rows, columns))


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, rng: Rng = None) -> Tensor:
    """Uniform with the variance 2 gain^2 / (fan_in + fan_out) (Glorot and Bengio 2010, equation 16)."""
    bound = gain * math.sqrt(6 / sum(fans(tensor)))
    return uniform_(tensor, -bound, bound, rng)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, rng: Rng = None) -> Tensor:
    """Normal with the variance 2 gain^2 / (fan_in + fan_out) (Glorot and Bengio 2010, equation 12)."""
    return normal_(tensor, 0.0, gain * math.sqrt(2 / sum(fans(tensor))), rng)


def kaiming_uniform_(tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu",
                     rng: Rng = None) -> Tensor:
    """Uniform with the variance gain^2 / fan (He 2015, equation 10); a is the negative slope of leaky_relu."""
    bound = calculate_gain(nonlinearity, a) * math.sqrt(3 / _fan(tensor, mode))
    return uniform_(tensor, -bound, bound, rng)


def kaiming_normal_(tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu",
                    rng: Rng = None) -> Tensor:
    """Normal with the variance gain^2 / fan (He 2015, equation 10); a is the negative slope of leaky_relu."""
    return normal_(tensor, 0.0, calculate_gain(nonlinearity, a) / math.sqrt(_fan(tensor, mode)), rng)


def orthogonal_(tensor: Tensor, gain: float = 1.0, rng: Rng = None) -> Tensor:
    """gain times a random matrix with orthonormal rows or columns, whichever are fewer (Saxe 2013).

    Axes after the first count as one.  Uniform over all such matrices: QR of a normal matrix, with the signs of R's
    diagonal moved into Q (Mezzadri 2007).
    """
    _need(tensor.ndim >= 2, "orthogonal_", "at least 2 dimensions", tensor)
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    tall = np.random.default_rng(rng).normal(size=(max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(tall)
    q *= np.sign(np.diag(r))
    return _fill(tensor, gain * (q if rows >= columns else q.T).reshape(tensor.shape))


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """How far a start must be scaled so that a nonlinearity keeps the variance; param: leaky_relu's negative slope."""
    gains = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4,
             "leaky_relu": math.sqrt(2 / (1 + (0.01 if param is None else param) ** 2))}
    if nonlinearity not in gains:
        raise ValueError(f"calculate_gain: nonlinearity must be one of {', '.join(gains)}, got {nonlinearity!r}")
    return gains[nonlinearity]


def fans(tensor: Tensor) -> tuple[int, int]:
    """(fan_in, fan_out) of a tensor (out, in, ...)."""
    _need(tensor.ndim >= 2, "fan_in and fan_out", "at least 2 dimensions", tensor)
    window = math.prod(tensor.shape[2:])
    return tensor.shape[1] * window, tensor.shape[0] * window


def _fan(tensor: Tensor, mode: str) -> int:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"kaiming: mode must be 'fan_in' or 'fan_out', got {mode!r}")
    return fans(tensor)[mode == "fan_out"]


def _fill(tensor: Tensor, values: Any) -> Tensor:
    tensor.data[...] = values
    wrote(tensor.data, "nn.init")
    return tensor


def _need(fits: bool, who: str, what: str, tensor: Tensor) -> None:
    if not fits:
        raise ValueError(f"{who}: needs {what}, got a tensor of shape {tensor.shape}")
