"""What the proof shares with the code that it checks: nothing beyond this list."""

from __future__ import annotations

import ast
from pathlib import Path

from builders import ROOT
from polylat.proof.certificate import SHARED

ALLOWED = {
    # Base layers and values of the input.
    "polylat.errors": "exceptions",
    "polylat.numbers": "numbers as text",
    "polylat.tables": "tables",
    "polylat.spec": "the input",
    "polylat.spec.affine": "the input",
    "polylat.spec.arch": "the input",
    "polylat.spec.network": "the input",
    "polylat.lowering.paths": "values of the paths of the leaves; `Leaf.trips`",
    # What is checked: the report, its schedule as pieces, and the critical path as steps.
    "polylat.analysis.access": "values of the report",
    "polylat.analysis.results": "the report",
    "polylat.analysis.critical_path": "the critical path to check",
    "polylat.analysis.starts": "the schedule to check as pieces",
    "polylat.engine.model": "the mapping and its options",
    "polylat.schedule.timing": "names of the orders",
    "polylat.schedule.arrays": "types of arrays",
    "polylat.schedule.pieces": "affine pieces, and merging them",
    # Tools without a rule of the model.
    "polylat.analysis.isl_pieces": "ISL sets of pieces, lexicographic functions",
    "polylat.lowering.points": "evaluation of ISL sets and functions",
}

PROOF = ROOT / "polylat" / "proof"


def shared_modules(path: Path) -> set[str]:
    """The modules outside the proof that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("polylat"):
            found.add(str(node.module))
        elif isinstance(node, ast.Import):
            found |= {a.name for a in node.names if a.name.startswith("polylat")}
    return {name for name in found if not name.startswith("polylat.proof")}


def test_imports_are_on_the_list() -> None:
    found = {name for path in PROOF.rglob("*.py") for name in shared_modules(path)}
    assert found == set(ALLOWED)


def test_the_engine_is_known_as_a_claim_only() -> None:
    """The modules that derive the rules and counts do not know the model, the engine's value."""
    users = {
        path.name
        for path in PROOF.rglob("*.py")
        if any(".engine" in name for name in shared_modules(path))
    }
    assert users == {"problem.py", "verify.py"}


def test_the_certificate_says_what_is_shared() -> None:
    assert len(SHARED) >= 4
    model = (ROOT / "docs" / "model.md").read_text(encoding="utf-8")
    text = " ".join(model.split())
    for what in SHARED:
        assert what in text
