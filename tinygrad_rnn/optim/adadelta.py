"""Adadelta: steps in the units of the parameter, without a rate to choose."""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import Optimizer, State, blocks
from .optimizers import _decayed


class Adadelta(Optimizer):
    """Steps as long as the last ones were, by the gradient over its usual size (Zeiler 2012, algorithm 1).

    s = rho s + (1 - rho) g^2,  step = sqrt(u + eps) / sqrt(s + eps) * g,
    u = rho u + (1 - rho) step^2,  p -= lr * step

    Parameters
    ----------
    params : iterable of Tensors, or of groups
    lr : float
        The paper has none: 1.
    rho, eps, weight_decay : float
    maximize : bool
    """

    def __init__(self, params: Any, lr: float = 1.0, rho: float = 0.9, eps: float = 1e-6, weight_decay: float = 0.0, *,
                 maximize: bool = False) -> None:
        super().__init__(params, dict(lr=lr, rho=rho, eps=eps, weight_decay=weight_decay, maximize=maximize))

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        self._demand(group, "rho", 0 <= group["rho"] <= 1, "between 0 and 1")

    def _arrays(self, group: dict[str, Any]) -> dict[str, float]:
        return {"square_avg": 0.0, "acc_delta": 0.0}

    def _update(self, p: np.ndarray, g: np.ndarray, state: State, group: dict[str, Any]) -> None:
        rho, eps = group["rho"], group["eps"]
        for pb, gb, s, u in blocks(p, g, state["square_avg"], state["acc_delta"]):
            gb = _decayed(pb, gb, group)
            s *= rho
            s += (1 - rho) * gb * gb
            step = np.sqrt(u + eps)
            step /= np.sqrt(s + eps)
            step *= gb
            u *= rho
            u += (1 - rho) * step * step
            pb -= group["lr"] * step
