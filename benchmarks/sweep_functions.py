"""Every float32 number through every elementwise function: `python -m benchmarks.sweep_functions [every] [name ...]`.

Against the same function in float64, which the tests hold to mpmath; some 40 s a function. With a number first, only
every so manyth float32. Printed are the largest error where the result is a normal number, in units of the last place,
where that is, and how many results differ in kind: a NaN, an infinity, a subnormal number or a zero that should be
something else.
"""

import sys

import numpy as np

NAMES = ("exp", "expm1", "log", "log1p", "tanh", "sigmoid", "silu", "softplus", "erf", "gelu", "gelu_tanh", "sin",
         "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh", "rsqrt")
STEP = 1 << 22


def sweep(name: str, every: int = 1) -> tuple[float, float, int]:
    """(largest error in ulp, where, how many are wrong in kind), of each bit pattern or of every so manyth."""
    from tinygrad_rnn import kernels

    function, limits = getattr(kernels, name), np.finfo(np.float32)
    largest, place, wrong = 0.0, 0.0, 0
    for first in range(0, 1 << 32, STEP * every):
        x = np.arange(first, min(first + STEP * every, 1 << 32), every, dtype=np.uint32).view(np.float32)
        if name in ("sin", "cos", "tan"):
            x = x[np.abs(x) <= 2.0**17]     # beyond, all are the C library's
        if not len(x):
            continue
        result, truth = function(x), function(x.astype(np.float64))
        rounded = truth.astype(np.float32)
        distance = np.abs(result - truth)
        error = distance / np.spacing(np.abs(rounded))
        normal = np.isfinite(rounded) & (np.abs(truth) >= limits.tiny)
        error[~normal] = 0
        small = np.abs(truth) < limits.tiny
        wrong += int(np.sum(small & ~(distance <= 2 * limits.smallest_subnormal)))
        other = ~normal & ~small
        wrong += int(np.sum(other & ~((result == rounded) | (np.isnan(result) & np.isnan(rounded)))))
        error[normal & np.isnan(error)] = np.inf
        worst = int(np.argmax(error))
        if error[worst] > largest:
            largest, place = float(error[worst]), float(x[worst])
    return largest, place, wrong


if __name__ == "__main__":
    names = [word for word in sys.argv[1:] if not word.isdigit()]
    step = next((int(word) for word in sys.argv[1:] if word.isdigit()), 1)
    for name in names or NAMES:
        with np.errstate(all="ignore"):
            print("{}: {:.3f} ulp at {!r}, {} wrong in kind".format(name, *sweep(name, step)), flush=True)
