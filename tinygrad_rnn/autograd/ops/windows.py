"""Windows that slide over images: as columns of a matrix, convolved with filters, and their largest element."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

from ... import kernels
from ...kernels.convolution import Window, compiled
from ..primitive import as_array, case, primitive, reals
from .comparison import equal
from .dtypes import paired
from .indexing import getitem, scattered
from .products import matmul
from .rearranging import padded
from .reductions import sum as total
from .shapes import astype, reshape, swapaxes

PLAIN = Window((2, 3))
FULL = Window((2, 2), (2, 1), ((1, 2), (0, 1)), (1, 2))


# ---- as columns -----------------------------------------------------------------------------------------------------
def _np_unfold(x: np.ndarray, window: Window) -> np.ndarray:
    (kh, kw), (s, t), (d, e) = window.kernel, window.stride, window.dilation
    x = np.pad(x, ((0, 0), (0, 0), *window.padding))
    ends = [(y, z) for y in range(0, x.shape[2] - d * (kh - 1), s) for z in range(0, x.shape[3] - e * (kw - 1), t)]
    return np.stack([x[:, :, y:y + d * kh:d, z:z + e * kw:e].reshape(len(x), x.shape[1] * kh * kw)
                     for y, z in ends], -1)


@primitive(rules=[lambda g, _y, like, window: folded(g, like.shape[2:], window)], kind="structural", domain=[reals()],
           oracle=_np_unfold, cases=[case((2, 3, 4, 5), window=PLAIN), case((1, 2, 5, 4), window=FULL),
                                     case((0, 1, 3, 3), window=PLAIN), case((2, 1, 1, 1), window=Window((1, 1)))])
def unfolded(x: Any, window: Window) -> Any:
    """Windows as columns: (B, C, H, W) -> (B, C kh kw, positions)."""
    return kernels.im2col(x, window)


def _np_fold(columns: np.ndarray, size: tuple[int, int], window: Window) -> np.ndarray:
    channels = columns.shape[1] // (window.kernel[0] * window.kernel[1])
    places = np.arange(channels * size[0] * size[1]).reshape(1, channels, *size) + 1
    out = np.zeros((len(columns), places.size + 1))
    for place, row in zip(_np_unfold(places, window)[0], columns.swapaxes(0, 1)):
        np.add.at(out.T, place, row.T)
    return out[:, 1:].reshape(len(columns), channels, *size)


@primitive(rules=[lambda g, _y, _columns, size, window: unfolded(g, window)], kind="structural", domain=[reals()],
           oracle=_np_fold, cases=[case((2, 18, 9), size=(4, 5), window=PLAIN),
                                   case((1, 8, 12), size=(5, 4), window=FULL)])
def folded(columns: Any, size: tuple[int, int], window: Window) -> Any:
    """Columns added up where they came from, the transpose of `unfolded`: (B, C kh kw, positions) -> (B, C, H, W)."""
    return kernels.col2im(columns, size, window)


# ---- convolved ------------------------------------------------------------------------------------------------------
def _grouped(g: Any, groups: int) -> Any:
    """(B, O, rows, columns) -> (B, groups, O / groups, positions)."""
    return reshape(g, (g.shape[0], groups, g.shape[1] // groups, g.shape[2] * g.shape[3]))


def _image_rule(g: Any, _y: Any, like: Any, weight: Any, _bias: Any = None, *, window: Window, groups: int = 1) -> Any:
    """The filters' transpose, folded: W^T g is what each window gets."""
    filters = reshape(weight, (groups, weight.shape[0] // groups, -1 if weight.shape[0] else 0))   # (G, O / G, K)
    columns = matmul(swapaxes(filters, 1, 2), _grouped(g, groups))              # (B, G, K, positions)
    flat = reshape(columns, (g.shape[0], groups * columns.shape[2], columns.shape[3]))
    return folded(flat, like.shape[2:], window)


def _filter_rule(g: Any, _y: Any, x: Any, like: Any, _bias: Any = None, *, window: Window, groups: int = 1) -> Any:
    """g times the windows, summed over positions and the batch."""
    columns = unfolded(x, window)
    # (B, G K, positions) -> (B, G, K, positions)
    apart = reshape(columns, (x.shape[0], groups, columns.shape[1] // groups, columns.shape[2]))
    # (G, O / G, K) -> (O, C / G, kh, kw)
    return reshape(total(matmul(_grouped(g, groups), swapaxes(apart, 2, 3)), 0), like.shape)


def _image_kernel(g: Any, _y: Any, like: Any, weight: Any, _bias: Any = None, *, window: Window, groups: int = 1
                  ) -> Any:
    """The image's rule in one kernel."""
    dtype = np.result_type(g, weight)
    if not compiled(dtype):
        return _image_rule(g, None, like, weight, window=window, groups=groups)
    return kernels.convolve_image(g.astype(dtype, copy=False), weight.astype(dtype, copy=False), like.shape[2:], window,
                                  groups)


def _filter_kernel(g: Any, _y: Any, x: Any, like: Any, _bias: Any = None, *, window: Window, groups: int = 1) -> Any:
    """The filters' rule in one kernel."""
    dtype = np.result_type(g, x)
    if not compiled(dtype):
        return _filter_rule(g, None, x, like, window=window, groups=groups)
    return kernels.convolve_filters(g.astype(dtype, copy=False), x.astype(dtype, copy=False), window, groups)


def _np_convolved(x: np.ndarray, weight: np.ndarray, bias: Any = None, *, window: Window, groups: int = 1) -> Any:
    outputs = []
    for g in range(groups):
        inputs, filters = (np.split(a, groups, axis)[g] for a, axis in ((x, 1), (weight, 0)))
        outputs.append(np.einsum("ok,bkp->bop", filters.reshape(len(filters), -1), _np_unfold(inputs, window)))
    y = np.concatenate(outputs, 1).reshape(len(x), len(weight), *window.output(x.shape[2:]))
    return y if bias is None else y + bias[:, None, None]


@primitive(rules=[_image_rule, _filter_rule, lambda g, _y, _x, _weight, _bias=None, **_: total(g, (0, 2, 3))],
           fused={0: _image_kernel, 1: _filter_kernel}, kind="structural", domain=[reals(), reals(), reals()],
           oracle=_np_convolved,
           cases=[case((2, 3, 4, 5), (4, 3, 2, 3), (4,), window=PLAIN),
                  case((1, 4, 5, 4), (6, 2, 2, 2), window=FULL, groups=2),
                  case((2, 2, 3, 3), (2, 2, 1, 1), window=Window((1, 1))),
                  case((2, 4, 1, 6), (4, 1, 1, 3), (4,), groups=4, window=Window((1, 3)))])
def convolved(x: Any, weight: Any, bias: Any = None, *, window: Window, groups: int = 1) -> Any:
    """Images (B, C, H, W) with filters (O, C / groups, kh, kw), and a bias (O,) -> (B, O, rows, columns)."""
    x, weight = paired(as_array(x), as_array(weight))
    bias = None if bias is None else as_array(bias)
    dtype = np.result_type(x, weight) if bias is None else np.result_type(x, weight, bias)
    x, weight = x.astype(dtype, copy=False), weight.astype(dtype, copy=False)
    return kernels.convolve(x, weight, None if bias is None else bias.astype(dtype, copy=False), window, groups)


# ---- their largest element ------------------------------------------------------------------------------------------
def _parts(shape: Any, window: Window) -> list[tuple[Any, ...]]:
    """The index of each element of the window in padded images, in all its positions."""
    return [(slice(None), slice(None), rows, columns) for _, _, rows, columns in window.parts(shape[2:])]


def _pool_rule(g: Any, y: Any, x: Any, window: Window) -> Any:
    """Every element that equals the largest gets an equal share."""
    widths = ((0, 0), (0, 0), *window.padding)
    wide, parts = padded(x, widths, -np.inf), _parts(x.shape, window)
    chosen = [astype(equal(getitem(wide, part), y), x.dtype) for part in parts]
    share = g / reduce(lambda a, b: a + b, chosen)
    back = reduce(lambda a, b: a + b, [scattered(c * share, wide.shape, part) for c, part in zip(chosen, parts)])
    (top, _), (left, _) = window.padding
    return getitem(back, (slice(None), slice(None), slice(top, top + x.shape[2]), slice(left, left + x.shape[3])))


def _np_pooled(x: np.ndarray, window: Window) -> Any:
    x = np.pad(x, ((0, 0), (0, 0), *window.padding), constant_values=-np.inf)
    columns = _np_unfold(x.reshape(-1, 1, *x.shape[2:]), Window(window.kernel, window.stride, dilation=window.dilation))
    y = columns.max(1)      # (B C, kh kw, positions) -> (B C, positions)
    return y.reshape(*x.shape[:2], *Window(window.kernel, window.stride, dilation=window.dilation).output(x.shape[2:]))


@primitive(rules=[_pool_rule], kind="structural", domain=[reals()], oracle=_np_pooled,
           cases=[case((2, 3, 4, 6), window=Window((2, 2), (2, 2))), case((1, 2, 5, 4), window=Window((3, 2))),
                  case((1, 1, 5, 5), window=Window((3, 3), (2, 1), ((1, 1), (1, 2)), (1, 2)))])
def pooled(x: Any, window: Window) -> Any:
    """The largest element of each window, (B, C, H, W) -> (B, C, rows, columns); NaN if there is one.

    Ties share the gradient equally.
    """
    wide = window.bordered(x, -np.inf)
    first, *rest = _parts(x.shape, window)
    y = wide[first].copy()
    for part in rest:
        np.maximum(y, wide[part], out=y)
    return y
