"""Einstein's summation: letters name axes, and what the result does not name is summed.

Everything becomes matrix products: of two operands, the letters of both that are summed are the inner axis, those that
stay are a batch, those of one alone are its rows or columns.
"""

from __future__ import annotations

import functools
import math
from typing import Any

from ..primitive import operand
from .arithmetic import multiply
from .products import matmul
from .rearranging import diagonal
from .reductions import sum as total
from .shapes import permute_dims, reshape

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
Term = tuple[Any, str]      # an operand, and a letter for each of its axes


def einsum(equation: str, *operands: Any) -> Any:
    """Sum of products, as in "ij,jk->ik".

    Parameters
    ----------
    equation : str
        For each operand a letter an axis, apart by commas; after "->" those of the result.  Without "->" the result has
        the letters that occur once, in alphabetical order.  A letter twice in one operand takes the diagonal.  "..."
        stands for the axes that no letter names: they broadcast, and come first where "->" is missing.
    operands : Tensor

    Raises
    ------
    ValueError, TypeError
        For an equation that does not fit the operands, with the letter and sizes; for one that is no str.

    Examples
    --------
    >>> einsum("bij,bjk->bik", x, y)        # matrix product of a batch
    >>> einsum("ii", a)                     # trace
    >>> einsum("...i,i->...", x, w)         # a weighted sum over the last axis
    """
    operands = tuple(map(operand, operands))
    if not isinstance(equation, str):
        raise TypeError(f"einsum: equation must be a str, got {type(equation).__name__}")
    named, result, sizes = _parsed(equation, tuple(x.shape for x in operands))
    terms = [_squeezed(*_once(x, letters), sizes) for x, letters in zip(operands, named)]
    for i, j in _order(tuple(letters for _, letters in terms), result, tuple(sizes.items())):
        second, first = terms.pop(j), terms.pop(i)
        kept = {*result, *(letter for _, letters in terms for letter in letters)}
        terms.append(_product(first, second, kept))
    (x, letters), = terms
    x, letters = _summed(x, letters, set(result))
    x = _turned(x, letters, "".join(c for c in result if c in letters))
    if len(letters) < len(result):      # what only an axis of size 1 had a letter for was dropped
        x = reshape(x, tuple(sizes[c] if c in letters else 1 for c in result))
    return x


