"""Cells drawn from the algebra: any seed gives one, with most of what the language has."""

from __future__ import annotations

import random
import re

from tinygrad_rnn.cells import Cell

UNARY = ("tanh", "sigmoid", "relu", "softplus", "layer_norm", "mean", "squash", "exp", "log", "sqrt", "step")


def random_cell(seed: int, stops: bool = True) -> Cell:
    """A cell of three to six rows; `stops`: may contain stop-gradients."""
    return _Draw(random.Random(seed), stops).cell(seed)


class _Draw:
    def __init__(self, r: random.Random, stops: bool) -> None:
        self.r, self.stops = r, stops
        self.products = 4                       # keeps cells small

    def cell(self, seed: int) -> Cell:
        r = self.r
        states = r.sample(["h", "c", "q"], r.randint(1, 3))
        deep = r.choice(states)
        past = [f"{s}_prev" for s in states] + ([f"{deep}_prev({r.choice(['2', '3', 'k'])})"] if r.random() < 0.4
                                                else [])
        rows: list[tuple[str, str]] = []
        for name in ("u", "v", *states):
            names = ["m", *past, *(n for n, _ in rows)]
            inner = self.expression(names, 3)
            rows.append((name, f"tanh({inner})" if r.random() < 0.8 else inner))
        narrow = r.random() < 0.4               # a row of another width, read through matrices alone
        widths = {"w": "H//2 + 1"} if narrow else {}
        if narrow:
            rows.append(("w", f"tanh(W({r.choice(past)}, x) + b)"))
        terms = [n for n, _ in rows if n != "w"] + ["W2(w, w_prev)"] * narrow
        rows.append(("y", f"{' + '.join(terms)} + 0.1*{'*'.join(past)} + a*m + p*y_prev"))
        order = rows[:-1]
        r.shuffle(order)
        text = "\n".join(["squash(e) = 4*sigmoid(e)*e - e/2", *(f"{n} = {e}" for n, e in [*order, rows[-1]])])
        constants = {name: value for name, value in (("a", 0.3), ("k", 2), ("d", -0.7)) if _reads(text, name)}
        if "squash(" not in text.partition("\n")[2]:
            text = text.partition("\n")[2]
        return Cell(text, inputs="x m", widths=widths, name=f"random_{seed}", **constants)

    def expression(self, names: list[str], depth: int) -> str:
        r, k = self.r, self.r.random()
        if depth == 0 or k < 0.12:
            return r.choice(names)

        def e() -> str:
            return self.expression(names, depth - 1)
        if k < 0.42:
            return f"({e()} {r.choice('+-*')} {e()})"
        if k < 0.62:
            return self.called(r.choice(UNARY + ("stop",) * self.stops), e())
        if k < 0.67:
            return f"({e()}/(2 + ({e()})**2))"
        if k < 0.72:
            return f"(({e()})**{r.randint(1, 3)})"
        if k < 0.82:
            return f"({r.choice(['2', '0.5', '(1 - a)', 'd', 'b', 'p', 's(1)', 'b2(-0.5)', '-'])}*{e()})".replace("-*",
                                                                                                                  "-")
        if self.products > 0:
            self.products -= 1
            arguments = [*dict.fromkeys([e() for _ in range(r.randint(1, 2))]), *["x"] * r.randint(0, 1)]
            return f"tanh({r.choice(['W', 'W', 'W3'])}({', '.join(arguments)}) + b)"
        return f"tanh({e()})"

    def called(self, name: str, e: str) -> str:
        """A function where it is smooth and finite."""
        inside = {"exp": f"tanh({e})", "log": f"1 + ({e})**2", "sqrt": f"1 + ({e})**2", "layer_norm": f"{e} + 0.5*m"}
        return f"{name}({inside.get(name, e)})"


def _reads(text: str, name: str) -> bool:
    return re.search(rf"(?<![A-Za-z0-9_]){name}(?![A-Za-z0-9_(])", text) is not None
