"""Errors, tables and the fit of constants, on rows that are easy to check by hand."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import pytest

pytest.importorskip("matplotlib", reason="the extra `plot` is not installed")

from benchmarks.truth.fit import descend
from benchmarks.truth.measure import Result, errors, groups, halves
from benchmarks.truth.pages import page, plot
from benchmarks.truth.rows import Constants, Family, Row, Variant
from builders import ROOT

ROWS = [
    Row("F", f"row {i}", 100, {"source": source}, (source,), {"exact": 100})
    for i, source in enumerate("aabba")
]
FAMILY = Family(
    "F",
    "f.csv",
    lambda _: ROWS,
    lambda *_: {},
    (Variant("exact"), Variant("rough", {"x": Fraction(2)})),
)


def results(variant: str, *latencies: int | None) -> list[Result]:
    return [
        Result(row, variant, None if x is None else Fraction(x), failure="" if x else "why\nmore")
        for row, x in zip(ROWS, latencies, strict=True)
    ]


def test_errors_have_no_sign() -> None:
    found = errors(results("rough", 90, 130, 100, 100, None))
    assert found is not None
    assert (found.rows, found.mean, found.median, found.largest) == pytest.approx((4, 10, 5, 30))
    assert errors(results("rough", None, None, None, None, None)) is None


def test_every_second_row_of_a_source() -> None:
    fitted, others = halves(ROWS)
    assert [row.name for row in fitted] == ["row 0", "row 2", "row 4"]
    assert [row.name for row in others] == ["row 1", "row 3"]
    assert [(name, len(rows)) for name, rows in groups(ROWS).items()] == [
        ("all", 5),
        ("a", 3),
        ("b", 2),
    ]


def test_a_page_says_what_differs() -> None:
    found = [*results("exact", 100, 100, 100, 100, 101), *results("rough", 90, 130, 100, 100, None)]
    constants: dict[str, Constants] = {v.name: v.constants for v in FAMILY.variants}
    text = page(FAMILY, found, constants, halves(ROWS)[1])
    assert "| model | rows (5) | rows not fitted on (2) |" in text
    assert "| rough | 10.0 / 5.0 / 30.0 | 15.0 / 15.0 / 30.0 |" in text
    assert "Equal to the separate simulation: 4 of 5 rows." in text
    assert "No latency: 1; row 4, rough: why" in text
    assert "Constants of *rough*: x 2." in text
    assert "not fitted" not in page(FAMILY, found, constants)


def test_the_readme_has_the_errors_of_the_page() -> None:
    text = (ROOT / "docs" / "truth.md").read_text(encoding="utf-8")
    tables = {part.splitlines()[0]: part for part in text.split("### ")}
    tables["Gemmini"] = tables["Gemmini"].partition("Rows: test: ")[2].partition("Rows: ")[0]
    rows = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Against hardware")[2]
    family, found = "", 0
    for line in rows.partition("\n## ")[0].splitlines():
        match = re.fullmatch(r"\| ?(.*?) ?\| \*(\w+)\*.* \| (\S+ / \S+) \|", line)
        if match is None:
            continue
        designs, model, figures = match.groups()
        family = designs.split(" of ")[-1].split(" on ")[-1] or family
        assert f"| {model} | {figures} / " in tables[family]
        found += 1
    assert found == 6


def test_the_plot_is_written(tmp_path: Path) -> None:
    plot({"F": results("streaming", 90, 130, 100, 100, None)}, tmp_path / "truth.svg")
    assert (tmp_path / "truth.svg").stat().st_size > 10_000


def test_descent_finds_a_valley() -> None:
    def height(constants: Constants) -> float:
        return abs(float(constants["x"]) - 5) + abs(float(constants["y"]) - 0.3)

    found = descend(height, {"x": Fraction(2), "y": Fraction(1), "z": Fraction(7)}, ["x", "y"])
    assert float(found["x"]) == pytest.approx(5, rel=0.03)
    assert float(found["y"]) == pytest.approx(0.3, rel=0.03)
    assert found["z"] == 7
