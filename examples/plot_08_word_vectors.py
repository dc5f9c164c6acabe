r"""
Word vectors
============

To a network a word is a number in a list: *banana* is 4,711 and *mango* is 812, and nothing in these numbers says that
the two have more in common than *banana* and *parliament*. This chapter makes numbers that do say it, out of nothing
but text. The trick is to ask a silly question, which word stands near this one?, and to keep not the answers but what a
model had to learn in order to give them.

You will write that model down twice: first with a softmax over all words, as the lectures begin, then with a handful of
random words instead of all of them, as everybody computes it. At the end you let the compiled version read a text that
every Python brings along.
"""

# %%
# A word is a column of zeros with a single one
# ---------------------------------------------
# The honest way to hand a word to a network is a *one-hot* vector :math:`o_w`: as long as the vocabulary, zero
# everywhere but at the word's own place. Any two words are then equally far apart, which is honest: we know nothing
# yet. An *embedding* is a matrix :math:`E` with a column for each word, and
#
# .. math:: e_w = E \, o_w
#
# picks that column. Nobody multiplies by all these zeros; the library keeps the words as rows of a table and reads one.

import os
import time
from collections import Counter

import matplotlib.pyplot as plt
import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import data, nn, optim
from tinygrad_rnn.embeddings import Word2Vec

FAST = os.environ.get("TINYGRAD_RNN_FAST") == "1"

sentences = [line.split() for line in [
    "the king rules the land", "the queen rules the land", "the king wears a crown", "the queen wears a crown",
    "a cat drinks milk", "a dog drinks water", "the cat chases a mouse", "the dog chases a cat",
    "the king drinks wine", "the queen drinks wine"]]
vocabulary = data.Vocabulary(Counter(word for sentence in sentences for word in sentence))
V, D = len(vocabulary), 6

rng = np.random.default_rng(0)
table = rng.normal(size=(V, D))                 # a row a word: the lecture's E, transposed
king = vocabulary.encode(["king"])[0]
one_hot = np.eye(V)[king]
print("E o_w equals the row:", np.array_equal(table.T @ one_hot, table[king]))

# %%
# The silly question
# ------------------
# *Skip-gram* (Mikolov 2013) goes through the text with a window. The word in its middle is the target, the words
# around it are its context, and each context word alone must predict the target. So a text becomes a heap of pairs.


def pairs(sentence, window):
    """(context, centre) for each word and each neighbour at most `window` words away."""
    return [(sentence[j], word) for i, word in enumerate(sentence)
            for j in range(max(0, i - window), min(len(sentence), i + window + 1)) if j != i]


print(pairs(sentences[0], 1))
context, centre = (np.array([vocabulary.encode([pair[side]])[0] for sentence in sentences
                             for pair in pairs(sentence, 2)]) for side in (0, 1))
print(f"{len(context)} pairs from {len(sentences)} sentences")

# %%
# The model that answers has two vectors for each word: :math:`e_c` when it is the context that predicts, and
# :math:`\theta_t` when it is a target to be predicted. Their product is the score of a pair, and a softmax turns scores
# into probabilities:
#
# .. math:: p(t \mid c) = \frac{e^{\theta_t \cdot e_c}}{\sum_{j=1}^{V} e^{\theta_j \cdot e_c}} .
#
# That is a network of two matrices without anything between them. With the tape of chapter 1 it is written and trained
# in a few lines.

e, theta = nn.Embedding(V, D, rng=1), nn.Embedding(V, D, rng=2)
optimizer = optim.Adam([*e.parameters(), *theta.parameters()], lr=0.05)
losses = []
for _ in range(60 if FAST else 300):
    scores = e(context) @ theta.weight.T                    # (pairs, V)
    loss = nn.functional.cross_entropy(scores, centre)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
print(f"loss {losses[0]:.2f} -> {losses[-1]:.2f} nats a pair; knowing nothing costs log {V} = {np.log(V):.2f}")

# %%
# Nobody told it that a queen is like a king. But *queen* and *king* stand between the same words, so they must answer
# alike, and the only way to answer alike is to have like vectors.


def cosine(a, b):
    """Of the angle between two vectors: 1 for the same direction."""
    return a @ b / np.sqrt((a @ a) * (b @ b))


