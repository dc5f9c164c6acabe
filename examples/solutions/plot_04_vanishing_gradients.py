"""Answers to the exercises of chapter 4."""

import math

import numpy as np


def state_jacobian(W_h, h):
    """diag(1 - h_t^2) W_h for each step, the last one leftmost."""
    product = np.eye(len(W_h))
    for h_t in h[1:]:
        product = (1 - h_t ** 2)[:, None] * W_h @ product
    return product


def strength_to_flip(w):
    """Slope 1: w (1 - h^2) = 1. There h is a rest: artanh(h) = w h + x, which gives x."""
    h = math.sqrt(1 - 1 / w)
    return w * h - math.atanh(h)


def forget_bias(n):
    """f^n = 1/2, and b is the logit of f. For n = 100 it is 4.97."""
    f = 0.5 ** (1 / n)
    return math.log(f / (1 - f))
