r"""
Derivatives, forwards, backwards and twice
==========================================

The first chapter built a tape that answers one question: how does one number depend on a million others? This chapter
asks more of the same tape. How does a million depend on one? How do derivatives themselves change? What does it cost
to remember a whole computation, and what if one does not? None of the answers needs a new rule. All are made of the
backward pass that you know, applied in another order.

The object behind all of it is the Jacobian of a function :math:`y = f(x)`,

.. math:: J_{ij} = \frac{\partial y_i}{\partial x_j} ,

which is hardly ever written down. A network with a million parameters and a thousand outputs has a Jacobian of a
billion numbers; what one needs are products with it, from the left or from the right.
"""

# %%
# From the left: the backward pass
# --------------------------------
# Take a recurrent network of one step as the function, from the old state to the new one.

import os
import time

import matplotlib.pyplot as plt
import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import nn, testing
from tinygrad_rnn.autograd import checkpoint, custom, draw, grad, hessian, hvp, jacobian, jvp, vjp

FAST = os.environ.get("TINYGRAD_RNN_FAST") == "1"

rng = np.random.default_rng(0)
U = tg.tensor(rng.normal(0, 0.5, (4, 4)))
b = tg.tensor(rng.normal(0, 0.5, 4))


def step(h):
    """h_prev (4,) -> h (4,)."""
    return tg.tanh(U @ h + b)


h = tg.tensor(rng.normal(size=4))
value, pull = vjp(step, h)
g = tg.tensor([1.0, 0.0, 0.0, 0.0], dtype=tg.float64)
print(pull(g)[0])

# %%
# ``vjp`` runs the function and hands back a second one, ``pull``, which maps a gradient of the output to a gradient of
# the input: :math:`g \mapsto J^\top g`. With a unit vector for :math:`g` it gives a row of the Jacobian. Four unit
# vectors give them all, and that is what ``jacobian`` does:

J = jacobian(step, h)
by_hand = np.diag(1 - value.numpy() ** 2) @ U.numpy()
print(np.round(J.numpy(), 3))
print(f"largest difference from diag(1 - h^2) U: {np.abs(J.numpy() - by_hand).max():.1e}")

# %%
# From the right: a trick worth knowing
# -------------------------------------
# The other product, :math:`J u`, says where the output goes when the input moves along :math:`u`. Most libraries have a
# second rule for every operation to carry such *tangents* forwards. It is not necessary. The map
# :math:`g \mapsto J^\top g` is linear in :math:`g`, whatever :math:`f` is; the Jacobian of that map is :math:`J^\top`,
# and *its* product from the left is
#
# .. math:: u \;\mapsto\; (J^\top)^\top u = J u .
#
# So record the backward pass, and run backward through it. Two passes backwards make one forwards.

u = tg.tensor(rng.normal(size=4))
dummy = tg.zeros(4, dtype=tg.float64).requires_grad_()       # any g will do: the map is linear
x = h.copy().requires_grad_()
pulled, = grad(step(x), x, dummy, create_graph=True)
pushed, = grad(pulled, dummy, u)
print(f"{np.abs(pushed.numpy() - J.numpy() @ u.numpy()).max():.1e}")
print(f"{np.abs(jvp(step, h, u)[1].numpy() - pushed.numpy()).max():.1e}, for that is how jvp does it")

# %%
# Now both shapes of a Jacobian are cheap: a wide one row by row, a tall one column by column. ``jacobian`` counts, and
# takes the shorter way.
#
# A picture of the dynamics
# -------------------------
# What is :math:`J` good for? A state that is repeated, :math:`h = f(h)`, is a fixed point, and whether the network
# stays near it is written in the eigenvalues of the Jacobian there. Inside the unit circle: whatever happened is
# forgotten. Outside: it grows until ``tanh`` stops it. Here are the eigenvalues along a run, for three sizes of the
# recurrent matrix; the chapter on vanishing gradients met them as the factors that a gradient is multiplied with, step
# by step.

figure, axes = plt.subplots(1, 3, figsize=(10, 3.6), layout="constrained")
matrix = rng.normal(size=(32, 32)) / np.sqrt(32)
for ax, scale in zip(axes, (0.5, 1.0, 1.8)):
    state = tg.tensor(rng.normal(size=32))
    for _ in range(3 if FAST else 20):
        J = jacobian(lambda h, scale=scale: tg.tanh((scale * matrix) @ h), state)
        eigenvalues = np.linalg.eigvals(J.numpy())
        ax.plot(eigenvalues.real, eigenvalues.imag, ".", color="tab:blue", alpha=0.2)
        state = tg.tanh((scale * matrix) @ state)
    ax.add_patch(plt.Circle((0, 0), 1, fill=False, color="0.5"))
    ax.set(title=f"recurrent matrix times {scale}", xlim=(-2, 2), ylim=(-2, 2), aspect="equal")
