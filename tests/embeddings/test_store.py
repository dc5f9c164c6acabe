"""Models of word vectors in files: bit by bit the same, or refused; the old one stands until the new one does."""

import errno
import os

import numpy as np
import pytest

from tinygrad_rnn.embeddings import GloVe, Word2Vec, store
from tinygrad_rnn.files import checkpoint

CORPUS = [["a", "b", "c", "a\ud800"], ["c", "b", "a", "a\ud800"]] * 3
MODELS = [GloVe, Word2Vec]


def fitted(kind):
    options = {} if kind is GloVe else {"sample": 0}
    return kind(vector_size=3, min_count=1, epochs=2, workers=1, rng=2**70, **options).fit(CORPUS)


def test_state_and_arrays_come_back(tmp_path):
    state = {"tokens": ["a", "\ud800", "Zürich\n"], "seed": str(2**100), "history": [0.1, 1e-300], "position": 3}
    arrays = {"inner": np.arange(6, dtype=np.float32).reshape(2, 3), "none": np.zeros((0, 4)), "counts": np.array([7])}
    store.write(tmp_path / "m", "made up", state, arrays)
    again, found = store.read(tmp_path / "m", "made up")
    assert again == state and found.keys() == arrays.keys()
    assert all(found[k].dtype == a.dtype and np.array_equal(found[k], a) for k, a in arrays.items())


def test_words_stand_in_no_header(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "_LONGEST_HEADER", 1000)     # a checkpoint's content beside its arrays
    words = [f"word{k}" for k in range(1000)]
    store.write(tmp_path / "m", "made up", {"tokens": words}, {})
    assert store.read(tmp_path / "m", "made up") == ({"tokens": words}, {})


@pytest.mark.parametrize("kind", MODELS)
def test_a_bit_that_flips_is_seen(tmp_path, kind):
    model = fitted(kind)
    model.save(tmp_path / "m")
    content = (tmp_path / "m").read_bytes()
    again = kind.load(tmp_path / "m")
    assert again.loss_history == model.loss_history and again.vectors.index_to_key == model.vectors.index_to_key
    assert again.vectors.vectors.tobytes() == model.vectors.vectors.tobytes()
    for at in (3, 100, len(content) // 2, len(content) - 100, len(content) - 1):
        changed = bytearray(content)
        changed[at] ^= 1 << at % 8
        for damaged in (changed, content[:at]):
            (tmp_path / "m").write_bytes(damaged)
            with pytest.raises(ValueError, match="m is damaged or"):
                kind.load(tmp_path / "m")


def test_one_model_is_not_the_other(tmp_path):
    for kind, name, wrong in (*zip(MODELS, ("glove", "word2vec"), reversed(MODELS)),):
        fitted(kind).save(tmp_path / "m")
        with pytest.raises(ValueError, match=f"m is a checkpoint of something else: of kind '{name}'"):
            wrong.load(tmp_path / "m")
    checkpoint.save(tmp_path / "m", {"b": 1}, "glove")
    with pytest.raises(ValueError, match="m holds no glove model"):
        GloVe.load(tmp_path / "m")


@pytest.mark.parametrize("kind", MODELS)
def test_a_full_disk_leaves_the_old_model(tmp_path, monkeypatch, kind):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    model = fitted(kind)
    model.save(tmp_path / "m")
    before = (tmp_path / "m").read_bytes()
    monkeypatch.setattr(os, "fsync", full)
    for save in (model.save, lambda path: model.vectors.save(path, "safetensors"), model.vocabulary.save):
        with pytest.raises(OSError, match="not written, No space left on device; the one before is intact: .*m"):
            save(tmp_path / "m")
        assert (tmp_path / "m").read_bytes() == before and len(list(tmp_path.iterdir())) == 1
