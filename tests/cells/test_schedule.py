"""What a schedule promises: stages, slots that are used again, nothing costly computed twice."""

import pytest

from tests.cells.random_cells import random_cell
from tinygrad_rnn.cells import Cell, catalogue
from tinygrad_rnn.cells.analysis import COSTLY, Analysis, neighbours, runs
from tinygrad_rnn.cells.planning import MOST_SLOTS, planned
from tinygrad_rnn.cells.schedule import OUTSIDE, Place, Schedule
from tinygrad_rnn.cells.symbols import topological

CATALOGUE = catalogue()
CELLS = {**CATALOGUE, **{f"random {seed}": random_cell(seed) for seed in range(40)}}


def analysis(cell: Cell, D: int = 12, H: int = 12) -> Analysis:
    sizes = cell.sizes(D, H)
    return Analysis({n: cell.flat[n] for n in cell.order}, cell.carried, cell.output, sizes.widths, sizes.of)


def schedule(name: str) -> Schedule:
    return planned(analysis(CELLS[name]))


@pytest.mark.parametrize("name, stages, products", [
    ("rnn", 1, 2), ("lstm", 1, 2), ("lstm_peephole", 1, 2), ("gru_reset_before", 2, 3), ("gru_reset_after", 1, 2),
    ("lstm_projection", 2, 3)])
def test_stages_and_products(name, stages, products):
    plan = schedule(name)
    assert 1 + max(u.stage for u in plan.units) == stages
    assert len(plan.multiplies) == products, plan.multiplies


def test_an_lstm_has_one_product_for_x_and_one_for_h():
    plan = schedule("lstm")
    x, h = plan.multiplies
    assert (x.stage, x.source, x.slots, x.fresh) == (OUTSIDE, Place("input", "x"), (0, 1, 2, 3), (0, 1, 2, 3))
    assert (h.stage, h.source, h.slots, h.fresh) == (0, Place("record", "row_h", 1), (0, 1, 2, 3), ())
    assert [m.slots for m in plan.backward_multiplies] == [(0, 1, 2, 3)] * 2


def test_an_lstm_keeps_seven_numbers_a_unit():
    assert len(schedule("lstm").record) == 7
    assert len(schedule("gru_reset_before").record) == 5       # r, z, n, r*h, h
    assert len(schedule("rnn").record) == 2                    # the slot; h = tanh(...) stands as a state


@pytest.mark.parametrize("name", CELLS)
def test_a_place_is_written_before_it_is_read_and_not_twice_before(name):
    plan = schedule(name)
    holds: dict[Place, object] = {}
    for stage in range(-1, 1 + max(u.stage for u in plan.units)):
        for m in plan.multiplies:
            if m.stage == stage:
                if m.source.group == "record" and not m.source.lag:
                    assert m.source in holds
                for slot in m.slots:
                    place = Place("record", f"z{slot}")
                    assert (place in holds) != (slot in m.fresh)
                    holds[place] = plan.products[slot]
        for unit in (u for u in plan.units if u.stage == stage):
            for symbol, place in unit.reads:
                if place.group == "record" and not place.lag:
                    assert holds[place] is (symbol if symbol.op != "mean" else symbol.args[0]), (name, place)
        for unit in (u for u in plan.units if u.stage == stage):
            holds |= {place: symbol for symbol, place in unit.results()}
    for unit in plan.backward_units:                    # what the forward pass left is what the backward pass reads
        for symbol, place in unit.reads:
            if place.group == "record" and not place.lag:
                assert holds[place] is (symbol if symbol.op != "mean" else symbol.args[0]), (name, place)


@pytest.mark.parametrize("name", CELLS)
def test_nothing_costly_is_computed_twice(name):
    graph = analysis(CELLS[name])
    plan = planned(graph)
    computed = []
    for unit in (*plan.units, *plan.backward_units):
        loaded = {s for s, _ in unit.reads}
        computed += [n for n in topological(unit.values(), without=loaded)
                     if n.op in COSTLY and n in graph.forward and n not in loaded]
    assert len(computed) == len(set(computed))


def test_runs():
    assert runs([0, 1, 2, 3], 4) == [(0, 1, 2, 3)]
    assert runs([5, 0, 1, 3, 2, 4], 4) == [(0, 1, 2), (3, 4, 5)]
    assert runs([0, 2, 3], 4) == [(0,), (2, 3)]
    assert runs([], 4) == []


def test_neighbours_bring_the_readers_of_a_source_together():
    """Of a GRU that resets after the product, n has a slot that reads x alone and one that reads h alone."""
    x, h = schedule("gru_reset_after").multiplies
    assert (x.slots, x.fresh, h.slots) == ((0, 1, 2), (0, 1, 2), (1, 2, 3)) and h.fresh == (3,)
    assert neighbours([], lambda _: 1) == []


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_source_is_multiplied_once(name):
    """With all matrices that it meets, as far as they fit into one tile."""
    plan = schedule(name)
    for multiplies, most in ((plan.multiplies, MOST_SLOTS), (plan.backward_multiplies, len(plan.products))):
        slots: dict[Place, int] = {}
        for m in multiplies:
            slots[m.source] = slots.get(m.source, 0) + len(m.slots)
        for place, count in slots.items():
            assert sum(m.source == place for m in multiplies) == -(-count // most), (place, multiplies)


def test_many_kinds_of_products_find_neighbours_too():
    """Eight products in a chain, each with a source in common with the next, told in an order that tears it apart."""
    rows = [f"u{k} = tanh(W(u{k}_prev, u{k + 1}_prev))" for k in (0, 4, 2, 6, 1, 5, 3, 7)]
    cell = Cell("\n".join([*rows, "u8 = 0.5*u8_prev + x", "h = u0 + u4*h_prev"]))
    plan = planned(analysis(cell))
    assert len(plan.products) == 8 and len(plan.multiplies) == 9, plan.multiplies


def test_a_wrong_reuse_is_seen(monkeypatch):
    monkeypatch.setattr(Analysis, "last_reads", lambda self: [0.0] * len(self.products))
    with pytest.raises(AssertionError):
        test_a_place_is_written_before_it_is_read_and_not_twice_before("gru_layernorm")
