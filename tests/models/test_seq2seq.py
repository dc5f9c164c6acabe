"""Encoder-decoders and captioners: teacher forcing, scheduled sampling, steps for decoding, and that they learn."""

import math
import os
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_rnn import decode, models, nn, no_grad, optim
from tinygrad_rnn.cells import Cell, catalogue
from tinygrad_rnn.cells.compiled import WITHOUT_JIT
from tinygrad_rnn.data import PairBatches, pad
from tinygrad_rnn.models.seq2seq import plot_attention
from tinygrad_rnn.models.teaching import drawn, read_own

JIT = os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0")
V, BEGIN, END = 9, 1, 2
WAYS = [dict(score="general"), dict(score="dot", hidden_size=6, bidirectional=False),
        dict(score="additive", feeding=None), dict(score="scaled_dot", num_layers=3, encoder_layers=2),
        dict(score="additive", feeding="context", cell="gru_sheet"),
        dict(score="location"), dict(score=None, num_layers=2), dict(score="general", bridge="zeros", cell="mut3"),
        dict(score=None, bridge="copy", bidirectional=False, cell="lstm_layernorm")]
IDS = ["-".join(map(str, w.values())) for w in WAYS]


def built(embedding_size=5, hidden_size=6, dtype=np.float64, **options):
    return models.EncoderDecoder(V + 2, V, embedding_size, hidden_size, rng=0, **options).astype(dtype)


def batch(rng, B=4, S=5, T=6):
    """Source, target with begin and end, and their lengths."""
    lengths, target_lengths = rng.integers(1, S + 1, B), rng.integers(2, T + 1, B)
    lengths[0], target_lengths[-1] = S, T
    source, target = rng.integers(3, V + 2, (S, B)), rng.integers(3, V, (T, B))
    target[0], target[target_lengths - 1, np.arange(B)] = BEGIN, END
    return source, target, lengths, target_lengths


def log_softmax(x):
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


@pytest.mark.parametrize("options", WAYS, ids=IDS)
def test_a_model_is_consistent(options, rng):
    """The loss is that of the scores; step by step, with probability 0 of own words, gives the same as all at once, in
    value and gradient; so do the steps for decoding, whatever the order and the batch."""
    model = built(**options)
    source, target, lengths, target_lengths = batch(rng)
    scores = model(source, target[:-1], lengths, target_lengths - 1).numpy()
    real = np.arange(5)[:, None] < target_lengths - 1
    expected = -np.take_along_axis(log_softmax(scores), target[1:, :, None], 2)[..., 0][real].mean()
    found = []
    for own in (0.0, 1e-300):       # the second takes the way of scheduled sampling, and never reads a word of its own
        model.zero_grad()
        loss = model.loss(source, target, lengths, target_lengths, own=own)
        loss.backward()
        found.append([loss.item(), *(p.grad.numpy() for p in model.parameters())])
    assert math.isclose(found[0][0], expected, rel_tol=1e-9)
    for a, b in zip(*found):
        np.testing.assert_allclose(a, b, atol=1e-10)
    order = np.array([2, 0, 3, 1])
    step, state = model.stepper(source, lengths)
    for k in range(5):
        log_p, state = step(target[k, order] if k else target[k], state)
        if k == 0:                  # as beam search does: other rows in another order, and one twice
            np.testing.assert_allclose(log_p, log_softmax(scores[0]), atol=1e-9)
            state = reordered(state, order)
            continue
        on = real[k, order]
        np.testing.assert_allclose(log_p[on], log_softmax(scores[k, order])[on], atol=1e-9)
    several = reordered(model.stepper(source, lengths)[1], [3, 3, 1, 0, 0, 0])
    log_p, after = step(np.full(6, BEGIN), several)
    np.testing.assert_allclose(log_p, log_softmax(scores[0])[[3, 3, 1, 0, 0, 0]], atol=1e-9)
    assert all(len(leaf) == 6 for leaf in leaves(after))


