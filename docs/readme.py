"""The README's derived tables: speed and quality from recorded benchmarks, the lecture index from the docstring.

    python -m docs.readme        writes them into README.md (also: make readme); a test sees when it was forgotten
"""

import ast
import re
from pathlib import Path

from benchmarks import quality as vectors
from benchmarks.__main__ import recorded
from benchmarks.report import grid, overview, summary

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"


def lectures() -> str:
    """The lecture index of `tinygrad_rnn.__doc__`, with links."""
    lines = [["equation", "where it stands"]]
    for equation, files in index():
        links = (f"[{file}](tinygrad_rnn/{file})" for file in files)
        lines.append([equation, ", ".join(links)])
    return grid(lines)


def index() -> list[tuple[str, list[str]]]:
    """Rows of the docstring's table, which stands between two lines of `===`: an equation, and its files."""
    source = (ROOT / "tinygrad_rnn" / "__init__.py").read_text(encoding="utf-8")
    _, table, _ = re.split(r"^=+ +=+$", ast.get_docstring(ast.parse(source)) or "", flags=re.MULTILINE)
    rows = (re.split(r"\s{2,}", line) for line in table.strip().splitlines())
    return [(equation, files.split(", ")) for equation, files in rows]


def speed() -> str:
    """All results in benchmarks/results: a line a benchmark, and behind a fold a line a row."""
    results = recorded()
    if not results:
        return "Not measured yet."
    fold = "<details><summary>Every row</summary>", summary(results).strip(), "</details>"
    return "\n\n".join([overview(results), *fold])


def quality() -> str:
    """How good word vectors are, beside those of other programs."""
    return vectors.table(vectors.recorded()).strip()


def derived(text: str) -> str:
    """The README with its derived tables as they should be."""
    for name, content in (("speed", speed()), ("quality", quality()), ("lectures", lectures())):
        section = re.compile(f"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        text = section.sub(lambda match, content=content: f"{match[1]}{content}\n{match[2]}", text)
    return text


if __name__ == "__main__":
    README.write_text(derived(README.read_text(encoding="utf-8")), encoding="utf-8")
