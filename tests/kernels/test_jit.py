"""Compiling: what is cached where, under which key, and who may have written it."""

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
    pytest.skip("nothing is compiled", allow_module_level=True)
from tinygrad_rnn.kernels import jit  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
PROBE = """
from .jit import helper, kernel, native

@helper
def change(x):
    return x + 1

@kernel("void(const(T[::1]), T[::1])")
def changed(x, out):
    for i in range(x.size):
        out[i] = change(x[i])

def _twice(x):
    return 2 * x

@native
def doubled(e, n, x, out):
    e.store(out, _twice(e.load(x, e.first(n))), e.first(n))
"""
SCRIPT = """
import numpy as np
from tinygrad_rnn.kernels import jit, probe
x, out = np.arange(3.0), np.zeros(3)
probe.changed[x.dtype](x, out)
call = __import__("ctypes").CFUNCTYPE(None, *[__import__("ctypes").c_int64] * 3)(probe.doubled[x.dtype])
y = np.zeros(2)
call(2, x.ctypes.data, y.ctypes.data)
hits = sum(probe.changed[x.dtype].stats.cache_hits.values())
print(jit.key(), out.tolist(), y.tolist(), hits, jit._announced)
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    """A copy of what compiles, with a module of its own."""
    root = tmp_path_factory.mktemp("copy")
    folder = root / "tinygrad_rnn" / "kernels"
    folder.mkdir(parents=True)
    (root / "tinygrad_rnn" / "__init__.py").touch()
    for name in ("jit.py", "llvm.py"):
        shutil.copy(ROOT / "tinygrad_rnn" / "kernels" / name, folder)
    (folder / "__init__.py").touch()
    (folder / "probe.py").write_text(PROBE)
    return root


def start(package: Path, cache: Path | None, script: str = SCRIPT, **variables: str) -> subprocess.Popen:
    environment = {k: v for k, v in os.environ.items() if k not in ("TINYGRAD_RNN_CACHE_DIR", "NUMBA_CACHE_DIR")}
    environment |= {"PYTHONPATH": str(package), **variables}
    if cache is not None:
        environment["TINYGRAD_RNN_CACHE_DIR"] = str(cache)
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], env=environment, text=True, cwd=package,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(process: subprocess.Popen) -> tuple[str, str]:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out, err


def run(*args, **kwargs) -> tuple[list[str], str]:
    out, err = finish(start(*args, **kwargs))
    return out.split(maxsplit=1), err


def test_cache_key_and_edited_helper(package, tmp_path):
    """A second process loads; after an edit of an inlined helper, or of a traced function, the next one compiles."""
    cache = tmp_path / "cache"
    (key, cold), _ = run(package, cache)
    assert cold.split("]")[:2] == ["[1.0, 2.0, 3.0", " [0.0, 2.0"] and cold.split()[-2] == "0"
    (warm_key, warm), _ = run(package, cache)
    assert warm_key == key and warm.split()[-2] == "1"
    probe = package / "tinygrad_rnn" / "kernels" / "probe.py"
    probe.write_text(PROBE.replace("x + 1", "x + 10").replace("2 * x", "3 * x"))
    try:
        (edited_key, edited), _ = run(package, cache)
    finally:
        probe.write_text(PROBE)
    assert edited_key != key and edited.split("]")[:2] == ["[10.0, 11.0, 12.0", " [0.0, 3.0"]
    assert oct(cache.stat().st_mode)[-3:] == "700" and oct((cache / key).stat().st_mode)[-3:] == "700"
    assert not list((package / "tinygrad_rnn" / "kernels").glob("__pycache__/*.nb?"))  # nothing beside the sources


def test_other_features_have_another_key(package, tmp_path):
    (plain, _), _ = run(package, tmp_path)
    (narrow, result), _ = run(package, tmp_path, NUMBA_CPU_NAME="x86-64", NUMBA_CPU_FEATURES="+sse2")
    assert narrow != plain and result.startswith("[1.0, 2.0, 3.0] [0.0, 2.0]")


def test_concurrent_first_runs(package, tmp_path):
    results = [finish(p)[0] for p in [start(package, tmp_path / "shared") for _ in range(4)]]
    assert len({r.rsplit(maxsplit=2)[0] for r in results}) == 1
    assert not list((tmp_path / "shared").rglob("*.o.*"))  # no temporary file is left
    assert run(package, tmp_path / "shared")[0][1].split()[-2] == "1"


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="permissions of POSIX")
class TestPrivateFolder:
    def warned(self, package, cache, what):
        (_, result), err = run(package, cache)
        assert result.startswith("[1.0, 2.0, 3.0]")
        assert err.count("RuntimeWarning") == 1 and what in err, err
        return err

    def test_writable_by_others(self, package, tmp_path):
        for mode in (0o777, 0o770, 0o702):
            shared = tmp_path / oct(mode)
            shared.mkdir()
            shared.chmod(mode)
            self.warned(package, shared, "can be written by others")
            assert not list(shared.iterdir())

    def test_key_folder_writable_by_others(self, package, tmp_path):
        (key, _), _ = run(package, tmp_path / "mine")
        (tmp_path / "mine" / key).chmod(0o777)
        self.warned(package, tmp_path / "mine", "can be written by others (mode 777")

    def test_not_a_folder(self, package, tmp_path):
        (tmp_path / "file").touch()
        self.warned(package, tmp_path / "file", "cannot keep compiled kernels")

    def test_temporary_folder_goes_away(self, package, tmp_path):
        (tmp_path / "file").touch()
        script = SCRIPT + "print(jit.folder(), oct(jit.folder().stat().st_mode)[-3:])"
        out, _ = finish(start(package, tmp_path / "file", script, TMPDIR=str(tmp_path)))
        folder, mode = out.split()[-2:]
        assert Path(folder).parent == tmp_path and mode == "700" and not Path(folder).exists()

    def test_of_another_user(self, monkeypatch, tmp_path):
        monkeypatch.setattr(os, "getuid", lambda: tmp_path.stat().st_uid + 1)
        with pytest.raises(PermissionError, match="belongs to another user"):
            jit.check_private(tmp_path)


def test_usual_folder(monkeypatch, tmp_path):
    import platformdirs

    monkeypatch.delenv("TINYGRAD_RNN_CACHE_DIR", raising=False)
    assert jit.cache_root() == Path(platformdirs.user_cache_dir("tinygrad_rnn", appauthor=False))
    monkeypatch.setenv("TINYGRAD_RNN_CACHE_DIR", str(tmp_path))
    assert jit.cache_root() == tmp_path


def test_users_own_functions_keep_their_cache(package, tmp_path):
    """Numba's settings are as they were, while and after ours are compiled."""
    user = tmp_path / "user.py"
    user.write_text("import numba\n@numba.njit(cache=True)\ndef mine(x):\n    return x + 1\n")
    script = SCRIPT + "import user, numba\nuser.mine(1)\nprint(repr(numba.config.CACHE_DIR))"
    out, _ = finish(start(package, tmp_path / "ours", f"import sys; sys.path.insert(0, {str(tmp_path)!r})" + script))
    assert out.splitlines()[-1] == "''"
    assert list((tmp_path / "__pycache__").glob("user.mine*.nbi")) and not list((tmp_path / "ours").rglob("user.*"))


