"""One step of every cell of the catalogue, written out by hand in NumPy: the independent oracle of the equations.

(p, x, state) -> the state after the step; p holds the parameters by name.
"""

from __future__ import annotations

import numpy as np

tanh = np.tanh


def sigma(u):
    return 1 / (1 + np.exp(-u))


def norm(u):
    return (u - u.mean(-1, keepdims=True)) / np.sqrt(((u - u.mean(-1, keepdims=True)) ** 2).mean(-1, keepdims=True)
                                                     + 1e-5)


def affine(p, row, *sources):
    """The biased sum of products of a row: pairs of the source's name and its value."""
    return sum(v @ p[f"W_{row}_{name}"].T for name, v in sources) + p[f"b_{row}"]


# ---- simple networks ------------------------------------------------------------------------------------------------
def rnn(f):
    return lambda p, x, s: (f(affine(p, "h", ("x", x), ("h", s[0]))),)


def leaky_rnn(p, x, s):
    return (0.7 * s[0] + 0.3 * tanh(affine(p, "n", ("x", x), ("h", s[0]))),)


def residual_rnn(p, x, s):
    now, before = s
    return before + tanh(affine(p, "h", ("x", x), ("h", now))), now


def rnn_layernorm(p, x, s):
    return (tanh(p["s_h"] * norm(x @ p["W_h_x"].T + s[0] @ p["W_h_h"].T) + p["b_h"]),)


# ---- gated units ----------------------------------------------------------------------------------------------------
def gates(p, names, x, h):
    return [sigma(affine(p, row, ("x", x), ("h", h))) for row in names]


def gru(keeps, reset):
    """keeps: z stands at the old state; reset: "before", "after" or "none"."""
    def step(p, x, s):
        h, = s
        z, = gates(p, "z", x, h)
        if reset == "none":
            n = tanh(affine(p, "n", ("x", x), ("h", h)))
        else:
            r, = gates(p, "r", x, h)
            if reset == "before":
                n = tanh(affine(p, "n", ("x", x), ("rh", r * h)))
            else:
                n = tanh(x @ p["W_n_x"].T + p["b_n"] + r * (h @ p["W_n_h"].T + p["b2_n"]))
        return (z * h + (1 - z) * n if keeps else z * n + (1 - z) * h,)
    return step


def mgu(p, x, s):
    f, = gates(p, "f", x, s[0])
    return ((1 - f) * s[0] + f * tanh(affine(p, "n", ("x", x), ("fh", f * s[0]))),)


def normed(p, row, x, h):
    return p[f"s_{row}"] * norm(h @ p[f"W_{row}_h"].T) + p[f"s2_{row}"] * norm(x @ p[f"W_{row}_x"].T) + p[f"b_{row}"]


def gru_layernorm(p, x, s):
    h, = s
    r, z = sigma(normed(p, "r", x, h)), sigma(normed(p, "z", x, h))
    n = tanh(p["s2_n"] * norm(x @ p["W_n_x"].T) + p["b_n"] + r * (p["s_n"] * norm(h @ p["W_n_h"].T) + p["b2_n"]))
    return (h - z * h + z * n,)


# ---- long short-term memory -----------------------------------------------------------------------------------------
def lstm_cec(p, x, s):
    c = s[1] + tanh(affine(p, "g", ("x", x), ("h", s[0])))
    return tanh(c), c


def lstm_1997(p, x, s):
    h, c = s
    i, o, g = gates(p, "iog", x, h)
    c = c + i * (4 * g - 2)
    return o * (2 * sigma(c) - 1), c


def lstm(peephole=None, without="", coupled=False, linear_in=False, linear_out=False, project=False):
    """peephole: None, "vector" or "matrix"; without: a gate that is 1."""
    def step(p, x, s):
        h, c_prev = s

        def gate(row, c):
            if row in without:
                return 1.0
            a = affine(p, row, ("x", x), ("h", h))
            if peephole == "vector":
                a = a + p[f"p_{row}"] * c
            if peephole == "matrix":
                a = a + c @ p[f"W_{row}_c"].T
            return sigma(a)
        i = gate("i", c_prev)
        f = 1 - i if coupled else gate("f", c_prev)
        a = affine(p, "g", ("x", x), ("h", h))
        c = f * c_prev + i * (a if linear_in else tanh(a))
        h = gate("o", c) * (c if linear_out else tanh(c))
        return (h @ p["W_h_m"].T if project else h), c
    return step


