"""Tensor: an array that remembers how it was computed.

The tape is the graph itself.  Every result holds a `Node`: the operation, the values its rules need, and edges to the
nodes (or leaf Tensors) that its arguments came from.  There is no global list, so what nobody can reach is freed.
Operators and methods are attached by `autograd/methods.py`: this file is the data structure and the recording.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from .mode import MODE
from .primitive import INTERPRETERS, Primitive, as_array

_order = itertools.count()


class Node:
    """One recorded operation: what backward needs, and where its arguments came from.

    edges : one an argument: the Node that made it, the leaf Tensor that it is, or None where no gradient flows.
    values : the arguments as arrays, None where no rule reads them.  None as a whole once freed.
    order : creation number; a node's arguments are older than it, so falling order is a topological order.
    """

    __slots__ = ("primitive", "edges", "values", "keywords", "result", "shape", "dtype", "order", "site", "hooks",
                 "__weakref__")

    primitive: Primitive
    edges: list[Any]
    values: list[Any] | None
    keywords: dict[str, Any]
    result: Any
    shape: Any
    dtype: Any
    order: int
    site: str | None
    hooks: Any

    def free(self) -> None:
        """Drop what backward needed; a later backward through here is then an error that says so."""
        self.values = self.result = None


class Tensor:
    """An n-dimensional array with an optional gradient.

    Parameters
    ----------
    data : array_like
        Copied.  Python bools become bool, ints int64, floats float32; arrays and NumPy scalars keep their dtype.
    dtype : numpy dtype, optional
    requires_grad : bool
        Whether `backward` shall accumulate into `.grad`; floating dtypes only.

    Attributes
    ----------
    data : ndarray
        The values: writable and unchecked; writing to them behind the tape's back is the caller's risk.
    grad : Tensor or None
    shape, ndim, size, dtype, T, mT, is_leaf : as in NumPy and PyTorch
    """

    __slots__ = ("data", "grad", "requires_grad", "_node", "_hooks", "__weakref__")
    __array_ufunc__ = None          # so that `array * tensor` asks Tensor.__rmul__ and not NumPy
    __hash__ = object.__hash__      # `==` compares elementwise, so identity is what hashes

    data: np.ndarray
    grad: "Tensor | None"
    requires_grad: bool
    _node: Node | None
    _hooks: Any

    def __init__(self, data: Any, dtype: Any = None, requires_grad: bool = False) -> None:
        data = data.data if isinstance(data, Tensor) else data
        # Asked for float64, 0.1 must not become a float32 on the way.
        self.data = np.array(as_array(data) if dtype is None else data, dtype=dtype, order="C")
        if self.data.dtype.kind not in "biuf":
            raise TypeError(f"tensor: data must be numbers or bools, got dtype {self.data.dtype}")
        self.grad, self._node, self._hooks, self.requires_grad = None, None, None, False
        if requires_grad:
            self.requires_grad_()

    def __init_subclass__(cls) -> None:
        INTERPRETERS[cls] = record

    # ---- what it is -------------------------------------------------------------------------------------------------
    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    @property
    def dtype(self) -> np.dtype:
        return self.data.dtype

    @property
    def ndim(self) -> int:
        return self.data.ndim

    @property
    def size(self) -> int:
        return self.data.size

    @property
    def is_leaf(self) -> bool:
        """True for a Tensor that no recorded operation made: `backward` stores gradients in leaves."""
        return self._node is None

    def requires_grad_(self, flag: bool = True) -> "Tensor":
        """Ask for gradients (or stop asking), in place; returns self.

        Raises
        ------
        TypeError
            If the dtype is not floating: an integer has no derivative.
        ValueError
            If it is the result of a recorded operation: `detach()` it first.
        """
        if flag and self.data.dtype.kind != "f":
            raise TypeError(f"requires_grad: only floating tensors have gradients, got dtype {self.dtype}; "
                            "use astype(float32)")
        if self._node is not None and not flag:
            raise ValueError(f"requires_grad_: this tensor is the result of {self._node.primitive.name}; "
                             "use detach() to cut it from the graph")
        self.requires_grad = flag
        return self

    # ---- as numbers -------------------------------------------------------------------------------------------------
    def numpy(self) -> np.ndarray:
        """The values, without copying; read-only while the tensor is on the tape."""
        if not self.requires_grad:
            return self.data
        view = self.data.view()
        view.flags.writeable = False
        return view

    def item(self) -> Any:
        """The one element as a Python number.  Raises ValueError if there is more or less than one."""
        if self.data.size != 1:
            raise ValueError(f"item: only a tensor of one element is a number, got shape {self.shape}")
        return self.data.item()

    def tolist(self) -> Any:
        """Nested lists of Python numbers."""
        return self.data.tolist()

    def detach(self) -> "Tensor":
        """The same values off the tape: shares memory, carries no gradient."""
        return constant(self.data)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self.numpy()
        if dtype is not None and array.dtype != dtype:
            if copy is False:
                raise ValueError(f"__array__: {array.dtype} cannot become {np.dtype(dtype)} without a copy")
            return array.astype(dtype)
        return array.copy() if copy else array

    def __len__(self) -> int:
        if not self.data.shape:
            raise TypeError("len() of a tensor without dimensions")
        return self.data.shape[0]

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))      # type: ignore[index]

    def __bool__(self) -> bool:
        return bool(self.data)

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        return self.data.__index__()

    def __contains__(self, value: Any) -> bool:
        return bool((self.data == (value.data if isinstance(value, Tensor) else value)).any())

    def __repr__(self) -> str:
        text = np.array2string(self.data, separator=", ", prefix="tensor(", threshold=200, edgeitems=3)
        notes = "" if self.dtype in (np.float32, np.int64, np.bool_) else f", dtype={self.dtype}"
        if not self.data.size:
            notes += f", shape={self.shape}"
        if self._node is not None:
            notes += f", from={self._node.primitive.name}"
        elif self.requires_grad:
            notes += ", requires_grad=True"
        return f"tensor({text}{notes})"

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else repr(self)

    # ---- copies -----------------------------------------------------------------------------------------------------
    def __reduce__(self) -> Any:
        return _rebuild, (type(self), self.data, self.requires_grad)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Tensor":
        if self._node is not None:
            raise ValueError(f"deepcopy: this tensor is the result of {self._node.primitive.name}; a graph cannot be "
                             "copied, detach() it first")
        twin = _rebuild(type(self), self.data, self.requires_grad)
        memo[id(self)] = twin
        twin.grad = None if self.grad is None else constant(self.grad.data.copy())
        return twin

    # ---- derivatives ------------------------------------------------------------------------------------------------
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


def tensor(data: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A new leaf Tensor; copies its data.  See `Tensor` for dtypes."""
    return Tensor(data, dtype, requires_grad)


