"""Compiled code is kept where that is possible, and works where it is not."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numba
import pytest

from builders import EXAMPLE, ROOT
from polylat.schedule import compilation

CODE = """
from polylat.schedule.compilation import compiled

@compiled
def twice(x):
    return {} * x
"""


@pytest.fixture(autouse=True)
def _no_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No folder but the one beside the source: the others are files."""
    (tmp_path / "file").touch()
    # Bytecode of a source that changes within a second is taken for that of the new source.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "file"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(compilation, "_user_caches", lambda: tmp_path / "file")


def load(path: Path, code: str | None = None, name: str = "polylat.schedule.case") -> Any:
    """Import a module from a file, as a new process does."""
    if code is not None:
        path.write_text(code, encoding="utf-8")
    compilation._source_stamp.cache_clear()
    found = importlib.util.spec_from_file_location(name, path)
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module
    try:
        found.loader.exec_module(module)
    finally:
        if name == "polylat.schedule.case":
            del sys.modules[name]
    return module


def hits(module: Any) -> int:
    return sum(module.twice.stats.cache_hits.values())


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.nbc*"))


def test_kept_beside_the_source(tmp_path: Path) -> None:
    first = load(tmp_path / "case.py", CODE.format(2))
    assert (first.twice(3), hits(first), first.twice._cache.in_memory) == (6, 0, 0)
    assert len(files(tmp_path / "__pycache__")) == 1
    second = load(tmp_path / "case.py")
    assert (second.twice(3), hits(second)) == (6, 1)
    assert (second.twice(1.5), hits(second)) == (3, 1)
    assert len(files(tmp_path / "__pycache__")) == 2


def test_code_of_another_source_is_not_used(tmp_path: Path) -> None:
    assert load(tmp_path / "case.py", CODE.format(2)).twice(3) == 6
    changed = load(tmp_path / "case.py", CODE.format(3))
    assert (changed.twice(3), hits(changed)) == (9, 0)
    assert len(files(tmp_path / "__pycache__")) == 1, "the old code is removed"


def test_a_change_of_an_imported_module_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "polylat.schedule.factor", None)
    calling = CODE.replace("@", "from polylat.schedule.factor import FACTOR\n\n@").format("FACTOR")
    for factor, found in ((2, 0), (2, 1), (3, 0)):
        load(tmp_path / "factor.py", f"FACTOR = {factor}\n", "polylat.schedule.factor")
        module = load(tmp_path / "case.py", calling)
        assert (module.twice(3), hits(module)) == (3 * factor, found)


@pytest.mark.parametrize("place", [0, 31, 32, 40, -1, None])
def test_damaged_code_is_compiled_anew(tmp_path: Path, place: int | None) -> None:
    load(tmp_path / "case.py", CODE.format(2)).twice(3)
    (file,) = files(tmp_path)
    sound = file.read_bytes()
    damaged = bytearray(sound[:20] if place is None else sound)
    if place is not None:
        damaged[place] ^= 1
    file.write_bytes(damaged)
    module = load(tmp_path / "case.py")
    assert (module.twice(3), hits(module)) == (6, 0)
    assert files(tmp_path) == [file]
    again = load(tmp_path / "case.py")
    assert (again.twice(3), hits(again)) == (6, 1)


def test_without_a_folder_it_stays_in_memory(tmp_path: Path) -> None:
    (tmp_path / "__pycache__").touch()
    module = load(tmp_path / "case.py", CODE.format(2))
    assert (module.twice(3), module.twice(4), module.twice._cache.in_memory) == (6, 8, 1)
    assert files(tmp_path) == []


def test_code_in_a_read_only_folder_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(tmp_path / "case.py", CODE.format(2)).twice(3)
    monkeypatch.setattr(compilation, "_write", lambda *_: False)
    module = load(tmp_path / "case.py")
    assert (module.twice(3), hits(module), module.twice._cache.in_memory) == (6, 1, 0)


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> int:
        with path.open("wb") as file:
            file.write(content[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    module = load(tmp_path / "case.py", CODE.format(2))
    assert (module.twice(3), module.twice._cache.in_memory) == (6, 1)
    assert files(tmp_path) == [], "no incomplete file is left"


def test_the_given_folder_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "given"))
    load(tmp_path / "case.py", CODE.format(2)).twice(3)
    assert len(files(tmp_path / "given")) == 1
    assert not (tmp_path / "__pycache__").exists()


def test_no_relative_folder_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", "caches")
    beside = ROOT / "polylat" / "schedule"
    monkeypatch.setattr(sys, "platform", "linux")
    assert compilation.code_folders(beside / "arrays.py") == [beside / "__pycache__"]


ANALYSES = """
import sys
import polylat
from polylat.schedule.compilation import kept_code
spec = polylat.load(*sys.argv[1:])
report = polylat.analyze(spec, granularity="tile", background="o2")
found = polylat.explore(spec, granularity="tile", background=["o2"])
print(report.latency, found.best.latency, *kept_code())
"""


@pytest.mark.slow
def test_a_container_where_nothing_can_be_written(tmp_path: Path, monkeypatch: Any) -> None:
    """The package is read-only, there is no home, and permissions bind the user."""
    monkeypatch.undo()
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "polylat", tmp_path / "polylat", ignore=ignored)
    for path in (tmp_path, *tmp_path.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    command = [sys.executable, "-c", ANALYSES, *EXAMPLE]
    if os.geteuid() == 0:  # take away the right to write to read-only files
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            pytest.skip("permissions do not bind the superuser, and there is no setpriv")
        command = [setpriv, "--bounding-set", "-dac_override", *command]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": "/proc/nowhere",
        "PYTHONPATH": str(tmp_path),
        "PYTHONDONTWRITEBYTECODE": "1",
        "NUMBA_CACHE_DIR": "/proc/nowhere",
    }
    try:
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        for path in (tmp_path, *tmp_path.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
    assert done.returncode == 0, done.stderr
    latency, best, count, in_memory = map(int, done.stdout.split())
    assert latency >= best > 0
    assert count == in_memory > 0
    assert not files(tmp_path)
