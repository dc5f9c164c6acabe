r"""
A recurrent network by hand
===========================

Read this sentence to its end and you will know what it was about, though you saw one word at a time. Something in you
was carried from word to word and was changed a little by each. A recurrent network is the simplest machine that does
the same: it has a state, and one rule, used over and over, that makes the next state of the last one and of what has
just arrived.

In this chapter you write that machine in NumPy, and then its gradient, twice: once exactly as the lectures print it, a
sum over all pairs of moments, and once in the way that everybody computes it. Then you compare both with the tape of
chapter 1 and with the compiled layer, and let your own code learn the task with which it all began.
"""

# %%
# The network
# -----------
# Elman's network (Elman 1990) has three matrices. At each moment it mixes the input :math:`x_t` with its own last
# state, squashes the result, and reads its answer off the new state:
#
# .. math:: h_t = \tanh(W_x x_t + W_h h_{t-1} + b), \qquad y_t = V h_t + c .
#
# The lectures write :math:`a_t` for :math:`h_t`, and :math:`W_{ax}, W_{aa}` for :math:`W_x, W_h`. The matrices have no
# index :math:`t`. That is the whole point: whatever the network learns about one moment, it knows about all of them,
# and it reads sequences of any length with the same few numbers.

import math
import os
import time

import matplotlib.pyplot as plt
import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import cells, nn

FAST = os.environ.get("TINYGRAD_RNN_FAST") == "1"


def forward(x, W_x, W_h, b):
    """Inputs (T, D) -> states (T + 1, H); the first is the zero that the network starts from."""
    h = np.zeros((len(x) + 1, len(b)))
    for t in range(len(x)):
        h[t + 1] = np.tanh(W_x @ x[t] + W_h @ h[t] + b)
    return h


rng = np.random.default_rng(0)
T, D, H = 12, 3, 5
x = rng.normal(size=(T, D))
W_x, W_h, b = rng.normal(0, 0.6, (H, D)), rng.normal(0, 0.4, (H, H)), rng.normal(0, 0.1, H)
h = forward(x, W_x, W_h, b)
print(f"{T} steps: states {h.shape}")

# %%
# Mind the shift by one: ``h[t + 1]`` is what the network knows after it has read ``x[t]``. Half of all mistakes in
# recurrent code are this shift forgotten.
#
# What does the loss say about :math:`W_h`?
# -----------------------------------------
# Suppose that each moment has a loss :math:`L_t` of its own, and :math:`L = \sum_t L_t`. The matrix :math:`W_h` was
# used at every step, so :math:`L_t` depends on it through *each* of the steps :math:`k \le t`. Pretend for a moment
# that each step had its own copy :math:`W_k`. Then :math:`L_t` depends on :math:`W_k` along one single path, over
# :math:`h_k, h_{k+1}, \dots, h_t`, and the chain rule says
#
# .. math:: \frac{\partial L}{\partial W_h} = \sum_{t=1}^{T} \sum_{k=1}^{t}
#           \frac{\partial L_t}{\partial h_t}
#           \left( \prod_{j=k+1}^{t} \frac{\partial h_j}{\partial h_{j-1}} \right)
#           \frac{\partial^+ h_k}{\partial W_h} ,
#           \qquad \frac{\partial h_j}{\partial h_{j-1}} = \mathrm{diag}(1 - h_j^2) \, W_h .
#
# The plus marks the *immediate* derivative: :math:`h_{k-1}` is held fixed (Werbos 1990; in this form Pascanu 2013,
# equations 3 to 5). This is the formula on the slides. Let us believe it word by word and type it in. To keep the
# eyes on the sum, the loss here is :math:`L_t = v_t \cdot h_t`, with random :math:`v_t`, so that
# :math:`\partial L_t / \partial h_t` is :math:`v_t`.

v = rng.normal(size=(T, H))


