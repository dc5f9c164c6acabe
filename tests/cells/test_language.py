"""The text of a cell: what it means, what it prints, and what every mistake is answered with."""

import copy
import pickle

import numpy as np
import pytest

from tinygrad_rnn.cells import Cell, catalogue

LSTM = catalogue()["lstm"]
GRU = catalogue()["gru_reset_before"]


# ---- what a text means ----------------------------------------------------------------------------------------------
def test_states_and_output():
    assert LSTM.states == ("h", "c") and LSTM.output == "h"
    assert catalogue()["lstm_fgr"].states == ("h", "i", "f", "o", "c")
    assert Cell("h = tanh(W(x) + b)").states == ("h",)              # the output is a state, read or not
    assert Cell("y = h_prev(3)\nh = tanh(W(x, y))").states == ("h", "h_prev", "h_prev(2)")
    two = Cell("q = c_prev(2) + c_prev\nc = W(x) + q\nh = W(q, h_prev(k))", k=2)
    assert two.states == ("h", "h_prev", "c", "c_prev") and two.constants == {"k": 2}


def test_parameters_in_the_order_of_the_text():
    shapes = catalogue()["lstm_peephole"].parameter_shapes(3, 5)
    assert list(shapes)[:4] == ["W_i_x", "W_i_h", "p_i", "b_i"]
    assert shapes["W_i_x"] == (5, 3) and shapes["W_i_h"] == (5, 5) and shapes["p_i"] == (5,)
    assert list(shapes)[-3:] == ["W_o_h", "p_o", "b_o"]
    assert catalogue()["gru_reset_after"].parameter_shapes(3, 5)["b2_n"] == (5,)


@pytest.mark.parametrize("text, names", [
    ("h = tanh(W(x, h_prev) + b)", ["W_h_x", "W_h_h", "b_h"]),
    ("n = W(r*h_prev)\nr = sigmoid(W(x))\nh = n", ["W_n_rh", "W_r_x"]),
    ("h = W(x) + W(x) + W(x, h_prev)", ["W_h_x", "W_h_x_2", "W_h_x_3", "W_h_h"]),
    ("h = W(x, x)", ["W_h_x", "W_h_x_2"]),
    ("h = W2(x) + W(x) + W2(h_prev)", ["W2_h_x", "W_h_x", "W2_h_h"]),
    ("h = W(tanh(h_prev), x)", ["W_h_tanhh", "W_h_x"]),
    ("h = W(0.50*x - 1.0*h_prev)", ["W_h_05x1h"]),
    ("h = W(h_prev(2), x)", ["W_h_h2", "W_h_x"]),
    ("h = b + W(W2(h_prev), x)*s(1) + W(x)", ["W_h_W2h", "W_h_x", "W2_h_h", "W_h_x_2", "b_h", "s_h"]),
    ("n = W(r_h)\nr_h = x\nn_r = W(h_prev)\nh = W(n, n_r)", ["W_n_r_h", "W_n_r_h_2", "W_h_n", "W_h_n_r"]),
    ("h = p*h_prev + b2 + p2(3)*x + p", ["p_h", "b2_h", "p2_h"]),
])
def test_names_of_parameters(text, names):
    cell = Cell(text)
    assert list(cell.parameters) == names == list(cell.parameter_shapes(4, 4))
    assert list(Cell(str(cell)).parameters) == names


def test_starts():
    cell = Cell("h = tanh(W(x, h_prev) + b(1) + s(-0.5)*p + b)")
    assert cell.parameters == {"W_h_x": None, "W_h_h": None, "b_h": 1.0, "s_h": -0.5, "p_h": None}


def test_rows_come_in_any_order():
    shuffled = Cell("c = f*c_prev + i*g\no = sigmoid(W(x, h_prev) + b)\n" + "\n".join(
        str(LSTM.rows[r]) for r in "gfi") + "\nh = o*tanh(c)")
    assert shuffled.order.index("c") > max(shuffled.order.index(r) for r in "ifg")
    assert shuffled != LSTM and set(shuffled.parameters) == set(LSTM.parameters)


def test_a_function_is_only_what_is_called():
    cell = Cell("exp = tanh(W(x, h_prev) + b)\ntanh = exp(exp) + tanh(exp)\nh = tanh*exp")
    assert cell.order == ("exp", "tanh", "h")
    e = 0.3
    f64 = np.float64
    out, = cell.step({"W_exp_x": f64([[0]]), "W_exp_h": f64([[0]]), "b_exp": f64([np.arctanh(e)])}, f64([[1]]),
                     (f64([[1]]),))
    assert abs(out.item() - (np.exp(e) + np.tanh(e)) * e) < 1e-12


