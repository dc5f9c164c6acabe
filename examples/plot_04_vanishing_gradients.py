r"""
Why gradients vanish
====================

*The cat, which had slept all morning under the old pear tree by the gate, was hungry.* Was, not were. To get the verb
right one must remember a noun from fourteen words ago. A recurrent network can do that in principle: it has a state,
and nothing forbids it to keep a bit there. Whether it can *learn* to is another question. The mistake is made at the
verb, the cure would be at the noun, and between the two the gradient has to survive fourteen steps back.

In this chapter you watch it die, find out why it must, see it explode instead, and then see two remedies: clipping,
which is a patch, and gates, which are a cure.
"""

# %%
# A product of many matrices
# --------------------------
# The last chapter ended with :math:`h_t = \tanh(z_t)`, :math:`z_t = W_h h_{t-1} + \dots`, and with a product. What a
# change of :math:`h_k` does to :math:`h_t` is
#
# .. math:: \frac{\partial h_t}{\partial h_k} = \prod_{j=k+1}^{t} \mathrm{diag}\big(f'(z_j)\big) \, W_h .
#
# Begin with the simplest case, :math:`f(z) = z`. Then it is a power, :math:`W_h^{t-k}`, and powers of a matrix are
# ruled by its largest eigenvalue in absolute value, its *spectral radius* :math:`\rho`. Below 1 they shrink
# geometrically, above 1 they grow.
#
# Draw the entries of an :math:`H \times H` matrix from :math:`N(0, 1)`, as the lecture does. Its eigenvalues fill a
# disc of radius :math:`\sqrt{H}` (the circular law, Girko 1984): for 100 units a signal grows tenfold at every step.
# Scaled by :math:`g / \sqrt{H}`, the radius is :math:`g`.

import math
import os

import matplotlib.pyplot as plt
import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import cells, nn, optim

FAST = os.environ.get("TINYGRAD_RNN_FAST") == "1"
H, STEPS = (20, 15) if FAST else (100, 60)

rng = np.random.default_rng(0)
gaussian = rng.normal(size=(H, H))
eigenvalues = np.linalg.eigvals(gaussian)
print(f"N(0, 1): spectral radius {np.abs(eigenvalues).max():.2f}, the square root of {H} is {math.sqrt(H):.2f}")


def jacobian_norms(g, derivative, steps=STEPS):
    """Norm of the product of 1 .. steps factors diag(f') W, scaled so that no factor would give 1."""
    W, h, norms = g * gaussian / math.sqrt(H), rng.normal(size=H), []
    product = np.eye(H)
    for _ in range(steps):
        z = W @ h + 0.1 * rng.normal(size=H)
        h = np.tanh(z)
        product = derivative(z)[:, None] * W @ product
        norms.append(np.linalg.norm(product) / math.sqrt(H))
    return norms


# %%
# And with the tanh? Its derivative :math:`1 - h^2` is at most 1, so each factor can only be smaller than before. If
# the largest singular value of :math:`W_h` is below 1, vanishing is certain:
#
# .. math:: \left\| \frac{\partial h_t}{\partial h_k} \right\| \le \big( \max |f'| \cdot \|W_h\| \big)^{t-k}
#
# (Pascanu 2013, equations 6 and 7; first seen by Hochreiter 1991 and by Bengio 1994). A logistic sigmoid in the place
# of tanh is worse, since its derivative never exceeds a quarter.

scales = (0.5, 0.9, 1.1, 2.0)
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
for number, g in enumerate(scales):
    scaled = g * eigenvalues / math.sqrt(H)
    left.plot(scaled.real, scaled.imag, ".", color=f"C{number}", markersize=3)
    for axes, derivative in ((middle, np.ones_like), (right, lambda z: 1 - np.tanh(z) ** 2)):
        axes.semilogy(np.arange(1, STEPS + 1), jacobian_norms(g, derivative), color=f"C{number}", label=f"g = {g}")
left.add_patch(plt.Circle((0, 0), 1, fill=False))
left.set(aspect="equal", title="Eigenvalues, and the unit circle")
middle.set(xlabel="distance t - k", title="Norm of the product, f(z) = z")
right.set(xlabel="distance t - k", title="The same with f = tanh")
middle.legend()
plt.show()

