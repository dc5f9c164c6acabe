"""Queries of word vectors, against their formulas."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn.embeddings import KeyedVectors, keyed_vectors, nearest
from tinygrad_rnn.kernels.threads import COMPILED


def some(n=30, size=5, seed=0):
    return KeyedVectors([f"w{k}" for k in range(n)], np.random.default_rng(seed).standard_normal((n, size)))


def cos(u, v):
    u, v = np.asarray(u, np.float64), np.asarray(v, np.float64)
    return u @ v / np.linalg.norm(u) / np.linalg.norm(v)


def test_words_and_vectors():
    vectors = np.arange(6.0).reshape(3, 2)
    kv = KeyedVectors(["a", "b", "c"], vectors)
    vectors[...] = -1                                   # a copy was taken
    assert kv["b"].tolist() == [2, 3] and kv.vectors.dtype == np.float32 and kv["b"].shape == (2,)
    assert kv[["c", "a"]].tolist() == [[4, 5], [0, 1]]
    assert "a" in kv and "z" not in kv and 3 not in kv and len(kv) == 3 and kv.vector_size == 2
    assert kv.index_to_key == ["a", "b", "c"] and kv.key_to_index == {"a": 0, "b": 1, "c": 2}
    with pytest.raises(ValueError, match="read-only"):
        kv.vectors[0, 0] = 1
    assert np.array_equal(KeyedVectors(["a", "b", "c"], tg.tensor(kv.vectors)).vectors, kv.vectors)


def test_unknown_words_come_with_the_nearest_spelling():
    kv = KeyedVectors(["king", "queen", "London", "ring"], np.eye(4))
    with pytest.raises(KeyError, match="'kingg' is not among the 4; nearest in spelling: 'king'"):
        kv["kingg"]
    with pytest.raises(KeyError, match="'London'"):
        kv.similarity("king", "london")
    with pytest.raises(KeyError, match="zzzzz"):
        kv.most_similar("zzzzz")
    with pytest.raises(TypeError, match="expected a word, got int"):
        kv[[3]]


@pytest.mark.parametrize("words, vectors, kind, message", [
    (["a"], np.eye(2), ValueError, "1 words, but vectors of shape"),
    (["a", "a"], np.eye(2), ValueError, "'a' stands twice, in rows 0 and 1"),
    (["a", "b"], [[1, 2], [np.nan, 1]], ValueError, "vector of 'b' .row 1. has a number that is not finite"),
    (["a"], [[1e300]], ValueError, "not finite in float32"),
    (["a", 3], np.eye(2), TypeError, "must be strings, got 3"),
    ("ab", np.eye(2), TypeError, "sequence of words"),
    ([], np.empty((0, 3)), ValueError, "no words"),
    (["a"], [1.0], ValueError, "shape"),
    (["a"], np.empty((1, 0)), ValueError, "shape"),
])
def test_what_it_refuses(words, vectors, kind, message):
    with pytest.raises(kind, match=message):
        KeyedVectors(words, vectors)


def test_similarities_are_cosines():
    kv = some()
    assert kv.similarity("w1", "w2") == pytest.approx(cos(kv["w1"], kv["w2"]))
    assert kv.similarity("w1", "w1") == pytest.approx(1) and kv.distance("w1", "w2") == 1 - kv.similarity("w1", "w2")
    assert kv.n_similarity(["w1", "w2"], ["w3"]) == pytest.approx(cos(kv["w1"] + kv["w2"], kv["w3"]))
    with pytest.raises(ValueError, match="n_similarity: second"):
        kv.n_similarity(["w1"], [])
    odd = KeyedVectors(["a", "b", "far", "zero"], [[1, 0.1], [1, -0.1], [-1, 0], [0, 0]])
    assert odd.doesnt_match(["a", "far", "b"]) == "far" and odd.similarity("a", "zero") == 0
    with pytest.raises(ValueError, match="at least two"):
        odd.doesnt_match(["a"])


@given(st.integers(0, 1000), st.integers(1, 40), st.sampled_from(["3cosadd", "3cosmul"]))
def test_most_similar_against_the_formula(seed, topn, method):
    kv = some(seed=seed)
    rng = np.random.default_rng(seed)
    words = [f"w{k}" for k in rng.permutation(30)[:4]]
    plus, minus = words[:1 + seed % 3], words[1 + seed % 3:]
    cosines = {word: [cos(kv[word], kv[other]) for other in words] for word in kv.index_to_key}
    signs = np.array([1] * len(plus) + [-1] * len(minus))
    query = (signs[:, None] * kv[words] / np.linalg.norm(kv[words], axis=1, keepdims=True)).sum(0)

    def score(word):
        if method == "3cosadd":
            return cos(kv[word], query)
        shifted = (1 + np.array(cosines[word])) / 2
        return shifted[signs > 0].prod() / (shifted[signs < 0].prod() + 1e-6)

    answer = kv.most_similar(plus, minus, topn=topn, method=method)
    expected = sorted((word for word in kv.index_to_key if word not in words), key=score, reverse=True)[:topn]
    assert [word for word, _ in answer] == expected
    np.testing.assert_allclose([s for _, s in answer], [score(word) for word in expected], rtol=1e-4, atol=1e-6)


def test_forms_of_a_query():
    kv = some()
    one = kv.most_similar("w3", topn=4)
    assert kv.most_similar(["w3"], topn=4) == one == kv.most_similar(positive="w3", topn=4)
    by_vector = kv.similar_by_vector(kv["w3"], topn=5)
    assert by_vector[0][0] == "w3" and by_vector[1:] == one
    assert kv.most_similar(kv["w3"], topn=5) == by_vector
    assert {word for word, _ in kv.most_similar("w29", topn=99, restrict_vocab=7)} == {f"w{k}" for k in range(7)}
    for call in (dict(topn=0), dict(restrict_vocab=0), dict(method="cos")):
        with pytest.raises(ValueError, match=next(iter(call))):
            kv.most_similar("w1", **call)
    with pytest.raises(ValueError, match="at least one word"):
        kv.most_similar()
    with pytest.raises(ValueError, match=r"shape \(5,\)"):
        kv.similar_by_vector([1, 2])
    with pytest.raises(ValueError, match="finite"):
        kv.similar_by_vector([1, 2, 3, 4, np.nan])


@pytest.mark.usefixtures("threads")
def test_many_queries_at_once_are_as_one(monkeypatch):
    kv = some(300, 7)
    monkeypatch.setattr(nearest, "QUERIES", 32)
    monkeypatch.setattr(nearest, "CANDIDATES", 64)
    rows, cosines = kv.nearest_neighbours(topn=6)
    for threads in (1, 2, 3):
        tg.set_num_threads(threads)
        again = kv.nearest_neighbours(topn=6)
        assert np.array_equal(rows, again[0]) and np.array_equal(cosines, again[1])
    for k in range(0, 300, 17):
        one = kv.most_similar(f"w{k}", topn=6)
        assert [kv.index_to_key[r] for r in rows[k]] == [word for word, _ in one]
        # Bit by bit, which NumPy's product, in the place of ours, does not promise.
        assert cosines[k].tolist() == pytest.approx([c for _, c in one], abs=0 if COMPILED else 1e-6, rel=0)
    chosen = ["w7", "w3"]
    assert np.array_equal(kv.nearest_neighbours(chosen, topn=6)[0], rows[[7, 3]])
    by_vector, _ = kv.nearest_neighbours(kv[chosen], topn=3)
    assert by_vector[:, 0].tolist() == [7, 3]
    few, scores = kv.nearest_neighbours(chosen, topn=6, restrict_vocab=4)
    assert few.shape == (2, 4) and few[1, 3] == -1 and scores[1, 3] == -np.inf     # w3 itself is left out
    with pytest.raises(TypeError, match="list of words"):
        kv.nearest_neighbours("w1")
    with pytest.raises(ValueError, match=r"\(Q, 7\)"):
        kv.nearest_neighbours(np.ones((2, 3)))


def test_equal_scores_come_in_the_order_of_the_words():
    kv = KeyedVectors(list("abcdef"), np.ones((6, 3)))
    assert [word for word, _ in kv.most_similar("c", topn=9)] == list("abdef")


def test_cosine_of_extremes():
    assert keyed_vectors.cosine([1e-30, 0], [1e-30, 0]) == pytest.approx(1)
    assert nearest.unit(np.array([[3e-30, 4e-30], [3e30, 4e30], [0, 0]], np.float32)) == pytest.approx(
        np.array([[0.6, 0.8], [0.6, 0.8], [0, 0]]))
