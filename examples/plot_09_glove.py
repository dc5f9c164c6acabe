r"""
GloVe: counts into vectors
==========================

Word2Vec reads a text a window at a time and never looks back. But everything that it can learn from a pair of words
depends on how often the pair occurs. GloVe counts first, once, and then fits vectors to the counts.

Here you count which words stand near which, see why the logarithm of a count should be a product of two vectors, lower
the lecture's J by hand and then with the compiled kernel, and find out why a word has two vectors and which to keep.
"""

# %%
# Who stands near whom
# --------------------
# A sentence at a time, X[i, j] grows whenever word j stands near word i: at most `window` places away. The lecture
# counts each such pair as 1. The program that GloVe came with counts a pair that is d places apart as 1/d: what is
# nearer says more.

import os

import matplotlib.pyplot as plt
import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import data
from tinygrad_rnn.embeddings import GloVe, cooccurrence
from tinygrad_rnn.embeddings.glove import objective, weighting

FAST = os.environ.get("TINYGRAD_RNN_FAST") == "1"

tokens = "the cat sat on the mat".split()
vocabulary = data.Vocabulary({token: tokens.count(token) for token in tokens})
for weighted in (False, True):
    rows, columns, values = cooccurrence([vocabulary.encode(tokens)], len(vocabulary), 2, distance_weighting=weighted)
    X = np.zeros((len(vocabulary), len(vocabulary)))
    X[rows, columns] = values
    print(vocabulary.tokens, X, sep="\n")
assert np.array_equal(X, X.T)

# %%
# "the" and "on" stand side by side once and nowhere else within two places: 1. "the" and "sat" are two apart, twice:
# half and half again. The matrix is symmetric, since near is near from both sides.
#
# A real text
# -----------
# The texts behind Python's `help()`, a paragraph as a sentence. Most pairs never occur, so only those that do are kept:
# a list of rows, columns, values. Counting is exact. Every 1/d is a whole number of 1/lcm(1, 2, ..., window), and whole
# numbers can be added in any order: by several threads, or in pieces that do not fit into memory together.

paragraphs = [data.words(part) for part in data.python_topics().split("\n\n")]
sentences = data.Sentences(part for part in paragraphs if part)
vocabulary = data.Vocabulary(sentences.counts, min_count=5)
text = [vocabulary.encode([token for token in part if token in vocabulary]) for part in paragraphs]
rows, columns, X = cooccurrence(text, len(vocabulary), 8)
share = len(X) / len(vocabulary)**2
print(f"{sentences.words:,} words, {len(vocabulary):,} of them different and kept")
print(f"{len(X):,} pairs, {share:.1%} of all that could be")

figure, panel = plt.subplots(figsize=(6, 3.5), layout="constrained")
panel.loglog(np.sort(X)[::-1])
panel.set(xlabel="rank of the pair", ylabel="X")
plt.show()

# %%
# Ratios become differences
# -------------------------
# Take a word near which "raised" stands often and "returned" seldom. The ratio of the two counts says something of that
# word; each alone says mostly how common the words are. Vectors can only be added and multiplied. If their products are
# *logarithms* of counts, differences of vectors are ratios of counts:
#
# .. math:: \theta_i \cdot e_j + b_i + b'_j \approx \log X_{ij} \quad\Rightarrow\quad
#           \theta_i \cdot (e_j - e_k) \approx \log \frac{X_{ij}}{X_{ik}} - b'_j + b'_k
#
# The biases take up how common a word is. Log of 0 does not exist, so pairs that never occur are left out of the sum:
#
# .. math:: J = \sum_{X_{ij} > 0} f(X_{ij}) \, (\theta_i \cdot e_j + b_i + b'_j - \log X_{ij})^2
#
# and f decides how much a pair counts: rare ones little, for a count of 1 is mostly chance, and frequent ones not
# without bound, or "of the" would be all that matters.

counts = np.linspace(0, 200, 401)
figure, panel = plt.subplots(figsize=(6, 3), layout="constrained")
for alpha in (0.5, 0.75, 1.0):
    panel.plot(counts, weighting(tg.tensor(counts), 100.0, alpha).numpy(), label=f"alpha = {alpha}")
panel.set(xlabel="X", ylabel="f(X)")
panel.legend()
plt.show()

# %%
# J, lowered by hand
# ------------------
# `objective` is that formula on Tensors, so the tape gives its gradient. Plain gradient descent on the pairs of the six
# words above, in three dimensions:

six = data.Vocabulary({token: tokens.count(token) for token in tokens})
pairs = cooccurrence([six.encode(tokens)], len(six), 2)
V, D = len(six), 3
parameters = [tg.random.normal(shape, std=0.1, rng=seed).requires_grad_() for seed, shape in enumerate(
    ((V, D), (V, D), (V,), (V,)))]
history = []
for _ in range(300):
    J = objective(*parameters, *pairs, x_max=2.0)
    J.backward()
    history.append(J.item())
    with tg.no_grad():
        parameters = [tg.tensor((p - 0.1 * p.grad).numpy(), requires_grad=True) for p in parameters]
print(f"J falls from {history[0]:.2f} to {history[-1]:.2g}")
assert history[-1] < 0.05 * history[0]

