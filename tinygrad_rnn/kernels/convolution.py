"""Convolution as matrix products.

    columns[c, i, j, y, x] = padded[c, y stride + i dilation, x stride + j dilation],    output = weight columns

Columns are written out where they are asked for; a convolution and its gradients make them block by block, in the cache
(implicit.py). What is done here makes all of them one case: a window that moves by one place, over planes.
"""
import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .arrays import FLOAT32, FLOAT64
from .gemm import matmul, products
from .threads import pool_address, run

ALONE = 1 << 16     # numbers that one thread copies, and products that it computes, alone
CROWDED = 1 << 10   # bytes: channels a multiple of them apart meet in few sets of the cache, and are moved apart
LINE = 64           # bytes
KEPT = 1 << 16      # positions of a window up to which its geometry is kept for the next time
Pair = tuple[int, int]
Tap = tuple[int, int, int]


@dataclass(frozen=True)
class Window:
    """What slides over an image: sizes and steps along rows and columns, and the border around the image.

    padding : (before, after) for rows and for columns
    """

    kernel: Pair
    stride: Pair = (1, 1)
    padding: tuple[Pair, Pair] = ((0, 0), (0, 0))
    dilation: Pair = (1, 1)

    def output(self, size: Pair) -> Pair:
        """Positions of the window on an image (H, W); below 1 where it does not fit."""
        rows, columns = ((n + sum(p) - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in zip(
            size, self.kernel, self.stride, self.padding, self.dilation))
        return rows, columns

    def parts(self, size: Pair) -> Iterator[tuple[int, int, slice, slice]]:
        """(i, j, rows, columns): where element (i, j) of the window lies in the padded image, in all its positions."""
        rows, columns = self.output(size)
        (s, t), (d, e) = self.stride, self.dilation
        for i in range(self.kernel[0]):
            for j in range(self.kernel[1]):
                yield (i, j, slice(i * d, i * d + (rows - 1) * s + 1, s),
                       slice(j * e, j * e + (columns - 1) * t + 1, t))

    def taps(self) -> list[tuple[int, int, int, int]]:
        """(rows, phase, columns, phase) of each element of the window: it lies rows * stride + phase rows after the
        place of the window, and as many columns."""
        (s, t), (d, e), ((top, _), (left, _)) = self.stride, self.dilation, self.padding
        return [(*divmod(i * d - top, s), *divmod(j * e - left, t)) for i, j in np.ndindex(self.kernel)]

    def bordered(self, x: np.ndarray, value: float = 0.0) -> np.ndarray:
        """Images (B, C, H, W) with their border."""
        if self.padding == ((0, 0), (0, 0)):
            return x
        (top, bottom), (left, right) = self.padding
        out = np.full((*x.shape[:2], top + x.shape[2] + bottom, left + x.shape[3] + right), value, x.dtype)
        out[:, :, top:top + x.shape[2], left:left + x.shape[3]] = x
        return out


def im2col(x: np.ndarray, window: Window) -> np.ndarray:
    """Windows as columns: (B, C, H, W) -> (B, C kh kw, positions)."""
    size = x.shape[2:]
    out = np.empty((*x.shape[:2], *window.kernel, *window.output(size)), x.dtype)

    def part(number: int, parts: int) -> None:
        chosen = slice(len(x) * number // parts, len(x) * (number + 1) // parts)
        padded = window.bordered(x[chosen])
        for i, j, rows, columns in window.parts(size):
            out[chosen, :, i, j] = padded[:, :, rows, columns]

    _shared(part, len(x), out.size)
    return out.reshape(len(x), -1 if out.size else math.prod(out.shape[1:4]), math.prod(out.shape[4:]))


def col2im(columns: np.ndarray, size: Pair, window: Window) -> np.ndarray:
    """The transpose of `im2col`: columns added up where they came from, (B, C kh kw, positions) -> (B, C, H, W)."""
    (kh, kw), ((top, bottom), (left, right)) = window.kernel, window.padding
    channels = columns.shape[1] // (kh * kw)
    apart = columns.reshape(len(columns), channels, kh, kw, *window.output(size))
    padded = np.zeros((len(columns), channels, top + size[0] + bottom, left + size[1] + right), columns.dtype)

    def part(number: int, parts: int) -> None:
        chosen = slice(len(columns) * number // parts, len(columns) * (number + 1) // parts)
        for i, j, rows, cols in window.parts(size):
            padded[chosen, :, rows, cols] += apart[chosen, :, i, j]

    _shared(part, len(columns), columns.size)
    return padded[:, :, top:top + size[0], left:left + size[1]]


def convolve(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, window: Window, groups: int = 1
             ) -> np.ndarray:
    """Images (B, C, H, W) with filters (O, C / groups, kh, kw), and a bias (O,) -> (B, O, rows, columns); one dtype."""
    filters = np.ascontiguousarray(weight).reshape(groups, len(weight) // groups, math.prod(weight.shape[1:]))
    output = window.output((x.shape[2], x.shape[3]))
    if compiled(x.dtype):
        return _slid(*_planes(x, window), filters, bias, output)
    columns = im2col(x, window).reshape(len(x), groups, filters.shape[2], math.prod(output))
    y = matmul(filters, columns).reshape(len(x), len(weight), *output)      # (B, G, O / G, positions) -> (B, O, ...)
    return y if bias is None else y + bias[:, None, None]


# ---- compiled -------------------------------------------------------------------------------------------------------
def compiled(dtype: np.dtype) -> bool:
    """Is there a compiled product, on which the functions below stand?"""
    return dtype in (FLOAT32, FLOAT64) and products(dtype) is not None


def convolve_image(g: np.ndarray, weight: np.ndarray, size: Pair, window: Window, groups: int = 1) -> np.ndarray:
    """The gradient of the image, (B, C, H, W), from that of the result g (B, O, rows, columns), where `compiled`.

    What an image got is a convolution too: g shifted the other way, times the filters with channels in and out swapped.
    With strides every phase of the image is one of its own, with the taps that meet it.
    """
    filters = weight.reshape(groups, len(weight) // groups, weight.shape[1], math.prod(window.kernel))
    source, shape, _ = _planes(g, replace(window, stride=(1, 1)))
    out = np.empty((len(g), groups * weight.shape[1], *size), g.dtype)
    for phase in np.ndindex(window.stride):
        taps, chosen = [], []
        for k, (y, a, x, b) in enumerate(window.taps()):
            if (a, b) == phase:
                taps.append((0, -y, -x))
                chosen.append(k)
        # (G, O / G, C / G, taps) -> (G, C / G, O / G, taps) -> (G, C / G, O / G taps)
        turned = np.ascontiguousarray(filters.swapaxes(1, 2)[..., chosen])
        turned = turned.reshape(groups, weight.shape[1], len(chosen) * filters.shape[1])
        lengths = [len(range(a, n, s)) for a, n, s in zip(phase, size, window.stride)]
        part = _slid(source, shape, taps, turned, None, (lengths[0], lengths[1]))
        if window.stride == (1, 1):
            return part
        out[:, :, phase[0]::window.stride[0], phase[1]::window.stride[1]] = part
    return out


def convolve_filters(g: np.ndarray, x: np.ndarray, window: Window, groups: int = 1) -> np.ndarray:
    """The gradient of the filters, (O, C / groups, kh, kw), from that of the result g (B, O, rows, columns), where
    `compiled`. It is summed in an order that depends on the shapes alone."""
    from . import implicit

    source, size, taps = _planes(x, window)
    channels, filters = x.shape[1] // groups, g.shape[1] // groups
    shape = (g.shape[1], channels, *window.kernel)
    if not math.prod(shape) or not g.size:
        return np.zeros(shape, g.dtype)
    product: Any = products(g.dtype)
    positions = math.prod(g.shape[2:])
    chunks = -(-channels // max(1, implicit.ROWS // len(taps)))
    blocks = len(x) * -(-positions // (implicit.DEEP * product.width))
    splits = min(blocks, -(-implicit.SPLITS // (groups * chunks)))
    out = np.empty((splits, groups, channels * len(taps), filters), g.dtype)
    geometry = _geometry(product, tuple(taps), size, (g.shape[2], g.shape[3]))
    pool = pool_address() if positions * len(x) * out[0].size > ALONE else 0
    images = source.reshape(len(x), groups, channels, source.shape[2])
    implicit.filters_all[g.dtype](pool, *geometry.words, chunks, images,
                                  np.ascontiguousarray(g).reshape(len(x), groups, filters, positions), out)
    # (splits, G, C / G taps, O / G) -> (G, O / G, C / G taps) -> (O, C / G, kh, kw)
    return out.sum(0).swapaxes(1, 2).reshape(shape)


def _planes(x: np.ndarray, window: Window) -> tuple[np.ndarray, Pair, list[Tap]]:
    """Images as (B, C, numbers), planes of which size, and where each element of the window lies: plane, rows and
    columns further on.

    Of every s-th row and t-th column there is a plane, so that the window moves by one place whatever its stride.
    """
    phases = sorted({(a, b) for _, a, _, b in window.taps()})
    taps = [(phases.index((a, b)), y, x) for y, a, x, b in window.taps()]
    (s, t), size = window.stride, (-(-x.shape[2] // window.stride[0]), -(-x.shape[3] // window.stride[1]))
    numbers = len(phases) * math.prod(size)
    crowded = len(taps) > 1 and x.shape[1] >= 8 and numbers * x.itemsize % CROWDED == 0
    if (s, t) == (1, 1) and not crowded:
        return np.ascontiguousarray(x).reshape(*x.shape[:2], numbers), size, taps
    out = np.zeros((*x.shape[:2], numbers + crowded * LINE // x.itemsize), x.dtype)
    planes = out[:, :, :numbers].reshape(*x.shape[:2], len(phases), *size)      # a view

    def part(number: int, parts: int) -> None:
        chosen = slice(len(x) * number // parts, len(x) * (number + 1) // parts)
        for n, (a, b) in enumerate(phases):
            plane = x[chosen, :, a::s, b::t]
            planes[chosen, :, n, :plane.shape[2], :plane.shape[3]] = plane

    _shared(part, len(x), out.size)
    return out, size, taps


def _slid(source: np.ndarray, size: Pair, taps: list[Tap], filters: np.ndarray, bias: np.ndarray | None, output: Pair
          ) -> np.ndarray:
    """Planes (B, C, numbers) of a size with filters (G, O / G, C / G taps) -> (B, O, rows, columns)."""
    from . import implicit
    from .tiles import PANEL

    groups, each, depth = filters.shape
    batch, positions = len(source), math.prod(output)
    out = np.empty((batch, groups, each, positions), source.dtype)
    shape = (batch, groups * each, *output)
    if not out.size or not depth:
        out[...] = 0 if bias is None else bias.reshape(groups, each, 1)
        return out.reshape(shape)
    product: Any = products(source.dtype)
    geometry = _geometry(product, tuple(taps), size, output)
    start, row = product.zeros, 0
    if bias is not None:        # what sums begin with: for every filter as many vectors as a panel has
        start = np.repeat(bias, PANEL * product.width)
        row = PANEL * product.width * bias.itemsize
    pool = pool_address() if out.size * depth > ALONE else 0
    images = source.reshape(batch, groups, depth // len(taps), source.shape[2])
    implicit.convolve_all[source.dtype](pool, *geometry.words, images, filters, start.ctypes.data, row, out)
    return out.reshape(shape)


class _Geometry:
    """What `implicit.pack_windows` is told of a window: as words, and the arrays that they point into."""

    def __init__(self, product: Any, taps: tuple[Tap, ...], size: Pair, output: Pair) -> None:
        from . import implicit

        (rows, columns), positions = size, math.prod(output)
        lanes = np.dtype(f"i{product.dtype.itemsize}")
        p = np.arange(-(-positions // product.width) * product.width)
        self.places = np.stack([p % output[1], p // output[1]]).astype(lanes)
        self.bounds = np.array([(-1 - x, columns - x, -1 - y, rows - y) for _, y, x in taps], lanes)
        shifts = np.array([((n * rows + y) * columns + x) * product.dtype.itemsize for n, y, x in taps], np.int64)
        line = positions if output[1] == columns else output[1]
        self.words = (product.table, implicit.pack_windows[product.dtype], columns, line, self.places.ctypes.data,
                      shifts, self.bounds.ctypes.data)


_cached = functools.lru_cache(64)(_Geometry)


def _geometry(product: Any, taps: tuple[Tap, ...], size: Pair, output: Pair) -> _Geometry:
    """It, kept for the next time unless it is large."""
    return (_cached if math.prod(output) < KEPT else _Geometry)(product, taps, size, output)


def _shared(part: Callable[[int, int], None], most: int, work: int) -> None:
    """part(number, parts), by the threads if that pays."""
    if work < ALONE or most < 2:
        part(0, 1)
    else:
        run(part)
