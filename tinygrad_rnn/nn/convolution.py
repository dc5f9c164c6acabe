"""Convolution: the same small filter at every place of a signal or an image (LeCun 1989), as products of matrices.

What is computed is the cross-correlation, y[o, p] = b[o] + sum_c,k weight[o, c, k] x[c, p stride + k dilation], as in
every library of networks: the filter is not reversed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

from ..autograd import Tensor
from ..autograd.ops import convolved, expand_dims, pad, squeeze
from ..kernels.convolution import Window
from ..random import Rng
from . import init
from .checks import as_tensor, positive, same_dtype
from .module import Module

Size = int | Sequence[int]
# PyTorch's words for a border that continues the image, and NumPy's, which `pad` takes.
BORDERS = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


# ---- sizes ----------------------------------------------------------------------------------------------------------
def sizes(who: str, name: str, value: Any, count: int, least: int = 1) -> tuple[int, ...]:
    """A number, or one an axis, as that many ints of at least `least`."""
    listed = tuple(value) if isinstance(value, (tuple, list)) else (value,) * count
    if len(listed) != count:
        raise ValueError(f"{who}: {name} must be one number or {count}, got {value!r}")
    for n in listed:
        if isinstance(n, bool) or not hasattr(n, "__index__"):
            raise TypeError(f"{who}: {name} must be an int, or {count} of them, got {value!r}")
        if n < least:
            raise ValueError(f"{who}: {name} must be at least {least}, got {value!r}")
    return tuple(int(n) for n in listed)


def borders(who: str, padding: Any, kernel: Sequence[int], stride: Sequence[int],
            dilation: Sequence[int]) -> list[tuple[int, int]]:
    """(before, after) along each axis: numbers, "valid" for none, "same" for an output of the input's size."""
    if isinstance(padding, str):
        if padding not in ("valid", "same"):
            raise ValueError(f"{who}: padding must be 'valid', 'same' or numbers, got {padding!r}")
        if padding == "same" and any(s != 1 for s in stride):
            raise ValueError(f"{who}: padding='same' needs stride 1, got {tuple(stride)}")
        reach = [d * (k - 1) if padding == "same" else 0 for k, d in zip(kernel, dilation)]
        return [(r // 2, r - r // 2) for r in reach]
    return [(p, p) for p in sizes(who, "padding", padding, len(kernel), 0)]


def image(who: str, x: Any, axes: int, layer: Tensor | None = None) -> tuple[Tensor, bool]:
    """Signals (B, C, L) or images (B, C, H, W), and whether the batch was missing; a signal becomes an image's one row.

    TypeError for another dtype, ValueError for other dimensions.
    """
    t: Any = as_tensor(x)
    if layer is not None:
        t = same_dtype(who, "input", t, layer)
    elif t.dtype.kind != "f":
        raise TypeError(f"{who}: input must be floating, got {t.dtype}")
    letters = ("L", "H, W")[axes - 1]
    if t.ndim not in (axes + 1, axes + 2):
        raise ValueError(f"{who}: input must have shape (B, C, {letters}) or (C, {letters}), got {t.shape}")
    alone = t.ndim == axes + 1
    t = expand_dims(t, 0) if alone else t
    return (expand_dims(t, 2) if axes == 1 else t), alone


def back(y: Any, axes: int, alone: bool) -> Tensor:
    """Undo what `image` did."""
    y = squeeze(y, 2) if axes == 1 else y
    result: Tensor = squeeze(y, 0) if alone else y
    return result


def fitting(who: str, window: Window, shape: Sequence[int]) -> None:
    """ValueError if there is no place for the window."""
    if min(window.output((shape[-2], shape[-1]))) < 1:
        raise ValueError(f"{who}: a window of {window.kernel} with dilation {window.dilation} does not fit into an "
                         f"input of {tuple(shape[-2:])} with padding {window.padding}")


# ---- functions ------------------------------------------------------------------------------------------------------
def conv2d(input: Any, weight: Any, bias: Any = None, stride: Size = 1, padding: Any = 0, dilation: Size = 1,
           groups: int = 1) -> Tensor:
    """Filters at every place of an image.

    Parameters
    ----------
    input : Tensor (B, C, H, W) or (C, H, W)
    weight : Tensor (O, C / groups, kh, kw)
    bias : Tensor (O,), optional
    stride, dilation : int, or one a row and column
        Steps of the filter, and of its elements.
    padding : int, one a row and column, "valid" (none) or "same" (an output of the input's size)
        Zeros around the image.
    groups : int
        The channels are cut into so many groups, each with its share of the filters.

    Returns
    -------
    Tensor (B, O, rows, columns), rows = floor((H + 2 padding - dilation (kh - 1) - 1) / stride) + 1

    Raises
    ------
    ValueError, TypeError
        For shapes that do not fit, a filter larger than the image, other dtypes.
    """
    return _conv("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


def conv1d(input: Any, weight: Any, bias: Any = None, stride: Size = 1, padding: Any = 0, dilation: Size = 1,
           groups: int = 1) -> Tensor:
    """Filters at every place of a signal: (B, C, L) or (C, L), weight (O, C / groups, k); see `conv2d`."""
    return _conv("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


def _conv(who: str, axes: int, input: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any,
          groups: int) -> Tensor:
    filters: Any = as_tensor(weight)
    if filters.ndim != axes + 2:
        raise ValueError(f"{who}: weight must have {axes + 2} dimensions, (out, in / groups, kernel ...), got "
                         f"{filters.shape}")
    positive(who, groups=groups)
    x, alone = image(who, input, axes, filters)
    kernel = filters.shape[2:]
    strides, dilations = sizes(who, "stride", stride, axes), sizes(who, "dilation", dilation, axes)
    around = borders(who, padding, kernel, strides, dilations)
    if axes == 1:
        filters = expand_dims(filters, 2)       # (O, C, k) -> (O, C, 1, k)
        kernel, strides, dilations, around = (1, *kernel), (1, *strides), (1, *dilations), [(0, 0), *around]
    if x.shape[1] != filters.shape[1] * groups or filters.shape[0] % groups:
        raise ValueError(f"{who}: input has {x.shape[1]} channels and weight shape {as_tensor(weight).shape}, with "
                         f"groups={groups}: weight must be (out, channels / groups, ...), and out a multiple of groups")
    if bias is not None and as_tensor(bias).shape != filters.shape[:1]:
        raise ValueError(f"{who}: bias must have shape ({filters.shape[0]},), got {as_tensor(bias).shape}")
    window = Window(tuple(kernel), strides, tuple(around), dilations)       # type: ignore[arg-type]
    fitting(who, window, x.shape)
    arguments = (x, filters) if bias is None else (x, filters, as_tensor(bias))
    return back(convolved(*arguments, window=window, groups=groups), axes, alone)


# ---- layers ---------------------------------------------------------------------------------------------------------
class _Convolution(Module):
    """What the two layers share."""

    weight: Tensor
    bias: Tensor | None
    axes: int

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Size, stride: Size = 1, padding: Any = 0,
                 dilation: Size = 1, groups: int = 1, bias: bool = True, padding_mode: str = "zeros", *,
                 rng: Rng = None) -> None:
        super().__init__()
        who = type(self).__name__
        positive(who, in_channels=in_channels, out_channels=out_channels, groups=groups)
        if in_channels % groups or out_channels % groups:
            raise ValueError(f"{who}: in_channels={in_channels} and out_channels={out_channels} must be multiples of "
                             f"groups={groups}")
        if padding_mode not in BORDERS:
            raise ValueError(f"{who}: padding_mode must be one of {', '.join(BORDERS)}, got {padding_mode!r}")
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = sizes(who, "kernel_size", kernel_size, self.axes)
        self.stride = sizes(who, "stride", stride, self.axes)
        self.dilation = sizes(who, "dilation", dilation, self.axes)
        self.padding, self.padding_mode = padding, padding_mode
        self._borders = borders(who, padding, self.kernel_size, self.stride, self.dilation)
        fan_in = in_channels // groups * math.prod(self.kernel_size)
        start = partial(init.uniform_, a=-fan_in ** -0.5, b=fan_in ** -0.5)
        self.declare("weight", (out_channels, in_channels // groups, *self.kernel_size), start)
        if bias:
            self.declare("bias", (out_channels,), start)
        else:
            self.bias = None
        self.initialise(rng)

    def forward(self, x: Any) -> Tensor:
        """(B, in_channels, sizes ...) -> (B, out_channels, sizes ...); the batch may be missing."""
        padding: Any = self.padding
        if self.padding_mode != "zeros":
            t: Any = as_tensor(x)
            x = pad(t, [(0, 0)] * (t.ndim - self.axes) + self._borders, BORDERS[self.padding_mode])
            padding = 0
        return _conv(type(self).__name__, self.axes, x, self.weight, self.bias, self.stride, padding, self.dilation,
                     self.groups)

    def extra_repr(self) -> str:
        """Sizes and options."""
        options = {"stride": self.stride, "padding": self.padding, "dilation": self.dilation, "groups": self.groups}
        plain = {"stride": (1,) * self.axes, "padding": 0, "dilation": (1,) * self.axes, "groups": 1}
        other = "".join(f", {name}={value!r}" for name, value in options.items() if value != plain[name])
        return (f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}{other}"
                + ("" if self.bias is not None else ", bias=False"))


class Conv1d(_Convolution):
    """Filters at every place of a signal (B, C, L): see `nn.functional.conv1d`.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, dilation : int
    padding : int, "valid" or "same"
    groups : int
    bias : bool
    padding_mode : "zeros", "reflect", "replicate" or "circular"
    rng : numpy.random.Generator, int or None
        Weight and bias start uniform in +-1/sqrt(in_channels / groups * kernel_size), as PyTorch's.

    Attributes
    ----------
    weight : Parameter (out_channels, in_channels / groups, kernel_size)
    bias : Parameter (out_channels,), or None
    """

    axes = 1


class Conv2d(_Convolution):
    """Filters at every place of an image (B, C, H, W): see `nn.functional.conv2d`.

    Parameters and attributes are those of `Conv1d`, with sizes for rows and columns where they are to differ.
    """

    axes = 2
