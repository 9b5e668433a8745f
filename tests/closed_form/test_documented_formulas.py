"""The formulas of the documentation, at points of the boxes that it states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

import polylat
from builders import EXAMPLES, ROOT
from polylat.closed_form.formula import Formula
from thinned import thinned

PAGE = (ROOT / "docs" / "formulas.md").read_text(encoding="utf-8")


def at_sizes(formula: Formula, sizes: Sequence[int], options: dict[str, Any]) -> int:
    """Compare the latency and all orders with `analyze`; the number of sizes."""
    (parameter,) = formula.parameters
    options = {**options, "granularity": formula.options["granularity"]}
    for size in sizes:
        report = polylat.analyze(parameter.apply(formula.spec, size), **options)
        at = {parameter.symbol: size}
        assert formula(**at) == report.latency, at
        assert formula.expression.subs(formula.symbols[0], size) == report.latency, at
        assert formula.resource_bound(**at) == report.resource_bound
        assert formula.roofline(**at) == report.roofline
    return len(sizes)


@pytest.mark.long
@pytest.mark.parametrize(
    ("file", "name", "sizes", "options", "expression"),
    [
        ("matmul_chain", "M", range(4, 65), {"granularity": "tile", "staged": "all"}, ""),
        ("matmul_chain", "m_tiles", range(1, 49), {"granularity": "tile"}, "1024*m_tiles + 256"),
        ("two_convolutions", "P", range(1, 65), {}, "Max(8*P + 36, 25*P/2 + 16)"),
    ],
)
def test_examples(
    file: str, name: str, sizes: range, options: dict[str, Any], expression: str
) -> None:
    """Inside of the box, the formula, its expression and `analyze` agree."""
    spec = polylat.load(EXAMPLES / f"{file}.yaml")
    formula = polylat.symbolic(spec, [name], **options)
    assert formula.latency.proven
    assert str(formula.expression) == expression or not expression
    assert expression in PAGE
    some = thinned(sizes, 6)
    assert at_sizes(formula, some, options) == len(some)
