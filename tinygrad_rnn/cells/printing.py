"""Symbols as text: in the language of cells, as equations with a time index, and as LaTeX.

One walk, three styles.  A style knows how leaves, products, calls and operators are written; the walk knows only which
operator binds how tightly.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from .language import number_text
from .symbols import Symbol

SUM, TERM, SIGN, POWER, ATOM = range(1, 6)      # how tightly the outermost operator of a text binds
# Operators: how tightly each binds, what may stand bare on its left, on its right.
_BINDS = {"add": (SUM, SUM, SUM + 1), "subtract": (SUM, SUM, SUM + 1), "multiply": (TERM, TERM, TERM + 1),
          "divide": (TERM, TERM, TERM + 1)}


class Code:
    """The language itself: sigmoid(W(x, h_prev) + p*c_prev + b(1))."""

    signs = {"add": " + ", "subtract": " - ", "multiply": "*", "divide": "/", "negative": "-"}
    binds = _BINDS

    def __init__(self, names: Mapping[Symbol, str] | None = None) -> None:
        self.names = names or {}

    def text(self, node: Symbol, level: int = 0) -> str:
        """The symbol as text, in brackets where it binds less tightly than `level`."""
        text, own = self.written(node)
        return text if own >= level else self.bracketed(text)

    def written(self, node: Symbol) -> tuple[str, int]:
        """The symbol as text, and how tightly it binds."""
        if node in self.names:
            return self.names[node], ATOM
        if node.op == "number":
            return self.number(node.data), ATOM if node.data >= 0 else SIGN
        if not node.args:
            return self.leaf(node), ATOM
        if node.op in self.binds:
            own, left, right = self.binds[node.op]
            return self.binary(node.op, self.text(node.args[0], left), self.text(node.args[1], right)), own
        if node.op == "negative":
            return self.signs["negative"] + self.text(node.args[0], SIGN), SIGN
        if node.op == "pow":
            return self.power(self.text(node.args[0], ATOM), self.text(node.args[1], ATOM)), POWER
        if node.op == "product":
            return self.product(node)
        return self.call(node)

    def binary(self, op: str, left: str, right: str) -> str:
        """left + right."""
        return f"{left}{self.signs[op]}{right}"

    def bracketed(self, text: str) -> str:
        """(text)."""
        return f"({text})"

    def number(self, value: float) -> str:
        """A number."""
        return number_text(value)

    def leaf(self, node: Symbol) -> str:
        """A name."""
        if node.op == "state":
            return f"{node.data.row}_prev" + (f"({node.data.word or node.data.lag})"
                                              if node.data.word or node.data.lag > 1 else "")
        if node.op == "vector":
            start = "" if node.data.start is None else f"({number_text(node.data.start)})"
            return f"{node.data.letter}{start}"
        return str(node.data)

    def power(self, base: str, exponent: str) -> str:
        """base to the exponent."""
        return f"{base}**{exponent}"

    def product(self, node: Symbol) -> tuple[str, int]:
        """W(x, h_prev)."""
        return f"{node.data.letter}({', '.join(map(self.text, node.args))})", ATOM

    def call(self, node: Symbol) -> tuple[str, int]:
        """A function's name and its arguments."""
        return f"{called(node)}({', '.join(map(self.text, node.args))})", ATOM


class Plain(Code):
    """Equations with a time index, i_t = sigmoid(W_i_x x_t + W_i_h h_{t-1} + b_i), without needless brackets."""

    signs = {"add": " + ", "subtract": " - ", "multiply": " * ", "divide": " / ", "negative": "-"}
    binds = {**_BINDS, "add": (SUM, SUM, SUM), "multiply": (TERM, TERM, TERM)}

    def written(self, node: Symbol) -> tuple[str, int]:
        """The symbol as text; u * u as a square."""
        if node.op == "multiply" and node.args[0] is node.args[1] and node not in self.names:
            return self.power(self.text(node.args[0], ATOM), "2"), POWER
        return super().written(node)

    def indexed(self, name: str, lag: int = 0) -> str:
        """A name at step t - lag."""
        return f"{name}_{{t-{lag}}}" if lag else f"{name}_t"

    def gradient(self, name: str, lag: int = 0) -> str:
        """The derivative of the loss with respect to a name at step t - lag."""
        return f"delta {self.indexed(name, lag)}"

    def loss(self, name: str) -> str:
        """The derivative of the loss that comes from outside."""
        return f"dL/d{self.indexed(name)}"

    def learned_gradient(self, name: str) -> str:
        """The derivative of the loss with respect to a parameter."""
        return f"delta {name}"

    def outer(self, g: str, source: str) -> str:
        """g times the transposed source."""
        return f"{g} {source}^T"

    def matrix(self, name: str, transposed: bool = False) -> str:
        """A matrix by the name of its parameter."""
        return name + "^T" * transposed

    def learned(self, name: str) -> str:
        """A learned vector by the name of its parameter."""
        return name

    def leaf(self, node: Symbol) -> str:
        """A name at its time."""
        if node.op in ("input", "row"):
            return self.indexed(node.data)
        if node.op == "state":
            return self.indexed(node.data.row, node.data.lag)
        if node.op == "vector":
            return self.learned(node.data.parameter)
        if node.op == "cotangent":
            return self.gradient(node.data)
        return self.constant(node.data)

    def constant(self, name: str) -> str:
        """A constant, or an argument of a function: no time index."""
        return name

    def power(self, base: str, exponent: str) -> str:
        """base to the exponent."""
        return f"{base}^{exponent}"

    def product(self, node: Symbol) -> tuple[str, int]:
        """W_i_x x_t + W_i_h h_{t-1}."""
        return self._sum([f"{self.matrix(name)} {self.text(a, ATOM)}" for name,
                          a in zip(node.data.parameters, node.args)])

    def call(self, node: Symbol) -> tuple[str, int]:
        """A function, or what stands in derivatives alone."""
        if node.op == "transposed":
            return self._sum([f"{self.matrix(name, True)} {self.text(a, ATOM)}" for name,
                              a in zip(node.data, node.args)])
        if node.op == "pull":
            g, _, *values = map(self.text, node.args)
            return f"{self.function(node.data[0].name)}.pull_{node.data[1] + 1}({g}; {', '.join(values)})", ATOM
        return self.applied(called(node), list(map(self.text, node.args))), ATOM

    def function(self, name: str) -> str:
        """The name of a function."""
        return name

    def applied(self, name: str, args: list[str]) -> str:
        """A function and its arguments."""
        return f"{self.function(name)}({', '.join(args)})"

    def _sum(self, terms: list[str]) -> tuple[str, int]:
        return " + ".join(terms), SUM if len(terms) > 1 else TERM

    def equation(self, left: str, right: str, sign: str = "=") -> str:
        """left = right."""
        return f"{left} {sign} {right}"

    def block(self, lines: list[str]) -> str:
        """Equations one below the other."""
        return "\n".join(lines)


