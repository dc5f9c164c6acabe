r"""
From a scalar to a tensor tape
==============================

Every network in these chapters learns in the same way: a program computes one number, the loss, and then asks how that
number would change if each of its inputs moved a little. This chapter builds the machine that answers, first in thirty
lines for single numbers, then as the library has it for tensors. You will read the library's own source on the way,
for there is nothing else: what trains the models is what you see here.

The question is older than computers. For a chain :math:`y = f(u)`, :math:`u = g(x)`,

.. math:: \frac{dy}{dx} = \frac{dy}{du} \cdot \frac{du}{dx} ,

and the whole art lies in *which order* one multiplies.
"""

# %%
# One neuron, two moments
# -----------------------
# Take the smallest recurrent network there is: one unit that reads a number, keeps a number, and mixes the two.
#
# .. math:: h_t = \tanh(w \, x_t + u \, h_{t-1} + b)
#
# We want to know how :math:`h_2` depends on :math:`w`. It does so twice: directly, at the second step, and through
# :math:`h_1`, at the first. Whoever differentiates by hand forgets one of the two. A machine does not.

import inspect
import math
import os
import time

import matplotlib.pyplot as plt
import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import testing
from tinygrad_rnn.autograd import backward, ops, primitive

FAST = os.environ.get("TINYGRAD_RNN_FAST") == "1"


class Scalar:
    """A number that remembers what it was computed from."""

    count = 0

    def __init__(self, value, sources=(), name=""):
        self.value, self.sources, self.name, self.grad = value, sources, name, 0.0
        # Whatever a number is computed from is older than the number itself.
        self.order = Scalar.count
        Scalar.count += 1

    def __add__(self, other):
        return Scalar(self.value + other.value, [(self, 1.0), (other, 1.0)], "+")

    def __mul__(self, other):
        return Scalar(self.value * other.value, [(self, other.value), (other, self.value)], "*")

    def tanh(self):
        y = math.tanh(self.value)
        return Scalar(y, [(self, 1 - y * y)], "tanh")

    def tape(self):
        """All that this number depends on, newest first."""
        found, stack = {}, [self]
        while stack:
            node = stack.pop()
            if id(node) not in found:
                found[id(node)] = node
                stack += [source for source, _ in node.sources]
        return sorted(found.values(), key=lambda node: -node.order)

    def backward(self):
        """d self / d node, for every node, into node.grad."""
        self.grad = 1.0
        for node in self.tape():
            for source, derivative in node.sources:
                source.grad += node.grad * derivative


# %%
# That is all of it. Each operation notes two things about each of its arguments: who it was, and by how much the
# result moves when it does. ``backward`` walks from the newest number to the oldest. When the turn of a node comes,
# everything it flowed into has already had its turn, so its ``grad`` is complete; it hands it on, times the local
# derivative.
#
# Note the ``+=``. It is the sum over paths, it is why :math:`w`, which is used twice, gets both of its contributions,
# and it will return under the name of *back-propagation through time*.

x1, x2 = Scalar(0.5, name="x1"), Scalar(-1.0, name="x2")
w, u, b = Scalar(0.8, name="w"), Scalar(1.2, name="u"), Scalar(0.1, name="b")
h1 = (w * x1 + b).tanh()
h2 = (w * x2 + u * h1 + b).tanh()
h2.backward()


def by_differences(eps=1e-6):
    """The same derivative without any thinking: move w a little both ways."""
    def run(w):
        return math.tanh(w * x2.value + u.value * math.tanh(w * x1.value + b.value) + b.value)
    return (run(w.value + eps) - run(w.value - eps)) / (2 * eps)


print(f"dh2/dw = {w.grad:.9f} by the tape, {by_differences():.9f} by differences")

# %%
# Here is the tape as a picture. Time runs to the right, gradients run to the left; every box shows its value above and
# its gradient below.


