"""Gated recurrent units: a state that is kept or overwritten by a gate (Cho 2014).

Four of them are all printed as "the" GRU.  Two things differ: whether r resets the state before the product with the
matrix or its result after it, and whether z stands at the candidate n (open: overwrite) or at the old state (open:
keep). The lectures' update gate Gamma_u is z, their relevance gate Gamma_r is r, their c~ is n; their c and a are both
h.
"""

from .cell import Cell
from .reference import Cited

SHEET = Cell("""
    r = sigmoid(W(x, h_prev) + b)
    z = sigmoid(W(x, h_prev) + b)
    n = tanh(W(x, r*h_prev) + b)
    h = z*n + (1 - z)*h_prev""")
RESET_BEFORE = SHEET.but("h = (1 - z)*n + z*h_prev")

CELLS: dict[str, Cited] = {
    "gru_sheet": Cited(SHEET, "CS 230 sheet, GRU column; Ng, Sequence Models, week 1, full GRU; Chung 2014: reset "
                              "before the "
                              "product, z at the candidate"),
    "gru_simplified": Cited(SHEET.but("r =", "n = tanh(W(x, h_prev) + b)"),
                            "Ng, Sequence Models, week 1, GRU (simplified): no relevance gate"),
    "gru_reset_before": Cited(RESET_BEFORE, "Cho 2014, equations 5 to 8: reset before the product, z at the old state"),
    "gru_reset_after": Cited(RESET_BEFORE.but("n = tanh(W(x) + b + r*(W(h_prev) + b2))"),
                             "cuDNN and torch.nn.GRU: reset after the product, z at the old state"),
    "mgu": Cited(Cell("""
        f = sigmoid(W(x, h_prev) + b)
        n = tanh(W(x, f*h_prev) + b)
        h = (1 - f)*h_prev + f*n"""), "Zhou 2016, minimal gated unit: one gate for both"),
    "gru_layernorm": Cited(Cell("""
        r = sigmoid(s(1)*layer_norm(W(h_prev)) + s2(1)*layer_norm(W(x)) + b)
        z = sigmoid(s(1)*layer_norm(W(h_prev)) + s2(1)*layer_norm(W(x)) + b)
        n = tanh(s2(1)*layer_norm(W(x)) + b + r*(s(1)*layer_norm(W(h_prev)) + b2))
        h = (1 - z)*h_prev + z*n"""), "Ba 2016, supplementary material: GRU, each gate normalised over its own units"),
}
ALIASES: dict[str, str] = {}
