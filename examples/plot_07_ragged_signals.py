r"""
Signals of any length
=====================

Up to now all sequences in a batch were equally long. Little in the world is: a heartbeat is as long as it is, a word
takes the time it takes, a machine is switched off in the middle. Three questions follow. How do sequences of different
lengths share one array? How does a network not read what is not there? And how is little time wasted on it?

Here you put ragged signals into batches, train a classifier that tells three kinds of whistles apart, look at what goes
wrong if nobody tells it the lengths, and find out how early it knows.
"""

# %%
# Three kinds of whistles
# -----------------------
# A signal is a tone in noise, sampled at two microphones, a quarter of a period apart. Its pitch rises, falls, or stays
# where it is. It starts anywhere, at any phase, and lasts between 30 and 150 samples. No single sample says which kind
# it is; two neighbours give a guess at the pitch of the moment; only memory compares two moments.

import os
import time

import matplotlib.pyplot as plt
import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import cells, data, nn, optim

FAST = os.environ.get("TINYGRAD_RNN_FAST") == "1"
KINDS = ("rises", "falls", "stays")


def whistle(kind, rng):
    """A kind (0, 1, 2) -> a signal (T, 2), float32."""
    T = rng.integers(30, 151)
    change = (0.5, -0.5, 0.0)[kind] * rng.uniform(0.6, 1.4)
    pitch = rng.uniform(0.6, 1.0) + change * np.linspace(-0.5, 0.5, T)       # radians a sample
    phase = rng.uniform(0, 2 * np.pi) + np.cumsum(pitch)
    tone = np.stack([np.sin(phase), np.cos(phase)], 1)
    return (tone + rng.normal(0, 0.3, tone.shape)).astype(np.float32)


def collection(n, seed):
    """n signals of random kinds, and the kinds."""
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, 3, n)
    return [whistle(kind, rng) for kind in kinds], kinds


signals, kinds = collection(200 if FAST else 2000, seed=1)
unheard, unheard_kinds = collection(100 if FAST else 500, seed=2)

figure, panels = plt.subplots(3, 1, figsize=(8, 4), sharex=True, sharey=True, layout="constrained")
for kind, panel in enumerate(panels):
    panel.plot(signals[int(np.argmax(kinds == kind))], linewidth=1)
    panel.set_ylabel(KINDS[kind])
panels[-1].set_xlabel("sample")
plt.show()

# %%
# Side by side
# ------------
# An array has one length. So the shorter signals are filled up, and a second array says how long each really is. Time
# is the first axis, rows of the batch are the second:

x, lengths = data.pad(signals[:5])
print(x.shape, lengths)
assert all(np.array_equal(a, b) for a, b in zip(data.unpad(x, lengths), signals))

# %%
# A recurrent layer that is told the lengths promises four things: the output beyond a length is exactly 0; the final
# state is that of the last *real* step; what stands in the padding is never read, be it a NaN; and no gradient comes
# from there. In which order the lengths come does not matter, nor is there a special type for such a batch.

layer = nn.GRU(2, 8, rng=1)
poisoned = x.copy()
for row, length in enumerate(lengths):
    poisoned[length:, row] = np.nan
output, h = layer(poisoned, lengths=lengths)
assert not any(output.numpy()[length:, row].any() for row, length in enumerate(lengths))
np.testing.assert_array_equal(h.numpy()[0], np.stack([output.numpy()[n - 1, row] for row, n in enumerate(lengths)]))
print("NaN in the padding, none in the result:", bool(np.isfinite(output.numpy()).all()))

# %%
# A row neither knows nor cares who else is in its batch. Alone it gives the same bits. (Only NumPy's products, which
# stand in for the kernels under ``NUMBA_DISABLE_JIT=1``, promise none.)

alone, _ = layer(signals[2][:, None])
compiled = os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0")
np.testing.assert_allclose(alone.numpy()[:, 0], output.numpy()[:lengths[2], 2], rtol=0, atol=0 if compiled else 1e-6)

# %%
# Batches that waste little
# -------------------------
# The longest row decides how long a batch takes. If a whistle of 30 samples stands beside one of 150, four fifths of
# its row are filling. ``data.batches`` therefore shuffles the signals, sorts them by length within pools of some
# batches, and shuffles the batches. Each pass is another random order, and the rows of a batch are about equally long.


