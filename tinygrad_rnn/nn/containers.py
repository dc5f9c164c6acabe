"""Modules that hold modules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from .module import Module


class _Several(Module):
    """What containers share: children under the names "0", "1", ..., reached by position."""

    def __len__(self) -> int:
        return sum(1 for _ in self.children())

    def __iter__(self) -> Iterator[Module]:
        return self.children()

    def __getitem__(self, index: int | slice) -> Any:
        listed = list(self.children())
        if isinstance(index, slice):
            return type(self)(*listed[index]) if isinstance(self, Sequential) else ModuleList(listed[index])
        if not -len(listed) <= index < len(listed):
            raise IndexError(f"{type(self).__name__}: index {index} is out of range for {len(listed)} modules")
        return listed[index]

    def append(self, module: Module) -> Self:
        """Add a module at the end; returns self."""
        if not isinstance(module, Module):
            raise TypeError(f"{type(self).__name__}: expected a Module, got {type(module).__name__}")
        setattr(self, str(len(self)), module)
        return self


class Sequential(_Several):
    """Modules one after the other: each gets what the one before it returns.

    Parameters
    ----------
    *modules : Module
        Or one mapping name -> Module.
    """

    def __init__(self, *modules: Any) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            for name, module in modules[0].items():
                setattr(self, name, module)
            return
        for module in modules:
            self.append(module)

    def forward(self, x: Any) -> Any:
        """Apply the modules in their order."""
        for module in self:
            x = module(x)
        return x


class ModuleList(_Several):
    """A list of modules that `parameters()` finds; it has no forward of its own."""

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__()
        self.extend(modules)

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add modules at the end; returns self."""
        for module in modules:
            self.append(module)
        return self
