r"""
Beam search, and whose fault it is
==================================

A trained model answers any question of the form *how likely is this sentence?* Nobody asks it that. We want to know
*which* sentence, and of those there are more than can be looked at: with ten thousand words and twenty places,
:math:`10^{80}`. Something has to search. It may miss the best sentence, and then one does not know whom to blame, the
model, which preferred a bad sentence, or the search, which never saw the good one. This chapter builds the search by
hand, makes it wider, repairs its liking for short answers, and ends with a court of law.
"""

# %%
# One word at a time is not enough
# --------------------------------
# A model of sentences gives a probability to each next word, and to a sentence the product of them:
#
# .. math:: P(y \mid x) = \prod_{t=1}^{T} p(y_t \mid y_1 \dots y_{t-1}, x)
#
# Here is one small enough to read. It translates a single sentence, and what it says next depends on its last word.

import os

import matplotlib.pyplot as plt
import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import decode, nn, optim
from tinygrad_rnn.decode import adjusters, analysis

FAST = os.environ.get("TINYGRAD_RNN_FAST") == "1"

WORDS = ["<s>", "</s>", "jane", "is", "visits", "visiting", "going", "africa", "to", "in", "september"]
BOS, EOS = 0, 1
BIGRAMS = """
    <s>:       jane .85  in .15
    jane:      is .55  visits .45
    is:        going .5  visiting .4  in .1
    going:     to .7  </s> .3
    visiting:  africa .8  </s> .2
    visits:    africa .95  </s> .05
    to:        africa .6  visits .3  </s> .1
    africa:    in .7  </s> .3
    in:        september .9  africa .1
    september: </s> .9  jane .1
    </s>:      </s> 1."""

table = np.full((len(WORDS), len(WORDS)), -np.inf)
for line in BIGRAMS.split("\n")[1:]:
    word, rest = line.split(":")
    pairs = rest.split()
    for following, p in zip(pairs[::2], pairs[1::2]):
        table[WORDS.index(word.strip()), WORDS.index(following)] = np.log(float(p))


def step(tokens, state):
    """What a decoder asks of a model: last words (N,) and a state -> log-probabilities (N, V) and the next state."""
    return table[tokens], state


NOTHING = np.zeros((1, 0))      # one sentence, and nothing to remember


def say(hypothesis):
    """A hypothesis as text."""
    text = " ".join(WORDS[token] for token in hypothesis.tokens)
    return f"{text:45} log P = {hypothesis.log_prob:6.3f}   P = {np.exp(hypothesis.log_prob):.4f}"


((found,),) = decode.greedy(step, NOTHING, bos=BOS, eos=EOS, max_length=8)
((best,),) = decode.exact_search(step, NOTHING, bos=BOS, eos=EOS, max_length=8)
print("likeliest word each time:", say(found))
print("likeliest sentence:      ", say(best))

# %%
# *Greedy* decoding takes the likeliest word at each place, and at the second place it walks into a trap: *is* was a
# little likelier than *visits*, but what can follow *is* divides its probability among many, while *visits* is nearly
# sure of its Africa. The likeliest sentence of all has the less likely word there.
#
# Three at once, by hand
# ----------------------
# So let us not decide so early. *Beam search* carries the K best beginnings along; at each step it continues every one
# of them with every word, and of all these keeps the K best again. A sentence that has ended keeps its place among the
# K. For K = 3, written out:

K = 3
beams, finished = [([BOS], 0.0)], []
for t in range(1, 9):
    candidates = [([*tokens, word], total + log_p)
                  for tokens, total in beams for word, log_p in enumerate(table[tokens[-1]]) if log_p > -np.inf]
    candidates.sort(key=lambda candidate: -candidate[1])
    print(f"\nstep {t}: {len(candidates)} candidates")
    for tokens, total in candidates[:5]:
        print(f"    {total:7.3f}  {' '.join(WORDS[word] for word in tokens[1:])}")
    # A sentence that ends is set aside, and keeps its place.
    best = candidates[:K - len(finished)]
    finished += [candidate for candidate in best if candidate[0][-1] == EOS]
    beams = [candidate for candidate in best if candidate[0][-1] != EOS]

finished.sort(key=lambda candidate: -candidate[1])
print("\nfinished:")
for tokens, total in finished:
    print(f"    {total:7.3f}  {' '.join(WORDS[word] for word in tokens[1:])}")