@pytest.mark.parametrize("options", [w for w in WAYS if w["score"]], ids=[i for i in IDS if i[:4] != "None"])
def test_where_it_looks_while_it_decodes(options, rng):
    """The weights in the state are those of teacher forcing, and a coverage penalty can be made of them."""
    model = built(**options)
    source, _, lengths, _ = batch(rng)
    step, state = model.stepper(source, lengths, weights=True)
    found = decode.beam_search(step, state, bos=BEGIN, eos=END, max_length=4, width=3, coverage=0.3)
    plain = decode.beam_search(*model.stepper(source, lengths), bos=BEGIN, eos=END, max_length=4, width=1, alpha=0.0)
    _, seen = decode.score_sentences(step, state, [one.tokens for one, in plain], bos=BEGIN, eos=END,
                                     observe=lambda after: after["attention"])
    for row, ((one,), (best,)) in enumerate(zip(plain, found)):
        read = np.array([BEGIN, *one.tokens[:-1]])[:, None]
        own = source[:lengths[row], row:row + 1]
        weights = model.attention_weights(own, read)[:, 0]
        np.testing.assert_allclose(seen[row][:, :lengths[row]], weights, atol=1e-9)
        assert not seen[row][:, lengths[row]:].any()
        total = model.attention_weights(own, np.array([BEGIN, *best.tokens[:-1]])[:, None])[:, 0].sum(0)
        extra = 0.3 * np.log(np.minimum(total, 1)).sum()
        assert best.score == pytest.approx(best.log_prob / len(best) ** 0.7 + extra, abs=1e-9)


@pytest.mark.parametrize("options", [{"num_layers": 2}, {"feeding": None}, {"score": "additive", "feeding": "context"},
                                     {"score": None}], ids=str)
def test_decoding_does_not_depend_on_the_batch(options, rng):
    """Sentences in another order, alone, and some twice: the same tokens and, bit by bit, the same scores."""
    model = built(dtype=np.float32, **options)
    model.decoder.linear.weight.data[:] *= 8
    source, _, lengths, _ = batch(rng)
    step, state = model.stepper(source, lengths)
    common = dict(bos=BEGIN, eos=END, max_length=7)
    draw = partial(decode.sample, rng=3)
    for search in (partial(decode.beam_search, width=4, n_best=3), decode.greedy, draw):
        together = search(step, state, **common)
        for order in ([3, 1, 0, 2], [2], [1, 1, 3]):
            again = search(step, reordered(state, order), **common)
            same = [together[k] for k in order]
            if search is draw and order == [1, 1, 3]:       # equal sentences are drawn independently
                again, same = again[::2], same[::2]
            if JIT:
                assert again == same
            else:
                assert [[one.tokens for one in s] for s in again] == [[one.tokens for one in s] for s in same]


def test_scores_before_they_are_normalised(rng):
    """Decoders ask a step for logits; whoever calls it gets log-probabilities."""
    source, _, lengths, _ = batch(rng)
    step, state = built().stepper(source, lengths)
    logits, after = step.logits(np.full(4, BEGIN), state)
    log_p, same = step(np.full(4, BEGIN), state)
    np.testing.assert_allclose(log_p, log_softmax(logits.scores), atol=1e-12)
    for a, b in zip(leaves(after), leaves(same), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="it attends to nothing"):
        built(score=None).stepper(source, lengths, weights=True)
    broken = built()
    broken.decoder.linear.bias.data[3] = np.nan
    with pytest.raises(decode.NotANumberError, match="sentence 0, after 0 tokens"):
        decode.beam_search(*broken.stepper(source, lengths), bos=BEGIN, eos=END, max_length=3)


def leaves(value):
    if isinstance(value, dict):
        return leaves(list(value.values()))
    return [leaf for v in value for leaf in leaves(v)] if isinstance(value, (list, tuple)) else [value]


def reordered(state, order):
    """Any nested state along its first axis."""
    if isinstance(state, dict):
        return {n: reordered(v, order) for n, v in state.items()}
    return type(state)(reordered(v, order) for v in state) if isinstance(state, (list, tuple)) else state[order]


