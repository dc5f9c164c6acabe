"""All rows at all steps, from what a compiled run kept: what the readable steps compute, and nothing is run again."""

import numpy as np
import pytest

import tinygrad_rnn as t
from tests.cells.random_cells import random_cell
from tests.cells.sequences import problem
from tests.cells.test_compiled import ALL, KINDS, SIX
from tinygrad_rnn import nn
from tinygrad_rnn.cells import Cell, catalogue
from tinygrad_rnn.cells.compiled import WITHOUT_JIT, Compiled
from tinygrad_rnn.cells.recorded import recorded
from tinygrad_rnn.cells.segments import run_in_segments
from tinygrad_rnn.cells.sequence import Named
from tinygrad_rnn.cells.symbols import State, total

CATALOGUE = catalogue()
# What the record loses or never holds: a product whose place was taken, rows that are numbers, inputs, or one another.
ROWS = {
    "overwritten": "q = W(x, h_prev) + b\nu = sigmoid(q)\nn = tanh(q)\nh = u*h_prev + (1 - u)*n",
    "numbers": "i = 1\nq = tanh(2)\nu = q**2*h_prev**3\nh = tanh(W(x, h_prev) + b)*i + 0.1*u",
    "names": "q = x\nu = q\nn = h_prev\nh = tanh(W(x, n) + W2(u) + b)",
}
MORE = {name: Cell(text, name="like_mut1") for name, text in ROWS.items()}       # of which `problem` knows that D = H
CELLS = {**ALL, **MORE, **{f"random {seed}": random_cell(seed) for seed in range(25)}}


def by_kernel(p, jit=None):
    compiled = Compiled(p.cell, *p.sizes, p.d_y.dtype, jit)
    x, *further = p.cell.inputs
    y, _, tape = compiled.forward(p.inputs[x], p.state, p.parameters, {n: p.inputs[n] for n in further}, p.lengths,
                                  p.reverse)
    return y, recorded(compiled, tape)


def by_rows(p):
    """The equations, a row of the batch and a step at a time."""
    cell, widths = p.cell, p.cell.sizes(*p.sizes).widths
    found = {name: np.zeros((*p.d_y.shape[:2], widths[name])) for name in cell.rows}
    x, *further = cell.inputs
    for row, end in enumerate(p.ends):
        state = [s[row] for s in p.state]
        for step in reversed(range(end)) if p.reverse else range(end):
            values = {x: p.inputs[x][step, row], **dict(zip([s.name for s in cell.carried], state)),
                      **{n: np.asarray(v) for n, v in cell.constants.items()},
                      **{n: p.inputs[n][step, row] if p.inputs[n].ndim == 3 else p.inputs[n][row] for n in further}}
            rows = cell.program.run(values, lambda v: p.parameters[v.parameter], lambda node, sources: total(
                v @ p.parameters[n].T for n, v in zip(node.data.parameters, sources)), np.asarray)
            for name, value in rows.items():
                found[name][step, row] = value
            before = {s.name: v for s, v in zip(cell.carried, state)}
            state = [rows[s.row] if s.lag == 1 else before[State(s.row, s.lag - 1).name] for s in cell.carried]
    return found


def agree(found, expected) -> bool:
    assert list(found) == list(expected)
    return all(found[n].shape == expected[n].shape and np.allclose(found[n], expected[n], rtol=1e-9, atol=1e-10)
               for n in expected)


@pytest.mark.parametrize("name", CELLS)
def test_rows_on_numpy_rows(name):
    for kind, options in KINDS.items():
        p = problem(CELLS[name], **options)
        y, rows = by_kernel(p, jit=False)
        assert agree(rows, by_rows(p)), kind
        np.testing.assert_array_equal(rows[p.cell.output], y)


@pytest.mark.parametrize("name", [*SIX, *MORE])
def test_rows_compiled(name):
    for kind, options in KINDS.items():
        p = problem(CELLS[name], **options)
        y, rows = by_kernel(p)
        assert agree(rows, by_rows(p)), kind
        np.testing.assert_array_equal(rows[p.cell.output], y)


