"""Timelines as traces for Perfetto and ``chrome://tracing`` (the trace-event format, JSON).

A port is a thread of the process *ports*: its bars are complete events. What a bar waited for is a
flow. Memories are counters of the process *memories*. One unit of time is one microsecond, the
format's own unit, unless that is set otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from polylat.draw.words import tile_words
from polylat.exact import Number
from polylat.files import write
from polylat.jsonform import exact
from polylat.text import double
from polylat.timeline import Bar, Segment, Timeline

__all__ = ["trace", "write_trace"]

_PORTS, _MEMORIES = 1, 2


def write_trace(line: Timeline, path: str | Path) -> Path:
    """Write a timeline as a trace."""
    return write(path, json.dumps(trace(line), separators=(",", ":")))


def trace(line: Timeline) -> dict[str, Any]:
    """A timeline as a trace: plain data for JSON.

    What repeats is there once, at its first time; ``otherData`` says how often.
    """
    return {
        "traceEvents": [*_names(line), *_events(line)],
        "displayTimeUnit": "ns",
        "otherData": {
            "title": line.title,
            "latency": exact(line.latency),
            "repeats": [
                {
                    "from": exact(line.segments[r.first].start),
                    "to": exact(line.segments[r.last].finish),
                    "count": r.count,
                    "period": exact(r.period),
                }
                for r in line.repeats
            ],
        },
    }


def _names(line: Timeline) -> Iterator[dict[str, Any]]:
    for pid, name in ((_PORTS, "ports"), (_MEMORIES, "memories")):
        yield {"ph": "M", "name": "process_name", "pid": pid, "tid": 0, "args": {"name": name}}
    for number, lane in enumerate(line.lanes, 1):
        about = {"ph": "M", "pid": _PORTS, "tid": number}
        yield {**about, "name": "thread_name", "args": {"name": lane.name}}
        yield {**about, "name": "thread_sort_index", "args": {"sort_index": number}}


def _events(line: Timeline) -> Iterator[dict[str, Any]]:
    flow = 0
    for number, segment in enumerate(line.segments):
        # What began before a segment is in the one before, or another repetition of it.
        shown = [bar for bar in segment.bars if number == 0 or bar.start >= segment.start]
        for bar in shown:
            yield _slice(bar)
        for bar in shown:
            if bar.after is None or bar.waited_for in (None, "port"):
                continue
            before = segment.bars[bar.after]
            if number and before.start < segment.start:
                continue
            flow += 1
            about = {"name": bar.waited_for, "cat": bar.waited_for, "id": flow, "pid": _PORTS}
            # A flow begins and ends inside of slices: its ends are bound to those around them.
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
            "accesses": [f"{p.tensor or '-'} {p.action} {exact(p.duration)}" for p in bar.parts],
            "waited_for": bar.waited_for or "nothing",
            "critical": bar.critical,
            **({} if bar.slack is None else {"slack": exact(bar.slack)}),
        },
    }


def _counters(segment: Segment) -> Iterator[dict[str, Any]]:
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
    """A number of JSON: whole where it is, else the nearest double."""
    return int(value) if value.denominator == 1 and -(2**63) < value < 2**63 else double(value)
