r"""
The LSTM in six lines
=====================

A plain network rewrites its whole memory at every step. Imagine a notebook like that: to keep one telephone number, you
copy out every page, each time slightly wrong, whenever somebody speaks. The last chapter showed what becomes of the
number. A *long short-term memory* (Hochreiter and Schmidhuber 1997) leaves the page alone unless there is a reason not
to, and learns what a reason is.

It has a name for being complicated. It is six lines. Here you write them three times: longhand, as a declaration, and
(by not writing anything) as compiled code; then you derive the gradient and let the library derive it too; and at the
end you train one and watch it remember, add, erase and overwrite.
"""

# %%
# Six lines
# ---------
# Beside its output :math:`h` the network keeps a memory :math:`c`, the *cell*. Three gates, numbers between 0 and 1
# that it computes from what it sees, decide for each unit what happens to it:
#
# .. math::
#
#     \begin{aligned}
#     i_t &= \sigma(W_{ix} x_t + W_{ih} h_{t-1} + b_i) && \text{input gate: shall something enter?} \\
#     f_t &= \sigma(W_{fx} x_t + W_{fh} h_{t-1} + b_f) && \text{forget gate: shall the old stay?} \\
#     g_t &= \tanh(W_{gx} x_t + W_{gh} h_{t-1} + b_g)  && \text{candidate: what would enter} \\
#     o_t &= \sigma(W_{ox} x_t + W_{oh} h_{t-1} + b_o) && \text{output gate: shall it be seen?} \\
#     c_t &= f_t \odot c_{t-1} + i_t \odot g_t         && \text{the memory} \\
#     h_t &= o_t \odot \tanh(c_t)                      && \text{the output}
#     \end{aligned}
#
# The input and output gates are of 1997. The forget gate came with Gers 2000, when networks were asked to read streams
# without end and turned out unable to empty their pockets. In NumPy, line by line:

import os
import time

import matplotlib.pyplot as plt
import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import cells, nn, optim
from tinygrad_rnn.cells import Cell

FAST = os.environ.get("TINYGRAD_RNN_FAST") == "1"


def sigmoid(z):
    """The logistic function."""
    return 1 / (1 + np.exp(-z))


def longhand(x, p, H):
    """x (T, B, D), parameters by name -> all rows at all steps, {name: (T, B, H)}."""
    h, c = np.zeros((x.shape[1], H)), np.zeros((x.shape[1], H))
    kept = {name: [] for name in "ifgoch"}
    for x_t in x:
        i = sigmoid(x_t @ p["W_i_x"].T + h @ p["W_i_h"].T + p["b_i"])
        f = sigmoid(x_t @ p["W_f_x"].T + h @ p["W_f_h"].T + p["b_f"])
        g = np.tanh(x_t @ p["W_g_x"].T + h @ p["W_g_h"].T + p["b_g"])
        o = sigmoid(x_t @ p["W_o_x"].T + h @ p["W_o_h"].T + p["b_o"])
        c = f * c + i * g
        h = o * np.tanh(c)
        for name, row in zip("ifgoch", (i, f, g, o, c, h)):
            kept[name].append(row)
    return {name: np.array(rows) for name, rows in kept.items()}


# %%
# The declaration
# ---------------
# To the library a cell is text. ``W(x, h_prev)`` stands for a learned matrix on each of its arguments, ``b`` for a
# learned vector, ``b(1)`` for one that starts at 1; ``c_prev`` is ``c`` one step earlier, and by being mentioned makes
# ``c`` part of the state.

LSTM = Cell("""
    i = sigmoid(W(x, h_prev) + b)
    f = sigmoid(W(x, h_prev) + b(1))
    g = tanh(W(x, h_prev) + b)
    o = sigmoid(W(x, h_prev) + b)
    c = f*c_prev + i*g
    h = o*tanh(c)""", name="my_lstm")
assert cells.catalogue()["lstm"] == LSTM

