"""PyTorch: our layers bear its parameters' names and layouts, so a state_dict fits as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..nn import Module


def load(module: Module, state_dict: Mapping[str, Any]) -> None:
    """Copy a PyTorch state_dict into a module.

    Parameters
    ----------
    module : Module
        Keeps its dtype.
    state_dict : mapping name -> array_like
        `torch_module.state_dict()`, or arrays under those names.

    Raises
    ------
    ValueError
        Lists every name that is missing, unexpected or of another shape; nothing is changed then.

    Examples
    --------
    >>> interop.torch.load(nn.LSTM(64, 256), torch.nn.LSTM(64, 256).state_dict())
    """
    module.load_state_dict(state_dict)


def state_dict(module: Module) -> dict[str, np.ndarray]:
    """Copies of a module's parameters and buffers under PyTorch's names.

    Examples
    --------
    >>> state = {name: torch.from_numpy(array) for name, array in interop.torch.state_dict(module).items()}
    >>> torch_module.load_state_dict(state)
    """
    return module.state_dict()
