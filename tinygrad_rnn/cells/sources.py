"""What lectures and papers call our symbols, as a table; `page()` makes docs/notation.md of it.

    python -m tinygrad_rnn.cells.sources > docs/notation.md

Every row is checked by a test: what stands on our side exists in that cell, and what is said of gates holds in numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from .catalogue import catalogue, references


class Meaning(NamedTuple):
    """A source's symbol in a cell of the catalogue: row, state, input, parameter; several where theirs is stacked."""

    theirs: str             # LaTeX
    cell: str
    ours: tuple[str, ...]
    note: str = ""


class Source(NamedTuple):
    """A lecture, book, paper or library and its symbols."""

    title: str
    symbols: tuple[Meaning, ...]


def _meanings(cell: str, *pairs: tuple[str, str] | tuple[str, str, str]) -> tuple[Meaning, ...]:
    return tuple(Meaning(theirs, cell, tuple(ours.split()), *note) for theirs, ours, *note in pairs)


SOURCES = (
    Source("CS 230 sheet, Recurrent Neural Networks", (
        *_meanings("rnn", (r"x^{\langle t\rangle}", "x"), (r"a^{\langle t\rangle}", "h"),
                   (r"a^{\langle t-1\rangle}", "h_prev"),
                   ("W_{aa}", "W_h_h"), ("W_{ax}", "W_h_x"), ("b_a", "b_h")),
        *_meanings("gru_sheet", (r"\Gamma_u", "z"), (r"\Gamma_r", "r", "relevance gate"),
                   (r"\tilde c^{\langle t\rangle}", "n"),
                   (r"c^{\langle t\rangle} = a^{\langle t\rangle}", "h"),
                   (r"W \text{ of } \Gamma_u", "W_z_x", "W multiplies x"),
                   (r"U \text{ of } \Gamma_u", "W_z_h", "U multiplies the state")),
        *_meanings("lstm_cheatsheet", (r"\Gamma_u", "u"), (r"\Gamma_r", "r"), (r"\Gamma_f", "f"), (r"\Gamma_o", "o"),
                   (r"\tilde c^{\langle t\rangle}", "n"), (r"c^{\langle t\rangle}", "c"),
                   (r"a^{\langle t\rangle}", "h", "c is not squashed")))),
    Source("Ng, Sequence Models, week 1", (
        *_meanings("rnn", (r"a^{\langle t\rangle}", "h"), ("W_a = [W_{aa} | W_{ax}]", "W_h_h W_h_x", "side by side"),
                   ("b_a", "b_h")),
        *_meanings("gru_simplified", (r"\Gamma_u", "z"), ("W_u", "W_z_h W_z_x"), ("W_c", "W_n_h W_n_x"),
                   ("b_u", "b_z")),
        *_meanings("gru_sheet", (r"\Gamma_r", "r"), ("W_c", "W_n_rh W_n_x")),
        *_meanings("lstm_week1", (r"\Gamma_u", "u"), (r"\Gamma_f", "f"), (r"\Gamma_o", "o"),
                   (r"\tilde c^{\langle t\rangle}", "n"), ("W_c", "W_n_h W_n_x"), (r"c^{\langle t\rangle}", "c"),
                   (r"a^{\langle t\rangle}", "h")),
        *_meanings("lstm_peephole_full", ("W_u", "W_i_h W_i_c W_i_x", "with the peephole connection")))),
    Source("Goodfellow, Bengio and Courville, Deep Learning, chapter 10", (
        *_meanings("rnn", ("h^{(t)}", "h"), ("U", "W_h_x", "U multiplies x: the other way round than the sheet"),
                   ("W", "W_h_h"), ("b", "b_h")),
        *_meanings("lstm", ("s^{(t)}", "c", "s is the state of the cell"), ("g^{(t)}", "i", "g is the input gate"),
                   ("f^{(t)}", "f"), ("q^{(t)}", "o"), ("h^{(t)}", "h"), ("U^f", "W_f_x"), ("W^f", "W_f_h")))),
    Source("Britz, Recurrent Neural Networks Tutorial", (
        *_meanings("rnn", ("s_t", "h", "s is the hidden state"), ("U", "W_h_x"), ("W", "W_h_h")),
        *_meanings("gru_reset_before", ("s_t", "h"), ("h", "n", "h is the candidate"), ("U^z", "W_z_x"),
                   ("W^z", "W_z_h")))),
    Source("CS 224n, notes on language models and RNNs", (
        *_meanings("rnn_sigmoid", ("h_t", "h"), ("W^{(hh)}", "W_h_h"), ("W^{(hx)}", "W_h_x")),
        *_meanings("gru_reset_after", (r"\tilde h_t", "n", r"r_t \circ U h_{t-1}: after the product"),
                   ("W^{(z)}", "W_z_x"),
                   ("U^{(z)}", "W_z_h")))),
    Source("Hochreiter and Schmidhuber 1997", _meanings(
        "lstm_1997", ("s_c", "c"), ("y^{in}", "i"), ("y^{out}", "o"), ("y^{c}", "h"))),
    Source("Graves 2013, equations 7 to 11", _meanings(
        "lstm_peephole", ("W_{xi}", "W_i_x"), ("W_{hi}", "W_i_h"), ("W_{ci}", "p_i", "diagonal, so a vector"),
        ("b_i", "b_i"))),
    Source("Cho 2014, equations 5 to 8", _meanings(
        "gru_reset_before", ("r", "r"), ("z", "z"), (r"\tilde h", "n"), ("h", "h"), ("W_r", "W_r_x"), ("U_r", "W_r_h"),
        ("W", "W_n_x"), ("U", "W_n_rh"))),
    Source("Chung 2014", _meanings("gru_sheet", ("z", "z"), (r"\tilde h", "n"), ("W_z", "W_z_x"), ("U_z", "W_z_h"))),
    Source("Greff 2015", _meanings(
        "lstm_peephole", ("z", "g", "z is the block input"), ("i", "i"), ("f", "f"), ("o", "o"), ("c", "c"), ("y", "h"),
        ("W_z", "W_g_x"), ("R_z", "W_g_h", "R for recurrent"), ("p_f", "p_f"), ("b_z", "b_g"))),
    Source("Jozefowicz 2015", _meanings(
        "mut1", ("z", "z"), ("r", "r"), ("W_{xz}", "W_z_x"), ("W_{hr}", "W_r_h"), ("W_{hh}", "W_n_rh"),
        ("b_h", "b_n"))),
    Source("torch.nn", (
        *_meanings("rnn", ("W_{ih}", "W_h_x"), ("W_{hh}", "W_h_h"), ("b_{ih} + b_{hh}", "b_h")),
        *_meanings("lstm", ("W_{ii}", "W_i_x"), ("W_{hi}", "W_i_h"), ("b_{ii} + b_{hi}", "b_i"), ("g_t", "g"),
                   ("c_t", "c")),
        *_meanings("gru_reset_after", ("W_{in}", "W_n_x"), ("W_{hn}", "W_n_h"), ("b_{in}", "b_n"), ("b_{hn}", "b2_n"),
                   ("b_{ir} + b_{hr}", "b_r")))),
)

