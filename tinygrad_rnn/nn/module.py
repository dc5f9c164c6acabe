"""Module: a tree of layers that finds its own parameters.

What a module is made of are its attributes: a Parameter, a Module or a random stream that is assigned to `self` belongs
to it, under the attribute's name.  There is no second list to keep in step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple, Self

import numpy as np

from ..autograd import Tensor
from ..random import Rng, entropy, stream
from . import init
from .parameter import Parameter

Start = Callable[..., Any]      # start(tensor, rng=generator) fills a tensor in place: the functions of nn.init


class Unmatched(NamedTuple):
    """Names that `load_state_dict(strict=False)` left alone."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module:
    """What layers and models derive from: assign parameters and modules to `self`, and write `forward`.

    Examples
    --------
    >>> class Net(Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.hidden, self.out = Linear(8, 16), Linear(16, 1)
    ...     def forward(self, x):
    ...         return self.out(self.hidden(x).tanh())

    Attributes
    ----------
    training : bool
        True after `train()`, False after `eval()`: dropout looks at it.
    """

    training: bool = True

    def __init__(self) -> None:
        self.training = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What calling the module computes; each module writes its own."""
        raise NotImplementedError(f"{type(self).__name__} has no forward()")

    # ---- what it is made of -----------------------------------------------------------------------------------------
    def declare(self, name: str, shape: tuple[int, ...], start: Start) -> Parameter:
        """Make a float32 parameter and say how it starts.

        Parameters
        ----------
        name : str
            The attribute.
        shape : tuple of int
        start : callable
            start(tensor, rng=generator) fills it: a function of `nn.init`, its arguments bound by functools.partial.
            A constructor declares all its parameters and then calls `initialise(rng)`, which draws them.
        """
        parameter = Parameter(np.zeros(shape, np.float32))
        setattr(self, name, parameter)
        self.__dict__.setdefault("_starts", {})[name] = start
        return parameter

    def register_buffer(self, name: str, array: Any) -> None:
        """Keep an array that is state but not learned: in `state_dict`, not in `parameters`.  None keeps the name."""
        if not name.isidentifier():
            raise ValueError(f"register_buffer: name must be an identifier, got {name!r}")
        if name not in self._buffer_names() and hasattr(self, name):
            raise ValueError(f"register_buffer: {type(self).__name__} already has an attribute {name!r}")
        setattr(self, name, array if array is None or isinstance(array, Tensor) else Tensor(array))
        if name not in self._buffer_names():
            self.__dict__.setdefault("_buffers", []).append(name)

    def _buffer_names(self) -> list[str]:
        names: list[str] = self.__dict__.get("_buffers", [])
        return names

    def _own(self, kind: type) -> Iterator[tuple[str, Any]]:
        """Attributes of a kind, in the order of their assignment."""
        for name, value in vars(self).items():
            if isinstance(value, kind):
                yield name, value
            elif isinstance(value, (list, tuple, dict)) and not name.startswith("_"):
                inside = value.values() if isinstance(value, dict) else value
                if any(isinstance(v, (Parameter, Module)) for v in inside):
                    raise TypeError(f"{type(self).__name__}.{name} is a {type(value).__name__} of modules or "
                                    "parameters, in which they would not be found: use nn.ModuleList, or attributes")

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Modules one level below, with their names."""
        return self._own(Module)

    def children(self) -> Iterator[Module]:
        """Modules one level below."""
        return (child for _, child in self.named_children())

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module ('') and all below, each once, with their paths."""
        return self._walk(prefix, set())

    def modules(self) -> Iterator[Module]:
        """This module and all below, each once."""
        return (module for _, module in self.named_modules())

    def _walk(self, prefix: str, seen: set[int] | None) -> Iterator[tuple[str, Module]]:
        """Modules from the top down; with `seen` each once, without under each of its names."""
        if seen is not None:
            if id(self) in seen:
                return
            seen.add(id(self))
        yield prefix, self
        for name, child in self.named_children():
            yield from child._walk(_joined(prefix, name), seen)

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Parameter]]:
        """All parameters with their paths, a shared one once, under its first name."""
        seen: set[int] = set()
        for path, module in self.named_modules(prefix):
            for name, parameter in module._own(Parameter):
                if id(parameter) not in seen:
                    seen.add(id(parameter))
                    yield _joined(path, name), parameter

    def parameters(self) -> Iterator[Parameter]:
        """All parameters, a shared one once."""
        return (parameter for _, parameter in self.named_parameters())

    def named_buffers(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """All buffers with their paths."""
        for path, module in self.named_modules(prefix):
            for name in module._buffer_names():
                if getattr(module, name) is not None:
                    yield _joined(path, name), getattr(module, name)

    def buffers(self) -> Iterator[Tensor]:
        """All buffers."""
        return (buffer for _, buffer in self.named_buffers())

    # ---- start values -----------------------------------------------------------------------------------------------
    def initialise(self, rng: Rng) -> Self:
        """Draw every parameter anew, in place, from a stream of its own; returns self.

        A stream depends on the seed and on the parameter's path alone: not on the order of the layers, nor on what
        other layers there are, and two equal layers do not start equal.  Dropout's streams start anew too.  A parameter
        starts as its module declared; one that was merely assigned starts uniform in +-1/sqrt(size of its last axis); a
        frozen one (`requires_grad=False`) keeps its values.

        Parameters
        ----------
        rng : numpy.random.Generator, int or None
            None draws fresh entropy.
        """
        seed = entropy(rng)
        owners = {_joined(path, name): module.__dict__.get("_starts", {}).get(name)
                  for path, module in self.named_modules() for name, _ in module._own(Parameter)}
        for path, parameter in self.named_parameters():
            if parameter.requires_grad:
                start = owners[path] or _usual_start(parameter.shape)
                start(parameter, rng=stream(seed, path))
        for path, module, name in self._named_streams():
            setattr(module, name, stream(seed, path))
        return self

    def _named_streams(self) -> list[tuple[str, Module, str]]:
        """Path, module and attribute of each random stream."""
        return [(_joined(path, name), module, name) for path, module in self.named_modules()
                for name, _ in module._own(np.random.Generator)]

    def rng_state(self) -> dict[str, dict[str, Any]]:
        """Where each random stream (dropout's) stands: path -> NumPy's state, plain numbers and strings."""
        return {path: getattr(module, name).bit_generator.state for path, module, name in self._named_streams()}

    def load_rng_state(self, mapping: Mapping[str, Mapping[str, Any]]) -> None:
        """Put every random stream where `rng_state` found it.  ValueError for names that do not fit."""
        own = {path: (module, name) for path, module, name in self._named_streams()}
        if own.keys() != mapping.keys():
            raise ValueError(f"load_rng_state: the streams are {sorted(own)}, got {sorted(mapping)}")
        for path, (module, name) in own.items():
            generator = np.random.default_rng(0)
            generator.bit_generator.state = dict(mapping[path])
            setattr(module, name, generator)

    # ---- its state as arrays ----------------------------------------------------------------------------------------
    def _state(self) -> Iterator[tuple[str, Tensor]]:
        """Parameters and buffers by path; a shared one under each of its names, as PyTorch's state_dict has it."""
        for path, module in self._walk("", None):
            for name, parameter in module._own(Parameter):
                yield _joined(path, name), parameter
            for name in module._buffer_names():
                if getattr(module, name) is not None:
                    yield _joined(path, name), getattr(module, name)

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all parameters and buffers, by path."""
        return {name: tensor.data.copy() for name, tensor in self._state()}

    def load_state_dict(self, mapping: Mapping[str, Any], strict: bool = True) -> Unmatched:
        """Copy values into the parameters and buffers, which keep their dtype.

        Parameters
        ----------
        mapping : name -> array_like
            Arrays, Tensors, detached tensors of PyTorch.
        strict : bool
            False: names that are missing or unexpected are left alone, and returned.

        Raises
        ------
        ValueError
            Lists every name that is missing, unexpected or does not fit; nothing is changed then.
        """
        own = dict(self._state())
        missing = [name for name in own if name not in mapping]
        unexpected = [name for name in mapping if name not in own]
        values, misfits = {}, []
        for name, tensor in own.items():
            if name in mapping:
                try:
                    values[name] = _fitting(mapping[name], tensor)
                except (TypeError, ValueError, RuntimeError) as error:
                    misfits.append(f"{name}: {error}")
        faults = [f"missing: {', '.join(missing)}"] * bool(missing and strict)
        faults += [f"unexpected: {', '.join(unexpected)}"] * bool(unexpected and strict)
        faults += misfits
        if faults:
            raise ValueError(f"{type(self).__name__}.load_state_dict: nothing was changed, for these do not fit:\n  "
                             + "\n  ".join(faults))
        for name, value in values.items():
            own[name].data[...] = value
        return Unmatched(missing, unexpected)

    # ---- acting on the whole tree -----------------------------------------------------------------------------------
    def train(self, mode: bool = True) -> Self:
        """Set `training` here and below; returns self."""
        for module in self.modules():
            module.training = bool(mode)
        return self

    def eval(self) -> Self:
        """`train(False)`: dropout lets everything through."""
        return self.train(False)

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call fn(module) for every module below and then for this one; returns self."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def astype(self, dtype: Any) -> Self:
        """Change the dtype of floating parameters, their gradients and floating buffers, in place; returns self."""
        if np.dtype(dtype).kind != "f":
            raise TypeError(f"astype: a module's dtype must be floating, got {np.dtype(dtype)}")
        for tensor in (*self.parameters(), *self.buffers()):
            if tensor.dtype.kind == "f":
                tensor.data = tensor.data.astype(dtype, copy=False)
                if tensor.grad is not None:
                    tensor.grad = tensor.grad.astype(dtype)
        return self

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.parameters():
            parameter.grad = None

    # ---- as text ----------------------------------------------------------------------------------------------------
    def extra_repr(self) -> str:
        """What stands between the parentheses of `repr`."""
        return ""

    def __repr__(self) -> str:
        count = sum(parameter.size for parameter in self.parameters())
        note = f"  # {count:,} parameters" if count else ""
        children = list(self.named_children())
        if not children:
            return f"{type(self).__name__}({self.extra_repr()}){note}"
        below = "".join(f"  ({name}): {child!r}".replace("\n", "\n  ") + "\n" for name, child in children)
        return f"{type(self).__name__}({self.extra_repr()}{note}\n{below})"


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _usual_start(shape: tuple[int, ...]) -> Start:
    """A linear layer's: uniform in +-1/sqrt(inputs)."""
    bound = 1 / max(1, shape[-1] if shape else 1) ** 0.5
    return partial(init.uniform_, a=-bound, b=bound)


def _fitting(value: Any, tensor: Tensor) -> np.ndarray:
    """A given value as an array that can be copied into a tensor; ValueError or TypeError where it cannot."""
    array = value.data if isinstance(value, Tensor) else np.asarray(value)
    if array.shape != tensor.shape:
        raise ValueError(f"shape is {tensor.shape}, got {array.shape}")
    if array.dtype.kind not in ("fiu" if tensor.dtype.kind == "f" else "iub"):
        raise TypeError(f"dtype is {tensor.dtype}, got {array.dtype}")
    return array
