"""The compiled kernels again, each in a line or two of NumPy: what tests hold them to, and what runs with
NUMBA_DISABLE_JIT=1.

Same names, arguments, shapes, dtypes and errors; no promise about speed, the last bits, or inputs of which NumPy's
own formulas overflow. Everything is computed in float64 and rounded at the end, so a result is at least as accurate
as a kernel's.
"""
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .arrays import as_float

Axis = int | tuple[int, ...] | None


# ---- elementwise ---------------------------------------------------------------------------------------------------


def _elementwise(function: Callable[..., Any]) -> Callable[..., Any]:
    """A float64 formula as an array function of float32 and float64."""
    name = function.__name__

    def apply(*inputs: Any, out: np.ndarray | None = None) -> Any:
        arrays = [x if type(x) in (int, float) else as_float(x, name) for x in inputs]
        dtype = np.result_type(*arrays)
        with np.errstate(all="ignore"):
            result = function(*(np.asarray(x, np.float64) for x in arrays))
        if out is None:
            return np.asarray(result, dtype)[()]
        out[...] = result
        return out

    apply.__name__ = apply.__qualname__ = name
    apply.__doc__ = function.__doc__
    return apply


exp, expm1, log, log1p = map(_elementwise, (np.exp, np.expm1, np.log, np.log1p))
sin, cos, tan, sinh, cosh, tanh = map(_elementwise, (np.sin, np.cos, np.tan, np.sinh, np.cosh, np.tanh))
asin, acos, atan = map(_elementwise, (np.arcsin, np.arccos, np.arctan))
asinh, acosh, atanh = map(_elementwise, (np.arcsinh, np.arccosh, np.arctanh))
_erfc = np.vectorize(math.erfc, otypes=[np.float64])


@_elementwise
def rsqrt(x):
    """1 / sqrt(x)."""
    return 1 / np.sqrt(x)


@_elementwise
def sigmoid(x):
    """1 / (1 + e^-x)."""
    return np.exp(-np.logaddexp(0, -x))


@_elementwise
def silu(x):
    """x sigmoid(x)."""
    return np.where(x == -np.inf, -0.0, x * np.exp(-np.logaddexp(0, -x)))


@_elementwise
def softplus(x):
    """log(1 + e^x)."""
    return np.logaddexp(0, x)


@_elementwise
def erf(x):
    """The error function."""
    return np.vectorize(math.erf, otypes=[np.float64])(x)


@_elementwise
def gelu(x):
    """x Phi(x)."""
    return np.where(x == -np.inf, -0.0, x * (0.5 * _erfc(-x * math.sqrt(0.5))))


@_elementwise
def gelu_tanh(x):
    """0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))."""
    y = math.sqrt(8 / math.pi) * (x + 0.044715 * x**3)
    return np.where(x == -np.inf, -0.0, x * np.exp(-np.logaddexp(0, -y)))


@_elementwise
def relu(x):
    """max(x, 0)."""
    return np.maximum(x, 0)


@_elementwise
def hardsigmoid(x):
    """x + 3 between 0 and 6, over 6."""
    return np.clip(x + 3, 0, 6) / 6


@_elementwise
def leaky_relu(x, slope):
    """x above 0, slope x below."""
    return np.where(x > 0, x, slope * x)


@_elementwise
def elu(x, alpha):
    """x above 0, alpha (e^x - 1) below."""
    return np.where(x > 0, x, alpha * np.expm1(x))


@_elementwise
def tanh_backward(g, y):
    """g (1 - y^2)."""
    return g * (1 - y * y)


@_elementwise
def sigmoid_backward(g, y):
    """g y (1 - y)."""
    return g * y * (1 - y)


@_elementwise
def relu_backward(g, y):
    """g where y > 0, else 0."""
    return np.where(y > 0, g, 0)


@_elementwise
def leaky_relu_backward(g, x, slope):
    """g above 0, slope g below."""
    return np.where(x > 0, g, slope * g)


@_elementwise
def elu_backward(g, x, y, alpha):
    """g above 0, g (y + alpha) below."""
    return np.where(x > 0, g, g * (y + alpha))


@_elementwise
def silu_backward(g, x):
    """g s (1 + x (1 - s)), s = sigmoid(x)."""
    s = np.exp(-np.logaddexp(0, -x))
    return g * s * (1 + np.maximum(x, -1000) * (1 - s))