# Which cell a gate stands in, and what an open gate does there: z = 1.
UPDATE_GATES = (
    ("CS 230 sheet; Ng; Chung 2014", "gru_sheet", "overwrites: h = n"),
    ("Cho 2014; Britz", "gru_reset_before", "keeps: h = h_prev"),
    ("CS 224n; cuDNN, torch.nn.GRU", "gru_reset_after", "keeps: h = h_prev"),
    ("Jozefowicz 2015, its mutants", "mut1", "overwrites: h = n"),
)
# What closing the reset gate, r = 0, takes away from the candidate.
RESET_GATES = (
    ("CS 230 sheet; Ng; Cho 2014; Chung 2014", "gru_sheet", "before the product", "W(x, r*h_prev)"),
    ("CS 224n; cuDNN, torch.nn.GRU", "gru_reset_after", "after the product", "r*(W(h_prev) + b2)"),
)
# i, f of an LSTM and what becomes of its c (Grosse, Toronto CSC 321).
MEMORY = ((0, 1, "remember: c = c_prev"), (1, 1, "add: c = c_prev + g"), (0, 0, "erase: c = 0"),
          (1, 0, "overwrite: c = g"))
GATE_ROLES = (
    ("update gate", r"\Gamma_u", "how much of the candidate enters the memory",
     (("gru_sheet", "z"), ("lstm_cheatsheet", "u"))),
    ("relevance gate (reset gate)", r"\Gamma_r", "how much of the past the candidate sees",
     (("gru_sheet", "r"), ("lstm_cheatsheet", "r"))),
    ("forget gate", r"\Gamma_f", "how much of the memory stays", (("lstm_cheatsheet", "f"),)),
    ("output gate", r"\Gamma_o", "how much of the memory is shown", (("lstm_cheatsheet", "o"),)),
)
PROS_AND_CONS = (
    ("takes sequences of any length", "slow: step t waits for step t - 1"),
    ("its size does not grow with the length", "what happened long ago is hard to reach"),
    ("uses what came before", "cannot use what comes after (unless it runs both ways)"),
    ("shares its weights over time", ""),
)


def page() -> str:
    """The tables as one page of Markdown."""
    cells = catalogue()
    parts = ["# Cells: which source calls what how", "",
             "Made by `python -m tinygrad_rnn.cells.sources`; do not edit. Ours: `x` input, `h` hidden state, `c` "
             "cell, `i f g o` gates and candidate of an LSTM, `z r n` update gate, reset gate and candidate of a GRU; "
             "`W_i_h` is the matrix in row `i` that multiplies `h_prev`.", ""]
    for source in SOURCES:
        parts += [f"## {source.title}", "", _table(("theirs", "cell", "ours", ""), (
            (f"${m.theirs}$", f"`{m.cell}`", ", ".join(f"`{name}`" for name in m.ours), m.note)
            for m in source.symbols)), ""]
    parts += ["## Both signs of z", "", _table(("source", "cell", "an open gate, z = 1,"), (
        (who, f"`{cell}`", what) for who, cell, what in UPDATE_GATES)), ""]
    parts += ["## Both resets", "", _table(("source", "cell", "r resets", "in the candidate"), (
        (who, f"`{cell}`", when, f"`{where}`") for who, cell, when, where in RESET_GATES)), ""]
    parts += ["## What the gates are for", "", _table(("gate", "in the sheet", "role", "here"), (
        (gate, f"${symbol}$", role, ", ".join(f"`{row}` in `{cell}`" for cell, row in where))
        for gate, symbol, role, where in GATE_ROLES)), ""]
    parts += ["## What two gates make of a memory", "", _table(("i", "f", "c"), MEMORY), ""]
    parts += ["## Recurrent networks, for and against", "", _table(("for", "against"), PROS_AND_CONS), ""]
    parts += ["## The catalogue", "", _table(("cell", "states", "from"), (
        (f"`{name}`", ", ".join(f"`{s}`" for s in cell.states), references()[name])
        for name, cell in cells.items())), ""]
    return "\n".join(parts)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(c).replace("|", r"\|") for c in line) + " |" for line in lines)


if __name__ == "__main__":
    print(page(), end="")
