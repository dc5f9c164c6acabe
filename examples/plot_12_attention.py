r"""
Attention
=========

A network that gives one word for each word it reads can tag a sentence. It cannot translate one: the translation may be
longer or shorter, and its words stand in another order. In 2014 the answer was to read the whole sentence first and to
write only then. A year later the writer was allowed to look back.

Here you first train a tagger as a translator and watch it fail. Then you build the encoder-decoder, give it attention,
see where it looks, find what a look costs, and let it read its own words while it learns.
"""

# %%
# Two languages
# -------------
# The numbers of English and German are a small world with the troubles of the large one. *Forty-five* is
# *fünfundvierzig*, five-and-forty: the order turns round, and a word appears that English does not have. Cut into
# pieces:

import os
import time
import tracemalloc

import matplotlib.pyplot as plt
import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import cells, data, models, nn, optim

FAST = os.environ.get("TINYGRAD_RNN_FAST") == "1"
ENGLISH = ("one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
           "eighteen nineteen").split()
GERMAN = ("ein zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn "
          "achtzehn neunzehn").split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
ZEHNER = "zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig".split()


def english(n):
    """1 to 9999 -> words."""
    words = []
    for value, name in ((1000, "thousand"), (100, "hundred")):
        if n >= value:
            words += [ENGLISH[n // value - 1], name]
            n %= value
    if n >= 20:
        words.append(TENS[n // 10 - 2])
        n %= 10
    return [*words, ENGLISH[n - 1]] if n else words


def german(n):
    """1 to 9999 -> words: the ones stand before the tens, and "und" between them."""
    words = []
    for value, name in ((1000, "tausend"), (100, "hundert")):
        if n >= value:
            words += [GERMAN[n // value - 1], name]
            n %= value
    if n < 20:
        return [*words, GERMAN[n - 1]] if n else words
    if n % 10:
        words += [GERMAN[n % 10 - 1], "und"]
    return [*words, ZEHNER[n // 10 - 2]]


for number in (7, 45, 1945, 6021):
    print(f"{number:5}  {' '.join(english(number)):45} {' '.join(german(number))}")

# %%
# Words become ids. The target has two more: a begin, which the writer reads first, and an end, which it writes last.

numbers = np.random.default_rng(0).permutation(np.arange(1, 10000))
known, unknown = numbers[:500 if FAST else 3000], numbers[-100 if FAST else -500:]
PADDING, BEGIN, END = "<pad>", "<s>", "</s>"
source_words, target_words = (data.Vocabulary(dict.fromkeys(words, 1), specials=(PADDING, BEGIN, END)) for words in (
    [*ENGLISH, *TENS, "thousand", "hundred"], [*GERMAN, *ZEHNER, "tausend", "hundert", "und"]))
begin, end = target_words.encode([BEGIN, END])


def batch(chosen):
    """Numbers -> source (S, B), its lengths, target (T, B) with begin and end, its lengths."""
    source, lengths = data.pad([source_words.encode(english(n)) for n in chosen])
    target, target_lengths = data.pad([target_words.encode([BEGIN, *german(n), END]) for n in chosen])
    return source, lengths, target, target_lengths


# %%
# The tagger, as a translator
# ---------------------------
# The aligned network of the earlier chapters: at step *t* it has read *t* words and gives the *t*-th word of the
# translation. Where the translation is longer there is no step to write in; where it is shorter it learns to say
# "end". It gets every chance: two directions, so it even knows the words to come.


class Tagger(nn.Module):
    """Words -> as many scores of words."""

    def __init__(self, rng):
        super().__init__()
        self.embedding = nn.Embedding(len(source_words), 32)
        self.lstm = nn.LSTM(32, 64, bidirectional=True)
        self.linear = nn.Linear(128, len(target_words))
        self.initialise(rng)

    def forward(self, source, lengths):
        """(S, B) -> (S, B, V)."""
        return self.linear(self.lstm(self.embedding(source), lengths=lengths)[0])


def aligned(target, lengths, steps):
    """The words of the target under those of the source, "end" where it is over; what is too long is lost."""
    found = np.full((steps, target.shape[1]), end)
    inside = target[1:1 + steps]
    found[:len(inside)] = np.where(np.arange(len(inside))[:, None] < lengths - 1, inside, end)
    return found


def trained(model, loss, passes, rate=5e-3, size=50):
    """Train on the known numbers; gives the loss of every update."""
    optimizer, losses, rng = optim.Adam(model.parameters(), lr=rate), [], np.random.default_rng(1)
    started = time.perf_counter()
    for _ in range(passes):
        for chosen in np.split(rng.permutation(known), len(known) // size):
            optimizer.zero_grad()
            value = loss(*batch(chosen))
            value.backward()
            optim.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            losses.append(value.item())
    print(f"{len(losses)} updates in {time.perf_counter() - started:.1f} s, last loss {losses[-1]:.4f} nats a word")
    return losses


PASSES = 2 if FAST else 8
tagger = Tagger(rng=0)
trained(tagger, lambda source, lengths, target, target_lengths: nn.functional.cross_entropy(
    tagger(source, lengths), aligned(target, target_lengths, len(source)), lengths=lengths), PASSES)

# %%
# How many of the numbers it has never seen does it translate without a mistake? We sort them by what German does to
# them.


def kinds(chosen):
    """Which numbers are turned round?"""
    turned = (chosen % 100 > 20) & (chosen % 10 > 0)
    return {"no word moves": ~turned, "ones before tens": turned}


def report(translate):
    """Print the share of unknown numbers that come out right; translate(source, lengths) -> lists of ids."""
    source, lengths, *_ = batch(unknown)
    right = np.array([target_words.decode(ids) == german(n) for ids, n in zip(translate(source, lengths), unknown)])
    print(", ".join(f"{name}: {right[which].mean():.0%}" for name, which in kinds(unknown).items()))
    return right.mean()


def until_end(ids):
    """The ids before the end."""
    return [int(i) for i in ids[:int(np.argmax([*ids, end] == end))]]


def by_tagger(source, lengths):
    """The likeliest word at each step."""
    with tg.no_grad():
        ids = tagger(source, lengths).numpy().argmax(-1)
    return [until_end(ids[:n, row]) for row, n in enumerate(lengths)]


report(by_tagger)

# %%
# Where the words correspond it is good. Where they do not it fails, always: *ein-und-zwanzig* has three pieces and
# *twenty one* two steps. No amount of training helps: the architecture has no place for the third.
#
# Read first, then write
# ----------------------
# The encoder reads the whole sentence; the decoder, a language model of German, begins with what is left in the
# encoder's memory and writes until it writes the end:
#
# .. math:: p(y_1 \dots y_T \mid x) = \prod_t p(y_t \mid y_1 \dots y_{t-1}, x) .


def translator(model, steps=14):
    """Greedy: at each step the likeliest word, which is read at the next."""
    def translate(source, lengths):
        step, state = model.stepper(source, lengths)
        words, found = np.full(source.shape[1], begin), []
        for _ in range(steps):
            log_p, state = step(words, state)
            words = log_p.argmax(-1)
            found.append(words)
        return [until_end(row) for row in np.array(found).T]
    return translate


def loss_of(model, own=0.0):
    """The loss as `trained` calls it."""
    return lambda source, lengths, target, target_lengths: model.loss(source, target, lengths, target_lengths, own=own)


sizes = len(source_words), len(target_words), 32, 64
plain = models.EncoderDecoder(*sizes, score=None, rng=0)
losses = {"no attention": trained(plain, loss_of(plain), PASSES)}
report(translator(plain))

# %%
# Look back while writing
# -----------------------
# All that the decoder knows of the sentence had to fit into one state. With **attention** the encoder's states stay on
# the table, and the decoder, before each word, asks all of them how well they fit what it is about to say:
#
# .. math:: e_{ts} = \text{score}(h_t, \bar h_s), \qquad
#           a_{ts} = \frac{\exp e_{ts}}{\sum_r \exp e_{tr}}, \qquad
#           c_t = \sum_s a_{ts} \bar h_s, \qquad
#           \tilde h_t = \tanh(W [c_t; h_t] + b) .
#
# Scores differ: :math:`h^\top W \bar h` (general, Luong 2015) or :math:`v^\top \tanh(W h + U \bar h)` (additive,
# Bahdanau 2015). With *input feeding* :math:`\tilde h_t` is an input of the next step, so that the decoder remembers
# where it looked. That makes attention a part of the recurrence; here it is one, in equations:

print(cells.attentive(cells.catalogue()["lstm"], memory_size=128))

# %%
# A cell as any other: the readable steps, and the compiled forward and backward pass, follow from this text.
# ``attend`` is a *step primitive*, with kernels of its own.

attending = {}
for score in ("general", "additive"):
    attending[score] = models.EncoderDecoder(*sizes, score=score, rng=0)
    losses[score] = trained(attending[score], loss_of(attending[score]), PASSES)
    report(translator(attending[score]))

figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
for name, values in losses.items():
    axes.semilogy(np.convolve(values, np.ones(10) / 10, "valid"), label=name)
axes.set(xlabel="update", ylabel="nats a word, mean of 10 updates")
axes.legend()
plt.show()

# %%
# Where it looks
# --------------
# Each row of a map is one written word, its weights over the read ones; they sum to 1, and on padding they are exactly
# 0. Watch the cross where the ones come before the tens, and where it looks for *und*.

figure, panels = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
for number, panel in zip((1945, 6021), panels):
    source, lengths, target, target_lengths = batch([number])
    weights = attending["general"].attention_weights(source, target[:-1], lengths)[:, 0]
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)
    models.plot_attention(weights, english(number), [*german(number), END], panel)
plt.show()

# %%
# What a look costs
# -----------------
# Every written word looks at every read one: :math:`T_x T_y` scores, quadratic in the length of a sentence that is
# translated into one as long. The recurrence itself is linear. So there is a length beyond which looking is most of
# the work, in time and in memory. Computed: for *B* sentences, scores or weights are
#
# .. math:: 4 \, B \, T_x T_y \text{ bytes},
#
# and the backward pass needs three such arrays: the scores, what the mask leaves of them, and the weights. Measured:
# the clock, and what Python's own account of memory, ``tracemalloc``, says is held after the forward pass.


def cost(layer, n, size=8):
    """MiB that a forward pass leaves for the backward pass, and its seconds, the fewest of three."""
    x = tg.tensor(np.random.default_rng(n).normal(size=(n, size, 64)).astype(np.float32), requires_grad=True)
    tracemalloc.start()
    kept = layer(x)                 # the first pass of this length: memory is taken anew
    held = tracemalloc.get_traced_memory()[0] / 2**20
    tracemalloc.stop()
    del kept
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        layer(x)
        seconds.append(time.perf_counter() - started)
    return held, min(seconds)


lengths_ = np.array([16, 32]) if FAST else (200 * 2**(np.arange(7) / 2)).astype(int)     # to 1600
lstm, attention = nn.LSTM(64, 64, rng=0), nn.Attention(64, 64, rng=0)
layers = {"LSTM": lstm, "attention": lambda x: attention(x, x)}
for layer in layers.values():
    cost(layer, 3)                  # loads what was compiled
costs = {name: np.array([cost(layer, n) for n in lengths_.tolist()]).T for name, layer in layers.items()}

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
for name, (held, seconds) in costs.items():
    left.loglog(lengths_, 1e3 * seconds, "o-", label=name)
    right.loglog(lengths_, held, "o-", label=f"{name}, measured")
right.loglog(lengths_, 3 * 4 * 8 * lengths_**2 / 2**20, "k--", label="attention, computed")
left.set(xlabel="words read and written", ylabel="milliseconds, 8 sentences")
right.set(xlabel="words read and written", ylabel="MiB held, 8 sentences")
left.legend()
right.legend()
plt.show()
if not FAST:
    for name, both in costs.items():
        powers = np.log(both[:, -1] / both[:, 2]) / np.log(lengths_[-1] / lengths_[2])
        print("{}: memory grows with the length to the power {:.2f}, time to the power {:.2f}".format(name, *powers))

# %%
# Reading its own words
# ---------------------
# While it learns the decoder reads the true words, *teacher forcing*; when it translates it reads its own. After a
# mistake it stands where it has never been. **Scheduled sampling** feeds it now and then a word drawn from its own
# prediction, the more often the further it has come:

decay = models.inverse_sigmoid_decay(k=20.0)
updates = np.arange(0, 200)
figure, axes = plt.subplots(figsize=(5, 3), layout="constrained")
for name, schedule in (("linear", models.linear_decay(0.008, floor=0.2)),
                       ("exponential", models.exponential_decay(0.98)), ("inverse sigmoid", decay)):
    axes.plot(updates, [schedule(i) for i in updates], label=name)
axes.set(xlabel="update", ylabel="probability of the true word")
axes.legend()
plt.show()

sampled, update = models.EncoderDecoder(*sizes, rng=0), iter(range(10**9))
trained(sampled, lambda source, lengths, target, target_lengths: sampled.loss(
    source, target, lengths, target_lengths, own=1 - max(0.5, decay(next(update)))), 1 if FAST else 3)
report(translator(sampled))

# %%
# Exercises
# ---------
# Replace each ``raise`` by your answer and run the last cell. ``examples/solutions`` has ours.
#
# **1.** The heart of it: a softmax that gives padding exactly nothing. Mind scores of a thousand, and padding whose
# score is NaN.


def masked_softmax(scores, real):
    """scores (B, S), real: bool (B, S), at least one a row -> weights (B, S)."""
    raise NotImplementedError


# %%
# **2.** Bahdanau's attention, for one sentence and one query.


def additive_context(query, keys, values, v):
    """query (A,), keys (S, A), values (S, V), v (A,) -> the context (V,)."""
    raise NotImplementedError


# %%
# **3.** How undecided is a look? Give the entropy of each row of weights, in bits: 0 where it sees one place alone,
# log2 S where it sees all alike.


def undecided(weights):
    """weights (T, S), each row sums to 1, some of them 0 -> (T,)."""
    raise NotImplementedError


# %%
# The judge:


def check_masked_softmax(answer):
    """Small numbers, huge ones, poisoned padding."""
    scores = np.array([[0.0, np.log(3.0), np.nan], [1000.0, -1000.0, 1000.0]])
    real = np.array([[True, True, False], [True, True, True]])
    found = answer(scores, real)
    np.testing.assert_allclose(found, [[0.25, 0.75, 0], [0.5, 0, 0.5]], atol=1e-12)
    assert found[0, 2] == 0


def check_additive_context(answer):
    """Against the library's."""
    rng = np.random.default_rng(0)
    query, keys, values, v = rng.normal(size=4), rng.normal(size=(5, 4)), rng.normal(size=(5, 3)), rng.normal(size=4)
    context, _ = nn.functional.attention(query[None], keys[:, None], values[:, None], v=v)
    np.testing.assert_allclose(answer(query, keys, values, v), context.numpy()[0], atol=1e-12)


def check_undecided(answer):
    """By hand."""
    weights = np.array([[1, 0, 0, 0], [0.25, 0.25, 0.25, 0.25], [0.5, 0, 0.25, 0.25]])
    np.testing.assert_allclose(answer(weights), [0, 2, 1.5], atol=1e-12)


EXERCISES = {masked_softmax: check_masked_softmax, additive_context: check_additive_context, undecided: check_undecided}

for exercise, check in EXERCISES.items():
    try:
        check(exercise)
        print(f"{exercise.__name__}: right")
    except NotImplementedError:
        print(f"{exercise.__name__}: still yours to write")
