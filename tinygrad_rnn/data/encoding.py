"""A corpus of any size, read once: its words counted and numbered, then a vocabulary's ids in a memory-mapped file.

    sentences = Sentences("corpus.txt")             # one pass, on all threads, in bounded memory
    vocabulary = Vocabulary(sentences.counts, min_count=5)
    ids = sentences.encode(vocabulary)              # int32, END after each sentence; later passes read this alone

While a corpus is read its words get provisional numbers, which go to a temporary file, and `encode` translates them.
So a generator, which can be read once only, serves as well as a list; and a corpus that changes later changes nothing.
"""

from __future__ import annotations

import codecs
import functools
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import IO, Any

import numpy as np
from tqdm import tqdm

from ..files import disk
from ..kernels import get_num_threads
from ..kernels.threads import COMPILED, run
from .numbering import END, PIECE, SPACES, Bytes, Lists, Numbering, too_long
from .tokenizers import Split, splitter, whitespace
from .vocabulary import UNKNOWN, Vocabulary

Source = str | os.PathLike[str] | Iterable[Any]
SMALL = 1 << 22         # bytes: a smaller file is not worth more than one thread
LEFT_OUT = -2           # in place of an id


class Sentences:
    """The sentences of a corpus, read once.

    Parameters
    ----------
    source : str, Path, or iterable of token lists
        A UTF-8 file with a sentence a line, tokens apart by ASCII whitespace; or sentences, each an iterable of
        strings: a list of lists, a generator, anything that can be iterated.
    tokenizer : callable or object with encode and decode, optional
        What splits the lines of a file instead, or sentences that are strings: see `tokenizers.splitter`.
    progress : bool, optional
        Show a bar; None: where standard error is a terminal.
    folder : str or Path, optional
        Where temporary files stand, 4 bytes a token, which vanish by themselves; None: the system's folder for them.

    Attributes
    ----------
    words : int
        Tokens, all of them.

    Raises
    ------
    TypeError
        For a sentence that is a string, or tokens that are none.
    ValueError
        For a corpus without a token, such as a generator that has been used up; a file that is not UTF-8, or that
        changes while it is read.
    OSError
        For a file that cannot be read, or a folder without room.
    """

    def __init__(self, source: Source, tokenizer: Any = None, *, progress: bool | None = None,
                 folder: str | os.PathLike[str] | None = None) -> None:
        self._folder, self._parts = folder, list[Numbering]()
        path = Path(source) if isinstance(source, str | os.PathLike) else None
        size = path.stat().st_size if path else 0
        bar = tqdm(total=size or None, desc="reading", unit="B" if path else " sentences", unit_scale=True,
                   leave=False, disable=None if progress is None else not progress)
        try:
            with bar:
                if path is None:
                    self._read_lists(_checked(source, tokenizer, bar))
                elif tokenizer is None and COMPILED:
                    self._read_file(path, size, bar)
                else:
                    self._read_lists(_lines(path, whitespace if tokenizer is None else splitter(tokenizer), bar))
        except OSError as error:
            raise _no_room(error, folder) from None
        if path and (now := path.stat().st_size) != size:
            raise ValueError(f"corpus: {path} changed while it was read, from {size:,} to {now:,} bytes")
        try:
            self.words = sum(self.counts.values())
        except UnicodeDecodeError:
            raise _not_utf8(path or Path()) from None
        if not self.words:
            raise ValueError(f"corpus: {path} has no words" if path else "corpus: there are no words; was it a "
                             "generator that something else has used up? It can be read once only")

    @functools.cached_property
    def counts(self) -> dict[str, int]:
        """How often each token came; `del sentences.counts` gives its memory back until it is asked for again."""
        found: dict[str, int] = {}
        for part in self._parts:
            for token, count in zip(part.tokens, part.occurrences.tolist()):
                found[token] = found.get(token, 0) + count
        return found

    def _read_lists(self, sentences: Iterable[tuple[Iterable[str], bool]]) -> None:
        part = Lists(self._file())
        self._parts.append(part)
        with closing(part):
            for tokens, ends in sentences:
                part.add(tokens, ends)
            part.finish()

    def _read_file(self, path: Path, size: int, bar: Any) -> None:
        """Each thread numbers one stretch of the file."""
        parts = [Bytes(self._file()) for _ in range(get_num_threads() if size >= SMALL else 1)]
        self._parts.extend(parts)

        def stretch(k: int, n: int) -> None:
            parts[k].read(path, size * k // n, size * (k + 1) // n, bar.update)

        with ExitStack() as stack:
            for part in parts:
                stack.enter_context(closing(part))
            run(stretch, parts=len(parts))

    def encode(self, vocabulary: Vocabulary, path: str | os.PathLike[str] | None = None) -> np.ndarray:
        """All sentences as ids; those of a vocabulary, which need not be that of this corpus.

        Parameters
        ----------
        vocabulary : Vocabulary
            With "<unk>" among its specials, that stands for tokens it has not; otherwise they are left out.
        path : str or Path, optional
            A .npy file to write, which `numpy.load(path, mmap_mode="r")` opens again; None: a temporary one, that
            vanishes with the array.

        Returns
        -------
        int32 ndarray (N,), memory-mapped, read-only
            The ids of each sentence and then END, which is -1; sentences that nothing is left of are left out.
        """
        unknown = vocabulary.encode([UNKNOWN])[0] if UNKNOWN in vocabulary.specials else LEFT_OUT
        ids = dict(zip(vocabulary.tokens, range(len(vocabulary))))
        try:
            with ExitStack() as stack:
                draft = stack.enter_context(disk.replacing(Path(path))) if path is not None else None
                file = stack.enter_context(open(draft, "wb+") if draft else self._file())
                length = 0
                for round_ in range(2):     # NumPy leaves room in its header for a length that is known at the end
                    file.seek(0)
                    np.lib.format.write_array_header_1_0(
                        file, {"descr": "<i4", "fortran_order": False, "shape": (length,)})
                    start = file.tell()
                    if not round_:
                        length = self._translate(ids, int(unknown), file)
                file.flush()
                return np.memmap(file, np.int32, "r", start, (length,)) if length else np.empty(0, np.int32)
        except OSError as error:
            raise _no_room(error, self._folder) from None

    def _translate(self, ids: dict[str, int], unknown: int, file: IO[bytes]) -> int:
        """Write the ids of all numbers; how many."""
        last, length = END, 0
        for part in self._parts:
            # END is -1, the last row.
            table = np.array([*(ids.get(token, unknown) for token in part.tokens), END], np.int32)
            for numbers in part.pieces():
                translated = table[numbers]
                translated = translated[translated != LEFT_OUT]
                before = np.append(np.int32(last), translated[:-1])
                translated = translated[(translated != END) | (before != END)]
                if len(translated):
                    file.write(translated.data)
                    last, length = int(translated[-1]), length + len(translated)
        if last != END:
            file.write(np.array([END], np.int32).data)
        return length + (last != END)

    def _file(self) -> IO[bytes]:
        return tempfile.TemporaryFile(prefix="tinygrad_rnn-", dir=self._folder)

    def __repr__(self) -> str:
        return f"Sentences({self.words:,} words, {len(self.counts):,} of them different)"


def _checked(source: Any, tokenizer: Any, bar: Any) -> Iterator[tuple[Iterable[str], bool]]:
    """Sentences of an iterable, which all end."""
    split = None if tokenizer is None else splitter(tokenizer)
    if not isinstance(source, Iterable):
        raise TypeError(f"corpus must be a path or an iterable of token lists, got {type(source).__name__}")
    for k, sentence in enumerate(source):
        if isinstance(sentence, str):
            if split is None:
                raise TypeError(f"corpus: sentence {k} is a string, {sentence[:40]!r}; it must be a list of tokens: "
                                "sentence.split(), or tokenizer=")
            sentence = split(sentence)
        elif not isinstance(sentence, Iterable):
            raise TypeError(f"corpus: sentence {k} must be a list of tokens, got {sentence!r}")
        yield sentence, True
        bar.update()


def _lines(path: Path, split: Split, bar: Any) -> Iterator[tuple[Iterable[str], bool]]:
    """Sentences of a file, a line each; one that is longer than a piece comes in pieces, cut after whitespace."""
    carried = ""
    try:
        with open(path, encoding="utf-8", newline="\n") as file:
            while line := file.readline(PIECE):
                text, ends = carried + line, line.endswith("\n")
                cut = len(text) if ends else max(text.rfind(space) for space in SPACES.decode()) + 1
                if not cut and split is whitespace and len(text) > PIECE:
                    raise too_long(path)
                cut = cut or len(text)
                text, carried = text[:cut], text[cut:]
                yield split(text), ends
                bar.update(len(text))
    except UnicodeDecodeError:
        raise _not_utf8(path) from None
    yield split(carried), True


def _not_utf8(path: Path) -> ValueError:
    """Where a file stops being UTF-8."""
    decoder, at = codecs.getincrementaldecoder("utf-8")(), 0
    with open(path, "rb") as file:
        while block := file.read(PIECE):
            pending = len(decoder.getstate()[0])
            try:
                decoder.decode(block)
            except UnicodeDecodeError as error:
                return ValueError(f"corpus: {path} is not UTF-8: byte 0x{error.object[error.start]:02x} at offset "
                                  f"{at - pending + error.start:,}")
            at += len(block)
    return ValueError(f"corpus: {path} is not UTF-8: it ends within a character")


def _no_room(error: OSError, folder: Any) -> OSError:
    """An error of writing, with the folder that it happened in."""
    if error.filename is not None:
        return error
    where = folder or f"{tempfile.gettempdir()} (TMPDIR names another folder)"
    return OSError(error.errno, f"cannot write the ids of a corpus: {error.strerror}", str(where))
