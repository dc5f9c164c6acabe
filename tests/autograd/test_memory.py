"""What the tape holds, and for how long: deep graphs, buffers freed on the way, nothing left behind."""

import gc
import subprocess
import sys
import tracemalloc
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import Tensor, tensor
from tinygrad_rnn.autograd import grad
from tinygrad_rnn.autograd.node import Node


@pytest.fixture(autouse=True)
def without_the_collector() -> Iterator[None]:
    """Whatever is freed here is freed by counting references: there are no cycles."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def chain(x: Tensor, length: int) -> Tensor:
    for _ in range(length):
        x = x + 1.0
    return x


def nodes() -> int:
    return sum(type(o) is Node for o in gc.get_objects())


# ---- deep graphs --------------------------------------------------------------------------------------------------
def test_a_graph_of_100_000_operations() -> None:
    x = tensor([1.0, 2.0], requires_grad=True)
    before = nodes()
    y = chain(x, 100_000).sum()
    assert nodes() == before + 100_001
    y.backward()
    assert x.grad.tolist() == [1, 1]
    assert nodes() == before + 1, "backward lets go of all but the node of its result"
    del y
    assert nodes() == before


def test_deep_graphs_without_backward() -> None:
    x = tensor(1.0, requires_grad=True)
    before = nodes()
    y = chain(x, 100_000)
    del y
    assert nodes() == before
    (g,) = grad(chain(x, 20_000), x, create_graph=True)
    assert g.item() == 1


DEEP = """
from tinygrad_rnn import tensor
y = x = tensor([1.0], requires_grad=True)
for _ in range({operations}):
    y = y + 1.0
node = y._node
for _ in range({nodes}):            # the same nodes, made by hand: that is quicker
    above = type(node)()
    above.edges, above.saved, above.plan = [node, None], (None, None, None), node.plan
    node = above
y._node = node
del node, above
del y
print("freed")
"""


def test_a_million_nodes_are_freed_without_recursion() -> None:
    done = subprocess.run(
        [sys.executable, "-c", DEEP.format(operations=100_000, nodes=900_000)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (0, "freed\n"), done.stderr[-500:]


def test_nothing_leaks() -> None:
    x = tensor(np.ones((8, 8), np.float32), requires_grad=True)

    def step() -> None:
        (chain(x, 200).tanh() @ x).sum().backward()
        x.grad = None

    for _ in range(3):
        step()
    tracemalloc.start()
    before, objects = tracemalloc.get_traced_memory()[0], len(gc.get_objects())
    for _ in range(30):
        step()
    left = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert len(gc.get_objects()) - objects < 10
    assert left < 50_000, "Python's free lists, and nothing more: one buffer a node would be 1.5 MB"


# ---- buffers ------------------------------------------------------------------------------------------------------
MB = 1 << 20


def peak(run: Any) -> float:
    """Megabytes allocated at the worst moment of a call, beyond what was there before."""
    run()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    run()
    result = (tracemalloc.get_traced_memory()[1] - before) / MB
    tracemalloc.stop()
    return result


def test_the_backward_pass_frees_as_it_goes() -> None:
    factors = [tensor(np.full(MB // 4, 1.01, np.float32), requires_grad=True) for _ in range(20)]  # 1 MB each

    def run() -> None:
        y = tensor(1.0)
        for factor in factors:
            y = y * factor
        y.sum().backward()
        for factor in factors:
            factor.grad = None

    # 20 results go while 20 gradients come.
    assert peak(run) < 20 + 5


def test_forward_keeps_only_what_rules_read() -> None:
    x = tensor(np.full(MB // 4, 0.5, np.float32), requires_grad=True)
    c = tensor(np.full(MB // 4, 2.0, np.float32))

    def run() -> None:
        y = x
        for _ in range(20):
            y = (y + c) * 1.5 - c  # reads neither argument
            y = y * c  # reads the constant alone
        y.sum().backward()
        x.grad = None

    assert peak(run) < 5


def test_a_sum_keeps_the_shape_alone() -> None:
    x = tensor(np.full(MB // 8, 0.5, np.float32), requires_grad=True)  # too small for the thread pool
    parts = [(x * float(k)).sum() for k in range(2)]
    tracemalloc.start()
    parts += [(x * float(k)).sum() for k in range(10)]
    kept = tracemalloc.get_traced_memory()[0] / MB
    tracemalloc.stop()
    assert kept < 0.1


def test_saved_values_go_with_the_pass() -> None:
    x = tensor(np.ones(4), requires_grad=True)
    y = x.exp()
    loss = (y * y).sum()
    kept = weakref.ref(y._data)
    del y
    assert kept() is not None
    loss.backward(retain_graph=True)
    assert kept() is not None
    loss.backward()
    assert kept() is None
    assert loss.item() > 0


def test_a_kept_loss_keeps_no_graph() -> None:
    x = tensor(np.ones(4), requires_grad=True)
    before, losses = nodes(), []
    for _ in range(5):
        loss = x.tanh().exp().sum()
        loss.backward()
        losses.append(loss)
    assert nodes() == before + 5


def test_first_order_gradients_hold_no_graph() -> None:
    x = tensor(np.ones(4), requires_grad=True)
    node = weakref.ref(x._node)
    (x * x).sum().backward()
    (g,) = grad((x * x).sum(), x)
    del x
    assert node() is None
    assert g.tolist() == [2] * 4


def test_a_failed_pass_holds_nothing() -> None:
    x = tensor(np.ones(4), requires_grad=True)
    before = nodes()
    y = x.exp()
    with pytest.raises(ValueError, match="not a number"):
        y.backward()
    with pytest.raises(ValueError, match="add: shapes"):
        tg.add(y, np.ones(3))
    del y
    gc.collect()  # the exceptions' frames
    assert nodes() == before
