r"""
A map of words
==============

Word vectors are lists of numbers that nobody can read. What they know shows in how they lie to one another: the angle
between two, the difference of two, and a picture in the plane that keeps neighbours together.

Here you ask vectors for neighbours and analogies, judge them by numbers, draw a map of words with t-SNE, and give them
to a network to start from.
"""

# %%
# Vectors to ask
# --------------
# First GloVe vectors of the texts behind Python's `help()`, as in the last chapter.

import os
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from tinygrad_rnn import data, nn
from tinygrad_rnn.embeddings import GloVe, KeyedVectors, plot_words, tsne
from tinygrad_rnn.embeddings.tsne import affinities, kl_divergence

FAST = os.environ.get("TINYGRAD_RNN_FAST") == "1"

paragraphs = [data.words(part) for part in data.python_topics().split("\n\n")]
model = GloVe(vector_size=8 if FAST else 50, window=8, x_max=20, epochs=5 if FAST else 60, rng=1)
kv = model.fit(part for part in paragraphs if part).vectors
print(kv)

# %%
# The angle
# ---------
# How alike two words are is the cosine of the angle between their vectors: 1 for the same direction, 0 for a right
# angle. The length of a vector, which has more to do with how often a word comes, does not count.
#
# .. math:: \cos(u, v) = \frac{u \cdot v}{|u| \, |v|}

u, v = kv["list"], kv["tuple"]
assert abs(kv.similarity("list", "tuple") - u @ v / np.linalg.norm(u) / np.linalg.norm(v)) < 1e-6
for word in ("list", "exception", "class", "import"):
    print(f"{word:10}", *(f"{other} {score:.2f}" for other, score in kv.most_similar(word, topn=5)))
print("one of these is not like the others:", kv.doesnt_match(["list", "dictionary", "string", "import"]))

# %%
# A word that is not there is an error that names those that are spelled nearly so:

try:
    kv["exeption"]
except KeyError as error:
    print(error.args[0])

# %%
# Analogies
# ---------
# "Stallion is to mare as bull is to ...": go from stallion to mare, and then the same way from bull. Sixty thousand
# words about Python have no such pairs, so here is a little language that has. In a sentence about a mare stand words
# that belong to horses, and words that belong to mothers; which of each, is chance.

SPECIES = {
    "horse": ["stallion", "mare", "foal"], "cattle": ["bull", "cow", "calf"], "sheep": ["ram", "ewe", "lamb"],
    "pig": ["boar", "sow", "piglet"], "chicken": ["rooster", "hen", "chick"], "deer": ["stag", "hind", "fawn"],
}
ROLES = "father", "mother", "child"
rng = np.random.default_rng(3)


def sentence():
    """An animal among words of its species and of its role."""
    kind, role = rng.choice(list(SPECIES)), rng.integers(3)
    around = [f"{kind}-{k}" for k in rng.integers(0, 4, 4)] + [f"{ROLES[role]}-{k}" for k in rng.integers(0, 4, 4)]
    words = [SPECIES[kind][role], *around]
    return [words[k] for k in rng.permutation(len(words))]


little = GloVe(vector_size=20, window=8, x_max=1000, epochs=20, rng=1).fit([sentence() for _ in range(10_000)]).vectors
names = [name for species in SPECIES.values() for name in species]
animals = KeyedVectors(names, little[names])       # the answer shall be an animal
answer = animals.most_similar(positive=["mare", "bull"], negative=["stallion"], topn=3)
print("stallion : mare = bull :", answer)
assert answer[0][0] == "cow"

# %%
# Why does that work? The logarithm of a count is a sum here: how often "mare" stands near a word is what horses have to
# do with it, times what mothers have. So the vector of "mare" is about that of a horse plus that of a mother, and the
# horse falls out of the difference.
#
# `method="3cosmul"` multiplies the three cosines instead of adding them, so that one very large term cannot decide
# alone. For all questions of a kind there is a file format, four words a line, and a share of right answers:

lines = [": father to mother"] + [f"{a[0]} {a[1]} {b[0]} {b[1]}" for a in SPECIES.values() for b in SPECIES.values()
                                  if a is not b]
lines += [": mother to child"] + [f"{a[1]} {a[2]} {b[1]} {b[2]}" for a in SPECIES.values() for b in SPECIES.values()
                                  if a is not b]
with tempfile.TemporaryDirectory() as folder:
    questions = Path(folder) / "questions.txt"
    questions.write_text("\n".join(lines))
    result = animals.evaluate_word_analogies(questions)
print(f"{result.accuracy:.0%} right:", result.sections)

# %%
# A picture
# ---------
# Fifty dimensions do not fit on paper. t-SNE asks of each point who its neighbours are, softly: those within reach get
# a probability, near ones more,
#
# .. math:: p_{j|i} \sim \exp(-\beta_i |x_i - x_j|^2), \qquad q_{ij} \sim \frac{1}{1 + |y_i - y_j|^2},
#
# and moves points in the plane until their own neighbourhoods Q resemble P. The reach :math:`\beta_i` differs from
# point to point: it is set so that each has the same number of neighbours in effect, the *perplexity*,
# :math:`\exp(\text{entropy of } p_{\cdot|i})`. It is the same formula as the perplexity of a language model, among how
# many equally likely things one has to choose, but here it is a setting and not a result: it judges nothing.

