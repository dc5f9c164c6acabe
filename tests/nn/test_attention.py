"""Attention: against loops written out, its weights' laws, and a layer that attends, compiled against readable."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_rnn import nn, no_grad, tensor
from tinygrad_rnn.cells import Cell, catalogue
from tinygrad_rnn.nn.attention import SCORES
from tinygrad_rnn.testing import gradcheck

CELLS = catalogue()
F = nn.functional
WAYS = [(score, feeding) for score in ("dot", "general", "scaled_dot", "additive") for feeding in
        ("attended", "context", None)] + [("location", "attended")]


def softmax(e):
    p = np.exp(e - np.max(e))
    return p / p.sum()


def layer(score, *args, **options):
    made = nn.LocationAttention(*args, **options) if score == "location" else nn.Attention(*args[:2], score, **options)
    made.astype(np.float64)
    rng = np.random.default_rng(2)
    for parameter in made.parameters():
        parameter.data[...] = rng.normal(0, 0.7, parameter.shape)
    return made


def longhand(a, query, memory, length, before=None):
    """Context and weights for one query (Q,) and one memory (S, D)."""
    p = {n: v.copy() for n, v in a.state_dict().items()}
    q = query if a.score == "dot" else p["weight_query"] @ query
    scores = []
    for s in range(length):
        k = p["weight_key"] @ memory[s] if "weight_key" in p else memory[s]
        if a.score == "location":
            for f in range(a.filters):
                seen = sum(p["weight_filter"][f, j] * before[s + j - a.width // 2] for j in range(a.width)
                           if 0 <= s + j - a.width // 2 < len(before))
                k = k + p["weight_location"][:, f] * seen
        shrunk = np.sqrt(a.size) if a.score == "scaled_dot" else 1
        scores.append(p["v"] @ np.tanh(q + k) if "v" in p else q @ k / shrunk)
    weights = softmax(scores)
    return weights @ memory[:length], np.concatenate([weights, np.zeros(len(memory) - length)])


@pytest.mark.parametrize("score", SCORES)
def test_layers_against_loops(score, rng):
    T, B, S, D, Q = 3, 4, 5, 6, 6
    a = layer(score, Q, D)
    query, memory, before = rng.normal(size=(T, B, Q)), rng.normal(size=(S, B, D)), rng.random((B, S))
    lengths = np.array([5, 1, 3, 4])
    memory[~nn.lengths.mask(lengths, S)] = np.nan
    for k in range(T):
        more = {"before": before} if score == "location" else {}
        context, weights = a(query[k], memory, lengths=lengths, **more)
        for row in range(B):
            c, w = longhand(a, query[k, row], np.nan_to_num(memory[:, row]), lengths[row], before[row])
            np.testing.assert_allclose(context.numpy()[row], c, atol=1e-12)
            np.testing.assert_allclose(weights.numpy()[row], w, atol=1e-12)
    if score != "location":     # all steps at once are the steps
        together = a(query, a.remember(memory, lengths=lengths))
        np.testing.assert_allclose(together[0].numpy()[-1], context.numpy(), atol=1e-14)
        assert together[1].shape == (T, B, S)


@given(st.integers(1, 7), st.integers(1, 4), st.integers(1, 4), st.integers(0, 10 ** 6), st.sampled_from([1.0, 30.0]))
def test_weights_sum_to_one_and_vanish_on_padding(S, B, T, seed, spread):
    rng = np.random.default_rng(seed)
    query, keys, values = (spread * rng.normal(size=s) for s in ((T, B, 3), (S, B, 3), (S, B, 2)))
    mask = rng.random((B, S)) < 0.6
    mask[np.arange(B), rng.integers(0, S, B)] = True
    keys.swapaxes(0, 1)[~mask], values.swapaxes(0, 1)[~mask] = np.nan, np.inf
    for v in (None, rng.normal(size=3)):
        context, weights = (r.numpy() for r in F.attention(query, keys, values, mask, v))
        np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-12)
        assert (weights[:, ~mask] == 0).all() and (weights >= 0).all()
        lowest, highest = (getattr(np, f)(np.where(mask.T[..., None], values, fill), 0) for f, fill in
                           (("min", np.inf), ("max", -np.inf)))
        assert (context >= lowest - 1e-9).all() and (context <= highest + 1e-9).all()


@given(st.integers(0, 10 ** 6))
def test_the_order_of_the_memory_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    query, keys, values, order = rng.normal(size=(2, 3)), rng.normal(size=(5, 2, 3)), rng.normal(size=(5, 2, 4)), \
        rng.permutation(5)
    one, other = F.attention(query, keys, values), F.attention(query, keys[order], values[order])
    np.testing.assert_allclose(one[0].numpy(), other[0].numpy(), atol=1e-12)
    np.testing.assert_allclose(one[1].numpy()[:, order], other[1].numpy(), atol=1e-12)


def test_gradients(rng):
    arrays = [tensor(rng.normal(size=s), requires_grad=True) for s in ((2, 2, 3), (4, 2, 3), (4, 2, 5), (3,))]
    mask = np.array([[1, 1, 0, 1], [0, 1, 0, 0]])
    assert gradcheck(lambda q, k, v, w: sum((r * r).sum() for r in F.attention(q, k, v, mask, w)), arrays)
    assert gradcheck(lambda q, k, v: (F.attention(q, k, v, mask, scale=0.5)[0] ** 2).sum(), arrays[:3])
    keys = arrays[1]
    F.attention(arrays[0], keys, arrays[2], mask)[0].sum().backward()
    assert not keys.grad.numpy()[np.array(mask).T == 0].any()


@pytest.mark.parametrize("call, message", [
    (lambda z: F.attention(z[0, 0], z, z), "expected query .T, B, A."),
    (lambda z: F.attention(z[0], z, z[:2]), "keys and values in S"),
    (lambda z: F.attention(z[0, :, :1], z, z), "query and keys in A"),
    (lambda z: F.attention(z[0], z, z, np.ones((3, 2))), "mask must have shape .B, S. = .2, 3., got .3, 2."),
    (lambda z: F.attention(z[0], z, z, [[1, 0, 0], [0, 0, 0]]), "row 1 of the memory is all padding"),
    (lambda z: F.attention(z[0], z[:0], z[:0]), "the memory is empty"),
    (lambda z: F.masked_softmax(z[0], np.zeros((2, 4))), "all places of row .0,. are masked"),
    (lambda z: F.masked_softmax(z[0], np.ones(3)), "does not broadcast"),
    (lambda z: nn.Attention(4, 4, "cosine"), "score must be one of"),
    (lambda z: nn.Attention(4, 4, "location"), "use LocationAttention"),
    (lambda z: nn.Attention(3, 4, "dot"), "query_size is memory_size=4, got 3"),
    (lambda z: nn.Attention(3, 4, "general", 5), "size is memory_size=4, got 5"),
    (lambda z: nn.Attention(4, 4)(z[0], z, lengths=[1, 2], mask=np.ones((2, 3))), "not both"),
    (lambda z: nn.Attention(4, 4)(z[0], z, lengths=[0, 2]), "the length of row 0 is 0"),
    (lambda z: nn.Attention(4, 5)(z[0], z), "D = memory_size = 5, got .3, 2, 4."),
    (lambda z: nn.Attention(5, 4)(z[0], z), "query_size=5"),
    (lambda z: nn.Attention(4, 4, "dot")(z[0, :, :3], z), "expected query_size=4"),
    (lambda z: nn.LocationAttention(4, 4, width=4), "width must be odd"),
    (lambda z: nn.LocationAttention(4, 4)(z, z), "so a query is .B, query_size."),
])
def test_mistakes(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.ones((3, 2, 4), np.float32))


def test_dtypes():
    with pytest.raises(TypeError, match="memory is float64, the layer's parameters are float32"):
        nn.Attention(4, 4)(np.ones((2, 4), np.float32), np.ones((3, 2, 4)))
    assert "score='additive'" in repr(nn.Attention(4, 4, "additive"))


# ---- a layer that attends --------------------------------------------------------------------------------------------
T, B, S, E, H = 4, 3, 5, 4, 6
LENGTHS, PLACES = [4, 1, 3], [5, 2, 1]


def attending(score, feeding, cell="lstm", fused="auto"):
    made = nn.Attending(CELLS[cell], E, H, H, score, feeding=feeding, fused=fused, rng=3).astype(np.float64)
    rng = np.random.default_rng(4)
    for parameter in made.parameters():
        parameter.data[...] = rng.normal(0, 0.5, parameter.shape)
    return made


def given_state(made, rng):
    cell = made.base.sizes(E, H).widths
    return made.begin(tuple(tensor(rng.normal(size=(B, cell[s.row]))) for s in made.base.carried), S)


@pytest.mark.parametrize("cell", ["lstm", "gru_reset_before"])
@pytest.mark.parametrize("score, feeding", WAYS)
def test_compiled_equals_readable(score, feeding, cell):
    found = []
    for fused in ("auto", False):
        rng, made = np.random.default_rng(5), attending(score, feeding, cell, fused)
        x, memory = (rng.normal(size=s) for s in ((T, B, E), (S, B, H)))
        x[~nn.lengths.mask(np.array(LENGTHS), T)] = np.nan
        x, memory = tensor(x, requires_grad=True), tensor(memory, requires_grad=True)
        y, state, weights = made(x, memory, given_state(made, rng), LENGTHS, memory_lengths=PLACES, return_weights=True)
        cotangents = [rng.normal(size=v.shape) for v in (y, *state)]
        sum((v * d).sum() for v, d in zip((y, *state), cotangents)).backward()
        found.append([y.numpy(), *(s.numpy() for s in state), weights.numpy(), x.grad.numpy(), memory.grad.numpy(),
                      *(p.grad.numpy() for p in made.parameters())])
        alone = made(x, memory, given_state(made, np.random.default_rng(5)), LENGTHS, memory_lengths=PLACES)[0]
        assert alone.shape == y.shape and not y.numpy()[1:, 1].any()
    assert made.layer.compiled is False
    for ours, theirs in zip(*found):
        np.testing.assert_allclose(ours, theirs, atol=1e-11)


@pytest.mark.parametrize("score, feeding", WAYS)
def test_weights_and_pieces(score, feeding, rng):
    """Weights are weights; T steps are k steps and the others; a row is the same alone."""
    made = attending(score, feeding)
    x, memory, start = rng.normal(size=(T, B, E)), rng.normal(size=(S, B, H)), given_state(made, rng)
    kept = made.remember(memory, lengths=PLACES)
    y, state, weights = made(x, kept, start, return_weights=True)
    weights = weights.numpy()
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-13)
    assert not weights[:, ~nn.lengths.mask(np.array(PLACES), S).T].any()
    first, middle, early = made(x[:1], kept, start, return_weights=True)
    rest, last, late = made(x[1:], kept, middle, return_weights=True)
    np.testing.assert_allclose(np.concatenate([first.numpy(), rest.numpy()]), y.numpy(), atol=1e-13)
    np.testing.assert_allclose(np.concatenate([early.numpy(), late.numpy()]), weights, atol=1e-13)
    for a, b in zip(last, state):
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-13)
    row = made(x[:, 1:2], memory[:, 1:2], tuple(s[1:2] for s in start), memory_lengths=PLACES[1:2])[0]
    np.testing.assert_allclose(row.numpy()[:, 0], y.numpy()[:, 1], atol=1e-13)


def test_the_weights_are_those_that_the_step_used(rng):
    """With an identity for combine the context shows: attended = tanh(context)."""
    made = attending("additive", "attended", "rnn")
    made.layer.W_attended_context_l0.data[...] = np.eye(H)
    for name in ("W_attended_h_l0", "b_attended_l0"):
        getattr(made.layer, name).data[...] = 0
    memory = rng.normal(size=(S, B, H))
    y, _, weights = made(rng.normal(size=(T, B, E)), memory, memory_lengths=PLACES, return_weights=True)
    memory[~nn.lengths.mask(np.array(PLACES), S)] = 0
    expected = np.einsum("tbs,sbd->tbd", weights.numpy(), memory)
    np.testing.assert_allclose(np.arctanh(y.numpy()), expected, atol=1e-12)


def test_nothing_is_recorded_for_additive_attention_between_the_steps(rng):
    made = attending("additive", None)
    with no_grad():
        y, _ = made(rng.normal(size=(T, B, E)), rng.normal(size=(S, B, H)))
    assert not y.requires_grad and "score='additive'" in repr(made)


@pytest.mark.parametrize("call, message", [
    (lambda: nn.Attending(CELLS["rnn"], 3, 4, 4, feeding="never"), "feeding must be 'attended', 'context' or None"),
    (lambda: nn.Attending(CELLS["rnn"], 3, 4, 4, "location", feeding=None), "runs with feeding='attended'"),
    (lambda: nn.Attending(CELLS["rnn"], 3, 4, 5, "dot"), "the output, 4 wide, with the memory, memory_size=5"),
    (lambda: nn.Attending(Cell("h = x + W(h_prev)"), 4, 4, 4), "nowhere multiplies its x by a matrix"),
    (lambda: nn.Attending(CELLS["rnn"], 3, 4, 4)(np.ones((2, 5, 3), np.float32), np.ones((2, 4, 4), np.float32)),
     "with the memory's batch 4, got shape .2, 5, 3."),
    (lambda: nn.Attending(CELLS["rnn"], 3, 4, 4)(np.ones((2, 1, 3), np.float32), np.ones((2, 1, 4), np.float32), ()),
     "state must be a tuple .attended, h., got 0 entries"),
])
def test_mistakes_of_attending(call, message):
    with pytest.raises(ValueError, match=message):
        call()
