"""Rows of tables: reading them, and adding to them, by number."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_rnn.kernels import arrays, gather, oracle
from tinygrad_rnn.kernels.gather import scatter_add, take_rows

DTYPES = [np.float32, np.float64]
MODULES = [gather, oracle]


@pytest.mark.parametrize("dtype", DTYPES)
@given(data=st.data())
def test_against_numpy(dtype, data):
    rows, columns = data.draw(st.integers(1, 8)), data.draw(st.integers(0, 40))
    indices = np.array(data.draw(st.lists(st.integers(-rows, rows - 1), max_size=12)), np.int64)
    rng = np.random.default_rng(data.draw(st.integers(0, 9)))
    table = rng.standard_normal((rows, columns)).astype(dtype)
    values = rng.standard_normal((len(indices), columns)).astype(dtype)
    np.testing.assert_array_equal(take_rows(table, indices), table[indices])
    expected, before = table.copy(), values.copy()
    np.add.at(expected, indices, values)        # one after the other, as we promise
    for layout in (values, np.asfortranarray(values), values[::-1][::-1]):
        out = table.copy()
        scatter_add(out, indices, layout)
        np.testing.assert_array_equal(out, expected)
    turned = np.asfortranarray(table)
    scatter_add(turned, indices, values)
    np.testing.assert_array_equal(turned, expected)
    assert np.array_equal(values, before)


@pytest.mark.parametrize("module", MODULES)
def test_shapes(module, rng):
    table = rng.standard_normal((5, 2, 3)).astype(np.float32)
    indices = np.array([[0, -1], [4, 2], [2, 2]])
    taken = module.take_rows(table, indices)
    assert taken.shape == (3, 2, 2, 3) and np.array_equal(taken, table[indices])
    out = np.zeros_like(table)
    module.scatter_add(out, indices, taken)
    np.testing.assert_allclose(out[[0, 4]], table[[0, 4]] * [[[1]], [[2]]])
    np.testing.assert_allclose(out[2], 3 * table[2], rtol=1e-6)
    one = np.zeros(4)
    module.scatter_add(one, np.array([1, 1, -1]), np.array([1.0, 2.0, 5.0]))
    assert np.array_equal(one, [0, 3, 0, 5]) and np.array_equal(module.take_rows(one, np.array(1)), 3)
    counts = np.zeros(3, np.int64)
    module.scatter_add(counts, np.array([2, 2, 0]), np.array([1, 1, 1]))
    assert np.array_equal(counts, [1, 0, 2])
    module.scatter_add(counts, np.zeros(0), np.zeros(0, np.int64))
    assert module.take_rows(table, np.zeros((0, 2), np.int64)).shape == (0, 2, 2, 3)


@pytest.mark.parametrize("module", MODULES)
def test_indices_are_checked(module):
    table = np.zeros((5, 2), np.float32)
    for index in (5, -6, 2**40):
        with pytest.raises(IndexError, match=f"{index} is out of (range|bounds)"):
            module.take_rows(table, np.array([0, index]))
        with pytest.raises(IndexError, match=f"{index} is out of (range|bounds)"):
            module.scatter_add(table, np.array([0, index]), np.ones((2, 2), np.float32))
    assert not table.any()
    with pytest.raises(TypeError, match="take_rows: indices must be integers, got float64"):
        module.take_rows(table, np.array([0.0]))
    with pytest.raises(ValueError, match=r"scatter_add: values must have shape \(1, 2\), got \(1, 3\)"):
        module.scatter_add(table, np.array([0]), np.ones((1, 3)))


def test_messages_name_operation_index_and_size():
    with pytest.raises(IndexError, match="take_rows: index 7 is out of range for 5 rows"):
        take_rows(np.zeros((5, 2)), np.array([[1], [7]]))
    with pytest.raises(ValueError, match="take_rows: expected a table with at least one dimension"):
        take_rows(np.array(3.0), np.array([0]))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("columns", [1, 31, 100])
def test_results_do_not_depend_on_threads(columns, dtype, rng, threads):
    from tinygrad_rnn.kernels import set_num_threads

    count = arrays.LARGE // columns + 1
    indices, values = rng.integers(-7, 7, count), rng.standard_normal((count, columns)).astype(dtype)
    results = []
    for n in (1, 2, 3):
        set_num_threads(n)
        out = np.ones((7, columns), dtype)
        scatter_add(out, indices, values)
        results.append((out, take_rows(out, indices)))
    assert all(np.array_equal(a, b) for result in results for a, b in zip(result, results[0]))
    np.testing.assert_array_equal(results[0][1], results[0][0][indices])
    with pytest.raises(IndexError, match="index 7 is out of range for 7 rows"):
        take_rows(out, np.append(indices, 7))


def test_a_slice_of_a_table_is_written_nowhere_else(rng):
    room = np.zeros((9, 20), np.float32)
    scatter_add(room[2:7], np.array([0, 4]), np.ones((2, 20), np.float32))
    assert np.array_equal(np.flatnonzero(room.any(1)), [2, 6])
    scatter_add(room[:, 3:5], np.array([8]), np.ones((1, 2), np.float32))
    assert np.array_equal(np.flatnonzero(room[8]), [3, 4])
