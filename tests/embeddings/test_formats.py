"""Files of word vectors: what is written is read again bit for bit; what is damaged is said by its line."""

import gzip
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_rnn.embeddings import KeyedVectors, formats

FORMATS = formats.FORMATS
TEXT = ("word2vec", "glove", "fasttext")
WORDS = st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters=" \n"), min_size=1, max_size=8),
                 min_size=1, max_size=6, unique=True)
FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    """Does not wait for the disk, again and again: tests/files sees that files are forced to it."""
    monkeypatch.setattr("os.fsync", lambda _: None)


@pytest.mark.parametrize("format", FORMATS)
@given(words=WORDS, data=st.data())
def test_round_trip(tmp_path_factory, format, words, data):
    size = data.draw(st.integers(1, 4))
    vectors = np.array(data.draw(st.lists(FLOATS, min_size=size * len(words), max_size=size * len(words))), np.float32)
    kv = KeyedVectors(words, vectors.reshape(-1, size))
    folder = tmp_path_factory.mktemp("vectors")
    for name in ("plain", "zipped.gz"):
        path = folder / name
        kv.save(path, format)
        found = KeyedVectors.load(path, format)
        assert found.index_to_key == words
        assert np.array_equal(found.vectors.view(np.uint32), kv.vectors.view(np.uint32))
    assert (folder / "zipped.gz").read_bytes()[:2] == b"\x1f\x8b" != (folder / "plain").read_bytes()[:2]
    assert sorted(p.name for p in folder.iterdir()) == ["plain", "zipped.gz"]       # no draft is left


@pytest.mark.parametrize("name", ["v", "v.gz"])
@pytest.mark.parametrize("format", FORMATS)
def test_formats_are_recognised(tmp_path, rng, format, name):
    words = ["the", "Zürich", "1", "日本", "a\u2028b", "\x85", ".", "0.5"]
    kv = KeyedVectors(words, rng.standard_normal((8, 50)))
    kv.save(tmp_path / name, format)
    found = KeyedVectors.load(tmp_path / name)
    assert found.index_to_key == words and np.array_equal(found.vectors, kv.vectors)


def test_what_others_write(tmp_path):
    path = tmp_path / "v"
    vector = np.array([1.5, -2], "<f4").tobytes()
    path.write_bytes(b"2 2\nof " + vector + b"\nto " + vector + b"\n")      # word2vec.c: a line end after each
    assert KeyedVectors.load(path).index_to_key == ["of", "to"]
    path.write_bytes(b"2 2\r\nof 1 2\r\nto 3 4\r\n")
    assert KeyedVectors.load(path)[["of", "to"]].tolist() == [[1, 2], [3, 4]]
    path.write_bytes(b". . 1 2\nto 3 4\n")                  # GloVe's 840B has words with spaces
    with pytest.raises(ValueError, match="line 1"):
        KeyedVectors.load(path)
    path.write_bytes(b"to 3 4\n. . 1 2\n")
    assert KeyedVectors.load(path).index_to_key == ["to", ". ."]


def test_vectors_of_safetensors_are_memory_mapped(tmp_path):
    kv = KeyedVectors(["a", "\ud800 lone\n", ""], np.eye(3))
    kv.save(tmp_path / "v", "safetensors")
    found = KeyedVectors.load(tmp_path / "v")
    base = found.vectors
    while base is not None and not isinstance(base, np.memmap):
        base = base.base
    assert isinstance(base, np.memmap) and found.index_to_key == kv.index_to_key
    from safetensors.numpy import load_file
    assert np.array_equal(load_file(tmp_path / "v")["vectors"], np.eye(3))


@pytest.mark.parametrize("content, format, message", [
    (b"", "auto", "is empty"),
    (b"x y\na 1 2\n", "word2vec", "line 1: expected the number of words"),
    (b"2 2\na 1 2\nb 3\n", "auto", "line 3: expected a word and 2 numbers, found 1"),
    (b"2 2\na 1 2\nb 3 x\n", "auto", "line 3: could not convert"),
    (b"2 2\na 1 2\nb 3 nan\n", "auto", "line 3: the vector of 'b' has a number that is not finite"),
    (b"2 2\na 1 2\nb 3 1e60\n", "auto", "line 3: .*not finite in float32"),
    (b"2 2\na 1 2\na 3 4\n", "auto", "line 3: the word 'a' stood in line 2 already"),
    (b"2 2\na 1 2\n\xff 3 4\n", "auto", "line 3: the word .* is not UTF-8"),
    (b"3 2\na 1 2\nb 3 4\n", "auto", "ends after 2 of the 3 words that line 1 promises"),
    (b"1 2\na 1 2\nb 3 4\n", "auto", "line 3: there are more lines than the 1 words"),
    (b"a 1 2\nb 3\n", "glove", "line 2: expected a word and 2 numbers, found 1"),
    (b"a\n", "glove", "line 1"),
    (b"2 0\n", "word2vec", "line 1"),
    (b"2 2\na " + bytes(8) + b"b " + bytes(7), "word2vec-binary", "word 2: the file ends after 1 of 2"),
    (b"1 2\na " + bytes(8) + b"rest", "word2vec-binary", "4 bytes follow the 1 words"),
    (b"2 1\na " + np.float32(np.inf).tobytes() + b"b" + bytes(5), "word2vec-binary", "word 1: the vector of 'a'"),
    (b"\x02\0\0\0\0\0\0\0{}", "auto", "no safetensors file of word vectors"),
    (b"\x1f\x8bnonsense", "auto", "compressed file is damaged"),
])
def test_damaged_files(tmp_path, content, format, message):
    path = tmp_path / "vectors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as raised:
        KeyedVectors.load(path, format)
    assert str(path) in str(raised.value)


