"""What a cell shows of itself: equations forward and backward, LaTeX, pictures, a NumPy function that stands alone."""

import re
import subprocess
import sys

import numpy as np
import pytest

from tests.cells.random_cells import random_cell
from tests.cells.tools import case, run
from tinygrad_rnn.cells import Cell, catalogue

CATALOGUE = catalogue()


def test_forward():
    assert CATALOGUE["lstm"].equations() == "\n".join([
        "i_t = sigmoid(W_i_x x_t + W_i_h h_{t-1} + b_i)", "f_t = sigmoid(W_f_x x_t + W_f_h h_{t-1} + b_f)",
        "g_t = tanh(W_g_x x_t + W_g_h h_{t-1} + b_g)", "o_t = sigmoid(W_o_x x_t + W_o_h h_{t-1} + b_o)",
        "c_t = f_t * c_{t-1} + i_t * g_t", "h_t = o_t * tanh(c_t)"])
    cell = Cell("squash(u) = a*sigmoid(u) - 2\nn = squash(W(r*h_prev(2)) + p*x)\nr = W2(x)\n"
                "h = n**3/(1 - n) + h_prev(k)", a=4, k=3)
    assert cell.equations() == "\n".join([
        "squash(u) = a * sigmoid(u) - 2", "n_t = squash(W_n_rh2 (r_t * h_{t-2}) + p_n * x_t)", "r_t = W2_r_x x_t",
        "h_t = n_t^3 / (1 - n_t) + h_{t-3}"])


def test_backward_of_the_lstm_is_the_hand_derivation():
    assert CATALOGUE["lstm"].equations(backward=True).splitlines() == [
        "delta h_t += dL/dh_t",
        "delta c_t += delta h_t * o_t * (1 - tanh(c_t)^2)",
        "delta o_t = delta h_t * tanh(c_t)",
        "delta o'_t = delta o_t * o_t * (1 - o_t)",
        "delta g_t = delta c_t * i_t",
        "delta g'_t = delta g_t * (1 - g_t^2)",
        "delta f_t = delta c_t * c_{t-1}",
        "delta f'_t = delta f_t * f_t * (1 - f_t)",
        "delta i_t = delta c_t * g_t",
        "delta i'_t = delta i_t * i_t * (1 - i_t)",
        "delta x_t = W_i_x^T delta i'_t + W_f_x^T delta f'_t + W_g_x^T delta g'_t + W_o_x^T delta o'_t",
        "delta c_{t-1} = delta c_t * f_t",
        "delta h_{t-1} = W_i_h^T delta i'_t + W_f_h^T delta f'_t + W_g_h^T delta g'_t + W_o_h^T delta o'_t",
        *[line for g in "ifgo" for line in (f"delta W_{g}_x += delta {g}'_t x_t^T", f"delta W_{g}_h += delta {g}'_t "
                                                                                    f"h_{{t-1}}^T",
                                            f"delta b_{g} += delta {g}'_t")]]


def test_backward_with_peepholes_and_delays():
    lines = CATALOGUE["lstm_peephole"].equations(backward=True).splitlines()
    assert "delta c_t += delta h_t * o_t * (1 - tanh(c_t)^2) + delta o'_t * p_o" in lines
    assert "delta c_{t-1} = delta c_t * f_t + delta f'_t * p_f + delta i'_t * p_i" in lines
    assert "delta p_o += delta o'_t * c_t" in lines
    lines = CATALOGUE["residual_rnn"].equations(backward=True).splitlines()
    assert "delta h_{t-2} += delta h_t" in lines and "delta h_{t-1} += W_h_h^T delta h'_t" in lines
    lines = CATALOGUE["gru_reset_after"].equations(backward=True).splitlines()
    assert "delta n''_t = delta n'_t * r_t" in lines and "delta r_t = delta n'_t * (n''_t + b2_n)" in lines
    lines = CATALOGUE["gru_sheet"].equations(backward=True).splitlines()
    assert "delta r_t = W_n_rh^T delta n'_t * h_{t-1}" in lines
    lines = CATALOGUE["lstm_projection"].equations(backward=True).splitlines()
    assert "delta m_t = W_h_m^T delta h_t" in lines and "delta W_h_m += delta h_t m_t^T" in lines


