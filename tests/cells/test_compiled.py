"""The compiled sequence equals the readable steps: every cell, values and all gradients, whatever the call."""

import linecache
import traceback

import numpy as np
import pytest

import tinygrad_rnn as t
from tests.cells.sequences import by_kernel, by_steps, problem, same
from tests.cells.tools import worst
from tinygrad_rnn.cells import Cell, catalogue
from tinygrad_rnn.cells.arrangement import Arrangement
from tinygrad_rnn.cells.compiled import WITHOUT_JIT, Compiled

CATALOGUE = catalogue()
SIX = ("lstm", "lstm_peephole", "gru_reset_before", "gru_layernorm", "residual_rnn", "lstm_projection")
FURTHER = {
    "captioner": Cell("h = tanh(W(x, h_prev, v) + b)", inputs="x v", name="captioner"),
    "masked": Cell("i = sigmoid(W(x, m*h_prev) + b)\nc = (1 - i)*c_prev + i*tanh(W(x, m*h_prev) + b)\nh = tanh(c)",
                   inputs="x m", name="masked"),
    "zoneout": Cell("n = tanh(W(x, h_prev) + b)\nh = m*h_prev + (1 - m)*n", inputs="x m", name="zoneout"),
    "wide": Cell("h = (1 - a)*h_prev + a*tanh(W(x, h_prev) + b)", a=[0.1, 0.2, 0.3, 0.4, 0.5, 0.6], name="wide"),
}
# What is rare in practice: gradients that stop, products of what stands nowhere, rows that are no more than a name.
CORNERS = {
    "no state is read": "h = tanh(W(x) + b)",
    "no gradient goes back": "h = tanh(W(x, stop(h_prev)) + b)",
    "one state hands nothing on": "c = stop(c_prev) + u\nu = tanh(W(x, h_prev) + b)\nh = tanh(c)",
    "matrix of a vector": "h = tanh(W(x, h_prev) + W2(p) + b)",
    "matrix of a mean": "h = tanh(W(x, h_prev) + W2(mean(h_prev)) + b)",
    "matrix of a matrix": "h = tanh(W2(W(x, h_prev)) + b)",
    "matrix of a stop": "u = tanh(W(x, h_prev) + b)\nh = tanh(W(stop(u), h_prev))",
    "a row is a state": "q = h_prev\nh = tanh(W(x, q_prev, h_prev) + q + b)",
    "a row is a product": "q = W(x, h_prev)\nh = tanh(q + q_prev)",
    "a row is a mean": "q = mean(h_prev)\nh = tanh(W(x, h_prev) + q + q_prev)",
    "a row is a number": "q = 2\nh = tanh(W(x, h_prev) + 0.1*q_prev + q)",
    "further back alone": "h = tanh(W(x) + h_prev(3))",
    "two lags": "h = tanh(W(x, h_prev, h_prev(4)) + 0.5*h_prev(2))",
    "one slot for two readers": "u = sigmoid(W(x, h_prev) + b)\nh = tanh(W(u*h_prev) + W2(u) + u)",
    "powers": "h = tanh(W(x, h_prev) + b)**3/(1 + (h_prev*h_prev)**16)",
    "nothing learned twice": "h = tanh(W(x, h_prev) + b) + b",
}
CORNERS_CELLS = {name: Cell(text, name="corner") for name, text in CORNERS.items()}
ALL = {**CATALOGUE, **FURTHER, **CORNERS_CELLS}
KINDS = {
    "plain": {}, "ragged": {"T": 6, "B": 9, "D": 5, "lengths": [3, 6, 1, 5, 6, 2, 2, 4, 1]},
    "reverse": {"T": 4, "B": 5, "D": 7, "reverse": True},
    "ragged, reverse": {"lengths": [2, 5, 3, 1], "reverse": True}, "one of each": {"T": 1, "B": 1, "D": 1},
    "shared inputs": {"T": 4, "B": 3, "shared": True},
    "shared, ragged": {"T": 4, "B": 3, "shared": True, "lengths": [2, 4, 1], "seed": 3},
}


