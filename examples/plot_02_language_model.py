r"""
A character language model
==========================

Guess the next letter of this senten... You knew it, since you know English. A program that is good at this game must
have picked up something of spelling, of grammar, of what texts are about, for everything that makes a text predictable
helps. Nobody has to label anything: the text itself says what came next.

This chapter trains such a program on the documentation that comes with every Python, reads off how much it has learned,
and lets it write. It is what ``tinygrad-rnn train`` does, laid open.
"""

# %%
# The text
# --------
# Half a million characters, of about a hundred kinds. A vocabulary gives each kind a number; the last tenth of the text
# is put aside, and the model will never see it before we judge it.

import inspect
import math
import os
from collections import Counter

import matplotlib.pyplot as plt
import numpy as np

from tinygrad_rnn import nn, optim
from tinygrad_rnn.data import Vocabulary, Windows, python_topics, split
from tinygrad_rnn.metrics import perplexity
from tinygrad_rnn.models import LanguageModel, detach, evaluate, sample
from tinygrad_rnn.train import smoothed

FAST = os.environ.get("TINYGRAD_RNN_FAST") == "1"
HIDDEN, STEPS = (32, 25) if FAST else (256, 600)

text = python_topics()
vocabulary = Vocabulary(Counter(text))
learned, held_out = split(vocabulary.encode(text))
print(f"{len(text):,} characters, {len(vocabulary)} different; the commonest: {vocabulary.tokens[:12]}")
print(text[2000:2300])

# %%
# How well can one guess without a network?
# -----------------------------------------
# If the model gives probability :math:`p` to the character that comes, it pays :math:`-\log_2 p` bits. The mean over
# the text is the *cross-entropy*; measured in nats (natural logarithm) it is the loss we shall minimise. Two to the
# power of the bits is the *perplexity*: the number of equally likely characters that would be as hard to guess among.
#
# Three guessers set the scale: one that knows nothing; one that has counted characters; one that has counted pairs,
# and so looks back by one character.

V = len(vocabulary)
unigram = (np.bincount(learned, minlength=V) + 0.1) / (len(learned) + 0.1 * V)
pairs = np.full((V, V), 0.1)
np.add.at(pairs, (learned[:-1], learned[1:]), 1)
bigram = pairs / pairs.sum(1, keepdims=True)

baselines = {
    "all alike": math.log2(V),
    "counted": -np.log2(unigram[held_out[1:]]).mean(),
    "pairs counted": -np.log2(bigram[held_out[:-1], held_out[1:]]).mean(),
}
for name, bits in baselines.items():
    print(f"{name:14} {bits:.2f} bits/char, perplexity {2 ** bits:.1f}")

# %%
# The model
# ---------
# A recurrent network looks back further, by as much as it can keep in its memory. A character :math:`x_t` becomes a
# vector :math:`e_t`, a row of a table; an LSTM reads the vectors one by one and updates its memory :math:`(h_t,
# c_t)`; a linear layer turns :math:`h_t` into a score for each character, and softmax makes probabilities of the
# scores:
#
# .. math:: e_t = E_{x_t}, \qquad (h_t, c_t) = \mathrm{LSTM}(e_t, h_{t-1}, c_{t-1}), \qquad
#           p(x_{t+1} \mid x_1 \dots x_t) = \mathrm{softmax}(W h_t + b) .
#
# In the library these are the lines:

print(inspect.getsource(LanguageModel.forward))
model = LanguageModel(V, embedding=64, hidden=HIDDEN, rng=0)
print(model)

# %%
# Reading in windows
# ------------------
# The text is one sequence of half a million steps, far too long to keep a tape of. *Truncated* back-propagation
# through time cuts it into windows. The memory is carried from one window into the next, so the model goes on
# remembering; the tape is not, so gradients end at the window's edge. And since 32 rows in a matrix product cost
# little more than one, the text is read as 32 parallel streams.

windows = Windows(learned, seq_len=64, batch=32)
x, y = windows[0]
print(f"{len(windows)} windows of shape {x.shape}; the first stream begins")
print("  input ", repr("".join(vocabulary.decode(x[:24, 0]))))
print("  target", repr("".join(vocabulary.decode(y[:24, 0]))))