# ---- the equation ---------------------------------------------------------------------------------------------------
@functools.lru_cache(256)
def _parsed(equation: str, shapes: tuple[tuple[int, ...], ...]) -> tuple[list[str], str, dict[str, int]]:
    """The operands' letters, the result's letters, the size of each; "..." has become letters of its own."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    parts = left.split(",")
    if len(parts) != len(shapes):
        raise ValueError(f"einsum: {equation!r} is for {len(parts)} operands, got {len(shapes)}")
    hidden = max((len(x) - len(p.replace("...", "")) for p, x in zip(parts, shapes) if "..." in p), default=0)
    free = [letter for letter in LETTERS if letter not in equation]
    if hidden > len(free):
        raise ValueError(f"einsum: {equation!r} leaves {hidden} axes unnamed, more than there are letters")
    dots, terms, sizes = "".join(free[:max(hidden, 0)]), list[str](), dict[str, int]()
    for k, (part, shape) in enumerate(zip(parts, shapes)):
        unnamed = len(shape) - len(part.replace("...", ""))
        letters = part.replace("...", dots[len(dots) - max(unnamed, 0):], 1)
        if unnamed < 0 or len(letters) != len(shape) or not all(c in LETTERS for c in letters):
            raise ValueError(f"einsum: {part!r} in {equation!r} must name the {len(shape)} axes of operand {k}, which "
                             f"has shape {shape}, by a letter each")
        terms.append(letters)
        for letter, n in zip(letters, shape):
            if sizes.setdefault(letter, n) not in (1, n) and n != 1:
                raise ValueError(f"einsum: axis {letter!r} of {equation!r} has sizes {sizes[letter]} and {n}; operands "
                                 f"have shapes {', '.join(map(str, shapes))}")
            sizes[letter] = n if sizes[letter] == 1 else sizes[letter]
    named = "".join(terms)
    if not arrow:
        return terms, dots + "".join(sorted(c for c in {*named} - {*dots} if named.count(c) == 1)), sizes
    result = right.replace("...", dots, 1)
    for letter in result:
        if letter not in named or result.count(letter) > 1:
            raise ValueError(f"einsum: the result of {equation!r} must name axes of the operands, each once; got "
                             f"{letter!r}")
    return terms, result, sizes


def _once(x: Any, letters: str) -> Term:
    """Diagonals, until no letter occurs twice."""
    for letter in letters:
        while letters.count(letter) > 1:
            first = letters.index(letter)
            second = letters.index(letter, first + 1)
            if x.shape[first] != x.shape[second]:
                raise ValueError(f"einsum: {letter!r} stands for axes of sizes {x.shape[first]} and {x.shape[second]} "
                                 "of one operand, whose diagonal it is")
            x = diagonal(x, 0, first, second)
            letters = letters[:first] + letters[first + 1:second] + letters[second + 1:] + letter
    return x, letters


def _squeezed(x: Any, letters: str, sizes: dict[str, int]) -> Term:
    """Without axes of size 1 that other operands have in full: they broadcast."""
    kept = [k for k, letter in enumerate(letters) if x.shape[k] == sizes[letter]]
    if len(kept) < len(letters):
        x = reshape(x, tuple(x.shape[k] for k in kept))
    return x, "".join(letters[k] for k in kept)


@functools.lru_cache(256)
def _order(terms: tuple[str, ...], result: str, lengths: tuple[tuple[str, int], ...]) -> list[tuple[int, int]]:
    """Which two operands to multiply, one pair after the other: the product goes to the end of the list.

    Of more than two, always the pair whose product has the fewest elements.
    """
    listed, pairs, sizes = [{*letters} for letters in terms], list[tuple[int, int]](), dict(lengths)

    def kept(i: int, j: int) -> set[str]:
        others = {*result}.union(*(x for k, x in enumerate(listed) if k not in (i, j)))
        return (listed[i] | listed[j]) & others

    while len(listed) > 1:
        candidates = [(i, j) for j in range(len(listed)) for i in range(j)]
        i, j = min(candidates, key=lambda pair: math.prod(sizes[c] for c in kept(*pair)))
        new = kept(i, j)
        del listed[j], listed[i]
        listed.append(new)
        pairs.append((i, j))
    return pairs


# ---- products -------------------------------------------------------------------------------------------------------
def _turned(x: Any, letters: str, wanted: str) -> Any:
    """The axes in another order."""
    return x if letters == wanted else permute_dims(x, tuple(map(letters.index, wanted)))


def _shaped(x: Any, shape: tuple[int, ...]) -> Any:
    """The axes cut or put together."""
    return x if x.shape == shape else reshape(x, shape)


def _summed(x: Any, letters: str, kept: set[str]) -> Term:
    """Without the letters that nothing needs any more."""
    gone = tuple(k for k, letter in enumerate(letters) if letter not in kept)
    return (total(x, gone), "".join(c for c in letters if c in kept)) if gone else (x, letters)


def _product(first: Term, second: Term, kept: set[str]) -> Term:
    """Two operands to one: a matrix product with the shared letters that are kept as its batch."""
    (a, left), (b, right) = _summed(*first, kept | {*second[1]}), _summed(*second, kept | {*first[1]})
    batch = "".join(c for c in left if c in right and c in kept)
    inner = "".join(c for c in left if c in right and c not in kept)
    rows, columns = ("".join(c for c in x if c not in y) for x, y in ((left, right), (right, left)))
    sizes = dict(zip(left + right, a.shape + b.shape))
    shape = tuple(sizes[c] for c in batch + rows + columns)

    def size(letters: str) -> int:
        return math.prod(sizes[c] for c in letters)

    if not inner:
        a = reshape(_turned(a, left, batch + rows), (*(sizes[c] for c in batch + rows), *(1 for _ in columns)))
        b = reshape(_turned(b, right, batch + columns),
                    tuple(sizes[c] for c in batch) + (1,) * len(rows) + tuple(sizes[c] for c in columns))
        return multiply(a, b), batch + rows + columns
    groups = (size(batch),) if batch else ()
    if batch and not rows and not columns:      # one number each
        return total(multiply(_turned(a, left, batch + inner), _turned(b, right, batch + inner)),
                     tuple(range(len(batch), len(left)))), batch
    a = _shaped(_turned(a, left, batch + rows + inner), (*groups, size(rows), size(inner)))
    b = _shaped(_turned(b, right, batch + inner + columns), (*groups, size(inner), size(columns)))
    # (batch, M, N) -> (batch ..., rows ..., columns ...)
    return _shaped(matmul(a, b), shape), batch + rows + columns
