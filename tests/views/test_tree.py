"""Trees of mappings, as text and as a picture."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from fractions import Fraction

import polylat
from builders import compute, leaf, loop, memory, nested, spec, storage
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


def test_a_recurrence_is_an_arrow_back() -> None:
    """It goes through the innermost holder above the loop that carries it: RF is below."""
    arch = [memory("DRAM", size="inf"), memory("SRAM", size="inf"), memory("RF", size="inf")]
    stages = [
        nested(loop("b"), leaf("g", "mac")),
        nested(loop("b"), storage("RF", "s"), leaf("h", "mac")),
    ]
    nodes = [
        storage("DRAM", "a", "h", "s"),
        loop("t", 2),
        storage("SRAM", "h", "s"),
        loop("t"),
        storage("SRAM", "g"),
        {"type": "Sequential", "nodes": stages},
    ]
    data = spec({"t": 4, "b": 2}, [], [*arch, compute("mac")], nodes)
    data["workload"]["einsums"] = [
        "g[t, b] = a[t, b] * h[t, b]",
        {
            "name": "h",
            "tensor_accesses": [
                {"name": "g", "projection": ["t", "b"]},
                {"name": "s", "projection": {"T": "t - 1", "B": "b"}},
                {"name": "s", "projection": ["t", "b"], "output": True},
                {"name": "h", "projection": {"T": "t + 1", "B": "b"}, "output": True},
            ],
        },
    ]
    tree = polylat.tree(Spec.from_dict(data))
    assert str(tree).splitlines()[-3:] == [
        "h -> g: h through SRAM (recurrence)",
        "g -> h: g through SRAM",
        "h -> h: s through SRAM (recurrence)",
    ]
    assert any(line.startswith("arrow up or to itself") for line in tree.legend())
    drawn = ET.fromstring(tree.to_svg())
    labels = ["".join(t.itertext()) for t in drawn.iter(f"{SVG}text")]
    assert {"h in SRAM", "g in SRAM", "s in SRAM"} <= set(labels)


def test_a_node_whose_tensors_an_outer_one_holds_is_not_shown() -> None:
    nodes = [storage("DRAM", "p", "a"), storage("DRAM", "h"), loop("t"), leaf("h")]
    data = spec({"t": 4}, [], [memory("DRAM", size="inf"), compute("mac")], nodes)
    data["workload"]["einsums"] = ["h[t] = p[t] * a[t]"]
    found = Spec.from_dict(data, recurrences={"p": "h[t-1]"})
    assert str(polylat.tree(found)).splitlines() == [
        "DRAM keeps h, a",
        "for t  (4 tiles of 1)",
        "h on mac",
        "h -> h: h through DRAM (recurrence)",
    ]
    data["mapping"]["nodes"][:2] = [storage("DRAM", "h", "a")]
    data["workload"]["einsums"] = ["h[t] = h[t-1] * a[t]"]
    reports = {"key": polylat.analyze(found), "own": polylat.analyze(Spec.from_dict(data))}
    assert not polylat.compare(reports).mapping
