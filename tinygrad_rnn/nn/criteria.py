"""The losses as modules, which hold the options; see `nn.losses` for what they compute."""

from __future__ import annotations

from typing import Any

from ..autograd import Tensor
from . import losses
from .module import Module


class CrossEntropyLoss(Module):
    """-log softmax(input)[target], in nats: see `nn.functional.cross_entropy`."""

    weight: Tensor | None

    def __init__(self, weight: Any = None, ignore_index: int = -100, reduction: str = "mean",
                 label_smoothing: float = 0.0, *, axis: int | None = None) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.ignore_index, self.reduction, self.label_smoothing = ignore_index, reduction, label_smoothing
        self.axis = axis

    def forward(self, input: Any, target: Any, lengths: Any = None) -> Tensor:
        """Logits and classes to a loss."""
        return losses.cross_entropy(input, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing,
                                    lengths=lengths, axis=self.axis)


class NLLLoss(Module):
    """-input[target] for log-probabilities, in nats: see `nn.functional.nll_loss`."""

    weight: Tensor | None

    def __init__(self, weight: Any = None, ignore_index: int = -100, reduction: str = "mean", *,
                 axis: int | None = None) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.ignore_index, self.reduction, self.axis = ignore_index, reduction, axis

    def forward(self, input: Any, target: Any, lengths: Any = None) -> Tensor:
        """Log-probabilities and classes to a loss."""
        return losses.nll_loss(input, target, self.weight, self.ignore_index, self.reduction, lengths=lengths,
                               axis=self.axis)


class MSELoss(Module):
    """(input - target)^2: see `nn.functional.mse_loss`."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, input: Any, target: Any, lengths: Any = None) -> Tensor:
        """Predictions and targets of one shape to a loss."""
        return losses.mse_loss(input, target, self.reduction, lengths=lengths)


class L1Loss(Module):
    """|input - target|: see `nn.functional.l1_loss`."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, input: Any, target: Any, lengths: Any = None) -> Tensor:
        """Predictions and targets of one shape to a loss."""
        return losses.l1_loss(input, target, self.reduction, lengths=lengths)


class SmoothL1Loss(Module):
    """A square near 0, straight beyond beta: see `nn.functional.smooth_l1_loss`."""

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__()
        self.reduction, self.beta = reduction, beta

    def forward(self, input: Any, target: Any, lengths: Any = None) -> Tensor:
        """Predictions and targets of one shape to a loss."""
        return losses.smooth_l1_loss(input, target, self.reduction, self.beta, lengths=lengths)


class KLDivLoss(Module):
    """Divergence of probabilities from log-probabilities, in nats: see `nn.functional.kl_div`."""

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__()
        self.reduction, self.log_target = reduction, log_target

    def forward(self, input: Any, target: Any, lengths: Any = None) -> Tensor:
        """Log-probabilities and targets of one shape to a loss."""
        return losses.kl_div(input, target, self.reduction, self.log_target, lengths=lengths)


class BCELoss(Module):
    """Cross-entropy of yes and no for probabilities, in nats: see `nn.functional.binary_cross_entropy`."""

    weight: Tensor | None

    def __init__(self, weight: Any = None, reduction: str = "mean") -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.reduction = reduction

    def forward(self, input: Any, target: Any, lengths: Any = None) -> Tensor:
        """Probabilities and targets of one shape to a loss."""
        return losses.binary_cross_entropy(input, target, self.weight, self.reduction, lengths=lengths)


class BCEWithLogitsLoss(Module):
    """Cross-entropy of yes and no, in nats: see `nn.functional.binary_cross_entropy_with_logits`."""

    weight: Tensor | None
    pos_weight: Tensor | None

    def __init__(self, weight: Any = None, reduction: str = "mean", pos_weight: Any = None) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)
        self.reduction = reduction

    def forward(self, input: Any, target: Any, lengths: Any = None) -> Tensor:
        """Logits and targets of one shape to a loss."""
        return losses.binary_cross_entropy_with_logits(input, target, self.weight, self.reduction, self.pos_weight,
                                                       lengths=lengths)