def constant(array: np.ndarray) -> Tensor:
    """A Tensor around an array, without copying, without gradient."""
    result = Tensor.__new__(Tensor)
    result.data, result.grad, result.requires_grad, result._node, result._hooks = array, None, False, None, None
    return result


def on_graph(array: np.ndarray, node: Node) -> Tensor:
    """A Tensor around an array that `node` made."""
    result = Tensor.__new__(Tensor)
    result.data, result.grad, result.requires_grad, result._node, result._hooks = array, None, True, node, None
    return result


def _rebuild(cls: type, data: np.ndarray, requires_grad: bool) -> Any:
    twin = cls.__new__(cls)
    twin.data, twin.grad, twin.requires_grad = np.array(data), None, requires_grad
    twin._node = twin._hooks = None
    return twin


# ---- recording ------------------------------------------------------------------------------------------------------
def record(primitive: Primitive, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run an operation on Tensors; remember it if any argument requires a gradient."""
    values = [a.data if isinstance(a, Tensor) else a for a in args]
    if kwargs and any(isinstance(v, Tensor) for v in kwargs.values()):
        return record(primitive, primitive.positional(args, kwargs), {})
    try:
        y = primitive.forward(*values, **kwargs)
    except ValueError as error:
        raise _explained(primitive, values, error) from None
    if type(y) is not np.ndarray and type(y) is not tuple:
        y = np.asarray(y)
    if MODE.anomaly:
        from .anomaly import check_result
        check_result(primitive, values, y)
    if MODE.grad:
        edges = [(a._node or a) if isinstance(a, Tensor) and a.requires_grad else None for a in args]
        for edge in edges:
            if edge is not None:
                return _recorded(primitive, edges, values, kwargs, y)
    return constant(y) if type(y) is not tuple else tuple(map(constant, y))


def _recorded(primitive: Primitive, edges: list[Any], values: list[Any], kwargs: dict[str, Any], y: Any) -> Any:
    node = Node()
    node.primitive, node.edges, node.keywords, node.order = primitive, edges, kwargs, next(_order)
    for k in primitive.drops:
        if k < len(values):
            values[k] = None
    node.values = values
    node.result = y if primitive.keeps_result else None
    node.site = node.hooks = None
    if MODE.anomaly:
        from .anomaly import user_line
        node.site = user_line()
    if type(y) is tuple:
        node.shape = node.dtype = None
        return tuple(_part(node, k, part) for k, part in enumerate(y))
    if y.dtype.kind != "f":
        return constant(y)
    node.shape, node.dtype = y.shape, y.dtype
    return on_graph(y, node)


class Parts(dict):
    """The gradient of an operation with several results: position -> gradient; absent where none came."""

    def __iadd__(self, other: dict[int, Any]) -> "Parts":
        for k, g in other.items():
            self[k] = self[k] + g if k in self else g
        return self


def _select(y: Any, position: int) -> Any:
    return y


_SELECT = Primitive(_select, [lambda g, _y, _result, position: Parts({position: g})], None, None, (), "structural", (),
                    None, True, name="result")


def _part(node: Node, position: int, array: np.ndarray) -> Tensor:
    """One of the results of an operation that has several."""
    part = Node()
    part.primitive, part.edges, part.values, part.keywords = _SELECT, [node, None], [None, position], {}
    part.result, part.shape, part.dtype, part.order = None, array.shape, array.dtype, next(_order)
    part.site, part.hooks = node.site, None
    return on_graph(array, part)


def _explained(primitive: Primitive, values: list[Any], error: ValueError) -> ValueError:
    """NumPy's shape errors in the words of the library: operation, shapes, and the axis that does not fit."""
    if str(error).startswith(primitive.name):
        return error
    shapes = [np.shape(v) for v in values if isinstance(v, np.ndarray)]
    if primitive.kind == "elementwise":
        return ValueError(f"{primitive.name}: {broadcast_conflict(shapes) or error}")
    return ValueError(f"{primitive.name}: {error}; argument shapes {', '.join(map(str, shapes))}")


def broadcast_conflict(shapes: list[tuple[int, ...]]) -> str:
    """Which axis keeps shapes from broadcasting, '' where they do."""
    for axis in range(1, max(map(len, shapes), default=0) + 1):
        sizes = {s[-axis] for s in shapes if len(s) >= axis} - {1}
        if len(sizes) > 1:
            listed = " and ".join(map(str, shapes))
            return (f"shapes {listed} do not broadcast: axis {-axis} has sizes "
                    f"{' and '.join(map(str, sorted(sizes)))}; sizes must be equal or 1")
    return ""


INTERPRETERS[Tensor] = record