@pytest.mark.parametrize("options", [w for w in WAYS if w["score"]], ids=[i for i in IDS if i[:4] != "None"])
def test_attention_maps(options, rng):
    model = built(**options, dropout=0.5)
    source, target, lengths, target_lengths = batch(rng)
    weights = model.attention_weights(source, target, lengths, target_lengths)
    real = np.arange(6)[:, None] < target_lengths
    np.testing.assert_allclose(weights.sum(-1), real, atol=1e-12)
    assert not weights[:, np.arange(5) >= lengths[:, None]].any() and model.training
    assert np.array_equal(weights, model.attention_weights(source, target, lengths, target_lengths))     # no dropout


@pytest.mark.parametrize("options", WAYS, ids=IDS)
@given(st.integers(0, 10**6))
@settings(max_examples=4)
def test_padding_and_the_batch_do_not_matter(options, seed):
    """Not by a bit where the kernels are compiled: a row alone is the row in its batch, at once and step by step."""
    rng = np.random.default_rng(seed)
    hidden_size, B, S, T = (int(rng.integers(*between)) for between in ((2, 40), (1, 9), (1, 20), (2, 9)))
    options = {**options, "hidden_size": hidden_size}
    model = built(dtype=[np.float32, np.float64][seed % 2], **{**options, "embedding_size": hidden_size})
    source, target, lengths, target_lengths = batch(rng, B, S, T)
    together = model(source, target, lengths, target_lengths).numpy()
    step, state = model.stepper(source, lengths)
    first, state = step(target[0], state)
    stepped = [first, step(target[1], state)[0]]
    for row in range(B):
        read, written = source[:lengths[row], row:row + 1], target[:target_lengths[row], row:row + 1]
        same(model(read, written).numpy()[:, 0], together[:target_lengths[row], row])
        step, state = model.stepper(read)
        for words, expected in zip(target[:2, row:row + 1], stepped):
            found, state = step(words, state)
            same(found[0], expected[row])
    other = source.copy()
    other[np.arange(S)[:, None] >= lengths] = V + 1
    assert np.array_equal(model(other, target, lengths, target_lengths).numpy(), together)


def same(one, other):
    """Bit for bit; NumPy's product, without the JIT, promises no bits."""
    if WITHOUT_JIT:
        np.testing.assert_allclose(one, other, atol=1e-5)
    else:
        assert np.array_equal(one, other)


@pytest.mark.parametrize("score", ["general", "additive", None])
def test_the_last_batch_is_padded_and_padding_is_not_learned(score, rng):
    """As Algorithm 1 is printed, it leaves the last, smaller batch as it is, and fills up with the end token; here that
    batch is padded as the others, and no padding counts in the loss, nor in a gradient."""
    model = built(score=score)
    sources = [rng.integers(3, V + 2, n) for n in (3, 5, 1, 4, 2)]
    targets = [np.array([BEGIN, *rng.integers(3, V, n), END]) for n in (1, 4, 2, 3, 5)]
    found = []
    for padding in (0, END):
        batches = list(PairBatches(sources, targets, 3, strategy="shuffle", padding=padding, rng=0))
        (last,) = (batch for batch in batches if len(batch.pairs) == 2)
        longest = max(len(targets[k]) for k in last.pairs)
        assert len(last.target) == longest and any(len(targets[k]) < longest for k in last.pairs)
        model.zero_grad()
        loss = model.loss(last.source, last.target, last.source_lengths, last.target_lengths)
        loss.backward()
        found.append([loss.item(), *(p.grad.numpy().copy() for p in model.parameters())])
    for a, b in zip(*found):
        assert np.array_equal(a, b)
    alone = [(model.loss(sources[k][:, None], targets[k][:, None]).item(), len(targets[k]) - 1) for k in last.pairs]
    losses, words = zip(*alone)
    assert math.isclose(found[0][0], np.average(losses, weights=words), rel_tol=1e-9)


