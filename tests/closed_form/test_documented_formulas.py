"""The formulas of the documentation, at every point of the boxes that it states."""

from __future__ import annotations

from typing import Any

import pytest

import polylat
from builders import EXAMPLES
from polylat.closed_form.formula import Formula


def at_every_size(formula: Formula, sizes: range, options: dict[str, Any]) -> int:
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


@pytest.mark.parametrize(
    ("file", "name", "sizes", "options", "proven"),
    [
        ("matmul_chain", "M", range(4, 65), {"granularity": "tile", "staged": "all"}, True),
        ("matmul_chain", "m_tiles", range(1, 49), {"granularity": "tile"}, True),
        ("two_convolutions", "P", range(1, 65), {}, True),
        ("attention", "H", range(1, 25), {"granularity": "tile"}, True),
    ],
)
def test_examples(
    file: str, name: str, sizes: range, options: dict[str, Any], proven: bool
) -> None:
    """Inside of the box, the formula, its expression and `analyze` agree."""
    spec = polylat.load(EXAMPLES / f"{file}.yaml")
    formula = polylat.symbolic(spec, [name], **options)
    assert formula.latency.proven is proven
    assert at_every_size(formula, sizes, options) == len(sizes)