def filling(batches):
    """The share of a pass that is padding."""
    padded = [(batch.x.shape[0] * batch.x.shape[1], batch.lengths.sum()) for batch in batches]
    total, real = np.sum(padded, 0)
    return 1 - real / total


for pool in (1, 5, 50):
    batches = data.batches(signals, kinds, 32, pool=pool, rng=0)
    print(f"sorted within {pool:2} batches: {filling(batches):.0%} filling")

# %%
# The classifier
# --------------
# A GRU listens; its last state goes through one matrix to a score for each kind:
#
# .. math:: p(\text{kind} \mid x_1 \dots x_T) = \operatorname{softmax}(W h_T + b) .
#
# That is all. ``lengths`` sees to it that :math:`h_T` is the state after the last real sample of each row.


class Listener(nn.Module):
    """Signals -> scores of their kinds."""

    def __init__(self, layer, rng):
        super().__init__()
        self.layer, self.head = layer, nn.Linear(32, 3)
        self.initialise(rng)

    def forward(self, x, lengths=None):
        """x (T, B, 2), lengths (B,) -> scores (B, 3)."""
        _, (*_, h) = self.layer(x, lengths=lengths)
        return self.head(h)

    def at_every_step(self, x):
        """x (T, B, 2) -> the scores after each sample, (T, B, 3)."""
        return self.head(self.layer(x)[0])


def trained(model, told=True, passes=2 if FAST else 10):
    """Train on the signals; told: is the network told the lengths?  Prints how long it took."""
    optimizer = optim.Adam(model.parameters(), lr=1e-2)
    begun = time.perf_counter()
    batches = data.batches(signals, kinds, 32, rng=0)
    for _ in range(passes):
        for x, lengths, y in batches:
            loss = nn.functional.cross_entropy(model(x, lengths if told else None), y)
            optimizer.zero_grad()
            loss.backward()
            optim.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
    print(f"{passes} passes in {time.perf_counter() - begun:.1f} s, last loss {loss.item():.3f} nats")
    return model.eval()


@tg.no_grad()
def accuracy(model, told=True):
    """Share of the unheard signals whose kind is found."""
    right = 0
    for x, lengths, y in data.batches(unheard, unheard_kinds, 50, shuffle=False):
        right += int((model(x, lengths if told else None).numpy().argmax(-1) == y).sum())
    return right / len(unheard)


listener = trained(Listener(nn.GRU(2, 32), rng=1))
print(f"{accuracy(listener):.0%} of unheard signals, a third would be chance")

# %%
# What if nobody tells it
# -----------------------
# Without lengths the network goes on listening: to silence, a run of zeros after each signal. What it knew has to
# survive that, and how long the silence lasts depends on who else is in the batch. So a verdict can change with the
# company. Take the shorter signals, once among themselves and once beside a long one:

deaf = trained(Listener(nn.GRU(2, 32), rng=1), told=False)
short = [signal for signal in unheard if len(signal) <= 75]
long = [np.zeros((150, 2), np.float32)]

with tg.no_grad():
    for name, model, told in (("told the lengths", listener, True), ("not told", deaf, False)):
        verdicts = []
        for company in ([], long):
            x, lengths = data.pad(short + company)
            verdicts.append(model(x, lengths if told else None).numpy()[:len(short)].argmax(-1))
        changed = np.mean(verdicts[0] != verdicts[1])
        print(f"{name}: {accuracy(model, told):.0%} right; {changed:.0%} of the verdicts on short signals change with "
              "the company")

# %%
# How early does it know?
# -----------------------
# The classifier was only ever asked at the end. But the same matrix can be held to every state on the way. Here is how
# often the best guess is right when so much of the signal has been heard:

with tg.no_grad():
    heard = np.linspace(0.05, 1, 20)
    right = np.zeros((len(unheard), len(heard)))
    for row, (signal, kind) in enumerate(zip(unheard, unheard_kinds)):
        guesses = listener.at_every_step(signal[:, None]).numpy()[:, 0].argmax(-1)
        right[row] = guesses[np.maximum((heard * len(signal)).astype(int), 1) - 1] == kind

figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
for kind, name in enumerate(KINDS):
    axes.plot(heard, right[unheard_kinds == kind].mean(0), label=name)
axes.axhline(1 / 3, color="grey", linewidth=0.8, linestyle=":")
axes.set(xlabel="share of the signal heard", ylabel="guesses that are right", ylim=(0, 1.03))
axes.legend()
plt.show()

# %%
# In both directions
# ------------------
# If the whole signal is there before an answer is due, a second network may read it from its end, each row from its own
# last sample. That is one word, ``bidirectional``; the two last states of 16 numbers together are as wide as the one
# of 32. Any cell will do: here one gate less, and dropout inside the recurrence, with one mask a signal.


class BothWays(Listener):
    """The last states of both directions side by side."""

    def forward(self, x, lengths=None):
        """x (T, B, 2), lengths (B,) -> scores (B, 3)."""
        _, (h,) = self.layer(x, lengths=lengths)
        return self.head(tg.concat([h[0], h[1]], -1))       # (2, B, 16) -> (B, 32)


mgu = nn.Recurrent(cells.catalogue()["mgu"], 2, 16, bidirectional=True, variational_dropout=(0.0, 0.1, 0.0))
print(f"{accuracy(trained(BothWays(mgu, rng=1))):.0%}")

# %%
# Exercises
# ---------
# Replace each ``raise`` by your answer and run the last cell. ``examples/solutions`` has ours.
#
# **1.** The last state is one way to sum up a signal; the mean of all states is another, which forgets nothing. Return
# the mean over the real steps of each row.


def mean_of_states(output, lengths):
    """output (T, B, H), whatever stands beyond the lengths (B,) -> (B, H)."""
    raise NotImplementedError


# %%
# **2.** A second network that reads backwards begins at each row's last real step. Turn the rows round, each within its
# own length, and leave zeros behind them.


def turned(x, lengths):
    """x (T, B, D), lengths (B,) -> (T, B, D)."""
    raise NotImplementedError


# %%
# **3.** How much can sorting save at most? Given the lengths of all signals and the size of a batch, return the
# smallest share of filling that any division into batches has. If the number of signals does not divide, one batch is
# smaller; which one is yours to choose. (Signals of 100, 1 and 1 samples, two a batch, need no filling at all.)


def least_filling(lengths, batch):
    """lengths (N,), an int -> a float."""
    raise NotImplementedError


# %%
# The judge:


def check_mean_of_states(answer):
    """Row by row; the padding is poisoned."""
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=(n, 4)) for n in (5, 1, 9, 3)]
    output, lengths = data.pad(rows, np.nan)
    np.testing.assert_allclose(answer(output, lengths), [row.mean(0) for row in rows], atol=1e-12)


def check_turned(answer):
    """Row by row."""
    rng = np.random.default_rng(1)
    rows = [rng.normal(size=(n, 3)) for n in (2, 7, 1, 7, 4)]
    x, lengths = data.pad(rows)
    np.testing.assert_array_equal(answer(x, lengths), data.pad([row[::-1] for row in rows])[0])


def check_least_filling(answer):
    """Small cases by hand, and one by trying every order."""
    from itertools import permutations

    assert abs(answer(np.array([1, 2, 3, 4]), 2) - 2 / 12) < 1e-9
    assert abs(answer(np.array([1, 100, 1]), 2)) < 1e-9
    lengths = np.array([9, 2, 7, 7, 4, 1, 3])
    sizes = [3, 1, 3], [1, 3, 3]
    cuts = [np.split(np.array(order), np.cumsum(size)[:-1]) for order in permutations(lengths) for size in sizes]
    best = min(sum(len(group) * group.max() for group in cut) for cut in cuts)
    assert abs(answer(lengths, 3) - (1 - lengths.sum() / best)) < 1e-9


EXERCISES = {mean_of_states: check_mean_of_states, turned: check_turned, least_filling: check_least_filling}

for exercise, check in EXERCISES.items():
    try:
        check(exercise)
        print(f"{exercise.__name__}: right")
    except NotImplementedError:
        print(f"{exercise.__name__}: still yours to write")