def draw(root, ax):
    """Boxes for the numbers, arrows from each to what was computed from it; columns by depth."""
    depth = {}
    for node in reversed(root.tape()):
        depth[id(node)] = 1 + max((depth[id(source)] for source, _ in node.sources), default=-1)
    rows = {}
    place = {}
    for node in reversed(root.tape()):
        rows[depth[id(node)]] = row = rows.get(depth[id(node)], 0) + 1
        place[id(node)] = (depth[id(node)], -row - 0.3 * (depth[id(node)] % 2))
    for node in root.tape():
        for source, _ in node.sources:
            ax.annotate("", place[id(node)], place[id(source)], zorder=0,
                        arrowprops={"arrowstyle": "->", "color": "0.6", "shrinkA": 22, "shrinkB": 22})
        ax.text(*place[id(node)], f"{node.name}\n{node.value:.2f}\n{node.grad:+.2f}", ha="center", va="center",
                fontsize=8, bbox={"boxstyle": "round", "facecolor": "white" if node.sources else "wheat"})
    ax.set(xlim=(-0.6, max(rows) + 0.6), ylim=(-max(rows.values()) - 1, -0.2))
    ax.axis("off")


figure, axes = plt.subplots(figsize=(10, 4.5), layout="constrained")
draw(h2, axes)
axes.set_title("A recurrent network of one unit, two steps: name, value, gradient of h2")
plt.show()

# %%
# Why backwards?
# --------------
# One could also walk forwards, carrying :math:`d\,\cdot/dw` along with every number. It gives the same answer, for
# *one* input. A network has a million parameters and one loss. Forwards, that is a million walks; backwards it is
# one, about twice as long as computing the loss itself. All of deep learning hangs on that asymmetry.
#
# From numbers to tensors
# -----------------------
# A tape with one entry a number would crawl. So the entries become operations on whole arrays, and the local
# derivative, which was a number, becomes a linear map, the Jacobian :math:`J`. It is never written down. What is
# needed is only its effect on the gradient that arrives, the *vector-Jacobian product*
#
# .. math:: g \;\mapsto\; J^\top g .
#
# For :math:`y = \tanh(x)`, elementwise, :math:`J` is diagonal and the product is :math:`g \odot (1 - y^2)`. Here is
# how the library says so. This is its source, not a paraphrase of it:

print(inspect.getsource(ops.tanh.forward))

# %%
# The decorated function computes on plain arrays. The rule stands above it, in the library's own operations: ``g`` is
# the gradient that arrives, ``y`` the result, and the underscore before ``_x`` says that the rule does not look at the
# argument, so that the tape need not keep it. Beside the rule stand an oracle, by which the tests check the forward
# computation, and a domain, from which they draw their inputs. An operation without them cannot be registered.
#
# The matrix product deserves a look. If :math:`Y = A B` and :math:`G` is the gradient that arrives, then
#
# .. math:: dA = G B^\top, \qquad dB = A^\top G .
#
# One can guess both from the shapes alone, and that is a fine way to remember them.

A, B = tg.random.normal((2, 3), rng=0).requires_grad_(), tg.random.normal((3, 4), rng=1).requires_grad_()
G = tg.random.normal((2, 4), rng=2)
(A @ B).backward(G)
print(f"largest difference: {float(tg.abs(A.grad - G @ B.T).max())}, {float(tg.abs(B.grad - A.T @ G).max())}")

# %%
# Let us run the same two steps of a recurrent network, now with four units and a batch of three, and read the tape. It
# is no hidden list: every result holds a node, and every node holds edges to the nodes its arguments came from.

rng = np.random.default_rng(0)
W, U, bias = (tg.tensor(rng.normal(0, 0.5, shape), requires_grad=True) for shape in ((2, 4), (4, 4), (4,)))
h = tg.zeros((3, 4), dtype=tg.float64)
for _ in range(2):
    x = tg.tensor(rng.normal(size=(3, 2)))
    h = tg.tanh(x @ W + h @ U + bias)
loss = (h * h).sum()

found, stack = set(), [loss._node]
while stack:
    node = stack.pop()
    if node not in found:
        found.add(node)
        stack += [edge for edge in node.edges if edge is not None]
for node in sorted(found, key=lambda node: node.order):
    print(f"{node.plan.primitive.name if node.plan else 'a leaf':10} {node.shape}")

# %%
# The backward pass is the loop over ``tape()`` from above, newest first. It adds up the gradients that arrive at a
# node in ``pending``, and a heap says whose turn it is; nothing calls itself, or a long sequence would overflow
# Python's stack. Here it is, whole. The branches for hooks, for anomalies and for gradients of chosen targets can be
# skipped in a first reading; the two lines that matter are the call ``rule(g, ...)`` and the ``send`` of its result.

