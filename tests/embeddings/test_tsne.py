"""t-SNE: gradients against the tape, P against its definition, pictures that keep neighbourhoods."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn import kernels
from tinygrad_rnn.embeddings import tsne
from tinygrad_rnn.kernels import words_oracle


def module():
    """The module, whose name in the package is the function's."""
    import sys
    return sys.modules["tinygrad_rnn.embeddings.tsne"]


def padded(P, dtype):
    wide = np.zeros((len(P), kernels.tsne_padded(len(P), np.dtype(dtype))), dtype)
    wide[:, :len(P)] = P
    return wide


def clusters(rng, n=90, D=6):
    kinds = np.arange(n) % 3
    return 6 * np.eye(3, D)[kinds] + rng.standard_normal((n, D)), kinds


@given(st.integers(0, 1000), st.integers(1, 3), st.integers(8, 40))
def test_gradient_against_the_tape(seed, dimensions, n):
    rng = np.random.default_rng(seed)
    P = module().affinities(rng.standard_normal((n, 4)), 2.0)
    Y = tg.tensor(rng.standard_normal((n, dimensions)), requires_grad=True)
    module().kl_divergence(P, Y).backward()
    for dtype, tolerance in ((np.float64, 1e-14), (np.float32, 1e-6)):
        attraction, repulsion, Z = kernels.tsne_exact(padded(P, dtype), Y.data.astype(dtype))
        np.testing.assert_allclose(4 * (attraction - repulsion / Z), Y.grad.numpy(), atol=tolerance)


@given(st.integers(0, 1000), st.integers(1, 3), st.integers(12, 60))
def test_the_tree_is_exact_at_theta_0_and_near_at_a_half(seed, dimensions, n):
    rng = np.random.default_rng(seed)
    Y = rng.standard_normal((n, dimensions)) * 10.0**rng.integers(-5, 3)
    Y[rng.integers(0, n, 4)] = Y[0]         # points at the same place
    tree = module()._Tree(rng.standard_normal((n, 4)), 2.0)
    sparse = tree.starts, tree.columns, tree.P
    expected = words_oracle.tsne_tree(*sparse, Y, 0.0)
    for theta, tolerance in ((0.0, 1e-9), (0.5, 0.1)):
        found = kernels.tsne_tree(*sparse, Y, theta)
        for a, b in zip(found[:2], expected[:2]):
            assert np.abs(a - b).max() <= tolerance * np.abs(b).max() + 1e-15
        assert found[2] == pytest.approx(expected[2], rel=max(tolerance / 2, 1e-9))
    assert tree.P.sum() == pytest.approx(1)


@given(st.integers(0, 1000), st.floats(1.2, 9))
def test_each_row_of_P_has_the_perplexity(seed, perplexity):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((30, 5)) * 10.0**rng.integers(-3, 4)
    squares = ((X[:, None] - X[None])**2).sum(2)
    np.fill_diagonal(squares, np.inf)
    P = kernels.tsne_conditionals(squares, perplexity)
    assert (np.diag(P) == 0).all() and P.sum(1) == pytest.approx(np.ones(30))
    logs = np.log(np.where(P > 0, P, 1))
    assert np.exp(-(P * logs).sum(1)) == pytest.approx(np.full(30, perplexity), rel=1e-6)
    # Of the form exp(-beta squares): logarithms are a straight line in the squares.
    x, y = squares[0][P[0] > 1e-9], logs[0][P[0] > 1e-9]
    assert np.abs(y - np.polyval(np.polyfit(x / x.max(), y, 1), x / x.max())).max() < 1e-6
    np.testing.assert_allclose(P, words_oracle.tsne_conditionals(squares, perplexity), atol=1e-6)


@pytest.mark.parametrize("method", ["exact", "barnes_hut"])
@pytest.mark.parametrize("init", ["pca", "random"])
@pytest.mark.usefixtures("threads")
def test_clusters_stay_together_on_any_number_of_threads(rng, method, init):
    X, kinds = clusters(rng)
    seen = []
    for threads in (1, 2, 3):
        tg.set_num_threads(threads)
        Y = tsne(X, perplexity=10, method=method, init=init, n_iter=300, rng=1, progress=lambda n, kl: seen.append(kl))
        assert Y.shape == (90, 2) and Y.dtype == np.float64 and np.abs(Y.mean(0)).max() < 1e-9
        if threads == 1:
            expected = Y
        assert np.array_equal(Y, expected)
    apart = ((Y[:, None] - Y[None])**2).sum(2)
    np.fill_diagonal(apart, np.inf)
    assert (kinds[apart.argmin(1)] == kinds).mean() > 0.98
    assert len(seen) == 18 and seen[5] < seen[1]
    forces = (module()._Exact if method == "exact" else module()._Tree)(module()._points(X), 10)
    if method == "exact":       # what is reported is KL of the picture
        kl = module().kl_divergence(module().affinities(X, 10), Y).item()
        assert forces.divergence(Y) == pytest.approx(kl, rel=1e-4) == pytest.approx(seen[-1], rel=1e-4)


def test_scale_and_shift_do_not_matter(rng):
    X, _ = clusters(rng, 45)
    Y = tsne(X, perplexity=5, n_iter=30)
    assert np.allclose(tsne(1024 * X, perplexity=5, n_iter=30), Y, atol=1e-3 * np.abs(Y).max())


def test_two_seeds_and_dimensions(rng):
    X, _ = clusters(rng, 30)
    a, b, c = (tsne(X, 3, perplexity=5, init="random", n_iter=20, rng=seed) for seed in (1, 2, 1))
    assert a.shape == (30, 3) and np.array_equal(a, c) and not np.array_equal(a, b)
    assert tsne(np.ones((20, 2)), perplexity=4, n_iter=5).shape == (20, 2)      # all at one place
    assert tsne(X, 1, perplexity=5, n_iter=5).shape == (30, 1)


@pytest.mark.parametrize("options, message", [
    (dict(perplexity=10), r"below \(n - 1\) / 3 = 9.667 for n=30 points, got 10"),
    (dict(perplexity=29 / 3), "below"), (dict(perplexity=0.5), "at least 1"), (dict(perplexity=np.nan), "at least 1"),
    (dict(n_components=4), "n_components"), (dict(method="fft"), "method"), (dict(init="zeros"), "init"),
    (dict(n_iter=0), "n_iter"), (dict(learning_rate=0), "learning_rate"), (dict(learning_rate="fast"), "learning_rate"),
])
def test_what_it_refuses(rng, options, message):
    with pytest.raises(ValueError, match=message):
        tsne(rng.standard_normal((30, 5)), **{"perplexity": 5, **options})


def test_points_that_are_none(rng):
    X = rng.standard_normal((30, 5))
    X[7, 2] = np.nan
    with pytest.raises(ValueError, match="point 7 is not finite"):
        tsne(X, perplexity=5)
    with pytest.raises(ValueError, match=r"shape \(n, D\)"):
        tsne(X[0], perplexity=5)
    with pytest.raises(ValueError, match="needs n_components=2 columns, X has 1"):
        tsne(X[:, :1], perplexity=5)
    with pytest.raises(ArithmeticError, match="lower learning_rate"), np.errstate(all="ignore"):
        tsne(X[:, 3:], perplexity=5, n_iter=50, learning_rate=1e200)