def sum_over_k(h, v, W_h):
    """The slide's formula: dL/dW_h (H, H), and how much each pair (t, k) contributed to it, (T, T)."""
    T = len(v)
    total, size = np.zeros_like(W_h), np.full((T, T), np.nan)
    for t in range(1, T + 1):
        for k in range(1, t + 1):
            product = np.eye(len(W_h))
            for j in range(k + 1, t + 1):
                product = np.diag(1 - h[j] ** 2) @ W_h @ product    # later factors stand to the left
            at_k = (v[t - 1] @ product) * (1 - h[k] ** 2)           # through the tanh of step k
            term = np.outer(at_k, h[k - 1])                         # W_h multiplied h_{k-1} there
            size[t - 1, k - 1] = np.linalg.norm(term)
            total += term
    return total, size


by_the_slide, contribution = sum_over_k(h, v, W_h)
print(by_the_slide.round(2))

# %%
# The terms themselves are worth a look. A row of the picture is a loss, a column is a moment whose step is to blame.
# (Step 1 is left out: there the matrix multiplied the zero that the network starts from.)

figure, axes = plt.subplots(figsize=(5.5, 4.5), layout="constrained")
image = axes.imshow(np.log10(contribution[:, 1:]), extent=(1.5, T + 0.5, T + 0.5, 0.5))
figure.colorbar(image, label="log10 of the term's norm")
axes.set(xlabel="k, the step at which the matrix was used", ylabel="t, the moment of the loss",
         title="The terms of the sum over t and k")
plt.show()

# %%
# It is bright along the diagonal and fades to the left: a loss says a lot about the step just taken and little about
# those long past. Each further step back is one more factor in the product. The next chapter is about nothing else.
#
# The same sum, in another order
# ------------------------------
# Three nested loops with matrix products in them: for a thousand steps that is more than a hundred million products.
# Yet they have nearly everything in common. Every path that leaves step :math:`k` for the future passes through
# :math:`h_k`. So give the sum of all that comes back along them a name,
#
# .. math:: \delta_k = \frac{\partial L}{\partial h_k} = \sum_{t \ge k} \frac{\partial L_t}{\partial h_t}
#           \prod_{j=k+1}^{t} \frac{\partial h_j}{\partial h_{j-1}} ,
#
# and take the first factor out of all terms but one. What is left in the bracket is :math:`\delta_{k+1}`:
#
# .. math:: \delta_k = \frac{\partial L_k}{\partial h_k} + W_h^\top \big( (1 - h_{k+1}^2) \odot \delta_{k+1} \big) .
#
# One walk from the end to the beginning, one vector carried along. This is *back-propagation through time*. It is not
# another formula, it is Horner's scheme for the one on the slide.


def backward(x, h, v, W_x, W_h):
    """dL/dh_t (T, H) arriving directly -> gradients of x, W_x, W_h, b."""
    d_x, d_W_x, d_W_h, d_b = np.zeros_like(x), np.zeros_like(W_x), np.zeros_like(W_h), np.zeros(len(W_h))
    d_h = np.zeros(len(W_h))
    for t in reversed(range(len(x))):
        d_h = d_h + v[t]                        # from this moment's loss, and from all later ones
        d_z = d_h * (1 - h[t + 1] ** 2)         # through tanh
        d_W_x += np.outer(d_z, x[t])
        d_W_h += np.outer(d_z, h[t])
        d_b += d_z
        d_x[t] = W_x.T @ d_z
        d_h = W_h.T @ d_z                       # to the step before
    return d_x, d_W_x, d_W_h, d_b


d_x, d_W_x, d_W_h, d_b = backward(x, h, v, W_x, W_h)
print(f"largest difference to the double sum: {np.abs(d_W_h - by_the_slide).max():.1e}")

# %%
# How much did that buy? Let us time both at growing lengths.

