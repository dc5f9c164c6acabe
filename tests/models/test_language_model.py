"""The language model against its equations, token by token; sampling against the probabilities."""

import math
from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn import decode
from tinygrad_rnn.models.language_model import LanguageModel, Likelihood, _choose, detach, evaluate, sample

V = 7


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    """Two small layers, whose predictions are far from uniform."""
    model = LanguageModel(V, embedding=5, hidden=6, layers=2, rng=3)
    for parameter in model.parameters():
        parameter.data *= 3
    return model


@pytest.fixture(scope="module")
def ids() -> np.ndarray:
    """A stream of tokens."""
    return np.random.default_rng(5).integers(0, V, 90)


def longhand(model: LanguageModel, tokens: np.ndarray, counted_from: int = 0) -> float:
    """Sum of -ln p of tokens[1:], one step of one stream at a time, from step `counted_from` on."""
    state, total = None, 0.0
    for t, (token, following) in enumerate(zip(tokens[:-1], tokens[1:])):
        logits, state = model(np.array([[token]]), state)
        z = logits.numpy()[0, 0].astype(np.float64)
        if t >= counted_from:
            total += math.log(np.exp(z).sum()) - z[following]
    return total


def test_scores_every_step_of_every_stream(model: LanguageModel, ids: np.ndarray) -> None:
    logits, (h, c) = model(ids.reshape(15, 6))
    assert logits.shape == (15, 6, V) and h.shape == c.shape == (2, 6, 6)
    alone, _ = model(ids.reshape(15, 6)[:, 2:3])
    np.testing.assert_allclose(logits.numpy()[:, 2:3], alone.numpy(), atol=1e-6)


def test_the_state_carries_what_was_read(model: LanguageModel, ids: np.ndarray) -> None:
    x = ids.reshape(15, 6)
    whole, final = model(x)
    first, state = model(x[:4])
    second, last = model(x[4:], detach(state))
    np.testing.assert_allclose(np.concatenate([first.numpy(), second.numpy()]), whole.numpy(), atol=1e-6)
    np.testing.assert_allclose(last[1].numpy(), final[1].numpy(), atol=1e-6)
    assert not np.allclose(model(x[4:])[0].numpy(), second.numpy(), atol=1e-3)


def test_start_values_come_from_the_seed() -> None:
    one, same, other = (LanguageModel(V, 3, 4, rng=seed).state_dict() for seed in (1, 1, 2))
    assert all(np.array_equal(one[name], same[name]) for name in one)
    assert not any(np.array_equal(one[name], other[name]) for name in one)


