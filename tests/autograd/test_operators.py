"""Operators and dtypes: Tensors beside arrays, numbers and lists, on either side."""

import operator
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import Tensor, tensor

BINARY = [operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.pow]
COMPARE = [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge]
A, B = np.array([[1.5, 2.0, 3.0]], np.float32), np.array([[2.0], [0.5]], np.float32)


@pytest.mark.parametrize("op", BINARY + COMPARE)
def test_on_either_side(op: Any) -> None:
    expected = op(A, B)
    for a, b in (
        (tensor(A), tensor(B)),
        (tensor(A), B),
        (A, tensor(B)),
        (A.tolist(), tensor(B)),
        (tensor(A), B.tolist()),
        (tuple(A.tolist()), tensor(B)),
    ):
        result = op(a, b)
        assert type(result) is Tensor
        assert result.dtype == expected.dtype
        np.testing.assert_allclose(result.data, expected, rtol=1e-6)


@pytest.mark.parametrize("op", BINARY)
@pytest.mark.parametrize("number", [2, 0.5, np.float32(0.5), True])
def test_numbers_on_either_side(op: Any, number: Any) -> None:
    for result, expected in (
        (op(tensor(A), number), op(A, np.float32(number))),
        (op(number, tensor(A)), op(np.float32(number), A)),
    ):
        assert type(result) is Tensor
        assert result.dtype == np.float32
        np.testing.assert_allclose(result.data, expected, rtol=1e-6)


def test_matrix_product_on_either_side() -> None:
    a, b = np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(3, 4)
    for result in (tensor(a) @ tensor(b), tensor(a) @ b, a @ tensor(b), a.tolist() @ tensor(b), tensor(a) @ b.tolist()):
        assert type(result) is Tensor
        np.testing.assert_array_equal(result.data, a @ b)