plt.show()

# %%
# Derivatives of derivatives
# --------------------------
# The gradient of a loss is a function like any other, so it has a Jacobian too: the Hessian,
#
# .. math:: H_{ij} = \frac{\partial^2 L}{\partial x_i \partial x_j} .
#
# Where gradient descent sees only a slope, the Hessian sees the valley. Take Rosenbrock's, a narrow bent one with its
# lowest point at (1, 1).


def rosenbrock(x):
    """(2,) -> a number."""
    return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2


start = tg.tensor([-1.2, 1.0], dtype=tg.float64)
paths = {"gradient descent": [start.numpy()], "Newton": [start.numpy()]}
for name, path in paths.items():
    x = start
    for _ in range(200 if name == "gradient descent" else 6):
        slope = vjp(rosenbrock, x)[1]()[0].numpy()
        move = 2e-3 * slope if name == "gradient descent" else np.linalg.solve(hessian(rosenbrock, x).numpy(), slope)
        x = tg.tensor(x.numpy() - move)
        path.append(x.numpy())

figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
across, up = np.meshgrid(np.linspace(-1.6, 1.6, 200), np.linspace(-3.5, 2, 200))
ax.contour(across, up, np.log((1 - across) ** 2 + 100 * (up - across ** 2) ** 2), 12, colors="0.8")
for name, path in paths.items():
    ax.plot(*np.transpose(path), ".-", label=f"{name}, {len(path) - 1} steps")
ax.plot(1, 1, "k*", markersize=12)
ax.legend()
ax.set_title("Two ways down")
plt.show()

# %%
# Newton's method is there after six steps, one of them wild. Why does nobody train networks that way? Because a
# million parameters have a Hessian of :math:`10^{12}` numbers. But once more, products suffice. Pearlmutter saw in 1994
# that :math:`H v` costs about as much as two gradients, never mind the size of :math:`H`: it is the Jacobian of the
# gradient times :math:`v`, and since :math:`H` is symmetric, the side does not matter. ``hvp`` is one backward pass
# through the backward pass.
#
# With it one finds the sharpest direction of a loss by power iteration: multiply, normalise, repeat. Its curvature,
# the largest eigenvalue :math:`\lambda`, is the speed limit of gradient descent: beyond a rate of :math:`2 / \lambda`
# each step overshoots farther than the last. To see that, we train a small network for a while, and go on from there.

inputs, targets = np.linspace(-2, 2, 64)[:, None], np.sin(3 * np.linspace(-2, 2, 64))[:, None]
shapes = ((1, 24), (24,), (24, 1), (1,))
sizes = [int(np.prod(shape)) for shape in shapes]
offsets = np.cumsum([0, *sizes])


def loss(p):
    """The mean squared error of a network of 24 units, as a function of all its parameters in one vector."""
    W1, b1, W2, b2 = (p[i:j].reshape(shape) for i, j, shape in zip(offsets, offsets[1:], shapes))
    return ((tg.tanh(inputs @ W1 + b1) @ W2 + b2 - targets) ** 2).mean()


def sharpest(fn, p, steps):
    """The largest curvature of fn at p, and after each step what it seemed to be."""
    v, seen = tg.tensor(np.random.default_rng(1).normal(size=p.shape)), []
    for _ in range(steps):
        v = v / tg.sqrt((v * v).sum())
        product = hvp(fn, p, v)
        seen.append((v * product).sum().item())
        v = product
    return seen[-1], seen


def descend(p, rate, steps):
    """Gradient descent: where it ends, and the loss before each step."""
    losses = []
    for _ in range(steps):
        value, pull = vjp(loss, p)
        losses.append(value.item())
        p = p - rate * pull()[0]
    return p, losses


p, _ = descend(tg.tensor(np.random.default_rng(2).normal(0, 0.7, offsets[-1])), 0.03, 300 if FAST else 1500)
largest, seen = sharpest(loss, p, 30)
exact = np.linalg.eigvalsh(hessian(loss, p).numpy())[-1]
print(f"curvature {largest:.4f} after {len(seen)} products, {exact:.4f} from all {offsets[-1]} x {offsets[-1]} "
      f"entries; speed limit {2 / largest:.3f}")