print("states:", LSTM.states)
for name, shape in LSTM.parameter_shapes(input_size=3, hidden_size=8).items():
    print(f"  {name:6} {shape}")
print(f"{LSTM.parameter_count(3, 8)} numbers to learn, {LSTM.flops(3, 8)} operations a step")

# %%
# Everything else follows from the text. ``step`` is one step on the tape, for reading and for trying things out. A
# layer of the cell runs whole sequences in compiled code. All three must agree, and do:

T, B, D, H = 20, 4, 3, 8
layer = nn.Recurrent(LSTM, D, H, rng=0).astype(tg.float64)
p = {name.removesuffix("_l0"): value for name, value in layer.state_dict().items()}
x = np.random.default_rng(0).normal(size=(T, B, D))

rows = longhand(x, p, H)
state = (tg.zeros((B, H), dtype=tg.float64), tg.zeros((B, H), dtype=tg.float64))
tensors = {name: tg.tensor(value, requires_grad=True) for name, value in p.items()}
for x_t in x:
    state = LSTM.step(tensors, tg.tensor(x_t), state)
output, (h_last, c_last) = layer(tg.tensor(x))

print(f"longhand and step:     {np.abs(state[1].numpy() - rows['c'][-1]).max():.1e}")
print(f"longhand and compiled: {np.abs(output.numpy() - rows['h']).max():.1e}")
assert np.allclose(output.numpy(), rows["h"]) and np.allclose(state[0].numpy(), rows["h"][-1])

# %%
# Compiled from what? You can read it. ``source`` is the code that was generated from the six lines: a function for what
# follows the matrix products of a step, and one for its way back, each statement under the equation that it came from.
# This very text is translated to machine code, eight or sixteen units at a time.

print(LSTM.source().split('"""')[2])

# %%
# Here is what it buys: one step of training, forwards and backwards, for a layer of ordinary size.

sizes = (8, 8, 8, 16) if FAST else (50, 32, 64, 128)


def training_step(layer, x):
    """Forwards, and the gradients of everything."""
    layer.zero_grad()
    layer(x)[0].sum().backward()


seconds = {}
for name, fused in (("steps on the tape", False), ("compiled", True)):
    steps, batch, width, units = sizes
    timed = nn.Recurrent(LSTM, width, units, fused=fused, rng=0)
    sequence = tg.random.normal((steps, batch, width), rng=1)
    training_step(timed, sequence)
    rounds = []
    for _ in range(2 if FAST else 10):
        start = time.perf_counter()
        training_step(timed, sequence)
        rounds.append(time.perf_counter() - start)
    seconds[name] = min(rounds)
    print(f"{name:18} {1000 * seconds[name]:7.2f} ms")

# %%
# Backwards, by hand
# ------------------
# Write :math:`\delta c_t` for :math:`\partial L / \partial c_t`, and so on, and go through the six lines from the last
# to the first. Whoever appears on the right-hand side of a line receives what the left-hand side has, times the
# derivative. Two things are worth a pause.
#
# - :math:`c_t` is used twice: by :math:`h_t`, and by :math:`c_{t+1}`. So its gradient has two parts, and it must be
#   complete before anything is passed on.
# - :math:`\delta c_{t-1} = \delta c_t \odot f_t`. No matrix, no tanh. This line is the reason for all the others.


