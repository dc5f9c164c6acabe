"""Every chapter runs at toy size without a warning; its exercises can be solved, its judges refuse wrong answers."""

import ast
import contextlib
import io
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
CHAPTERS = sorted(EXAMPLES.glob("plot_*.py"))


@pytest.fixture(scope="module", params=CHAPTERS, ids=lambda path: path.stem)
def chapter(request: pytest.FixtureRequest) -> Iterator[tuple[Path, dict[str, Any], str]]:
    """A chapter after its run: its file, its names, and what it printed."""
    plt = pytest.importorskip("matplotlib.pyplot")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYGRAD_RNN_FAST", "1")
        patch.setattr(plt, "show", lambda: plt.close("all"))
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            names = runpy.run_path(str(request.param))
    assert not plt.get_fignums(), "a figure that is never shown"
    yield request.param, names, printed.getvalue()


def solutions(path: Path) -> dict[str, Any]:
    """The answers to a chapter's exercises."""
    return runpy.run_path(str(path.parent / "solutions" / path.name))


def test_has_a_title_cells_and_three_exercises(chapter: tuple) -> None:
    path, names, _ = chapter
    source = path.read_text(encoding="utf-8")
    title, line, *_ = (ast.get_docstring(ast.parse(source)) or "").splitlines()
    assert line == "=" * len(title)
    assert source.count("\n# %%\n") >= 8 and len(names["EXERCISES"]) == 3
    headings = source.splitlines()
    for above, below in zip(headings, headings[1:]):
        if below.startswith("# ---"):
            assert len(below) == len(above), f"underline of {above!r}"


def test_exercises_wait_for_the_reader(chapter: tuple) -> None:
    path, names, printed = chapter
    assert printed.count("still yours to write") == 3 and ": right" not in printed
    assert {exercise.__name__ for exercise in names["EXERCISES"]} <= solutions(path).keys()


def test_solutions_are_right(chapter: tuple) -> None:
    path, names, _ = chapter
    for exercise, check in names["EXERCISES"].items():
        check(solutions(path)[exercise.__name__])


def test_wrong_answers_are_refused(chapter: tuple) -> None:
    path, names, _ = chapter
    for exercise, check in names["EXERCISES"].items():
        right = solutions(path)[exercise.__name__]
        with pytest.raises(AssertionError):
            check(lambda *given, right=right: spoiled(right(*given)))


def spoiled(answer: Any) -> Any:
    """Almost the same."""
    if isinstance(answer, str):             # the text of a cell
        return answer.replace(" = ", " = 1.01*", 1)
    return [spoiled(part) for part in answer] if isinstance(answer, list) else answer * 1.01
