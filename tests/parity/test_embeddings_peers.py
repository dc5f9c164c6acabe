"""Word vectors beside gensim's, scikit-learn's and SciPy's."""

import numpy as np
import pytest

from tinygrad_rnn.embeddings import KeyedVectors, tsne
from tinygrad_rnn.metrics import pearson, spearman

pytestmark = pytest.mark.parity

WORDS = ["the", "of", "Zürich", "日本", "a\u2028b", "\x85", "it's", "\ufeffx", "é", "e\u0301"]
WORDS += [f"w{k}" for k in range(90)]


@pytest.fixture
def ours(rng):
    return KeyedVectors(WORDS, rng.standard_normal((100, 12)) * 10.0**rng.integers(-30, 30, (100, 1)))


@pytest.fixture
def theirs(ours):
    gensim = pytest.importorskip("gensim.models")
    kv = gensim.KeyedVectors(12)
    kv.add_vectors(WORDS, ours.vectors)
    return kv


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")     # gensim leaves a file open
@pytest.mark.parametrize("format", ["word2vec", "word2vec-binary", "glove", "fasttext"])
@pytest.mark.parametrize("name", ["v", "v.gz"])
def test_gensim_reads_our_files_bit_for_bit(tmp_path, ours, format, name):
    gensim = pytest.importorskip("gensim.models")
    ours.save(tmp_path / name, format)
    found = gensim.KeyedVectors.load_word2vec_format(
        str(tmp_path / name), binary=format == "word2vec-binary", no_header=format == "glove")
    assert found.index_to_key == WORDS
    assert np.array_equal(found.vectors.view(np.uint32), ours.vectors.view(np.uint32))


@pytest.mark.parametrize("options", [dict(), dict(binary=True), dict(write_header=False)])
@pytest.mark.parametrize("name", ["v", "v.gz"])
def test_we_read_gensims_files_bit_for_bit(tmp_path, theirs, options, name):
    theirs.save_word2vec_format(str(tmp_path / name), **options)
    found = KeyedVectors.load(tmp_path / name)
    assert found.index_to_key == WORDS
    assert np.array_equal(found.vectors.view(np.uint32), theirs.vectors.view(np.uint32))


def same(ours, theirs):
    assert [word for word, _ in ours] == [word for word, _ in theirs]
    np.testing.assert_allclose([s for _, s in ours], [s for _, s in theirs], atol=2e-6)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")      # gensim calls its own deprecated methods
def test_queries(rng):
    gensim = pytest.importorskip("gensim.models")
    vectors = rng.standard_normal((100, 12)).astype(np.float32)
    a, b = KeyedVectors(WORDS, vectors), gensim.KeyedVectors(12)
    b.add_vectors(WORDS, vectors)
    length1 = vectors[5] / np.linalg.norm(vectors[5])        # gensim adds vectors as they are, ours at length 1
    for plus, minus in ((["w1"], []), (["w1", "w2"], ["w3"]), ([], ["the"]), (["w1", length1], ["w9", "é"])):
        same(a.most_similar(plus, minus), b.most_similar(plus, minus))
        same(a.most_similar(plus, minus, restrict_vocab=30), b.most_similar(plus, minus, restrict_vocab=30))
    same(a.most_similar(["w1", "w2"], ["w3"], method="3cosmul"), b.most_similar_cosmul(["w1", "w2"], ["w3"]))
    same(a.similar_by_vector(vectors[7]), b.similar_by_vector(vectors[7]))
    assert a.similarity("w1", "w2") == pytest.approx(b.similarity("w1", "w2"), abs=1e-6)
    assert a.distance("w1", "w2") == pytest.approx(b.distance("w1", "w2"), abs=1e-6)
    assert a.n_similarity(["w1", "w2"], ["é"]) == pytest.approx(b.n_similarity(["w1", "w2"], ["é"]), abs=1e-6)
    for _ in range(10):
        words = [WORDS[k] for k in rng.permutation(100)[:5]]
        assert a.doesnt_match(words) == b.doesnt_match(words)


def test_judgments(tmp_path, rng):
    gensim = pytest.importorskip("gensim.models")
    words = [f"w{k}" for k in range(40)] + ["W1", "Q"]
    vectors = rng.standard_normal((42, 4)).astype(np.float32)
    a, b = KeyedVectors(words, vectors), gensim.KeyedVectors(4)
    b.add_vectors(words, vectors)
    pairs = tmp_path / "pairs"
    pairs.write_text("".join(f"w{i}\tW{j}\t{k}\n" for k, (i, j) in enumerate(rng.integers(0, 45, (60, 2)))))
    (r, _), (rho, _), unknown = b.evaluate_word_pairs(str(pairs))
    found = a.evaluate_word_pairs(pairs)
    assert (found.pearson, found.spearman) == pytest.approx((r, rho), abs=1e-5)
    assert found.oov_share == pytest.approx(unknown / 100)
    questions = tmp_path / "questions"
    lines = [": one"]
    for k in range(60):
        x, y, z = (f"w{i}" for i in rng.integers(0, 42, 3))
        known = all(word in a for word in (x, y, z))
        answer = a.most_similar([y, z], [x], topn=1)[0][0] if known and k % 3 else "w7"
        lines += [f"{x} {y} {z} {answer}"] + [": two"] * (k == 30)
    questions.write_text("\n".join(lines) + "\n")
    score, sections = b.evaluate_word_analogies(str(questions))
    result = a.evaluate_word_analogies(questions)
    assert result.accuracy == pytest.approx(score)
    for section in sections[:-1]:
        right, wrong = len(section["correct"]), len(section["incorrect"])
        assert result.counts[section["section"]] == (right, right + wrong)


def test_correlations(rng):
    stats = pytest.importorskip("scipy.stats")
    for _ in range(20):
        x, y = rng.integers(0, 6, (2, 15))
        assert pearson(x, y) == pytest.approx(stats.pearsonr(x, y)[0])
        assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y)[0])


@pytest.mark.parametrize("method", ["exact", "barnes_hut"])
def test_tsne_keeps_neighbourhoods_as_well_as_scikit_learn(rng, method):
    manifold = pytest.importorskip("sklearn.manifold")
    X = rng.standard_normal((12, 20))[rng.integers(0, 12, 400)] + 0.7 * rng.standard_normal((400, 20))
    theirs = manifold.TSNE(init="pca", method=method, random_state=0)
    expected = manifold.trustworthiness(X, theirs.fit_transform(X), n_neighbors=12)
    reports = []
    Y = tsne(X, method=method, progress=lambda n, kl: reports.append(kl))
    assert manifold.trustworthiness(X, Y, n_neighbors=12) > expected - 0.01
    assert reports[-1] < theirs.kl_divergence_ * 1.05