def by_hand(x, p, rows, d_output):
    """dL/dh_t (T, B, H) arriving directly -> gradients of the parameters, and dL/dc at each step (T, B, H)."""
    T, B, H = d_output.shape
    gradients = {name: np.zeros_like(value) for name, value in p.items()}
    d_h, d_c, all_d_c = np.zeros((B, H)), np.zeros((B, H)), np.zeros((T, B, H))
    for t in reversed(range(T)):
        i, f, g, o, c = (rows[name][t] for name in "ifgoc")
        c_prev, h_prev = (rows["c"][t - 1], rows["h"][t - 1]) if t else (np.zeros((B, H)), np.zeros((B, H)))

        d_h = d_h + d_output[t]
        d_c = d_c + d_h * o * (1 - np.tanh(c) ** 2)         # h = o * tanh(c)
        d_o = d_h * np.tanh(c)
        d_f, d_i, d_g = d_c * c_prev, d_c * g, d_c * i      # c = f * c_prev + i * g
        d_z = {"i": d_i * i * (1 - i), "f": d_f * f * (1 - f), "g": d_g * (1 - g ** 2), "o": d_o * o * (1 - o)}
        all_d_c[t] = d_c
        d_c = d_c * f
        d_h = sum(d_z[name] @ p[f"W_{name}_h"] for name in "ifgo")

        for name in "ifgo":
            gradients[f"W_{name}_x"] += d_z[name].T @ x[t]
            gradients[f"W_{name}_h"] += d_z[name].T @ h_prev
            gradients[f"b_{name}"] += d_z[name].sum(0)
    return gradients, all_d_c


# %%
# And this is what the library derives from the text. :math:`i'` is what stands inside the sigmoid of :math:`i`, our
# ``d_z["i"]``; ``+=`` adds to what came from later steps.

print(LSTM.equations(backward=True))

# %%
# A formula that was derived by a program can also be typeset by one. In a notebook a cell shows itself like this.


def typeset(axes, latex):
    """Lines of LaTeX, one below the other."""
    lines = latex.replace("\\begin{aligned}", "").replace("\\end{aligned}", "").strip().split("\\\\")
    for number, line in enumerate(lines):
        axes.text(0, 1 - number / 26, f"${line.replace('&', '').strip()}$", fontsize=11, va="top")
    axes.axis("off")


figure, (left, right) = plt.subplots(1, 2, figsize=(11, 7), layout="constrained")
typeset(left, LSTM.equations(latex=True))
typeset(right, LSTM.equations(latex=True, backward=True))
left.set_title("Declared", loc="left")
right.set_title("Derived", loc="left")
plt.show()

# %%
# Three ways to the same gradient: by hand, from the tape, from the compiled kernel.

cotangent = np.random.default_rng(1).normal(size=(T, B, H))
gradients, d_c = by_hand(x, p, rows, cotangent)
(output * cotangent).sum().backward()

state, loss = (tg.zeros((B, H), dtype=tg.float64), tg.zeros((B, H), dtype=tg.float64)), 0.0
for x_t, d in zip(x, cotangent):
    state = LSTM.step(tensors, tg.tensor(x_t), state)
    loss = loss + (state[0] * d).sum()
loss.backward()

worst = {"step": 0.0, "compiled": 0.0}
for name, mine in gradients.items():
    worst["step"] = max(worst["step"], np.abs(tensors[name].grad.numpy() - mine).max())
    worst["compiled"] = max(worst["compiled"], np.abs(getattr(layer, name + "_l0").grad.numpy() - mine).max())
print({name: f"{value:.1e}" for name, value in worst.items()})
assert max(worst.values()) < 1e-9

# %%
# Four verbs
# ----------
# What can one do to a register? Look at :math:`c_t = f_t c_{t-1} + i_t g_t` with the gates at their stops, as Grosse
# does in his lecture (Toronto, CSC 321):
#
# ===  ===  =========  ==============================
#  i    f    verb      memory
# ===  ===  =========  ==============================
#  0    1   remember   :math:`c_t = c_{t-1}`
#  1    1   add        :math:`c_t = c_{t-1} + g_t`
#  0    0   erase      :math:`c_t = 0`
#  1    0   overwrite  :math:`c_t = g_t`
# ===  ===  =========  ==============================
#
# That is arithmetic. But does a network that is *trained* use its gates so? Let us give it a job in which all four
# occur, and not a word about gates. At each step it reads a number :math:`v` and one of four commands. It shall output
# what a register would hold that obeys them. The loss compares outputs, nothing else.

