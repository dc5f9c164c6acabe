"""Answers to the exercises of chapter 5."""

import numpy as np


def weights_of_the_past(i, f):
    """What entered at k, times all that was kept since: an attention over the past that nobody normalised."""
    kept = np.cumprod(np.append(f[1:], 1.0)[::-1])[::-1]
    return i * kept


def peephole_backward(d_h, d_c, i, f, g, o, c_prev, c, p_i, p_f, p_o):
    """First all that arrives at c, the road through the output gate included; then what leaves it."""
    d_z_o = d_h * np.tanh(c) * o * (1 - o)
    d_c = d_c + d_h * o * (1 - np.tanh(c) ** 2) + d_z_o * p_o
    d_z_i = d_c * g * i * (1 - i)
    d_z_f = d_c * c_prev * f * (1 - f)
    return d_c * f + d_z_i * p_i + d_z_f * p_f


def projected_size(D, H, P):
    """Four gates that read x, h and a bias; one projection."""
    return 4 * H * (D + P + 1) + P * H
