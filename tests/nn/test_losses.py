"""Losses against longhand loops: reductions, weights, smoothing, ignored targets, ragged batches, and errors."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn import log_softmax, nn, tensor
from tinygrad_rnn.nn.functional import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    kl_div,
    l1_loss,
    mse_loss,
    nll_loss,
    smooth_l1_loss,
)
from tinygrad_rnn.testing import gradcheck

REDUCTIONS = ("mean", "sum", "none")


def longhand(x, t, weight=None, ignore=-100, smoothing=0.0, reduction="mean", lengths=None):
    """Cross-entropy element by element, classes last."""
    V = x.shape[-1]
    w = np.ones(V) if weight is None else weight
    losses, total = np.zeros(t.shape), 0.0
    for place in np.ndindex(t.shape):
        if t[place] == ignore or lengths is not None and place[0] >= lengths[place[1]]:
            continue
        p = np.exp(x[place] - x[place].max())
        p /= p.sum()
        target = np.full(V, smoothing / V)
        target[t[place]] += 1 - smoothing
        losses[place] = -sum(w[v] * target[v] * np.log(p[v]) for v in range(V))
        total += w[t[place]]
    return {"none": losses, "sum": losses.sum(), "mean": losses.sum() / total if total else np.nan}[reduction]


@pytest.mark.parametrize(("reduction", "smoothing", "weighted", "ragged"),
                         list(itertools.product(REDUCTIONS, (0.0, 0.2), (False, True), (False, True))))
def test_cross_entropy(reduction, smoothing, weighted, ragged, rng) -> None:
    x, t = 3 * rng.normal(size=(4, 3, 5)), rng.integers(0, 5, (4, 3))
    t[1, 0] = t[0, 2] = -100
    weight = rng.uniform(0.5, 2, 5) if weighted else None
    lengths = np.array([4, 1, 3]) if ragged else None
    options = {"weight": weight, "reduction": reduction, "label_smoothing": smoothing, "lengths": lengths}
    expected = longhand(x, t, weight, smoothing=smoothing, reduction=reduction, lengths=lengths)
    np.testing.assert_allclose(cross_entropy(x, t, **options).numpy(), expected, rtol=1e-12, atol=1e-13)
    gradcheck(lambda x: cross_entropy(x, t, **options), [x])
    if not smoothing:
        options.pop("label_smoothing")
        np.testing.assert_allclose(nll_loss(log_softmax(x), t, **options).numpy(), expected, rtol=1e-12, atol=1e-13)
        gradcheck(lambda x: nll_loss(x, t, **options), [x])
    module = nn.CrossEntropyLoss(weight, reduction=reduction, label_smoothing=smoothing)
    np.testing.assert_allclose(module(x, t, lengths).numpy(), expected, rtol=1e-12, atol=1e-13)


def test_the_class_axis_follows_the_target(rng) -> None:
    x, t = rng.normal(size=(2, 5, 3)), rng.integers(0, 5, (2, 3))
    second = cross_entropy(x, t, reduction="none").numpy()
    np.testing.assert_allclose(second, longhand(np.moveaxis(x, 1, -1), t, reduction="none"))
    last = cross_entropy(np.moveaxis(x, 1, -1), t, reduction="none").numpy()
    np.testing.assert_array_equal(second, last)
    np.testing.assert_allclose(cross_entropy(x[0, :, 0], t[0, 0]).item(), second[0, 0])
    four = rng.normal(size=(2, 5, 3, 4))
    many = rng.integers(0, 5, (2, 3, 4))
    np.testing.assert_allclose(cross_entropy(four, many, reduction="none").numpy(),
                               longhand(np.moveaxis(four, 1, -1), many, reduction="none"))


def test_a_class_axis_that_could_be_either_must_be_named(rng) -> None:
    x, t = rng.normal(size=(2, 3, 3)), rng.integers(0, 3, (2, 3))
    with pytest.raises(ValueError, match=r"\(2, 3, 3\) may stand on axis 1, as in PyTorch, or last: say axis=1 or"):
        cross_entropy(x, t)
    np.testing.assert_allclose(cross_entropy(x, t, axis=-1).item(), longhand(x, t))
    np.testing.assert_allclose(cross_entropy(x, t, axis=2).item(), longhand(x, t))
    np.testing.assert_allclose(cross_entropy(x, t, axis=1).item(), longhand(np.moveaxis(x, 1, -1), t))
    np.testing.assert_allclose(nn.NLLLoss(axis=-1)(log_softmax(x), t).item(), longhand(x, t))
    np.testing.assert_allclose(cross_entropy(x, t, lengths=[2, 2, 2]).item(), longhand(x, t))


def test_what_lies_beyond_a_length_is_harmless(rng) -> None:
    """NaN and classes that do not exist: neither the loss nor a gradient sees them."""
    lengths = np.array([1, 3])
    for beyond in (np.nan, np.inf):
        x, t = rng.normal(size=(3, 2, 4)), rng.integers(0, 4, (3, 2))
        clean = tensor(x, requires_grad=True)
        cross_entropy(clean, t, lengths=lengths).backward()
        x[1:, 0], t[1:, 0] = beyond, 99
        dirty = tensor(x, requires_grad=True)
        loss = cross_entropy(dirty, t, lengths=lengths)
        loss.backward()
        assert np.isfinite(loss.item())
        np.testing.assert_array_equal(dirty.grad.numpy(), clean.grad.numpy())
        assert not dirty.grad.numpy()[1:, 0].any()
        y = rng.normal(size=(3, 2, 4))
        y[2:, 0] = beyond
        for loss in (mse_loss(dirty, y, lengths=lengths),
                     binary_cross_entropy_with_logits(dirty, y, lengths=lengths)):
            dirty.grad = None
            loss.backward()
            assert np.isfinite(loss.item()) and np.isfinite(dirty.grad.numpy()).all()
            assert not dirty.grad.numpy()[1:, 0].any()


def test_losses_stay_exact_far_out() -> None:
    x = np.array([[1000.0, 0.0, -1000.0], [0.0, 0.0, 0.0]])
    np.testing.assert_allclose(cross_entropy(x, [2, 1], reduction="none").numpy(), [2000, np.log(3)])
    logits, targets = np.array([-800.0, 800.0, -800.0, 0.0]), np.array([1.0, 1.0, 0.0, 0.5])
    np.testing.assert_allclose(binary_cross_entropy_with_logits(logits, targets, reduction="none").numpy(),
                               [800, 0, 0, np.log(2)])


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("ragged", [False, True])
def test_elementwise_losses(reduction, ragged, rng) -> None:
    x, y = rng.normal(size=(3, 2, 4)), rng.uniform(0, 1, (3, 2, 4))
    lengths = np.array([3, 1]) if ragged else None
    real = np.ones((3, 2, 4))
    if ragged:
        real[1:, 1] = 0
    weight, positive = rng.uniform(0.5, 2, 4), rng.uniform(0.5, 2, (2, 1))
    s = 1 / (1 + np.exp(-x))
    for loss, values in (
        (lambda x: mse_loss(x, y, reduction, lengths=lengths), (x - y) ** 2),
        (lambda x: nn.MSELoss(reduction)(x, y, lengths), (x - y) ** 2),
        (lambda x: binary_cross_entropy_with_logits(x, y, reduction=reduction, lengths=lengths),
         -y * np.log(s) - (1 - y) * np.log(1 - s)),
        (lambda x: nn.BCEWithLogitsLoss(weight, reduction, positive)(x, y, lengths),
         weight * (-positive * y * np.log(s) - (1 - y) * np.log(1 - s))),
    ):
        values = values * real
        expected = {"none": values, "sum": values.sum(), "mean": values.sum() / real.sum()}[reduction]
        np.testing.assert_allclose(loss(x).numpy(), expected, rtol=1e-12, atol=1e-13)
        gradcheck(loss, [x])


def test_a_regression_target_may_be_learned_too(rng) -> None:
    y = tensor(rng.normal(size=3), requires_grad=True)
    mse_loss(np.zeros(3), y, "sum").backward()
    np.testing.assert_allclose(y.grad.numpy(), 2 * y.numpy())


@given(st.integers(1, 5), st.integers(1, 4), st.data())
def test_a_ragged_mean_is_the_mean_over_the_rows_cut_to_length(T, B, data) -> None:
    lengths = [data.draw(st.integers(1, T)) for _ in range(B)]
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    x, t = rng.normal(size=(T, B, 3)), rng.integers(0, 3, (T, B))
    rows = np.concatenate([x[:n, b] for b, n in enumerate(lengths)])
    classes = np.concatenate([t[:n, b] for b, n in enumerate(lengths)])
    ragged, whole = cross_entropy(x, t, lengths=lengths), cross_entropy(rows, classes)
    np.testing.assert_allclose(ragged.item(), whole.item(), rtol=1e-12)


def test_an_off_by_one_mask_is_caught(rng, monkeypatch) -> None:
    """The test above must be able to fail."""
    from tinygrad_rnn.nn import losses

    monkeypatch.setattr(losses, "mask", lambda lengths, steps: np.arange(steps)[:, None] <= lengths)
    with pytest.raises(AssertionError):
        test_cross_entropy("mean", 0.0, False, True, rng)
    with pytest.raises(IndexError):
        test_what_lies_beyond_a_length_is_harmless(rng)


# ---- the other elementwise ones -------------------------------------------------------------------------------------
def by_hand(losses: np.ndarray, reduction: str, lengths) -> np.ndarray:
    """Reduce what is within the lengths."""
    real = np.ones(losses.shape, bool)
    if lengths is not None:
        real &= (np.arange(len(losses))[:, None] < lengths)[:, :, None]
    kept = np.where(real, losses, 0)
    return {"none": kept, "sum": kept.sum(), "mean": kept.sum() / real.sum()}[reduction]


@pytest.mark.parametrize(("reduction", "ragged"), list(itertools.product(REDUCTIONS, (False, True))))
def test_the_others(reduction, ragged, rng) -> None:
    x, y = rng.normal(size=(4, 3, 2)) * 2, rng.uniform(0, 1, (4, 3, 2))
    p, w = rng.uniform(0.05, 0.95, (4, 3, 2)), rng.uniform(0.5, 2, 2)
    y[0, 0] = 0, 1
    lengths = np.array([4, 1, 3]) if ragged else None
    if ragged:      # what lies beyond may be anything
        x[3, 1], p[3, 1] = np.nan, np.nan
    d = np.abs(x - y)
    with np.errstate(all="ignore"):
        entropy = np.where(y > 0, y * np.log(np.where(y > 0, y, 1)), 0)
        cases = [
            (lambda x: l1_loss(x, y, reduction, lengths=lengths), nn.L1Loss(reduction), x, d),
            (lambda x: smooth_l1_loss(x, y, reduction, lengths=lengths), nn.SmoothL1Loss(reduction), x,
             np.where(d < 1, d * d / 2, d - 0.5)),
            (lambda x: smooth_l1_loss(x, y, reduction, 0.3, lengths=lengths), nn.SmoothL1Loss(reduction, 0.3), x,
             np.where(d < 0.3, d * d / 0.6, d - 0.15)),
            (lambda x: kl_div(x, y, reduction, lengths=lengths), nn.KLDivLoss(reduction), x, entropy - y * x),
            (lambda x: kl_div(x, y, reduction, True, lengths=lengths), nn.KLDivLoss(reduction, True), x,
             np.exp(y) * (y - x)),
            (lambda x: binary_cross_entropy(x, y, w, reduction, lengths=lengths), nn.BCELoss(w, reduction), p,
             -w * (y * np.log(p) + (1 - y) * np.log(1 - p))),
        ]
    for loss, module, inputs, expected in cases:
        expected = by_hand(expected, reduction, lengths)
        np.testing.assert_allclose(loss(inputs).numpy(), expected, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(module.astype(np.float64)(inputs, y, lengths).numpy(), expected, rtol=1e-12,
                                   atol=1e-13)
        if not ragged:
            gradcheck(loss, [inputs])
    np.testing.assert_allclose(smooth_l1_loss(p, y, beta=0).item(), l1_loss(p, y).item())


def test_a_divergence_is_one() -> None:
    """At least 0, 0 for equal distributions, and the mean over the batch as the books have it."""
    rng = np.random.default_rng(2)
    p, q = (np.exp(a) / np.exp(a).sum(-1, keepdims=True) for a in rng.normal(size=(2, 5, 4)))
    value = kl_div(np.log(p), q, "batchmean").item()
    np.testing.assert_allclose(value, (q * np.log(q / p)).sum(-1).mean())
    assert value > 0 and abs(kl_div(np.log(q), q, "batchmean").item()) < 1e-15
    lengths = np.array([2])
    ragged = kl_div(np.log(p)[:, None], q[:, None], "batchmean", lengths=lengths).item()
    np.testing.assert_allclose(ragged, kl_div(np.log(p[:2]), q[:2], "batchmean").item())


def test_certain_probabilities_have_a_finite_loss() -> None:
    x = tensor([0.0, 1.0, 0.0, 1.0], requires_grad=True)
    losses = binary_cross_entropy(x, tensor([0.0, 1.0, 1.0, 0.0]), reduction="none")
    assert losses.tolist() == [0, 0, 100, 100]
    losses.sum().backward()
    assert np.isfinite(x.grad.data).all()


def test_the_two_binary_losses_agree(rng) -> None:
    x, y = rng.normal(size=20), rng.uniform(0, 1, 20)
    np.testing.assert_allclose(binary_cross_entropy(tg.sigmoid(tensor(x)), y).item(),
                               binary_cross_entropy_with_logits(x, y).item(), rtol=1e-12)


# ---- what is refused ------------------------------------------------------------------------------------------------
X, T3 = np.zeros((4, 3), np.float32), np.zeros(4, np.int64)


@pytest.mark.parametrize(("call", "error", "match"), [
    (lambda: cross_entropy(X, [0, 1, 3, 0]), IndexError, r"target at position 2 is 3, there are 3 classes: 0 to 2"),
    (lambda: cross_entropy(X[None], [[0, 1, -1, 0]], axis=-1), IndexError, r"target at position 0, 2 is -1"),
    (lambda: cross_entropy(X[0], 5), IndexError, r"target is 5, there are 3 classes"),
    (lambda: cross_entropy(X, T3 * 1.0), TypeError, "target must hold classes as integers, got dtype float64"),
    (lambda: cross_entropy(X.astype(int), T3), TypeError, "input must be floating, got int64"),
    (lambda: cross_entropy(X, T3[:3]), ValueError, r"input of shape \(4, 3\) and target of shape \(3,\) do not fit"),
    (lambda: cross_entropy(X, T3, axis=0), ValueError, r"do not fit with axis=0"),
    (lambda: cross_entropy(X, T3, np.ones(4)), ValueError, r"one entry a class, shape \(3,\), got \(4,\)"),
    (lambda: cross_entropy(X, T3, reduction="avg"), ValueError, "reduction must be one of mean, sum, none, got 'avg'"),
    (lambda: cross_entropy(X, T3, label_smoothing=1.5), ValueError, "between 0 and 1, got 1.5"),
    (lambda: cross_entropy(X, T3 - 100), ValueError, "a mean over nothing"),
    (lambda: cross_entropy(X[:0], T3[:0]), ValueError, "a mean over nothing"),
    (lambda: cross_entropy(X, T3, lengths=[4]), ValueError, r"with lengths, input must be \(T, B, V\)"),
    (lambda: cross_entropy(X[:, None], T3[:, None], lengths=[5]), ValueError, "row 0 is 5, .* between 1 and the 4"),
    (lambda: cross_entropy(X[:, None], T3[:, None], lengths=[0]), ValueError, "length of row 0 is 0"),
    (lambda: cross_entropy(X[:, None], T3[:, None], lengths=[1, 1]), ValueError, r"\(1,\), got \(2,\).*batch_first"),
    (lambda: cross_entropy(X[:, None], T3[:, None], lengths=[1.0]), TypeError, "lengths must be integers"),
    (lambda: mse_loss(X, X[:, 0]), ValueError, r"one shape, got \(4, 3\) and \(4,\)"),
    (lambda: mse_loss(X, X.astype(int)), TypeError, "target must be floating, got int64"),
    (lambda: mse_loss(X[:, 0], X[:, 0], lengths=[1]), ValueError, r"must be \(T, B, ...\), got \(4,\)"),
    (lambda: mse_loss(X[:0], X[:0]), ValueError, "a mean over nothing"),
    (lambda: binary_cross_entropy(X + 2, X), ValueError, "must hold probabilities, between 0 and 1, got 2.0 to 2.0"),
    (lambda: smooth_l1_loss(X, X, beta=-1), ValueError, "beta must not be negative, got -1"),
    (lambda: kl_div(X, X, "avg"), ValueError, "reduction must be one of"),
    (lambda: kl_div(X[:0], X[:0], "batchmean"), ValueError, "kl_div: a mean over nothing"),
    (lambda: binary_cross_entropy_with_logits(X, X, np.ones(4)), ValueError, r"weight of shape \(4,\) does not"),
])
def test_errors(call, error, match) -> None:
    with pytest.raises(error, match=match):
        call()


def test_the_sum_of_nothing_is_zero() -> None:
    assert cross_entropy(X, T3 - 100, reduction="sum").item() == 0
    assert cross_entropy(X, T3 - 100, reduction="none").numpy().tolist() == [0] * 4


def test_weights_that_ask_for_a_gradient_are_refused() -> None:
    w = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    with pytest.raises(TypeError, match="weight is a constant"):
        nn.functional.cross_entropy(tg.ones((2, 3)), [0, 1], weight=w)
    with pytest.raises(TypeError, match="pos_weight is a constant"):
        nn.functional.binary_cross_entropy_with_logits(tg.ones((2, 3)), tg.ones((2, 3)), pos_weight=w)


def test_dropout_of_integers_is_refused() -> None:
    with pytest.raises(TypeError, match="floating"):
        nn.Dropout(0.1, rng=0)(tg.tensor([10, 10]))
