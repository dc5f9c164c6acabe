r"""
From a vector to a sentence
===========================

A photograph becomes a vector of features, and a network says what is in it. A restaurant is a list of attributes, and a
network writes the line for the guide. A film is a sequence of such vectors, and a network tells what happened. In all
three the decoder is the language model that you know; what changes is what it is told, and when.

Here you condition a decoder on a vector, at the first step alone or at every step, check what it says against what it
was told, and build a network that watches first and talks afterwards.
"""

# %%
# Restaurants
# -----------
# With the data set `e2e` (4,672 sentences about restaurants in Cambridge, each with its attributes; set
# ``TINYGRAD_RNN_DATA`` to a folder that has it) this chapter writes what people wrote. Without it, it makes do with
# sentences from a few patterns.

import csv
import io
import os
import re
import time

import matplotlib.pyplot as plt
import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import cells, data, models, optim

FAST = os.environ.get("TINYGRAD_RNN_FAST") == "1"
TOLD = {"food": ["Chinese", "English", "French", "Italian", "Japanese"], "area": ["city centre", "riverside"],
        "priceRange": ["cheap", "moderate", "high"], "eatType": ["pub", "restaurant", "coffee shop"],
        "familyFriendly": ["yes", "no"]}


def patterns(n, rng):
    """(attributes, sentence) pairs, made up."""
    found = []
    for _ in range(n):
        a = {name: str(rng.choice(values)) for name, values in TOLD.items() if name != "food" or rng.random() < 0.8}
        family = "family friendly" if a["familyFriendly"] == "yes" else "not family friendly"
        food = f"{a['food']} food" if "food" in a else "food"
        found.append((a, str(rng.choice([
            f"NAME is a {a['eatType']} in the {a['area']} . it serves {food} at {a['priceRange']} prices , {family} .",
            f"in the {a['area']} there is a {a['priceRange']} {a['eatType']} , NAME . it is {family} and has {food} .",
            f"NAME offers {food} . it is a {a['priceRange']} , {family} {a['eatType']} near the {a['area']} ."]))))
    return found


def written_by_people():
    """The pairs of e2e; the names of the places give way to NAME and NEAR."""
    found = []
    for row in csv.DictReader(io.StringIO(data.corpus("e2e"))):
        a = dict(re.findall(r"([\w ]+)\[([^\]]*)\](?:, )?", row["mr"]))
        text = row["ref"]
        for attribute, sign in (("name", "NAME"), ("near", "NEAR")):
            text = text.replace(a.pop(attribute, sign), sign)
        found.append((a, " ".join(re.findall(r"NAME|NEAR|[\w£'-]+|[.,]", text))))
    return found


try:
    pairs = patterns(300, np.random.default_rng(0)) if FAST else written_by_people()
except FileNotFoundError as error:
    print("without e2e:", str(error).split(";")[0])
    pairs = patterns(4000, np.random.default_rng(0))
