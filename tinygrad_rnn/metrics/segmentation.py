"""How BLEU cuts a line into tokens: the rules that published scores were computed with, kept as they are.

    none        at white space: the line is tokenised already
    13a         as mteval-v13a of NIST, which WMT uses: ASCII punctuation apart, but for points and commas in numbers
    intl        as mteval-v14's international rules: the punctuation and symbols of Unicode apart
    char        each character

Their oddities are theirs: "1990." keeps its point in intl, and "x.." is cut once in 13a.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Callable
from functools import cache

_DIGIT = "0-9"
# Those of ASCII but for the apostrophe, comma, hyphen and point.
_PUNCTUATION = re.compile(r"""([!"#$%&()*+/:;<=>?@\[\\\]^_`{|}~])""")
_RULES_13A = (
    (re.compile(rf"([^{_DIGIT}])([.,])"), r"\1 \2 "),   # a point or comma, unless a digit stands before it
    (re.compile(rf"([.,])([^{_DIGIT}])"), r" \1 \2"),   # or behind it
    (re.compile(rf"([{_DIGIT}])(-)"), r"\1 \2 "),       # a hyphen after a digit
)
_ENTITIES = (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))


def tokens_13a(line: str) -> list[str]:
    """Tokens as mteval-v13a."""
    line = line.replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    if "&" in line:
        for entity, character in _ENTITIES:
            line = line.replace(entity, character)
    line = _PUNCTUATION.sub(r" \1 ", f" {line} ")
    for rule, cut in _RULES_13A:
        line = rule.sub(cut, line)
    return line.split()


def tokens_intl(line: str) -> list[str]:
    """Tokens as mteval-v14 --international-tokenization."""
    for rule, cut in _rules_intl(0xffff if max(line, default="") <= "\uffff" else sys.maxunicode):
        line = rule.sub(cut, line)
    return line.split()


@cache
def _rules_intl(last: int) -> tuple[tuple[re.Pattern[str], str], ...]:
    """For characters up to `last`.  The classes come from a walk through Unicode, as this Python knows it.

    Beyond the first 65,536 characters `re` tries range after range; lines without them, most lines, are spared that.
    """
    ranges: dict[str, list[str]] = {"N": [], "P": [], "S": []}
    begun, kind = 0, ""
    for code in range(last + 2):
        now = unicodedata.category(chr(code))[0] if code <= last else ""
        if now != kind:
            if kind in ranges:
                ranges[kind].append(f"{re.escape(chr(begun))}-{re.escape(chr(code - 1))}")
            begun, kind = code, now
    numbers, punctuation, symbols = map("".join, ranges.values())
    return (
        (re.compile(f"([^{numbers}])([{punctuation}])"), r"\1 \2 "),
        (re.compile(f"([{punctuation}])([^{numbers}])"), r" \1 \2"),
        (re.compile(f"([{symbols}])"), r" \1 "),
    )


def tokens_char(line: str) -> list[str]:
    """Each character that is no white space."""
    return list("".join(line.split()))


TOKENIZERS: dict[str, Callable[[str], list[str]]] = {
    "13a": tokens_13a, "none": str.split, "intl": tokens_intl, "char": tokens_char}