learned = e.weight.numpy()
for a, b in (("king", "queen"), ("cat", "dog"), ("king", "milk")):
    i, j = vocabulary.encode([a, b])
    print(f"{a:5} {b:6} {cosine(learned[i], learned[j]):5.2f}")

# %%
# Why nobody does it like this
# ----------------------------
# Look at the shape of ``scores``: for each pair a number for *every* word there is. With ten words that is nothing.
# With a hundred thousand, one pair costs a hundred thousand products of vectors, and a text has billions of pairs.
#
# *Negative sampling* changes the question. Instead of which of all words is it?, ask of one word at a time: is this
# pair from the text, or have I made it up? For each true pair draw :math:`K` words at random, *noise*, and let a
# logistic regression tell them apart:
#
# .. math:: L = -\log \sigma(\theta_t \cdot e_c) - \sum_{k=1}^{K} \log \sigma(-\theta_{n_k} \cdot e_c) .
#
# :math:`K + 1` products instead of :math:`V`, whatever the size of the vocabulary. Here it is on Tensors; the same few
# lines stand in ``embeddings/objectives.py``, and the compiled kernel is tested against them.


def negative_sampling(x, o, labels):
    """x (1, D), o (1 + K, D), labels (1 + K,): 1 for the target, 0 for noise."""
    scores = x @ o.T
    return tg.softplus(scores * (1 - 2 * labels)).sum()         # softplus(-s) = -log sigmoid(s)


K = 5
x, o = tg.tensor(rng.normal(size=(1, D)), requires_grad=True), tg.tensor(rng.normal(size=(1 + K, D)),
                                                                         requires_grad=True)
labels = np.array([1] + [0] * K)
negative_sampling(x, o, labels).backward()
sigma = 1 / (1 + np.exp(-(x.numpy() @ o.numpy().T)))
print("gradient of the target's score, sigma - 1:", np.allclose(x.grad.numpy(), (sigma - labels) @ o.numpy()))

# %%
# The gradient is worth remembering: each output pulls or pushes by how wrong it was, :math:`\sigma - \text{label}`, and
# outputs that are already right do almost nothing.
#
# Which words are noise?
# ----------------------
# Drawing words as often as they occur would mean that *the* is noise most of the time. Drawing all words alike would
# waste effort on words that nobody knows. Mikolov takes the middle: in proportion to :math:`\text{count}^{3/4}`.
# And in the text itself, the commonest words are thinned out: an occurrence of a word with share :math:`f` of all words
# is kept with probability :math:`\sqrt{t/f} + t/f`.
#
# Now a real text, the documentation topics that come with Python. One pass counts and numbers its words.

text = data.python_topics()
lines = [data.words(line) for line in text.replace("\n\n", "\0").replace("\n", " ").replace("\0", "\n").split("\n")]
if FAST:
    lines = lines[:400]
words = data.Vocabulary(data.Sentences(lines).counts, min_count=5)
f = words.counts / words.counts.sum()
noise = words.counts**0.75 / (words.counts**0.75).sum()
kept = np.minimum(1, np.sqrt(1e-3 / f) + 1e-3 / f)
print(f"{words.counts.sum():,} words, {len(words):,} of them different and frequent enough")

figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
rank = np.arange(1, len(words) + 1)
axes.loglog(rank, f, label="in the text")
axes.loglog(rank, noise, label="as noise: count to the 3/4")
axes.loglog(rank, f * kept / (f * kept).sum(), label="in the text, thinned out")
axes.set(xlabel="rank of the word", ylabel="share", title="Frequent words are less frequent as noise")
axes.legend()
plt.show()

# %%
# Let it read
# -----------
# ``Word2Vec`` is all of this, compiled, with a window whose width is drawn anew for each word, so that near neighbours
# count for more. ``loss_history`` is the mean of :math:`L` over all pairs of a pass.

begin = time.perf_counter()
model = Word2Vec(vector_size=50, epochs=2 if FAST else 40, rng=0, workers=1).fit(lines)
took = time.perf_counter() - begin
print(f"{model.epochs} passes in {took:.1f} s; nats a pair: first {model.loss_history[0]:.2f}, last "
      f"{model.loss_history[-1]:.2f}; knowing nothing costs {(1 + model.negative) * np.log(2):.2f}")

figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
axes.plot(range(1, model.epochs + 1), model.loss_history)
axes.set(xlabel="pass over the text", ylabel="nats a pair", title="Negative sampling")
plt.show()

for word in ("list", "class", "exception", "float"):
    if word in model.vectors:
        print(f"{word:10}", *(f"{other} {score:.2f}" for other, score in model.vectors.most_similar(word, topn=5)))

# %%
# The other way round: CBOW
# -------------------------
# *Continuous bag of words* lets the context answer together: the mean of its vectors predicts the word in the middle.
# A window is then one prediction instead of ten, so it is two or three times faster, and rare words get less of it.

for settings in (dict(model="skipgram"), dict(model="cbow"), dict(objective="hierarchical")):
    begin = time.perf_counter()
    other = Word2Vec(vector_size=50, epochs=2 if FAST else 10, rng=0, workers=1, **settings).fit(lines)
    print(f"{settings}: {time.perf_counter() - begin:.2f} s, {other.loss_history[-1]:.2f} nats a prediction")

# %%
# The three losses do not compare: they answer different questions. *Hierarchical softmax*, the third, keeps the true
# question and replaces the sum over all words by a walk through a binary tree, a yes or no at each node; frequent words
# sit near its root.
#
# What did it learn?
# ------------------
# Levy and Goldberg (2014) found what all these steps converge to: the product :math:`\theta_t \cdot e_c` becomes
#
# .. math:: \log \frac{p(t, c)}{p(t) \, p(c)} - \log K ,
#
# how much more often two words meet than by chance, *pointwise mutual information*, shifted. So word vectors are a
# factorisation of a matrix of counts. The next chapter takes that literally, and begins with the counts.
#
# Exercises
# ---------
# 1. Noise. Write the distribution that noise is drawn from, for any exponent.
# 2. The gradient by hand. Given a context row, the outputs and their labels, write the gradients of both.
# 3. The optimum. Of a matrix of joint probabilities, compute the scores that Levy and Goldberg promise.


def noise_distribution(counts, exponent):
    """counts (V,) -> probabilities (V,)."""
    raise NotImplementedError


def gradients(x, o, labels):
    """x (D,), o (n, D), labels (n,) -> [gradient of x (D,), gradient of o (n, D)]."""
    raise NotImplementedError


def optimum(joint, K):
    """joint (V, V), rows are contexts and columns targets, noise drawn as targets occur -> scores (V, V)."""
    raise NotImplementedError


# %%
# The judge:


def check_noise_distribution(answer):
    """Against proportions."""
    counts = np.array([16.0, 81.0, 1.0])
    np.testing.assert_allclose(answer(counts, 0.75), np.array([8, 27, 1]) / 36, rtol=1e-9)
    np.testing.assert_allclose(answer(counts, 0.0), np.full(3, 1 / 3), rtol=1e-9)


def check_gradients(answer):
    """Against the tape."""
    import tinygrad_rnn as tg

    rng = np.random.default_rng(3)
    x, o = tg.tensor(rng.normal(size=4), requires_grad=True), tg.tensor(rng.normal(size=(6, 4)), requires_grad=True)
    labels = np.array([1, 0, 0, 1, 0, 0])
    tg.softplus((o @ x) * (1 - 2 * labels)).sum().backward()
    mine = answer(x.numpy(), o.numpy(), labels)
    np.testing.assert_allclose(mine[0], x.grad.numpy(), rtol=1e-9)
    np.testing.assert_allclose(mine[1], o.grad.numpy(), rtol=1e-9)


def check_optimum(answer):
    """The expected loss must have no slope there."""
    joint = np.random.default_rng(4).dirichlet(np.ones(9)).reshape(3, 3)
    scores, K = answer(joint, 4), 4
    sigma = 1 / (1 + np.exp(-scores))
    slope = -joint * (1 - sigma) + K * joint.sum(1)[:, None] * joint.sum(0) * sigma
    np.testing.assert_allclose(slope, 0, atol=1e-9)


EXERCISES = {noise_distribution: check_noise_distribution, gradients: check_gradients, optimum: check_optimum}

for exercise, check in EXERCISES.items():
    try:
        check(exercise)
        print(f"{exercise.__name__}: right")
    except NotImplementedError:
        print(f"{exercise.__name__}: still yours to write")