# %%
# Training
# --------
# Everything comes together here. The lines to look at twice are ``detach``, which is the truncation; the clipping of
# the gradient's norm, without which one bad window can undo a hundred good ones; and the learning rate, which falls
# to nothing on a straight line, because the noise of large steps is all that stands between the model and its last
# tenth of a bit.

optimizer = optim.Adam(model.parameters(), lr=4e-3)
schedule = optim.lr_scheduler.LinearLR(optimizer, start_factor=1.0, end_factor=0.0, total_iters=STEPS)
losses = []
while len(losses) < STEPS:
    state = None
    for x, y in windows:
        logits, state = model(x, state)
        loss = nn.functional.cross_entropy(logits, y, axis=-1)
        optimizer.zero_grad()
        loss.backward()
        optim.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        state = detach(state)
        losses.append(loss.item())
        if len(losses) == STEPS:
            break

judged = evaluate(model, held_out[:5_000] if FAST else held_out)
print(f"held out: {judged.nats:.3f} nats, {judged.bits:.3f} bits/char, perplexity {judged.perplexity:.2f}")

# %%
# The curve falls fast while the model learns which characters are common and which follow which. Then it crosses the
# line of the pair counter and goes on below it: what it gains from there, it gains by remembering more than one
# character.

bits = np.array(losses) / math.log(2)
figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
axes.plot(bits, color="0.8", linewidth=0.8, label="each window")
axes.plot(smoothed(bits), label="moving average")
for level, (name, value) in enumerate(baselines.items()):
    axes.axhline(value, color=f"C{level + 2}", linestyle=":", label=name)
axes.axhline(judged.bits, color="C1", linestyle="--", label="held out, at the end")
axes.set(xlabel="window", ylabel="bits/char", ylim=(0, None), title="How hard the next character is to guess")
axes.legend(ncols=2)
plt.show()

# %%
# Where is it surprised?
# ----------------------
# The mean hides the interesting part. Let us look at a stretch of held-out text, each character on a ground as dark as
# the bits it cost. Beginnings of words are dear, their endings cheap; a closing bracket is hardly ever a surprise.

stretch = held_out[1000:1241]
logits, _ = model(stretch[:-1, None])
cost = nn.functional.cross_entropy(logits, stretch[1:, None], reduction="none", axis=-1).numpy()[:, 0] / math.log(2)

figure, axes = plt.subplots(figsize=(10, 3), layout="constrained")
columns = 60
shown = "".join(vocabulary.decode(stretch[1:])).replace("\n", "↵")
axes.imshow(cost.reshape(-1, columns), cmap="Blues", vmin=0, vmax=10, aspect="auto")
for k, character in enumerate(shown):
    axes.text(k % columns, k // columns, character, ha="center", va="center", fontsize=9, family="monospace",
              color="white" if cost[k] > 6 else "black")
axes.axis("off")
axes.set_title("Bits that each character cost (white: none, dark: ten and more)")
plt.show()

# %%
# Let it write
# ------------
# To write is to play the game against oneself: draw a character from the prediction, take it as given, predict the
# next. The *temperature* :math:`\tau` sharpens or flattens the distribution before the draw,
#
# .. math:: p_i \propto \exp(z_i / \tau) .
#
# At 0 the likeliest character always wins, and the model soon talks in circles. At 1 it speaks as it believes. Above,
# it stammers.

for temperature in (0, 0.5, 1.0):
    ids = sample(model, vocabulary.encode("The "), 60 if FAST else 240, temperature, rng=1)
    print(f"--- temperature {temperature}\nThe {''.join(vocabulary.decode(list(ids)))}\n")

# %%
# The probabilities themselves show what temperature does. Here is what the model expects after ``"The "``:

logits, _ = model(vocabulary.encode("The ")[:, None])
z = logits.numpy()[-1, 0].astype(float)
likeliest = np.argsort(-z)[:15]
figure, axes = plt.subplots(figsize=(8, 3), layout="constrained")
for place, temperature in enumerate((0.5, 1.0, 2.0)):
    p = np.exp((z - z.max()) / temperature)
    axes.bar(np.arange(15) + 0.28 * (place - 1), (p / p.sum())[likeliest], 0.28, label=f"temperature {temperature}")
