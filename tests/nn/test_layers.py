"""Linear, Embedding, Dropout, LayerNorm and the activations, each against NumPy longhand."""

import math

import numpy as np
import pytest

from tests.nn.numeric import check_layer
from tinygrad_rnn import nn, no_grad, tensor
from tinygrad_rnn.nn import functional


# ---- Linear ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("shape", [(4,), (5, 4), (2, 3, 4), (0, 4), (1, 1, 4)])
def test_linear_is_the_affine_map(shape, rng) -> None:
    layer, x = nn.Linear(4, 3, rng=1).astype(np.float64), rng.normal(size=shape)
    expected = np.einsum("...i,oi->...o", x, layer.weight.data) + layer.bias.data
    np.testing.assert_allclose(layer(x).numpy(), expected, atol=1e-12)
    bare = nn.Linear(4, 3, bias=False)
    assert bare.bias is None and list(bare.state_dict()) == ["weight"]


def test_linear_gradients(rng) -> None:
    layer = nn.Linear(3, 2, rng=1)
    check_layer(layer, layer, rng.normal(size=(4, 3)))
    layer = nn.Linear(3, 2, rng=1)
    check_layer(layer, layer, rng.normal(size=(2, 4, 3)))


def test_linear_starts_within_its_bound() -> None:
    layer = nn.Linear(100, 50, rng=3)
    for parameter in layer.parameters():
        assert 0.09 < np.abs(parameter.data).max() <= 0.1
        assert parameter.dtype == np.float32


def test_linear_names_what_does_not_fit() -> None:
    layer = nn.Linear(64, 2)
    with pytest.raises(ValueError, match="Linear: x has 40 features, the layer was built for in_features=64; x has"):
        layer(np.zeros((3, 40), np.float32))
    with pytest.raises(TypeError, match=r"x is float64, .* float32: .* x\.astype\(float32\), .* layer\.astype\("):
        layer(np.zeros((3, 64)))
    with pytest.raises(TypeError, match=r"x must be floating, got int64"):
        layer(np.zeros((3, 64), np.int64))
    with pytest.raises(ValueError, match="no dimension"):
        layer(1.0)
    with pytest.raises(ValueError, match="out_features must be at least 1, got 0"):
        nn.Linear(3, 0)
    with pytest.raises(TypeError, match="in_features must be an int, got float"):
        nn.Linear(3.0, 1)


# ---- Embedding ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("shape", [(), (5,), (2, 3), (0,), (2, 0)])
def test_embedding_reads_rows(shape, rng) -> None:
    layer, ids = nn.Embedding(7, 3, rng=1), rng.integers(0, 7, shape)
    np.testing.assert_array_equal(layer(ids).numpy(), layer.weight.data[ids])
    assert layer(ids).shape == (*shape, 3)