@pytest.mark.parametrize("name", ALL)
def test_on_numpy_rows(name):
    for kind, options in KINDS.items():
        p = problem(ALL[name], **options)
        assert worst(by_kernel(p, jit=False), by_steps(p)) < 1e-9, kind


@pytest.mark.parametrize("name", [*SIX, *FURTHER])
def test_compiled(name):
    for kind, options in KINDS.items():
        p = problem(ALL[name], **options)
        assert worst(by_kernel(p), by_steps(p)) < 1e-9, kind


@pytest.mark.parity
@pytest.mark.parametrize("name", sorted(ALL.keys() - set(SIX) - FURTHER.keys()))
def test_every_cell_compiled(name):
    for kind, options in KINDS.items():
        p = problem(ALL[name], **options)
        assert worst(by_kernel(p), by_steps(p)) < 1e-9, kind


# ---- real sizes -----------------------------------------------------------------------------------------------------
# Blocks of units, tiles of rows and segments of depth only differ from one another when there are several of each.
SIZES = [{"T": 3, "B": 2, "D": 64, "H": 128}, {"T": 3, "B": 17, "D": 37, "H": 133},
         {"T": 2, "B": 33, "D": 129, "H": 650}, {"T": 2, "B": 1, "D": 5, "H": 257},
         {"T": 36, "B": 30, "D": 20, "H": 50},
         {"T": 3, "B": 8, "D": 131, "H": 200, "lengths": [1, 2, 3, 3, 2, 1, 1, 3]}]


@pytest.mark.parametrize("options", SIZES, ids=str)
@pytest.mark.parametrize("name", ["lstm", "gru_reset_before", "rnn_layernorm"])
def test_real_sizes(name, options):
    p = problem(CATALOGUE[name], scale=0.05, **options)
    assert worst(by_kernel(p), by_kernel(p, jit=False)) < 1e-9


@pytest.mark.parametrize("name", ["lstm", "gru_reset_before"])
def test_the_oracle_of_real_sizes(name):
    p = problem(CATALOGUE[name], T=3, B=3, D=65, H=130, scale=0.05)
    assert worst(by_kernel(p, jit=False), by_steps(p)) < 1e-9


@pytest.mark.parametrize("name", SIX)
def test_single_precision(name):
    p = problem(CATALOGUE[name], T=8, B=9, D=33, H=100, scale=0.1)
    assert worst(by_kernel(p.astype(np.float32)), by_kernel(p, jit=False)) < 2e-5


# ---- bits -----------------------------------------------------------------------------------------------------------
@pytest.mark.skipif(WITHOUT_JIT, reason="NumPy's product promises no bits")
@pytest.mark.parametrize("name", ["lstm", "gru_reset_before", "gru_layernorm", "captioner"])
@pytest.mark.parametrize("lengths", [None, [9, 1, 7, 4, 4, 2, 9, 8, 3, 6, 5]], ids=["full", "ragged"])
def test_threads_change_no_bit(name, lengths, threads):
    p = problem(ALL[name], T=9, B=11, D=20, H=70, lengths=lengths, shared=name == "captioner", dtype=np.float32)
    found = []
    for count in (1, 2, 3):
        t.set_num_threads(count)
        found.append(by_kernel(p))
    assert same(found[0], found[1]) and same(found[0], found[2])


@pytest.mark.skipif(WITHOUT_JIT, reason="NumPy's product promises no bits")
@pytest.mark.parametrize("name", ["lstm", "gru_reset_before", "gru_layernorm"])
def test_a_row_does_not_depend_on_its_batch(name):
    p = problem(ALL[name], T=6, B=13, D=20, H=50, lengths=[6, 1, 3, 4, 4, 2, 6, 5, 3, 6, 5, 6, 2], dtype=np.float32)
    whole = by_kernel(p)
    for chosen in ([3], [0, 6], [12, 5, 1], list(range(13))[::-1]):
        part = by_kernel(p.rows(chosen))
        for n in (n for n in whole if n not in {f"d {q}" for q in p.parameters}):
            expected = whole[n][:, chosen] if whole[n].ndim == 3 else whole[n][chosen]
            np.testing.assert_array_equal(part[n], expected, err_msg=n)


