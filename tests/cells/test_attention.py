"""Cells that attend, compiled: equal to the readable steps, bit for bit the same whatever the batch and its padding."""

import dataclasses
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_rnn as t
from tests.cells.sequences import by_kernel, by_steps, problem, same
from tests.cells.tools import worst
from tinygrad_rnn.cells import Cell, attentive, catalogue, conditioned
from tinygrad_rnn.cells.attention import FEEDINGS, SCORES, attend, attend_additive
from tinygrad_rnn.cells.compiled import WITHOUT_JIT, Compiled
from tinygrad_rnn.cells.sequence import run
from tinygrad_rnn.cells.stepper import CompiledStepper

CATALOGUE = catalogue()
# A query that is a state, two calls of which one reads what the other gave, an output that is nothing else, a query
# that is an input, a context that reaches no other row.
CORNERS = {
    "two looks": "a = attend(W(h_prev), keys, values, mask)\nu = attend_additive(W(a), keys, values, mask, v)\n"
                 "h = tanh(W(x, u) + a*u)",
    "nothing but a look": "h = attend(x, values, values, mask)",
    "a state asks": "h = attend(h_prev, values, values, mask) + tanh(W(x))",
    "a bias asks": "h = attend(b, values, values, mask) + h_prev*x",
    "the mean of a look": "a = attend(x, keys, values, mask)\nh = tanh(W(x) + mean(a) + a_prev)",
    "looks at every lag": "a = attend(W(a_prev(2)), keys, values, mask)\nh = a*x + h_prev",
    "no gradient": "a = attend(stop(h_prev), keys, values, mask)\nh = tanh(W(stop(a), x))",
}
KINDS = {"plain": {}, "ragged": {"T": 6, "B": 5, "lengths": [3, 6, 1, 5, 2]},
         "reverse": {"T": 3, "B": 2, "reverse": True}, "ragged, reverse": {"lengths": [2, 5, 3, 1], "reverse": True},
         "one of each": {"T": 1, "B": 1, "S": 1}}


def looking(cell, S=7, seed=5, **options):
    """A problem with a memory: the length of each row's is drawn, and what stands beyond it does not count."""
    p = problem(cell, shared=True, seed=seed, **options)
    rng, batch = np.random.default_rng(seed), p.d_y.shape[1]
    for name in ("keys", "values"):
        if name in p.inputs:
            p.inputs[name] = rng.standard_normal((batch, S, p.inputs[name].shape[1])).astype(p.d_y.dtype)
    p.inputs["mask"] = (np.arange(S) < rng.integers(1, S + 1, batch)[:, None]).astype(p.d_y.dtype)
    return p


def corner(name):
    text = CORNERS[name]
    inputs = [n for n in ("x", "keys", "values", "mask", "v") if n == "x" or re.search(rf"\b{n}\b", text)]
    return Cell(text, inputs=" ".join(inputs), name="corner")


@pytest.mark.parametrize("jit", [False, pytest.param(True, marks=pytest.mark.skipif(WITHOUT_JIT, reason="no JIT"))])
@pytest.mark.parametrize("name", CORNERS)
def test_corners(name, jit):
    cell = corner(name)
    assert cell.opaque and cell.compilable
    for kind, options in KINDS.items():
        p = looking(cell, **{**options, "D": 6})
        assert worst(by_kernel(p, jit), by_steps(p)) < 1e-9, kind


@pytest.mark.parametrize("jit", [False, pytest.param(True, marks=pytest.mark.skipif(WITHOUT_JIT, reason="no JIT"))])
@pytest.mark.parametrize("feeding", FEEDINGS)
@pytest.mark.parametrize("score", SCORES)
def test_every_score_and_feeding(score, feeding, jit):
    cell = attentive(CATALOGUE["lstm"], 6, score, 6, feeding)
    for kind, options in KINDS.items():
        p = looking(cell, **options)
        assert worst(by_kernel(p, jit), by_steps(p)) < 1e-9, kind


@pytest.mark.parametrize("feeding", FEEDINGS)
@pytest.mark.parametrize("score", ["dot", "general", "additive"])
@given(st.integers(0, 10 ** 6), st.sampled_from([0.3, 1.0, 30.0]))
@settings(max_examples=12)
def test_any_sizes_and_scores(score, feeding, seed, spread):
    """Values and gradients; scores of thousands, where an exponential that is not shifted would overflow."""
    rng = np.random.default_rng(seed)
    T, B, S, H, D = (int(n) for n in rng.integers(1, [5, 5, 12, 20, 6]))
    cell = attentive(CATALOGUE["lstm"], H, score, H, feeding)
    p = looking(cell, S=S, seed=seed, T=T, B=B, H=H, D=D, lengths=rng.integers(1, T + 1, B).tolist())
    p.inputs["keys"] *= spread
    assert worst(by_kernel(p, jit=not WITHOUT_JIT), by_steps(p)) < 1e-9


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_cell_of_the_catalogue(name):
    """On NumPy rows: which tests the schedule; the kernels are the same for all."""
    cell = attentive(CATALOGUE[name], 5, "additive", 4)
    p = looking(cell, **({"D": 6} if name.startswith("mut") else {}), T=2, B=2)
    assert worst(by_kernel(p, jit=False), by_steps(p)) < 1e-9
    again = conditioned(CATALOGUE[name], 3)
    p = problem(again, shared=True, T=2, B=2, **({"D": 6} if name.startswith("mut") else {}))
    assert worst(by_kernel(p, jit=False), by_steps(p)) < 1e-9


