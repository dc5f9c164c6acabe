"""Cells that a search found (Jozefowicz 2015): mutations of the GRU, z at the candidate.

`mut1` and `mut2` add x itself to units of the state, so the input must be as wide as the state: D = H.
"""

from .cell import Cell
from .reference import Cited

MUT1 = Cell("""
    z = sigmoid(W(x) + b)
    r = sigmoid(W(x, h_prev) + b)
    n = tanh(W(r*h_prev) + tanh(x) + b)
    h = z*n + (1 - z)*h_prev""")

CELLS: dict[str, Cited] = {
    "mut1": Cited(MUT1, "Jozefowicz 2015, MUT1"),
    "mut2": Cited(MUT1.but("z = sigmoid(W(x, h_prev) + b)", "r = sigmoid(x + W(h_prev) + b)",
                           "n = tanh(W(x, r*h_prev) + b)"), "Jozefowicz 2015, MUT2"),
    "mut3": Cited(MUT1.but("z = sigmoid(W(x, tanh(h_prev)) + b)", "n = tanh(W(x, r*h_prev) + b)"),
                  "Jozefowicz 2015, MUT3"),
}
ALIASES: dict[str, str] = {}
