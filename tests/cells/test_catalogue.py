"""The catalogue: each cell against longhand NumPy, which differ, which reduce to which, what sources call them."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from tests.cells.longhand import STEPS
from tests.cells.tools import case, run, worst
from tinygrad_rnn.cells import Cell, catalogue, references, sources

CATALOGUE = catalogue()
ALIASES = {"irnn": "rnn_relu", "lstm_np": "lstm"}

# As the project's list of public names prints them; `a.but(...)` spelled out for some.
PRINTED = {
    "rnn": "h = tanh(W(x, h_prev) + b)",
    "rnn_relu": "h = relu(W(x, h_prev) + b)",
    "rnn_sigmoid": "h = sigmoid(W(x, h_prev) + b)",
    "leaky_rnn": "constants: a=0.3\nn = tanh(W(x, h_prev) + b)\nh = (1 - a)*h_prev + a*n",
    "residual_rnn": "constants: k=2\nh = h_prev(k) + tanh(W(x, h_prev) + b)",
    "rnn_layernorm": "h = tanh(s(1)*layer_norm(W(x, h_prev)) + b)",
    "gru_sheet": """
        r = sigmoid(W(x, h_prev) + b)
        z = sigmoid(W(x, h_prev) + b)
        n = tanh(W(x, r*h_prev) + b)
        h = z*n + (1 - z)*h_prev""",
    "gru_simplified": "z = sigmoid(W(x, h_prev) + b)\nn = tanh(W(x, h_prev) + b)\nh = z*n + (1 - z)*h_prev",
    "mgu": "f = sigmoid(W(x, h_prev) + b)\nn = tanh(W(x, f*h_prev) + b)\nh = (1 - f)*h_prev + f*n",
    "gru_layernorm": """
        r = sigmoid(s(1)*layer_norm(W(h_prev)) + s2(1)*layer_norm(W(x)) + b)
        z = sigmoid(s(1)*layer_norm(W(h_prev)) + s2(1)*layer_norm(W(x)) + b)
        n = tanh(s2(1)*layer_norm(W(x)) + b + r*(s(1)*layer_norm(W(h_prev)) + b2))
        h = (1 - z)*h_prev + z*n""",
    "lstm_cec": "g = tanh(W(x, h_prev) + b)\nc = c_prev + g\nh = tanh(c)",
    "lstm": """
        i = sigmoid(W(x, h_prev) + b)
        f = sigmoid(W(x, h_prev) + b(1))
        g = tanh(W(x, h_prev) + b)
        o = sigmoid(W(x, h_prev) + b)
        c = f*c_prev + i*g
        h = o*tanh(c)""",
    "lstm_1997": """
        i = sigmoid(W(x, h_prev) + b)
        g = 4*sigmoid(W(x, h_prev) + b) - 2
        o = sigmoid(W(x, h_prev) + b)
        c = c_prev + i*g
        h = o*(2*sigmoid(c) - 1)""",
    "lstm_cheatsheet": """
        u = sigmoid(W(x, h_prev) + b)
        r = sigmoid(W(x, h_prev) + b)
        f = sigmoid(W(x, h_prev) + b(1))
        o = sigmoid(W(x, h_prev) + b)
        n = tanh(W(x, r*h_prev) + b)
        c = u*n + f*c_prev
        h = o*c""",
    "lstm_projection": """
        widths: h=H//2
        i = sigmoid(W(x, h_prev) + b)
        f = sigmoid(W(x, h_prev) + b(1))
        g = tanh(W(x, h_prev) + b)
        o = sigmoid(W(x, h_prev) + b)
        c = f*c_prev + i*g
        m = o*tanh(c)
        h = W(m)""",
    "mut1": """
        z = sigmoid(W(x) + b)
        r = sigmoid(W(x, h_prev) + b)
        n = tanh(W(r*h_prev) + tanh(x) + b)
        h = z*n + (1 - z)*h_prev""",
}


@pytest.mark.parametrize("name", PRINTED)
def test_the_text_is_the_printed_one(name):
    assert CATALOGUE[name] == Cell(PRINTED[name])


def test_names_and_references():
    assert set(CATALOGUE) == set(STEPS) == set(references())
    for name, cell in CATALOGUE.items():
        assert cell.name == name and cell.__doc__ == references()[name] and len(references()[name]) > 15
        assert Cell(str(cell)) == cell and Cell(str(cell)).name == name
    changed = catalogue()
    changed.clear()
    assert catalogue()


def agrees(cell, name):
    """Do three steps of the cell, from states that are not zero, equal the longhand ones of `name`?"""
    c = case(cell, T=3, seed=3)
    state = c.state
    outputs, last = run(c, c.parameters, c.inputs, state)
    for k, y in enumerate(outputs):
        state = STEPS[name](c.parameters, c.inputs["x"][k], state)
        if not np.allclose(state[0], y.numpy(), rtol=1e-12, atol=1e-12):
            return False
    return all(np.allclose(a, b.numpy(), rtol=1e-12, atol=1e-12) for a, b in zip(state, last))


@pytest.mark.parametrize("name", STEPS)
def test_a_step_is_the_longhand_one(name):
    assert agrees(CATALOGUE[name], name)


def test_the_well_known_mistakes_are_caught():
    """A peephole that looks at the old cell, a reset at the wrong place: two cell collections have them."""
    peephole = CATALOGUE["lstm_peephole"].but("o = sigmoid(W(x, h_prev) + p*c_prev + b)", name="planted")
    assert not agrees(peephole, "lstm_peephole")
    candidate = CATALOGUE["gru_reset_before"].but("n = tanh(W(x) + b + r*W(h_prev))", name="planted")
    c = case(candidate, T=1, seed=3)
    theirs = {**c.parameters, "W_n_rh": c.parameters["W_n_h"]}
    for zero in (True, False):
        state = tuple(0 * s if zero else s for s in c.state)
        same = np.allclose(c.cell.step(c.parameters, c.inputs["x"][0], state)[0].numpy(),
                           STEPS["gru_reset_before"](theirs, c.inputs["x"][0], state)[0])
        assert same == zero         # from zero states the mistake cannot be seen


# ---- which differ, which are one ------------------------------------------------------------------------------------
def values(cell, weights):
    """Outputs from the same states and inputs; the parameters by name, so that equal names get equal numbers."""
    D = H = 4
    rng = np.random.default_rng(5)
    x, pool = rng.standard_normal((3, 2, D)), rng.standard_normal((5, 2, H))
    state = tuple(pool[["h", "c", "i", "f", "o", "h_prev"].index(s) % 5][:, :cell.sizes(D, H).widths[r.row]]
                  for s, r in zip(cell.states, cell.carried))
    found = []
    parameters = {n: np.resize(weights.setdefault(n, rng.standard_normal(64)), shape)
                  for n, shape in cell.parameter_shapes(D, H).items()}
    for k in range(3):
        state = cell.step(parameters, x[k], state)
        found.append(state[0].numpy())
    return np.stack(found)


def test_every_two_cells_differ_but_aliases():
    weights: dict = {}
    found = {name: values(cell, weights) for name, cell in CATALOGUE.items()}
    for a, b in itertools.combinations(CATALOGUE, 2):
        same = found[a].shape == found[b].shape and np.allclose(found[a], found[b], atol=1e-6)
        assert same == (ALIASES.get(a, a) == ALIASES.get(b, b)), (a, b)
        assert (CATALOGUE[a] == CATALOGUE[b]) == same


def same(one: Cell, other: Cell, T: int = 4, extra=None) -> bool:
    """Do two cells compute the same outputs from equal parameters, by name, and equal states?"""
    c = case(one, T=T, seed=7)
    parameters = {**c.parameters, **(extra(c.parameters) if extra else {})}
    shared = dict(zip(one.states, c.state))
    ys, _ = run(c, c.parameters, c.inputs, c.state)
    d = case(other, T=T, seed=7)
    d.inputs = c.inputs
    zs, _ = run(d, parameters, c.inputs, tuple(shared[s] for s in other.states))
    return max(np.abs(y.numpy() - z.numpy()).max() for y, z in zip(ys, zs)) < 1e-12


def test_the_sheets_lstm_with_tied_gates_is_its_gru():
    lstm = CATALOGUE["lstm_cheatsheet"].but("f = 1 - u", "o = 1")
    c = case(lstm, seed=9)
    gru = CATALOGUE["gru_sheet"]
    parameters = {n.replace("_u_", "_z_") if n[0] == "W" else n.replace("_u", "_z"): v for n, v in c.parameters.items()}
    state = (c.state[0], c.state[0])        # with o = 1 the output is the cell
    ys, _ = run(c, c.parameters, c.inputs, state)
    for k, y in enumerate(ys):
        state = gru.step(parameters, c.inputs["x"][k], state[:1])
        assert worst({"h": y.numpy()}, {"h": state[0].numpy()}) < 1e-12


def test_an_open_lstm_is_the_constant_error_carousel():
    assert same(CATALOGUE["lstm"].but("i = 1", "f = 1", "o = 1"), CATALOGUE["lstm_cec"])


def test_a_gru_that_always_overwrites_is_the_rnn():
    gru = CATALOGUE["gru_sheet"].but("r = 1", "z = 1")
    c = case(gru, seed=11)
    rnn = {"W_h_x": c.parameters["W_n_x"], "W_h_h": c.parameters["W_n_rh"], "b_h": c.parameters["b_n"]}
    state = c.state
    ys, _ = run(c, c.parameters, c.inputs, state)
    for k, y in enumerate(ys):
        state = CATALOGUE["rnn"].step(rnn, c.inputs["x"][k], state)
        assert worst({"h": y.numpy()}, {"h": state[0].numpy()}) < 1e-12


def test_gru_sheet_is_gru_reset_before_with_z_negated():
    def negated(p):
        return {n: -v for n, v in p.items() if n in ("W_z_x", "W_z_h", "b_z")}
    assert same(CATALOGUE["gru_sheet"], CATALOGUE["gru_reset_before"], extra=negated)
    assert not same(CATALOGUE["gru_sheet"], CATALOGUE["gru_reset_before"])


def test_more_reductions():
    peephole = CATALOGUE["lstm_peephole"]
    assert same(CATALOGUE["lstm_cifg"], peephole.but("f = 1 - i"))
    full = CATALOGUE["lstm_peephole_full"]                  # a diagonal matrix is a vector
    assert same(peephole, full, extra=lambda p: {f"W_{g}_c": np.diag(p[f"p_{g}"]) for g in "ifo"})
    assert same(CATALOGUE["lstm_week1"], CATALOGUE["lstm_cheatsheet"].but("r = 1", "n = tanh(W(x, h_prev) + r*b)"))
    assert same(CATALOGUE["leaky_rnn"].but(a=1.0),
                Cell("n = tanh(W(x, h_prev) + b)\nh = n + 0*h_prev"))


# ---- what sources call them -----------------------------------------------------------------------------------------
def test_every_row_of_the_notation_resolves():
    count = 0
    for source in sources.SOURCES:
        assert source.symbols
        for meaning in source.symbols:
            cell = CATALOGUE[meaning.cell]
            known = {*cell.rows, *cell.inputs, *cell.parameters, *(f"{s.row}_prev" for s in cell.carried)}
            assert meaning.ours and set(meaning.ours) <= known, (source.title, meaning)
            count += 1
    assert count > 80


def _rows(cell, x, h, **forced):
    """A cell's output with some gates forced to a number, and the candidate's parameters in common."""
    changed = cell.but(*(f"{gate} = {value}" for gate, value in forced.items()), name="forced")
    c = case(changed, T=1, D=4, seed=2)
    return changed.step(c.parameters, x, (h,))[0].numpy(), c


@pytest.mark.parametrize("who, cell, what", sources.UPDATE_GATES)
def test_which_side_z_stands_on(who, cell, what, rng):
    assert who
    x, h = rng.standard_normal((2, 3, 4))
    opened, _ = _rows(CATALOGUE[cell], x, h, z=1)
    assert np.allclose(opened, h) == what.startswith("keeps")
    shut, _ = _rows(CATALOGUE[cell], x, h, z=0)
    assert np.allclose(shut, h) == what.startswith("overwrites")


@pytest.mark.parametrize("who, cell, when, where", sources.RESET_GATES)
def test_where_r_resets(who, cell, when, where):
    assert who and where in str(CATALOGUE[cell].rows["n"])
    # After the product a bias is reset too; before it the matrix multiplies what is left.
    names = CATALOGUE[cell].parameters
    assert ("W_n_rh" in names) == (when == "before the product") != ("b2_n" in names)


@pytest.mark.parametrize("i, f, what", sources.MEMORY)
def test_what_two_gates_make_of_a_memory(i, f, what):
    cell = CATALOGUE["lstm"].but(f"i = {i}", f"f = {f}", "h = c + 0*o")
    c = case(cell, T=1)
    g = np.tanh(c.inputs["x"][0] @ c.parameters["W_g_x"].T + c.state[0] @ c.parameters["W_g_h"].T + c.parameters["b_g"])
    expected = {"remember": c.state[1], "add": c.state[1] + g, "erase": 0 * g, "overwrite": g}[what.partition(":")[0]]
    np.testing.assert_allclose(cell.step(c.parameters, c.inputs["x"][0], c.state)[1].numpy(), expected, atol=1e-12)


def test_gate_roles_name_rows():
    for _, symbol, role, where in sources.GATE_ROLES:
        assert symbol and role and all(row in CATALOGUE[cell].rows for cell, row in where)


def test_the_page_is_up_to_date():
    page = Path(__file__).resolve().parents[2] / "docs" / "notation.md"
    assert page.read_text(encoding="utf-8") == sources.page(), "python -m tinygrad_rnn.cells.sources > docs/notation.md"
