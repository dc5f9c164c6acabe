"""Convolution as a matrix product whose columns are never written out: windows go straight into the product's panels.

    C[o, p] = sum over channels c and taps t of A[o, c, t] source[c, y(p) + dy(t), x(p) + dx(t)],   0 beyond the source

A tap is one element of the window: a plane of the source and a shift. A panel is some vectors of positions, one row for
each channel and tap; it stays in the cache while all filters are multiplied with it by the product's own tiles
(tiles.py), and sums are formed in the product's order (product.py). The same panels, read as rows, are the first
operand of the filters' gradient.
"""
from collections import namedtuple

import numpy as np

from .jit import helper, kernel, native
from .llvm import Emit, Int, call, load
from .pool import THREADS, share
from .product import DEPTH, GRAIN, PACK_COLUMNS, PANELS, WIDTH, ZEROS, ceil_divide, entry
from .tiles import PANEL

DEEP = 31           # vectors of positions of a block of the filters' gradient; odd, so that rows fall on different sets
ROWS = 128          # its rows at most: a quarter of a megabyte of them stays in the cache
SPLITS = 8          # parts that it is cut into at least, and summed in their order, whatever the number of threads

# What is slid over: the product's table, `pack_windows`, the geometry (see `pack_windows`), positions and taps.
Slide = namedtuple("Slide", "table pack size width across line places shifts bounds positions taps")


@native
def pack_windows(e: Emit, channels: Int, source: Int, plane: Int, across: Int, line: Int, places: Int, stored: Int,
                 taps: Int, shifts: Int, bounds: Int, first: Int, count: Int, vectors: Int, to: Int) -> None:
    """A panel [channel][tap][position] from the sources of `channels`, `plane` bytes apart; whole vectors.

    across : elements of a row of the source
    line : positions whose sources are neighbours: a row of the output, or all where that is as wide as the source
    places : x of every position, and `stored` bytes later y, as integer lanes
    shifts, bounds : of a tap: bytes to its source; x and y above which and below which it is inside, as lanes
    first, count : the positions
    """
    def vector(v: Int) -> None:
        p, left = first + v * e.width, count - v * e.width
        within = (left < e.width).select(left, e.int(e.width))
        x, y = (e.load(places + k * stored + p * e.size, e.first(left)).as_int() for k in range(2))
        line_first = p // line
        lines = (p + within - 1) // line - line_first + 1

        def tap(t: Int) -> None:
            low_x, high_x, low_y, high_y = (e.broadcast(bounds + (t * 4 + k) * e.size).as_int() for k in range(4))
            inside = (x > low_x) & (x < high_x) & (y > low_y) & (y < high_y) & e.first(left)
            start = source + e.load_int(shifts + t * 8)
            put = to + t * (vectors * e.bytes) + v * e.bytes

            def piece(s: Int) -> None:
                n = line_first + s
                chosen = inside & e.first((n + 1) * line - p) & ~e.first(n * line - p)
                here = start + (n * (across - line) + p) * e.size

                def copy(mask=None):
                    def channel(c: Int, here: Int, put: Int):
                        e.store(put, e.load(here, chosen), mask)
                        return [here + plane, put + taps * (vectors * e.bytes)]

                    e.loop(channels, channel, here, put)

                with e.when(s == 0):    # the whole vector, 0 where other lines follow
                    copy()
                with e.when(s > 0):
                    copy(chosen)

            e.loop(lines, piece)

        e.loop(taps, tap)

    e.loop(vectors, vector)


@helper
def fill(slide, channels, source, plane, first, count, vectors, to):
    """Columns of some positions; see `pack_windows`."""
    stored = ceil_divide(slide.positions, slide.width) * slide.width * slide.size
    call(slide.pack, (channels, source, plane, slide.across, slide.line, slide.places, stored, slide.taps, slide.shifts,
                      slide.bounds, first, count, vectors, to))


@helper
def aligned(room, slide):
    """The first address of a room that begins a vector."""
    vector = slide.width * slide.size
    return ceil_divide(room.ctypes.data, vector) * vector