def test_learns(ids: np.ndarray) -> None:
    model = LanguageModel(V, 4, 8, rng=0)
    optimizer = tg.optim.Adam(model.parameters(), lr=0.05)
    x, y = ids[:-1].reshape(-1, 1), ids[1:].reshape(-1, 1)
    for _ in range(60):
        logits, _ = model(x)
        loss = tg.nn.functional.cross_entropy(logits, y, axis=-1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.5 * math.log(V)


# ---- evaluate -------------------------------------------------------------------------------------------------------
def test_one_stream_is_the_sum_over_its_tokens(model: LanguageModel, ids: np.ndarray) -> None:
    found = evaluate(model, ids, streams=1, warm_up=7)
    assert found.tokens == 89 and found.total == pytest.approx(longhand(model, ids), rel=1e-6)


def test_parts_are_warmed_up_by_what_precedes_them(model: LanguageModel, ids: np.ndarray) -> None:
    found = evaluate(model, ids, streams=3, warm_up=10)
    steps = 30      # of 89 targets, in three parts
    expected = longhand(model, ids[:steps + 1])
    expected += sum(longhand(model, ids[begin - 10:begin + steps + 1], 10) for begin in (steps, 2 * steps))
    assert found.tokens == 89 and found.total == pytest.approx(expected, rel=1e-6)
    assert found.total == pytest.approx(longhand(model, ids), rel=0.01)


@settings(max_examples=30)
@given(st.integers(2, 60), st.integers(1, 8), st.integers(1, 20))
def test_every_token_counts_once(length: int, streams: int, warm_up: int) -> None:
    model = LanguageModel(V, 2, 3, rng=0)
    model.linear.weight.data[:] = 0
    # p of token k is 2^-k-1, so that a token counted twice, or one left out, shows in the sum.
    model.linear.bias.data[:] = -np.arange(1, V + 1) * math.log(2)
    model.linear.bias.data[-1] = model.linear.bias.data[-2]
    tokens = np.random.default_rng(length).integers(0, V, length)
    found = evaluate(model, tokens, streams=streams, warm_up=warm_up)
    bits = np.minimum(tokens[1:] + 1, V - 1).sum()
    assert found.bits * found.tokens == pytest.approx(bits, rel=1e-5) and found.tokens == length - 1


def test_evaluating_changes_nothing(model: LanguageModel, ids: np.ndarray) -> None:
    before = model.state_dict()
    for mode in (True, False):
        model.train(mode)
        evaluate(model, ids)
        list(sample(model, [1], 3, rng=0))
        assert model.training is mode and all(module.training is mode for module in model.modules())
    assert all(np.array_equal(before[name], value) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_likelihood_in_three_units() -> None:
    found = Likelihood(3 * math.log(8), 3)
    assert (found.nats, found.bits, found.perplexity) == pytest.approx((math.log(8), 3, 8))


def test_evaluate_refuses(ids: np.ndarray) -> None:
    model = LanguageModel(V, 2, 3)
    with pytest.raises(ValueError, match="at least two tokens.*got 1"):
        evaluate(model, ids[:1])
    model.linear.bias.data[0] = math.nan
    with pytest.raises(FloatingPointError, match="diverged"):
        evaluate(model, ids)
    with pytest.raises(FloatingPointError, match="diverged"):
        list(sample(model, [0], 3, rng=0))


# ---- sample ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("temperature", [0, 0.7, 1.5])
def test_every_token_depends_on_all_before(model: LanguageModel, temperature: float) -> None:
    tokens, rng = [2, 5], np.random.default_rng(11)
    for _ in range(12):     # all read anew for each token, without a state
        logits, _ = model(np.array(tokens)[:, None])
        tokens.append(_choose(logits.numpy()[-1, 0], temperature, rng))
    assert list(sample(model, [2, 5], 12, temperature, 11)) == tokens[2:]


def test_draws_have_the_probabilities_of_the_model() -> None:
    logits, rng = np.array([0.0, 1.0, -1.0, 2.0, -40.0]), np.random.default_rng(0)
    for temperature in (0.5, 1.0, 2.0):
        p = np.exp(logits / temperature) / np.exp(logits / temperature).sum()
        counts = np.bincount([_choose(logits, temperature, rng) for _ in range(4000)], minlength=5)
        # Five standard deviations of a binomial count.
        assert (abs(counts - 4000 * p) <= 5 * np.sqrt(4000 * p * (1 - p)) + 1e-6).all()


def test_temperature_zero_is_the_limit() -> None:
    logits, rng = np.array([0.3, 5.0, 4.99, -2.0]), np.random.default_rng(0)
    assert _choose(logits, 0, rng) == 1
    assert {_choose(logits, 1e-4, rng) for _ in range(50)} == {1}
    assert {_choose(logits, 5e-324, rng) for _ in range(5)} == {1}


def test_the_impossible_is_never_drawn() -> None:
    for uniform, expected in ((0.0, 1), (np.nextafter(1.0, 0.0), 1)):
        rng = SimpleNamespace(random=lambda uniform=uniform: uniform)
        assert _choose(np.array([-5000.0, 0.0, -5000.0]), 1.0, rng) == expected


def test_length_and_seed(model: LanguageModel) -> None:
    assert list(sample(model, [1], 0)) == []
    assert len(list(sample(model, [1], 9))) == 9
    assert list(sample(model, [1], 20, rng=4)) == list(sample(model, [1], 20, rng=4))
    assert list(sample(model, [1], 20, rng=4)) != list(sample(model, [1], 20, rng=5))
    assert list(islice(sample(model, [1], 10**12, rng=4), 20)) == list(sample(model, [1], 20, rng=4))


def test_the_caller_keeps_its_modes_between_tokens(model: LanguageModel) -> None:
    model.train()
    tokens = sample(model, [1], 2, rng=0)
    next(tokens)
    assert model.training
    x = tg.tensor([1.0], requires_grad=True)
    assert (x * 2).requires_grad


@pytest.mark.parametrize(("arguments", "words"), [
    (([], 3), "at least one token"),
    (([[1]], 3), "at least one token"),
    (([1], -1), "length must not be negative, got -1"),
    (([1], 3, -0.5), "temperature must be 0.*got -0.5"),
    (([1], 3, math.nan), "temperature must be 0"),
])
def test_sample_refuses_at_once(model: LanguageModel, arguments: tuple, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        sample(model, *arguments)


# ---- decoding -------------------------------------------------------------------------------------------------------
def test_a_decoder_says_what_the_model_says(model: LanguageModel, ids: np.ndarray) -> None:
    """Log-probabilities of what was found, against the model over the whole sequence; from a state in the middle."""
    _, state = model(ids[:20].reshape(10, 2))
    step, start = model.decoder(state, 2)
    found = decode.beam_search(step, start, bos=[3, 4], eos=0, max_length=9, width=4, n_best=2)
    assert [[one] for one in decode.score_sentences(step, start, [one[0].tokens for one in found], bos=[3, 4], eos=0,
                                                    alpha=0.7)] == [one[:1] for one in found]
    for column, hypotheses in enumerate(found):
        for one in hypotheses:
            x = np.array([3 + column, *one.tokens[:-1]])[:, None]
            logits, _ = model(x, tuple(part[:, column:column + 1] for part in state))
            log_probs = tg.log_softmax(logits, -1).numpy()[np.arange(len(x)), 0, one.tokens]
            np.testing.assert_allclose(one.token_log_probs, log_probs, atol=1e-5)


def test_greedy_decoding_is_sampling_at_temperature_zero(model: LanguageModel) -> None:
    ((found,),) = decode.greedy(*model.decoder(), bos=2, eos=None, max_length=12)
    assert found.tokens == list(sample(model, [2], 12, 0))
