"""The README: its examples print what it shows."""

from __future__ import annotations

import io
import re
import runpy
import shlex

import pytest
from rich.console import Console

from builders import ROOT
from command import run

PAGES = ["README.md", "docs/accelforge.md", "docs/json.md", "docs/model.md"]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_commands() -> None:
    (block,) = blocks("console")
    command, _, expected = block.replace("\\\n", " ").partition("\n")
    name, *arguments = shlex.split(command.removeprefix("$ "))
    assert name == "polylat"
    result = run(*arguments)
    assert result.exit_code == 0
    assert result.output == expected


def test_the_demo() -> None:
    (block,) = blocks("text")
    script = runpy.run_path("examples/tapped_cascade.py")
    out = io.StringIO()
    Console(file=out, width=80, color_system=None).print(script["story"]())
    printed = [line.rstrip() for line in out.getvalue().rstrip().splitlines()]
    assert block.splitlines() == printed


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    path = ROOT / page
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_headings(page: str) -> None:
    path = ROOT / page
    for target, heading in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", path.read_text(encoding="utf-8")):
        text = (path.parent / target if target else path).read_text(encoding="utf-8")
        titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
        anchors = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
        assert heading in anchors