class Latex(Plain):
    r"""The same as LaTeX: i_t &= \sigma(W_{ix} x_t + W_{ih} h_{t-1} + b_{i})."""

    signs = {"add": " + ", "subtract": " - ", "multiply": r" \odot ", "divide": " / ", "negative": "-"}
    functions = {"tanh": r"\tanh", "sigmoid": r"\sigma", "relu": r"\operatorname{ReLU}", "exp": r"\exp", "log": r"\log",
                 "layer_norm": r"\operatorname{LN}", "step": r"\mathbb{1}_{>0}"}

    def name(self, name: str) -> str:
        """A single letter as it is, a word upright, digits at the end as they are."""
        name = name.replace("_", r"\_")
        return name if re.fullmatch(r"[A-Za-z]\d*'*", name) else rf"\mathrm{{{name}}}"

    def indexed(self, name: str, lag: int = 0) -> str:
        """A name at step t - lag."""
        bare = name.rstrip("'")
        return self.name(bare) + name[len(bare):] + (f"_{{t-{lag}}}" if lag else "_t")

    def gradient(self, name: str, lag: int = 0) -> str:
        """The derivative of the loss with respect to a name at step t - lag."""
        return rf"\delta {self.indexed(name, lag)}"

    def loss(self, name: str) -> str:
        """The derivative of the loss that comes from outside."""
        return rf"\frac{{\partial L}}{{\partial {self.indexed(name)}}}"

    def learned_gradient(self, name: str) -> str:
        """The derivative of the loss with respect to a parameter."""
        return rf"\delta {self.learned(name)}"

    def outer(self, g: str, source: str) -> str:
        """g times the transposed source."""
        return rf"{g}\, {source}^{{\top}}"

    def matrix(self, name: str, transposed: bool = False) -> str:
        """W_i_h as W_{ih}, W_n_rh as W_{n,rh}."""
        return self.learned(name) + r"^{\top}" * transposed

    def learned(self, name: str) -> str:
        """b_i as b_{i}."""
        letter, *indices = name.split("_")
        separator = "" if all(len(k) == 1 for k in indices) else ","
        return f"{letter}_{{{separator.join(indices)}}}"

    def constant(self, name: str) -> str:
        """A constant."""
        return self.name(name)

    def bracketed(self, text: str) -> str:
        """(text), brackets growing with it."""
        return rf"\left({text}\right)"

    def number(self, value: float) -> str:
        """A number; powers of ten as such."""
        mantissa, _, exponent = number_text(value).partition("e")
        if not exponent:
            return mantissa
        return ("" if mantissa == "1" else rf"{mantissa} \cdot ") + f"10^{{{int(exponent)}}}"

    def power(self, base: str, exponent: str) -> str:
        """base to the exponent."""
        return f"{{{base}}}^{{{exponent}}}"

    def binary(self, op: str, left: str, right: str) -> str:
        r"""left \odot right; beside a number no sign is needed; quotients as fractions."""
        if op == "divide":
            return rf"\frac{{{left}}}{{{right}}}"
        if op == "multiply" and re.fullmatch(r"[\d.]+", left) and not right[0].isdigit():
            return rf"{left}\,{right}"
        return super().binary(op, left, right)

    def function(self, name: str) -> str:
        """The name of a function."""
        return self.functions.get(name) or rf"\operatorname{{{name.replace('_', chr(92) + '_')}}}"

    def applied(self, name: str, args: list[str]) -> str:
        """A function and its arguments; roots and means have signs of their own."""
        if name == "sqrt":
            return rf"\sqrt{{{args[0]}}}"
        if name == "mean":
            return rf"\overline{{{args[0]}}}"
        return rf"{self.function(name)}\left({', '.join(args)}\right)"

    def equation(self, left: str, right: str, sign: str = "=") -> str:
        """left &= right."""
        return f"{left} &{'{+}=' if sign == '+=' else sign} {right}"

    def block(self, lines: list[str]) -> str:
        """Equations one below the other, aligned at their signs."""
        return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"


def called(node: Symbol) -> str:
    """The name under which a node's operation is called."""
    return str(node.data) if node.op == "call" else node.op.strip("_")


def code(node: Symbol) -> str:
    """A symbol in the language of cells."""
    return Code().text(node)


def sketch(node: Symbol, depth: int = 5) -> str:
    """A symbol in the language, what lies deeper left out: for repr."""
    below = [node]
    for _ in range(depth):
        below = list(dict.fromkeys(a for n in below for a in n.args))
    return Code({n: "..." for n in below if n.args}).text(node)
