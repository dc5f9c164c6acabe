"""Tensor: an array that remembers how it was computed.

The tape is the graph itself.  A Tensor is its values and a `Node`, which holds the operation, what its rules need, and
edges to the nodes of its arguments; a leaf that wants a gradient has a node without operation, a constant has
none.  There is no global list, so what nobody can reach is freed.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Self

import numpy as np

from .in_place import InPlace
from .node import Node, leaf
from .operators import Operators
from .primitive import INTERPRETERS, as_array

_new = object.__new__


class Tensor(Operators, InPlace):
    """An n-dimensional array with an optional gradient.

    Parameters
    ----------
    data : array_like
        Copied.  Python bools become bool, ints int64, floats float32; arrays and NumPy scalars keep their dtype.
    dtype : numpy dtype, optional
    requires_grad : bool
        Whether `backward` shall accumulate into `.grad`; floating dtypes only.

    Raises
    ------
    TypeError
        If data are not bools, integers, float32 or float64, or a sequence of Tensors.
    """

    # _parked: the node of a leaf that does not ask for gradients any more, which still holds its gradient.
    __slots__ = ("__weakref__", "_data", "_node", "_parked")
    __array_ufunc__ = None          # so that `array * tensor` asks Tensor.__rmul__ and not NumPy
    __hash__ = object.__hash__      # `==` compares elementwise, so identity is what hashes

    _data: np.ndarray
    _node: Node | None
    _parked: Node

    def __init__(self, data: Any, dtype: Any = None, requires_grad: bool = False) -> None:
        data = data._data if isinstance(data, Tensor) else data
        array = as_array(data)
        if dtype is not None and not isinstance(data, (np.ndarray, np.generic)):
            array = np.asarray(data)    # 0.1 that is to be a float64 must not become a float32 on the way
        self._data = as_array(np.array(array, np.dtype(dtype or array.dtype).newbyteorder("="), order="C"))
        self._node = None
        if requires_grad:
            self.requires_grad_()

    def __init_subclass__(cls) -> None:
        INTERPRETERS[cls] = INTERPRETERS[Tensor]

    # ---- what it is -------------------------------------------------------------------------------------------------
    @property
    def data(self) -> np.ndarray:
        """The values: writable and unchecked.  Writing to them behind the tape's back is the caller's risk."""
        return self._data

    @data.setter
    def data(self, array: np.ndarray) -> None:
        if not isinstance(array, np.ndarray):
            raise TypeError(f"data: expected an ndarray, got {type(array).__name__}")
        self._data = array
        node = self._own_node()
        if node is not None and self.is_leaf:
            node.shape, node.dtype = array.shape, array.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """Size along each axis."""
        return self._data.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the elements."""
        return self._data.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self._data.ndim

    @property
    def size(self) -> int:
        """Number of elements."""
        return self._data.size

    # ---- numbers ----------------------------------------------------------------------------------------------------
    def numpy(self) -> np.ndarray:
        """The values, without copying; read-only while the tensor is on the tape."""
        if self._node is None:
            return self._data
        view = self._data.view()
        view.flags.writeable = False
        return view

    def item(self) -> Any:
        """The one element as a Python number.  Raises ValueError if there is more or less than one."""
        if self._data.size != 1:
            raise ValueError(f"item: only a tensor of one element is a number, got shape {self.shape}")
        return self._data.item()

    def tolist(self) -> Any:
        """Nested lists of Python numbers."""
        return self._data.tolist()

    def detach(self) -> Tensor:
        """The same values off the tape: shares memory, carries no gradient."""
        return constant(self._data)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self.numpy()
        if dtype is not None and array.dtype != dtype:
            if copy is False:
                raise ValueError(f"__array__: {array.dtype} cannot become {np.dtype(dtype)} without a copy")
            return array.astype(dtype)
        return array.copy() if copy else array

    # ---- other libraries --------------------------------------------------------------------------------------------
    def __dlpack__(self, *, stream: None = None, max_version: tuple[int, int] | None = None,
                   dl_device: tuple[int, int] | None = None, copy: bool | None = None) -> Any:
        from .exchange import exported
        if stream is not None:
            raise ValueError(f"__dlpack__: stream must be None on the CPU, got {stream!r}")
        return exported(self).__dlpack__(max_version=max_version, dl_device=dl_device, copy=copy)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._data.__dlpack_device__()

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        from .exchange import namespace
        return namespace(api_version)

    @property
    def device(self) -> str:
        """Always "cpu"."""
        return "cpu"

    def to_device(self, device: str, /, *, stream: None = None) -> Self:
        """The tensor itself; ValueError for any device but "cpu"."""
        if device != "cpu" or stream is not None:
            raise ValueError(f"to_device: the only device is 'cpu', without streams, got {device!r}")
        return self

    # ---- as a container ---------------------------------------------------------------------------------------------
    def __len__(self) -> int:
        if not self._data.shape:
            raise TypeError("len() of a tensor without dimensions")
        return int(self._data.shape[0])

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        return bool(self._data)

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        return int(self._data.__index__())

    def __contains__(self, value: Any) -> bool:
        return bool((self._data == (value._data if isinstance(value, Tensor) else value)).any())

    def __repr__(self) -> str:
        text = np.array2string(self._data, separator=", ", prefix="tensor(", threshold=200, edgeitems=3)
        notes = "" if self.dtype in (np.float32, np.int64, np.bool_) else f", dtype={self.dtype}"
        if not self._data.size:
            notes += f", shape={self.shape}"
        if not self.is_leaf:
            notes += f", from={self._made_by()}"
        elif self.requires_grad:
            notes += ", requires_grad=True"
        return f"tensor({text}{notes})"

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else repr(self)

    # ---- copies -----------------------------------------------------------------------------------------------------
    def __reduce__(self) -> Any:
        self._refuse_to_copy("pickle")
        return _rebuild, (type(self), self._data, self.requires_grad), getattr(self, "__dict__", None) or None

    def __copy__(self) -> Self:
        return self.__deepcopy__({})

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        self._refuse_to_copy("copy")
        twin: Self = _rebuild(type(self), self._data, self.requires_grad)
        memo[id(self)] = twin
        if self.grad is not None:
            twin.grad = copy.deepcopy(self.grad, memo)
        if hasattr(self, "__dict__"):       # a subclass may have attributes
            vars(twin).update(copy.deepcopy(vars(self), memo))
        return twin

    def _refuse_to_copy(self, who: str) -> None:
        if not self.is_leaf:
            raise ValueError(f"{who}: this tensor is the result of {self._made_by()}, and a graph cannot be copied; "
                             "detach() it first")

    # ---- its place on the graph -------------------------------------------------------------------------------------
    @property
    def requires_grad(self) -> bool:
        """Does a gradient flow through it?"""
        return self._node is not None

    @requires_grad.setter
    def requires_grad(self, flag: bool) -> None:
        self.requires_grad_(flag)

    def requires_grad_(self, flag: bool = True) -> Self:
        """Ask for gradients (or stop asking), in place; returns self.

        Raises
        ------
        TypeError
            If the dtype is not floating: an integer has no derivative.
        ValueError
            If it is the result of a recorded operation: `detach()` it first.
        """
        if flag and self._data.dtype.kind != "f":
            raise TypeError(f"requires_grad: only floating tensors have gradients, got dtype {self.dtype}; "
                            "use astype(float32)")
        if not flag and not self.is_leaf:
            raise ValueError(f"requires_grad_: this tensor is the result of {self._made_by()}; use detach() to cut it "
                             "from the graph")
        if flag and self._node is None:
            self._node = self._own_node() or leaf(self._data.shape, self._data.dtype)
        elif not flag and self._node is not None:
            self._parked, self._node = self._node, None
        return self

    @property
    def is_leaf(self) -> bool:
        """True for a Tensor that no recorded operation made: `backward` stores gradients in leaves."""
        return self._node is None or self._node.plan is None

    @property
    def grad(self) -> Any:
        """The gradient that `backward` has accumulated here; None before, and after it was set to None.

        A Tensor; a RowSparse where only `Embedding(sparse=True)` has read this tensor.
        """
        return getattr(self._own_node(), "grad", None)

    @grad.setter
    def grad(self, value: Any) -> None:
        from .sparse import RowSparse
        if value is not None and not isinstance(value, (Tensor, RowSparse)):
            raise TypeError(f"grad: expected None or a Tensor, got {type(value).__name__}")
        node = self._own_node()
        if node is None:
            node = self._parked = leaf(self._data.shape, self._data.dtype)
        node.grad = value

    def _own_node(self) -> Node | None:
        """Its node, also that of a leaf that does not ask for gradients now."""
        return self._node if self._node is not None else getattr(self, "_parked", None)

    def _made_by(self) -> str:
        """Name of the operation that it is a result of."""
        return "no operation" if self._node is None or self._node.plan is None else self._node.plan.primitive.name

    def register_hook(self, fn: Callable[[Tensor], Any]) -> Hook:
        """Call fn(gradient) whenever this tensor's whole gradient is known; what it returns, unless None, replaces it.

        Returns
        -------
        Hook
            Its `remove()` ends it.

        Raises
        ------
        ValueError
            If this tensor does not require a gradient.
        """
        if self._node is None:
            raise ValueError("register_hook: no gradient flows through this tensor; call requires_grad_() first")
        return Hook(self._node, fn)

    def retain_grad(self) -> None:
        """Keep the gradient of this result in `.grad`, as a leaf does.  ValueError if it does not require one."""
        if self._node is None:
            raise ValueError("retain_grad: no gradient flows through this tensor")
        if self.is_leaf or hasattr(self._node, "grad"):
            return
        self._node.grad = None
        node = weakref.ref(self._node)      # the node holds the hook: no cycle

        def keep(g: Tensor) -> None:
            holder = node()
            if holder is not None:
                holder.grad = g if holder.grad is None else holder.grad + g

        Hook(self._node, keep)

    def backward(self, gradient: Any = None, retain_graph: bool = False, create_graph: bool = False) -> None:
        """Add the gradient of this tensor to `.grad` of every leaf that it depends on.

        Parameters
        ----------
        gradient : array_like, shape and dtype of self
            The vector of the vector-Jacobian product; optional for a tensor of one element (it is 1).
        retain_graph : bool
            Keep what the pass needed, so that it can run again.
        create_graph : bool
            Record the pass itself: the gradients can be differentiated again.  Implies retain_graph.

        Raises
        ------
        ValueError
            If no leaf requires a gradient; if gradient is missing or of another shape; if the graph was freed.
        TypeError
            If gradient is of another dtype.
        """
        from .backward import accumulate
        accumulate(self, gradient, retain_graph or create_graph, create_graph)


class Hook:
    """A function that sees a gradient; `remove()` ends that."""

    def __init__(self, node: Node, fn: Callable[[Tensor], Any]) -> None:
        if node.hooks is None:
            node.hooks = {}
        self._hooks, self._key = node.hooks, object()
        self._hooks[self._key] = fn

    def remove(self) -> None:
        """Call the function no more."""
        self._hooks.pop(self._key, None)


def tensor(data: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A new leaf Tensor; copies its data.  See `Tensor` for dtypes."""
    return Tensor(data, dtype, requires_grad)


def on_graph(array: np.ndarray, node: Node | None) -> Tensor:
    """A Tensor around an array, without copying, at its place on the graph."""
    result: Tensor = _new(Tensor)
    result._data = array
    result._node = node
    return result


def constant(array: np.ndarray) -> Tensor:
    """A Tensor around an array, without copying, without gradient."""
    return on_graph(array, None)


def _rebuild(cls: type[Tensor], data: np.ndarray, requires_grad: bool) -> Any:
    """A leaf from its parts, without the constructor of its class."""
    twin = cls.__new__(cls)
    twin._data, twin._node = np.array(data), None
    return twin.requires_grad_(requires_grad)
