"""The command that runs notebooks: a missing extra ends one, an error fails it.

What the notebooks assert is tested by running them all: ``make notebooks``.
"""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from builders import ROOT
from polylat import MissingExtraError

NOTEBOOKS = ROOT / "notebooks"


@pytest.fixture(autouse=True)
def _in_the_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """In the folder of the notebooks, as Jupyter starts them, without showing figures."""
    matplotlib = pytest.importorskip("matplotlib")
    monkeypatch.chdir(NOTEBOOKS)
    before = matplotlib.get_backend()
    matplotlib.use("Agg")
    yield
    import matplotlib.pyplot as plt

    plt.close("all")
    matplotlib.use(before)


@pytest.mark.skipif(find_spec("accelforge") is not None, reason="AccelForge is installed")
def test_without_accelforge_the_mappers_notebook_ends_with_what_to_install() -> None:
    with pytest.raises(MissingExtraError, match=r"polylat\[accelforge\]") as caught:
        runpy.run_path("from_mapper.py")
    lines = (NOTEBOOKS / "from_mapper.py").read_text(encoding="utf-8").splitlines()
    there = [t for t in caught.traceback if Path(t.path).name == "from_mapper.py"]
    assert "from_spec" in lines[there[-1].lineno]


def execute(source: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    for library in ("ipykernel", "jupytext", "nbclient", "nbconvert"):
        pytest.importorskip(library)
    command = [sys.executable, "-m", "notebooks", "-o", str(folder), str(source)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def outputs(folder: Path) -> list[list[dict[str, Any]]]:
    notebook = json.loads((folder / "some.ipynb").read_text(encoding="utf-8"))
    return [cell["outputs"] for cell in notebook["cells"]]


def test_a_missing_extra_ends_a_notebook_and_is_no_failure(tmp_path: Path) -> None:
    source = tmp_path / "some.py"
    source.write_text(
        "# %%\n1 + 1\n"
        "# %%\nimport polylat\nraise polylat.MissingExtraError('no X', fix='install [x]')\n"
        "# %%\nprint('never')\n",
        encoding="utf-8",
    )
    done = execute(source, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "ended early: no X. Fix: install [x]." in done.stdout
    first, second, third = outputs(tmp_path)
    assert first[0]["data"]["text/plain"] == ["2"]
    assert second[0]["ename"] == "MissingExtraError"
    assert third == []
    assert "install [x]" in (tmp_path / "some.html").read_text(encoding="utf-8")


def test_a_wrong_number_is_a_failure(tmp_path: Path) -> None:
    source = tmp_path / "some.py"
    source.write_text("# %%\nassert 1 + 1 == 3\n", encoding="utf-8")
    done = execute(source, tmp_path)
    assert done.returncode == 1
    assert "assert 1 + 1 == 3" in done.stderr
    assert (tmp_path / "some.ipynb").exists()