def test_divmod_like_python() -> None:
    for a in (-7, 7):
        for b in (-2, 2):
            assert (tensor(a) // b).item() == a // b
            assert (tensor(a) % b).item() == a % b
            assert (a // tensor(b)).item() == a // b


def test_unary_operators() -> None:
    t = tensor([1.0, -2.0])
    assert (-t).tolist() == [-1, 2]
    assert abs(t).tolist() == [1, 2]
    assert +t is t
    assert (~tensor([True, False])).tolist() == [False, True]


def test_logical_operators_are_for_bools() -> None:
    a, b = tensor([True, True, False]), np.array([True, False, False])
    assert (a & b).tolist() == [True, False, False]
    assert (b | a).tolist() == [True, True, False]
    assert (a ^ True).tolist() == [False, False, True]
    for call in (lambda: tensor([1, 2]) & 1, lambda: a | tensor([1, 0, 1]), lambda: ~tensor([1]), lambda: 1 ^ a):
        with pytest.raises(TypeError, match=r"operator [&|^~] is for bools, got int"):
            call()


def test_what_is_no_operand() -> None:
    t = tensor([1.0])
    for op in (operator.add, operator.matmul, operator.lt):
        for other in (None, "text", object()):
            with pytest.raises(TypeError):
                op(t, other)
            with pytest.raises(TypeError):
                op(other, t)
    assert (t == None) is False  # noqa: E711
    assert t != "text"


def test_others_may_know_how_to_add_a_tensor() -> None:
    class Other:
        def __radd__(self, left: Any) -> str:
            return f"{type(left).__name__} and other"

    assert tensor([1.0]) + Other() == "Tensor and other"


def test_numpy_functions_do_not_take_tensors_apart() -> None:
    with pytest.raises(TypeError, match="does not support ufuncs"):
        np.add(A, tensor(A))
    array = A.copy()
    with pytest.raises(TypeError):
        array += tensor(A)


# ---- dtypes -------------------------------------------------------------------------------------------------------
F32, F64, I32, I64, BOOL = (np.zeros(2, d) + np.array(1, d) for d in (np.float32, np.float64, np.int32, np.int64, bool))


@pytest.mark.parametrize(
    ("a", "b", "dtype"),
    [
        (F32, F32, "float32"),
        (F32, F64, "float64"),
        (F32, I64, "float32"),
        (F32, I32, "float32"),
        (F32, BOOL, "float32"),
        (F64, I64, "float64"),
        (I64, F64, "float64"),
        (I32, I64, "int64"),
        (I32, I32, "int32"),
        (I64, BOOL, "int64"),
        (F32, 2, "float32"),
        (F32, 2.5, "float32"),
        (F64, 2.5, "float64"),
        (I64, 2, "int64"),
        (I64, 2.5, "float32"),
        (I32, 2.5, "float32"),
        (BOOL, 2.5, "float32"),
        (BOOL, 2, "int64"),
        (F32, True, "float32"),
        (I64, True, "int64"),
        (F32, np.float64(2.5), "float64"),
        (F32, np.float32(2.5), "float32"),
        (F32, np.int64(2), "float32"),
    ],
)
def test_arithmetic_promotes(a: Any, b: Any, dtype: str) -> None:
    for op in (tg.add, tg.multiply, tg.maximum):
        assert op(tensor(a), b).dtype == dtype
        assert op(b, tensor(a)).dtype == dtype
        if isinstance(b, np.ndarray):
            assert op(tensor(a), tensor(b)).dtype == dtype
    assert tg.where(tensor([True, False]), tensor(a), b).dtype == dtype
    quotient = "float32" if dtype in ("int32", "int64", "bool") else dtype
    assert tg.divide(tensor(a), b).dtype == quotient
    assert tg.divide(b, tensor(a)).dtype == quotient


@pytest.mark.parametrize(
    "function",
    [
        tg.exp,
        tg.log,
        tg.sqrt,
        tg.tanh,
        tg.sigmoid,
        tg.erf,
        tg.softmax,
        tg.logsumexp,
        tg.mean,
        tg.var,
        tg.std,
        tg.relu,
        tg.gelu,
        tg.softplus,
        tg.sin,
        tg.elu,
    ],
)
def test_functions_of_integers_are_float32(function: Any) -> None:
    for data in (np.array([1, 2]), np.array([1, 2], np.int32), np.array([True, True])):
        result = function(tensor(data))
        assert result.dtype == np.float32
        np.testing.assert_allclose(result.data, function(tensor(data.astype(np.float32))).data, rtol=1e-6)


@pytest.mark.parametrize(
    "function", [tg.abs, tg.square, tg.sign, tg.floor, tg.negative, tg.max, tg.cumulative_sum, tg.sum]
)
def test_functions_that_keep_integers(function: Any) -> None:
    result = function(tensor([-3, 2]))
    assert result.dtype == np.int64
    np.testing.assert_array_equal(result.data, function(tensor([-3.0, 2.0])).data)


def test_powers() -> None:
    t = tensor([2, 3])
    assert (t**2).tolist() == [4, 9]
    assert (t**2).dtype == np.int64
    assert (2**t).tolist() == [4, 8]
    assert (t**0.5).dtype == np.float32
    assert (tensor([2.0]) ** 3).dtype == np.float32
    assert (tensor([4.0]) ** -0.5).item() == 0.5
    with pytest.raises(ValueError, match="pow: Integers to negative integer powers"):
        t**-1


def test_gradients_come_back_in_dtype_and_shape() -> None:
    a = tensor(np.ones((2, 3), np.float32), requires_grad=True)
    b = tensor(np.ones((3,)), requires_grad=True)
    c = tensor(np.float32(2), requires_grad=True)
    y = a * b + c
    assert y.dtype == np.float64
    y.sum().backward()
    for t, g in ((a, 1), (b, 2), (c, 6)):
        assert (t.grad.shape, t.grad.dtype) == (t.shape, t.dtype)
        np.testing.assert_array_equal(t.grad.data, g)


# ---- methods ------------------------------------------------------------------------------------------------------
def test_methods_are_the_functions() -> None:
    t = tensor([[1.0, -2.0], [3.0, 0.5]])
    skipped = {"concat", "einsum", "stack", "reshape"}
    from tinygrad_rnn.autograd import ops

    for name in set(ops.__all__) - skipped:
        assert callable(getattr(t, name)), name
        assert getattr(Tensor, name).__doc__ == getattr(ops, name).__doc__
    assert t.sum(axis=0).tolist() == [4, -1.5]
    assert t.sum(0, True).shape == (1, 2)
    assert t.clip(0, 1).tolist() == [[1, 0], [1, 0.5]]
    assert t.clip(min=0.0).tolist() == [[1, 0], [3, 0.5]]
    assert t.astype(tg.int64).tolist() == [[1, -2], [3, 0]]
    assert t.reshape(4).shape == t.reshape((4,)).shape == t.reshape(-1).shape == (4,)
    assert t.reshape(1, 4).shape == t.reshape([1, 4]).shape == (1, 4)
    assert (t > 0).where(t, 0.0).tolist() == [[1, 0], [3, 0.5]]


def test_arguments_by_name() -> None:
    t = tensor([1.0, 2.0], requires_grad=True)
    y = tg.maximum(np.array([1.5, 1.5], np.float32), b=t)
    y.sum().backward()
    assert t.grad.tolist() == [0, 1]
    u = tensor([1.0, 5.0], requires_grad=True)
    t.grad = None
    tg.maximum(t, b=u).sum().backward()
    assert (t.grad.tolist(), u.grad.tolist()) == ([0.5, 0], [0.5, 1])
    assert tg.where(condition=[True, False], x=t, y=0.0).tolist() == [1, 0]
    assert tg.sum(t, axis=tensor(0)).item() == 3
    with pytest.raises(TypeError, match="concat: axis cannot be a Tensor"):
        tg.concat([t, t], axis=tensor(0))
    assert tg.sum(x=t).item() == 3
    assert tg.tanh(x=np.zeros(2)).tolist() == [0, 0]


def test_a_parameter_that_has_no_derivative() -> None:
    x, slope = tensor([-1.0, 2.0], requires_grad=True), tensor(0.5, requires_grad=True)
    for call in (lambda: tg.leaky_relu(x, slope), lambda: tg.leaky_relu(tensor([1.0]), negative_slope=slope)):
        with pytest.raises(TypeError, match=r"leaky_relu: argument negative_slope has no derivative: detach\(\) it"):
            call()
    assert tg.leaky_relu(x, slope.detach()).tolist() == [-0.5, 2]


def test_no_such_method() -> None:
    with pytest.raises(AttributeError):
        tensor([1.0]).add_in_place  # noqa: B018
