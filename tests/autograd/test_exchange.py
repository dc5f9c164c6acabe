"""Arrays shared with other libraries, and the array-API standard: what is there, honestly."""

from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import tensor
from tinygrad_rnn.autograd import exchange


class Foreign:
    """Another library's array: DLPack and nothing else."""

    def __init__(self, array: np.ndarray, device: int = 1) -> None:
        self.array, self.device = array, device

    def __dlpack__(self, **options: Any) -> Any:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device, 0


DTYPES = (np.bool_, np.int32, np.int64, np.float32, np.float64)


@pytest.mark.parametrize("dtype", DTYPES)
def test_memory_is_shared_both_ways(dtype: Any) -> None:
    source = np.ones((2, 3), dtype)[:, ::-1]
    t = tg.from_dlpack(Foreign(source))
    assert (t.dtype, t.shape) == (dtype, (2, 3))
    t[0, 0] = 0
    assert source[0, 0] == 0
    back = np.from_dlpack(t)
    assert np.shares_memory(back, source)
    assert t.__dlpack_device__() == (1, 0)
    source[1] = 0
    assert t.data[1].tolist() == [0, 0, 0]


def test_read_only_memory_stays_so() -> None:
    source = np.ones(3)
    source.flags.writeable = False
    t = tg.from_dlpack(Foreign(source))
    with pytest.raises(ValueError, match="add_: the memory of this tensor is read-only"):
        t.add_(1)
    assert (t + 1).tolist() == [2, 2, 2]


def test_what_is_on_the_tape_is_not_given_away() -> None:
    x = tensor([1.0, 2.0], requires_grad=True)
    for t in (x, x * 2):
        with pytest.raises(BufferError, match=r"requires a gradient.*detach\(\) it first"):
            np.from_dlpack(t)
    assert np.shares_memory(np.from_dlpack(x.detach()), x.data)
    assert np.shares_memory(np.asarray(x), x.data)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        ([1.0], TypeError, r"from_dlpack: x must have __dlpack__ and __dlpack_device__, got list; tensor\(\) copies"),
        (Foreign(np.ones(2), device=2), ValueError, r"must be on the CPU \(DLPack device 1\), it is on device 2"),
        (Foreign(np.ones(2, np.complex64)), TypeError, "complex64"),
        (Foreign(np.ones(2, np.float16)), TypeError, "float16"),
    ],
)
def test_what_cannot_come_in(x: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        tg.from_dlpack(x)


def test_there_are_no_streams() -> None:
    with pytest.raises(ValueError, match="stream must be None on the CPU, got 1"):
        tensor([1.0]).__dlpack__(stream=1)
    t = tensor([1.0])
    assert t.to_device("cpu") is t
    assert t.device == "cpu"
    with pytest.raises(ValueError, match="the only device is 'cpu'"):
        t.to_device("cuda")


# ---- the standard ---------------------------------------------------------------------------------------------------
# All names of the 2024.12 standard, without the optional extensions.
STANDARD = """
e inf nan newaxis pi arange asarray empty empty_like eye from_dlpack full full_like linspace meshgrid ones
ones_like tril triu zeros zeros_like astype broadcast_arrays broadcast_to can_cast finfo iinfo isdtype
result_type bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64 complex64 complex128 abs
acos acosh add asin asinh atan atan2 atanh bitwise_and bitwise_left_shift bitwise_invert bitwise_or
bitwise_right_shift bitwise_xor ceil clip conj copysign cos cosh divide equal exp expm1 floor floor_divide
greater greater_equal hypot imag isfinite isinf isnan less less_equal log log1p log2 log10 logaddexp
logical_and logical_not logical_or logical_xor maximum minimum multiply negative nextafter not_equal positive
pow real reciprocal remainder round sign signbit sin sinh square sqrt subtract tan tanh trunc take
take_along_axis __array_namespace_info__ matmul matrix_transpose tensordot vecdot broadcast_arrays concat
expand_dims flip moveaxis permute_dims repeat reshape roll squeeze stack tile unstack argmax argmin
count_nonzero nonzero searchsorted where unique_all unique_counts unique_inverse unique_values argsort sort
cumulative_prod cumulative_sum max mean min prod std sum var all any diff
""".split()


def test_the_namespace_says_what_it_lacks() -> None:
    x = tensor([1.0])
    xp = x.__array_namespace__(api_version="2023.12")
    assert xp is tg is x.__array_namespace__()
    missing = {name for name in STANDARD if not hasattr(xp, name)}
    assert missing == exchange.MISSING
    with pytest.raises(ValueError, match="api_version must be one of 2021.12, .*, got '1999.12'"):
        x.__array_namespace__(api_version="1999.12")


def test_code_for_any_array_library_runs() -> None:
    def standardised(x: Any) -> Any:
        xp = x.__array_namespace__()
        x = xp.astype(x, xp.float64) if xp.isdtype(x.dtype, "integral") else x
        a, b = xp.broadcast_arrays(x, xp.asarray([[1.0], [2.0]], dtype=x.dtype))
        y = (a - xp.mean(a, axis=-1, keepdims=True)) / xp.sqrt(
            xp.var(a, axis=-1, keepdims=True) + xp.finfo(x.dtype).eps
        )
        return xp.where(y > 0, y, xp.asarray(0, dtype=y.dtype)) * b + xp.pi

    for x in (np.array([1, 5, 2]), np.array([1.0, 5.0, 2.0])):
        np.testing.assert_allclose(np.asarray(standardised(tensor(x))), standardised(x))


def test_inspection() -> None:
    info = tg.__array_namespace_info__()
    assert set(info.dtypes()) == {np.dtype(d).name for d in DTYPES}
    assert set(info.dtypes(kind="real floating")) == {"float32", "float64"}
    assert info.default_dtypes()["real floating"] == tg.zeros(1).dtype
    assert info.devices() == [info.default_device()] == ["cpu"]
    assert info.capabilities()["boolean indexing"]
    t = tensor([1, 2])
    assert tg.result_type(t, np.float32) == np.float64
    assert tg.can_cast(t, np.float64)
    assert not tg.can_cast(np.float64, np.float32)
    assert tg.iinfo(t).max == np.iinfo(np.int64).max
    assert tg.finfo(np.float32).bits == 32


def test_asarray_copies_where_it_must() -> None:
    a = np.arange(3.0)
    t = tg.asarray(a)
    assert np.shares_memory(t.data, a)
    assert tg.asarray(t) is t
    for copied in (tg.asarray(a, copy=True), tg.asarray(t, copy=True), tg.asarray(a, dtype=tg.float32)):
        assert not np.shares_memory(copied.data, a)
    assert tg.asarray([1.5]).dtype == np.float32
    assert tg.asarray(t, dtype=tg.int64).tolist() == [0, 1, 2]
    for wrong, kind in (
        (lambda: tg.asarray([1], copy=False), "list"),
        (lambda: tg.asarray(a, tg.int64, copy=False), "ndar"),
    ):
        with pytest.raises(ValueError, match=f"asarray: {kind}.* cannot become a tensor.* without a copy"):
            wrong()
    assert [b.shape for b in tg.broadcast_arrays(np.ones((2, 1)), tensor([1.0, 2.0]))] == [(2, 2), (2, 2)]