names = [repr(token)[1:-1].replace(" ", "␣") for token in vocabulary.decode(likeliest)]
axes.set_xticks(range(15), names, family="monospace")
axes.set(ylabel="probability", title="What comes after 'The '")
axes.legend()
plt.show()

# %%
# On the command line the same is ``tinygrad-rnn train``, with checkpoints that survive Ctrl-C, a progress bar, and
# your own text if you name one. Give it five minutes, or a text you love.
#
# Exercises
# ---------
# Replace each ``raise`` by your answer and run the last cell. ``examples/solutions`` has ours.
#
# **1.** The gradient of the loss. For one position with scores :math:`z` and target :math:`k`,
# :math:`L = -\log \mathrm{softmax}(z)_k`. Return :math:`dL/dz` in NumPy, without overflow for any scores.


def loss_gradient(z, k):
    """z (V,) float64, k an int -> dL/dz (V,)."""
    raise NotImplementedError


# %%
# **2.** The pair counter above looks back by one character. Write one that looks back by two, with each count begun at
# 0.1 as above, and return its perplexity on a second text. By how many bits does it beat the pair counter on our
# held-out text, and how many are left if it learns from the first 20,000 characters only?


def trigram_perplexity(learned, judged, V):
    """Two arrays of ids (N,), (M,), V kinds of them -> perplexity of judged[2:], each given the two before it."""
    raise NotImplementedError


# %%
# **3.** Clipping. Given a list of arrays and a limit, return the list that ``optim.clip_grad_norm_`` would leave. All
# arrays together are one long vector, and they share one factor; if each were clipped alone, the step would point
# elsewhere.


def clipped(gradients, limit):
    """Arrays of any shapes -> arrays of the same shapes."""
    raise NotImplementedError


# %%
# The judge:


def check_loss_gradient(answer):
    """Against the tape, at ordinary scores and at extreme ones."""
    import tinygrad_rnn as tg

    for scale in (1.0, 1000.0):
        z = tg.tensor(scale * np.random.default_rng(0).normal(size=9), requires_grad=True)
        nn.functional.cross_entropy(z.reshape(1, 9), np.array([4]), axis=-1).backward()
        np.testing.assert_allclose(answer(z.numpy().copy(), 4), z.grad.numpy(), atol=1e-9)


def check_trigram(answer):
    """Against a loop over the text, one character at a time, with the library's perplexity of its guesses."""
    rng = np.random.default_rng(1)
    first, second = rng.choice(4, 500, p=[0.5, 0.3, 0.1, 0.1]), rng.choice(4, 80)
    counts = Counter(zip(first, first[1:], first[2:]))
    log_probs = []
    for a, b, c in zip(second, second[1:], second[2:]):
        total = sum(counts[a, b, k] + 0.1 for k in range(4))
        log_probs.append(math.log((counts[a, b, c] + 0.1) / total))
    assert abs(answer(first, second, 4) - perplexity(log_probs=log_probs)) < 1e-9


def check_clipped(answer):
    """Against the library, above the limit and below it."""
    import tinygrad_rnn as tg

    for limit in (0.5, 100.0):
        parameters = [tg.tensor(np.zeros(shape), requires_grad=True) for shape in ((3, 2), (4,))]
        gradients = [np.random.default_rng(2).normal(size=parameter.shape) for parameter in parameters]
        for parameter, gradient in zip(parameters, gradients):
            parameter.grad = tg.tensor(gradient)
        optim.clip_grad_norm_(parameters, limit)
        for mine, parameter in zip(answer(gradients, limit), parameters):
            np.testing.assert_allclose(mine, parameter.grad.numpy(), rtol=1e-5)


EXERCISES = {loss_gradient: check_loss_gradient, trigram_perplexity: check_trigram, clipped: check_clipped}

for exercise, check in EXERCISES.items():
    try:
        check(exercise)
        print(f"{exercise.__name__}: right")
    except NotImplementedError:
        print(f"{exercise.__name__}: still yours to write")
