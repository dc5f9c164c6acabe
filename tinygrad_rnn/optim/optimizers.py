"""The update rules: from a gradient g to a change of the parameter p, with PyTorch's names, defaults and formulas.

Each rule reads as its equation; the in-place form saves passes over memory.  Adam's runs compiled, in one pass
(`kernels/steps.py`), bit by bit as it stands here.  A step is bitwise one function of its inputs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import kernels
from .base import Optimizer, State, blocks


def _decayed(p: Any, g: Any, group: dict[str, Any]) -> Any:
    """g + weight_decay * p, the gradient with that of weight_decay/2 * |p|^2; g itself is never written to."""
    if group["maximize"]:
        g = -g
    return g + group["weight_decay"] * p if group["weight_decay"] else g


class SGD(Optimizer):
    """Stochastic gradient descent: p -= lr * v, with momentum v = momentum * v + (1 - dampening) * g (v = g at first).

    Nesterov's form moves by g + momentum * v (Sutskever 2013).

    Parameters
    ----------
    params : iterable of Tensors, or of groups
    lr, momentum, dampening, weight_decay : float
    nesterov, maximize : bool
    """

    def __init__(self, params: Any, lr: float = 1e-3, momentum: float = 0.0, dampening: float = 0.0,
                 weight_decay: float = 0.0, nesterov: bool = False, *, maximize: bool = False) -> None:
        super().__init__(params, dict(lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay,
                                      nesterov=nesterov, maximize=maximize))

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        self._demand(group, "momentum", group["momentum"] >= 0, "not negative")
        self._demand(group, "nesterov", not group["nesterov"] or group["momentum"] > 0 and group["dampening"] == 0,
                     "False unless momentum is positive and dampening 0")

    def _arrays(self, group: dict[str, Any]) -> dict[str, float]:
        return {"momentum_buffer": 0.0} if group["momentum"] else {}

    def _demand_sparse(self, group: dict[str, Any]) -> None:
        if group["momentum"]:
            super()._demand_sparse(group)
        self._demand_no_decay(group)

    def _update(self, p: np.ndarray, g: np.ndarray, state: State, group: dict[str, Any]) -> None:
        lr, momentum = group["lr"], group["momentum"]
        for pb, gb, v in blocks(p, g, state["momentum_buffer"] if momentum else None):
            gb = _decayed(pb, gb, group)
            if v is None:
                pb -= lr * gb
                continue
            v *= momentum
            v += gb if state["step"] == 0 else (1 - group["dampening"]) * gb
            pb -= lr * (gb + momentum * v if group["nesterov"] else v)


class Adagrad(Optimizer):
    """Steps that shrink with all gradients so far: s += g^2, p -= lr * g / (sqrt(s) + eps) (Duchi 2011).

    Parameters
    ----------
    params : iterable of Tensors, or of groups
    lr, weight_decay, eps : float
    lr_decay : float
        The rate is divided by 1 + lr_decay * (steps before this one).
    initial_accumulator_value : float
        Where s starts.
    maximize : bool
    """

    def __init__(self, params: Any, lr: float = 1e-2, lr_decay: float = 0.0, weight_decay: float = 0.0,
                 initial_accumulator_value: float = 0.0, eps: float = 1e-10, *, maximize: bool = False) -> None:
        super().__init__(params, dict(lr=lr, lr_decay=lr_decay, weight_decay=weight_decay,
                                      initial_accumulator_value=initial_accumulator_value, eps=eps, maximize=maximize))

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        for name in ("lr_decay", "initial_accumulator_value"):
            self._demand(group, name, group[name] >= 0, "not negative")

    def _arrays(self, group: dict[str, Any]) -> dict[str, float]:
        return {"sum": group["initial_accumulator_value"]}

    def _demand_sparse(self, group: dict[str, Any]) -> None:
        self._demand_no_decay(group)

    def _update(self, p: np.ndarray, g: np.ndarray, state: State, group: dict[str, Any]) -> None:
        lr = group["lr"] / (1 + state["step"] * group["lr_decay"])
        for pb, gb, s in blocks(p, g, state["sum"]):
            gb = _decayed(pb, gb, group)
            s += gb * gb
            pb -= _ratio(lr, gb, s, 1.0, group["eps"])


class RMSprop(Optimizer):
    """Steps divided by the root of a running mean square: s = alpha s + (1 - alpha) g^2, p -= lr * g / (sqrt(s) + eps).

    Hinton 2012, lecture 6e.  `centered` subtracts the square of g's running mean from s under the root (Graves 2013).

    Parameters
    ----------
    params : iterable of Tensors, or of groups
    lr, alpha, eps, weight_decay, momentum : float
    centered, maximize : bool
    """

    def __init__(self, params: Any, lr: float = 1e-2, alpha: float = 0.99, eps: float = 1e-8, weight_decay: float = 0.0,
                 momentum: float = 0.0, centered: bool = False, *, maximize: bool = False) -> None:
        super().__init__(params, dict(lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum,
                                      centered=centered, maximize=maximize))

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        for name in ("alpha", "momentum"):
            self._demand(group, name, group[name] >= 0, "not negative")

    def _arrays(self, group: dict[str, Any]) -> dict[str, float]:
        wanted = {"square_avg": True, "momentum_buffer": group["momentum"], "grad_avg": group["centered"]}
        return {name: 0.0 for name, want in wanted.items() if want}

    def _update(self, p: np.ndarray, g: np.ndarray, state: State, group: dict[str, Any]) -> None:
        lr, alpha = group["lr"], group["alpha"]
        buffer = state["momentum_buffer"] if group["momentum"] else None
        average = state["grad_avg"] if group["centered"] else None
        for pb, gb, s, v, m in blocks(p, g, state["square_avg"], buffer, average):
            gb = _decayed(pb, gb, group)
            s *= alpha
            s += (1 - alpha) * gb * gb
            variance = s
            if m is not None:
                m += (1 - alpha) * (gb - m)
                variance = s - m * m
            if v is None:
                pb -= _ratio(lr, gb, variance, 1.0, group["eps"])
            else:
                v *= group["momentum"]
                v += _ratio(1.0, gb, variance, 1.0, group["eps"])
                pb -= lr * v


class Adam(Optimizer):
    """Running means of g and g^2, corrected for their start at 0 (Kingma and Ba 2014, algorithm 1).

    m = beta1 m + (1 - beta1) g,  v = beta2 v + (1 - beta2) g^2,
    p -= lr * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)

    Parameters
    ----------
    params : iterable of Tensors, or of groups
    lr : float
    betas : (float, float)
    eps, weight_decay : float
        weight_decay * p is added to the gradient, and so is divided by sqrt(v) too; `AdamW` decays p itself.
    amsgrad : bool
        Divide by the largest v so far (Reddi 2018).
    maximize : bool
    lazy : bool
        For row-sparse gradients (`Embedding(sparse=True)`): move the rows that they hold alone, and decay those alone;
        the others' means stay as they are.  A dense gradient holds all rows.
    """

    def __init__(self, params: Any, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 0.0, amsgrad: bool = False, *, maximize: bool = False,
                 lazy: bool = False) -> None:
        super().__init__(params, dict(lr=lr, betas=tuple(betas), eps=eps, weight_decay=weight_decay, amsgrad=amsgrad,
                                      maximize=maximize, lazy=lazy))

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        self._demand(group, "betas", len(group["betas"]) == 2 and all(0 <= b < 1 for b in group["betas"]),
                     "two numbers in [0, 1)")

    def _arrays(self, group: dict[str, Any]) -> dict[str, float]:
        return dict.fromkeys(("exp_avg", "exp_avg_sq", "max_exp_avg_sq")[:3 if group["amsgrad"] else 2], 0.0)

    def _demand_sparse(self, group: dict[str, Any]) -> None:
        if not group["lazy"]:
            super()._demand_sparse(group)

    def _gradient(self, p: Any, g: Any, group: dict[str, Any]) -> Any:
        """The gradient with its decay."""
        return _decayed(p, g, group)

    def _update(self, p: np.ndarray, g: np.ndarray, state: State, group: dict[str, Any]) -> None:
        beta1, beta2 = group["betas"]
        t = state["step"] + 1
        correction1, correction2 = 1 - beta1 ** t, 1 - beta2 ** t
        lr = group["lr"] / correction1
        largest = state["max_exp_avg_sq"] if group["amsgrad"] else None
        if largest is None and p.flags.c_contiguous and g.flags.c_contiguous:
            kernels.adam(p, self._gradient(p, g, group), state["exp_avg"], state["exp_avg_sq"], group["betas"],
                         correction2 ** 0.5, group["eps"], lr)
            return
        for pb, gb, m, v, top in blocks(p, g, state["exp_avg"], state["exp_avg_sq"], largest):
            gb = self._gradient(pb, gb, group)
            scratch = gb - m
            scratch *= 1 - beta1
            m += scratch
            np.multiply(gb, gb, out=scratch)
            scratch *= 1 - beta2
            v *= beta2
            v += scratch
            pb -= _ratio(lr, m, v if top is None else np.maximum(top, v, out=top), correction2, group["eps"])


class AdamW(Adam):
    """Adam with the decay taken from the parameter itself, p -= lr * weight_decay * p (Loshchilov and Hutter 2017).

    Parameters are those of `Adam`.
    """

    def __init__(self, params: Any, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 1e-2, amsgrad: bool = False, *, maximize: bool = False,
                 lazy: bool = False) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize, lazy=lazy)

    def _gradient(self, p: Any, g: Any, group: dict[str, Any]) -> Any:
        p *= 1 - group["lr"] * group["weight_decay"]
        return -g if group["maximize"] else g


def _ratio(lr: float, g: Any, square: Any, correction: float, eps: float) -> Any:
    """lr * g / (sqrt(square / correction) + eps), with one temporary."""
    step = np.sqrt(square)
    if correction != 1:
        step /= correction ** 0.5
    step += eps
    np.divide(g, step, out=step)
    step *= lr
    return step
