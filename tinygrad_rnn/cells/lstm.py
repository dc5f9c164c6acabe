"""Long short-term memory: a state c that is added to, and gates that guard it (Hochreiter and Schmidhuber 1997).

The lectures' update gate Gamma_u is i (u where their candidate resets), their Gamma_f is f, Gamma_o is o, Gamma_r is r,
their c~ is g (n where it resets), their a is h.
"""

from .cell import Cell
from .reference import Cited

LSTM = Cell("""
    i = sigmoid(W(x, h_prev) + b)
    f = sigmoid(W(x, h_prev) + b(1))
    g = tanh(W(x, h_prev) + b)
    o = sigmoid(W(x, h_prev) + b)
    c = f*c_prev + i*g
    h = o*tanh(c)""")
PEEPHOLE = LSTM.but("i = sigmoid(W(x, h_prev) + p*c_prev + b)", "f = sigmoid(W(x, h_prev) + p*c_prev + b(1))",
                    "o = sigmoid(W(x, h_prev) + p*c + b)")
CHEATSHEET = Cell("""
    u = sigmoid(W(x, h_prev) + b)
    r = sigmoid(W(x, h_prev) + b)
    f = sigmoid(W(x, h_prev) + b(1))
    o = sigmoid(W(x, h_prev) + b)
    n = tanh(W(x, r*h_prev) + b)
    c = u*n + f*c_prev
    h = o*c""")

CELLS: dict[str, Cited] = {
    "lstm_cec": Cited(Cell("""
        g = tanh(W(x, h_prev) + b)
        c = c_prev + g
        h = tanh(c)"""), "Hochreiter and Schmidhuber 1997, section 3.2: the constant error carousel, without gates"),
    "lstm": Cited(LSTM, "Gers 2000, with a forget gate; torch.nn.LSTM; the forget gate's bias starts at 1 (Jozefowicz "
                        "2015)"),
    "lstm_1997": Cited(LSTM.but("f =", "g = 4*sigmoid(W(x, h_prev) + b) - 2", "c = c_prev + i*g",
                                "h = o*(2*sigmoid(c) - 1)"),
                       "Hochreiter and Schmidhuber 1997, appendix A.1, equations 3 to 5 for the three squashings; "
                       "no forget gate"),
    "lstm_peephole": Cited(PEEPHOLE, "Gers and Schmidhuber 2000; Graves 2013, equations 7 to 11; Greff 2015, vanilla "
                                     "LSTM"),
    "lstm_peephole_full": Cited(LSTM.but("i = sigmoid(W(x, h_prev, c_prev) + b)",
                                         "f = sigmoid(W(x, h_prev, c_prev) + b(1))",
                                         "o = sigmoid(W(x, h_prev, c) + b)"),
                                "Ng, Sequence Models, week 1, peephole connection: c beside a and x under a full "
                                "matrix"),
    "lstm_cheatsheet": Cited(CHEATSHEET, "CS 230 sheet, LSTM column: the candidate resets, the output is not squashed"),
    "lstm_week1": Cited(CHEATSHEET.but("r =", "n = tanh(W(x, h_prev) + b)"),
                        "Ng, Sequence Models, week 1, LSTM: the output is not squashed"),
    "lstm_layernorm": Cited(LSTM.but("i = sigmoid(s(1)*layer_norm(W(h_prev)) + s2(1)*layer_norm(W(x)) + b)",
                                     "f = sigmoid(s(1)*layer_norm(W(h_prev)) + s2(1)*layer_norm(W(x)) + b(1))",
                                     "g = tanh(s(1)*layer_norm(W(h_prev)) + s2(1)*layer_norm(W(x)) + b)",
                                     "o = sigmoid(s(1)*layer_norm(W(h_prev)) + s2(1)*layer_norm(W(x)) + b)",
                                     "h = o*tanh(s(1)*layer_norm(c) + b)"),
                            "Ba 2016, supplementary material, equations 20 to 22; here each gate is normalised over "
                            "its own "
                            "units"),
    "lstm_projection": Cited(LSTM.but("m = o*tanh(c)", "h = W(m)", widths={"h": "H//2"}),
                             "Sak 2014, LSTMP: the recurrent state is a projection; torch.nn.LSTM(proj_size=...)"),
}
ALIASES = {"lstm_np": "lstm"}