def test_functions_of_a_cell():
    cell = Cell("""
        squash(u) = scale*sigmoid(u) - half(scale, 2)
        half(v, w) = v/w
        g = squash(W(x, h_prev) + b)
        h = half(g, 1) + squash(2)""", scale=4.0)
    x, w = np.array([[0.7]]), np.array([[1.0]])
    h, = cell.step({"W_g_x": w, "W_g_h": 0 * w, "b_g": w[0]}, x, (x,))
    s = lambda u: 4 / (1 + np.exp(-u)) - 2
    assert abs(h.item() - (s(1.7) + s(2.0))) < 1e-12
    assert Cell(str(cell)) == cell


def test_widths():
    cell = Cell("m = tanh(W(x, h_prev))\nq = W(m)\nh = W(q)", widths={"m": "2*H - D", "q": 7, "h": " H // k "}, k=2)
    assert cell.widths == {"m": "2*H-D", "q": "7", "h": "H//k"}
    assert cell.parameter_shapes(3, 8) == {"W_m_x": (13, 3), "W_m_h": (13, 4), "W_q_m": (7, 13), "W_h_q": (4, 7)}
    assert cell.but("h = tanh(W(q))", widths={"h": "H"}).widths == {"m": "2*H-D", "q": "7"}
    assert catalogue()["lstm_projection"].parameter_shapes(3, 8)["W_i_h"] == (8, 4)


# ---- round trip -----------------------------------------------------------------------------------------------------
EVERYTHING = """
    name: everything
    inputs: x m keys
    widths: q=H//2, keys=5
    constants: a=0.3, k=2, e=[0.1, -2.0, 3e-05], big=1e+20
    squash(u, v) = 4*sigmoid(u)*v - 2
    q = W(squash(h_prev, m), -x, W2(keys)) + b(1)   # a comment
    g = m*(a - big)/(1 + h_prev(k)**2) - -e*mean(stop(h_prev))

    h = tanh(W(q, g) + b(-1.5) - (g - m)) + (h_prev + g) - b2"""


def test_round_trip():
    cell = Cell(EVERYTHING)
    assert Cell(str(cell)) == cell and str(Cell(str(cell))) == str(cell) and hash(Cell(str(cell))) == hash(cell)
    assert cell.name == "everything" and cell.inputs == ("x", "m", "keys")
    assert cell.constants == {"a": 0.3, "k": 2, "e": (0.1, -2.0, 3e-05), "big": 1e20}
    assert "h_prev(k)" in str(cell) and "# a comment" not in str(cell)
    assert eval(repr(cell)) == cell


def test_keywords_say_what_lines_say():
    by_lines = Cell("name: n\ninputs: x m\nwidths: m=3\nconstants: a=0.5\nh = tanh(W(x, m, h_prev))*a")
    by_words = Cell("h = tanh(W(x, m, h_prev))*a", name="other", inputs="x m", widths={"m": 3}, a=0.5)
    assert by_lines == by_words and hash(by_lines) == hash(by_words)
    assert Cell(str(by_lines), a=2, name="z").constants == {"a": 2} and Cell(str(by_lines), name="z").name == "z"


def test_equality_is_that_of_the_equations():
    assert Cell("h=tanh( W( x,h_prev )+b )") == Cell("h = tanh(W(x, h_prev) + b)", name="n")
    assert Cell("h = 1.0*x + 2") == Cell("h = 1*x + (2.)")
    for other in ("h = tanh(W(x, h_prev) + b(0))", "h = tanh(W(h_prev, x) + b)", "h = tanh(W(x, h_prev) + p)",
                  "h = tanh(b + W(x, h_prev))"):
        assert Cell(other) != Cell("h = tanh(W(x, h_prev) + b)")
    assert Cell("h = a*x", a=1) != Cell("h = a*x", a=2) and Cell("h = x") != "h = x"
    assert Cell("h = W(m)", inputs="x m") != Cell("h = W(m)", inputs="x m", widths={"m": 2})


def test_copies():
    assert copy.deepcopy(LSTM) is LSTM and copy.copy(LSTM) is LSTM
    again = pickle.loads(pickle.dumps(LSTM))
    assert again == LSTM and again.name == LSTM.name


