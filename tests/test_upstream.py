"""The table of AccelForge's example inputs: which are compared, and what the page says of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.upstream import page, verdict
from benchmarks.upstream_cases import IN_MEMORY, Case, cases
from builders import ROOT


def row(verdict: str, **more: Any) -> dict[str, Any]:
    """A row for one of the tools."""
    plain = {"kind": "mapping", "name": "a_b × c", "theirs": 0.5, "ours": "1/2", "figures": 3}
    return {**plain, "verdict": verdict, "remark": "", **more}


@pytest.mark.parametrize(
    ("installed", "checkout", "expected"),
    [
        ("equal", "equal", "equal"),
        ("equal", "different", "different"),
        ("AccelForge", "equal", "equal"),
        ("both refuse", "AccelForge", "both refuse"),
        ("both refuse", "polylat", "polylat"),
        ("models", "AccelForge", "models"),
        ("network", "both refuse", "network"),
    ],
)
def test_verdict(installed: str, checkout: str, expected: str) -> None:
    assert verdict(row(installed), row(checkout)) == expected


def test_page() -> None:
    failed = row("different", remark="latency: 1 | 2", theirs=4.0)
    text = page([(row("equal"), row("equal")), (failed, row("equal"))], "1.0.467", "main", 40)
    assert "2 inputs:\n\n- 1: read and evaluated alike\n- 1: differ\n" in text
    assert "| a\\_b × c | 0.5 | 0.5 | 1/2 | 3 | equal |  |\n" in text
    assert "| a\\_b × c | 4 | 0.5 | 1/2 | 3 | **different** | latency: 1 \\| 2 |\n" in text


def test_cases(tmp_path: Path) -> None:
    for name in (
        "examples/workloads/transformers/gpt/gpt3.yaml",
        "examples/workloads/transformers/gpt/_gpt3.yaml",
        "examples/workloads/transformers/_parts/attention.yaml",
        f"{IN_MEMORY}/isaac.yaml",
        f"{IN_MEMORY}/memory_cells/rram.yaml",
        "tests/not_working/old.workload.yaml",
        "tests/input_files/toll.arch.yaml",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("", encoding="utf-8")
    found = [case for case in cases(tmp_path) if case.kind in ("workload", "arch")]
    assert [Path(case.files[0]).name for case in found] == [
        *("gpt3.yaml", "gpt3.yaml", "isaac.yaml", "toll.arch.yaml"),
    ]
    assert found[0].variables["DECODE"] is False and found[1].variables["DECODE"] is True
    assert replace(found[2], variables={"A": 1}).name == "isaac (A=1)"
    assert Case("pair", ("a/b.yaml", "c.yaml")).name == "b × c"


def test_the_page_is_complete() -> None:
    text = (ROOT / "docs" / "upstream.md").read_text(encoding="utf-8")
    assert "**" not in text  # nothing differs, and polylat alone refuses nothing
    assert "/home/" not in text