@pytest.mark.parametrize("name", CATALOGUE)
def test_no_product_is_computed_again(name, monkeypatch):
    from tinygrad_rnn.cells import recorded as module
    p = problem(CATALOGUE[name])
    monkeypatch.setattr(module.ops, "matmul", lambda *_: pytest.fail("a product"))
    by_kernel(p, jit=False)


@pytest.mark.parametrize("every", [None, 2])
def test_the_layer_runs_once(every, monkeypatch, rng):
    runs = []
    forward = Compiled.forward
    monkeypatch.setattr(Compiled, "forward", lambda self, x, *args: runs.append(len(x)) or forward(self, x, *args))
    monkeypatch.setattr(Cell, "step", lambda *_: pytest.fail("a readable step"))
    layer = nn.LSTM(3, 4, num_layers=2)
    layer.checkpoint_every = every
    x = rng.normal(size=(5, 2, 3)).astype(np.float32)
    y, _, gates = layer(x, return_gates=True)
    assert sum(runs) == 2 * len(x) and len(gates) == 2
    np.testing.assert_array_equal(gates[1]["h"].numpy(), y.numpy())


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lengths", [None, [3, 1, 7]])
@pytest.mark.parametrize("name", ["lstm_niaf", "residual_rnn"])
def test_segments_give_the_rows_of_the_whole(name, lengths, reverse):
    p = problem(CATALOGUE[name], T=7, B=3, lengths=lengths, reverse=reverse)
    rows: dict[str, np.ndarray] = {}
    names = tuple(p.cell.parameters)
    x = np.nan_to_num(p.inputs["x"])
    run_in_segments(p.cell, p.sizes[1], t.tensor(x), [t.tensor(s) for s in p.state],
                    [t.tensor(p.parameters[n]) for n in names], {}, p.lengths, reverse, Named(names), 3, rows)
    expected = by_kernel(p)[1]
    assert list(rows) == list(expected)
    for n, row in rows.items():
        np.testing.assert_allclose(row, expected[n], rtol=1e-12 if WITHOUT_JIT else 0)  # NumPy promises no bits


def test_rows_are_the_callers_own(rng):
    """Writing to them changes neither the run's gradients nor one another."""
    for text in ("n = h_prev\nh = tanh(W(x, n) + b)", "q = x\nu = x\nh = tanh(W(q, h_prev) + u)"):
        layer = nn.Recurrent(Cell(text), 1, 1, rng=0)
        x = t.tensor(np.ones((1, 1, 1), np.float32), requires_grad=True)
        gradients = []
        for spoil in (False, True):
            y, _, (rows,) = layer(x, return_gates=True)
            copies = {n: row.numpy().copy() for n, row in rows.items()}
            if spoil:
                for n, row in rows.items():
                    row.data[...] = 7
                    assert all(np.array_equal(rows[m].numpy(), copies[m]) for m in list(rows)[list(rows).index(n) + 1:])
            x.grad = None
            y.sum().backward()
            gradients.append(x.grad.numpy().copy())
        assert x.numpy().item() == 1
        np.testing.assert_array_equal(*gradients)


@pytest.mark.skipif(WITHOUT_JIT, reason="NumPy's product promises no bits")
@pytest.mark.parametrize("name", ["lstm_niaf", "rnn_layernorm", "overwritten"])
def test_no_bit_depends_on_threads_or_batch(name, threads):
    p = problem(CELLS[name], T=6, B=9, D=20, H=50, lengths=[6, 1, 3, 4, 4, 2, 6, 5, 3], dtype=np.float32)
    t.set_num_threads(1)
    whole = by_kernel(p)[1]
    for chosen in ([4], [8, 0], list(range(9))[::-1]):
        t.set_num_threads(2)
        for n, row in by_kernel(p.rows(chosen))[1].items():
            np.testing.assert_array_equal(row, whole[n][:, chosen], err_msg=n)


def test_a_wrong_place_is_caught(monkeypatch):
    from tinygrad_rnn.cells import recorded as module
    p = problem(CATALOGUE["lstm"])
    column = module._Values._column
    monkeypatch.setattr(module._Values, "_column", lambda self, place, width: column(
        self, type(place)(place.group, {"z1": "z2"}.get(place.name, place.name), place.lag), width))
    assert not agree(by_kernel(p, jit=False)[1], by_rows(p))