VERBS = ("remember", "add", "erase", "overwrite")


def register(steps, batch, rng):
    """Inputs (steps, batch, 5): a number and a one-hot command; contents (steps, batch); commands (steps, batch)."""
    command = rng.choice(4, (steps, batch), p=[0.4, 0.25, 0.15, 0.2])
    v = rng.uniform(-1, 1, (steps, batch))
    content, held = np.zeros((steps, batch), np.float32), np.zeros(batch)
    for t in range(steps):
        held = np.choose(command[t], [held, held + v[t], 0 * held, v[t]])
        content[t] = held
    return np.concatenate([v[..., None], np.eye(4)[command]], -1).astype(np.float32), content, command


class Register(nn.Module):
    """Two units, and a number read off them. One would do, but finds it less often."""

    def __init__(self):
        super().__init__()
        self.memory = nn.Recurrent(LSTM, 5, 2, rng=1)
        self.out = nn.Linear(2, 1, rng=1)

    def forward(self, x):
        return self.out(self.memory(x)[0])[..., 0]


ROUNDS = 10 if FAST else 1500
model, rng, losses = Register(), np.random.default_rng(1), []
optimizer = optim.Adam(model.parameters(), lr=0.02)
schedule = optim.lr_scheduler.LinearLR(optimizer, start_factor=1.0, end_factor=0.02, total_iters=ROUNDS)
for _ in range(ROUNDS):
    x, content, _ = register(20, 64, rng)
    loss = ((model(tg.tensor(x)) - content) ** 2).mean()
    optimizer.zero_grad()
    loss.backward()
    optim.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    schedule.step()
    losses.append(loss.item())
print(f"mean squared error: {np.mean(losses[-20:]):.4f}, of a guess that is always 0: {(content ** 2).mean():.2f}")

# %%
# Now open the box. ``return_gates=True`` hands out every row of the equations at every step. Of the two units we look
# at the one whose memory goes closest with the register.

x, content, command = register(40, 250, rng)
output, _, (gates,) = model.memory(tg.tensor(x), return_gates=True)
gates = {name: row.numpy() for name, row in gates.items()}
likeness = [abs(np.corrcoef(gates["c"][..., unit].ravel(), content.ravel())[0, 1]) for unit in range(2)]
unit = int(np.argmax(likeness))
print(f"correlation of c with the register: {likeness[unit]:.3f}")
print("command       i     f")
for number, verb in enumerate(VERBS):
    chosen = command == number
    print(f"{verb:10} {gates['i'][..., unit][chosen].mean():5.2f} {gates['f'][..., unit][chosen].mean():5.2f}")

figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.5), layout="constrained", width_ratios=(1, 1.7))
for number, verb in enumerate(VERBS):
    chosen = command == number
    left.plot(gates["i"][..., unit][chosen], gates["f"][..., unit][chosen], ".", alpha=0.4, markersize=5, label=verb)
left.set(xlabel="input gate i", ylabel="forget gate f", xlim=(-0.05, 1.05), ylim=(-0.05, 1.05),
         title="Where the gates stand at each command")
left.legend(loc="center")

row = 0
right.step(np.arange(40), content[:, row], where="post", color="0.7", linewidth=4, label="the register")
right.step(np.arange(40), model(tg.tensor(x[:, row:row + 1])).numpy()[:, 0], where="post", color="k", label="the LSTM")
for number, verb in enumerate(VERBS[1:], 1):
    at = np.flatnonzero(command[:, row] == number)
    right.plot(at, content[at, row], "o", color=f"C{number}", label=verb)
right.set(xlabel="step", title="One sequence, twice as long as those in training")
right.legend(ncols=2, fontsize=8)
plt.show()