print(inspect.getsource(backward._flow))
tall = start = tg.tensor(0.0, requires_grad=True)
begin = time.perf_counter()
for _ in range(2_000 if FAST else 100_000):
    tall = tall + 1
tall.backward()
seconds = time.perf_counter() - begin
print(f"a chain of {int(tall):,} additions, there and back: {seconds:.2f} s, gradient {start.grad:.0f}")

# %%
# Two cares are new, which numbers did not need. The first is broadcasting. In ``x @ W + bias`` a vector of 4 was
# added to a matrix of 3 x 4: each of its elements was used three times. Three uses, three paths, so its gradient is
# the sum over them. That rule holds for every operation that broadcasts, so it stands in one place only:

print(inspect.getsource(backward.unbroadcast))
loss.backward()
print("bias", bias.shape, "gradient", bias.grad.shape)

# %%
# The second is memory: what a rule needs is kept from the forward to the backward pass and freed as soon as it was
# used. That is why a second ``backward`` through the same graph is an error, and one that tells what to do:

try:
    loss.backward()
except ValueError as error:
    print(error)

# %%
# How do we know that it is right?
# --------------------------------
# A wrong gradient does not crash. It trains, a little worse, and nobody ever learns why. So every rule is compared with
# finite differences, the way we compared ``w.grad`` above. That needs some thought, since two errors fight each other:
#
# .. math:: \frac{f(x + \varepsilon) - f(x - \varepsilon)}{2 \varepsilon}
#           = f'(x) + \underbrace{O(\varepsilon^2)}_{\text{truncation}}
#             + \underbrace{O(\text{unit roundoff} / \varepsilon)}_{\text{cancellation}}

eps = np.logspace(-12, 0, 100)
figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
for dtype, label in ((np.float64, "float64"), (np.float32, "float32")):
    at, step = dtype(0.7), eps.astype(dtype)
    with np.errstate(all="ignore"):
        difference = (np.tanh(at + step) - np.tanh(at - step)) / (2 * step)
    error = np.abs(difference.astype(float) - (1 - math.tanh(float(at)) ** 2))
    axes.loglog(eps, np.maximum(error, 1e-16), label=label)
axes.axvline(1e-6, color="0.7", linestyle=":", label="what gradcheck takes")
axes.set(xlabel="step", ylabel="error", title="Derivative of tanh at 0.7 by finite differences")
axes.legend()
plt.show()

# %%
# To the right the curve is replaced by too long a chord; to the left nothing remains of the difference but rounding.
# In float64 there is a valley ten digits deep between the two. In float32 the best step leaves some five digits, and
# one has to guess which step that is; so ``gradcheck`` insists on float64. It is a public tool, for your code as for
# ours:

assert testing.gradcheck(lambda W, U: tg.tanh(x @ W + tg.tanh(x @ W) @ U).sum(), [W, U])

# %%
# A test is worth what it catches. Let us plant the most common mistake there is: a rule that forgets the chain, and
# returns its local derivative without the gradient that arrived.


@primitive.primitive(rules=[lambda g, y, _x: 1 - y * y], oracle=None, register=False)
def careless_tanh(x):
    """tanh, with a mistake in its rule."""
    return np.tanh(x)


try:
    testing.gradcheck(lambda x: (3 * careless_tanh(x)).sum(), [tg.tensor([0.1, 0.7], dtype=tg.float64)])
except AssertionError as error:
    print(error)

# %%
# Derivatives of derivatives
# --------------------------
# The rules are written in the library's own operations, ``g * (1 - y * y)``. Given arrays they compute; given tensors
# they are recorded, like anything else. So a backward pass can itself be differentiated, as often as one likes.

points = tg.tensor(np.linspace(-4, 4, 201), requires_grad=True)
curve, curves = tg.tanh(points), []
for _ in range(4):
    curves.append(curve.numpy())
    curve, = tg.autograd.grad(curve.sum(), points, create_graph=True)

figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
for order, values in enumerate(curves):
    axes.plot(points.numpy(), values, label=["tanh", "first derivative", "second", "third"][order])
axes.legend()
axes.set_title("Each curve is the tape of the one before, played backwards")
plt.show()

