"""The compiled half of the matrix product: how C is cut into blocks, K into pieces, and B into panels.

A block of C is a part that one thread does alone. Within it, K is cut into pieces of DEPTH; for each piece one panel
of B after the other comes near the processor, and all rows of the block are multiplied with it, a tile at a time
(tiles.py).

**The order of summation.** To an element of C are added, in this order, the sum over the first DEPTH values of k, the
sum over the next DEPTH, and so on; each of these adds its products one by one with fused multiply-adds, beginning at 0.
That depends on K alone. Everything below decides where and when a sum is formed, never the order of its terms.
"""
from collections import namedtuple

from .jit import helper, kernel, routine
from .llvm import call, load, stack_room, vector_bytes
from .pool import THREADS, share
from .tiles import PANEL, STRIP

DEPTH = 512  # of a piece of K
BLOCK_ROWS = 768  # of C: the block's rows of A stay in the cache from one panel to the next
GRAIN = 1 << 18  # multiply-adds of a part at least: some microseconds, many times what handing it out takes
TALL = 128  # rows of a block where C is taller than wide: enough that packing B pays
PACK_FROM = 192  # rows from which it pays to copy a panel of B that could be read where it stands
PACK_FAR, FAR = 96, 2048  # the same where the rows of B stand so many bytes apart: each on a page of its own

# What a table holds: addresses of the kernels of tiles.py by their vectors and rows, of packing, of zeros and of
# `multiply`; and the lanes of a vector.
PANELS, STRIPS, PACK_ROWS, PACK_COLUMNS, PACK_ANY, ZEROS, RUN, WIDTH = 0, 3, 5, 6, 7, 8, 9, 10

# Sizes and strides count bytes. offsets: of a, b and c, for each product of a batch.
Job = namedtuple("Job", "table size width batch m n k a a_row a_k b b_k b_column packed c c_row accumulate offsets "
                        "row_blocks column_blocks")

panel_room = stack_room((DEPTH * PANEL + 1) * vector_bytes())  # for a piece of a panel


@helper
def ceil_divide(a, b):
    """a / b, rounded up."""
    return (a + b - 1) // b


@helper
def entry(table, index):
    """A word of a table."""
    return load(table + 8 * index)


@helper
def pack_panel(job, depth, columns, vectors, source, to):
    """Copy a piece of a panel of B, in the way that its strides ask for; whole vectors, filled up with 0."""
    if job.b_column == job.size:
        call(entry(job.table, PACK_ROWS), (depth, columns, vectors, source, job.b_k, to))
    elif job.b_k == job.size:
        call(entry(job.table, PACK_COLUMNS), (depth, columns, vectors, source, job.b_column, to))
    else:
        call(entry(job.table, PACK_ANY), (depth, columns, vectors, source, job.b_k, job.b_column, to))


@helper
def multiply_block(job, rows, a, b, c, first, last, scratch):
    """C = A B, or C += A B, for the rows of a block and the panels first ... last - 1."""
    vector = job.width * job.size
    panels, all_vectors = ceil_divide(job.n, PANEL * job.width), ceil_divide(job.n, job.width)
    even = not job.packed and rows > len(STRIP)     # no narrow panel at the end, whose tiles wait for their loads
    for k in range(0, job.k, DEPTH):
        depth = min(DEPTH, job.k - k)
        adds = job.accumulate or k > 0
        panel = first
        while panel < last:
            begin, end = panel * PANEL, (panel + 1) * PANEL
            if even:
                begin, end = all_vectors * panel // panels, all_vectors * (panel + 1) // panels
            column = begin * job.width
            columns = min(end * job.width, job.n) - column
            vectors = ceil_divide(columns, job.width)
            if job.packed:
                source, b_k = b + column * job.size * job.k + k * vectors * vector, vectors * vector
                to_next = PANEL * vector * job.k
            else:
                source, b_k = b + column * job.b_column + k * job.b_k, job.b_k
                to_next = PANEL * vector
            a_piece, to = a + k * job.a_k, c + column * job.size
            start, start_row = (to, job.c_row) if adds else (entry(job.table, ZEROS), 0)

            readable = job.packed or (job.b_column == job.size and columns == vectors * job.width)
            together = STRIP[rows - 1] if rows <= len(STRIP) else 0
            if together and readable and panel + together <= last and column + together * PANEL * job.width <= job.n:
                call(entry(job.table, STRIPS + rows - 1),
                     (a_piece, job.a_row, job.a_k, source, b_k, to_next, depth, start, start_row, to, job.c_row))
                panel += together
            else:
                if not readable or (not job.packed and (rows >= PACK_FROM or rows >= PACK_FAR and job.b_k >= FAR)):
                    pack_panel(job, depth, columns, vectors, source, scratch)
                    source, b_k = scratch, vectors * vector
                call(entry(job.table, PANELS + vectors - 1),
                     (rows, a_piece, job.a_row, job.a_k, source, b_k, depth, start, start_row, to, job.c_row, columns))
                panel += 1


