"""The house rules that a reader can rely on: imports point down, importing is light, everything public is explained."""

import ast
import importlib
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from docs import readme
from tinygrad_rnn.cells.compiled import WITHOUT_JIT

PACKAGE = Path(__file__).resolve().parent.parent / "tinygrad_rnn"
FILES = sorted(PACKAGE.rglob("*.py"))
# A module of several files hands its names on in its `__init__`; what stands there is public.
MODULES = sorted({".".join([PACKAGE.name, *path.relative_to(PACKAGE).parts[:-1]])
                  for path in FILES if path.name == "__init__.py"})
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}

# From the ground up: a module imports from its own layer and from those before it.
LAYERS = (
    "files",            # what is written whole or not at all
    "kernels",          # arrays in, arrays out
    "autograd",         # the tape over them
    "random",           # tensors drawn from a stream
    "cells",            # equations, which autograd's rules differentiate
    "nn",               # layers of cells
    "optim",            # moves the parameters of layers
    "data",             # what goes in
    "metrics",          # what is said of what comes out
    "embeddings",       # word vectors: need data, kernels and metrics of rank
    "decode",           # one loop over any step function: knows no model
    "models",           # layers, data and decoding put together
    "train",            # loops over models, and keeps them on disk
    "diagnostics",      # looks into trained models
    "interop",          # other libraries' names for our parameters
    "testing",          # checks of anything above
    "cli",
    "__main__",
)

# What may be imported beside the standard library: where (None: anywhere), and whether only inside a function.
THIRD_PARTY = {
    "numpy": (None, False),
    "numba": ("kernels", False),        # `kernels` itself is lazy, see the test of what an import brings
    "llvmlite": ("kernels", False),
    "platformdirs": (None, False),
    "safetensors": (None, False),
    "tqdm": (None, False),
    "matplotlib": (None, True),
    "pooch": ("data", True),
    "hypothesis": ("testing", False),
}

# A file is one idea: one beyond this many lines needs a reason here.
MOST_LINES = 400
LONG_FILES = {
    "kernels/llvm.py": "all code that touches LLVM stands in one file",
}


def name(path: Path) -> str:
    """Path inside the package, as a test's identifier."""
    return path.relative_to(PACKAGE).as_posix()


