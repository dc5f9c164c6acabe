"""The text of a cell: its lines, the grammar of an expression, and what a stranger's text may not do.

An expression is arithmetic: numbers, names, + - * / **, parentheses, calls.  Characters and brackets are looked at
before Python's parser sees them, and its syntax tree is held to a whitelist.  Everything is bounded: 64 KiB of text,
50 levels of nesting, exponents up to 16, and what the functions of a cell expand to.
"""

from __future__ import annotations

import ast
import difflib
import keyword
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

MOST_TEXT = 64 * 1024       # characters
MOST_LINES = 1000
MOST_DEPTH = 50
MOST_POWER = 16
MOST_LAG = 1000
MOST_OPERATIONS = 20_000    # of a whole cell, its functions expanded
LONGEST_NAME = 64

MATRIX, VECTOR, INPUT = re.compile(r"W\d*"), re.compile(r"[bps]\d*"), re.compile(r"x\d*")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
TOKEN = re.compile(r"\s*(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?![\w.])"
                   r"|(?P<sign>\*\*|//|[-+*/(),]))", re.ASCII)
HEADER = re.compile(r"(name|inputs|widths|constants)\s*:(.*)")
SIGNATURE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\s*\(([^()]*)\)")

_OPERATORS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**"}
_OTHERS = {ast.FloorDiv: "//", ast.Tuple: "a comma outside a call", ast.UAdd: "+ without a left side"}


def fault(line: str, message: str) -> ValueError:
    """The error about a line of the text: the line, shortened, and what is wrong."""
    line = line.strip()
    return ValueError(f"{line if len(line) <= 120 else line[:117] + '...'}: {message}")


def nearest(name: str, known: Iterable[str]) -> str:
    """'; did you mean ...?', or nothing where no known name is near."""
    if len(name) > LONGEST_NAME:
        return ""
    near = difflib.get_close_matches(name, sorted(known)[:MOST_LINES], 1)
    return f"; did you mean {near[0]!r}?" if near else ""


def shown(name: str) -> str:
    """A name in quotes, shortened."""
    return repr(name if len(name) <= LONGEST_NAME else name[:LONGEST_NAME] + "...")


def check_name(name: str, what: str, line: str) -> str:
    """A name that the text may give to something; ValueError for what is the language's or Python's."""
    if not NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        raise fault(line, f"{shown(name)} cannot name {what}: letters, digits and _, at most {LONGEST_NAME} of them")
    if keyword.iskeyword(name):
        raise fault(line, f"{name!r} is a keyword of Python and cannot name {what}")
    if MATRIX.fullmatch(name) or VECTOR.fullmatch(name):
        raise fault(line, f"{name!r} is a learned parameter in the language and cannot name {what}")
    if INPUT.fullmatch(name) and what != "an input":
        raise fault(line, f"{name!r} is an input in the language and cannot name {what}")
    if name.endswith("_prev"):
        raise fault(line, f"{name!r} means an earlier value of {name[:-5]!r} and cannot name {what}")
    return name


# ---- lines ----------------------------------------------------------------------------------------------------------
@dataclass
class Text:
    """The lines of a cell, sorted by what they are; nothing is looked into yet."""

    name: str | None = None
    inputs: tuple[str, ...] | None = None
    widths: dict[str, Any] = field(default_factory=dict)
    constants: dict[str, Any] = field(default_factory=dict)
    functions: dict[str, tuple[tuple[str, ...], str]] = field(default_factory=dict)
    rows: dict[str, str] = field(default_factory=dict)


def read(text: str) -> Text:
    """Sort the lines of a text.  Raises TypeError if it is no string, ValueError if it is too long or a line is odd."""
    if not isinstance(text, str):
        raise TypeError(f"text: a cell is defined by a string, got {type(text).__name__}")
    if len(text) > MOST_TEXT:
        raise ValueError(f"text: at most {MOST_TEXT} characters, got {len(text)}")
    if not text.isascii():
        odd = next(c for c in text if not c.isascii())
        raise ValueError(f"text: ASCII characters only, got {odd!r} in line "
                         f"{text[:text.index(odd)].count(chr(10)) + 1}")
    found = Text()
    lines = [line for line in (raw.partition("#")[0].strip() for raw in text.splitlines()) if line]
    if len(lines) > MOST_LINES:
        raise ValueError(f"text: at most {MOST_LINES} lines, got {len(lines)}")
    for line in lines:
        if header := HEADER.fullmatch(line):
            _read_header(found, header[1], header[2].strip(), line)
        else:
            _read_equation(found, *split(line), line)
    return found