lengths, seconds = [4, 8, 16] if FAST else [4, 8, 16, 32, 64, 128], {"sum over t and k": [], "back-propagation": []}
for length in lengths:
    long_x, long_v = rng.normal(size=(length, D)), rng.normal(size=(length, H))
    long_h = forward(long_x, W_x, W_h, b)
    for name, run, given in (("sum over t and k", sum_over_k, (long_h, long_v, W_h)),
                             ("back-propagation", backward, (long_x, long_h, long_v, W_x, W_h))):
        start = time.perf_counter()
        run(*given)
        seconds[name].append(time.perf_counter() - start)

figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
for name, values in seconds.items():
    axes.loglog(lengths, values, "o-", label=name)
axes.set(xlabel="steps", ylabel="seconds", title="Same gradient, same hardware")
axes.legend()
plt.show()

# %%
# Against the tape
# ----------------
# The tape of chapter 1 knows nothing of time. It sees a long chain of products and sums in which one matrix happens to
# occur twelve times. The library's cell is one line of text; ``step`` runs that line on the tape.

rnn = cells.catalogue()["rnn"]
print(rnn)
parameters = {name: tg.tensor(value, requires_grad=True)
              for name, value in {"W_h_x": W_x, "W_h_h": W_h, "b_h": b}.items()}
inputs = tg.tensor(x, requires_grad=True)

state, loss = (tg.zeros((1, H), dtype=tg.float64),), 0.0
for t in range(T):
    state = rnn.step(parameters, inputs[t:t + 1], state)
    loss = loss + (state[0] * v[t]).sum()
loss.backward()

for name, ours, theirs in (("W_x", d_W_x, parameters["W_h_x"]), ("W_h", d_W_h, parameters["W_h_h"]),
                           ("b", d_b, parameters["b_h"]), ("x", d_x, inputs)):
    print(f"{name:4} largest difference to the tape: {np.abs(ours - theirs.grad.numpy()).max():.1e}")

# %%
# The library can also do what you have just done with pencil and paper: derive the adjoint equations from the text of
# the cell. Here, :math:`h'` is what stands inside the tanh. Find each line in ``backward`` above; they are all there.

print(rnn.equations(backward=True))

# %%
# And this is the layer that one uses in earnest. It runs the whole sequence, there and back, in compiled code that was
# generated from the same line of text. As in PyTorch it has two biases that are simply added, so one of them is set to
# zero here.

layer = nn.RNN(D, H).astype(tg.float64)
layer.load_state_dict({"weight_ih_l0": W_x, "weight_hh_l0": W_h, "bias_ih_l0": b, "bias_hh_l0": np.zeros(H)})
output, last = layer(tg.tensor(x))
(output * v).sum().backward()
print(f"states    {np.abs(output.numpy() - h[1:]).max():.1e}")
print(f"gradients {np.abs(layer.weight_hh_l0.grad.numpy() - d_W_h).max():.1e}")
assert np.allclose(layer.weight_hh_l0.grad.numpy(), d_W_h) and np.allclose(layer.weight_ih_l0.grad.numpy(), d_W_x)

# %%
# Finding structure in time
# -------------------------
# Elman's first experiment was a stream of bits in groups of three: two are tossed, the third is their exclusive or,
# 1 if they differ. ::
#
#     1 0 1   0 0 0   1 1 0   0 1 1   ...
#
# Nobody tells the network where a group begins. It is asked, at every bit, for the next one. Two out of three cannot
# be predicted by anybody. The third can, but only by someone who remembers two bits and knows how to combine them; no
# single bit helps at all.
#
# We train with our own two functions, written once more for a batch, so that 64 streams share each product. The answer
# is a probability, :math:`p_t = \sigma(V h_t + c)`, and the loss its cross-entropy with the bit that came. Its
# derivative with respect to what stands inside the sigmoid is :math:`p_t - y_t`, one of the pleasures of the subject.


def streams(count, groups, rng):
    """Bits (3 * groups, count, 1)."""
    tossed = rng.integers(0, 2, (groups, 2, count))
    return np.concatenate([tossed, tossed[:, :1] ^ tossed[:, 1:]], axis=1).reshape(3 * groups, count, 1).astype(float)