def test_fifty_pairs_are_learned_by_heart():
    rng = np.random.default_rng(0)
    lengths = rng.integers(2, 7, 50)
    sources = [rng.integers(3, 30, n) for n in lengths]
    targets = [np.array([BEGIN, *(s[::-1] * 7 + 5) % 27 + 3, END]) for s in sources]
    (source, lengths), (target, target_lengths) = pad(sources), pad(targets)
    model = models.EncoderDecoder(30, 30, 32, 64, rng=0)
    optimizer = optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(50):
        optimizer.zero_grad()
        model.loss(source, target, lengths, target_lengths).backward()
        optim.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    step, state = model.stepper(source, lengths)
    words, written = np.full(50, BEGIN), []
    for _ in range(len(target) - 1):
        log_p, state = step(words, state)
        words = log_p.argmax(-1)
        written.append(words)
    for row, (n, truth) in enumerate(zip(target_lengths, targets)):
        assert np.array_equal(np.array(written)[:n - 1, row], truth[1:]), row


def test_scheduled_sampling_reads_what_it_drew():
    """A step that always predicts word + 1: with probability 1 the model counts on, with 0 it reads the truth."""
    seen = []

    def step(words, state):
        seen.append(words)
        scores = np.full((len(words), V), -1e9)
        scores[np.arange(len(words)), (words + 1) % V] = 0
        return nn.Parameter(scores), state
    tokens = np.array([[3, 5], [7, 7], [7, 7], [7, 7]])
    assert read_own(step, tokens, None, 1.0, rng=0).shape == (4, 2, V)
    assert np.array_equal(seen, [[3, 5], [4, 6], [5, 7], [6, 8]])
    seen.clear()
    read_own(step, tokens, None, 0.0, rng=0)
    assert np.array_equal(seen, tokens)
    seen.clear()
    read_own(step, np.full((400, 50), 8), None, 0.25, rng=0)
    own = (np.array(seen)[1:] != 8).mean()      # a word of its own after an 8 is a 0
    assert abs(own - 0.25 * (1 - 1 / V)) < 0.04
    with pytest.raises(ValueError, match="own must be a probability, between 0 and 1, got 1.5"):
        read_own(step, tokens, None, 1.5)


def test_drawn_follows_the_distribution():
    p = np.array([0.5, 0.2, 0.3])
    counts = np.bincount(drawn(np.log(np.tile(p, (40000, 1))), np.random.default_rng(0)), minlength=3)
    np.testing.assert_allclose(counts / 40000, p, atol=0.01)


def test_scheduled_sampling_is_repeatable(rng):
    data = batch(rng)
    one, other = built(), built()
    first = one.loss(*data, own=0.7).item()
    assert first == other.loss(*data, own=0.7).item() != one.loss(*data, own=0.7).item()


def test_decays():
    linear, exponential = models.linear_decay(0.01, 0.9, 0.2), models.exponential_decay(0.99)
    sigmoid = models.inverse_sigmoid_decay(50.0)
    assert [linear(i) for i in (0, 10, 1000)] == pytest.approx([0.9, 0.8, 0.2])
    assert [exponential(i) for i in (0, 100)] == pytest.approx([1.0, 0.99 ** 100])
    assert [sigmoid(i) for i in (0, 200)] == pytest.approx([50 / 51, 50 / (50 + math.exp(4))]) and sigmoid(10 ** 9) >= 0
    for decay in (linear, exponential, sigmoid):
        values = [decay(i) for i in range(0, 2000, 7)]
        assert all(0 <= b <= a <= 1 for a, b in zip(values, values[1:]))
    for call in (lambda: models.linear_decay(-1), lambda: models.linear_decay(0.1, 0.5, 0.6),
                 lambda: models.exponential_decay(1.0), lambda: models.inverse_sigmoid_decay(0.5)):
        with pytest.raises(ValueError, match="expected|must"):
            call()


