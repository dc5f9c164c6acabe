"""Reading and writing along an axis: duplicates, smaller and broadcast indices, what was overwritten, errors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn import tensor
from tinygrad_rnn.testing import adjointcheck, gradcheck, strategies


def places(data: st.DataObject, broadcasts: bool) -> tuple[np.ndarray, np.ndarray, int]:
    """An array, indices along an axis of it, and which."""
    shape = data.draw(strategies.shapes(min_side=1).filter(len))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    sizes = [data.draw(st.integers(0, 4) if k == axis % len(shape) else st.sampled_from([1, n]) if broadcasts else
                       st.integers(0, n)) for k, n in enumerate(shape)]
    rng = np.random.default_rng(3)
    return rng.standard_normal(shape), rng.integers(-shape[axis], shape[axis], sizes), axis


@settings(max_examples=40)
@given(st.data())
def test_take_along_axis(data) -> None:
    x, indices, axis = places(data, broadcasts=True)
    np.testing.assert_array_equal(tg.take_along_axis(tensor(x), indices, axis).data,
                                  np.take_along_axis(x, indices, axis))
    assert adjointcheck(lambda t: tg.take_along_axis(t, tensor(indices), axis), x)


@settings(max_examples=40)
@given(st.data(), st.booleans())
def test_scatter(data, adds) -> None:
    x, indices, axis = places(data, broadcasts=False)
    values = np.random.default_rng(4).standard_normal(indices.shape)
    expected, written = x.copy(), np.zeros(x.shape, bool)
    for place in np.ndindex(indices.shape):
        target = list(place)
        target[axis] = indices[place] % x.shape[axis]
        expected[tuple(target)] = values[place] + (expected[tuple(target)] if adds else 0)
        written[tuple(target)] = True
    operation = tg.scatter_add if adds else tg.scatter
    before = x.copy()
    result = operation(tensor(x), indices, values, axis)
    np.testing.assert_allclose(result.data, expected, rtol=1e-14)
    for layout in (values.T.copy().T, np.flip(np.flip(values).copy())):
        assert np.array_equal(operation(x, np.asfortranarray(indices), layout, axis), result.data)
    assert np.array_equal(x, before)
    assert adjointcheck(lambda t, v: operation(t, indices, v, axis), [x, values])
    if not adds:
        t = tensor(x, requires_grad=True)
        operation(t, indices, values, axis).sum().backward()
        np.testing.assert_array_equal(t.grad.data, ~written)


def test_the_last_of_several_stays_and_gets_the_gradient() -> None:
    x, values = tensor(np.zeros(3), requires_grad=True), tensor([1.0, 2.0, 3.0], tg.float64, requires_grad=True)
    y = tg.scatter(x, [1, 1, -2], values)
    assert y.tolist() == [0, 3, 0]
    (y * tensor([5.0, 7.0, 9.0], tg.float64)).sum().backward()
    assert (x.grad.tolist(), values.grad.tolist()) == ([5, 0, 9], [0, 0, 7])


def test_one_number_for_all_places() -> None:
    value = tensor(2.0, tg.float64, requires_grad=True)
    y = tg.scatter_add(np.zeros((2, 3)), [[0, 1, 1], [1, 1, 1]], value)
    assert y.tolist() == [[2, 0, 0], [2, 4, 4]]
    y.sum().backward()
    assert value.grad.item() == 6
    assert tg.scatter([1, 2, 3], [0], 9).tolist() == [9, 2, 3]
    assert gradcheck(lambda v: tg.scatter(np.zeros((2, 2)), [[0, 1]], v) ** 2, [np.array(1.5)])


def test_a_gather_and_its_transpose() -> None:
    """<scatter_add(0, i, v), x> = <v, take_along_axis(x, i)>."""
    rng = np.random.default_rng(0)
    x, indices = rng.standard_normal((4, 5)), rng.integers(0, 4, (7, 5))
    v = rng.standard_normal((7, 5))
    left = (tg.scatter_add(np.zeros((4, 5)), indices, v) * x).sum()
    np.testing.assert_allclose(left, (v * tg.take_along_axis(x, indices, 0)).sum())


def test_nonzero() -> None:
    x = np.array([[0.0, 2, 0], [3, 0, np.nan]])
    for found, expected in zip(tg.nonzero(tensor(x)), np.nonzero(x), strict=True):
        assert found.dtype == np.int64 and found.tolist() == expected.tolist()
    t = tensor(x, requires_grad=True)
    t[tg.nonzero(t)].sum().backward()
    assert t.grad.tolist() == [[0, 1, 0], [1, 0, 1]]


X = tensor(np.zeros((2, 3)))


@pytest.mark.parametrize(("call", "error", "match"), [
    (lambda: tg.take_along_axis(X, [0, 1]), ValueError, r"indices must have x's shape but along axis 1"),
    (lambda: tg.take_along_axis(X, [[0], [3]]), IndexError, "index 3 is out of range for axis 1 of size 3"),
    (lambda: tg.take_along_axis(X, [[0], [-4]]), IndexError, "index -4 is out of range"),
    (lambda: tg.take_along_axis(X, [[0.5]]), TypeError, "indices must be integers, got dtype"),
    (lambda: tg.take_along_axis(X, [[0]], 2), IndexError, "axis 2 is out of range"),
    (lambda: tg.scatter(X, [[0, 0, 0, 0]], 1.0), ValueError, "scatter: indices must have x's dimensions"),
    (lambda: tg.scatter(X, [[0, 0]], [1.0, 1.0]), ValueError, r"one shape, got \(1, 2\) and \(2,\)"),
    (lambda: tg.scatter_add(X, [[2]], [[1.0]]), IndexError, "scatter_add: index 2 is out of range for axis 0"),
    (lambda: tg.nonzero(tensor(1.0)), ValueError, "nonzero: a tensor without dimensions"),
])
def test_errors(call, error, match) -> None:
    with pytest.raises(error, match=match):
        call()
