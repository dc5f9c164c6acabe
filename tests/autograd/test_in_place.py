"""Writes in place: values, gradients as of the same written without, and every use of an old value refused."""

import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn import Tensor, tensor
from tinygrad_rnn.autograd import grad, ops, writes
from tinygrad_rnn.autograd.primitive import Primitive
from tinygrad_rnn.testing import gradcheck, gradgradcheck


def leaf(*shape: int, seed: int = 0) -> Tensor:
    return tensor(np.random.default_rng(seed).uniform(0.3, 0.9, shape), requires_grad=True)


# ---- values and gradients -----------------------------------------------------------------------------------------
METHODS = sorted(
    name
    for name in dir(Tensor)
    if name.endswith("_") and not name.endswith("__") and name not in ("requires_grad_", "copy_", "fill_", "zero_")
)
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "masked_fill_": (np.array([[True, False, True]]), 0.25),
    "index_add_": (np.array([1, 1]), np.full((2, 3), 0.5)),
    "scatter_": (np.array([[1, 0, 1], [1, 1, 0]]), np.full((2, 3), 0.5)),
    "scatter_add_": (np.array([[1, 0, 1], [1, 1, 0]]), np.full((2, 3), 0.5)),
    "cumulative_sum_": (1,),
    "clip_": (0.4, 0.7),
}
BINARY = {"add_", "subtract_", "multiply_", "divide_", "floor_divide_", "remainder_", "pow_", "maximum_", "minimum_"}


def test_every_elementwise_method_has_its_form_in_place() -> None:
    wanted = {
        name
        for name in ops.__all__
        if isinstance(p := getattr(ops, name), Primitive)
        and hasattr(Tensor, name)
        and p.kind == "elementwise"
        and any(p.rules)
        and name != "where"
    }
    assert {f"{name}_" for name in wanted} <= set(METHODS)
    assert len(METHODS) > 30


@pytest.mark.parametrize("name", METHODS)
def test_a_method_writes_what_it_would_return(name: str) -> None:
    args = (leaf(2, 3, seed=1),) if name in BINARY else ARGUMENTS.get(name, ())
    leaves = [leaf(2, 3), *(a for a in args if isinstance(a, Tensor))]
    v = np.random.default_rng(2).standard_normal((2, 3))
    expected = getattr(leaves[0] * 1.0, name[:-1])(*args)
    wanted = grad(expected, leaves, v, allow_unused=True)

    t = leaves[0] * 1.0
    memory = t.data
    assert getattr(t, name)(*args) is t
    assert t.data is memory
    np.testing.assert_array_equal(t.data, expected.data)
    assert repr(t).endswith(f"from={getattr(Tensor, name).__name__})")
    for found, right in zip(grad(t, leaves, v, allow_unused=True), wanted):
        np.testing.assert_array_equal(found.data, right.data)


def test_constants_are_written_without_a_tape() -> None:
    t = tensor([1.0, 2.0, 3.0])
    t.add_(1).multiply_(2)
    t[0] = 0.5
    t[1:] = tensor([7.0, 8.0])
    assert t.tolist() == [0.5, 7, 8]
    assert not t.requires_grad
    assert t.copy_([1, 2, 3]).tolist() == [1, 2, 3]
    assert t.fill_(4).tolist() == [4, 4, 4]
    assert t.zero_().tolist() == [0, 0, 0]
    n = tensor([1, 2])
    n.add_(tensor([True, False]))
    assert n.tolist() == [2, 2]


INDICES = {
    "int": 1,
    "negative": -1,
    "slice": slice(0, 3, 2),
    "column": (slice(None), 2),
    "ellipsis": ...,
    "pair": (0, 1),
    "array": np.array([2, 0]),
    "duplicates": np.array([1, 1, 1]),
    "list": [0, 2],
    "tensor": tensor([2, 2]),
    "mask": np.array([True, False, True]),
    "whole mask": np.eye(3, 4) > 0,
    "mixed": (np.array([0, 2, 0]), slice(1, 3)),
    "pairs": (np.array([0, 0, 2]), np.array([1, 1, 3])),
    "new axis": (None, 1),
    "empty": np.array([], int),
}


@pytest.mark.parametrize("index", INDICES.values(), ids=INDICES.keys())
def test_assignment_is_differentiable(index: Any) -> None:
    shape = np.zeros((3, 4))[np.asarray(index) if isinstance(index, Tensor) else index].shape
    rng = np.random.default_rng(3)

    def assigned(x: Tensor, value: Tensor) -> Tensor:
        t = x * 2.0
        t[index] = value.sin()
        return t * t

    for value in (rng.standard_normal(shape), rng.standard_normal(shape[-1:]), rng.standard_normal(())):
        x = rng.standard_normal((3, 4))
        expected = 2 * x
        expected[np.asarray(index) if isinstance(index, Tensor) else index] = np.sin(value)
        np.testing.assert_allclose(assigned(tensor(x), tensor(value)).data, expected**2)
        assert gradcheck(assigned, [x, value])
    assert gradgradcheck(assigned, [rng.standard_normal((3, 4)), rng.standard_normal(shape)])


