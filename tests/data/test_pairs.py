"""Two files of sentences, and what can be wrong with them."""

from pathlib import Path

import pytest

from tinygrad_rnn.data.pairs import read_pairs


def files(folder: Path, source: bytes, target: bytes) -> tuple[Path, Path]:
    paths = folder / "a.de", folder / "a.en"
    for path, text in zip(paths, (source, target)):
        path.write_bytes(text)
    return paths


def test_words_line_by_line(tmp_path: Path) -> None:
    source, target = files(tmp_path, "ein  Hund\r\n\nüber\u2028uns\n".encode(), b"a dog\n\nabove us")
    pairs = read_pairs(source, target)
    assert pairs.sources == [["ein", "Hund"], [], ["über", "uns"]]
    assert pairs.targets == [["a", "dog"], [], ["above", "us"]]
    assert pairs.within(2).sources == [["ein", "Hund"], ["über", "uns"]] and not pairs.within(1).sources
    assert pairs.part(0, 1).targets == [["a", "dog"]]
    assert read_pairs(source, target).sha256 == pairs.sha256 != read_pairs(target, source).sha256


@pytest.mark.parametrize(("source", "target", "said"), [
    (b"a\nb\nc\n", b"x\ny\n", r"a\.de has 3 lines and .*a\.en has 2: .*a\.en ends first"),
    (b"a\n", b"x\ny", r"a\.de has 1 lines and .*a\.en has 2: .*a\.de ends first"),
    (b" \n", b"x\n", r"a\.de is empty"),
    (b"a\n", b"", r"a\.en is empty"),
    (b"a\nb\xffc\n", b"x\ny\n", r"a\.de, line 2, is not UTF-8: byte 0xff"),
])
def test_bad_files(tmp_path: Path, source: bytes, target: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_pairs(*files(tmp_path, source, target))
