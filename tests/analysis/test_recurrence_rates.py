"""What recurrences take per step, beside the ports."""

from __future__ import annotations

import re
from typing import Any

import pytest

import polylat
from polylat import Report, Spec
from recurrent import flash_attention, fusemax, scan, three_stages, two_stages

Data = dict[str, Any]


def report_of(data: Data, granularity: str = "flow") -> Report:
    """The analysis of plain data."""
    return polylat.analyze(Spec.from_dict(data), granularity=granularity)


@pytest.mark.parametrize("steps", [12, 10**6])
@pytest.mark.parametrize(("batch", "interval"), [(1, 8), (3, 8), (4, 8), (6, 12)])
def test_a_scan(steps: int, batch: int, interval: int) -> None:
    """One leaf, d = 2 and L = 6: a step takes d + L, until a batch of B takes B d."""
    report = report_of(scan(steps, 2, 6, batch=batch))
    (ring,) = report.recurrences
    assert (ring.einsums, ring.tensors, ring.variable, ring.distance) == (("e",), ("h",), "t", 1)
    assert (ring.interval, ring.delay) == (8, 8)
    assert ring.ports == (("mac", 2 * batch),)
    assert ring.binding == (interval < 12 and batch < 4)
    last = 2 * batch + 6
    assert report.latency == (steps - 1) * interval + last
    # So many copies hide it: then the port is busy all the time but for the last latency.
    copies = ring.copies_to_hide
    assert copies is not None
    hidden = report_of(scan(steps, 2, 6, batch=batch * copies))
    assert not hidden.recurrences[0].binding
    assert hidden.latency == hidden.resource_bound + 6


@pytest.mark.parametrize("steps", [8, 10**6])
def test_a_ring_of_two_stages(steps: int) -> None:
    (ring,) = report_of(two_stages(steps, 1, 2, 3)).recurrences
    assert (ring.einsums, ring.interval, ring.busy) == (("e1", "e2"), 5, 3)
    assert str(ring) == (
        "The recurrence e1 → e2 takes 5 per iteration of t, no port more than 3 (m2). By busy times"
        " alone, 2 times as many independent copies inside the loop (batches, heads) hide it."
    )


def test_fusemax() -> None:
    """24 per block, SPNV and RNV with 2 operations and a latency of 10 each; the ports need 14."""
    report = report_of(fusemax(10), "tile")
    found = [(r.einsums, r.interval, r.busy, r.binding) for r in report.recurrences]
    assert found == [
        (("SPNV", "RNV"), 24, 14, True),
        (("SPD", "RD"), 22, 14, True),
        (("RM",), 11, 14, False),
    ]
    text = " ".join(str(report).split())
    assert "The recurrence SPNV → RNV takes 24 per iteration of m, no port more than 14" in text
    assert "The recurrence RM" not in text
    assert report.to_dict()["recurrences"][0] == {
        "einsums": ["SPNV", "RNV"],
        "tensors": ["rnv"],
        "variable": "m",
        "tile": 1,
        "depth": 0,
        "distance": 1,
        "interval": 24,
        "delay": 24,
        "ports": {"vector": 14, "matrix": 8},
        "states": [
            {
                "tensor": "rnv",
                "holders": [
                    {"component": "RF", "elements": 8, "bits": 8, "written_back": False},
                ],
                "step_elements": 2,
                "step_bits": 2,
                "last_read_by": ["AV"],
                "all_read_by": [],
                "inner": None,
                "rolling": False,
            }
        ],
    }


@pytest.mark.parametrize(
    ("data", "granularity"),
    [
        (flash_attention(1, 10, blocks=16), "tile"),
        (flash_attention(2, 3, blocks=16), "flow"),
        (fusemax(10, blocks=16), "tile"),
        (three_stages(16, 1), "flow"),
        (two_stages(16, 2, 2, 3), "flow"),
    ],
)
def test_the_slope_of_the_dependence_bound(data: Data, granularity: str) -> None:
    """The slowest ring is what a further step adds to the dependence bound."""
    report = report_of(data, granularity)
    text = str(data)
    assert "16" in text
    longer = report_of(_longer(data), granularity)
    slowest = report.recurrences[0]
    assert longer.dependence_bound - report.dependence_bound == 4 * slowest.interval
    rates = [(ring.einsums, ring.interval, ring.ports) for ring in report.recurrences]
    assert [(r.einsums, r.interval, r.ports) for r in longer.recurrences] == rates


def _longer(data: Data) -> Data:
    """The same with 20 steps instead of 16."""

    def changed(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: changed(v) for k, v in value.items()}
        if isinstance(value, list):
            return [changed(v) for v in value]
        return re.sub(r"\b16\b", "20", value) if isinstance(value, str) else value

    found: Data = changed(data)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("slots", "interval"), [(2, 72), (3, 48), (4, 36)])
def test_steps_that_repeat_after_some(slots: int, interval: int) -> None:
    """With three slots the steps take 54, 54 and 36 in turn: no more than the latency has."""
    files = "examples/state_space_layer.yaml", "examples/state_space_layer_schedule.yaml"
    report = polylat.analyze(polylat.load(*files, heads=8), slots=slots)
    (ring,) = report.recurrences
    assert ring.interval == interval
    assert ring.interval * 4 * 4096 <= report.latency * 1.001


def test_none_without_recurrences() -> None:
    report = polylat.analyze(polylat.load("examples/attention.yaml"), granularity="tile")
    assert report.recurrences == ()
    assert report.to_dict()["recurrences"] == []