def split(line: str) -> tuple[str, str]:
    """Left and right side of an equation; the right one is empty in 'f ='."""
    left, sign, right = (part.strip() for part in line.partition("="))
    if not sign or not left:
        raise fault(line, "expected 'name = expression', or name:, inputs:, widths: or constants:")
    return left, right


def _read_equation(found: Text, left: str, right: str, line: str) -> None:
    if not right:
        raise fault(line, "nothing stands on the right")
    if signature := SIGNATURE.fullmatch(left):
        name = check_name(signature[1], "a function", line)
        arguments = tuple(check_name(a.strip(), "an argument", line) for a in signature[2].split(","))
        if name in found.functions or len(set(arguments)) < len(arguments):
            raise fault(line, f"{name}({', '.join(arguments)}): a name is given twice")
        found.functions[name] = arguments, right
    else:
        if check_name(left, "a row", line) in found.rows:
            raise fault(line, f"the row {left!r} is defined twice")
        found.rows[left] = right


def _read_header(found: Text, key: str, value: str, line: str) -> None:
    if (found.name is not None if key == "name" else bool(getattr(found, key))):
        raise fault(line, f"{key}: stands twice")
    if key == "name":
        found.name = value
    elif key == "inputs":
        found.inputs = tuple(value.replace(",", " ").split())
    elif key == "widths":
        found.widths = dict(_assignments(value, line))
    else:
        found.constants = {name: _constant(text, line) for name, text in _assignments(value, line)}


def _assignments(value: str, line: str) -> Iterator[tuple[str, str]]:
    """`h=H//2, c=2*H`: pairs of a name and what follows it."""
    heads = list(re.finditer(r"([A-Za-z_][A-Za-z0-9_]*)\s*=", value))
    if not heads or value[:heads[0].start()].strip():
        raise fault(line, "expected name=value, name=value")
    if len({head[1] for head in heads}) < len(heads):
        raise fault(line, "a name is given twice")
    for head, following in zip(heads, [*heads[1:], None]):
        text = value[head.end():following.start() if following else None].strip()
        yield head[1], text.removesuffix(",").strip()


def _constant(text: str, line: str) -> Any:
    """`0.3`, or a vector `[0.1, 0.2]`."""
    vector = text.startswith("[") and text.endswith("]")
    try:
        numbers = [float(part) if re.search(r"[.eE]", part) else int(part)
                   for part in (text[1:-1].split(",") if vector else [text])]
    except ValueError:
        raise fault(line, f"a constant is a number or a list of numbers, got {shown(text)}") from None
    return numbers if vector else numbers[0]


# ---- expressions ----------------------------------------------------------------------------------------------------
def parse(text: str, line: str) -> ast.expr:
    """The syntax tree of an expression that keeps to the grammar; ValueError names what does not."""
    _check_characters(text, line)
    try:
        tree = ast.parse(text, mode="eval").body
    except SyntaxError as error:
        raise fault(line, f"not an expression: {error.msg}") from None
    except (RecursionError, MemoryError):
        raise fault(line, f"nested deeper than {MOST_DEPTH} levels") from None
    _check_tree(tree, line)
    return tree


def _check_characters(text: str, line: str) -> None:
    position, depth, end = 0, 0, len(text.rstrip())
    while position < end:
        token = TOKEN.match(text, position)
        if token is None:
            raise fault(line, f"{text[position:].strip()[0]!r} is not part of the language here")
        depth += (token["sign"] == "(") - (token["sign"] == ")")
        if depth > MOST_DEPTH:
            raise fault(line, f"nested deeper than {MOST_DEPTH} levels")
        if token["name"] and len(token["name"]) > LONGEST_NAME:
            raise fault(line, f"{shown(token['name'])} is longer than {LONGEST_NAME} letters")
        position = token.end()