@helper
def convolve_part(part, parts, slide, x, weight, start, start_row, out):
    """Some panels of positions, each for all filters of a group."""
    groups, filters, depth = weight.shape
    vector = slide.width * slide.size
    vectors = ceil_divide(slide.positions, slide.width)
    panels = ceil_divide(vectors, PANEL)
    room = np.empty((depth * PANEL + 1) * slide.width, weight.dtype)
    packed = aligned(room, slide)
    total = len(x) * groups * panels
    for number in range(total * part // parts, total * (part + 1) // parts):
        image, panel = number // panels, number % panels
        b, g = image // groups, image % groups
        begin, end = vectors * panel // panels, vectors * (panel + 1) // panels
        position, wide = begin * slide.width, end - begin
        count = min(wide * slide.width, slide.positions - position)
        source = x.ctypes.data + b * x.strides[0] + g * x.strides[1]
        fill(slide, x.shape[2], source, x.strides[2], position, count, wide, packed)
        to = out.ctypes.data + b * out.strides[0] + g * out.strides[1] + position * slide.size
        before, before_row = start + g * filters * start_row, start_row
        for k in range(0, depth, DEPTH):
            call(entry(slide.table, PANELS + wide - 1),
                 (filters, weight.ctypes.data + g * weight.strides[0] + k * slide.size, weight.strides[1], slide.size,
                  packed + k * wide * vector, wide * vector, min(DEPTH, depth - k), before, before_row,
                  to, out.strides[2], count))
            before, before_row = to, out.strides[2]


@kernel("void(intp, intp, intp, intp, intp, intp, const(int64[::1]), intp, const(T[:, :, :, ::1]), "
        "const(T[:, :, ::1]), intp, intp, T[:, :, :, ::1])")
def convolve_all(pool, table, pack, across, line, places, shifts, bounds, x, weight, start, start_row, out):
    """out (B, G, O, positions) = start + weight (G, O, channels taps) times the windows of x (B, G, channels, ...)."""
    width = entry(table, WIDTH)
    slide = Slide(table, pack, x.itemsize, width, across, line, places, shifts.ctypes.data, bounds, out.shape[3],
                  len(shifts))
    parts = 1
    if pool != 0:
        panels = ceil_divide(ceil_divide(out.shape[3], width), PANEL)
        work = out.size * weight.shape[2]
        parts = max(1, min(8 * load(pool + THREADS), work // GRAIN, len(x) * len(weight) * panels))
    share(pool, parts, convolve_part, (slide, x, weight, start, start_row, out))


@helper
def filters_block(slide, rows, packed, g, g_row, columns, scratch, begins, to, to_row, first, count):
    """to (rows, columns) = or += the windows of some positions, packed, times g^T, g (columns, positions)."""
    size, vector, deep = slide.size, slide.width * slide.size, ceil_divide(count, slide.width)
    vectors = ceil_divide(columns, slide.width)
    panels = ceil_divide(vectors, PANEL)
    for panel in range(panels):
        begin, end = vectors * panel // panels, vectors * (panel + 1) // panels
        column, wide = begin * slide.width, end - begin
        some = min(wide * slide.width, columns - column)
        call(entry(slide.table, PACK_COLUMNS), (count, some, wide, g + column * g_row + first * size, g_row, scratch))
        start, start_row = (entry(slide.table, ZEROS), 0) if begins else (to + column * size, to_row)
        call(entry(slide.table, PANELS + wide - 1),
             (rows, packed, deep * vector, size, scratch, wide * vector, count, start, start_row, to + column * size,
              to_row, some))


@helper
def filters_part(part, parts, slide, chunks, x, g, out):
    """Some pieces of the filters' gradient: channels of a chunk, over the blocks of positions of a split."""
    splits, groups, channels = len(out), x.shape[1], x.shape[2]
    most = DEEP * slide.width
    blocks_each = ceil_divide(slide.positions, most)
    blocks, pieces = len(x) * blocks_each, splits * groups * chunks
    room = np.empty((ceil_divide(channels, chunks) * slide.taps * DEEP + 1) * slide.width, g.dtype)
    panel_room = np.empty((most * PANEL + 1) * slide.width, g.dtype)
    packed, scratch = aligned(room, slide), aligned(panel_room, slide)
    for piece in range(pieces * part // parts, pieces * (part + 1) // parts):
        split, group, chunk = piece // (groups * chunks), piece // chunks % groups, piece % chunks
        channel, end = channels * chunk // chunks, channels * (chunk + 1) // chunks
        begin = blocks * split // splits
        to = (out.ctypes.data + split * out.strides[0] + group * out.strides[1]
              + channel * slide.taps * out.strides[2])
        for block in range(begin, blocks * (split + 1) // splits):
            image, first = block // blocks_each, block % blocks_each * most
            count = min(most, slide.positions - first)
            source = x.ctypes.data + image * x.strides[0] + group * x.strides[1] + channel * x.strides[2]
            fill(slide, end - channel, source, x.strides[2], first, count, ceil_divide(count, slide.width), packed)
            filters_block(slide, (end - channel) * slide.taps, packed,
                          g.ctypes.data + image * g.strides[0] + group * g.strides[1], g.strides[2], g.shape[2],
                          scratch, block == begin, to, out.strides[2], first, count)


@kernel("void(intp, intp, intp, intp, intp, intp, const(int64[::1]), intp, intp, const(T[:, :, :, ::1]), "
        "const(T[:, :, :, ::1]), T[:, :, :, ::1])")
def filters_all(pool, table, pack, across, line, places, shifts, bounds, chunks, x, g, out):
    """out (splits, G, channels taps, O), to be added up: the windows of x times g^T, g (B, G, O, positions)."""
    slide = Slide(table, pack, x.itemsize, entry(table, WIDTH), across, line, places, shifts.ctypes.data, bounds,
                  g.shape[3], len(shifts))
    share(pool, len(out) * x.shape[1] * chunks, filters_part, (slide, chunks, x, g, out))
