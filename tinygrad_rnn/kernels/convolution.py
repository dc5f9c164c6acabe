"""Convolution as matrix products: the windows of an image as columns, a block at a time that stays in the cache.

    columns[c, i, j, y, x] = padded[c, y stride + i dilation, x stride + j dilation],    output = weight columns

A block is some rows of the output of one image, so its result depends neither on the batch nor on the threads, which
share the blocks.
"""
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from .gemm import matmul
from .threads import COMPILED, run

BLOCK = 3 << 17     # numbers of the columns that are made at a time: one and a half megabytes in float32
ALONE = 1 << 16     # numbers that one thread copies alone
Pair = tuple[int, int]


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

    def parts(self, size: Pair, first: int = 0, last: int | None = None) -> Iterator[tuple[int, int, slice, slice]]:
        """(i, j, rows, columns): where element (i, j) of the window lies in the padded image, in all its positions, or
        those in the rows first ... last - 1 of the output."""
        rows, columns = self.output(size)
        last = rows if last is None else last
        (s, t), (d, e) = self.stride, self.dilation
        for i in range(self.kernel[0]):
            for j in range(self.kernel[1]):
                yield (i, j, slice(i * d + first * s, i * d + (last - 1) * s + 1, s),
                       slice(j * e, j * e + (columns - 1) * t + 1, t))

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


def convolve(x: np.ndarray, weight: np.ndarray, window: Window, groups: int = 1) -> np.ndarray:
    """Images (B, C, H, W) with filters (O, C / groups, kh, kw) -> (B, O, rows, columns); one floating dtype."""
    batch, size = len(x), (x.shape[2], x.shape[3])
    rows, columns = window.output(size)
    out = np.empty((batch, len(weight), rows, columns), x.dtype)
    depth = math.prod(weight.shape[1:])
    filters = np.ascontiguousarray(weight).reshape(groups, -1, depth)
    plain = window.kernel == window.stride == (1, 1) and window.padding == ((0, 0), (0, 0))
    x = np.ascontiguousarray(x)
    height = rows if plain else max(1, min(rows, BLOCK // max(1, depth * groups * columns)))
    blocks = [(b, r, min(r + height, rows)) for b in range(batch) for r in range(0, rows, height)]
    fill = None if plain else _filler(x.dtype, window)

    def part(number: int, parts: int) -> None:
        room = None if plain else np.empty((x.shape[1] * math.prod(window.kernel), height * columns), x.dtype)
        for b, first, last in blocks[len(blocks) * number // parts:len(blocks) * (number + 1) // parts]:
            if room is None or fill is None:
                made = x[b]
            else:
                made = room[:, :(last - first) * columns]
                fill(x[b], first, last, made)
            made = made.reshape(groups, depth, (last - first) * columns)
            for g, chosen in enumerate(filters):
                to = out[b, g * len(chosen):(g + 1) * len(chosen), first:last]
                if last - first == rows:
                    matmul(chosen, made[g], out=to.reshape(len(chosen), -1))     # a view
                else:
                    to[...] = matmul(chosen, made[g]).reshape(to.shape)

    if out.size:
        _shared(part, len(blocks), out.size * depth)
    return out


def _filler(dtype: np.dtype, window: Window) -> Callable[[np.ndarray, int, int, np.ndarray], object]:
    """What writes the columns of one image (C, H, W) for some rows of the output."""
    if COMPILED:
        from .columns import fill_columns

        (s, t), (d, e), ((top, _), (left, _)) = window.stride, window.dilation, window.padding
        compiled = fill_columns[dtype]
        return lambda x, first, last, to: compiled(x, first, last, *window.kernel, s, t, d, e, top, left, to)

    def fill(x: np.ndarray, first: int, last: int, to: np.ndarray) -> None:
        padded = window.bordered(x[None])[0]
        apart = to.reshape(len(x), *window.kernel, last - first, -1)
        for i, j, rows, columns in window.parts((x.shape[1], x.shape[2]), first, last):
            apart[:, i, j] = padded[:, rows, columns]

    return fill


def _shared(part: Callable[[int, int], None], most: int, work: int) -> None:
    """part(number, parts), by the threads if that pays."""
    if work < ALONE or most < 2:
        part(0, 1)
    else:
        run(part)
