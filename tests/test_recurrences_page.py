"""The page on three recurrences: every row of its tables, and the figures in its text."""

from __future__ import annotations

import re

import pytest

import polylat
from builders import EXAMPLES, ROOT

TEXT = (ROOT / "docs" / "recurrences.md").read_text(encoding="utf-8")
NAMES = ["state_space_layer", "flash_attention", "fusemax"]


def rows(name: str) -> list[list[str]]:
    """The cells of a table of the page."""
    found = re.search(f"<!-- {name} -->(.*?)<!-- end of {name} -->", TEXT, re.DOTALL)
    assert found is not None
    lines = found[1].strip().splitlines()
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def number(words: str, word: str, default: int) -> int:
    """The number before a word, as in "8 heads inside"."""
    found = re.search(rf"(\d+) {word}", words)
    return int(found[1]) if found else default


def analyze(name: str, mapping: str) -> polylat.Report:
    files = (EXAMPLES / f"{name}{end}.yaml" for end in ("", "_schedule"))
    split, heads = mapping.split(",", maxsplit=1)[0], number(mapping, "heads", 1)
    spec = polylat.load(*files, split=split, heads=heads)
    return polylat.analyze(spec, slots=number(mapping, "slots", 2))


TABLES = [(name, row) for name in NAMES for row in rows(name)]


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "row"), TABLES, ids=[f"{name}-{row[0].replace(' ', '-')}" for name, row in TABLES]
)
def test_rows(name: str, row: list[str]) -> None:
    report = analyze(name, row[0])
    assert report.exact
    ring = report.recurrences[0]
    assert ring.interval == max(found.interval for found in report.recurrences)
    assert row[1:] == [
        f"{round(report.latency):,}",
        f"{round(report.roofline):,}",
        f"{float(ring.interval):g}",
        f"{float(ring.busy):g} ({ring.ports[0][0]})",
    ]


def test_what_hides_the_state() -> None:
    report = analyze("state_space_layer", "Pipeline, 8 heads inside, 5 slots")
    assert report.resource_bound == 524_288
    assert round(report.latency - report.resource_bound) == 38
    assert all(not found.binding for found in report.recurrences)


@pytest.mark.long
@pytest.mark.parametrize("name", ["flash_attention", "fusemax"])
@pytest.mark.parametrize(("heads", "binding"), [(1, True), (2, False)])
def test_two_heads_hide_the_recurrences_of_attention(
    name: str, heads: int, *, binding: bool
) -> None:
    report = analyze(name, f"Pipeline, {heads} heads inside")
    assert report.recurrences[0].binding == binding


def test_the_figures_of_the_readme() -> None:
    """They are those of the table, which is computed above."""
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    _, one, two, _ = rows("fusemax")
    busy = one[4].split(maxsplit=1)[0]
    assert f"{one[1]} becomes {two[1]}" in readme
    assert f"{one[3]} per block of keys" in readme
    assert f"no port is busy for more than {busy}." in readme
