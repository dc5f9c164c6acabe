"""What all optimizers share: groups of parameters with their options, the state of each parameter, saving, loading."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from ..autograd import RowSparse, Tensor
from ..autograd.writes import wrote

State = dict[str, Any]      # of one parameter: arrays of its shape, and numbers

# Elements at a time: a block of a parameter, its gradient and its state stay in the cache between the passes over them.
_BLOCK = 1 << 14


class Optimizer:
    """Base of the optimizers.

    Parameters
    ----------
    params : iterable of Tensors, or of dicts
        A dict is a group: {"params": iterable of Tensors} and options that override the defaults.
    defaults : dict
        The options, of which "lr" is the learning rate.

    Attributes
    ----------
    param_groups : list of dict
        Options may be changed between steps; that is what schedules do.
    state : dict
        Parameter -> what is remembered of it.

    Raises
    ------
    ValueError
        For no parameters (an exhausted generator), one that stands twice, one that is the result of an operation,
        options out of range.
    TypeError
        For what is no Tensor.
    AttributeError
        For an option that is set on the optimizer and not in a group.
    """

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self.param_groups: list[dict[str, Any]] = []
        self.state: dict[Tensor, State] = {}
        if isinstance(params, Tensor) or not isinstance(params, Iterable):
            raise TypeError(f"{self._who}: params must be an iterable of Tensors or of groups, got "
                            f"{type(params).__name__}")
        listed = list(params)
        if not listed:
            raise ValueError(f"{self._who}: there are no parameters; if params is a generator, it is exhausted: make a "
                             "list of it")
        for group in listed if isinstance(listed[0], Mapping) else [{"params": listed}]:
            self.add_param_group(group)

    @property
    def _who(self) -> str:
        return type(self).__name__

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.__dict__.get("defaults", ()):       # it would be kept, and never read
            raise AttributeError(f"{self._who}: {name} is an option of each group of parameters; set it there: "
                                 f"optimizer.param_groups[0][{name!r}] = ...")
        super().__setattr__(name, value)

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Add a group {"params": Tensors, option: value, ...}; options that are not given have their defaults."""
        if not isinstance(param_group, Mapping) or "params" not in param_group:
            raise TypeError(f"{self._who}: a group must be a dict with the key 'params', got "
                            f"{type(param_group).__name__}")
        params = param_group["params"]
        params = [params] if isinstance(params, Tensor) else list(params)
        if not params:
            raise ValueError(f"{self._who}: a group has no parameters; if they come from a generator, it is exhausted")
        known = {id(p) for group in self.param_groups for p in group["params"]}
        for k, p in enumerate(params):
            if not isinstance(p, Tensor):
                raise TypeError(f"{self._who}: params[{k}] must be a Tensor, got {type(p).__name__}")
            if not p.is_leaf:
                raise ValueError(f"{self._who}: params[{k}] of shape {p.shape} is the result of an operation; only "
                                 "leaf tensors can be moved")
            if id(p) in known:
                raise ValueError(f"{self._who}: params[{k}] of shape {p.shape} is there twice")
            known.add(id(p))
        unknown = sorted(param_group.keys() - self.defaults.keys() - {"params", "initial_lr"})
        if unknown:
            raise ValueError(f"{self._who}: unknown options {', '.join(unknown)}; there are {', '.join(self.defaults)}")
        group = {**self.defaults, **param_group, "params": params}
        self._check(group)
        self.param_groups.append(group)

    def _check(self, group: dict[str, Any]) -> None:
        """ValueError for options that make no sense; subclasses add theirs."""
        for name in ("lr", "weight_decay", "eps"):
            self._demand(group, name, 0 <= group.get(name, 0) < math.inf, "finite and not negative")

    def _demand(self, group: dict[str, Any], name: str, fits: bool, what: str) -> None:
        if not fits:
            raise ValueError(f"{self._who}: {name} must be {what}, got {group[name]}")

    # ---- stepping ---------------------------------------------------------------------------------------------------
    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients; with set_to_none=False they become zeros, so that momentum and decay go on."""
        for p in self._all():
            if set_to_none:
                p.grad = None
            elif isinstance(p.grad, RowSparse):
                p.grad = RowSparse(np.empty(0, np.int64), np.empty((0, *p.shape[1:]), p.dtype), p.shape)
            elif p.grad is not None:
                p.grad = Tensor(np.zeros(p.shape, p.dtype))

    def step(self) -> None:
        """Move every parameter that has a gradient, in place.

        Raises
        ------
        ValueError
            If a gradient has not the shape and dtype of its parameter.
        TypeError
            For a row-sparse gradient where the rule moves all rows.
        """
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                g = p.grad
                if isinstance(g, RowSparse):
                    self._demand_sparse(group)
                if g.shape != p.shape or g.dtype != p.dtype:
                    raise ValueError(f"{self._who}: a parameter of shape {p.shape} and dtype {p.dtype} has a gradient "
                                     f"of shape {g.shape} and dtype {g.dtype}")
                state = self.state.setdefault(p, {"step": 0})
                for name, value in self._arrays(group).items():
                    if name not in state:
                        state[name] = np.full(p.shape, value, p.dtype)
                with np.errstate(all="ignore"):     # overflow shows in the loss, and clip_grad_norm_ finds it
                    if isinstance(g, RowSparse):
                        self._update_rows(p.data, g.coalesce(), state, group)
                    else:
                        self._update(p.data, g.data, state, group)
                wrote(p.data, f"{self._who}.step")
                state["step"] += 1

    def _update_rows(self, p: np.ndarray, g: RowSparse, state: State, group: dict[str, Any]) -> None:
        """Move the rows that a coalesced gradient holds, and what is remembered of them, as if there were no others."""
        where = g.indices.data
        rows, own = p[where], {name: state[name][where] for name in self._arrays(group)}
        self._update(rows, g.values.data, {**state, **own}, group)
        p[where] = rows
        for name, values in own.items():
            state[name][where] = values

    def _demand_sparse(self, group: dict[str, Any]) -> None:
        """TypeError unless the rule leaves rows alone whose gradient is 0."""
        raise TypeError(f"{self._who}: this optimizer moves all rows of a parameter, and the gradient is row-sparse; "
                        "SGD without momentum, Adagrad and Adam(lazy=True) take those, and Embedding(sparse=False) "
                        "gives a dense one")

    def _demand_no_decay(self, group: dict[str, Any]) -> None:
        if group["weight_decay"]:
            raise TypeError(f"{self._who}: weight_decay={group['weight_decay']} moves all rows of a parameter, and the "
                            "gradient is row-sparse; use weight_decay=0, or Embedding(sparse=False)")

    def _arrays(self, group: dict[str, Any]) -> dict[str, float]:
        """The arrays that a parameter's state holds under a group's options, and where each starts."""
        return {}

    def _update(self, p: np.ndarray, g: np.ndarray, state: State, group: dict[str, Any]) -> None:
        """Move one parameter in place."""
        raise NotImplementedError

    def _all(self) -> Iterator[Tensor]:
        return (p for group in self.param_groups for p in group["params"])

    # ---- saving and loading -----------------------------------------------------------------------------------------
    def state_dict(self) -> dict[str, Any]:
        """A copy of everything but the parameters themselves, as plain numbers, strings and arrays.

        Returns
        -------
        dict
            "state": position of the parameter -> its state;  "param_groups": the options, with positions for "params".
        """
        position = {id(p): k for k, p in enumerate(self._all())}
        groups = [{**group, "params": [position[id(p)] for p in group["params"]]} for group in self.param_groups]
        state = {position[id(p)]: {name: _copy(value) for name, value in s.items()} for p, s in self.state.items()}
        return {"state": dict(sorted(state.items())), "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave; the parameters stay those of this optimizer.

        Positions may be strings, as JSON makes them.

        Raises
        ------
        ValueError
            If groups, options or shapes do not fit; nothing is changed then.
        """
        if not {"state", "param_groups"} <= state_dict.keys():
            raise ValueError(f"{self._who}.load_state_dict: expected the keys 'state' and 'param_groups', "
                             f"got {sorted(state_dict)}")
        sizes = [len(group["params"]) for group in self.param_groups]
        given = [len(group["params"]) for group in state_dict["param_groups"]]
        if sizes != given:
            raise ValueError(f"{self._who}.load_state_dict: the optimizer has groups of {sizes} parameters, the state "
                             f"of {given}")
        faults: list[str] = []
        groups = []
        for own, new in zip(self.param_groups, state_dict["param_groups"]):
            missing = sorted(self.defaults.keys() - new.keys())
            faults += [f"options are missing: {', '.join(missing)}"] * bool(missing)
            options = {name: _option(new[name]) for name in (*self.defaults, "initial_lr") if name in new}
            groups.append({**own, **options, "params": own["params"]})
        owners = {str(k): owner for k, owner in enumerate((p, group) for group in groups for p in group["params"])}
        state: dict[Tensor, State] = {}
        for key, values in state_dict["state"].items():
            if str(key) not in owners:
                faults.append(f"parameter {key}: there are {len(owners)} parameters")
                continue
            p, group = owners[str(key)]
            names = ("step", *self._arrays(group))
            faults += [f"parameter {key}: {fault}" for fault in _misfits(names, values, p)]
            state[p] = {name: _copy(values[name], p.dtype) for name in names if name in values}
        if faults:
            raise ValueError(f"{self._who}.load_state_dict: nothing was changed, for these do not fit:\n  "
                             + "\n  ".join(faults))
        for group in groups:
            self._check(group)
        for own, new in zip(self.param_groups, groups):
            own.update(new)         # in place: a schedule may hold the groups
        self.state = state

    def __repr__(self) -> str:
        groups = ("; ".join(f"{sum(p.size for p in group['params']):,} numbers with "
                            + ", ".join(f"{k}={v}" for k, v in group.items() if k != "params")
                            for group in self.param_groups))
        return f"{self._who}({groups})"