figure, ax = plt.subplots(figsize=(7, 3.5), layout="constrained")
for factor in (0.5, 0.95, 1.2, 1.5):
    ax.semilogy(descend(p, factor * 2 / largest, 15 if FAST else 100)[1], label=f"{factor} of the limit")
ax.set(xlabel="step", ylabel="loss", title="Gradient descent below and above 2 / curvature")
ax.legend()
plt.show()

# %%
# Above the limit the loss grows, first unseen, by the same factor every step, then to a hundred times what it was at
# 1.2 of the limit, to nearly five hundred times at 1.5. That it comes down again is no contradiction: thrown out of the
# sharp valley it found a wider one, where the limit is higher. Lewkowycz and others (2020) call that a catapult, and
# think it helps.
#
# What a tape costs
# -----------------
# Time first. Each operation pays for being remembered: a node is made, what its rule needs is kept, the rule runs
# later. On eight by eight numbers the arithmetic is nothing, and one sees the tape alone.


def microseconds(run, repeat):
    """The least time of a call."""
    times = []
    for _ in range(repeat):
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return 1e6 * min(times)


small = tg.tensor(np.full((8, 8), 0.5, np.float32), requires_grad=True)


def chain(x, length=100):
    """tanh, again and again."""
    for _ in range(length):
        x = tg.tanh(x)
    return x


def there_and_back():
    """A pass forwards and one backwards."""
    chain(small).sum().backward()


repeat = 3 if FAST else 50
print(f"tanh of 8 x 8: {microseconds(lambda: chain(small.numpy()), repeat) / 100:.2f} us on arrays, "
      f"{microseconds(lambda: chain(small), repeat) / 100:.2f} recorded, "
      f"{microseconds(there_and_back, repeat) / 100:.2f} with its backward pass")

# %%
# Then memory. What a rule reads must live until backward comes to it. For 60 steps of a recurrence those are 60 states,
# and whatever was computed between them. Frames of video, pages of text: it is memory that gives out first.
#
# There is a trade. Keep the state at the beginning of each stretch, forget what lies between, and when backward arrives
# at a stretch compute it once more. With :math:`\sqrt T` stretches of :math:`\sqrt T` steps one keeps :math:`2 \sqrt T`
# states in place of :math:`T`, and pays for one more forward pass. ``checkpoint(fn, x)`` is such a stretch.

layer = nn.RNNCell(64, 64, rng=0)
dropout = nn.Dropout(0.1, rng=1)
sequence = tg.random.normal((36, 32 if FAST else 256, 64), rng=2)


def stretch(state, first, last):
    """Some steps."""
    for t in range(first, last):
        state = dropout(layer(sequence[t], state))
    return state


def gradient(length):
    """Loss and gradient with checkpoints every `length` steps; and the most memory that was in use, in MB."""
    import tracemalloc

    dropout.initialise(3)               # the same masks each time
    tracemalloc.start()
    state = tg.zeros((sequence.shape[1], 64))
    for first in range(0, len(sequence), length):
        state = checkpoint(stretch, state, first, first + length)
    value = (state ** 2).mean()
    found, = grad(value, layer.weight_hh)
    most = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    return found.numpy(), most


lengths = (1, 2, 3, 4, 6, 9, 12, 18, 36)
results = [gradient(length) for length in lengths]
assert all((found == results[0][0]).all() for found, _ in results)
figure, ax = plt.subplots(figsize=(7, 3.5), layout="constrained")
ax.plot(lengths, [most for _, most in results], "o-")
ax.set(xlabel="steps between two checkpoints", ylabel="MB at the worst moment", ylim=(0, None),
       title="36 steps: the least memory lies near the root")
plt.show()

# %%
# The gradients are the same to the last bit, dropout and all: the second time ``checkpoint`` hands out the random
# numbers of the first. It compares the two results, too. A function that draws from somewhere else, or whose parameters
# moved meanwhile, is an error and not a wrong gradient.
#
# Writing in place
# ----------------
# Another way to save memory is to write a result over its argument. It is also the classic way to wrong gradients: the
# rule of ``y = x * x`` reads ``x`` *later*, when something else may stand there. The tape puts a date on every write,
# and backward compares.

x = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
y = x * 2
z = y * y
y.add_(1)
try:
    z.sum().backward()
except ValueError as error:
    print(error)

