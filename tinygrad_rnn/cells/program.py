"""The rows of a cell as Python code, run on whatever values it is given: Tensors, arrays or symbols.

Each row is compiled once from its checked syntax tree, in a made-up file that holds the cell's text: a traceback and
the debugger show the equation.  In the code a function is called by its name with brackets, `exp()`, which no row can
have, so that a row named exp hides nothing.
"""

from __future__ import annotations

import ast
import hashlib
import linecache
from collections.abc import Callable, Mapping, Sequence
from types import CodeType
from typing import Any, cast

from .functions import FUNCTIONS, STEPS
from .language import MATRIX, VECTOR, called
from .rows import Function, Row
from .symbols import State, Symbol, Vector


class Program:
    """Functions and rows, compiled; the rows in the order in which they can be computed.

    Parameters
    ----------
    text : str
        What the made-up file shows.
    name : str
        Of the cell, for the file's name.
    functions, rows : mappings in the order of the text
    order : sequence of str
        Names of the rows, each after those that it reads.
    lags : mapping of str to int
        The constants that name a lag.
    """

    def __init__(self, text: str, name: str, functions: Mapping[str, Function], rows: Mapping[str, Row],
                 order: Sequence[str], lags: Mapping[str, int]) -> None:
        self._lines = [line + "\n" for line in text.splitlines()]
        self.filename = f"<cell {name} {hashlib.sha256(text.encode()).hexdigest()[:8]}>"
        self._lags = lags
        first = len(self._lines) - len(rows) - len(functions)
        self._functions = {f"{f.name}()": self._compiled(str(f), first + k + 1, f.arguments)
                           for k, f in enumerate(functions.values())}
        first += len(functions)
        place = {name: first + k + 1 for k, name in enumerate(rows)}
        self._rows = [(rows[name], self._compiled(str(rows[name]), place[name], None)) for name in order]
        self._called = {f"{name}()": function for name, function in FUNCTIONS.items()}

    def run(self, values: Mapping[str, Any], vector: Callable[[Vector], Any],
            product: Callable[[Symbol, tuple[Any, ...]], Any], number: Callable[[float], Any],
            seen: Callable[[str, Any], Any] = lambda name, value: value) -> dict[str, Any]:
        """Compute every row.

        Parameters
        ----------
        values : mapping
            Inputs and constants by name, earlier states by `State.name`.
        vector : callable
            vector(Vector) -> its value.
        product : callable
            product(symbol of the W(...), values of its arguments) -> its value.
        number : callable
            number(float) -> a number of the text as argument of a function; numbers elsewhere are Python's own.

        seen : callable
            seen(row, its value) -> what other rows see of it.

        Returns
        -------
        dict
            {row: value}
        """
        found = {}
        scope: dict[str, Any] = {"__builtins__": {}, **self._called,
                                 **{f"{n}()": s.primitive for n, s in STEPS.items()},
                                 **values, "number()": number}
        scope.update({name: eval(code, scope) for name, code in self._functions.items()})
        for row, code in self._rows:
            for v in row.vectors:
                scope[v.letter] = vector(v)
            scope["W()"] = lambda k, *args, row=row: product(row.products[k], args)
            found[row.name] = eval(code, scope)
            scope[row.name] = seen(row.name, found[row.name])
        return found

    def show(self) -> None:
        """Let tracebacks and the debugger find the text."""
        linecache.cache[self.filename] = (sum(map(len, self._lines)), None, self._lines, self.filename)

    def _compiled(self, line: str, number: int, arguments: tuple[str, ...] | None) -> CodeType:
        """One line `name = expression` as code of its right side, or a function of its arguments."""
        left, _, right = line.partition(" = ")
        body = self._run_time(ast.parse(right, mode="eval").body, _Count())
        for node in ast.walk(body):
            if isinstance(node, ast.expr) and node.end_col_offset is not None:
                node.col_offset += len(left) + 3
                node.end_col_offset += len(left) + 3
        if arguments is not None:
            names = [ast.arg(a) for a in arguments]
            body = ast.Lambda(ast.arguments([], names, None, [], [], None, []), body)
        expression = ast.fix_missing_locations(ast.Expression(body))
        return compile(ast.increment_lineno(expression, number - 1), self.filename, "eval")

    def _run_time(self, node: Any, products: _Count) -> ast.expr:
        """The tree to run: W knows its number in the row, b(1) is b, h_prev(k) a name, functions have brackets."""
        if isinstance(node, ast.Constant):
            return ast.copy_location(ast.Constant(float(cast(float, node.value))), node)
        if isinstance(node, ast.UnaryOp):
            return ast.copy_location(ast.UnaryOp(node.op, self._run_time(node.operand, products)), node)
        if isinstance(node, ast.BinOp):
            left = self._run_time(node.left, products)
            right = node.right if isinstance(node.op, ast.Pow) else self._run_time(node.right, products)
            return ast.copy_location(ast.BinOp(left, node.op, right), node)
        if isinstance(node, ast.Call):
            return ast.copy_location(self._run_time_call(called(node), node, products), node)
        return ast.copy_location(ast.Name(node.id, ast.Load()), node)

    def _run_time_call(self, name: str, node: ast.Call, products: _Count) -> ast.expr:
        if VECTOR.fullmatch(name):
            return ast.Name(name, ast.Load())
        if name.endswith("_prev"):
            lag: Any = node.args[0]
            value = self._lags[lag.id] if isinstance(lag, ast.Name) else lag.value
            return ast.Name(State(name[:-5], value).name, ast.Load())
        if MATRIX.fullmatch(name):
            args: list[ast.expr] = [ast.copy_location(ast.Constant(products.next()), node)]
            return _call("W()", [*args, *(self._run_time(a, products) for a in node.args)], node)
        return _call(f"{name}()", [_numbered(self._run_time(a, products)) for a in node.args], node)


def _call(name: str, args: list[ast.expr], node: ast.expr) -> ast.expr:
    return ast.copy_location(ast.Call(ast.copy_location(ast.Name(name, ast.Load()), node), args, []), node)


def _numbered(node: ast.expr) -> ast.expr:
    """A function gets no bare number: tanh(2) is tanh(number(2))."""
    if any(isinstance(n, ast.Name) for n in ast.walk(node)):
        return node
    return _call("number()", [node], node)


class _Count:
    """0, 1, 2 ...: the number of a W in its row."""

    def __init__(self) -> None:
        self._value = -1

    def next(self) -> int:
        self._value += 1
        return self._value
