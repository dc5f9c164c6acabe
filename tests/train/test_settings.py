"""Options: from a file or from anywhere, of the right type and within their bounds."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tinygrad_rnn.train.settings import changed, checked, from_toml, kind, option


@dataclass(frozen=True)
class Some:
    """Options of a job."""

    name: str = option("x", "", choices=("x", "y"))
    size: int = option(3, "", least=1, most=9)
    rate: float = option(0.5, "", above=0.0)
    most: int | None = option(None, "", least=2)
    loud: bool = option(False, "")


def test_what_a_field_is() -> None:
    fields = Some.__dataclass_fields__
    assert [kind(Some, one) for one in fields.values()] == [str, int, float, int, bool]


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "o.toml"
    path.write_text('name = "y"\nsize = 9\nrate = 1\nloud = true\n', encoding="utf-8")
    found = Some(**from_toml(Some, path))
    assert found == Some("y", 9, 1, None, True)
    assert changed(found) == {"name": "y", "size": 9, "rate": 1, "loud": True}


@pytest.mark.parametrize(("values", "error", "said"), [
    ({"sise": 1}, ValueError, r"no option --sise; there are --name, --size"),
    ({"size": 0}, ValueError, r"--size must be a whole number at least 1, at most 9, got 0"),
    ({"size": 10}, ValueError, r"at most 9, got 10"),
    ({"size": 1.0}, TypeError, r"--size must be a whole number .*got 1\.0"),
    ({"size": True}, TypeError, r"--size must be a whole number .*got True"),
    ({"size": None}, TypeError, r"--size must be"),
    ({"loud": 1}, TypeError, r"--loud must be true or false, got 1"),
    ({"rate": 0.0}, ValueError, r"--rate must be a number above 0, got 0\.0"),
    ({"rate": float("nan")}, ValueError, r"--rate must be a number above 0, got nan"),
    ({"rate": "1"}, TypeError, r"--rate must be a number"),
    ({"name": "z"}, ValueError, r"--name must be one of x, y, got 'z'"),
    ({"most": 1}, ValueError, r"--most must be a whole number at least 2, got 1"),
])
def test_bad_values(values: dict[str, Any], error: type, said: str) -> None:
    with pytest.raises(error, match=said):
        checked(Some, values, lambda name: f"--{name}")


def test_a_missing_value_where_there_may_be_none() -> None:
    assert checked(Some, {"most": None, "rate": 2}) == {"most": None, "rate": 2}


@pytest.mark.parametrize(("text", "said"), [
    (b"size = ", r"o\.toml is no TOML file"), (b"\xff", r"o\.toml is no TOML file"),
    (b"size = 'a'", r"o\.toml: size must be a whole number"),
    (b"max-size = 1", r"o\.toml: there is no option max_size"),
])
def test_bad_files(tmp_path: Path, text: bytes, said: str) -> None:
    path = tmp_path / "o.toml"
    path.write_bytes(text)
    with pytest.raises(ValueError, match=said):
        from_toml(Some, path)
