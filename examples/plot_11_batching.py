r"""
Sentences in batches
====================

A translator learns from pairs of sentences, and no two pairs need be equally long. A batch is as wide as its longest
sentence; what stands beyond the others is padding, computed and thrown away. Which sentences share a batch therefore
decides how long a pass takes, and, since a step follows the mean of its batch, also what a step learns from.

Here you write the lecture's Algorithm 1, count what its strategies waste, stop in the middle of a pass and go on, and
race the strategies against each other.
"""

# %%
# Pairs of many lengths
# ---------------------
# The source is a string of letters, most of them short, some long. The target is the same backwards, in which a letter
# that stands twice in a row is said once: so it is a little shorter, by how much depends on the text.

import os
import time

import matplotlib.pyplot as plt
import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import data, models, optim

FAST = os.environ.get("TINYGRAD_RNN_FAST") == "1"
BEGIN, END, LETTERS = 0, 1, 8


def pair(rng):
    """A source of 2 to 40 letters, and its target between BEGIN and END."""
    n = int(np.clip(rng.lognormal(2.2, 0.6), 2, 40))
    source = rng.integers(2, 2 + LETTERS, n)
    backwards = source[::-1]
    target = backwards[np.append(True, backwards[1:] != backwards[:-1])]
    return source, np.concatenate([[BEGIN], target, [END]])


rng = np.random.default_rng(0)
sources, targets = zip(*(pair(rng) for _ in range(300 if FAST else 3000)))
lengths = np.array([len(s) for s in sources])
others = np.array([len(t) for t in targets])
print(f"{len(sources)} pairs, sources of {lengths.min()} to {lengths.max()} letters, {lengths.mean():.1f} on average")

figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
axes.hist(lengths, bins=np.arange(1.5, 41))
axes.set(xlabel="letters of the source", ylabel="pairs")
plt.show()

# %%
# Algorithm 1
# -----------
# Shuffle; sort, if the strategy wants it; cut; shuffle the batches; pad. The first shuffle matters although a sort
# follows: it is stable, so pairs of one length meet others in every pass. The last one matters too: without it a pass
# would begin with the short sentences and end with the long ones.


def algorithm_1(keys, batch_size, rng):
    """Which pairs stand in each batch. keys: arrays to sort by, the most important first."""
    pairs = rng.permutation(len(lengths))
    for key in reversed(keys):
        pairs = pairs[np.argsort(key[pairs], kind="stable")]
    batches = [pairs[k:k + batch_size] for k in range(0, len(pairs), batch_size)]
    return [batches[k] for k in rng.permutation(len(batches))]


def padding(batches, lengths):
    """Share of a padded side that is padding."""
    padded = sum(len(batch) * lengths[batch].max() for batch in batches)
    return 1 - lengths.sum() / padded


STRATEGIES = {"shuffle": (), "source": (lengths,), "target": (others,), "source-target": (lengths, others),
              "target-source": (others, lengths)}
print("strategy        padding of sources, of targets")
for name, keys in STRATEGIES.items():
    cut = algorithm_1(keys, 50, np.random.default_rng(1))
    print(f"{name:14}  {padding(cut, lengths):17.1%} {padding(cut, others):11.1%}")

# %%
# Sorting by one side helps the other, since long sources have long targets. Sorting by both helps a little more.
#
# As the algorithm is printed, it does not pad the last batch, which may be smaller than the others, and it fills up
# with the end token. `data.PairBatches` pads every batch, and hands the lengths on: an end token that is padding would
# count as a word to be learned, and a sentence would be over several times.

batches = data.PairBatches(sources, targets, 50, strategy="source-target", rng=1)
ours, counted = batches.waste(), padding(batches.plan(), lengths)
print(f"PairBatches: {ours[0]:.1%} and {ours[1]:.1%} padding; counted again: {counted:.1%}")
first = batches[0]
print("source, one column a sentence:", first.source.shape, "lengths", first.source_lengths[:8], "...")

# %%
# A budget of tokens
# ------------------
# Fifty sentences of three letters are little work, fifty of forty are much: steps differ in size, and so does what they
# take of memory. The other way is to give each batch as many sentences as fit a budget.

budgeted = data.PairBatches(sources, targets, tokens=50 * 12, strategy="bucket", rng=1)
figure, panels = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
for panel, some, title in zip(panels, (batches, budgeted), ("50 pairs", "600 tokens")):
    plan = some.plan()
    panel.scatter([max(lengths[b].max(), others[b].max()) for b in plan], [len(b) for b in plan], s=8)
    panel.set(title=f"batches of {title}", xlabel="longest sentence", ylabel="pairs")
plt.show()

# %%
# Stop and go on
# --------------
# The order of a pass depends on the seed and the number of the pass alone. So a position is two numbers, and a program
# that was killed goes on with the very batches that it had not seen.

again = data.PairBatches(sources, targets, 50, strategy="source-target", rng=1)
for count, _ in enumerate(batches, 1):
    if count == 3:
        break
position = batches.state_dict()
again.load_state_dict(position)
same = all(np.array_equal(a.pairs, b.pairs) for a, b in zip(batches, again))
print(f"stopped before batch {position['batch']} of pass {position['epoch']}; the rest of the pass is the same: {same}")