def blocks(*arrays: np.ndarray | None) -> Iterator[tuple[Any, ...]]:
    """The same stretch of several arrays of one shape, a cache-full at a time, as views to work on in place.

    This loop over blocks is what a fused kernel would replace.
    """
    if not all(a is None or a.flags.c_contiguous for a in arrays):
        yield arrays
        return
    flat = [None if a is None else a.reshape(-1) for a in arrays]
    size = next(a.size for a in flat if a is not None)
    for k in range(0, size, _BLOCK):
        yield tuple(None if a is None else a[k:k + _BLOCK] for a in flat)


def _misfits(names: tuple[str, ...], values: Mapping[str, Any], p: Tensor) -> Iterator[str]:
    """What keeps given values from being the state of a parameter."""
    for name in names:
        expected = () if name == "step" else p.shape
        if name not in values:
            yield f"{name} is missing"
        elif np.shape(values[name]) != expected:
            yield f"{name} must have shape {expected}, got {np.shape(values[name])}"


def _copy(value: Any, dtype: Any = None) -> Any:
    """A state's value on its own: arrays copied, array scalars as Python numbers."""
    return np.array(value, dtype=dtype) if np.ndim(value) else _option(value)


def _option(value: Any) -> Any:
    """An option as Python has it; JSON makes lists of tuples."""
    if isinstance(value, (np.generic, np.ndarray, Tensor)):
        return value.item()
    return tuple(map(_option, value)) if isinstance(value, (list, tuple)) else value
