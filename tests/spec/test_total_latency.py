"""A ``total_latency`` that is not a maximum of sums: roofline evaluates it, analyze refuses it."""

from __future__ import annotations

import json
import pickle
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from builders import DATA
from polylat.analysis.roofline import roofline
from polylat.closed_form.formula import symbolic
from polylat.errors import ExpressionError, UnsupportedError
from polylat.explorer import explore
from polylat.report import analyze
from polylat.spec.reading.load import load

FILE = DATA / "upstream" / "bursts_ceil.yaml"


def with_latency(text: str) -> str:
    """The input with another expression; DRAM: 384 and 192 reads, 0 and 128 writes."""
    data = FILE.read_text(encoding="utf-8")
    start = data.index('"ceil(')
    return data[:start] + json.dumps(text) + data[data.index('"', start + 1) + 1 :]


def busy(text: str, tmp_path: Path) -> list[Any]:
    path = tmp_path / "input.yaml"
    path.write_text(with_latency(text), encoding="utf-8")
    return [times["DRAM"] for times in roofline(load(path)).per_einsum.values()]


def test_bursts() -> None:
    spec = load(FILE)
    assert roofline(spec).latency == 1536  # AccelForge's, 1.0.467 and main
    assert spec.arch.component("Y", "DRAM").ports == ()
    assert pickle.loads(pickle.dumps(spec)) == spec == load(FILE)
    assert "by total_latency" in str(spec)


def test_everything_else_refuses_and_names_bursts() -> None:
    spec = load(FILE)
    for refused in (
        lambda: analyze(spec),
        lambda: explore(spec),
        lambda: symbolic(spec, ["DRAM.throughput"]),
    ):
        with pytest.raises(
            UnsupportedError, match=r"a maximum of sums: ceil\(\) is applied to"
        ) as error:
            refused()
        assert error.value.where == "arch.nodes[0].total_latency (line 3), for Einsum 'Y'"
        assert "schedule: burst: {component: {action: n}}" in str(error.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("floor(sum(a.n_calls for a in actions) / 7)", [54, 45]),
        ("min(a.n_calls for a in actions)", [0, 128]),
        ("max(1, min(actions['read'].n_calls, 5)) * 3", [15, 15]),
        ("actions['read'].n_calls * actions['write'].n_calls", [0, 24576]),
        ("actions[0].n_calls if actions[0].n_calls > 200 else 100", [384, 100]),
        ("sum(a.n_calls for a in actions if a.n_calls > 150)", [384, 192]),
        ("sum(a.n_calls for a in actions) ** 2", [147456, 102400]),
        ("sum(a.n_calls for a in actions) % 5", [4, 0]),
        ("1000 - actions['read'].n_calls", [616, 808]),
        ("sum(range(int(actions['read'].n_calls)))", [73536, 18336]),
        ("max(ceil(a.n_calls/64) for a in actions)", [6, 3]),
        ("actions['read'].n_calls / (1 + actions['write'].n_calls)", [384, Fraction(64, 43)]),
        ("actions['read'].throughput * ceil(actions['read'].n_calls / 64)", [3, Fraction(3, 2)]),
        ("[5, 7][int(actions[1].n_calls) & 1] + (~int(actions[0].n_calls) | 1)", [-380, -188]),
        ("-3", [-3, -3]),
    ],
)
def test_values(text: str, expected: list[Any], tmp_path: Path) -> None:
    """AccelForge's, on the same numbers of calls (see ``test_accelforge.py``), but exact."""
    assert busy(text, tmp_path) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ceil(nothing)", "cannot evaluate 'ceil(nothing)': 'nothing' is not defined"),
        ("1 / floor(actions[1].n_calls)", "cannot evaluate '1 / floor(actions[1].n_calls)': div"),
        ("'a' if actions[0].n_calls > 3 else 3", "must be a finite time, not 'a'"),
        ("inf if actions[0].n_calls > 3 else 3", "must be a finite time, not inf"),
    ],
)
def test_what_cannot_be_evaluated(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ExpressionError) as error:
        busy(text, tmp_path)
    assert message in str(error.value)
    assert error.value.where == "arch.nodes[0].total_latency (line 3), for Einsum 'Y'"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("min(a.n_calls for a in actions)", "is not a maximum of sums: which argument of min()"),
        ("5 - sum(a.n_calls for a in actions)", "subtracts"),
    ],
)
def test_reasons(text: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "input.yaml"
    path.write_text(with_latency(text), encoding="utf-8")
    with pytest.raises(UnsupportedError) as error:
        analyze(load(path))
    assert f"the total_latency of 'DRAM' {reason}" in str(error.value)
    assert "Fix: write it with +, max() and n_calls times or over constants" in str(error.value)


def test_a_component_that_is_not_used(tmp_path: Path) -> None:
    """It has no busy time in AccelForge either."""
    text = FILE.read_text(encoding="utf-8")
    unused = "- !Memory {name: unused, size: 1, total_latency: '5 - actions[0].n_calls', actions: "
    rates = "[{name: read, throughput: 1}, {name: write, throughput: 1}]}"
    path = tmp_path / "input.yaml"
    plain = re.sub(r'total_latency: ".*?", ', "", text)
    path.write_text(plain.replace("- !Compute", f"{unused}{rates}\n    - !Compute", 1), "utf-8")
    assert analyze(load(path)).latency > 0
