"""Compiled word2vec equals the readable one, repeats itself, goes on where it stopped, and learns what is there."""

import hashlib
import itertools
import os
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.embeddings import Word2Vec, sampling, training, word2vec
from tinygrad_rnn.embeddings.plan import table


def language(sentences: int, words: int = 30, seed: int = 0) -> list[list[str]]:
    """Words of falling frequency."""
    rng = np.random.default_rng(seed)
    return [[f"w{min(words - 1, int(rng.exponential(6)))}" for _ in range(rng.integers(1, 25))]
            for _ in range(sentences)]


CORPUS = language(40)
SMALL = dict(vector_size=20, min_count=1, epochs=2, rng=3, sample=0.02, alpha=0.05, window=3, negative=4)
needs_jit = pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"),
                               reason="there are no shards without the JIT, and many pairs take Python minutes")


def digest(model: Word2Vec) -> str:
    content = model._inner.tobytes() + model._outer.tobytes() + repr(model.loss_history).encode()
    return hashlib.sha256(content).hexdigest()


# ---- the kernel is the objective -------------------------------------------------------------------------------------
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("objective", ["negative", "hierarchical", "softmax"])
@pytest.mark.parametrize("model", ["skipgram", "cbow"])
def test_one_worker_equals_the_readable_objective(monkeypatch, model, objective, shared) -> None:
    settings = SMALL | dict(model=model, objective=objective, shared_negatives=shared, workers=1, alpha=0.4)
    compiled = Word2Vec(**settings).fit(CORPUS)
    monkeypatch.setattr(training, "COMPILED", False)
    readable = Word2Vec(**settings).fit(CORPUS)
    np.testing.assert_allclose(compiled.loss_history, readable.loss_history, rtol=1e-5)
    np.testing.assert_allclose(compiled._inner, readable._inner, atol=1e-4)
    np.testing.assert_allclose(compiled.output_vectors, readable.output_vectors, atol=1e-4)
    assert np.abs(compiled.output_vectors).max() > 0.05      # something was learned: they began at 0


@pytest.mark.parametrize("settings", [dict(dynamic_window=False, window=20), dict(negative=1, ns_exponent=-0.5),
                                      dict(negative=21, vector_size=130), dict(sample=0, vector_size=1),
                                      dict(model="cbow", cbow_mean=False, alpha=0.01), dict(window=1)])
def test_other_sizes_and_choices(monkeypatch, settings) -> None:
    settings = SMALL | dict(workers=1, epochs=1) | settings
    monkeypatch.setattr(training, "CHUNK", 7)       # windows reach over the borders of chunks
    compiled = Word2Vec(**settings).fit(CORPUS[:20])
    monkeypatch.setattr(training, "COMPILED", False)
    readable = Word2Vec(**settings).fit(CORPUS[:20])
    np.testing.assert_allclose(compiled.loss_history, readable.loss_history, rtol=1e-5)
    np.testing.assert_allclose(compiled._inner, readable._inner, atol=5e-5)
    assert not compiled._inner[:, compiled.vector_size:].any()      # what is beyond a row stays 0


def test_loss_is_that_of_untrained_vectors_when_nothing_moves() -> None:
    """With tiny steps every pair is judged by the start values: outputs of 0, so log 2 for each of 1 + K."""
    settings = SMALL | dict(alpha=1e-30, min_alpha=0, epochs=1, workers=1, sample=0)
    model = Word2Vec(**settings | dict(objective="softmax")).fit(CORPUS)
    assert model.loss_history == pytest.approx([np.log(len(model.vocabulary))], rel=1e-5)
    two = Word2Vec(**settings | dict(negative=1)).fit([["a", "b"]] * 50)
    # With two words, half of the noise, by chance, is the centre word itself and left out.
    assert np.log(2) < two.loss_history[0] < 2 * np.log(2)
    many = Word2Vec(**settings | dict(ns_exponent=-9.0)).fit([["a"] * 50 + ["b"]] * 4)
    assert many.loss_history == pytest.approx([5 * np.log(2)], rel=0.15)