# %%
# The library's search keeps the whole tree if it is asked to. Follow the bold line, and see where the greedy one stops
# being the best: thick edges are likely words, numbers are log-probabilities so far.

((hypothesis,),), (trace,) = decode.beam_search(step, NOTHING, bos=BOS, eos=EOS, max_length=8, width=K, alpha=0.0,
                                                trace=True)
assert np.isclose(hypothesis.log_prob, finished[0][1]) and [BOS, *hypothesis.tokens] == finished[0][0]
decode.plot_beam(trace, WORDS)
plt.show()

# %%
# K = 1 is greedy decoding; K beyond all beginnings is a look at every sentence. In between it is a bet, and there is no
# promise: the best sentence is lost as soon as its beginning falls below the K-th.
#
# A model that one has to search
# ------------------------------
# Now for a model that learned something. It reads a number, three digits, and says it in English: 342, *three hundred
# and forty two*. Its teachers are human. One in three leaves out the *and*, and now and then a teacher mumbles, and the
# sentence breaks off.

UNITS = ("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
         "seventeen eighteen nineteen").split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
SPEECH = ["<s>", "</s>", "hundred", "and", *UNITS, *TENS]
LONGEST = 8


def spoken(number, rng=None):
    """A number in words; with a generator, as a teacher says it."""
    hundreds, rest = divmod(number, 100)
    words = [UNITS[hundreds], "hundred"] if hundreds else []
    if rest or not hundreds:
        words += ["and"] if hundreds and (rng is None or rng.random() < 0.67) else []
        words += [UNITS[rest]] if rest < 20 else [TENS[rest // 10 - 2], *([UNITS[rest % 10]] if rest % 10 else [])]
    if rng is not None and rng.random() < 0.3:
        words = words[:rng.integers(1, len(words) + 1)]
    return [SPEECH.index(word) for word in words] + [EOS]


def digits(numbers):
    """(B,) -> (B, 30): three digits, each as one of ten."""
    places = np.stack([numbers // 100, numbers // 10 % 10, numbers % 10], 1)
    return np.eye(10, dtype=np.float32)[places].reshape(len(numbers), 30)       # (B, 3, 10) -> (B, 30)


class Speaker(nn.Module):
    """The digits become the first state of a GRU, which then speaks."""

    def __init__(self, hidden=48):
        super().__init__()
        self.read = nn.Linear(30, hidden)
        self.embedding = nn.Embedding(len(SPEECH), 16)
        self.gru = nn.GRU(16, hidden)
        self.out = nn.Linear(hidden, len(SPEECH))
        self.initialise(0)

    def forward(self, numbers, x):
        h = self.read(digits(numbers)).tanh()
        return self.out(self.gru(self.embedding(x), h.reshape((1, *h.shape)))[0])       # (B, H) -> (1, B, H): one layer


model, rng = Speaker(), np.random.default_rng(0)
everything = rng.permutation(1000)
training, test = everything[:700], everything[700:720 if FAST else 1000]
optimizer = optim.Adam(model.parameters(), lr=0.01)
for _ in range(15 if FAST else 250):
    numbers = rng.choice(training, 64)
    y = np.full((LONGEST, 64), -100)        # what is not to be counted
    for column, number in enumerate(numbers):
        words = spoken(number, rng)
        y[:len(words), column] = words
    x = np.concatenate([np.full((1, 64), BOS), np.maximum(y[:-1], 0)])
    loss = nn.functional.cross_entropy(model(numbers, x), y, ignore_index=-100, axis=-1)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"loss {loss.item():.3f} nats a word")

# %%
# To decode it we hand over two things: a function that makes one step, for any number of rows, and the state it starts
# from, whose first axis is the sentences. The search copies rows of the state about as it likes; what the state is made
# of is nobody's business but the model's.


def decoder(model, numbers):
    """(step, state) for decode.greedy, decode.beam_search and the others."""
    gru = model.gru.row_stepper()

    def step(tokens, state):
        with tg.no_grad():
            h, state = gru(model.embedding(tokens).numpy(), state)
            return decode.Logits(model.out(h)), state

    with tg.no_grad():
        h = model.read(digits(numbers)).tanh()
        return step, gru.start(h.reshape((1, *h.shape)), len(numbers))      # (B, H) -> (1, B, H): one layer


def text(tokens):
    """Ids to words."""
    return " ".join(SPEECH[token] for token in tokens if token != EOS)


ENDS = dict(bos=BOS, eos=EOS, max_length=LONGEST)
speaking = decoder(model, test)
for number, (first, *others) in list(zip(test, decode.beam_search(*speaking, **ENDS, alpha=0.0, n_best=3)))[:5]:
    print(number)
    for one in (first, *others):
        print(f"    {one.log_prob:7.3f}  {text(one.tokens)}")

# %%
# How wide?
# ---------
# Everything at once: the score that the search is after, its time and memory, and the length of what it says by the
# length of what it should say. (BLEU measures agreement with the reference, and gets its own place in the table.)

references = [spoken(number) for number in test]
curve = analysis.width_curve(*speaking, references, (1, 2, 3, 5, 10, 30), **ENDS, alpha=0.0)
print(curve.table())
curve.plot()
plt.show()

# %%
# The score rises with the width and soon is as good as it gets; time and memory rise for ever. And look at the length.
# A wider beam finds *shorter* sentences, and that is not the search's fault, for it does what it was told: every
# further word costs something, so a sentence that breaks off, which a careless teacher made possible, is likelier than
# a long one that is right. A narrow beam did not see it. The better one searches, the worse it gets.
#
# Long sentences need help
# ------------------------
# The remedy is to compare means instead of sums, or something between the two:
#
# .. math:: \mathrm{score}(y) = \frac{1}{T^\alpha} \sum_{t=1}^{T} \log p(y_t \mid y_1 \dots y_{t-1}, x)
#
# With :math:`\alpha = 0` that is the log-probability, with 1 the mean of a word, and in between, where the lecture
# likes 0.7, it is a compromise that nobody has derived from anything.

ALPHAS = (0.0, 0.3, 0.7, 1.0, 1.5, 2.0)
wanted = {number: {text(spoken(number)), text(spoken(number)).replace(" and", "")} for number in test.tolist()}
right, length = [], []
for alpha in ALPHAS:
    found = [one for one, in decode.beam_search(*speaking, **ENDS, alpha=alpha)]
    right.append(np.mean([text(one.tokens) in wanted[number] for one, number in zip(found, test.tolist())]))
    length.append(np.mean([len(one) for one in found]))
    print(f"alpha {alpha}: {right[-1]:6.1%} right, {length[-1]:.2f} words")

figure, (left, middle) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
left.plot(ALPHAS, right, "o-")
left.set(xlabel="alpha", title="share of right numbers")
middle.plot(ALPHAS, length, "o-", label="found")
middle.axhline(np.mean([len(one) for one in references]), color="0.6", linestyle=":", label="should be")
middle.set(xlabel="alpha", title="words, </s> included")
middle.legend()
plt.show()

# %%
# Whose fault?
# ------------
# Some numbers are still wrong. Widen the beam, or train longer? Let :math:`y^*` be what a person said and
# :math:`\hat y` what was found, and ask the model for the score of both. If it prefers :math:`y^*`, the search is to
# blame: it was after the highest score and missed a higher one. If it prefers :math:`\hat y`, no search will help.
#
# .. math::
#
#     \begin{aligned}
#     \mathrm{score}(y^*) > \mathrm{score}(\hat y) &\quad\text{search error: a wider beam} \\
#     \mathrm{score}(y^*) \le \mathrm{score}(\hat y) &\quad\text{model error: another model, more data, regularisation}
#     \end{aligned}
#
# Our model is small enough for *exact search* as well, which follows the most promising beginning first and stops when
# nothing that is open can win. It settles what the comparison with a single reference leaves open: whether the best
# sentence was found at all.

for width in (1, 2, 10):
    verdicts = analysis.analyse_errors(*speaking, references, **ENDS, width=width, exact_steps=2000)
    print(f"width {width}: search {verdicts.search_share:.0%} of the errors, model {verdicts.model_share:.0%}")
    print(verdicts.table(), "\n")
verdicts.plot()
plt.show()

# %%
# Above the diagonal the search failed, below it the model did. With a beam of ten hardly anything is left above. But
# look at what the court calls an error: whatever is not the one sentence that it was given.

guilty = [(number, case) for number, case in zip(test.tolist(), verdicts.cases) if case.fault == "model"]
innocent = sum(text(case.found.tokens) in wanted[number] for number, case in guilty)
print(f"{innocent} of {len(guilty)} model errors are right numbers without their 'and', as a teacher in three says it")

# %%
# An analysis is as good as its references. What remains is wrong because we trained for a few seconds with teachers who
# mumble.
#
# More than the best
# ------------------
# The same loop serves when not the best sentence is wanted but a likely one, or several that differ, or one that obeys.
# Each rule is a pure function of the log-probabilities and of what was said so far, and rules compose.

one = decoder(model, test[:1])
print(f"the number is {test[0]}")
for drawn in decode.sample(*one, **ENDS, temperature=1.0, top_p=0.95, num_return=4, rng=0)[0]:
    print(f"    drawn     {drawn.log_prob:7.3f}  {text(drawn.tokens)}")
for varied in decode.beam_search(*one, **ENDS, width=6, diversity_groups=3, diversity=1.0, n_best=6)[0]:
    print(f"    diverse   {varied.log_prob:7.3f}  {text(varied.tokens)}")
rules = [adjusters.Suppress([SPEECH.index("and")]), adjusters.MinLength(4), adjusters.NoRepeatNgram(1)]
for obeying in decode.beam_search(*one, **ENDS, adjusters=rules, n_best=2)[0]:
    print(f"    obedient  {obeying.log_prob:7.3f}  {text(obeying.tokens)}")

# %%
# Exercises
# ---------
# Replace each ``raise`` by your answer and run the last cell. ``examples/solutions`` has ours.
#
# **1.** One step of a beam. Given the totals of its hypotheses and the log-probabilities of what may follow each,
# return the K best continuations, best first, each as a list ``[hypothesis, word, total]``.


def beam_step(totals, log_probs, K):
    """(n,), (n, V), an int -> a list of K lists."""
    raise NotImplementedError


# %%
# **2.** Google's translator (Wu 2016) normalises by :math:`((5 + T)/6)^\alpha` in the place of :math:`T^\alpha`. Return
# the score of a sentence, given the log-probabilities of its words.


def gnmt_score(log_probs, alpha):
    """(T,) and a number -> a number."""
    raise NotImplementedError


# %%
# **3.** When may a search stop? Log-probabilities only fall. Return the highest score that a sentence can still reach
# whose beginning has log-probability `total`, if it may have at most `longest` words and scores are divided by
# :math:`T^\alpha`.


def still_possible(total, longest, alpha):
    """Three numbers -> a number."""
    raise NotImplementedError


# %%
# The judge:


def check_beam_step(answer):
    """By sorting everything."""
    draw = np.random.default_rng(5)
    totals, log_probs = draw.normal(-3, 1, 4), np.log(draw.dirichlet(np.ones(7), 4))
    found = answer(totals.copy(), log_probs.copy(), 5)
    order = np.argsort(-(totals[:, None] + log_probs), axis=None)[:5]
    expected = [[place // 7, place % 7, totals[place // 7] + log_probs[place // 7, place % 7]] for place in order]
    np.testing.assert_allclose(np.array(found, float), np.array(expected, float))


def check_gnmt_score(answer):
    """By asking the library."""
    (found,) = decode.beam_search(step, NOTHING, bos=BOS, eos=EOS, max_length=8, alpha=0.6, length_penalty="gnmt")
    np.testing.assert_allclose(answer(np.array(found[0].token_log_probs), 0.6), found[0].score)


def check_still_possible(answer):
    """A sentence that costs nothing more reaches it, and none that we can think of reaches more."""
    for total, longest, alpha in ((-4.0, 20, 0.7), (-1.0, 5, 1.0), (-2.0, 9, 0.0)):
        reached = max(total / T**alpha for T in range(1, longest + 1))
        np.testing.assert_allclose(answer(total, longest, alpha), reached)


EXERCISES = {beam_step: check_beam_step, gnmt_score: check_gnmt_score, still_possible: check_still_possible}

for exercise, check in EXERCISES.items():
    try:
        check(exercise)
        print(f"{exercise.__name__}: right")
    except NotImplementedError:
        print(f"{exercise.__name__}: still yours to write")