number = 60 if FAST else 300
words = kv.index_to_key[:number]
X = kv.unit_vectors[:number]
watched = []
points = tsne(X, perplexity=15, n_iter=200 if FAST else 1000, progress=lambda step, kl: watched.append((step, kl)))
plot_words(words, points)
plt.show()

# %%
# What t-SNE makes small is KL(P || Q), in nats. The compiled kernel and the readable formula on Tensors agree; and a
# picture from random places would be a poor one.

P = affinities(X, perplexity=15)
print(f"KL after {watched[-1][0]} iterations: {watched[-1][1]:.3f}")
assert abs(kl_divergence(P, points).item() - watched[-1][1]) < 1e-3
print(f"of random points: {kl_divergence(P, np.random.default_rng(0).normal(size=points.shape)).item():.3f}")

# %%
# How many neighbours? With few, every pair of friends is an island of its own. With many, the small groups dissolve in
# the large ones. Distances *between* islands mean little either way, nor do their sizes.

figure, panels = plt.subplots(1, 3, figsize=(10, 3.4), layout="constrained")
groups = list(SPECIES)
named = names + [f"{kind}-{k}" for kind in groups for k in range(4)]
colors = [plt.cm.tab10(groups.index(kind)) for kind in groups for _ in range(3)] + [
    plt.cm.tab10(groups.index(kind)) for kind in groups for _ in range(4)]
for panel, perplexity in zip(panels, (2, 5, 12)):
    layout = tsne(little[named], perplexity=perplexity, n_iter=100 if FAST else 500)
    panel.scatter(*layout.T, c=colors, s=12)
    panel.set(title=f"perplexity {perplexity}", xticks=[], yticks=[])
plt.show()

# %%
# To start from
# -------------
# A network that reads words may start from such vectors instead of random ones. Its vocabulary is its own; words
# without a vector get a random one of the usual size.

vocabulary = data.Vocabulary({"class": 3, "import": 2, "zebra": 1}, specials=["<unk>"])
layer = nn.Embedding.from_pretrained(kv, vocabulary, rng=0)
print(f"{layer}: {layer.found:.0%} of its words have a vector")
assert np.array_equal(layer(vocabulary.encode(["import"])).numpy()[0], kv["import"])

# %%
# And vectors travel. Text or binary of word2vec, GloVe's text, fastText's, safetensors: `load` finds out by itself.

with tempfile.TemporaryDirectory() as folder:
    for format in ("word2vec", "glove", "word2vec-binary", "safetensors"):
        path = Path(folder) / f"vectors.{format}"
        kv.save(path, format)
        assert np.array_equal(KeyedVectors.load(path).vectors, kv.vectors)
        print(f"{format:16} {path.stat().st_size:9,} bytes")

# %%
# Exercises
# ---------
# Replace each ``raise`` by your answer and run the last cell. ``examples/solutions`` has ours.
#
# **1.** Answer analogies: for a, b, c the row of the vector that has the largest cosine with b - a + c, where all three
# are first brought to length 1. The rows a, b, c themselves are no answer.


def analogy(vectors, a, b, c):
    """vectors (n, D), three rows -> a row, int."""
    raise NotImplementedError


# %%
# **2.** The perplexity of a distribution. (Some probabilities may be 0.)


def perplexity(p):
    """p (n,), summing to 1 -> float."""
    raise NotImplementedError


# %%
# **3.** The gradient of KL(P || Q) with respect to the points in the plane, where Q[i, j] is proportional to
# 1 / (1 + distance squared), over all pairs i != j. (P is symmetric, with zeros on its diagonal.)


def gradient(P, Y):
    """P (n, n), Y (n, 2) -> (n, 2)."""
    raise NotImplementedError


# %%
# The judge:


def check_analogy(answer):
    """Against the library."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(30, 4)) * rng.uniform(0.1, 9, (30, 1))
    known = KeyedVectors([str(k) for k in range(30)], vectors)
    for _ in range(20):
        a, b, c = (int(k) for k in rng.permutation(30)[:3])
        assert answer(vectors, a, b, c) == int(known.most_similar([str(b), str(c)], [str(a)], topn=1)[0][0])


def check_perplexity(answer):
    """By hand."""
    assert abs(answer(np.full(8, 1 / 8)) - 8) < 1e-9
    assert abs(answer(np.array([0.5, 0.5, 0, 0])) - 2) < 1e-9
    assert abs(answer(np.array([0.9, 0.1])) - 1.3841) < 1e-3


def check_gradient(answer):
    """Against the tape."""
    import tinygrad_rnn as tg

    rng = np.random.default_rng(1)
    P = affinities(rng.normal(size=(20, 5)), 4)
    Y = tg.tensor(rng.normal(size=(20, 2)), requires_grad=True)
    kl_divergence(P, Y).backward()
    np.testing.assert_allclose(answer(P, Y.detach().numpy()), Y.grad.numpy(), atol=1e-12, rtol=1e-6)


EXERCISES = {analogy: check_analogy, perplexity: check_perplexity, gradient: check_gradient}

for exercise, check in EXERCISES.items():
    try:
        check(exercise)
        print(f"{exercise.__name__}: right")
    except NotImplementedError:
        print(f"{exercise.__name__}: still yours to write")