# ---- variants -------------------------------------------------------------------------------------------------------
def test_but():
    cifg = LSTM.but("f = 1 - i", name="cifg")
    assert cifg.name == "cifg" and list(cifg.rows) == list("ifgoch") and "W_f_x" not in cifg.parameters
    assert LSTM.but().name == "cell" and LSTM.but() == LSTM
    added = LSTM.but("m = o*tanh(c)", "h = W(m)", widths={"h": 3})
    assert list(added.rows) == ["i", "f", "g", "o", "c", "m", "h"] and added.widths == {"h": "3"}
    assert added.but("m =", "h = o*c", widths={"h": "H"}) == LSTM.but("h = o*c")
    assert GRU.but("r =", "n = tanh(W(x, h_prev) + b)").states == ("h",)
    assert LSTM.but("i = sigmoid(W(x) + b)\nf = 1 - i") == LSTM.but("i = sigmoid(W(x) + b)", "f = 1 - i")
    masked = LSTM.but("h = m*o*tanh(c)", inputs="x m")
    assert masked.inputs == ("x", "m") and masked.but("h = o*tanh(c)").inputs == ("x",)
    leaky = catalogue()["leaky_rnn"]
    assert leaky.but(a=0.5).constants == {"a": 0.5} and leaky.but("h = n").constants == {}
    learned = leaky.but("a = sigmoid(b)")
    assert learned.constants == {} and list(learned.rows) == ["n", "a", "h"]
    squashed = leaky.but("squash(u) = 2*sigmoid(u) - 1", "n = squash(W(x, h_prev) + b)")
    assert squashed.but("squash(u) = tanh(u)").functions["squash"].arguments == ("u",)
    assert squashed.but("squash =", "n = x").functions == {} == squashed.but("n = x").functions