@pytest.mark.skipif(WITHOUT_JIT, reason="real sizes are for compiled code")
@pytest.mark.parametrize("score", ["general", "additive"])
@pytest.mark.parametrize("S, A, V, H, dtype", [(17, 133, 70, 65, "float64"), (40, 200, 129, 128, "float32"),
                                               (3, 16, 64, 48, "float32"), (1, 15, 1, 33, "float64")])
def test_real_sizes(score, S, A, V, H, dtype):
    """Whole vectors, groups of them, and what is left over, of keys, values and places."""
    cell = attentive(CATALOGUE["gru_reset_before"], V if score == "additive" else A, score,
                     A if score == "additive" else None)
    p = looking(cell, S=S, T=3, B=5, D=11, H=H, scale=0.2, lengths=[3, 1, 2, 3, 3], dtype=dtype)
    assert worst(by_kernel(p), by_kernel(p.astype(np.float64), jit=False)) < (1e-10 if dtype == "float64" else 2e-4)


@pytest.mark.skipif(WITHOUT_JIT, reason="NumPy's order of summation is its own")
@pytest.mark.parametrize("score", SCORES)
def test_a_row_does_not_depend_on_its_batch_nor_on_padding(score):
    cell = attentive(CATALOGUE["lstm"], 21, score, 21)
    p = looking(cell, T=4, B=6, H=21, lengths=[4, 2, 1, 3, 4, 2], dtype=np.float32)
    whole, rows = by_kernel(p), {}
    for chosen in ([3], [5, 0, 2]):
        part = by_kernel(p.rows(chosen))
        for name in ("y", "d x"):
            assert np.array_equal(part[name], whole[name][:, chosen]), name
        for name in ("d keys", "d values"):
            assert np.array_equal(part[name], whole[name][chosen]), name
    longer = dataclasses.replace(p, inputs=dict(p.inputs))
    for name in ("keys", "values", "mask"):
        fill = np.zeros((6, 14, *p.inputs[name].shape[2:]), np.float32) + (name != "mask")
        longer.inputs[name] = np.concatenate([p.inputs[name], fill], 1)
    padded = by_kernel(longer)
    rows = {n: v[:, :7] if n in ("d keys", "d values", "d mask") else v for n, v in padded.items()}
    assert same({n: np.ascontiguousarray(v) for n, v in rows.items()}, whole)
    assert not padded["d keys"][:, 7:].any() and not padded["d values"][:, 7:].any()


@pytest.mark.skipif(WITHOUT_JIT, reason="threads are for compiled code")
def test_threads_do_not_show(threads):
    p = looking(attentive(CATALOGUE["lstm"], 33, "additive", 20), T=5, B=7, H=33, dtype=np.float32,
                lengths=[5, 1, 3, 2, 5, 4, 4])
    found = []
    for count in (1, 2, 3):
        t.set_num_threads(count)
        found.append(by_kernel(p))
    assert same(found[0], found[1]) and same(found[0], found[2])


def test_weights_are_kept_and_sum_to_one():
    p = looking(attentive(CATALOGUE["lstm"], 6, "general"), T=4, B=5)
    plan = Compiled(p.cell, *p.sizes, p.d_y.dtype)
    x, *further = p.cell.inputs
    _, _, tape = plan.forward(p.inputs[x], p.state, p.parameters, {n: p.inputs[n] for n in further})
    if WITHOUT_JIT:
        return
    weights = tape.memory.arrays["kept 0"]
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-14)
    assert not weights[:, p.inputs["mask"] == 0].any() and (weights[:, p.inputs["mask"] == 1] > 0).all()
    assert tape.nbytes > weights.nbytes


