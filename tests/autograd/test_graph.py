"""The graph as a picture."""

import re

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import tensor
from tinygrad_rnn.autograd import draw
from tinygrad_rnn.autograd.graph import behind, tensors_in


def test_a_small_graph() -> None:
    w = tensor(np.ones((2, 3)), requires_grad=True)
    b = tensor(1.0, dtype=tg.float64, requires_grad=True)
    assert draw(tg.tanh(w * 2.0 + b).sum()).splitlines() == [
        "digraph tape {",
        "  rankdir=BT;",
        '  node [shape=box, fontname="monospace"];',
        '  n0 [label="leaf\\n2 x 3", style=filled, fillcolor=wheat];',
        '  n1 [label="leaf\\nnumber", style=filled, fillcolor=wheat];',
        '  n2 [label="multiply\\n2 x 3"];',
        "  n0 -> n2;",
        '  n3 [label="add\\n2 x 3"];',
        "  n2 -> n3;",
        "  n1 -> n3;",
        '  n4 [label="tanh\\n2 x 3"];',
        "  n3 -> n4;",
        '  n5 [label="sum\\nnumber", penwidth=2];',
        "  n4 -> n5;",
        "}",
    ]


def test_every_edge_has_its_ends() -> None:
    x = tensor(np.ones(4), requires_grad=True)
    a, b = tg.split(x * x, 2)
    a.add_(1)
    text = draw(tg.autograd.checkpoint(lambda t: t.exp(), a * b))
    boxes = set(re.findall(r"^  (n\d+) \[", text, re.MULTILINE))
    arrows = re.findall(r"^  (n\d+) -> (n\d+);", text, re.MULTILINE)
    assert {end for arrow in arrows for end in arrow} == boxes
    assert text.count("n0 -> n1") == 2, "x stands twice in x * x"
    assert "add_" in text


def test_a_long_chain() -> None:
    y = tensor(1.0, requires_grad=True)
    for _ in range(20_000):
        y = y + 1.0
    assert draw(y).count("->") == 20_000
    assert len(behind([y._node])) == 20_001


def test_what_cannot_be_drawn() -> None:
    with pytest.raises(TypeError, match="draw: tensor must be a Tensor, got float"):
        draw(1.0)
    with pytest.raises(ValueError, match=r"draw: this tensor of shape \(\) has no graph"):
        draw(tensor(1.0))
    y = (tensor(1.0, requires_grad=True) * 2.0).exp()
    y.backward()
    with pytest.raises(ValueError, match=r"freed this graph; draw it before, or pass retain_graph=True"):
        draw(y)


def test_tensors_are_found_in_nestings() -> None:
    a, b, c = tensor(1.0), tensor(2.0), tensor(3.0)
    assert tensors_in({"x": [a, (b, 5)], "y": c, "z": None}) == [a, b, c]