def test_embedding_adds_up_the_gradients_of_a_row_read_twice(rng) -> None:
    layer, ids = nn.Embedding(4, 3, rng=1), np.array([[1, 1], [3, 1]])
    g = rng.normal(size=(2, 2, 3)).astype(np.float32)
    layer(ids).backward(g)
    expected = np.zeros((4, 3))
    for (row, column), k in np.ndenumerate(ids):
        expected[k] += g[row, column]
    np.testing.assert_allclose(layer.weight.grad.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("padding", [2, -2])
def test_padding_starts_at_zero_and_learns_nothing(padding) -> None:
    layer = nn.Embedding(4, 3, padding_idx=padding, rng=1)
    assert layer.padding_idx == 2 and not layer.weight.data[2].any() and layer.weight.data[[0, 1, 3]].all()
    layer.weight.data[2] = 5
    y = layer(np.array([2, 1]))
    np.testing.assert_array_equal(y.numpy(), layer.weight.data[[2, 1]])
    y.sum().backward()
    np.testing.assert_array_equal(layer.weight.grad.numpy(), [[0] * 3, [1] * 3, [0] * 3, [0] * 3])
    assert not layer.initialise(2).weight.data[2].any()


def test_max_norm_shortens_the_rows_that_are_read() -> None:
    layer = nn.Embedding(3, 2, max_norm=1.0)
    layer.weight.data[:] = [[3, 4], [6, 8], [0.3, 0.4]]
    y = layer(np.array([0, 2, 0])).numpy()
    np.testing.assert_allclose(y, [[0.6, 0.8], [0.3, 0.4], [0.6, 0.8]], rtol=1e-6)
    np.testing.assert_allclose(layer.weight.data, [[0.6, 0.8], [6, 8], [0.3, 0.4]], rtol=1e-6)


def test_pretrained_vectors() -> None:
    table = np.arange(6.0).reshape(3, 2)
    layer = nn.Embedding.from_pretrained(table)
    assert layer.weight.requires_grad and layer(np.array([2])).numpy().tolist() == [[4.0, 5.0]]
    table[:] = 0
    assert layer.weight.data.any()
    frozen = nn.Embedding.from_pretrained(np.ones((3, 2), np.float32), freeze=True)
    assert not frozen.weight.requires_grad and frozen.weight.dtype == np.float32
    assert (frozen.initialise(1).weight.data == 1).all()
    with pytest.raises(ValueError, match=r"got shape \(3,\)"):
        nn.Embedding.from_pretrained(np.zeros(3))


def test_embedding_names_what_does_not_fit() -> None:
    layer = nn.Embedding(5, 2)
    with pytest.raises(IndexError, match=r"id at position \(1, 0\) is 5, there are 5 rows: 0 to 4"):
        layer(np.array([[1, 2], [5, 9]]))
    with pytest.raises(IndexError, match="id at position 1 is -1"):
        layer(np.array([0, -1]))
    with pytest.raises(TypeError, match="id must be integers, got dtype float64"):
        layer(np.array([0.0]))
    for arguments, match in (({"padding_idx": 5}, "padding_idx must be an id of 5 rows, got 5"),
                             ({"max_norm": 0}, "max_norm must be positive")):
        with pytest.raises(ValueError, match=match):
            nn.Embedding(5, 2, **arguments)


# ---- Dropout --------------------------------------------------------------------------------------------------------
def test_dropout_keeps_a_share_and_the_mean() -> None:
    y = nn.Dropout(0.3, rng=1)(np.ones((400, 100), np.float32)).numpy()
    assert set(np.unique(y)) == {0, np.float32(1 / 0.7)}
    assert abs((y == 0).mean() - 0.3) < 0.01 and abs(y.mean() - 1) < 0.02


def test_dropout_masks_the_gradient_alike() -> None:
    x = tensor(np.ones(200, np.float32), requires_grad=True)
    y = nn.Dropout(0.5, rng=1)(x)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), y.numpy())


def test_dropout_off() -> None:
    x = tensor(np.ones(5, np.float32))
    assert nn.Dropout(0.5).eval()(x) is x and nn.Dropout(0.0)(x) is x
    assert not nn.Dropout(1.0)(x).numpy().any()


def test_dropout_streams_are_apart_and_repeat() -> None:
    x = np.ones(100, np.float32)
    net = nn.Sequential(nn.Dropout(), nn.Dropout()).initialise(1)
    assert not np.array_equal(net[0](x).numpy(), net[1](x).numpy())
    first = net.initialise(1)(x).numpy()
    np.testing.assert_array_equal(first, net.initialise(1)(x).numpy())
    np.testing.assert_array_equal(nn.Dropout(rng=3)(x).numpy(), nn.Dropout(rng=3)(x).numpy())
    generator = np.random.default_rng(3)
    assert not np.array_equal(nn.Dropout(rng=generator)(x).numpy(), nn.Dropout(rng=generator)(x).numpy())


@pytest.mark.parametrize("p", [-0.1, 1.1, math.nan])
def test_dropout_wants_a_probability(p) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        nn.Dropout(p)


# ---- LayerNorm ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("shape", "over"), [((4, 5), 5), ((2, 3, 4), (3, 4)), ((2, 3, 4), 4), ((5,), 5), ((3, 1), 1)])
def test_layer_norm(shape, over, rng) -> None:
    layer, x = nn.LayerNorm(over).astype(np.float64), rng.normal(2, 3, shape)
    axes = tuple(range(-len(layer.normalized_shape), 0))
    normal = (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + 1e-5)
    np.testing.assert_allclose(layer(x).numpy(), normal, atol=1e-12)
    layer.weight.data[:], layer.bias.data[:] = rng.normal(size=(2, *layer.normalized_shape))
    np.testing.assert_allclose(layer(x).numpy(), normal * layer.weight.data + layer.bias.data, atol=1e-12)


def test_layer_norm_gradients(rng) -> None:
    layer = nn.LayerNorm(4)
    check_layer(layer, layer, rng.normal(size=(3, 4)))


def test_layer_norm_options_and_errors() -> None:
    assert list(nn.LayerNorm(3, bias=False).state_dict()) == ["weight"]
    assert not nn.LayerNorm(3, elementwise_affine=False).state_dict()
    with pytest.raises(ValueError, match=r"the last axes of x must be \(3,\), got shape \(2, 4\)"):
        nn.LayerNorm(3)(np.zeros((2, 4), np.float32))
    with pytest.raises(TypeError, match="float64"):
        nn.LayerNorm(3)(np.zeros((2, 3)))


