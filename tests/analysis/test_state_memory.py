"""What states take in memory, beside the tiles of the occupancy and of files written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

import polylat
from builders import EXAMPLES, ROOT
from polylat import Report, Spec
from polylat.analysis.state_memory import StateMemory
from recurrent import fusemax, scan, two_stages_in_dram
from recurrent_cascades import recurrent_cascades
from reports import analyzed

Data = dict[str, Any]


def state(data: Data) -> StateMemory:
    """The only state of the only recurrence."""
    (ring,) = polylat.analyze(Spec.from_dict(data), granularity="flow").recurrences
    (found,) = ring.states
    return found


@pytest.mark.parametrize("steps", [4, 1000])
@pytest.mark.parametrize("batch", [1, 3])
def test_a_scan(steps: int, batch: int) -> None:
    """T + 1 states above the loop, 3 in tiles of two, 2 below it."""
    for registers, states in (("above", steps + 1), ("half", 3), ("below", 2)):
        found = state(scan(steps, 2, 3, registers=registers, batch=batch))
        assert [(t.component, t.elements, t.written_back) for t in found.tiles] == [
            ("SRAM", (steps + 1) * batch, False),
            ("RF", states * batch, True),
        ]
        assert found.step_elements == found.step_bits == 2 * batch
        assert (found.inner, found.rolling) == ("RF", False)


def test_the_step_is_the_tile_below_the_loop() -> None:
    """As a file has it in which a Storage stands there."""
    above, below = (state(two_stages_in_dram(6, side)) for side in ("above", "below"))
    assert above.step_elements == below.step_elements == below.tiles[1].elements == 1
    assert above.tiles[1].elements == 6


def test_in_the_registers_only() -> None:
    found = state(scan(4, 2, 3))
    assert str(found) == (
        "State h: RF holds 5 elements (5 bits); a step needs 2 elements (2 bits). The whole tile is"
        " reserved, as in AccelForge; hardware may overwrite states that no later step reads."
    )
    outside = scan(4, 2, 3, registers="above")
    assert str(state(outside)).endswith(
        "To keep the last one only: h in RF alone, and a copy Einsum that takes it out if it is"
        " wanted."
    )


def test_who_reads_it_outside() -> None:
    """AV reads the last sum and the last result; nobody the maximum."""
    report = polylat.analyze(Spec.from_dict(fusemax(10)))
    found = {s.tensor: s for ring in report.recurrences for s in ring.states}
    assert {name: s.last_read_by for name, s in found.items()} == {
        "rd": ("AV",),
        "rnv": ("AV",),
        "rm": (),
    }
    assert not any(s.all_read_by for s in found.values())


def last_state(mapping: str) -> Report:
    files = (EXAMPLES / f"last_state{end}.yaml" for end in ("", f"_{mapping}", "_schedule"))
    return polylat.analyze(polylat.load(*files))


def yaml_file(spec: Spec, folder: Path) -> Path:
    """The input as a file."""
    file = folder / "changed.yaml"
    file.write_text(spec.to_yaml(), encoding="utf-8")
    return file


def test_the_rolling_form(tmp_path: Path) -> None:
    """T = 256 tokens of D = 64 values: each is loaded, and its state written back or not."""
    steps, values = 256, 64
    every, rolling = last_state("written"), last_state("rolling")
    assert every.latency == 2 * steps * values + 3 * values
    assert rolling.latency == steps * values + values
    assert every.accesses["H", "DRAM", "H", "write"] == steps * values * 16
    assert ("H", "DRAM", "H", "write") not in rolling.accesses
    assert rolling.accesses["Y", "DRAM", "Y", "write"] == values * 16
    (ring,) = every.recurrences
    (found,) = ring.states
    assert [t.elements for t in found.tiles] == [(steps + 1) * values] * 2
    assert (found.step_elements, found.last_read_by) == (2 * values, ("Y",))
    (only,) = rolling.recurrences[0].states
    assert [(t.component, t.written_back) for t in only.tiles] == [("registers", False)]
    assert "out of which Y reads it" in " ".join(str(every).split())
    best = every.changes().best
    assert best is not None
    assert (best.what, best.latency) == ("H kept in registers alone", rolling.latency)
    assert best.write == (
        "!Storage {component: registers, tensors: [H_prev, H]} in place of the outermost Storage of"
        " H, and no other"
    )
    again = polylat.analyze(polylat.load(yaml_file(best.spec, tmp_path)))
    assert again.latency == rolling.latency
    assert not [key for key in again.accesses if key[1:3] == ("DRAM", "H")]
    text = (ROOT / "docs" / "recurrences.md").read_text(encoding="utf-8")
    table = text[text.index("<!-- last_state -->") : text.index("<!-- end of last_state -->")]
    for report, left in ((every, steps * values), (rolling, values)):
        dram = next(m for m in report.occupancy if m.component == "DRAM")
        assert f"| {report.latency:,} | {left:,} | {dram.peak:,} |" in table


def test_options_of_holders_that_are_gone(tmp_path: Path) -> None:
    """H@registers is written back no more; its slots, and other holders, stay."""
    files = (EXAMPLES / f"last_state{end}.yaml" for end in ("", "_written", "_schedule"))
    slots = {"H@DRAM": 5, "H@registers": 4, "X": 3}
    report = polylat.analyze(
        polylat.load(*files),
        staged=["H@registers", "X@registers"],
        background=["H@registers", "Y@registers"],
        slots=slots,
    )
    (alone,) = (c for c in report.changes().changes if c.what == "H kept in registers alone")
    assert alone.spec.schedule["staged"] == (("X", "registers"),)
    assert alone.spec.schedule["background"] == (("Y", "registers"),)
    assert alone.spec.schedule["slots"] == {"H@registers": 4, "X": 3}
    again = polylat.analyze(polylat.load(yaml_file(alone.spec, tmp_path)))
    assert again.latency == alone.latency


def test_all_states_are_read_outside() -> None:
    data = scan(4, 2, 3)
    data["workload"]["einsums"].append(
        {
            "name": "f",
            "tensor_accesses": [
                {"name": "h", "projection": {"H0": "t", "H1": "b"}},
                {"name": "y", "projection": {"Y0": "t", "Y1": "b"}, "output": True},
            ],
        }
    )
    *nodes, one = data["mapping"]["nodes"]
    loops = [node for node in nodes if node["type"] == "Temporal"]
    stores = [node for node in nodes if node["type"] != "Temporal"]
    data["mapping"]["nodes"] = [
        *stores,
        {"type": "Storage", "component": "DRAM", "tensors": ["y"]},
        {
            "type": "Sequential",
            "nodes": [
                {"type": "Nested", "nodes": [*loops, one]},
                {"type": "Nested", "nodes": [*loops, {**one, "einsum": "f"}]},
            ],
        },
    ]
    found = state(data)
    assert (found.all_read_by, found.last_read_by) == (("f",), ())
    assert str(found).endswith("f, outside of the loop, reads those of all steps.")


@given(recurrent_cascades())
def test_tiles_are_those_of_the_occupancy(case: tuple[Data, Data]) -> None:
    data, options = case
    report = analyzed(data, **options)
    largest: dict[tuple[str, str], Any] = {}
    for memory in report.occupancy:
        for resident in memory.tiles():
            key = resident.tensor, memory.component
            largest[key] = max(largest.get(key, 0), resident.bits)
    for ring in report.recurrences:
        assert tuple(found.tensor for found in ring.states) == ring.tensors
        for found in ring.states:
            for tile in found.tiles:
                assert tile.bits == largest[found.tensor, tile.component]
                assert tile.elements > 0
            assert 0 < found.step_elements <= found.tiles[0].elements
