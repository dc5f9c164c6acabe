"""The windows of an image as columns, compiled: zeros where a window reaches beyond the image."""
from .jit import helper, kernel


@helper
def fill_row(x, first, step, left, to):
    """to[q] = x[first + q step - left], 0 beyond the ends."""
    n, columns = len(x), len(to)
    start = first - left
    low = min(columns, max(0, (-start + step - 1) // step))             # from here on within the image
    high = min(columns, max(low, (n - start + step - 1) // step))       # to here
    to[:low] = 0
    to[high:] = 0
    if step == 1:
        to[low:high] = x[start + low:start + high]
    else:
        for q in range(low, high):
            to[q] = x[start + q * step]


@kernel("void(const(T[:, :, ::1]), intp, intp, intp, intp, intp, intp, intp, intp, intp, intp, T[:, :])")
def fill_columns(x, first, last, kh, kw, s, t, d, e, top, left, to):
    """to (C kh kw, (last - first) columns): the windows of x (C, H, W) in the rows first ... last - 1 of the output."""
    columns = to.shape[1] // max(last - first, 1)
    for k in range(x.shape[0]):
        for i in range(kh):
            for j in range(kw):
                line = to[(k * kh + i) * kw + j]
                for p in range(first, last):
                    row, place = p * s + i * d - top, (p - first) * columns
                    if 0 <= row < x.shape[1]:
                        fill_row(x[k, row], j * e, t, left, line[place:place + columns])
                    else:
                        line[place:place + columns] = 0
