"""Texts: found, checked, read exactly."""

import builtins
import hashlib
from pathlib import Path
from typing import Any

import pytest

from tinygrad_rnn.data import corpora
from tinygrad_rnn.data.corpora import Corpus, corpus, python_topics, read_text, sha256

TEXT = "Grüße\r\nan alle\n"
BYTES = TEXT.encode("utf-8")


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A corpus named toy, an empty cache, and the folder that TINYGRAD_RNN_DATA names."""
    monkeypatch.setitem(corpora.CORPORA, "toy", Corpus("toy/text.txt", "https://localhost:9/text.txt",
                                                       hashlib.sha256(BYTES).hexdigest()))
    monkeypatch.setattr(corpora, "_cache", lambda: tmp_path / "cache")
    monkeypatch.setenv(corpora.FOLDER, str(tmp_path / "data"))
    return tmp_path


def put(path: Path, data: bytes) -> Path:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_the_named_folder_comes_first_then_the_cache(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(toy / "cache" / "toy" / "text.txt", BYTES)
    assert corpus("toy") == TEXT
    put(toy / "data" / "toy" / "text.txt", b"another text")
    with pytest.raises(ValueError, match="data/toy/text.txt is not toy.*SHA-256"):
        corpus("toy")
    monkeypatch.delenv(corpora.FOLDER)
    assert corpus("toy") == TEXT


def test_downloads_into_the_cache(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pooch

    def retrieve(url: str, known_hash: str, fname: str, path: Path) -> str:
        assert (url, known_hash) == ("https://localhost:9/text.txt", hashlib.sha256(BYTES).hexdigest())
        return str(put(path / fname, BYTES))

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    assert corpus("toy") == TEXT
    assert (toy / "cache" / "toy" / "text.txt").read_bytes() == BYTES


def test_no_network_says_what_to_do(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pooch

    def retrieve(*_: Any, **__: Any) -> str:
        raise OSError("name resolution\nfailed")

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    hint = r"name resolution failed.*download https://.* to .*data/toy/text\.txt"
    with pytest.raises(FileNotFoundError, match=hint) as caught:
        corpus("toy")
    assert "\n" not in str(caught.value)


def test_no_pooch_says_what_to_do(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "pooch":
            raise ImportError
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(FileNotFoundError, match=r"pip install 'tinygrad-rnn\[data\]'"):
        corpus("toy")


def test_tinyshakespeare_where_it_lies() -> None:
    try:
        place = next(place for place in corpora._places(corpora.CORPORA["tinyshakespeare"]) if place.is_file())
    except StopIteration:
        pytest.skip("tinyshakespeare is not on this machine")
    text = corpus("tinyshakespeare")
    assert len(text) == 1_115_394 and text.startswith("First Citizen:\n")
    assert sha256(text) == corpora.CORPORA["tinyshakespeare"].sha256 == hashlib.sha256(place.read_bytes()).hexdigest()


def test_every_python_has_a_text() -> None:
    text = python_topics()
    assert corpus("python") == text == python_topics()
    assert len(text) > 100_000 and 'The "assert" statement' in text and "\r" not in text


def test_unknown_names() -> None:
    with pytest.raises(ValueError, match="one of python, tinyshakespeare, e2e; got 'moby'"):
        corpus("moby")


def test_files_are_read_exactly(tmp_path: Path) -> None:
    assert read_text(put(tmp_path / "a.txt", BYTES)) == TEXT
    with pytest.raises(ValueError, match=r"b\.txt is not UTF-8: byte 0xff at offset 3"):
        read_text(put(tmp_path / "b.txt", b"abc\xff"))
    with pytest.raises(ValueError, match="is empty"):
        read_text(put(tmp_path / "c.txt", b""))
    with pytest.raises(FileNotFoundError):
        read_text(tmp_path / "none")


def test_sha256_is_that_of_the_file() -> None:
    assert sha256(TEXT) == hashlib.sha256(BYTES).hexdigest()
