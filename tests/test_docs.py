"""The documentation: what it shows is what comes out, and its links lead somewhere."""

from __future__ import annotations

import doctest
import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from polylat.cli import main

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))
WITH_PYTHON = [page for page in PAGES if ">>> " in (DOCS / page).read_text(encoding="utf-8")]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.fixture(scope="module")
def pictures() -> dict[str, Any]:
    return runpy.run_path(str(DOCS / "rules.py"))


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
    monkeypatch.chdir(tmp_path)  # where they may write
    text = (DOCS / page).read_text(encoding="utf-8")
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        command, _, expected = block.replace("\\\n", " ").partition("\n")
        name, *arguments = shlex.split(command.removeprefix("$ "))
        assert name == "polylat"
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 0
        assert result.output.startswith(expected.removesuffix("...\n"))


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files(page: str) -> None:
    path = DOCS / page
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target


@pytest.mark.parametrize("rule", sorted(path.stem for path in (DOCS / "pictures").glob("*.svg")))
def test_pictures_are_what_the_script_draws(rule: str, pictures: dict[str, Any]) -> None:
    drawn = pictures["draw"](rule)
    assert (DOCS / "pictures" / f"{rule}.svg").read_text(encoding="utf-8") == f"{drawn}\n"


def test_every_rule_has_its_picture(pictures: dict[str, Any]) -> None:
    model = (DOCS / "model.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\(pictures/(\w+)\.svg\)", model)) == set(pictures["RULES"])
    assert {path.stem for path in (DOCS / "pictures").glob("*.svg")} == set(pictures["RULES"])


def test_latencies_of_the_pictures(pictures: dict[str, Any]) -> None:
    found = {
        rule: [report.latency for report in draw().values()]
        for rule, draw in pictures["RULES"].items()
    }
    assert found == {
        # e1 takes 2 per element, e2 3: the first e1, then all of e2.
        "flow": [2 + 4 * 3],
        "barrier": [4 * 2 + 4 * 3],
        # e1 takes 1, e2 3, five elements.
        "capacity": [5 * (1 + 3), 1 + 5 * 3],
        # a, w and c take 2 each on DRAM: with w ahead, DRAM never waits for long.
        "prefetch": [28, 24],
        # Each element: e1 1 and its write 2, together 2; then e2 3 and its write 2.
        "background": [4 * (2 + 3), 4 * (1 + 3)],
        # e1 and e3 take 2 on one unit, e2 5: in turn, or with e2 never waiting.
        "orders": [4 * (2 + 5 + 2), 2 + 4 * 5 + 2, 2 + 4 * 5 + 2],
        "sharing": [4 * (2 + 2), 2 + 4 * 2],
        "granularity": [4 * 2 + 4 * 3, 2 + 4 * 3],
    }


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