def test_pairs_are_those_of_the_definition() -> None:
    """Without chance, the number of pairs is known."""
    settings = SMALL | dict(sample=0, dynamic_window=False, window=2, epochs=1, workers=1)
    totals = []

    class Spy(Word2Vec):
        def _run(self, *args):
            result = super()._run(*args)
            totals.append(self.loss_history)
            return result

    sentences = [["a", "b", "c", "d"], ["e"], ["a", "b"]]
    model = Spy(**settings)
    model.fit(sentences)
    pairs = sum(sum(1 for j in range(len(s)) if 0 < abs(i - j) <= 2) for s in sentences for i in range(len(s)))
    counted = np.zeros(3)
    trainer = training.Trainer(model._plan(np.array([0, 1, 2, 3, -1, 4, -1, 0, 1, -1], np.int32)), 1, False)
    assert list(trainer.stretch(0, 0, counted)) == [10] and counted[2] == pairs == 12 and counted[0] == 10


# ---- reproducible ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("settings", [{}, dict(shared_negatives=False), dict(model="cbow"),
                                      dict(objective="hierarchical")])
def test_deterministic_mode_gives_the_same_bits_for_any_number_of_workers(monkeypatch, threads, settings) -> None:
    monkeypatch.setattr(training, "ROUND", 20)
    monkeypatch.setattr(sampling, "COMMON", 6)      # the others are dealt out
    monkeypatch.setattr(sampling, "UNEVEN", 1)
    found = set()
    for workers in (1, 2, 3):
        tg.set_num_threads(workers)
        found.add(digest(Word2Vec(**SMALL | settings, deterministic=True, workers=workers).fit(CORPUS)))
    found.add(digest(Word2Vec(**SMALL | settings, deterministic=True).fit(CORPUS)))
    assert len(found) == 1
    other = Word2Vec(**SMALL | settings | dict(rng=4), deterministic=True).fit(CORPUS)
    assert digest(other) not in found


def test_one_worker_repeats_itself() -> None:
    a, b = (Word2Vec(**SMALL, workers=1).fit(CORPUS) for _ in range(2))
    assert digest(a) == digest(b) != digest(Word2Vec(**SMALL | dict(rng=4), workers=1).fit(CORPUS))
    generator = Word2Vec(**SMALL, workers=1).fit(s for s in CORPUS)
    assert digest(generator) == digest(a)


@needs_jit
def test_one_shard_is_one_worker(monkeypatch) -> None:
    monkeypatch.setattr(training, "SHARDS", 1)
    monkeypatch.setattr(training, "ROUND", 17)
    monkeypatch.setattr(training, "CHUNK", 17)
    for settings in (dict(), dict(shared_negatives=False), dict(model="cbow", objective="softmax")):
        one = Word2Vec(**SMALL | settings, workers=1).fit(CORPUS)
        assert digest(Word2Vec(**SMALL | settings, deterministic=True).fit(CORPUS)) == digest(one)


@needs_jit
def test_hogwild_learns_what_one_worker_learns(threads) -> None:
    tg.set_num_threads(2)
    corpus = language(300)
    many = Word2Vec(**SMALL | dict(epochs=5), workers=2).fit(corpus)
    one = Word2Vec(**SMALL | dict(epochs=5), workers=1).fit(corpus)
    np.testing.assert_allclose(many.loss_history, one.loss_history, rtol=0.03)


class Stop(Exception):
    pass


