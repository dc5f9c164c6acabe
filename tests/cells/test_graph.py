"""The public expression graph: interning, ancestors, replacing, and back to text."""

import copy
import pickle
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cells.random_cells import random_cell
from tests.cells.tools import case, run
from tinygrad_rnn.autograd import ops
from tinygrad_rnn.cells import Cell, Graph, Symbol, catalogue, parse
from tinygrad_rnn.cells.printing import code
from tinygrad_rnn.cells.symbols import State, Vector, ancestors, evaluate, leaf, lift, number, replace, topological

CATALOGUE = catalogue()
X, H = leaf("input", "x"), leaf("state", State("h"))


# ---- symbols --------------------------------------------------------------------------------------------------------
def test_equal_symbols_are_one_object():
    assert ops.tanh(X * 2 + H) is ops.tanh(X * 2.0 + H) is not ops.tanh(H + X * 2)
    assert leaf("vector", Vector("b", "i", 1.0)) is leaf("vector", Vector("b", "i", 1.0))
    assert number(1) is lift(1) is number(1.0)


def test_interning_under_threads():
    found = []

    def build():
        node = X
        for k in range(300):
            node = ops.tanh(node + k)
        found.append(node)
    threads = [threading.Thread(target=build) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1


def test_operations_of_the_tape_build_symbols():
    assert (2 - X).op == "subtract" and (2 / X).args[0] is number(2) and (X ** 3).args[1] is number(3)
    assert ops.maximum(a=X, b=H).op == "maximum" and ops.leaky_relu(X, 0.1).args[1] is number(0.1)
    assert ops.softplus(X).op == "softplus"
    for bad in (lambda: X + "1", lambda: X * np.ones(3), lambda: ops.sum(X), lambda: X @ X):
        with pytest.raises(TypeError):
            bad()
    with pytest.raises(ValueError, match="kind must be one of"):
        leaf("product", "x")
    with pytest.raises(TypeError, match="store the cell's text"):
        pickle.dumps(X)
    with pytest.raises(ValueError, match="only a learned vector"):
        X.parameter                         # noqa: B018
    assert leaf("vector", Vector("b", "i")).parameter == "b_i"


def test_wide_is_what_has_units():
    assert X.wide and H.wide and not number(2).wide and not leaf("constant", "a").wide
    assert (X * 2).wide and not (leaf("constant", "a") + 1).wide


def test_repr_is_short_however_large_the_graph():
    node = X
    for _ in range(2000):
        node = node * node
    assert 3 < len(repr(node)) < 2000 and repr(X + 1) == "<x + 1>"


def test_topological_ancestors_replace():
    y = ops.tanh(X * H) + X
    order = topological([y])
    assert order[-1] is y and len(order) == len(set(order)) == 5
    assert all(order.index(a) < order.index(n) for n in order for a in n.args)
    assert ancestors(y) == order[:-1] and ancestors(X) == []
    assert replace([y], {X: H, H: X}) == [ops.tanh(H * X) + H]          # at once, not one after the other
    assert replace([y], {X * H: 0}) == [ops.tanh(number(0)) + X]
    assert topological([y], without={X * H}) == [ops.tanh(X * H), X, y]
    with pytest.raises(TypeError, match="expected a symbol or a number"):
        replace([y], {X: "x"})


def test_evaluate_on_arrays_and_symbols(rng):
    x, h, w = rng.standard_normal((3, 4, 4))
    cell = Cell("h = tanh(W(x, h_prev) + b*a)", a=2.0)
    values = {"input": x, "state": h, "vector": np.ones(4), "constant": 2.0}
    y, = evaluate([cell.flat["h"]], lambda n: values[n.op], {"W_h_x": w, "W_h_h": w})
    np.testing.assert_allclose(y, np.tanh(x @ w.T + h @ w.T + 2))
    assert evaluate([X * 2 + 1], lambda n: n, {}) == [X * 2 + 1]
    with pytest.raises(ValueError, match="layer_norm is a function of the cell; expand it"):
        evaluate([CATALOGUE["rnn_layernorm"].graph["h"]], lambda n: x, {"W_h_x": w, "W_h_h": w})


# ---- code and back --------------------------------------------------------------------------------------------------
def expressions():
    """Symbols of the language, of any shape."""
    leaves = st.sampled_from([X, H, leaf("state", State("h", 2)), leaf("vector", Vector("b", "h")),
                              leaf("vector", Vector("p2", "h", -1.5)), number(2), number(0.1), number(1e-7),
                              number(3e20)])

    def grow(inner):
        two = st.tuples(inner, inner)
        return st.one_of(two.map(lambda p: p[0] + p[1]), two.map(lambda p: p[0] - p[1]), two.map(lambda p: p[0] * p[1]),
                         two.map(lambda p: p[0] / p[1]), inner.map(lambda u: -u),
                         st.tuples(inner, st.integers(1, 16)).map(lambda p: p[0] ** p[1]),
                         inner.map(ops.tanh), inner.map(lambda u: Symbol("call", (u,), "layer_norm")))
    return st.recursive(leaves, grow, max_leaves=25)


@given(expressions())
def test_every_expression_reads_back(expression):
    graph = Graph((("h", X * expression),))
    text = str(graph)
    try:
        again = parse(text)
    except ValueError as error:             # arithmetic of numbers alone, as 1/(2 - 2), is refused
        assert "arithmetic" in str(error) or "has no units" in str(error), text
        return
    assert again["h"] is X * expression and again == graph


@pytest.mark.parametrize("symbol, text", [
    (X - (H - X), "x - (h_prev - x)"), ((X - H) - X, "x - h_prev - x"), (X * (H * X), "x*(h_prev*x)"),
    (X / (H / X), "x/(h_prev/x)"),
    (-(X ** 2), "-x**2"), ((-X) ** 2, "(-x)**2"), (-(X + H), "-(x + h_prev)"), (-(X * H), "-(x*h_prev)"),
    ((-X) * H, "-x*h_prev"),
    (X * -H, "x*-h_prev"), (X - -H, "x - -h_prev"), ((X ** 2) ** 3, "(x**2)**3"), (X * number(1e-5), "x*1e-05"),
    (2 * (X + 0.5), "2*(x + 0.5)")])
def test_code_has_the_brackets_it_needs(symbol, text):
    assert code(symbol) == text and parse(f"h = {text}")["h"] is symbol


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_catalogue_reads_back(name):
    graph = CATALOGUE[name].graph
    assert parse(str(graph)) == graph and Cell(str(graph)) == CATALOGUE[name]


def test_random_graphs_read_back():
    for seed in range(50):
        graph = random_cell(seed).graph
        assert parse(str(graph)) == graph and hash(parse(str(graph))) == hash(graph)


# ---- graphs ---------------------------------------------------------------------------------------------------------
def test_nodes_and_ancestors_of_a_graph():
    graph = CATALOGUE["lstm"].graph
    assert list(graph) == list("ifgoch") and graph["c"].op == "add"
    assert X in graph.nodes and len(set(graph.nodes)) == len(graph.nodes)
    names = {code(n) for n in graph.ancestors("c")}
    assert {"x", "h_prev", "c_prev", "f", "i", "g", "W(x, h_prev)"} <= names and not names & {"o", "h", "c"}
    order = graph.ancestors("h")
    assert all(order.index(a) < order.index(n) for n in order for a in n.args)
    place = {code(n): k for k, n in enumerate(order)}
    assert place["c"] > place["i"] > place["x"] and place["f*c_prev + i*g"] < place["c"]
    assert graph.ancestors(graph["c"]) == graph.ancestors("c")
    with pytest.raises(KeyError, match="no row 'q'"):
        graph["q"]
    assert copy.copy(graph) == graph


def test_replace_in_a_graph():
    lstm = CATALOGUE["lstm"].graph
    coupled = lstm.replace({lstm["f"]: 1 - leaf("row", "i")})
    assert coupled == CATALOGUE["lstm"].but("f = 1 - i").graph
    assert lstm.replace({leaf("row", "f"): 1}) == CATALOGUE["lstm"].but("f =",
                                                                        "c = 1*c_prev + i*g").graph   # row f is gone
    variational = lstm.replace({H: X})
    assert "W_i_x_2" in Cell(str(variational)).parameters
    leaky = CATALOGUE["leaky_rnn"].graph
    assert leaky.replace({leaf("constant", "a"): 0.5}) == Cell(
        "n = tanh(W(x, h_prev) + b)\nh = (1 - 0.5)*h_prev + 0.5*n").graph
    with pytest.raises(ValueError, match="multiplies inputs"):
        leaky.replace({X: 1})


def test_flat_has_no_rows_and_no_calls():
    for name, cell in CATALOGUE.items():
        kinds = {n.op for n in topological(cell.flat.values())}
        assert not kinds & {"row", "call", "parameter"}, name
    assert CATALOGUE["lstm"].flat["h"].args[1].args[0] is CATALOGUE["lstm"].flat["c"]       # shared, not copied


def test_expanding_functions_changes_nothing():
    plain = Cell("h = (x - mean(x))/sqrt(mean((x - mean(x))**2) + 1e-5) + h_prev")
    c = case(plain, D=4)
    ys, _ = run(c, c.parameters, c.inputs, c.state)
    c.cell = Cell("h = layer_norm(x) + h_prev")
    zs, _ = run(c, c.parameters, c.inputs, c.state)
    assert all((y.numpy() == z.numpy()).all() for y, z in zip(ys, zs)) and c.cell.flat == plain.flat
