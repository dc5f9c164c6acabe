"""`tinygrad-rnn embed` writes vectors that can be read, and answers mistakes with one line."""

import random

import pytest

from tinygrad_rnn.cli import main

TEXT = "\n".join(" ".join(random.Random(k).choices("king queen man woman the a".split(), k=12)) for k in range(60))


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text(TEXT)
    return path


@pytest.mark.parametrize("model", ["skipgram", "cbow"])
def test_vectors_are_written(corpus, capsys, model) -> None:
    out = corpus.with_name("vectors.txt")
    options = ["--model", model, "--vector-size", "8", "--epochs", "2", "--seed", "1", "--deterministic"]
    assert main(["embed", str(corpus), "--out", str(out), *options]) == 0
    printed = capsys.readouterr().out
    assert "6 words, 8 numbers each" in printed and "nats a pair" in printed
    head, *rows = out.read_text().splitlines()
    assert head == "6 8" and {row.split()[0] for row in rows} == set(TEXT.split())
    assert all(len(row.split()) == 9 for row in rows)
    again = corpus.with_name("again.txt")
    assert main(["embed", str(corpus), "--out", str(again), *options, "--workers", "1"]) == 0
    assert again.read_bytes() == out.read_bytes()


@pytest.mark.parametrize(("arguments", "message"), [
    (["missing.txt", "--out", "v"], "missing.txt: No such file"),
    (["CORPUS", "--out", "no/such/v"], "no/such: no such folder to write to"),
    (["CORPUS", "--out", "v", "--min-count", "10000"], "no word is left"),
    (["CORPUS"], "required: --out"),
    (["CORPUS", "--out", "v", "--model", "bert"], "invalid choice: 'bert'"),
    (["CORPUS", "--out", "v", "--model", "glove", "--negative", "3"], "--negative belongs to skipgram and cbow"),
])
def test_mistakes(corpus, capsys, monkeypatch, arguments, message) -> None:
    monkeypatch.chdir(corpus.parent)
    assert main(["embed", *(str(corpus) if a == "CORPUS" else a for a in arguments)]) != 0
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