@pytest.mark.parametrize("settings", [dict(workers=1), dict(deterministic=True)])
@pytest.mark.parametrize("when", [1, 3, 5])
def test_an_interrupted_fit_goes_on_bit_by_bit(monkeypatch, tmp_path, settings, when) -> None:
    for module, name, value in ((training, "CHUNK", 40), (training, "ROUND", 10), (word2vec, "STRETCH", 120),
                                (training, "STRETCH", 120)):
        monkeypatch.setattr(module, name, value)
    whole = Word2Vec(**SMALL, **settings).fit(CORPUS)
    calls, places = itertools.count(1), []

    def stop(model):
        places.append((model.epoch, model.position))
        if next(calls) == when:
            model.save(tmp_path / "model")
            raise Stop

    with pytest.raises(Stop):
        Word2Vec(**SMALL, **settings).fit(CORPUS, callbacks=[stop])
    assert places[-1][1] % 40 == 0
    resumed = Word2Vec.load(tmp_path / "model").resume(CORPUS)
    assert digest(resumed) == digest(whole) and resumed.epoch == 2
    assert digest(resumed.resume(CORPUS)) == digest(whole)      # nothing is left to do
    with pytest.raises(ValueError, match="not the corpus that the fit was begun with"):
        Word2Vec.load(tmp_path / "model").resume(CORPUS[1:])


@pytest.mark.compiled
@pytest.mark.parametrize("settings", [dict(workers=1), dict(deterministic=True, model="cbow")])
def test_an_interrupt_at_any_moment_loses_and_repeats_nothing(monkeypatch, settings) -> None:
    """Ctrl-C is raised before one instruction of the loop over the corpus after another."""
    for name, value in (("CHUNK", 40), ("ROUND", 10), ("STRETCH", 120)):
        monkeypatch.setattr(training, name, value)
    corpus = CORPUS[:12]
    whole, left, reached = Word2Vec(**SMALL, **settings).fit(corpus), 0, 0
    loop = {Word2Vec._run.__code__, training.Trainer.stretch.__code__, training.Trainer._compiled.__code__}

    def trace(frame, event, _):
        nonlocal left
        if frame.f_code not in loop:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
        return trace

    for first in range(1, 10_000, 37):
        model, left = Word2Vec(**SMALL, **settings), first
        sys.settrace(trace)
        try:
            model.fit(corpus)
        except KeyboardInterrupt:
            reached += 1
        finally:
            sys.settrace(None)
        if left > 0:
            break       # the fit was over first
        assert digest(model.resume(corpus)) == digest(whole), first
    assert reached > 10


def test_callbacks_see_every_epoch() -> None:
    seen = []
    Word2Vec(**SMALL).fit(CORPUS, callbacks=[lambda model: seen.append((model.epoch, len(model.loss_history)))])
    assert seen == [(1, 1), (2, 2)]


# ---- more text -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("objective", ["negative", "hierarchical", "softmax"])
def test_partial_fit_keeps_ids_and_takes_new_words(objective) -> None:
    model = Word2Vec(**SMALL | dict(min_count=2), objective=objective, workers=1).fit(CORPUS)
    before, old = model.vectors.index_to_key, model.vectors.vectors.copy()
    model.partial_fit([["new", "w1", "new", "w2", "once"], ["w1", "new"]])
    assert model.vectors.index_to_key == [*before, "new"] and len(model.loss_history) == 4
    counts = Counter(itertools.chain(*CORPUS))
    assert model.vocabulary.counts[before.index("w1")] == counts["w1"] + 2
    moved = np.abs(model.vectors.vectors[:len(before)] - old).max(axis=1) > 0
    assert moved[before.index("w1")] and not moved[before.index("w9")] and model.vectors["new"].any()
    assert Word2Vec(**SMALL, workers=1).partial_fit(CORPUS).loss_history == \
        Word2Vec(**SMALL, workers=1).fit(CORPUS).loss_history


def test_fitting_again_begins_anew() -> None:
    model = Word2Vec(**SMALL, workers=1).fit(language(9, seed=5))
    assert digest(model.fit(CORPUS)) == digest(Word2Vec(**SMALL, workers=1).fit(CORPUS))