def learn(p, x, y):
    """Loss of each step and stream (T, B), and the gradients of the parameters."""
    T, B, _ = x.shape
    h = np.zeros((T + 1, B, len(p["b"])))
    for t in range(T):
        h[t + 1] = np.tanh(x[t] @ p["W_x"].T + h[t] @ p["W_h"].T + p["b"])
    logits = h[1:] @ p["V"].T + p["c"]                                      # (T, B, 1)
    loss = np.logaddexp(0, logits) - y * logits
    d_logits = (1 / (1 + np.exp(-logits)) - y) / (T * B)
    d = {name: np.zeros_like(value) for name, value in p.items()}
    d_h = np.zeros((B, len(p["b"])))
    for t in reversed(range(T)):
        d["V"] += d_logits[t].T @ h[t + 1]
        d["c"] += d_logits[t].sum(0)
        d_z = (d_h + d_logits[t] @ p["V"]) * (1 - h[t + 1] ** 2)
        d["W_x"] += d_z.T @ x[t]
        d["W_h"] += d_z.T @ h[t]
        d["b"] += d_z.sum(0)
        d_h = d_z @ p["W_h"]
    return loss[..., 0], d


def fresh(H, rng):
    """Parameters of a network of H units that reads and guesses bits."""
    return {"W_x": rng.normal(0, 1, (H, 1)), "W_h": rng.normal(0, 1 / math.sqrt(H), (H, H)), "b": np.zeros(H),
            "V": rng.normal(0, 1 / math.sqrt(H), (1, H)), "c": np.zeros(1)}


# %%
# The rule for the steps is Adam (Kingma and Ba 2015), again longhand: a running mean of the gradient, divided by the
# root of a running mean of its square.

rng = np.random.default_rng(1)
network = fresh(16, rng)
mean, square = ({name: np.zeros_like(value) for name, value in network.items()} for _ in range(2))
history = []
for step in range(1, 31 if FAST else 801):
    bits = streams(64, 7, rng)
    loss, gradient = learn(network, bits[:-1], bits[1:])
    history.append(loss.mean(1))
    for name, g in gradient.items():
        mean[name] = 0.9 * mean[name] + 0.1 * g
        square[name] = 0.999 * square[name] + 0.001 * g ** 2
        network[name] -= (0.01 * (mean[name] / (1 - 0.9 ** step))
                          / (np.sqrt(square[name] / (1 - 0.999 ** step)) + 1e-8))
history = np.array(history) / math.log(2)

# %%
# The mean over all bits would hide what happens. So, as Elman did, we look at where in its group a bit stands. On the
# right is the same network on streams that it has never seen and that are longer than any it was trained on.

bits = streams(500, 12, rng)
loss, _ = learn(network, bits[:-1], bits[1:])
predicted = np.arange(1, len(bits))             # the position of the bit that is being guessed

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.8), layout="constrained")
for place in range(3):
    left.plot(history[:, np.arange(1, 21) % 3 == place].mean(1), linewidth=0.8,
              label=["first bit", "second bit", "third bit: exclusive or"][place])
left.axhline(1, color="0.7", linestyle=":")
left.set(xlabel="step", ylabel="bits", title="Cost of a guess while learning", ylim=(0, 1.3))
left.legend()
right.bar(predicted, loss.mean(1) / math.log(2), color=[["C0", "C1", "C2"][k % 3] for k in predicted])
right.set(xlabel="position in the stream", ylabel="bits", title="Cost of a guess afterwards")
plt.show()

# %%
# The cost of the first two bits stays at one bit, which is what a toss of a coin is worth; no amount of training will
# change that. The third falls to nothing. The network has found out that there are groups, where they begin, and what
# they mean, from prediction alone.
#
# Exercises
# ---------
# Replace each ``raise`` by your answer and run the last cell. ``examples/solutions`` has ours.
#
# **1.** One step backwards, for a batch. Given the gradient that arrives at the new state, return those of all that the
# step was computed from: a list of :math:`dx, dh_{t-1}, dW_x, dW_h, db`.