@pytest.mark.parametrize("change, error, message", [
    (dict(source=np.zeros((0, 2), int)), ValueError, "the source is empty|has no steps"),
    (dict(source_lengths=[0, 2]), ValueError, "the length of row 0 is 0"),
    (dict(source_lengths=[2, 9]), ValueError, "the length of row 1 is 9"),
    (dict(source=np.full((3, 2), V + 2)), IndexError, "is 11, there are 11 rows"),
    (dict(source=np.ones((3, 2), np.float32)), TypeError, "must be integers"),
    (dict(target=np.ones((4, 3), int)), ValueError, "there are 2 sources and 3 targets"),
    (dict(target=np.full((4, 2), V)), IndexError, "is 9, there are 9 rows"),
    (dict(target=np.ones((1, 2), int)), ValueError, "with its begin and its end, T >= 2, got .1, 2."),
    (dict(target=np.ones((4, 2))), TypeError, "target must be integers"),
    (dict(target_lengths=[1, 4]), ValueError, "target 0 has the length 1"),
    (dict(target_lengths=[4, 5]), ValueError, "the length of row 1 is 5"),
])
def test_bad_batches(change, error, message):
    arguments = dict(source=np.full((3, 2), 4), target=np.full((4, 2), 4), source_lengths=None, target_lengths=None)
    with pytest.raises(error, match=message):
        built(dtype=np.float32).loss(**{**arguments, **change})


def test_other_mistakes(rng):
    model, plain = built(), built(score=None)
    with pytest.raises(ValueError, match="score=None, it has no attention"):
        plain.attention_weights(np.full((3, 2), 4), np.full((3, 2), 4))
    with pytest.raises(ValueError, match="a row for each of the 2 sources, got .3, 5."):
        model(np.full((3, 2), 4), np.full((3, 5), 4))
    with pytest.raises(ValueError, match="cell must be a Cell or one of rnn, .* got 'lsmt'"):
        built(cell="lsmt")
    with pytest.raises(ValueError, match="kind='copy' needs states of one width"):
        built(bridge="copy")
    with pytest.raises(ValueError, match="kind must be one of"):
        built(bridge="golden gate")
    with pytest.raises(ValueError, match="give source_vocabulary_size for words, or None and source_size"):
        models.EncoderDecoder(None, 4)
    with pytest.raises(ValueError, match="give memory_size or vector_size"):
        models.Decoder(4, memory_size=3, vector_size=3)
    with pytest.raises(ValueError, match="it attends to a memory: give one"):
        model.decoder.begin(2)
    with pytest.raises(ValueError, match=r"decoder.linear.weight.*\(9, 6\).*\(8, 6\)|\(8, 6\).*\(9, 6\)"):
        models.EncoderDecoder(V + 2, V - 1, 5, 6).load_state_dict(model.state_dict())


def test_weights_go_to_another_model(rng):
    """A state_dict holds all of it; a cell of one's own and features in place of words work as the others."""
    own = Cell("i = sigmoid(W(x, h_prev) + b)\nh = i*h_prev + (1 - i)*tanh(W(x) + b)")
    a, b = (models.EncoderDecoder(None, V, 5, 6, cell=own, source_size=3, rng=k) for k in (0, 1))
    b.load_state_dict(a.state_dict())
    frames, target = rng.normal(size=(4, 2, 3)).astype(np.float32), np.full((3, 2), 4)
    assert np.array_equal(a(frames, target, [4, 2]).numpy(), b(frames, target, [4, 2]).numpy())
    with pytest.raises(ValueError, match="built for embedding_size=3"):
        a(frames[..., :2], target)


def test_plots(rng):
    matplotlib = pytest.importorskip("matplotlib")
    axes = plot_attention(np.full((2, 3), 1 / 3), ["ein", "kleiner", "satz"], ["a", "sentence"])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "sentence"]
    matplotlib.pyplot.close(axes.figure)
    with pytest.raises(ValueError, match="one row for each written word"):
        plot_attention(np.ones((2, 3)), ["a"], ["b"])


