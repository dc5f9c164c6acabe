"""Options in one dataclass, from a TOML file or from flags: what an option is stands in its field, once."""

from __future__ import annotations

import os
import tomllib
import typing
from collections.abc import Callable, Mapping
from dataclasses import Field, asdict, field, fields
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


def option(default: Any, help: str, *, least: float | None = None, above: float | None = None,
           most: float | None = None, choices: tuple[str, ...] = ()) -> Any:
    """A field of a dataclass of options.

    Parameters
    ----------
    default : value
    help : str
        What it is, for whoever asks a command for help.
    least, above, most : number, optional
        Bounds; `above` itself is out of them.
    choices : names that it is one of
    """
    return field(default=default, metadata={"help": help, "least": least, "above": above, "most": most,
                                            "choices": choices})


def kind(settings: type, one: Field[Any]) -> type:
    """int, float, str or bool: what the value of a field is, None aside."""
    hint = typing.get_type_hints(settings)[one.name]
    found: type = next(part for part in typing.get_args(hint) or (hint,) if part is not type(None))
    return found


def checked(settings: type[T], values: Mapping[str, Any], spelled: Callable[[str], str] = str) -> dict[str, Any]:
    """Values for some of the fields, each of the right type and within its bounds.

    Parameters
    ----------
    settings : dataclass whose fields are made by `option`
    values : name -> value
    spelled : callable, optional
        How an option is named to its user.

    Raises
    ------
    ValueError, TypeError
        Naming the option, what is expected and what came.
    """
    known = {one.name: one for one in fields(settings)}  # type: ignore[arg-type]
    for name, value in values.items():
        if name not in known:
            raise ValueError(f"there is no option {spelled(name)}; there are {', '.join(map(spelled, known))}")
        expected, rule = kind(settings, known[name]), known[name].metadata
        accepted = (int, float) if expected is float else (expected,)
        if value is None and known[name].default is None:
            continue
        if not isinstance(value, accepted) or isinstance(value, bool) != (expected is bool):
            raise TypeError(f"{spelled(name)} must be {described(expected, rule)}, got {value!r}")
        low, above, high, choices = (rule[part] for part in ("least", "above", "most", "choices"))
        if (choices and value not in choices or low is not None and not value >= low
                or above is not None and not value > above or high is not None and not value <= high):
            raise ValueError(f"{spelled(name)} must be {described(expected, rule)}, got {value!r}")
    return dict(values)


def described(expected: type, rule: Mapping[str, Any]) -> str:
    """What a value must be, in words."""
    if rule["choices"]:
        return f"one of {', '.join(rule['choices'])}"
    words = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}[expected]
    names = (("least", "at least"), ("above", "above"), ("most", "at most"))
    bounds = [f"{name} {rule[part]:g}" for part, name in names if rule[part] is not None]
    return " ".join([words, *([", ".join(bounds)] if bounds else [])])


def from_toml(settings: type[T], path: str | os.PathLike[str]) -> dict[str, Any]:
    """What a TOML file says of some of the options; hyphens in names are as good as underscores.

    Raises
    ------
    ValueError
        For a file that is no TOML, unknown options, values of another type or out of bounds; names the file.
    OSError
        If it cannot be read.
    """
    where = os.fspath(path)
    try:
        content = tomllib.loads(Path(path).read_bytes().decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{where} is no TOML file: {error}") from None
    try:
        return checked(settings, {name.replace("-", "_"): value for name, value in content.items()})
    except (ValueError, TypeError) as error:
        raise ValueError(f"{where}: {error}") from None


def changed(settings: Any) -> dict[str, Any]:
    """The options that are not at their default."""
    usual = {one.name: one.default for one in fields(settings)}
    return {name: value for name, value in asdict(settings).items() if value != usual[name]}