@pytest.mark.parametrize("score", ["general", "additive"])
def test_second_derivatives_and_steps(score):
    """What the compiled gradient is asked under create_graph, against finite differences of the gradient."""
    p = looking(attentive(CATALOGUE["rnn"], 3, score, 3), T=2, B=2, D=2, H=3, S=3)
    x, *further = p.cell.inputs
    names = ["x", "keys", "values"]

    def norm(values):
        inputs = {n: t.tensor(values.get(n, p.inputs[n]), requires_grad=n in values) for n in p.inputs}
        parameters = {n: t.tensor(v) for n, v in p.parameters.items()}
        y, _ = run(p.cell, 3, inputs[x], [t.tensor(s) for s in p.state], parameters, {n: inputs[n] for n in further})
        leaves = [inputs[n] for n in names]
        first = t.autograd.grad((y * p.d_y).sum(), leaves, create_graph=True)
        return sum((d * d).sum() for d in first), leaves

    start = {n: p.inputs[n] for n in names}
    total, leaves = norm(start)
    total.backward()
    rng = np.random.default_rng(0)
    direction = {n: rng.standard_normal(v.shape) for n, v in start.items()}
    ends = [float(norm({n: v + e * direction[n] for n, v in start.items()})[0]) for e in (1e-5, -1e-5)]
    slope = sum((leaf.grad.numpy() * direction[n]).sum() for n, leaf in zip(names, leaves))
    assert abs(slope - (ends[0] - ends[1]) / 2e-5) < 1e-6 * abs(slope)


def test_the_stepper_takes_another_memory_whenever_it_is_given_one():
    p = looking(attentive(CATALOGUE["lstm"], 6, "additive", 4), T=3, B=4)
    plan = Compiled(p.cell, *p.sizes, p.d_y.dtype)
    stepper = CompiledStepper(plan, p.parameters, 4)
    for memory in (p, looking(p.cell, S=3, seed=8), looking(p.cell, S=3, seed=9), p):
        given = {n: memory.inputs[n] for n in ("keys", "values", "mask", "v")}
        y, last, _ = plan.forward(p.inputs["x"], p.state, p.parameters, given)
        stepper.state = p.state
        found = np.stack([stepper(row, given).copy() for row in p.inputs["x"]])
        assert np.array_equal(found, y) and all(map(np.array_equal, stepper.state, last))


@given(st.integers(1, 6), st.integers(1, 5), st.integers(0, 10 ** 6))
def test_the_primitives_against_loops(S, A, seed):
    rng = np.random.default_rng(seed)
    query, keys, values, v = (rng.standard_normal(s) for s in ((2, A), (2, S, A), (2, S, 3), (2, A)))
    mask = (np.arange(S) < rng.integers(1, S + 1, 2)[:, None]).astype(float)
    for score, found in (("dot", attend(query, keys, values, mask)),
                         ("additive", attend_additive(query, keys, values, mask, v))):
        for row in range(2):
            real = int(mask[row].sum())
            e = [query[row] @ k if score == "dot" else v[row] @ np.tanh(query[row] + k) for k in keys[row, :real]]
            a = np.exp(e) / np.exp(e).sum()
            np.testing.assert_allclose(found[row], sum(w * value for w, value in zip(a, values[row])), atol=1e-12)


def test_texts():
    cell = attentive(CATALOGUE["gru_reset_after"], 8, "scaled_dot", 16)
    assert "n = tanh(W(x, attended_prev) + b + r*(W(h_prev) + b2))" in str(cell).splitlines()
    assert str(cell).splitlines()[-3:] == ["query = scale*W(h)", "context = attend(query, keys, values, mask)",
                                           "attended = tanh(W(context, h) + b)"]
    assert cell.constants["scale"] == 0.25 and cell.states[0] == "attended" and Cell(str(cell)) == cell
    assert cell.parameter_shapes(3, 4)["W_r_attended"] == (4, 4)
    before = attentive(CATALOGUE["rnn"], 8, "dot", feeding="context")
    assert "h = tanh(W(x, context, h_prev) + b)" in str(before) and "attend(h_prev, keys" in str(before)
    assert str(conditioned(CATALOGUE["rnn"], 5)).splitlines()[-1] == "h = tanh(W(x, v, h_prev) + b)"
    assert "attend" in cell.source() and "attend(query_t, keys_t, values_t, mask_t)" in cell.equations()


@pytest.mark.parametrize("arguments, message", [
    (("rnn", 4, "cosine"), "score must be one of 'dot', 'general', 'scaled_dot', 'additive', got 'cosine'"),
    (("rnn", 4, "dot", None, "never"), "feeding must be one of 'attended', 'context', None, got 'never'"),
    (("rnn", 4, "general", 5), "size is its width 4, got 5"),
    (("rnn", 4, "scaled_dot"), "divides by the square root of the size: give it"),
])
def test_mistakes(arguments, message):
    with pytest.raises(ValueError, match=message):
        attentive(CATALOGUE[arguments[0]], *arguments[1:])


def test_cells_that_cannot():
    with pytest.raises(ValueError, match="nowhere multiplies its x by a matrix"):
        attentive(Cell("h = x + W(h_prev)"), 4)
    with pytest.raises(ValueError, match="has the name 'keys', which attention needs"):
        attentive(Cell("h = tanh(W(x, keys))", inputs="x keys"), 4)
    with pytest.raises(ValueError, match="has the name 'v' already"):
        conditioned(Cell("h = tanh(W(x, v))", inputs="x v"), 4)
    shared = Cell("h = attend(W(x), keys, keys, mask) + W(keys)", inputs="x keys mask")
    assert shared.opaque and not shared.compilable      # its keys are read by a matrix too