# %%
# Where no rule reads the old value, writing is fine; a buffer can be filled a row at a time, and gradients find their
# way through it. (``y += 1`` is no write: it binds the name to a new tensor, and is always safe.)

rows = tg.zeros((3, 3))
rows[0] = x
for t in (1, 2):
    rows[t] = tg.tanh(rows[t - 1] * x)
total = rows.sum()
print(draw(total)[:160], "...")
total.backward()
print(x.grad)

# %%
# That text is Graphviz source: ``dot -Tsvg`` makes a picture of any tape.
#
# A rule of your own
# ------------------
# Some functions are better differentiated by hand than by tape. Take the root :math:`y` of :math:`y + e^y = x`, found
# by Newton's method in a loop. On the tape the loop is hundreds of operations, kept and run backwards. But whoever
# differentiates the *equation* gets :math:`dy\,(1 + e^y) = dx` at once: the way to the root does not matter.


def find_root(x):
    """y with y + e^y = x, elementwise, on arrays."""
    y = np.minimum(x, np.log1p(np.maximum(x, 0)))
    for _ in range(50):
        y = y - (y + np.exp(y) - x) / (1 + np.exp(y))
    return y


root = custom(find_root, lambda g, y, _x: (g / (1 + tg.exp(y)),), name="root")
points = tg.tensor(np.linspace(-3, 6, 7))
assert testing.gradcheck(root, [points]) and testing.gradgradcheck(root, [points])
print(root(points))

# %%
# The rule is written in the library's operations, so it is differentiable in turn, and ``gradgradcheck`` agrees.
#
# Exercises
# ---------
# Replace each ``raise`` by your answer and run the last cell. ``examples/solutions`` has ours.
#
# **1.** The diagonal of the Jacobian of an *elementwise* function needs no Jacobian: one product with the right vector
# is enough. Which one?


def diagonal(fn, x):
    """fn: elementwise, (n,) -> (n,); x: Tensor (n,) float64.  The derivatives of fn(x)[i] by x[i], a Tensor (n,)."""
    raise NotImplementedError


# %%
# **2.** The trace of a Hessian, the sum of all curvatures, without the Hessian. Hutchinson: for a random vector
# :math:`v` of signs, the expectation of :math:`v^\top H v` is the trace. Average over the vectors that are given.


def hutchinson(fn, x, signs):
    """fn: (n,) -> a number; x: Tensor (n,); signs (m, n) of +-1, float64.  The mean of v . H v, a float."""
    raise NotImplementedError


# %%
# **3.** Let a gradient pass unharmed through a step that has none: the *straight-through* estimator of Bengio (2013).
# Forwards round to the nearest integer, backwards pretend that nothing happened.


def straight_through(x):
    """x: Tensor.  round(x), with the gradient of x."""
    raise NotImplementedError


# %%
# The judges:


def check_diagonal(answer):
    """Against the whole Jacobian."""
    x = tg.tensor([-1.0, 0.3, 2.0], dtype=tg.float64)
    for fn in (tg.tanh, lambda t: t * tg.sin(t)):
        assert np.allclose(np.asarray(answer(fn, x)), np.diag(jacobian(fn, x).numpy()))


def check_hutchinson(answer):
    """Over all vectors of signs the mean is the trace exactly."""
    x = tg.tensor([0.5, -1.0, 0.2], dtype=tg.float64)
    signs = np.array([[i, j, k] for i in (-1.0, 1.0) for j in (-1.0, 1.0) for k in (-1.0, 1.0)])

    def fn(t):
        return (tg.exp(t) * t[0]).sum() + t[1] ** 2 * t[2]

    assert np.isclose(answer(fn, x, signs), np.trace(hessian(fn, x).numpy()))


def check_straight_through(answer):
    """Rounded forwards, one backwards."""
    x = tg.tensor([-1.2, 0.4, 2.7], dtype=tg.float64, requires_grad=True)
    y = answer(x)
    assert np.asarray(y).tolist() == [-1.0, 0.0, 3.0]
    (y * np.array([1.0, 2.0, 3.0])).sum().backward()
    assert np.allclose(x.grad.numpy(), [1, 2, 3])


EXERCISES = {diagonal: check_diagonal, hutchinson: check_hutchinson, straight_through: check_straight_through}

for exercise, check in EXERCISES.items():
    try:
        check(exercise)
        print(f"{exercise.__name__}: right")
    except NotImplementedError:
        print(f"{exercise.__name__}: still yours to write")
