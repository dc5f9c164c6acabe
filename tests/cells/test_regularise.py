"""Masks and zoneout as derived cells: for the whole catalogue by their text and parameters, and by hand for one."""

import numpy as np
import pytest

from tinygrad_rnn import tensor
from tinygrad_rnn.cells import Cell, catalogue
from tinygrad_rnn.cells.regularise import masked, zoned

CELLS = catalogue()


@pytest.mark.parametrize("name", CELLS)
def test_parameters_and_states_stay_what_they_were(name) -> None:
    cell = CELLS[name]
    rates = dict.fromkeys((s.row for s in cell.carried), 0.5)
    for derived in (masked(cell)[0], zoned(cell)[0], zoned(cell, rates)[0], zoned(masked(cell)[0])[0]):
        assert derived.states == cell.states and derived.output == cell.output and derived.name == cell.name
        assert list(derived.parameters.values()) == list(cell.parameters.values())
        assert [*derived.parameter_shapes(4, 4).values()] == [*cell.parameter_shapes(4, 4).values()]
        assert Cell(str(derived)) == derived


@pytest.mark.parametrize("name", CELLS)
def test_with_masks_of_one_nothing_changes_and_zoneout_of_one_stops(name, rng) -> None:
    cell = CELLS[name]
    shapes = cell.parameter_shapes(4, 4)
    parameters = {n: tensor(rng.normal(size=shape)) for n, shape in shapes.items()}
    widths = cell.sizes(4, 4).widths
    x, state = rng.normal(size=(2, 4)), tuple(rng.normal(size=(2, widths[s.row])) for s in cell.carried)
    plain = cell.step(parameters, x, state)

    def stepped(derived, names, value):
        inputs = {n: np.full((2, widths[row]), value) for row, n in names.items()}
        own = dict(zip(derived.parameters, parameters.values()))
        return derived.step(own, x, state, **inputs)

    for derived, names, value in ((*masked(cell), 1.0), (*zoned(cell), 0.0)):
        for a, b in zip(stepped(derived, names, value), plain):
            np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-14)
    stopped = stepped(*zoned(cell), 1.0)
    for s, a, b in zip(cell.carried, stopped, state):
        if s.lag == 1:
            np.testing.assert_allclose(a.numpy(), b, atol=1e-14)


def test_a_mask_stands_only_inside_W() -> None:
    derived, names = masked(CELLS["gru_reset_before"])
    assert names == {"h": "m_h"} and derived.inputs == ("x", "m_h")
    assert [str(row) for row in derived.rows.values()] == [
        "r = sigmoid(W(x, m_h*h_prev) + b)", "z = sigmoid(W(x, m_h*h_prev) + b)",
        "n = tanh(W(x, r*(m_h*h_prev)) + b)", "h = (1 - z)*n + z*h_prev"]
    peephole, names = masked(CELLS["lstm_peephole"])
    assert set(names) == {"h"} and "p*c_prev" in str(peephole)


def test_zoneout_mixes_after_the_step() -> None:
    derived, names = zoned(CELLS["lstm"])
    assert names == {"c": "k_c", "h": "k_h"}
    assert [str(row) for row in list(derived.rows.values())[4:]] == [
        "c_new = f*c_prev + i*g", "h_new = o*tanh(c_new)", "c = k_c*c_prev + (1 - k_c)*c_new",
        "h = k_h*h_prev + (1 - k_h)*h_new"]
    assert zoned(CELLS["rnn"], {"h": 0.25})[0].constants == {"k_h": 0.25}


def test_names_that_are_taken_and_widths() -> None:
    cell = Cell("m_h = W(x)\nk_h = tanh(m_h)\nh_new = k_h + W(h_prev)\nh = W(h_new)", widths={"h": "H//2"})
    derived, names = masked(cell)
    assert names == {"h": "m_h_2"} and derived.widths == {"h": "H//2", "m_h_2": "H//2"}
    derived, names = zoned(cell)
    assert names == {"h": "k_h_2"} and derived.widths == {"h": "H//2", "h_new_2": "H//2", "k_h_2": "H//2"}
