"""Word pairs and analogy questions."""

import numpy as np
import pytest

from tinygrad_rnn.embeddings import KeyedVectors
from tinygrad_rnn.metrics import pearson, spearman


def test_word_pairs(tmp_path, rng):
    kv = KeyedVectors(list("abcde"), rng.standard_normal((5, 3)))
    file = tmp_path / "pairs"
    file.write_text("# a comment\na\tB\t7.5\n\nc d 1\nd,e,3\na\tmissing\t2\nb e 4 ignored\n")
    result = kv.evaluate_word_pairs(file)
    cosines = [kv.similarity(*pair) for pair in ("ab", "cd", "de", "be")]
    assert result.pairs == 4 and result.oov_share == pytest.approx(1 / 5)
    assert result.pearson == pytest.approx(pearson(cosines, [7.5, 1, 3, 4]), abs=1e-6)
    assert result.spearman == pytest.approx(spearman(cosines, [7.5, 1, 3, 4]))
    assert kv.evaluate_word_pairs(file, restrict_vocab=4).pairs == 2


def test_case_does_not_matter_and_the_commonest_spelling_counts(tmp_path):
    kv = KeyedVectors(["Paris", "paris", "x", "y"], [[1, 0], [0, 1], [1, 1], [2, 0.1]])
    file = tmp_path / "pairs"
    file.write_text("PARIS x 1\nPARIS y 2\nx y 3\n")
    cosines = [kv.similarity("Paris", "x"), kv.similarity("Paris", "y"), kv.similarity("x", "y")]
    assert kv.evaluate_word_pairs(file).pearson == pytest.approx(pearson(cosines, [1, 2, 3]), abs=1e-6)


@pytest.mark.parametrize("text, message", [
    ("a b\n", "line 1: expected two words and a number"), ("a b 1\nc d x\n", "line 2"),
    ("a b 1\nq r 2\n", "1 of 2 pairs are in the vocabulary"), ("\n\n", "0 of 0 pairs"),
])
def test_pairs_that_are_none(tmp_path, text, message):
    (tmp_path / "pairs").write_text(text)
    with pytest.raises(ValueError, match=message):
        KeyedVectors(list("abcd"), np.eye(4)).evaluate_word_pairs(tmp_path / "pairs")


def analogies():
    """Countries and capitals on a grid: capital - country is the same for all."""
    words = ["France", "Paris", "Italy", "Rome", "Spain", "Madrid", "noise", "paris"]
    vectors = [[1, 0, 0, 0], [1, 0, 0, 1], [0, 1, 0, 0], [0, 1, 0, 1], [0, 0, 1, 0], [0, 0, 1, 1], [-1, -1, -1, 0],
               [0, 1.01, 0, 1.01]]
    return KeyedVectors(words, vectors)


def test_analogies(tmp_path):
    file = tmp_path / "questions"
    file.write_text(": capitals\nfrance paris italy rome\nITALY ROME SPAIN MADRID\nFrance Paris Oz Emerald\n"
                    ": wrong\nFrance Paris Italy Spain\n: empty\n: unknown\nq r s t\n")
    result = analogies().evaluate_word_analogies(file)
    # The vector of `paris` is the nearest, but it is another spelling of a word in the question.
    assert result.sections == {"capitals": 1.0, "wrong": 0.0} and result.accuracy == pytest.approx(2 / 3)
    assert result.counts == {"capitals": (2, 2), "wrong": (0, 1), "empty": (0, 0), "unknown": (0, 0)}
    assert result.oov_share == pytest.approx(2 / 5)
    assert analogies().evaluate_word_analogies(file, restrict_vocab=4).counts["capitals"] == (1, 1)


def test_analogies_are_3cosadd(tmp_path, rng):
    kv = KeyedVectors([f"w{k}" for k in range(40)], rng.standard_normal((40, 6)))
    questions = [[f"w{k}" for k in rng.permutation(40)[:3]] for _ in range(20)]
    answers = [kv.most_similar([b, c], [a], topn=1)[0][0] for a, b, c in questions]
    (tmp_path / "q").write_text("".join(f"{a} {b} {c} {d if k % 2 else a}\n"
                                        for k, ((a, b, c), d) in enumerate(zip(questions, answers))))
    assert kv.evaluate_word_analogies(tmp_path / "q").accuracy == 0.5


@pytest.mark.parametrize("text, message", [
    ("a b c\n", "line 1: expected four words"), (": s\nq r s t\n", "none of 1 questions"),
])
def test_questions_that_are_none(tmp_path, text, message):
    (tmp_path / "q").write_text(text)
    with pytest.raises(ValueError, match=message):
        analogies().evaluate_word_analogies(tmp_path / "q")
    (tmp_path / "q").write_bytes(b"a b c d\n\xff\n")
    with pytest.raises(ValueError, match="line 2: not UTF-8"):
        analogies().evaluate_word_analogies(tmp_path / "q")