def test_backward_equations_are_right_in_numbers():
    """Read the printed equations of a few cells back as Python and compare one step with the tape."""
    from tests.cells.tools import by_tape
    for name in ("rnn", "leaky_rnn", "gru_sheet", "gru_reset_after", "lstm", "lstm_peephole", "lstm_cifg", "lstm_fgr",
                 "lstm_cheatsheet", "mut3", "lstm_layernorm", "rnn_layernorm", "lstm_projection", "lstm_1997"):
        c = case(CATALOGUE[name], T=1, B=1, D=3, H=4)
        found, expected = evaluated(c), by_tape(c)
        for key, value in expected.items():
            np.testing.assert_allclose(found[key], value.reshape(found[key].shape), rtol=1e-9, atol=1e-12,
                                       err_msg=f"{name} {key}")


def evaluated(c):
    """The gradients of a case of one step and one sequence, by running the text of the backward equations."""
    def name(text):
        text = re.sub(r"dL/d(\w+)_t", r"outside_\1", text)
        text = re.sub(r"delta (\w+'*)_\{t-1\}", r"back_\1", text)
        text = re.sub(r"delta (\w+'*)_t\b", r"delta_\1", text)
        text = re.sub(r"delta ([Wbps]\w*)", r"delta_\1", text)
        text = re.sub(r"(\w+'*)_\{t-1\}", r"\1_prev", text)
        text = re.sub(r"(\w+'*)_t\b", r"\1_now", text)
        return text.replace("'", "_pre").replace("^2", "**2")

    def right(text):
        text = re.sub(r"(\w+)\^T (\w+)", r"(\1.T @ \2)", text)
        return re.sub(r"(W\w*) (\w+\([^()]*\)|\w+|\([^()]*\))", r"(\1 @ \2)", text)

    column = lambda v: np.asarray(v).reshape(-1)
    scope = {"tanh": np.tanh, "sigmoid": lambda u: 1 / (1 + np.exp(-u)), "sqrt": np.sqrt,
             "mean": lambda u: np.mean(u) + 0 * u,
             "layer_norm": lambda u: (u - u.mean()) / np.sqrt(u.var() + 1e-5), "x_now": column(c.inputs["x"][0]),
             **c.parameters,
             **c.cell.constants}
    for s, value in zip(c.cell.states, c.state):
        scope[f"{s}_prev"] = column(value)
    forward = dict(line.split(" = ") for line in map(name, c.cell.equations().splitlines()))
    for row in c.cell.order:
        scope[f"{row}_now"] = eval(right(forward[f"{row}_now"]), scope)
        count = 0
        for product in c.cell.rows[row].products:
            count += 1
            text = " + ".join(f"{n} {source}" for n, source in zip(product.data.parameters, sources(product)))
            scope[f"{row}{'_pre' * count}_now"] = eval(right(text), scope)
    for s, g in zip(c.cell.states, c.d_state):
        scope[f"delta_{s}"] = column(g)
    scope[f"outside_{c.cell.output}"] = column(c.d_outputs[0])
    for line in map(name, c.cell.equations(backward=True).splitlines()):
        left, sign, text = re.fullmatch(r"(\S+) (\+?=) (.*)", line).groups()
        outer = re.fullmatch(r"(.+?) (\w*|\w*\(.*\))\^T", text) if left.startswith("delta_W") else None
        value = np.outer(eval(right(outer[1]), scope), eval(right(outer[2]), scope)) if outer else eval(right(text),
                                                                                                        scope)
        scope[left] = scope.get(left, 0) + value if sign == "+=" else value
    found = {n: scope[f"delta_{n}"] for n in c.parameters}
    found["x"] = scope["delta_x"]
    zero = {f"state {k}": np.zeros(s.size) for k, s in enumerate(c.state)}
    back = {f"state {k}": scope[f"back_{s}"] for k, s in enumerate(c.cell.states) if f"back_{s}" in scope}
    return {**found, **zero, **back}


def sources(product):
    """What a W multiplies, in the names of the evaluation."""
    from tinygrad_rnn.cells.printing import Plain
    texts = [Plain().text(a, 5) for a in product.args]
    return [re.sub(r"(\w+)_\{t-1\}", r"\1_prev", re.sub(r"(\w+)_t\b", r"\1_now", text)) for text in texts]


