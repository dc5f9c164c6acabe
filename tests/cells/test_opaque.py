"""Step primitives: an operation with its own forward and backward, called by name in the equations of a cell.

The toy is attention over a fixed set of values, as a captioner needs it: weights from a query that changes with every
step, keys and values handed on whole.
"""

import numpy as np
import pytest

import tinygrad_rnn as t
from tests.cells.tools import worst
from tinygrad_rnn.autograd.primitive import Primitive
from tinygrad_rnn.cells import Cell, parse, register_step
from tinygrad_rnn.cells.functions import STEPS, UNITWISE
from tinygrad_rnn.cells.symbols import State, evaluate, leaf


def forward(query, keys, values, mask):
    """softmax(query . keys), where the mask is 1, as weights of values.  (B, H), (B, S, H), (B, S, V), (B, S)."""
    scores = np.where(mask > 0, (keys * query[:, None]).sum(-1), -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return ((weights / weights.sum(-1, keepdims=True))[:, :, None] * values).sum(1)


def backward(g, _y, query, keys, values, mask, needed=(True,) * 4):
    """The same by hand; on arrays, or on Tensors where it is to be differentiated again."""
    query, keys, values, mask, g = (v.numpy() if isinstance(v, t.Tensor) else v for v in (query, keys, values, mask, g))
    scores = np.where(mask > 0, (keys * query[:, None]).sum(-1), -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights = weights / weights.sum(-1, keepdims=True)
    d_weights = (g[:, None] * values).sum(-1)
    d_scores = weights * (d_weights - (weights * d_weights).sum(-1, keepdims=True))
    found = [(d_scores[:, :, None] * keys).sum(1), d_scores[:, :, None] * query[:, None],
             weights[:, :, None] * g[:, None], None]
    return [d if wanted else None for d, wanted in zip(found, needed)]


@pytest.fixture(params=["pull", "rules"])
def look(request):
    if request.param == "pull":
        rules = dict(pull=backward)
    else:
        rules = dict(rules=[lambda g, y, *args, k=k: backward(g, y, *args)[k] for k in range(3)] + [None])
    operation = Primitive(forward, oracle=None, kind="structural", name="look", **rules)
    register_step(operation, arity=4, width=2, sequence=(1, 2, 3), no_gradient=(3,) if request.param == "pull" else ())
    yield operation
    STEPS.pop("look")
    UNITWISE.pop(operation)


TEXT = """
    inputs: x keys values mask
    widths: values=5, v=5, mask=6
    q = W(h_prev) + b
    v = look(q, keys, values, mask)
    h = tanh(W(x, v, h_prev) + b)"""
T, B, S, D, H, V = 4, 3, 6, 2, 4, 5


def problem():
    rng = np.random.default_rng(0)
    cell = Cell(TEXT, name="attentive")
    parameters = {n: rng.standard_normal(s) for n, s in cell.parameter_shapes(D, H).items()}
    inputs = {"x": rng.standard_normal((T, B, D)), "keys": rng.standard_normal((B, S, H)),
              "values": rng.standard_normal((B, S, V)),
              "mask": (np.arange(S) < np.array([6, 3, 1])[:, None]).astype(float)}
    return cell, parameters, inputs, rng.standard_normal((B, H)), rng.standard_normal((T, B, H))


def total(cell, p, i, h, weights):
    result = 0
    for k in range(T):
        h, = cell.step(p, i["x"][k], (h,), keys=i["keys"], values=i["values"], mask=i["mask"])
        result = result + (h * weights[k]).sum()
    return result


def test_it_stands_in_text_graph_and_sizes(look):
    cell, parameters, *_ = problem()
    assert Cell(str(cell)) == cell and parse(str(cell.graph)) == cell.graph
    assert cell.graph["v"].op == "look" and cell.graph["v"].data is look and cell.whole == {"keys", "values",
                                                                                            "mask"}
    assert cell.parameter_shapes(D, H)["W_h_v"] == (H, V)
    assert "v_t = look(q_t, keys_t, values_t, mask_t)" in cell.equations()
    back = cell.equations(backward=True)
    assert "delta q_t = look.pull_1(delta v_t; q_t, keys_t, values_t, mask_t)" in back
    assert "delta keys_t += look.pull_2" in back
    assert "look" in cell.equations(latex=True, backward=True) and '"keys" -> "v"' in cell.draw()
    assert cell.flops(D, H, backward=True) > cell.flops(D, H) > 0
    with pytest.raises(ValueError, match="attentive calls look, which is not part of NumPy"):
        cell.source("numpy")


def test_step_and_its_gradient_against_finite_differences(look):
    cell, p, i, h, weights = problem()
    leaves = {**p, **{n: i[n] for n in ("x", "keys", "values")}, "h": h}
    tensors = {n: t.tensor(v, requires_grad=True) for n, v in leaves.items()}
    total(cell, tensors, {**tensors, "mask": i["mask"]}, tensors["h"], weights).backward()
    rng = np.random.default_rng(1)
    direction = {n: rng.standard_normal(v.shape) for n, v in leaves.items()}

    def at(eps):
        moved = {n: v + eps * direction[n] for n, v in leaves.items()}
        return float(total(cell, moved, {**moved, "mask": i["mask"]}, moved["h"], weights))
    slope = (at(1e-6) - at(-1e-6)) / 2e-6
    assert abs(sum((tensors[n].grad.numpy() * d).sum() for n,
                   d in direction.items()) - slope) < 1e-6 * abs(slope) + 1e-8


def test_the_adjoint_graph_holds_its_backward(look):
    """Back-propagation through time by the graph alone: what belongs to the sequence is summed over the steps."""
    cell, p, i, h0, weights = problem()
    tensors = {n: t.tensor(v, requires_grad=True) for n,
               v in {**p, **{n: i[n] for n in ("x", "keys", "values")}, "h": h0}.items()}
    total(cell, tensors, {**tensors, "mask": i["mask"]}, tensors["h"], weights).backward()
    states, adjoint = [h0], cell.adjoint

    def leaves(k, d):
        named = {"input": lambda n: i["x"][k] if n.data == "x" else i[n.data], "vector": lambda n: p[n.data.parameter],
                 "state": lambda n: states[k], "cotangent": lambda n: d}
        return lambda n: named[n.op](n)
    for k in range(T):
        states.append(evaluate([cell.flat["h"]], leaves(k, None), p)[0])
    found = {n: np.zeros_like(v.numpy()) for n, v in tensors.items()}
    d = np.zeros_like(h0)
    for k in reversed(range(T)):
        value = leaves(k, d + weights[k])
        wanted = [n for n in adjoint.cotangents if not n.args and n.op != "cotangent"]
        for node, g in zip(wanted, evaluate([adjoint.cotangents[n] for n in wanted], value, p)):
            if node.op == "state":
                d = g
            elif node.op == "vector":
                found[node.data.parameter] += g.sum(0)
            elif node.data == "x":
                found["x"][k] = g
            else:
                found[node.data] += g
        for name, (g, source) in adjoint.matrices.items():
            g, source = evaluate([g, source], value, p)
            found[name] += g.T @ source
    found["h"] = d
    assert worst(found, {n: v.grad.numpy() for n, v in tensors.items()}) < 1e-12
    assert leaf("input", "mask") not in adjoint.cotangents and leaf("state", State("h")) in adjoint.cotangents


@pytest.mark.parametrize("text, message", [
    ("q = W(h_prev)\nh = look(q, x, q, q)",
     "argument 2 is handed on whole, so it must be one of the further inputs, not x"),
    ("h = look(x)", "look takes 4 arguments, got 1"), ("h = look + x", "'look' is a function"),
    ("look(u) = u\nh = look(x)", "'look' is a function of the language"),
    ("f(u) = look(u, u, u, u)\nh = f(x)", "unknown function 'look'"),
])
def test_mistakes_in_text(look, text, message):
    with pytest.raises(ValueError, match=message):
        Cell(text)


def test_shapes_of_what_is_handed_on_whole(look):
    cell, p, i, h, _ = problem()
    given = {n: i[n] for n in ("keys", "values", "mask")}
    with pytest.raises(ValueError, match="keys must have the batch 3 as its first axis, got .2, 6, 4."):
        cell.step(p, i["x"][0], (h,), **{**given, "keys": i["keys"][:2]})


def test_registration():
    def op(name, **more):
        return Primitive(forward, oracle=None, name=name, pull=backward, kind="structural", **more)
    with pytest.raises(TypeError, match="operation must be a Primitive"):
        register_step(forward, arity=4)
    for name in ("W2", "x", "b", "h_prev", "two words"):
        with pytest.raises(ValueError, match="cannot name a function of the language"):
            register_step(op(name), arity=4)
    with pytest.raises(ValueError, match="the name 'tanh' is taken"):
        register_step(op("tanh"), arity=1)
    for bad in (dict(arity=0), dict(arity=2, sequence=(2,)), dict(arity=2, width=2), dict(arity=2, no_gradient=(-1,))):
        with pytest.raises(ValueError, match="takes . arguments"):
            register_step(op("toy"), **bad)
    assert "toy" not in STEPS
    with pytest.raises(ValueError, match="unknown function 'look'"):
        Cell(TEXT)