# ---- what it learns --------------------------------------------------------------------------------------------------
@needs_jit
def test_topics_are_recovered(threads) -> None:
    """Words of ten topics, a sentence of one topic each: neighbours must be of the own topic."""
    tg.set_num_threads(2)
    rng = np.random.default_rng(0)
    corpus = [[f"t{topic}.{w}" for w in rng.integers(0, 12, 12)] for topic in rng.integers(0, 10, 1500)]
    for settings in (dict(), dict(shared_negatives=False), dict(model="cbow"), dict(deterministic=True),
                     dict(objective="hierarchical")):
        model = Word2Vec(vector_size=24, epochs=12, alpha=0.05, sample=0, rng=0, **settings).fit(corpus)
        unit = model.vectors.vectors / np.linalg.norm(model.vectors.vectors, axis=1, keepdims=True)
        cosines = unit @ unit.T
        np.fill_diagonal(cosines, -1)
        topics = np.array([word.split(".")[0] for word in model.vectors.index_to_key])
        nearest = topics[np.argsort(-cosines, axis=1)[:, :5]]
        assert (nearest == topics[:, None]).mean() > 0.97, settings


@needs_jit
def test_products_of_rows_are_shifted_pmi() -> None:
    """Levy and Goldberg 2014: at the optimum of skip-gram, x_c . o_w = log(p(w, c) / (p(w) noise(c))) - log K."""
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(8, 2)) @ rng.normal(size=(2, 8)) * 0.7
    joint = np.exp(logits + logits.T)
    joint /= joint.sum()
    pairs = rng.choice(64, 60_000, p=joint.ravel())
    corpus = [[f"w{k // 8}", f"w{k % 8}"] for k in pairs]
    model = Word2Vec(vector_size=8, window=1, negative=3, ns_exponent=1.0, sample=0, epochs=15, alpha=0.05,
                     min_alpha=1e-3, rng=0, workers=1, shared_negatives=False).fit(corpus)
    order = [model.vectors.key_to_index[f"w{k}"] for k in range(8)]
    learned = (model.vectors.vectors @ model.output_vectors.T)[np.ix_(order, order)]
    marginal = joint.sum(0)
    # Noise that is the centre word itself is left out, so a word w meets noise (1 - p(w)) as often.
    expected = np.log(joint / (marginal[:, None] * marginal[None])) - np.log(3) - np.log(1 - marginal)[None] * 0
    assert np.corrcoef(learned.ravel(), expected.ravel())[0, 1] > 0.97


# ---- bad input -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("corpus", "error", "match"), [
    (["a sentence"], TypeError, "sentence 0 is a string"),
    ("no/such/file.txt", FileNotFoundError, "no/such/file.txt"),
    (iter([]), ValueError, "used up"),
    ([], ValueError, "no words"),
    ([["a", "b"]], ValueError, r"no word is left: the most frequent one, 'b', comes 1 times, and min_count=5"),
    ([["a"]] * 9, ValueError, "no word has a neighbour"),
])
def test_what_is_no_corpus(corpus, error, match) -> None:
    with pytest.raises(error, match=match):
        Word2Vec().fit(corpus)


@pytest.mark.parametrize(("parameter", "error", "match"), [
    (dict(vector_size=0), ValueError, "vector_size must be at least 1, got 0"),
    (dict(window=1.5), TypeError, "window must be an int, got 1.5"),
    (dict(model="glove"), ValueError, "model must be one of skipgram, cbow; got 'glove'"),
    (dict(objective="nce"), ValueError, "objective must be one of negative, hierarchical, softmax"),
    (dict(negative=0), ValueError, "negative must be at least 1"),
    (dict(sample=-1.0), ValueError, "sample must be at least 0"),
    (dict(alpha=0.0), ValueError, "alpha must be above 0"),
    (dict(alpha=float("nan")), ValueError, "alpha must be above 0, got nan"),
    (dict(min_alpha=0.5), ValueError, "min_alpha must not exceed alpha"),
    (dict(epochs=True), TypeError, "epochs must be an int, got True"),
    (dict(workers=0), ValueError, "workers must be at least 1"),
    (dict(dynamic_window=1), TypeError, "dynamic_window must be True or False"),
    (dict(rng="seed"), TypeError, "rng must be"),
])
def test_parameters_out_of_range(parameter, error, match) -> None:
    with pytest.raises(error, match=match):
        Word2Vec(**parameter)


