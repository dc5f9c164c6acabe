"""A primitive operation is one declaration: its forward computation, its derivative rules, its oracle and its domain.

    @primitive(rules=[lambda g, y, _x: g * (1 - y * y)], oracle=np.tanh, domain=[reals()])
    def tanh(x):
        return kernels.tanh(x)

The decorated function computes on plain arrays.  What its name is bound to is the operation: given arrays it computes
and records nothing, given Tensors it records, given symbols of the cell compiler it builds an expression.  Each kind of
argument registers its interpreter in `INTERPRETERS`; operations know none of them.

A rule is the vector-Jacobian product for one argument, `rule(g, y, *arguments) -> gradient of that argument`, written
in the library's own operations.  The names of its parameters say what the tape has to keep for it: the value; nothing,
where the name begins with an underscore; the shape alone (`like.shape`, `like.ndim`, `like.dtype`), where it begins
with `like`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .errors import explain

Rule = Callable[..., Any]

# Type of an argument -> interpreter(primitive, args, kwargs) -> result.
INTERPRETERS: dict[type, Callable[[Primitive, tuple[Any, ...], dict[str, Any]], Any]] = {}
REGISTRY: dict[str, Primitive] = {}


# ---- what tests may feed it -----------------------------------------------------------------------------------------
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


def reals(low: float = -3.0, high: float = 3.0, kinks: Sequence[float] = (), gap: float = 0.05) -> Domain:
    """Real numbers in [low, high] away from the kinks, where a finite difference means nothing."""
    return Domain(low, high, tuple(kinks), gap)


@dataclass(frozen=True)
class Case:
    """One concrete call for the tests: the shapes of the array arguments and the other arguments by name."""

    shapes: tuple[tuple[int, ...], ...]
    arguments: tuple[Any, ...] = ()
    keywords: tuple[tuple[str, Any], ...] = ()


def case(*shapes: tuple[int, ...], arguments: tuple[Any, ...] = (), **keywords: Any) -> Case:
    """`case((3, 4), axis=0)`: one array of shape (3, 4), axis=0; `arguments` follow the arrays by position."""
    return Case(shapes, arguments, tuple(keywords.items()))


# ---- the declaration ------------------------------------------------------------------------------------------------
class Plan(NamedTuple):
    """What the tape keeps of a call whose gradients are wanted for certain arguments, and the rules to run."""

    primitive: Primitive
    steps: tuple[tuple[int, Rule], ...]     # (position, rule) on arrays: the fused kernel where there is one
    taped: tuple[tuple[int, Rule], ...]     # the same on Tensors
    pull: Rule | None                       # in place of steps
    keeps_result: bool
    drops: tuple[int, ...]                  # arguments that no rule reads
    likes: tuple[int, ...]                  # arguments of which rules read the shape alone


class Primitive:
    """An operation with its derivative: call it with arrays, Tensors or symbols.

    Attributes
    ----------
    name : str
    forward : callable
        forward(*arrays, **parameters) -> array, or a tuple of arrays.
    rules : sequence of rules, one an argument; None where there is no gradient.
    pull : callable or None
        In place of rules: pull(g, y, *arguments, needed, **parameters) -> one gradient an argument, for operations
        whose gradients are computed together; needed[k]: is the k-th wanted? With several results g and y are tuples, g
        with None where no gradient came.
    fused : dict position -> callable
        The rule again as one kernel, for plain arrays only.
    oracle : callable
        The same function in NumPy, from an independent source where one exists.
    domain : tuple of Domain, one an array argument.
    kind : "elementwise", "reduction", "pairing" or "structural"
        What the registry-driven tests may vary: any broadcastable shapes, any shape and axis, or the listed cases.
    cases : tuple of Case
    smooth : bool
        Does it have a second derivative on its domain?
    """

    def __init__(self, forward: Callable[..., Any], *, rules: Sequence[Rule | None] = (),
                 pull: Callable[..., Any] | None = None, fused: dict[int, Rule] | None = None,
                 oracle: Callable[..., Any] | None = None, domain: Sequence[Domain] = (), kind: str = "elementwise",
                 cases: Sequence[Case] = (), smooth: bool = True, name: str | None = None) -> None:
        functools.update_wrapper(self, forward)
        self.name = name or forward.__name__.strip("_")
        self.forward, self.rules, self.pull, self.fused = forward, tuple(rules), pull, fused or {}
        self.oracle, self.domain, self.kind, self.cases, self.smooth = oracle, tuple(domain), kind, tuple(cases), smooth
        self._one_array = len(self.domain) == 1
        self.plans: dict[int, Plan] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        for a in args:
            interpreter = INTERPRETERS.get(type(a))
            if interpreter is not None:
                return interpreter(self, args, kwargs)
        if kwargs and not INTERPRETERS.keys().isdisjoint(map(type, kwargs.values())):
            return self(*self.positional(args, kwargs))     # finds its interpreter there
        try:
            if self._one_array and args and type(args[0]) is not np.ndarray:
                args = (as_array(args[0]), *args[1:])
            return self.forward(*args, **kwargs)
        except (TypeError, ValueError, IndexError) as error:
            explain(self, args, error)

    def __repr__(self) -> str:
        return f"<operation {self.name}>"

    def __reduce__(self) -> str:
        return str(vars(self)["__qualname__"])     # found again by module and name, as a function is

    def rule(self, position: int) -> Rule | None:
        """The derivative rule of one argument; None where no gradient flows."""
        return self.rules[position] if position < len(self.rules) else None

    def plan(self, wanted: int) -> Plan:
        """The plan for a call, as bits: bit k is set where argument k wants a gradient, and the bit after the last."""
        count = wanted.bit_length() - 1
        for k in range(len(self.rules), count):
            if self.rules and wanted >> k & 1:
                raise TypeError(f"{self.name}: argument {list(inspect.signature(self.forward).parameters)[k]} has no "
                                "derivative: detach() it, or pass a number")
        taped = tuple((k, rule) for k, rule in enumerate(self.rules[:count]) if rule is not None and wanted >> k & 1)
        steps = tuple((k, self.fused.get(k, rule)) for k, rule in taped)
        readers = {rule for _, rule in (*taped, *steps)} if self.pull is None else {self.pull}
        reads = [_reads(rule, count) for rule in readers]
        values, shapes = (set().union(*(r[i] for r in reads)) for i in (0, 1))
        drops = tuple(k for k in range(count) if k + 1 not in values | shapes)
        likes = tuple(k for k in range(count) if k + 1 in shapes - values)
        self.plans[wanted] = plan = Plan(self, steps, taped, self.pull, 0 in values, drops, likes)
        return plan

    def positional(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """All arguments by position, for calls that name a Tensor: maximum(a, b=t)."""
        bound = inspect.signature(self.forward).bind(*args, **kwargs)
        bound.apply_defaults()
        if bound.kwargs:
            raise TypeError(f"{self.name}: {', '.join(bound.kwargs)} cannot be a Tensor")
        return bound.args


def _reads(rule: Rule, count: int) -> tuple[set[int], set[int]]:
    """Of which positions (0: the result, then the arguments) a rule reads the value, and of which the shape."""
    parameters = list(inspect.signature(rule).parameters.values())[1:]
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    names += [p.name for p in parameters if p.kind is p.VAR_POSITIONAL] * count
    names = names[:count + 1]
    shapes = {k for k, name in enumerate(names) if name.startswith("like")}
    return {k for k, name in enumerate(names) if not name.startswith("_")} - shapes, shapes


def primitive(*, oracle: Callable[..., Any] | None, rules: Sequence[Rule | None] = (),
              pull: Callable[..., Any] | None = None, fused: dict[int, Rule] | None = None,
              domain: Sequence[Domain] = (), kind: str = "elementwise", cases: Sequence[Case] = (),
              smooth: bool = True, name: str | None = None,
              register: bool = True) -> Callable[[Callable[..., Any]], Primitive]:
    """Declare the decorated array function as an operation of the library; see `Primitive` for the arguments.

    Raises
    ------
    ValueError
        If it is to be registered without an oracle and a domain (what is not tested does not exist), or twice.
    """
    def declare(forward: Callable[..., Any]) -> Primitive:
        declared = Primitive(forward, rules=rules, pull=pull, fused=fused, oracle=oracle, domain=domain, kind=kind,
                             cases=cases, smooth=smooth, name=name)
        if register:
            if oracle is None or not domain or (kind != "elementwise" and not cases):
                raise ValueError(f"primitive {declared.name}: an oracle, a domain and, unless it is elementwise, cases "
                                 "are required: nothing is registered untested")
            if declared.name in REGISTRY:
                raise ValueError(f"primitive {declared.name}: registered twice")
            REGISTRY[declared.name] = declared
        return declared
    return declare


# ---- what forward computes on ---------------------------------------------------------------------------------------
def _holds_tensors(x: Any) -> bool:
    """Does a Tensor or symbol stand in a nested list?"""
    return any(type(v) in INTERPRETERS or isinstance(v, (list, tuple)) and _holds_tensors(v) for v in x)


def as_array(x: Any) -> np.ndarray:
    """Arrays and NumPy scalars as they are; Python floats (and lists of them) as float32.

    Raises TypeError for what is no number, and for lists of Tensors, whose derivatives would be lost.
    """
    if isinstance(x, (np.ndarray, np.generic)):
        array = np.asarray(x)
    else:
        if isinstance(x, (list, tuple)) and _holds_tensors(x):
            raise TypeError("expected an array or a Tensor, got a sequence of Tensors: stack() makes one Tensor of it")
        array = np.asarray(x)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
    if array.dtype.kind not in "biuf" or array.dtype.kind == "f" and array.dtype.itemsize not in (4, 8):
        what = f"dtype {array.dtype}" if isinstance(x, (np.ndarray, np.generic)) else type(x).__name__
        raise TypeError(f"expected bools, integers, float32 or float64, got {what}")
    return array


def operand(x: Any) -> Any:
    """A Tensor or a symbol as it is, anything else as an array: for functions composed of operations."""
    return x if type(x) is np.ndarray or type(x) in INTERPRETERS else as_array(x)


def floating(x: Any) -> np.ndarray:
    """The same as `as_array`, bools and integers as float32."""
    if type(x) is not np.ndarray:
        x = as_array(x)
    array: np.ndarray = x if x.dtype.kind == "f" else x.astype(np.float32)
    return array
