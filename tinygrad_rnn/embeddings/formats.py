"""Files of word vectors: text and binary of word2vec, text of GloVe and fastText, safetensors; gzip around any.

    word2vec           "n size", then a line for each word: the word and its numbers, apart by one space
    fasttext           the same, with a space at the end of each line
    glove              the same, without the first line
    word2vec-binary    "n size", then for each word: the word, a space, size float32 numbers (little-endian)
    safetensors        `vectors` (n, size) float32; `words`, a JSON list of strings as UTF-8 bytes

Numbers in text have nine digits, from which a float32 is read again bit for bit.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import warnings
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np
from safetensors.numpy import save as safetensors_bytes

from ..files import disk

FORMATS = ("word2vec", "word2vec-binary", "glove", "fasttext", "safetensors")
HEADER = re.compile(rb"\s*(\d+)\s+(\d+)\s*")
GZIP = b"\x1f\x8b"
LONGEST_HEADER = 100        # bytes: two numbers and some spaces
LONGEST_JSON = 100_000_000  # bytes, the limit of safetensors: a damaged length must not ask for terabytes
Rows = Iterator[tuple[str, bytes | str, np.ndarray | str]]


# ---- writing ----------------------------------------------------------------------------------------------------


def write(path: str | os.PathLike[str], format: str, words: list[str], vectors: np.ndarray) -> None:
    """Write a file at once or not at all; see `KeyedVectors.save`."""
    _check(format, FORMATS)
    path = Path(path)
    if format != "safetensors":
        for row, word in enumerate(words):
            fault = unwritable(word)
            if fault:
                raise ValueError(f"save: the word {word!r} (row {row}) {fault}, which format {format!r} cannot hold; "
                                 "format='safetensors' can")
    with disk.replacing(path) as draft:
        with open(draft, "wb") as raw, ExitStack() as stack:
            # Without a name and a time in it: the same vectors are the same file.
            file = stack.enter_context(gzip.GzipFile("", "wb", 6, raw, 0)) if path.suffix == ".gz" else raw
            for piece in encoded(format, words, vectors):
                file.write(piece)


def unwritable(word: str) -> str:
    """Why a word cannot stand before a space; empty if it can."""
    try:
        word.encode("utf-8")
    except UnicodeEncodeError:
        return "is not Unicode text"
    return "is empty" if not word else "has a space or a line end" if " " in word or "\n" in word else ""


def encoded(format: str, words: list[str], vectors: np.ndarray) -> Iterator[bytes]:
    """The bytes of a file, in pieces."""
    if format == "safetensors":
        # Lone surrogates are no UTF-8: they are written as escapes, as is all that is not ASCII.
        names = np.frombuffer(json.dumps(words).encode("ascii"), np.uint8)
        yield safetensors_bytes({"vectors": np.ascontiguousarray(vectors), "words": names}, {"format": "keyed_vectors"})
        return
    if format != "glove":
        yield b"%d %d\n" % vectors.shape
    if format == "word2vec-binary":
        for word, vector in zip(words, vectors.astype("<f4", copy=False)):
            yield word.encode("utf-8") + b" " + vector.tobytes()
        return
    line = "%s" + " %.9g" * vectors.shape[1] + (" \n" if format == "fasttext" else "\n")
    for word, vector in zip(words, vectors):
        yield (line % (word, *vector.tolist())).encode("utf-8")


# ---- reading ----------------------------------------------------------------------------------------------------


def read(path: str | os.PathLike[str], format: str = "auto", errors: str = "strict") -> tuple[list[str], np.ndarray]:
    """Words and vectors of a file; see `KeyedVectors.load`."""
    _check(format, ("auto", *FORMATS))
    if errors not in ("strict", "skip"):
        raise ValueError(f"load: errors must be 'strict' or 'skip', got {errors!r}")
    path = Path(path)
    with open(path, "rb") as raw:
        zipped = raw.read(2) == GZIP
    try:
        opened: Any = gzip.open(path, "rb") if zipped else open(path, "rb")
        with opened as file:
            if format == "auto":
                format = recognised(file, path)
                file.seek(0)
            if format == "safetensors":
                return read_safetensors(file, path, zipped, errors)
            start = file.readline(LONGEST_HEADER) if format != "glove" else b""
            rows, size = None, None
            if format != "glove":
                header = HEADER.fullmatch(start)
                if not header or not int(header[2]):
                    raise ValueError(f"{path}, line 1: expected the number of words and the size of their vectors, got "
                                     f"{start[:60]!r}")
                rows, size = int(header[1]), int(header[2])
            found = read_binary(file, path, rows or 0, size or 0, errors) if format == "word2vec-binary" else \
                read_text(file, path, rows, size, errors)
            return collect(found, path, rows, errors)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path}: the compressed file is damaged: {error}") from None


def recognised(file: IO[bytes], path: Path) -> str:
    """The format of an open file, from how it begins."""
    head = file.read(9)
    if len(head) == 9 and head[8:] == b"{" and int.from_bytes(head[:8], "little") <= LONGEST_JSON:
        return "safetensors"
    file.seek(0)
    first = file.readline(1 << 20)
    if not first:
        raise ValueError(f"{path} is empty")
    header = HEADER.fullmatch(first)
    if not header:
        return "glove"
    second = file.readline(1 << 20)
    fields = second.rstrip(b"\r\n").split(b" ")
    # Behind the word of a binary file stand four bytes for each number, which are hardly ever digits.
    return "word2vec" if len(fields) < 2 or number(fields[1]) is not None else "word2vec-binary"


def number(field: bytes) -> float | None:
    """A number in text; None for what is none."""
    try:
        return float(field)
    except ValueError:
        return None


def read_text(file: IO[bytes], path: Path, rows: int | None, size: int | None, errors: str) -> Rows:
    """(where, word, vector or what is wrong) for each line; without a header the first line tells the size."""
    for count, line in enumerate(file):
        if rows is not None and count == rows and line.strip():
            raise ValueError(f"{path}, line {count + 2}: there are more lines than the {rows:,} words that line 1 "
                             "promises")
        line = line.rstrip(b" \r\n")
        if not line:
            continue
        where = f"line {count + 1 + (rows is not None)}"
        if size is None:
            size = line.count(b" ")
        # From the right: a word of GloVe's may contain spaces.
        word, *fields = line.rsplit(b" ", size)
        try:
            if len(fields) < size or not size:
                raise ValueError(f"expected a word and {size} numbers, found {len(fields)}")
            with np.errstate(over="ignore"):    # what becomes infinite is refused by `collect`
                vector = np.fromiter(map(float, fields), np.float32, size)
            yield where, word, vector
        except ValueError as error:
            yield where, word, f"{error}"


def read_binary(file: IO[bytes], path: Path, rows: int, size: int, errors: str) -> Rows:
    """(where, word, vector) for each record; what is behind a damaged one cannot be found."""
    data = file.read()
    at = 0
    for row in range(rows):
        where = f"word {row + 1}"
        space = data.find(b" ", at)
        end = space + 1 + 4 * size
        if space < 0 or end > len(data):
            raise ValueError(f"{path}, {where}: the file ends after {row:,} of {rows:,} words")
        # word2vec.c writes a line end after each vector, gensim none.
        yield where, data[at:space].lstrip(b"\n"), np.frombuffer(data, "<f4", size, space + 1)
        at = end
    if data[at:].strip():
        raise ValueError(f"{path}: {len(data) - at:,} bytes follow the {rows:,} words that line 1 promises")


def collect(found: Rows, path: Path, rows: int | None, errors: str) -> tuple[list[str], np.ndarray]:
    """Words and vectors of what was found; strict: an error for the first fault, otherwise a warning for all."""
    words: dict[str, str] = {}
    vectors: list[np.ndarray] = []
    faults: list[str] = []
    for where, name, vector in found:
        fault = vector if isinstance(vector, str) else ""
        try:
            word = name.decode("utf-8") if isinstance(name, bytes) else name
        except UnicodeDecodeError as error:
            word, fault = "", fault or f"the word {name!r} is not UTF-8 ({error.reason})"
        if not fault and word in words:
            fault = f"the word {word!r} stood in {words[word]} already"
        if not fault and not np.isfinite(vector).all():
            fault = f"the vector of {word!r} has a number that is not finite in float32"
        if not fault:
            words[word] = where
            vectors.append(vector)      # type: ignore[arg-type]
        elif errors == "strict":
            raise ValueError(f"{path}, {where}: {fault}; errors='skip' leaves such rows out")
        else:
            faults.append(f"{where}: {fault}")
    if rows is not None and len(words) + len(faults) < rows:
        message = f"the file ends after {len(words) + len(faults):,} of the {rows:,} words that line 1 promises"
        if errors == "strict":
            raise ValueError(f"{path}: {message}; errors='skip' takes what is there")
        faults.append(message)
    if faults:
        warnings.warn(f"{path}: left out {len(faults)}: {faults[0]}" + (", ..." if len(faults) > 1 else ""),
                      UserWarning, stacklevel=4)
    if not words:
        raise ValueError(f"{path} holds no word vectors")
    table = np.array(vectors, np.float32)
    table.flags.writeable = False
    return list(words), table


def read_safetensors(file: IO[bytes], path: Path, zipped: bool, errors: str) -> tuple[list[str], np.ndarray]:
    """Words and vectors; the vectors are memory-mapped unless the file is compressed."""
    length = int.from_bytes(file.read(8), "little")
    try:
        if length > LONGEST_JSON:
            raise ValueError(f"a header of {length:,} bytes")
        header: dict[str, Any] = json.loads(file.read(length))
        spans = {}
        for name, dtype, dims in (("vectors", "F32", 2), ("words", "U8", 1)):
            entry = header[name]
            if entry["dtype"] != dtype or len(entry["shape"]) != dims:
                raise ValueError(f"{name} is {entry['dtype']} of shape {entry['shape']}")
            spans[name] = (*entry["data_offsets"], entry["shape"])
        begin, end, _ = spans["words"]
        file.seek(8 + length + begin)
        words = json.loads(file.read(end - begin))
        if not isinstance(words, list):
            raise ValueError("words is no list")
    except (ValueError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: no safetensors file of word vectors: {error!r}") from None
    begin, end, shape = spans["vectors"]
    offset = 8 + length + begin
    if end - begin != 4 * shape[0] * shape[1] or not end - begin:
        raise ValueError(f"{path}: vectors of shape {shape} cannot fill {end - begin} bytes")
    content = b""
    if zipped:
        file.seek(offset)
        content = file.read(end - begin)
    if (len(content) if zipped else path.stat().st_size - offset) < end - begin:
        raise ValueError(f"{path}: the file ends before its vectors do")
    table = np.frombuffer(content, "<f4").reshape(shape) if zipped else \
        np.memmap(path, "<f4", "r", offset, tuple(shape)).view(np.ndarray)
    if errors == "strict" or len(words) != len(table):
        return words, table
    rows = ((f"row {row}", word, vector) for row, (word, vector) in enumerate(zip(words, table)))
    return collect(rows, path, None, errors)


def _check(format: str, allowed: Iterable[str]) -> None:
    if format not in allowed:
        raise ValueError(f"format must be one of {', '.join(allowed)}; got {format!r}")
