"""GloVe: the kernel against the tape and a plain loop, the same bits on any threads, what it learns and refuses."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn import kernels
from tinygrad_rnn.embeddings import GloVe, entries, glove
from tinygrad_rnn.embeddings.entries import Entries, block_count
from tinygrad_rnn.kernels import words_oracle


def language(rng, groups=6, members=5, sentences=400):
    """Sentences of words of one group each: the structure that vectors should find."""
    return [[f"{'abcdefghij'[g]}{k}" for k in rng.integers(0, members, 12)] for g in rng.integers(0, groups, sentences)]


def some_entries(rng, V=12, n=60):
    keys = rng.permutation(V * V)[:n]
    return (keys // V).astype(np.int32), (keys % V).astype(np.int32), rng.uniform(0.3, 300, n)


def table(rng, V, D, dtype):
    """Rows as the kernel takes them, with random numbers and sums of squares."""
    model = GloVe(vector_size=D)
    learned = model._learned().astype(dtype)
    rows = np.zeros((2, V, 2, learned.shape[1]), dtype)
    for side in range(2):
        rows[side, :, 0, :D + 2] = rng.normal(0, 0.5, (V, D + 2))
        rows[side, :, 0, D + 1 - side] = 1
    rows[:, :, 1] = rng.uniform(1, 2, rows[:, :, 1].shape)
    return rows, learned


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_step_is_half_the_gradient_of_J_on_the_tape(rng, dtype):
    """One entry: every number moves by -rate dJ/dx / 2 / sqrt(s), and s grows by the square of rate dJ/dx / 2."""
    D, V, rate = 7, 3, 0.1
    for X in (3.7, 250.0):
        rows, learned = table(rng, V, D, dtype)
        before = rows.copy()
        parameters = [tg.tensor(a.astype(np.float64), requires_grad=True) for a in (
            rows[0, :, 0, :D], rows[1, :, 0, :D], rows[0, :, 0, D], rows[1, :, 0, D + 1])]
        J = glove.objective(*parameters, np.array([2]), np.array([1]), np.array([X]))
        J.backward()
        losses = np.zeros(1)
        kernels.glove_stratum(0, 5, 1, np.array([0, 1]), np.array([2], np.int32), np.array([1], np.int32),
                              np.log(np.array([X], dtype)), np.minimum(1, (np.array([X]) / 100)**0.75).astype(dtype),
                              rows[0], rows[1], learned, rate, losses)
        assert losses[0] == pytest.approx(J.item(), rel=1e-5)
        places = ((0, slice(0, D)), (1, slice(0, D)), (0, D), (1, D + 1))
        expected = before.copy()
        for (side, where), parameter in zip(places, parameters):
            change = rate * parameter.grad.numpy() / 2
            expected[side, :, 0, where] -= change / np.sqrt(before[side, :, 1, where])
            expected[side, :, 1, where] += change**2
        np.testing.assert_allclose(rows, expected, rtol=1e-5 if dtype == np.float32 else 1e-12, atol=1e-7)


def test_objective_longhand(rng):
    theta, e, b, c = rng.standard_normal((4, 2)), rng.standard_normal((4, 2)), rng.standard_normal(4), np.arange(4.0)
    rows, columns, X = some_entries(rng, 4, 7)
    J = sum(min(1, (x / 100)**0.75) * (theta[i] @ e[j] + b[i] + c[j] - math.log(x))**2
            for i, j, x in zip(rows, columns, X))
    assert glove.objective(theta, e, b, c, rows, columns, X).item() == pytest.approx(J)


@given(st.integers(0, 1000), st.sampled_from([1, 2, 3, 5]), st.sampled_from([1, 6, 16, 33]))
def test_strata_against_a_plain_loop(seed, P, D):
    """The order within a cell too: 64-bit random numbers in Numba and in Python."""
    rng = np.random.default_rng(seed)
    V = 12
    entries = Entries(some_entries(rng), P, 100.0, 0.75)
    rows, learned = table(rng, V, D, np.float32)
    arrays = entries.starts, entries.rows, entries.columns, entries.logs, entries.shares
    found, expected = rows.copy(), rows.astype(np.float64)
    losses, expected_losses = np.zeros(P * P), np.zeros(P * P)
    key = int(rng.integers(1 << 63)) | 1 << 62
    for shift in range(P):
        kernels.glove_stratum(shift, key, P, *arrays, found[0], found[1], learned, 0.05, losses)
        words_oracle.glove_stratum(shift, key, P, *arrays, expected[0], expected[1], learned, 0.05, expected_losses)
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=1e-5)
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-4, atol=1e-6)
    for side in range(2):       # the constant 0 and 1 stay
        constant = learned[side] == 0
        assert np.array_equal(found[side, :, 0][:, constant], rows[side, :, 0][:, constant])


def test_entries_are_dealt_into_cells(rng):
    counted = some_entries(rng, 20, 300)
    entries = Entries(counted, 4, 50.0, 0.5)
    assert len(entries) == 300 and entries.starts[-1] == 300
    known = {(i, j): x for i, j, x in zip(*counted)}
    for cell in range(16):
        part = slice(entries.starts[cell], entries.starts[cell + 1])
        for i, j, log, share in zip(*(a[part] for a in (entries.rows, entries.columns, entries.logs, entries.shares))):
            assert (i % 4) * 4 + j % 4 == cell
            x = known.pop((i, j))
            assert log == pytest.approx(math.log(x), abs=1e-5) and share == pytest.approx(min(1, (x / 50)**0.5))
    assert not known
    assert block_count(1, 896) == 1 and block_count(6, 896) == 6 and block_count(30_000, 896) == 52


@pytest.mark.usefixtures("threads")
def test_the_same_bits_on_any_number_of_threads(rng):
    corpus = language(rng)
    results = []
    for threads, workers in ((1, None), (2, None), (3, None), (2, 1)):
        tg.set_num_threads(threads)
        model = GloVe(vector_size=20, epochs=3, min_count=1, workers=workers, rng=4).fit(corpus)
        results.append((model.vectors.vectors.tobytes(), model.loss_history))
    assert all(result == results[0] for result in results)
    assert GloVe(vector_size=20, epochs=3, min_count=1, rng=5).fit(corpus).loss_history != results[0][1]


def test_it_finds_the_groups_of_a_language(rng):
    model = GloVe(vector_size=10, window=5, epochs=40, min_count=1, x_max=10, rng=1).fit(language(rng))
    kv = model.vectors
    rows, _ = kv.nearest_neighbours(topn=4)
    for word, found in zip(kv.index_to_key, rows):
        assert {kv.index_to_key[r][0] for r in found} == {word[0]}
    assert len(model.loss_history) == 40 and model.loss_history[-1] < 0.05 * model.loss_history[0]


def test_planted_logarithms_are_recovered(rng):
    """X = exp(theta e + b + b') of rank 3: the products of what is learned are those again."""
    V, D = 30, 3
    truth = rng.normal(0, 0.5, (V, D)) @ rng.normal(0, 0.5, (D, V)) + rng.normal(2, 0.5, (V, 1)) + rng.normal(2, 0.5, V)
    rows, columns = (a.ravel().astype(np.int32) for a in np.indices((V, V)))
    model = GloVe(vector_size=D, epochs=1, learning_rate=0.2, min_count=1, rng=0)
    model._grow(glove.Vocabulary({f"w{k}": 1 for k in range(V)}))
    entries = Entries((rows, columns, np.exp(truth).ravel()), 8, 100.0, 0.75)

    class Bar:
        def update(self, n): ...
        def set_postfix(self, **words): ...

    for _ in range(400):
        model._epoch(entries, Bar())
    p = model.parameters
    learned = p["theta"] @ p["e"].T + p["b"][:, None] + p["b_context"]
    assert np.abs(learned - truth).max() < 0.05
    # The history is J at the parameters that each entry saw; by now they hardly move.
    J = glove.objective(*p.values(), rows, columns, np.exp(truth).ravel()).item()
    assert model.loss_history[-1] == pytest.approx(J, rel=0.5)


def test_combine(rng):
    corpus = language(rng, sentences=20)
    made = {how: GloVe(vector_size=4, epochs=2, min_count=1, combine=how, rng=0).fit(corpus)
            for how in ("mean", "sum", "target")}
    p = made["sum"].parameters
    np.testing.assert_array_equal(made["mean"].vectors.vectors, (p["theta"] + p["e"]) / 2)
    np.testing.assert_array_equal(made["sum"].vectors.vectors, p["theta"] + p["e"])
    np.testing.assert_array_equal(made["target"].vectors.vectors, p["theta"])


def test_save_load_and_go_on(rng, tmp_path):
    first, second = language(rng, sentences=40), [["new", "a0", "b1", "new"]] * 9
    model = GloVe(vector_size=6, epochs=2, min_count=2, rng=3).fit(first)
    model.save(tmp_path / "glove")
    again = GloVe.load(tmp_path / "glove")
    assert again.options == model.options and again.loss_history == model.loss_history
    assert again.vocabulary == model.vocabulary and np.array_equal(again.vectors.vectors, model.vectors.vectors)
    for each in (model, again):
        before = each.vectors["c3"].copy()
        each.partial_fit(second)
        assert "new" in each.vectors and np.array_equal(each.vectors["c3"], before)     # c3 is not in the new text
    assert np.array_equal(again.vectors.vectors, model.vectors.vectors)
    assert len(model.loss_history) == 4
    counts = dict(zip(model.vocabulary.tokens, model.vocabulary.counts.tolist()))
    assert counts["new"] == 18 and sorted(counts.values(), reverse=True) == model.vocabulary.counts.tolist()
    (tmp_path / "other").write_bytes(b"\0" * 100)
    for path in (tmp_path / "other", tmp_path / "kv"):
        model.vectors.save(tmp_path / "kv", "safetensors")
        with pytest.raises(ValueError, match=f"{path} is damaged or no checkpoint"):
            GloVe.load(path)


@pytest.mark.parametrize("call", ["fit", "partial_fit"])
def test_what_ends_the_counting_loses_nothing(rng, monkeypatch, call):
    """Ctrl-C, a full disk, a corpus that is none: the model is what it was, and the next call does what it should."""
    first, second = language(rng, sentences=20), language(rng, sentences=30)
    model, other = (GloVe(vector_size=4, epochs=2, min_count=1, rng=3).fit(first) for _ in range(2))
    before = [*map(np.copy, model.parameters.values())], list(model.loss_history), model.vocabulary
    for error in (KeyboardInterrupt(), OSError(28, "No space left on device")):
        def ended(*_, error=error):
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(glove, "count_text", ended)
            with pytest.raises(type(error)):
                getattr(model, call)(second)
    with pytest.raises(ValueError, match="no words"):
        getattr(model, call)([])
    assert all(map(np.array_equal, before[0], model.parameters.values()))
    assert (model.loss_history, model.vocabulary) == before[1:]
    getattr(model, call)(second)
    getattr(other, call)(second)
    assert np.array_equal(model.vectors.vectors, other.vectors.vectors) and model.loss_history == other.loss_history


def test_entries_in_files_are_the_same_and_a_full_disk_is_said(rng, monkeypatch):
    counted = some_entries(rng)
    expected = Entries(counted, 3, 100.0, 0.75)
    monkeypatch.setattr(entries, "LARGE", 10)
    found = Entries(counted, 3, 100.0, 0.75)
    for name in ("starts", "rows", "columns", "logs", "shares"):
        assert np.array_equal(getattr(found, name), getattr(expected, name)), name
    assert isinstance(found.rows.base, np.memmap)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full, raising=False)
    with pytest.raises(OSError, match="could not spill entries to .*No space left.*TMPDIR"):
        Entries(counted, 3, 100.0, 0.75)