# %%
# J, lowered fast
# ---------------
# A real matrix has millions of entries. `GloVe` takes them one after the other in random order, as its inventors did,
# with AdaGrad: each number's steps shrink as its squared gradients add up, so that the vector of a rare word still
# moves when it gets its turn. Words are dealt out into blocks such that threads never touch the same vector, and the
# result is the same on any number of them, bit for bit.

options = dict(vector_size=8 if FAST else 50, window=8, x_max=20.0, epochs=5 if FAST else 60)
corpus = [[vocabulary.tokens[k] for k in part] for part in text]
model = GloVe(**options, rng=1).fit(corpus)
again = GloVe(**options, workers=1, rng=1).fit(corpus)
assert np.array_equal(model.vectors.vectors, again.vectors.vectors)

figure, panel = plt.subplots(figsize=(6, 3), layout="constrained")
panel.semilogy(range(1, len(model.loss_history) + 1), model.loss_history)
panel.set(xlabel="epoch", ylabel="J")
plt.show()

# %%
# Do the products say what they should? Each dot is a pair: its logarithm, and what the vectors make of it. Frequent
# pairs, where f is large, lie on the line; rare ones may stray.

p = model.parameters
predicted = (p["theta"][rows] * p["e"][columns]).sum(1) + p["b"][rows] + p["b_context"][columns]
figure, panel = plt.subplots(figsize=(5, 4.5), layout="constrained")
drawn = slice(None, None, max(1, len(X) // 20_000))
dots = panel.scatter(np.log(X[drawn]), predicted[drawn], s=2, c=np.minimum(1, (X[drawn] / 20)**0.75))
panel.plot([-2, 7], [-2, 7], color="black", linewidth=1)
panel.set(xlabel="log X", ylabel="theta e + b + b'")
figure.colorbar(dots, label="f(X)")
plt.show()

# %%
# Two vectors a word
# ------------------
# As a centre a word has the vector :math:`\theta`, as a context :math:`e`. J does not change if the two sides are
# exchanged, because X is symmetric: only their random starts tell them apart. So both are estimates of the same thing,
# and their mean is a better one. That is the lecture's :math:`(e + \theta)/2`, and the default here; `combine="sum"` is
# twice that, with the same cosines, and `combine="target"` keeps :math:`\theta` alone.

again = GloVe(**options, combine="target", rng=1).fit(corpus)
for name, kv in (("(e + theta)/2", model.vectors), ("theta", again.vectors)):
    print(name)
    for word in ("class", "list", "exception", "import"):
        print(f"  {word:10}", *(other for other, _ in kv.most_similar(word, topn=6)))

# %%
# Sixty thousand words are few: word vectors are usually made from billions. `model.vectors.save("vectors.txt")` keeps
# them in the format that every other program reads, and the next chapter asks what they know.
#
# Exercises
# ---------
# Replace each ``raise`` by your answer and run the last cell. ``examples/solutions`` has ours.
#
# **1.** Count pairs yourself: the matrix X of one sentence, a pair d places apart counting 1/d.


def counted(ids, size, window):
    """ids: list of ints, size: of the vocabulary -> (size, size) array."""
    raise NotImplementedError


# %%
# **2.** The weighting f, on an array of counts.


def f(X, x_max, alpha):
    """X (n,), two numbers -> (n,)."""
    raise NotImplementedError


# %%
# **3.** The gradient of J with respect to the context vectors e, for a whole matrix X without zeros. No loops are
# needed.


def gradient_of_e(theta, e, b, b_context, X):
    """theta, e (V, D), b, b_context (V,), X (V, V) positive; x_max = 100, alpha = 0.75 -> (V, D)."""
    raise NotImplementedError


# %%
# The judge:


def check_counted(answer):
    """Against the library."""
    rng = np.random.default_rng(0)
    for window in (1, 3, 30):
        ids = rng.integers(0, 5, 25).tolist()
        rows, columns, values = cooccurrence([ids], 5, window)
        expected = np.zeros((5, 5))
        expected[rows, columns] = values
        np.testing.assert_allclose(answer(ids, 5, window), expected)


def check_f(answer):
    """Below, at and above x_max."""
    X = np.array([0.1, 1, 9.9, 10, 11, 1e6])
    np.testing.assert_allclose(answer(X, 10.0, 0.75), [0.03162278, 0.17782794, 0.99249059, 1, 1, 1], rtol=1e-6)
    np.testing.assert_allclose(answer(X, 10.0, 0.0), np.ones(6))


def check_gradient_of_e(answer):
    """Against the tape."""
    rng = np.random.default_rng(1)
    theta, e, b, b_context = rng.normal(size=(6, 3)), rng.normal(size=(6, 3)), rng.normal(size=6), rng.normal(size=6)
    X = rng.uniform(0.5, 200, (6, 6))
    rows, columns = np.indices((6, 6)).reshape(2, -1)
    known = tg.tensor(e, requires_grad=True)
    objective(theta, known, b, b_context, rows, columns, X.ravel()).backward()
    np.testing.assert_allclose(answer(theta, e, b, b_context, X), known.grad.numpy(), rtol=1e-8)


EXERCISES = {counted: check_counted, f: check_f, gradient_of_e: check_gradient_of_e}

for exercise, check in EXERCISES.items():
    try:
        check(exercise)
        print(f"{exercise.__name__}: right")
    except NotImplementedError:
        print(f"{exercise.__name__}: still yours to write")
