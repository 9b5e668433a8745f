"""Single changes: each has the latency of its own analysis, and none is missing."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings

import polylat
from builders import EXAMPLES
from polylat import MappingError, OptionError, ScheduleError, Spec, UnsupportedError
from polylat.spec.mapping import Sequential
from polylat.spec.names import known_names
from recurrent import two_stages
from reports import analyzed
from strategies import Data, cascades

FEWER = settings(max_examples=max(10, settings().max_examples // 4))
"""A case is some twenty analyses."""


def latency(spec: Spec, **options: Any) -> Any:
    """The latency of an analysis; None where there is none."""
    try:
        return polylat.analyze(spec, **options).latency
    except (MappingError, ScheduleError, UnsupportedError):
        return None


@FEWER
@given(cascades())
def test_every_change_is_an_analysis(case: tuple[Data, Data]) -> None:
    plain, options = case
    report = analyzed(plain, **options)
    spec = Spec.from_dict(plain)
    found = report.changes()
    for change in found.changes:
        if change.component is not None and not change.ring:
            arch = spec.arch.faster(change.component, change.action, Fraction(2))
            if change.kind == "latency":
                arch = spec.arch.quicker(change.component, Fraction(2))
            assert change.latency == latency(replace(spec, arch=arch), **options)
        assert change.latency == latency(change.spec)
        assert (change.latency is None) == bool(change.found.reason)
    known = [change.latency for change in found.changes if change.latency is not None]
    assert known == sorted(known)
    assert all(change.latency is None for change in found.changes[len(known) :])
    assert (found.best is None) == (not known or known[0] >= report.latency)
    words = [change.what for change in found.changes]
    assert len(words) == len(set(words))
    for split in spec.mapping.splits():
        inner = f"split {split.name} as a Pipeline" in words
        assert inner == isinstance(split, Sequential)
    names = known_names(spec.workload, spec.arch.order, spec.mapping)
    for pair in names.write_backs:
        waited = f"{pair[0]}@{pair[1]} in the background" in words
        assert waited == (pair not in report.background)


def test_half_a_fixed_latency() -> None:
    """A ring of two stages, 2 and a fixed latency of 4 each: 12 per step, or 10."""
    ring = two_stages(20, 1, 2, 2)
    for node in ring["arch"]["nodes"][-2:]:
        node["actions"][0]["latency"] = 4
    report = analyzed(ring, granularity="flow")
    assert report.latency == 20 * (2 + 4 + 2 + 4)
    half = {c.what: c.latency for c in report.changes().changes if c.what.startswith("half")}
    both = 20 * (2 + 2 + 2 + 4)
    assert half == {"half the fixed latency of m1": both, "half the fixed latency of m2": both}
    ring["arch"]["nodes"][-1]["actions"][0]["latency"] = 2
    assert analyzed(ring, granularity="flow").latency == both


def example(**options: Any) -> polylat.Report:
    files = (EXAMPLES / f"{part}.yaml" for part in ("arch", "workload", "tap_resident"))
    return polylat.analyze(polylat.load(*files), **options)


def test_by_hand() -> None:
    """The tap: what the README says of each change."""
    found = example().changes()
    by_words = {change.what: change.latency for change in found.changes}
    assert by_words["o2@SRAM in the background"] == 31752
    assert by_words["all splits as Pipelines"] == 24576
    assert by_words["tiles in SRAM staged"] == 32256
    assert found.best is not None and found.best.what == "all splits as Pipelines"
    assert found.headline() == (
        "all splits as Pipelines: 32,256 becomes 24,576, 7,680 (23.8%) less.",
    )


def test_nothing_helps() -> None:
    """What is as fast as its slowest port: all others may become faster in vain."""
    found = example(pipelined=True, background="o2").changes()
    helps = [change.what for change in found.changes if (found.saved(change) or 0) > 0]
    assert helps == ["DRAM twice as fast", "DRAM read twice as fast", "DRAM write twice as fast"]


@pytest.mark.parametrize("factor", [1, 0, "2", 1.5, [2]])
def test_the_factor_is_a_whole_number_above_one(factor: Any) -> None:
    with pytest.raises(OptionError, match="factor"):
        example().changes(factor)
