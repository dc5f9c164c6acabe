"""Moving, repeating, bordering and cutting off, against NumPy: any shapes, values and gradients."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn import tensor
from tinygrad_rnn.testing import adjointcheck, strategies

FEW = settings(max_examples=25)


def drawn(data: st.DataObject, min_dims: int = 1, min_side: int = 0) -> np.ndarray:
    shape = data.draw(strategies.shapes(min_side=min_side).filter(lambda s: len(s) >= min_dims))
    return np.random.default_rng(len(shape)).standard_normal(shape)


def same(operation, by_numpy, x: np.ndarray) -> None:
    """Values equal, and the gradient is the transpose."""
    result, expected = operation(tensor(x)), by_numpy(x)
    assert result.shape == expected.shape and result.dtype == expected.dtype
    np.testing.assert_array_equal(result.data, expected)
    if x.dtype == np.float64:
        assert adjointcheck(operation, x)


@FEW
@given(st.data())
def test_roll(data) -> None:
    x = drawn(data)
    axes = data.draw(st.none() | st.lists(st.integers(-x.ndim, x.ndim - 1), min_size=1, max_size=3).map(tuple))
    shift = data.draw(st.integers(-7, 7) if axes is None else st.integers(-7, 7) | st.tuples(*[st.integers(-7, 7)]
                                                                                             * len(axes)))
    same(lambda t: tg.roll(t, shift, axes), lambda a: np.roll(a, shift, axes), x)


@FEW
@given(st.data())
def test_tile_and_repeat(data) -> None:
    x = drawn(data)
    repetitions = data.draw(st.integers(0, 3) | st.lists(st.integers(0, 3), max_size=4).map(tuple))
    same(lambda t: tg.tile(t, repetitions), lambda a: np.tile(a, repetitions), x)
    axis = data.draw(st.none() | st.integers(-x.ndim, x.ndim - 1))
    n = x.size if axis is None else x.shape[axis]
    repeats = data.draw(st.integers(0, 3) | st.lists(st.integers(0, 3), min_size=n, max_size=n))
    same(lambda t: tg.repeat(t, repeats, axis), lambda a: np.repeat(a, np.array(repeats, int), axis), x)


@FEW
@given(st.data(), st.sampled_from(["constant", "edge", "reflect", "symmetric", "wrap"]))
def test_pad(data, mode) -> None:
    x = drawn(data, min_side=1)
    pair = st.tuples(st.integers(0, 5), st.integers(0, 5))
    width = data.draw(st.integers(0, 4) | pair | st.tuples(*[pair] * x.ndim))
    same(lambda t: tg.pad(t, width, mode), lambda a: np.pad(a, width, mode), x)


@FEW
@given(st.data())
def test_pad_with_values(data) -> None:
    x = drawn(data)
    pair = st.tuples(st.integers(0, 3), st.integers(0, 3))
    width = data.draw(st.tuples(*[pair] * x.ndim))
    value = st.floats(-9, 9, width=32)
    both = st.tuples(value, value)
    values = data.draw(value | both | st.tuples(both) | st.tuples(*[both] * x.ndim))
    same(lambda t: tg.pad(t, width, constant_values=values), lambda a: np.pad(a, width, constant_values=values), x)


def test_pad_of_numbers_and_integers() -> None:
    assert tg.pad(tensor(2.0), 3).item() == 2
    padded = tg.pad(tensor([1, 2]), 1, constant_values=(7, 8))
    assert padded.tolist() == [7, 1, 2, 8]
    assert padded.dtype == np.int64


@FEW
@given(st.data(), st.integers(-4, 4))
def test_triangles_and_diagonals(data, k) -> None:
    x = drawn(data, min_dims=2)
    same(lambda t: tg.tril(t, k), lambda a: np.tril(a, k), x)
    same(lambda t: tg.triu(t, k), lambda a: np.triu(a, k), x)
    axis1, axis2 = data.draw(st.permutations(range(x.ndim)))[:2]
    axis2 -= x.ndim * data.draw(st.booleans())
    same(lambda t: tg.diagonal(t, k, axis1, axis2), lambda a: np.diagonal(a, k, axis1, axis2), x)


def test_what_is_cut_off_may_be_nan() -> None:
    x = tensor(np.full((2, 2), np.nan), requires_grad=True)
    y = tg.tril(x)
    assert y[0, 1].item() == 0
    y.sum().backward()
    assert x.grad.tolist() == [[1, 0], [1, 1]]


@pytest.mark.parametrize("dtype", [np.bool_, np.int32, np.int64, np.float32])
def test_dtypes_stay(dtype) -> None:
    x = np.ones((2, 3), dtype)
    for operation, by_numpy in ((tg.tril, np.tril), (tg.triu, np.triu), (tg.diagonal, np.diagonal),
                                (lambda t: tg.roll(t, 1), lambda a: np.roll(a, 1)), (lambda t: tg.pad(t, 1),
                                lambda a: np.pad(a, 1)), (lambda t: tg.tile(t, 2), lambda a: np.tile(a, 2)),
                                (lambda t: tg.repeat(t, 2), lambda a: np.repeat(a, 2))):
        same(operation, by_numpy, x)


X = tensor(np.zeros((2, 3)))


@pytest.mark.parametrize(("call", "error", "match"), [
    (lambda: tg.roll(X, (1, 2)), ValueError, "several shifts need as many axes"),
    (lambda: tg.roll(X, (1, 2), 0), ValueError, "equally long, got 2 and 1"),
    (lambda: tg.roll(X, 1, 2), IndexError, "roll: axis 2 is out of range"),
    (lambda: tg.tile(X, (2, -1)), ValueError, "tile: repetitions must not be negative"),
    (lambda: tg.repeat(X, -1), ValueError, "repeat: repeats must be one number from 0 on"),
    (lambda: tg.repeat(X, [1, 2, 3], 0), ValueError, "one for each of 2 positions"),
    (lambda: tg.repeat(X, 1.5), TypeError, "repeat: repeats must be integers, got dtype float32"),
    (lambda: tg.pad(X, -1), ValueError, "pad: widths must not be negative"),
    (lambda: tg.pad(X, ((1, 1),) * 3), ValueError, r"a pair for each of 2 axes, got shape \(3, 2\)"),
    (lambda: tg.pad(X, 1.5), TypeError, "pad: pad_width must hold integers"),
    (lambda: tg.pad(X, 1, constant_values=(1, 2, 3)), ValueError, "pad: constant_values must be a number, a pair"),
    (lambda: tg.pad(X, 1, "mean"), ValueError, "pad: mode must be one of constant, edge"),
    (lambda: tg.pad(tensor(np.zeros((0, 2))), 1, "edge"), ValueError, "nothing to continue"),
    (lambda: tg.tril(tensor([1.0])), ValueError, "tril: at least 2 dimensions"),
    (lambda: tg.diagonal(tensor([1.0])), ValueError, "diagonal: at least 2 dimensions"),
    (lambda: tg.diagonal(X, 0, 1, 1), ValueError, "diagonal: axis .* names a dimension twice"),
    (lambda: tg.diagonal(X, 0, 0, 2), IndexError, "diagonal: axis 2 is out of range"),
])
def test_errors(call, error, match) -> None:
    with pytest.raises(error, match=match):
        call()