# %%
# Look at the first derivative: beyond :math:`|x| > 3` it is almost 0. A unit that is driven there lets no gradient
# through, and a recurrent network multiplies such factors once for every step. The chapter on vanishing gradients
# begins at this picture.
#
# Learning is now a short loop
# ----------------------------
# One hidden layer of sixteen units, one wave. No optimizer, no modules: parameters, a loss, ``backward``, a small step
# downhill.

rng = np.random.default_rng(1)
inputs = np.linspace(-3, 3, 64)[:, None]
targets = np.sin(2 * inputs)
parameters = [tg.tensor(rng.normal(0, 1, shape), requires_grad=True) for shape in ((1, 16), (16,), (16, 1), (1,))]


def network(x):
    """1 -> 16 -> 1."""
    W1, b1, W2, b2 = parameters
    return tg.tanh(x @ W1 + b1) @ W2 + b2


losses = []
for _ in range(300 if FAST else 3000):
    loss = ((network(inputs) - targets) ** 2).mean()
    for parameter in parameters:
        parameter.grad = None
    loss.backward()
    for parameter in parameters:
        parameter.data -= 0.05 * parameter.grad.numpy()
    losses.append(loss.item())

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.5), layout="constrained")
left.semilogy(losses)
left.set(xlabel="step", title="mean squared error")
right.plot(inputs, targets, "0.7", linewidth=5, label="sin 2x")
with tg.no_grad():
    right.plot(inputs, network(inputs).numpy(), label="network")
right.legend()
plt.show()

# %%
# Exercises
# ---------
# Replace each ``raise`` by your answer and run the last cell. ``examples/solutions`` has ours.
#
# **1.** Differentiate by hand: :math:`L = \sum_i \log(1 + e^{x_i})`. What is :math:`dL/dx`, in NumPy, from ``x``
# alone?


def softplus_gradient(x):
    """x (n,) float64 -> dL/dx (n,)."""
    raise NotImplementedError


# %%
# **2.** Write the rule of a new operation, :math:`y = \log \cosh x`, a loss that is quadratic near 0 and grows like
# :math:`|x|` far out. Use the library's operations, so that it can be differentiated again.


def log_cosh_rule(g, y, x):
    """The gradient of x, given that of y = log(cosh(x))."""
    raise NotImplementedError


# %%
# **3.** Back-propagation through time, for the network of one unit above. Given :math:`h_0 = 0` and all inputs, return
# :math:`dh_T/du` without any tape: a loop forwards that keeps the states, and a loop backwards that carries
# :math:`dh_T/dh_t`.


def through_time(w, u, b, xs):
    """Four numbers or lists of them -> dh_T/du."""
    raise NotImplementedError


# %%
# The judge:


def check_softplus(answer):
    """Against the tape."""
    x = tg.tensor(np.linspace(-5, 5, 11), requires_grad=True)
    tg.log(1 + tg.exp(x)).sum().backward()
    np.testing.assert_allclose(answer(x.numpy()), x.grad.numpy(), rtol=1e-9)


def check_log_cosh(answer):
    """Against finite differences, once and twice."""
    @primitive.primitive(rules=[lambda g, y, x: answer(g, y, x)], oracle=None, register=False)
    def log_cosh(x):
        return np.log(np.cosh(x))

    x = tg.tensor([-1.5, -0.2, 0.4, 2.0], dtype=tg.float64)
    assert testing.gradcheck(log_cosh, [x])
    assert testing.gradgradcheck(log_cosh, [x])


def check_through_time(answer):
    """Against the tape of tensors."""
    xs, u = [0.3, -1.1, 0.8, 0.2, -0.6], tg.tensor(0.9, dtype=tg.float64, requires_grad=True)
    h = 0.0
    for x in xs:
        h = tg.tanh(u * h + (0.7 * x + 0.1))
    h.backward()
    assert abs(answer(0.7, 0.9, 0.1, xs) - u.grad.item()) < 1e-9


EXERCISES = {softplus_gradient: check_softplus, log_cosh_rule: check_log_cosh, through_time: check_through_time}

for exercise, check in EXERCISES.items():
    try:
        check(exercise)
        print(f"{exercise.__name__}: right")
    except NotImplementedError:
        print(f"{exercise.__name__}: still yours to write")
