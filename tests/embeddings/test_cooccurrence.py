"""Co-occurrence counts, against brute force in fractions; the same bits however the text is cut."""

import errno
import math
import os
import signal
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn.embeddings import cooccurrence
from tinygrad_rnn.kernels import words_oracle

SENTENCES = st.lists(st.lists(st.integers(0, 6), max_size=30), max_size=6)


def module():
    """The module, whose name in the package is the function's."""
    import sys
    return sys.modules["tinygrad_rnn.embeddings.cooccurrence"]


def brute(sentences, window, symmetric, distance_weighting):
    found = Counter()
    for sentence in sentences:
        for p, word in enumerate(sentence):
            for d, context in enumerate(sentence[p + 1:p + 1 + window], 1):
                amount = Fraction(1, d) if distance_weighting else Fraction(1)
                found[word, context] += amount
                if symmetric:
                    found[context, word] += amount
    return [(i, j, float(x)) for (i, j), x in sorted(found.items())]


@given(SENTENCES, st.sampled_from([1, 2, 3, 7, 20]), st.booleans(), st.booleans(), st.sampled_from([1, 3, 10, 1000]))
def test_against_fractions(sentences, window, symmetric, distance_weighting, chunk):
    rows, columns, values = cooccurrence(iter(sentences), 7, window, symmetric, distance_weighting, chunk=chunk)
    assert (rows.dtype, columns.dtype, values.dtype) == (np.int32, np.int32, np.float64)
    # Equal, not almost: counts are exact, and rounded once at the end.
    assert list(zip(rows.tolist(), columns.tolist(), values.tolist())) == \
        brute(sentences, window, symmetric, distance_weighting)


@pytest.mark.usefixtures("threads")
def test_threads_and_pieces_never_change_a_bit(rng, monkeypatch):
    # Words up to 5,000, so that a row's marks fill more than one block of 4,096; rows in several blocks.
    monkeypatch.setattr("tinygrad_rnn.kernels.cooccurrence.BOUND", 2000)
    sentences = [np.minimum(rng.zipf(1.3, rng.integers(1, 200)), 5000) - 1 for _ in range(60)]
    tg.set_num_threads(1)
    expected = cooccurrence(sentences, 5000, 10)
    assert len(expected[0]) > 5000 and expected[1].max() > 4096
    text = np.concatenate([part for s in sentences for part in (s, [-1])]).astype(np.int32)
    for threads in (1, 2, 3):
        tg.set_num_threads(threads)
        for chunk in (50, 777, 10**6):
            for found in (cooccurrence(sentences, 5000, 10, chunk=chunk),
                          module().count_text(text, 5000, 10, True, True, chunk, None)):
                assert all(np.array_equal(a, b) for a, b in zip(expected, found))


def test_merging_in_small_steps(rng, monkeypatch):
    monkeypatch.setattr(module(), "MERGED", 3)
    sentences = rng.integers(0, 9, (20, 15)).tolist()
    for a, b in zip(cooccurrence(sentences, 9, 4, chunk=40), cooccurrence(sentences, 9, 4)):
        assert np.array_equal(a, b)


def test_weights():
    amounts, unit = module().weights(20, True)
    assert unit == math.lcm(*range(1, 21)) and all(amounts[d] * d == unit for d in range(1, 21)) and amounts[0] == 0
    amounts, unit = module().weights(30, True)      # no whole numbers any more: to the nearest 2^-32
    assert unit == 1 << 32 and all(abs(Fraction(int(amounts[d]), unit) - Fraction(1, d)) <= Fraction(1, 2 * unit)
                                   for d in range(1, 31))
    assert module().weights(3, False)[0].tolist() == [0, 1, 1, 1]
    rows, columns, values = cooccurrence([[0] * 30 + [1]], 2, 30, symmetric=False)
    assert values[columns == 1] == pytest.approx(sum(1 / d for d in range(1, 31)), abs=1e-8)