def test_notice_of_a_long_compilation(package, tmp_path):
    script = "from tinygrad_rnn.kernels import jit\njit.NOTICE_AFTER = 0.05\n" + SCRIPT
    _, cold = finish(start(package, tmp_path / "c", script))
    assert cold.count("\n") == 1 and "compiling kernels for this machine, once" in cold and str(tmp_path / "c") in cold
    _, quick = finish(start(package, tmp_path / "d", "jit = __import__('tinygrad_rnn.kernels.jit').kernels.jit\n"
                            "jit.NOTICE_AFTER = 1000\n" + SCRIPT))
    assert quick == ""


def test_notice_counts_all_compiling(monkeypatch):
    said = []
    monkeypatch.setattr(jit, "_announce", lambda: said.append(1))
    monkeypatch.setattr(jit, "_announced", False)
    monkeypatch.setattr(jit, "_spent", jit.NOTICE_AFTER)
    with jit._compiling():
        __import__("time").sleep(0.05)
    assert said == [1]


def test_one_form_a_dtype():
    @jit.kernel("T(const(T[::1]), intp)")
    def pick(x, i):
        """An element."""
        return x[i]

    x = np.arange(5.0)
    assert pick[x.dtype](x, 3) == 3 and pick["float64"] is pick[np.float64]
    read_only = x.view()
    read_only.flags.writeable = False
    assert pick[x.dtype](read_only, 2) == 2
    with pytest.raises(TypeError, match="No matching definition"):  # never compiled for something unforeseen
        pick[x.dtype](x.astype(np.float32), 3)
    with pytest.raises(TypeError, match="pick: expected dtype float32 or float64, got int64"):
        pick[np.dtype(np.int64)]
    assert list(pick) == [x.dtype] and "pick: float64" in repr(pick) and pick.__doc__ == "An element."


GENERATED = """
from tinygrad_rnn.kernels.jit import kernel

@kernel("T(T)")
def scaled(x):
    return x * 3
"""


def test_generated_module(monkeypatch, tmp_path):
    monkeypatch.setenv("TINYGRAD_RNN_CACHE_DIR", str(tmp_path / "cache"))
    jit.folder.cache_clear()
    try:
        module = jit.generated("cell_0001", GENERATED)
        assert module.scaled[np.float64](2.0) == 6.0
        assert jit.generated("cell_0001", GENERATED) is module
        assert Path(module.__file__).is_relative_to(tmp_path)
        assert list((tmp_path / "cache").rglob("*cell_0001.scaled*.nbi"))
        with pytest.raises(ZeroDivisionError):
            jit.generated("cell_0002", "1 / 0")
        with pytest.raises(ZeroDivisionError):  # is not half imported
            jit.generated("cell_0002", "1 / 0")
        if hasattr(os, "getuid"):
            Path(module.__file__).with_name("cell_0003.py").write_text(GENERATED)
            Path(module.__file__).with_name("cell_0003.py").chmod(0o666)
            with pytest.raises(PermissionError, match="can be written by others"):
                jit.generated("cell_0003", GENERATED)
    finally:
        monkeypatch.undo()
        jit.folder.cache_clear()


def test_damaged_object_file_is_replaced(package, tmp_path):
    """The linker of LLVM would end the process on one."""
    (_, good), _ = run(package, tmp_path / "c")
    path, = (tmp_path / "c").rglob("*.o")
    whole = path.read_bytes()
    for damaged in (b"", whole[:-1], whole[:40], b"nonsense" * 20):
        path.write_bytes(damaged)
        assert run(package, tmp_path / "c")[0][1].split("]")[:2] == good.split("]")[:2]
        assert path.read_bytes() == whole


def test_unfinished_object_file_is_never_seen(tmp_path):
    """Writers replace a file as a whole."""
    path = tmp_path / "folder" / "file"
    jit.write_atomically(path, b"one")
    with path.open("rb") as reader:
        jit.write_atomically(path, b"three")
        assert reader.read() == b"one"
    assert path.read_bytes() == b"three" and list(path.parent.iterdir()) == [path]