# ---- calls ----------------------------------------------------------------------------------------------------------
def test_strided_arguments_are_read_and_none_is_changed():
    p = problem(CATALOGUE["lstm"], T=4, B=6, D=5, H=8)
    expected = by_kernel(p)
    odd = problem(CATALOGUE["lstm"], T=4, B=6, D=5, H=8)
    odd.inputs["x"] = np.asfortranarray(odd.inputs["x"])
    odd.state = tuple(np.repeat(s, 2, axis=1)[:, ::2] for s in odd.state)
    odd.parameters = {n: np.asfortranarray(v) for n, v in odd.parameters.items()}
    odd.d_y = np.asfortranarray(odd.d_y)
    for v in (*odd.inputs.values(), *odd.state, *odd.parameters.values(), odd.d_y, *odd.d_last):
        v.flags.writeable = False
    assert same(by_kernel(odd), expected)


@pytest.mark.parametrize("options", [{"T": 0}, {"B": 0}, {"T": 0, "B": 0}], ids=str)
def test_nothing_to_do(options):
    p = problem(CATALOGUE["gru_reset_before"], **options)
    found = by_kernel(p)
    assert found["y"].shape == p.d_y.shape
    np.testing.assert_array_equal(found["last 0"], p.state[0])
    np.testing.assert_array_equal(found["d state 0"], p.d_last[0])
    assert not any(found[f"d {n}"].any() for n in p.parameters)


def test_only_what_is_asked_for(monkeypatch):
    from tinygrad_rnn.cells import gradients
    p = problem(CATALOGUE["lstm"])
    everything = by_kernel(p)
    compiled = Compiled(p.cell, *p.sizes, np.float64)
    _, _, tape = compiled.forward(p.inputs["x"], p.state, p.parameters)
    products = []
    into, sums = gradients.into, gradients._column_sums
    monkeypatch.setattr(gradients, "into", lambda *args: products.append(1) or into(*args))
    monkeypatch.setattr(gradients, "_column_sums", lambda x: products.append(1) or sums(x))
    nothing = compiled.backward(tape, p.d_y, p.d_last, inputs=())
    assert not nothing.inputs and not products
    assert not any(m.source.group == "d_input" for m in compiled._backward(frozenset()).multiplies)
    np.testing.assert_array_equal(nothing.state["h", 1], everything["d state 0"])
    room = {name: np.full_like(p.parameters[name], np.nan) for name in ("W_i_x", "b_f")}
    some = compiled.backward(tape, p.d_y, p.d_last, inputs=("x",), room=room)
    np.testing.assert_array_equal(some.inputs["x"], everything["d x"])
    assert len(products) == 2               # one for the matrix, one for the sum over rows and steps
    for name, value in room.items():
        np.testing.assert_array_equal(value, everything[f"d {name}"])
    compiled.backward(tape, p.d_y, p.d_last, room=room, add=True)
    for name, value in room.items():
        np.testing.assert_allclose(value, 2 * everything[f"d {name}"], rtol=1e-12)