def lstm_fgr(p, x, s):
    h, i, f, o, c_prev = s

    def a(row):
        return affine(p, row, ("x", x), ("h", h), ("i", i), ("f", f), ("o", o))
    new_i, new_f = sigma(a("i") + p["p_i"] * c_prev), sigma(a("f") + p["p_f"] * c_prev)
    c = new_f * c_prev + new_i * tanh(affine(p, "g", ("x", x), ("h", h)))
    new_o = sigma(a("o") + p["p_o"] * c)
    return new_o * tanh(c), new_i, new_f, new_o, c


def lstm_sheet(reset):
    def step(p, x, s):
        h, c = s
        u, f, o = gates(p, "ufo", x, h)
        if reset:
            r, = gates(p, "r", x, h)
            n = tanh(affine(p, "n", ("x", x), ("rh", r * h)))
        else:
            n = tanh(affine(p, "n", ("x", x), ("h", h)))
        c = u * n + f * c
        return o * c, c
    return step


def lstm_layernorm(p, x, s):
    h, c = s
    i, f, o = (sigma(normed(p, row, x, h)) for row in "ifo")
    c = f * c + i * tanh(normed(p, "g", x, h))
    return o * tanh(p["s_h"] * norm(c) + p["b_h"]), c


# ---- mutants --------------------------------------------------------------------------------------------------------
def mut1(p, x, s):
    h, = s
    z = sigma(x @ p["W_z_x"].T + p["b_z"])
    r, = gates(p, "r", x, h)
    n = tanh((r * h) @ p["W_n_rh"].T + tanh(x) + p["b_n"])
    return (n * z + h * (1 - z),)


def mut2(p, x, s):
    h, = s
    z, = gates(p, "z", x, h)
    r = sigma(x + h @ p["W_r_h"].T + p["b_r"])
    return (tanh(affine(p, "n", ("x", x), ("rh", r * h))) * z + h * (1 - z),)


def mut3(p, x, s):
    h, = s
    z = sigma(affine(p, "z", ("x", x), ("tanhh", tanh(h))))
    r, = gates(p, "r", x, h)
    return (tanh(affine(p, "n", ("x", x), ("rh", r * h))) * z + h * (1 - z),)


STEPS = {
    "rnn": rnn(tanh), "rnn_relu": rnn(lambda u: np.maximum(u, 0)), "rnn_sigmoid": rnn(sigma), "leaky_rnn": leaky_rnn,
    "irnn": rnn(lambda u: np.maximum(u, 0)), "residual_rnn": residual_rnn, "rnn_layernorm": rnn_layernorm,
    "gru_sheet": gru(False, "before"), "gru_simplified": gru(False, "none"), "gru_reset_before": gru(True, "before"),
    "gru_reset_after": gru(True, "after"), "mgu": mgu, "gru_layernorm": gru_layernorm, "lstm_cec": lstm_cec,
    "lstm": lstm(),
    "lstm_np": lstm(), "lstm_1997": lstm_1997, "lstm_peephole": lstm("vector"), "lstm_peephole_full": lstm("matrix"),
    "lstm_nig": lstm("vector", "i"), "lstm_nfg": lstm("vector", "f"), "lstm_nog": lstm("vector", "o"),
    "lstm_niaf": lstm("vector", linear_in=True), "lstm_noaf": lstm("vector", linear_out=True),
    "lstm_cifg": lstm("vector", coupled=True), "lstm_fgr": lstm_fgr, "lstm_cheatsheet": lstm_sheet(True),
    "lstm_week1": lstm_sheet(False), "lstm_layernorm": lstm_layernorm, "lstm_projection": lstm(project=True),
    "mut1": mut1,
    "mut2": mut2, "mut3": mut3,
}