def test_a_safetensors_file_cut_short(tmp_path):
    KeyedVectors(list("abc"), np.eye(3)).save(tmp_path / "v", "safetensors")
    content = (tmp_path / "v").read_bytes()
    for length in range(0, len(content), 7):
        (tmp_path / "w").write_bytes(content[:length])
        with pytest.raises(ValueError):
            KeyedVectors.load(tmp_path / "w", "safetensors")


def test_lenient_reading_counts_what_it_leaves_out(tmp_path):
    path = tmp_path / "v"
    path.write_bytes(b"6 2\na 1 2\nb 3\na 5 6\n\xff 7 8\nc nan 1\nd 9 9\n")
    with pytest.warns(UserWarning, match="left out 4: line 3: expected a word and 2 numbers, found 1, ..."):
        kv = KeyedVectors.load(path, errors="skip")
    assert kv.index_to_key == ["a", "d"] and kv["a"].tolist() == [1, 2]
    with pytest.raises(ValueError, match="errors must be"):
        KeyedVectors.load(path, errors="ignore")


def test_lenient_reading_of_safetensors(tmp_path):
    vectors = np.eye(4, dtype=np.float32)
    vectors[2, 1] = np.nan
    for name in ("v", "v.gz"):
        with (gzip.open if name == "v.gz" else open)(tmp_path / name, "wb") as file:
            file.writelines(formats.encoded("safetensors", ["a", "b", "\ud800", "a"], vectors))
        with pytest.raises(ValueError, match="row 2.*not finite|'a' stands twice"):
            KeyedVectors.load(tmp_path / name)
        with pytest.warns(UserWarning, match="left out 2: row 2: the vector of .* not finite in float32, ..."):
            kv = KeyedVectors.load(tmp_path / name, errors="skip")
        assert kv.index_to_key == ["a", "b"] and np.array_equal(kv.vectors, np.eye(4)[:2])


def test_gzip_damaged_anywhere(tmp_path, rng):
    path = tmp_path / "v.gz"
    KeyedVectors([f"w{k}" for k in range(50)], rng.standard_normal((50, 4))).save(path)
    content = path.read_bytes()
    for at in range(10, len(content), 37):      # behind the header, of whose bytes some mean nothing
        with open(path, "r+b") as file:
            file.write(content[:at] + bytes([content[at] ^ 0xff]) + content[at + 1:])
        with pytest.raises(ValueError, match="v.gz"):
            KeyedVectors.load(path)
        with open(path, "r+b") as file:
            file.truncate(at)
        with pytest.raises(ValueError, match="v.gz.*damaged"):
            KeyedVectors.load(path)


@pytest.mark.parametrize("length", [10**8 + 1, 2**39, 2**63])
def test_a_length_that_is_damaged_asks_for_no_memory(tmp_path, length):
    (tmp_path / "v").write_bytes(length.to_bytes(8, "little") + b"{}")
    with pytest.raises(ValueError, match=f"a header of {length:,} bytes"):
        KeyedVectors.load(tmp_path / "v", "safetensors")
    with pytest.raises(ValueError, match="/v"):
        KeyedVectors.load(tmp_path / "v")


@pytest.mark.parametrize("word", ["", "a b", "a\nb", "\ud800"])
def test_words_that_a_format_cannot_hold(tmp_path, word):
    kv = KeyedVectors(["ok", word], np.eye(2))
    for format in FORMATS[:-1]:
        with pytest.raises(ValueError, match="row 1.*safetensors"):
            kv.save(tmp_path / "v", format)
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="format must be one of"):
        kv.save(tmp_path / "v", "csv")


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "v"
    KeyedVectors(["a"], [[1.0]]).save(path)

    def full(*given):
        yield b"1 1\n"
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(formats, "encoded", full)
    with pytest.raises(OSError, match="No space"):
        KeyedVectors(["b"], [[2.0]]).save(path)
    assert path.read_bytes() == b"1 1\na 1\n" and len(list(tmp_path.iterdir())) == 1


def test_gzip_and_safetensors_are_ordinary(tmp_path):
    kv = KeyedVectors(["a"], [[1.0, 0.1]])
    kv.save(tmp_path / "v.gz", "glove")
    assert gzip.decompress((tmp_path / "v.gz").read_bytes()) == b"a 1 0.100000001\n"
    kv.save(tmp_path / "w.gz", "glove")
    assert (tmp_path / "w.gz").read_bytes() == (tmp_path / "v.gz").read_bytes()
    kv.save(tmp_path / "v", "fasttext")
    assert (tmp_path / "v").read_bytes() == b"1 2\na 1 0.100000001 \n"
    kv.save(tmp_path / "s", "safetensors")
    head = (tmp_path / "s").read_bytes()
    assert json.loads(head[8:8 + int.from_bytes(head[:8], "little")])["vectors"]["shape"] == [1, 2]