@_elementwise
def softplus_backward(g, x):
    """g sigmoid(x)."""
    return g * np.exp(-np.logaddexp(0, -x))


@_elementwise
def gelu_backward(g, x):
    """g (Phi(x) + x phi(x))."""
    density = np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    return g * (0.5 * _erfc(-x * math.sqrt(0.5)) + np.clip(x, -100, 100) * density)


# ---- reductions ----------------------------------------------------------------------------------------------------


def sum(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Sum over axes; integers and bools as int64."""
    x = np.asarray(x)
    if x.dtype.kind in "biu":
        return np.sum(x, axis, keepdims=keepdims)
    return _rounded(lambda: np.sum(x, axis, np.float64, keepdims=keepdims), x.dtype)


def mean(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Arithmetic mean over axes."""
    x = as_float(x, "mean")
    return _rounded(lambda: np.sum(x, axis, np.float64, keepdims=keepdims) / _count(x, axis), x.dtype)


def prod(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Product over axes; integers and bools as int64."""
    x = np.asarray(x)
    if x.dtype.kind in "biu":
        return np.prod(x, axis, keepdims=keepdims)
    return _rounded(lambda: np.prod(x, axis, np.float64, keepdims=keepdims), x.dtype)


def norm(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Root of the sum of squares over axes."""
    x = as_float(x, "norm")
    return _rounded(lambda: np.sqrt(np.sum(np.square(x, dtype=np.float64), axis, keepdims=keepdims)), x.dtype)


def any(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Is one of the elements not 0?"""
    return np.any(x, axis, keepdims=keepdims)


def all(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Is none of the elements 0?"""
    return np.all(x, axis, keepdims=keepdims)


def var(x: Any, axis: Axis = None, correction: float = 0, keepdims: bool = False) -> Any:
    """Variance over axes."""
    x = as_float(x, "var")
    n = _count(x, axis)

    def variance() -> Any:
        deviation = x - np.sum(x, axis, np.float64, keepdims=True) / n
        return np.sum(deviation**2, axis, keepdims=keepdims) / (n - correction or np.nan)

    return _rounded(variance, x.dtype)


def _rounded(formula: Callable[[], Any], dtype: np.dtype) -> Any:
    """What a float64 formula gives, as a dtype."""
    with np.errstate(all="ignore"):
        return np.asarray(formula(), dtype)[()]


def _count(x: np.ndarray, axis: Axis) -> Any:
    axes = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    return np.float64(math.prod(x.shape[a] for a in axes))


def max(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Largest element over axes."""
    return np.max(np.asarray(x) + 0, axis, keepdims=keepdims)


def min(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Smallest element over axes."""
    return np.min(np.asarray(x) + 0, axis, keepdims=keepdims)


def argmax(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """Index of the largest element."""
    return np.argmax(x, axis, keepdims=keepdims)


def argmin(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """Index of the smallest element."""
    return np.argmin(x, axis, keepdims=keepdims)


def cumulative_sum(x: Any, axis: int = 0) -> Any:
    """Sums of the first 1, 2, ... elements along an axis."""
    x = np.asarray(x)
    return np.cumsum(x, axis) if x.dtype.kind in "biu" else np.cumsum(x, axis, np.float64).astype(x.dtype)


# ---- rows that are distributions -----------------------------------------------------------------------------------


def _distribution(x: Any, name: str) -> tuple[np.ndarray, np.ndarray]:
    """(x - max, log of the sum of its exponentials) in float64."""
    x = as_float(x, name)
    if x.ndim == 0 or x.shape[-1] == 0:
        raise ValueError(f"{name}: expected rows of at least one number, got shape {x.shape}")
    shifted = x.astype(np.float64) - np.max(x, -1, keepdims=True)
    return shifted, np.log(np.sum(np.exp(shifted), -1, keepdims=True))


@np.errstate(all="ignore")
def softmax(x: Any) -> Any:
    """e^x / sum(e^x) along the last axis."""
    shifted, logarithm = _distribution(x, "softmax")
    return np.exp(shifted - logarithm).astype(as_float(x, "softmax").dtype)


@np.errstate(all="ignore")
def log_softmax(x: Any) -> Any:
    """x - log(sum(e^x)) along the last axis."""
    shifted, logarithm = _distribution(x, "log_softmax")
    return (shifted - logarithm).astype(as_float(x, "log_softmax").dtype)


@np.errstate(all="ignore")
def logsumexp(x: Any) -> Any:
    """log(sum(e^x)) along the last axis."""
    _, logarithm = _distribution(x, "logsumexp")
    x = as_float(x, "logsumexp")
    peak = np.max(x, -1).astype(np.float64)
    return np.where(np.isinf(peak), peak, peak + logarithm[..., 0]).astype(x.dtype)[()]


def softmax_backward(g: Any, y: Any) -> Any:
    """y (g - sum(g y)) along the last axis."""
    g, y = np.asarray(g), np.asarray(y)
    return (y * (g - np.sum(np.multiply(g, y, dtype=np.float64), -1, keepdims=True))).astype(y.dtype)


def log_softmax_backward(g: Any, y: Any) -> Any:
    """g - e^y sum(g) along the last axis."""
    g, y = np.asarray(g), np.asarray(y)
    return (g - np.exp(y) * np.sum(g, -1, np.float64, keepdims=True)).astype(y.dtype)


@np.errstate(all="ignore")
def nll_forward(logits: Any, targets: Any) -> tuple[Any, Any]:
    """(-log softmax(logits)[n, targets[n]], log(sum(e^logits)) of each row)."""
    targets = _classes(targets, np.asarray(logits), "nll_forward")
    shifted, logarithm = _distribution(logits, "nll_forward: logits")
    logits = as_float(logits, "nll_forward: logits")
    losses = logarithm[:, 0] - shifted[np.arange(len(targets)), targets]
    return losses.astype(logits.dtype), (np.max(logits, -1) + logarithm[:, 0]).astype(logits.dtype)


@np.errstate(all="ignore")
def nll_backward(g: Any, logits: Any, sums: Any, targets: Any) -> Any:
    """g (softmax(logits) - onehot(targets)), given the logarithms of the sums."""
    logits = as_float(logits, "nll_backward: logits")
    p = np.exp(logits - np.asarray(sums, np.float64)[:, None])
    p[np.arange(len(logits)), _classes(targets, logits, "nll_backward")] -= 1
    return (np.asarray(g)[:, None] * p).astype(logits.dtype)


def _classes(targets: Any, logits: np.ndarray, name: str) -> np.ndarray:
    targets = np.asarray(targets)
    if logits.ndim != 2 or targets.shape != logits.shape[:1]:
        raise ValueError(f"{name}: expected logits (N, V) and targets (N,), got {logits.shape} and {targets.shape}")
    wrong = np.flatnonzero((targets < 0) | (targets >= logits.shape[1]))
    if len(wrong):
        row, classes = wrong[0], logits.shape[1]
        raise IndexError(f"{name}: target {targets[row]} of row {row} is not one of {classes} classes")
    return targets.astype(np.int64)


# ---- rows of tables ------------------------------------------------------------------------------------------------


def take_rows(table: Any, indices: Any) -> Any:
    """table[indices]."""
    return np.asarray(table)[_integers(indices, "take_rows")]


def scatter_add(out: np.ndarray, indices: Any, values: Any) -> None:
    """out[indices[k]] += values[k] for one k after the other."""
    indices = _integers(indices, "scatter_add")
    if np.shape(values) != indices.shape + out.shape[1:]:
        expected = indices.shape + out.shape[1:]
        raise ValueError(f"scatter_add: values must have shape {expected}, got {np.shape(values)}")
    np.add.at(out, indices, values)


def _integers(indices: Any, name: str) -> np.ndarray:
    indices = np.asarray(indices)
    if indices.dtype.kind not in "iu" and indices.size:
        raise TypeError(f"{name}: indices must be integers, got {indices.dtype}")
    return indices.astype(np.int64)


# ---- optimizer steps ------------------------------------------------------------------------------------------------


def adam(p: np.ndarray, g: np.ndarray, m: np.ndarray, v: np.ndarray, betas: tuple[float, float], root: float,
         eps: float, lr: float) -> None:
    """See `steps.adam`."""
    m += (g - m) * (1 - betas[0])
    v[...] = v * betas[1] + g * g * (1 - betas[1])
    p -= m / (np.sqrt(v) / root + eps) * lr


def sum_of_squares(x: np.ndarray) -> float:
    """See `steps.sum_of_squares`."""
    return float(np.square(x, dtype=np.float64).sum())