def _check_tree(tree: ast.expr, line: str) -> None:
    level = [tree]
    for _ in range(MOST_DEPTH):
        below: list[Any] = []
        for node in level:
            below += _children(node, line)
        if not below:
            return
        level = below
    raise fault(line, f"nested deeper than {MOST_DEPTH} levels")


def _children(node: ast.expr, line: str) -> list[ast.expr]:
    """The expressions inside an allowed one; ValueError for what the language does not have."""
    if isinstance(node, ast.Name):
        return []
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        check_number(node.value, line)
        return []
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return [node.operand]
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        if isinstance(node.op, ast.Pow):
            _check_exponent(node.right, line)
            return [node.left]
        return [node.left, node.right]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        if all(not isinstance(a, ast.Starred) for a in node.args):
            return list(node.args)
    kind = type(getattr(node, "op", node))
    raise fault(line, f"{_OTHERS.get(kind, kind.__name__)} is not part of the language: numbers, names, + - * / **, "
                      "parentheses and calls are")


def called(node: ast.Call) -> str:
    """The name of a called function; the grammar has no other calls."""
    return node.func.id if isinstance(node.func, ast.Name) else ""


def check_number(value: float, line: str) -> float:
    """A number of the text as a float; ValueError if it is not finite there."""
    try:
        value = float(value)
    except OverflowError:
        value = float("inf")
    if value - value != 0:
        raise fault(line, "a number is too large")
    return value


def _check_exponent(node: ast.expr, line: str) -> None:
    if not isinstance(node, ast.Constant) or type(node.value) is not int or not 1 <= node.value <= MOST_POWER:
        got = f", got {shown(str(node.value))}" if isinstance(node, ast.Constant) else ""
        raise fault(line, f"an exponent is a whole number from 1 to {MOST_POWER}{got}")


def number_text(value: float) -> str:
    """A number in its one spelling: 1, 0.5, 1e-05."""
    return str(int(value)) if value == int(value) and abs(value) < 1e16 else repr(float(value))


def spelled(text: str) -> str:
    """How an argument of W names its matrix: the letters, digits and _ of its text without _prev."""
    words = (t["name"].removesuffix("_prev") if t["name"] else number_text(float(t["number"])) if t["number"] else ""
             for t in TOKEN.finditer(text))
    return re.sub(r"[^A-Za-z0-9_]", "", "".join(words))


# ---- widths ---------------------------------------------------------------------------------------------------------
def parse_width(text: str | int, line: str) -> str:
    """A width as text in one spelling: integers, names, + - * //."""
    if isinstance(text, bool) or not isinstance(text, (int, str)):
        raise TypeError(f"{line}: a width is a whole number or a text such as 'H//2', got {type(text).__name__}")
    text = str(text).strip()
    _check_characters(text, line)
    try:
        tree = ast.parse(text, mode="eval").body
        width_of(tree, {}, line, check=True)
        return re.sub(r"\s+", "", ast.unparse(tree))
    except (SyntaxError, RecursionError, MemoryError):
        raise fault(line, f"{shown(text)} is no width: integers, D, H, constants, + - * // are allowed") from None


def width_of(tree: ast.expr, sizes: Mapping[str, int], line: str, check: bool = False, depth: int = 0) -> int:
    """The value of a width; with `check` only whether it is one."""
    if depth > MOST_DEPTH:
        raise RecursionError
    if isinstance(tree, ast.Constant) and type(tree.value) is int:
        return tree.value
    if isinstance(tree, ast.Name):
        if check:
            return 1
        value = sizes.get(tree.id)
        if type(value) is not int:
            raise fault(line, f"{tree.id!r} is not D, H or a whole-numbered constant{nearest(tree.id, sizes)}")
        return value
    if isinstance(tree, ast.BinOp) and type(tree.op) in (ast.Add, ast.Sub, ast.Mult, ast.FloorDiv):
        a, b = (width_of(side, sizes, line, check, depth + 1) for side in (tree.left, tree.right))
        if check:
            return 1
        if isinstance(tree.op, ast.FloorDiv):
            if b == 0:
                raise fault(line, "division by 0")
            return a // b
        return a + b if isinstance(tree.op, ast.Add) else a - b if isinstance(tree.op, ast.Sub) else a * b
    raise SyntaxError
