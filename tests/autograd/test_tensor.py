"""Tensor as a container: construction, dtypes, conversions, copies, text."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import Tensor, tensor


class Named(Tensor):
    """A subclass with an attribute of its own."""

    name = "?"


# ---- construction -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (True, np.bool_),
        ([True, False], np.bool_),
        (3, np.int64),
        ([1, 2], np.int64),
        (0.5, np.float32),
        ([[0.5], [1.0]], np.float32),
        ([], np.float32),
        (np.float64(1), np.float64),
        (np.float32(1), np.float32),
        (np.arange(3), np.int64),
        (np.arange(3, dtype=np.int32), np.int32),
        (np.zeros(2), np.float64),
        (np.zeros(2, np.float32), np.float32),
        (np.array([1, 0], bool), np.bool_),
        (np.zeros(2, ">f4"), np.float32),
        (np.zeros(2, np.uint8), np.uint8),
    ],
)
def test_dtypes(data: Any, dtype: Any) -> None:
    t = tensor(data)
    assert t.dtype == dtype
    assert t.dtype.isnative
    np.testing.assert_array_equal(t.data, data)


def test_data_is_copied() -> None:
    source = np.arange(6.0).reshape(2, 3)
    t = tensor(source.T)
    source[:] = 9
    assert t.tolist() == [[0, 3], [1, 4], [2, 5]]
    assert t.data.flags.c_contiguous
    u = tensor(t)
    u.data[:] = 1
    assert t.tolist() == [[0, 3], [1, 4], [2, 5]]


@pytest.mark.parametrize(
    "data", ["text", None, [None], 1j, np.zeros(2, np.float16), np.zeros(2, complex), object(), [{}]]
)
def test_what_is_no_number(data: Any) -> None:
    with pytest.raises(TypeError, match="expected bools, integers, float32 or float64, got"):
        tensor(data)


def test_a_list_of_tensors_would_lose_its_gradients() -> None:
    x = tensor(1.0, requires_grad=True)
    with pytest.raises(TypeError, match=r"stack\(\) makes one"):
        tensor([x, x])
    with pytest.raises(TypeError, match=r"add: .*stack\(\)"):
        tensor([1.0, 2.0]) + [x, x]


def test_dtype_argument() -> None:
    assert tensor([1, 2], dtype=tg.float64).dtype == np.float64
    assert tensor([1.9], tg.int64).tolist() == [1]
    with pytest.raises(TypeError, match="float16"):
        tensor([1.0], dtype=np.float16)


def test_only_floats_require_gradients() -> None:
    for data in (1, True):
        with pytest.raises(TypeError, match=r"only floating tensors have gradients, got dtype .*astype\(float32\)"):
            tensor(data, requires_grad=True)
    t = tensor(1.0)
    t.requires_grad = True
    assert t.requires_grad
    assert t.requires_grad_(False) is t
    assert not t.requires_grad


def test_freezing_keeps_the_gradient() -> None:
    t = tensor(2.0, requires_grad=True)
    (t * t).backward()
    t.requires_grad_(False)
    assert t.grad.item() == 4
    assert not (t * 3).requires_grad
    t.requires_grad_()
    (t * 3).backward()
    assert t.grad.item() == 7


def test_a_result_cannot_stop_requiring() -> None:
    y = tensor(1.0, requires_grad=True).tanh()
    assert y.requires_grad_() is y
    with pytest.raises(ValueError, match=r"result of tanh; use detach\(\)"):
        y.requires_grad_(False)


def test_gradients_can_be_set() -> None:
    t = tensor([1.0, 2.0])
    assert t.grad is None
    t.grad = tensor([1.0, 1.0])
    assert t.grad.tolist() == [1, 1]
    t.grad = None
    assert t.grad is None
    with pytest.raises(TypeError, match="grad: expected None or a Tensor, got ndarray"):
        t.grad = np.ones(2)


# ---- attributes ---------------------------------------------------------------------------------------------------
def test_attributes() -> None:
    t = tensor(np.zeros((2, 3, 4)))
    assert (t.shape, t.ndim, t.size, t.dtype) == ((2, 3, 4), 3, 24, np.float64)
    assert t.T.shape == (4, 3, 2)
    assert t.mT.shape == (2, 4, 3)
    assert t.is_leaf
    assert tensor(1.0, requires_grad=True).is_leaf
    assert not (tensor(1.0, requires_grad=True) * 2).is_leaf
    assert (tensor(1.0) * 2).is_leaf
    with pytest.raises(ValueError, match="at least 2 dimensions"):
        tensor([1.0]).mT  # noqa: B018


def test_data_is_the_door_behind_the_tape() -> None:
    t = tensor([1.0, 2.0], requires_grad=True)
    t.data[0] = 5
    assert t.tolist() == [5, 2]
    t.data = np.zeros((2, 2))
    (t * 2.0).sum().backward()
    assert (t.grad.shape, t.grad.dtype) == ((2, 2), np.float64)
    with pytest.raises(TypeError, match="data: expected an ndarray, got list"):
        t.data = [1.0]


def test_numpy_is_read_only_on_the_tape() -> None:
    t = tensor([1.0, 2.0])
    t.numpy()[0] = 7
    assert t.tolist() == [7, 2]
    t.requires_grad_()
    for array in (t.numpy(), np.asarray(t), (t * 2).numpy()):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    t.detach().numpy()[0] = 3
    assert t.tolist() == [3, 2]


def test_conversion_to_arrays() -> None:
    t = tensor([1.5, 2.0], requires_grad=True)
    assert np.asarray(t) is not t.data
    assert np.shares_memory(np.asarray(t), t.data)
    assert np.asarray(t, np.float64).dtype == np.float64
    assert np.array(t).flags.writeable
    assert not np.shares_memory(np.array(t), t.data)
    with pytest.raises(ValueError, match="without a copy"):
        np.asarray(t, np.float64, copy=False)
    assert np.sum(np.asarray(t)) == 3.5


def test_numbers() -> None:
    t = tensor(2.5)
    assert (float(t), int(t), t.item(), bool(t)) == (2.5, 2, 2.5, True)
    assert type(t.item()) is float
    assert [10, 11, 12][tensor(1)] == 11
    assert f"{tensor(3.14159):.2f}" == "3.14"
    assert tensor([[1, 2]]).tolist() == [[1, 2]]
    with pytest.raises(ValueError, match=r"item: only a tensor of one element is a number, got shape \(2,\)"):
        tensor([1.0, 2.0]).item()
    with pytest.raises(ValueError, match="ambiguous"):
        bool(tensor([1, 2]))
    with pytest.raises(TypeError):
        [0][tensor(1.0)]  # noqa: B018


def test_as_a_sequence() -> None:
    t = tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    assert len(t) == 2
    first, second = t
    assert second.tolist() == [3, 4]
    first.sum().backward()
    assert t.grad.tolist() == [[1, 1], [0, 0]]
    assert 3.0 in t
    assert tensor(4.0) in t
    assert 5 not in t
    for call in (len, iter):
        with pytest.raises(TypeError, match="without dimensions"):
            call(tensor(1.0))


def test_adding_rebinds() -> None:
    t = tensor([1.0, 2.0])
    before = t
    t += 1
    assert before.tolist() == [1, 2]
    assert t.tolist() == [2, 3]


def test_identity_hashes() -> None:
    t = tensor([1.0, 1.0])
    assert {t: "a"}[t] == "a"
    assert t is not tensor([1.0, 1.0])


# ---- copies -------------------------------------------------------------------------------------------------------
def test_detach_shares_memory() -> None:
    t = tensor([1.0], requires_grad=True)
    y = (t * 2).detach()
    assert not y.requires_grad
    assert y.is_leaf
    assert np.shares_memory(t.detach().data, t.data)


@pytest.mark.parametrize(
    "make", [lambda t: pickle.loads(pickle.dumps(t)), copy.deepcopy, copy.copy], ids=["pickle", "deepcopy", "copy"]
)
def test_copies(make: Any) -> None:
    t = Named(np.arange(6.0).reshape(2, 3), requires_grad=True)
    (t * t).sum().backward()
    twin = make(t)
    assert type(twin) is Named
    assert twin.requires_grad
    np.testing.assert_array_equal(twin.data, t.data)
    twin.data[:] = 0
    assert t.data[1, 2] == 5
    (twin * 2.0).sum().backward()
    assert t.grad.data[0, 1] == 2


def test_deepcopy_copies_the_gradient_and_keeps_identities() -> None:
    t = tensor([1.0, 2.0], requires_grad=True)
    t.sum().backward()
    a, b = copy.deepcopy([t, t])
    assert a is b
    assert a.grad.tolist() == [1, 1]
    a.grad.data[:] = 5
    assert t.grad.tolist() == [1, 1]


def test_pickle_keeps_attributes_of_a_subclass() -> None:
    t = Named([1.0])
    t.name = "bias"
    assert pickle.loads(pickle.dumps(t)).name == "bias"
    assert copy.deepcopy(t).name == "bias"


def test_joblib(tmp_path: Any) -> None:
    joblib = pytest.importorskip("joblib")
    joblib.dump({"w": tensor([[1.0, 2.0]], requires_grad=True)}, tmp_path / "w")
    assert joblib.load(tmp_path / "w")["w"].tolist() == [[1, 2]]


def test_a_graph_is_not_copied() -> None:
    y = tensor(1.0, requires_grad=True).exp()
    for who, make in (("pickle", pickle.dumps), ("copy", copy.deepcopy), ("copy", copy.copy)):
        with pytest.raises(ValueError, match=rf"{who}: this tensor is the result of exp, .*detach\(\) it first"):
            make(y)
    assert copy.deepcopy(y.detach()).item() == y.item()


def test_operations_are_pickled_by_name() -> None:
    assert pickle.loads(pickle.dumps(tg.tanh)) is tg.tanh
    assert copy.deepcopy(tg.tanh) is tg.tanh
    assert repr(tg.tanh) == "<operation tanh>"


# ---- as text ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("t", "text"),
    [
        (tensor([1.0, 2.5]), "tensor([1. , 2.5])"),
        (tensor([1, 2]), "tensor([1, 2])"),
        (tensor(True), "tensor(True)"),
        (tensor(np.array([0.5])), "tensor([0.5], dtype=float64)"),
        (tensor([0.5], requires_grad=True), "tensor([0.5], requires_grad=True)"),
        (tensor([0.0], requires_grad=True).tanh(), "tensor([0.], from=tanh)"),
        (tensor(np.zeros((0, 3), np.float32)), "tensor([], shape=(0, 3))"),
        (tensor([[1, 2], [3, 4]]), "tensor([[1, 2],\n        [3, 4]])"),
        (tg.unstack(tensor([0.0], requires_grad=True))[0], "tensor(0., from=unstack)"),
    ],
)
def test_repr(t: Tensor, text: str) -> None:
    assert repr(t) == text
    assert f"{t}" == str(t) == text


def test_a_long_repr_is_cut() -> None:
    assert len(repr(tensor(np.zeros((100, 100))))) < 600
