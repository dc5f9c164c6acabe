"""Answers to the exercises of chapter 6."""


def other_sign(W_z_x, W_z_h, b_z):
    """1 - sigmoid(a) = sigmoid(-a)."""
    return [-W_z_x, -W_z_h, -b_z]


def slow_and_fast():
    """m stands without _prev in the second row, so it is read at the same step."""
    return """
        constants: a=0.95
        m = (1 - a)*W(x) + a*m_prev
        h = sigmoid(W(m, x, h_prev) + b)"""


def fair_width(cell, D, budget):
    """Doubling, then halving the interval; the count grows with the width."""
    low, high = 0, 1
    while cell.parameter_count(D, high) <= budget:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if cell.parameter_count(D, middle) <= budget else (low, middle)
    return low