def test_too_large_steps_are_not_passed_over() -> None:
    with pytest.raises(FloatingPointError, match="loss of epoch 1 is not finite; lower alpha, which was 1e"):
        Word2Vec(**SMALL | dict(alpha=1e20, workers=1)).fit(CORPUS)


def test_before_and_after_fitting() -> None:
    model = Word2Vec(vector_size=8, rng=1)
    assert repr(model) == "Word2Vec(vector_size=8)" and model.window == 5
    for call in (lambda: model.vectors, lambda: model.save("nowhere"), lambda: model.output_vectors):
        with pytest.raises(ValueError, match="fit"):
            call()
    with pytest.raises(ValueError, match="nothing has been begun"):
        model.resume(CORPUS)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        model.nothing   # noqa: B018


def test_max_vocab_size_keeps_the_frequent_words() -> None:
    model = Word2Vec(**SMALL | dict(max_vocab_size=5)).fit(CORPUS)
    assert model.vectors.index_to_key == [w for w, _ in sorted(
        Counter(itertools.chain(*CORPUS)).items(), key=lambda item: (-item[1], item[0]))[:5]]
    assert model.vectors.vectors.shape == (5, 20) and model.vectors.vectors.dtype == np.float32


# ---- files -----------------------------------------------------------------------------------------------------------
def test_files_round_trip(tmp_path) -> None:
    model = Word2Vec(**SMALL | dict(rng=2**100), workers=1).fit([*CORPUS, ["é\ud800", "w1"]])
    model.save(tmp_path / "m")
    again = Word2Vec.load(tmp_path / "m")
    assert digest(again) == digest(model) and again.vectors.index_to_key == model.vectors.index_to_key
    assert again.parameters == model.parameters and again.seed == model.seed
    assert digest(again.partial_fit(CORPUS)) == digest(model.partial_fit(CORPUS))
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_files_that_are_something_else(tmp_path) -> None:
    with pytest.raises(FileNotFoundError):
        Word2Vec.load(tmp_path / "none")
    (tmp_path / "m").write_bytes(b"something")
    with pytest.raises(ValueError, match="m is damaged or no checkpoint"):
        Word2Vec.load(tmp_path / "m")


def test_progress_is_shown_when_asked(capsys) -> None:
    Word2Vec(**SMALL).fit(CORPUS)
    assert capsys.readouterr().err == ""
    Word2Vec(**SMALL).fit(CORPUS, progress=True)
    shown = capsys.readouterr().err
    assert "words/s" in shown and "rate" in shown and "loss" in shown


def test_rows_begin_where_cache_lines_do() -> None:
    for rows, size in ((1, 1), (3, 100), (0, 5)):
        x = table(rows, size)
        assert x.shape == (rows, -(-size // 16) * 16) and (x.ctypes.data % 64 == 0 or not rows) and not x.any()


def test_without_compiled_code() -> None:
    code = ("from tests.embeddings.test_word2vec import *; m = Word2Vec(**SMALL).fit(CORPUS[:9]);"
            "print('numba' in sys.modules, *m.loss_history)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          env={**os.environ, "NUMBA_DISABLE_JIT": "1"})
    numba, *losses = done.stdout.split()
    assert numba == "False"
    np.testing.assert_allclose([float(x) for x in losses], Word2Vec(**SMALL, workers=1).fit(CORPUS[:9]).loss_history,
                               rtol=1e-5)