@pytest.mark.parametrize("call, message", [
    (lambda: LSTM.but("q ="), "there is no row 'q' to drop"),
    (lambda: catalogue()["lstm_peephole"].but("ii ="), "no row 'ii' to drop"),
    (lambda: LSTM.but("h ="), "'h' is the output and cannot be dropped"),
    (lambda: LSTM.but("f = 1", "f = 2"), "'f' is changed twice"),
    (lambda: LSTM.but("f ="), "unknown name 'f'"),
    (lambda: LSTM.but("q = x"), "unused"),
    (lambda: LSTM.but(a=3), "'a' given, but no row"),
    (lambda: LSTM.but(inputs="x m"), "'m' given, but no row"),
    (lambda: LSTM.but(widths={"q": 3}), "'q' given, but no row"),
    (lambda: LSTM.but("f"), "expected 'name = expression'"),
    (lambda: LSTM.but("h = a*c", a=[[1, 2]]), "expected a number or a vector of length H, got shape"),
    (lambda: LSTM.but("h = a*c", a=10**400), "constant a: expected a finite number"),
    (lambda: LSTM.but("h = a*c", a=float("nan")), "constant a: expected a finite number"),
    (lambda: LSTM.but("h = 1e200*1e200*o*c"), "arithmetic on numbers of the text gives inf"),
])
def test_what_but_refuses(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# ---- mistakes -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("text, message", [
    ("h = tanh(W(x, h_pre) + b)", "h = tanh.*unknown name 'h_pre'; did you mean 'h_prev'"),
    ("i = c + W(x)\nc = i*h_prev\nh = c", "rows '.' -> '.' -> '.' read each other within one step; write ._prev"),
    ("h = tanh(h + x)", "'h' -> 'h'.*write h_prev"),
    ("q = W(x)\nh = tanh(W(x, h_prev))", "q = .*'q' is unused: it reaches neither the output 'h' nor a state"),
    ("h = tanh(W(x, q_prev))", "'q_prev' is read, but the state 'q' is never computed"),
    ("cell1 = x\nh = tanh(W(x, cel1_prev)) + cell1", "never computed; did you mean 'cell1_prev'"),
    ("h = x_prev", "'x' is an input and keeps nothing: make it a row"),
    ("h = tanh(x, h_prev)", "tanh takes 1 argument, got 2"),
    ("f(u, v) = u*v\nh = f(x)", "f takes 2 arguments, got 1"),
    ("h = W()", r"W\(\) needs something to multiply"),
    ("h = W(2)*x", "multiplies inputs, states and rows, not a number"),
    ("h = W(a)*x", "multiplies inputs, states and rows"),
    ("h = W + x", r"W is a matrix: write W\(x\)"),
    ("h = tanh*x", r"'tanh' is a function: write tanh\(...\)"),
    ("h = thanh(x)", "unknown function 'thanh'; did you mean 'tanh'"),
    ("h = x(h_prev)", "unknown function 'x'; 'x' is no function, and . multiplies"),
    ("h = b(x)", r"b\(...\) takes the number at which b starts"),
    ("h = b(1)*x + b(2)", "b starts at two values"),
    ("h = x2", "'x2' is no input of this cell: declare it, inputs=\"x x2\""),
    ("h = x\nh = 2*x", "the row 'h' is defined twice"),
    ("f(u) = u\nf(v) = v\nh = f(x)", "a name is given twice"),
    ("b = x", "'b' is a learned parameter"), ("W2 = x", "'W2' is a learned parameter"),
    ("x = h_prev", "'x' is an input"),
    ("s3 = x\nh = s3", "'s3' is a learned parameter"), ("lambda = x", "keyword"),
    ("h_prev = x", "earlier value of 'h'"),
    ("2h = x", "cannot name a row"), ("h = ", "nothing stands on the right"), ("= x", "expected 'name = expression'"),
    ("tanh(u) = u\nh = tanh(x)", "'tanh' is a function of the language"),
    ("W(u) = u\nh = W(x)", "learned parameter"), ("f(b) = b\nh = f(x)", "learned parameter"),
    ("f() = 1\nh = f()", "cannot name"),
    ("f(u) = u + h_prev\nh = f(x)", "neither an argument nor a constant"),
    ("f(u) = W(u)\nh = f(x)", "belongs to a row"), ("f(u) = u + b\nh = f(x)", "neither an argument"),
    ("f(u, v) = u\nh = f(x, x)", "'v' is never used"), ("f(u) = u\nh = x", "function 'f' is unused"),
    ("f(u) = g(u)\ng(u) = f(u)\nh = f(x)", "calls never end"),
    ("h = x.real", "'.' is not part of the language"), ("h = [x]", r"'\[' is not part"),
    ("h = x if x else x", "not an expression|not part"),
    ("h = x @ x", "'@'"), ("h = x // 2", "// is not part"), ("h = x % 2", "'%'"), ("h = 'x'", "is not part"),
    ("h = +x", r"\+ without a left side"), ("h = (x, x)", "comma outside a call"), ("h = x < 1", "'<'"),
    ("h = x = 1", "'='"),
    ("h = tanh(u=x)", "'='"), ("h = tanh(*x)", "Starred|not part"), ("h = x x", "not an expression"),
    ("h = (x", "not an expression"),
    ("h = 1j*x", "'1'"), ("h = 1_0*x", "'1'"), ("h = 0x1*x", "'0'"), ("h = True*x", "True|not part|unknown"),
    ("h = None", "not part|unknown"),
    ("h = x**17", "exponent is a whole number from 1 to 16, got '17'"), ("h = x**0", "exponent"),
    ("h = x**-1", "exponent"),
    ("h = x**0.5", "exponent"), ("h = x**h_prev", "exponent"), ("h = 2**2**2*x", "exponent"),
    ("h = h_prev(0)", "h_prev.k. is the value k steps earlier"), ("h = h_prev(1.5)", "steps earlier"),
    ("h = h_prev(x)", "steps earlier"), ("h = h_prev(1001)", "from 1 to 1000"), ("h = h_prev(-1)", "steps earlier"),
    ("h = 1e999*x", "a number is too large"), ("h = x/0 + 1/0", "arithmetic on numbers"),
    ("h = mean(2)*x", "mean of a number"),
    ("h = 9e300**2*x", "arithmetic on numbers"), ("h = layer_norm(1)*x", "mean of a number"),
    ("h = \N{GREEK SMALL LETTER ALPHA}*x", "ASCII characters only, got '\N{GREEK SMALL LETTER ALPHA}' in line 1"),
    ("", "at least one row"), ("name: n", "at least one row"), ("name: 2 b\nh = x", "name: letters, digits"),
    ("name: a\nname: b\nh = x", "name: stands twice"), ("inputs: x x\nh = x", "named twice"),
    ("inputs: x m\nh = x", "input 'm' is unused"), ("inputs: x b\nh = x*b", "learned parameter"),
    ("constants: a\nh = x", "expected name=value"), ("constants: a=x\nh = x*a", "a constant is a number"),
    ("constants: a=1\nh = x", "constant 'a' is unused"), ("constants: a=1, a=2\nh = a*x", "given twice"),
    ("constants: h=1\nh = x", "'h' names a constant and a row"), ("constants: x2=1\nh = x*x2", "'x2' is an input"),
    ("constants: a=1e999\nh = a*x", "finite"), ("constants: a=[[1]]\nh = a*x", "a constant is a number"),
    ("widths: q=3\nh = x", "'q' is neither a row nor a further input"), ("widths: x=3\nh = x", "neither a row nor"),
    ("widths: h=H/2\nh = x", "is no width"), ("widths: h=9**9\nh = x", "is no width"),
    ("widths: h=f(H)\nh = x", "is no width"),
    ("widths: h=(((H\nh = x", "is no width"), ("hello", "expected 'name = expression'"),
])
def test_every_mistake_is_named(text, message):
    constants = {"a": 1.5} if "W(a)" in text else {}
    with pytest.raises(ValueError, match=message):
        Cell(text, **constants)


