"""Finite differences for layers: of the inputs and of every parameter at once."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_rnn import nn
from tinygrad_rnn.testing import gradcheck


def check_layer(layer: nn.Module, call: Callable[..., Any], *inputs: np.ndarray) -> None:
    """gradcheck of call(*inputs) with respect to the inputs and to the parameters of a layer without children."""
    layer.astype(np.float64)
    names = [name for name, _ in layer.named_parameters()]

    def run(*tensors: Any) -> Any:
        for name, value in zip(names, tensors):
            setattr(layer, name, value)
        return call(*tensors[len(names):])

    gradcheck(run, [parameter.data.copy() for parameter in layer.parameters()] + list(inputs))
