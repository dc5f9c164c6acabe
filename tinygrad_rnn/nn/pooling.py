"""Windows of an image: their largest element, and themselves as columns."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import Tensor
from ..autograd.ops import pooled, squeeze, unfolded
from ..autograd.tensor import constant
from ..kernels.convolution import Window
from .convolution import Size, back, fitting, image, sizes
from .module import Module


def max_pool2d(input: Any, kernel_size: Size, stride: Size | None = None, padding: Size = 0, dilation: Size = 1,
               ceil_mode: bool = False, return_indices: bool = False) -> Any:
    """The largest element of each window.

    Parameters
    ----------
    input : Tensor (B, C, H, W) or (C, H, W)
    kernel_size : int, or one a row and column
    stride : the same; None for kernel_size, windows side by side
    padding : the same, at most half of kernel_size
        Around the image, of what is never the largest.
    dilation : the same
    ceil_mode : bool
        Let the last windows reach beyond the image, if they begin within it.
    return_indices : bool
        Also give where each largest element stands in its flattened channel (int64), the first of several.

    Returns
    -------
    Tensor (B, C, rows, columns), or it and the indices
        Elements that are equally large share the gradient equally.

    Raises
    ------
    ValueError, TypeError
        For sizes that do not fit, a window larger than the image, other dtypes.
    """
    who = "max_pool2d"
    x, alone = image(who, input, 2)
    kernel, steps = sizes(who, "kernel_size", kernel_size, 2), sizes(who, "dilation", dilation, 2)
    strides = kernel if stride is None else sizes(who, "stride", stride, 2)
    around = sizes(who, "padding", padding, 2, 0)
    if any(2 * p > k for p, k in zip(around, kernel)):
        raise ValueError(f"{who}: padding must be at most half of kernel_size, got {padding} and {kernel_size}")
    after = []
    for n, k, s, p, d in zip(x.shape[2:], kernel, strides, around, steps):
        reach = d * (k - 1) + 1
        windows = (n + 2 * p - reach) // s + 1
        if ceil_mode and windows * s < n + p and n + 2 * p >= reach and (n + 2 * p - reach) % s:
            windows += 1
        after.append(max(p, (windows - 1) * s + reach - n - p))
    (top, left), (bottom, right) = around, after
    window = Window((kernel[0], kernel[1]), (strides[0], strides[1]), ((top, bottom), (left, right)),
                    (steps[0], steps[1]))
    fitting(who, window, x.shape)
    y = back(pooled(x, window=window), 2, alone)
    if not return_indices:
        return y
    places = constant(_places(x.data, window))
    return y, squeeze(places, 0) if alone else places


def _places(x: np.ndarray, window: Window) -> np.ndarray:
    """Where the largest element of each window stands in its flattened channel, the first of several."""
    wide, best, found = window.bordered(x, -np.inf), np.zeros(0), np.zeros(0, np.int64)
    for i, j, rows, columns in window.parts((x.shape[2], x.shape[3])):
        part = wide[:, :, rows, columns]
        here = ((np.arange(part.shape[2]) * rows.step + rows.start - window.padding[0][0])[:, None] * x.shape[3]
                + np.arange(part.shape[3]) * columns.step + columns.start - window.padding[1][0])
        if (i, j) == (0, 0):
            best, found = part.copy(), np.broadcast_to(here, part.shape).copy()
            outside = np.isneginf(best)     # perhaps the border, of which no index exists
            continue
        better = (part > best) | np.isnan(part) & ~np.isnan(best) | outside
        best, found = np.where(better, part, best), np.where(better, here, found)
        outside &= np.isneginf(best)
    return found


def unfold(input: Any, kernel_size: Size, dilation: Size = 1, padding: Size = 0, stride: Size = 1) -> Tensor:
    """The windows of an image as columns: a convolution is weight.reshape(O, -1) @ unfold(x).

    Parameters
    ----------
    input : Tensor (B, C, H, W) or (C, H, W)
    kernel_size, dilation, padding, stride : int, or one a row and column

    Returns
    -------
    Tensor (B, C kh kw, positions)

    Raises
    ------
    ValueError, TypeError
        For sizes that do not fit, a window larger than the image, other dtypes.
    """
    x, alone = image("unfold", input, 2)
    kernel, steps, strides = (sizes("unfold", name, value, 2) for name, value in (
        ("kernel_size", kernel_size), ("dilation", dilation), ("stride", stride)))
    (top, left) = sizes("unfold", "padding", padding, 2, 0)
    window = Window((kernel[0], kernel[1]), (strides[0], strides[1]), ((top, top), (left, left)), (steps[0], steps[1]))
    fitting("unfold", window, x.shape)
    columns: Tensor = unfolded(x, window=window)
    return squeeze(columns, 0) if alone else columns


class MaxPool2d(Module):
    """The largest element of each window: see `nn.functional.max_pool2d`."""

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Size = 0, dilation: Size = 1,
                 return_indices: bool = False, ceil_mode: bool = False) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.padding, self.dilation = kernel_size, stride, padding, dilation
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def forward(self, x: Any) -> Any:
        """(B, C, H, W) -> (B, C, rows, columns)."""
        return max_pool2d(x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode,
                          self.return_indices)

    def extra_repr(self) -> str:
        """Sizes."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, dilation={self.dilation}"


class Unfold(Module):
    """The windows of an image as columns: see `nn.functional.unfold`."""

    def __init__(self, kernel_size: Size, dilation: Size = 1, padding: Size = 0, stride: Size = 1) -> None:
        super().__init__()
        self.kernel_size, self.dilation, self.padding, self.stride = kernel_size, dilation, padding, stride

    def forward(self, x: Any) -> Tensor:
        """(B, C, H, W) -> (B, C kh kw, positions)."""
        return unfold(x, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        """Sizes."""
        return f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, stride={self.stride}"
