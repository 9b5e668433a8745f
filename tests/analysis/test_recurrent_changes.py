"""What helps against a recurrence: every change has the latency of the file that it describes."""

from __future__ import annotations

import copy
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

import polylat
from builders import leaf, loop, nested, spec, storage
from polylat import Change, Changes, Report, Spec
from polylat.analysis import recurrent_analysis
from polylat.analysis.recurrent_analysis import least
from polylat.spec.mapping import Temporal
from polylat.spec.rewriting import is_loop_over, node_at, nodes_below, path_of, with_nodes
from recurrent import (
    access,
    einsum,
    free,
    fusemax,
    scan,
    scan_with_loads,
    two_stages_in_dram,
    unit,
    written,
)
from recurrent_cascades import recurrent_cascades
from reports import analyzed

Data = dict[str, Any]

FEWER = settings(max_examples=max(5, settings().max_examples // 4))
"""A case is some twenty analyses."""


def report_of(data: Data, **options: Any) -> Report:
    """The analysis of plain data."""
    return polylat.analyze(Spec.from_dict(data), **{"granularity": "flow", **options})


def own(changes: Changes) -> dict[str, Change]:
    """The changes that concern a recurrence, by their words."""
    return {change.what: change for change in changes.changes if change.ring}


def with_schedule(data: Data, write: str) -> Data:
    """The same input with what a change says to write under ``schedule``."""
    found = copy.deepcopy(data)
    given = YAML(typ="safe").load(write)["schedule"]
    for key, value in given.items():
        known = found.setdefault("schedule", {}).setdefault(key, value)
        if key == "latency" and known is not value:
            for component, actions in value.items():
                known.setdefault(component, {}).update(actions)
        elif known is not value:
            found["schedule"][key] = [*known, *value] if key == "staged" else value
    return found


# --------------------------------------------------------------------------------------------
# Known answers
# --------------------------------------------------------------------------------------------


def test_staged_inputs() -> None:
    """T = 5, d = 2, L = 3, x in 4: 5 (4 + 3) = 35 streamed, 4 + 5 (2 + 3) = 29 staged."""
    data = scan_with_loads(5, 2, 3, 4)
    report = report_of(data)
    change = own(report.changes())["x@RF staged"]
    assert (report.latency, change.latency, change.kind) == (35, 29, "staged")
    assert change.write == "schedule: {staged: [x@RF]}"
    assert report_of(with_schedule(data, change.write)).latency == 29
    told = " ".join(str(report).split())
    assert "staged, in the same slots: 29: what streams waits for the state" in told
    assert "all that streams into a step waits for the state" in told
    # What is staged already is no change.
    again = report_of(data, staged="x@RF")
    assert again.latency == 29
    assert not [c for c in own(again.changes()).values() if c.kind == "staged"]


@pytest.mark.parametrize("steps", [2, 5, 1000])
def test_a_batch_outside_moves_inside(steps: int) -> None:
    """d = 2, L = 6, B = 4: outside, and 2 and 4 of them inside, by the formulas of the model."""
    data = scan(steps, 2, 6, batch=4, outer="b")
    report = report_of(data)
    changes = report.changes()
    found = own(changes)
    assert report.latency == 3 * ((steps - 1) * 8 + 2) + steps * 8
    two = found["2 of the 4 iterations of b inside the loop over t"]
    four = found["all 4 iterations of b inside the loop over t"]
    assert two.latency == ((steps - 1) * 8 + 4) + (steps - 1) * 8 + 4 + 6
    assert four.latency == (steps - 1) * max(4 * 2, 2 + 6) + 4 * 2 + 6
    assert (two.hides, four.hides) == (False, True)
    assert changes.best is four
    assert four.latency == report_of(scan(steps, 2, 6, batch=4)).latency
    by_hand = copy.deepcopy(data)
    by_hand["mapping"]["nodes"][2:] = [loop("b", 2), loop("t"), loop("b"), leaf("e")]
    assert two.latency == report_of(by_hand).latency
    assert changes.remarks[0] == (
        "Recurrence e: hidden from 4 iterations of b inside the loop over t on (8 per iteration"
        " of t, port mac 8)."
    )
    assert two.write == (
        "!Temporal {rank_variable: b, tile_shape: 1} directly below the loop over t,"
        " tile_shape: 2 in the loop over b above (tile_shape: 1)"
    )


@pytest.mark.parametrize(
    ("batch", "latency", "count"), [(6, 4, 3), (12, 10, 6), (12, 7, 6), (130, 118, 65), (7, 11, 7)]
)
def test_from_how_many_iterations_on(batch: int, latency: int, count: int) -> None:
    """1 + L / 2 iterations hide a result that passes L later: the next number of equal groups."""
    data = scan(9, 2, latency, batch=batch, outer="b")
    (remark, _) = report_of(data).changes().remarks
    rate = f"{2 + latency} per iteration of t, port mac {2 * count}"
    assert remark == (
        f"Recurrence e: hidden from {count} iterations of b inside the loop over t on ({rate})."
    )
    for inside in range(1, batch + 1):
        if batch % inside == 0:
            data["mapping"]["nodes"][2:] = [loop("b", inside), loop("t"), loop("b"), leaf("e")]
            hidden = not report_of(data).recurrences[0].binding
            assert hidden == (inside >= count) == (2 * inside >= 2 + latency)


def heads(inside: int, slots: int = 2) -> Data:
    """A state-space layer in small: two stages of 4, results pass 10 later; 8 heads, 64 steps."""
    data = spec(
        {"b": 8, "t": 64},
        [
            einsum("e1", access("h", "t", "b"), written("g", "t", "b")),
            einsum("e2", access("g", "t", "b"), written("h", "t + 1", "b")),
        ],
        [free("RF"), unit("m1", 4, 10), unit("m2", 4, 10)],
        [
            loop("b", inside),
            storage("RF", "h"),
            loop("t"),
            loop("b"),
            storage("RF", "g"),
            {"type": "Pipeline", "nodes": [nested(leaf("e1", "m1")), nested(leaf("e2", "m2"))]},
        ],
    )
    return {**data, "schedule": {"slots": slots}}


def test_slots_are_the_limit() -> None:
    """7 heads would keep the units busy, but two slots serve a head in 9: five are needed."""
    report = report_of(heads(1))
    changes = report.changes()
    found = own(changes)
    assert report.recurrences[0].interval == 28
    assert report.recurrences[0].copies_to_hide == 7
    five = found["all 8 iterations of b inside the loop over t, 5 slots"]
    assert five.hides
    assert five.write == "without the loop over b above (tile_shape: 1); schedule: {slots: 5}"
    assert five.latency == report_of(heads(8, slots=5)).latency
    for count in (2, 4):
        what = f"{count} of the 8 iterations of b inside the loop over t"
        assert found[what].latency == report_of(heads(count)).latency
        assert not found[what].hides
    (remark,) = changes.remarks
    assert remark == (
        "Recurrence e1 → e2: slots are the limit: hidden from 8 iterations of b inside the loop"
        " over t with 5 slots on (28.8 per iteration of t, port m1 32)."
    )
    # Neither more heads nor more slots do it alone, and one slot less does not suffice.
    for inside, slots in ((8, 2), (8, 4), (4, 100)):
        assert report_of(heads(inside, slots=slots)).recurrences[0].binding
    assert not report_of(heads(8, slots=5)).recurrences[0].binding


def test_the_largest_latency_that_is_hidden() -> None:
    """SPNV and RNV take 2 + 2 L per block, one element after the other: 14 is L = 6."""
    report = report_of(fusemax(10, blocks=8))
    change = own(report.changes())["the fixed latency of vector at most 6 instead of 10"]
    assert change.hides
    assert change.write == "schedule: {latency: {vector: {compute: 6}}}"
    assert change.latency == report_of(fusemax(6, blocks=8)).latency
    assert not any(ring.binding for ring in report_of(fusemax(6, blocks=8)).recurrences)
    assert any(ring.binding for ring in report_of(fusemax(7, blocks=8)).recurrences)


@given(
    time=st.integers(1, 4),
    late=st.fractions(0, 20, max_denominator=3),
    batch=st.integers(1, 4),
    steps=st.integers(3, 9),
)
def test_the_largest_latency_by_formula(time: int, late: Fraction, batch: int, steps: int) -> None:
    """A batch of B inside keeps the unit busy for B d: L may be (B - 1) d, in parts of L."""
    data = scan(steps, time, 0, batch=batch)
    data["schedule"] = {"latency": {"mac": {"compute": str(late)}}}
    found = [c for c in own(report_of(data).changes()).values() if c.kind == "latency"]
    unit = Fraction(1, late.denominator)
    most = (batch - 1) * time // unit * unit
    if not 0 < most < late:
        assert not found
        return
    (change,) = found
    assert change.latency == (steps - 1) * batch * time + batch * time + most
    assert change.hides
    assert report_of(with_schedule(data, change.write)).latency == change.latency


def test_only_without_a_latency() -> None:
    report = report_of(scan(8, 2, 3))
    changes = report.changes()
    assert not [change for change in own(changes).values() if change.kind == "latency"]
    assert changes.remarks == (
        "Recurrence e: there is no loop to move inside the loop over t.",
        "Recurrence e: the number of copies, 3, is an estimate from busy times.",
        "Recurrence e: hidden only without the fixed latency of mac (latency 16).",
    )


def test_the_state_in_registers() -> None:
    """h in SRAM alone, which takes 1 per read and per write, and in RF inside of it."""
    data = scan(4, 2, 3, registers="above")
    without = copy.deepcopy(data)
    without["mapping"]["nodes"].remove(storage("RF", "h"))
    found = own(report_of(without).changes())
    for side in ("above", "below"):
        change = found[f"h kept in RF {side} the loop over t"]
        assert change.latency == report_of(scan(4, 2, 3, registers=side)).latency
        assert change.write == (
            f"!Storage {{component: RF, tensors: [h]}} directly {side} the loop over t"
        )


def test_the_state_above_the_loop() -> None:
    """h in SRAM over DRAM: 4·5 + 36 = 56 below the loop, 5 + 4·9 = 41 above it."""
    report = report_of(two_stages_in_dram(4, "below"))
    change = own(report.changes())["h kept in SRAM above the loop over t instead of below"]
    assert (report.latency, change.latency) == (56, 41)
    assert change.latency == report_of(two_stages_in_dram(4, "above")).latency


def test_a_part_of_the_tile() -> None:
    """Where no loop stands outside, a part of the tile may run inside: two of four elements."""
    stages = [nested(loop("b"), leaf("e1", "m1")), nested(loop("b"), leaf("e2", "m2"))]
    data = heads(8)
    data["mapping"]["nodes"] = [
        storage("RF", "h"),
        loop("t"),
        storage("RF", "g"),
        {"type": "Pipeline", "nodes": stages},
    ]
    report = report_of(data, granularity="tile")
    found = own(report.changes())
    assert report.latency == 64 * 2 * (8 * 4 + 10)
    change = found["2 iterations of b inside the loop over t"]
    data["mapping"]["nodes"].insert(2, loop("b", 4))
    assert change.latency == report_of(data, granularity="tile").latency
    assert change.write == (
        "!Temporal {rank_variable: b, tile_shape: 4} directly below the loop over t"
    )
    assert change.latency is not None
    assert change.latency < report.latency


def test_loops_that_einsums_name_differently() -> None:
    """e2 calls the step x and the head c: the loops over them are the same."""
    same, renamed = heads(1), heads(1)
    renamed["workload"]["iteration_space_shape"] |= {"x": "0 <= x < 64", "c": "0 <= c < 8"}
    renamed["workload"]["einsums"][1] = einsum(
        "e2", access("g", "x", "c"), written("h", "x + 1", "c")
    )
    names = {"b": ["b", "c"], "t": ["t", "x"]}
    for node in renamed["mapping"]["nodes"]:
        if node["type"] == "Temporal":
            node["rank_variable"] = names[node["rank_variable"]]
    reports = report_of(same), report_of(renamed)
    (expected,), (ring,) = (report.recurrences for report in reports)
    assert ring.states == expected.states
    assert (ring.interval, ring.ports) == (expected.interval, expected.ports)
    found = [[c.latency for c in own(report.changes()).values()] for report in reports]
    assert found[0] == found[1]
    renamed["mapping"]["nodes"].pop(3)
    two = own(report_of(renamed).changes())["2 of the 8 iterations of b,c inside the loop over t,x"]
    assert two.write.startswith("!Temporal {rank_variable: [b,c], tile_shape: 1} directly below")


def test_what_does_not_fit() -> None:
    """RF holds 3 of the 5 states; a change that would exceed it says so, or has no latency."""
    data = scan(4, 2, 3, registers="above")
    data["mapping"]["nodes"].remove(storage("RF", "h"))
    data["arch"]["nodes"][2]["size"] = 3
    found = own(report_of(data).changes())
    above = found["h kept in RF above the loop over t"]
    assert above.overflow == "RF would hold 5 of 3 bits (166.7%)"
    assert above.note == above.overflow
    assert not found["h kept in RF below the loop over t"].overflow
    enforced = own(report_of(data, enforce_capacity=True).changes())
    assert "h kept in RF above the loop over t" not in enforced
    assert "h kept in RF below the loop over t" in enforced


def test_what_cannot_be_moved_is_left_out() -> None:
    """h needs only the step before, but g one that is later in the loop over c outside."""
    data = spec(
        {"c": 3, "t": 4},
        [
            einsum("e1", access("g", "c", "t + 1"), written("g", "c + 1", "t")),
            einsum(
                "e2", access("h", "c", "t"), access("g", "c + 1", "t"), written("h", "c", "t + 1")
            ),
        ],
        [free("SRAM"), unit("m1", 1), unit("m2", 1, 5)],
        [
            storage("SRAM", "g", "h"),
            loop("c"),
            loop("t"),
            {"type": "Pipeline", "nodes": [nested(leaf("e1", "m1")), nested(leaf("e2", "m2"))]},
        ],
    )
    report = report_of(data)
    assert [(r.einsums, r.variable) for r in report.recurrences] == [(("e2",), "t"), (("e1",), "c")]
    changes = report.changes()
    assert not own(changes)
    assert changes.remarks == (
        "Recurrence e2: no iterations of c inside the loop over t are legal.",
        "Recurrence e2: the number of copies, 6, is an estimate from busy times.",
        "Recurrence e2: hidden only without the fixed latency of m2 (latency 13).",
    )
    data["mapping"]["nodes"][1:3] = [loop("t"), loop("c")]
    with pytest.raises(polylat.MappingError):
        report_of(data)


def test_json_and_text() -> None:
    report = report_of(scan(5, 2, 6, batch=4, outer="b"))
    told = report.explain().to_dict()
    first = told["changes"][0]
    assert (first["kind"], first["ring"], first["hides"]) == ("loop", ["e"], True)
    assert first["write"].startswith("!Temporal {rank_variable: b, tile_shape: 1}")
    assert first["overflow"] is None
    assert told["remarks"][0].startswith("Recurrence e: hidden from 4 iterations of b")
    other = next(change for change in told["changes"] if change["kind"] == "slots")
    assert other["ring"] is other["hides"] is other["write"] is None
    text = " ".join(str(report.explain()).split())
    assert "What to write in the file" in text
    assert "Recurrence e: hidden from 4 iterations of b inside the loop over t on" in text
    assert "hides the recurrence" in text
    assert "hides the recurrence" in report.to_html(sensitivity=True)


# --------------------------------------------------------------------------------------------
# Random cascades
# --------------------------------------------------------------------------------------------


@pytest.mark.slow
@FEWER
@given(recurrent_cascades())
def test_every_change_is_the_analysis_of_its_file(
    tmp_path_factory: pytest.TempPathFactory, case: tuple[Data, Data]
) -> None:
    data, options = case
    report = analyzed(data, **options)
    folder = tmp_path_factory.mktemp("changes")
    for change in own(report.changes()).values():
        found = analyzed_change(change, data, options, folder)
        assert change.latency == found.latency
        assert change.what
        assert change.write
        (before,) = (ring for ring in report.recurrences if ring.einsums == change.ring)
        assert (change.hides is None) == (not before.binding)
        mine = [ring for ring in found.recurrences if ring.einsums == change.ring]
        assert not change.hides or (mine and not any(ring.binding for ring in mine))


def analyzed_change(change: Change, data: Data, options: Data, folder: Path) -> Report:
    """The analysis of the file that a change describes."""
    if change.kind == "latency":
        return report_of(with_schedule(data, change.write), **options)
    file = folder / "changed.yaml"
    file.write_text(change.spec.to_yaml(), encoding="utf-8")
    return polylat.analyze(polylat.load(file))


# --------------------------------------------------------------------------------------------
# Parts
# --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bound", range(1, 20))
@pytest.mark.parametrize("most", [1, 2, 7, 16, 19])
def test_the_least_number(bound: int, most: int) -> None:
    tried = []

    def holds(number: int) -> bool:
        assert 1 <= number <= most
        tried.append(number)
        return number >= bound

    assert least(holds, most) == (bound if bound <= most else None)
    assert len(tried) == len(set(tried))


def test_nodes_of_a_mapping() -> None:
    """Places lead to nodes in branches, and others stay as they are."""
    mapping = Spec.from_dict(fusemax(0)).mapping
    path = path_of(mapping, "RM")
    (m,) = [place for place in path if place.branches == (0,)]
    over_p = path[-1]
    loop_over_m = node_at(mapping, m)
    assert isinstance(loop_over_m, Temporal)
    assert loop_over_m.rank_variable == "m"
    assert nodes_below(mapping, m) == ()
    changed = with_nodes(mapping, over_p, *[node_at(mapping, over_p)] * 2)
    assert [leaf.einsum for leaf in changed.leaves()] == [leaf.einsum for leaf in mapping.leaves()]
    assert len(path_of(changed, "RM")) == len(path) + 1
    assert path_of(changed, "LM") == path_of(mapping, "LM")
    assert with_nodes(changed, over_p) == mapping
    assert is_loop_over(Temporal("p", 4), Temporal("p", 1))
    assert not is_loop_over(Temporal("p", 4, initial_tile_shape=2), Temporal("p", 1))


def test_work_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any work left, nothing is claimed, and it is said that changes are missing."""
    data = scan_with_loads(5, 2, 3, 4)
    monkeypatch.setattr(recurrent_analysis, "MOST_WORK", 1)
    changes = report_of(data).changes()
    assert len(own(changes)) == 1
    last = "Further changes against recurrences were not analyzed, as each takes long."
    assert changes.remarks[-1] == last
    assert not any("hidden" in remark for remark in changes.remarks)