@pytest.mark.parametrize("call, message", [
    (lambda: Cell(3), "text: a cell is defined by a string, got int"), (lambda: Cell(b"h = x"), "got bytes"),
    (lambda: Cell("h = x", inputs=["x"]), "inputs: expected names in one string"),
    (lambda: Cell("h = x", widths=3), "widths"),
    (lambda: Cell("h = x", name=3), "name: expected a string"),
    (lambda: Cell("h = x*a", a="1"), "constant a: expected a number"),
    (lambda: Cell("h = x*a", a=True), "got bool"), (lambda: Cell("h = x*a", a=None), "NoneType"),
    (lambda: LSTM.but(3), "but: an"),
    (lambda: Cell("h = x", widths={"h": 1.5}), "a width is a whole number or a text"),
    (lambda: Cell("h = x", input="x m"), "constant input: expected a number"),
    (lambda: LSTM.sizes(True, 3), "input_size"),
    (lambda: LSTM.parameter_shapes(3, 4.0), "hidden_size: expected a whole number, got float"),
])
def test_wrong_types(call, message):
    with pytest.raises(TypeError, match=message):
        call()


@pytest.mark.parametrize("text, sizes, message", [
    ("h = tanh(x + h_prev)", (3, 4), r"widths 3 and 4 meet: x stands without a matrix, which needs D = 4, got 3; with "
                                     r"one: "
                                     r"cell.but\(\"h = tanh\(W\(x\) \+ h_prev\)\"\)"),
    ("n = tanh(W(r*h_prev, x) + tanh(x) + b)\nr = W(x)\nh = n", (3, 4),
     r"n = tanh\(W\(r\*h_prev, x\) \+ tanh\(W\(x\)\) \+ b\)"),
    ("h = x", (3, 4), "x stands without a matrix"), ("h = W(x*h_prev)", (3, 4), "x stands without"),
    ("widths: q=2\nq = W(x)\nh = q*h_prev", (3, 4), "values of widths 2 and 4 meet; a matrix"),
    ("widths: h=H//2\nh = W(x)", (3, 1), "a width must be positive, got 0 for D = 3, H = 1"),
    ("widths: h=H//(D-3)\nh = W(x)", (3, 1), "division by 0"), ("widths: h=K\nh = W(x)", (3, 1), "'K' is not D, H or"),
    ("constants: e=[1, 2]\nh = e*h_prev", (3, 4), "values of widths 2 and 4"),
    ("h = x", (0, 4), "input_size: expected at least 1"),
    ("inputs: x m\nwidths: m=2\nh = W(x)*m", (3, 4),
     r"m stands without a matrix, which needs its width 4, got 2.*W\(x\)\*W\(m\)"),
])
def test_widths_that_do_not_fit(text, sizes, message):
    cell = Cell(text)
    with pytest.raises(ValueError, match=message):
        cell.parameter_shapes(*sizes)


def test_a_bare_x_of_the_right_width_is_fine():
    assert catalogue()["mut1"].parameter_shapes(4, 4)["W_n_rh"] == (4, 4)
    assert Cell("h = W(tanh(x), h_prev)").parameter_shapes(3, 4) == {"W_h_tanhx": (4, 3), "W_h_h": (4, 4)}


def test_counts():
    assert LSTM.parameter_count(3, 5) == 4 * (5 * 3 + 5 * 5 + 5)
    assert Cell("h = tanh(W(x, h_prev) + b)").flops(3, 5) == 2 * 5 * 3 + 2 * 5 * 5 + 3 * 5
    D, H = 300, 500
    assert abs(LSTM.flops(D, H, backward=True) / LSTM.flops(D, H) - 2) < 0.01      # two products for each one forward


def test_a_long_vector_of_constants():
    """Run-time values may be longer than a text; changing equations does not print them."""
    rates = np.linspace(0, 1, 5000)
    cell = Cell("n = tanh(W(x, h_prev) + b)\nh = h_prev + a*(n - h_prev)", a=rates)
    assert len(cell.but("n = relu(W(x, h_prev) + b)").constants["a"]) == 5000
    assert cell.parameter_shapes(3, 5000)["b_n"] == (5000,)