def layer(path: Path) -> str | None:
    """The layer a file belongs to; None for the package's own `__init__`."""
    top = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return None if top == "__init__" else top


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Each absolute dotted name that a file imports, and whether it does so inside a function."""
    inside = {child for node in ast.walk(TREES[path]) if isinstance(node, ast.FunctionDef | ast.Lambda)
              for child in ast.walk(node)}
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node in inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = [PACKAGE.name, *path.relative_to(PACKAGE).parts[:-1]]
            base = package[:len(package) - node.level + 1] if node.level else []
            base += node.module.split(".") if node.module else []
            # What follows `import` may be a module too: `from .. import kernels`.
            yield from ((".".join([*base, alias.name]), node in inside) for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=name)
def test_imports_point_down(path: Path) -> None:
    own = layer(path)
    if own is None:
        return
    assert own in LAYERS, f"{name(path)}: give {own!r} a place in LAYERS"
    for imported, _ in imports(path):
        root, *rest = imported.split(".")
        if root == PACKAGE.name and rest != ["__version__"]:
            assert rest and rest[0] in LAYERS, f"{name(path)} imports {imported}: name the module it stands in"
            assert LAYERS.index(rest[0]) <= LAYERS.index(own), f"{name(path)} imports upwards: {imported}"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_third_parties_stay_in_their_place(path: Path) -> None:
    for imported, inside in imports(path):
        root = imported.split(".")[0]
        if root == PACKAGE.name or root in sys.stdlib_module_names:
            continue
        assert root in THIRD_PARTY, f"{name(path)} imports {root}, which is no dependency"
        where, late = THIRD_PARTY[root]
        assert where in (None, layer(path)), f"{name(path)} imports {root}, which belongs to {where}"
        assert inside or not late, f"{name(path)} imports {root} at its top: it is optional, import it where it is used"


@pytest.mark.parametrize("path", [path for path in FILES if path.name == "__init__.py"], ids=name)
def test_an_init_hands_on_and_defines_nothing(path: Path) -> None:
    defined = [node.name for node in TREES[path].body
               if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name not in ("__getattr__", "__dir__")]
    assert not defined
    assert ast.get_docstring(TREES[path])


@pytest.mark.parametrize("path", FILES, ids=name)
def test_files_and_what_they_define_are_explained(path: Path) -> None:
    assert ast.get_docstring(TREES[path]), f"{name(path)}: what is in this file?"
    bare = [node.name for node in TREES[path].body
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
            and not ast.get_docstring(node) and "overload" not in map(ast.unparse, node.decorator_list)]
    assert not bare, f"{name(path)}: no docstring: {bare}"


@pytest.mark.parametrize("module", MODULES)
def test_public_names_are_explained_and_annotated(module: str) -> None:
    if module == "tinygrad_rnn.kernels" and WITHOUT_JIT:
        pytest.skip("kernels are plain functions without the JIT, which says their types")
    exported = importlib.import_module(module)
    faults = [f"{module}.{label}: {fault}" for label in getattr(exported, "__all__", ())
              for fault in complaints(getattr(exported, label))]
    assert not faults, "\n".join(faults)


def complaints(public: object) -> Iterator[str]:
    """What a user who asks for help() would miss."""
    if inspect.ismodule(public) or not callable(public) or public in (bool, np.bool_) or isinstance(public, np.dtype):
        return
    if not inspect.getdoc(public):
        yield "no docstring"
    if not inspect.isclass(public):
        yield from unannotated(public)
        return
    if public.__module__.startswith(PACKAGE.name):
        for label, member in vars(public).items():
            if not label.startswith("_") and (inspect.isfunction(member) or isinstance(member, property)):
                if not inspect.getdoc(member):
                    yield f"{label} has no docstring"
                function = member.fget if isinstance(member, property) else member
                yield from (f"{label}: {fault}" for fault in unannotated(function))


def unannotated(function: object) -> Iterator[str]:
    """Arguments and results without a type."""
    signature = inspect.signature(function)
    bare = [argument.name for argument in signature.parameters.values()
            if argument.annotation is argument.empty and argument.name not in ("self", "cls")]
    if signature.return_annotation is signature.empty:
        bare.append("result")
    if bare:
        yield f"not annotated: {', '.join(bare)}"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_no_assert_and_no_pickle(path: Path) -> None:
    asserts = [node.lineno for node in ast.walk(TREES[path]) if isinstance(node, ast.Assert) and not narrows(node)]
    assert not asserts, f"{name(path)}: assert vanishes under -O; raise an error that says what to do: lines {asserts}"
    assert not {imported.split(".")[0] for imported, _ in imports(path)} & {"pickle", "cloudpickle", "dill", "shelve"}


def narrows(statement: ast.Assert) -> bool:
    """`assert x is not None` tells the type checker what the reader knows, and judges no input."""
    return isinstance(statement.test, ast.Compare) and isinstance(statement.test.ops[0], ast.IsNot)


@pytest.mark.parametrize("path", FILES, ids=name)
def test_a_file_is_one_idea(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= MOST_LINES or name(path) in LONG_FILES, f"{name(path)} has {lines} lines"


def loaded_after(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after running `code`."""
    code += "\nimport sys; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 1, f"an import printed {lines[:-1]}"
    return set(lines[0].split())


@pytest.mark.parametrize("code", [
    "import tinygrad_rnn",
    "import tinygrad_rnn; [getattr(tinygrad_rnn, name, None) for name in dir(tinygrad_rnn)]",
    "import tinygrad_rnn.cli",
], ids=["package", "all its names", "command line"])
def test_importing_is_light(code: str) -> None:
    heavy = {"numba", "llvmlite", "matplotlib", "scipy", "torch", "hypothesis", "pooch", "pytest"}
    assert not loaded_after(code) & heavy


def test_the_lecture_index_resolves() -> None:
    rows = readme.index()
    assert len(rows) > 10
    missing = [f"{equation}: {file}" for equation, files in rows for file in files if not (PACKAGE / file).is_file()]
    assert not missing