@pytest.mark.parity
def test_memory_beside_pytorch():
    torch = pytest.importorskip("torch")
    T, B, H = 50, 32, 128
    p = problem(CATALOGUE["lstm"], T=T, B=B, D=64, H=H, dtype=np.float32)
    ours = Compiled(p.cell, *p.sizes, np.float32).forward(p.inputs["x"], p.state, p.parameters)[2].nbytes
    theirs = {}

    def keep(tensor):
        theirs[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor
    layer, x = torch.nn.LSTM(64, H), torch.randn(T, B, 64)
    given = {v.data_ptr() for v in (x, *layer.parameters())}
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        y, _ = layer(x)
    theirs = sum(size for address, size in theirs.items() if address not in given)
    assert ours + y.numel() * 4 <= 1.3 * theirs


def test_no_gradient_of_the_output_is_a_zero_one():
    p = problem(CATALOGUE["lstm"])
    compiled = Compiled(p.cell, *p.sizes, np.float64)
    _, _, tape = compiled.forward(p.inputs["x"], p.state, p.parameters)
    a, b = (compiled.backward(tape, d, (None, p.d_last[1])) for d in (None, np.zeros_like(p.d_y)))
    np.testing.assert_array_equal(a.inputs["x"], b.inputs["x"])


def test_memory_between_forward_and_backward():
    """Seven numbers a unit, row and step for an LSTM: i, f, g, o, tanh(c), c, h; and one more step, and padding."""
    T, B, H = 50, 32, 128
    p = problem(CATALOGUE["lstm"], T=T, B=B, D=64, H=H, dtype=np.float32)
    compiled = Compiled(p.cell, *p.sizes, np.float32)
    _, _, tape = compiled.forward(p.inputs["x"], p.state, p.parameters)
    numbers = tape.nbytes / 4 / (T * B * H)
    assert 7 <= numbers < 7.3


# ---- machine code ---------------------------------------------------------------------------------------------------
@pytest.mark.skipif(WITHOUT_JIT, reason="nothing is compiled")
def test_a_new_constant_compiles_nothing(monkeypatch):
    from tinygrad_rnn.kernels import llvm
    leaky = Cell("h = (1 - a)*h_prev + a*tanh(W(x, h_prev) + b)", a=0.25)
    by_kernel(problem(leaky))
    monkeypatch.setattr(llvm, "compile_object", lambda *_: pytest.fail("compiled again"))
    for rate in (0.125, 0.9):
        p = problem(leaky.but(a=rate))
        assert worst(by_kernel(p), by_steps(p)) < 1e-9


def test_source_is_what_runs():
    cell = CATALOGUE["lstm"]
    text = cell.source()
    assert "# f = sigmoid(W(x, h_prev) + b(1))\n    f = sigmoid(z_f + b_f)" in text
    assert text == cell.source("float64") == Compiled(cell, 64, 64, np.float32).source
    if not WITHOUT_JIT:
        assert Compiled(cell, 64, 64, np.float32)._functions["forward_0"].__code__.co_names == ("sigmoid", "tanh")
    with pytest.raises(ValueError, match="dtype must be"):
        cell.source("float16")


def test_a_traceback_shows_the_generated_line():
    p = problem(CATALOGUE["lstm"])
    compiled = Compiled(p.cell, *p.sizes, np.float64, jit=False)
    function = compiled._functions["forward_0"]
    try:
        function(*[None] * function.__code__.co_argcount)
    except TypeError as error:
        assert "sigmoid(z_o + b_o)" in "".join(traceback.format_exception(error))
    assert linecache.getline(function.__code__.co_filename, 1).startswith('"""lstm: generated')


# ---- planted mistakes -----------------------------------------------------------------------------------------------
def caught(name, **options) -> bool:
    p = problem(ALL[name], **options)
    return worst(by_kernel(p, jit=False), by_steps(p)) > 1e-6


def test_a_wrong_rule_is_caught(monkeypatch):
    from tinygrad_rnn.autograd.ops import tanh
    p = problem(CATALOGUE["lstm"])
    right = by_steps(p)
    monkeypatch.setattr(tanh, "rules", (lambda g, y, _x: g * (1 - y),))
    assert worst(by_kernel(p, jit=False), right) > 1e-3


def test_a_slot_that_is_taken_too_early_is_caught(monkeypatch):
    from tinygrad_rnn.cells.analysis import Analysis
    assert not caught("gru_layernorm")
    monkeypatch.setattr(Analysis, "last_reads", lambda self: [0.0] * len(self.products))
    assert caught("gru_layernorm")


def test_a_lag_that_is_off_by_one_is_caught(monkeypatch):
    from tinygrad_rnn.cells import planning
    from tinygrad_rnn.cells.schedule import Place
    assert not caught("residual_rnn")

    def place(group, name, lag=0):
        return Place(group, name, lag - 1 if group == "record" and lag > 1 else lag)
    monkeypatch.setattr(planning, "Place", place)
    assert caught("residual_rnn")


def test_a_wrong_number_of_running_rows_is_caught(monkeypatch):
    from tinygrad_rnn.cells import compiled

    class Off(Arrangement):
        def __init__(self, *args):
            super().__init__(*args)
            self.active = np.minimum(self.active + 1, self.batch)
    assert not caught("lstm", lengths=[5, 2, 3, 1])
    monkeypatch.setattr(compiled, "arranged", Off)
    assert caught("lstm", lengths=[5, 2, 3, 1])