# ---- LaTeX and notebooks --------------------------------------------------------------------------------------------
def test_latex():
    text = CATALOGUE["lstm"].equations(latex=True)
    assert text.startswith("\\begin{aligned}\n") and text.endswith("\n\\end{aligned}") and text.count(r"\\") == 5
    assert r"i_t &= \sigma\left(W_{ix} x_t + W_{ih} h_{t-1} + b_{i}\right)" in text
    assert r"c_t &= f_t \odot c_{t-1} + i_t \odot g_t" in text
    back = CATALOGUE["lstm"].equations(latex=True, backward=True)
    assert r"\delta c_{t-1} &= \delta c_t \odot f_t" in back
    assert r"\delta h_t &{+}= \frac{\partial L}{\partial h_t}" in back
    assert r"\delta W_{ih} &{+}= \delta i'_t\, h_{t-1}^{\top}" in back
    cell = Cell("gate_2 = sqrt(mean(x))*2/1e-5\nh = 3*relu(gate_2) - layer_norm(x)**2*b2")
    text = cell.equations(latex=True)
    assert r"\mathrm{gate\_2}_t &= \frac{\sqrt{\overline{x_t}} \odot 2}{10^{-5}}" in text
    assert r"3\,\operatorname{ReLU}" in text and r"{\operatorname{LN}\left(x_t\right)}^{2}" in text and "b2_{h}" in text


@pytest.mark.parametrize("name", CATALOGUE)
@pytest.mark.parametrize("backward", [False, True])
def test_latex_is_balanced(name, backward):
    text = CATALOGUE[name].equations(latex=True, backward=backward)
    assert text.count("{") == text.count("}") and text.count(r"\left(") == text.count(r"\right)")
    assert all(line.count("&") == 1 for line in text.splitlines()[1:-1])


def test_notebooks():
    cell = CATALOGUE["leaky_rnn"]
    assert cell._repr_latex_() == f"$\\displaystyle {cell.equations(latex=True)}$"
    page = cell._repr_markdown_()
    assert page.startswith("**leaky_rnn**") and "| `W_n_x` | (H, D) | |" in page and "constants: a = 0.3" in page
    assert "| `W_h_m` | (H//2, H) | |" in CATALOGUE["lstm_projection"]._repr_markdown_()
    assert "| `b_f` | (H,) | 1 |" in CATALOGUE["lstm"]._repr_markdown_()


def test_everything_prints_for_random_cells():
    for seed in range(60):
        cell = random_cell(seed)
        for text in (cell.equations(), cell.equations(backward=True), cell.equations(True, True), cell.draw(),
                     cell.draw(3),
                     cell._repr_markdown_()):
            assert text and text.count("(") == text.count(")")


# ---- pictures -------------------------------------------------------------------------------------------------------
EDGE = re.compile(r'"([^"]+)" -> "([^"]+)"(.*);')


def test_draw():
    edges = EDGE.findall(CATALOGUE["lstm"].draw())
    assert {(a, b) for a, b, look in edges if "dashed" not in look} == {
        *(("x", g) for g in "ifgo"), ("f", "c"), ("i", "c"), ("g", "c"), ("o", "h"), ("c", "h")}
    assert {(a, b) for a, b, look in edges if "dashed" in look} == {*(("h", g) for g in "ifgo"), ("c", "c")}
    assert 'label="t-2"' in CATALOGUE["residual_rnn"].draw()
    assert '"c" [label="c = f*c_prev + i*g"];' in CATALOGUE["lstm"].draw()


def test_draw_unrolled():
    text = CATALOGUE["lstm"].draw(unrolled=3)
    edges = EDGE.findall(text)
    assert ("c_1", "c_2", " [style=dashed]") in edges and ("h_0", "i_1", " [style=dashed]") in edges
    assert ("c_3", "h_3", "") in edges and text.count("subgraph") == 3 and "c_4" not in text
    assert text.count("{") == text.count("}")
    delays = EDGE.findall(CATALOGUE["residual_rnn"].draw(unrolled=2))
    assert {a for a, b, look in delays if b == "h_2" and look} == {"h_0", "h_1"}
    assert {a for a, b, look in delays if b == "h_1" and look} == {"h_-1", "h_0"}
    for bad, error in ((0, ValueError), (1.5, TypeError), (True, TypeError)):
        with pytest.raises(error, match="unrolled"):
            CATALOGUE["rnn"].draw(unrolled=bad)


