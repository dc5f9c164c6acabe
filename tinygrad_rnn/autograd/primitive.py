"""A primitive operation is one declaration: its forward computation, its derivative rules, its oracle and its domain.

    @primitive(rules=[lambda g, y, _x: g * (1 - y * y)], oracle=np.tanh, domain=[reals(-3, 3)])
    def tanh(x):
        return kernels.tanh(x)

The decorated function computes on plain arrays.  The name it is bound to is the operation: given arrays it computes and
records nothing, given Tensors it records, given symbols of the cell compiler it builds an expression.  Each kind of
argument registers its interpreter in `INTERPRETERS`; operations know none of them.

A rule is the vector-Jacobian product for one argument, `rule(g, y, *arguments) -> gradient of that argument`, written in
the library's own operations.  A rule that does not need its result or one of its arguments names that parameter with a
leading underscore: the tape then does not keep it alive.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Rule = Callable[..., Any]

INTERPRETERS: dict[type, Callable[["Primitive", tuple[Any, ...], dict[str, Any]], Any]] = {}
REGISTRY: dict[str, "Primitive"] = {}


@dataclass(frozen=True)
class Domain:
    """Where an argument's test values lie: [low, high], at least `gap` away from each kink.

    Plain data: `tinygrad_rnn.testing.strategies` turns it into Hypothesis strategies.
    """

    low: float = -3.0
    high: float = 3.0
    kinks: tuple[float, ...] = ()
    gap: float = 0.05
    dtype: str = "float64"      # "float64", "int64" or "bool"


def reals(low: float = -3.0, high: float = 3.0, kinks: Sequence[float] = ()) -> Domain:
    """Real numbers in [low, high] away from the kinks, where a finite difference means nothing."""
    return Domain(low, high, tuple(kinks))


@dataclass(frozen=True)
class Case:
    """One concrete call for the tests: the shapes of the array arguments and the other arguments by name."""

    shapes: tuple[tuple[int, ...], ...]
    arguments: tuple[Any, ...] = ()
    keywords: tuple[tuple[str, Any], ...] = ()


def case(*shapes: tuple[int, ...], arguments: tuple[Any, ...] = (), **keywords: Any) -> Case:
    """`case((3, 4), axis=0)`: one array of shape (3, 4), axis=0; `arguments` follow the arrays by position."""
    return Case(shapes, arguments, tuple(keywords.items()))


class Primitive:
    """An operation with its derivative.  Call it with arrays, Tensors or symbols.

    Attributes
    ----------
    name : str
    forward : callable
        forward(*arrays, **parameters) -> array, or a tuple of arrays.
    rules : sequence of rules, one an argument (None: no gradient), or a function position -> rule, or None.
    pull : callable or None
        In place of rules: pull(g, y, *arguments, needed=...) -> one gradient an argument; for operations whose gradients
        are computed together.  With several results g and y are tuples, g with None where no gradient came.
    fused : dict position -> callable
        The rule again as one kernel, for plain arrays only.
    oracle : callable
        The same function in NumPy, from an independent source where one exists.
    domain : tuple of Domain, one an array argument.
    kind : "elementwise", "reduction", "pairing" or "structural"
        What the registry-driven tests may vary: any broadcastable shapes, any shape and axis, or the listed cases.
    cases : tuple of Case
    """

    def __init__(self, forward: Callable[..., Any], rules: Sequence[Rule | None] | Callable[[int], Rule] | None,
                 pull: Callable[..., Any] | None, oracle: Callable[..., Any] | None, domain: Sequence[Domain],
                 kind: str, cases: Sequence[Case], fused: dict[int, Callable[..., Any]] | None, smooth: bool,
                 name: str | None = None) -> None:
        functools.update_wrapper(self, forward)
        self.name = name or forward.__name__
        self.forward, self.rules, self.pull, self.fused = forward, rules, pull, fused or {}
        self.oracle, self.domain, self.kind, self.cases, self.smooth = oracle, tuple(domain), kind, tuple(cases), smooth
        self.keeps_result, self.drops = _what_rules_need(rules)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        for a in args:
            interpreter = INTERPRETERS.get(type(a))
            if interpreter is not None:
                return interpreter(self, args, kwargs)
        if kwargs and any(type(v) in INTERPRETERS for v in kwargs.values()):
            return self(*self.positional(args, kwargs))
        return self.forward(*args, **kwargs)

    def positional(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """All arguments by position, for calls that name a Tensor argument: maximum(a, b=t)."""
        bound = inspect.signature(self.forward).bind(*args, **kwargs)
        bound.apply_defaults()
        return bound.args

    def rule(self, position: int) -> Rule | None:
        """The derivative rule of one argument."""
        if self.rules is None or callable(self.rules):
            return self.rules and self.rules(position)
        return self.rules[position] if position < len(self.rules) else None

    def __repr__(self) -> str:
        return f"<operation {self.name}>"

    def __reduce__(self) -> str:
        return self.name


def _what_rules_need(rules: Any) -> tuple[bool, tuple[int, ...]]:
    """Does any rule read the result?  Which arguments does none read?  Told by underscores before parameter names."""
    if rules is None or callable(rules):
        return True, ()
    names = [list(inspect.signature(rule).parameters) for rule in rules if rule is not None]
    unread = [{k for k, name in enumerate(n) if name.startswith("_")} for n in names]
    common = set.intersection(*unread) if unread else set()
    return 1 not in common, tuple(sorted(k - 2 for k in common if k >= 2))


def primitive(*, rules: Any = None, pull: Callable[..., Any] | None = None, oracle: Callable[..., Any] | None,
              domain: Sequence[Domain] = (), kind: str = "elementwise", cases: Sequence[Case] = (),
              fused: dict[int, Callable[..., Any]] | None = None, smooth: bool = True,
              register: bool = True) -> Callable[[Callable[..., Any]], Primitive]:
    """Declare the decorated array function as an operation of the library.

    Raises
    ------
    ValueError
        If it is to be registered without an oracle and a domain (what is not tested does not exist), or twice.
    """
    def declare(forward: Callable[..., Any]) -> Primitive:
        operation = Primitive(forward, rules, pull, oracle, domain, kind, cases, fused, smooth)
        if register:
            if oracle is None or not domain or (kind != "elementwise" and not cases):
                raise ValueError(f"primitive {operation.name}: an oracle, a domain and, unless it is elementwise, cases "
                                 "are required: nothing is registered untested")
            if operation.name in REGISTRY:
                raise ValueError(f"primitive {operation.name}: registered twice")
            REGISTRY[operation.name] = operation
        return operation
    return declare


def as_array(x: Any) -> np.ndarray:
    """What `forward` computes on: arrays as they are; Python floats (and lists of them) float32."""
    if isinstance(x, (np.ndarray, np.generic)):
        return np.asarray(x)
    array = np.asarray(x)
    if array.dtype == np.float64:
        return array.astype(np.float32)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"expected numbers, got {type(x).__name__} of dtype {array.dtype}")
    return array