def test_leading_axes_of_one_are_dropped_as_numpys() -> None:
    v = leaf(1, 1, 3)
    t = tg.zeros((2, 3), dtype=tg.float64)
    t[0] = v * 1.0
    t.sum().backward()
    assert v.grad.shape == (1, 1, 3)
    assert t.data[0].tolist() == v.data[0, 0].tolist()


@settings(max_examples=60)
@given(st.data(), st.integers(0, 2**32))
def test_programs_in_place_equal_programs_without(data: st.DataObject, seed: int) -> None:
    """Random writes to one tensor, and the same as a chain of new tensors: same values, same gradients, bit by bit."""
    rng = np.random.default_rng(seed)
    x, y = (tensor(rng.uniform(0.5, 1.5, 4), requires_grad=True) for _ in range(2))
    t, chain = x * 1.0, x * 1.0
    for step in data.draw(st.lists(st.sampled_from(["add", "multiply", "tanh", "row", "own", "mask"]), max_size=6)):
        if step in ("add", "multiply"):
            getattr(t, f"{step}_")(y)
            chain = getattr(chain, step)(y)
        elif step == "tanh":
            t.tanh_()
            chain = chain.tanh()
        elif step == "own":
            t.multiply_(t)
            chain = chain * chain
        elif step == "row":
            t[1:3] = y[:2]
            chain = tg.concat([chain[:1], y[:2], chain[3:]])
        else:
            t.masked_fill_(np.array([True, False, False, True]), 0.5)
            chain = chain.masked_fill(np.array([True, False, False, True]), 0.5)
    np.testing.assert_array_equal(t.data, chain.data)
    for a, b in zip(grad((t * y).sum(), [x, y]), grad((chain * y).sum(), [x, y])):
        np.testing.assert_array_equal(a.data, b.data)


def test_a_sequence_is_written_row_by_row() -> None:
    # Each step reads the row before it: bytes that no later write touches.
    w, x = leaf(3, 3), leaf(6, 2, 3, seed=1)
    out, rows, h = tg.zeros((6, 2, 3), dtype=tg.float64), [], tg.zeros((2, 3), dtype=tg.float64)
    for t in range(6):
        out[t] = tg.tanh(x[t] + (out[t - 1] if t else h) @ w)
        h = tg.tanh(x[t] + h @ w)
        rows.append(h)
    for a, b in zip(grad((out * out).sum(), [w, x]), grad((tg.stack(rows) ** 2).sum(), [w, x])):
        np.testing.assert_allclose(a.data, b.data, rtol=1e-12)


def test_no_grad_writes_values_and_keeps_the_place() -> None:
    x = leaf(3)
    y = x * 2.0
    with tg.no_grad():
        y.fill_(7)
        x.add_(1)
    (y * 3.0).sum().backward()
    assert y.tolist() == [7, 7, 7]
    assert x.grad.tolist() == [6, 6, 6]
    assert x.is_leaf


def test_adding_to_a_name_rebinds_it() -> None:
    x = tensor([1.0, 2.0], requires_grad=True)
    y = old = x * 2.0
    z = y * y
    y += 1.0
    assert y is not old
    assert old.tolist() == [2, 4]
    z.sum().backward()
    assert x.grad.tolist() == [8, 16]


def test_a_row_may_be_copied_onto_another() -> None:
    x = leaf(3, 2)
    t = x * 1.0
    t[0] = t[2]
    t[1:] = t[:2]
    t.sum().backward()
    assert t.tolist() == [x.data[2].tolist(), x.data[2].tolist(), x.data[1].tolist()]
    assert x.grad.tolist() == [[0, 0], [1, 1], [2, 2]]


def test_an_index_that_changes_later_does_not_matter() -> None:
    where = np.array([0, 1])
    x = leaf(3)
    t = x * 1.0
    t[where] = 0.0
    where[:] = 2
    t.sum().backward()
    assert x.grad.tolist() == [0, 0, 1]


# ---- what needs an old value --------------------------------------------------------------------------------------
WRITERS: dict[str, Callable[[Tensor], Any]] = {
    "add_": lambda t: t.add_(1),
    "setitem": lambda t: t.__setitem__(0, 1.0),
    "zero_": lambda t: t.zero_(),
    "view": lambda t: t[1:].detach().add_(1),
    "reshaped": lambda t: t.detach().reshape(1, -1).multiply_(2),
    "detached": lambda t: t.detach().fill_(3),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS.keys())
