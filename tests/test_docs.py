"""The documentation: its examples print what it shows, and its links lead to files."""

from __future__ import annotations

import doctest
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from builders import ROOT
from command import run

DOCS = ROOT / "docs"
PAGES = sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))
WITH_PYTHON = [page for page in PAGES if ">>> " in (DOCS / page).read_text(encoding="utf-8")]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("page", WITH_PYTHON)
def test_python(page: str) -> None:
    result = doctest.testfile(str(DOCS / page), module_relative=False, optionflags=FLAGS)
    assert result.attempted > 0
    assert result.failed == 0


def test_pages_with_python() -> None:
    assert {"tutorial.md", "howto/write.md", "howto/pipelining.md"} <= set(WITH_PYTHON)


@pytest.mark.parametrize("page", PAGES)
def test_commands(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)  # where commands may write
    text = (DOCS / page).read_text(encoding="utf-8")
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        command, _, expected = block.replace("\\\n", " ").partition("\n")
        name, *arguments = shlex.split(command.removeprefix("$ "))
        assert name == "polylat"
        result = run(*arguments)
        assert result.exit_code == 0
        assert result.output.startswith(expected.removesuffix("...\n"))


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files(page: str) -> None:
    path = DOCS / page
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target


@pytest.mark.slow
def test_the_pages_build_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("sphinx")
    pytest.importorskip("furo")
    options = ["--quiet", "--fail-on-warning", "--keep-going"]
    subprocess.run(
        [sys.executable, "-m", "sphinx", *options, "docs", str(tmp_path)],
        check=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    for page in PAGES:
        assert (tmp_path / page).with_suffix(".html").exists()
    # Works offline: nothing that a page loads comes from elsewhere.
    for path in tmp_path.rglob("*.html"):
        loaded = re.findall(
            r'<(?:script|link|img|iframe)\b[^>]*?(?:src|href)="(https?:[^"]+)"',
            path.read_text(encoding="utf-8"),
        )
        assert not loaded, path
