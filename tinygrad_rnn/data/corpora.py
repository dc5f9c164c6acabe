"""Texts by name, and text files read exactly as they are.

A named corpus is looked for in the folder `TINYGRAD_RNN_DATA`, then in the user's cache, and is downloaded last.  Its
SHA-256 is checked wherever it was found: two people who train on `tinyshakespeare` train on the same bytes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import platformdirs

FOLDER = "TINYGRAD_RNN_DATA"


@dataclass(frozen=True)
class Corpus:
    """Where a public text lives: its path below a folder of corpora, its address, the SHA-256 of its bytes."""

    path: str
    url: str
    sha256: str


CORPORA = {
    # 1.1 MB of public-domain Shakespeare, the corpus of char-rnn.
    "tinyshakespeare": Corpus(
        "tinyshakespeare/input.txt",
        "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
        "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"),
    # 4,672 sentences about restaurants with the attributes that they express, CSV with the columns mr and ref.
    "e2e": Corpus("e2e/devset.csv", "https://raw.githubusercontent.com/tuetschek/e2e-dataset/master/devset.csv",
                  "fc26b78cdb849c80545f513b223d1e051138b43882eeb79e3eb153e689c864f9"),
}


def corpus(name: str) -> str:
    """The text of a named corpus.

    Parameters
    ----------
    name : str
        "tinyshakespeare" (1,115,394 characters), "e2e" (a CSV file), or "python" (`python_topics`, which every machine
        has).

    Returns
    -------
    str

    Raises
    ------
    ValueError
        For an unknown name, and for a file whose SHA-256 is not the published one.
    FileNotFoundError
        If the corpus is neither here nor to be downloaded; says what to do.
    """
    if name == "python":
        return python_topics()
    if name not in CORPORA:
        raise ValueError(f"corpus: name must be one of {', '.join(['python', *CORPORA])}; got {name!r}")
    wanted = CORPORA[name]
    path = next((place for place in _places(wanted) if place.is_file()), None) or _download(name, wanted)
    if hashlib.sha256(path.read_bytes()).hexdigest() != wanted.sha256:
        raise ValueError(f"corpus: {path} is not {name}: its SHA-256 differs from the published one; delete the file")
    return read_text(path)


def python_topics() -> str:
    """Python's own documentation topics, the texts behind help("assert"): some 465,000 characters on every machine.

    They differ a little from one version of Python to the next; `sha256` tells which text it was.
    """
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise FileNotFoundError("this Python comes without pydoc_data.topics (a minimal installation); "
                                "install the full standard library, or name a text file") from None
    return "\n".join(topics[name] for name in sorted(topics))


def read_text(path: str | os.PathLike[str]) -> str:
    """A UTF-8 text file, exactly: line ends stay what they are.

    Raises
    ------
    ValueError
        If the file is not UTF-8, naming the byte offset, or empty.
    OSError
        If it cannot be read.
    """
    try:
        text = Path(path).read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{os.fspath(path)} is not UTF-8: byte 0x{error.object[error.start]:02x} at offset "
                         f"{error.start}") from None
    if not text:
        raise ValueError(f"{os.fspath(path)} is empty")
    return text


def sha256(text: str) -> str:
    """Hexadecimal SHA-256 of a text's UTF-8 bytes: the same number that `sha256sum` gives for its file."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _places(wanted: Corpus) -> Iterator[Path]:
    """Where a corpus may lie already."""
    if os.environ.get(FOLDER):
        yield Path(os.environ[FOLDER]) / wanted.path
    yield _cache() / wanted.path


def _cache() -> Path:
    return platformdirs.user_cache_path("tinygrad_rnn", appauthor=False) / "corpora"


def _download(name: str, wanted: Corpus) -> Path:
    """Fetch into the user's cache; a file with another SHA-256 never gets there."""
    def give_up(why: object) -> NoReturn:
        raise FileNotFoundError(f"corpus {name!r}: {why}; or download {wanted.url} to {next(_places(wanted))}")

    try:
        import pooch
    except ImportError:
        give_up("downloading needs the package pooch: pip install 'tinygrad-rnn[data]'")
    target = _cache() / wanted.path
    try:
        return Path(pooch.retrieve(wanted.url, wanted.sha256, fname=target.name, path=target.parent))
    except (OSError, ValueError) as error:      # no network, or other bytes than the published ones
        give_up(f"the download failed ({' '.join(str(error).split())[:200]}): try again")