@pytest.mark.parametrize(
    ("operation", "needs"),
    [
        (lambda t: t * t, "multiply .*needs its argument a of shape"),
        (lambda t: t.log(), "log .*needs its argument x of shape"),
        (lambda t: 1.0 / t, "divide .*needs its (result|argument b)"),
    ],
    ids=["multiply", "log", "divide"],
)
def test_a_kept_argument_that_was_written_to(write: Callable[[Tensor], Any], operation: Any, needs: str) -> None:
    x = leaf(4)
    t = x * 2.0
    y = operation(t)
    write(t)
    with pytest.raises(ValueError, match=rf"backward: {needs}.* as it was, but \w+_? wrote to it in place afterwards"):
        y.sum().backward()
    assert x.grad is None


def test_a_kept_result_that_was_written_to() -> None:
    x = leaf(4)
    y = x.exp()
    z = y * 2.0
    y.multiply_(3)
    with pytest.raises(ValueError, match=r"exp \(result of shape \(4,\)\) needs its result .* but multiply_ wrote"):
        z.sum().backward()


def test_what_no_rule_reads_may_be_written_to() -> None:
    x = leaf(4)
    t = x * 2.0
    y = t + 1.0
    s = t.sum()
    t.zero_()
    (y.sum() + s).backward()
    assert x.grad.tolist() == [4] * 4


def test_a_constant_a_leaf_and_an_index_are_watched_too() -> None:
    x, c, where = leaf(4), tensor(np.full(4, 2.0)), tensor([0, 1])
    for operation, write in (
        (lambda: x * c, lambda: c.add_(1)),
        (lambda: x[where], lambda: where.add_(1)),
        (lambda: x[(where,)], lambda: where.add_(1)),
        (lambda: x * x, lambda: x.zero_()),
    ):
        y = operation()
        with tg.no_grad():
            write()
        with pytest.raises(ValueError, match="as it was, but"):
            y.sum().backward()


def test_optimizers_starts_and_embeddings_write_too() -> None:
    from tinygrad_rnn import nn, optim

    w = leaf(3)
    y = (w * w).sum()
    y.backward(retain_graph=True)
    optim.SGD([w], lr=0.1).step()
    with pytest.raises(ValueError, match="multiply .*SGD.step wrote"):
        y.backward()
    y = (w * w).sum()
    nn.init.zeros_(w)
    with pytest.raises(ValueError, match=r"nn\.init wrote"):
        y.backward()
    table = tensor(np.full((4, 2), 5.0), requires_grad=True)
    y = (table * table).sum()
    nn.functional.embedding([1], table, max_norm=1.0)
    with pytest.raises(ValueError, match=r"embedding\(max_norm\) wrote"):
        y.backward()
    nn.functional.embedding([1], table, max_norm=1.0).sum().backward()


def test_a_view_does_not_know_of_a_write_to_its_base() -> None:
    x = leaf(4)
    t = x * 2.0
    row = t[1:]
    t.multiply_(3)
    with pytest.raises(
        ValueError,
        match=r"sum: argument x, the result of index of shape \(3,\), shares memory with a "
        r"tensor that multiply_ wrote to afterwards",
    ):
        row.sum()
    with pytest.raises(ValueError, match="backward: this tensor, the result of index"):
        row.backward(np.ones(3))
    t[1:].sum().backward()
    assert x.grad.tolist() == [0, 6, 6, 6]


def test_a_base_does_not_know_of_a_write_to_a_view() -> None:
    x = leaf(4)
    t = x * 2.0
    t[1:].multiply_(3)
    assert t.tolist() == (x.data * [2, 6, 6, 6]).tolist()
    with pytest.raises(ValueError, match="add: argument a, the result of multiply of shape"):
        t + 1.0
    with tg.no_grad():
        assert (t + 1.0).shape == (4,)
    assert (t.detach() + 1.0).shape == (4,)


def test_parts_that_do_not_overlap_are_apart() -> None:
    x = leaf(4)
    a, b = tg.split(x * 2.0, 2)
    a.tanh_()
    (a.sum() + (b * b).sum()).backward()
    np.testing.assert_allclose(x.grad.data, np.r_[2 * (1 - np.tanh(2 * x.data[:2]) ** 2), 8 * x.data[2:]])


def test_a_write_before_is_no_harm() -> None:
    x = leaf(4)
    t = x * 2.0
    t.add_(1)
    (t * t).sum().backward()
    np.testing.assert_allclose(x.grad.data, 4 * (2 * x.data + 1))


def test_data_is_the_unsafe_door() -> None:
    x = tensor([1.0, 2.0], requires_grad=True)
    t = x * 2.0
    y = t * t
    t.data[:] = 0  # unseen: the documented price
    y.sum().backward()
    assert x.grad.tolist() == [0, 0]


