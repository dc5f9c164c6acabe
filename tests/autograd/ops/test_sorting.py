"""Order: stable positions, ties, NaN, gradients; against Python's sort."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn import tensor
from tinygrad_rnn.testing import adjointcheck

NUMBERS = st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0, math.inf, -math.inf, math.nan]) | st.floats(-3, 3, width=32)
DTYPES = [np.float32, np.float64, np.int64, np.int32, np.bool_]


def key(value: float) -> tuple[bool, float]:
    """NaN after every number."""
    return (math.isnan(value), 0.0 if math.isnan(value) else value)


def order(line: list[float], descending: bool) -> list[int]:
    """By Python's sort, which is stable."""
    return sorted(range(len(line)), key=lambda k: key(line[k]), reverse=False) if not descending else [
        len(line) - 1 - k for k in sorted(range(len(line)), key=lambda k: key(line[::-1][k]))][::-1]


@settings(max_examples=60)
@given(st.lists(NUMBERS, max_size=40), st.sampled_from(DTYPES), st.booleans())
def test_against_python(numbers, dtype, descending) -> None:
    with np.errstate(invalid="ignore"):
        x = np.array(numbers, np.float64).astype(dtype)
    expected = order(x.tolist(), descending)
    found = tg.argsort(tensor(x), descending=descending)
    assert found.dtype == np.int64 and found.tolist() == expected
    np.testing.assert_array_equal(tg.sort(tensor(x), descending=descending).data, x[expected])
    for k in {0, len(x) // 3, len(x)}:
        values, indices = tg.topk(tensor(x), k, largest=descending)
        assert indices.tolist() == expected[:k]
        np.testing.assert_array_equal(values.data, x[expected[:k]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("largest", [False, True])
@pytest.mark.parametrize("kind", ["random", "rising", "falling", "equal", "few values"])
def test_topk_of_long_rows(dtype, largest, kind, rng) -> None:
    x = rng.standard_normal((3, 1000)).astype(dtype)
    x = {"rising": np.sort(x), "falling": np.sort(x)[:, ::-1], "equal": np.ones_like(x),
         "few values": np.round(x)}.get(kind, x)
    x[1, 700] = np.nan
    for k in (1, 7, 100):
        values, indices = tg.topk(tensor(x), k, largest=largest)
        for row in range(3):
            assert indices.data[row].tolist() == order(x[row].tolist(), largest)[:k]
        np.testing.assert_array_equal(values.data, np.take_along_axis(x, indices.data, 1))


@settings(max_examples=40)
@given(st.lists(NUMBERS, min_size=1, max_size=20))
def test_cummax(numbers) -> None:
    x = np.array(numbers)
    values, indices = tg.cummax(tensor(x))
    best = 0
    for k, value in enumerate(numbers):
        if math.isnan(value) or not math.isnan(numbers[best]) and value >= numbers[best]:
            best = k
        assert indices.data[k] == best
        np.testing.assert_array_equal(values.data[k], numbers[best])


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_gradients_go_where_the_values_came_from(axis, rng) -> None:
    x = rng.standard_normal((5, 6, 4))
    for operation in (lambda t: tg.sort(t, axis), lambda t: tg.sort(t, axis, True), lambda t: tg.topk(t, 3, axis)[0],
                      lambda t: tg.topk(t, 2, axis, False)[0], lambda t: tg.cummax(t, axis)[0]):
        assert adjointcheck(operation, x)
    t = tensor([2.0, 1.0, 2.0], requires_grad=True)
    (tg.sort(t) * tensor([1.0, 10.0, 100.0])).sum().backward()
    assert t.grad.tolist() == [10, 1, 100]


@pytest.mark.parametrize(("call", "error", "match"), [
    (lambda: tg.topk(tensor([1.0, 2.0]), 3), ValueError, "topk: k must lie between 0 and 2, the size of axis 0, got 3"),
    (lambda: tg.topk(tensor([1.0, 2.0]), -1), ValueError, "k must lie between"),
    (lambda: tg.topk(tensor([1.0, 2.0]), 1.5), TypeError, "topk: k must be an int, got float"),
    (lambda: tg.sort(tensor([1.0]), 1), IndexError, "sort: axis 1 is out of range"),
    (lambda: tg.argsort(tensor(1.0)), IndexError, "argsort: axis -1 is out of range for a tensor of 0 dimensions"),
])
def test_errors(call, error, match) -> None:
    with pytest.raises(error, match=match):
        call()


def test_results_do_not_depend_on_threads(rng, threads) -> None:
    x = rng.standard_normal((40, 2000)).astype(np.float32)
    x[:, ::7] = 1
    found = []
    for n in (1, 2, 3):
        tg.set_num_threads(n)
        found.append([tg.sort(x), tg.argsort(x), tg.argsort(x, descending=True), *tg.topk(x, 9), *tg.topk(x, 9, 0)])
    for results in found[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results, found[0]))