for attributes, sentence in pairs[::len(pairs) // 3][:3]:
    print(attributes, "->", sentence)

# %%
# A vector has a place for every value of every attribute, 1 where it holds. Of the sentences keep those that are not
# too long, and let some combinations of attributes be seen only in the test.

PADDING, BEGIN, END, UNKNOWN = "<pad>", "<s>", "</s>", "<unk>"
places = sorted({pair for attributes, _ in pairs for pair in attributes.items()})
index = {pair: k for k, pair in enumerate(places)}


def vector(attributes):
    """Attributes -> (n,), float32."""
    found = np.zeros(len(places), np.float32)
    found[[index[pair] for pair in attributes.items()]] = 1
    return found


order = np.random.default_rng(1).permutation(sorted({str(sorted(a.items())) for a, _ in pairs}))
held_out = set(order[:len(order) // 10])
training, test = ([(a, s.split()) for a, s in pairs if (str(sorted(a.items())) in held_out) == wanted
                   and len(s.split()) <= 30] for wanted in (False, True))
counts = {}
for _, words in training:
    for word in words:
        counts[word] = counts.get(word, 0) + 1
vocabulary = data.Vocabulary(counts, min_count=1 if FAST else 3, specials=(PADDING, BEGIN, END, UNKNOWN))
begin, end, unknown = vocabulary.encode([BEGIN, END, UNKNOWN])
print(f"{len(training)} sentences to learn from, {len(vocabulary)} words, vectors of {len(places)}")


def batch(chosen):
    """Pairs -> vectors (B, n), target (T, B), its lengths."""
    ids = [vocabulary.encode([BEGIN, *(w if w in vocabulary else UNKNOWN for w in words), END]) for _, words in chosen]
    return np.stack([vector(a) for a, _ in chosen]), *data.pad(ids)


# %%
# When is it told?
# ----------------
# The decoder is a recurrent network with one more input:
#
# .. math:: h_t = \tanh(W_{xh} x_t + W_{hh} h_{t-1} + W_{ih} v + b) .
#
# The vector may enter at the first step alone, to be kept in mind, or at every step, a card to look at while talking.
# Any cell of the catalogue can be told; each matrix for *x* gets a neighbour for *v*:

print(cells.conditioned(cells.catalogue()["gru_reset_before"], len(places)))

# %%
# Both see the same sentences in the same order.


def trained(every_step):
    """A model, and the loss of its updates."""
    model = models.VectorToSequence(len(places), len(vocabulary), 64, 128, cell="gru_reset_before", project=64,
                                    every_step=every_step, dropout=0.1, rng=0)
    optimizer, rng, losses = optim.Adam(model.parameters(), lr=3e-3), np.random.default_rng(2), []
    started = time.perf_counter()
    for _ in range(2 if FAST else 6):
        shuffled = rng.permutation(len(training))
        for chosen in np.array_split(shuffled, max(1, len(training) // 40)):
            optimizer.zero_grad()
            loss = model.loss(*batch([training[k] for k in chosen]))
            loss.backward()
            optim.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            losses.append(loss.item())
    with tg.no_grad():
        model.eval()
        print(f"{time.perf_counter() - started:.0f} s; on combinations never seen: "
              f"{model.loss(*batch(test)).item():.3f} nats a word")
    return model, losses


tellers = {}
figure, axes = plt.subplots(figsize=(6, 3.3), layout="constrained")
for name, every_step in (("at the first step", False), ("at every step", True)):
    tellers[name], losses = trained(every_step)
    smooth = min(20, len(losses))
    axes.plot(np.convolve(losses, np.ones(smooth) / smooth, "valid"), label=f"told {name}")
axes.set(xlabel="update", ylabel="nats a word")
axes.legend()
plt.show()

# %%
# What it says
# ------------
# Greedy: the likeliest word, again and again, until the end. (Better ways to choose are chapter 13.)


def say(model, attributes, most=40):
    """A list of attributes -> sentences, lists of words."""
    step, state = model.stepper(np.stack([vector(a) for a in attributes]))
    words, found = np.full(len(attributes), begin), []
    for _ in range(most):
        log_p, state = step(words, state)
        words = log_p.argmax(-1)
        found.append(words)
    ids = np.array(found).T
    return [vocabulary.decode(row[:int(np.argmax([*row, end] == end))]) for row in ids]


asked = list({str(a): a for a, _ in test}.values())[:40]
for name, model in tellers.items():
    print(f"\ntold {name}:")
    for attributes, words in list(zip(asked, say(model, asked)))[:3]:
        print(attributes, "->", " ".join(words))

# %%
# Does it say what it was told?
# -----------------------------
# A fluent sentence about another restaurant is worth nothing. For the attributes whose values are words, count how
# often a value that was told is said, and how often one is said that was not.


def said(attributes, words):
    """(values told and said, values told, values said that were not told)."""
    text, told, of_them, others = " ".join(words).lower(), 0, 0, 0
    for name, values in TOLD.items():
        if name in ("food", "area", "eatType"):
            mentioned = [value for value in values if value.lower() in text]
            told += attributes.get(name) in values
            of_them += attributes.get(name) in mentioned
            others += len([value for value in mentioned if value != attributes.get(name)])
    return np.array([of_them, told, others])


for name, model in tellers.items():
    right, told, wrong = sum(said(a, words) for a, words in zip(asked, say(model, asked)))
    print(f"told {name}: {right / told:.0%} of what was told is said, {wrong} values are made up")

# %%
# What was said once has to be kept through the whole sentence, in a memory that has other things to hold; a card on the
# table has not. Here the decoder that is told at every step forgets less and makes up less.
#
# Watch first, then tell
# ----------------------
# A film is a sequence of feature vectors. S2VT (Venugopalan 2015) is one stack of two layers for both halves of the
# job. While it watches, the lower layer reads frames and the upper one what the lower makes of them, and no words. When
# it talks, the lower layer reads darkness and the upper one, beside it, the words. The films here have 5 x 5 pixels: a
# dot moves, one way, then another.

WAYS = {"right": (0, 1), "left": (0, -1), "down": (1, 0), "up": (-1, 0)}


def film(rng):
    """Frames (S, 27), pixels and flow, and what happens."""
    first, second = rng.choice(list(WAYS), 2)
    place, frames, steps = rng.integers(0, 5, 2), [], rng.integers(2, 5, 2)
    for way, n in ((first, steps[0]), (second, steps[1])):
        for _ in range(n):
            place = (place + WAYS[way]) % 5
            screen = np.zeros((5, 5))
            screen[tuple(place)] = 1
            flow = rng.normal(WAYS[way], 0.1)
            frames.append(np.concatenate([screen.reshape(25), flow]).astype(np.float32))
    words = ["the", "dot", "moves", first]
    return np.stack(frames), words if first == second else [*words, "then", second]


rng = np.random.default_rng(3)
words_of_films = data.Vocabulary(dict.fromkeys(["the", "dot", "moves", "then", *WAYS], 1),
                                 specials=(PADDING, BEGIN, END))
watcher = models.S2VT(27, len(words_of_films), 16, 64, rng=0)
optimizer = optim.Adam(watcher.parameters(), lr=5e-3)


def some_films(n):
    """Frames, their lengths, target, its lengths, and the words."""
    films = [film(rng) for _ in range(n)]
    told = data.pad([words_of_films.encode([BEGIN, *words, END]) for _, words in films])
    return *data.pad([frames for frames, _ in films]), *told, [words for _, words in films]


for _ in range(5 if FAST else 400):
    optimizer.zero_grad()
    frames, lengths, target, target_lengths, _ = some_films(32)
    loss = watcher.loss(frames, target, lengths, target_lengths)
    loss.backward()
    optim.clip_grad_norm_(watcher.parameters(), 1.0)
    optimizer.step()

frames, lengths, _, _, truth = some_films(200)
step, state = watcher.stepper(frames, lengths)
ids, written = np.full(200, words_of_films.encode([BEGIN])[0]), []
for _ in range(7):
    log_p, state = step(ids, state)
    ids = log_p.argmax(-1)
    written.append(ids)
told = [words_of_films.decode(row) for row in np.array(written).T]
told = [row[:row.index(END)] if END in row else row for row in told]
print(f"{np.mean([a == b for a, b in zip(told, truth)]):.0%} of 200 new films told without a mistake")

figure, panels = plt.subplots(1, int(lengths[0]), figsize=(1.2 * lengths[0], 1.6), layout="constrained")
for panel, frame in zip(panels, frames[:, 0]):
    panel.imshow(frame[:25].reshape(5, 5), cmap="Greys", vmin=0, vmax=1)
    panel.set(xticks=[], yticks=[])
figure.suptitle(" ".join(told[0]))
plt.show()

# %%
# Exercises
# ---------
# Replace each ``raise`` by your answer and run the last cell. ``examples/solutions`` has ours.
#
# **1.** One step of the decoder, written out.


def told_step(x, h, v, W_xh, W_hh, W_ih, b):
    """x (B, D), h (B, H), v (B, n); each matrix (H, .), b (H,) -> the new h (B, H)."""
    raise NotImplementedError


# %%
# **2.** A vector that enters at every step adds the same :math:`W_{ih} v` every time. So it can be computed once, as a
# bias of each row. How many multiplications does that save in all, for *T* steps of *B* rows?


def saved(T, B, n, H):
    """Four ints -> the number of multiplications saved."""
    raise NotImplementedError


# %%
# **3.** What share of the words of a sentence about one thing is also in the sentence about another? Of two lists give
# the number of words in common, each as often as it is in both, over the length of the longer. (If it is near 1
# whatever was told, the decoder does not listen.)


def overlap(one, other):
    """Two lists of words, not both empty -> a float."""
    raise NotImplementedError


# %%
# The judge:


def check_told_step(answer):
    """Against the library's cell."""
    rng = np.random.default_rng(0)
    x, h, v = rng.normal(size=(2, 3)), rng.normal(size=(2, 4)), rng.normal(size=(2, 5))
    cell = cells.conditioned(cells.catalogue()["rnn"], 5)
    p = {name: rng.normal(size=shape) for name, shape in cell.parameter_shapes(3, 4).items()}
    expected, = cell.step(p, x, (h,), v=v)
    found = answer(x, h, v, p["W_h_x"], p["W_h_h"], p["W_h_v"], p["b_h"])
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-12)


def check_saved(answer):
    """Counted."""
    assert answer(10, 2, 3, 4) == 9 * 2 * 3 * 4 and answer(2, 5, 7, 11) == 5 * 7 * 11


def check_overlap(answer):
    """By hand."""
    assert abs(answer("a b a c".split(), "a a a".split()) - 0.5) < 1e-12
    assert abs(answer(["x"], ["x"]) - 1) < 1e-12


EXERCISES = {told_step: check_told_step, saved: check_saved, overlap: check_overlap}

for exercise, check in EXERCISES.items():
    try:
        check(exercise)
        print(f"{exercise.__name__}: right")
    except NotImplementedError:
        print(f"{exercise.__name__}: still yours to write")
