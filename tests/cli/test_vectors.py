"""Commands that ask a file of word vectors."""

import numpy as np
import pytest

from tinygrad_rnn.cli import main
from tinygrad_rnn.embeddings import KeyedVectors


@pytest.fixture
def file(tmp_path):
    """Royalty in a plane, and some more."""
    words = ["king", "man", "woman", "queen", "child"] + [f"w{k}" for k in range(20)]
    vectors = np.zeros((25, 6))
    vectors[:5, :3] = [[1, 1, 0], [1, 0, 0.1], [-1, 0, 0.1], [-1, 1, 0], [0, -1, 0.2]]
    vectors[5:] = np.random.default_rng(0).standard_normal((20, 6)) * [0.1, 0.1, 1, 1, 1, 1]
    KeyedVectors(words, vectors).save(tmp_path / "vectors.txt")
    return str(tmp_path / "vectors.txt")


def test_neighbours(file, capsys):
    assert main(["neighbours", file, "king", "queen", "--number", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    expected = KeyedVectors.load(file).most_similar("queen", topn=3)
    assert len(lines) == 8 and lines[0] == "king:" and lines[4] == "queen:"
    assert lines[5:] == [f"  {score:7.4f}  {word}" for word, score in expected]


@pytest.mark.parametrize("method", ["3cosadd", "3cosmul"])
def test_analogy(file, capsys, method):
    assert main(["analogy", file, "king", "-", "man", "+", "woman", "--number", "2", "--method", method]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and lines[0].endswith("queen")


def test_map(file, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    assert main(["map", file, "--out", str(tmp_path / "map.png"), "--number", "20"]) == 0
    assert (tmp_path / "map.png").read_bytes()[:4] == b"\x89PNG" and "map of 20 words" in capsys.readouterr().out


@pytest.mark.parametrize("arguments, message", [
    (["neighbours", "FILE", "kings"], "'kings' is not among the 25; nearest in spelling: 'king'"),
    (["neighbours", "/no/such", "a"], "/no/such"),
    (["analogy", "FILE", "king", "man"], "expected + or - before 'man'"),
    (["analogy", "FILE", "king", "-"], "expected words"),
    (["map", "FILE", "--out", "map.txt"], "--out must end in"),
    (["map", "FILE", "--out", "map.png", "--number", "3"], "perplexity"),
])
def test_mistakes_end_in_one_line(file, capsys, arguments, message):
    assert main([file if part == "FILE" else part for part in arguments]) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
