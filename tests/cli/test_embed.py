"""`tinygrad-rnn embed` writes vectors that can be read, and answers mistakes with one line."""

import random
import sys

import pytest

from tinygrad_rnn.cli import main

TEXT = "\n".join(" ".join(random.Random(k).choices("king queen man woman the a".split(), k=12)) for k in range(60))


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text(TEXT)
    return path


@pytest.mark.parametrize("model", ["skipgram", "cbow", "glove"])
def test_vectors_are_written(corpus, capsys, model) -> None:
    out = corpus.with_name("vectors.txt")
    options = ["--model", model, "--vector-size", "8", "--epochs", "2", "--seed", "1", "--deterministic"]
    assert main(["embed", str(corpus), "--out", str(out), *options]) == 0
    printed = capsys.readouterr().out
    assert "6 words, 8 numbers each" in printed
    assert f"({'objective J' if model == 'glove' else 'nats a pair'})" in printed
    head, *rows = out.read_text().splitlines()
    assert head == "6 8" and {row.split()[0] for row in rows} == set(TEXT.split())
    assert all(len(row.split()) == 9 for row in rows)
    again = corpus.with_name("again.txt")
    assert main(["embed", str(corpus), "--out", str(again), *options, "--workers", "1"]) == 0
    assert again.read_bytes() == out.read_bytes()


def test_glove_from_a_text_to_answers(tmp_path, capsys) -> None:
    """Train, save, ask for neighbours, an analogy and a map: in a language where a word is a stem and an ending."""
    rng = random.Random(1)
    stems, endings = ("king", "actor", "count", "baron", "poet", "host"), ("male", "female")
    # Near each person stand words of its stem and words of its ending.
    lines = []
    for _ in range(2000):
        stem, ending = rng.choice(stems), rng.choice(endings)
        near = [f"{stem}-{k}" for k in rng.sample(range(6), 3)] + [f"{ending}-{k}" for k in rng.sample(range(6), 3)]
        lines.append(" ".join([*near[:3], f"{stem}/{ending}", *near[3:]]))
    corpus, out = tmp_path / "corpus.txt", str(tmp_path / "vectors.txt")
    corpus.write_text("\n".join(lines))
    assert main(["embed", str(corpus), "--model", "glove", "--out", out, "--vector-size", "16", "--window", "6",
                 "--seed", "1"]) == 0
    assert "60 words, 16 numbers each" in capsys.readouterr().out
    assert main(["neighbours", out, "male-0", "--number", "5"]) == 0
    name, *found = capsys.readouterr().out.splitlines()
    assert name == "male-0:" and all(line.split()[1].startswith("male-") for line in found)
    right = 0
    for stem in stems[1:]:
        asked = f"king/male - {stem}/male + {stem}/female".split()
        assert main(["analogy", out, *asked, "--number", "1"]) == 0
        right += capsys.readouterr().out.split()[1] == "king/female"
    assert right >= 3      # of 5; 57 words could be the answer
    pytest.importorskip("matplotlib")
    assert main(["map", out, "--out", str(tmp_path / "map.svg"), "--number", "60"]) == 0
    assert (tmp_path / "map.svg").read_text(encoding="utf-8").count("<svg") == 1


def test_ctrl_c_while_counting_leaves_the_old_vectors(corpus, capsys, monkeypatch) -> None:
    def interrupted(*_):
        raise KeyboardInterrupt

    folder = corpus.with_name("temporary")
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    monkeypatch.setattr("tinygrad_rnn.embeddings.glove.CHUNK", 100)
    counting = sys.modules["tinygrad_rnn.embeddings.cooccurrence"]      # its name in the package is the function's
    monkeypatch.setattr(counting, "merged", interrupted)    # when all is spilled
    out = corpus.with_name("vectors.txt")
    out.write_text("1 1\nold 1\n")
    assert main(["embed", str(corpus), "--model", "glove", "--out", str(out)]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "tinygrad-rnn: interrupted"
    assert out.read_text() == "1 1\nold 1\n" and not list(folder.iterdir())


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
