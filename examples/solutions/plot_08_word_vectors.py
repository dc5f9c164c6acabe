"""Answers to the exercises of chapter 8."""

import numpy as np


def noise_distribution(counts, exponent):
    """With exponent 1 words are noise as often as they occur, with 0 all alike."""
    weight = counts ** exponent
    return weight / weight.sum()


def gradients(x, o, labels):
    """Each output pulls by how wrong it was."""
    wrong = 1 / (1 + np.exp(-(o @ x))) - labels
    return [wrong @ o, np.outer(wrong, x)]


def optimum(joint, K):
    """Setting the slope to zero: sigma / (1 - sigma) = p(t, c) / (K p(t) p(c)), and the score is its logarithm."""
    return np.log(joint / (joint.sum(1, keepdims=True) * joint.sum(0))) - np.log(K)
