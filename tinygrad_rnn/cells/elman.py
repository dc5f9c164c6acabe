"""Simple recurrent networks: one row that reads its own past (Elman 1990), and what was made of it.

In the lectures: a_t = g(W_aa a_{t-1} + W_ax x_t + b_a), or s_t = tanh(U x_t + W s_{t-1}).
"""

from .cell import Cell
from .reference import Cited

RNN = Cell("h = tanh(W(x, h_prev) + b)")

CELLS: dict[str, Cited] = {
    "rnn": Cited(RNN, "Elman 1990, simple recurrent network; CS 230 sheet, a_t with g_1 = tanh; Goodfellow 2016, "
                      "equations 10.8 and 10.9"),
    "rnn_relu": Cited(RNN.but("h = relu(W(x, h_prev) + b)"), "Le 2015, with W_h_h = identity at the start the IRNN"),
    "rnn_sigmoid": Cited(RNN.but("h = sigmoid(W(x, h_prev) + b)"), "Elman 1990, with the logistic function"),
    "leaky_rnn": Cited(Cell("""
        n = tanh(W(x, h_prev) + b)
        h = (1 - a)*h_prev + a*n""", a=0.3), "Jaeger 2007, leaky integration with rate a"),
    "residual_rnn": Cited(RNN.but("h = h_prev(k) + tanh(W(x, h_prev) + b)", k=2),
                          "Lin 1996, a connection over k steps; He 2016, as a sum: the gradient skips k - 1 steps"),
    "rnn_layernorm": Cited(RNN.but("h = tanh(s(1)*layer_norm(W(x, h_prev)) + b)"), "Ba 2016, equation 4"),
}
ALIASES = {"irnn": "rnn_relu"}