def test_directions():
    assert [a.tolist() for a in cooccurrence([[0, 1]], 2, 1)] == [[0, 1], [1, 0], [1.0, 1.0]]
    assert [a.tolist() for a in cooccurrence([[0, 1]], 2, 1, symmetric=False)] == [[0], [1], [1.0]]


@pytest.mark.parametrize("sentences, kind, message", [
    (["a b"], TypeError, "sentence 0 is the text 'a b'"),
    ([[0], [1, 7]], IndexError, "sentence 1, place 1: id 7 is out of range for vocabulary_size=3"),
    ([[-1]], IndexError, "id -1"),
    ([[0.5]], TypeError, "must be integers"),
    ([[[0]]], ValueError, "list of ids"),
])
def test_what_it_refuses(sentences, kind, message):
    with pytest.raises(kind, match=message):
        cooccurrence(sentences, 3, 2)


def test_sizes_that_are_none():
    for arguments in ((0, 2), (3, 0)):
        with pytest.raises(ValueError, match="at least 1"):
            cooccurrence([[0]], *arguments)
    assert all(len(a) == 0 for a in cooccurrence([], 3, 2))
    assert all(len(a) == 0 for a in cooccurrence([[0], [1], []], 3, 2, chunk=1))


@pytest.mark.parametrize("room, what", [(0, "spill counts"), (100, "spill counts"), (512, "spill merged counts")])
def test_a_full_disk_is_said_and_leaves_nothing(tmp_path, monkeypatch, room, what):
    class Full:
        left = room     # bytes, of all files together

        def __init__(self, file):
            self.file = file

        def write(self, data):
            Full.left -= len(data)
            if Full.left < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            self.file.write(data)

        def __getattr__(self, name):
            return getattr(self.file, name)

    import tempfile
    real, opened = tempfile.TemporaryFile, []

    class Context:
        def __init__(self, dir):
            self.file = real(dir=dir)
            opened.append(self.file)

        def __enter__(self):
            return Full(self.file)

        def __exit__(self, *error):
            self.file.close()

    monkeypatch.setattr(module().tempfile, "TemporaryFile", Context)
    with pytest.raises(OSError, match=f"could not {what} to .*No space left.*TMPDIR") as raised:
        cooccurrence([[0, 1] * 20], 2, 2, chunk=5, folder=tmp_path)
    assert raised.value.errno == errno.ENOSPC
    assert opened and all(file.closed for file in opened) and not list(tmp_path.iterdir())


def test_an_interrupt_leaves_nothing(tmp_path, monkeypatch):
    """Ctrl-C while counts are spilled: no file is left, and counting again counts the same."""
    sentences = [[0, 1, 2, 1] * 10] * 5
    spill, spilled = module().spill, []

    def interrupted(arrays, folder, files):
        spilled.append(spill(arrays, folder, files))
        if len(spilled) == 3:
            os.kill(os.getpid(), signal.SIGINT)     # what a terminal sends; the main thread raises KeyboardInterrupt
        return spilled[-1]

    with monkeypatch.context() as patch:
        patch.setattr(module(), "spill", interrupted)
        with pytest.raises(KeyboardInterrupt):
            cooccurrence(sentences, 3, 4, chunk=20, folder=tmp_path)
    assert len(spilled) == 3 and not list(tmp_path.iterdir())
    for again, whole in zip(cooccurrence(sentences, 3, 4, chunk=20, folder=tmp_path), cooccurrence(sentences, 3, 4)):
        assert np.array_equal(again, whole)
    assert not list(tmp_path.iterdir())


@given(SENTENCES, st.integers(1, 5), st.integers(0, 9))
def test_oracle(sentences, window, seed):
    from tinygrad_rnn import kernels

    ids = np.array([k for s in sentences for k in (*s, -1)], np.int32)
    begin = min(seed, len(ids))
    before, after = np.random.default_rng(seed).integers(0, 3, (2, window + 1))
    for found, expected in zip(kernels.count_pairs(ids, begin, len(ids), 7, before, after),
                               words_oracle.count_pairs(ids, begin, len(ids), 7, before, after)):
        assert np.array_equal(found, expected) and found.dtype == expected.dtype
