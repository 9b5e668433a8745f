"""Traces: their format, and that they hold every access."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from polylat import OptionError, Report
from polylat.views.perfetto import perfetto_trace

_EVENT = {"ph": {"type": "string"}, "name": {"type": "string", "minLength": 1}}
_WHERE = {"pid": {"type": "integer"}, "tid": {"type": "integer"}}
_WHEN = {"ts": {"type": "number", "minimum": 0}}


def event(phase: str, needed: dict[str, Any], free: dict[str, Any] | None = None) -> Any:
    properties = {**_EVENT, "ph": {"const": phase}, **_WHERE, **needed, **(free or {})}
    return {
        "type": "object",
        "properties": properties,
        "required": ["ph", "name", *_WHERE, *needed],
        "additionalProperties": False,
    }


# After "Trace Event Format": complete, metadata, counter, and flow start and finish events.
TRACE = {
    "type": "object",
    "required": ["traceEvents"],
    "additionalProperties": False,
    "properties": {
        "displayTimeUnit": {"enum": ["ms", "ns"]},
        "otherData": {"type": "object"},
        "traceEvents": {
            "type": "array",
            "items": {
                "oneOf": [
                    event(
                        "X",
                        {**_WHEN, "dur": {"type": "number", "minimum": 0}},
                        {"cat": {"type": "string"}, "args": {"type": "object"}},
                    ),
                    {
                        "oneOf": [
                            event("M", {"name": {"const": name}, "args": {
                                "type": "object", "required": [key], "additionalProperties": False,
                                "properties": {key: {"type": kind}}}})
                            for name, key, kind in (
                                ("process_name", "name", "string"),
                                ("thread_name", "name", "string"),
                                ("thread_sort_index", "sort_index", "integer"),
                            )
                        ]
                    },
                    event("C", {**_WHEN, "args": {"type": "object", "minProperties": 1,
                                                   "additionalProperties": {"type": "number"}}}),
                    event("s", {**_WHEN, "id": {"type": "integer"}, "cat": {"type": "string"}}),
                    event("f", {**_WHEN, "id": {"type": "integer"}, "cat": {"type": "string"},
                                "bp": {"const": "e"}}),
                ]
            },
        },
    },
}  # fmt: skip


def check_trace(data: dict[str, Any]) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="the extra `test` is not installed")
    jsonschema.Draft202012Validator(TRACE).validate(data)
    events = data["traceEvents"]
    threads = {(e["pid"], e["tid"]) for e in events if e["name"] == "thread_name"}
    slices: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for e in events:
        if e["ph"] == "X":
            assert (e["pid"], e["tid"]) in threads
            slices.setdefault((e["pid"], e["tid"]), []).append((e["ts"], e["ts"] + e["dur"]))
    for mine in slices.values():
        # Slices of a thread nest or are apart: here they are apart.
        mine.sort()
        assert all(a[1] <= b[0] + 1e-6 for a, b in itertools.pairwise(mine))
    flows: dict[int, list[dict[str, Any]]] = {}
    for e in events:
        if e["ph"] in "sf":
            flows.setdefault(e["id"], []).append(e)
            # A flow is bound to the slice around it.
            assert any(start <= e["ts"] <= end for start, end in slices[e["pid"], e["tid"]])
    for ends in flows.values():
        start, finish = ends
        assert (start["ph"], finish["ph"]) == ("s", "f") and start["ts"] <= finish["ts"]
        assert start["name"] == finish["name"] and start["cat"] == finish["cat"]
    for name in {e["name"] for e in events if e["ph"] == "C"}:
        at = [e["ts"] for e in events if e["ph"] == "C" and e["name"] == name]
        assert at == sorted(at)


def test_a_trace(report: Report, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"traces are written as \.json"):
        report.to_perfetto(tmp_path / "trace.svg")
    path = report.to_perfetto(tmp_path / "trace.json")
    data = json.loads(path.read_text(encoding="utf-8"))
    check_trace(data)
    events = data["traceEvents"]
    names = [e["args"]["name"] for e in events if e["name"] == "thread_name"]
    assert names == [port.name for port in report.ports]
    served = dict.fromkeys(names, 0)
    for e in events:
        if e["ph"] == "X":
            served[names[e["tid"] - 1]] += e["dur"]
    assert served == {port.name: port.busy for port in report.ports}
    assert {e["name"] for e in events if e["ph"] == "C"} == {"DRAM bits", "SRAM bits"}
    assert any(e["ph"] == "s" and e["name"] == "flow" for e in events)
    peak = max(e["args"]["bits"] for e in events if e["name"] == "SRAM bits")
    assert peak == next(m.peak for m in report.occupancy if m.component == "SRAM")


@pytest.mark.long
def test_traces_of_long_schedules(attention: Report) -> None:
    check_trace(perfetto_trace(attention.timeline(limit=600)))
    data = perfetto_trace(attention.timeline())
    check_trace(data)
    assert data["otherData"]["repeats"][1]["count"] == 29


def test_the_schema_refuses_what_is_wrong(report: Report) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="the extra `test` is not installed")
    validator = jsonschema.Draft202012Validator(TRACE)
    data = perfetto_trace(report.timeline())
    number = next(k for k, e in enumerate(data["traceEvents"]) if e["ph"] == "X")
    for change in ({"dur": -1}, {"ts": "0"}, {"ph": "Z"}, {"tid": "DRAM"}, {"more": 1}):
        events = [*data["traceEvents"]]
        events[number] = events[number] | change
        assert not validator.is_valid({**data, "traceEvents": events})
    events[number] = {k: v for k, v in data["traceEvents"][number].items() if k != "dur"}
    assert not validator.is_valid({**data, "traceEvents": events})