def test_files_and_lists_are_the_same_corpus(rng, tmp_path):
    corpus = language(rng, sentences=30)
    (tmp_path / "text").write_text("".join(" ".join(sentence) + "\n" for sentence in corpus))
    options = dict(vector_size=4, epochs=2, min_count=1, rng=0)
    seen = []
    model = GloVe(**options).fit(tmp_path / "text", callbacks=[lambda m: seen.append(len(m.loss_history))])
    assert seen == [1, 2]
    assert model.loss_history == GloVe(**options).fit(iter(corpus)).loss_history


@pytest.mark.parametrize("corpus, kind, message", [
    (["a b c"], TypeError, "."), ([], ValueError, "no words"), (iter(()), ValueError, "generator"),
    ([["a"], ["b"]] * 9, ValueError, "no two words of the vocabulary stand near"),
    ([["a", "b"]], ValueError, "no word comes min_count=5 times; the commonest comes 1 times"),
    ("/no/such/file", FileNotFoundError, "no/such/file"),
])
def test_corpora_that_are_none(corpus, kind, message):
    with pytest.raises(kind, match=message):
        GloVe(vector_size=3).fit(corpus)


def test_options_that_are_none():
    for options, kind in ((dict(vector_size=0), ValueError), (dict(window=2.5), TypeError), (dict(x_max=0), ValueError),
                          (dict(alpha=-1), ValueError), (dict(combine="both"), ValueError), (dict(rng=-1), ValueError),
                          (dict(workers=0), ValueError), (dict(learning_rate=math.nan), ValueError)):
        with pytest.raises(kind, match=next(iter(options))):
            GloVe(**options)
    with pytest.raises(ValueError, match="call fit"):
        GloVe().vectors  # noqa: B018


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_rate_that_is_too_high_is_said(rng):
    with pytest.raises(ArithmeticError, match="lower learning_rate, which is 1e"):
        GloVe(vector_size=3, epochs=9, min_count=1, learning_rate=1e18, rng=0).fit(language(rng, sentences=20))


def test_progress_is_shown_when_asked(rng, capsys):
    corpus = language(rng, sentences=20)
    for _ in range(2):
        capsys.readouterr()     # the first time, kernels may be compiled, which is said
        GloVe(vector_size=3, epochs=2, min_count=1, rng=0).fit(corpus)
    assert capsys.readouterr().err == ""
    GloVe(vector_size=3, epochs=2, min_count=1, rng=0).fit(corpus, progress=True)
    shown = capsys.readouterr().err
    assert "GloVe" in shown and "pairs/s" in shown and "J=" in shown