# ---- activations ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("layer", "oracle"), [
    (nn.Tanh(), np.tanh),
    (nn.Sigmoid(), lambda x: 1 / (1 + np.exp(-x))),
    (nn.ReLU(), lambda x: np.maximum(x, 0)),
    (nn.LeakyReLU(0.2), lambda x: np.where(x > 0, x, 0.2 * x)),
    (nn.ELU(0.5), lambda x: np.where(x > 0, x, 0.5 * np.expm1(x))),
    (nn.GELU(), lambda x: x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))),
    (nn.GELU("tanh"), lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3)))),
    (nn.SiLU(), lambda x: x / (1 + np.exp(-x))),
    (nn.Softplus(2.0), lambda x: np.log1p(np.exp(2 * x)) / 2),
    (nn.Softmax(0), lambda x: np.exp(x) / np.exp(x).sum(0)),
    (nn.LogSoftmax(), lambda x: x - np.log(np.exp(x).sum(-1, keepdims=True))),
], ids=repr)
def test_activations(layer, oracle, rng) -> None:
    x = rng.normal(size=(3, 4))
    np.testing.assert_allclose(layer(x).numpy(), oracle(x), atol=1e-12)
    assert not list(layer.parameters())


def test_functional_forms_are_the_layers(rng) -> None:
    x, layer = rng.normal(size=(3, 4)).astype(np.float32), nn.Linear(4, 2, rng=0)
    with no_grad():
        np.testing.assert_array_equal(functional.linear(x, layer.weight, layer.bias).numpy(), layer(x).numpy())
        table = nn.Embedding(5, 2, rng=0)
        np.testing.assert_array_equal(functional.embedding([1, 3], table.weight).numpy(), table([1, 3]).numpy())
        np.testing.assert_array_equal(functional.layer_norm(x, (4,)).numpy(), nn.LayerNorm(4)(x).numpy())
    with pytest.raises(ValueError, match="between 0 and 1"):
        functional.dropout(x, 2)


def test_embedding_of_words_that_have_vectors():
    from tinygrad_rnn.data import Vocabulary
    from tinygrad_rnn.embeddings import KeyedVectors

    rng = np.random.default_rng(0)
    kv = KeyedVectors([f"w{k}" for k in range(500)], 3 + 2 * rng.standard_normal((500, 4)))
    assert np.array_equal(nn.Embedding.from_pretrained(kv).weight.numpy(), kv.vectors)
    vocabulary = Vocabulary({f"w{k}": 1 for k in range(300, 700)}, specials=["<unk>"])
    layer = nn.Embedding.from_pretrained(kv, vocabulary, freeze=True, rng=1)
    known = np.array([token in kv for token in vocabulary.tokens])
    table = layer.weight.numpy()
    assert layer.found == known.mean() == 200 / 401 and not layer.weight.requires_grad
    assert all(np.array_equal(table[k], kv[token]) for k, token in enumerate(vocabulary.tokens) if known[k])
    # As the rows that were found, in each dimension: 201 draws, five standard errors.
    assert np.abs(table[~known].mean(0) - table[known].mean(0)).max() < 5 * 2 / 201**0.5
    assert np.abs(table[~known].std(0) - table[known].std(0)).max() < 5 * 2 / 402**0.5
    again = nn.Embedding.from_pretrained(kv, vocabulary, rng=1).weight.numpy()
    assert np.array_equal(table, again) and nn.Embedding.from_pretrained(kv, ["q"], rng=1).found == 0
    assert not nn.Embedding.from_pretrained(kv, ["q"], missing="zeros").weight.numpy().any()
    named = nn.Embedding.from_pretrained(kv, ["w1", "q"], missing=lambda word: np.full(4, len(word)))
    assert named.weight.numpy()[1].tolist() == [1] * 4 and named.found == 0.5
    with pytest.raises(ValueError, match=r"missing\('q'\) must give shape \(4,\)"):
        nn.Embedding.from_pretrained(kv, ["q"], missing=lambda word: np.ones(3))
    with pytest.raises(ValueError, match="missing must be"):
        nn.Embedding.from_pretrained(kv, ["q"], missing="mean")
    with pytest.raises(TypeError, match="no words"):
        nn.Embedding.from_pretrained(kv.vectors, vocabulary)
    with pytest.raises(ValueError, match="no words"):
        nn.Embedding.from_pretrained(kv, [])