def test_recorded_passes_are_checked() -> None:
    x = leaf(3)
    (g,) = grad((x**3).sum(), x, create_graph=True)
    with tg.no_grad():
        x.add_(1)
    with pytest.raises(ValueError, match="wrote to it in place afterwards"):
        g.sum().backward()


# ---- what cannot be written ---------------------------------------------------------------------------------------
def test_a_leaf_is_written_under_no_grad_alone() -> None:
    x = tensor([1.0, 2.0], requires_grad=True)
    for write in (lambda: x.add_(1), lambda: x.__setitem__(0, 1.0), x.zero_):
        with pytest.raises(ValueError, match=r"a leaf that requires a gradient.*no_grad\(\)"):
            write()
    assert x.tolist() == [1, 2]
    with tg.no_grad():
        x[0] = 5.0
    assert x.tolist() == [5, 2]


def test_values_on_the_tape_through_a_view_of_a_constant() -> None:
    v, t = leaf(2), tg.zeros((2, 2), dtype=tg.float64)
    with pytest.raises(ValueError, match=r"view of another one's memory.*t\[i, j\] = v"):
        t[0][1] = v[0]
    t[0, 1] = v[0]
    assert t.requires_grad
    alone = tg.zeros(4, dtype=tg.float64).reshape(2, 2)  # a view, and nobody else's
    alone[0] = v
    alone.sum().backward()
    assert v.grad.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("write", "error", "message"),
    [
        (
            lambda t: t.add_(np.ones((3, 2, 2))),
            ValueError,
            r"add_: the result has shape \(3, 2, 2\), the tensor \(2, 2\)",
        ),
        (
            lambda t: t.add_(np.ones((2, 2))),
            TypeError,
            r"add_: the result is of float64, the tensor of float32.*astype",
        ),
        (lambda t: tg.ones(2, dtype=tg.int64).add_(0.5), TypeError, "the result is of float32, the tensor of int64"),
        (
            lambda t: t.__setitem__(0, [1.0, 2.0, 3.0]),
            ValueError,
            r"setitem: .*the tensor has shape \(2, 2\), the value",
        ),
        (lambda t: t.__setitem__(5, 1.0), IndexError, r"setitem: .*the tensor has shape \(2, 2\)"),
        (lambda t: t.__setitem__("a", 1.0), IndexError, "setitem|only integers"),
        (lambda t: t.__setitem__(0, "text"), TypeError, "setitem: .* cannot be written into a tensor of float32"),
        (lambda t: tensor([1, 2]).__setitem__(0, 1.5), TypeError, "float64 cannot be written into a tensor of int64"),
        (lambda t: tg.broadcast_to(t, (3, 2, 2)).zero_(), ValueError, "zero_: the memory of this tensor is read-only"),
        (lambda t: t.fill_([1.0, 2.0]), ValueError, r"fill_: value must be a number, got shape \(2,\)"),
    ],
)
def test_what_does_not_fit(write: Any, error: type, message: str) -> None:
    t = tg.ones((2, 2))
    with pytest.raises(error, match=message):
        write(t)
    assert t.tolist() == [[1, 1], [1, 1]]
    y = tensor(np.ones((2, 2), np.float32), requires_grad=True) * 1.0
    if "broadcast" not in message and "int64" not in message:
        with pytest.raises(error):
            write(y)
        assert y.tolist() == [[1, 1], [1, 1]]
        y.sum().backward()


# ---- the log of writes --------------------------------------------------------------------------------------------
def test_the_log_forgets_what_is_gone() -> None:
    gc.collect()
    before = len(writes._WRITES)
    t = tg.zeros((4, 2))
    for _ in range(3):
        for k in range(4):
            t[k] = 1.0
    assert len(writes._WRITES) == before + 1
    assert len(writes._WRITES[id(t.data)][1]) == 4, "one a row, however often it is written"
    t.add_(1)
    assert len(writes._WRITES[id(t.data)][1]) == 1
    del t
    assert len(writes._WRITES) == before


def test_writes_are_found_through_any_view() -> None:
    t = tg.zeros((4, 6))
    moment = writes.tick()
    for view in (
        t.data,
        t.data.T,
        t.data[1:, ::2],
        np.broadcast_to(t.data[0], (3, 6)),
        t.data.reshape(2, 12),
        np.lib.stride_tricks.sliding_window_view(t.data, 2, 0),
    ):
        assert writes.owner(view) is t.data
        assert writes.written(view, moment) is None
    t[1] = 1.0
    assert writes.written(t.data[1, 2:3], moment) == "setitem"
    assert writes.written(t.data[2:], moment) is None
    assert writes.written(t.data, writes.tick()) is None
