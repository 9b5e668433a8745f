"""Single changes: each has the latency of its own analysis, and none is missing."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings

import builders
import polylat
from benchmarks.network_inputs import NETWORKS
from builders import EXAMPLES, compute, leaf, loop, memory, nested, spec, storage
from polylat import MappingError, OptionError, ScheduleError, Spec, UnsupportedError
from polylat.analysis import single_changes
from polylat.analysis.transfer_cost import written_values
from polylat.engine.orders import schedule_mapping
from polylat.spec.mapping import Sequential
from polylat.spec.names import known_names
from recurrent import two_stages
from reports import analyzed
from strategies import Data, cascades
from thinned import thinned

FEWER = settings(max_examples=max(5, settings().max_examples // 4))
"""A case is some twenty analyses."""


def latency(spec: Spec, **options: Any) -> Any:
    """The latency of an analysis; None where there is none."""
    try:
        return polylat.analyze(spec, **options).latency
    except (MappingError, ScheduleError, UnsupportedError):
        return None


@pytest.mark.long
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


# --------------------------------------------------------------------------------------------
# Large networks
# --------------------------------------------------------------------------------------------

WRITTEN = {"o1": 2, "o2": 16, "o3": 8, "o4": 2}
"""Tensors that leave SRAM, with their numbers of values."""


def four_in_turn() -> polylat.Report:
    """Four Einsums in turn, the last two of which are a Sequential of their own."""
    texts = [
        "o1[a] = x[a]",
        "o2[a, b] = o1[a] * y[b]",
        "o3[a, c] = o2[a, b] * z[b, c]",
        "o4[a] = o3[a, c]",
    ]
    branches = [
        nested(storage("SRAM", "o1"), loop("a"), leaf("o1")),
        nested(storage("SRAM", "o1", "o2"), loop("a"), loop("b"), leaf("o2")),
        {
            "type": "Sequential",
            "nodes": [
                nested(storage("SRAM", "o2", "o3"), loop("a"), loop("b"), loop("c"), leaf("o3")),
                nested(storage("SRAM", "o3", "o4"), loop("a"), loop("c"), leaf("o4")),
            ],
        },
    ]
    nodes = [memory("DRAM", 1, 1, size="inf"), memory("SRAM", 4, 4, size="inf"), compute("mac", 2)]
    sizes = {"a": 2, "b": 8, "c": 4}
    backing = storage("DRAM", "x", "y", "z", *WRITTEN)
    data = spec(sizes, [], nodes, [backing, {"type": "Sequential", "nodes": branches}])
    data["workload"]["einsums"] = texts
    return polylat.analyze(Spec.from_dict(data))


@pytest.mark.slow
def test_of_a_large_network_the_changes_that_move_the_most_are_analyzed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """First those of the whole mapping, then of splits, then of the largest tensors."""
    report = four_in_turn()
    pairs = {(tensor, "SRAM"): count for tensor, count in WRITTEN.items()}
    assert written_values(report.solution.model) == pairs
    every = {change.what: change for change in report.changes().changes}
    splits = [what for what in every if what.startswith("split ")]
    moved = {
        **{f"{tensor}@SRAM in the background": count for tensor, count in WRITTEN.items()},
        **{f"{f.tensor} kept in SRAM above {f.split}": f.values for f in report.refetches},
    }
    moved = {what: count for what, count in moved.items() if what in every}
    assert len(splits) == 2 and len(moved) == 7
    largest = sorted(moved, key=lambda what: -moved[what])
    monkeypatch.setattr(single_changes, "MOST_WORK", 1)
    for fewest in range(len(splits) + len(moved) + 1):
        monkeypatch.setattr(single_changes, "_FEWEST", fewest)
        changes = four_in_turn().changes()
        found = {change.what: change for change in changes.changes}
        missing = [*splits, *largest][fewest:]
        assert {what: every[what].found for what in found} == {
            what: change.found for what, change in found.items()
        }
        assert sorted(moved.get(what, 99) for what in every if what not in found) == sorted(
            moved.get(what, 99) for what in missing
        )
        told = [remark for remark in changes.remarks if "were not analyzed" in remark]
        assert bool(missing) == bool(told)
        assert not missing or f" {len(missing)} were not analyzed" in told[0]


@pytest.mark.long
def test_what_several_einsums_fetch_is_kept_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three Einsums of the second layer fetch its input: one change keeps it for all of them."""
    report = polylat.analyze(Spec.from_dict(NETWORKS["transformer"](2)))
    assert [fetch.tensor for fetch in report.refetches].count("X1") == 3
    every = [change.what for change in report.changes().changes]
    assert len(every) == len(set(every))
    assert sum("X1 kept" in what for what in every) == 1
    monkeypatch.setattr(single_changes, "MOST_WORK", 1)
    for fewest in thinned((2, 3, 9), 2):
        monkeypatch.setattr(single_changes, "_FEWEST", fewest)
        changes = polylat.analyze(report.spec).changes()
        missing = len(every) - len(changes.changes)
        assert f" {missing} were not analyzed" in changes.remarks[-1]


def test_what_a_text_does_not_show_is_not_analyzed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the write-backs and fetches, three of each are analyzed, and each once."""
    counted = []

    def counting(*args: Any, **options: Any) -> Any:
        counted.append(args)
        return schedule_mapping(*args, **options)

    report = four_in_turn()
    monkeypatch.setattr("polylat.analysis.variation.schedule_mapping", counting)
    text = str(report)
    assert "What the write-backs of o4@SRAM cost" not in text
    first = len(counted)
    # Three write-backs: without, in the background; three fetches; staged, and double-buffered.
    assert first <= 3 * 2 + 3 + 2
    str(report)
    report.to_html()
    assert len(report.refetches) == 3
    changes = len(report.changes().changes)
    assert len(counted) - first <= changes - 3


def test_changes_with_the_same_effect_have_one_row() -> None:
    """The text has a row for all of them; the table of the data has one for each."""
    branches = [nested(loop("m"), leaf(f"e{n}")) for n in range(9)]
    einsums = [builders.einsum(f"e{n}", (f"t{n + 1}", "m"), (f"t{n}", "m")) for n in range(9)]
    tensors = [f"t{n}" for n in range(10)]
    for branch, tensor in zip(branches, tensors, strict=False):
        branch["nodes"].insert(0, storage("SRAM", tensor))
    data = spec(
        {"m": 4},
        einsums,
        [memory("DRAM", size="inf"), memory("SRAM", size="inf"), compute("mac")],
        [storage("DRAM", *tensors), {"type": "Sequential", "nodes": branches}],
    )
    changes = polylat.analyze(Spec.from_dict(data)).changes()
    every, short = (tables[0] for tables in (changes.tables(), changes.short_tables()))
    assert len(every.rows) == len(changes.changes)
    names = [str(row[0]) for row in short.rows]
    left_out = [int(name.split("; ")[-1].split(" ")[0]) for name in names if "more have" in name]
    assert left_out
    assert len(short.rows) + sum(left_out) == len(every.rows)
    assert {row[1:] for row in short.rows} == {row[1:] for row in every.rows}