# %%
# Straight lines on a logarithmic scale: geometric, both ways. On the right the tanh lends a hand. At ``g = 2`` it has
# taken away most of the growth, as large states drive it flat, and at 1.1 a matrix that stretches and a tanh that
# squeezes almost cancel. Almost: to keep a gradient over a hundred steps within a factor of ten, the mean factor has
# to lie between 0.977 and 1.023. Nothing in a plain network holds it there, and training moves it all the time.
#
# Three networks, one question
# ----------------------------
# Now real cells. Let each of them read noise, put a loss at the very end only, and ask what reaches the states before
# it: the norm of :math:`dL/dh_t` against the distance to the end. ``step`` is the readable cell on the tape, and
# ``retain_grad`` keeps the gradient of what is not a parameter.
#
# Of the LSTM there are three, which differ by one number: where the bias of the forget gate starts. Its memory is
# :math:`c_t = f_t \odot c_{t-1} + i_t \odot g_t`, so along it
#
# .. math:: \frac{\partial c_t}{\partial c_k} \approx \prod_{j=k+1}^{t} f_j
#           \approx \sigma(b_f)^{t-k} ,
#
# a product again, but of numbers that the network itself chooses, and none of them is multiplied by a matrix. What is
# left of a gradient after one step: :math:`\sigma(0) = 0.5`, :math:`\sigma(1) = 0.73`, :math:`\sigma(5) = 0.993`.

HIDDEN, DISTANCE = (16, 20) if FAST else (64, 100)


def fresh(cell, size, width, forget_bias=None):
    """Parameters as nn.RNN, LSTM and GRU start them, but for the forget gate."""
    rng, bound = np.random.default_rng(3), width ** -0.5
    parameters = {name: tg.tensor(rng.uniform(-bound, bound, shape), requires_grad=True)
                  for name, shape in cell.parameter_shapes(size, width).items()}
    if forget_bias is not None:
        parameters["b_f"].data[...] = forget_bias
    return parameters


def gradient_norms(cell, parameters, batch=16):
    """Norm of dL/d state at distances 0, 1, 2 ... from the end, (distance, state)."""
    rng = np.random.default_rng(4)
    state = tuple(tg.zeros((batch, HIDDEN), dtype=tg.float64) for _ in cell.states)
    states = []
    for _ in range(DISTANCE):
        state = cell.step(parameters, tg.tensor(rng.normal(size=(batch, 8))), state)
        for part in state:
            part.retain_grad()
        states.append(state)
    (state[0] * rng.normal(size=(batch, HIDDEN))).sum().backward()
    return np.array([[np.linalg.norm(part.grad.numpy()) for part in state] for state in states[:-1]][::-1])


catalogue = cells.catalogue()
contestants = {"rnn": ("rnn", None), "gru": ("gru_reset_before", None), "lstm, forget bias 0": ("lstm", 0),
               "lstm, forget bias 1": ("lstm", 1), "lstm, forget bias 5": ("lstm", 5)}
norms = {}
for name, (cell, bias) in contestants.items():
    norms[name] = gradient_norms(catalogue[cell], fresh(catalogue[cell], 8, HIDDEN, bias))

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained", sharey=True)
for name, found in norms.items():
    left.semilogy(np.arange(1, DISTANCE), found[:, 0] / found[0, 0], label=name)
for number, bias in enumerate((0, 1, 5)):
    found = norms[f"lstm, forget bias {bias}"][:, 1]
    distance = np.arange(1, DISTANCE)
    right.semilogy(distance, found / found[0], color=f"C{number + 2}", label=f"forget bias {bias}")
    right.semilogy(distance, (1 / (1 + math.exp(-bias))) ** (distance - 1), color=f"C{number + 2}", linestyle=":")
left.set(xlabel="steps before the end", ylim=(1e-20, 10), title="dL/dh, relative to the last step")
right.set(xlabel="steps before the end", title="dL/dc of the LSTMs; dotted: powers of sigma(b)")
left.legend()
right.legend()
plt.show()