@helper
def multiply_part(part, parts, job):
    """Some blocks, each of one product of the batch."""
    vector = job.width * job.size
    scratch = ceil_divide(panel_room(), vector) * vector
    panels = ceil_divide(job.n, PANEL * job.width)
    blocks = job.batch * job.row_blocks * job.column_blocks
    for block in range(blocks * part // parts, blocks * (part + 1) // parts):
        rest, column_block = block // job.column_blocks, block % job.column_blocks
        member, row_block = rest // job.row_blocks, rest % job.row_blocks
        row, end = job.m * row_block // job.row_blocks, job.m * (row_block + 1) // job.row_blocks
        first, last = panels * column_block // job.column_blocks, panels * (column_block + 1) // job.column_blocks
        offset = job.offsets + 24 * member
        multiply_block(job, end - row, job.a + load(offset) + row * job.a_row, job.b + load(offset + 8),
                       job.c + load(offset + 16) + row * job.c_row, first, last, scratch)


@routine("void(" + ", ".join(["intp"] * 19) + ")", dtypes="q")
def multiply(pool, table, size, width, batch, offsets, m, n, k, a, a_row, a_k, b, b_k, b_column, packed, c, c_row,
             accumulate):
    """All products of a batch, on the threads of a pool."""
    row_blocks, column_blocks, parts = ceil_divide(m, BLOCK_ROWS), 1, 1
    if pool != 0:
        # Enough parts that threads end at about the same time, but none too small to be worth its way.
        parts = max(1, min(8 * load(pool + THREADS), batch * m * n * k // GRAIN))
        panels = ceil_divide(n, PANEL * width)
        if m >= 2 * n:      # what is longer is cut first: then little of the other is read twice
            most = ceil_divide(ceil_divide(m, TALL), load(pool + THREADS)) * load(pool + THREADS)
            row_blocks = max(row_blocks, min(ceil_divide(m, 32), ceil_divide(parts, batch), most))
        column_blocks = min(panels, ceil_divide(parts, batch * row_blocks))
        row_blocks = max(row_blocks, min(ceil_divide(m, 16), ceil_divide(parts, batch * column_blocks)))
        parts = min(max(parts, row_blocks * column_blocks), batch * row_blocks * column_blocks)
    job = Job(table, size, width, batch, m, n, k, a, a_row, a_k, b, b_k, b_column, packed != 0, c, c_row,
              accumulate != 0, offsets, row_blocks, column_blocks)
    share(pool, parts, multiply_part, (job,))


@kernel("void(intp, intp, intp, intp, const(T[:, :]), const(T[:, :]), intp, T[:, :], intp)")
def multiply_matrices(table, pool, batch, offsets, a, b, packed, c, accumulate):
    """C = A B, or C += A B, for a batch at `offsets` from these; any strides, but the rows of C contiguous."""
    call(entry(table, RUN), (pool, table, a.itemsize, entry(table, WIDTH), batch, offsets,
                             a.shape[0], b.shape[1], a.shape[1], a.ctypes.data, a.strides[0], a.strides[1],
                             b.ctypes.data, b.strides[0], b.strides[1], packed, c.ctypes.data, c.strides[0],
                             accumulate))


@kernel("void(intp, const(T[:, :]), T[:, ::1])")
def pack_matrix(table, b, to):
    """B as panels one after the other, each with all its rows: those of PANEL vectors, then what is left."""
    (k, n), width = b.shape, entry(table, WIDTH)
    job = Job(table, b.itemsize, width, 1, 0, n, k, 0, 0, 0, 0, b.strides[0], b.strides[1], False, 0, 0, False, 0, 0, 0)
    for column in range(0, n, PANEL * width):
        columns = min(PANEL * width, n - column)
        pack_panel(job, k, columns, ceil_divide(columns, width), b.ctypes.data + column * b.strides[1],
                   to.ctypes.data + column * k * b.itemsize)
