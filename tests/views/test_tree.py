"""Trees of mappings, as text and as a picture."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from fractions import Fraction

import polylat
from polylat import Report, Spec

SVG = "{http://www.w3.org/2000/svg}"


def test_trees(spec: Spec, report: Report) -> None:
    plain = polylat.tree(spec.mapping)
    assert "for m  (tiles of 1)" in plain.to_text() and not plain.flows
    known = polylat.tree(spec)
    assert "for m  (8 tiles of 1)" in known.to_text()
    flows = {(f.tensor, f.component) for f in known.flows}
    assert flows == {("o1", "SRAM"), ("o2", "SRAM")}
    marked = report.mapping_tree()
    assert "◀ critical" in marked.to_text() and "o1 8" in marked.to_text()
    total = sum(row.share or Fraction(0) for row in marked.rows)
    assert total == 1
    for tree in (plain, known, marked):
        drawn = ET.fromstring(tree.to_svg())
        words = " ".join(tree.legend())
        assert ("critical" in words, "arrow" in words) == (tree is marked, tree is not plain)
        assert "Sequential:" in words and "Pipeline:" not in words and "spatial" not in words
        spans = ["".join(t.itertext()) for t in drawn.iter(f"{SVG}text")]
        assert all(any(row.text in s for s in spans) for row in tree.rows)