# ---- captions --------------------------------------------------------------------------------------------------------
def test_the_vector_enters_at_every_step_or_at_the_first(rng):
    """h = tanh(W_xh x + W_hh h + W_ih v + b), written out."""
    vector, target = rng.normal(size=(2, 3)), rng.integers(0, V, (4, 2))
    for every in (True, False):
        model = models.VectorToSequence(3, V, 5, 6, cell="rnn", every_step=every, rng=0).astype(np.float64)
        p = {n.removeprefix("decoder.").removeprefix("first."): v for n, v in model.state_dict().items()}
        h, scores = np.zeros((2, 6)), model(vector, target).numpy()
        step, state = model.stepper(vector)
        for k in range(4):
            z = p["embedding.weight"][target[k]] @ p["W_h_x_l0"].T + h @ p["W_h_h_l0"].T + p["b_h_l0"]
            h = np.tanh(z + (vector if every or not k else 0 * vector) @ p["W_h_v_l0"].T)
            np.testing.assert_allclose(scores[k], h @ p["linear.weight"].T + p["linear.bias"], atol=1e-12)
            log_p, state = step(target[k], state)
            np.testing.assert_allclose(log_p, log_softmax(scores[k]), atol=1e-9)
    with pytest.raises(ValueError, match="vector must have shape .B, vector_size=3., got .2, 4."):
        model(np.ones((2, 4)), target)


@pytest.mark.parametrize("options", [{}, {"project": 4, "num_layers": 2, "cell": "gru_reset_before",
                                          "every_step": False}])
def test_captions_are_learned(options):
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(12, 5)).astype(np.float32)
    target, lengths = pad([np.array([BEGIN, *rng.integers(3, V, rng.integers(1, 5)), END]) for _ in vectors])
    model = models.VectorToSequence(5, V, 12, 32, rng=0, **options)
    stepwise = model.loss(vectors, target, lengths, own=1e-300)
    assert math.isclose(model.loss(vectors, target, lengths).item(), stepwise.item(), rel_tol=1e-5)
    losses = trained(model, lambda: model.loss(vectors, target, lengths), 120)
    assert losses[-1] < 0.05 < 1.5 < losses[0]


def trained(model, loss, updates):
    optimizer, losses = optim.Adam(model.parameters(), lr=1e-2), []
    for _ in range(updates):
        optimizer.zero_grad()
        value = loss()
        value.backward()
        optimizer.step()
        losses.append(value.item())
    return losses


def test_s2vt_against_its_two_layers_written_out(rng):
    """With all films of one length it is one run of two LSTMs over frames, then words, zeros standing for what is not
    there."""
    frames, target = rng.normal(size=(3, 2, 4)), rng.integers(0, V, (5, 2))
    model = models.S2VT(4, V, 5, 6, rng=0).astype(np.float64)
    with no_grad():
        nothing = np.zeros((5, 2, 4))
        lower, _ = model.lower(np.concatenate([frames, nothing]))
        words = np.concatenate([np.zeros((3, 2, 5)), model.embedding.weight.data[target]])
        upper, _ = model.upper(np.concatenate([lower.numpy(), words], -1))
        expected = model.linear(upper).numpy()[3:]
    np.testing.assert_allclose(model(frames, target).numpy(), expected, atol=1e-12)
    step, state = model.stepper(frames)
    for k in range(5):
        log_p, state = step(target[k], state)
        np.testing.assert_allclose(log_p, log_softmax(expected[k]), atol=1e-9)
    ragged = np.concatenate([frames, np.full((2, 2, 4), np.nan)])
    np.testing.assert_allclose(model(ragged, target, [3, 3]).numpy(), expected, atol=1e-12)
    one = model.loss(frames, target, [3, 2], [5, 3])
    assert math.isclose(one.item(), model.loss(frames, target, [3, 2], [5, 3], own=1e-300).item(), rel_tol=1e-9)
    with pytest.raises(ValueError, match="frames must have shape .S, B, feature_size."):
        model(frames[0], target)


def test_s2vt_learns():
    rng = np.random.default_rng(3)
    frames, lengths = pad([rng.normal(size=(n, 4)).astype(np.float32) for n in rng.integers(2, 6, 10)])
    target, target_lengths = pad([np.array([BEGIN, *rng.integers(3, V, rng.integers(1, 4)), END]) for _ in lengths])
    model = models.S2VT(4, V, 12, 32, rng=0, cell=catalogue()["gru_reset_after"])
    losses = trained(model, lambda: model.loss(frames, target, lengths, target_lengths), 120)
    assert losses[-1] < 0.05 < 1.5 < losses[0]