# %%
# The race
# --------
# One model, one start, the same number of passes; only the batches differ. What counts is not the loss after so many
# steps but after so much time, and not of the pairs that were just learned but of others. The clock stands while we
# look at those.

held_out = [pair(rng) for _ in range(200)]
asked, asked_lengths = data.pad([source for source, _ in held_out])
answers, answers_lengths = data.pad([target for _, target in held_out])


def race(strategy, passes, looks=4):
    """Train anew; gives the curve, (seconds, held-out nats a letter) `looks` times a pass, and letters a second."""
    model = models.EncoderDecoder(2 + LETTERS, 2 + LETTERS, 16, 32, rng=0)
    optimizer = optim.Adam(model.parameters(), lr=1e-2)
    size = {"tokens": budgeted.tokens} if strategy == "bucket" else {"batch_size": 50}
    some = data.PairBatches(sources, targets, **size, strategy=strategy, rng=2)
    curve, seconds, letters = [], 0.0, 0
    for _ in range(passes):
        stops = np.linspace(0, len(some), looks + 1).astype(int)[1:]
        for k, batch in enumerate(some, 1):
            started = time.perf_counter()
            optimizer.zero_grad()
            loss = model.loss(batch.source, batch.target, batch.source_lengths, batch.target_lengths)
            loss.backward()
            optim.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            seconds += time.perf_counter() - started
            letters += int(batch.target_lengths.sum()) - len(batch.pairs)
            if k in stops:
                with tg.no_grad():
                    seen = model.loss(asked, answers, asked_lengths, answers_lengths).item()
                curve.append((seconds, seen))
    return np.array(curve), letters / seconds, some.waste()


race("source", 1)       # the first run loads what was compiled
runs = {strategy: race(strategy, 1 if FAST else 6) for strategy in (*STRATEGIES, "bucket")}
common = min(curve[-1, 0] for curve, *_ in runs.values())
figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
print("strategy        letters/s  padding of sources, targets  "
      f"held-out loss after {common:.1f} s, after the last pass")
for strategy, (curve, rate, (of_sources, of_targets)) in runs.items():
    axes.semilogy(*curve.T, marker=".", label=strategy)
    then = np.interp(common, *curve.T)
    print(f"{strategy:14} {rate:10,.0f} {of_sources:19.1%} {of_targets:8.1%} {then:28.3f} {curve[-1, 1]:18.3f}")
axes.set(xlabel="seconds of training", ylabel="held-out loss (nats a letter)")
axes.legend()
plt.show()

# %%
# Sorted batches make a pass shorter. What a pass is worth is another question: in a sorted batch all sentences are
# alike, so its mean strays further from that of all pairs, and steps are noisier. Morishita and colleagues measured
# both on real translation, and found that the fastest pass is not always the fastest way to a good model.
# ``python -m benchmarks batching`` repeats their comparison on pairs of Multi30k, if you have them. When we ran it
# (``benchmarks/results/batching.json``), a pass of shuffled batches took a quarter longer than one of sorted ones and
# taught as much; so after equal times every strategy that sorts was ahead of shuffling, and by sources or by targets
# made little difference. Measure it on yours.

# %%
# Exercises
# ---------
# Solutions: `examples/solutions/plot_11_batching.py`. Each is judged when you run the chapter.


def share_of_padding(lengths, batch):
    """Lengths in the order in which batches of so many are cut -> the share of padding."""
    raise NotImplementedError


def cut_by_budget(lengths, budget):
    """Lengths in order -> numbers of sentences of each batch: as many as fit, counting padding, and at least one."""
    raise NotImplementedError


def mean_of_real(losses, lengths):
    """Losses (T, B), NaN beyond a length -> their mean over what is real."""
    raise NotImplementedError


# %%
# The judge:


def check_share_of_padding(answer):
    """By hand, and by counting."""
    assert abs(answer(np.array([1, 3, 2, 2]), 2) - 2 / 10) < 1e-9
    assert abs(answer(np.array([4, 4, 1]), 2)) < 1e-9
    some = np.random.default_rng(0).integers(1, 9, 23)
    padded = sum(max(some[k:k + 5]) * len(some[k:k + 5]) for k in range(0, 23, 5))
    assert abs(answer(some, 5) - (1 - some.sum() / padded)) < 1e-9


def check_cut_by_budget(answer):
    """By hand; a sentence beyond the budget stands alone."""
    assert list(answer(np.array([2, 2, 2, 3, 3]), 6)) == [3, 2]
    assert list(answer(np.array([9, 1, 1, 1]), 4)) == [1, 3]
    assert list(answer(np.array([1, 1, 3, 1]), 6)) == [2, 2]


def check_mean_of_real(answer):
    """Row by row; the padding is poisoned."""
    rng = np.random.default_rng(1)
    rows = [rng.random(n) for n in (4, 1, 6)]
    losses, real = data.pad(rows, np.nan)
    np.testing.assert_allclose(answer(losses, real), np.concatenate(rows).mean(), rtol=1e-9)


EXERCISES = {share_of_padding: check_share_of_padding, cut_by_budget: check_cut_by_budget,
             mean_of_real: check_mean_of_real}

for exercise, check in EXERCISES.items():
    try:
        check(exercise)
        print(f"{exercise.__name__}: right")
    except NotImplementedError:
        print(f"{exercise.__name__}: still yours to write")
