"""The page that compares AccelForge's branches with polylat: its tables, and our own input."""

from __future__ import annotations

import re

import pytest

import polylat
from benchmarks.accelforge_branches import BRANCHES, LESS, OWN, PAGE, Row, table, with_tables
from builders import DATA

TEXT = PAGE.read_text(encoding="utf-8")


def rows(branch: str) -> list[list[str]]:
    """The cells of a table of the page."""
    found = re.search(f"<!-- {branch} -->(.*?)<!-- end of {branch} -->", TEXT, re.DOTALL)
    assert found is not None
    lines = found[1].strip().splitlines()
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def number(cell: str) -> float:
    return float(cell.rsplit(maxsplit=1)[-1].replace(",", ""))


@pytest.mark.parametrize("branch", BRANCHES)
def test_the_tables_agree_with_themselves(branch: str) -> None:
    """No figure of polylat is less than the busy time of a port; the branch's are marked."""
    for _, theirs, sequential, pipeline, busiest, why in rows(branch):
        assert why.endswith(".")
        if sequential == "–":
            assert "polylat refuses it" in why
            continue
        busy = 0 if busiest == "–" else number(busiest)  # no port: nothing takes time
        assert busy <= number(pipeline) <= number(sequential)
        assert (LESS in theirs) == (number(theirs.removesuffix(LESS)) < busy)
        same = number(theirs.removesuffix(LESS)) == number(sequential) == number(pipeline)
        assert same == why.startswith("They agree:")
        if "proven optimal" in why:
            assert number(pipeline) == busy


def test_all_ten_tests_of_the_branch_latency() -> None:
    names = {name for row in rows("latency") for name in re.findall(r"test(?:\\_\w+?)+\b", row[0])}
    assert len(names) == 10


def test_our_own_input() -> None:
    (row,) = (row for row in rows("latency") if row[0] == OWN.replace("_", "\\_"))
    spec = polylat.load(DATA / "upstream" / OWN)
    overlapped = polylat.analyze(spec.with_pipelines())
    assert (number(row[2]), number(row[3])) == (polylat.analyze(spec).latency, overlapped.latency)
    assert number(row[4]) == overlapped.resource_bound


def test_a_table_replaces_another() -> None:
    text = table(
        [
            Row("a_test; another", 7, 9, 8.5, 8, "SRAM", "Because."),
            Row("network", 80, why="polylat refuses it: no."),
        ]
    )
    assert text.splitlines()[2:] == [
        "| a\\_test<br>another | 7 † | 9 | 8.5 | SRAM 8 | Because. |",
        "| network | 80 | – | – | – | polylat refuses it: no. |",
    ]
    page = with_tables(TEXT, {"latency": text})
    assert page.count(text) == 1
    assert with_tables(page, {"latency": text}) == page
    assert (
        page.partition("<!-- end of latency -->")[2]
        == TEXT.partition("<!-- end of latency")[2][len(" -->") :]
    )
    with pytest.raises(ValueError, match="the page has 0 places for the table of more"):
        with_tables(TEXT, {"more": text})
