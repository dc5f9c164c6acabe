"""Answers to the exercises of chapter 20."""

import numpy as np

from tinygrad_rnn.autograd import custom, hvp, vjp


def diagonal(fn, x):
    """All ones: outside the diagonal there is nothing that could be added to it."""
    return vjp(fn, x)[1](np.ones(x.shape))[0]


def hutchinson(fn, x, signs):
    """E[v_i v_j] is 1 for i = j and 0 otherwise, so that of v . H v the diagonal remains."""
    return float(np.mean([v @ hvp(fn, x, v).numpy() for v in signs]))


def straight_through(x):
    """A rule is what one says it is; no check would call this one right."""
    return custom(np.round, lambda g, _y, _x: (g,), name="straight_through")(x)