for name, found in norms.items():
    rate = (found[-1, 0] / found[len(found) // 2, 0]) ** (1 / (len(found) - 1 - len(found) // 2))
    print(f"{name:20} dL/dh times {rate:.3f} at each step further back")

# %%
# Nothing has been trained yet; these are networks at birth. A plain network, a GRU with its :math:`z \approx 1/2` and
# an LSTM with forget bias 0 are equally blind to what happened twenty steps ago. The one with bias 5 sees a hundred.
# (The solid lines lie above the dotted ones since the gradient has side roads through the gates and :math:`W_h`, and
# with bias 5 these even make it grow a little.) That is why one starts the forget gate open. Gers 2000 proposed it when
# they invented the gate; Jozefowicz 2015 found that a bias of 1 closes the gap between the LSTM and the GRU, and that
# people kept forgetting it.
#
# A safe bit is a deaf bit
# ------------------------
# Perhaps one should just make the plain network's factors equal to 1? Here is the argument why that cannot be had for
# nothing (Bengio 1994). Let a single unit store one bit, forever:
#
# .. math:: h_t = \tanh(w \, h_{t-1} + x_t) .
#
# For :math:`w \le 1` it has one resting point, 0, and every bit fades. For :math:`w > 1` there are two, one positive
# and one negative: the unit is a switch, and latches. A single push sets it, and small noise cannot turn it over.

w = 2.0
grid = np.linspace(-1.3, 1.3, 300)
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
left.plot(grid, np.tanh(w * grid), label="next state, x = 0")
left.plot(grid, grid, "0.7")
rest = 0.9
for _ in range(100):
    rest = math.tanh(w * rest)
left.plot([rest, 0, -rest], [rest, 0, -rest], "ko")
left.set(xlabel="state", title=f"w = {w:g}: rests at 0 (unstable) and at {rest:.2f}, {-rest:.2f}")
left.legend()

steps = 60
noise = 0.25 * rng.normal(size=(steps, 40))
h = np.where(np.arange(40) < 20, rest, -rest)
path = [h]
for x in noise:
    h = np.tanh(w * h + x)
    path.append(h)
path = np.array(path)
middle.plot(path[:, :20], color="C0", alpha=0.3, linewidth=0.8)
middle.plot(path[:, 20:], color="C1", alpha=0.3, linewidth=0.8)
middle.set(xlabel="step", title="Forty latches in noise")

h, derivative, kept = 0.2, 1.0, []
for _ in range(steps):
    h = math.tanh(w * h)
    derivative *= w * (1 - h * h)
    kept.append(derivative)
right.semilogy(np.arange(1, steps + 1), kept)
right.set(xlabel="step", title="Derivative of the state by where it started")
plt.show()

# %%
# Each latch was set once and holds its bit through sixty steps of noise. But look at the slope at a rest in the
# left-hand picture. The curve crosses the diagonal there from above, so it is flatter than the diagonal:
#
# .. math:: \left| \frac{\partial h_t}{\partial h_{t-1}} \right| = w \, (1 - h^2) < 1 .
#
# That is what *stable* means: a disturbance shrinks. And a derivative is nothing but a very small disturbance. So
# whatever makes the bit safe from noise also wipes out the gradient by which the network would have to learn to set
# it. The right-hand picture shows the price: five sixths of what is left, at every step.

slope = w * (1 - rest ** 2)
print(f"slope at the rest: {slope:.3f}; after {steps} steps {slope ** steps:.0e}")

# %%
# How does an LSTM escape? Its :math:`c` is not stable at all: with :math:`f = 1` every value is a rest and
# :math:`\partial c_t / \partial c_{t-1} = 1` exactly, neither shrinking nor growing. Hochreiter and Schmidhuber
# (1997) called it the *constant error carousel*. What keeps noise out is not a pull back to a rest but a door, the
# input gate. The two jobs that the latch gave to one number, hold and protect, have been given to two.
#
# Does it matter?
# ---------------
# A task with nothing but distance in it: the first input is +1 or -1, everything after it is noise, and at the end the
# network is asked for the first.

LENGTH, ROUNDS = (8, 5) if FAST else (60, 300)


class Rememberer(nn.Module):
    """A recurrent layer, and a guess from its last state."""

    def __init__(self, layer):
        super().__init__()
        self.layer, self.out = layer, nn.Linear(16, 1, rng=1)

    def forward(self, x):
        return self.out(self.layer(x)[0][-1])[:, 0]


def train(model, rounds=ROUNDS):
    """Share of right answers, round by round."""
    rng, optimizer, right = np.random.default_rng(5), optim.Adam(model.parameters(), lr=5e-3), []
    for _ in range(rounds):
        bit = rng.integers(0, 2, 64)
        x = 0.3 * rng.normal(size=(LENGTH, 64, 1)).astype(np.float32)
        x[0, :, 0] = 2 * bit - 1
        guess = model(tg.tensor(x))
        loss = nn.functional.softplus(guess * (1 - 2 * bit).astype(np.float32)).mean()
        optimizer.zero_grad()
        loss.backward()
        optim.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        right.append(((guess.numpy() > 0) == bit).mean())
    return np.array(right)


figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
for name, layer in {"rnn": nn.RNN(1, 16, rng=0), "gru": nn.GRU(1, 16, rng=0),
                    "lstm, forget bias 0": nn.LSTM(1, 16, forget_bias=0, rng=0),
                    "lstm, forget bias 1": nn.LSTM(1, 16, forget_bias=1, rng=0),
                    "lstm, forget bias 5": nn.LSTM(1, 16, forget_bias=5, rng=0)}.items():
    right = train(Rememberer(layer))
    axes.plot(np.convolve(right, np.ones(20) / 20, mode="valid") if len(right) > 20 else right, label=name)
axes.axhline(0.5, color="0.7", linestyle=":")
axes.set(xlabel="round", ylabel="right answers", ylim=(0.4, 1.02), title=f"One bit, {LENGTH} steps ago")
axes.legend()
plt.show()

# %%
# All five can *represent* the answer: one latch is enough. The LSTM that was born open has it after a few rounds. The
# others toss coins, round after round, because the first input has no say in their gradient. Now and then a plain
# network stumbles into a latch, as the fixed points of its units move about, and as easily it stumbles out again.
#
# The other danger
# ----------------
# Gradients that explode are rarer and louder. Pascanu 2013 drew the landscape that they come from. One unit, fifty
# steps, no input; the loss wants the last state to be 0.7:
#
# .. math:: h_t = w \, \sigma(h_{t-1}) + b, \qquad L(w, b) = \big( \sigma(h_{50}) - 0.7 \big)^2 .


def cliff(w, b):
    """The loss, for Tensors of any shape."""
    h = 0.0 * w + 0.5
    for _ in range(50):
        h = w * tg.sigmoid(h) + b
    return (tg.sigmoid(h) - 0.7) ** 2


def descend(limit, rounds=40, rate=0.3):
    """The path (rounds + 1, 2) of gradient descent, with the gradient's norm clipped at the limit."""
    point, path = tg.tensor(np.array([4.9, -2.15]), requires_grad=True), []
    for _ in range(rounds):
        path.append(point.numpy().copy())
        gradient, = tg.autograd.grad(cliff(point[0], point[1]), point)
        gradient = gradient.numpy()
        point.data -= rate * gradient * min(1.0, limit / np.linalg.norm(gradient))
    return np.array([*path, point.numpy().copy()])


# %%
# The unit is a latch, as above. For most :math:`(w, b)` the loss is flat, since the state rests firmly on one side or
# the other. Between the two there is a wall, where fifty factors greater than 1 have been multiplied. A gradient taken
# on the wall says truly which way is down, and lies about how far.
#
# *Clipping* keeps the direction and refuses the length:
#
# .. math:: g \leftarrow g \cdot \min\!\left(1, \frac{\theta}{\|g\|}\right) .

ws, bs = np.meshgrid(np.linspace(4, 6.4, 160), np.linspace(-3.2, -1.6, 160))
with tg.no_grad():
    height = cliff(tg.tensor(ws), tg.tensor(bs)).numpy()
free, clipped = descend(math.inf), descend(0.1)

figure = plt.figure(figsize=(12, 4.5), layout="constrained")
left = figure.add_subplot(1, 2, 1, projection="3d")
left.plot_surface(ws, bs, height, cmap="viridis")
left.set(xlabel="w", ylabel="b", title="The cliff")
left.view_init(35, -60)
right = figure.add_subplot(1, 2, 2)
right.contourf(ws, bs, height, 30, cmap="viridis")
for path, color, label in ((free, "C3", "as the gradient says"), (clipped, "w", "clipped at 0.1")):
    right.plot(*path.T, ".-", color=color, linewidth=0.8, label=label)
right.set(xlim=(4, 6.4), ylim=(-3.2, -1.6), xlabel="w", ylabel="b", title="Two ways down")
right.legend(loc="upper right")
plt.show()
print(f"longest step: {np.linalg.norm(np.diff(free, axis=0), axis=1).max():.2f}, "
      f"clipped {np.linalg.norm(np.diff(clipped, axis=0), axis=1).max():.2f}")
print(f"free path ends at {free[-1].round(2)}, clipped one at {clipped[-1].round(2)}")

# %%
# The free path was thrown out of the picture by a single step, and where it landed there is no gradient that would
# bring it back. The clipped one hits the same wall, and slides along it. Chapter 2 trained with one such line,
# ``clip_grad_norm_``. Note what clipping does not do: it makes large gradients small, but no small gradient large.
# Nothing can be done about a gradient that is not there, except to build a network in which it does not vanish. That
# is the next chapter.
#
# Exercises
# ---------
# Replace each ``raise`` by your answer and run the last cell. ``examples/solutions`` has ours.
#
# **1.** The whole Jacobian. Given the states that a network :math:`h_t = \tanh(W_h h_{t-1} + \dots)` went through,
# return :math:`\partial h_T / \partial h_0`. Which way round do the factors stand?


def state_jacobian(W_h, h):
    """W_h (H, H), states h (T + 1, H) -> (H, H); row a, column b: d h_T[a] / d h_0[b]."""
    raise NotImplementedError


# %%
# **2.** How safe is a latch? A constant input :math:`x < 0` pulls at a unit :math:`h_t = \tanh(w h_{t-1} + x)` that
# rests on the positive side, :math:`w > 1`. Up to some strength it still has a rest there; beyond it, it falls over.
# Return that strength. (At the limit the curve touches the diagonal: it has its value and its slope.)


def strength_to_flip(w):
    """A number > 1 -> a positive number."""
    raise NotImplementedError


# %%
# **3.** Born with patience. Somebody knows that what matters in their data is about :math:`n` steps apart. At which
# value should the bias of the forget gate start, so that half of a gradient along :math:`c` is left after :math:`n`
# steps, as long as the weights are small?


def forget_bias(n):
    """Number of steps -> the bias."""
    raise NotImplementedError


# %%
# The judge:


def check_state_jacobian(answer):
    """Against finite differences of the network itself."""
    import numpy as np

    rng = np.random.default_rng(0)
    W_h, drive = rng.normal(0, 0.7, (4, 4)), rng.normal(size=(6, 4))

    def run(h):
        states = [h]
        for z in drive:
            states.append(np.tanh(W_h @ states[-1] + z))
        return np.array(states)

    start, eps = rng.normal(size=4), 1e-6
    columns = [(run(start + eps * e)[-1] - run(start - eps * e)[-1]) / (2 * eps) for e in np.eye(4)]
    np.testing.assert_allclose(answer(W_h, run(start)), np.array(columns).T, rtol=1e-5, atol=1e-8)


def check_strength(answer):
    """A little less leaves it standing, a little more does not."""
    for w in (1.3, 2.0, 4.0):
        strength = answer(w)
        for factor, stands in ((0.995, True), (1.005, False)):
            h = 1.0
            for _ in range(5000):
                h = math.tanh(w * h - factor * strength)
            assert (h > 0) == stands


def check_forget_bias(answer):
    """By letting a constant error carousel with a leak run."""
    for n in (2, 10, 300):
        c, f = 1.0, 1 / (1 + math.exp(-answer(n)))
        for _ in range(n):
            c *= f
        assert abs(c - 0.5) < 1e-6


EXERCISES = {state_jacobian: check_state_jacobian, strength_to_flip: check_strength, forget_bias: check_forget_bias}

for exercise, check in EXERCISES.items():
    try:
        check(exercise)
        print(f"{exercise.__name__}: right")
    except NotImplementedError:
        print(f"{exercise.__name__}: still yours to write")
