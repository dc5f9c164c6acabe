"""Arrays of other libraries, sharing memory: DLPack, and what the array-API standard asks of an array object.

    t = tg.from_dlpack(torch_tensor)        one memory, seen by both
    u = torch.from_dlpack(t)                and back

`numpy.asarray(t)` shares memory too.  A write through one is seen by the other, and not by the tape: `autograd.writes`.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from .ops import broadcast_to
from .primitive import as_array
from .tensor import Tensor, constant

__all__ = ["asarray", "broadcast_arrays", "can_cast", "finfo", "from_dlpack", "iinfo", "isdtype", "result_type"]

STANDARDS = ("2021.12", "2022.12", "2023.12", "2024.12")


def from_dlpack(x: Any) -> Tensor:
    """A tensor on the memory of another library's array; nothing is copied.

    Parameters
    ----------
    x : object with `__dlpack__` and `__dlpack_device__`
        An array on the CPU: of NumPy, PyTorch, JAX, CuPy ...

    Returns
    -------
    Tensor
        A constant of x's dtype; it cannot be written to where x cannot.

    Raises
    ------
    TypeError
        If x does not speak DLPack, or its dtype is none of ours.
    ValueError
        If x is on another device, or part of another library's graph.
    """
    if not hasattr(x, "__dlpack__") or not hasattr(x, "__dlpack_device__"):
        raise TypeError(f"from_dlpack: x must have __dlpack__ and __dlpack_device__, got {type(x).__name__}; tensor() "
                        "copies anything that NumPy takes")
    kind = x.__dlpack_device__()[0]
    if int(kind) != 1:
        raise ValueError(f"from_dlpack: x must be on the CPU (DLPack device 1), it is on device {kind}; bring it over "
                         "first")
    try:
        array = np.from_dlpack(x)
    except BufferError as error:
        raise ValueError(f"from_dlpack: {error}") from None
    except RuntimeError as error:
        raise TypeError(f"from_dlpack: {error}") from None
    return constant(as_array(array))


def exported(tensor: Tensor) -> np.ndarray:
    """The memory of a tensor for another library, which may write to it; BufferError while it is on the tape."""
    if tensor._node is not None:
        raise BufferError("__dlpack__: this tensor requires a gradient, and who gets its memory could write to it "
                          "behind the tape's back; detach() it first")
    return tensor._data


# ---- the array-API standard -----------------------------------------------------------------------------------------
def namespace(api_version: str | None) -> Any:
    """What `Tensor.__array_namespace__` gives: this package.  ValueError for a version that is not known.

    It has the standard's names with its meanings, but not all of them: MISSING says which it will not have.
    """
    if api_version is not None and api_version not in STANDARDS:
        raise ValueError(f"__array_namespace__: api_version must be one of {', '.join(STANDARDS)}, got {api_version!r}")
    return importlib.import_module(__name__.split(".")[0])


# No complex numbers, no bits, no sets: nothing here has a derivative that a network needs.
MISSING = frozenset(
    "conj real imag complex64 complex128 bitwise_and bitwise_or bitwise_xor bitwise_invert bitwise_left_shift "
    "bitwise_right_shift unique_all unique_counts unique_inverse unique_values searchsorted atan2 copysign hypot "
    "logaddexp log2 log10 nextafter signbit trunc positive count_nonzero cumulative_prod diff moveaxis int8 int16 "
    "uint8 uint16 uint32 uint64".split())


def asarray(obj: Any, dtype: Any = None, copy: bool | None = None) -> Tensor:
    """A Tensor on the memory of an array or Tensor where that can be, otherwise a copy.

    Parameters
    ----------
    obj : array_like
        Python's floats become float32, as in `tensor`.
    dtype : numpy dtype, optional
    copy : bool, optional
        True: always; False: never, a ValueError where one is needed; None: where one is needed.

    Returns
    -------
    Tensor
        obj itself if it is a Tensor and fits; a constant otherwise.
    """
    if copy or not isinstance(obj, (Tensor, np.ndarray)) or dtype is not None and obj.dtype != dtype:
        if copy is False:
            wanted = "" if dtype is None else f" of {np.dtype(dtype)}"
            raise ValueError(f"asarray: {type(obj).__name__} cannot become a tensor{wanted} without a copy")
        return obj.astype(dtype or obj.dtype) if isinstance(obj, Tensor) else Tensor(obj, dtype)
    return obj if isinstance(obj, Tensor) else constant(as_array(obj))


def broadcast_arrays(*arrays: Any) -> list[Tensor]:
    """The arrays, each broadcast to the shape of all."""
    shape = np.broadcast_shapes(*(np.shape(a) for a in arrays))
    return [broadcast_to(asarray(a), shape) for a in arrays]


def isdtype(dtype: Any, kind: Any) -> bool:
    """Is a dtype of a kind: another dtype, "bool", "integral", "real floating", "numeric" ..., or one of a tuple?"""
    return bool(np.isdtype(np.dtype(dtype), kind))


def result_type(*arrays_and_dtypes: Any) -> np.dtype[Any]:
    """The dtype that NumPy's promotion gives for tensors, dtypes and Python's numbers."""
    return np.result_type(*(a._data if isinstance(a, Tensor) else a for a in arrays_and_dtypes))


def can_cast(from_: Any, to: Any) -> bool:
    """Can a tensor's dtype, or a dtype, become another without loss by NumPy's rules?"""
    return np.can_cast(from_.dtype if isinstance(from_, Tensor) else from_, to)


def finfo(type: Any) -> np.finfo[Any]:
    """Limits of a floating dtype, or of a tensor's."""
    return np.finfo(type.dtype if isinstance(type, Tensor) else type)


def iinfo(type: Any) -> np.iinfo[Any]:
    """Limits of an integer dtype, or of a tensor's."""
    return np.iinfo(type.dtype if isinstance(type, Tensor) else type)


class NamespaceInfo:
    """What `__array_namespace_info__()` gives: devices, dtypes and what can be done."""

    def capabilities(self) -> dict[str, Any]:
        """Boolean masks as index, shapes that depend on data, and NumPy's number of dimensions."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self) -> str:
        """The CPU."""
        return "cpu"

    def devices(self) -> list[str]:
        """The CPU alone."""
        return ["cpu"]

    def default_dtypes(self, *, device: Any = None) -> dict[str, Any]:
        """Floats are float32, integers int64."""
        return {"real floating": np.dtype(np.float32), "integral": np.dtype(np.int64), "indexing": np.dtype(np.int64)}

    def dtypes(self, *, device: Any = None, kind: Any = None) -> dict[str, Any]:
        """The dtypes by name, of a kind if one is given."""
        known = {name: np.dtype(name) for name in ("bool", "int32", "int64", "float32", "float64")}
        return {name: d for name, d in known.items() if kind is None or isdtype(d, kind)}