# ---- NumPy ----------------------------------------------------------------------------------------------------------
def standalone(cell):
    """The function of source("numpy"), in a namespace where nothing else is."""
    scope = {"__name__": "alone"}
    exec(compile(cell.source("numpy"), "alone.py", "exec"), scope)
    return scope[cell.name]


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_numpy_function_is_the_cell(name):
    c = case(CATALOGUE[name])
    outputs, last = standalone(c.cell)(c.parameters, c.inputs["x"], c.state)
    ys, zs = run(c, c.parameters, c.inputs, c.state)
    np.testing.assert_allclose(outputs, np.stack([y.numpy() for y in ys]), rtol=1e-10, atol=1e-12)
    for a, b in zip(last, zs):
        np.testing.assert_allclose(a, b.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("seed", range(0, 60, 2))
def test_the_numpy_function_of_random_cells(seed):
    c = case(random_cell(seed), seed=seed)
    c.inputs["m"][:] = c.inputs["m"][0]         # once a step, once a sequence
    ys, _ = run(c, c.parameters, c.inputs, c.state)
    for m in (c.inputs["m"], c.inputs["m"][0]):
        outputs, _ = standalone(c.cell)(c.parameters, c.inputs["x"], c.state, m)
        np.testing.assert_allclose(outputs, np.stack([y.numpy() for y in ys]), rtol=1e-8, atol=1e-10)


def test_the_numpy_function_hides_no_name():
    cell = Cell("""
        t(np) = np*T
        np = tanh(W(x, h_prev) + b)
        steps = exp(np) + t(np) + e
        x_t = sigmoid(W2(np))
        W_np_x = layer_norm(x_t)
        outputs = b
        sigmoid = 1
        state = W_np_x*m
        h = state*np + steps + outputs_prev*sigmoid_prev""", inputs="x m", T=2.0, e=[1.0, 2.0, 3.0, 4.0], name="mean")
    c = case(cell)
    outputs, last = standalone(cell)(c.parameters, c.inputs["x"], c.state, c.inputs["m"])
    ys, zs = run(c, c.parameters, c.inputs, c.state)
    np.testing.assert_allclose(outputs, np.stack([y.numpy() for y in ys]), rtol=1e-10)
    for a, b in zip(last, zs):
        np.testing.assert_allclose(a, b.numpy(), rtol=1e-10)


def test_the_numpy_function_keeps_float32_and_constants_may_change():
    cell = CATALOGUE["leaky_rnn"]
    c = case(cell)
    single = {n: v.astype(np.float32) for n, v in c.parameters.items()}
    f = standalone(cell)
    y, last = f(single, c.inputs["x"].astype(np.float32), (c.state[0].astype(np.float32),))
    assert y.dtype == last[0].dtype == np.float32
    frozen, _ = f(c.parameters, c.inputs["x"], c.state, a=0.0)
    np.testing.assert_array_equal(frozen[-1], c.state[0])
    assert f(c.parameters, c.inputs["x"][:0], c.state)[0].shape == (0, 3, 4)


def test_the_numpy_module_runs_in_a_process_of_its_own(tmp_path):
    file = tmp_path / "served.py"
    file.write_text(CATALOGUE["lstm"].source("numpy"))
    code = ("import sys, numpy as np; sys.path.insert(0, sys.argv[1]); import served; z = np.zeros((2, 3));"
            f"p = {{n: np.zeros(s) for n, s in {CATALOGUE['lstm'].parameter_shapes(3, 3)!r}.items()}};"
            "print(served.lstm(p, np.zeros((4, 2, 3)), (z, z))[0].shape, 'tinygrad_rnn' in sys.modules)")
    done = subprocess.run([sys.executable, "-I", "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["(4,", "2,", "3)", "False"]


def test_source_says_what_it_can():
    with pytest.raises(ValueError, match="dtype must be 'float32', 'float64' or 'numpy', got 'int8'"):
        CATALOGUE["rnn"].source("int8")
    assert "h = tanh(W(x, h_prev) + b)" in CATALOGUE["rnn"].source("numpy")
    assert "def sigmoid_(parameters" in Cell("h = sigmoid(W(x))", name="sigmoid").source("numpy")
