"""Export timelines as traces for Perfetto and ``chrome://tracing`` (trace-event format, JSON).

A port is a thread of the process *ports*, its bars are complete events. A flow leads to a bar from
the bar that it waited for. Memories are counters of the process *memories*. The architecture's unit
of time is shown as one microsecond, the unit of the format.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from polylat.analysis.timeline import Bar, TimelineData, TimelineSegment
from polylat.files import write_text
from polylat.numbers import Number, json_number, to_float
from polylat.views.captions import tile_words

__all__ = ["perfetto_trace", "write_perfetto"]

_PORTS, _MEMORIES = 1, 2


def write_perfetto(line: TimelineData, path: str | Path) -> Path:
    """Write a timeline as a trace.

    Parameters
    ----------
    line
        The timeline.
    path
        The file.

    Returns
    -------
    Path
        The file.
    """
    return write_text(path, json.dumps(perfetto_trace(line), separators=(",", ":")))


def perfetto_trace(line: TimelineData) -> dict[str, Any]:
    """Convert a timeline to a trace.

    Of segments that repeat, the trace has the first period only; ``otherData`` has the number of
    repetitions and the period.

    Parameters
    ----------
    line
        The timeline.

    Returns
    -------
    dict[str, Any]
        Plain data for JSON.
    """
    return {
        "traceEvents": [*_names(line), *_events(line)],
        "displayTimeUnit": "ns",
        "otherData": {
            "title": line.title,
            "latency": json_number(line.latency),
            "repeats": [
                {
                    "from": json_number(line.segments[r.first].start),
                    "to": json_number(line.segments[r.last].finish),
                    "count": r.count,
                    "period": json_number(r.period),
                }
                for r in line.repeats
            ],
        },
    }


def _names(line: TimelineData) -> Iterator[dict[str, Any]]:
    for pid, name in ((_PORTS, "ports"), (_MEMORIES, "memories")):
        yield {"ph": "M", "name": "process_name", "pid": pid, "tid": 0, "args": {"name": name}}
    for number, lane in enumerate(line.lanes, 1):
        about = {"ph": "M", "pid": _PORTS, "tid": number}
        yield {**about, "name": "thread_name", "args": {"name": lane.name}}
        yield {**about, "name": "thread_sort_index", "args": {"sort_index": number}}


def _events(line: TimelineData) -> Iterator[dict[str, Any]]:
    flow = 0
    for number, segment in enumerate(line.segments):
        # Bars that start before the segment belong to the previous segment or repetition.
        shown = [bar for bar in segment.bars if number == 0 or bar.start >= segment.start]
        for bar in shown:
            yield _slice(bar)
        for bar in shown:
            if bar.after is None or bar.waited_for in (None, "port", "unknown"):
                continue
            before = segment.bars[bar.after]
            if number and before.start < segment.start:
                continue
            flow += 1
            about = {"name": bar.waited_for, "cat": bar.waited_for, "id": flow, "pid": _PORTS}
            # The ends of a flow are bound to the slices that enclose them in time.
            middle = Fraction(before.start) + Fraction(before.duration) / 2
            yield {**about, "ph": "s", "ts": _time(middle), "tid": before.lane + 1}
            begin = _time(bar.start)
            yield {**about, "ph": "f", "bp": "e", "ts": begin, "tid": bar.lane + 1}
        for shade in segment.shades:
            busy = sum((Fraction(time) for *_, time in shade.busy), Fraction(0))
            yield {
                "ph": "X",
                "name": "+".join(dict.fromkeys(einsum for einsum, *_ in shade.busy)),
                "cat": "busy",
                "pid": _PORTS,
                "tid": shade.lane + 1,
                "ts": _time(shade.start),
                "dur": _time(shade.finish - shade.start),
                "args": {"busy": float(busy / (shade.finish - shade.start))},
            }
        yield from _counters(segment)


def _slice(bar: Bar) -> dict[str, Any]:
    tensors = "+".join(dict.fromkeys(p.tensor or p.action for p in bar.parts))
    return {
        "ph": "X",
        "name": f"{bar.einsum} {tensors}",
        "cat": ",".join((bar.kind, *(("critical",) if bar.critical else ()))),
        "pid": _PORTS,
        "tid": bar.lane + 1,
        "ts": _time(bar.start),
        "dur": _time(bar.duration),
        "args": {
            "einsum": bar.einsum,
            "tile": tile_words(bar.tile),
            "accesses": [
                f"{p.tensor or '-'} {p.action} {json_number(p.duration)}" for p in bar.parts
            ],
            "waited_for": bar.waited_for or "nothing",
            "critical": bar.critical,
            **({} if bar.slack is None else {"slack": json_number(bar.slack)}),
        },
    }


def _counters(segment: TimelineSegment) -> Iterator[dict[str, Any]]:
    for level in segment.levels:
        for time, bits in level.steps or ():
            yield {
                "ph": "C",
                "name": f"{level.name} bits",
                "pid": _MEMORIES,
                "tid": 0,
                "ts": _time(time),
                "args": {"bits": _time(bits)},
            }


def _time(value: Number) -> int | float:
    """A number for JSON: whole numbers exactly, others as the nearest double."""
    return int(value) if value.denominator == 1 and -(2**63) < value < 2**63 else to_float(value)
