"""The package that is built is the package that is meant: settings in one place, peers pinned, types shipped."""

import configparser
import re
import tomllib
from importlib import metadata
from pathlib import Path

import tinygrad_rnn

ROOT = Path(__file__).resolve().parent.parent
SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg", encoding="utf-8")


def lines(section: str, key: str) -> list[str]:
    """A setting of setup.cfg that is a list."""
    return SETUP[section][key].split()


def test_one_version() -> None:
    assert metadata.version("tinygrad-rnn") == tinygrad_rnn.__version__
    assert re.fullmatch(r"0\.\d+\.\d+", tinygrad_rnn.__version__)


def test_pyproject_names_the_build_system_alone() -> None:
    assert set(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))) == {"build-system"}


def test_every_peer_is_pinned_and_nothing_else_of_ours() -> None:
    pins = re.findall(r"^([\w-]+)==[\d.]+$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    peers = {requirement.split("==")[0] for requirement in lines("options.extras_require", "peers")}
    assert peers <= set(pins)
    core = {re.split(r"\W", requirement)[0] for requirement in lines("options", "install_requires")}
    assert not core & set(pins)


def test_requirements_have_bounds() -> None:
    assert all(re.fullmatch(r"\w+>=[\d.]+,<\d+", requirement) for requirement in lines("options", "install_requires"))


def test_types_are_shipped() -> None:
    assert (ROOT / "tinygrad_rnn" / "py.typed").is_file()
    assert "py.typed" in SETUP["options.package_data"]["tinygrad_rnn"]


def test_the_command_is_declared() -> None:
    (script,) = metadata.distribution("tinygrad-rnn").entry_points.select(group="console_scripts")
    assert (script.name, script.value) == ("tinygrad-rnn", "tinygrad_rnn.cli:main")