def step_backward(d_h, x, h_prev, h, W_x, W_h):
    """d_h, h_prev, h (B, H), x (B, D) -> [d_x (B, D), d_h_prev (B, H), d_W_x (H, D), d_W_h (H, H), d_b (H,)]."""
    raise NotImplementedError


# %%
# **2.** Truncation. To save memory, or to learn while still reading, one lets each loss look back over a few steps
# only: keep those terms of the double sum for which :math:`t - k < K`. Return this part of :math:`dL/dW_h`. How large
# must :math:`K` be above until the result points where the full gradient points?


def truncated(h, v, W_h, K):
    """h (T + 1, H), v (T, H) -> (H, H)."""
    raise NotImplementedError


# %%
# **3.** Without looking back. *Real-time recurrent learning* (Williams and Zipser 1989) carries the derivative forwards
# along with the state: if :math:`P_t[a, i, j] = \partial h_t[a] / \partial W_h[i, j]`, then :math:`P_t` follows from
# :math:`P_{t-1}`. Return :math:`P_T`. It needs no memory of the past, however long. What does it cost instead?


def forwards(x, W_x, W_h, b):
    """x (T, D) -> (H, H, H)."""
    raise NotImplementedError


# %%
# The judge:


def check_step_backward(answer):
    """Against the tape."""
    import numpy as np

    import tinygrad_rnn as tg

    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape) for shape in ((4, 3), (4, 5), (5, 3), (5, 5), (5,))]
    x, h_prev, W_x, W_h, b = tensors = [tg.tensor(array, requires_grad=True) for array in arrays]
    h = tg.tanh(x @ W_x.T + h_prev @ W_h.T + b)
    d_h = rng.normal(size=(4, 5))
    h.backward(d_h)
    for mine, tensor in zip(answer(d_h, arrays[0], arrays[1], h.numpy().copy(), arrays[2], arrays[3]), tensors):
        np.testing.assert_allclose(mine, tensor.grad.numpy(), atol=1e-9)


def check_truncated(answer):
    """Against the terms themselves, and for a long view against the whole sum."""
    rng = np.random.default_rng(1)
    W_h, h, v = rng.normal(0, 0.5, (4, 4)), np.tanh(rng.normal(size=(8, 4))), rng.normal(size=(7, 4))
    for K in (1, 3, 7):
        expected = np.zeros((4, 4))
        for k in range(1, 8):                   # step k is seen by the losses k .. k + K - 1 alone
            seen = np.zeros_like(v)
            seen[k - 1:k - 1 + K] = v[k - 1:k - 1 + K]
            d_h = np.zeros(4)
            for j in range(7, k, -1):
                d_h = ((d_h + seen[j - 1]) * (1 - h[j] ** 2)) @ W_h
            expected += np.outer((d_h + seen[k - 1]) * (1 - h[k] ** 2), h[k - 1])
        np.testing.assert_allclose(answer(h, v, W_h, K), expected, atol=1e-9)


def check_forwards(answer):
    """Against walks backwards, one for each unit of the last state."""
    rng = np.random.default_rng(2)
    x, W_x, W_h, b = (rng.normal(0, 0.5, shape) for shape in ((6, 2), (4, 2), (4, 4), (4,)))
    h = forward(x, W_x, W_h, b)
    found = answer(x, W_x, W_h, b)
    for unit in range(4):
        v = np.zeros((6, 4))
        v[-1, unit] = 1
        np.testing.assert_allclose(found[unit], backward(x, h, v, W_x, W_h)[2], atol=1e-9)


EXERCISES = {step_backward: check_step_backward, truncated: check_truncated, forwards: check_forwards}

for exercise, check in EXERCISES.items():
    try:
        check(exercise)
        print(f"{exercise.__name__}: right")
    except NotImplementedError:
        print(f"{exercise.__name__}: still yours to write")