# %%
# Nobody has told the network what its gates are for. It found the four corners of the table by itself, since a register
# is what the loss asked for and a register is what the six lines are good at. Real texts ask for something vaguer, and
# there the gates stand mostly somewhere in the middle; but closing quotation marks, indentation and the length of a
# line have been found in single cells of trained networks (Karpathy 2015).
#
# Exercises
# ---------
# Replace each ``raise`` by your answer and run the last cell. ``examples/solutions`` has ours.
#
# **1.** What is in the memory, and since when? If it began at 0, then :math:`c_T` is a weighted sum of all candidates
# so far, :math:`c_T = \sum_k w_k \, g_k`. Return the weights for one unit, given its gates.


def weights_of_the_past(i, f):
    """i, f (T,) -> w (T,)."""
    raise NotImplementedError


# %%
# **2.** Peepholes (Gers and Schmidhuber 2000) let the gates look at the memory itself: :math:`p_i \odot c_{t-1}` is
# added inside the sigmoid of :math:`i`, :math:`p_f \odot c_{t-1}` in that of :math:`f`, and :math:`p_o \odot c_t` in
# that of :math:`o`. Three more roads lead to a :math:`c`. Given what arrives at :math:`h_t` and, from the next step, at
# :math:`c_t`, return :math:`\delta c_{t-1}`. Mind the order: one of the roads ends at :math:`c_t` itself.


def peephole_backward(d_h, d_c, i, f, g, o, c_prev, c, p_i, p_f, p_o):
    """All (H,) -> d_c_prev (H,)."""
    raise NotImplementedError


# %%
# **3.** The bill. Sak 2014 hands on a projection of the output, :math:`h_t = W_m \, (o_t \odot \tanh c_t)` with
# :math:`P < H` numbers, so that the recurrent matrices become narrower. How many numbers does such an LSTM learn? (For
# H = 1000, D = P = 200: three eighths of what it was.)


def projected_size(D, H, P):
    """Widths of input, memory and output -> an int."""
    raise NotImplementedError


# %%
# The judge:


def check_weights_of_the_past(answer):
    """Against the recurrence."""
    rng = np.random.default_rng(0)
    i, f, g = rng.uniform(size=(3, 12))
    c = 0.0
    for t in range(12):
        c = f[t] * c + i[t] * g[t]
    found = answer(i, f)
    assert np.shape(found) == (12,)
    assert abs(found @ g - c) < 1e-12
    assert abs(found[0] - i[0] * f[1:].prod()) < 1e-12


def check_peephole_backward(answer):
    """Against the tape."""
    import tinygrad_rnn as tg

    rng = np.random.default_rng(1)
    z_i, z_f, z_g, z_o, start, p_i, p_f, p_o, d_h, d_c = rng.normal(size=(10, 6))
    c_prev = tg.tensor(start, requires_grad=True)
    i, f, g = tg.sigmoid(p_i * c_prev + z_i), tg.sigmoid(p_f * c_prev + z_f), np.tanh(z_g)
    c = f * c_prev + i * g
    o = tg.sigmoid(p_o * c + z_o)
    (o * tg.tanh(c) * d_h + c * d_c).sum().backward()
    i, f, o, c = (row.detach().numpy().copy() for row in (i, f, o, c))
    np.testing.assert_allclose(answer(d_h, d_c, i, f, g, o, start, c, p_i, p_f, p_o), c_prev.grad.numpy(), atol=1e-9)


def check_projected_size(answer):
    """Against the catalogue, whose projection is half as wide as the memory."""
    from tinygrad_rnn import cells

    for D, H in ((3, 8), (64, 128)):
        assert answer(D, H, H // 2) == cells.catalogue()["lstm_projection"].parameter_count(D, H)
    assert answer(200, 1000, 200) == 4 * 1000 * 401 + 200_000


EXERCISES = {weights_of_the_past: check_weights_of_the_past, peephole_backward: check_peephole_backward,
             projected_size: check_projected_size}

for exercise, check in EXERCISES.items():
    try:
        check(exercise)
        print(f"{exercise.__name__}: right")
    except NotImplementedError:
        print(f"{exercise.__name__}: still yours to write")
